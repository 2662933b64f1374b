/**
 * A store whose values are sealed on their way in and opened on their way out. Each event is opened once, for the one watch that
 * fills all caches, so reads cost nothing. Which resource a key belongs to follows from its prefix.
 * Source: apiserver/pkg/storage/value (PrefixTransformers). `previous` of events and writes stays as it was stored: nobody reads it.
 */
import type { Clock } from '../../base/clock.ts';
import { silentLogger, type Logger } from '../../base/log.ts';
import type { Rng } from '../../base/rng.ts';
import type { Entry, RangeOptions, RangeResult, Store, StoreEvent, TxnResult } from '../../store/store.ts';
import type { ResourceEntry } from '../types.ts';
import { readEncryptionConfiguration, transformersFor, type EncryptionPlan } from './configuration.ts';
import type { KmsService } from './kms.ts';
import { identity, type Transformer } from './transformers.ts';

export interface EncryptionDeps { clock: Clock; rng: Rng; log?: Logger; /** For tests. */ kms?(endpoint: string, timeoutMs: number): KmsService }

export class EncryptionAtRest implements Disposable {
  readonly #deps: EncryptionDeps;
  #plan: EncryptionPlan;
  /** Storage prefix → group and resource, of built-in kinds. */
  readonly #resources = new Map<string, { group: string; resource: string }>();
  #byPrefix = new Map<string, readonly Transformer[]>();
  /** Values read that another write should seal anew, with their revision. */
  readonly #stale = new Map<string, number>();

