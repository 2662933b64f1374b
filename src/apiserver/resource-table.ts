/**
 * The resources being served, by group, version and plural: built-in ones from `registry/`, custom ones added and removed at
 * run time. Each knows its cache, its key in the store and how it shows a stored object.
 */
import { findType, type TypeSchema } from '../api/schema.ts';
import { listKindOf, type ResourceNames } from '../api/resource-names.ts';
import type { JsonObject } from '../base/json.ts';
import type { ApiObject } from '../client/client.ts';
import { formatGroupResource, type GroupResource } from '../api/meta/status.ts';
import { storedForm, type CacheEntry } from './cache-entry.ts';
import type { ResourceEntry } from './types.ts';
import type { Feed, WatchCache } from './watch-cache.ts';

export class ServedResource {
  readonly entry: ResourceEntry;
  readonly names: ResourceNames;
  readonly cache: WatchCache;
  readonly groupResource: GroupResource;
  readonly namespaced: boolean;
  readonly hasStatus: boolean;
  /** `{"kind":"PodList","apiVersion":"v1","metadata":` */
  readonly listHead: Buffer;

  constructor(entry: ResourceEntry, feed: Feed, freeze: boolean) {
    this.entry = entry;
    const { names } = entry;
    this.names = names;
    const stored = entry.alias?.of ?? names;
    this.cache = feed.cache(storedForm(entry.storagePrefix, stored.apiVersion, stored.kind, freeze));
    this.groupResource = { group: names.group, resource: names.plural };
    this.namespaced = names.scope === 'Namespaced';
    this.hasStatus = 'status' in names.subresources;
    this.listHead = Buffer.from(`{"kind":${JSON.stringify(listKindOf(names))},"apiVersion":${JSON.stringify(names.apiVersion)},"metadata":`);
  }

  /** Undefined where nothing is known of the fields. */
  get type(): TypeSchema | undefined { return this.entry.type ? this.entry.type() : this.names.typeName ? findType(this.names.typeName) : undefined; }
  /** The type has a spec. */
  get hasSpec(): boolean { return this.type?.fields.has('spec') ?? true; }
  key(namespace: string, name: string): string {
    return this.namespaced ? `${this.entry.storagePrefix}/${namespace}/${name}` : `${this.entry.storagePrefix}/${name}`;
  }
  /** The object as this version shows it. Shared and read-only. */
  view(entry: CacheEntry): ApiObject {
    const { alias } = this.entry;
    return alias ? entry.view(alias.viewName ?? this.names.apiVersion, (object) => alias.fromStored(object as unknown as JsonObject, entry) as unknown as ApiObject) : entry.object;
  }
  /** The bytes as this version shows them. */
  bytes(entry: CacheEntry): Buffer {
    const { alias } = this.entry;
    if (!alias) return entry.bytes;
    const name = alias.viewName ?? this.names.apiVersion;
    if (entry.isAsStored(name)) return entry.bytes;
    const view = this.view(entry);
    return entry.isAsStored(name) ? entry.bytes : entry.encoding(`json ${name}`, () => Buffer.from(JSON.stringify(view)));
  }
  /** To be awaited before `view` and `bytes` of these where it is not undefined. */
  prepare(entries: readonly CacheEntry[]): Promise<void> | undefined { return this.entry.alias?.prepare?.(entries); }
  toString(): string { return formatGroupResource(this.groupResource); }
}

export class ResourceTable {
  readonly #feed: Feed;
  readonly #freeze: boolean;
  readonly #served = new Map<string, ServedResource>();
  readonly #listeners = new Set<() => void>();
  /** Changes with the set of resources; discovery caches hang on it. */
  generation = 0;

  constructor(feed: Feed, freeze: boolean) { this.#feed = feed; this.#freeze = freeze; }

  /** Not served, for the server's own use. */
  make(entry: ResourceEntry): ServedResource { return new ServedResource(entry, this.#feed, this.#freeze); }

  add(entry: ResourceEntry): ServedResource {
    const { group, version, plural } = entry.names;
    const served = this.make(entry);
    this.#served.set(`${group}/${version}/${plural}`, served);
    this.#changed();
    return served;
  }
  /** Stops serving; the stored objects stay. */
  remove(names: Pick<ResourceNames, 'group' | 'version' | 'plural'>): void {
    const key = `${names.group}/${names.version}/${names.plural}`;
    const served = this.#served.get(key);
    if (!served) return;
    this.#served.delete(key);
    const shared = [...this.#served.values()].some((other) => other.entry.storagePrefix === served.entry.storagePrefix);
    if (!shared) this.#feed.drop(served.entry.storagePrefix);
    this.#changed();
  }
  find(group: string, version: string, plural: string): ServedResource | undefined { return this.#served.get(`${group}/${version}/${plural}`); }
  for(names: ResourceNames): ServedResource | undefined { return this.find(names.group, names.version, names.plural); }
  all(): ServedResource[] { return [...this.#served.values()]; }
  onChange(listener: () => void): () => void { this.#listeners.add(listener); return () => { this.#listeners.delete(listener); }; }
  #changed(): void { this.generation++; for (const listener of this.#listeners) listener(); }
}
