/**
 * create and update: one way in for every kind. A write decodes, is admitted, prepared, validated and committed against the
 * revision it read; when another write came first it starts again from the new state (GuaranteedUpdate).
 * Source: apiserver/pkg/registry/generic/registry/store.go, pkg/endpoints/handlers/{create,update}.go, pkg/registry/rest.
 */
import { cloneJson, jsonEqual, type Draft, type Json, type JsonObject } from '../../base/json.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound, staleObject, StatusError, type FieldError } from '../../api/meta/status.ts';
import type { ObjectMeta } from '../../api/meta/v1.ts';
import type { ApiObject } from '../../client/client.ts';
import type { Entry } from '../../store/store.ts';
import { CacheEntry } from '../cache-entry.ts';
import type { ApiResult } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import type { AdmissionAttributes, StrategyContext } from '../types.ts';
import { admit, validateAdmission } from './admission.ts';
import { authorizeVerb } from './authorization.ts';
import { decodeBody, isDryRun } from './body.ts';
import { fresh, type Call } from './context.ts';
import { trackFields } from './managed-fields.ts';
import { managerOf } from './field-manager.ts';
import { ensureNamespace, fillForCreate, fillForUpdate, generateName, sameObject, validateMetadata, validateMetadataUpdate } from './metadata.ts';
import { restrictUpdate } from './subresource-fields.ts';

/** Tries for a free generated name. Source: KEP-4420. */
const generateNameTries = 8;
/** Times a write starts again because another came first. */
const conflictRetries = 100;

export type DraftObject = Draft<ApiObject>;

export interface Written {
  entry: CacheEntry;
  created: boolean;
  /** The update removed the object: its last finalizer went. */
  deleted?: boolean;
}

export function strategyContext({ context, request, info }: Call, dryRun: boolean, subresource = info.subresource): StrategyContext {
  return { user: request.user, clock: context.clock, rng: context.rng, subresource, client: context.client, dryRun };
}

export function attributesOf(call: Call, operation: AdmissionAttributes['operation'], dryRun: boolean, extra: { object?: JsonObject; oldObject?: JsonObject; options?: JsonObject; name?: string } = {}): AdmissionAttributes {
  const { resource, info, request } = call;
  return {
    operation, names: resource.names, subresource: info.subresource, namespace: info.namespace, name: extra.name ?? info.name, user: request.user, dryRun,
    ...(extra.object ? { object: extra.object } : {}), ...(extra.oldObject ? { oldObject: extra.oldObject } : {}), ...(extra.options ? { options: extra.options } : {}),
    ...(request.audit ? { annotate: (key: string, value: string) => request.audit!.annotate(key, value) } : {}),
    warn: (message) => { if (!request.warnings.includes(message)) request.warnings.push(message); },
  };
}

function writeOptions({ request }: Call, kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions', dryRun: boolean): JsonObject {
  const fieldManager = request.query.get('fieldManager');
  const fieldValidation = request.query.get('fieldValidation');
  return { kind, apiVersion: 'meta.k8s.io/v1', ...(dryRun ? { dryRun: ['All'] } : {}), ...(fieldManager ? { fieldManager } : {}), ...(fieldValidation ? { fieldValidation } : {}) };
}

export const expected = (resource: ServedResource) => ({ kind: resource.names.kind, apiVersion: resource.names.apiVersion, type: resource.type });

/** What goes to the store: kind, apiVersion and metadata first (the cache splices there), without resourceVersion. */
async function encodeStored(resource: ServedResource, object: ApiObject): Promise<{ stored: DraftObject; bytes: Buffer }> {
  const converted = resource.entry.alias?.toStored(object as unknown as JsonObject);
  const source = converted ? (converted instanceof Promise ? await converted : converted) as unknown as ApiObject : object;
  const { kind: _, apiVersion: __, metadata: { resourceVersion: ___, selfLink: ____, ...metadata }, ...rest } = source;
  const { form } = resource.cache;
  const stored = { kind: form.kind, apiVersion: form.apiVersion, metadata, ...rest } as DraftObject;
  return { stored, bytes: Buffer.from(JSON.stringify(stored)) };
}

