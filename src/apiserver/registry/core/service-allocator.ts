/**
 * Cluster IPs and node ports of Services, kept in memory and seeded from the stored services on first use, one allocator per
 * apiserver (per in-process client). Random picks come from the upper band; the lower one is left for addresses that people
 * choose: 10.96.0.1 for `kubernetes`, 10.96.0.10 for DNS. Source: kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation,
 * …/service#nodeport-ip-configuration; KEP-3070, KEP-3668.
 * Differs: upstream keeps IPAddress objects in the store; here several apiservers over one store do not see each other's
 * picks until they restart.
 */
import type { Draft } from '../../../base/json.ts';
import { randomInt, type Rng } from '../../../base/rng.ts';
import type { Service } from '../../../api/core/v1.ts';
import { services } from '../../../api/resources.ts';
import type { Client } from '../../../client/client.ts';
import { cidrContains, cidrSize, formatCIDR, formatIP, ipFamilyName, parseCIDR, parseIP, type CIDR } from '../../../api/cidr.ts';
import { invalid as invalidStatus } from '../../../api/meta/status.ts';
import { field, internalError, invalid, type FieldError } from '../../../api/validation/field.ts';

export interface ServiceAllocation {
  /** Service CIDRs, the primary family first. Default ['10.96.0.0/12']. */
  serviceCIDRs: readonly string[];
  /** Inclusive. Default 30000–32767. */
  nodePorts: { first: number; last: number };
}
export const defaultServiceAllocation: ServiceAllocation = { serviceCIDRs: ['10.96.0.0/12'], nodePorts: { first: 30000, last: 32767 } };

/** Size of the lower, static band: size/step, between min and max; 0 for ranges smaller than min. */
function staticBand(size: number, min: number, max: number, step: number): number {
  if (size < min) return 0;
  return Math.min(max, Math.max(min, Math.floor(size / step)));
}

