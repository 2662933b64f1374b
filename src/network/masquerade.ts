/** What leaves the cluster carries the node's address: one nftables rule. Pure. `node-network.ts` applies it. */
import type { Fragment } from '../base/nft-table.ts';

export interface MasqueradeConfig { family: 'ip' | 'ip6'; podCIDRs: readonly string[]; clusterCIDRs: readonly string[] }

/** Packets from this node's pods to anything but pods and multicast are masqueraded, also those to other nodes (as flannel does). */
export function masqueradeFragment({ family, podCIDRs, clusterCIDRs }: MasqueradeConfig): Fragment {
  const inside = [...clusterCIDRs, family === 'ip' ? '224.0.0.0/4' : 'ff00::/8'];
  return { chains: { 'pod-postrouting': [
    'type nat hook postrouting priority 101;', // after the proxy (100), whose decision for a connection stands
    ...podCIDRs.map((range) => `${family} saddr ${range} ${inside.map((target) => `${family} daddr != ${target}`).join(' ')} masquerade fully-random`),
  ] } };
}
