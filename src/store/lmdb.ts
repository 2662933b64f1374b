/**
 * The embedded store on LMDB: crash-safe, with group commit. One transaction is on its way to disk at a time; what arrives
 * meanwhile forms the next, so concurrent writers share an fsync. A write is compared with the newest state, on disk or on
 * its way; nothing is acknowledged, read or shown to a watcher before its transaction is on disk.
 *
 * On disk (one file): `kv` key → createRevision, modRevision, value; `log` revision → the undo record (key and what it held
 * before); `meta` 'state' → format, revision, compactRevision, bytes of the log. All three change in one transaction.
 */
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { eventsFrom, overlay, stateBefore, type UndoRecord } from './history.ts';
import { defaultStoreLimits, prefixEnd, type StoreLimits } from './limits.ts';
import { takeLockFile } from './lock-file.ts';
import { Compacted, FutureRevision, type Entry, type RangeOptions, type RangeResult, type Store, type StoreEvent, type TxnResult } from './store.ts';
import { WatchHub } from './watch-hub.ts';

export interface LmdbStoreOptions extends Partial<StoreLimits> {
  /** The directory, made when missing; the store is its `store.mdb`. */
  dir: string;
  clock: Clock;
  log?: Logger;
}

/** Throws one sentence when another process has the directory, or when the file is of an unknown format. */
export async function openLmdbStore({ dir, clock, log, ...limits }: LmdbStoreOptions): Promise<Store> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const release = await takeLockFile(join(dir, 'lock'), `the store in ${dir}`, clock);
  try { return new LmdbStore(dir, clock, log, { ...defaultStoreLimits, ...limits }, release); } catch (err) { release(); throw err; }
}

const format = 1;
/** Address space reserved at first; grows by itself. */
const initialMapBytes = 64 * 1024 * 1024;
/** Most writes in one transaction. */
const batchLimit = 8192;
/** Most writes that may wait; an apiserver's requests in flight are far fewer. */
const pendingLimit = 100_000;
/** A transaction that took longer than this to reach the disk is logged. */
const slowCommitMs = 1000;
/** A write that fails with less than this free failed for want of space. */
const fullBelowBytes = 4 * 1024 * 1024;
const noBytes = new Uint8Array(0);

interface Write extends UndoRecord {
  entry: Entry | undefined;
  /** Called once durable, or with the reason why not. */
  settle: ((err?: Error) => void)[];
}

class LmdbStore implements Store {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #limits: StoreLimits;
  readonly #release: () => void;
  readonly #hub: WatchHub;
  readonly #root: RootDatabase<Buffer, string>;
  readonly #kv: Database<Buffer, string>;
  readonly #log: Database<Buffer, number>;
  readonly #meta: Database<Buffer, string>;
  /** The last revision on disk and announced. */
  #revision = 1;
  /** The last revision handed out. */
  #last = 1;
  #compacted = 1;
  /** The log on disk holds the revisions from here to `#revision`. */
  #logStart = 2;
  #logBytes = 0;
  /** The newest write per key that is not yet durable. */
  readonly #pending = new Map<string, Write>();
  #queue: Write[] = [];
  #maintenance: ((err?: Error) => void)[] = [];
  /** What the keys of the transaction on its way held before it; the disk may already show its result. */
  #before = new Map<string, Entry | undefined>();
  #committing: Promise<void> | undefined;
  #scheduled = false;
  #broken: Error | undefined;
  #closed = false;

  constructor(dir: string, clock: Clock, logger: Logger | undefined, limits: StoreLimits, release: () => void) {
    this.#file = join(dir, 'store.mdb');
    this.#clock = clock;
    this.#logger = logger;
    this.#limits = limits;
    this.#release = release;
    this.#hub = new WatchHub(limits.watchQueueEvents);
    // overlappingSync off: LMDB's own order, data and fsync before the page that makes it visible.
    this.#root = open<Buffer, string>({ path: this.#file, encoding: 'binary', overlappingSync: false, eventTurnBatching: false, mapSize: initialMapBytes, maxDbs: 4, maxReaders: 16 });
    this.#kv = this.#root.openDB<Buffer, string>({ name: 'kv', encoding: 'binary' });
    this.#log = this.#root.openDB<Buffer, number>({ name: 'log', encoding: 'binary' });
    this.#meta = this.#root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' });
    const state = this.#meta.getBinary('state');
    if (!state) return;
    const [version = 0, revision = 1, compacted = 1, logBytes = 0] = decodeNumbers(state);
    if (version !== format) throw new Error(`the store in ${dir} has format ${version}, this program reads ${format}: use the program that wrote it`);
    this.#revision = revision;
    this.#last = revision;
    this.#compacted = compacted;
    this.#logStart = compacted + 1;
    this.#logBytes = logBytes;
  }

