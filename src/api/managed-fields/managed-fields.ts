/**
 * metadata.managedFields: who set which field. `trackUpdate` keeps it on create, update and patch; `applyConfiguration` is server-side
 * apply itself. Both are pure but for the object they return or fill in; the apiserver calls them after admission (update) and before it (apply).
 * Defined by kubernetes.io/docs/reference/using-api/server-side-apply and apimachinery/pkg/util/managedfields.
 * Differs: entries of another version of the same kind are compared by path as they are, not converted; paths that versions share behave as upstream.
 */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { badRequest, StatusError } from '../meta/status.ts';
import type { TypeSchema } from '../schema.ts';
import { difference, emptySet, equals, intersection, isEmpty, parseFieldSet, pathsOf, union, type FieldSet } from './field-set.ts';
import { compare, fieldSetOf, merge, prune, shapeOf, ShapeError } from './shape.ts';

/** Update managers kept apart; older ones are united under `ancient-changes`. */
export const maxUpdateManagers = 10;
const ancientChanges = 'ancient-changes';
const beforeFirstApply = 'before-first-apply';
const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

const leaf: FieldSet = {};
/** Fields that nobody owns. Source: managedfields/internal/stripmeta.go. */
const stripped: FieldSet = {
  'f:apiVersion': leaf, 'f:kind': leaf,
  'f:metadata': { '.': leaf, 'f:name': leaf, 'f:namespace': leaf, 'f:creationTimestamp': leaf, 'f:selfLink': leaf, 'f:uid': leaf, 'f:clusterName': leaf, 'f:generation': leaf, 'f:managedFields': leaf, 'f:resourceVersion': leaf },
};

export interface ManagerOptions {
  type: TypeSchema;
  /** On the wire: 'apps/v1'. */
  apiVersion: string;
  /** fieldManager, or the first part of the user agent; '' becomes 'unknown'. */
  manager: string;
  /** '' for the object itself. */
  subresource?: string;
  /** RFC 3339 in seconds: `timestamp(clock.now())`. */
  time: string;
  /** Fields this endpoint does not write, and whose changes it therefore does not own. Default: `defaultResetFields(subresource)`. */
  resetFields?: readonly (readonly string[])[];
}
export interface ApplyOptions extends ManagerOptions { force?: boolean }

/** An object's endpoint resets its status, and the status endpoint everything but it. */
export function defaultResetFields(subresource = ''): readonly (readonly string[])[] {
  return subresource === '' ? resetOfObject : subresource === 'status' ? resetOfStatus : resetNothing;
}
const resetOfObject = [['status']];
const resetOfStatus = [['spec'], ['metadata', 'labels']];
const resetNothing: readonly (readonly string[])[] = [];

/** 'kubectl' of 'kubectl/v1.36.0 (linux/amd64)': the manager of a request that names none, at most 128 bytes. */
export function managerFromUserAgent(userAgent: string): string {
  return userAgent.split('/')[0]!.replace(/[^\x20-\x7e]/g, '').slice(0, 128);
}

interface Manager { manager: string; operation: 'Apply' | 'Update'; apiVersion: string; subresource: string; time: string | undefined; fields: FieldSet }
type Managers = Map<string, Manager>;

/** Fields of an apply do not depend on the version it spoke. */
function idOf({ manager, operation, apiVersion, subresource }: Pick<Manager, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  return `${manager}\0${operation}\0${operation === 'Apply' ? '' : apiVersion}\0${subresource}`;
}

/**
 * Sets `after.metadata.managedFields` for a create (`before` undefined), update or non-apply patch. An object that has no managers stays
 * without, until someone applies. Never throws: managers that can't be read are forgotten, as upstream does.
 */
export function trackUpdate(before: JsonObject | undefined, after: JsonObject, options: ManagerOptions): void {
  const requested = metadataOf(after).managedFields;
  const { managers, known } = startingPoint(before, requested, options.subresource ?? '');
  if (known === 0 && before !== undefined) { writeManagers(after, managers); return; }
  const old = before ? withoutManagers(before) : {};
  let comparison;
  try { comparison = compare(shapeOf(options.type), old, withoutManagers(after)); } catch { writeManagers(after, managers); return; }
  const ignored = setOfPaths(options.resetFields ?? []);
  const changed = difference(union(comparison.modified, comparison.added), ignored);
  const removed = difference(comparison.removed, ignored);
  const taken = union(changed, removed);
  if (!isEmpty(taken)) for (const [id, entry] of managers) setFields(managers, id, { ...entry, fields: difference(entry.fields, taken) });
  const own = difference(changed, stripped);
  if (!isEmpty(own)) {
    const entry: Manager = { manager: options.manager || 'unknown', operation: 'Update', apiVersion: options.apiVersion, subresource: options.subresource ?? '', time: options.time, fields: own };
    const previous = managers.get(idOf(entry));
    managers.set(idOf(entry), previous ? { ...entry, fields: union(own, previous.fields) } : entry);
  }
  capUpdateManagers(managers);
  writeManagers(after, managers);
}

