/** Uniqueness in lists of type set and map. Source: apiextensions-apiserver/pkg/apiserver/schema/listtype. */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import type { FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';

export function validateListTypes(schema: JsonObject, value: Json): FieldError[] {
  const errors: FieldError[] = [];
  walk(schema, value, undefined, errors);
  return errors;
}

type Path = problem.FieldPath | undefined;
const child = (path: Path, name: string) => (path ? path.child(name) : problem.field(name));

function walk(schema: JsonObject, value: Json, path: Path, errors: FieldError[]): void {
  if (Array.isArray(value)) {
    const at = path ?? problem.field('<nil>');
    if (schema['x-kubernetes-list-type'] === 'set') for (const index of repeated(value)) errors.push(problem.duplicate(at.index(index), value[index]));
    else if (schema['x-kubernetes-list-type'] === 'map') keyed(schema, value, at, errors);
    const { items } = schema;
    if (isJsonObject(items)) value.forEach((item, index) => walk(items, item, at.index(index), errors));
    return;
  }
  if (!isJsonObject(value)) return;
  const { properties, additionalProperties } = schema;
  if (isJsonObject(additionalProperties)) for (const key in value) walk(additionalProperties, value[key] ?? null, path ? path.key(key) : problem.field(key), errors);
  if (isJsonObject(properties)) for (const key in value) { const property = Object.hasOwn(properties, key) ? properties[key] : undefined; if (isJsonObject(property)) walk(property, value[key] ?? null, child(path, key), errors); }
}

function keyed(schema: JsonObject, items: readonly Json[], path: problem.FieldPath, errors: FieldError[]): void {
  const wrong = items.findIndex((item) => item !== null && !isJsonObject(item));
  if (wrong >= 0) { errors.push(problem.invalid(path.index(wrong), items[wrong], 'must be an object for an array of list-type map')); return; }
  const keys = (Array.isArray(schema['x-kubernetes-list-map-keys']) ? schema['x-kubernetes-list-map-keys'] : []).map(String);
  const ids = items.map((item): JsonObject => (isJsonObject(item) ? Object.fromEntries(keys.filter((key) => Object.hasOwn(item, key)).map((key) => [key, item[key]])) : {}));
  for (const index of repeated(ids)) errors.push(problem.duplicate(path.index(index), ids[index]));
}

/** Indices of the second appearance of each value. */
function repeated(items: readonly Json[]): number[] {
  const seen = new Map<string, number>();
  const out: number[] = [];
  for (const [index, item] of items.entries()) {
    const id = canonical(item);
    const count = (seen.get(id) ?? 0) + 1;
    seen.set(id, count);
    if (count === 2) out.push(index);
  }
  return out;
}
const canonical = (value: Json): string => JSON.stringify(value, (_, inner: Json) => (isJsonObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner));
