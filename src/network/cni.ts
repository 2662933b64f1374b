/**
 * The CNI configuration of a node: the plugins `bridge` (or `ptp`), `host-local` and `portmap` from the distribution's package, as
 * one conflist in a folder of the cluster's own, written whole or not at all. Driven by `node-network.ts`.
 * Source: CNI specification 1.0 (network configuration lists), the reference plugins' documentation.
 */
import { constants } from 'node:fs';
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CniConfig {
  /** The network's name, in file names and in the plugins' state. Default 'knarr'. */
  name?: string | undefined;
  /** At most 15 characters. Default 'knarr0'. */
  bridge: string;
  podCIDRs: readonly string[];
  mtu?: number | undefined;
  /** `bridge` needs the kernel's br_netfilter, so that traffic between pods of one node passes the Service rules; `ptp` routes it. */
  mode: 'bridge' | 'ptp';
  /** Where host-local keeps its leases. Default the plugin's, /var/lib/cni/networks. */
  ipamDataDir?: string | undefined;
  /** Whether `portmap` (hostPort) is there and can work; it needs iptables. */
  portmap?: boolean | undefined;
}

/** The conflist. Pure. */
export function cniConflist({ name = 'knarr', bridge, podCIDRs, mtu, mode, ipamDataDir, portmap = true }: CniConfig): object {
  const ipam = {
    type: 'host-local',
    ranges: podCIDRs.map((subnet) => [{ subnet }]),
    // The bridge plugin adds the default route by isDefaultGateway, and fails when it is here as well.
    ...(mode === 'ptp' ? { routes: podCIDRs.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })) } : {}),
    ...(ipamDataDir === undefined ? {} : { dataDir: ipamDataDir }),
  };
  const main = mode === 'bridge'
    ? { type: 'bridge', bridge, isGateway: true, isDefaultGateway: true, ipMasq: false, hairpinMode: true, promiscMode: false, ...(mtu ? { mtu } : {}), ipam }
    : { type: 'ptp', ipMasq: false, ...(mtu ? { mtu } : {}), ipam };
  // portmap's own masquerading rules are kept: only it knows which hostPort connections need them.
  return { cniVersion: '1.0.0', name, plugins: [main, ...(portmap ? [{ type: 'portmap', capabilities: { portMappings: true }, snat: true }] : [])] };
}

/** Writes `10-NAME.conflist` into `directory`, atomically; resolves with its path. */
export async function writeCniConfig(directory: string, config: CniConfig): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, `10-${config.name ?? 'knarr'}.conflist`);
  const temporary = join(directory, `.10-${config.name ?? 'knarr'}.${process.pid}.tmp`);
  await writeFile(temporary, `${JSON.stringify(cniConflist(config), null, 2)}\n`, { mode: 0o644 });
  await rename(temporary, path);
  return path;
}

export async function removeCniConfig(directory: string, name = 'knarr'): Promise<void> { await rm(join(directory, `10-${name}.conflist`), { force: true }); }

/** Where distributions put the plugins. */
export const cniPluginDirectories = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'] as const;

export interface CniPlugins { directory: string; missing: readonly string[]; portmap: boolean }

/** The first folder that has every plugin we need. Throws with what to install. */
export async function findCniPlugins(mode: 'bridge' | 'ptp' = 'bridge', directories: readonly string[] = cniPluginDirectories): Promise<CniPlugins> {
  const needed = [mode, 'host-local', 'loopback'];
  const seen: string[] = [];
  for (const directory of directories) {
    const present = new Set(await readdir(directory).catch(() => []));
    if (needed.every((name) => present.has(name))) return { directory, missing: [], portmap: present.has('portmap') && await hasIptables() };
    if (present.size > 0) seen.push(`${directory} lacks ${needed.filter((name) => !present.has(name)).join(', ')}`);
  }
  throw new Error(`the CNI plugins ${needed.join(', ')} were not found in ${directories.join(', ')}${seen.length > 0 ? ` (${seen.join('; ')})` : ''}: install the package containernetworking-plugins`);
}

async function hasIptables(): Promise<boolean> {
  for (const dir of [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']) {
    if (await access(join(dir, 'iptables'), constants.X_OK).then(() => true, () => false)) return true;
  }
  return false;
}
