/**
 * How server-side apply sees a type: which values are one piece, which have parts with owners of their own, and how list items are told
 * apart. Derived from the schema's flags; on top of it the three walks: compare, field set of a value, merge. Values are read, never changed.
 * Defined by sigs.k8s.io/structured-merge-diff (typed/compare.go, tofieldset.go, merge.go).
 */
import { cloneJson, isJsonObject, jsonEqual, setOwn, type Json, type JsonObject } from '../../base/json.ts';
import { findType, type FieldSchema, type FieldType, type TypeSchema } from '../schema.ts';
import { insert, isEmpty, isMember, type FieldSet } from './field-set.ts';

export type Shape =
  | { kind: 'leaf' }
  | { kind: 'struct'; fields(): ReadonlyMap<string, ShapeField>; open: boolean }
  | { kind: 'map'; values: Shape }
  | { kind: 'set' }
  | { kind: 'keyed'; keys: readonly string[]; defaults: JsonObject; items: Shape }
  /** No schema: objects are maps of the same, all else one piece. Upstream calls it deduced. */
  | { kind: 'deduced' };

/** `element` is 'f:' and the name, made once: keys of objects cost most when they are new strings. */
interface ShapeField { shape: Shape; element: string; alwaysPresent: boolean }

const leafShape: Shape = { kind: 'leaf' };
const deduced: Shape = { kind: 'deduced' };
const leafSet: FieldSet = Object.freeze({});

/** Defaults of list keys. A port without a protocol is a TCP port: core/v1 defaults. */
const keyDefaults: Readonly<Record<string, JsonObject>> = { 'core/v1.ContainerPort': { protocol: 'TCP' }, 'core/v1.ServicePort': { protocol: 'TCP' } };

const shapes = new WeakMap<TypeSchema, Shape>();
export function shapeOf(type: TypeSchema): Shape {
  let shape = shapes.get(type);
  if (!shape) {
    let fields: Map<string, ShapeField> | undefined;
    shape = type.atomic ? leafShape : {
      kind: 'struct', open: type.preserveUnknownFields === true,
      fields: () => fields ??= new Map([...type.fields].map(([name, field]) => [name, { shape: shapeOfField(field), element: `f:${name}`, alwaysPresent: alwaysPresent(field) }])),
    };
    shapes.set(type, shape);
  }
  return shape;
}

/** Structs that Go holds by value and lists it never omits exist in every object: adding to one does not add the thing itself. */
function alwaysPresent({ type, required, pointer }: FieldSchema): boolean {
  return type.kind === 'list' ? required : type.kind === 'ref' && !pointer;
}

function shapeOfField(field: FieldSchema): Shape {
  if (field.type.kind !== 'list') return field.mapType === 'atomic' ? leafShape : shapeOfType(field.type);
  if (field.listType === 'set') return { kind: 'set' };
  if (field.listType !== 'map' || field.type.items.kind !== 'ref') return leafShape;
  return { kind: 'keyed', keys: [...field.listMapKeys ?? []].sort(), defaults: field.listMapDefaults ?? keyDefaults[field.type.items.name] ?? {}, items: shapeOfType(field.type.items) };
}
function shapeOfType(type: FieldType): Shape {
  switch (type.kind) {
    case 'scalar': return type.scalar === 'any' ? deduced : leafShape;
    case 'list': return leafShape;
    case 'map': return { kind: 'map', values: shapeOfType(type.values) };
    case 'ref': { const found = type.type ?? findType(type.name); return found ? shapeOf(found) : leafShape; }
  }
}

/** A value does not fit the shape; the message is upstream's, with the path in front. */
export class ShapeError extends Error {}

/** Strings that JSON writes as they are. */
const plain = /^[\w./-]*$/;

