/**
 * Services and EndpointSlices in, nftables fragments out. Pure; `proxy.ts` keeps one fragment per Service and family.
 * The shape is upstream's nftables mode (KEP-3866): verdict maps by address . protocol . port send the first packet of a
 * connection to the Service's chain, which picks an endpoint.
 * Differs: the pick is one `dnat to numgen random mod N map`, not a chain per endpoint, so that 250,000 endpoints are 5,000
 * chains; chains per endpoint exist only under session affinity, which has to remember the pick. Hairpin connections are
 * found in postrouting by a set of this node's endpoints (address . address), since only those can call themselves.
 */
import { createHash } from 'node:crypto';
import type { EndpointSlice } from '../api/discovery/v1.ts';
import type { Service, ServicePort } from '../api/core/v1.ts';
import type { Element, Fragment } from '../base/nft-table.ts';
import { endpointsOf, externalLocal, internalLocal, isExternal, usableEndpoints, type Endpoint, type Place } from './endpoints.ts';

export type Family = 'ip' | 'ip6';

export interface RulesetConfig extends Place {
  family: Family;
  /** Pods' address ranges of this family. Traffic from elsewhere to a cluster IP is masqueraded. Empty: never (unless masqueradeAll). */
  clusterCIDRs: readonly string[];
  /** Masquerade all traffic to cluster IPs. Default false. */
  masqueradeAll?: boolean | undefined;
  /** One bit of the packet mark. Default 0x4000 (upstream's --masquerade-bit=14). */
  masqueradeMark?: number | undefined;
  /** Addresses or ranges on which NodePorts answer. Default: every local address but loopback. */
  nodePortAddresses?: readonly string[] | undefined;
  /** Cluster IPs that a listener on this node answers itself (the node-local DNS): such Services get no rules. */
  nodeLocalClusterIPs?: readonly string[] | undefined;
}

/** UDP endpoints behind the addresses of one Service port, for the clean-up of stale conntrack entries. */
export interface UdpPort { addresses: readonly string[]; port: number; nodePort?: number | undefined; endpoints: readonly string[] }

export interface ServiceRules {
  fragment: Fragment;
  udp: readonly UdpPort[];
  /** Ports for which this node has no endpoint although the policy is Local. */
  noLocal: { internal: number; external: number };
}

const defaultMark = 0x4000;

