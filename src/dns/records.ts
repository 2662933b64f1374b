/**
 * The cluster's names: what each means, from Services, EndpointSlices and Namespaces. No I/O. Source: "Kubernetes DNS-Based
 * Service Discovery" specification 1.1.0; where it leaves room, CoreDNS' kubernetes plugin (pods insecure).
 */
import type { Endpoint, EndpointSlice } from '../api/discovery/v1.ts';
import type { Namespace, Service } from '../api/core/v1.ts';
import { keyOf, type Informer } from '../client/informer.ts';
import type { DnsRecord } from './message.ts';

export interface ClusterRecordsOptions {
  services: Informer<Service>;
  slices: Informer<EndpointSlice>;
  namespaces: Informer<Namespace>;
  /** Default 'cluster.local'. */
  domain?: string | undefined;
  /** The DNS Service's own addresses, for ns.dns.DOMAIN. */
  serverAddresses?: readonly string[] | undefined;
  /** Seconds. Default 5, CoreDNS' default. */
  ttl?: number | undefined;
  /** Seconds since 1970, for the SOA's serial. */
  serial: () => number;
}

/** What a name has: records of the asked type (maybe none), or the name itself is missing. `external`: a CNAME to follow outside. */
export type Lookup =
  | { state: 'found'; answers: DnsRecord[]; additionals: DnsRecord[]; external?: string | undefined }
  | { state: 'missing' };

const missing: Lookup = { state: 'missing' };
const dnsVersion = '1.1.0';
const serviceNameLabel = 'kubernetes.io/service-name';

export class ClusterRecords {
  readonly domain: string;
  readonly ttl: number;
  readonly #options: ClusterRecordsOptions;
  readonly #slicesOf = new Map<string, Map<string, EndpointSlice>>();
  readonly #servicesByIP = new Map<string, Set<string>>();
  /** Endpoint address → keys of headless Services. */
  readonly #headlessByIP = new Map<string, Map<string, number>>();
  readonly #removers: (() => void)[];

