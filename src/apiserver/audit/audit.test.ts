import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { configmaps, secrets } from '../../api/resources.ts';
import { startApiServer } from '../../testing/api-server.ts';
import { FakeClock, settle } from '../../testing/fake-clock.ts';
import type { RequestInfo } from '../types.ts';
import { createLogBackend } from './log-backend.ts';
import { compileAuditPolicy, parseAuditPolicy } from './policy.ts';
import { createWebhookBackend } from './webhook-backend.ts';

interface Event { level: string; stage: string; verb: string; requestURI: string; auditID: string; user: { username: string; groups: string[] }; impersonatedUser?: { username: string }; sourceIPs: string[]; userAgent: string; objectRef?: Record<string, string>; responseStatus?: { code: number; reason?: string }; requestObject?: { metadata: { managedFields?: unknown }; data: object }; responseObject?: { kind: string; metadata: { uid: string; managedFields?: unknown } }; annotations?: Record<string, string>; requestReceivedTimestamp: string }
const policyText = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: []
rules:
- level: None
  users: [quiet]
- level: Metadata
  resources: [{group: "", resources: [secrets, "*/log", "pods/*"]}]
- level: None
  nonResourceURLs: ["/healthz*", /version]
- level: RequestResponse
  verbs: [create]
  namespaces: [default]
  omitStages: [RequestReceived]
  omitManagedFields: true
- level: Request
  resources: [{group: apps, resources: [deployments], resourceNames: [web]}]
- level: Metadata
  userGroups: [auditors]
`;
const info = (over: Partial<RequestInfo>): RequestInfo => ({ verb: 'get', path: '', isResource: true, group: '', version: 'v1', namespace: '', resource: '', subresource: '', name: '', rest: '', ...over });

test('the first rule that matches decides', () => {
  const choose = compileAuditPolicy(parseAuditPolicy(policyText));
  const level = (over: Partial<RequestInfo>, name = 'jane', groups: string[] = []) => choose(info(over), { name, groups })?.level ?? 'None';
  assert.equal(level({ resource: 'secrets', name: 's' }), 'Metadata');
  assert.equal(level({ resource: 'secrets', name: 's' }, 'quiet'), 'None');
  assert.equal(level({ resource: 'nodes', subresource: 'log' }), 'Metadata');
  assert.equal(level({ resource: 'pods', subresource: 'exec' }), 'Metadata');
  assert.equal(level({ resource: 'pods' }), 'Metadata', 'upstream reads pods/* so');
  assert.equal(level({ resource: 'nodes' }), 'None');
  assert.equal(level({ resource: 'configmaps', verb: 'create', namespace: 'default' }), 'RequestResponse');
  assert.equal(level({ resource: 'configmaps', verb: 'create', namespace: 'other' }), 'None');
  assert.equal(level({ group: 'apps', resource: 'deployments', name: 'web' }), 'Request');
  assert.equal(level({ group: 'apps', resource: 'deployments', name: 'db' }), 'None');
  assert.equal(level({ isResource: false, path: '/healthz/ping' }, 'x', ['auditors']), 'None');
  assert.equal(level({ isResource: false, path: '/metrics' }, 'x', ['auditors']), 'Metadata');
  assert.equal(level({ isResource: false, path: '/metrics' }), 'None');
});

test('a wrong policy is refused with the place', () => {
  const policy = (rules: string) => `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules}`;
  assert.throws(() => parseAuditPolicy(policy('- level: Loud')), /rules\[0\]\.level: Unsupported value: "Loud"/);
  assert.throws(() => parseAuditPolicy(policy('- {level: None, nonResourceURLs: ["a"]}')), /must begin with a '\/'/);
  assert.throws(() => parseAuditPolicy(policy('- {level: None, namespaces: [a], nonResourceURLs: ["/a"]}')), /cannot apply to both/);
  assert.throws(() => parseAuditPolicy('apiVersion: audit.k8s.io/v1\nkind: Policy'), /0 rules/);
});

function recorder() {
  const events: Event[] = [];
  return { events, write: (text: string) => { events.push(JSON.parse(text) as Event); }, async [Symbol.asyncDispose]() {} };
}

test('requests are recorded at their level, with what was decided', async () => {
  const backend = recorder();
  await using env = await startApiServer({
    audit: { policy: parseAuditPolicy(policyText), backends: [backend] },
    security: () => ({ authorizer: { async authorize({ user, verb }) { return user.name === 'admin' || user.name === 'system:apiserver' ? { decision: 'allow', reason: 'is admin' } : { decision: 'none', reason: `no ${verb}` }; }, rulesFor: () => { throw new Error('unused'); } }, authenticator: { authenticate: async () => ({ name: 'admin', groups: ['auditors'] }) } }),
  });
  const client = env.client();
  backend.events.length = 0;
  await client.for(configmaps).create({ metadata: { name: 'c', namespace: 'default' }, data: { a: 'b' } } as never);
  assert.equal(backend.events.length, 1);
  const [created] = backend.events;
  assert.deepEqual([created!.level, created!.stage, created!.verb, created!.user.username, created!.responseStatus!.code], ['RequestResponse', 'ResponseComplete', 'create', 'admin', 201]);
  assert.deepEqual(created!.objectRef, { resource: 'configmaps', namespace: 'default', name: 'c', apiVersion: 'v1' });
  assert.deepEqual(created!.annotations, { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': 'is admin' });
  assert.deepEqual(created!.requestObject!.data, { a: 'b' });
  assert.ok(created!.responseObject!.metadata.uid && created!.responseObject!.metadata.managedFields === undefined);
  assert.match(created!.requestReceivedTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

  backend.events.length = 0;
  await assert.rejects(env.client({ name: 'eve', groups: [] }).for(secrets).get({ name: 's', namespace: 'default' }), { code: 403 });
  assert.deepEqual(backend.events.map(({ stage }) => stage), ['RequestReceived', 'ResponseComplete']);
  assert.deepEqual([backend.events[1]!.responseStatus!.code, backend.events[1]!.responseStatus!.reason, backend.events[1]!.annotations], [403, 'Forbidden', { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': 'no get' }]);
  assert.equal(backend.events[0]!.auditID, backend.events[1]!.auditID);
  assert.equal(backend.events[1]!.requestObject, undefined);

  // Over the wire: the audit id of the answer, source, agent; watches start and end.
  backend.events.length = 0;
  const listener = await env.server.listen({ port: 0 });
  const answer = await fetch(`http://127.0.0.1:${listener.port}/api/v1/secrets?watch=true&timeoutSeconds=1`, { headers: { 'user-agent': 'probe/1', 'x-forwarded-for': '10.0.0.9', 'impersonate-user': 'admin' } });
  await answer.text();
  assert.deepEqual(backend.events.map(({ stage }) => stage), ['RequestReceived', 'ResponseStarted', 'ResponseComplete']);
  const last = backend.events[2]!;
  assert.deepEqual([last.auditID, last.sourceIPs, last.userAgent, last.requestURI, last.impersonatedUser!.username], [answer.headers.get('audit-id'), ['10.0.0.9', '127.0.0.1'], 'probe/1', '/api/v1/secrets?watch=true&timeoutSeconds=1', 'admin']);
});