async function committed(call: Call, stored: DraftObject, bytes: Buffer, key: string, revision: number): Promise<CacheEntry> {
  const { cache } = call.resource;
  stored.metadata.resourceVersion = String(revision);
  cache.offer(key, revision, stored as ApiObject);
  const entry = new CacheEntry(cache.form, key, revision, bytes, stored as ApiObject);
  const passing = call.context.feed.waitFor(revision);
  if (passing) await passing;
  return cache.get(key)?.revision === revision ? cache.get(key)! : entry;
}
/** What a dry run answers with. */
function pretend(call: Call, stored: DraftObject, bytes: Buffer, key: string, revision: number): CacheEntry {
  if (revision > 0) stored.metadata.resourceVersion = String(revision);
  const { cache } = call.resource;
  return revision > 0 ? new CacheEntry(cache.form, key, revision, bytes, stored as ApiObject) : new CacheEntry({ ...cache.form, head: Buffer.from('\0') }, key, 0, undefined, stored as ApiObject);
}

function throwIfInvalid(resource: ServedResource, name: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: resource.names.group, kind: resource.names.kind }, name, errors);
}

// ---- create

export async function create(call: Call): Promise<ApiResult> {
  const { resource, request } = call;
  const dryRun = isDryRun(request.query.all('dryRun'));
  const object = decodeBody(request, expected(resource)) as unknown as DraftObject;
  const { entry } = await createObject(call, object, dryRun);
  return { type: 'object', code: 201, resource, entry };
}

/** `object` is changed on the way. */
export async function createObject(call: Call, object: DraftObject, dryRun: boolean, ownFields = false): Promise<Written> {
  const { context, resource, request, info } = call;
  const { strategy } = resource.entry;
  const meta = object.metadata ??= {} as Draft<ObjectMeta>;
  ensureNamespace(meta, resource, info.namespace);
  if (meta.resourceVersion) throw new StatusError({ code: 500, message: 'resourceVersion should not be set on objects to be created' });
  strategy.setDefaults?.(object);
  const generated = !meta.name && meta.generateName ? meta.generateName : '';
  const { strategyFor, attributes } = { strategyFor: strategyContext(call, dryRun, ''), attributes: attributesOf(call, 'CREATE', dryRun, { object: object as unknown as JsonObject, options: writeOptions(call, 'CreateOptions', dryRun), name: meta.name ?? '' }) };
  await admit(context.admission, attributes);
  if (!ownFields) trackFields(call, undefined, object, managerOf(request), '');

  fillForCreate(meta, context.clock, context.rng);
  if (generated) meta.name = generateName(generated, context.rng);
  const allocation = await strategy.allocate?.(object, undefined, strategyFor);
  try {
    if (strategy.generation !== 'none' && resource.hasSpec) meta.generation = 1;
    if (resource.hasStatus && !strategy.keepsStatusOnCreate) delete (object as { status?: unknown }).status;
    strategy.prepareForCreate?.(object, strategyFor);
    throwIfInvalid(resource, meta.name ?? '', [...validateMetadata(meta as ObjectMeta, resource), ...strategy.validate?.(object as ApiObject, strategyFor) ?? []]);
    for (const warning of strategy.warnings?.(object as ApiObject, undefined) ?? []) attributes.warn(warning);
    attributes.name = meta.name!;
    await validateAdmission(context.admission, attributes);
    for (let attempt = 1; ; attempt++) {
      const key = resource.key(meta.namespace ?? '', meta.name!);
      const { stored, bytes } = await encodeStored(resource, object as ApiObject);
      if (dryRun) {
        if (await context.store.get(key)) throw alreadyExists(resource.groupResource, meta.name!);
        return { entry: pretend(call, stored, bytes, key, 0), created: true };
      }
      const result = await context.store.txn(key, { expect: 0, value: bytes });
      if (result.ok) {
        allocation?.commit();
        return { entry: await committed(call, stored, bytes, key, result.revision), created: true };
      }
      if (!generated) throw alreadyExists(resource.groupResource, meta.name!);
      if (attempt === generateNameTries) {
        const { status } = alreadyExists(resource.groupResource, meta.name!);
        throw new StatusError({ ...status, message: `${status.message}, the server was not able to generate a unique name for the object`, details: { ...status.details, retryAfterSeconds: 1 } });
      }
      meta.name = generateName(generated, context.rng);
    }
  } catch (err) {
    allocation?.release();
    throw err;
  }
}

// ---- update

