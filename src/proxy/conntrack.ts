/**
 * Forgets UDP flows whose endpoint is gone: the kernel would go on sending a client's datagrams there for as long as it sends.
 * By the program `conntrack`; without it stale flows end by their own timeout (30 to 120 s).
 */
import { tryExec } from '../base/exec.ts';
import { inNetns } from '../base/nft.ts';
import type { UdpPort } from './ruleset.ts';

export type ConntrackFilter = readonly string[];

/** Most deletions for one change; beyond it flows are left to their timeout. */
const deletionLimit = 1_000;

/** What to delete when the UDP ports of a Service go from `before` to `after`. Pure. */
export function staleFlows(before: readonly UdpPort[], after: readonly UdpPort[]): ConntrackFilter[] {
  const filters: ConntrackFilter[] = [];
  for (const old of before) {
    const next = after.find((port) => port.port === old.port && port.addresses[0] === old.addresses[0]);
    for (const endpoint of old.endpoints) {
      if (next?.endpoints.includes(endpoint)) continue;
      for (const address of old.addresses) filters.push(['--orig-dst', address, '--dst-nat', endpoint]);
      if (old.nodePort) filters.push(['--orig-port-dst', String(old.nodePort), '--dst-nat', endpoint]);
    }
  }
  for (const next of after) {
    // Flows that began while there was no endpoint are tracked without NAT, and would stay so.
    const old = before.find((port) => port.port === next.port && port.addresses[0] === next.addresses[0]);
    if (next.endpoints.length === 0 || (old && old.endpoints.length > 0)) continue;
    for (const address of next.addresses) filters.push(['--orig-dst', address, '--orig-port-dst', String(next.port)]);
    if (next.nodePort) filters.push(['--orig-port-dst', String(next.nodePort)]);
  }
  return filters.slice(0, deletionLimit);
}

/** Returns false when the program is missing. */
export async function deleteFlows(filters: readonly ConntrackFilter[], { netns, signal }: { netns?: string | undefined; signal?: AbortSignal | undefined } = {}): Promise<boolean> {
  for (const filter of filters) {
    const [command, ...args] = inNetns(netns, ['conntrack', '-D', '-p', 'udp', ...filter]);
    try {
      const result = await tryExec(command, args, signal ? { signal } : {}); // code 1: nothing matched
      if (/failed to execute conntrack/.test(result.stderr)) return false;
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw err;
    }
  }
  return true;
}