/**
 * Server-side apply: `applied` over `live` (undefined when there is no object yet). Returns the object to write, or undefined when nothing
 * changes. Throws 409 with one FieldManagerConflict cause per field that another manager holds with another value, unless `force`.
 * `live` is not changed. Decode both first, so that quantities and times compare equal.
 */
export function applyConfiguration(live: JsonObject | undefined, applied: JsonObject, options: ApplyOptions): JsonObject | undefined {
  const { type, apiVersion } = options;
  if (typeof applied.apiVersion === 'string' && applied.apiVersion !== apiVersion) {
    throw badRequest(`Incorrect version specified in apply patch. Specified patch version: ${applied.apiVersion}, expected: ${apiVersion}`);
  }
  if (present(metadataOf(applied).managedFields)) throw badRequest('metadata.managedFields must be nil');
  const shape = shapeOf(type);
  const entry: Manager = { manager: options.manager, operation: 'Apply', apiVersion, subresource: options.subresource ?? '', time: options.time, fields: emptySet };
  const id = idOf(entry);
  const liveObject = live ? withoutManagers(live) : {};
  const managers = live ? readManagers(metadataOf(live).managedFields) : new Map<string, Manager>();
  if (!managers) throw new StatusError({ code: 500, message: 'failed to decode managed fields' });
  if (managers.size === 0 && live) {
    const fields = difference(compare(shape, {}, liveObject).added, stripped);
    const first: Manager = { ...entry, manager: beforeFirstApply, operation: 'Update', fields };
    if (!isEmpty(fields)) managers.set(idOf(first), first);
  }
  const ignored = setOfPaths(options.resetFields ?? defaultResetFields(options.subresource));
  let claimed: FieldSet;
  try {
    claimed = difference(fieldSetOf(shape, applied), ignored);
  } catch (err) {
    const { namespace, name } = metadataOf(applied);
    throw untyped(err, type, { apiVersion, name: String(name ?? ''), namespace: String(namespace ?? '') });
  }
  let result = merge(shape, liveObject, withoutPaths(applied, options.resetFields ?? defaultResetFields(options.subresource))) as JsonObject;
  const last = managers.get(id);
  if (last) {
    const owned = [...managers].reduce((all, [other, m]) => (other !== id ? union(all, m.fields) : all), claimed);
    result = (prune(shape, result, difference(last.fields, ignored), owned) ?? {}) as JsonObject;
  }
  result = dropNulls(result);
  const comparison = compare(shape, liveObject, result);
  const changed = difference(union(comparison.modified, comparison.added), ignored);
  const conflicts = [...managers].filter(([other]) => other !== id).map(([other, m]) => ({ id: other, manager: m, fields: intersection(m.fields, changed) })).filter((c) => !isEmpty(c.fields));
  if (conflicts.length > 0 && !options.force && !allowedByLastApplied(conflicts, liveObject, options)) throw conflictError(conflicts);
  const own = difference(claimed, stripped);
  if (isEmpty(changed) && isEmpty(comparison.removed) && last && equals(last.fields, own)) return undefined;

  for (const conflict of conflicts) setFields(managers, conflict.id, { ...conflict.manager, fields: difference(conflict.manager.fields, conflict.fields) });
  if (!isEmpty(comparison.removed)) for (const [other, m] of managers) if (other !== id) setFields(managers, other, { ...m, fields: difference(m.fields, comparison.removed) });
  setFields(managers, id, { ...entry, fields: own });
  if (options.manager === 'kubectl') renewLastApplied(result, applied);
  result = { ...result, metadata: { ...metadataOf(result) } };
  writeManagers(result, managers);
  return result;
}

/** Throws the error of server-side apply when the configuration as sent has fields that the type does not declare, or keys twice. */
export function declaredOnly(type: TypeSchema, applied: JsonObject, of: { apiVersion: string; name: string; namespace: string }): void {
  try { fieldSetOf(shapeOf(type), applied); } catch (err) { throw untyped(err, type, of); }
}
function untyped(err: unknown, type: TypeSchema, { apiVersion, name, namespace }: { apiVersion: string; name: string; namespace: string }): unknown {
  if (!(err instanceof ShapeError)) return err;
  return new StatusError({ code: 500, message: `failed to create typed patch object (${namespace}/${name}; ${apiVersion}, Kind=${type.shortName}): ${err.message}` });
}