export async function update(call: Call): Promise<ApiResult> {
  const { resource, request, info } = call;
  const dryRun = isDryRun(request.query.all('dryRun'));
  const decode = () => {
    const object = decodeBody(request, expected(resource)) as unknown as DraftObject;
    const meta = object.metadata ??= {} as Draft<ObjectMeta>;
    if (!meta.name) throw badRequest('name must be provided');
    if (meta.name !== info.name) throw badRequest(`the name of the object (${meta.name}) does not match the name on the URL (${info.name})`);
    ensureNamespace(meta, resource, info.namespace);
    resource.entry.strategy.setDefaults?.(object);
    return object;
  };
  const written = await updateObject(call, {
    dryRun, manager: managerOf(request), subresource: info.subresource,
    make: () => decode(),
    ...(resource.entry.strategy.allowCreateOnUpdate && info.subresource === '' ? {
      createWhenAbsent: async () => {
        const object = decode();
        await authorizeVerb(call, 'create');
        delete object.metadata.resourceVersion;
        return object;
      },
    } : {}),
  });
  return { type: 'object', code: written.created ? 201 : 200, resource, entry: written.entry };
}

export interface UpdatePlan {
  dryRun: boolean;
  manager: string;
  subresource: string;
  /** The object to become, a draft of the caller's own, from the current one (read-only). Runs again after a conflict. */
  make(old: ApiObject, current: CacheEntry): Promise<DraftObject> | DraftObject;
  createWhenAbsent?(): Promise<DraftObject>;
  /** Records managedFields itself (server-side apply). */
  ownFields?: boolean;
  optionsKind?: 'UpdateOptions' | 'PatchOptions';
}

const preconditionUid = (wanted: string, found: string) => `Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${found}`;

export async function updateObject(call: Call, plan: UpdatePlan): Promise<Written> {
  const { context, resource, request, info } = call;
  const key = resource.key(info.namespace, info.name);
  await fresh(context);
  await resource.cache.ready();
  let current = resource.cache.get(key);
  for (let attempt = 0; ; attempt++) {
    if (!current) {
      if (!plan.createWhenAbsent) throw notFound(resource.groupResource, info.name);
      const object = await plan.createWhenAbsent();
      try {
        return await createObject(call, object, plan.dryRun, plan.ownFields);
      } catch (err) {
        const now = await context.store.get(key);
        if (!(err instanceof StatusError) || err.reason !== 'AlreadyExists' || !now || attempt >= conflictRetries) throw err;
        current = cacheEntryOf(resource, now);
        continue;
      }
    }
    const outcome = await attemptUpdate(call, plan, key, current);
    if ('written' in outcome) return outcome.written;
    if (attempt >= conflictRetries) throw conflict(resource.groupResource, info.name, staleObject);
    current = outcome.current && cacheEntryOf(resource, outcome.current);
    if (request.signal?.aborted) throw request.signal.reason as Error;
  }
}
const cacheEntryOf = (resource: ServedResource, { key, modRevision, value }: Entry) => new CacheEntry(resource.cache.form, key, modRevision, value);

