/**
 * Schemas of custom resources in OpenAPI documents. Version 2 can't say all that a schema says, and old kubectls refuse objects by it,
 * so there it says less. Source: apiextensions-apiserver/pkg/controller/openapi/builder, pkg/controller/openapi/v2.
 */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import type { Descriptions } from '../../api/openapi/definitions.ts';
import type { CustomDefinitions } from '../../api/openapi/documents.ts';
import { customDefinitionName } from '../../api/openapi/documents.ts';
import type { CustomResources } from './custom-resources.ts';
import type { DefinitionHead } from './custom-resource.ts';

/** Follows what is served. Asked on every request, so it is remembered until that changes. */
export function customDefinitions(served: CustomResources): () => CustomDefinitions {
  let made: { generation: number; definitions: CustomDefinitions } | undefined;
  return () => {
    if (made?.generation !== served.generation) made = { generation: served.generation, definitions: definitionsOf(served) };
    return made.definitions;
  };
}

function definitionsOf(served: CustomResources): CustomDefinitions {
  const byName = new Map<string, { head: DefinitionHead; version: string; list: boolean }>();
  const keys = new Map<string, string>();
  for (const { head, entries } of served.served()) {
    for (const { names } of entries) {
      byName.set(customDefinitionName(names.group, names.version, names.kind), { head, version: names.version, list: false });
      byName.set(customDefinitionName(names.group, names.version, names.listKind ?? `${names.kind}List`), { head, version: names.version, list: true });
      keys.set(`${names.apiVersion}/${names.plural}`, `${head.uid} ${head.generation} ${JSON.stringify(names)}`);
    }
  }
  return {
    keyOf: ({ apiVersion, plural }) => keys.get(`${apiVersion}/${plural}`) ?? '',
    definition(name, dialect, ref, descriptions) {
      const found = byName.get(name);
      if (!found) return undefined;
      const { head, version, list } = found;
      const { accepted, group } = head;
      if (list) return listDefinition(head, version, ref, descriptions);
      const known = head.definition().spec.versions.find((one) => one.name === version);
      const schema = known?.schema?.openAPIV3Schema as JsonObject | undefined;
      const kinds: Json = [{ group, kind: accepted.kind, version }];
      const selectable = known?.selectableFields?.map(({ jsonPath }) => ({ fieldPath: jsonPath.replace(/^\./, '') }));
      const extra = { 'x-kubernetes-group-version-kind': kinds, ...(selectable && selectable.length > 0 && dialect === 3 ? { 'x-kubernetes-selectable-fields': selectable } : {}) };
      if (!schema || head.nonStructural()) return { type: 'object', ...extra };
      if (dialect === 2 && (schema['x-kubernetes-preserve-unknown-fields'] === true || head.definition().spec.preserveUnknownFields)) return { type: 'object', ...extra };
      const own = published(schema, dialect, ref, descriptions);
      return { ...own, properties: { ...(isJsonObject(own.properties) ? own.properties : {}), ...typeMeta(ref, descriptions) }, ...extra };
    },
  };
}

/** apiVersion, kind and metadata as every object has them. */
function typeMeta(ref: (type: string) => JsonObject, descriptions: Descriptions | undefined): JsonObject {
  const texts = descriptions?.['io.k8s.api.core.v1.Pod'];
  const described = (name: string): JsonObject => (texts?.[name] ? { description: texts[name] } : {});
  const meta = ref('meta/v1.ObjectMeta');
  // A reference with a description stands in an allOf in version 3.
  const metadata: JsonObject = String(meta.$ref).startsWith('#/components/') ? { ...described('metadata'), allOf: [meta] } : { ...described('metadata'), ...meta };
  return { apiVersion: { ...described('apiVersion'), type: 'string' }, kind: { ...described('kind'), type: 'string' }, metadata };
}

function listDefinition({ accepted, group }: DefinitionHead, version: string, ref: (type: string) => JsonObject, descriptions: Descriptions | undefined): JsonObject {
  const texts = descriptions?.['io.k8s.api.core.v1.PodList'];
  const described = (name: string): JsonObject => (texts?.[name] ? { description: texts[name] } : {});
  return {
    description: `${accepted.listKind ?? `${accepted.kind}List`} is a list of ${accepted.kind}`, type: 'object', required: ['items'],
    properties: {
      apiVersion: { ...described('apiVersion'), type: 'string' },
      items: { description: `List of ${accepted.plural}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md`, type: 'array', items: ref(`${group}/${version}.${accepted.kind}`) },
      kind: { ...described('kind'), type: 'string' }, metadata: { ...described('metadata'), ...ref('meta/v1.ListMeta') },
    },
    'x-kubernetes-group-version-kind': [{ group, kind: accepted.listKind ?? `${accepted.kind}List`, version }],
  };
}

function published(schema: JsonObject, dialect: 2 | 3, ref: (type: string) => JsonObject, descriptions: Descriptions | undefined): JsonObject {
  const { items, properties, additionalProperties, ...rest } = schema;
  const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const out: JsonObject = rest;
  if (dialect === 2) {
    for (const key of ['anyOf', 'allOf', 'oneOf', 'not', 'nullable']) delete out[key];
    if (schema['x-kubernetes-int-or-string'] === true) delete out.type;
    // What may be null, or anything, has no type that version 2 could name, and old kubectls stumble over what would be inside.
    if (schema.nullable === true || preserves) {
      if (schema.nullable === true || schema.type === 'object' || schema.type === 'array') delete out.type;
      if (isJsonObject(additionalProperties)) out.additionalProperties = published(additionalProperties, dialect, ref, descriptions);
      return out;
    }
    if (schema.type === 'array' && !isJsonObject(items)) delete out.type;
    if (Array.isArray(schema.required) && isJsonObject(properties)) {
      const needed = schema.required.filter((name) => { const property = properties[String(name)]; return !(isJsonObject(property) && property.nullable === true); });
      if (needed.length > 0) out.required = needed; else delete out.required;
    }
  }
  if (isJsonObject(items)) out.items = published(items, dialect, ref, descriptions);
  if (isJsonObject(additionalProperties)) out.additionalProperties = published(additionalProperties, dialect, ref, descriptions);
  else if (additionalProperties !== undefined) out.additionalProperties = additionalProperties;
  if (isJsonObject(properties)) out.properties = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, isJsonObject(property) ? published(property, dialect, ref, descriptions) : property]));
  if (schema['x-kubernetes-embedded-resource'] === true) {
    out.properties = { ...(isJsonObject(out.properties) ? out.properties : {}), ...typeMeta(ref, descriptions) };
    out.required = [...new Set([...(Array.isArray(schema.required) ? schema.required : []), 'kind', 'apiVersion'])];
  }
  return out;
}
