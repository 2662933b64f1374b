/** Gives each Node its own slice of the cluster CIDR, one per IP family. Upstream: pkg/controller/nodeipam (range allocator). */
import type { Node } from '../api/core/v1.ts';
import { nodes } from '../api/resources.ts';
import { cidrsOverlap, formatCIDR, parseCIDR, type CIDR } from '../api/cidr.ts';
import { defineController, done } from './framework.ts';

/** Slices of one range, handed out in order and wrapping around, as upstream's cidr set. */
export class CidrPool {
  readonly cluster: CIDR;
  readonly #length: number;
  readonly #count: number;
  readonly #used = new Set<number>();
  #next = 0;
  constructor(cluster: CIDR, length: number) {
    this.cluster = cluster;
    this.#length = length;
    // Upstream caps a range at 64 Ki slices.
    this.#count = 2 ** Math.min(16, Math.max(0, length - cluster.length));
  }
  get full(): boolean { return this.#used.size >= this.#count; }
  #step(): bigint { return 1n << BigInt((this.cluster.family === 4 ? 32 : 128) - this.#length); }
  allocate(): string | undefined {
    for (let tried = 0; tried < this.#count; tried++) {
      const index = this.#next;
      this.#next = (this.#next + 1) % this.#count;
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      return formatCIDR({ family: this.cluster.family, base: this.cluster.base + BigInt(index) * this.#step(), length: this.#length });
    }
    return undefined;
  }
  /** Marks every slice that a range touches. False when it lies outside. */
  occupy(text: string): boolean { return this.#each(text, (index) => this.#used.add(index)); }
  release(text: string): boolean { return this.#each(text, (index) => this.#used.delete(index)); }
  #each(text: string, action: (index: number) => void): boolean {
    const cidr = parseCIDR(text);
    if (!cidr || !cidrsOverlap(cidr, this.cluster)) return false;
    const first = cidr.base <= this.cluster.base ? 0 : Number((cidr.base - this.cluster.base) / this.#step());
    const size = 1n << BigInt((cidr.family === 4 ? 32 : 128) - cidr.length);
    const last = Math.min(this.#count - 1, Number((cidr.base + size - 1n - this.cluster.base) / this.#step()));
    for (let index = first; index <= last; index++) action(index);
    return true;
  }
}

interface State { pools: CidrPool[]; given: Map<string, readonly string[]> }
const rangesOf = (node: Node): readonly string[] => node.spec.podCIDRs ?? (node.spec.podCIDR ? [node.spec.podCIDR] : []);

export const nodeIpamController = defineController({
  name: 'node-ipam-controller', account: 'node-controller', aliases: ['nodeipam'], component: 'cidrAllocator', for: nodes, writes: ['nodes'], workers: 1,
  when: (old: Node | undefined, next: Node) => !old || rangesOf(next).length === 0,
  setup({ options, log }): State {
    if (options.allocateNodeCIDRs === false || !options.clusterCidr) return { pools: [], given: new Map() };
    const pools = options.clusterCidr.split(',').flatMap((text) => {
      const cidr = parseCIDR(text.trim());
      if (!cidr) { log.error({ clusterCidr: text }, 'not a CIDR; no pod ranges are handed out from it'); return []; }
      const length = cidr.family === 4 ? options.nodeCidrMaskSizeIPv4 ?? 24 : options.nodeCidrMaskSizeIPv6 ?? 64;
      const pool = new CidrPool(cidr, Math.max(length, cidr.length));
      if (options.serviceCidr) for (const service of options.serviceCidr.split(',')) pool.occupy(service.trim());
      return [pool];
    });
    return { pools, given: new Map() };
  },
  run({ cache, state }) {
    // What nodes already have, before anything is handed out: workers start after this.
    const { pools, given } = state as State;
    for (const node of cache(nodes).list()) {
      const ranges = rangesOf(node);
      if (ranges.length === 0) continue;
      given.set(node.metadata.name, ranges);
      for (const range of ranges) pools.some((pool) => pool.occupy(range));
    }
  },
  async reconcile(name, { cache, client, state, events }, signal) {
    const { pools, given } = state as State;
    const node = cache(nodes).get(name);
    if (!node) {
      for (const range of given.get(name) ?? []) pools.some((pool) => pool.release(range));
      given.delete(name);
      return done;
    }
    if (pools.length === 0) return done;
    const has = rangesOf(node);
    if (has.length > 0) {
      if (!given.has(name)) { given.set(name, has); for (const range of has) pools.some((pool) => pool.occupy(range)); }
      return done;
    }
    let ranges = given.get(name);
    if (!ranges) {
      const made: string[] = [];
      for (const pool of pools) {
        const range = pool.allocate();
        if (range === undefined) {
          for (const other of made) pools.some((one) => one.release(other));
          events.event(node, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
          throw new Error(`failed to allocate cidr: CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range`);
        }
        made.push(range);
      }
      given.set(name, ranges = made);
    }
    await client.for(nodes).patch({ name }, 'strategic', { spec: { podCIDR: ranges[0]!, podCIDRs: [...ranges] } }, { signal });
    return done;
  },
});
