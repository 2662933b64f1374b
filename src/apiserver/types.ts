/**
 * The contracts between the apiserver's parts: who asks (`auth/`), what may happen (`admission/`), what a resource is
 * (`registry/`), and how requests run (`handlers/`). Types only.
 */
import type { Draft, Json, JsonObject } from '../base/json.ts';
import type { FieldError } from '../api/meta/status.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, Client } from '../client/client.ts';
import type { Clock } from '../base/clock.ts';
import type { Rng } from '../base/rng.ts';
import type { TypeSchema } from '../api/schema.ts';
import type { CacheEntry } from './cache-entry.ts';

// ---- who asks

export interface UserInfo { name: string; uid?: string; groups: readonly string[]; extra?: Readonly<Record<string, readonly string[]>> }

export interface AuthenticationRequest {
  /** Lower-case header names. */
  headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The client certificate that TLS verified against the client CA, DER; undefined when none was sent or it did not verify. */
  clientCertificate?: Uint8Array;
  path: string;
  signal?: AbortSignal;
}
/** Undefined: no credentials of this kind. Throws `unauthorized()` when there are some and they are bad. */
export interface Authenticator { authenticate(request: AuthenticationRequest): Promise<UserInfo | undefined> }

// ---- what is asked. Source: apiserver/pkg/endpoints/request/requestinfo.go

export interface RequestInfo {
  /** A resource's: get, list, watch, create, update, patch, delete, deletecollection; else the HTTP method in lower case. */
  verb: string;
  path: string;
  isResource: boolean;
  /** '' for core. */
  group: string;
  version: string;
  namespace: string;
  resource: string;
  subresource: string;
  name: string;
  /** What follows the subresource: the path after `proxy/`. */
  rest: string;
}

export interface AuthorizationAttributes extends Pick<RequestInfo, 'verb' | 'path' | 'isResource' | 'group' | 'version' | 'namespace' | 'resource' | 'subresource' | 'name'> {
  user: UserInfo;
  fieldSelector?: string;
  labelSelector?: string;
}
export interface AuthorizationDecision { decision: 'allow' | 'deny' | 'none'; reason: string }
export interface ResourceRule { verbs: readonly string[]; apiGroups?: readonly string[]; resources?: readonly string[]; resourceNames?: readonly string[] }
export interface NonResourceRule { verbs: readonly string[]; nonResourceURLs: readonly string[] }
export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Promise<AuthorizationDecision>;
  /** For SelfSubjectRulesReview; `incomplete` with a reason where a part can't be told. */
  rulesFor(user: UserInfo, namespace: string): Promise<{ resourceRules: ResourceRule[]; nonResourceRules: NonResourceRule[]; incomplete: boolean; evaluationError?: string }>;
}

// ---- admission. Source: apiserver/pkg/admission

export interface AdmissionAttributes {
  operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  names: ResourceNames;
  subresource: string;
  namespace: string;
  name: string;
  /** Changed in place by mutating plugins. Undefined for DELETE. */
  object?: JsonObject;
  /** Never changed. Undefined for CREATE and CONNECT. */
  oldObject?: JsonObject;
  user: UserInfo;
  dryRun: boolean;
  /** CreateOptions, UpdateOptions, DeleteOptions or the connect options. */
  options?: JsonObject;
  /** Adds a Warning header to the answer. */
  warn(message: string): void;
  /** Adds an audit annotation: 'webhook.example.com/key'. */
  annotate?(key: string, value: string): void;
}
export interface AdmissionPlugin {
  /** Upstream's plugin name: 'NamespaceLifecycle'. */
  name: string;
  handles(operation: AdmissionAttributes['operation'], names: ResourceNames, subresource: string): boolean;
  /** Mutating phase; throws `forbidden()` or another StatusError to refuse. */
  admit?(attributes: AdmissionAttributes): Promise<void> | void;
  /** Validating phase, after all mutation and the strategy's validation. */
  validate?(attributes: AdmissionAttributes): Promise<void> | void;
}

// ---- a resource. Built-in kinds, custom resources and aggregated ones all end as a ResourceEntry.

export interface StrategyContext {
  user: UserInfo;
  clock: Clock;
  rng: Rng;
  /** '' for the resource itself, 'status', 'scale', … */
  subresource: string;
  /** As the apiserver itself (system:masters), for strategies that look something up. */
  client: Client;
  dryRun: boolean;
}

/**
 * What one kind does beyond the generic. All optional: the generic code already handles decoding, pruning, metadata
 * validation (`name` by `validateName`), generation, deletion, status separation, selectors and tables.
 * Source: apiserver/pkg/registry/rest (RESTCreateStrategy, RESTUpdateStrategy) and upstream's pkg/registry.
 */
