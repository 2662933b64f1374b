/**
 * The watch cache: per storage prefix all current objects, a window of recent events, and the watchers. One store watch
 * (`Feed`) fills all caches in commit order, so once it has passed revision N every cache shows every write up to N, which
 * is how a read sees an acknowledged write. A cache fills on first use.
 * Source: apiserver/pkg/storage/cacher. Differs: one watch for everything rather than one per resource.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { Store, StoreEvent } from '../store/store.ts';
import { StatusError, expired, timeoutError } from '../api/meta/status.ts';
import type { ApiObject } from '../client/client.ts';
import { CacheEntry, type StoredForm } from './cache-entry.ts';

/** Events a window keeps at most, at least, and how long those between are kept. Source: cacher's eventFreshDuration. */
const windowLimit = 8192;
const windowMinimum = 128;
const windowFreshMs = 75_000;
/** Bytes of old states a window keeps at most: large objects leave it sooner. */
const windowLimitBytes = 32 * 1024 * 1024;
/** Events one slow watcher may have waiting before it is told 410 Expired. */
export const watcherQueueLimit = 10_000;
/** Parsed objects kept for kinds that no component watches in-process. */
const warmLimit = 1024;
/** Entries read from the store per step while a cache fills. */
const fillPage = 2000;
/** How long a read waits for a revision not reached yet. Source: cacher's blockTimeout. */
const freshWaitMs = 3000;

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One committed change; frames are built once and shared by all watchers. */
export class CacheEvent {
  readonly revision: number;
  readonly at: number;
  /** Undefined for a deletion. */
  readonly entry: CacheEntry | undefined;
  readonly previous: CacheEntry | undefined;
  /** What keeping this event costs beside the current objects; a deletion's last state is made twice. */
  readonly bytes: number;
  #gone: CacheEntry | undefined;
  #frames: Map<string, Buffer> | undefined;

