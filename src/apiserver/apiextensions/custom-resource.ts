/**
 * One version of a CustomResourceDefinition as a ResourceEntry: the same kind of entry as a built-in resource, whose strategy,
 * schema, columns and conversion come from the definition. Nothing is compiled before it is used.
 * Source: apiextensions-apiserver/pkg/registry/customresource, pkg/apiserver/customresource_handler.go.
 */
import { cloneJson, isJsonObject, jsonEqual, type Draft, type Json, type JsonObject } from '../../base/json.ts';
import { decodeObject } from '../../api/decode.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import { forbidden, type FieldError } from '../../api/meta/status.ts';
import type { ResourceNames, SubresourceNames, Verb } from '../../api/resource-names.ts';
import type { TypeSchema } from '../../api/schema.ts';
import { applySchemaDefaults, customType } from '../../api/structural.ts';
import * as problem from '../../api/validation/field.ts';
import { isQualifiedName } from '../../api/validation/names.ts';
import type { ApiObject } from '../../client/client.ts';
import type { CacheEntry } from '../cache-entry.ts';
import type { Column, ResourceEntry, Strategy } from '../types.ts';
import { versionPriority } from '../version-priority.ts';
import { columnsOf } from './columns.ts';
import type { Condition } from './conditions.ts';
import { ConvertedEntries, type Converter } from './conversion.ts';
import { hasEmbedded, validateEmbedded } from './embedded.ts';
import { parseJsonPath, type JsonPath } from './json-path.ts';
import { validateListTypes } from './list-types.ts';
import { rulesOf, type Rules } from './rules.ts';
import { schemaValidator, type SchemaValidator } from './schema-validator.ts';

/** In upstream's order of discovery. */
const verbs: readonly Verb[] = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const scaleKind = { kind: 'Scale', apiVersion: 'autoscaling/v1' };

/** What is known of a definition without holding all of it. */
export interface DefinitionHead {
  name: string;
  uid: string;
  generation: number;
  group: string;
  scope: 'Namespaced' | 'Cluster';
  accepted: v1.CustomResourceDefinitionNames;
  terminating: boolean;
  /** The definition itself, parsed when asked for. */
  definition(): v1.CustomResourceDefinition;
  /** What is wrong with its schemas, of a definition that an older server took. */
  nonStructural(): Omit<Condition, 'lastTransitionTime'> | undefined;
  /** Undefined: conversion is by name. */
  converter: Converter | undefined;
}

/** A version but for its schema and columns, which are looked up when needed. */
export type VersionHead = Omit<v1.CustomResourceDefinitionVersion, 'schema' | 'additionalPrinterColumns' | 'selectableFields'>;

export function namesOf({ group, scope, accepted }: DefinitionHead, version: VersionHead): ResourceNames {
  const { status, scale } = version.subresources ?? {};
  const subresources: Record<string, SubresourceNames> = { ...(status ? { status: {} } : {}), ...(scale ? { scale: scaleKind } : {}) };
  return {
    group, version: version.name, apiVersion: `${group}/${version.name}`, typeName: '', kind: accepted.kind, plural: accepted.plural, singular: accepted.singular ?? accepted.kind.toLowerCase(),
    listKind: accepted.listKind ?? `${accepted.kind}List`, scope, verbs, shortNames: accepted.shortNames ?? [], categories: accepted.categories ?? [], subresources,
  };
}

export const storagePrefixOf = ({ group, accepted }: Pick<DefinitionHead, 'group' | 'accepted'>): string => `/registry/${group}/${accepted.plural}`;

/** Called when first needed; the result is kept. */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

interface Compiled {
  schema: JsonObject;
  validator: SchemaValidator;
  statusValidator: SchemaValidator | undefined;
  embedded: boolean;
  hasDefaults: boolean;
  rules: Rules | undefined;
}