  async revision(): Promise<number> { this.#assertOpen(); return this.#revision; }

  async get(key: string, { revision }: { revision?: number } = {}): Promise<Entry | undefined> {
    this.#assertOpen();
    if (revision === undefined || revision === this.#revision) return this.#committed(key);
    this.#assertReadable(revision);
    let found = this.#committed(key);
    for (const record of this.#newestFirst(revision, key)) if (record.key === key) found = record.previous;
    return found;
  }

  async range(prefix: string, { limit = 0, from = prefix, revision, keysOnly = false }: RangeOptions = {}): Promise<RangeResult> {
    this.#assertOpen();
    const start = from < prefix ? prefix : from;
    const at = revision ?? this.#revision;
    if (at !== this.#revision) this.#assertReadable(at);
    const changes = new Map<string, Entry | undefined>();
    for (const [key, entry] of this.#before) if (key.startsWith(prefix)) changes.set(key, entry);
    if (at < this.#revision) for (const [key, entry] of stateBefore(this.#newestFirst(at, prefix), prefix)) changes.set(key, entry);
    const bounds = { ...(start === '' ? {} : { start }), ...(prefixEnd(prefix) === undefined ? {} : { end: prefixEnd(prefix)! }) };
    // Changes may take entries out of the page, never more than there are changes.
    const page = limit > 0 ? limit + changes.size + 1 : 0;
    const onDisk: Entry[] = [];
    for (const { key, value } of this.#kv.getRange({ ...bounds, ...(page ? { limit: page } : {}) })) onDisk.push(decodeEntry(key, value));
    const cut = page > 0 && onDisk.length === page;
    let entries = overlay(onDisk, cut ? new Map([...changes].filter(([key]) => key <= onDisk.at(-1)!.key)) : changes, start);
    let count = entries.length;
    if (cut) {
      count = this.#kv.getKeysCount(bounds);
      for (const [key, entry] of changes) if (key >= start) count += (entry ? 1 : 0) - (this.#kv.doesExist(key) ? 1 : 0);
    }
    if (limit > 0) entries = entries.slice(0, limit);
    return { entries: keysOnly ? entries.map((entry) => ({ ...entry, value: noBytes })) : entries, revision: at, more: count > entries.length, count };
  }

  txn(key: string, { expect, value }: { expect: number | undefined; value: Uint8Array | null }): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      this.#assertWritable();
      const pending = this.#pending.get(key);
      const current = pending ? pending.entry : this.#read(key);
      const noWrite = (answer: () => TxnResult) => {
        if (pending) pending.settle.push((err) => { if (err) reject(err); else resolve(answer()); }); // what it was compared with must last
        else resolve(answer());
      };
      if (expect !== undefined && expect !== (current?.modRevision ?? 0)) { noWrite(() => ({ ok: false, current, revision: this.#revision })); return; }
      if (value === null && !current) { noWrite(() => ({ ok: true, entry: undefined, previous: undefined, revision: this.#revision })); return; }
      const revision = ++this.#last;
      const entry = value === null ? undefined : { key, value, modRevision: revision, createRevision: current?.createRevision ?? revision };
      const write: Write = { revision, key, previous: current, entry,
        settle: [(err) => { if (err) reject(err); else resolve({ ok: true, entry, previous: current, revision }); }] };
      this.#pending.set(key, write);
      this.#queue.push(write);
      this.#schedule();
    });
  }

  watch(prefix: string, since: number, { signal }: { signal: AbortSignal }): AsyncIterable<readonly StoreEvent[]> {
    return this.#hub.watch(prefix, since, signal, () => {
      this.#assertOpen();
      if (since < this.#compacted) throw new Compacted(this.#compacted);
      return since >= this.#revision ? [] : eventsFrom(this.#newestFirst(since, prefix), prefix, (key) => this.#committed(key));
    }, () => this.#revision);
  }

  compact(revision: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#assertWritable();
      if (revision > this.#revision) throw new FutureRevision(this.#revision);
      if (revision <= this.#compacted) throw new Compacted(this.#compacted);
      this.#forget(revision);
      this.#maintenance.push((err) => { if (err) reject(err); else resolve(); });
      this.#schedule();
    });
  }

  async snapshot(path: string): Promise<void> {
    this.#assertOpen();
    await this.#root.backup(path, true);
  }

  async sizeBytes(): Promise<number> { return statSync(this.#file).blocks * 512; }

  /** Waits for writes under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#committing || this.#queue.length > 0 || this.#maintenance.length > 0) {
      await (this.#committing ?? this.#commit());
    }
    this.#hub.close();
    await this.#root.close();
    this.#release();
  }

  // ---- writing

  /** Next turn, so that everything this turn writes goes together. */
  #schedule(): void {
    if (this.#scheduled || this.#committing) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#committing) void this.#commit();
    });
  }

  async #commit(): Promise<void> {
    const writes = this.#queue.length > batchLimit ? this.#queue.slice(0, batchLimit) : this.#queue;
    this.#queue = this.#queue.slice(writes.length);
    const maintenance = this.#maintenance;
    this.#maintenance = [];
    if (writes.length === 0 && maintenance.length === 0) return;
    const revision = writes.at(-1)?.revision ?? this.#revision;
    const oldStart = this.#logStart;
    const oldBytes = this.#logBytes;
    for (const write of writes) if (!this.#before.has(write.key)) this.#before.set(write.key, write.previous);
    const started = this.#clock.monotonic();
    let done!: () => void;
    this.#committing = new Promise((resolve) => { done = resolve; });
    let failure: Error | undefined;
    try {
      const committed = this.#root.batch(() => {
        const records = writes.map(encodeRecord);
        for (const [i, { revision: at }] of writes.entries()) {
          void this.#log.put(at, records[i]!);
          this.#logBytes += records[i]!.length;
        }
        this.#trim(writes.length);
        for (const write of lastOfEachKey(writes)) {
          if (write.entry) void this.#kv.put(write.key, encodeEntry(write.entry)); else void this.#kv.remove(write.key);
        }
        void this.#meta.put('state', encodeNumbers([format, revision, this.#compacted, this.#logBytes]));
      });
      await committed;
    } catch (err) {
      failure = await commitError(err, this.#file);
    }
    this.#root.resetReadTxn();
    this.#before.clear();
    if (failure) {
      this.#logStart = oldStart;
      this.#logBytes = oldBytes;
      this.#fail(failure, [...writes, ...this.#queue], maintenance);
    } else {
      this.#revision = revision;
      const took = this.#clock.monotonic() - started;
      if (took > slowCommitMs) this.#logger?.warn({ milliseconds: Math.round(took), writes: writes.length }, 'the disk took long to take a transaction');
      const events: StoreEvent[] = [];
      for (const { key, entry, previous, revision: at } of writes) {
        events.push(entry ? { type: 'put', key, entry, previous, revision: at } : { type: 'delete', key, previous: previous!, revision: at });
      }
      for (const write of writes) if (this.#pending.get(write.key) === write) this.#pending.delete(write.key);
      if (events.length > 0) this.#hub.publish(events, () => this.#compacted);
      for (const { settle } of writes) for (const each of settle) each();
      for (const each of maintenance) each();
    }
    this.#committing = undefined;
    done();
    if (this.#queue.length > 0 || this.#maintenance.length > 0) this.#schedule();
  }

  /** All that was under way is refused, the queue too: it was compared with what did not come to be. */
  #fail(failure: Error, writes: readonly Write[], maintenance: readonly ((err?: Error) => void)[]): void {
    this.#logger?.error({ err: failure, writes: writes.length }, 'the store could not write');
    this.#queue = [];
    this.#pending.clear();
    this.#last = this.#revision;
    const state = this.#meta.getBinary('state');
    const onDisk = state ? decodeNumbers(state)[1]! : 1;
    if (onDisk !== this.#revision) this.#broken = new Error(`the store's disk failed in the middle of a write (${failure.message}): restart the server once the disk is well`, { cause: failure });
    for (const { settle } of writes) for (const each of settle) each(failure);
    for (const each of maintenance) each(failure);
  }

  /** Moves the compaction revision when the history is over its bounds and takes forgotten records off the disk. Runs inside the batch. */
  #trim(appended: number): void {
    const over = () => this.#revision - this.#compacted > this.#limits.historyRevisions || this.#logBytes > this.#limits.historyBytes;
    const most = 2 * appended + 64; // spreads the work; twice what is added, so it catches up
    for (let i = 0; i < most && this.#compacted < this.#revision && over(); i++) {
      this.#compacted++;
      this.#removeOldest();
    }
    while (this.#logStart <= this.#compacted) this.#removeOldest();
  }

  #removeOldest(): void {
    this.#logBytes -= this.#log.getBinaryFast(this.#logStart)?.length ?? 0;
    void this.#log.remove(this.#logStart++);
  }

  #forget(revision: number): void { this.#compacted = revision; }

  // ---- reading

  /** From disk, which may hold the transaction under way. */
  #read(key: string): Entry | undefined {
    const value = this.#kv.getBinary(key);
    return value && decodeEntry(key, value);
  }

  /** As of `#revision`. */
  #committed(key: string): Entry | undefined { return this.#before.has(key) ? this.#before.get(key) : this.#read(key); }

  /** Records after `after` up to `#revision` whose key starts with `prefix`. */
  *#newestFirst(after: number, prefix: string): Generator<UndoRecord> {
    for (const { key, value } of this.#log.getRange({ start: this.#revision, end: after, reverse: true })) {
      const record = decodeRecord(key, value, prefix);
      if (record) yield record;
    }
  }

  #assertReadable(revision: number): void {
    if (revision > this.#revision) throw new FutureRevision(this.#revision);
    if (revision < this.#compacted) throw new Compacted(this.#compacted);
  }

  #assertOpen(): void { if (this.#closed) throw new Error('the store is closed'); }

  #assertWritable(): void {
    this.#assertOpen();
    if (this.#broken) throw this.#broken;
    if (this.#queue.length >= pendingLimit) throw new Error(`the store has ${pendingLimit} writes waiting for the disk: try again later`);
  }
}

function lastOfEachKey(writes: readonly Write[]): Iterable<Write> {
  const last = new Map<string, Write>();
  for (const write of writes) last.set(write.key, write);
  return last.values();
}

/** The reason behind lmdb's rejection, in words that say what to do. */
async function commitError(err: unknown, file: string): Promise<Error> {
  const { commitError: reason } = err as { commitError?: Promise<never> };
  let cause = err as Error & { code?: string | number };
  if (reason) try { await Promise.race([reason, new Promise<void>((resolve) => { setImmediate(() => setImmediate(resolve)); })]); } catch (inner) { cause = inner as Error & { code?: string | number }; }
  // LMDB reports a write cut short by a full disk as EIO, so ask the file system.
  const { bavail, bsize } = statfsSync(file);
  if (cause.code === 28 || bavail * bsize < fullBelowBytes) return new Error('the store\'s disk is full: nothing can be written until there is space again', { cause });
  return new Error(`the store could not write: ${cause.message}`, { cause });
}

// ---- bytes on disk

const headerBytes = 16;

function encodeEntry(entry: Entry): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + entry.value.length);
  bytes.writeDoubleLE(entry.createRevision, 0);
  bytes.writeDoubleLE(entry.modRevision, 8);
  bytes.set(entry.value, headerBytes);
  return bytes;
}

function decodeEntry(key: string, bytes: Buffer, at = 0): Entry {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, headerBytes);
  return { key, createRevision: view.getFloat64(0, true), modRevision: view.getFloat64(8, true), value: bytes.subarray(at + headerBytes) };
}

/** u32 length of the key, the key, then the entry before, if any. */
function encodeRecord({ key, previous }: UndoRecord): Buffer {
  const keyLength = Buffer.byteLength(key);
  const bytes = Buffer.allocUnsafe(4 + keyLength + (previous ? headerBytes + previous.value.length : 0));
  bytes.writeUInt32LE(keyLength, 0);
  bytes.write(key, 4);
  if (previous) {
    bytes.writeDoubleLE(previous.createRevision, 4 + keyLength);
    bytes.writeDoubleLE(previous.modRevision, 12 + keyLength);
    bytes.set(previous.value, 4 + keyLength + headerBytes);
  }
  return bytes;
}

function decodeRecord(revision: number, bytes: Buffer, prefix: string): UndoRecord | undefined {
  const keyEnd = 4 + new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + 4, keyEnd - 4).toString();
  if (!key.startsWith(prefix)) return undefined;
  return { revision, key, previous: bytes.length > keyEnd ? decodeEntry(key, bytes, keyEnd) : undefined };
}

const encodeNumbers = (numbers: readonly number[]): Buffer => Buffer.from(Float64Array.from(numbers).buffer);
const decodeNumbers = (bytes: Uint8Array): number[] => [...new Float64Array(Uint8Array.from(bytes).buffer)];
