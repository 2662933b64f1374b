/**
 * Whether a schema is structural: every field has one type, said outside of anyOf, allOf, oneOf and not, so that objects can be pruned
 * and defaulted. Source: apiextensions-apiserver/pkg/apiserver/schema (validation.go, complete.go, convert.go).
 */
import { isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import { compileRegex, RegexError } from '../../api/cel/re2.ts';
import type { FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import type { Condition, Definition } from './conditions.ts';

type Level = 'root' | 'item' | 'field';
type Path = problem.FieldPath;

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const listOf = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isJsonObject) : []);
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const isOn = (schema: JsonObject, key: string) => schema[key] === true;

/** Why a schema can't be read as structural at all, in upstream's words; undefined when it can. */
export function unreadable(schema: JsonObject): string | undefined {
  for (const [key, name] of [['id', 'id'], ['$schema', 'schema'], ['$ref', '$ref'], ['patternProperties', 'patternProperties'], ['dependencies', 'dependencies'], ['additionalItems', 'additionalItems'], ['definitions', 'definitions']] as const) {
    const value = schema[key];
    if (value !== undefined && value !== '' && !(isJsonObject(value) && key !== 'additionalItems' && Object.keys(value).length === 0)) return `OpenAPIV3Schema '${name}' is not supported`;
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
  if (Array.isArray(schema.items)) return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  for (const child of children(schema)) { const why = unreadable(child); if (why) return why; }
  return undefined;
}
/** Every schema directly inside one. */
export function children(schema: JsonObject): JsonObject[] {
  const { items, properties, additionalProperties, not } = schema;
  return [...(Array.isArray(items) ? listOf(items) : isJsonObject(items) ? [items] : []), ...Object.values(objectOf(properties)).filter((one): one is JsonObject => isJsonObject(one)), ...(isJsonObject(additionalProperties) ? [additionalProperties] : []),
    ...listOf(schema.allOf), ...listOf(schema.anyOf), ...listOf(schema.oneOf), ...(isJsonObject(not) ? [not] : [])];
}
export function someSchema(schema: JsonObject, holds: (schema: JsonObject) => boolean): boolean { return holds(schema) || children(schema).some((child) => someSchema(child, holds)); }

/** Sorted by text, as upstream. */
export function validateStructural(schema: JsonObject, path: Path): FieldError[] {
  const errors: FieldError[] = [];
  invariants(schema, 'root', path, errors);
  complete(schema, path, errors);
  return errors.sort((a, b) => (`${a.field}: ${a.detail}` < `${b.field}: ${b.detail}` ? -1 : 1));
}

function invariants(schema: JsonObject, level: Level, path: Path, errors: FieldError[]): void {
  const { items, additionalProperties } = schema;
  const type = textOf(schema.type);
  const properties = objectOf(schema.properties);
  const embedded = isOn(schema, 'x-kubernetes-embedded-resource');
  const preserves = isOn(schema, 'x-kubernetes-preserve-unknown-fields');
  const intOrString = isOn(schema, 'x-kubernetes-int-or-string');
  if (type === 'array' && !isJsonObject(items)) errors.push(problem.required(path.child('items'), 'must be specified'));
  if (isJsonObject(items)) invariants(items, 'item', path.child('items'), errors);
  for (const [name, property] of Object.entries(properties)) if (isJsonObject(property)) invariants(property, 'field', path.child('properties').key(name), errors);
  if (additionalProperties !== undefined) {
    if (level === 'root') errors.push(problem.forbidden(path.child('additionalProperties'), 'must not be used at the root'));
    if (isJsonObject(additionalProperties)) invariants(additionalProperties, 'field', path.child('additionalProperties'), errors);
  }
  if (intOrString && preserves) errors.push(problem.invalid(path.child('x-kubernetes-preserve-unknown-fields'), true, 'must be false if x-kubernetes-int-or-string is true'));
  if (intOrString && embedded) errors.push(problem.invalid(path.child('x-kubernetes-embedded-resource'), true, 'must be false if x-kubernetes-int-or-string is true'));
  const patterned = (value: Json | undefined) => jsonEqual(value, [{ type: 'integer' }, { type: 'string' }]);
  valueValidation(schema, patterned(schema.anyOf), patterned(listOf(schema.allOf)[0]?.anyOf), path, errors);

  const checkMetadata = level === 'root' || embedded;
  if (embedded && type !== 'object') errors.push(type === '' ? problem.required(path.child('type'), 'must be object if x-kubernetes-embedded-resource is true') : problem.invalid(path.child('type'), type, 'must be object if x-kubernetes-embedded-resource is true'));
  else if (type === '' && !intOrString && !preserves) {
    errors.push(problem.required(path.child('type'), { root: 'must not be empty at the root', item: 'must not be empty for specified array items', field: 'must not be empty for specified object fields' }[level]));
  }
  if (embedded && additionalProperties !== undefined) errors.push(problem.forbidden(path.child('additionalProperties'), 'must not be used if x-kubernetes-embedded-resource is set'));
  if (level === 'root' && type !== '' && type !== 'object') errors.push(problem.invalid(path.child('type'), type, 'must be object at the root'));
  if (checkMetadata) {
    for (const name of ['kind', 'apiVersion'] as const) {
      const property = properties[name];
      if (isJsonObject(property) && property.type !== 'string') errors.push(problem.invalid(path.child('properties').key(name).child('type'), textOf(property.type), 'must be string'));
    }
  }
  if (isJsonObject(properties.metadata)) metadataInvariants(properties.metadata, checkMetadata, level, path.child('properties').key('metadata'), errors);
  if (embedded && !preserves && Object.keys(properties).length === 0) errors.push(problem.required(path.child('properties'), 'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'));
}

function metadataInvariants(schema: JsonObject, check: boolean, level: Level, path: Path, errors: FieldError[]): void {
  if (check && schema.type !== 'object') errors.push(problem.invalid(path.child('type'), textOf(schema.type), 'must be object'));
  if (level !== 'root') return;
  const names = Object.keys(objectOf(schema.properties));
  const allowed = names.every((name) => name === 'name' || name === 'generateName');
  const { type: _, default: __, properties: ___, ...rest } = schema;
  // Differs: a description does no harm there, though upstream refuses it along with all else.
  if (!allowed || Object.entries(rest).some(([, value]) => value !== undefined && value !== '' && value !== false)) errors.push(problem.forbidden(path, 'must not specify anything other than name and generateName, but metadata is implicitly specified'));
}

function valueValidation(schema: JsonObject, skipAnyOf: boolean, skipFirstAllOf: boolean, path: Path, errors: FieldError[]): void {
  if (!skipAnyOf) listOf(schema.anyOf).forEach((one, index) => nested(one, false, path.child('anyOf').index(index), errors));
  listOf(schema.allOf).forEach((one, index) => nested(one, skipFirstAllOf && index === 0, path.child('allOf').index(index), errors));
  listOf(schema.oneOf).forEach((one, index) => nested(one, false, path.child('oneOf').index(index), errors));
  if (isJsonObject(schema.not)) nested(schema.not, false, path.child('not'), errors);
  const pattern = textOf(schema.pattern);
  if (pattern === '') return;
  try { compileRegex(pattern); } catch (err) {
    if (!(err instanceof RegexError)) throw err;
    errors.push(problem.invalid(path.child('pattern'), pattern, `must be a valid regular expression, but isn't: ${err.message}`));
  }
}

function nested(schema: JsonObject, skipAnyOf: boolean, path: Path, errors: FieldError[]): void {
  valueValidation(schema, skipAnyOf, false, path, errors);
  if (isJsonObject(schema.items)) nested(schema.items, false, path.child('items'), errors);
  const properties = objectOf(schema.properties);
  for (const [name, property] of Object.entries(properties)) if (isJsonObject(property)) nested(property, false, path.child('properties').key(name), errors);
  const forbid = (key: string, why: string) => errors.push(problem.forbidden(path.child(key), why));
  if (textOf(schema.type) !== '') forbid('type', 'must be empty to be structural');
  if (schema.additionalProperties !== undefined && schema.additionalProperties !== false) forbid('additionalProperties', 'must be undefined to be structural');
  if (schema.default !== undefined) forbid('default', 'must be undefined to be structural');
  if (textOf(schema.title) !== '') forbid('title', 'must be empty to be structural');
  if (textOf(schema.description) !== '') forbid('description', 'must be empty to be structural');
  for (const key of ['nullable', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource', 'x-kubernetes-int-or-string']) if (isOn(schema, key)) forbid(key, 'must be false to be structural');
  const { 'x-kubernetes-list-map-keys': keys, 'x-kubernetes-validations': rules } = schema;
  if (Array.isArray(keys) && keys.length > 0) forbid('x-kubernetes-list-map-keys', 'must be empty to be structural');
  for (const key of ['x-kubernetes-list-type', 'x-kubernetes-map-type']) if (schema[key] !== undefined) forbid(key, 'must be undefined to be structural');
  if (Array.isArray(rules) && rules.length > 0) forbid('x-kubernetes-validations', 'must be empty to be structural');
  if (properties.metadata !== undefined) errors.push(problem.forbidden(path.child('properties').key('metadata'), 'must not be specified in a nested context'));
}

// ---- every field of a value validation exists in the structure

function complete(schema: JsonObject, path: Path, errors: FieldError[]): void {
  for (const key of ['allOf', 'anyOf', 'oneOf'] as const) listOf(schema[key]).forEach((one, index) => completeNested(one, schema, path.child(key).index(index), path, errors));
  if (isJsonObject(schema.not)) completeNested(schema.not, schema, path.child('not'), path, errors);
  if (isJsonObject(schema.items)) complete(schema.items, path.child('items'), errors);
  for (const [name, property] of Object.entries(objectOf(schema.properties))) if (isJsonObject(property)) complete(property, path.child('properties').key(name), errors);
  if (isJsonObject(schema.additionalProperties)) complete(schema.additionalProperties, path.child('additionalProperties'), errors);
}

function completeNested(schema: JsonObject, structure: JsonObject | undefined, at: Path, structureAt: Path, errors: FieldError[]): void {
  if (!structure) { errors.push(problem.required(structureAt, `because it is defined in ${at.toString()}`)); return; }
  for (const key of ['allOf', 'anyOf', 'oneOf'] as const) listOf(schema[key]).forEach((one, index) => completeNested(one, structure, at.child(key).index(index), structureAt, errors));
  if (isJsonObject(schema.not)) completeNested(schema.not, structure, at.child('not'), structureAt, errors);
  if (isJsonObject(schema.items)) completeNested(schema.items, isJsonObject(structure.items) ? structure.items : undefined, at.child('items'), structureAt.child('items'), errors);
  const properties = objectOf(structure.properties);
  for (const [name, property] of Object.entries(objectOf(schema.properties))) {
    if (!isJsonObject(property)) continue;
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    completeNested(property, isJsonObject(own) ? own : undefined, at.child('properties').key(name), structureAt.child('properties').key(name), errors);
  }
}

// ---- the condition

function problemsOf({ spec }: Definition): { reason: string; message: string } | undefined {
  const errors: FieldError[] = [];
  const path = problem.field('spec');
  if (spec.preserveUnknownFields) errors.push(problem.invalid(path.child('preserveUnknownFields'), true, 'must be false'));
  for (const [index, { name, schema }] of spec.versions.entries()) {
    const openapi = schema?.openAPIV3Schema as JsonObject | undefined;
    if (!openapi) continue;
    const why = unreadable(openapi);
    if (why) return { reason: 'StructuralError', message: `failed to check validation schema for version ${name}: ${why}` };
    errors.push(...validateStructural(openapi, path.child('versions').index(index).child('schema', 'openAPIV3Schema')));
  }
  const texts = errors.map((error) => `${error.field}: ${error.detail}`);
  return texts.length === 0 ? undefined : { reason: 'Violations', message: texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]` };
}
export function nonStructuralCondition(definition: Definition): Omit<Condition, 'lastTransitionTime'> | undefined {
  const found = problemsOf(definition);
  return found && { type: 'NonStructuralSchema', status: found.reason === 'Violations' ? 'True' : 'Unknown', ...found };
}