async function attemptUpdate(call: Call, plan: UpdatePlan, key: string, current: CacheEntry): Promise<{ written: Written } | { current: Entry | undefined }> {
  const { context, resource } = call;
  const { strategy } = resource.entry;
  const { dryRun, subresource } = plan;
  const preparing = resource.prepare([current]);
  if (preparing) await preparing;
  const old = resource.view(current);
  const next = await plan.make(old, current);
  let meta = next.metadata;
  const version = meta.resourceVersion;
  if (version && version !== '0') {
    if (version !== old.metadata.resourceVersion) throw conflict(resource.groupResource, meta.name, staleObject);
  } else if (strategy.allowUnconditionalUpdate !== false) meta.resourceVersion = old.metadata.resourceVersion!;
  if (meta.uid && meta.uid !== old.metadata.uid) throw conflict(resource.groupResource, meta.name, preconditionUid(meta.uid, old.metadata.uid ?? ''));

  restrictUpdate(next, old, subresource, resource.hasStatus);
  // A subresource keeps the old metadata, as a copy.
  meta = next.metadata;
  const strategyFor = strategyContext(call, dryRun, subresource);
  const attributes = attributesOf(call, 'UPDATE', dryRun, { object: next as unknown as JsonObject, oldObject: old as unknown as JsonObject, options: writeOptions(call, plan.optionsKind ?? 'UpdateOptions', dryRun) });
  await admit(context.admission, attributes);
  if (!plan.ownFields) trackFields(call, old, next, plan.manager, subresource);

  const allocation = subresource === '' ? await strategy.allocate?.(next, old, strategyFor) : undefined;
  let done = false;
  try {
    if (old.metadata.generation === undefined) delete meta.generation; else meta.generation = old.metadata.generation;
    strategy.prepareForUpdate?.(next, old, strategyFor);
    fillForUpdate(meta, old.metadata);
    if (strategy.generation !== 'none' && resource.hasSpec && subresource !== 'status' && meta.generation === old.metadata.generation && !jsonEqual(specOf(next), specOf(old))) {
      meta.generation = (old.metadata.generation ?? 0) + 1;
    }
    const errors = [...validateMetadata(meta as ObjectMeta, resource), ...validateMetadataUpdate(meta as ObjectMeta, old.metadata)];
    const validate = subresource === 'status' ? strategy.validateStatusUpdate?.bind(strategy) : strategy.validateUpdate?.bind(strategy);
    throwIfInvalid(resource, meta.name, [...errors, ...validate?.(next as ApiObject, old, strategyFor) ?? []]);
    for (const warning of strategy.warnings?.(next as ApiObject, old) ?? []) attributes.warn(warning);
    await validateAdmission(context.admission, attributes);

    const remove = meta.deletionTimestamp !== undefined && old.metadata.deletionTimestamp !== undefined && (meta.finalizers ?? []).length === 0 && !meta.deletionGracePeriodSeconds && !strategy.holdsDeletion?.(next as ApiObject);
    // An unchanged object stored under an older version is written again: that is how storage is migrated.
    if (!remove && sameObject(next as ApiObject, old) && !context.encryption?.isStale(key, current.revision) && current.object.apiVersion === resource.cache.form.apiVersion) return { written: { entry: current, created: false } };
    const { stored, bytes } = await encodeStored(resource, next as ApiObject);
    if (dryRun) { return { written: { entry: pretend(call, stored, bytes, key, current.revision), created: false, deleted: remove } }; }
    const result = await context.store.txn(key, { expect: current.revision, value: remove ? null : bytes });
    if (!result.ok) return { current: result.current };
    done = true;
    allocation?.commit();
    if (remove) {
      strategy.onDeleted?.(old, strategyFor);
      const passing = context.feed.waitFor(result.revision);
      if (passing) await passing;
      stored.metadata.resourceVersion = String(result.revision);
      return { written: { entry: new CacheEntry(resource.cache.form, key, result.revision, bytes, stored as ApiObject), created: false, deleted: true } };
    }
    return { written: { entry: await committed(call, stored, bytes, key, result.revision), created: false } };
  } finally {
    if (!done) allocation?.release();
  }
}
const specOf = (object: object): Json | undefined => (object as { spec?: Json }).spec;

/**
 * Changes a stored object without the strategy: for the server's own steps (binding, deletion marks, evictions). `change`
 * edits a draft and returns 'delete' to remove the object, 'keep' to leave it; it runs again after a conflict.
 */
export async function changeStored(call: Call, change: (draft: DraftObject, current: CacheEntry) => Promise<'write' | 'delete' | 'keep'> | 'write' | 'delete' | 'keep', dryRun: boolean): Promise<{ entry: CacheEntry; outcome: 'write' | 'delete' | 'keep' }> {
  const { context, resource, info } = call;
  const key = resource.key(info.namespace, info.name);
  await fresh(context);
  await resource.cache.ready();
  let current = resource.cache.get(key);
  for (let attempt = 0; ; attempt++) {
    if (!current) throw notFound(resource.groupResource, info.name);
    const draft = cloneJson(current.object as unknown as JsonObject) as unknown as DraftObject;
    const outcome = await change(draft, current);
    if (outcome === 'keep') return { entry: current, outcome };
    const { kind, apiVersion, metadata: { resourceVersion: _, ...metadata }, ...rest } = draft;
    const stored = { kind, apiVersion, metadata, ...rest } as DraftObject;
    const bytes = Buffer.from(JSON.stringify(stored));
    if (dryRun) return { entry: pretend(call, stored, bytes, key, current.revision), outcome };
    const result = await context.store.txn(key, { expect: current.revision, value: outcome === 'delete' ? null : bytes });
    if (result.ok) {
      if (outcome === 'write') return { entry: await committed(call, stored, bytes, key, result.revision), outcome };
      const passing = context.feed.waitFor(result.revision);
      if (passing) await passing;
      stored.metadata.resourceVersion = String(result.revision);
      return { entry: new CacheEntry(resource.cache.form, key, result.revision, bytes, stored as ApiObject), outcome };
    }
    if (attempt >= conflictRetries) throw conflict(resource.groupResource, info.name, staleObject);
    current = result.current && cacheEntryOf(resource, result.current);
  }
}
