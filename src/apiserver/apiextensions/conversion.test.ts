/** Conversion by a webhook over HTTPS: what it is asked, what it may change, what is said when it fails. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { JsonObject } from '../../base/json.ts';
import { customresourcedefinitions } from '../../api/resources.ts';
import { StatusError } from '../../api/meta/status.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { startApiServer } from '../../testing/api-server.ts';
import { createTestAuthority } from '../../testing/certificates.ts';

/** v1 has `hostPort`, v2 has `host` and `port`. */
function converted(object: JsonObject, apiVersion: string): JsonObject {
  const { spec } = object as { spec: Record<string, string> };
  const [host = '', port = ''] = (spec.hostPort ?? '').split(':');
  return { ...object, apiVersion, spec: apiVersion.endsWith('v2') ? { host, port } : { hostPort: `${spec.host}:${spec.port}` } };
}

async function start() {
  const authority = createTestAuthority();
  const { cert, key } = authority.issue('localhost', { server: true, ips: ['127.0.0.1'] });
  const reviews: { desiredAPIVersion: string; objects: JsonObject[] }[] = [];
  const hook = { answer: (request: JsonObject): JsonObject => ({ uid: request.uid, result: { status: 'Success' }, convertedObjects: (request.objects as JsonObject[]).map((object) => converted(object, String(request.desiredAPIVersion))) }) };
  const server = createServer({ cert, key }, (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    request.on('end', () => {
      const review = JSON.parse(text) as JsonObject & { request: JsonObject };
      reviews.push(review.request as never);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion: review.apiVersion, kind: review.kind, response: hook.answer(review.request) }));
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const schema = (...fields: string[]) => ({ openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: Object.fromEntries(fields.map((field) => [field, { type: 'string' }])) } } } });
  await client.for(customresourcedefinitions).create({
    metadata: { name: 'widgets.example.com' }, spec: {
      group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' },
      versions: [{ name: 'v1', served: true, storage: true, schema: schema('hostPort'), selectableFields: [{ jsonPath: '.spec.hostPort' }] }, { name: 'v2', served: true, storage: false, schema: schema('host', 'port'), selectableFields: [{ jsonPath: '.spec.host' }, { jsonPath: '.spec.port' }] }],
      conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/convert`, caBundle: Buffer.from(authority.caPem).toString('base64') } } },
    },
  } as never);
  await env.settle();
  const call = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => client.request({ method, path: `/apis/example.com/${path}`, ...(body ? { body } : {}) }) as Promise<JsonObject>;
  const fails = (promise: Promise<unknown>, message: RegExp) => assert.rejects(promise, (err: unknown) => { assert.ok(err instanceof StatusError); assert.match(err.message, message); assert.equal(err.code, 500); return true; });
  return { env, client, reviews, hook, call, fails, async [Symbol.asyncDispose]() { await env[Symbol.asyncDispose](); server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); } };
}
const widget = (version: string, name: string, spec: JsonObject) => ({ apiVersion: `example.com/${version}`, kind: 'Widget', metadata: { name }, spec });

test('written in one version, stored in another, read in both; lists in one call', async () => {
  await using s = await start();
  const made = await s.call('POST', 'v2/namespaces/default/widgets', widget('v2', 'a', { host: 'h', port: '1' }));
  assert.deepEqual([made.apiVersion, made.spec], ['example.com/v2', { host: 'h', port: '1' }]);
  assert.deepEqual((await s.call('GET', 'v1/namespaces/default/widgets/a')).spec, { hostPort: 'h:1' });
  const stored = JSON.parse(Buffer.from((await s.env.store.get('/registry/example.com/widgets/default/a'))!.value).toString()) as JsonObject;
  assert.deepEqual([stored.apiVersion, stored.spec], ['example.com/v1', { hostPort: 'h:1' }]);
  for (const name of ['b', 'c']) await s.call('POST', 'v1/namespaces/default/widgets', widget('v1', name, { hostPort: `${name}:2` }));
  s.reviews.length = 0;
  const list = await s.call('GET', 'v2/namespaces/default/widgets');
  assert.deepEqual((list.items as JsonObject[]).map(({ spec }) => spec), [{ host: 'h', port: '1' }, { host: 'b', port: '2' }, { host: 'c', port: '2' }]);
  assert.deepEqual(s.reviews.map(({ desiredAPIVersion, objects }) => [desiredAPIVersion, objects.length]), [['example.com/v2', 3]], 'one call for all');
  await s.call('GET', 'v2/namespaces/default/widgets');
  assert.equal(s.reviews.length, 1, 'answers are kept');
  const patched = await s.client.request({ method: 'PATCH', path: '/apis/example.com/v2/namespaces/default/widgets/b', body: { spec: { port: '9' } }, contentType: 'application/merge-patch+json' }) as JsonObject;
  assert.deepEqual(patched.spec, { host: 'b', port: '9' });
  assert.deepEqual((await s.call('GET', 'v1/namespaces/default/widgets/b')).spec, { hostPort: 'b:9' });
});

test('watch events are converted', async () => {
  await using s = await start();
  const names = { group: 'example.com', version: 'v2', apiVersion: 'example.com/v2', typeName: '', kind: 'Widget', plural: 'widgets', singular: 'widget', scope: 'Namespaced' as const, verbs: [], shortNames: [], categories: [], subresources: {} };
  await s.call('POST', 'v1/namespaces/default/widgets', widget('v1', 'a', { hostPort: 'h:1' }));
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const event of s.client.for(names).watch({ namespace: 'default', signal: stop.signal })) {
    seen.push(`${event.type} ${JSON.stringify((event.object as JsonObject).spec)}`);
    if (seen.length === 1) await s.call('DELETE', 'v1/namespaces/default/widgets/a');
    else stop.abort();
  }
  assert.deepEqual(seen, ['ADDED {"host":"h","port":"1"}', 'DELETED {"host":"h","port":"1"}']);
});

test('failures', async () => {
  await using s = await start();
  await s.call('POST', 'v1/namespaces/default/widgets', widget('v1', 'a', { hostPort: 'h:1' }));
  const read = () => s.call('GET', 'v2/namespaces/default/widgets/a');
  const good = s.hook.answer;
  s.hook.answer = ({ uid }) => ({ uid, result: { status: 'Failure', message: 'not today' } });
  await s.fails(read(), /conversion webhook for example.com\/v1, Kind=Widget failed: not today/);
  s.hook.answer = ({ uid }) => ({ uid, result: { status: 'Success' }, convertedObjects: [] });
  await s.fails(read(), /conversion webhook for example.com\/v1, Kind=Widget returned 0 objects, expected 1/);
  s.hook.answer = (request) => ({ ...good(request), uid: 'other' });
  await s.fails(read(), /expected response.uid=".+", got "other"/);
  s.hook.answer = (request) => ({ ...good(request), convertedObjects: request.objects });
  await s.fails(read(), /returned invalid converted object at index 0: invalid groupVersion \(expected example.com\/v2, received example.com\/v1\)/);
  s.hook.answer = (request) => ({ ...good(request), convertedObjects: (good(request).convertedObjects as JsonObject[]).map((object) => ({ ...object, metadata: { ...(object.metadata as JsonObject), name: 'b' } })) });
  await s.fails(read(), /must have the same name: a != b/);
  s.hook.answer = (request) => ({ ...good(request), convertedObjects: (good(request).convertedObjects as JsonObject[]).map((object) => ({ ...object, metadata: { ...(object.metadata as JsonObject), labels: { l: 'v' }, generation: 99, finalizers: ['no'] } })) });
  const changed = (await read()).metadata as JsonObject;
  assert.deepEqual([changed.labels, changed.generation, changed.finalizers], [{ l: 'v' }, 1, undefined], 'labels may change, the rest not');
});

test('fields of a converted version select in lists, watches and deletions of many', async () => {
  await using s = await start();
  const names = (version: string) => ({ group: 'example.com', version, apiVersion: `example.com/${version}`, typeName: '', kind: 'Widget', plural: 'widgets', singular: 'widget', scope: 'Namespaced' as const, verbs: [], shortNames: [], categories: [], subresources: {} });
  const stop = new AbortController();
  const follow = async (version: string, fieldSelector: string, into: string[]) => {
    for await (const event of s.client.for(names(version)).watch({ namespace: 'default', fieldSelector, signal: stop.signal })) into.push(`${event.type} ${(event.object as { metadata: { name: string } }).metadata.name}`);
  };
  const [host, both, first]: string[][] = [[], [], []];
  const running = [follow('v2', 'spec.host=h1', host!), follow('v2', 'spec.host=h1,spec.port=80', both!), follow('v1', 'spec.hostPort=h1:80', first!)];
  await s.env.settle();
  for (const [name, spec] of [['a', { host: 'h1', port: '80' }], ['b', { host: 'h1', port: '8080' }], ['c', { host: 'h2', port: '80' }]] as const) await s.call('POST', 'v2/namespaces/default/widgets', widget('v2', name, spec));
  const listed = async (version: string, fieldSelector: string) => (await s.client.for(names(version)).list({ namespace: 'default', fieldSelector })).items.map((item) => (item as { metadata: { name: string } }).metadata.name);
  assert.deepEqual(await listed('v2', 'spec.host=h1'), ['a', 'b']);
  assert.deepEqual(await listed('v2', 'spec.host=h1,spec.port=80'), ['a']);
  assert.deepEqual(await listed('v1', 'spec.hostPort=h1:8080'), ['b']);
  await s.client.for(names('v2')).deleteCollection({ namespace: 'default', fieldSelector: 'spec.host=h1,spec.port=80' });
  await s.client.request({ method: 'PATCH', path: '/apis/example.com/v2/namespaces/default/widgets/b', body: { spec: { host: 'h2' } }, contentType: 'application/merge-patch+json' });
  assert.deepEqual(await listed('v2', 'spec.host=h1'), []);
  while (host!.length < 4 || both!.length < 2 || first!.length < 2) await new Promise((resolve) => { setImmediate(resolve); });
  stop.abort();
  await Promise.all(running);
  assert.deepEqual([host, both, first], [['ADDED a', 'ADDED b', 'DELETED a', 'DELETED b'], ['ADDED a', 'DELETED a'], ['ADDED a', 'DELETED a']]);
});