export interface Strategy<T extends ApiObject = ApiObject> {
  /** Fills absent fields, as upstream's defaults.go; idempotent. Runs after decoding, before admission, and on templates through their owners. */
  setDefaults?(object: Draft<T>): void;
  /** Clears what a client may not set (status: done generically when there is a status subresource) and fills what the server owns. */
  prepareForCreate?(object: Draft<T>, context: StrategyContext): void;
  prepareForUpdate?(object: Draft<T>, old: T, context: StrategyContext): void;
  /** Reserves things outside the object (cluster IPs, node ports) and writes them into it; `release` when the write did not happen, `commit` after it did. */
  allocate?(object: Draft<T>, old: T | undefined, context: StrategyContext): Promise<{ commit(): void; release(): void } | undefined>;
  /** After the object left the store: gives back what `allocate` reserved. */
  onDeleted?(object: T, context: StrategyContext): void;
  /** The status a client sends on create is kept (nodes). Default: it is cleared where there is a status subresource. */
  keepsStatusOnCreate?: boolean;
  /** Messages about the name; default DNS-1123 subdomain. `prefix`: it is a generateName. */
  validateName?(name: string, prefix: boolean): readonly string[];
  validate?(object: T, context: StrategyContext): FieldError[];
  /** Of an update to the main resource; `context.subresource` tells the others. Runs `validate` too where upstream does: say so here, nothing is implied. */
  validateUpdate?(object: T, old: T, context: StrategyContext): FieldError[];
  validateStatusUpdate?(object: T, old: T, context: StrategyContext): FieldError[];
  /** Texts for the Warning header. */
  warnings?(object: T, old: T | undefined): string[];
  /** PUT to a name that does not exist creates it. Default false. */
  allowCreateOnUpdate?: boolean;
  /** PUT without resourceVersion is taken as of the latest. Default true. */
  allowUnconditionalUpdate?: boolean;
  /** Which changes raise metadata.generation. Default: any change of spec where there is a spec (`'spec'`); `'none'`: the kind has no generation. */
  generation?: 'spec' | 'none';
  /** For kinds that end gracefully: how long until removal, in seconds, from the options and the object; 0 removes at once. */
  gracePeriodSeconds?(object: T, requested: number | undefined): number;
  /** Something beside metadata.finalizers keeps a deleted object for now (namespaces: spec.finalizers). */
  holdsDeletion?(object: T): boolean;
  /** Changes an object that is marked as deleted and stays for now (namespaces: status.phase Terminating). `now`: milliseconds. */
  prepareForDelete?(object: Draft<T>, now: number): void;
  /** Finalizers the server itself adds with the first delete request (custom resource definitions). */
  deletionFinalizers?: readonly string[];
  /** Propagation when the client does not say: most kinds 'background'; 'orphan' for ReplicationController v1 as upstream. */
  defaultPropagation?: 'background' | 'orphan' | 'none';
}

export interface Column<T = ApiObject> {
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  format?: string;
  description: string;
  /** 0 shows always, 1 only in `-o wide`. */
  priority?: number;
  value(object: T, now: number): Json;
}

export interface ResourceEntry<T extends ApiObject = ApiObject> {
  names: ResourceNames<T>;
  /** Where objects lie in the store, no trailing slash: '/registry/pods', '/registry/services/specs'. Upstream's to the letter. */
  storagePrefix: string;
  strategy: Strategy<T>;
  columns: readonly Column<T>[];
  /** Field selectors beside metadata.name and metadata.namespace: the path and its value as text. */
  fieldSelectors?: Readonly<Record<string, (object: T) => string>>;
  /** The scale subresource. `selector` is the text form for Scale.status.selector. */
  scale?: { specReplicas: string; statusReplicas: string; selector(object: T): string; /** Without a value at `specReplicas` there is no scale. */ required?: boolean };
  /** Another version or group that shows the same stored objects (events, horizontalpodautoscalers, custom resources): stored in `of`'s form. */
  alias?: {
    of: ResourceNames;
    toStored(object: JsonObject): JsonObject | Promise<JsonObject>;
    /** The same object when it is shown as it is stored. Metadata but labels and annotations is never changed. */
    fromStored(object: JsonObject, entry?: CacheEntry): JsonObject;
    /** What cached views are kept under, where the apiVersion does not say enough (a schema that changes). */
    viewName?: string;
    /** To be awaited before these are shown: conversion by webhook. */
    prepare?(entries: readonly CacheEntry[]): Promise<void> | undefined;
  };
  /** The schema where the type is not built in; made when first asked for. */
  type?(): TypeSchema;
  /** Warnings that every request earns (deprecated versions). */
  notices?: readonly string[];
  /** The definition is being deleted: discovery names no verbs that write. */
  terminating?: boolean;
  /** Create-only kinds that answer and store nothing (reviews): returns the object to answer with. */
  answer?(object: T, context: StrategyContext & { namespace: string }): Promise<JsonObject>;
  /** DELETE answers with the object rather than a Status once it is gone (pods, services …). Default: by upstream's list. */
  returnsDeleted?: boolean;
  /** Objects vanish after this long (events: one hour). */
  ttlSeconds?: number;
}
