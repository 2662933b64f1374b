/**
 * delete and deletecollection: preconditions, propagation finalizers, graceful deletion, and what is left to finalizers.
 * Source: apiserver/pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go, pkg/endpoints/handlers/delete.go.
 */
import { timestamp } from '../../base/clock.ts';
import { isJsonObject, type JsonObject } from '../../base/json.ts';
import { badRequest, conflict, invalid, isNotFound, type FieldError } from '../../api/meta/status.ts';
import type { DeleteOptions, ObjectMeta } from '../../api/meta/v1.ts';
import * as problem from '../../api/validation/field.ts';
import { typeOf } from '../../api/schema.ts';
import type { ApiObject } from '../../client/client.ts';
import type { CacheEntry } from '../cache-entry.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import { admit, validateAdmission } from './admission.ts';
import { decodeAs, isDryRun, parseBody } from './body.ts';
import type { Call } from './context.ts';
import { listEntries } from './read.ts';
import { attributesOf, changeStored, strategyContext, type DraftObject } from './write.ts';

type Options = { -readonly [K in keyof DeleteOptions]: DeleteOptions[K] };

/** Deletions of a collection that run at once. Source: upstream's --delete-collection-workers, more since ours share a commit. */
const collectionWorkers = 16;

/** Kinds whose DELETE answers with the object. Source: upstream's OpenAPI document, 200 responses of DELETE. */
const answersWithObject = new Set([
  'persistentvolumeclaims', 'pods', 'podtemplates', 'resourcequotas', 'serviceaccounts', 'services', 'persistentvolumes',
  'deviceclasses.resource.k8s.io', 'resourceclaims.resource.k8s.io', 'resourceclaimtemplates.resource.k8s.io', 'resourceslices.resource.k8s.io',
  'csidrivers.storage.k8s.io', 'csinodes.storage.k8s.io', 'storageclasses.storage.k8s.io', 'volumeattachments.storage.k8s.io', 'volumeattributesclasses.storage.k8s.io',
]);

export function deleteOptions(request: ApiRequest): Options {
  const parsed = parseBody(request, 'DeleteOptions', false);
  let options: Options = {};
  if (parsed && isJsonObject(parsed.value)) {
    const apiVersion = typeof parsed.value.apiVersion === 'string' ? parsed.value.apiVersion : undefined;
    if (parsed.value.kind !== undefined && parsed.value.kind !== '' && parsed.value.kind !== 'DeleteOptions') throw badRequest(`decoded object cannot be converted to DeleteOptions`);
    parsed.value.kind = 'DeleteOptions';
    // Every group version has DeleteOptions registered.
    parsed.value.apiVersion = apiVersion || 'v1';
    options = decodeAs(request, parsed.value, { kind: 'DeleteOptions', apiVersion: parsed.value.apiVersion, type: typeOf('meta/v1.DeleteOptions') }, 'Ignore') as Options;
  } else {
    const { query } = request;
    const grace = query.get('gracePeriodSeconds');
    if (grace !== '') {
      if (!/^-?\d+$/.test(grace)) throw badRequest(`gracePeriodSeconds: Invalid value: ${JSON.stringify(grace)}: strconv.ParseInt: parsing ${JSON.stringify(grace)}: invalid syntax`);
      options.gracePeriodSeconds = Number(grace);
    }
    if (query.get('propagationPolicy') !== '') options.propagationPolicy = query.get('propagationPolicy');
    if (query.has('orphanDependents') && query.get('orphanDependents') !== '') options.orphanDependents = query.flag('orphanDependents');
  }
  const dryRun = [...options.dryRun ?? [], ...request.query.all('dryRun')].filter((value) => value !== '');
  if (dryRun.length > 0) options.dryRun = isDryRun(dryRun) ? ['All'] : [];
  const errors: FieldError[] = [];
  const policy = options.propagationPolicy;
  if (policy !== undefined && options.orphanDependents !== undefined) errors.push(problem.invalid(problem.field('propagationPolicy'), policy, 'orphanDependents and deletionPropagation cannot be both set'));
  if (policy !== undefined && !['Foreground', 'Background', 'Orphan'].includes(policy)) errors.push(problem.notSupported(problem.field('propagationPolicy'), policy, ['Foreground', 'Background', 'Orphan']));
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', errors);
  if (options.gracePeriodSeconds !== undefined && options.gracePeriodSeconds < 0) options.gracePeriodSeconds = 1;
  return options;
}

