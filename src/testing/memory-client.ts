/**
 * A client over plain maps, for tests of components that need reads, writes and watches but no registry: no defaults, validation or
 * admission. Graceful deletion of pods, subresources `status` and `token`, and enough of strategic merge for conditions.
 */
import { notFound, alreadyExists } from '../api/meta/status.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import { type Clock, timestamp } from '../base/clock.ts';
import type { Client, ResourceClient, WatchEvent } from '../client/client.ts';

type Plain = Record<string, unknown>;
interface Stored { apiVersion: string; kind: string; metadata: Plain & { name: string; namespace?: string; resourceVersion: string; uid: string; labels?: Record<string, string> }; spec?: Plain; status?: Plain }
interface Watcher { plural: string; matches(object: Stored): boolean; push(event: WatchEvent<unknown>): void }

const mergeKeys: Readonly<Record<string, string>> = { conditions: 'type', podIPs: 'ip', hostIPs: 'ip', addresses: 'type' };

function merge(target: Plain, patch: Plain): Plain {
  const out: Plain = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else if (Array.isArray(value) && mergeKeys[key]) {
      const by = mergeKeys[key];
      const items = value as Plain[];
      const keep = items.some((item) => item.$patch === 'replace') ? [] : (out[key] as Plain[] | undefined ?? []).filter((other) => !items.some((item) => item.$patch === 'delete' && item[by] === other[by]));
      for (const item of items.filter((candidate) => candidate.$patch === undefined)) {
        const at = keep.findIndex((other) => other[by] === item[by]);
        if (at < 0) keep.push(merge({}, item)); else keep[at] = merge(keep[at]!, item);
      }
      out[key] = keep;
    } else out[key] = typeof value === 'object' && !Array.isArray(value) ? merge(out[key] as Plain ?? {}, value as Plain) : value;
  }
  return out;
}

export interface MemoryClient extends Client {
  /** Every write: 'patch pods/status default/web'. */
  readonly writes: string[];
  /** The next calls that match fail with this error. */
  failing?: ((call: string) => Error | undefined) | undefined;
}

