/**
 * What clusters on one machine would fight over, chosen apart: a slot is a number, and ports, address ranges and device names
 * follow from it. The first cluster gets slot 0 and upstream's defaults. Claims are files beside the default data directory, so
 * clusters with different `--data-dir` see each other too; a claim whose cluster is gone is free again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../base/user-error.ts';
import { type ClusterDir, type ClusterSettings, defaultDataDir } from './cluster-dir.ts';

/** Pod ranges are 10.(244 + slot)/16 and must stay below 10.255. */
const slotCount = 11;

const claimsDir = () => join(defaultDataDir(), '.slots');

export function slotDefaults(slot: number): Pick<ClusterSettings, 'slot' | 'port' | 'kubeletPort' | 'proxyHealthPort' | 'podCidr' | 'serviceCidr' | 'dnsAddress' | 'device'> {
  return {
    slot, port: 6443 + slot * 10, kubeletPort: 10250 + slot * 20, proxyHealthPort: 10256 + slot * 20,
    podCidr: `10.${244 + slot}.0.0/16`, serviceCidr: `10.${96 + slot}.0.0/16`, dnsAddress: `10.${96 + slot}.0.10`, device: `knarr${slot}`,
  };
}

/** Takes the lowest slot that no other cluster holds and whose ports and ranges are free on this machine. */
export async function claimSlot(cluster: ClusterDir, port: number | undefined): Promise<ReturnType<typeof slotDefaults>> {
  mkdirSync(claimsDir(), { recursive: true, mode: 0o700 });
  const addresses = Object.values(networkInterfaces()).flat().map((address) => address?.address ?? '');
  for (let slot = 0; slot < slotCount; slot++) {
    const choice = slotDefaults(slot);
    const ranges = [choice.podCidr, choice.serviceCidr].map((cidr) => cidr.split('.').slice(0, 2).join('.') + '.');
    if (addresses.some((address) => ranges.some((range) => address.startsWith(range)))) continue;
    if (!(await portIsFree(choice.kubeletPort)) || (port === undefined && !(await portIsFree(choice.port)))) continue;
    if (writeClaim(slot, cluster)) return choice;
  }
  throw new UserError(`all ${slotCount} sets of ports and address ranges on this machine are taken. Remove a cluster with: knarr delete --name NAME`);
}

/** Whether this process got the claim: the file is created whole or not at all. */
function writeClaim(slot: number, cluster: ClusterDir): boolean {
  const file = join(claimsDir(), String(slot));
  if (existsSync(file)) {
    const owner = readFileSync(file, 'utf8');
    if (owner === cluster.path) return true;
    if (existsSync(join(owner, 'cluster.json'))) return false;
    rmSync(file);
  }
  try { writeFileSync(file, cluster.path, { flag: 'wx', mode: 0o600 }); return true; }
  catch (err) { if ((err as NodeJS.ErrnoException).code === 'EEXIST') return false; throw err; }
}

export function releaseSlot(settings: Pick<ClusterSettings, 'slot'>, cluster: ClusterDir): void {
  const file = join(claimsDir(), String(settings.slot));
  if (existsSync(file) && readFileSync(file, 'utf8') === cluster.path) rmSync(file);
}

/** Whether `port` can be bound on every address. */
export function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '::', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Whether something accepts connections on loopback. */
export function portAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
