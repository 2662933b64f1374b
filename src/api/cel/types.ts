/**
 * Static types of CEL expressions, and how they follow from our schemas: built-in kinds (`FieldType`) and structural schemas of
 * custom resources (JSON). Source: CEL language definition; apiserver/pkg/cel/common/schemas.go.
 */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { resolveRef, type FieldType, type Scalar, type TypeSchema } from '../schema.ts';
import { escapeIdentifier } from './escape.ts';

type Simple = 'dyn' | 'error' | 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'null' | 'timestamp' | 'duration' | 'type';
export type CelType = { readonly nullable?: boolean } & (
  | { readonly kind: Simple }
  | { readonly kind: 'list'; readonly items: CelType }
  | { readonly kind: 'map'; readonly keys: CelType; readonly values: CelType }
  /** `field` knows names as expressions write them (escaped). */
  | { readonly kind: 'object'; readonly name: string; field(name: string): CelType | undefined; /** As the data has it. */ jsonName?(name: string): string | undefined }
  | { readonly kind: 'optional'; readonly value: CelType }
  | { readonly kind: 'opaque'; readonly name: string }
  | { readonly kind: 'param'; readonly name: string });

const simple = (kind: Simple): CelType => ({ kind });
export const dyn = simple('dyn');
export const errorType = simple('error');
export const bool = simple('bool');
export const int = simple('int');
export const uint = simple('uint');
export const double = simple('double');
export const string = simple('string');
export const bytes = simple('bytes');
export const nullType = simple('null');
export const timestamp = simple('timestamp');
export const duration = simple('duration');
export const typeType = simple('type');
export const list = (items: CelType): CelType => ({ kind: 'list', items });
export const map = (keys: CelType, values: CelType): CelType => ({ kind: 'map', keys, values });
export const optional = (value: CelType): CelType => ({ kind: 'optional', value });
export const opaque = (name: string): CelType => ({ kind: 'opaque', name });
export const param = (name: string): CelType => ({ kind: 'param', name });

/** An object whose fields are known by their JSON names. */
export function objectType(name: string, fields: Readonly<Record<string, CelType>> | ReadonlyMap<string, CelType | (() => CelType)>): CelType {
  const entries = fields instanceof Map ? [...(fields as ReadonlyMap<string, CelType | (() => CelType)>)] : Object.entries(fields as Readonly<Record<string, CelType>>);
  const byEscaped = new Map<string, { json: string; type: CelType | (() => CelType) }>();
  for (const [json, type] of entries) {
    byEscaped.set(escapeIdentifier(json), { json, type });
    // Differs: upstream demands the escaped form of reserved words; ours also takes `object.metadata.namespace`, as untyped expressions do.
    if (/^[A-Za-z_]\w*$/.test(json) && !byEscaped.has(json)) byEscaped.set(json, { json, type });
  }
  return {
    kind: 'object', name,
    field: (field) => { const found = byEscaped.get(field); return found && (typeof found.type === 'function' ? found.type() : found.type); },
    jsonName: (field) => byEscaped.get(field)?.json,
  };
}

/** As cel-go writes types in its messages. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'list': return `list(${formatType(type.items)})`;
    case 'map': return `map(${formatType(type.keys)}, ${formatType(type.values)})`;
    case 'optional': return `optional_type(${formatType(type.value)})`;
    case 'object': case 'opaque': case 'param': return type.name;
    case 'error': return '!error!';
    default: return type.kind;
  }
}

export function sameType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case 'list': return sameType(a.items, (b as typeof a).items);
    case 'map': return sameType(a.keys, (b as typeof a).keys) && sameType(a.values, (b as typeof a).values);
    case 'optional': return sameType(a.value, (b as typeof a).value);
    case 'object': case 'opaque': case 'param': return a.name === (b as typeof a).name;
    default: return true;
  }
}

// ---- from our schemas

const scalarTypes: Readonly<Record<Scalar, CelType>> = {
  string, bool, int32: int, int64: int, double, bytes, Time: timestamp, MicroTime: timestamp, Duration: string, Quantity: string, IntOrString: dyn,
  RawExtension: dyn, FieldsV1: dyn, ExtraValue: dyn, JSON: dyn, JSONSchemaPropsOrArray: dyn, JSONSchemaPropsOrBool: dyn, JSONSchemaPropsOrStringArray: dyn, any: dyn,
};
const builtIn = new WeakMap<TypeSchema, CelType>();

/** The type of a kind of our schema: `typeOfSchema(typeOf('apps/v1.Deployment'))`. */
export function typeOfSchema(schema: TypeSchema): CelType {
  let type = builtIn.get(schema);
  if (!type) {
    type = schema.preserveUnknownFields && schema.fields.size === 0 ? dyn
      : objectType(schema.name, new Map([...schema.fields].map(([name, field]) => [name, () => typeOfField(field.type)])));
    builtIn.set(schema, type);
  }
  return type;
}
export function typeOfField(type: FieldType): CelType {
  switch (type.kind) {
    case 'scalar': return scalarTypes[type.scalar];
    case 'ref': return typeOfSchema(resolveRef(type));
    case 'list': return list(typeOfField(type.items));
    case 'map': return map(string, typeOfField(type.values));
  }
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const metadataType = objectType('object', { name: string, generateName: string });

/** The type of a value under a structural schema (OpenAPI v3 JSON). `root`: it is a whole resource. Unknown shapes are dyn. */
export function typeOfStructural(schema: JsonObject, root = false): CelType {
  const type = structural(schema, root || schema['x-kubernetes-embedded-resource'] === true);
  return schema.nullable === true && type.kind !== 'dyn' ? { ...type, nullable: true } : type;
}
function structural(schema: JsonObject, resource: boolean): CelType {
  if (schema['x-kubernetes-int-or-string'] === true) return dyn;
  switch (schema.type) {
    case 'array': return list(isJsonObject(schema.items) ? typeOfStructural(schema.items) : dyn);
    case 'boolean': return bool;
    case 'number': return double;
    case 'integer': return int;
    case 'string':
      switch (schema.format) {
        case 'byte': return bytes;
        case 'duration': return duration;
        case 'date': case 'date-time': return timestamp;
        default: return string;
      }
    case 'object': {
      if (isJsonObject(schema.additionalProperties)) return map(string, typeOfStructural(schema.additionalProperties));
      const properties = Object.entries(objectOf(schema.properties)).filter(([, property]) => isJsonObject(property));
      if (schema.additionalProperties === true) return map(string, dyn);
      if (!resource && properties.length === 0 && schema['x-kubernetes-preserve-unknown-fields'] === true) return dyn;
      const fields = new Map<string, CelType | (() => CelType)>(properties.map(([name, property]) => [name, () => typeOfStructural(property as JsonObject)]));
      if (resource) for (const [name, type] of [['kind', string], ['apiVersion', string], ['metadata', metadataType]] as const) fields.set(name, type);
      return objectType('object', fields);
    }
    default: return dyn;
  }
}
