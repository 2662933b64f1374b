/** What a cluster calls its things on the machine's network, and how to remove them all without a running agent. */
import { tryExec } from '../base/exec.ts';
import type { ClusterSettings } from './cluster-dir.ts';

export function networkNames({ device, slot }: Pick<ClusterSettings, 'device' | 'slot'>) {
  return {
    bridge: device, vxlanDevice: `${device}.1`, vni: 1 + slot, vxlanPort: 8472 + slot,
    /** nftables: `<name>-network` and `<name>-policy` are the pod network's, the other kube-proxy's. */
    networkName: device, proxyTable: `${device}-proxy`,
  };
}

export async function removeNetwork(settings: ClusterSettings): Promise<void> {
  const { bridge, vxlanDevice, networkName, proxyTable } = networkNames(settings);
  for (const device of [vxlanDevice, bridge]) await tryExec('ip', ['link', 'del', device]);
  await tryExec('ip', ['addr', 'del', `${settings.dnsAddress}/32`, 'dev', 'lo']);
  for (const family of ['ip', 'ip6', 'inet']) {
    for (const table of [`${networkName}-network`, `${networkName}-policy`, proxyTable]) await tryExec('nft', ['delete', 'table', family, table]);
  }
}
