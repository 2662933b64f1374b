import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { seededRng } from '../../base/rng.ts';
import { X509Certificate } from 'node:crypto';
import type { APIService } from '../../api/apiregistration/v1.ts';
import { apiservices, configmaps, endpointslices, services } from '../../api/resources.ts';
import { createCertificateAuthority, issueCertificate } from '../../kubeadm/pki.ts';
import { startApiServer } from '../../testing/api-server.ts';
import { registryEntries } from '../registry/all.ts';
import { mergeV2 } from './openapi.ts';
import { identityHeaders } from './remote.ts';

const deps = { clock: systemClock, rng: seededRng(7) };
const serverCa = createCertificateAuthority('server-ca', deps);
const frontProxyCa = createCertificateAuthority('front-proxy-ca', deps);
const serving = issueCertificate(serverCa, { commonName: 'sample-api', dnsNames: ['sample-api.extra.svc'], usages: ['server auth'] }, deps);
const proxyClient = issueCertificate(frontProxyCa, { commonName: 'front-proxy-client' }, deps);

/** A server like upstream's sample-apiserver: flunders in wardle.example.com/v1alpha1. */
const seen: { method: string; url: string; user: string | undefined; groups: string; peer: string | undefined; authorization: string | undefined; body: string }[] = [];
let down = false;
const flunder = { apiVersion: 'wardle.example.com/v1alpha1', kind: 'Flunder', metadata: { name: 'f', namespace: 'default', resourceVersion: '5' } };
const backend = createServer({ cert: serving.certificatePem, key: serving.keyPem, ca: frontProxyCa.certificatePem, requestCert: true, rejectUnauthorized: false }, (request, answer) => { void serve(request, answer); });
async function serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const peer = (request.socket as TLSSocket).getPeerX509Certificate();
  const path = request.url!.split('?')[0]!;
  const body = Buffer.concat(chunks).toString();
  if (path.includes('flunders')) {
    seen.push({ method: request.method!, url: request.url!, user: request.headers['x-remote-user'] as string, groups: String(request.headers['x-remote-group']),
      peer: (request.socket as TLSSocket).authorized ? peer?.subject : undefined, authorization: request.headers.authorization, body });
  }
  const json = (value: object, code = 200) => { answer.writeHead(code, { 'content-type': 'application/json' }); answer.end(JSON.stringify(value)); };
  if (down) { json({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 500 }, 500); return; }
  if (path === '/apis/wardle.example.com/v1alpha1') { json({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'wardle.example.com/v1alpha1', resources: [
    { name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder', verbs: ['create', 'get', 'list', 'watch'] }, { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] }] }); return; }
  if (path === '/openapi/v2') { json({ swagger: '2.0', paths: { '/apis/wardle.example.com/v1alpha1/flunders': { get: { responses: { 200: { schema: { $ref: '#/definitions/wardle.Flunder' } } } } } }, definitions: { 'wardle.Flunder': { type: 'object' } } }); return; }
  if (path === '/openapi/v3') { json({ paths: { 'apis/wardle.example.com/v1alpha1': { serverRelativeURL: '/openapi/v3/apis/wardle.example.com/v1alpha1?hash=AB' } } }); return; }
  if (path === '/openapi/v3/apis/wardle.example.com/v1alpha1') { json({ openapi: '3.0.0', info: { title: 'wardle' } }); return; }
  if (request.url!.includes('watch=true')) {
    answer.writeHead(200, { 'content-type': 'application/json' });
    answer.write(`${JSON.stringify({ type: 'ADDED', object: flunder })}\n{"type":"MODI`);
    answer.end(`FIED","object":${JSON.stringify(flunder)}}\n`);
    return;
  }
  if (path.endsWith('/flunders')) { json(request.method === 'POST' ? flunder : { kind: 'FlunderList', apiVersion: 'wardle.example.com/v1alpha1', metadata: {}, items: [flunder] }, request.method === 'POST' ? 201 : 200); return; }
  json({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message: 'no such path' }, 404);
}
await new Promise<void>((resolve) => { backend.listen(0, '127.0.0.1', resolve); });
backend.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n');
  socket.on('error', () => {});
  socket.on('data', (data: Buffer) => socket.write(`${request.headers['x-remote-user'] as string}: ${data.toString()}`));
});
const { port } = backend.address() as AddressInfo;
after(() => { backend.closeAllConnections(); backend.close(); });

const config = { proxyClient, authentication: { clientCa: serverCa.certificatePem, requestHeader: { ca: frontProxyCa.certificatePem, allowedNames: ['front-proxy-client'] } } };
/** Endpoints may lie on the loopback: the backend of this test does. */
const entries = registryEntries.map((entry) => (entry.names.plural === 'endpointslices' ? { ...entry, strategy: { ...entry.strategy, validate: () => [], validateUpdate: () => [] } } : entry));
const start = () => startApiServer({ aggregator: config, entries });
type Env = Awaited<ReturnType<typeof start>>;

async function until<T>(read: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await read();
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => { systemClock.after(5, resolve); });
  }
}
const availableOf = (object: APIService) => object.status?.conditions?.find(({ type }) => type === 'Available');
const condition = (env: Env, reason: string) => until(async () => { const found = availableOf(await env.client().for(apiservices).get({ name: 'v1alpha1.wardle.example.com' })); return found?.reason === reason ? found : undefined; });

