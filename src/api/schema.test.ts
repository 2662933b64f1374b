/**
 * Holds the schema, resources.ts and the OpenAPI documents against upstream's published OpenAPI v2 document of v1.36, property for
 * property; descriptions aside. The document lies beside the repository: shared/reference/openapi-v1.36.json.gz.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import './resources.ts';
import type { Json, JsonObject } from '../base/json.ts';
import { builtInResources, type ResourceNames, type Verb } from './resource-names.ts';
import { definitionName } from './openapi/definitions.ts';
import { createOpenApi, createOpenApiServer, openApiV2 } from './openapi/documents.ts';
import { decodeGnosticDocument } from './openapi/gnostic.ts';
import { allGroupVersions, typeOf } from './schema.ts';

interface Swagger { definitions: Record<string, JsonObject>; paths: Record<string, JsonObject>; parameters: Record<string, JsonObject> }
const file = new URL('../../../shared/reference/openapi-v1.36.json.gz', import.meta.url);
const skip = existsSync(file) ? false : 'upstream\'s OpenAPI document (../shared/reference/openapi-v1.36.json.gz) is not here';
const reference: Swagger = skip ? { definitions: {}, paths: {}, parameters: {} } : JSON.parse(gunzipSync(readFileSync(file)).toString()) as Swagger;
const source = { resources: builtInResources(), version: 'v1.36.0' };
const ours = openApiV2(source) as unknown as Swagger;
const served = [...new Set(builtInResources().map(({ group, version }) => `${group === '' ? '/api' : `/apis/${group}`}/${version}/`))];
const servedPaths = Object.keys(reference.paths).filter((path) => served.some((prefix) => path.startsWith(prefix)));

/** Without descriptions, keys and `required` in one order. */
function plain(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).filter(([key, child]) => !(key === 'description' && typeof child === 'string')).sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, child]) => [key, key === 'required' && Array.isArray(child) ? [...child].sort() : plain(child)]));
}

test('every type of the served group versions is in the schema, with every field as published', { skip }, () => {
  const groups = new Set(allGroupVersions().map(({ key }) => definitionName(`${key}.X`).slice(0, -2)));
  // Used by no served kind: only a StorageVersionMigration, whose group is not served, refers to it.
  const unused = new Set(['io.k8s.apimachinery.pkg.apis.meta.v1.GroupResource']);
  const problems: string[] = [];
  for (const [name, definition] of Object.entries(reference.definitions)) {
    if (!groups.has(name.slice(0, name.lastIndexOf('.'))) || unused.has(name)) continue;
    const mine = ours.definitions[name];
    if (!mine) { problems.push(`${name}: missing`); continue; }
    const [a, b] = [plain(mine), plain(definition)] as [JsonObject, JsonObject];
    if (/\.(DeleteOptions|WatchEvent)$/.test(name)) { delete a['x-kubernetes-group-version-kind']; delete b['x-kubernetes-group-version-kind']; } // one per group version, of which upstream has more
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (key !== 'properties') { if (JSON.stringify(a[key]) !== JSON.stringify(b[key])) problems.push(`${name} ${key}: ${JSON.stringify(a[key])} instead of ${JSON.stringify(b[key])}`); continue; }
      const [mine, theirs] = [(a.properties ?? {}) as JsonObject, (b.properties ?? {}) as JsonObject];
      for (const field of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
        if (JSON.stringify(mine[field]) !== JSON.stringify(theirs[field])) problems.push(`${name}.${field}: ${JSON.stringify(mine[field])} instead of ${JSON.stringify(theirs[field])}`);
      }
    }
  }
  assert.deepEqual(problems, []);
  assert.deepEqual(Object.keys(ours.definitions).filter((name) => !reference.definitions[name]), []);
});

