/** Objects inside objects (x-kubernetes-embedded-resource): their apiVersion, kind and metadata. Source: apiextensions-apiserver/pkg/apiserver/schema/objectmeta. */
import { cloneJson, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { decodeObject } from '../../api/decode.ts';
import { typeOf } from '../../api/schema.ts';
import { StatusError, type FieldError } from '../../api/meta/status.ts';
import type { ObjectMeta } from '../../api/meta/v1.ts';
import * as problem from '../../api/validation/field.ts';
import { isDNS1035Label, nameIsPathSegment } from '../../api/validation/names.ts';
import { validateMetadataAt } from '../handlers/metadata.ts';

/** Whether a schema has embedded resources anywhere: most do not, and then objects are not walked. */
export function hasEmbedded(schema: JsonObject): boolean {
  if (schema['x-kubernetes-embedded-resource'] === true) return true;
  const { properties, additionalProperties, items } = schema;
  return (isJsonObject(properties) && Object.values(properties).some((one) => isJsonObject(one) && hasEmbedded(one)))
    || (isJsonObject(additionalProperties) && hasEmbedded(additionalProperties)) || (isJsonObject(items) && hasEmbedded(items));
}

export function validateEmbedded(schema: JsonObject, value: Json, path?: problem.FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  walk(schema, value, path, errors);
  return errors;
}

function walk(schema: JsonObject, value: Json, path: problem.FieldPath | undefined, errors: FieldError[]): void {
  const child = (name: string) => (path ? path.child(name) : problem.field(name));
  if (Array.isArray(value)) {
    if (isJsonObject(schema.items)) for (const [index, item] of value.entries()) walk(schema.items, item, (path ?? problem.field('<nil>')).index(index), errors);
    return;
  }
  if (!isJsonObject(value)) return;
  if (schema['x-kubernetes-embedded-resource'] === true) embedded(value, child, errors);
  const { properties, additionalProperties } = schema;
  for (const key in value) {
    const property = isJsonObject(properties) && Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (isJsonObject(property)) walk(property, value[key] ?? null, child(key), errors);
    else if (isJsonObject(additionalProperties)) walk(additionalProperties, value[key] ?? null, path ? path.key(key) : problem.field(key), errors);
  }
}

function embedded(value: JsonObject, child: (name: string) => problem.FieldPath, errors: FieldError[]): void {
  for (const name of ['apiVersion', 'kind'] as const) {
    const text = value[name];
    const at = child(name);
    if (text === undefined) errors.push(problem.required(at));
    else if (typeof text !== 'string') errors.push(problem.invalid(at, text, 'must be a string'));
    else if (text === '') errors.push(problem.invalid(at, text, 'must not be empty'));
    else if (name === 'apiVersion') { if (text.split('/').length > 2) errors.push(problem.invalid(at, text, `unexpected GroupVersion string: ${text}`)); } else {
      const messages = isDNS1035Label(text.toLowerCase());
      if (messages.length > 0) errors.push(problem.invalid(at, text, `may have mixed case, but should otherwise match: ${messages.join(',')}`));
    }
  }
  const { metadata } = value;
  if (metadata === undefined) return;
  try {
    const { object } = decodeObject(typeOf('meta/v1.ObjectMeta'), cloneJson(metadata));
    const meta = { ...object, name: object.name || 'fakename' } as unknown as ObjectMeta;
    errors.push(...validateMetadataAt(meta, child('metadata'), (meta.namespace ?? '') !== '', nameIsPathSegment));
  } catch (err) {
    if (!(err instanceof StatusError)) throw err;
    errors.push(problem.invalid(child('metadata'), metadata, err.message));
  }
}
