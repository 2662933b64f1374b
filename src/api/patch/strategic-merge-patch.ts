/**
 * Strategic merge patch: a merge patch that knows from the schema which lists merge, and by which key. Directives: `$patch`
 * (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`.
 * Defined by apimachinery/pkg/util/strategicpatch; error answers as apiserver/pkg/endpoints/handlers/patch.go gives them.
 */
import { cloneJson, isJsonObject, setOwn, type Json, type JsonObject } from '../../base/json.ts';
import { badRequest, StatusError } from '../meta/status.ts';
import { findType, type FieldSchema, type FieldType, type TypeSchema } from '../schema.ts';
import { unprocessablePatch } from './json-patch.ts';

const directive = '$patch';
const retainKeys = '$retainKeys';
const deleteFromPrimitiveList = '$deleteFromPrimitiveList';
const setElementOrder = '$setElementOrder';

/** Changes `original` in place and returns the result (another object for a patch that replaces everything). The patch is left alone. */
export function strategicMergePatch(original: JsonObject, patch: Json, type: TypeSchema): JsonObject {
  if (!isJsonObject(patch)) throw badRequest('invalid JSON document');
  try {
    return mergeMap(original, cloneJson(patch), ofType(type));
  } catch (err) {
    if (!(err instanceof MergeError)) throw err;
    if (err.kind === 'bad request') throw badRequest(err.message);
    if (err.kind === 'unprocessable') throw unprocessablePatch(err);
    throw new StatusError({ code: 500, message: err.message });
  }
}

class MergeError extends Error {
  readonly kind: 'bad request' | 'unprocessable' | 'internal';
  constructor(message: string, kind: MergeError['kind'] = 'internal') {
    super(message);
    this.kind = kind;
  }
}
const badPrimitiveList = () => new MergeError('invalid patch format of primitive list', 'bad request');
const badRetainKeys = () => new MergeError('invalid patch format of retainKeys', 'bad request');
const badElementOrder = () => new MergeError('invalid patch format of setElementOrder list', 'bad request');
const listOfLists = () => new MergeError('lists of lists are not supported', 'unprocessable');
const noMergeKey = (value: JsonObject, key: string) => new MergeError(`map: ${goMap(value)} does not contain declared merge key: ${key}`);
const badPatchType = (type: Json, value: JsonObject) => new MergeError(`unknown patch type: ${goValue(type)} in map: ${goMap(value)}`);
const badArgument = (expected: 'map[string]interface {}' | '[]interface {}', actual: Json) => new MergeError(`expected a ${expected}, but received a ${goKind(actual)}`);

/** What the schema says about the fields of one map, struct or not. */
interface Node { name: string; field(key: string): { below: Node; merges: boolean; replaces: boolean; mergeKey: string } }

const free: Node = { name: '', field: () => ({ below: free, merges: false, replaces: false, mergeKey: '' }) };

const nodes = new WeakMap<TypeSchema, Node>();
function ofType(type: TypeSchema): Node {
  let node = nodes.get(type);
  if (!node) {
    node = {
      name: type.shortName,
      field: (key) => {
        const field: FieldSchema | undefined = type.fields.get(key);
        if (!field) return free.field(key);
        return { below: ofFieldType(field.type), merges: field.patchStrategy?.includes('merge') ?? false, replaces: field.patchStrategy?.includes('replace') ?? false, mergeKey: field.patchMergeKey ?? '' };
      },
    };
    nodes.set(type, node);
  }
  return node;
}
function ofFieldType(type: FieldType): Node {
  switch (type.kind) {
    case 'scalar': return free;
    case 'list': return ofFieldType(type.items);
    case 'map': return { name: '', field: () => ({ below: ofFieldType(type.values), merges: false, replaces: false, mergeKey: '' }) };
    case 'ref': { const found = findType(type.name); return found ? ofType(found) : free; }
  }
}

// Everything below owns both arguments.

function mergeMap(original: JsonObject, patch: JsonObject, node: Node): JsonObject {
  if (Object.hasOwn(patch, directive)) {
    const what = patch[directive];
    if (what === 'replace') { delete patch[directive]; return patch; }
    if (what === 'delete') return {};
    throw badPatchType(what ?? null, patch);
  }
  applyRetainKeys(original, patch);
  applyElementOrders(original, patch, node);

  for (const patchKey of Object.keys(patch)) {
    const value = patch[patchKey] ?? null;
    const isDeleteList = patchKey.startsWith(deleteFromPrimitiveList);
    const key = isDeleteList ? afterSlash(patchKey, deleteFromPrimitiveList) ?? raise(badPrimitiveList()) : patchKey;
    if (value === null) { delete original[key]; continue; }
    const current = Object.hasOwn(original, key) ? original[key] : undefined;
    if (current === undefined || current === null || goKind(current) !== goKind(value)) {
      if (isDeleteList) continue;
      put(original, key, withoutDirectives(withoutNulls(value)));
      continue;
    }
    if (isJsonObject(value)) {
      const { below, replaces } = node.field(key);
      setOwn(original, key, replaces ? value : mergeMap(current as JsonObject, value, below));
    } else if (Array.isArray(value)) {
      const { below, merges, mergeKey } = node.field(key);
      setOwn(original, key, merges || isDeleteList ? mergeList(current as Json[], value, below, mergeKey, isDeleteList) : value);
    } else setOwn(original, key, value);
  }
  return original;
}