/** What upstream's ValidateManagedFields says of a list a client sent; undefined when it is sound. */
export function validateManagedFields(list: Json | undefined): string | undefined {
  try { decodeManagers(list); return undefined; } catch (err) { return (err as Error).message; }
}

// ---- entries

function startingPoint(before: JsonObject | undefined, requested: Json | undefined, subresource: string): { managers: Managers; known: number } {
  const ofLive = () => (before ? readManagers(metadataOf(before).managedFields, true) : undefined) ?? new Map<string, Manager>();
  let managers: Managers;
  if (subresource !== '') managers = ofLive();
  else if (Array.isArray(requested) && (requested.length === 0 || (requested.length === 1 && isJsonObject(requested[0]) && Object.keys(requested[0]).length === 0))) managers = new Map(); // a reset
  else {
    const sent = readManagers(requested);
    managers = sent && sent.size > 0 ? sent : ofLive();
  }
  return { managers, known: managers.size };
}

/** `stored`: written by this code, so the trees need no second look. */
function readManagers(list: Json | undefined, stored = false): Managers | undefined {
  try { return decodeManagers(list, stored); } catch { return undefined; }
}

function decodeManagers(list: Json | undefined, stored = false): Managers {
  const out: Managers = new Map();
  if (!Array.isArray(list)) return out;
  for (const [index, item] of list.entries()) {
    if (!isJsonObject(item)) throw new Error('expected an object');
    const { operation } = item;
    if (operation !== 'Apply' && operation !== 'Update') throw new Error('operation must be `Apply` or `Update`');
    if (typeof item.apiVersion !== 'string' || item.apiVersion === '') throw new Error('apiVersion must not be empty');
    if (!item.fieldsType) throw new Error(`missing fieldsType in managed fields entry ${index}`);
    if (item.fieldsType !== 'FieldsV1') throw new Error(`invalid fieldsType ${JSON.stringify(item.fieldsType)} in managed fields entry ${index}`);
    const text = (value: Json | undefined) => (typeof value === 'string' ? value : '');
    const entry: Manager = { manager: text(item.manager), operation, apiVersion: item.apiVersion, subresource: text(item.subresource), time: text(item.time) || undefined,
      fields: stored && isJsonObject(item.fieldsV1) ? item.fieldsV1 as unknown as FieldSet : parseFieldSet(item.fieldsV1 ?? {}) };
    out.set(idOf(entry), entry);
  }
  return out;
}

function setFields(managers: Managers, id: string, entry: Manager): void {
  if (isEmpty(entry.fields)) managers.delete(id); else managers.set(id, entry);
}

function writeManagers(object: JsonObject, managers: Managers): void {
  const metadata = isJsonObject(object.metadata) ? object.metadata : (object.metadata = {});
  if (managers.size === 0) { delete metadata.managedFields; return; }
  metadata.managedFields = [...managers.values()].sort((a, b) => order(a.operation, b.operation) || order(a.time ?? '', b.time ?? '') || order(a.manager, b.manager)
    || order(a.apiVersion, b.apiVersion) || order(a.subresource, b.subresource)).map((m) => ({
    ...(m.manager ? { manager: m.manager } : {}), operation: m.operation, apiVersion: m.apiVersion, ...(m.time ? { time: m.time } : {}),
    fieldsType: 'FieldsV1', fieldsV1: m.fields as unknown as JsonObject, ...(m.subresource ? { subresource: m.subresource } : {}),
  }));
}
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function capUpdateManagers(managers: Managers): void {
  const updaters = [...managers].filter(([, m]) => m.operation === 'Update');
  let count = updaters.length;
  if (count <= maxUpdateManagers) return;
  updaters.sort(([, a], [, b]) => order(a.time ?? '', b.time ?? '') || order(a.manager, b.manager));
  const firstOf = new Map<string, string>();
  for (const [id, entry] of updaters) {
    if (count <= maxUpdateManagers) return;
    const first = firstOf.get(entry.apiVersion);
    if (first === undefined) { firstOf.set(entry.apiVersion, id); continue; }
    const bucket: Manager = { manager: ancientChanges, operation: 'Update', apiVersion: entry.apiVersion, subresource: '', time: entry.time, fields: entry.fields };
    const bucketId = idOf(bucket);
    const into = managers.get(bucketId) ?? managers.get(first)!;
    if (!managers.has(bucketId)) managers.delete(first);
    managers.delete(id);
    managers.set(bucketId, { ...bucket, fields: union(entry.fields, into.fields) });
    count--;
  }
}

// ---- conflicts

interface FieldConflict { id: string; manager: Manager; fields: FieldSet }

