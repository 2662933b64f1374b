/**
 * Which routes lead to the pods of other nodes: through the overlay, or plainly to the node's address where both share a
 * segment (Calico's and flannel's host-gw way). Pure planning from Node objects, and the difference between two plans as
 * batches for `ip` and `bridge`.
 */
import type { Node } from '../api/core/v1.ts';
import { contains, parseCidr } from './cidr.ts';
import { vxlanPeer } from './vxlan.ts';

/** `vxlan`: all peers through the overlay; `routes`: all plainly; `auto`: plainly where the segment is shared. */
export type Backend = 'vxlan' | 'routes' | 'auto';

export interface PeerEntries { routes: readonly string[]; neighbours: readonly string[]; fdb: readonly string[] }
export interface RoutePlan { entries: PeerEntries; unreachable: readonly string[] }

export interface RoutePlanOptions {
  nodeName: string;
  backend: Backend;
  vxlanDevice: string;
  /** Ranges on this node's own links, for `auto` and `routes`. */
  connected: readonly string[];
  /** The `proto` number that marks our routes. */
  protocol: number;
}

export function nodeInternalIP(node: Node): string | undefined {
  const addresses = node.status?.addresses ?? [];
  return (addresses.find((address) => address.type === 'InternalIP') ?? addresses.find((address) => address.type === 'ExternalIP'))?.address;
}
export function nodePodCIDRs(node: Node): readonly string[] {
  return node.spec?.podCIDRs?.length ? node.spec.podCIDRs : node.spec?.podCIDR ? [node.spec.podCIDR] : [];
}

export function planRoutes(nodes: readonly Node[], { nodeName, backend, vxlanDevice, connected, protocol }: RoutePlanOptions): RoutePlan {
  const routes: string[] = [], neighbours: string[] = [], fdb: string[] = [], unreachable: string[] = [];
  const segments = connected.map(parseCidr);
  for (const node of nodes) {
    if (node.metadata.name === nodeName) continue;
    const nodeIP = nodeInternalIP(node);
    const podCIDRs = nodePodCIDRs(node);
    if (nodeIP === undefined || podCIDRs.length === 0) continue; // not set up yet; its update brings it back
    const sharesSegment = segments.some((segment) => contains(segment, nodeIP));
    if (backend === 'vxlan' || (backend === 'auto' && !sharesSegment)) {
      const entries = vxlanPeer(vxlanDevice, protocol, { nodeIP, podCIDRs });
      routes.push(...entries.routes); neighbours.push(...entries.neighbours); fdb.push(...entries.fdb);
    } else if (sharesSegment) {
      for (const range of podCIDRs) if (range.includes(':') === nodeIP.includes(':')) routes.push(`${range} via ${nodeIP} proto ${protocol}`);
    } else unreachable.push(node.metadata.name);
  }
  return { entries: { routes, neighbours, fdb }, unreachable };
}

export interface Batches { ip: string; bridge: string }

/** Lines for `ip -force -batch -` and `bridge -force -batch -`. Removals come first: a range may have moved to another node. */
export function diffEntries(before: PeerEntries, after: PeerEntries): Batches {
  const gone = (list: 'routes' | 'neighbours' | 'fdb') => before[list].filter((entry) => !after[list].includes(entry));
  const added = (list: 'routes' | 'neighbours' | 'fdb') => after[list].filter((entry) => !before[list].includes(entry));
  return {
    ip: lines([
      ...gone('routes').map((entry) => `route del ${entry}`),
      ...gone('neighbours').map((entry) => `neigh del ${entry.replace(/ lladdr \S+/, '').replace(' nud permanent', '')}`),
      ...added('neighbours').map((entry) => `neigh replace ${entry}`),
      ...added('routes').map((entry) => `route replace ${entry}`),
    ]),
    bridge: lines([...gone('fdb').map((entry) => `fdb del ${entry}`), ...added('fdb').map((entry) => `fdb replace ${entry}`)]),
  };
}
function lines(list: readonly string[]): string { return list.length === 0 ? '' : `${list.join('\n')}\n`; }
