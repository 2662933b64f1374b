/**
 * The store's contract: etcd's semantics over revisioned bytes. Knows nothing of Kubernetes. Every backend passes `conformance.ts`.
 * Source: etcd v3 API (KV, Watch). Differs: one key per transaction, which is all an apiserver uses.
 */

/** One stored key. `value` must not be changed by anyone. */
export interface Entry {
  key: string;
  value: Uint8Array;
  /** The revision of its last write. */
  modRevision: number;
  /** The revision that created it. */
  createRevision: number;
}

export type StoreEvent =
  | { type: 'put'; key: string; entry: Entry; previous: Entry | undefined; revision: number }
  /** `previous` is what was deleted. */
  | { type: 'delete'; key: string; previous: Entry; revision: number };

export interface RangeOptions {
  /** At most this many entries; 0 or unset: all. */
  limit?: number;
  /** Start at this key (inclusive) rather than at the prefix; for continuing. */
  from?: string;
  /** Read as of this revision. Throws `Compacted` when it is gone, `FutureRevision` when not reached. Unset: now. */
  revision?: number;
  /** Leave the values out (`value` is empty). */
  keysOnly?: boolean;
}
export interface RangeResult {
  entries: Entry[];
  /** The store's revision that the range reflects. */
  revision: number;
  /** There are entries after the last. */
  more: boolean;
  /** How many entries match from `from` on, the limit aside. */
  count: number;
}

export type TxnResult =
  | { ok: true; entry: Entry | undefined; previous: Entry | undefined; revision: number }
  /** The comparison failed; `current` is what is there. */
  | { ok: false; current: Entry | undefined; revision: number };

export interface Store extends AsyncDisposable {
  /** The last committed revision. */
  revision(): Promise<number>;
  get(key: string, options?: { revision?: number }): Promise<Entry | undefined>;
  range(prefix: string, options?: RangeOptions): Promise<RangeResult>;
  /** Writes when the key's modRevision equals `expect` (0: must not exist; undefined: whatever is there). `value: null` deletes. Resolves when durable. */
  txn(key: string, change: { expect: number | undefined; value: Uint8Array | null }): Promise<TxnResult>;
  /**
   * Events under `prefix` with a revision greater than `since`, in commit order, without gaps, in batches as committed; only durable ones.
   * Throws `Compacted` when `since` is older than the last compaction, or when this watcher fell more than the backend's bounded queue behind.
   * Ends when the signal aborts or the store closes.
   */
  watch(prefix: string, since: number, options: { signal: AbortSignal }): AsyncIterable<readonly StoreEvent[]>;
  /** Forgets history before `revision`; current values stay. */
  compact(revision: number): Promise<void>;
  /** Writes a consistent copy to `path`. */
  snapshot(path: string): Promise<void>;
  /** Bytes on disk (or in memory). */
  sizeBytes(): Promise<number>;
}

export class Compacted extends Error {
  readonly compactRevision: number;
  constructor(compactRevision: number) {
    super('mvcc: required revision has been compacted');
    this.compactRevision = compactRevision;
  }
}
export class FutureRevision extends Error {
  readonly currentRevision: number;
  constructor(currentRevision: number) {
    super('mvcc: required revision is a future revision');
    this.currentRevision = currentRevision;
  }
}