export const keyOfValue = (value: Json): string => `v:${JSON.stringify(value)}`;
export function keyOfItem(shape: Shape & { kind: 'keyed' }, item: Json): string {
  if (!isJsonObject(item)) throw new ShapeError(`associative list with keys may not have non-map elements`);
  let text = 'k:{"';
  for (let i = 0; i < shape.keys.length; i++) {
    const name = shape.keys[i]!;
    const value = item[name] ?? shape.defaults[name];
    if (value === undefined || value === null) throw new ShapeError(`associative list with keys has an element that omits key field "${name}" (and doesn't have default value)`);
    if (i > 0) text += ',"';
    text += `${name}":`;
    text += typeof value === 'string' && plain.test(value) ? `"${value}"` : JSON.stringify(value);
  }
  return `${text}}`;
}

/** What it is when the value is no object or list of that shape: one piece. */
function effective(shape: Shape, value: Json): Shape {
  switch (shape.kind) {
    case 'struct': case 'map': return isJsonObject(value) ? shape : leafShape;
    case 'set': case 'keyed': return Array.isArray(value) ? shape : leafShape;
    case 'deduced': return isJsonObject(value) ? { kind: 'map', values: deduced } : leafShape;
    case 'leaf': return shape;
  }
}

const present = (value: Json | undefined): value is Json => value !== undefined && value !== null;

// ---- comparing

export interface Comparison { added: FieldSet; modified: FieldSet; removed: FieldSet }
interface Building { added: Record<string, FieldSet>; modified: Record<string, FieldSet>; removed: Record<string, FieldSet>; path: string[] }

export function compare(shape: Shape, before: JsonObject, after: JsonObject): Comparison {
  const out: Building = { added: {}, modified: {}, removed: {}, path: [] };
  compareValues(shape, before, after, out);
  return out;
}

function compareValues(declared: Shape, before: Json, after: Json, out: Building): void {
  if (before === after) return;
  const shape = effective(declared, after);
  if (shape.kind === 'leaf' || effective(declared, before).kind === 'leaf') {
    if (!jsonEqual(before, after)) insert(out.modified, out.path, leafSet);
    return;
  }
  switch (shape.kind) {
    case 'struct': case 'map': {
      const fields = shape.kind === 'struct' ? shape.fields() : undefined;
      const [old, next] = [before as JsonObject, after as JsonObject];
      const shapeAt = (key: string) => (fields ? fields.get(key)?.shape ?? deduced : (shape as Shape & { kind: 'map' }).values);
      for (const key in next) {
        const value = next[key];
        if (!present(value)) continue;
        const was = Object.hasOwn(old, key) ? old[key] : undefined;
        if (was === value) continue;
        const field = fields?.get(key);
        out.path.push(field ? field.element : `f:${key}`);
        if (present(was)) compareValues(shapeAt(key), was, value, out);
        else if (field?.alwaysPresent && effective(shapeAt(key), value).kind !== 'leaf') compareValues(shapeAt(key), Array.isArray(value) ? [] : {}, value, out);
        else insert(out.added, out.path, addedNode(shapeAt(key), value));
        out.path.pop();
      }
      for (const key in old) {
        const was = old[key];
        if (!present(was) || (Object.hasOwn(next, key) && present(next[key]))) continue;
        out.path.push(fields?.get(key)?.element ?? `f:${key}`);
        insert(out.removed, out.path, addedNode(shapeAt(key), was));
        out.path.pop();
      }
      return;
    }
    case 'set': case 'keyed': {
      if (jsonEqual(before, after)) return; // the usual case on updates, and cheaper than telling items apart
      const items = shape.kind === 'keyed' ? shape.items : leafShape;
      const [old, next] = [indexed(shape, before as Json[]), indexed(shape, after as Json[])];
      for (const [key, value] of next) {
        out.path.push(key);
        const was = old.get(key);
        if (was === undefined) insert(out.added, out.path, addedNode(items, value)); else compareValues(items, was, value, out);
        out.path.pop();
      }
      for (const [key, was] of old) {
        if (next.has(key)) continue;
        out.path.push(key);
        insert(out.removed, out.path, addedNode(items, was));
        out.path.pop();
      }
    }
  }
}

