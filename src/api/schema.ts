/**
 * The API schema as data: every type of every served group version, its fields and how they merge. Everything generic
 * (decoding, pruning, defaults for lists, strategic merge, server-side apply, OpenAPI, protobuf, explain) reads this.
 *
 * Notation of a field: `'<protobuf number> <type>[!] [flags…]'`.
 * - number: `3`; `1.3` is field 3 of the message in field 1 (Go embeds that struct, JSON does not show it); `0`: not in protobuf.
 * - type: a scalar below, the name of a type (`PodSpec` of the same or the meta group version, `core/v1.PodSpec` of another),
 *   `[]T`, `map<T>` (keys are strings). `!`: required.
 * - `pointer`: Go holds a pointer, so a zero value (0, '', false, {}) differs from absent. Others are left out when zero unless required.
 * - flags, upstream's `x-kubernetes-*`: `atomic`, `set`, `map(key,…)` for server-side apply; `granular`;
 *   `merge`, `merge(key)`, `replace`, `retainKeys` for strategic merge patch.
 * A type may carry `$struct: 'atomic'` (applied as a whole) and `$union`.
 *
 * The short folder form of a group version ('core/v1', 'rbac/v1') is the key used here; `apiVersion` is the one on the wire.
 */

import type { JsonObject } from '../base/json.ts';

export const scalars = [
  'string', 'bool', 'int32', 'int64', 'double', 'bytes', 'Time', 'MicroTime', 'Duration', 'Quantity', 'IntOrString',
  'RawExtension', 'FieldsV1', 'ExtraValue', 'JSON', 'JSONSchemaPropsOrArray', 'JSONSchemaPropsOrBool', 'JSONSchemaPropsOrStringArray', 'any',
] as const;
export type Scalar = (typeof scalars)[number];

export type FieldType =
  | { kind: 'scalar'; scalar: Scalar }
  /** `name` is fully qualified: 'core/v1.PodSpec'. Resolve with `resolveRef`. Types of custom resources are not registered and come along as `type`. */
  | { kind: 'ref'; name: string; type?: TypeSchema }
  | { kind: 'list'; items: FieldType }
  | { kind: 'map'; values: FieldType };

export type ListType = 'atomic' | 'set' | 'map';

export interface FieldSchema {
  name: string;
  /** Protobuf field numbers from the outer message in: [3], or [1, 3] for an embedded struct; [0] when not in protobuf. */
  numbers: readonly number[];
  type: FieldType;
  required: boolean;
  /** A zero value is a value of its own; without this it is the same as absent. Lists and maps: never. */
  pointer?: boolean;
  /** Server-side apply topology of a list. Unset means atomic. */
  listType?: ListType;
  listMapKeys?: readonly string[];
  /** Values that keys left out have. */
  listMapDefaults?: JsonObject;
  /** Server-side apply topology of a map or struct field. */
  mapType?: 'atomic' | 'granular';
  /** Strategic merge patch. */
  patchStrategy?: readonly ('merge' | 'replace' | 'retainKeys')[];
  patchMergeKey?: string;
}

export interface TypeSchema {
  /** 'core/v1.Pod' */
  name: string;
  /** 'v1', 'apps/v1' */
  apiVersion: string;
  /** 'Pod' */
  shortName: string;
  fields: ReadonlyMap<string, FieldSchema>;
  /** The whole struct is one value to server-side apply. */
  atomic: boolean;
  union?: string;
  /** Fields the schema does not know are kept as they are. Only custom resources have such types. */
  preserveUnknownFields?: boolean;
  /** Of a custom resource: values of a wrong type are left to validation, null and zero values are values, nothing is normalised. */
  custom?: boolean;
}

type FieldSpecs = Readonly<Record<string, string>>;
export interface GroupVersionSchema { key: string; apiVersion: string; specs: Readonly<Record<string, FieldSpecs>> }

const groupVersions = new Map<string, GroupVersionSchema>();
const parsed = new Map<string, TypeSchema>();

