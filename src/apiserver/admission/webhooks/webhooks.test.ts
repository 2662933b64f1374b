import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../../base/json.ts';
import { configmaps, customresourcedefinitions, mutatingwebhookconfigurations, namespaces, pods, secrets, serviceaccounts, validatingwebhookconfigurations } from '../../../api/resources.ts';
import type { ResourceNames } from '../../../api/resource-names.ts';
import { startApiServer } from '../../../testing/api-server.ts';
import { createTestAuthority } from '../../../testing/certificates.ts';
import { FakeClock } from '../../../testing/fake-clock.ts';
import { createSecurity } from '../../security.ts';
import type { AdmissionPlugin } from '../../types.ts';
import { maxAnswerBytes } from './client.ts';

interface Review { uid: string; operation: string; name?: string; namespace?: string; object: JsonObject | null; oldObject: JsonObject | null; kind: { kind: string }; dryRun: boolean; subResource?: string; userInfo: { username: string }; options: JsonObject | null }
type Answer = JsonObject | 'hang' | { status: number; body: string } | { raw: (uid: string) => Json };
const authority = createTestAuthority();
const certificate = authority.issue('webhook', { server: true, ips: ['127.0.0.1'] });
const patch = (...operations: JsonObject[]): JsonObject => ({ patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(operations)).toString('base64') });

/** An apiserver and a webhook server whose paths answer as `answers` say. */
async function start(answers: Readonly<Record<string, (request: Review) => Answer>>) {
  const calls: { path: string; request: Review }[] = [];
  const waiting: (() => void)[] = [];
  let sockets = 0;
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { request } = JSON.parse(Buffer.concat(chunks).toString()) as { request: Review };
      const path = new URL(incoming.url!, 'https://x').pathname;
      calls.push({ path, request });
      const answer = answers[path]!(request);
      for (const wake of waiting.splice(0)) wake();
      if (answer === 'hang') return;
      outgoing.setHeader('content-type', 'application/json');
      if ('raw' in answer) { outgoing.end(JSON.stringify((answer as { raw: (uid: string) => Json }).raw(request.uid))); return; }
      if (typeof answer.status === 'number') { outgoing.statusCode = answer.status; outgoing.end(answer.body as string); return; }
      outgoing.end(JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', response: { uid: request.uid, allowed: true, ...answer } }));
    });
  });
  server.on('secureConnection', () => sockets++);
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address() as AddressInfo;
  const clock = new FakeClock();
  const annotations: Record<string, string> = {};
  const recorder: AdmissionPlugin = { name: 'recorder', handles: () => true, admit: (attributes) => { attributes.annotate = (key, value) => { annotations[key] = value; }; } };
  const env = await startApiServer({ clock, security: (parts) => { const made = createSecurity({}, parts); return { ...made, admission: [recorder, ...made.admission] }; } });
  const client = env.client();
  await client.for(namespaces).create({ spec: {}, metadata: { name: 'test', labels: { env: 'test' } } });
  const hook = (path: string, extra: object = {}) => ({
    name: `${path.slice(1)}.k8s.io`, clientConfig: { url: `https://127.0.0.1:${port}${path}`, caBundle: Buffer.from(authority.caPem).toString('base64') },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }], sideEffects: 'None', admissionReviewVersions: ['v1'], ...extra,
  });
  const configure = async (names: ResourceNames<never>, name: string, ...webhooks: object[]) => { await client.for(names).create({ metadata: { name }, webhooks } as never); await env.settle(); };
  return {
    env, client, clock, calls, annotations, hook, port,
    sockets: () => sockets,
    mutating: (name: string, ...webhooks: object[]) => configure(mutatingwebhookconfigurations as ResourceNames<never>, name, ...webhooks),
    validating: (name: string, ...webhooks: object[]) => configure(validatingwebhookconfigurations as ResourceNames<never>, name, ...webhooks),
    configmap: (name: string, data: Record<string, string> = {}) => client.for(configmaps).create({ metadata: { name, namespace: 'test' }, data }),
    /** Resolves at the next call. */
    called: () => new Promise<void>((resolve) => { waiting.push(resolve); }),
    async [Symbol.asyncDispose]() { server.closeAllConnections(); server.close(); await env[Symbol.asyncDispose](); },
  };
}