async function wardle(env: Env) {
  const client = env.client();
  const metadata = { name: 'sample-api', namespace: 'extra' };
  await client.for(apiservices).create({ metadata: { name: 'v1alpha1.wardle.example.com' }, spec: { group: 'wardle.example.com', version: 'v1alpha1', service: { namespace: 'extra', name: 'sample-api', port: 7443 }, groupPriorityMinimum: 2000, versionPriority: 200, caBundle: Buffer.from(serverCa.certificatePem).toString('base64') } });
  assert.equal((await condition(env, 'ServiceNotFound')).message, 'service/sample-api in "extra" is not present');
  await client.for(services).create({ metadata, spec: { ports: [{ port: 443, protocol: 'TCP', targetPort: port }] } } as never);
  assert.equal((await condition(env, 'ServicePortError')).message, 'service/sample-api in "extra" is not listening on port 7443');
  const service = await client.for(services).get(metadata);
  await client.for(services).update({ ...service, spec: { ...service.spec, ports: [{ port: 7443, protocol: 'TCP', targetPort: port }] } } as never);
  assert.equal((await condition(env, 'EndpointsNotFound')).message, 'cannot find endpointslices for service/sample-api in "extra"');
  const slice = { metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'sample-api' } }, addressType: 'IPv4', ports: [{ name: '', port, protocol: 'TCP' }], endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: false } }] };
  const made = await client.for(endpointslices).create(slice as never);
  assert.equal((await condition(env, 'MissingEndpoints')).message, 'endpointslices for service/sample-api in "extra" have no addresses with port name ""');
  await assert.rejects(client.request({ method: 'GET', path: '/apis/wardle.example.com/v1alpha1/flunders' }), (err: { code: number; message: string }) => err.code === 503 && err.message === 'service unavailable\n');
  await client.for(endpointslices).update({ ...made, endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }] });
  return condition(env, down ? 'FailedDiscoveryCheck' : 'Passed');
}

test('built-in group versions are registered as local, once, and available', async () => {
  await using env = await start();
  const { items } = await env.client().for(apiservices).list();
  const apps = items.find(({ metadata }) => metadata.name === 'v1.apps')!;
  assert.deepEqual(apps.spec, { group: 'apps', version: 'v1', groupPriorityMinimum: 17800, versionPriority: 15 });
  assert.equal(apps.metadata.labels?.['kube-aggregator.kubernetes.io/automanaged'], 'onstart');
  assert.ok(items.every((item) => availableOf(item)?.status === 'True' && availableOf(item)?.reason === 'Local'));
  assert.ok(items.some(({ metadata }) => metadata.name === 'v1.'));
  assert.ok(!items.some(({ metadata }) => metadata.name.endsWith('apiregistration.k8s.io')));
  const { groups } = await env.client().request({ method: 'GET', path: '/apis' }) as unknown as { groups: { name: string; preferredVersion: { version: string } }[] };
  assert.deepEqual(groups.slice(0, 3).map(({ name }) => name), ['apiregistration.k8s.io', 'apps', 'events.k8s.io']);
  assert.equal(groups.find(({ name }) => name === 'autoscaling')!.preferredVersion.version, 'v2');
});