export async function remove(call: Call): Promise<ApiResult> {
  const options = deleteOptions(call.request);
  const { entry, deleted } = await removeObject(call, options);
  return answer(call, entry, deleted, options);
}

function answer({ resource, info }: Call, entry: CacheEntry, deleted: boolean, options: Options): ApiResult {
  const code = !deleted && options.orphanDependents === false ? 202 : 200;
  if (!deleted || (resource.entry.returnsDeleted ?? answersWithObject.has(resource.toString()))) return { type: 'object', code, resource, entry };
  const { uid } = entry.object.metadata;
  const { group, resource: kind } = resource.groupResource;
  return {
    type: 'value', code,
    value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: info.name, ...(group ? { group } : {}), kind, ...(uid ? { uid } : {}) } },
  };
}

/** Removes what the call names, or marks it. `deleted`: it is gone. */
export async function removeObject(call: Call, options: Options): Promise<{ entry: CacheEntry; deleted: boolean }> {
  const { context, resource } = call;
  const dryRun = (options.dryRun ?? []).length > 0;
  const { strategy } = resource.entry;
  let admitted: CacheEntry | undefined;
  const { entry, outcome } = await changeStored(call, async (draft, current) => {
    checkPreconditions(resource, current.object, options);
    if (admitted !== current) {
      const preparing = resource.prepare([current]);
      if (preparing) await preparing;
      const attributes = attributesOf(call, 'DELETE', dryRun, { oldObject: resource.view(current) as unknown as JsonObject, options: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options } as unknown as JsonObject });
      await admit(context.admission, attributes);
      await validateAdmission(context.admission, attributes);
      admitted = current;
    }
    return markDeleted(draft, resource, options, context.clock.now());
  }, dryRun);
  if (outcome === 'delete' && !dryRun) strategy.onDeleted?.(entry.object, strategyContext(call, dryRun));
  return { entry, deleted: outcome === 'delete' };
}

function checkPreconditions({ groupResource }: ServedResource, { metadata }: ApiObject, { preconditions }: Options): void {
  if (preconditions?.uid !== undefined && preconditions.uid !== metadata.uid) {
    throw conflict(groupResource, metadata.name, `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`);
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== metadata.resourceVersion) {
    throw conflict(groupResource, metadata.name, `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`);
  }
}

const orphan = 'orphan';
const foreground = 'foregroundDeletion';

/** Which of the two propagation finalizers the object is to have. */
function propagation(finalizers: readonly string[], { propagationPolicy, orphanDependents }: Options, fallback: 'background' | 'orphan' | 'none' | undefined): string | undefined {
  if (fallback === 'none') return undefined;
  if (orphanDependents !== undefined) return orphanDependents ? orphan : undefined;
  if (propagationPolicy !== undefined) return propagationPolicy === 'Orphan' ? orphan : propagationPolicy === 'Foreground' ? foreground : undefined;
  if (finalizers.includes(orphan)) return orphan;
  if (finalizers.includes(foreground)) return foreground;
  return fallback === 'orphan' ? orphan : undefined;
}

