/**
 * Sets of field paths in the form they have on the wire, FieldsV1: a tree whose keys are `f:<field or map key>`, `k:<keys of a list
 * item as JSON>` and `v:<value of a set item as JSON>`. A node belongs to the set when it is empty or holds `.`. Working on that form directly
 * means nothing is parsed or serialised. All operations are pure; results share parts with their arguments.
 * Defined by sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go.
 */
import type { JsonObject } from '../../base/json.ts';

/** `{}` at the root is the empty set; below the root it is a member without children. */
export type FieldSet = { readonly [element: string]: FieldSet };

const leaf: FieldSet = Object.freeze({});
export const emptySet: FieldSet = leaf;

export function isEmpty(set: FieldSet): boolean { for (const _ in set) return false; return true; }

/** Whether the path that leads to this node (not the root) is in the set. */
export function isMember(node: FieldSet): boolean { return '.' in node || isEmpty(node); }

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmpty(b)) return a;
  if (isEmpty(a)) return b;
  const out: Record<string, FieldSet> = { ...a };
  for (const key in b) {
    const inA = a[key];
    const inB = b[key]!;
    out[key] = inA === undefined || inA === inB ? inB : unionNodes(inA, inB);
  }
  return out;
}
function unionNodes(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a)) return isEmpty(b) || '.' in b ? b : { '.': leaf, ...b };
  if (isEmpty(b)) return '.' in a ? a : { '.': leaf, ...a };
  return union(a, b);
}

/** What is in `a` and not in `b`. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (inA, inB) => inA && !inB, true);
}
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (inA, inB) => inA && inB, false);
}

function combine(a: FieldSet, b: FieldSet, keep: (inA: boolean, inB: boolean) => boolean, keepUnmatched: boolean): FieldSet {
  const out: Record<string, FieldSet> = {};
  let changed = false;
  for (const key in a) {
    if (key === '.') continue;
    const inA = a[key]!;
    const inB = b[key];
    if (inB === undefined) {
      if (keepUnmatched) out[key] = inA; else changed = true;
      continue;
    }
    const member = keep(isMember(inA), isMember(inB));
    const below = combine(inA, inB, keep, keepUnmatched);
    const node = isEmpty(below) ? (member ? leaf : undefined) : member ? { '.': leaf, ...below } : withoutSelf(below);
    if (node === undefined) changed = true;
    else { out[key] = node; if (node !== inA) changed = true; }
  }
  return changed ? out : withoutSelf(a);
}
function withoutSelf(node: FieldSet): FieldSet {
  if (!('.' in node)) return node;
  const { '.': _, ...rest } = node;
  return rest;
}

export function equals(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  let count = 0;
  for (const key in a) { const other = b[key]; if (other === undefined || !equals(a[key]!, other)) return false; count++; }
  for (const _ in b) count--;
  return count === 0;
}

/** Adds `node` at `path` of a set under construction. */
export function insert(set: Record<string, FieldSet>, path: readonly string[], node: FieldSet): void {
  let at = set;
  for (let i = 0; i < path.length - 1; i++) {
    const key = path[i]!;
    const next = at[key];
    // A node met on the way that was a bare member stays one.
    at = (next === undefined ? at[key] = {} : isEmpty(next) ? at[key] = { '.': leaf } : next) as Record<string, FieldSet>;
  }
  const last = path[path.length - 1]!;
  const there = at[last];
  at[last] = there === undefined ? node : unionNodes(there, node);
}

/** Every member's path in conflict notation: `.spec.containers[name="a"].image`, `.metadata.finalizers[="x"]`. */
export function pathsOf(set: FieldSet): string[] {
  const out: string[] = [];
  const walk = (node: FieldSet, path: string): void => {
    for (const key of Object.keys(node).sort()) {
      if (key === '.') continue;
      const child = node[key]!;
      const childPath = path + formatElement(key);
      if (isMember(child)) out.push(childPath);
      walk(child, childPath);
    }
  };
  walk(set, '');
  return out;
}

function formatElement(key: string): string {
  const text = key.slice(2);
  switch (key[0]) {
    case 'f': return `.${text}`;
    case 'v': return `[=${text}]`;
    case 'k': return `[${Object.entries(JSON.parse(text) as JsonObject).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    default: return `[${text}]`;
  }
}

/** A set from the wire. Throws a plain Error that says what is wrong. */
export function parseFieldSet(value: unknown): FieldSet {
  const check = (node: unknown, depth: number): void => {
    if (typeof node !== 'object' || node === null || Array.isArray(node)) throw new Error('expected an object');
    if (depth > 200) throw new Error('exceeded max depth');
    for (const key in node) {
      if (key !== '.' && key.charCodeAt(1) !== 58) throw new Error(`missing colon: ${key}`);
      check((node as Record<string, unknown>)[key], depth + 1);
    }
  };
  check(value, 0);
  return value as FieldSet;
}
