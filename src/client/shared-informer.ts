/**
 * Shared informers: one local copy per resource and options, indexed, with handlers called synchronously in order.
 * The copy holds the very objects the transport gave (shared and read-only), so a second copy costs a map entry.
 * Behaviour: client-go SharedInformerFactory.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, Client } from './client.ts';
import { keyOf, type Handler, type Informer, type InformerFactory, type InformerOptions } from './informer.ts';
import { runReflector } from './reflector.ts';

export interface InformerFactoryOptions { clock: Clock; rng: Rng; log: Logger; signal?: AbortSignal | undefined }

export function createInformerFactory(client: Client, options: InformerFactoryOptions): InformerFactory {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const informers = new Map<string, SharedInformer<ApiObject>>();
  const running: Promise<void>[] = [];
  return {
    informer<T extends ApiObject>(names: ResourceNames<T>, which: InformerOptions = {}): Informer<T> {
      const id = identity(names, which);
      let informer = informers.get(id) as SharedInformer<T> | undefined;
      if (!informer) {
        informer = new SharedInformer<T>(names, options.log);
        informers.set(id, informer as unknown as SharedInformer<ApiObject>);
        const target = informer;
        const resource = client.for(names);
        // Started in a later turn, so that indexes and handlers are in place before the first list.
        running.push(Promise.resolve().then(() => runReflector<T>({
          ...options, signal, name: names.plural,
          list: (list) => resource.list({ ...which, ...list }),
          watch: (watch) => resource.watch({ ...which, ...watch }),
          onReplace: (items) => target.replace(items),
          onEvent: (type, object) => target.apply(type, object),
        })));
      }
      return informer;
    },
    existing<T extends ApiObject>(names: ResourceNames<T>): Informer<T> | undefined {
      return informers.get(identity(names, {})) as Informer<T> | undefined;
    },
    async synced(wait?: AbortSignal) { await Promise.all([...informers.values()].map((informer) => informer.synced(wait))); },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the informer factory was stopped'));
      await Promise.allSettled(running);
    },
  };
}

function identity(names: ResourceNames, { namespace = '', labelSelector = '', fieldSelector = '' }: InformerOptions): string {
  return [names.group, names.version, names.plural, namespace, labelSelector, fieldSelector].join('|');
}

interface Index<T> { indexer: (object: T) => readonly string[]; entries: Map<string, string | Set<string>> }

/** Also usable without a server: `replace` and `apply` feed it. */
export class SharedInformer<T extends ApiObject> implements Informer<T> {
  readonly names: ResourceNames<T>;
  readonly #log: Logger;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #handlers = new Set<Handler<T>>();
  #hasSynced = false;
  readonly #synced = Promise.withResolvers<void>();

  constructor(names: ResourceNames<T>, log: Logger) {
    this.names = names;
    this.#log = log;
  }

  get hasSynced(): boolean { return this.#hasSynced; }

  async synced(signal?: AbortSignal): Promise<void> {
    if (this.#hasSynced) return;
    if (!signal) { await this.#synced.promise; return; }
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try { await Promise.race([this.#synced.promise, aborted.promise]); } finally { signal.removeEventListener('abort', onAbort); }
  }

  get(key: string): T | undefined { return this.#objects.get(key); }

  list(namespace?: string): T[] {
    if (namespace === undefined) return [...this.#objects.values()];
    if (!this.#indexes.has(namespaceIndex)) this.addIndex(namespaceIndex, (object) => [object.metadata.namespace ?? '']);
    return this.byIndex(namespaceIndex, namespace);
  }

  byIndex(index: string, value: string): T[] {
    const found = this.#index(index).entries.get(value);
    if (found === undefined) return [];
    if (typeof found === 'string') return [this.#objects.get(found)!];
    return Array.from(found, (key) => this.#objects.get(key)!);
  }

  addIndex(name: string, indexer: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) return;
    const index: Index<T> = { indexer, entries: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) insert(index, key, object);
  }

  addHandler(handler: Handler<T>): () => void {
    if (handler.onAdd) for (const object of this.#objects.values()) this.#call(() => handler.onAdd!(object, true));
    this.#handlers.add(handler);
    return () => { this.#handlers.delete(handler); };
  }

  /** Takes a whole list: what is missing from it is deleted, what is equal (by resourceVersion) is dropped. */
  replace(items: readonly T[]): void {
    const initial = !this.#hasSynced;
    const seen = new Set<string>();
    for (const item of items) {
      const key = keyOf(item);
      seen.add(key);
      this.#put(key, item, initial);
    }
    if (seen.size !== this.#objects.size) for (const key of [...this.#objects.keys()]) if (!seen.has(key)) this.#remove(key);
    if (initial) {
      this.#hasSynced = true;
      this.#synced.resolve();
    }
  }

  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    if (type === 'DELETED') this.#remove(keyOf(object), object);
    else this.#put(keyOf(object), object, false);
  }

  #put(key: string, next: T, initial: boolean): void {
    const old = this.#objects.get(key);
    if (old && old.metadata.resourceVersion === next.metadata.resourceVersion) return;
    this.#objects.set(key, next);
    for (const index of this.#indexes.values()) reindex(index, key, old, next);
    for (const handler of this.#handlers) {
      if (old) this.#call(() => handler.onUpdate?.(old, next));
      else this.#call(() => handler.onAdd?.(next, initial));
    }
  }

  #remove(key: string, last?: T): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) for (const value of index.indexer(old)) drop(index, value, key);
    const object = last ?? old;
    for (const handler of this.#handlers) this.#call(() => handler.onDelete?.(object));
  }

  #index(name: string): Index<T> {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`informer of ${this.names.plural} has no index ${name}; call addIndex first`);
    return index;
  }

  /** A handler that throws must not starve the others. */
  #call(handler: () => void): void {
    try { handler(); } catch (err) { this.#log.error({ err, resource: this.names.plural }, 'informer handler failed'); }
  }
}

const namespaceIndex = 'namespace';

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.indexer(object)) {
    const found = index.entries.get(value);
    if (found === undefined) index.entries.set(value, key);
    else if (typeof found !== 'string') found.add(key);
    else if (found !== key) index.entries.set(value, new Set([found, key]));
  }
}

function drop<T>(index: Index<T>, value: string, key: string): void {
  const found = index.entries.get(value);
  if (found === undefined) return;
  if (typeof found === 'string') { if (found === key) index.entries.delete(value); return; }
  found.delete(key);
  if (found.size === 0) index.entries.delete(value);
}

function reindex<T>(index: Index<T>, key: string, old: T | undefined, next: T): void {
  if (old) {
    const before = index.indexer(old);
    const after = index.indexer(next);
    if (before.length === after.length && before.every((value, i) => value === after[i])) return;
    for (const value of before) drop(index, value, key);
  }
  insert(index, key, next);
}