test('every path and operation is the published one', { skip }, () => {
  assert.deepEqual(Object.keys(ours.paths).filter((path) => !reference.paths[path]), []);
  const problems: string[] = [];
  const parameters = (list: Json | undefined) => ((list ?? []) as JsonObject[]).map((p) => (p.$ref ? reference.parameters[String(p.$ref).split('/').pop()!]! : p))
    .map((p) => JSON.stringify([p.in, p.name, p.type ?? p.schema ?? '', p.required ?? false])).sort();
  for (const path of servedPaths) {
    const { parameters: shared, ...operations } = reference.paths[path]!;
    assert.deepEqual(Object.keys(ours.paths[path] ?? {}).sort(), Object.keys(operations).sort(), path);
    for (const [method, operation] of Object.entries(operations) as [string, JsonObject][]) {
      const mine = ours.paths[path]![method] as JsonObject;
      for (const key of ['operationId', 'description', 'tags', 'x-kubernetes-action', 'x-kubernetes-group-version-kind']) {
        if (JSON.stringify(plain(mine[key])) !== JSON.stringify(plain(operation[key]))) problems.push(`${method} ${path} ${key}: ${JSON.stringify(mine[key])} instead of ${JSON.stringify(operation[key])}`);
      }
      if (JSON.stringify(plain(mine.responses)) !== JSON.stringify(plain(operation.responses))) problems.push(`${method} ${path} responses`);
      const [a, b] = [parameters(mine.parameters), parameters([...((operation.parameters ?? []) as Json[]), ...((shared ?? []) as Json[])])];
      if (a.join() !== b.join()) problems.push(`${method} ${path} parameters: ${a.join()} instead of ${b.join()}`);
    }
  }
  assert.deepEqual(problems, []);
});

test('resources.ts: verbs, scope, kinds and subresources follow from the published paths', { skip }, () => {
  const verbOf: Record<string, Verb> = { list: 'list', post: 'create', deletecollection: 'deletecollection', get: 'get', put: 'update', patch: 'patch', delete: 'delete', connect: 'connect' };
  const published = new Map<string, { verbs: Set<Verb>; namespaced: boolean; subresources: Map<string, Set<Verb>> }>();
  for (const path of servedPaths) {
    const [, base, rest] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
    if (!base || !rest) continue;
    const watch = rest.startsWith('watch/');
    const parts = rest.replace(/^watch\//, '').split('/');
    const namespaced = parts[0] === 'namespaces' && parts[1] === '{namespace}' && parts.length > 2;
    const [plural, , subresource] = namespaced ? parts.slice(2) : parts;
    const key = `${base}/${plural}`;
    let entry = published.get(key);
    if (!entry) published.set(key, entry = { verbs: new Set(), namespaced: false, subresources: new Map() });
    entry.namespaced ||= namespaced;
    const verbs = Object.entries(reference.paths[path]!).filter(([method]) => method !== 'parameters').map(([, op]) => verbOf[(op as JsonObject)['x-kubernetes-action'] as string]!);
    if (watch) entry.verbs.add('watch');
    else if (subresource) { const set = entry.subresources.get(subresource) ?? new Set<Verb>(); entry.subresources.set(subresource, set); for (const verb of verbs) set.add(verb); } else for (const verb of verbs) entry.verbs.add(verb);
  }
  const ourKey = ({ group, version, plural }: ResourceNames) => `${group === '' ? '/api' : `/apis/${group}`}/${version}/${plural}`;
  assert.deepEqual(builtInResources().map(ourKey).sort(), [...published.keys()].sort());
  for (const names of builtInResources()) {
    const entry = published.get(ourKey(names))!;
    assert.deepEqual([...names.verbs].sort(), [...entry.verbs].sort(), ourKey(names));
    assert.equal(names.scope === 'Namespaced', entry.namespaced, ourKey(names));
    assert.deepEqual(Object.keys(names.subresources).sort(), [...entry.subresources.keys()].sort(), ourKey(names));
    for (const [sub, { verbs = ['get', 'patch', 'update'] }] of Object.entries(names.subresources)) assert.deepEqual([...verbs].sort(), [...entry.subresources.get(sub)!].sort(), `${ourKey(names)}/${sub}`);
  }
});

test('field numbers: no two fields of a message share one', () => {
  for (const { key, specs } of allGroupVersions()) {
    for (const shortName of Object.keys(specs)) {
      const numbers = [...typeOf(`${key}.${shortName}`).fields.values()].filter((field) => field.numbers[0] !== 0).map((field) => field.numbers.join('.'));
      assert.equal(new Set(numbers).size, numbers.length, `${key}.${shortName}`);
    }
  }
});

test('the served documents: version 2 in both encodings, version 3 per group version', () => {
  const api = createOpenApi(source);
  const json = JSON.parse(Buffer.from(api.v2().body).toString()) as Swagger;
  const proto = decodeGnosticDocument(api.v2Protobuf().body);
  assert.equal(proto.swagger, '2.0');
  assert.deepEqual(proto.definitions!.properties.map(({ name }) => name), Object.keys(json.definitions));
  assert.deepEqual(proto.paths!.path.map(({ name }) => name), Object.keys(json.paths));
  const spec = proto.definitions!.properties.find(({ name }) => name === 'io.k8s.api.core.v1.PodSpec')!.value!;
  const containers = spec.properties!.properties.find(({ name }) => name === 'containers')!.value!;
  assert.equal(containers.items!.schema[0]!.ref, '#/definitions/io.k8s.api.core.v1.Container');
  assert.deepEqual(containers.extensions.map(({ name, value }) => [name, JSON.parse(value!.yaml)]), [['x-kubernetes-list-type', 'map'], ['x-kubernetes-list-map-keys', ['name']], ['x-kubernetes-patch-merge-key', 'name'], ['x-kubernetes-patch-strategy', 'merge']]);

  const index = JSON.parse(Buffer.from(api.v3Index().body).toString()) as { paths: Record<string, { serverRelativeURL: string }> };
  assert.match(index.paths['apis/apps/v1']!.serverRelativeURL, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{64}$/);
  for (const path of Object.keys(index.paths)) {
    const document = JSON.parse(Buffer.from(api.v3(path)!.body).toString()) as { components: { schemas: Record<string, Json> } };
    for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) assert.ok(document.components.schemas[name!], `${path}: ${name}`);
  }
  assert.equal(api.v3('apis/nope/v1'), undefined);
  assert.equal(api.v2(), api.v2());
});