export function customResourceEntry(head: DefinitionHead, version: VersionHead, storage: VersionHead): ResourceEntry {
  const names = namesOf(head, version);
  const { name: versionName } = version;
  const { apiVersion, kind } = names;
  /** The definition's own copy, so that a large one is not held twice. */
  const current = (): v1.CustomResourceDefinitionVersion => head.definition().spec.versions.find(({ name }) => name === versionName) ?? version;
  const schemaNow = (): JsonObject | undefined => current().schema?.openAPIV3Schema as JsonObject | undefined;
  const type = lazy((): TypeSchema => customType({ group: head.group, version: versionName, kind }, head.definition().spec.preserveUnknownFields ? { ...schemaNow(), 'x-kubernetes-preserve-unknown-fields': true } : schemaNow()));
  const compiled = lazy((): Compiled => {
    const schema = schemaNow() ?? {};
    const status = isJsonObject(schema.properties) ? schema.properties.status : undefined;
    return {
      schema, validator: schemaValidator(schema), statusValidator: isJsonObject(status) ? schemaValidator(status, 'status') : undefined,
      embedded: hasEmbedded(schema), hasDefaults: mayChange(schema), rules: rulesOf(schema),
    };
  });
  const columns = lazy((): readonly Column[] => columnsOf(current().additionalPrinterColumns));
  const webhook = head.converter && new ConvertedEntries(head.converter, apiVersion);
  const { scale } = version.subresources ?? {};

  /** Prunes and defaults in place what this version's schema says. */
  const normalise = (object: JsonObject): boolean => {
    const { unknownFields } = decodeObject(type(), object);
    const { schema, hasDefaults } = compiled();
    return (hasDefaults && applySchemaDefaults(object, schema)) || unknownFields.length > 0;
  };
  const fromStored = (object: JsonObject, entry?: CacheEntry): JsonObject => {
    if (webhook && object.apiVersion !== apiVersion) {
      const converted = entry && webhook.get(entry);
      // Without an entry a selector asks, of the fields as they are stored.
      if (!converted) { if (entry) throw new Error(`${apiVersion}, Kind=${kind}: shown before it was converted`); return object; }
      normalise(converted);
      return converted;
    }
    const draft = cloneJson(object);
    const changed = normalise(draft);
    if (draft.apiVersion === apiVersion && !changed) return object;
    return { kind, apiVersion, ...withoutType(draft) };
  };

  const strategy: Strategy = {
    generation: 'none', allowUnconditionalUpdate: false,
    setDefaults(object) {
      const { schema, hasDefaults } = compiled();
      if (hasDefaults) applySchemaDefaults(object as unknown as JsonObject, schema);
    },
    prepareForCreate(object) {
      if (head.terminating) throw forbidden({ group: head.group, resource: names.plural }, object.metadata.name, 'create not allowed while custom resource definition is terminating');
      object.metadata.generation = 1;
    },
    prepareForUpdate(object, old, { subresource }) {
      if (subresource === 'status') { keepMetadata(object, old); return; }
      if (!jsonEqual(withoutMetadata(object), withoutMetadata(old))) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    },
    validate: (object) => validate(object, undefined),
    validateUpdate: (object, old) => validate(object, old),
    validateStatusUpdate(object, old) {
      const { schema, statusValidator, rules } = compiled();
      const [next, before] = [object as unknown as JsonObject, old as unknown as JsonObject];
      const errors: FieldError[] = [];
      if (next.status !== undefined && statusValidator) errors.push(...statusValidator(next.status, before.status));
      errors.push(...scaleStatusErrors(next));
      const repeats = validateListTypes(schema, next);
      if (repeats.length > 0 && validateListTypes(schema, before).length === 0) errors.push(...repeats);
      return withRules(errors, rules, next, before);
    },
    warnings: (object, old) => finalizerWarnings(object, old),
  };

  function validate(object: ApiObject, old: ApiObject | undefined): FieldError[] {
    const { schema, validator, embedded, rules } = compiled();
    const [next, before] = [object as unknown as JsonObject, old as unknown as JsonObject | undefined];
    const errors = validator(next, before);
    errors.push(...scaleSpecErrors(next), ...scaleStatusErrors(next));
    if (embedded) errors.push(...validateEmbedded(schema, next));
    if (!before || validateListTypes(schema, before).length === 0) errors.push(...validateListTypes(schema, next));
    return withRules(errors, rules, next, before);
  }

  function scaleSpecErrors(object: JsonObject): FieldError[] { return scale ? replicaErrors(object, scale.specReplicasPath) : []; }
  function scaleStatusErrors(object: JsonObject): FieldError[] {
    if (!scale) return [];
    const errors = replicaErrors(object, scale.statusReplicasPath);
    const { labelSelectorPath } = scale;
    if (labelSelectorPath) {
      const value = valueAt(object, labelSelectorPath);
      if (value !== undefined && typeof value !== 'string') errors.push(problem.invalid(problem.field(labelSelectorPath), '', `${labelSelectorPath} accessor error: ${JSON.stringify(value)} is of the type ${goType(value)}, expected string`));
    }
    return errors;
  }

  const selectable = lazy((): Record<string, (object: ApiObject) => string> => Object.fromEntries((current().selectableFields ?? []).map(({ jsonPath }) => {
    let path: JsonPath | undefined;
    return [jsonPath.replace(/^\./, ''), (object: ApiObject) => { const value = (path ??= parseJsonPath(jsonPath))(object as unknown as JsonObject)[0]; return value === undefined || value === null ? '' : String(value); }];
  })));

  const storageNames = namesOf(head, storage);
  return {
    names: names as ResourceEntry['names'], storagePrefix: storagePrefixOf(head), strategy, type,
    get columns() { return columns(); },
    get fieldSelectors() { return selectable(); },
    ...(scale ? { scale: {
      specReplicas: scale.specReplicasPath, statusReplicas: scale.statusReplicasPath, required: true,
      selector: (object: ApiObject) => { const value = scale.labelSelectorPath ? valueAt(object as unknown as JsonObject, scale.labelSelectorPath) : undefined; return typeof value === 'string' ? value : ''; },
    } } : {}),
    alias: {
      of: storageNames, viewName: `${apiVersion} ${head.uid} ${head.generation}`, fromStored,
      toStored: (object) => (head.converter && object.apiVersion !== storageNames.apiVersion ? toStorage(head.converter, object, storageNames.apiVersion) : object),
      ...(webhook ? { prepare: (entries: readonly CacheEntry[]) => webhook.prepare(entries) } : {}),
    },
    returnsDeleted: false,
    ...(head.terminating ? { terminating: true } : {}),
    ...(version.deprecated ? { notices: [version.deprecationWarning ?? deprecationOf(head, versionName)] } : {}),
  };
}