/** Numbers 0…size-1, each taken or free. */
class Range {
  readonly #taken = new Set<number>();
  readonly #size: number;
  readonly #band: number;
  constructor(size: number, band: number) { this.#size = size; this.#band = band; }
  take(offset: number): boolean { if (this.#taken.has(offset)) return false; this.#taken.add(offset); return true; }
  free(offset: number): void { this.#taken.delete(offset); }
  /** A free number of the upper band, else of the lower; undefined when full. */
  pick(rng: Rng): number | undefined {
    return this.#pickBetween(this.#band, this.#size, rng) ?? this.#pickBetween(0, this.#band, rng);
  }
  #pickBetween(low: number, high: number, rng: Rng): number | undefined {
    const span = high - low;
    if (span <= 0) return undefined;
    const start = randomInt(rng, span);
    // No more than the taken ones can be in the way.
    for (let i = 0; i <= this.#taken.size && i < span; i++) {
      const offset = low + ((start + i) % span);
      if (this.take(offset)) return offset;
    }
    return undefined;
  }
}

/** Beyond this many addresses of a block (IPv6) the rest is not handed out. Upstream's bound too. */
const maxRange = 2 ** 20;

interface Block { cidr: CIDR; range: Range; size: number }

export class ServiceAllocator {
  readonly #blocks: Block[];
  readonly #ports: Range;
  readonly #config: ServiceAllocation;
  constructor(config: ServiceAllocation = defaultServiceAllocation) {
    this.#config = config;
    this.#blocks = config.serviceCIDRs.map((text) => {
      const cidr = parseCIDR(text);
      if (!cidr) throw new Error(`service CIDR ${text} is no CIDR block; give one such as 10.96.0.0/12`);
      // Without the network address, and the broadcast address of IPv4.
      const size = Math.min(maxRange, Number(cidrSize(cidr) > 2n ** 21n ? 2n ** 21n : cidrSize(cidr)) - (cidr.family === 4 ? 2 : 1));
      return { cidr, size, range: new Range(size, staticBand(size, 16, 256, 16)) };
    });
    const count = config.nodePorts.last - config.nodePorts.first + 1;
    this.#ports = new Range(count, staticBand(count, 16, 128, 32));
  }
  /** 'IPv4' and 'IPv6' as configured, the primary first. */
  get families(): readonly ('IPv4' | 'IPv6')[] { return this.#blocks.map(({ cidr }) => (cidr.family === 4 ? 'IPv4' : 'IPv6')); }

  #find(ip: string): { block: Block; offset: number } | undefined {
    const address = parseIP(ip);
    const block = address && this.#blocks.find(({ cidr }) => cidrContains(cidr, address));
    if (!block) return undefined;
    const offset = Number(address.value - block.cidr.base) - 1;
    return offset < 0 || (block.cidr.family === 4 && offset >= block.size) ? undefined : { block, offset };
  }
  /** The reason it can't be had, or undefined when it is now taken. */
  takeIP(ip: string): string | undefined {
    const found = this.#find(ip);
    if (!found) {
      const family = parseIP(ip)?.family;
      const ranges = this.#blocks.filter(({ cidr }) => cidr.family === family).map(({ cidr }) => formatCIDR(cidr)).join(', ');
      return `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${ranges}`;
    }
    return found.block.range.take(found.offset) ? undefined : 'provided IP is already allocated';
  }
  pickIP(family: string, rng: Rng): string | undefined {
    const block = this.#blocks.find(({ cidr }) => (cidr.family === 4 ? 'IPv4' : 'IPv6') === family);
    const offset = block?.range.pick(rng);
    return offset === undefined ? undefined : formatIP({ family: block!.cidr.family, value: block!.cidr.base + BigInt(offset + 1) });
  }
  freeIP(ip: string): void { const found = this.#find(ip); found?.block.range.free(found.offset); }

  takePort(port: number): string | undefined {
    const { first, last } = this.#config.nodePorts;
    if (port < first || port > last) return `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
    return this.#ports.take(port - first) ? undefined : 'provided port is already allocated';
  }
  pickPort(rng: Rng): number | undefined {
    const offset = this.#ports.pick(rng);
    return offset === undefined ? undefined : this.#config.nodePorts.first + offset;
  }
  freePort(port: number): void { this.#ports.free(port - this.#config.nodePorts.first); }

  /** Marks what a stored service holds. */
  adopt(service: Service): void {
    for (const ip of clusterIPsOf(service)) this.takeIP(ip);
    for (const port of nodePortsOf(service)) this.takePort(port);
  }
  release(service: Service): void {
    for (const ip of clusterIPsOf(service)) this.freeIP(ip);
    for (const port of nodePortsOf(service)) this.freePort(port);
  }
}

export function clusterIPsOf({ spec }: Pick<Service, 'spec'>): string[] {
  const ips = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  return ips.filter((ip) => ip !== '' && ip !== 'None');
}
export function nodePortsOf({ spec }: Pick<Service, 'spec'>): number[] {
  const ports = new Set((spec.ports ?? []).map((port) => port.nodePort ?? 0));
  ports.add(spec.healthCheckNodePort ?? 0);
  ports.delete(0);
  return [...ports];
}
export const needsClusterIP = ({ spec }: Pick<Service, 'spec'>) => spec.type !== 'ExternalName';
export const needsNodePort = ({ spec }: Pick<Service, 'spec'>) =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
export const needsHealthCheckPort = ({ spec }: Pick<Service, 'spec'>) => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
export const isHeadless = ({ spec }: Pick<Service, 'spec'>) => spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None';

// ---- one allocator per apiserver

interface Held { allocator: ServiceAllocator; seeded: Promise<void> | undefined }
const held = new WeakMap<Client, Held>();

/** Before the first service is written: what to allocate from, for the apiserver that this client belongs to. */
export function configureServiceAllocation(client: Client, config: ServiceAllocation): ServiceAllocator {
  const allocator = new ServiceAllocator(config);
  held.set(client, { allocator, seeded: undefined });
  return allocator;
}
/** The allocator of that apiserver, seeded from its stored services. */
export async function serviceAllocatorOf(client: Client): Promise<ServiceAllocator> {
  let entry = held.get(client);
  if (!entry) held.set(client, entry = { allocator: new ServiceAllocator(), seeded: undefined });
  const { allocator } = entry;
  entry.seeded ??= client.for(services).list({}).then(({ items }) => { for (const service of items) allocator.adopt(service); });
  try { await entry.seeded; } catch (err) { entry.seeded = undefined; throw err; }
  return allocator;
}
export function knownServiceAllocator(client: Client): ServiceAllocator | undefined { return held.get(client)?.allocator; }

// ---- what a service needs

const specPath = field('spec');
const kind = { group: '', kind: 'Service' };

/** ipFamilyPolicy and ipFamilies, as far as the client left them open. Source: alloc.initIPFamilyFields. */
export function fillIPFamilies(service: Draft<Service>, families: readonly ('IPv4' | 'IPv6')[]): FieldError[] {
  const { spec } = service;
  const errors: FieldError[] = [];
  if (!needsClusterIP(service as Service)) return errors;
  const dual = families.length > 1;
  const other = (family: string) => (family === 'IPv4' ? 'IPv6' : 'IPv4');
  for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
    if (ip === 'None' || !parseIP(ip)) continue;
    const family = ipFamilyName(ip);
    const named = spec.ipFamilies?.[i];
    if (named === undefined) (spec.ipFamilies ??= []).push(family);
    else if (named !== family) errors.push(invalid(specPath.child('clusterIPs').index(i), ip, `expected an ${named} value as indicated by \`ipFamilies[${i}]\``));
  }
  if (isHeadless(service as Service) && Object.keys(spec.selector ?? {}).length === 0) {
    // Nobody selects pods here: whoever writes the endpoints may use both families.
    spec.ipFamilyPolicy ??= (spec.ipFamilies?.length ?? 0) === 1 && !dual ? 'SingleStack' : 'RequireDualStack';
    if (!spec.ipFamilies?.length) spec.ipFamilies = [families[0]!];
    if (spec.ipFamilyPolicy !== 'SingleStack' && spec.ipFamilies.length === 1) spec.ipFamilies.push(other(spec.ipFamilies[0]!));
    return errors;
  }
  spec.ipFamilyPolicy ??= (spec.ipFamilies?.length ?? 0) > 1 || (spec.clusterIPs?.length ?? 0) > 1 ? undefined : 'SingleStack';
  if (spec.ipFamilyPolicy === undefined) {
    errors.push(invalid(specPath.child('ipFamilyPolicy'), null, "must be 'RequireDualStack' or 'PreferDualStack' when multiple 'ipFamilies' are specified"));
    return errors;
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && !dual) errors.push(invalid(specPath.child('ipFamilyPolicy'), spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'));
  if (spec.ipFamilyPolicy === 'SingleStack' && (spec.ipFamilies?.length ?? 0) > 1) errors.push(invalid(specPath.child('ipFamilyPolicy'), spec.ipFamilyPolicy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple 'ipFamilies' are specified"));
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    if (!families.includes(family as 'IPv4')) errors.push(invalid(specPath.child('ipFamilies').index(i), family, 'not configured on this cluster'));
  }
  if (!spec.ipFamilies?.length) spec.ipFamilies = [families[0]!];
  if (spec.ipFamilyPolicy !== 'SingleStack' && spec.ipFamilies.length === 1 && dual) spec.ipFamilies.push(other(spec.ipFamilies[0]!));
  return errors;
}

/** Reserves what `service` needs and `old` does not hold yet, writes it into the spec, and throws Invalid with nothing reserved when it can't. */
export function allocateForService(allocator: ServiceAllocator, service: Draft<Service>, old: Service | undefined, rng: Rng): { commit(): void; release(): void } {
  const { spec } = service;
  const taken: (() => void)[] = [];
  const errors: FieldError[] = [];
  const refuse = (): never => {
    for (const undo of taken) undo();
    throw invalidStatus(kind, service.metadata.name ?? '', errors);
  };

  errors.push(...fillIPFamilies(service, allocator.families));
  if (errors.length > 0) refuse();

  // Cluster IPs: one per family.
  const oldIPs = new Set(old ? clusterIPsOf(old) : []);
  if (needsClusterIP(service as Service) && !isHeadless(service as Service)) {
    const ips = (spec.clusterIPs ??= spec.clusterIP ? [spec.clusterIP] : []);
    for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
      const wanted = ips[i];
      if (wanted) {
        if (oldIPs.has(wanted)) continue;
        const reason = allocator.takeIP(wanted);
        if (reason !== undefined) { errors.push(invalid(specPath.child('clusterIPs'), ips, `failed to allocate IP ${wanted}: ${reason}`)); break; }
        taken.push(() => allocator.freeIP(wanted));
      } else {
        const ip = allocator.pickIP(family, rng);
        if (ip === undefined) { errors.push(internalError(specPath.child('clusterIPs'), 'failed to allocate a serviceIP: range is full')); break; }
        ips[i] = ip;
        taken.push(() => allocator.freeIP(ip));
      }
    }
    spec.clusterIP = ips[0];
  } else if (isHeadless(service as Service)) { spec.clusterIP = 'None'; spec.clusterIPs = ['None']; }
  if (errors.length > 0) refuse();

  // Node ports: the same number may serve several protocols of one port.
  const oldPorts = new Set(old ? nodePortsOf(old) : []);
  const own = new Set<number>();
  const takePort = (port: number): string | undefined => {
    if (oldPorts.has(port) || own.has(port)) { own.add(port); return undefined; }
    const reason = allocator.takePort(port);
    if (reason === undefined) { own.add(port); taken.push(() => allocator.freePort(port)); }
    return reason;
  };
  const pickPort = (): number | undefined => {
    const port = allocator.pickPort(rng);
    if (port !== undefined) { own.add(port); taken.push(() => allocator.freePort(port)); }
    return port;
  };
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    for (const [i, port] of (spec.ports ?? []).entries()) {
      const path = specPath.child('ports').index(i).child('nodePort');
      if (port.nodePort) {
        const reason = takePort(port.nodePort);
        if (reason !== undefined) errors.push(invalid(path, port.nodePort, reason));
      } else if (needsNodePort(service as Service)) {
        const sibling = spec.ports!.find((one) => one !== port && one.port === port.port && one.protocol !== port.protocol && one.nodePort);
        port.nodePort = sibling?.nodePort ?? pickPort();
        if (port.nodePort === undefined) errors.push(internalError(path, 'failed to allocate a nodePort: range is full'));
      }
    }
  }
  if (needsHealthCheckPort(service as Service)) {
    const path = specPath.child('healthCheckNodePort');
    if (spec.healthCheckNodePort) {
      const reason = takePort(spec.healthCheckNodePort);
      if (reason !== undefined) errors.push(invalid(path, spec.healthCheckNodePort, `failed to allocate requested HealthCheck NodePort ${spec.healthCheckNodePort}: ${reason}`));
    } else {
      const port = pickPort();
      if (port === undefined) errors.push(internalError(path, 'failed to allocate a HealthCheck NodePort: range is full'));
      else spec.healthCheckNodePort = port;
    }
  }
  if (errors.length > 0) refuse();

  const kept = { ips: new Set(clusterIPsOf(service as Service)), ports: new Set(nodePortsOf(service as Service)) };
  let done = false;
  return {
    commit() {
      if (done) return;
      done = true;
      for (const ip of oldIPs) if (!kept.ips.has(ip)) allocator.freeIP(ip);
      for (const port of oldPorts) if (!kept.ports.has(port)) allocator.freePort(port);
    },
    release() {
      if (done) return;
      done = true;
      for (const undo of taken) undo();
    },
  };
}