function conflictError(conflicts: readonly FieldConflict[]): StatusError {
  const sorted = conflicts.map((c) => ({ name: describe(c.manager), paths: pathsOf(c.fields) })).sort((a, b) => order(a.name, b.name));
  const causes = sorted.flatMap(({ name, paths }) => paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${name}`, field })));
  const message = causes.length === 1 ? `Apply failed with 1 conflict: ${causes[0]!.message}: ${causes[0]!.field}`
    : `Apply failed with ${causes.length} conflicts: ${sorted.map(({ name, paths }) => [`conflicts with ${name}:`, ...paths.map((path) => `- ${path}`)].join('\n')).join('\n')}`;
  return new StatusError({ code: 409, reason: 'Conflict', message, details: { causes } });
}

function describe({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = `${JSON.stringify(manager)}${subresource ? ` with subresource ${JSON.stringify(subresource)}` : ''}`;
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}

/** kubectl moving from client-side to server-side apply takes over what its annotation shows it had set and nobody changed since. */
function allowedByLastApplied(conflicts: readonly FieldConflict[], live: JsonObject, { type, manager, apiVersion }: ApplyOptions): boolean {
  if (manager !== 'kubectl') return false;
  const text = annotationsOf(live)[lastAppliedAnnotation];
  if (typeof text !== 'string' || text === '') return false;
  try {
    const lastApplied = JSON.parse(text) as JsonObject;
    if (lastApplied.apiVersion !== apiVersion) return false;
    const { added, modified, removed } = compare(shapeOf(type), lastApplied, live);
    const allowed = difference(difference(difference(fieldSetOf(shapeOf(type), lastApplied), modified), added), removed);
    return conflicts.every(({ fields }) => isEmpty(difference(fields, allowed)));
  } catch {
    return false;
  }
}

function renewLastApplied(result: JsonObject, applied: JsonObject): void {
  const annotations = annotationsOf(result);
  if (!annotations[lastAppliedAnnotation]) return;
  const { [lastAppliedAnnotation]: _, ...rest } = annotationsOf(applied);
  const text = `${JSON.stringify({ ...applied, metadata: { ...metadataOf(applied), annotations: rest } })}\n`;
  result.metadata = { ...metadataOf(result), annotations: { ...annotations, [lastAppliedAnnotation]: text } };
}

// ---- small things

const present = (value: Json | undefined): boolean => value !== undefined && value !== null;
const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object.metadata) ? object.metadata : {});
const annotationsOf = (object: JsonObject): JsonObject => { const { annotations } = metadataOf(object); return isJsonObject(annotations) ? annotations : {}; };

function withoutManagers(object: JsonObject): JsonObject {
  const metadata = metadataOf(object);
  if (metadata.managedFields === undefined) return object;
  const { managedFields: _, ...rest } = metadata;
  return { ...object, metadata: rest };
}

function withoutPaths(object: JsonObject, paths: readonly (readonly string[])[]): JsonObject {
  let out = object;
  for (const [head, ...tail] of paths) {
    if (head === undefined || out[head] === undefined) continue;
    const { [head]: child, ...rest } = out;
    out = tail.length === 0 ? rest : isJsonObject(child) ? { ...rest, [head]: withoutPaths(child, [tail]) } : out;
  }
  return out;
}

/** Every field below each path. Remembered by the list's identity: there are a handful. */
function setOfPaths(paths: readonly (readonly string[])[]): FieldSet {
  let set = setsOfPaths.get(paths);
  if (!set) setsOfPaths.set(paths, set = makeSetOfPaths(paths));
  return set;
}
const setsOfPaths = new WeakMap<readonly (readonly string[])[], FieldSet>();
function makeSetOfPaths(paths: readonly (readonly string[])[]): FieldSet {
  return paths.length === 0 ? emptySet : paths.reduce<FieldSet>((set, path) => union(set, path.reduceRight<FieldSet>((below, name) => ({ [`f:${name}`]: below }), everything)), emptySet);
}
/** Stands for a node and all below it: has every key. `difference(x, everything)` is empty. */
const everything: FieldSet = new Proxy({ '.': leaf } as Record<string, FieldSet>, {
  get: () => everything, has: () => true,
});

/** null in an applied configuration removes, as Go's decoding makes it absent. */
function dropNulls(object: JsonObject): JsonObject {
  let out = object;
  for (const key in object) {
    const value = object[key];
    if (value === null) { if (out === object) out = { ...object }; delete out[key]; } else if (isJsonObject(value)) {
      const kept = dropNulls(value);
      if (kept !== value) { if (out === object) out = { ...object }; out[key] = kept; }
    }
  }
  return out;
}
