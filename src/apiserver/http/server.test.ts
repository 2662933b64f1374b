/** The server on real sockets: TLS, HTTP/1.1 and HTTP/2, framing, limits, forms of answers. */
/* oxlint-disable typescript/no-explicit-any */
import assert from 'node:assert/strict';
import { createServer as createHttpsServer } from 'node:https';
import { connect as http2Connect } from 'node:http2';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect as tlsConnect } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { WebSocket } from 'ws';
import { parse as parseYaml } from 'yaml';
import { systemClock } from '../../base/clock.ts';
import * as resources from '../../api/resources.ts';
import { decodeProtobufObject } from '../../api/protobuf.ts';
import { startApiServer, type TestApiServer } from '../../testing/api-server.ts';
import { createTestAuthority } from '../../testing/certificates.ts';
import { createAuthenticator } from '../auth/authenticators.ts';
import { alwaysAllow } from '../auth/authorizer.ts';
import { typeByKind } from '../encoding/encode.ts';
import type { Listener } from './server.ts';

let env: TestApiServer;
let listener: Listener;
let tls: { ca: string; cert: string; key: string };
let kubeletTls: { cert: string; key: string };

before(async () => {
  const made = createTestAuthority();
  tls = { ca: made.caPem, ...made.issue('admin', { organizations: ['system:masters'] }) };
  const serving = made.issue('apiserver', { ips: ['127.0.0.1'], server: true });
  env = await startApiServer({
    clock: systemClock, security: () => ({ authenticator: createAuthenticator({ clock: systemClock, clientCa: made.caPem }), authorizer: alwaysAllow }),
    kubelet: { ca: made.caPem, preferredAddressTypes: ['InternalIP'] },
  });
  kubeletTls = made.issue('kubelet', { ips: ['127.0.0.1'], server: true });
  listener = await env.server.listen({ port: 0, tls: { cert: serving.cert, key: serving.key, clientCa: made.caPem } });
});
after(async () => { await env[Symbol.asyncDispose](); });

