/**
 * The documents themselves: `/openapi/v2`, `/openapi/v3` and `/openapi/v3/apis/apps/v1`, made on first use from the resources served
 * and kept until those change. Each comes with an entity tag. Driven by the apiserver; custom resources bring definitions of their own.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../../base/json.ts';
import type { ResourceNames } from '../resource-names.ts';
import { addDefinition, definitionName, hasType, type Descriptions, type Dialect } from './definitions.ts';
import { encodeDocument } from './gnostic.ts';
import { discoveryOperations, operationsOf, type Operation } from './operations.ts';

export interface OpenApiSource {
  resources: readonly ResourceNames[];
  /** For resources without a built-in type: full schemas by definition name, references already inside. Keys: see `customDefinitionName`. */
  definitions?: Readonly<Record<string, JsonObject>>;
  /** The same, made when asked for. */
  custom?: CustomDefinitions | undefined;
  descriptions?: Descriptions | undefined;
  /** info.version, such as 'v1.36.0'. */
  version: string;
}

/** Schemas of resources without a built-in type. */
export interface CustomDefinitions {
  /** By definition name, in the words of a version of OpenAPI; `ref` gives references to types ('meta/v1.ObjectMeta', 'example.com/v1.Widget'). */
  definition(name: string, dialect: 2 | 3, ref: (type: string) => JsonObject, descriptions: Descriptions | undefined): JsonObject | undefined;
  /** Others when what `definition` says of a resource is other. */
  keyOf(names: ResourceNames): string;
}

export interface Document { body: Uint8Array; etag: string }
export interface OpenApi {
  v2(): Document;
  /** As `openApiV2ProtobufMediaType`, for the types in `openApiV2ProtobufAccepts`. */
  v2Protobuf(): Document;
  /** The index: paths to `serverRelativeURL`s that carry each document's hash. */
  v3Index(): Document;
  /** 'api/v1', 'apis/apps/v1', 'apis/apps', 'api', 'version'; undefined when there is no such document. */
  v3(path: string): Document | undefined;
}