function raise(err: Error): never { throw err; }
function put(target: JsonObject, key: string, value: Json | undefined): void { if (value === undefined) delete target[key]; else setOwn(target, key, value); }
function afterSlash(key: string, prefix: string): string | undefined { return key.startsWith(`${prefix}/`) ? key.slice(prefix.length + 1) : undefined; }

function applyRetainKeys(original: JsonObject, patch: JsonObject): void {
  const list = patch[retainKeys];
  if (list === undefined) return;
  delete patch[retainKeys];
  if (!Array.isArray(list)) throw badRetainKeys();
  const keep = new Set(list);
  for (const key in patch) {
    if (patch[key] === null || key.startsWith(deleteFromPrimitiveList) || key.startsWith(setElementOrder)) continue;
    if (!keep.has(key)) throw badRetainKeys();
  }
  for (const key of Object.keys(original)) if (!keep.has(key)) delete original[key];
}

/** `$setElementOrder/x` merges field x here and now, in the order it gives. */
function applyElementOrders(original: JsonObject, patch: JsonObject, node: Node): void {
  for (const orderKey of Object.keys(patch)) {
    if (!orderKey.startsWith(setElementOrder)) continue;
    const order = patch[orderKey] ?? null;
    delete patch[orderKey];
    if (!Array.isArray(order)) throw badArgument('[]interface {}', order);
    const key = afterSlash(orderKey, setElementOrder) ?? raise(badElementOrder());
    const current = Object.hasOwn(original, key) ? original[key] : undefined;
    const change = Object.hasOwn(patch, key) ? patch[key] : undefined;
    if (current !== undefined && !Array.isArray(current)) throw badArgument('[]interface {}', current);
    if (change !== undefined && !Array.isArray(change)) throw badArgument('[]interface {}', change);
    const { below, merges, mergeKey } = node.field(key);
    checkOrder(change ?? [], order, mergeKey);
    let merged: Json[];
    if (current && change) merged = merges ? mergeList([...current], change, below, mergeKey, false) : change;
    else if (current) merged = current;
    else if (change) merged = withoutDirectives(change) as Json[];
    else continue;
    elementKind([...(current ?? []), ...(change ?? [])]);
    const listed = (item: Json) => (mergeKey === '' ? order.includes(item) : findByKey(order, mergeKey, keyOf(item, mergeKey)) >= 0);
    setOwn(original, key, inOrder(merged.filter(listed), merged.filter((item) => !listed(item)), order, current ?? [], mergeKey));
    delete patch[key];
  }
}

function checkOrder(change: readonly Json[], order: readonly Json[], mergeKey: string): void {
  if (order.length === 0 || change.length === 0) return;
  const items = mergeKey === '' ? change : change.filter((item) => !(isJsonObject(item) && item[directive] === 'delete'));
  let at = 0;
  let orderAt = 0;
  while (at < items.length && orderAt < order.length) {
    const item = items[at]!;
    if (isJsonObject(item) && Object.hasOwn(item, directive)) { at++; continue; }
    const same = mergeKey === '' ? item === order[orderAt] : keyOf(item, mergeKey) === keyOf(order[orderAt]!, mergeKey);
    if (same) at++;
    orderAt++;
  }
  if (at < items.length && orderAt >= order.length) throw new MergeError(`The order in patch list:\n${goValue(change as Json[])}\n doesn't match ${setElementOrder} list:\n${goValue(order as Json[])}\n`);
}

function keyOf(item: Json, mergeKey: string): Json {
  if (!isJsonObject(item)) throw badArgument('map[string]interface {}', item);
  if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  return item[mergeKey]!;
}

function findByKey(list: readonly Json[], mergeKey: string, value: Json): number {
  return list.findIndex((item, index) => {
    if (!isJsonObject(item)) throw new MergeError(`value for key ${index} is not a map`);
    return Object.hasOwn(item, mergeKey) && item[mergeKey] === value;
  });
}

