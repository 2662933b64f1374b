/**
 * The typed `Client` over any `Transport`: paths, queries and bodies are derived from a resource's names, once for all kinds.
 * Source: Kubernetes API concepts (resource URIs, dry-run, field managers, patch media types).
 */
import type { Json, JsonObject } from '../base/json.ts';
import { resourcePath, type ResourceNames } from '../api/resource-names.ts';
import type {
  ApiObject, Client, ListOptions, ListResult, ObjectKey, PatchType, ResourceClient, Transport, TransportRequest, WatchEvent, WatchOptions, WriteOptions,
} from './client.ts';

type Query = Record<string, string | readonly string[] | undefined>;

/** Media types of the patch kinds. */
export const patchContentTypes: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

export function createClient(transport: Transport): Client {
  const clients = new WeakMap<ResourceNames, ResourceClient<unknown>>();
  return {
    for<T>(names: ResourceNames<T>): ResourceClient<T> {
      let client = clients.get(names);
      if (!client) clients.set(names, client = createResourceClient(transport, names) as ResourceClient<unknown>);
      return client as ResourceClient<T>;
    },
    request: (request) => transport.request(request),
  };
}

function createResourceClient<T>(transport: Transport, names: ResourceNames<T>): ResourceClient<T> {
  const send = async <R>(request: TransportRequest): Promise<R> => (await transport.request(request)) as R;
  const keyOf = (object: T): ObjectKey => {
    const { namespace, name } = (object as ApiObject).metadata;
    return { namespace, name };
  };
  /** With apiVersion and kind, which callers leave out and list items may lack. */
  const typed = <O>(object: O): O => {
    const { apiVersion, kind } = object as Partial<ApiObject>;
    return apiVersion && kind ? object : { apiVersion: names.apiVersion, kind: names.kind, ...object };
  };

  const put = (object: T, options: WriteOptions, subresource: string | undefined): Promise<T> => send<T>({
    method: 'PUT', path: resourcePath(names, { ...keyOf(object), subresource }), query: writeQuery(options), body: typed(object) as object, signal: options.signal,
  });

  return {
    get: (key, options = {}) => send<T>({
      method: 'GET', path: resourcePath(names, key), query: { resourceVersion: options.resourceVersion }, signal: options.signal,
    }),
    async list(options = {}) {
      const list = await send<ListResult<T>>({ method: 'GET', path: resourcePath(names, { namespace: options.namespace }), query: listQuery(options), signal: options.signal });
      const items = list.items ?? [];
      const first = items[0] as Partial<ApiObject> | undefined;
      return { metadata: list.metadata ?? {}, items: first && !first.kind ? items.map(typed) : items };
    },
    watch: (options: WatchOptions) => transport.watch({
      method: 'GET', path: resourcePath(names, { namespace: options.namespace }), signal: options.signal, transient: options.transient,
      query: {
        ...listQuery(options), watch: 'true',
        allowWatchBookmarks: flag(options.allowWatchBookmarks), sendInitialEvents: flag(options.sendInitialEvents), timeoutSeconds: text(options.timeoutSeconds),
      },
    }) as AsyncIterable<WatchEvent<T>>,
    create: (object, options = {}) => {
      const namespace = options.namespace ?? (object as { metadata?: { namespace?: string } }).metadata?.namespace;
      const name = options.subresource ? (object as { metadata: { name?: string } }).metadata.name : undefined;
      return send<T>({
        method: 'POST', path: resourcePath(names, { namespace, name, subresource: options.subresource }), query: writeQuery(options), body: typed(object) as object, signal: options.signal,
      });
    },
    update: (object, options = {}) => put(object, options, options.subresource),
    updateStatus: (object, options = {}) => put(object, options, 'status'),
    patch: (key, type, patch, options = {}) => send<T>({
      method: 'PATCH', path: resourcePath(names, { ...key, subresource: options.subresource }), contentType: patchContentTypes[type],
      query: { ...writeQuery(options), force: flag(options.force) }, body: patch, signal: options.signal,
    }),
    delete: (key, options = {}) => send({
      method: 'DELETE', path: resourcePath(names, key), query: { dryRun: options.dryRun ? 'All' : undefined }, body: deleteBody(options), signal: options.signal,
    }),
    async deleteCollection(options = {}) {
      await transport.request({
        method: 'DELETE', path: resourcePath(names, { namespace: options.namespace }),
        query: { ...listQuery(options), dryRun: options.dryRun ? 'All' : undefined }, body: deleteBody(options), signal: options.signal,
      });
    },
    createSubresource: (key, subresource, body, options = {}) => send({
      method: 'POST', path: resourcePath(names, { ...key, subresource }), query: writeQuery(options), body: body as JsonObject, signal: options.signal,
    }),
  };
}

const flag = (value: boolean | undefined): string | undefined => (value === undefined ? undefined : String(value));
const text = (value: number | undefined): string | undefined => (value === undefined ? undefined : String(value));

function writeQuery(options: WriteOptions): Query {
  return { dryRun: options.dryRun ? 'All' : undefined, fieldManager: options.fieldManager };
}

function listQuery(options: ListOptions): Query {
  return {
    labelSelector: options.labelSelector || undefined, fieldSelector: options.fieldSelector || undefined, limit: text(options.limit),
    continue: options.continue || undefined, resourceVersion: options.resourceVersion, resourceVersionMatch: options.resourceVersionMatch,
  };
}

function deleteBody(options: { gracePeriodSeconds?: number; propagationPolicy?: string; preconditions?: { readonly uid?: string; readonly resourceVersion?: string } }): Json | undefined {
  const { gracePeriodSeconds, propagationPolicy, preconditions } = options;
  if (gracePeriodSeconds === undefined && propagationPolicy === undefined && preconditions === undefined) return undefined;
  return {
    apiVersion: 'v1', kind: 'DeleteOptions',
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }), ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(preconditions === undefined ? {} : { preconditions: { ...preconditions } }),
  };
}
