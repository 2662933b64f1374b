/**
 * A pod's host name, /etc/hosts and resolv.conf. Pure, but for reading the host's own files.
 * Text: kubernetes.io/docs/concepts/services-networking/dns-pod-service, …/add-entries-to-pod-etc-hosts-with-host-aliases.
 */
import type { HostAlias, Pod } from '../api/core/v1.ts';

/** Upstream's limits for resolv.conf since 1.28. */
const maxNameservers = 3;
const maxSearches = 32;
const maxSearchChars = 2048;
const hostnameLimit = 63;
const fqdnLimit = 64;

export function podHostname(pod: Pod, clusterDomain: string, nodeName: string): { hostname: string; domain: string } {
  if (pod.spec.hostNetwork && pod.spec.hostnameOverride === undefined) return { hostname: nodeName, domain: '' };
  if (pod.spec.hostnameOverride) return { hostname: pod.spec.hostnameOverride, domain: '' };
  const hostname = (pod.spec.hostname || pod.metadata.name).slice(0, hostnameLimit).replace(/[-.]+$/, '');
  const domain = pod.spec.subdomain ? `${pod.spec.subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : '';
  return { hostname, domain };
}
/** What the sandbox's UTS name becomes. Throws when setHostnameAsFQDN asks for more than the kernel's 64 characters. */
export function utsHostname(pod: Pod, clusterDomain: string, nodeName: string): string {
  const { hostname, domain } = podHostname(pod, clusterDomain, nodeName);
  if (pod.spec.hostNetwork && !pod.spec.hostnameOverride) return '';
  if (!pod.spec.setHostnameAsFQDN || !domain) return hostname;
  const fqdn = `${hostname}.${domain}`;
  if (fqdn.length > fqdnLimit) throw new Error(`failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (${fqdnLimit} characters is the max, ${fqdn.length} characters requested)`);
  return fqdn;
}

function aliases(list: readonly HostAlias[] | undefined): string {
  if (!list || list.length === 0) return '';
  return `\n# Entries added by HostAliases.\n${list.map((alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}\n`).join('')}`;
}

export function hostsFile(pod: Pod, ips: readonly string[], names: { hostname: string; domain: string }, hostFile: string): string {
  if (pod.spec.hostNetwork) return `# Kubernetes-managed hosts file (host network).\n${hostFile}${aliases(pod.spec.hostAliases)}`;
  const own = ips.map((ip) => `${ip}\t${names.domain ? `${names.hostname}.${names.domain}\t` : ''}${names.hostname}\n`).join('');
  return `# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n${own}${aliases(pod.spec.hostAliases)}`;
}

export interface ResolvConf { servers: string[]; searches: string[]; options: string[] }
export function parseResolvConf(text: string): ResolvConf {
  const out: ResolvConf = { servers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.replace(/[#;].*$/, '').trim().split(/\s+/);
    if (word === 'nameserver' && rest[0]) out.servers.push(rest[0]);
    else if (word === 'search' || word === 'domain') out.searches = rest.map((name) => (name === '.' ? name : name.replace(/\.$/, '')));
    else if (word === 'options') out.options = rest;
  }
  return out;
}

export interface DnsResult extends ResolvConf { warnings: { reason: string; message: string }[] }

export function podDns(pod: Pod, host: ResolvConf, cluster: { dns: readonly string[]; domain: string }): DnsResult {
  const warnings: DnsResult['warnings'] = [];
  const { dnsPolicy = 'ClusterFirst', hostNetwork = false } = pod.spec;
  let kind: 'none' | 'host' | 'cluster' = dnsPolicy === 'None' ? 'none' : dnsPolicy === 'Default' || (dnsPolicy === 'ClusterFirst' && hostNetwork) ? 'host' : 'cluster';
  if (kind === 'cluster' && cluster.dns.length === 0) {
    warnings.push({ reason: 'MissingClusterDNS', message: `pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})". kubelet does not have ClusterDNS IP configured and cannot create Pod using "${dnsPolicy}" policy. Falling back to "Default" policy.` });
    kind = 'host';
  }
  const base: ResolvConf = kind === 'none' ? { servers: [], searches: [], options: [] }
    : kind === 'host' ? { ...host, servers: host.servers.length > 0 ? host.servers : [] }
    : { servers: [...cluster.dns], searches: cluster.domain ? [...new Set([`${pod.metadata.namespace}.svc.${cluster.domain}`, `svc.${cluster.domain}`, cluster.domain, ...host.searches])] : host.searches, options: ['ndots:5'] };
  const extra = pod.spec.dnsConfig;
  const options = new Map(base.options.map((option) => [option.split(':')[0]!, option]));
  for (const option of extra?.options ?? []) if (option.name) options.set(option.name, option.value === undefined || option.value === '' ? option.name : `${option.name}:${option.value}`);
  let servers = [...new Set([...base.servers, ...(extra?.nameservers ?? [])])];
  let searches = [...new Set([...base.searches, ...(extra?.searches ?? [])])];
  if (servers.length > maxNameservers) {
    servers = servers.slice(0, maxNameservers);
    warnings.push({ reason: 'DNSConfigForming', message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(' ')}` });
  }
  if (searches.length > maxSearches || searches.join(' ').length > maxSearchChars) {
    while (searches.length > maxSearches || searches.join(' ').length > maxSearchChars) searches = searches.slice(0, -1);
    warnings.push({ reason: 'DNSConfigForming', message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(' ')}` });
  }
  return { servers, searches, options: [...options.values()], warnings };
}