  constructor(options: ClusterRecordsOptions) {
    this.#options = options;
    this.domain = (options.domain ?? 'cluster.local').toLowerCase().replace(/\.$/, '');
    this.ttl = options.ttl ?? 5;
    this.#removers = [
      options.services.addHandler({
        onAdd: (service) => { this.#serviceChanged(service, 1); },
        onUpdate: (old, next) => { this.#serviceChanged(old, -1); this.#serviceChanged(next, 1); },
        onDelete: (service) => { this.#serviceChanged(service, -1); },
      }),
      options.slices.addHandler({
        onAdd: (slice) => { this.#sliceChanged(slice, 1); },
        onUpdate: (old, next) => { this.#sliceChanged(old, -1); this.#sliceChanged(next, 1); },
        onDelete: (slice) => { this.#sliceChanged(slice, -1); },
      }),
    ];
  }
  close(): void { for (const remove of this.#removers) remove(); }

  /** Whether a name (lower case, no last dot) is in the cluster's zone. */
  owns(name: string): boolean { return name === this.domain || name.endsWith(`.${this.domain}`); }

  soa(): DnsRecord {
    return { name: this.domain, type: 'SOA', ttl: this.ttl, data: {
      mname: `ns.dns.${this.domain}`, rname: `hostmaster.${this.domain}`, serial: this.#options.serial() >>> 0, refresh: 7200, retry: 1800, expire: 86_400, minimum: this.ttl } };
  }

  /** `name` in lower case and inside the zone; `type` such as 'A'. Owner names of answers are `name`. */
  lookup(name: string, type: string): Lookup {
    if (name === this.domain) {
      if (type === 'SOA') return found([this.soa()]);
      if (type === 'NS') return found([this.#record(name, 'NS', `ns.dns.${this.domain}`)], this.#serverRecords(`ns.dns.${this.domain}`));
      return found([]);
    }
    const labels = name.slice(0, -this.domain.length - 1).split('.');
    const kind = labels.pop();
    if (kind === 'dns-version') return labels.length === 0 ? found(type === 'TXT' ? [this.#record(name, 'TXT', [dnsVersion])] : []) : missing;
    if (kind === 'dns') {
      if (labels.length === 0) return found([]);
      if (labels.length !== 1 || labels[0] !== 'ns') return missing;
      return found(this.#serverRecords(name).filter((record) => record.type === type));
    }
    if (kind !== 'svc' && kind !== 'pod') return missing;
    const namespace = labels.pop();
    if (namespace === undefined) return found([]);
    if (!this.#options.namespaces.get(namespace)) return missing;
    if (labels.length === 0) return found([]);
    if (kind === 'pod') return labels.length === 1 ? this.#pod(name, labels[0]!, type) : missing;
    return this.#service(name, namespace, labels, type);
  }

  /** PTR targets of an address: Services by cluster IP, endpoints of headless Services. */
  reverse(address: string): string[] {
    const names: string[] = [];
    for (const key of this.#servicesByIP.get(address) ?? []) {
      const [namespace, name] = key.split('/');
      names.push(`${name}.${namespace}.svc.${this.domain}`);
    }
    for (const key of this.#headlessByIP.get(address)?.keys() ?? []) {
      if (!isHeadless(this.#options.services.get(key))) continue;
      const [namespace, name] = key.split('/');
      for (const { endpoint } of this.#endpoints(key)) {
        if (endpoint.addresses.includes(address)) names.push(`${endpointName(endpoint, address)}.${name}.${namespace}.svc.${this.domain}`);
      }
    }
    return [...new Set(names)].sort();
  }

  #service(name: string, namespace: string, labels: string[], type: string): Lookup {
    const serviceName = labels.pop()!;
    const key = `${namespace}/${serviceName}`;
    const service = this.#options.services.get(key);
    if (!service) return missing;
    const qualified = `${serviceName}.${namespace}.svc.${this.domain}`;
    let portName: string | undefined, protocol: string | undefined, endpointLabel: string | undefined;
    if (labels.length === 2 && labels.every((label) => label.startsWith('_'))) [portName, protocol] = labels.map((label) => label.slice(1));
    else if (labels.length === 1) endpointLabel = labels[0];
    else if (labels.length > 0) return missing;

    if (service.spec.type === 'ExternalName') {
      if (labels.length > 0 || !service.spec.externalName) return missing;
      const target = service.spec.externalName.toLowerCase().replace(/\.$/, '');
      return { state: 'found', answers: [this.#record(name, 'CNAME', target)], additionals: [], external: target };
    }
    const matches = (port: { name?: string; protocol?: string }) =>
      portName === undefined || ((port.name ?? '').toLowerCase() === portName && (port.protocol ?? 'TCP').toLowerCase() === protocol);

    if (!isHeadless(service)) {
      if (endpointLabel !== undefined) return this.#endpointAnswers(name, qualified, key, type, matches, endpointLabel);
      const ports = (service.spec.ports ?? []).filter(matches);
      if (ports.length === 0 && portName !== undefined) return missing;
      const addresses = service.spec.clusterIPs ?? [service.spec.clusterIP!];
      const addressRecords = (owner: string) => addresses.map((ip) => this.#address(owner, ip));
      if (type === 'SRV') return found(ports.map((port) => this.#srv(name, port.port, qualified, ports.length)), addressRecords(qualified));
      return found(addressRecords(name).filter((record) => record.type === type));
    }
    return this.#endpointAnswers(name, qualified, key, type, matches, endpointLabel);
  }

  #endpointAnswers(name: string, qualified: string, key: string, type: string, matches: (port: { name?: string; protocol?: string }) => boolean, endpointLabel?: string): Lookup {
    const addresses = new Set<string>(), targets = new Map<string, { port: number; owner: string }>(), additional = new Map<string, DnsRecord>();
    for (const { endpoint, slice } of this.#endpoints(key)) {
      for (const address of endpoint.addresses) {
        const label = endpointName(endpoint, address);
        if (endpointLabel !== undefined && label !== endpointLabel) continue;
        // A headless Service without ports has addresses all the same.
        const ports = slice.ports?.length ? slice.ports.filter(matches) : undefined;
        if (ports?.length === 0 || (ports === undefined && !matches({ name: '\0' }))) continue;
        addresses.add(address);
        const owner = `${label}.${qualified}`;
        for (const port of ports ?? []) if (port.port !== undefined) targets.set(`${owner} ${port.port}`, { port: port.port, owner });
        additional.set(`${owner} ${address}`, this.#address(owner, address));
      }
    }
    if (addresses.size === 0) return missing;
    if (type === 'SRV') return found([...targets.values()].map(({ port, owner }) => this.#srv(name, port, owner, targets.size)), [...additional.values()]);
    return found([...addresses].map((address) => this.#address(name, address)).filter((record) => record.type === type));
  }

  /** 10-244-0-5 → 10.244.0.5, whether such a pod exists or not. */
  #pod(name: string, label: string, type: string): Lookup {
    const v4 = /^\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3}$/.test(label) && label.split('-').every((part) => Number(part) <= 255);
    if (v4) return found(type === 'A' ? [this.#record(name, 'A', label.replaceAll('-', '.'))] : []);
    if (/^[0-9a-f-]+$/.test(label) && label.includes('-') && URL.canParse(`http://[${label.replaceAll('-', ':')}]/`)) return found(type === 'AAAA' ? [this.#record(name, 'AAAA', label.replaceAll('-', ':'))] : []);
    return missing;
  }

  *#endpoints(key: string): Iterable<{ endpoint: Endpoint; slice: EndpointSlice }> {
    for (const slice of this.#slicesOf.get(key)?.values() ?? []) {
      if (slice.addressType === 'FQDN') continue;
      for (const endpoint of slice.endpoints ?? []) if (endpoint.conditions?.ready ?? true) yield { endpoint, slice };
    }
  }

  #serverRecords(owner: string): DnsRecord[] { return (this.#options.serverAddresses ?? []).map((ip) => this.#address(owner, ip)); }
  #address(name: string, ip: string): DnsRecord { return this.#record(name, ip.includes(':') ? 'AAAA' : 'A', ip); }
  #srv(name: string, port: number, target: string, count: number): DnsRecord {
    return this.#record(name, 'SRV', { priority: 0, weight: Math.max(1, Math.floor(100 / count)), port, target });
  }
  #record(name: string, type: string, data: unknown): DnsRecord { return { name, type, ttl: this.ttl, data }; }

  #serviceChanged(service: Service, by: 1 | -1): void {
    for (const ip of service.spec.clusterIPs ?? (service.spec.clusterIP ? [service.spec.clusterIP] : [])) {
      if (ip === 'None' || ip === '') continue;
      const keys = this.#servicesByIP.get(ip) ?? new Set();
      if (by === 1) keys.add(keyOf(service)); else keys.delete(keyOf(service));
      if (keys.size > 0) this.#servicesByIP.set(ip, keys); else this.#servicesByIP.delete(ip);
    }
  }

  #sliceChanged(slice: EndpointSlice, by: 1 | -1): void {
    const serviceName = slice.metadata.labels?.[serviceNameLabel];
    if (serviceName === undefined) return;
    const key = `${slice.metadata.namespace}/${serviceName}`;
    const group = this.#slicesOf.get(key) ?? new Map<string, EndpointSlice>();
    if (by === 1) group.set(slice.metadata.name, slice); else group.delete(slice.metadata.name);
    if (group.size > 0) this.#slicesOf.set(key, group); else this.#slicesOf.delete(key);
    // Only headless Services' endpoints have names; the label is the EndpointSlice controller's, the look-up decides.
    if (slice.metadata.labels?.['service.kubernetes.io/headless'] === undefined) return;
    for (const endpoint of slice.endpoints ?? []) {
      for (const address of endpoint.addresses) {
        const keys = this.#headlessByIP.get(address) ?? new Map<string, number>();
        const count = (keys.get(key) ?? 0) + by;
        if (count > 0) keys.set(key, count); else keys.delete(key);
        if (keys.size > 0) this.#headlessByIP.set(address, keys); else this.#headlessByIP.delete(address);
      }
    }
  }
}

function found(answers: DnsRecord[], additionals: DnsRecord[] = []): Lookup { return { state: 'found', answers, additionals: answers.length > 0 ? additionals : [] }; }
function isHeadless(service: Service | undefined): boolean { return service?.spec.clusterIP === 'None'; }
function endpointName(endpoint: Endpoint, address: string): string { return (endpoint.hostname || address.replaceAll(/[.:]/g, '-')).toLowerCase(); }

/** '5.0.244.10.in-addr.arpa' → '10.244.0.5'; IPv6 in its shortest form. Undefined for other names. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (v4) return v4.slice(1).reverse().join('.');
  if (!name.endsWith('.ip6.arpa')) return undefined;
  const nibbles = name.slice(0, -9).split('.');
  if (nibbles.length !== 32 || !nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined;
  const text = nibbles.reverse().join('').replaceAll(/(.{4})(?!$)/g, '$1:');
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}