/** Stored lists may hold a key twice (no validation forbade it once): the last one counts. */
function indexed(shape: Shape & { kind: 'set' | 'keyed' }, list: readonly Json[]): Map<string, Json> {
  const out = new Map<string, Json>();
  for (const [index, item] of list.entries()) out.set(itemKey(shape, item, index), item);
  return out;
}
/** Falls back to the index for stored items without a key. */
function itemKey(shape: Shape & { kind: 'set' | 'keyed' }, item: Json, index: number): string {
  try { return shape.kind === 'set' ? keyOfValue(item) : keyOfItem(shape, item); } catch { return `i:${index}`; }
}

/** The node for a value that was not there before: itself and everything in it. */
function addedNode(declared: Shape, value: Json): FieldSet {
  const shape = effective(declared, value);
  if (shape.kind === 'leaf') return leafSet;
  const node: Record<string, FieldSet> = { '.': leafSet };
  let children = 0;
  if (shape.kind === 'set' || shape.kind === 'keyed') {
    for (const [index, item] of (value as Json[]).entries()) { node[itemKey(shape, item, index)] = addedNode(shape.kind === 'keyed' ? shape.items : leafShape, item); children++; }
  } else {
    const fields = shape.kind === 'struct' ? shape.fields() : undefined;
    for (const key in value as JsonObject) {
      const child = (value as JsonObject)[key];
      if (!present(child)) continue;
      const field = fields?.get(key);
      node[field ? field.element : `f:${key}`] = addedNode(fields ? field?.shape ?? deduced : (shape as Shape & { kind: 'map' }).values, child);
      children++;
    }
  }
  return children === 0 ? leafSet : node;
}

// ---- what a configuration claims

/** The fields an applied configuration sets. Throws `ShapeError` for duplicate or missing keys and undeclared fields. */
export function fieldSetOf(shape: Shape, value: JsonObject): FieldSet { return claimed(shape, value, '') ?? {}; }

/** Undefined: nothing below and not a member by itself. */
function claimed(declared: Shape, value: Json, path: string): FieldSet | undefined {
  const shape = effective(declared, value);
  if (shape.kind === 'leaf') return leafSet;
  const node: Record<string, FieldSet> = {};
  if (shape.kind === 'set' || shape.kind === 'keyed') {
    for (const [index, item] of (value as Json[]).entries()) {
      let key: string;
      try { key = shape.kind === 'set' ? keyOfValue(item) : keyOfItem(shape, item); } catch (err) { throw new ShapeError(`${path}: element ${index}: ${(err as Error).message}`); }
      const keyText = shape.kind === 'set' ? `[=${key.slice(2)}]` : `[${key.slice(3, -1).replace(/"([^"]+)":/g, '$1=')}]`;
      if (node[key] !== undefined) throw new ShapeError(`${path}: duplicate entries for key ${keyText}`);
      const below = shape.kind === 'keyed' ? claimed(shape.items, item, path + keyText) ?? leafSet : leafSet;
      node[key] = isMember(below) ? below : { '.': leafSet, ...below };
    }
  } else {
    const fields = shape.kind === 'struct' ? shape.fields() : undefined;
    for (const key in value as JsonObject) {
      const child = (value as JsonObject)[key];
      if (child === undefined) continue;
      const field = fields?.get(key);
      if (shape.kind === 'struct' && !field && !shape.open) throw new ShapeError(`${path}.${key}: field not declared in schema`);
      const below = child === null ? leafSet : claimed(fields ? field?.shape ?? deduced : (shape as Shape & { kind: 'map' }).values, child, `${path}.${key}`);
      if (below === undefined) { if (isJsonObject(child) || !field) node[`f:${key}`] = leafSet; continue; }
      node[`f:${key}`] = fields && field ? below : isMember(below) ? below : { '.': leafSet, ...below };
    }
  }
  return isEmpty(node) ? undefined : node;
}

// ---- merging

