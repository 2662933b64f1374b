/**
 * Types of the schema as OpenAPI schemas, under upstream's names (`io.k8s.api.apps.v1.Deployment`) and with its x-kubernetes extensions.
 * Version 2 and 3 differ in where references point and how a reference carries a description. Source: kube-openapi.
 */
import type { Json, JsonObject } from '../../base/json.ts';
import { builtInResources } from '../resource-names.ts';
import { findType, typeOf, type FieldSchema, type FieldType, type Scalar, type TypeSchema } from '../schema.ts';

/** Texts for `kubectl explain`, by definition name, then field; '' is the type's own. See `descriptions.ts`. */
export type Descriptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Dialect { refPrefix: string; version: 2 | 3; descriptions: Descriptions | undefined }

const folders: Readonly<Record<string, string>> = {
  meta: 'io.k8s.apimachinery.pkg.apis.meta', apiextensions: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions', apiregistration: 'io.k8s.kube-aggregator.pkg.apis.apiregistration',
};
/** 'io.k8s.api.apps.v1.Deployment' for 'apps/v1.Deployment'. */
export function definitionName(typeName: string): string {
  const [folder = '', rest = ''] = typeName.split('/');
  return `${folders[folder] ?? `io.k8s.api.${folder}`}.${rest}`;
}

/** Scalars that are definitions of their own. */
const scalarDefinitions: Partial<Record<Scalar, [name: string, schema: JsonObject]>> = {
  Time: ['io.k8s.apimachinery.pkg.apis.meta.v1.Time', { type: 'string', format: 'date-time' }],
  MicroTime: ['io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime', { type: 'string', format: 'date-time' }],
  Quantity: ['io.k8s.apimachinery.pkg.api.resource.Quantity', { type: 'string' }],
  IntOrString: ['io.k8s.apimachinery.pkg.util.intstr.IntOrString', { type: 'string', format: 'int-or-string' }],
  RawExtension: ['io.k8s.apimachinery.pkg.runtime.RawExtension', { type: 'object' }],
  FieldsV1: ['io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1', { type: 'object' }],
  JSON: [definitionName('apiextensions/v1.JSON'), {}],
  JSONSchemaPropsOrArray: [definitionName('apiextensions/v1.JSONSchemaPropsOrArray'), {}],
  JSONSchemaPropsOrBool: [definitionName('apiextensions/v1.JSONSchemaPropsOrBool'), {}],
  JSONSchemaPropsOrStringArray: [definitionName('apiextensions/v1.JSONSchemaPropsOrStringArray'), {}],
};
/** Version 3 can say what version 2 can't. */
const scalarDefinitions3: Partial<Record<Scalar, JsonObject>> = {
  Quantity: { oneOf: [{ type: 'string' }, { type: 'number' }] }, IntOrString: { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' },
};
const inlineScalars: Partial<Record<Scalar, JsonObject>> = {
  string: { type: 'string' }, bool: { type: 'boolean' }, int32: { type: 'integer', format: 'int32' }, int64: { type: 'integer', format: 'int64' }, double: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' }, Duration: { type: 'string' }, ExtraValue: { type: 'array', items: { type: 'string' } }, any: {},
};

export interface Reached { definitions: Record<string, JsonObject> }

/** Adds the definition of a type and of all it refers to. */
export function addDefinition(into: Record<string, JsonObject>, typeName: string, dialect: Dialect): void {
  const name = definitionName(typeName);
  if (into[name]) return;
  const type = typeOf(typeName);
  const out: JsonObject = {};
  into[name] = out;
  const texts = dialect.descriptions?.[name];
  if (texts?.['']) out.description = texts[''];
  out.type = 'object';
  const properties: JsonObject = {};
  const required: string[] = [];
  for (const field of type.fields.values()) {
    properties[field.name] = propertyOf(field, texts?.[field.name], into, dialect);
    if (field.required) required.push(field.name);
  }
  if (required.length > 0) out.required = required; // in Go's order, as the schema lists them
  if (type.fields.size > 0) out.properties = Object.fromEntries(Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (type.atomic) out['x-kubernetes-map-type'] = 'atomic';
  const kinds = kindsOf(type);
  if (kinds.length > 0) out['x-kubernetes-group-version-kind'] = kinds;
  if (type.union) out['x-kubernetes-unions'] = [unionOf(type)];
}

function propertyOf(field: FieldSchema, description: string | undefined, into: Record<string, JsonObject>, dialect: Dialect): JsonObject {
  const schema = schemaOf(field.type, into, dialect);
  const out: JsonObject = dialect.version === 3 && schema.$ref !== undefined && description ? { allOf: [schema] } : schema;
  if (description) out.description = description;
  if (field.listType) out['x-kubernetes-list-type'] = field.listType;
  if (field.listMapKeys) out['x-kubernetes-list-map-keys'] = [...field.listMapKeys];
  if (field.mapType) out['x-kubernetes-map-type'] = field.mapType;
  if (field.patchMergeKey) out['x-kubernetes-patch-merge-key'] = field.patchMergeKey;
  if (field.patchStrategy) out['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',');
  return out;
}

function schemaOf(type: FieldType, into: Record<string, JsonObject>, dialect: Dialect): JsonObject {
  switch (type.kind) {
    case 'list': return { type: 'array', items: schemaOf(type.items, into, dialect) };
    case 'map': return { type: 'object', additionalProperties: schemaOf(type.values, into, dialect) };
    case 'ref': addDefinition(into, type.name, dialect); return { $ref: dialect.refPrefix + definitionName(type.name) };
    case 'scalar': {
      const own = scalarDefinitions[type.scalar];
      if (!own) return { ...inlineScalars[type.scalar]! };
      const [name, schema] = own;
      const text = dialect.descriptions?.[name]?.[''];
      into[name] ??= { ...(text ? { description: text } : {}), ...(dialect.version === 3 ? scalarDefinitions3[type.scalar] ?? schema : schema) };
      return { $ref: dialect.refPrefix + name };
    }
  }
}

const gvk = (apiVersion: string, kind: string): JsonObject => {
  const slash = apiVersion.indexOf('/');
  return { group: slash < 0 ? '' : apiVersion.slice(0, slash), kind, version: apiVersion.slice(slash + 1) };
};

/** Types that are bodies carry their kinds; DeleteOptions and WatchEvent belong to every group version. */
function kindsOf(type: TypeSchema): Json[] {
  if (type.name === 'meta/v1.DeleteOptions' || type.name === 'meta/v1.WatchEvent') {
    const versions = new Set(['v1', ...builtInResources().map((names) => names.apiVersion)]);
    return [...versions].map((apiVersion) => gvk(apiVersion, type.shortName)).sort((a, b) => (`${String(a.group)}/${String(a.version)}` < `${String(b.group)}/${String(b.version)}` ? -1 : 1));
  }
  if (!type.fields.has('apiVersion') || !type.fields.has('kind') || type.fields.get('kind')!.numbers[0] !== 0) return [];
  return [gvk(type.name.startsWith('meta/') ? 'v1' : type.apiVersion, type.shortName)];
}

/** From 'type: localhostProfile=LocalhostProfile,…'; the discriminator may be missing. */
function unionOf(type: TypeSchema): JsonObject {
  const [, discriminator, list = ''] = /^(?:(\w+): )?(.*)$/.exec(type.union!) ?? [];
  return { ...(discriminator ? { discriminator } : {}), 'fields-to-discriminateBy': Object.fromEntries(list.split(',').map((pair) => pair.split('='))) as JsonObject };
}

export function hasType(typeName: string): boolean { return typeName !== '' && findType(typeName) !== undefined; }