test('an unexpected failure is a Panic', async () => {
  const backend = recorder();
  await using env = await startApiServer({ audit: { policy: parseAuditPolicy('{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata, verbs: [get], resources: [{group: "", resources: [secrets]}]}]}'), backends: [backend] } });
  env.server.context.authorizer.authorize = () => { throw new TypeError('broken'); };
  await assert.rejects(env.client().for(secrets).get({ name: 's', namespace: 'default' }), { code: 500 });
  assert.deepEqual(backend.events.map(({ stage }) => stage), ['RequestReceived', 'Panic']);
});

test('the log is rotated by size and old files go', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'audit-'));
  try {
    const clock = new FakeClock();
    const backend = createLogBackend({ path: join(dir, 'audit.log'), clock, log: silentLogger, maxSizeMiB: 0.0005, maxBackups: 2, bufferSize: 3 });
    for (let i = 0; i < 6; i++) {
      backend.write(JSON.stringify({ i, text: 'x'.repeat(300) }));
      await backend.flush();
      await clock.advance(1000);
    }
    const files = (await readdir(dir)).sort();
    assert.equal(files.length, 3);
    assert.match(files[0]!, /^audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$/);
    assert.equal((JSON.parse(await readFile(join(dir, 'audit.log'), 'utf8')) as { i: number }).i, 5);
    for (let i = 0; i < 5; i++) backend.write('{}');
    assert.equal(backend.dropped, 2);
    await backend[Symbol.asyncDispose]();
  } finally { await rm(dir, { recursive: true }); }
});

test('the webhook gets batches and is asked again after a failure', async () => {
  const lists: { kind: string; items: unknown[] }[] = [];
  let fail = true;
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (fail) { fail = false; answer.writeHead(500).end(); return; }
      lists.push(JSON.parse(Buffer.concat(chunks).toString()) as never);
      answer.end();
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const clock = new FakeClock();
  const backend = createWebhookBackend({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`, clock, log: silentLogger, batchSize: 2 });
  for (let i = 0; i < 3; i++) backend.write(`{"i":${i}}`);
  const done = backend.flush();
  while (lists.length < 2) { await settle(); await clock.advance(10_000); }
  await done;
  assert.deepEqual(lists.map(({ kind, items }) => [kind, items.length]).sort(), [['EventList', 1], ['EventList', 2]]);
  await backend[Symbol.asyncDispose]();
  server.closeAllConnections();
  await new Promise((resolve) => { server.close(resolve); });
});