/** Registers the types of one group version. Fields are parsed when a type is first asked for, so start-up pays for none. */
export function defineTypes(key: string, apiVersion: string, specs: Readonly<Record<string, FieldSpecs>>): GroupVersionSchema {
  const groupVersion = { key, apiVersion, specs };
  groupVersions.set(key, groupVersion);
  return groupVersion;
}

export function allGroupVersions(): GroupVersionSchema[] { return [...groupVersions.values()]; }

/** The schema of 'core/v1.Pod'; undefined when there is no such type. */
export function findType(name: string): TypeSchema | undefined {
  let type = parsed.get(name);
  if (type) return type;
  const dot = name.indexOf('.', name.indexOf('/'));
  const groupVersion = groupVersions.get(name.slice(0, dot));
  const specs = groupVersion?.specs[name.slice(dot + 1)];
  if (!groupVersion || !specs) return undefined;
  type = parseType(groupVersion, name.slice(dot + 1), specs);
  parsed.set(name, type);
  return type;
}

/** As `findType`, for names known to exist. */
export function typeOf(name: string): TypeSchema {
  const type = findType(name);
  if (!type) throw new Error(`no such type in the API schema: ${name}`);
  return type;
}

export function resolveRef(type: FieldType & { kind: 'ref' }): TypeSchema { return type.type ?? typeOf(type.name); }

function parseType(groupVersion: GroupVersionSchema, shortName: string, specs: FieldSpecs): TypeSchema {
  const fields = new Map<string, FieldSchema>();
  for (const [name, spec] of Object.entries(specs)) {
    if (name !== '$struct' && name !== '$union') fields.set(name, parseField(groupVersion, name, spec));
  }
  return {
    name: `${groupVersion.key}.${shortName}`, apiVersion: groupVersion.apiVersion, shortName, fields,
    atomic: specs.$struct === 'atomic', ...(specs.$union ? { union: specs.$union } : {}),
  };
}

function parseField(groupVersion: GroupVersionSchema, name: string, spec: string): FieldSchema {
  const [numbers = '0', rawType = 'any', ...flags] = spec.split(' ');
  const required = rawType.endsWith('!');
  const field: FieldSchema = {
    name, required, numbers: numbers.split('.').map(Number),
    type: parseFieldType(groupVersion, required ? rawType.slice(0, -1) : rawType),
  };
  const patchStrategy: ('merge' | 'replace' | 'retainKeys')[] = [];
  for (const flag of flags) {
    const [, word = '', args] = /^(\w+)(?:\((.*)\))?$/.exec(flag) ?? [];
    if (word === 'merge' || word === 'replace' || word === 'retainKeys') {
      patchStrategy.push(word);
      if (args) field.patchMergeKey = args;
    } else if (word === 'pointer') field.pointer = true;
    else if (word === 'granular' || (word === 'atomic' && field.type.kind !== 'list' && !(field.type.kind === 'scalar' && field.type.scalar === 'bytes'))) field.mapType = word;
    else if (word === 'atomic' || word === 'set') field.listType = word;
    else if (word === 'map') { field.listType = 'map'; field.listMapKeys = (args ?? '').split(','); }
    else throw new Error(`${groupVersion.key} ${name}: unknown flag ${flag}`);
  }
  if (patchStrategy.length > 0) field.patchStrategy = patchStrategy;
  return field;
}

function parseFieldType(groupVersion: GroupVersionSchema, text: string): FieldType {
  if (text.startsWith('[]')) return { kind: 'list', items: parseFieldType(groupVersion, text.slice(2)) };
  if (text.startsWith('map<')) return { kind: 'map', values: parseFieldType(groupVersion, text.slice(4, -1)) };
  if ((scalars as readonly string[]).includes(text)) return { kind: 'scalar', scalar: text as Scalar };
  if (text.includes('.')) return { kind: 'ref', name: text };
  return { kind: 'ref', name: groupVersion.specs[text] ? `${groupVersion.key}.${text}` : `meta/v1.${text}` };
}
