/**
 * The overlay: one VXLAN device per node whose neighbours are known from Node objects, so nothing is learnt or flooded.
 * Pure: says which entries a peer needs; `node-network.ts` applies them. The way of flannel's vxlan backend (RFC 7348 on the wire).
 * Differs: a device's MAC follows from the node's pod range, so no node has to publish it in an annotation.
 */
import { nthAddress, parseCidr } from './cidr.ts';
import type { PeerEntries } from './routes.ts';

export interface VxlanConfig {
  /** At most 15 characters. */
  device: string;
  /** VXLAN network identifier. Default 1, flannel's. */
  vni?: number | undefined;
  /** UDP port. Default 8472, Linux' and flannel's; IANA's is 4789. */
  port?: number | undefined;
}
export const defaultVni = 1, defaultVxlanPort = 8472;
/** Outer Ethernet, IP, UDP and VXLAN headers. */
export const vxlanOverheadBytes = 50;

/** 0a:58 and the first pod range's base address; IPv6 ranges by the bytes that tell nodes apart. */
export function vtepMac(podCIDRs: readonly string[]): string {
  const { base, family, bits, prefix } = parseCidr(podCIDRs[0]!);
  const value = family === 'ip' ? base : base >> BigInt(bits - prefix);
  const bytes = [24n, 16n, 8n, 0n].map((shift) => Number((value >> shift) & 0xffn).toString(16).padStart(2, '0'));
  return `0a:58:${bytes.join(':')}`;
}

/** The tunnel end's own address: the base of each pod range, which host-local never hands out. */
export function vtepAddresses(podCIDRs: readonly string[]): string[] { return podCIDRs.map((range) => nthAddress(parseCidr(range), 0)); }

/** Arguments for `ip link add`. */
export function vxlanLinkArgs({ device, vni = defaultVni, port = defaultVxlanPort }: VxlanConfig, nodeIP: string, podCIDRs: readonly string[]): string[] {
  return ['link', 'add', device, 'address', vtepMac(podCIDRs), 'type', 'vxlan', 'id', String(vni), 'local', nodeIP, 'dstport', String(port), 'nolearning'];
}

/** Route, neighbour and forwarding entries for a node behind the tunnel. */
export function vxlanPeer(device: string, protocol: number, peer: { nodeIP: string; podCIDRs: readonly string[] }): PeerEntries {
  const mac = vtepMac(peer.podCIDRs);
  const ends = vtepAddresses(peer.podCIDRs);
  return {
    fdb: [`${mac} dev ${device} dst ${peer.nodeIP}`],
    neighbours: ends.map((end) => `${end} lladdr ${mac} dev ${device} nud permanent`),
    routes: peer.podCIDRs.map((range, i) => `${range} via ${ends[i]!} dev ${device} onlink proto ${protocol}`),
  };
}