/** What every table has: hooks, dispatch maps and the chains for refusal and masquerading. */
export function baseFragment(config: RulesetConfig): Fragment {
  const { family } = config;
  const addr = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  const mark = hex(config.masqueradeMark ?? defaultMark);
  const nodePorts = config.nodePortAddresses?.length
    ? `${family} daddr @nodeport-ips`
    : `fib daddr type local ${family === 'ip' ? 'ip daddr != 127.0.0.0/8' : 'ip6 daddr != ::1'}`;
  const target = `${family} daddr . meta l4proto . th dport`;
  return {
    sets: {
      'cluster-ips': `set { type ${addr}; }`,
      'nodeport-ips': `set { type ${addr}; flags interval; }`,
      'hairpin-connections': `set { type ${addr} . ${addr}; }`,
      'service-ips': `map { type ${addr} . inet_proto . inet_service : verdict; }`,
      'service-nodeports': 'map { type inet_proto . inet_service : verdict; }',
      'no-endpoint-services': `map { type ${addr} . inet_proto . inet_service : verdict; }`,
      'no-endpoint-nodeports': 'map { type inet_proto . inet_service : verdict; }',
      'firewall-ips': `map { type ${addr} . inet_proto . inet_service : verdict; }`,
    },
    chains: {
      'filter-prerouting': ['type filter hook prerouting priority -110;', 'ct state new jump firewall-check'],
      'filter-input': ['type filter hook input priority -110;', 'ct state new jump nodeport-endpoints-check', 'ct state new jump service-endpoints-check'],
      'filter-forward': ['type filter hook forward priority -110;', 'ct state new jump service-endpoints-check', 'ct state new jump cluster-ips-check'],
      'filter-output': ['type filter hook output priority -110;', 'ct state new jump firewall-check'],
      // After dnat: what still has a Service's address was not sent to an endpoint.
      'filter-output-post-dnat': ['type filter hook output priority -90;', 'ct state new jump service-endpoints-check', 'ct state new jump nodeport-endpoints-check', 'ct state new jump cluster-ips-check'],
      'nat-prerouting': ['type nat hook prerouting priority -100;', 'jump services'],
      'nat-output': ['type nat hook output priority -100;', 'jump services'],
      'nat-postrouting': ['type nat hook postrouting priority 100;', 'jump masquerading'],
      services: [`${target} vmap @service-ips`, `${nodePorts} meta l4proto . th dport vmap @service-nodeports`],
      'service-endpoints-check': [`${target} vmap @no-endpoint-services`],
      'nodeport-endpoints-check': [`${nodePorts} meta l4proto . th dport vmap @no-endpoint-nodeports`],
      'cluster-ips-check': [`${family} daddr @cluster-ips reject`],
      'firewall-check': [`${target} vmap @firewall-ips`],
      'reject-chain': ['reject'],
      'mark-for-masquerade': [`meta mark set meta mark or ${mark}`],
      masquerading: [
        // The bit is cleared so that a packet that is encapsulated and routed again is not masqueraded twice.
        `ct status dnat ${family} saddr . ${family} daddr @hairpin-connections masquerade fully-random`,
        `meta mark and ${mark} == 0 return`,
        `meta mark set meta mark xor ${mark}`,
        'masquerade fully-random',
      ],
    },
    elements: (config.nodePortAddresses ?? []).filter((range) => familyOf(range) === family).map((key) => ({ set: 'nodeport-ips', key })),
  };
}

/** Labels by which a Service with a cluster IP is left to another proxy, or to none. Their values do not matter. */
const notOurs = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];

/** Whether the proxy handles this Service: not headless, by address or by label, not ExternalName, not left to another proxy. */
export function isProxied(service: Service): boolean {
  const { clusterIP, type } = service.spec;
  return clusterIP !== undefined && clusterIP !== '' && clusterIP !== 'None' && type !== 'ExternalName'
    && notOurs.every((label) => service.metadata.labels?.[label] === undefined);
}