/** A new object: `applied` over `live`. Parts of `live` are shared, parts of `applied` copied. */
export function merge(declared: Shape, live: Json, applied: Json): Json {
  const shape = effective(declared, applied);
  if (shape.kind === 'leaf' || effective(declared, live).kind === 'leaf') return cloneJson(applied);
  if (shape.kind === 'set' || shape.kind === 'keyed') return mergeLists(shape, live as Json[], applied as Json[]);
  const fields = shape.kind === 'struct' ? shape.fields() : undefined;
  const out: JsonObject = { ...live as JsonObject };
  for (const key in applied as JsonObject) {
    const value = (applied as JsonObject)[key];
    if (value === undefined) continue;
    if (value === null) { setOwn(out, key, null); continue; }
    const was = Object.hasOwn(out, key) ? out[key] : undefined;
    setOwn(out, key, present(was) ? merge(fields ? fields.get(key)?.shape ?? deduced : (shape as Shape & { kind: 'map' }).values, was, value) : cloneJson(value));
  }
  return out;
}

/** Applied items in their order; the live list's own items stay before the shared item that followed them. */
function mergeLists(shape: Shape & { kind: 'set' | 'keyed' }, live: Json[], applied: Json[]): Json[] {
  const keysOf = (list: Json[]) => list.map((item, index) => itemKey(shape, item, index));
  const [leftKeys, rightKeys] = [keysOf(live), keysOf(applied)];
  const [left, right] = [new Map(leftKeys.map((key, index) => [key, live[index]!])), new Set(rightKeys)];
  const shared = rightKeys.filter((key) => left.has(key));
  const out: Json[] = [];
  let [l, r, nextShared] = [0, 0, 0];
  while (l < live.length || r < applied.length) {
    const leftKey = leftKeys[l];
    if (leftKey !== undefined && !right.has(leftKey)) { out.push(live[l++]!); continue; }
    if (leftKey !== undefined && (r >= applied.length || (leftKey !== rightKeys[r] && leftKey !== shared[nextShared]))) { l++; continue; }
    const rightKey = rightKeys[r]!;
    const was = left.get(rightKey);
    out.push(was !== undefined && shape.kind === 'keyed' ? merge(shape.items, was, applied[r]!) : cloneJson(applied[r]!));
    if (was !== undefined) { nextShared++; if (leftKey === rightKey) l++; }
    r++;
  }
  return out;
}

// ---- removing what an applier gave up

/**
 * Takes away what `last` claimed and nobody in `owned` does: whole fields, map keys and list items. Returns the value, changed where needed
 * (copied on the way, the argument stays), or undefined when nothing is left of it.
 */
export function prune(declared: Shape, value: Json, last: FieldSet, owned: FieldSet): Json | undefined {
  const shape = effective(declared, value);
  if (shape.kind === 'leaf') return value;
  if (shape.kind === 'set' || shape.kind === 'keyed') {
    const list = (value as Json[]).flatMap((item, index) => {
      const key = itemKey(shape, item, index);
      const [was, now] = [last[key], owned[key]];
      if (was === undefined) return [item];
      if (isMember(was) && !(now && isMember(now))) return [];
      const kept = shape.kind === 'keyed' ? prune(shape.items, item, was, now ?? {}) : item;
      return kept === undefined ? [] : [kept];
    });
    return list.length > 0 || (value as Json[]).length === 0 ? list : undefined;
  }
  const fields = shape.kind === 'struct' ? shape.fields() : undefined;
  const out: JsonObject = { ...value as JsonObject };
  let removed = false;
  for (const element in last) {
    if (!element.startsWith('f:')) continue;
    const key = element.slice(2);
    const child = Object.hasOwn(out, key) ? out[key] : undefined;
    if (!present(child)) continue;
    const named = fields?.has(key) ?? false;
    const [was, now] = [last[element]!, owned[element]];
    if ((named || isMember(was)) && !(now && (named || isMember(now)))) { delete out[key]; removed = true; continue; }
    const kept = prune(fields ? fields.get(key)?.shape ?? deduced : (shape as Shape & { kind: 'map' }).values, child, was, now ?? {});
    if (kept === undefined) { delete out[key]; removed = true; } else if (kept !== child) setOwn(out, key, kept);
  }
  return removed && isEmpty(out as never) ? undefined : out;
}