async function toStorage(converter: Converter, object: JsonObject, apiVersion: string): Promise<JsonObject> { return (await converter.convert([object], apiVersion))[0]!; }

const withoutType = (object: JsonObject): JsonObject => { const { kind: _, apiVersion: __, ...rest } = object; return rest; };
const withoutMetadata = (object: object): JsonObject => { const { metadata: _, ...rest } = object as unknown as JsonObject; return rest; };

/** A write of status changes nothing of metadata but who manages what. */
function keepMetadata(object: Draft<ApiObject>, old: ApiObject): void {
  const meta = object.metadata as unknown as JsonObject;
  const { managedFields, resourceVersion } = meta;
  for (const key of Object.keys(meta)) delete meta[key];
  Object.assign(meta, cloneJson(old.metadata as unknown as JsonObject), { managedFields, resourceVersion });
  if (managedFields === undefined) delete meta.managedFields;
}

/** The schema has defaults, or values that may not be null: an object read may have to be changed. */
function mayChange(schema: JsonObject): boolean {
  return isJsonObject(schema.properties) && Object.keys(schema.properties).length > 0 || isJsonObject(schema.additionalProperties) || isJsonObject(schema.items);
}

function valueAt(object: JsonObject, path: string): Json | undefined {
  return path.replace(/^\./, '').split('.').reduce<Json | undefined>((value, key) => (isJsonObject(value) ? value[key] : undefined), object);
}
const goType = (value: Json) => (typeof value === 'number' ? (Number.isInteger(value) ? 'int64' : 'float64') : typeof value === 'boolean' ? 'bool' : Array.isArray(value) ? '[]interface {}' : value === null ? '<nil>' : typeof value === 'string' ? 'string' : 'map[string]interface {}');

function replicaErrors(object: JsonObject, path: string): FieldError[] {
  const value = valueAt(object, path);
  if (value === undefined) return [];
  const at = problem.field(path);
  if (typeof value !== 'number' || !Number.isInteger(value)) return [problem.invalid(at, 0, `${path} accessor error: ${typeof value === 'string' ? value : JSON.stringify(value)} is of the type ${goType(value)}, expected int64`)];
  if (value < 0) return [problem.invalid(at, value, 'should be a non-negative integer')];
  return value > 2 ** 31 - 1 ? [problem.invalid(at, value, `should be less than or equal to ${2 ** 31 - 1}`)] : [];
}

const blocking = new Set<FieldError['type']>(['FieldValueNotSupported', 'FieldValueRequired', 'FieldValueTooLong', 'FieldValueTooMany', 'FieldValueTypeInvalid']);
/** Rules see only objects of the right shape. */
function withRules(errors: FieldError[], rules: Rules | undefined, next: JsonObject, old: JsonObject | undefined): FieldError[] {
  if (!rules) return errors;
  if (errors.some(({ type }) => blocking.has(type))) {
    return [...errors, problem.invalid(problem.field('<nil>'), null, 'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation')];
  }
  return [...errors, ...rules(next, old)];
}

const standardFinalizers = new Set(['orphan', 'foregroundDeletion', 'kubernetes']);
function finalizerWarnings(object: ApiObject, old: ApiObject | undefined): string[] {
  const known = new Set(old?.metadata.finalizers);
  return [...new Set(object.metadata.finalizers ?? [])].filter((finalizer) => !known.has(finalizer)).sort().flatMap((finalizer) => [
    ...isQualifiedName(finalizer).map((message) => `metadata.finalizers: ${problem.quote(finalizer)}: ${message}`),
    ...(finalizer.includes('/') || standardFinalizers.has(finalizer) ? [] : [`metadata.finalizers: ${problem.quote(finalizer)}: prefer a domain-qualified finalizer name ${finalizer.includes('.') ? 'including a path (/) ' : ''}to avoid accidental conflicts with other finalizer writers`]),
  ]);
}

function deprecationOf({ group, accepted, definition }: DefinitionHead, version: string): string {
  const better = definition().spec.versions.filter((one) => one.served && !one.deprecated && versionPriority(one.name, version) < 0).map(({ name }) => name).sort(versionPriority)[0];
  return `${group}/${version} ${accepted.kind} is deprecated${better ? `; use ${group}/${better} ${accepted.kind}` : ''}`;
}