export function serviceRules(service: Service, slices: readonly EndpointSlice[], config: RulesetConfig): ServiceRules {
  const { family } = config;
  const { spec } = service;
  const clusterIP = (spec.clusterIPs ?? [spec.clusterIP!]).find((ip) => familyOf(ip) === family);
  const noLocal = { internal: 0, external: 0 };
  if (clusterIP === undefined || config.nodeLocalClusterIPs?.includes(clusterIP)) return { fragment: {}, udp: [], noLocal };

  const chains: Record<string, readonly string[]> = {};
  const sets: Record<string, string> = {};
  const elements: Element[] = [{ set: 'cluster-ips', key: clusterIP }];
  const hairpin = new Set<string>();
  const udp: UdpPort[] = [];
  const externalIPs = (spec.externalIPs ?? []).filter((ip) => familyOf(ip) === family);
  const balancerIPs = (service.status?.loadBalancer?.ingress ?? [])
    .filter((ingress) => ingress.ip !== undefined && ingress.ip !== '' && (ingress.ipMode ?? 'VIP') === 'VIP' && familyOf(ingress.ip) === family).map((ingress) => ingress.ip!);
  const timeoutSeconds = spec.sessionAffinity === 'ClientIP' ? spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800 : undefined;

  for (const port of spec.ports ?? []) {
    const proto = (port.protocol ?? 'TCP').toLowerCase();
    const id = chainId(service, port);
    const all = endpointsOf(port, slices, family === 'ip' ? 'IPv4' : 'IPv6', config.nodeName);
    const usable = usableEndpoints(service, all, config);
    const local = usable.local ?? [];
    const serviceChain = `service-${id}`, localChain = `local-${id}`, externalChain = `external-${id}`, firewallChain = `firewall-${id}`;
    const picker: Picker = { family, proto, timeoutSeconds, id, chains, sets };
    for (const endpoint of [...usable.cluster, ...local]) if (endpoint.isLocal) hairpin.add(endpoint.ip);

    const internalPolicyLocal = internalLocal(service), externalPolicyLocal = externalLocal(service);
    const internalEndpoints = internalPolicyLocal ? local : usable.cluster;
    const internalChain = internalPolicyLocal ? localChain : serviceChain;
    const hasExternal = port.nodePort !== undefined && port.nodePort !== 0 || externalIPs.length > 0 || balancerIPs.length > 0;
    const needsCluster = usable.cluster.length > 0 && (!internalPolicyLocal || hasExternal);
    const needsLocal = local.length > 0 && (internalPolicyLocal || (hasExternal && externalPolicyLocal));
    const fromOutside = masqueradeRule(clusterIP, proto, port.port, config);
    if (needsCluster) chains[serviceChain] = [...(internalPolicyLocal ? [] : fromOutside), ...pickRules(usable.cluster, picker)];
    if (needsLocal) chains[localChain] = [...(internalPolicyLocal ? fromOutside : []), ...pickRules(local, picker)];

    // Nobody anywhere: refuse at once. Somebody, but not here under policy Local: drop, as another node may be tried.
    const verdictFor = (endpoints: readonly Endpoint[], chain: string) =>
      endpoints.length > 0 ? { has: true, value: `goto ${chain}` } : { has: false, value: usable.hasAny ? 'drop' : 'goto reject-chain' };
    const point = (ip: string, portNumber: number, verdict: { has: boolean; value: string }) =>
      elements.push({ set: verdict.has ? 'service-ips' : 'no-endpoint-services', key: `${ip} . ${proto} . ${portNumber}`, value: verdict.value });

    point(clusterIP, port.port, verdictFor(internalEndpoints, internalChain));
    if (internalPolicyLocal && local.length === 0 && usable.hasAny) noLocal.internal++;

    if (hasExternal && isExternal(service)) {
      const lines: string[] = [];
      if (externalPolicyLocal) {
        // Traffic of this node and its pods to the Service's outside address works from every node.
        if (usable.cluster.length > 0) {
          for (const range of config.clusterCIDRs) lines.push(`${family} saddr ${range} goto ${serviceChain}`);
          lines.push('fib saddr type local jump mark-for-masquerade', `fib saddr type local goto ${serviceChain}`);
        }
        if (local.length > 0) lines.push(`goto ${localChain}`);
        else if (usable.hasAny) noLocal.external++;
      } else if (usable.cluster.length > 0) {
        lines.push('jump mark-for-masquerade', `goto ${serviceChain}`);
      }
      if (lines.length > 0) chains[externalChain] = lines;
      const pointOutside = (ip: string) => {
        if (lines.length > 0) point(ip, port.port, { has: true, value: `goto ${externalChain}` });
        if (externalPolicyLocal ? local.length === 0 : usable.cluster.length === 0) point(ip, port.port, verdictFor([], ''));
      };
      for (const ip of externalIPs) pointOutside(ip);
      for (const ip of balancerIPs) pointOutside(ip);
      const ranges = (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()).filter((range) => familyOf(range) === family);
      if (spec.type === 'LoadBalancer' && ranges.length > 0 && !ranges.some((range) => /^(0\.0\.0\.0|::)\/0$/.test(range)) && balancerIPs.length > 0) {
        chains[firewallChain] = [...ranges.map((range) => `${family} saddr ${range} return`), 'drop'];
        for (const ip of balancerIPs) elements.push({ set: 'firewall-ips', key: `${ip} . ${proto} . ${port.port}`, value: `goto ${firewallChain}` });
      }
      if (port.nodePort) {
        const key = `${proto} . ${port.nodePort}`;
        if (lines.length > 0) elements.push({ set: 'service-nodeports', key, value: `goto ${externalChain}` });
        if (externalPolicyLocal ? local.length === 0 : usable.cluster.length === 0) elements.push({ set: 'no-endpoint-nodeports', key, value: verdictFor([], '').value });
      }
    }
    if (proto === 'udp') {
      udp.push({ addresses: [clusterIP, ...externalIPs, ...balancerIPs], port: port.port, nodePort: port.nodePort,
        endpoints: [...new Set([...usable.cluster, ...local].map((endpoint) => endpoint.ip))] });
    }
  }
  for (const ip of hairpin) elements.push({ set: 'hairpin-connections', key: `${ip} . ${ip}` });
  return { fragment: { chains, sets, elements }, udp, noLocal };
}