export function memoryClient(clock: Clock): MemoryClient {
  const objects = new Map<string, Map<string, Stored>>();
  const watchers = new Set<Watcher>();
  const writes: string[] = [];
  let revision = 0;
  const table = (plural: string) => { let map = objects.get(plural); if (!map) { map = new Map(); objects.set(plural, map); } return map; };
  const selector = (fields: string | undefined, namespace: string | undefined) => (object: Stored) => {
    if (namespace && object.metadata.namespace !== namespace) return false;
    return (fields ?? '').split(',').filter(Boolean).every((term) => {
      const [path = '', value = ''] = term.split('=');
      const found = path.split('.').reduce<unknown>((at, key) => (at as Plain | undefined)?.[key], object);
      return String(found ?? '') === value;
    });
  };

  function resource<T>(names: ResourceNames<T>): ResourceClient<T> {
    const map = table(names.plural);
    const group = { group: names.group, resource: names.plural };
    const id = (namespace: string | undefined, name: string) => (names.scope === 'Cluster' ? name : `${namespace ?? 'default'}/${name}`);
    const emit = (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Stored, before?: Stored) => {
      for (const watcher of watchers) {
        if (watcher.plural !== names.plural) continue;
        const now = watcher.matches(object);
        const was = before !== undefined && watcher.matches(before);
        if (type === 'DELETED' ? now || was : now || was) watcher.push({ type: type === 'DELETED' || !now ? 'DELETED' : before && !was ? 'ADDED' : type, object });
      }
    };
    const call = (text: string) => { const error = client.failing?.(text); if (error) throw error; };
    const put = (key: string, object: Stored, verb: string): Stored => {
      const before = map.get(key);
      const saved = { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } };
      map.set(key, saved);
      writes.push(`${verb} ${key}`);
      emit(before ? 'MODIFIED' : 'ADDED', saved, before);
      return saved;
    };
    const read = (key: string, name: string) => { const object = map.get(key); if (!object) throw notFound(group, name); return object; };
    const remove = (key: string, object: Stored) => { map.delete(key); writes.push(`delete ${names.plural} ${key}`); emit('DELETED', { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } }); };

    return {
      async get({ namespace, name }) { call(`get ${names.plural}`); return read(id(namespace, name), name) as T; },
      async list(options = {}) {
        call(`list ${names.plural}`);
        return { items: [...map.values()].filter(selector(options.fieldSelector, options.namespace)) as T[], metadata: { resourceVersion: String(revision) } };
      },
      async *watch(options) {
        call(`watch ${names.plural}`);
        const queue: WatchEvent<unknown>[] = [];
        let notify = () => {};
        const watcher: Watcher = { plural: names.plural, matches: selector(options.fieldSelector, options.namespace), push(event) { queue.push(event); notify(); } };
        const since = Number(options.resourceVersion ?? revision);
        for (const object of map.values()) if (watcher.matches(object) && Number(object.metadata.resourceVersion) > since) queue.push({ type: 'MODIFIED', object });
        watchers.add(watcher);
        try {
          while (!options.signal?.aborted) {
            const next = queue.shift();
            if (next) { yield next as never; continue; }
            await new Promise<void>((resolve) => { notify = resolve; options.signal?.addEventListener('abort', () => resolve(), { once: true }); });
          }
        } finally { watchers.delete(watcher); }
      },
      async create(object, options = {}) {
        call(`create ${names.plural}`);
        const made = structuredClone(object) as unknown as Stored;
        const namespace = names.scope === 'Cluster' ? undefined : options.namespace ?? made.metadata.namespace ?? 'default';
        const name = made.metadata.name ?? `${String(made.metadata.generateName ?? '')}${revision}`;
        const key = id(namespace, name);
        if (map.has(key)) throw alreadyExists(group, name);
        return put(key, { ...made, apiVersion: names.apiVersion, kind: names.kind, metadata: { creationTimestamp: timestamp(clock.now()), ...made.metadata, uid: made.metadata.uid || `${names.plural}-${revision + 1}`, name, ...(namespace ? { namespace } : {}), resourceVersion: '' } }, `create ${names.plural}`) as T;
      },
      async update(object, options = {}) {
        call(`update ${names.plural}`);
        const given = object as unknown as Stored;
        const key = id(given.metadata.namespace, given.metadata.name);
        const before = read(key, given.metadata.name);
        return put(key, { ...(structuredClone(given)), metadata: { ...structuredClone(given.metadata), uid: before.metadata.uid } }, `update ${names.plural}${options.subresource ? `/${options.subresource}` : ''}`) as T;
      },
      async updateStatus(object) { return this.update(object, { subresource: 'status' }); },
      async patch({ namespace, name }, _type, patch, options = {}) {
        call(`patch ${names.plural}${options.subresource ? `/${options.subresource}` : ''}`);
        const key = id(namespace, name);
        const before = read(key, name);
        return put(key, merge(before as unknown as Plain, structuredClone(patch) as Plain) as unknown as Stored, `patch ${names.plural}${options.subresource ? `/${options.subresource}` : ''}`) as T;
      },
      async delete({ namespace, name }, options = {}) {
        call(`delete ${names.plural}`);
        const key = id(namespace, name);
        const object = read(key, name);
        if (options.preconditions?.uid && options.preconditions.uid !== object.metadata.uid) throw notFound(group, name);
        const grace = options.gracePeriodSeconds ?? (object.spec?.terminationGracePeriodSeconds as number | undefined) ?? 30;
        if (names.plural === 'pods' && object.spec?.nodeName && grace > 0) {
          if (object.metadata.deletionTimestamp && (object.metadata.deletionGracePeriodSeconds as number) <= grace) return object as T;
          return put(key, { ...object, metadata: { ...object.metadata, deletionTimestamp: timestamp(clock.now() + grace * 1000), deletionGracePeriodSeconds: grace } }, `terminate ${names.plural}`) as T;
        }
        remove(key, object);
        return object as T;
      },
      async deleteCollection() { for (const [key, object] of map) remove(key, object); },
      async createSubresource(key, subresource) {
        call(`create ${names.plural}/${subresource}`);
        return { status: { token: `token-for-${key.name}-${++revision}`, expirationTimestamp: timestamp(clock.now() + 3600_000) } } as never;
      },
    };
  }
  const client: MemoryClient = { writes, for: resource, async request() { throw new Error('the memory client takes no raw requests'); } };
  return client;
}