  /** Resolves when all key management services have given a key. Throws `EncryptionConfigError`. */
  static async create(text: string, deps: EncryptionDeps): Promise<EncryptionAtRest> {
    const plan = readEncryptionConfiguration(text, deps.rng, deps.kms);
    const made = new EncryptionAtRest(plan, deps);
    await made.#start(plan);
    return made;
  }
  private constructor(plan: EncryptionPlan, deps: EncryptionDeps) { this.#plan = plan; this.#deps = deps; }
  #start(plan: EncryptionPlan): Promise<unknown> { return Promise.all(plan.kms.map((one) => one.start(this.#deps.clock, this.#deps.log ?? silentLogger))); }

  /** Takes a new configuration; a bad one is refused and the old one stays. */
  async reload(text: string): Promise<void> {
    const plan = readEncryptionConfiguration(text, this.#deps.rng, this.#deps.kms);
    await this.#start(plan);
    const old = this.#plan;
    this.#plan = plan;
    this.#byPrefix = new Map();
    for (const one of old.kms) one[Symbol.dispose]();
  }
  /** For /readyz, by upstream's name `kms-providers`. */
  check(): string | undefined { return this.#plan.kms.map((one) => one.check()).find((problem) => problem !== undefined); }
  /** The value at `key`, when it was last read, was not sealed as a write would seal it now: an update that changes nothing writes it. */
  isStale(key: string, revision: number): boolean { return this.#stale.get(key) === revision; }

  wrap(store: Store, entries: readonly ResourceEntry[]): Store {
    for (const { storagePrefix, names: { group, plural }, alias } of entries) if (!alias) this.#resources.set(storagePrefix, { group, resource: plural });
    return new EncryptedStore(store, this);
  }

  transformers(key: string): readonly Transformer[] {
    const first = key.indexOf('/', key.indexOf('/', 1) + 1);
    const second = key.indexOf('/', first + 1);
    const short = first < 0 ? key : key.slice(0, first);
    const long = second < 0 ? key : key.slice(0, second);
    const prefix = this.#resources.has(short) ? short : long;
    let found = this.#byPrefix.get(prefix);
    if (!found) {
      const [, , group = '', resource = ''] = prefix.split('/');
      // Custom resources lie under their group.
      const named = this.#resources.get(prefix) ?? (group.includes('.') ? { group, resource } : undefined);
      this.#byPrefix.set(prefix, found = (named && transformersFor(this.#plan, named.group, named.resource)) ?? [identity]);
    }
    return found;
  }

  seal(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const writer = this.transformers(key)[0]!;
    if (writer === identity) return value;
    const sealed = writer.seal(value, key);
    return sealed instanceof Promise ? sealed.then((bytes) => Buffer.concat([writer.prefix, bytes])) : Buffer.concat([writer.prefix, sealed]);
  }
  open(key: string, value: Uint8Array, revision: number): Uint8Array | Promise<Uint8Array> {
    const transformers = this.transformers(key);
    for (const [i, reader] of transformers.entries()) {
      if (reader === identity ? isSealed(value) && i < transformers.length - 1 : reader.prefix.compare(value, 0, reader.prefix.length) !== 0) continue;
      const body = reader === identity ? value : value.subarray(reader.prefix.length);
      if (i > 0 || reader.stale?.(body)) this.#stale.set(key, revision); else if (this.#stale.size > 0) this.#stale.delete(key);
      try {
        const plain = reader.open(body, key);
        return plain instanceof Promise ? plain.catch((err: unknown) => { throw unreadable(key, err); }) : plain;
      } catch (err) { throw unreadable(key, err); }
    }
    throw unreadable(key, new Error('no matching prefix found'));
  }
  forget(key: string): void { if (this.#stale.size > 0) this.#stale.delete(key); }

  [Symbol.dispose](): void { for (const one of this.#plan.kms) one[Symbol.dispose](); }
}
const isSealed = (value: Uint8Array) => value[0] === 0x6b && value[3] === 0x3a;
const unreadable = (key: string, err: unknown) => new Error(`unable to transform key "${key}": ${err instanceof Error ? err.message : String(err)}`, { cause: err });

class EncryptedStore implements Store {
  readonly #inner: Store;
  readonly #at: EncryptionAtRest;
  constructor(inner: Store, at: EncryptionAtRest) { this.#inner = inner; this.#at = at; }

  async #opened(entry: Entry): Promise<Entry> {
    const value = this.#at.open(entry.key, entry.value, entry.modRevision);
    const plain = value instanceof Promise ? await value : value;
    return plain === entry.value ? entry : { ...entry, value: plain };
  }
  revision() { return this.#inner.revision(); }
  async get(key: string, options?: { revision?: number }) {
    const entry = await this.#inner.get(key, options);
    return entry && this.#opened(entry);
  }
  async range(prefix: string, options?: RangeOptions): Promise<RangeResult> {
    const result = await this.#inner.range(prefix, options);
    return options?.keysOnly ? result : { ...result, entries: await Promise.all(result.entries.map((entry) => this.#opened(entry))) };
  }
  async txn(key: string, change: { expect: number | undefined; value: Uint8Array | null }): Promise<TxnResult> {
    const sealed = change.value && this.#at.seal(key, change.value);
    const result = await this.#inner.txn(key, { ...change, value: sealed instanceof Promise ? await sealed : sealed });
    if (!result.ok) return result.current ? { ...result, current: await this.#opened(result.current) } : result;
    this.#at.forget(key);
    return { ...result, entry: result.entry && change.value ? { ...result.entry, value: change.value } : result.entry };
  }
  async *watch(prefix: string, since: number, options: { signal: AbortSignal }): AsyncIterable<readonly StoreEvent[]> {
    for await (const batch of this.#inner.watch(prefix, since, options)) {
      const events: StoreEvent[] = [];
      for (const event of batch) events.push(event.type === 'put' ? { ...event, entry: await this.#opened(event.entry) } : event);
      yield events;
    }
  }
  compact(revision: number) { return this.#inner.compact(revision); }
  snapshot(path: string) { return this.#inner.snapshot(path); }
  sizeBytes() { return this.#inner.sizeBytes(); }
  [Symbol.asyncDispose]() { return this.#inner[Symbol.asyncDispose](); }
}
