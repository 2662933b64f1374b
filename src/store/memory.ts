/** The store in memory, for tests and simulation: nothing survives, everything else as the contract says. */
import { writeFile } from 'node:fs/promises';
import { eventsFrom, overlay, stateBefore, type UndoRecord } from './history.ts';
import { defaultStoreLimits, prefixEnd, type StoreLimits } from './limits.ts';
import { Compacted, FutureRevision, type Entry, type RangeOptions, type RangeResult, type Store, type StoreEvent, type TxnResult } from './store.ts';
import { WatchHub } from './watch-hub.ts';

export type MemoryStoreOptions = Partial<StoreLimits>;

export function createMemoryStore(options: MemoryStoreOptions = {}): Store { return new MemoryStore({ ...defaultStoreLimits, ...options }); }

const noBytes = new Uint8Array(0);

class MemoryStore implements Store {
  readonly #limits: StoreLimits;
  readonly #hub: WatchHub;
  readonly #entries = new Map<string, Entry>();
  /** The keys of `#entries` in order. */
  readonly #keys: string[] = [];
  /** Oldest first; `#log[i]` has revision `#compacted + 1 + i`. */
  #log: UndoRecord[] = [];
  #logBytes = 0;
  /** As etcd, an empty store is at revision 1. */
  #revision = 1;
  #compacted = 1;
  #bytes = 0;
  #closed = false;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
    this.#hub = new WatchHub(limits.watchQueueEvents);
  }

  async revision(): Promise<number> { this.#assertOpen(); return this.#revision; }

  async get(key: string, { revision }: { revision?: number } = {}): Promise<Entry | undefined> {
    this.#assertOpen();
    if (revision === undefined || revision === this.#revision) return this.#entries.get(key);
    this.#assertReadable(revision);
    for (let i = revision - this.#compacted; i < this.#log.length; i++) if (this.#log[i]!.key === key) return this.#log[i]!.previous;
    return this.#entries.get(key);
  }

  async range(prefix: string, { limit = 0, from = prefix, revision, keysOnly = false }: RangeOptions = {}): Promise<RangeResult> {
    this.#assertOpen();
    const start = from < prefix ? prefix : from;
    const at = revision ?? this.#revision;
    if (at !== this.#revision) this.#assertReadable(at);
    const first = this.#indexOf(start);
    const end = prefixEnd(prefix);
    const last = end === undefined ? this.#keys.length : this.#indexOf(end);
    let entries: Entry[];
    let count = Math.max(0, last - first);
    if (at === this.#revision) entries = this.#keys.slice(first, limit > 0 ? Math.min(last, first + limit) : last).map((key) => this.#entries.get(key)!);
    else {
      const now = this.#keys.slice(first, last).map((key) => this.#entries.get(key)!);
      entries = overlay(now, stateBefore(this.#newestFirst(at), prefix), start);
      count = entries.length;
      if (limit > 0) entries = entries.slice(0, limit);
    }
    return { entries: keysOnly ? entries.map((entry) => ({ ...entry, value: noBytes })) : entries, revision: at, more: count > entries.length, count };
  }

  async txn(key: string, { expect, value }: { expect: number | undefined; value: Uint8Array | null }): Promise<TxnResult> {
    this.#assertOpen();
    const previous = this.#entries.get(key);
    if (expect !== undefined && expect !== (previous?.modRevision ?? 0)) return { ok: false, current: previous, revision: this.#revision };
    if (value === null && !previous) return { ok: true, entry: undefined, previous: undefined, revision: this.#revision };
    const revision = ++this.#revision;
    let entry: Entry | undefined;
    if (value === null) {
      this.#entries.delete(key);
      this.#keys.splice(this.#indexOf(key), 1);
    } else {
      entry = { key, value, modRevision: revision, createRevision: previous?.createRevision ?? revision };
      this.#entries.set(key, entry);
      if (!previous) this.#keys.splice(this.#indexOf(key), 0, key);
    }
    this.#bytes += (value?.length ?? 0) - (previous?.value.length ?? 0) + (entry ? key.length : 0) - (previous ? key.length : 0);
    this.#log.push({ revision, key, previous });
    this.#logBytes += previous?.value.length ?? 0;
    if (this.#log.length > this.#limits.historyRevisions || this.#logBytes > this.#limits.historyBytes) this.#shrink();
    const event: StoreEvent = entry ? { type: 'put', key, entry, previous, revision } : { type: 'delete', key, previous: previous!, revision };
    this.#hub.publish([event], () => this.#compacted);
    return { ok: true, entry, previous, revision };
  }

  watch(prefix: string, since: number, { signal }: { signal: AbortSignal }): AsyncIterable<readonly StoreEvent[]> {
    return this.#hub.watch(prefix, since, signal, () => {
      this.#assertOpen();
      if (since < this.#compacted) throw new Compacted(this.#compacted);
      return eventsFrom(this.#newestFirst(since), prefix, (key) => this.#entries.get(key));
    }, () => this.#revision);
  }

  async compact(revision: number): Promise<void> {
    this.#assertOpen();
    if (revision > this.#revision) throw new FutureRevision(this.#revision);
    if (revision <= this.#compacted) throw new Compacted(this.#compacted);
    this.#forget(revision);
  }

  async snapshot(path: string): Promise<void> {
    this.#assertOpen();
    const lines = [JSON.stringify({ revision: this.#revision })];
    for (const key of this.#keys) {
      const { value, modRevision, createRevision } = this.#entries.get(key)!;
      lines.push(JSON.stringify({ key, modRevision, createRevision, value: Buffer.from(value).toString('base64') }));
    }
    await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  async sizeBytes(): Promise<number> { return this.#bytes + this.#logBytes; }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#hub.close();
  }

  /** Drops the oldest tenth at least, so that the cost is spread. */
  #shrink(): void {
    let to = this.#compacted + Math.max(1, Math.ceil(this.#log.length / 10), this.#log.length - this.#limits.historyRevisions);
    let bytes = this.#logBytes;
    for (let i = 0; i < this.#log.length; i++) {
      bytes -= this.#log[i]!.previous?.value.length ?? 0;
      if (bytes <= this.#limits.historyBytes) { to = Math.max(to, this.#compacted + i + 1); break; }
    }
    this.#forget(Math.min(to, this.#revision));
  }

  #forget(revision: number): void {
    const gone = this.#log.slice(0, revision - this.#compacted);
    for (const { previous } of gone) this.#logBytes -= previous?.value.length ?? 0;
    this.#log = this.#log.slice(gone.length);
    this.#compacted = revision;
  }

  *#newestFirst(after: number): Generator<UndoRecord> {
    for (let i = this.#log.length - 1; i >= Math.max(0, after - this.#compacted); i--) yield this.#log[i]!;
  }

  #assertReadable(revision: number): void {
    if (revision > this.#revision) throw new FutureRevision(this.#revision);
    if (revision < this.#compacted) throw new Compacted(this.#compacted);
  }

  #assertOpen(): void { if (this.#closed) throw new Error('the store is closed'); }

  /** Index of the first key not below `key`. */
  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1; else high = middle;
    }
    return low;
  }
}