/** Changes the draft as a delete request does, and says what is to happen to it. */
export function markDeleted(draft: DraftObject, resource: ServedResource, options: Options, now: number): 'write' | 'delete' | 'keep' {
  const { strategy } = resource.entry;
  const meta = draft.metadata as { -readonly [K in keyof ObjectMeta]: ObjectMeta[K] };
  const before = meta.finalizers ?? [];
  const own = meta.deletionTimestamp === undefined ? strategy.deletionFinalizers ?? [] : [];
  const extra = propagation(before, options, strategy.defaultPropagation);
  const finalizers = [...before.filter((finalizer) => finalizer !== orphan && finalizer !== foreground), ...(extra ? [extra] : []), ...own.filter((finalizer) => !before.includes(finalizer))];
  const finalizersChanged = finalizers.length !== before.length || finalizers.some((finalizer) => !before.includes(finalizer));
  const held = finalizers.length > 0 || strategy.holdsDeletion?.(draft as ApiObject) === true;
  const setFinalizers = () => { if (finalizers.length > 0) meta.finalizers = finalizers; else delete meta.finalizers; };

  const grace = gracefulPeriod(meta, draft, resource, options, now);
  if (grace === 'pending') {
    if (!finalizersChanged) return 'keep';
    setFinalizers();
    return 'write';
  }
  if (grace && grace.seconds > 0) {
    setFinalizers();
    applyGrace(meta, grace);
    strategy.prepareForDelete?.(draft, now);
    return 'write';
  }
  if (!held) return 'delete';
  setFinalizers();
  // Held by finalizers: marked, and removed with the last of them.
  const marked = meta.deletionTimestamp !== undefined && meta.deletionGracePeriodSeconds === 0;
  if (marked && !finalizersChanged) return 'keep';
  if (meta.deletionGracePeriodSeconds === undefined && meta.generation) meta.generation++;
  if (meta.deletionTimestamp === undefined || Date.parse(meta.deletionTimestamp) > now) meta.deletionTimestamp = timestamp(now);
  meta.deletionGracePeriodSeconds = 0;
  strategy.prepareForDelete?.(draft, now);
  return 'write';
}

interface Grace { seconds: number; deletionTimestamp: string; first: boolean }
/** How this request wants the object to end: undefined for kinds (or states) that end at once, 'pending' when an earlier request stands. */
function gracefulPeriod(meta: ObjectMeta, draft: DraftObject, { entry: { strategy } }: ServedResource, options: Options, now: number): Grace | 'pending' | undefined {
  if (!strategy.gracePeriodSeconds) return undefined;
  if (meta.deletionTimestamp !== undefined) {
    const current = meta.deletionGracePeriodSeconds;
    if (!current) return undefined;
    if (options.gracePeriodSeconds === undefined || options.gracePeriodSeconds >= current) return 'pending';
    let seconds = options.gracePeriodSeconds;
    let at = Date.parse(meta.deletionTimestamp) - current * 1000 + seconds * 1000;
    if (at < now) {
      at = now;
      if (seconds !== 0) seconds = 1;
    }
    return { seconds, deletionTimestamp: timestamp(at), first: false };
  }
  const seconds = strategy.gracePeriodSeconds(draft as ApiObject, options.gracePeriodSeconds);
  return { seconds, deletionTimestamp: timestamp(now + seconds * 1000), first: true };
}
function applyGrace(meta: { -readonly [K in keyof ObjectMeta]: ObjectMeta[K] }, { seconds, deletionTimestamp, first }: Grace): void {
  meta.deletionTimestamp = deletionTimestamp;
  meta.deletionGracePeriodSeconds = seconds;
  if (first && meta.generation) meta.generation++;
}

export async function removeCollection(call: Call): Promise<ApiResult> {
  const { resource, info } = call;
  const options = deleteOptions(call.request);
  const { entries, metadata } = await listEntries(call);
  const queue = entries.values();
  const worker = async () => {
    for (const entry of queue) {
      const { namespace = '', name } = entry.object.metadata;
      try {
        await removeObject({ ...call, info: { ...info, namespace, name } }, { ...options });
      } catch (err) {
        if (!isNotFound(err)) throw err;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(collectionWorkers, entries.length) }, worker));
  return { type: 'list', resource, entries, metadata };
}
