/**
 * Structural schemas of CustomResourceDefinitions as types of our schema, so that pruning, unknown-field warnings, managed fields and
 * server-side apply work on custom resources by the same code; and their defaults. Validation of values lives elsewhere.
 * Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions; apiextensions-apiserver pkg/apiserver/schema.
 */
import { cloneJson, isJsonObject, setOwn, type Json, type JsonObject } from '../base/json.ts';
import type { FieldSchema, FieldType, ListType, TypeSchema } from './schema.ts';

export interface CustomKind { group: string; version: string; kind: string }

/** The type of a custom resource. Without a schema (or with one that preserves all) every field is kept. Keep the result: decoders are compiled per type. */
export function customType({ group, version, kind }: CustomKind, schema: JsonObject | undefined): TypeSchema {
  const apiVersion = `${group}/${version}`;
  const type = objectType(apiVersion, kind, schema ?? { 'x-kubernetes-preserve-unknown-fields': true });
  return { ...type, fields: new Map([...type.fields, ...topLevelFields()]), atomic: false };
}

/** What every object has, whatever its schema says. */
function topLevelFields(): [string, FieldSchema][] {
  const field = (name: string, type: FieldType): [string, FieldSchema] => [name, { name, numbers: [0], type, required: false }];
  return [field('apiVersion', { kind: 'scalar', scalar: 'string' }), field('kind', { kind: 'scalar', scalar: 'string' }), field('metadata', { kind: 'ref', name: 'meta/v1.ObjectMeta' })];
}

function objectType(apiVersion: string, name: string, schema: JsonObject): TypeSchema {
  const fields = new Map<string, FieldSchema>();
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  for (const [field, property] of Object.entries(objectOf(schema.properties))) fields.set(field, fieldOf(apiVersion, `${name}.${field}`, field, objectOf(property), required.has(field)));
  if (schema['x-kubernetes-embedded-resource'] === true) for (const [field, value] of topLevelFields()) fields.set(field, value);
  return {
    name: `${apiVersion}.${name}`, apiVersion, shortName: name, fields, custom: true, atomic: schema['x-kubernetes-map-type'] === 'atomic',
    ...(schema['x-kubernetes-preserve-unknown-fields'] === true ? { preserveUnknownFields: true } : {}),
  };
}

function fieldOf(apiVersion: string, path: string, name: string, schema: JsonObject, required: boolean): FieldSchema {
  // A pointer: whether a struct was there is part of what an applier owns.
  const field: FieldSchema = { name, numbers: [0], required, pointer: true, type: fieldType(apiVersion, path, schema) };
  const listType = schema['x-kubernetes-list-type'];
  if (field.type.kind === 'list' && (listType === 'atomic' || listType === 'set' || listType === 'map')) {
    field.listType = listType satisfies ListType;
    if (listType === 'map') {
      field.listMapKeys = (schema['x-kubernetes-list-map-keys'] ?? []) as string[];
      const items = objectOf(objectOf(schema.items).properties);
      field.listMapDefaults = Object.fromEntries(field.listMapKeys.flatMap((key) => { const value = objectOf(items[key]).default; return value === undefined ? [] : [[key, value]]; }));
    }
  }
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === 'atomic' || mapType === 'granular') field.mapType = mapType;
  return field;
}

function fieldType(apiVersion: string, path: string, schema: JsonObject): FieldType {
  if (schema['x-kubernetes-int-or-string'] === true) return { kind: 'scalar', scalar: 'IntOrString' };
  switch (schema.type) {
    case 'string': return { kind: 'scalar', scalar: 'string' };
    case 'boolean': return { kind: 'scalar', scalar: 'bool' };
    case 'integer': return { kind: 'scalar', scalar: schema.format === 'int32' ? 'int32' : 'int64' };
    case 'number': return { kind: 'scalar', scalar: 'double' };
    case 'array': return { kind: 'list', items: fieldType(apiVersion, path, objectOf(schema.items)) };
    case 'object': {
      const { additionalProperties } = schema;
      if (isJsonObject(additionalProperties)) return { kind: 'map', values: fieldType(apiVersion, path, additionalProperties) };
      if (additionalProperties === true) return { kind: 'map', values: { kind: 'scalar', scalar: 'any' } };
      return { kind: 'ref', name: `${apiVersion}.${path}`, type: objectType(apiVersion, path, schema) };
    }
    default: return { kind: 'scalar', scalar: 'any' };
  }
}

/**
 * Fills absent fields from `default`s, in place; a null where null is not allowed counts as absent, and goes where there is no
 * default. Idempotent. Returns whether anything changed. Source: apiextensions-apiserver/pkg/apiserver/schema/defaulting.
 */
export function applySchemaDefaults(value: Json | undefined, schema: JsonObject): boolean {
  let changed = false;
  /** Null where it may not be. */
  const wrongNull = (child: Json | undefined, own: JsonObject) => child === null && own.nullable !== true;
  if (Array.isArray(value)) {
    const { items } = schema;
    if (!isJsonObject(items)) return false;
    for (let index = 0; index < value.length; index++) {
      if (items.default !== undefined && wrongNull(value[index], items)) { value[index] = cloneJson(items.default); changed = true; }
      if (applySchemaDefaults(value[index], items)) changed = true;
    }
    return changed;
  }
  if (!isJsonObject(value)) return false;
  const properties = objectOf(schema.properties);
  for (const name in properties) {
    const property = properties[name];
    if (!isJsonObject(property)) continue;
    const current = Object.hasOwn(value, name) ? value[name] : undefined;
    if (property.default !== undefined && (current === undefined || wrongNull(current, property))) { setOwn(value, name, cloneJson(property.default)); changed = true; }
    else if (wrongNull(current, property)) { delete value[name]; changed = true; }
    const next = Object.hasOwn(value, name) ? value[name] : undefined;
    if (typeof next === 'object' && applySchemaDefaults(next, property)) changed = true;
  }
  const { additionalProperties } = schema;
  if (isJsonObject(additionalProperties)) {
    for (const name in value) {
      if (Object.hasOwn(properties, name)) continue;
      if (wrongNull(value[name], additionalProperties)) {
        if (additionalProperties.default !== undefined) setOwn(value, name, cloneJson(additionalProperties.default)); else delete value[name];
        changed = true;
      }
      if (Object.hasOwn(value, name) && applySchemaDefaults(value[name], additionalProperties)) changed = true;
    }
  }
  return changed;
}

/** The definition for OpenAPI documents: the schema with the top-level fields and the kind. `objectMeta` is a reference in the document's dialect. */
export function customDefinition({ group, version, kind }: CustomKind, schema: JsonObject | undefined, objectMeta: JsonObject): JsonObject {
  return {
    ...schema, type: 'object', 'x-kubernetes-group-version-kind': [{ group, kind, version }],
    ...(schema ? { properties: { ...objectOf(schema.properties), apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: objectMeta } } : {}),
  };
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
