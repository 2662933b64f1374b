/** The kubelet against the real apiserver: registry, strategic merge, graceful deletion, events. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configmaps, events, namespaces, nodes, pods, serviceaccounts } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { silentLogger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { startApiServer } from '../testing/api-server.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { simulatedHost } from './host.ts';
import { createKubelet } from './kubelet.ts';
import { simulatedRuntime } from './runtime/simulated.ts';

async function start() {
  const clock = new FakeClock();
  const api = await startApiServer({ clock });
  const client = api.client();
  const stop = new AbortController();
  const { signal } = stop;
  for (const name of ['default', 'kube-node-lease']) await client.for(namespaces).create({ metadata: { name }, spec: {} }).catch(() => {});
  await client.for(serviceaccounts).create({ metadata: { name: 'default' } }, { namespace: 'default' });
  const runtime = simulatedRuntime({ clock, rng: seededRng(1) });
  const informers = createInformerFactory(client, { clock, rng: seededRng(3), log: silentLogger, signal });
  const kubelet = await createKubelet({ nodeName: 'node-a', client, informers, runtime, host: simulatedHost(), clock, rng: seededRng(2), log: silentLogger, signal });
  const running = kubelet.run();
  const settle = async () => { for (let round = 0; round < 8; round++) { await api.settle(); await clock.advance(0); } };
  await settle();
  return { clock, api, client, runtime, kubelet, settle, async [Symbol.asyncDispose]() { stop.abort(); await running; await informers[Symbol.asyncDispose](); await api[Symbol.asyncDispose](); } };
}

test('a pod lives and dies through the real API', async () => {
  await using env = await start();
  const { client, settle } = env;
  const node = await client.for(nodes).get({ name: 'node-a' });
  assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  await client.for(configmaps).create({ metadata: { name: 'cm' }, data: { a: '1' } }, { namespace: 'default' });
  await client.for(pods).create({
    metadata: { name: 'web' },
    spec: { nodeName: 'node-a', volumes: [{ name: 'v', configMap: { name: 'cm' } }], containers: [{ name: 'c', image: 'busybox:1.35', envFrom: [{ configMapRef: { name: 'cm' } }], volumeMounts: [{ name: 'v', mountPath: '/v' }] }] },
  }, { namespace: 'default' });
  await settle();
  const pod = await client.for(pods).get({ namespace: 'default', name: 'web' });
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  assert.deepEqual(pod.status?.conditions?.map(({ type }) => type).sort(), ['ContainersReady', 'Initialized', 'PodReadyToStartContainers', 'PodScheduled', 'Ready']);
  const reasons = (await client.for(events).list({ namespace: 'default' })).items.map((event) => event.reason);
  for (const reason of ['Pulled', 'Created', 'Started']) assert.ok(reasons.includes(reason), `${reason} among ${reasons.join(', ')}`);
  await client.for(pods).delete({ namespace: 'default', name: 'web' });
  await settle();
  await assert.rejects(client.for(pods).get({ namespace: 'default', name: 'web' }), isNotFound);
  assert.deepEqual(await env.runtime.listPodSandbox(), []);
});

test('conditions that others write stay', async () => {
  await using env = await start();
  const { client, settle } = env;
  await client.for(pods).create({ metadata: { name: 'gated' }, spec: { nodeName: 'node-a', readinessGates: [{ conditionType: 'example.com/ok' }], containers: [{ name: 'c', image: 'busybox:1.35' }] } }, { namespace: 'default' });
  await settle();
  const ready = async () => (await client.for(pods).get({ namespace: 'default', name: 'gated' })).status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal((await ready())?.message, 'corresponding condition of pod readiness gate "example.com/ok" does not exist.');
  await client.for(pods).patch({ namespace: 'default', name: 'gated' }, 'strategic', { status: { conditions: [{ type: 'example.com/ok', status: 'True' }] } }, { subresource: 'status' });
  await settle();
  assert.equal((await ready())?.status, 'True');
});