/** What clients may ask for; the first is the older name, in which '@' is not allowed by RFC 2045, so answers carry the second. */
export const openApiV2ProtobufAccepts: readonly string[] = ['application/com.github.proto-openapi.spec.v2@v1.0+protobuf', 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'];
/** The Content-Type of `v2Protobuf()`, whichever name was asked for: clients of both ages parse it. */
export const openApiV2ProtobufMediaType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** 'com.example.v1.Widget' for example.com/v1 Widget: upstream reverses the group. */
export function customDefinitionName(group: string, version: string, kind: string): string { return `${group.split('.').reverse().join('.')}.${version}.${kind}`; }

/** `kept`: documents of an earlier source by what they were made of; those still good are taken, and new ones put there. */
export function createOpenApi(source: OpenApiSource, kept: Map<string, Document> = new Map()): OpenApi {
  const before = new Map(kept);
  kept.clear();
  const cache = new Map<string, Document>();
  const once = (key: string, make: () => Uint8Array, madeOf?: string): Document => {
    const found = madeOf === undefined ? undefined : before.get(madeOf);
    if (found) cache.set(key, found);
    let document = cache.get(key);
    if (!document) {
      const body = make();
      document = { body, etag: createHash('sha512').update(body).digest('hex').toUpperCase().slice(0, 64) };
      cache.set(key, document);
    }
    if (madeOf !== undefined) kept.set(madeOf, document);
    return document;
  };
  const json = (value: JsonObject) => Buffer.from(JSON.stringify(value));
  const groups = v3Groups(source);
  const keyOf = (path: string) => `${path} ${v3Key(source, path)}`;
  return {
    v2: () => once('v2', () => json(openApiV2(source))),
    v2Protobuf: () => once('v2.protobuf', () => encodeDocument(openApiV2(source))),
    v3Index: () => once('v3', () => json({ paths: Object.fromEntries([...groups.keys()].sort().map((path) => [path, {
      serverRelativeURL: `/openapi/v3/${path}?hash=${once(`v3/${path}`, () => json(openApiV3(source, groups.get(path)!)), keyOf(path)).etag}` }])) })),
    v3: (path) => { const operations = groups.get(path); return operations && once(`v3/${path}`, () => json(openApiV3(source, operations)), keyOf(path)); },
  };
}

/** What a server needs of the documents, following the resources as they change. */
export interface OpenApiServer {
  /** Undefined: none of the accepted media types can be written. */
  v2(accept: string): { contentType: string; body: Uint8Array; etag: string } | undefined;
  v3Index(): JsonObject;
  v3(path: string, accept: string): { contentType: string; body: Uint8Array; etag: string } | undefined;
}

/** `source` is asked on every request and has to be cheap; documents are made again when its resources or definitions are others. */
export function createOpenApiServer(source: () => OpenApiSource): OpenApiServer {
  let made: { key: string; definitions: unknown; custom: unknown; api: OpenApi } | undefined;
  const kept = new Map<string, Document>();
  const api = (): OpenApi => {
    const now = source();
    const key = now.resources.map((names) => `${names.apiVersion}/${names.plural}`).join();
    if (made?.key !== key || made.definitions !== now.definitions || made.custom !== now.custom) made = { key, definitions: now.definitions, custom: now.custom, api: createOpenApi(now, kept) };
    return made.api;
  };
  return {
    v2(accept) {
      const types = accept.split(',').map((type) => type.split(';')[0]!.trim());
      if (types.some((type) => openApiV2ProtobufAccepts.includes(type))) return { contentType: openApiV2ProtobufMediaType, ...api().v2Protobuf() };
      return types.some((type) => type === '' || type === '*/*' || type === 'application/*' || type === 'application/json') ? { contentType: 'application/json', ...api().v2() } : undefined;
    },
    v3Index: () => JSON.parse(Buffer.from(api().v3Index().body).toString()) as JsonObject,
    v3(path) { const document = api().v3(path); return document && { contentType: 'application/json', ...document }; },
  };
}

/** What the document of a group version is made of. */
function v3Key({ resources, custom }: OpenApiSource, path: string): string {
  const [first, group = '', version = ''] = path.split('/');
  if (first === 'version' || (first === 'api' && group === '')) return '';
  if (first === 'apis' && version === '') return group === '' ? '' : [...new Set(resources.filter((names) => names.group === group).map((names) => names.version))].join();
  const inside = first === 'api' ? resources.filter((names) => names.group === '' && names.version === group) : resources.filter((names) => names.group === group && names.version === version);
  return inside.map((names) => `${names.plural}${custom?.keyOf(names) ?? ''}`).join('|');
}

function v3Groups(source: OpenApiSource): Map<string, Operation[]> {
  const out = new Map<string, Operation[]>();
  for (const operation of allOperations(source)) {
    const parts = operation.path.split('/').filter((part) => part !== '');
    const key = parts.slice(0, parts[0] === 'api' ? 2 : parts[0] === 'apis' ? 3 : 1).join('/');
    const list = out.get(key);
    if (list) list.push(operation); else out.set(key, [operation]);
  }
  return out;
}

function allOperations(source: OpenApiSource): Operation[] { return [...discoveryOperations(source.resources), ...source.resources.flatMap(operationsOf)]; }

const media = {
  objects: ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'],
  watch: ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'],
  discovery: ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'],
  any: ['*/*'],
  text: ['text/plain', 'application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'],
};
const patchMedia = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml'];
const patchMediaOf = ({ custom }: Operation) => (custom ? patchMedia.filter((type) => !type.includes('strategic')) : patchMedia);
const patchName = definitionName('meta/v1.Patch');
const versionName = 'io.k8s.apimachinery.pkg.version.Info';

class Definitions {
  readonly all: Record<string, JsonObject> = {};
  readonly #source: OpenApiSource;
  readonly #dialect: Dialect;
  constructor(source: OpenApiSource, version: 2 | 3) {
    this.#source = source;
    this.#dialect = { version, refPrefix: version === 2 ? '#/definitions/' : '#/components/schemas/', descriptions: source.descriptions };
  }
  /** A reference to the type, whose definition is added. */
  ref(type: string): JsonObject {
    if (type === 'patch') return this.#named(patchName, { type: 'object' });
    if (type === 'version') {
      const names = ['buildDate', 'compiler', 'gitCommit', 'gitTreeState', 'gitVersion', 'goVersion', 'major', 'minor', 'platform'];
      const optional = ['emulationMajor', 'emulationMinor', 'minCompatibilityMajor', 'minCompatibilityMinor'];
      return this.#named(versionName, { type: 'object', required: names, properties: Object.fromEntries([...names, ...optional].sort().map((name) => [name, { type: 'string' }])) });
    }
    if (hasType(type)) { addDefinition(this.all, type, this.#dialect); return { $ref: this.#dialect.refPrefix + definitionName(type) }; }
    const [, group = '', version = '', kind = ''] = /^(?:(.*)\/)?([^/]*?)\.([^.]+)$/.exec(type) ?? [];
    const name = customDefinitionName(group, version, kind);
    const own = this.#source.definitions?.[name];
    if (own) return this.#named(name, own);
    const { custom } = this.#source;
    if (custom) {
      if (this.all[name]) return this.#named(name, {});
      const made = custom.definition(name, this.#dialect.version, (inner) => this.ref(inner), this.#source.descriptions);
      if (made) return this.#named(name, made);
    }
    const item = kind.endsWith('List') ? this.#source.definitions?.[name.slice(0, -4)] : undefined;
    if (!item) return { type: 'object' };
    return this.#named(name, {
      type: 'object', required: ['items'], 'x-kubernetes-group-version-kind': [{ group, kind, version }],
      properties: { apiVersion: { type: 'string' }, items: { type: 'array', items: this.ref(type.slice(0, -4)) }, kind: { type: 'string' }, metadata: this.ref('meta/v1.ListMeta') },
    });
  }
  #named(name: string, schema: JsonObject): JsonObject { this.all[name] ??= schema; return { $ref: this.#dialect.refPrefix + name }; }
  sorted(): JsonObject { return Object.fromEntries(Object.entries(this.all).sort(([a], [b]) => (a < b ? -1 : 1))); }
}

function byPath(operations: readonly Operation[], write: (operation: Operation) => JsonObject): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const operation of operations) (paths[operation.path] ??= {})[operation.method] = write(operation);
  return Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const extensions = ({ action, gvk }: Operation): JsonObject => ({ ...(action ? { 'x-kubernetes-action': action } : {}), ...(gvk ? { 'x-kubernetes-group-version-kind': { group: gvk.group, kind: gvk.kind, version: gvk.version } } : {}) });

export function openApiV2(source: OpenApiSource): JsonObject {
  const definitions = new Definitions(source, 2);
  const paths = byPath(allOperations(source), (operation) => ({
    consumes: operation.method === 'patch' && operation.body ? patchMediaOf(operation) : operation.produces === 'discovery' ? media.discovery : ['*/*'],
    description: operation.description, operationId: operation.operationId,
    parameters: [
      ...(operation.body ? [{ in: 'body', name: 'body', ...(operation.body.required ? { required: true } : {}), schema: definitions.ref(operation.body.type) }] : []),
      ...operation.parameters.map((p) => ({ ...(p.description ? { description: p.description } : {}), in: p.in, name: p.name, ...(p.required ? { required: true } : {}), type: p.type, uniqueItems: true })),
    ],
    produces: media[operation.produces],
    responses: Object.fromEntries(operation.responses.map((r) => [String(r.code), { description: r.description, ...(r.type ? { schema: definitions.ref(r.type) } : r.text ? { schema: { type: 'string' } } : {}) }])),
    schemes: ['https'], tags: [operation.tag], ...extensions(operation),
  }));
  return {
    swagger: '2.0', info: { title: 'Kubernetes', version: source.version }, paths, definitions: definitions.sorted(),
    securityDefinitions: { BearerToken: { description: 'Bearer Token authentication', in: 'header', name: 'authorization', type: 'apiKey' } }, security: [{ BearerToken: [] }],
  };
}

export function openApiV3(source: OpenApiSource, operations: readonly Operation[]): JsonObject {
  const definitions = new Definitions(source, 3);
  const contents = (types: readonly string[], schema: JsonObject) => Object.fromEntries(types.map((type) => [type, { schema }]));
  const paths = byPath(operations, (operation) => ({
    tags: [operation.tag], description: operation.description, operationId: operation.operationId,
    parameters: operation.parameters.map((p) => ({ name: p.name, in: p.in, ...(p.description ? { description: p.description } : {}), ...(p.required ? { required: true } : {}), schema: { type: p.type, uniqueItems: true } })),
    ...(operation.body ? { requestBody: { content: contents(operation.method === 'patch' ? patchMediaOf(operation) : ['*/*'], definitions.ref(operation.body.type)), ...(operation.body.required ? { required: true } : {}) } } : {}),
    responses: Object.fromEntries(operation.responses.map((r) => [String(r.code), {
      description: r.description, ...(r.type ? { content: contents(media[operation.produces], definitions.ref(r.type)) } : r.text ? { content: contents(media[operation.produces], { type: 'string' }) } : {}) }])),
    ...extensions(operation),
  }));
  return {
    openapi: '3.0.0', info: { title: 'Kubernetes', version: source.version }, paths,
    components: { schemas: definitions.sorted(), securitySchemes: { BearerToken: { type: 'apiKey', description: 'Bearer Token authentication', name: 'authorization', in: 'header' } } },
    security: [{ BearerToken: [] }],
  };
}
