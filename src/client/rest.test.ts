import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { configmaps } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { restOptionsOf } from './kubeconfig.ts';
import { createRestTransport, type RestOptions } from './rest.ts';
import { createClient } from './typed-client.ts';

async function serve(listener: RequestListener, options: Partial<RestOptions> = {}) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const transport = createRestTransport({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...options });
  return {
    client: createClient(transport), transport,
    async [Symbol.asyncDispose]() { await transport[Symbol.asyncDispose](); server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}

test('paths, queries, headers and bodies are upstream\'s', async () => {
  const seen: string[] = [];
  await using env = await serve((request, response) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers['content-type'] ?? ''} ${body}`.trim());
      assert.equal(request.headers.authorization, 'Bearer secret');
      response.setHeader('content-type', 'application/json');
      response.end('{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}');
    });
  }, { token: 'secret' });
  const api = env.client.for(configmaps);
  await api.create({ metadata: { name: 'a', namespace: 'x' } }, { dryRun: true });
  await api.patch({ namespace: 'x', name: 'a' }, 'merge', { data: { a: '1' } }, { fieldManager: 'me' });
  await api.delete({ namespace: 'x', name: 'a' }, { propagationPolicy: 'Foreground', preconditions: { uid: 'u' } });
  assert.deepEqual(seen, [
    'POST /api/v1/namespaces/x/configmaps?dryRun=All application/json {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"x"}}',
    'PATCH /api/v1/namespaces/x/configmaps/a?fieldManager=me application/merge-patch+json {"data":{"a":"1"}}',
    'DELETE /api/v1/namespaces/x/configmaps/a application/json {"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Foreground","preconditions":{"uid":"u"}}',
  ]);
});

test('a Status becomes a StatusError', async () => {
  await using env = await serve((_, response) => {
    response.statusCode = 404;
    response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'NotFound', code: 404, message: 'configmaps "a" not found' }));
  });
  await assert.rejects(env.client.for(configmaps).get({ namespace: 'x', name: 'a' }), (err) => isNotFound(err) && err.message === 'configmaps "a" not found');
});

test('429 with Retry-After is tried again after that time', async () => {
  let calls = 0;
  const clock = new FakeClock();
  await using env = await serve((_, response) => {
    if (++calls === 1) { response.writeHead(429, { 'retry-after': '7' }); response.end(); return; }
    response.setHeader('content-type', 'application/json');
    response.end('{"metadata":{},"items":[]}');
  }, { clock });
  const list = env.client.for(configmaps).list();
  while (clock.pending === 0 || calls === 0) await new Promise((resolve) => { setImmediate(resolve); });
  while (calls < 2) await clock.advance(1000);
  assert.deepEqual((await list).items, []);
  assert.ok(clock.monotonic() >= 7000);
});

test('a watch yields events however the bytes are cut, and ends with its signal', async () => {
  const stop = new AbortController();
  let closed: () => void;
  const serverSawClose = new Promise<void>((resolve) => { closed = resolve; });
  await using env = await serve((request, response) => {
    request.on('close', () => closed());
    const text = ['a', 'b', 'c'].map((name) => `${JSON.stringify({ type: 'ADDED', object: { metadata: { name: `${name}é` } } })}\n`).join('');
    const bytes = Buffer.from(text);
    response.write(bytes.subarray(0, 48));
    setImmediate(() => response.write(bytes.subarray(48)));
  });
  const names: string[] = [];
  await assert.rejects(async () => {
    for await (const event of env.client.for(configmaps).watch({ signal: stop.signal })) {
      names.push((event.object as { metadata: { name: string } }).metadata.name);
      if (names.length === 3) stop.abort(new Error('enough'));
    }
  }, /enough/);
  assert.deepEqual(names, ['aé', 'bé', 'cé']);
  await serverSawClose;
});

test('kubeconfig: the chosen context decides; a missing one is named', () => {
  const config = {
    'current-context': 'one', contexts: [{ name: 'one', context: { cluster: 'c', user: 'u', namespace: 'n' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://x:6443', 'certificate-authority-data': Buffer.from('PEM').toString('base64') } }],
    users: [{ name: 'u', user: { token: 't' } }],
  };
  const options = restOptionsOf(config, { path: '/k' });
  assert.deepEqual([options.server, String(options.ca), options.token, options.namespace], ['https://x:6443', 'PEM', 't', 'n']);
  assert.throws(() => restOptionsOf(config, { path: '/k', contextName: 'two' }), /context "two" does not exist; known: one/);
});