test('extension-apiserver-authentication tells aggregated servers whom to believe', async () => {
  await using env = await start();
  const { data } = await env.client().for(configmaps).get({ namespace: 'kube-system', name: 'extension-apiserver-authentication' });
  assert.deepEqual({ ...data, 'client-ca-file': 1, 'requestheader-client-ca-file': 2 }, {
    'client-ca-file': 1, 'requestheader-client-ca-file': 2, 'requestheader-allowed-names': '["front-proxy-client"]', 'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
    'requestheader-group-headers': '["X-Remote-Group"]', 'requestheader-uid-headers': '["X-Remote-Uid"]', 'requestheader-username-headers': '["X-Remote-User"]',
  });
  assert.equal(new X509Certificate(data!['client-ca-file']!).fingerprint256, serverCa.certificate.fingerprint256);
});

test('an aggregated server: conditions, requests, watches, discovery and OpenAPI', async () => {
  await using env = await start();
  const passed = await wardle(env);
  assert.deepEqual([passed.status, passed.message], ['True', 'all checks passed']);
  const client = env.client({ name: 'jane', uid: 'u1', groups: ['devs', 'system:masters'], extra: { 'Example.com/Key': ['a', 'b'] } });
  seen.length = 0;
  const path = '/apis/wardle.example.com/v1alpha1/namespaces/default/flunders';
  const created = await client.request({ method: 'POST', path, body: flunder }) as unknown as typeof flunder;
  assert.equal(created.metadata.name, 'f');
  assert.equal(JSON.parse(seen[0]!.body).kind, 'Flunder');
  assert.deepEqual({ ...seen[0], body: '' }, { method: 'POST', url: path, user: 'jane', groups: 'devs, system:masters', peer: 'CN=front-proxy-client', authorization: undefined, body: '' });
  const list = await client.request({ method: 'GET', path, query: { limit: '5' } }) as unknown as { items: unknown[] };
  assert.equal(list.items.length, 1);
  assert.equal(seen[1]!.url, `${path}?limit=5`);

  const events: string[] = [];
  const names = { ...apiservices, group: 'wardle.example.com', version: 'v1alpha1', apiVersion: 'wardle.example.com/v1alpha1', typeName: '', kind: 'Flunder', plural: 'flunders', scope: 'Namespaced' as const };
  for await (const event of client.for(names).watch({ resourceVersion: '1' })) events.push(event.type);
  assert.deepEqual(events, ['ADDED', 'MODIFIED']);

  const { groups } = await client.request({ method: 'GET', path: '/apis' }) as unknown as { groups: { name: string }[] };
  assert.equal(groups.at(-1)!.name, 'wardle.example.com');
  const group = await client.request({ method: 'GET', path: '/apis/wardle.example.com' }) as unknown as { preferredVersion: { version: string } };
  assert.equal(group.preferredVersion.version, 'v1alpha1');
  const resources = await client.request({ method: 'GET', path: '/apis/wardle.example.com/v1alpha1' }) as unknown as { resources: { name: string }[] };
  assert.deepEqual(resources.resources.map(({ name }) => name), ['flunders', 'flunders/status']);

  const listener = await env.server.listen({ port: 0 });
  const get = async (where: string, accept = 'application/json') => (await (await fetch(`http://127.0.0.1:${listener.port}${where}`, { headers: { accept } })).json()) as Record<string, never>;
  const discovery = await get('/apis', 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList') as unknown as { items: { metadata: { name: string }; versions: { freshness: string; resources: { resource: string; subresources: unknown[] }[] }[] }[] };
  const ours = discovery.items.find(({ metadata }) => metadata.name === 'wardle.example.com')!;
  assert.deepEqual([ours.versions[0]!.freshness, ours.versions[0]!.resources[0]!.resource, ours.versions[0]!.resources[0]!.subresources.length], ['Current', 'flunders', 1]);
  const v2 = await get('/openapi/v2') as unknown as { paths: Record<string, unknown>; definitions: Record<string, unknown> };
  assert.ok(v2.paths['/apis/wardle.example.com/v1alpha1/flunders'] && v2.definitions['wardle.Flunder'] && v2.paths['/api/v1/pods']);
  const v3 = await get('/openapi/v3') as unknown as { paths: Record<string, { serverRelativeURL: string }> };
  assert.equal(v3.paths['apis/wardle.example.com/v1alpha1']!.serverRelativeURL, '/openapi/v3/apis/wardle.example.com/v1alpha1?hash=AB');
  assert.equal(((await get('/openapi/v3/apis/wardle.example.com/v1alpha1')).info as unknown as { title: string }).title, 'wardle');
  assert.ok((await get('/openapi/v3/apis/apps/v1')).paths);
  // Over the wire the body streams through.
  const posted = await fetch(`http://127.0.0.1:${listener.port}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer secret' }, body: JSON.stringify(flunder) });
  assert.equal(posted.status, 201);
  assert.equal(JSON.parse(seen.at(-1)!.body).kind, 'Flunder');
  assert.deepEqual([seen.at(-1)!.user, seen.at(-1)!.authorization], ['system:admin', undefined]);

  // Upgraded connections are handed over, with the identity in their headers.
  const echoed = await new Promise<string>((resolve, reject) => {
    const outgoing = httpRequest({ host: '127.0.0.1', port: listener.port, path: `${path}/f/attach`, headers: { connection: 'Upgrade', upgrade: 'echo/1' } });
    outgoing.on('upgrade', (answer, socket) => {
      socket.once('data', (data: Buffer) => { resolve(`${answer.statusCode} ${data.toString()}`); socket.destroy(); });
      socket.write('ping');
    });
    outgoing.on('response', (answer) => reject(new Error(`answered ${answer.statusCode}`)));
    outgoing.on('error', reject);
    outgoing.end();
  });
  assert.equal(echoed, '101 system:admin: ping');

  await env.client().for(apiservices).delete({ name: 'v1alpha1.wardle.example.com' });
  await until(async () => { const all = await client.request({ method: 'GET', path: '/apis' }) as unknown as { groups: { name: string }[] }; return all.groups.some(({ name }) => name === 'wardle.example.com') ? undefined : true; });
  await assert.rejects(client.request({ method: 'GET', path }), { code: 404 });
});

test('a server that answers badly is not available', async () => {
  await using env = await start();
  down = true;
  try {
    const { status, message } = await wardle(env);
    assert.equal(status, 'False');
    assert.match(message ?? '', /bad status from https:\/\/127\.0\.0\.1:\d+\/apis\/wardle\.example\.com\/v1alpha1: 500/);
  } finally { down = false; }
});

test('users may take an APIService over; what is no longer served goes', async () => {
  await using env = await start();
  const client = env.client();
  const mine = await client.for(apiservices).get({ name: 'v1.batch' });
  await client.for(apiservices).update({ ...mine, spec: { ...mine.spec, versionPriority: 20 } });
  await client.for(apiservices).create({ metadata: { name: 'v1.gone.example.com', labels: { 'kube-aggregator.kubernetes.io/automanaged': 'true' } }, spec: { group: 'gone.example.com', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 100 } });
  env.server.context.resources.remove({ group: 'node.k8s.io', version: 'v1', plural: 'runtimeclasses' });
  await until(async () => ((await client.for(apiservices).list()).items.some(({ metadata }) => metadata.name === 'v1.gone.example.com') ? undefined : true));
  assert.equal((await client.for(apiservices).get({ name: 'v1.batch' })).spec.versionPriority, 20);
});

test('identity headers escape what headers can not hold', () => {
  assert.deepEqual(identityHeaders({ name: 'jörg', groups: [], extra: { 'example.com/a b': ['x'] } }), { 'X-Remote-User': Buffer.from('jörg').toString('latin1'), 'X-Remote-Extra-example.com%2Fa%20b': ['x'] });
});

test('merging renames a definition that means something else', () => {
  const into = { paths: {}, definitions: { A: { type: 'object' } } };
  mergeV2(into, { paths: { '/apis/g/v1/as': { get: { $ref: '#/definitions/A' } }, '/apis/other/v1/b': {} }, definitions: { A: { type: 'string' }, B: {} } }, 'g', 'v1');
  assert.deepEqual(into, { paths: { '/apis/g/v1/as': { get: { $ref: '#/definitions/A_v2' } } }, definitions: { A: { type: 'object' }, A_v2: { type: 'string' } } });
});