  constructor(revision: number, at: number, entry: CacheEntry | undefined, previous: CacheEntry | undefined) {
    this.revision = revision;
    this.at = at;
    this.entry = entry;
    this.previous = previous;
    this.bytes = (previous?.size ?? 0) * (entry ? 1 : 2);
  }
  /** The last state as of this event: the object of DELETED. */
  get gone(): CacheEntry { return this.#gone ??= this.previous!.at(this.revision); }
  frame(name: string, make: () => Buffer): Buffer {
    let frame = this.#frames?.get(name);
    if (!frame) (this.#frames ??= new Map()).set(name, frame = make());
    return frame;
  }
}

export type WatchItem =
  | { type: EventType; entry: CacheEntry; event: CacheEvent | undefined }
  | { type: 'BOOKMARK'; revision: number; initialEventsEnd: boolean }
  | { type: 'ERROR'; error: StatusError };

export interface WatchScope {
  /** '' for all. */
  namespace: string;
  /** Undefined: everything matches. */
  matches: ((object: ApiObject) => boolean) | undefined;
  /** An equality the selector demands, by which events find this watcher without asking every other. */
  trigger?: { field: string; value: string; of(object: ApiObject): string } | undefined;
}

export class Watcher {
  readonly scope: WatchScope;
  readonly #cache: WatchCache;
  #initial: readonly CacheEntry[];
  #initialAt = 0;
  #queue: WatchItem[] = [];
  #ended = false;
  /** Runs when there is something to take, or the watch ended. */
  onReady: (() => void) | undefined;
  /** Runs once when the watch ends, whoever ended it. */
  onEnd: (() => void) | undefined;
  readonly #bookmarkAfterInitial: boolean;
  readonly #startRevision: number;

  constructor(cache: WatchCache, scope: WatchScope, startRevision: number, initial: readonly CacheEntry[], bookmarkAfterInitial: boolean) {
    this.#cache = cache;
    this.scope = scope;
    this.#initial = initial;
    this.#startRevision = startRevision;
    this.#bookmarkAfterInitial = bookmarkAfterInitial;
    if (bookmarkAfterInitial && initial.length === 0) this.#queue.push({ type: 'BOOKMARK', revision: startRevision, initialEventsEnd: true });
  }

  get ended(): boolean { return this.#ended; }
  get pending(): boolean { return this.#initialAt < this.#initial.length || this.#queue.length > 0; }

  /** Up to `limit` of what waits. */
  take(limit = 1024): WatchItem[] {
    if (this.#initialAt < this.#initial.length) {
      const part = this.#initial.slice(this.#initialAt, this.#initialAt + limit).map((entry): WatchItem => ({ type: 'ADDED', entry, event: undefined }));
      this.#initialAt += part.length;
      if (this.#initialAt >= this.#initial.length) {
        this.#initial = [];
        this.#initialAt = 0;
        if (this.#bookmarkAfterInitial) part.push({ type: 'BOOKMARK', revision: this.#startRevision, initialEventsEnd: true });
      }
      return part;
    }
    if (this.#queue.length <= limit) { const all = this.#queue; this.#queue = []; return all; }
    return this.#queue.splice(0, limit);
  }

  /** What this watcher sees of an event, in order. */
  see(event: CacheEvent): void {
    if (this.#ended) return;
    const { matches, namespace } = this.scope;
    let now = event.entry !== undefined;
    let before = event.previous !== undefined;
    if (namespace && !this.#cache.inNamespace((event.entry ?? event.previous)!.key, namespace)) return;
    if (matches) {
      now &&= matches(event.entry!.object);
      before &&= matches(event.previous!.object);
    }
    if (now) this.#push({ type: before ? 'MODIFIED' : 'ADDED', entry: event.entry!, event });
    else if (before) this.#push({ type: 'DELETED', entry: event.gone, event });
  }

  bookmark(): void {
    if (!this.#ended && this.#queue.length === 0 && this.#initialAt >= this.#initial.length) this.#push({ type: 'BOOKMARK', revision: this.#cache.revision, initialEventsEnd: false });
  }

  #push(item: WatchItem): void {
    if (this.#queue.length >= watcherQueueLimit) {
      this.fail(expired(`too old resource version: the watcher fell ${watcherQueueLimit} events behind`));
      return;
    }
    this.#queue.push(item);
    if (this.#queue.length === 1) this.onReady?.();
  }

  /** Ends the watch with an ERROR event; what waits is dropped. */
  fail(error: StatusError): void {
    if (this.#ended) return;
    this.#initial = [];
    this.#queue = [{ type: 'ERROR', error }];
    this.close();
  }
  /** Ends the watch; what waits can still be taken. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cache.remove(this);
    this.onEnd?.();
    this.onReady?.();
  }
}

interface Bucket { entries: CacheEntry[] }

export class WatchCache {
  readonly form: StoredForm;
  readonly #feed: Feed;
  readonly #clock: Clock;
  readonly #entries = new Map<string, CacheEntry>();
  /** By namespace ('' for cluster-scoped); entries sorted by key. */
  readonly #buckets = new Map<string, Bucket>();
  #window: CacheEvent[] = [];
  #windowStart = 0;
  #windowBytes = 0;
  #trimming: Timer | undefined;
  /** Watches can resume from this revision on. */
  #oldest = 0;
  #modified = 0;
  #state: 'cold' | 'filling' | 'ready' = 'cold';
  #filling: Promise<void> | undefined;
  #backlog: StoreEvent[] = [];
  readonly #all = new Set<Watcher>();
  readonly #byNamespace = new Map<string, Set<Watcher>>();
  readonly #byField = new Map<string, { of(object: ApiObject): string; values: Map<string, Set<Watcher>> }>();
  #watchers = 0;
  /** Objects our own writes just made, by key, until their event arrives. */
  readonly #offers = new Map<string, { revision: number; object: ApiObject }>();
  #warm: CacheEntry[] = [];
  /** In-process readers: their kinds keep parsed objects. */
  keepParsed = 0;

  constructor(feed: Feed, form: StoredForm, clock: Clock) {
    this.#feed = feed;
    this.#clock = clock;
    this.form = { ...form, onParsed: (entry) => this.#warmed(entry) };
  }

  get revision(): number { return this.#feed.revision; }
  /** The revision of the last change under this prefix that the cache has seen (or when it filled). */
  get modified(): number { return this.#modified; }
  get size(): number { return this.#entries.size; }
  get watchers(): number { return this.#watchers; }
  get isReady(): boolean { return this.#state === 'ready'; }

  inNamespace(key: string, namespace: string): boolean {
    const start = this.form.prefix.length + 1;
    return key.startsWith(namespace, start) && key[start + namespace.length] === '/';
  }

  /** Fills the cache on first use. */
  ready(): Promise<void> | undefined {
    if (this.#state === 'ready') return undefined;
    return this.#filling ??= this.#fill().finally(() => { this.#filling = undefined; });
  }

  async #fill(): Promise<void> {
    await this.#feed.started();
    this.#state = 'filling';
    this.#backlog = [];
    try {
      let from: string | undefined;
      let revision: number | undefined;
      const prefix = `${this.form.prefix}/`;
      for (;;) {
        const page = await this.#feed.store.range(prefix, { limit: fillPage, ...(from === undefined ? {} : { from }), ...(revision === undefined ? {} : { revision }) });
        revision ??= page.revision;
        for (const entry of page.entries) this.#insert(new CacheEntry(this.form, entry.key, entry.modRevision, entry.value));
        const last = page.entries.at(-1);
        if (!page.more || !last) break;
        from = `${last.key}\0`;
      }
      this.#oldest = this.#modified = revision;
      await this.#feed.waitFor(revision);
      this.#state = 'ready';
      const backlog = this.#backlog;
      this.#backlog = [];
      for (const event of backlog) if (event.revision > revision) this.apply(event);
    } catch (err) {
      this.reset();
      throw err;
    }
  }

  /** Back to empty: the feed lost its place. Watchers are told to list again. */
  reset(): void {
    this.#state = 'cold';
    this.#entries.clear();
    this.#buckets.clear();
    this.#window = [];
    this.#windowStart = 0;
    this.#windowBytes = 0;
    this.#trimming?.cancel();
    this.#trimming = undefined;
    this.#offers.clear();
    this.#warm = [];
    for (const watcher of this.#everyWatcher()) watcher.fail(expired('too old resource version: the server lost its place in the store; list again'));
  }

  get(key: string): CacheEntry | undefined { return this.#entries.get(key); }

  /** In key order. A fresh array, or for one namespace the cache's own: do not change it, and read it in one turn. */
  list(namespace: string): readonly CacheEntry[] {
    if (namespace) return this.#buckets.get(namespace)?.entries ?? [];
    if (this.#buckets.size === 1) for (const bucket of this.#buckets.values()) return bucket.entries;
    const names = [...this.#buckets.keys()].sort((a, b) => (`${a}/` < `${b}/` ? -1 : 1));
    return names.flatMap((name) => this.#buckets.get(name)!.entries);
  }

  /** Our own write's parsed object, before or after its event arrived. */
  offer(key: string, revision: number, object: ApiObject): void {
    const entry = this.#entries.get(key);
    if (entry && entry.revision >= revision) {
      if (entry.revision === revision) entry.offer(object);
      return;
    }
    if (this.#state === 'ready' && this.keepParsed > 0) this.#offers.set(key, { revision, object });
  }

  apply(event: StoreEvent): void {
    if (this.#state !== 'ready') {
      if (this.#state === 'filling') this.#backlog.push(event);
      return;
    }
    const previous = this.#entries.get(event.key);
    let entry: CacheEntry | undefined;
    if (event.type === 'put') {
      if (previous && previous.revision >= event.revision) return;
      const offered = this.#offers.get(event.key);
      if (offered) this.#offers.delete(event.key);
      entry = new CacheEntry(this.form, event.key, event.revision, event.entry.value);
      if (offered?.revision === event.revision) entry.offer(offered.object);
      this.#insert(entry);
    } else {
      if (!previous) return;
      this.#offers.delete(event.key);
      this.#delete(event.key);
    }
    this.#modified = event.revision;
    const change = new CacheEvent(event.revision, this.#clock.monotonic(), entry, previous);
    this.#remember(change);
    this.#dispatch(change);
  }

  #remember(event: CacheEvent): void {
    this.#window.push(event);
    this.#windowBytes += event.bytes;
    this.#trimWindow(event.at);
    if (this.#windowStart > 256 && this.#windowStart * 4 > this.#window.length) this.#compactWindow();
    this.#trimLater();
  }

  /** After a burst the old states go too, without waiting for the next event. */
  #trimLater(): void {
    if (this.#trimming || this.#window.length <= windowMinimum) return;
    this.#trimming = this.#clock.after(windowFreshMs, () => {
      this.#trimming = undefined;
      this.#trimWindow(this.#clock.monotonic());
      this.#compactWindow();
      this.#trimLater();
    }, { keepAlive: false });
  }

  #trimWindow(now: number): void {
    for (;;) {
      const length = this.#window.length - this.#windowStart;
      const oldest = this.#window[this.#windowStart];
      if (!oldest) break;
      const fits = length <= windowMinimum || (length <= windowLimit && oldest.at > now - windowFreshMs);
      if (fits && this.#windowBytes <= windowLimitBytes) break;
      this.#oldest = oldest.revision;
      this.#windowBytes -= oldest.bytes;
      this.#windowStart++;
    }
  }

  #compactWindow(): void {
    this.#window = this.#window.slice(this.#windowStart);
    this.#windowStart = 0;
  }

  #dispatch(event: CacheEvent): void {
    if (this.#watchers === 0) return;
    for (const watcher of this.#all) watcher.see(event);
    if (this.#byNamespace.size > 0) {
      const set = this.#byNamespace.get(this.#namespaceOf((event.entry ?? event.previous)!.key));
      if (set) for (const watcher of set) watcher.see(event);
    }
    for (const { of, values } of this.#byField.values()) {
      const now = event.entry && values.get(of(event.entry.object));
      const before = event.previous && values.get(of(event.previous.object));
      if (now) for (const watcher of now) watcher.see(event);
      if (before && before !== now) for (const watcher of before) watcher.see(event);
    }
  }

  /**
   * `since` 0: no replay. `initial`: begin with ADDED of all there is. Throws 410 Expired when `since` is before the window.
   * Runs in one turn, so no event falls between.
   */
  watch(scope: WatchScope, since: number | undefined, options: { initial: boolean; initialEventsEnd: boolean }): Watcher {
    let initial: CacheEntry[] = [];
    if (options.initial) {
      const all = this.list(scope.namespace);
      initial = scope.matches ? all.filter((entry) => scope.matches!(entry.object)) : all.slice();
    }
    const replay: CacheEvent[] = [];
    if (since !== undefined && !options.initial) {
      if (since < this.#oldest) throw expired(`too old resource version: ${since} (${this.#oldest})`);
      let at = this.#window.length;
      while (at > this.#windowStart && this.#window[at - 1]!.revision > since) at--;
      replay.push(...this.#window.slice(at));
    }
    const watcher = new Watcher(this, scope, this.revision, initial, options.initialEventsEnd);
    for (const event of replay) watcher.see(event);
    this.#watchers++;
    this.#indexOf(scope, true)!.add(watcher);
    return watcher;
  }

  remove(watcher: Watcher): void {
    const set = this.#indexOf(watcher.scope, false);
    if (!set?.delete(watcher)) return;
    this.#watchers--;
    const { trigger, namespace } = watcher.scope;
    if (set.size > 0) return;
    if (trigger) {
      const index = this.#byField.get(trigger.field)!;
      index.values.delete(trigger.value);
      if (index.values.size === 0) this.#byField.delete(trigger.field);
    } else if (namespace) this.#byNamespace.delete(namespace);
  }

  /** Ends all watches, as on shutdown. */
  closeWatchers(): void { for (const watcher of this.#everyWatcher()) watcher.close(); }

  #everyWatcher(): Watcher[] {
    const found = [...this.#all];
    for (const set of this.#byNamespace.values()) found.push(...set);
    for (const { values } of this.#byField.values()) for (const set of values.values()) found.push(...set);
    return found;
  }

  #indexOf({ trigger, namespace }: WatchScope, make: boolean): Set<Watcher> | undefined {
    if (trigger) {
      let index = this.#byField.get(trigger.field);
      if (!index && make) this.#byField.set(trigger.field, index = { of: trigger.of, values: new Map() });
      return index && setIn(index.values, trigger.value, make);
    }
    return namespace ? setIn(this.#byNamespace, namespace, make) : this.#all;
  }

  #namespaceOf(key: string): string {
    const start = this.form.prefix.length + 1;
    const slash = key.indexOf('/', start);
    return slash < 0 ? '' : key.slice(start, slash);
  }

  #insert(entry: CacheEntry): void {
    const known = this.#entries.has(entry.key);
    this.#entries.set(entry.key, entry);
    const namespace = this.#namespaceOf(entry.key);
    let bucket = this.#buckets.get(namespace);
    if (!bucket) this.#buckets.set(namespace, bucket = { entries: [] });
    const { entries } = bucket;
    if (known) entries[search(entries, entry.key)] = entry;
    else if (entries.length === 0 || entries.at(-1)!.key < entry.key) entries.push(entry);
    else entries.splice(search(entries, entry.key), 0, entry);
  }

  #delete(key: string): void {
    this.#entries.delete(key);
    const namespace = this.#namespaceOf(key);
    const bucket = this.#buckets.get(namespace)!;
    bucket.entries.splice(search(bucket.entries, key), 1);
    if (bucket.entries.length === 0) this.#buckets.delete(namespace);
  }

  #warmed(entry: CacheEntry): void {
    if (this.keepParsed > 0) return;
    this.#warm.push(entry);
    if (this.#warm.length > warmLimit) for (const cold of this.#warm.splice(0, warmLimit / 2)) cold.cool();
  }
}

function setIn(map: Map<string, Set<Watcher>>, key: string, make: boolean): Set<Watcher> | undefined {
  let set = map.get(key);
  if (!set && make) map.set(key, set = new Set());
  return set;
}

/** The index of `key` in entries sorted by key, or where it belongs. */
export function search(entries: readonly CacheEntry[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries[middle]!.key < key) low = middle + 1; else high = middle;
  }
  return low;
}

/** The one store watch, and what has been seen of it. */
export class Feed implements AsyncDisposable {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #caches = new Map<string, WatchCache>();
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #waiting: { revision: number; resolve(): void }[] = [];
  #started: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #onError: (err: unknown) => void;
  revision = 0;

  constructor(store: Store, clock: Clock, onError: (err: unknown) => void = () => {}) {
    this.store = store;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Starts on first use; resolves when the feed knows its place. */
  started(): Promise<void> { return this.#started ??= this.#start(); }

  async #start(): Promise<void> {
    this.#reached(await this.store.revision());
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const batch of this.store.watch('', this.revision, { signal })) {
          for (const event of batch) {
            this.#cacheOf(event.key)?.apply(event);
            for (const listener of this.#listeners) listener(event);
          }
          const last = batch.at(-1);
          if (last) this.#reached(last.revision);
        }
        if (!signal.aborted) throw new Error('the store ended its watch');
      } catch (err) {
        if (signal.aborted) return;
        this.#onError(err);
        try {
          const revision = await this.store.revision();
          for (const cache of this.#caches.values()) cache.reset();
          this.#reached(revision);
        } catch { return; } // the store is closed
      }
    }
  }

  #reached(revision: number): void {
    this.revision = Math.max(this.revision, revision);
    if (this.#waiting.length === 0) return;
    const still: { revision: number; resolve(): void }[] = [];
    for (const waiter of this.#waiting) { if (waiter.revision <= this.revision) waiter.resolve(); else still.push(waiter); }
    this.#waiting = still;
  }

  /** Resolves once everything up to `revision` is in the caches: at once when it is. */
  waitFor(revision: number): Promise<void> | undefined {
    if (revision <= this.revision) return undefined;
    if (!this.#running) this.started().catch(this.#onError);
    return new Promise((resolve) => { this.#waiting.push({ revision, resolve }); });
  }

  /** As `waitFor` for a revision a client named: it may lie in the future. Throws upstream's "Too large resource version". */
  async waitForClient(revision: number): Promise<void> {
    if (revision <= this.revision) return;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<'late'>((resolve) => { timer = this.#clock.after(freshWaitMs, () => resolve('late'), { keepAlive: false }); });
    const outcome = await Promise.race([this.waitFor(revision), late]);
    timer?.cancel();
    if (outcome === 'late') {
      const { status } = timeoutError(`Too large resource version: ${revision}, current: ${this.revision}`, 1);
      throw new StatusError({ ...status, details: { ...status.details, causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] } });
    }
  }

  /** Every event of the store, in order. Returns what removes it. */
  listen(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => { this.#listeners.delete(listener); };
  }

  cache(form: StoredForm): WatchCache {
    let cache = this.#caches.get(form.prefix);
    if (!cache) this.#caches.set(form.prefix, cache = new WatchCache(this, form, this.#clock));
    return cache;
  }
  /** Forgets a prefix: its kind is no longer served. */
  drop(prefix: string): void {
    const cache = this.#caches.get(prefix);
    cache?.closeWatchers();
    cache?.reset();
    this.#caches.delete(prefix);
  }
  caches(): IterableIterator<WatchCache> { return this.#caches.values(); }

  /** '/registry/pods/default/a' belongs to '/registry/pods', '/registry/services/specs/default/a' to '/registry/services/specs'. */
  #cacheOf(key: string): WatchCache | undefined {
    const first = key.indexOf('/', key.indexOf('/', 1) + 1);
    if (first < 0) return undefined;
    const cache = this.#caches.get(key.slice(0, first));
    if (cache) return cache;
    const second = key.indexOf('/', first + 1);
    return second < 0 ? undefined : this.#caches.get(key.slice(0, second));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#reached(Number.MAX_SAFE_INTEGER);
  }
}