function mergeList(original: Json[], patch: Json[], node: Node, mergeKey: string, isDeleteList: boolean): Json[] {
  if (original.length === 0 && patch.length === 0) return original;
  const kind = elementKind([...original, ...patch]);
  let list = original;
  let change = patch;
  let merged: Json[];
  if (kind !== 'map[string]interface {}') {
    if (isDeleteList) { const drop = new Set(patch); return original.filter((item) => !drop.has(item)); }
    merged = [...new Set([...original, ...patch])];
  } else {
    if (mergeKey === '') throw new MergeError(`cannot merge lists without merge key for ${node.name}`);
    ({ list, change } = applyListDirectives(original, patch as JsonObject[], mergeKey));
    merged = [...list];
    for (const item of change as JsonObject[]) {
      const at = findByKey(merged, mergeKey, keyOf(item, mergeKey));
      if (at >= 0) merged[at] = mergeMap(merged[at] as JsonObject, item, node);
      else merged.push(withoutDirectives(item) as JsonObject);
    }
    for (const item of merged) keyOf(item, mergeKey);
  }
  const patched = (item: Json) => (mergeKey === '' ? change.includes(item) : findByKey(change, mergeKey, keyOf(item, mergeKey)) >= 0);
  return inOrder(merged.filter(patched), merged.filter((item) => !patched(item)), change, list, mergeKey);
}

/** `$patch` on elements: delete takes matching ones away, replace makes the rest of the patch the whole list. */
function applyListDirectives(original: Json[], patch: readonly JsonObject[], mergeKey: string): { list: Json[]; change: Json[] } {
  const change: JsonObject[] = [];
  let list = original;
  let replace = false;
  for (const item of patch) {
    if (!Object.hasOwn(item, directive)) { change.push(item); continue; }
    const what = item[directive]!;
    if (what === 'delete') {
      const value = keyOf(item, mergeKey);
      list = list.filter((other) => !(isJsonObject(other) && other[mergeKey] === value));
    } else if (what === 'replace') replace = true;
    else if (what === 'merge') throw new MergeError('merging lists cannot yet be specified in the patch');
    else throw badPatchType(what, item);
  }
  return replace ? { list: change, change: [] } : { list, change };
}

/**
 * Patched items keep the patch's order and the others the server's; between the two, an item of the server's alone goes
 * before the first patched one that follows it in the server's list.
 */
function inOrder(patched: Json[], others: Json[], patchOrder: readonly Json[], serverOrder: readonly Json[], mergeKey: string): Json[] {
  const positions = (order: readonly Json[]) => {
    const index = new Map<Json | undefined, number>();
    for (const [at, item] of order.entries()) {
      const key = mergeKey === '' ? item : (item as JsonObject)[mergeKey];
      if (!index.has(key)) index.set(key, at);
    }
    return (item: Json) => index.get(mergeKey === '' ? item : (item as JsonObject)[mergeKey]) ?? -1;
  };
  const inPatch = positions(patchOrder);
  const onServer = positions(serverOrder);
  const right = patched.toSorted((a, b) => inPatch(a) - inPatch(b));
  const left = others.toSorted((a, b) => onServer(a) - onServer(b));
  const out: Json[] = [];
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    const l = onServer(left[i]!);
    const r = onServer(right[j]!);
    out.push(l >= 0 && r >= 0 && l < r ? left[i++]! : right[j++]!);
  }
  return [...out, ...left.slice(i), ...right.slice(j)];
}

/** All elements are of one kind, or the patch is refused. */
function elementKind(items: readonly Json[]): string {
  const kinds = new Set(items.map(goKind));
  if (kinds.has('[]interface {}')) throw listOfLists();
  if (kinds.size === 0) throw new MergeError('no elements in any of the given slices');
  if (kinds.size > 1) throw new MergeError(`list element types are not identical: ${goValue(items as Json[])}`);
  return [...kinds][0]!;
}

/** What a patch leaves where there was nothing: undefined for an object that carries `$patch`. */
function withoutDirectives(value: Json): Json | undefined {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isJsonObject(value)) return value;
  if (Object.hasOwn(value, directive)) return undefined;
  for (const key of Object.keys(value)) put(value, key, withoutDirectives(value[key]!));
  return value;
}

function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) for (const item of value) withoutNulls(item);
  else if (isJsonObject(value)) for (const key of Object.keys(value)) { if (value[key] === null) delete value[key]; else withoutNulls(value[key]!); }
  return value;
}

// Go's %v and %T, for messages.
function goKind(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'object') return 'map[string]interface {}';
  return typeof value === 'number' ? (Number.isInteger(value) ? 'int64' : 'float64') : typeof value === 'boolean' ? 'bool' : 'string';
}
function goValue(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>';
  return Array.isArray(value) ? `[${value.map(goValue).join(' ')}]` : typeof value === 'object' ? goMap(value) : String(value);
}
function goMap(value: JsonObject): string {
  return `map[${Object.keys(value).sort().map((key) => `${key}:${goValue(value[key])}`).join(' ')}]`;
}
