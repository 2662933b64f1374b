/**
 * The client that every component uses, typed by the API schema. Components can't tell which transport they were given:
 * HTTPS (`rest.ts`) or in-process (`apiserver/in-process.ts`). Objects it returns are shared and read-only: copy, then change.
 */
import type { Json, JsonObject } from '../base/json.ts';
import type { ObjectMeta, ListMeta, Status, DeleteOptions } from '../api/meta/v1.ts';
import type { ResourceNames } from '../api/resource-names.ts';

/** What every API object has. */
export interface ApiObject { readonly apiVersion: string; readonly kind: string; readonly metadata: ObjectMeta }

/** An object to create: name may be left to generateName, and the server fills the rest of metadata. apiVersion and kind are filled in. */
export type NewObject<T> = T extends ApiObject ? Omit<T, 'metadata' | 'apiVersion' | 'kind'> & { readonly apiVersion?: string; readonly kind?: string; readonly metadata: Partial<ObjectMeta> } : T;

export interface ObjectKey { namespace?: string | undefined; name: string }

export interface ListResult<T> { items: readonly T[]; metadata: ListMeta }

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: T }
  | { type: 'ERROR'; object: Status };

export interface CallOptions { signal?: AbortSignal | undefined }
export interface ListOptions extends CallOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  limit?: number | undefined;
  continue?: string | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}
export interface WatchOptions extends ListOptions {
  allowWatchBookmarks?: boolean | undefined;
  sendInitialEvents?: boolean | undefined;
  timeoutSeconds?: number | undefined;
  /** The caller looks at each object once and keeps none, so the server need not keep them parsed. */
  transient?: boolean | undefined;
}
export interface WriteOptions extends CallOptions { dryRun?: boolean | undefined; fieldManager?: string | undefined; subresource?: string | undefined }
export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';
export interface PatchOptions extends WriteOptions { force?: boolean | undefined }
export interface RemoveOptions extends CallOptions, Pick<DeleteOptions, 'gracePeriodSeconds' | 'propagationPolicy' | 'preconditions'> { dryRun?: boolean | undefined }

/** Calls on one resource. All throw `StatusError` with the server's Status. */
export interface ResourceClient<T> {
  get(key: ObjectKey, options?: CallOptions & { resourceVersion?: string }): Promise<T>;
  list(options?: ListOptions): Promise<ListResult<T>>;
  /** Ends when the server closes the watch (ordinary: watch again from the last resourceVersion) or the signal aborts; throws when it cannot start or breaks off. */
  watch(options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create(object: NewObject<T>, options?: WriteOptions & { namespace?: string | undefined }): Promise<T>;
  /** Namespace and name are taken from the object; so is resourceVersion, as the precondition. */
  update(object: T, options?: WriteOptions): Promise<T>;
  /** `update` of the status subresource. */
  updateStatus(object: T, options?: WriteOptions): Promise<T>;
  patch(key: ObjectKey, type: PatchType, patch: Json, options?: PatchOptions): Promise<T>;
  /** Resolves with the object (still there with a deletionTimestamp, or as last seen) or a Status. */
  delete(key: ObjectKey, options?: RemoveOptions): Promise<T | Status>;
  deleteCollection(options?: ListOptions & RemoveOptions): Promise<void>;
  /** POST to a create-style subresource: 'binding', 'eviction', 'token'. */
  createSubresource<R = unknown>(key: ObjectKey, subresource: string, body: JsonObject | object, options?: WriteOptions): Promise<R>;
}

export interface Client {
  /** `client.for(pods).get({ namespace, name })`, with the constants of `api/resources.ts`. Cheap; no caching needed. */
  for<T>(names: ResourceNames<T>): ResourceClient<T>;
  /** Any request, for discovery, logs of raw paths and kinds known only at run time. */
  request(request: TransportRequest): Promise<Json>;
}

/** A transport moves requests and parsed answers; everything typed is built on it once, in `typed-client.ts`. */
export interface TransportRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** '/api/v1/namespaces/default/pods' */
  path: string;
  query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  body?: Json | object;
  /** Default application/json; the patch types set their own. */
  contentType?: string;
  /** See `WatchOptions.transient`; a hint for the in-process transport. */
  transient?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
export interface Transport {
  /** The parsed answer (a string where the server sent plain text). Throws `StatusError` for codes from 400 on. */
  request(request: TransportRequest): Promise<Json>;
  /** A GET with `watch=true` in its query. */
  watch(request: TransportRequest): AsyncIterable<WatchEvent<unknown>>;
}
