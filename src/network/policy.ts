/**
 * NetworkPolicy as nftables: policies, pods and namespaces in, one fragment out. Pure; `policy-controller.ts` applies it.
 * Only this node's pods are filtered, in the forward hook after DNAT, so that peers are pods and not Services; what the node
 * itself sends to or gets from its pods is always allowed. Source: kubernetes.io "Network Policies", API reference.
 */
import { createHash } from 'node:crypto';
import type { Namespace, Pod } from '../api/core/v1.ts';
import { selectorFrom } from '../api/label-selector.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../api/networking/v1.ts';
import type { Element, Fragment } from '../base/nft-table.ts';

export interface PolicyInput {
  family: 'ip' | 'ip6';
  nodeName: string;
  policies: readonly NetworkPolicy[];
  pods: readonly Pod[];
  namespaces: readonly Namespace[];
}
type Direction = 'ingress' | 'egress';

/** Hooks and dispatch: a packet passes its sender's egress rules, then its receiver's ingress rules. */
export function policyBase(family: 'ip' | 'ip6'): Fragment {
  const addr = addressType(family);
  return {
    sets: { 'egress-pods': `map { type ${addr} : verdict; }`, 'ingress-pods': `map { type ${addr} : verdict; }` },
    chains: {
      forward: ['type filter hook forward priority 0;', 'ct state established,related accept', `${family} saddr vmap @egress-pods`, 'goto check-ingress'],
      'check-ingress': [`${family} daddr vmap @ingress-pods`, 'accept'],
    },
  };
}

export function policyFragment({ family, nodeName, policies, pods, namespaces }: PolicyInput): Fragment {
  const chains: Record<string, string[]> = {}, sets: Record<string, string> = {};
  const elements: Element[] = [];
  const namespaceLabels = new Map(namespaces.map((namespace) => [namespace.metadata.name, namespace.metadata.labels]));
  const live = pods.filter((pod) => !pod.spec?.hostNetwork && pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed' && ipOf(pod, family) !== undefined);
  const local = live.filter((pod) => pod.spec?.nodeName === nodeName);

  const addressSet = (kind: string, type: string, name: string, keys: readonly string[]): string => {
    const id = `${kind}-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
    if (sets[id] === undefined) {
      sets[id] = `set { type ${type}; }`;
      for (const key of new Set(keys)) elements.push({ set: id, key });
    }
    return id;
  };

  const peerMatch = (peer: NetworkPolicyPeer, namespace: string, field: string): string | undefined => {
    if (peer.ipBlock) {
      if (peer.ipBlock.cidr.includes(':') !== (family === 'ip6')) return undefined;
      return [`${field} ${peer.ipBlock.cidr}`, ...(peer.ipBlock.except ?? []).map((range) => `${field} != ${range}`)].join(' ');
    }
    const inNamespace = peer.namespaceSelector ? selectorFrom(peer.namespaceSelector) : undefined;
    const byLabels = selectorFrom(peer.podSelector ?? {});
    const chosen = live.filter((pod) => (inNamespace ? inNamespace.matches(namespaceLabels.get(pod.metadata.namespace!)) : pod.metadata.namespace === namespace) && byLabels.matches(pod.metadata.labels));
    const name = `${inNamespace ? `selected ${inNamespace.toString()}` : `own ${namespace}`}|${byLabels.toString()}`;
    return `${field} @${addressSet('peers', addressType(family), name, chosen.map((pod) => ipOf(pod, family)!))}`;
  };

  const portMatch = (port: NetworkPolicyPort, targets: readonly Pod[], targetsName: string): string => {
    const proto = (port.protocol ?? 'TCP').toLowerCase();
    if (port.port === undefined) return `meta l4proto ${proto}`;
    if (typeof port.port === 'number') return `${proto} dport ${port.port}${port.endPort === undefined ? '' : `-${port.endPort}`}`;
    // A name stands for another number in each pod: the receiver's.
    const keys: string[] = [];
    for (const pod of targets) {
      for (const container of [...pod.spec?.containers ?? [], ...(pod.spec?.initContainers ?? []).filter((init) => init.restartPolicy === 'Always')]) {
        for (const named of container.ports ?? []) {
          if (named.name === port.port && (named.protocol ?? 'TCP') === (port.protocol ?? 'TCP')) keys.push(`${ipOf(pod, family)!} . ${named.containerPort}`);
        }
      }
    }
    const set = addressSet('named', `${addressType(family)} . inet_service`, `${port.port}/${proto}/${targetsName}`, keys);
    return `meta l4proto ${proto} ${family} daddr . th dport @${set}`;
  };

  const policiesOf: Record<Direction, Map<Pod, string[]>> = { ingress: new Map(), egress: new Map() };
  for (const policy of policies) {
    const { spec } = policy, namespace = policy.metadata.namespace!;
    const selector = selectorFrom(spec.podSelector ?? {});
    const selected = local.filter((pod) => pod.metadata.namespace === namespace && selector.matches(pod.metadata.labels));
    if (selected.length === 0) continue;
    const types = spec.policyTypes?.length ? spec.policyTypes : ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
    for (const direction of ['ingress', 'egress'] as const) {
      if (!types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')) continue;
      const chain = `${direction}-policy-${namespace}/${policy.metadata.name.slice(0, 150)}`;
      const allow = direction === 'ingress' ? 'accept' : 'goto check-ingress';
      const rules = direction === 'ingress' ? (spec.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports })) : (spec.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports }));
      const field = `${family} ${direction === 'ingress' ? 'saddr' : 'daddr'}`;
      const lines: string[] = [];
      for (const { peers, ports } of rules) {
        const peerMatches = peers?.length ? peers.map((peer) => peerMatch(peer, namespace, field)).filter((match) => match !== undefined) : [''];
        const targets = direction === 'ingress' ? selected : live;
        const portMatches = ports?.length ? ports.map((port) => portMatch(port, targets, direction === 'ingress' ? chain : 'all')) : [''];
        for (const peer of peerMatches) for (const port of portMatches) lines.push([peer, port, allow].filter((part) => part !== '').join(' '));
      }
      chains[chain] = lines;
      for (const pod of selected) policiesOf[direction].set(pod, [...policiesOf[direction].get(pod) ?? [], `jump ${chain}`]);
    }
  }
  for (const direction of ['ingress', 'egress'] as const) {
    for (const [pod, jumps] of policiesOf[direction]) {
      const chain = `${direction}-pod-${pod.metadata.namespace}/${pod.metadata.name.slice(0, 150)}`;
      chains[chain] = [...jumps, 'drop'];
      elements.push({ set: `${direction}-pods`, key: ipOf(pod, family)!, value: `goto ${chain}` });
    }
  }
  return { chains, sets, elements };
}

function addressType(family: 'ip' | 'ip6'): string { return family === 'ip' ? 'ipv4_addr' : 'ipv6_addr'; }
function ipOf(pod: Pod, family: 'ip' | 'ip6'): string | undefined {
  const all = pod.status?.podIPs?.map(({ ip }) => ip) ?? (pod.status?.podIP ? [pod.status.podIP] : []);
  return all.find((ip) => ip !== undefined && ip !== '' && ip.includes(':') === (family === 'ip6'));
}
