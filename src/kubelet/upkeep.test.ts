/** Garbage collection, eviction and who may call the kubelet. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import type { Container } from '../api/core/v1.ts';
import { silentLogger } from '../base/log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { startKubelet } from '../testing/kubelet-env.ts';
import type { Client } from '../client/client.ts';
import { defaultConfig } from './config.ts';
import { createEvictionManager } from './eviction.ts';
import { simulatedHost } from './host.ts';
import { createAuth } from './server/auth.ts';

const container = (rest: Partial<Container> = {}): Container => ({ name: 'c', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', ...rest });

test('of the dead containers one per name is kept', async () => {
  await using env = await startKubelet();
  await env.create('crash', { containers: [container({ command: ['false'] })] });
  await env.clock.advance(400_000);
  await env.settle();
  assert.ok(((await env.pod('crash')).status?.containerStatuses?.[0]?.restartCount ?? 0) > 4);
  await env.clock.advance(61_000);
  assert.ok((await env.runtime.listContainers()).length <= 2);
});

test('under memory pressure the pod furthest above its request goes', async () => {
  await using env = await startKubelet();
  await env.create('small', { containers: [container({ resources: { requests: { memory: '64Mi' } } })] });
  await env.create('greedy', { containers: [container()] });
  let meminfo = 'MemAvailable: 50000 kB\n';
  const manager = createEvictionManager({
    host: { ...simulatedHost(), readFile: async () => meminfo }, runtime: env.runtime, workers: env.kubelet.workers, clock: env.clock, log: silentLogger, config: defaultConfig, signal: new AbortController().signal,
    recorder: { event() {} }, images: async () => 0, onChange() {},
  });
  await manager.check();
  await env.settle();
  const gone = await env.pod('greedy');
  assert.equal(gone.status?.phase, 'Failed');
  assert.equal(gone.status?.reason, 'Evicted');
  assert.equal(gone.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.reason, 'TerminationByKubelet');
  assert.equal((await env.pod('small')).status?.phase, 'Running');
  assert.equal(manager.pressure().memory, true);
  assert.equal(manager.refuses({ ...gone, metadata: { ...gone.metadata, uid: 'new' } })?.message, 'The node had condition: [MemoryPressure]. ');
  meminfo = 'MemAvailable: 9000000 kB\n';
  await env.clock.advance(301_000);
  assert.equal(manager.pressure().memory, false);
});

test('a pod that outgrows its emptyDir goes', async () => {
  await using env = await startKubelet();
  const mount = { volumeMounts: [{ name: 'v', mountPath: '/v' }] };
  const spec = { containers: [container(mount)], volumes: [{ name: 'v', emptyDir: { sizeLimit: '10Mi' } }] };
  await env.create('fits', spec);
  await env.create('over', spec);
  const over = (await env.pod('over')).metadata.uid!;
  const manager = createEvictionManager({
    host: { ...simulatedHost(), diskUsage: async (path) => (path === `/root/pods/${over}/volumes/kubernetes.io~empty-dir/v` ? 11 * 2 ** 20 : 2 ** 20) }, runtime: env.runtime, workers: env.kubelet.workers, clock: env.clock, log: silentLogger,
    config: { ...defaultConfig, rootDir: '/root' }, signal: new AbortController().signal, recorder: { event() {} }, images: async () => 0, onChange() {},
  });
  await manager.check();
  await env.settle();
  const gone = await env.pod('over');
  assert.deepEqual([gone.status?.phase, gone.status?.reason, gone.status?.message], ['Failed', 'Evicted', 'Usage of EmptyDir volume "v" exceeds the limit "10Mi". ']);
  assert.equal((await env.pod('fits')).status?.phase, 'Running');
});

test('callers need a certificate or token, and the right to the node\'s subresource', async () => {
  const asked: unknown[] = [];
  const client = { for: (names: { plural: string }) => ({ async create(body: { spec: Record<string, unknown> }) {
    asked.push(body.spec);
    if (names.plural === 'tokenreviews') return { status: body.spec.token === 'good' ? { authenticated: true, user: { username: 'bob', groups: ['g'] } } : { authenticated: false } };
    return { status: { allowed: (body.spec.resourceAttributes as { subresource: string }).subresource === 'stats' } };
  } }) } as unknown as Client;
  const authorize = createAuth({ client, clock: new FakeClock(), config: defaultConfig, nodeName: 'n' });
  const call = (token: string | undefined, path: string, subject?: { CN: string; O?: string }) => authorize({ method: 'GET', headers: token ? { authorization: `Bearer ${token}` } : {}, socket: { authorized: subject !== undefined, getPeerCertificate: () => ({ subject }) } } as unknown as IncomingMessage, path);
  assert.equal((await call(undefined, '/pods')).status, 401);
  assert.equal((await call('bad', '/pods')).status, 401);
  assert.equal((await call('good', '/stats/summary')).status, 200);
  const refused = await call('good', '/exec/ns/p/c');
  assert.equal(refused.status, 403);
  assert.equal(refused.message, 'Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[proxy])');
  assert.equal((await call(undefined, '/exec/ns/p/c', { CN: 'kube-apiserver-kubelet-client', O: 'system:masters' })).status, 200);
  const before = asked.length;
  await call('good', '/stats/summary');
  assert.equal(asked.length, before);
});

test('while the apiserver is away nothing that runs is taken for left over', async () => {
  const removed: string[] = [];
  const host = { ...simulatedHost(), removeTree: async (path: string) => { removed.push(path); } };
  let away = false;
  await using env = await startKubelet({ host, failing: () => (away ? new Error('connection refused') : undefined) });
  await env.create('web', { containers: [container()] });
  away = true;
  await env.restart();
  await env.clock.advance(200_000);
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 1);
  assert.deepEqual(removed, []);
  away = false;
  await env.clock.advance(70_000);
  await env.settle();
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 1);
  assert.equal((await env.pod('web')).status?.phase, 'Running');
});