test('validating webhooks are asked with a full review and their refusal is passed on', async () => {
  await using t = await start({ '/deny': ({ name }) => (name === 'bad' ? { allowed: false, status: { message: 'the configmap contains unwanted key and value', code: 403, reason: 'Forbidden' }, warnings: ['mind'], auditAnnotations: { k: 'v' } } : {}) });
  await t.validating('deny', t.hook('/deny', { rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['configmaps'] }] }));
  await t.configmap('good', { a: 'b' });
  const { request } = t.calls[0]!;
  assert.deepEqual({ ...request, uid: '', object: null, options: null }, {
    uid: '', kind: { group: '', version: 'v1', kind: 'ConfigMap' }, resource: { group: '', version: 'v1', resource: 'configmaps' }, requestKind: { group: '', version: 'v1', kind: 'ConfigMap' }, requestResource: { group: '', version: 'v1', resource: 'configmaps' },
    name: 'good', namespace: 'test', operation: 'CREATE', userInfo: { username: 'admin', groups: ['system:masters', 'system:authenticated'] }, object: null, oldObject: null, dryRun: false, options: null,
  });
  assert.equal(request.object?.kind, 'ConfigMap');
  assert.equal(request.options?.kind, 'CreateOptions');
  await assert.rejects(t.configmap('bad'), { code: 403, reason: 'Forbidden', message: 'admission webhook "deny.k8s.io" denied the request: the configmap contains unwanted key and value' });
  assert.equal(t.annotations['deny.k8s.io/k'], 'v');
  await t.client.for(configmaps).patch({ namespace: 'test', name: 'good' }, 'merge', { data: { a: 'c' } });
  await t.client.for(configmaps).delete({ namespace: 'test', name: 'good' });
  assert.deepEqual(t.calls.slice(2).map(({ request: { operation, object, oldObject } }) => [operation, object !== null, oldObject !== null]), [['UPDATE', true, true], ['DELETE', false, true]]);
  assert.equal(t.sockets(), 1, 'connections are kept');
});