test('custom resources bring their definitions', () => {
  const widgets: ResourceNames = { group: 'example.com', version: 'v1', apiVersion: 'example.com/v1', typeName: '', kind: 'Widget', plural: 'widgets', singular: 'widget', scope: 'Namespaced',
    verbs: ['create', 'get', 'list', 'watch'], shortNames: [], categories: [], subresources: { status: {} } };
  const document = openApiV2({ resources: [widgets], version: 'v1', definitions: { 'com.example.v1.Widget': { type: 'object', properties: { spec: { type: 'object' } } } } }) as unknown as Swagger;
  assert.deepEqual(Object.keys(document.definitions).filter((name) => name.startsWith('com.')), ['com.example.v1.Widget', 'com.example.v1.WidgetList']);
  assert.ok(document.paths['/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status']);
});

test('a server follows the resources and the accepted media type', () => {
  let resources = builtInResources().slice(0, 2);
  const server = createOpenApiServer(() => ({ resources, version: 'v1' }));
  const first = server.v2('application/json')!;
  assert.equal(first.contentType, 'application/json');
  assert.equal(server.v2('*/*')!.body, first.body);
  assert.equal(server.v2('application/com.github.proto-openapi.spec.v2@v1.0+protobuf')!.contentType, 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf');
  assert.equal(server.v2('text/html'), undefined);
  assert.equal(server.v3('apis/apps/v1', ''), undefined);
  resources = builtInResources().slice();
  assert.notEqual(server.v2('application/json')!.etag, first.etag);
  assert.ok(server.v3('apis/apps/v1', '')!.etag.length > 0);
  assert.ok('apis/apps/v1' in (server.v3Index().paths as JsonObject));
});
