/**
 * Informers: a local copy of one resource, kept current by list and watch, with indexes and handlers.
 * Behaviour: client-go tools/cache (Reflector, DeltaFIFO, SharedIndexInformer). The implementation is in `shared-informer.ts`.
 */
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject } from './client.ts';

export interface Handler<T> {
  /** `initial`: part of the first list. */
  onAdd?(object: T, initial: boolean): void;
  /** Also called by a relist with equal objects dropped; `old` and `next` never share a resourceVersion. */
  onUpdate?(old: T, next: T): void;
  /** `object` is the last known state. */
  onDelete?(object: T): void;
}

export interface Informer<T extends ApiObject> {
  readonly names: ResourceNames<T>;
  /** True once the first list has been handed to all handlers. */
  readonly hasSynced: boolean;
  synced(signal?: AbortSignal): Promise<void>;
  /** By 'namespace/name', or 'name' for cluster-scoped kinds; `keyOf(object)` makes it. */
  get(key: string): T | undefined;
  /** All, or those of one namespace. A fresh array, unordered. */
  list(namespace?: string): T[];
  /** Objects whose `indexer` gave `value`. Define indexes before start. */
  byIndex(index: string, value: string): T[];
  addIndex(index: string, indexer: (object: T) => readonly string[]): void;
  /** Handlers run in order, synchronously, after the copy changed; a late handler first gets everything as onAdd. Returns a function that removes it. */
  addHandler(handler: Handler<T>): () => void;
}

export interface InformerOptions { namespace?: string; labelSelector?: string; fieldSelector?: string }

/** Hands out one shared informer per resource and options, started on first request and stopped with the factory. */
export interface InformerFactory extends AsyncDisposable {
  informer<T extends ApiObject>(names: ResourceNames<T>, options?: InformerOptions): Informer<T>;
  /** The informer over the whole resource when someone already asked for it; never starts one. */
  existing?<T extends ApiObject>(names: ResourceNames<T>): Informer<T> | undefined;
  /** Resolves when every informer handed out so far has synced. */
  synced(signal?: AbortSignal): Promise<void>;
}

/** The cache key: 'namespace/name', or 'name' where there is no namespace. */
export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  return object.metadata.namespace ? `${object.metadata.namespace}/${object.metadata.name}` : object.metadata.name;
}
/** The reverse of `keyOf`. */
export function splitKey(key: string): { namespace?: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
