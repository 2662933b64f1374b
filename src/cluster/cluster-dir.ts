/**
 * One cluster's folder, `<data-dir>/<name>`: its settings (`cluster.json`, written by the first `up`) and where everything lies.
 * Two clusters share nothing but the machine; what they would fight over there (ports, ranges, device names) is chosen apart by `slots.ts`.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { UserError } from '../base/user-error.ts';

export interface ClusterSettings {
  name: string;
  /** Which of the machine's sets of ports and ranges it uses; see slots.ts. */
  slot: number;
  port: number;
  kubeletPort: number;
  proxyHealthPort: number;
  podCidr: string;
  serviceCidr: string;
  dnsAddress: string;
  /** Name of the bridge, the nftables table and the cgroup of this cluster. */
  device: string;
  nodeName: string;
  runtime: 'containerd' | 'simulated';
}

export const defaultName = 'knarr';

export function defaultDataDir(): string {
  return process.getuid?.() === 0 ? '/var/lib/knarr' : join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local/share'), 'knarr');
}

export class ClusterDir {
  readonly name: string;
  readonly dataDir: string;
  readonly path: string;

  constructor(options: { dataDir?: string | undefined; name?: string | undefined }) {
    this.name = options.name ?? defaultName;
    if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(this.name)) throw new UserError(`"${this.name}" cannot be a cluster's name: use at most 40 lower-case letters, digits and '-'.`, { exitCode: 2 });
    this.dataDir = resolve(options.dataDir ?? defaultDataDir());
    this.path = join(this.dataDir, this.name);
  }

  get settingsFile() { return join(this.path, 'cluster.json'); }
  get pki() { return join(this.path, 'pki'); }
  get store() { return join(this.path, 'store'); }
  get logs() { return join(this.path, 'logs'); }
  get adminKubeconfig() { return join(this.path, 'admin.conf'); }
  get agentKubeconfig() { return join(this.path, 'agent.conf'); }
  get networkKubeconfig() { return join(this.path, 'network.conf'); }
  get kubelet() { return join(this.path, 'kubelet'); }
  get containerd() { return join(this.path, 'containerd'); }
  get cni() { return join(this.path, 'cni'); }
  get staticPods() { return join(this.path, 'manifests'); }
  pidFile(process: 'server' | 'agent') { return join(this.path, 'run', `${process}.pid`); }
  logFile(component: string) { return join(this.logs, `${component}.log`); }

  exists(): boolean { return existsSync(this.settingsFile); }

  settings(): ClusterSettings {
    if (!this.exists()) throw new UserError(`there is no cluster "${this.name}" in ${this.dataDir}. Start one with: knarr up${this.name === defaultName ? '' : ` --name ${this.name}`}`);
    try { return JSON.parse(readFileSync(this.settingsFile, 'utf8')) as ClusterSettings; }
    catch (err) { throw new UserError(`${this.settingsFile} cannot be read (${(err as Error).message}). Restore it, or start over with: knarr delete`, { cause: err }); }
  }

  saveSettings(settings: ClusterSettings): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    writeFileSync(`${this.settingsFile}.new`, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${this.settingsFile}.new`, this.settingsFile);
  }
}

/** The host's name as a node's: lower case, RFC 1123. */
export function defaultNodeName(): string {
  return hostname().toLowerCase().replace(/[^a-z0-9.-]/g, '-').replace(/^[-.]+|[-.]+$/g, '') || 'node';
}
