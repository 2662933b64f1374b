/** CustomResourceDefinitions over the whole server: what is served, stored, refused and cleaned up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../base/json.ts';
import { customresourcedefinitions } from '../../api/resources.ts';
import { StatusError } from '../../api/meta/status.ts';
import type { WatchEvent } from '../../client/client.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { startApiServer, type TestApiServer } from '../../testing/api-server.ts';
import { isTrue } from './conditions.ts';

export const object = (properties: JsonObject = {}, extra: JsonObject = {}): JsonObject => ({ type: 'object', properties, ...extra });
const version = (name: string, spec: JsonObject, extra: JsonObject = {}): JsonObject => ({ name, served: true, storage: name === 'v1', schema: { openAPIV3Schema: object({ spec, status: object({}, { 'x-kubernetes-preserve-unknown-fields': true }) }) }, ...extra });
const definition = (versions: JsonObject[], { plural = 'widgets', kind = 'Widget', ...extra }: JsonObject = {}) => ({
  metadata: { name: `${String(plural)}.example.com` }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural, kind }, versions, ...extra } as JsonObject,
});

async function start(...definitions: { metadata: { name: string }; spec: JsonObject }[]) {
  const clock = new FakeClock();
  const env: TestApiServer = await startApiServer({ clock });
  const client = env.client();
  const crds = client.for(customresourcedefinitions);
  for (const one of definitions) await crds.create(one as never);
  await env.settle();
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object, query?: Record<string, string>, contentType?: string) =>
    await client.request({ method, path, ...(body ? { body } : {}), ...(query ? { query } : {}), ...(contentType ? { contentType } : {}) }) as JsonObject;
  const fails = (promise: Promise<unknown>, code: number, message: string | RegExp) => assert.rejects(promise, (err: unknown) => {
    assert.ok(err instanceof StatusError, String(err));
    if (typeof message === 'string') assert.equal(err.message, message); else assert.match(err.message, message);
    assert.equal(err.code, code);
    return true;
  });
  const base = (apiVersion = 'v1', plural = 'widgets') => `/apis/example.com/${apiVersion}/namespaces/default/${plural}`;
  const widget = (spec: Json, extra: JsonObject = {}, apiVersion = 'v1') => ({ apiVersion: `example.com/${apiVersion}`, kind: 'Widget', metadata: { name: 'a' }, spec, ...extra });
  return { env, clock, client, crds, call, fails, base, widget, create: (spec: Json, extra: JsonObject = {}) => call('POST', base(), widget(spec, extra)), [Symbol.asyncDispose]: () => env[Symbol.asyncDispose]() };
}

test('served when established, in discovery, gone after deletion with all objects', async () => {
  await using s = await start(definition([version('v1', object({ a: { type: 'string' } }))], { names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['all'] } }));
  const made = await s.crds.get({ name: 'widgets.example.com' });
  assert.deepEqual(made.status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`), ['NamesAccepted True NoConflicts', 'Established True InitialNamesAccepted']);
  assert.deepEqual(made.status?.acceptedNames, { plural: 'widgets', kind: 'Widget', singular: 'widget', listKind: 'WidgetList', shortNames: ['wd'], categories: ['all'] });
  assert.deepEqual(made.status?.storedVersions, ['v1']);
  const [resource] = (await s.call('GET', '/apis/example.com/v1')).resources as JsonObject[];
  assert.deepEqual(resource, { name: 'widgets', singularName: 'widget', namespaced: true, kind: 'Widget', verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'], shortNames: ['wd'], categories: ['all'], storageVersionHash: resource!.storageVersionHash });
  assert.match(String(resource!.storageVersionHash), /^[A-Za-z0-9+/]{11}=$/);
  await s.create({ a: 'x' });
  await s.call('POST', s.base(), { ...s.widget({}), metadata: { name: 'held', finalizers: ['example.com/hold'] } });
  await s.crds.delete({ name: 'widgets.example.com' });
  await s.env.settle();
  const terminating = await s.crds.get({ name: 'widgets.example.com' });
  assert.ok(isTrue(terminating, 'Terminating'));
  await s.fails(s.create({}), 403, 'widgets.example.com "a" is forbidden: create not allowed while custom resource definition is terminating');
  const left = (await s.call('GET', s.base())).items as JsonObject[];
  assert.deepEqual(left.map(({ metadata }) => (metadata as JsonObject).name), ['held']);
  assert.deepEqual(((await s.call('GET', '/apis/example.com/v1')).resources as JsonObject[])[0]!.verbs, ['delete', 'deletecollection', 'get', 'list', 'watch']);
  await s.call('PATCH', `${s.base()}/held`, { metadata: { finalizers: null } }, {}, 'application/merge-patch+json');
  await s.clock.advance(10_000);
  await s.env.settle();
  await s.fails(s.crds.get({ name: 'widgets.example.com' }), 404, /not found/);
  await s.fails(s.call('GET', s.base()), 404, /could not find the requested resource/);
  await s.fails(s.call('GET', '/apis/example.com'), 404, /could not find/);
  assert.deepEqual((await s.env.store.range('/registry/example.com/')).entries, []);
});

test('names in conflict are not accepted, and are once they are free', async () => {
  await using s = await start(definition([version('v1', object())]), definition([version('v1', object())], { plural: 'gadgets', kind: 'Widget' }));
  const condition = async () => (await s.crds.get({ name: 'gadgets.example.com' })).status!.conditions!.map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`);
  assert.deepEqual(await condition(), ['NamesAccepted False ListKindConflict: "WidgetList" is already in use', 'Established False NotAccepted: not all names are accepted']);
  await s.fails(s.call('GET', s.base('v1', 'gadgets')), 404, /could not find/);
  await s.crds.delete({ name: 'widgets.example.com' });
  await s.env.settle();
  assert.deepEqual(await condition(), ['NamesAccepted True NoConflicts: no conflicts found', 'Established True InitialNamesAccepted: the initial names have been accepted']);
  await s.call('GET', s.base('v1', 'gadgets'));
});

test('pruned, defaulted, and nulls that may not be', async () => {
  await using s = await start(definition([version('v1', object({
    size: { type: 'string', default: 'small' }, inner: object({ deep: { type: 'integer', default: 7 } }, { default: {} }), maybe: { type: 'string', nullable: true }, never: { type: 'string' },
    free: object({ known: object() }, { 'x-kubernetes-preserve-unknown-fields': true }), list: { type: 'array', items: object({ on: { type: 'boolean', default: true } }) },
  }))]));
  const made = await s.create({ junk: 1, maybe: null, never: null, size: null, free: { any: [1], known: { junk: 2 } }, list: [{}, { on: false, junk: 3 }] });
  assert.deepEqual(made.spec, { size: 'small', inner: { deep: 7 }, maybe: null, free: { any: [1], known: {} }, list: [{ on: true }, { on: false }] });
  await s.fails(s.call('POST', s.base(), { ...s.widget({ junk: 1 }), metadata: { name: 'b' } }, { fieldValidation: 'Strict' }), 400, 'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.junk"');
});

test('defaults appear in objects stored before them, and fields that are gone do not', async () => {
  await using s = await start(definition([version('v1', object({ old: { type: 'string' } }))]));
  await s.create({ old: 'x' });
  const before = await s.crds.get({ name: 'widgets.example.com' });
  await s.crds.update({ ...before, spec: { ...before.spec, versions: [version('v1', object({ fresh: { type: 'string', default: 'new' } }))] } as never });
  assert.deepEqual((await s.call('GET', `${s.base()}/a`)).spec, { fresh: 'new' });
  assert.deepEqual(((await s.call('GET', s.base())).items as JsonObject[])[0]!.spec, { fresh: 'new' });
});

test('generation counts all but metadata and status; status writes change nothing else', async () => {
  await using s = await start(definition([version('v1', object({ a: { type: 'integer' } }), { subresources: { status: {} } })]));
  const made = await s.create({ a: 1 }, { status: { dropped: true } });
  const meta = (one: JsonObject) => one.metadata as JsonObject;
  assert.equal(meta(made).generation, 1);
  assert.equal(made.status, undefined);
  const labelled = await s.call('PATCH', `${s.base()}/a`, { metadata: { labels: { l: 'v' } }, status: { no: 1 } }, {}, 'application/merge-patch+json');
  assert.equal(meta(labelled).generation, 1);
  assert.equal(labelled.status, undefined);
  const status = await s.call('PUT', `${s.base()}/a/status`, { ...labelled, metadata: { ...meta(labelled), labels: { other: 'x' }, finalizers: ['example.com/f'] }, spec: { a: 5 }, status: { phase: 'ok' } });
  assert.deepEqual([status.spec, status.status, meta(status).labels, meta(status).finalizers, meta(status).generation], [{ a: 1 }, { phase: 'ok' }, { l: 'v' }, undefined, 1]);
  assert.equal(meta(await s.call('PATCH', `${s.base()}/a`, { spec: { a: 2 } }, {}, 'application/merge-patch+json')).generation, 2);
  await s.fails(s.call('PUT', `${s.base()}/a`, s.widget({ a: 3 })), 422, /metadata.resourceVersion: Invalid value: .*must be specified for an update/);
});

test('without a status subresource status is as any field', async () => {
  await using s = await start(definition([version('v1', object())]));
  const made = await s.create({}, { status: { phase: 'x' } });
  assert.deepEqual(made.status, { phase: 'x' });
  await s.fails(s.call('GET', `${s.base()}/a/status`), 404, 'widgets.example.com "a" not found');
  const applied = await s.call('PATCH', `${s.base()}/b`, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'b' }, status: { phase: 'y' } }, { fieldManager: 'm' }, 'application/apply-patch+yaml');
  assert.deepEqual(applied.status, { phase: 'y' });
});

test('scale', async () => {
  await using s = await start(definition([version('v1', object({ replicas: { type: 'integer' } }), { subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.selector' } } })]));
  await s.create({});
  await s.fails(s.call('GET', `${s.base()}/a/scale`), 500, /the spec replicas field ".spec.replicas" does not exist/);
  await s.call('PATCH', `${s.base()}/a`, { spec: { replicas: 2 } }, {}, 'application/merge-patch+json');
  await s.call('PATCH', `${s.base()}/a/status`, { status: { replicas: 1, selector: 'a=b' } }, {}, 'application/merge-patch+json');
  const scale = await s.call('GET', `${s.base()}/a/scale`);
  assert.deepEqual([scale.kind, scale.apiVersion, scale.spec, scale.status], ['Scale', 'autoscaling/v1', { replicas: 2 }, { replicas: 1, selector: 'a=b' }]);
  await s.call('PUT', `${s.base()}/a/scale`, { ...scale, spec: { replicas: 9 } });
  const after = await s.call('GET', `${s.base()}/a`);
  assert.deepEqual([after.spec, (after.metadata as JsonObject).generation], [{ replicas: 9 }, 3]);
  await s.fails(s.call('PATCH', `${s.base()}/a`, { spec: { replicas: -1 } }, {}, 'application/merge-patch+json'), 422, /.spec.replicas: Invalid value: -1: should be a non-negative integer/);
});

test('several versions: conversion by name, storage follows the definition', async () => {
  const spec = object({ a: { type: 'string' } });
  await using s = await start(definition([version('v1', spec), version('v2', object({ a: { type: 'string' }, b: { type: 'string', default: 'two' } }), { additionalPrinterColumns: [{ name: 'B', type: 'string', jsonPath: '.spec.b' }] })]));
  await s.create({ a: 'x' });
  const second = await s.call('GET', `${s.base('v2')}/a`);
  assert.deepEqual([second.apiVersion, second.spec], ['example.com/v2', { a: 'x', b: 'two' }]);
  assert.deepEqual((await s.call('GET', `${s.base('v1')}/a`)).spec, { a: 'x' });
  assert.equal(((await s.call('GET', s.base('v2'))).items as JsonObject[])[0]!.apiVersion, 'example.com/v2');
  const before = await s.crds.get({ name: 'widgets.example.com' });
  const after = await s.crds.update({ ...before, spec: { ...before.spec, versions: before.spec.versions.map((one) => ({ ...one, storage: one.name === 'v2' })) } });
  assert.deepEqual(after.status?.storedVersions, ['v1', 'v2']);
  const stored = async () => JSON.parse(Buffer.from((await s.env.store.get('/registry/example.com/widgets/default/a'))!.value).toString()) as JsonObject;
  assert.equal((await stored()).apiVersion, 'example.com/v1');
  await s.call('PUT', `${s.base('v1')}/a`, await s.call('GET', `${s.base('v1')}/a`));
  assert.equal((await stored()).apiVersion, 'example.com/v2', 'written again without change: migrated');
  await s.fails(s.crds.update({ ...after, spec: { ...after.spec, versions: after.spec.versions.filter(({ name }) => name === 'v2') } }), 422, /status.storedVersions\[0\]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version/);
});

test('a watch ends when its definition changes, and sees views of its version', async () => {
  await using s = await start(definition([version('v1', object()), version('v2', object({ a: { type: 'string', default: 'd' } }))]));
  const names = { group: 'example.com', version: 'v2', apiVersion: 'example.com/v2', typeName: '', kind: 'Widget', plural: 'widgets', singular: 'widget', scope: 'Namespaced' as const, verbs: [], shortNames: [], categories: [], subresources: {} };
  const seen: string[] = [];
  const watching = (async () => {
    for await (const event of s.client.for(names).watch({ namespace: 'default' }) as AsyncIterable<WatchEvent<{ apiVersion: string; spec: unknown }>>) seen.push(event.type === 'ERROR' ? 'ERROR' : `${event.type} ${event.object.apiVersion} ${JSON.stringify(event.object.spec)}`);
  })();
  await s.env.settle();
  await s.create({});
  await s.env.settle();
  const before = await s.crds.get({ name: 'widgets.example.com' });
  await s.crds.update({ ...before, spec: { ...before.spec, versions: before.spec.versions.map((one) => (one.name === 'v2' ? { ...one, served: false } : one)) } });
  await watching;
  assert.deepEqual(seen, ['ADDED example.com/v2 {"a":"d"}']);
  await s.fails(s.call('GET', s.base('v2')), 404, /could not find/);
});

test('patches: json, merge, apply; strategic merge is refused', async () => {
  await using s = await start(definition([version('v1', object({ ports: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['n'], items: object({ n: { type: 'integer' }, v: { type: 'string' } }, { required: ['n'] }) } }))]));
  const apply = (manager: string, ports: JsonObject[]) => s.call('PATCH', `${s.base()}/a`, s.widget({ ports }), { fieldManager: manager }, 'application/apply-patch+yaml');
  await apply('one', [{ n: 1, v: 'x' }]);
  const both = await apply('two', [{ n: 2, v: 'y' }]);
  assert.deepEqual(both.spec, { ports: [{ n: 1, v: 'x' }, { n: 2, v: 'y' }] });
  await s.fails(apply('two', [{ n: 1, v: 'z' }]), 409, /conflict with "one"/);
  await s.fails(s.call('PATCH', `${s.base()}/a`, { spec: {} }, {}, 'application/strategic-merge-patch+json'), 415, 'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml');
  assert.deepEqual((await s.call('PATCH', `${s.base()}/a`, [{ op: 'remove', path: '/spec/ports/0' }], {}, 'application/json-patch+json')).spec, { ports: [{ n: 2, v: 'y' }] });
});

test('ratcheting: what was wrong before may stay, what is new must be right', async () => {
  await using s = await start(definition([version('v1', object({ name: { type: 'string' }, other: { type: 'string' } }))]));
  await s.create({ name: 'far too long', other: 'x' });
  const before = await s.crds.get({ name: 'widgets.example.com' });
  await s.crds.update({ ...before, spec: { ...before.spec, versions: [version('v1', object({ name: { type: 'string', maxLength: 4 }, other: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self.size() < 3' }] } }))] } as never });
  const patch = (spec: JsonObject) => s.call('PATCH', `${s.base()}/a`, { spec }, {}, 'application/merge-patch+json');
  assert.deepEqual((await patch({ other: 'ab' })).spec, { name: 'far too long', other: 'ab' });
  await s.fails(patch({ name: 'still too long' }), 422, /spec.name: Too long: may not be more than 4 bytes/);
  await s.fails(patch({ other: 'abc' }), 422, 'Widget.example.com "a" is invalid: spec.other: Invalid value: "abc": failed rule: self.size() < 3');
});

test('selectable fields', async () => {
  await using s = await start(definition([version('v1', object({ color: { type: 'string' }, n: { type: 'integer' } }), { selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.n' }] })]));
  for (const [name, spec] of [['a', { color: 'red', n: 1 }], ['b', { color: 'green' }]] as const) await s.call('POST', s.base(), { ...s.widget(spec), metadata: { name } });
  const listed = async (fieldSelector: string) => ((await s.call('GET', s.base(), undefined, { fieldSelector })).items as JsonObject[]).map(({ metadata }) => (metadata as JsonObject).name);
  assert.deepEqual(await listed('spec.color=red'), ['a']);
  assert.deepEqual(await listed('spec.n='), ['b']);
  assert.deepEqual(await listed('spec.color!=red,metadata.namespace=default'), ['b']);
  await s.fails(listed('spec.other=1'), 400, /field label not supported: spec.other/);
});

test('finalizers without a domain are warned of, deprecated versions too', async () => {
  await using s = await start(definition([version('v1', object(), { deprecated: true }), version('v2', object())]));
  const warnings: string[] = [];
  const client = s.env.server.client({ name: 'u', groups: ['system:masters'] }, { onWarning: (text) => { warnings.push(text); } });
  await client.request({ method: 'POST', path: s.base(), body: { ...s.widget({}), metadata: { name: 'a', finalizers: ['hold'] } } });
  assert.deepEqual(warnings, ['example.com/v1 Widget is deprecated; use example.com/v2 Widget', 'metadata.finalizers: "hold": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers']);
});

test('definitions are found again by a server that starts on the same store', async () => {
  await using s = await start(definition([version('v1', object({ a: { type: 'string' } }))]));
  await s.create({ a: 'x' });
  const second = await startApiServer({ clock: s.clock, store: s.env.store });
  assert.equal(((await second.client().request({ method: 'GET', path: `${s.base()}/a` })) as { spec: { a: string } }).spec.a, 'x');
  await second.server.close();
});

test('OpenAPI: all in version 3; in version 2 what old clients bear', async () => {
  await using s = await start(definition([version('v1', object({ any: { description: 'Anything.', 'x-kubernetes-preserve-unknown-fields': true, type: 'object', properties: { a: { type: 'string' } } }, maybe: { type: 'string', nullable: true }, both: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] } }, { required: ['maybe'] }))]));
  const schemaIn = (document: JsonObject, where: string) => ((document[where] ?? (document.components as JsonObject)[where]) as Record<string, JsonObject>)['com.example.v1.Widget']!;
  const spec = (schema: JsonObject) => (schema.properties as Record<string, JsonObject>).spec!;
  const third = schemaIn(await s.call('GET', '/openapi/v3/apis/example.com/v1'), 'schemas');
  assert.deepEqual(third['x-kubernetes-group-version-kind'], [{ group: 'example.com', kind: 'Widget', version: 'v1' }]);
  assert.deepEqual(Object.keys(third.properties as JsonObject).sort(), ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  assert.deepEqual(spec(third).required, ['maybe']);
  const second = spec(schemaIn(await s.call('GET', '/openapi/v2'), 'definitions'));
  assert.deepEqual(second, { type: 'object', properties: { any: { description: 'Anything.', 'x-kubernetes-preserve-unknown-fields': true }, maybe: {}, both: { 'x-kubernetes-int-or-string': true } } });
  await s.crds.delete({ name: 'widgets.example.com' });
  await s.env.settle();
  assert.equal(Object.keys(((await s.call('GET', '/openapi/v3')).paths as JsonObject)).some((path) => path.includes('example.com')), false);
});