test('mutating webhooks change the object one after the other; defaults follow; who asked runs again', async () => {
  await using t = await start({
    '/first': ({ object }) => patch({ op: 'add', path: '/data/first', value: String(Object.keys(object?.data as object).length) }),
    '/second': ({ object }) => (Object.hasOwn(object?.data as object, 'second') ? {} : patch({ op: 'add', path: '/data/second', value: 'yes' })),
    '/pod': () => patch({ op: 'add', path: '/spec/initContainers', value: [{ image: 'webhook-added-image', name: 'webhook-added-init-container', nonsense: 1 }] }),
  });
  await t.mutating('m', t.hook('/first', { reinvocationPolicy: 'IfNeeded' }), t.hook('/second'));
  const { data } = await t.configmap('cm', { start: 'x' });
  assert.deepEqual(data, { start: 'x', first: '3', second: 'yes' });
  assert.deepEqual(t.calls.map(({ path }) => path), ['/first', '/second', '/first']);
  assert.deepEqual(JSON.parse(t.annotations['mutation.webhook.admission.k8s.io/round_0_index_1']!), { configuration: 'm', webhook: 'second.k8s.io', mutated: true });
  await t.mutating('p', t.hook('/pod', { rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }] }));
  await t.client.for(serviceaccounts).create({ metadata: { name: 'default', namespace: 'test' } });
  const { spec } = await t.client.for(pods).create({ metadata: { name: 'p', namespace: 'test' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  const [added] = spec?.initContainers ?? [];
  assert.equal(added?.terminationMessagePolicy, 'File', 'defaults apply after the mutation');
  assert.ok(added && !('nonsense' in added));
});

test('selectors, rules, conditions and the configuration itself', async () => {
  await using t = await start({ '/deny': () => ({ allowed: false }) });
  const everything = [{ apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*'] }];
  await t.validating('all', t.hook('/deny', { rules: everything, namespaceSelector: { matchLabels: { env: 'test' } }, objectSelector: { matchLabels: { check: 'me' } }, matchConditions: [{ name: 'not-skip', expression: "object.metadata.name != 'skip-me'" }] }));
  await t.configmap('unlabelled');
  const labelled = (name: string, namespace = 'test') => t.client.for(configmaps).create({ metadata: { name, namespace, labels: { check: 'me' } } });
  await assert.rejects(labelled('a'), { code: 400, message: 'admission webhook "deny.k8s.io" denied the request without explanation' });
  await labelled('skip-me');
  await t.client.for(namespaces).create({ spec: {}, metadata: { name: 'other' } });
  await labelled('a', 'other');
  await assert.rejects(t.client.for(namespaces).create({ spec: {}, metadata: { name: 'ns', labels: { env: 'test', check: 'me' } } }), /denied the request/, 'a namespace counts by its own labels');
  // Nobody can lock themselves out.
  await t.client.for(validatingwebhookconfigurations).patch({ name: 'all' }, 'merge', { metadata: { labels: { check: 'me', env: 'test' } } });
  await t.client.for(validatingwebhookconfigurations).delete({ name: 'all' });
  await t.env.settle();
  await labelled('b');
  await assert.rejects(t.validating('bad', t.hook('/deny', { matchConditions: [{ name: 'x', expression: '... [] bad expression' }] })), (err: { code: number; message: string }) => err.code === 422 && /webhooks\[0\]\.matchConditions\[0\]\.expression: Invalid value: ".*": compilation failed/.test(err.message));
});

const calling = 'failed calling webhook "w.k8s.io": ';
const failures: readonly { name: string; answer: () => Answer; message: RegExp; mutating?: true }[] = [
  { name: 'an error', answer: () => ({ status: 500, body: 'boom' }), message: /failed to call webhook: an error on the server \("boom"\) has prevented the request from succeeding$/ },
  { name: 'no such path', answer: () => ({ status: 404, body: '' }), message: /failed to call webhook: the server could not find the requested resource$/ },
  { name: 'no JSON', answer: () => ({ status: 200, body: '<html>' }), message: /failed to call webhook: couldn't get version\/kind; json parse error/ },
  { name: 'another uid', answer: () => ({ uid: 'lie' }), message: /received invalid webhook response: expected response.uid="[-0-9a-f]{36}", got "lie"$/ },
  { name: 'no response', answer: () => ({ raw: () => ({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' }) }), message: /received invalid webhook response: webhook response was absent$/ },
  { name: 'another version', answer: () => ({ raw: (uid) => ({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v9', response: { uid, allowed: true } }) }), message: /expected webhook response of admission.k8s.io\/v1, Kind=AdmissionReview, got admission.k8s.io\/v9, Kind=AdmissionReview$/ },
  { name: 'a patch where none may be', answer: () => patch({ op: 'add', path: '/data', value: {} }), message: /received invalid webhook response: validating webhook may not return response.patch$/ },
  { name: 'a patch that is none', answer: () => ({ patchType: 'JSONPatch', patch: Buffer.from('{nope').toString('base64') }), message: /received undecodable patch in webhook response/, mutating: true },
  { name: 'an endless answer', answer: () => ({ status: 200, body: ' '.repeat(maxAnswerBytes + 1) }), message: /the answer is longer than \d+ bytes$/ },
];
test('webhooks that answer badly fail closed or open, and do no harm', async (context) => {
  const current: { answer: () => Answer } = { answer: () => ({}) };
  await using t = await start({ '/w': () => current.answer(), '/open': () => current.answer() });
  for (const { name, answer, message, mutating } of failures) {
    await context.test(name, async () => {
      current.answer = answer;
      const configure = mutating ? t.mutating : t.validating;
      const of = (mutating ? mutatingwebhookconfigurations : validatingwebhookconfigurations) as ResourceNames<never>;
      await configure('closed', t.hook('/w'));
      await assert.rejects(t.configmap('x'), (err: { code: number; message: string }) => { assert.equal(err.code, 500); assert.ok(err.message.includes(calling), err.message); assert.match(err.message, message); return true; });
      await t.client.for(of).delete({ name: 'closed' });
      await configure('open', t.hook('/open', { failurePolicy: 'Ignore' }));
      await t.configmap(`open-${failures.findIndex((one) => one.name === name)}`);
      await t.client.for(of).delete({ name: 'open' });
      await t.env.settle();
    });
  }
});

test('a webhook that hangs holds a request for its time limit only; one that is not there fails at once', async () => {
  await using t = await start({ '/hang': () => 'hang' });
  await t.validating('hang', t.hook('/hang', { timeoutSeconds: 1 }));
  const called = t.called();
  const refused = assert.rejects(t.configmap('x'), { code: 500, message: `Internal error occurred: failed calling webhook "hang.k8s.io": failed to call webhook: Post "https://127.0.0.1:${t.port}/hang?timeout=1s": context deadline exceeded` });
  await called;
  await t.clock.advance(1000);
  await refused;
  await t.client.for(validatingwebhookconfigurations).delete({ name: 'hang' });
  await t.validating('service', t.hook('/x', { clientConfig: { service: { name: 'gone', namespace: 'test', path: '/x' }, caBundle: Buffer.from(authority.caPem).toString('base64') } }));
  await assert.rejects(t.configmap('y'), { message: 'Internal error occurred: failed calling webhook "x.k8s.io": failed to call webhook: Post "https://gone.test.svc:443/x?timeout=10s": service "gone" not found' });
  await t.client.for(validatingwebhookconfigurations).delete({ name: 'service' });
  const other = createTestAuthority();
  await t.validating('stranger', t.hook('/hang', { clientConfig: { url: `https://127.0.0.1:${t.port}/hang`, caBundle: Buffer.from(other.caPem).toString('base64') } }));
  await assert.rejects(t.configmap('z'), /tls: failed to verify certificate: x509: certificate signed by unknown authority$/);
});

test('dry runs reach only webhooks without side effects', async () => {
  await using t = await start({ '/w': () => ({}) });
  await t.validating('w', t.hook('/w', { sideEffects: 'NoneOnDryRun' }));
  await t.client.for(configmaps).create({ metadata: { name: 'x', namespace: 'test' } }, { dryRun: true });
  assert.equal(t.calls[0]?.request.dryRun, true);
  await t.client.for(secrets).create({ metadata: { name: 'x', namespace: 'test' } });
  assert.equal(t.calls.length, 1);
});

test('a rule on another version of a custom resource gets the object in that version', async () => {
  await using t = await start({ '/v2': ({ operation }) => (operation === 'DELETE' ? { allowed: false } : {}), '/mutate': () => patch({ op: 'add', path: '/data/seen', value: 'v2' }) });
  const version = (name: string, storage: boolean) => ({ name, served: true, storage, schema: { openAPIV3Schema: { type: 'object', properties: { data: { type: 'object', additionalProperties: { type: 'string' } } } } } });
  await t.client.for(customresourcedefinitions as ResourceNames<never>).create({ metadata: { name: 'foos.ex.com' }, spec: { group: 'ex.com', scope: 'Namespaced', names: { plural: 'foos', singular: 'foo', kind: 'Foo', listKind: 'FooList' }, versions: [version('v1', true), version('v2', false)] } } as never);
  for (let i = 0; i < 100 && !t.env.server.context.resources.find('ex.com', 'v1', 'foos'); i++) { await t.env.settle(); await t.clock.advance(50); }
  const rules = [{ apiGroups: ['ex.com'], apiVersions: ['v2'], operations: ['*'], resources: ['foos'] }];
  await t.mutating('m', t.hook('/mutate', { rules: [{ ...rules[0], operations: ['CREATE'] }] }));
  await t.validating('v', t.hook('/v2', { rules }));
  await t.validating('exact', t.hook('/never', { rules, matchPolicy: 'Exact' }));
  const foos = t.client.for(t.env.server.context.resources.find('ex.com', 'v1', 'foos')!.names as ResourceNames<never>) as unknown as { create(object: object): Promise<{ data: object; apiVersion: string }>; delete(key: object): Promise<unknown> };
  const made = await foos.create({ apiVersion: 'ex.com/v1', kind: 'Foo', metadata: { name: 'x', namespace: 'test' }, data: { a: 'b' } });
  assert.deepEqual([made.apiVersion, made.data], ['ex.com/v1', { a: 'b', seen: 'v2' }]);
  await assert.rejects(foos.delete({ namespace: 'test', name: 'x' }), /admission webhook "v2.k8s.io" denied the request/);
  assert.deepEqual(t.calls.map(({ path, request }) => [path, (request.object ?? request.oldObject)?.apiVersion, (request as unknown as { requestKind: { version: string } }).requestKind.version]), [['/mutate', 'ex.com/v2', 'v1'], ['/v2', 'ex.com/v2', 'v1'], ['/v2', 'ex.com/v2', 'v1']]);
});
