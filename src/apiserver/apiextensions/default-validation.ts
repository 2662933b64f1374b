/** Defaults in a schema have to be valid values of it. Source: apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go. */
import { cloneJson, isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import { decodeObject } from '../../api/decode.ts';
import { customType } from '../../api/structural.ts';
import type { FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import { hasEmbedded, validateEmbedded } from './embedded.ts';
import { checkRules } from './rules.ts';
import { schemaValidator } from './schema-validator.ts';

const metaFields = new Set(['metadata', 'apiVersion', 'kind']);

export function validateDefaults(schema: JsonObject, path: problem.FieldPath, requirePruned: boolean): FieldError[] {
  const errors: FieldError[] = [];
  walk(schema, path, requirePruned, false, true, errors);
  return errors;
}

/** `insideMeta`: of metadata, apiVersion or kind, whose values follow the rules of metadata. */
function walk(schema: JsonObject, path: problem.FieldPath, requirePruned: boolean, insideMeta: boolean, root: boolean, errors: FieldError[]): void {
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  if (schema.default !== undefined) errors.push(...problemsOf(schema, schema.default, path.child('default'), requirePruned && !insideMeta));
  if (isJsonObject(schema.items)) walk(schema.items, path.child('items'), requirePruned, insideMeta && !embedded, false, errors);
  if (!isJsonObject(schema.properties)) return;
  for (const [name, property] of Object.entries(schema.properties)) {
    if (isJsonObject(property)) walk(property, path.child('properties').key(name), requirePruned, (insideMeta && !embedded) || ((root || embedded) && metaFields.has(name)), false, errors);
  }
}

function problemsOf(schema: JsonObject, value: Json, path: problem.FieldPath, requirePruned: boolean): FieldError[] {
  if (requirePruned && typeof value === 'object' && !jsonEqual(pruned(schema, value), value)) return [problem.invalid(path, value, 'must not have unknown fields')];
  if (hasEmbedded(schema)) { const errors = validateEmbedded(schema, value, path); if (errors.length > 0) return errors; }
  const errors = schemaValidator(schema, path.toString())(value);
  return errors.length > 0 ? errors : checkRules(schema, value, path);
}

function pruned(schema: JsonObject, value: Json): Json {
  // As the only field of an object without metadata of its own.
  const type = customType({ group: 'validation', version: 'v1', kind: 'Validation' }, { type: 'object', properties: { value: schema } });
  const holder: JsonObject = { value: cloneJson(value) };
  decodeObject(type, holder);
  return holder.value ?? null;
}