interface Got { code: number; headers: NodeJS.Dict<string | string[]>; bytes: Buffer; text: string; json: any }
function ask(path: string, options: RequestOptions & { body?: string | Buffer } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ host: '127.0.0.1', port: listener.port, path, agent: false, ...tls, ...options }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        let json: unknown;
        try { json = JSON.parse(text); } catch { json = undefined; }
        resolve({ code: answer.statusCode!, headers: answer.headers, bytes, text, json });
      });
    });
    request.on('error', reject);
    request.end(options.body);
  });
}
const post = (path: string, body: object | string, headers: Record<string, string> = { 'content-type': 'application/json' }) => ask(path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
const configmaps = '/api/v1/namespaces/default/configmaps';

test('an object in every form', async () => {
  assert.equal((await post(configmaps, { metadata: { name: 'forms' }, data: { k: 'é' } })).code, 201);
  const plain = await ask(`${configmaps}/forms`);
  assert.equal(plain.code, 200);
  assert.equal(plain.headers['content-type'], 'application/json');
  assert.equal(plain.headers['cache-control'], 'no-cache, private');
  assert.match(String(plain.headers['audit-id']), /^[0-9a-f-]{36}$/);
  assert.equal(plain.json.data.k, 'é');
  assert.match(plain.json.metadata.resourceVersion, /^\d+$/);
  const yaml = await ask(`${configmaps}/forms`, { headers: { accept: 'application/yaml' } });
  assert.deepEqual(parseYaml(yaml.text), plain.json);
  const protobuf = await ask(`${configmaps}/forms`, { headers: { accept: 'application/vnd.kubernetes.protobuf,application/json' } });
  assert.equal(protobuf.headers['content-type'], 'application/vnd.kubernetes.protobuf');
  assert.equal((decodeProtobufObject(protobuf.bytes, typeByKind) as any).data.k, 'é');
  const table = await ask(configmaps, { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } });
  assert.equal(table.json.kind, 'Table');
  assert.deepEqual(table.json.columnDefinitions.map((column: any) => column.name), ['Name', 'Data', 'Age']);
  assert.equal(table.json.rows[0].object.kind, 'PartialObjectMetadata');
  const partial = await ask(configmaps, { headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' } });
  assert.equal(partial.json.kind, 'PartialObjectMetadataList');
  assert.equal(partial.json.items[0].data, undefined);
  assert.match((await ask(`${configmaps}/forms?pretty=true`)).text, /^\{\n {2}"kind"/);
  const none = await ask(`${configmaps}/forms`, { headers: { accept: 'image/png' } });
  assert.equal(none.code, 406);
  assert.match(none.json.message, /only the following media types are accepted: application\/json/);
});

test('bodies: limits, types, syntax, warnings', async () => {
  const large = await post(configmaps, JSON.stringify({ metadata: { name: 'large' }, data: { k: 'x'.repeat(3 * 1024 * 1024) } }));
  assert.equal(large.code, 413);
  assert.match(large.json.message, /limit is 3145728/);
  assert.equal((await post(configmaps, '{}', { 'content-type': 'text/plain' })).code, 415);
  const broken = await post(configmaps, '{"metadata":');
  assert.equal(broken.code, 400);
  assert.match(broken.json.message, /^the object provided is unrecognized/);
  const warned = await post(`${configmaps}?fieldValidation=Warn`, { metadata: { name: 'warned' }, nope: 1 });
  assert.equal(warned.code, 201);
  assert.equal(warned.headers.warning, '299 - "unknown field \\"nope\\""');
  const yaml = await post(configmaps, 'metadata:\n  name: from-yaml\ndata:\n  a: b\n', { 'content-type': 'application/yaml' });
  assert.equal(yaml.json.data.a, 'b');
  assert.equal((await ask('/api/v1/namespaces/%zz/pods')).code, 400);
});

test('a watch streams lines until its time is over', async () => {
  const watching = ask(`${configmaps}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dwatched`);
  await post(configmaps, { metadata: { name: 'watched' } });
  const { headers, text } = await watching;
  assert.equal(headers['transfer-encoding'], 'chunked');
  const events = text.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(events[0].type, 'ADDED');
  assert.equal(events[0].object.metadata.name, 'watched');
});

test('a watch over WebSocket', async () => {
  const peer = new WebSocket(`wss://127.0.0.1:${listener.port}${configmaps}?watch=true`, { ...tls });
  const first = await new Promise<any>((resolve, reject) => { peer.on('message', (data) => resolve(JSON.parse(String(data)))); peer.on('error', reject); });
  assert.equal(first.type, 'ADDED');
  peer.close();
});

test('HTTP/2 carries requests and watches on one connection', async () => {
  const session = http2Connect(`https://127.0.0.1:${listener.port}`, { ...tls });
  const get = (path: string) => new Promise<{ status: number; text: string }>((resolve, reject) => {
    const stream = session.request({ ':path': path });
    let status = 0;
    let text = '';
    stream.on('response', (headers) => { status = Number(headers[':status']); });
    stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
    stream.on('end', () => resolve({ status, text }));
    stream.on('error', reject);
    stream.end();
  });
  const watching = get(`${configmaps}?watch=true&timeoutSeconds=1`);
  const all = await Promise.all(Array.from({ length: 20 }, () => get('/api/v1/namespaces/default')));
  assert.ok(all.every(({ status, text }) => status === 200 && JSON.parse(text).metadata.name === 'default'));
  assert.match((await watching).text, /^\{"type":"ADDED"/);
  session.close();
});

test('big lists are compressed for who asks', async () => {
  for (let i = 0; i < 4; i++) await post('/api/v1/namespaces/kube-public/configmaps', { metadata: { name: `big-${i}` }, data: { k: 'y'.repeat(100_000) } });
  const path = '/api/v1/namespaces/kube-public/configmaps';
  const plain = await ask(path);
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(plain.bytes.length, Number(plain.headers['content-length']));
  const packed = await ask(path, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.deepEqual(JSON.parse(gunzipSync(packed.bytes).toString()), plain.json);
  assert.ok(packed.bytes.length < plain.bytes.length / 10);
});

test('without a certificate one is anonymous; a bad token is refused', async () => {
  const self = (options: RequestOptions) => ask('/apis/authentication.k8s.io/v1/selfsubjectreviews', { method: 'POST', ...options, body: '{}' } as never);
  assert.equal((await self({ headers: { 'content-type': 'application/json' } })).json.status.userInfo.username, 'admin');
  assert.equal((await self({ cert: undefined, key: undefined, headers: { 'content-type': 'application/json' } })).json.status.userInfo.username, 'system:anonymous');
  const bad = await ask('/api', { cert: undefined, key: undefined, headers: { authorization: 'Bearer nonsense' } });
  assert.equal(bad.code, 401);
  assert.equal(bad.json.message, 'Unauthorized');
  const as = await self({ headers: { 'content-type': 'application/json', 'impersonate-user': 'jane' } });
  assert.equal(as.json.status.userInfo.username, 'jane');
});

test('discovery, health, version and metrics', async () => {
  assert.deepEqual((await ask('/api')).json.versions, ['v1']);
  assert.ok((await ask('/apis')).json.groups.some((group: any) => group.name === 'apps' && group.preferredVersion.groupVersion === 'apps/v1'));
  const v1 = (await ask('/api/v1')).json;
  assert.deepEqual(v1.resources.find((resource: any) => resource.name === 'pods').shortNames, ['po']);
  assert.equal(v1.resources.find((resource: any) => resource.name === 'pods/eviction').group, 'policy');
  assert.equal(v1.resources.find((resource: any) => resource.name === 'pods').storageVersionHash, 'xPOwRZ+Yhw8=');
  const aggregated = await ask('/apis', { headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json' } });
  assert.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  const again = await ask('/apis', { headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json', 'if-none-match': aggregated.headers.etag } } as never);
  assert.equal(again.code, 304);
  const apps = aggregated.json.items.find((item: any) => item.metadata.name === 'apps');
  assert.equal(apps.versions[0].resources.find((resource: any) => resource.resource === 'deployments').subresources[0].responseKind.kind, 'Scale');
  assert.equal((await ask('/readyz')).text, 'ok');
  assert.match((await ask('/livez?verbose')).text, /\[\+\]ping ok\n[^]*livez check passed\n$/);
  assert.match((await ask('/version')).json.gitVersion, /^v1\.36\.\d+\+knarr/);
  assert.match((await ask('/metrics')).text, /apiserver_request_total\{[^}]*resource="configmaps"/);
  assert.ok((await ask('/')).json.paths.includes('/apis/apps/v1'));
  assert.equal((await ask('/openapi/v2')).json.swagger, '2.0');
});

test('malformed requests end their own connection only', async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port: listener.port, ...tls, ALPNProtocols: ['http/1.1'] }, () => socket.write('NOT HTTP AT ALL\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk) => { text += String(chunk); });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  assert.match(answer, /^HTTP\/1\.1 400/);
  assert.equal((await ask('/readyz')).code, 200);
});

test('logs and exec go to the kubelet of the pod', async () => {
  const asked: string[] = [];
  const kubelet = createHttpsServer({ cert: kubeletTls.cert, key: kubeletTls.key }, (request, answer) => { asked.push(request.url!); answer.end('line 1\nline 2\n'); });
  kubelet.on('upgrade', (request, socket) => {
    asked.push(`${request.headers.upgrade} ${request.url}`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n');
    socket.on('data', (chunk) => socket.end(`echo ${String(chunk)}`));
  });
  await new Promise<void>((resolve) => { kubelet.listen(0, '127.0.0.1', resolve); });
  const { port } = kubelet.address() as AddressInfo;
  const client = env.client();
  const node = await client.for(resources.nodes).create({ metadata: { name: 'n' }, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: port } } } } as never);
  assert.equal(node.status!.daemonEndpoints!.kubeletEndpoint!.Port, port);
  await client.for(resources.pods).create({ metadata: { name: 'p' }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] } } as never, { namespace: 'default' });
  const logs = await ask('/api/v1/namespaces/default/pods/p/log?tailLines=2&follow=true');
  assert.equal(logs.text, 'line 1\nline 2\n');
  assert.equal((await ask('/api/v1/namespaces/default/pods/p/log?tailLines=-1')).code, 422);
  assert.match((await ask('/api/v1/namespaces/default/pods/p/log?container=x')).json.message, /container x is not valid for pod p/);
  const echoed = await new Promise<string>((resolve, reject) => {
    const request = httpsRequest({ host: '127.0.0.1', port: listener.port, ...tls, agent: false, method: 'POST', path: '/api/v1/namespaces/default/pods/p/exec?command=ls&stdout=true', headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' } });
    request.on('upgrade', (answer, socket) => {
      assert.equal(answer.headers['x-stream-protocol-version'], 'v4.channel.k8s.io');
      let text = '';
      socket.on('data', (chunk: Buffer) => { text += String(chunk); });
      socket.on('close', () => resolve(text));
      socket.write('hello');
    });
    request.on('response', (answer) => reject(new Error(`answered ${answer.statusCode}`)));
    request.on('error', reject);
    request.end();
  });
  assert.equal(echoed, 'echo hello');
  for (const [protocol, expected] of [['binary.k8s.io', 'line 1\nline 2\n'], ['base64.binary.k8s.io', Buffer.from('line 1\nline 2\n').toString('base64')]] as const) {
    const peer = new WebSocket(`wss://127.0.0.1:${listener.port}/api/v1/namespaces/default/pods/p/log?container=c`, [protocol], { ...tls });
    let text = '';
    peer.on('message', (message: Buffer) => { text += String(message); });
    const code = await new Promise<number>((resolve, reject) => { peer.on('close', resolve); peer.on('error', reject); });
    assert.deepEqual([peer.protocol, text, code], [protocol, expected, 1000]);
  }
  assert.deepEqual(asked.splice(2), ['/containerLogs/default/p/c', '/containerLogs/default/p/c']);
  assert.deepEqual(asked, ['/containerLogs/default/p/c?follow=true&tailLines=2', 'SPDY/3.1 /exec/default/p/c?command=ls&output=1']);
  const proxied = await ask(`/api/v1/nodes/n/proxy/stats/summary`);
  assert.equal(proxied.text, 'line 1\nline 2\n');
  for (const method of ['GET', 'HEAD']) assert.equal((await ask('/api/v1/nodes/n/proxy', { method })).code, 301, method);
  kubelet.close();
  kubelet.closeAllConnections();
});