function masqueradeRule(clusterIP: string, proto: string, port: number, { family, clusterCIDRs, masqueradeAll }: RulesetConfig): string[] {
  const match = `${family} daddr ${clusterIP} ${proto} dport ${port}`;
  if (masqueradeAll) return [`${match} jump mark-for-masquerade`];
  if (clusterCIDRs.length === 0) return [];
  return [`${match} ${clusterCIDRs.map((range) => `${family} saddr != ${range}`).join(' ')} jump mark-for-masquerade`];
}

interface Picker { family: Family; proto: string; timeoutSeconds: number | undefined; id: string; chains: Record<string, readonly string[]>; sets: Record<string, string> }

/** The rules that choose among endpoints; under affinity also the sets that remember, and a chain per endpoint. */
function pickRules(endpoints: readonly Endpoint[], { family, proto, timeoutSeconds, id, chains, sets }: Picker): string[] {
  const count = endpoints.length;
  if (timeoutSeconds === undefined) {
    const [only] = endpoints;
    if (count === 1) return [`meta l4proto ${proto} dnat to ${socket(only!)}`];
    const picks = endpoints.map((endpoint, i) => `${i} : ${endpoint.ip} . ${endpoint.port}`).join(', ');
    return [`meta l4proto ${proto} dnat ${family} to numgen random mod ${count} map { ${picks} }`];
  }
  const remembered: string[] = [], picks: string[] = [];
  endpoints.forEach((endpoint, i) => {
    const name = `${id}__${endpoint.ip.replaceAll(':', '.')}/${endpoint.port}`;
    const chain = `endpoint-${name}`, set = `affinity-${timeoutSeconds}-${name}`;
    sets[set] = `set { type ${family === 'ip' ? 'ipv4_addr' : 'ipv6_addr'}; flags dynamic,timeout; timeout ${timeoutSeconds}s; }`;
    chains[chain] = [`update @${set} { ${family} saddr }`, `meta l4proto ${proto} dnat to ${socket(endpoint)}`];
    remembered.push(`${family} saddr @${set} goto ${chain}`);
    picks.push(`${i} : goto ${chain}`);
  });
  return [...remembered, `numgen random mod ${count} vmap { ${picks.join(', ')} }`];
}

/** 'HASH-namespace/name/tcp/port': readable, unique, and within nft's limit on names. */
function chainId(service: Service, port: ServicePort): string {
  const name = `${service.metadata.namespace}/${service.metadata.name}/${(port.protocol ?? 'TCP').toLowerCase()}/${port.name ?? ''}`;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8).toUpperCase();
  return `${hash}-${name.slice(0, 150)}`;
}

function socket(endpoint: Endpoint): string { return endpoint.ip.includes(':') ? `[${endpoint.ip}]:${endpoint.port}` : `${endpoint.ip}:${endpoint.port}`; }
export function familyOf(addressOrRange: string): Family { return addressOrRange.includes(':') ? 'ip6' : 'ip'; }
function hex(value: number): string { return `0x${value.toString(16)}`; }
