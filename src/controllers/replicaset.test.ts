import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pods, replicasets, replicationcontrollers } from '../api/resources.ts';
import type { Pod } from '../api/core/v1.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { startControllerTest } from '../testing/controllers.ts';
import { Expectations } from './expectations.ts';
import { slowStart } from './framework.ts';
import { podsToDelete } from './replicaset.ts';

const template = { metadata: { labels: { app: 'x' } } as never, spec: { containers: [{ name: 'c', image: 'x' }] } };
const only = { controllers: ['replicaset', 'replicationcontroller'] };

test('expectations hold back until every write was seen, or five minutes passed', async () => {
  const clock = new FakeClock();
  const expectations = new Expectations(clock);
  expectations.expectCreations('k', 2);
  expectations.creationObserved('k');
  assert.equal(expectations.met('k'), false);
  expectations.creationObserved('k');
  assert.equal(expectations.met('k'), true);
  expectations.expectDeletions('k', ['a', 'b']);
  expectations.deletionObserved('k', 'a');
  expectations.deletionObserved('k', 'a');
  assert.equal(expectations.met('k'), false, 'the same delete seen twice counts once');
  await clock.advance(5 * 60_000 + 1);
  assert.equal(expectations.met('k'), true);
});

test('slow start doubles, and stops after a batch that failed', async () => {
  const calls: number[] = [];
  const result = await slowStart(100, async (i) => { calls.push(i); if (i === 4) throw new Error('quota'); });
  assert.equal(calls.length, 7, '1 + 2 + 4');
  assert.deepEqual([result.succeeded, result.attempted], [6, 7]);
  assert.equal((await slowStart(10, async () => undefined)).succeeded, 10);
});

test('unassigned, pending and unready pods go first, then those on crowded nodes, then the youngest', () => {
  const pod = (name: string, options: { node?: string; phase?: string; ready?: boolean; cost?: string; age?: number } = {}): Pod => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, uid: name, creationTimestamp: new Date(1_000_000_000_000 - (options.age ?? 1000) * 1000).toISOString(), ...(options.cost ? { annotations: { 'controller.kubernetes.io/pod-deletion-cost': options.cost } } : {}) },
    spec: { containers: [], nodeName: options.node ?? 'n1' },
    status: { phase: options.phase ?? 'Running', conditions: [{ type: 'Ready', status: options.ready === false ? 'False' : 'True', lastTransitionTime: new Date(1_000_000_000_000 - (options.age ?? 1000) * 1000).toISOString() }] },
  });
  const now = 1_000_000_000_000;
  const all = [pod('ready'), pod('unassigned', { node: '', phase: 'Pending', ready: false }), pod('pending', { phase: 'Pending', ready: false }), pod('unready', { ready: false }), pod('cheap', { cost: '-5', node: 'n3' }), pod('young', { age: 1, node: 'n4' }), pod('crowd1', { node: 'n2' }), pod('crowd2', { node: 'n2' })];
  const order = podsToDelete(all, 7, all, now).map((one) => one.metadata.name);
  assert.deepEqual(order.slice(0, 4), ['unassigned', 'pending', 'unready', 'cheap']);
});

test('a replica set makes its pods once though the cache lags, adopts orphans and releases strangers', async () => {
  await using env = await startControllerTest(only);
  env.kubelet();
  await env.client.for(pods).create({ metadata: { name: 'orphan', namespace: 'default', labels: { app: 'x' } }, spec: template.spec });
  await env.client.for(replicasets).create({ metadata: { name: 'rs', namespace: 'default' }, spec: { replicas: 3, selector: { matchLabels: { app: 'x' } }, template } });
  await env.settle();
  const list = async () => (await env.client.for(pods).list({ namespace: 'default' })).items;
  assert.equal((await list()).length, 3);
  assert.equal((await list()).find((pod) => pod.metadata.name === 'orphan')!.metadata.ownerReferences?.[0]?.name, 'rs');
  const status = (await env.client.for(replicasets).get({ namespace: 'default', name: 'rs' })).status;
  assert.deepEqual([status?.replicas, status?.readyReplicas, status?.availableReplicas, status?.observedGeneration], [3, 3, 3, 1]);

  await env.client.for(pods).patch({ namespace: 'default', name: 'orphan' }, 'merge', { metadata: { labels: { app: 'other' } } });
  await env.settle();
  assert.deepEqual((await env.client.for(pods).get({ namespace: 'default', name: 'orphan' })).metadata.ownerReferences ?? [], []);
  assert.equal((await list()).length, 4, 'released, and replaced');

  await env.client.for(replicasets).patch({ namespace: 'default', name: 'rs' }, 'merge', { spec: { replicas: 1 } });
  await env.settle();
  assert.equal((await list()).filter((pod) => pod.metadata.labels?.app === 'x').length, 1);
});

test('a stale cache never makes pods twice', async () => {
  await using env = await startControllerTest(only);
  // Every reconcile is asked for many times while the creates have not been observed.
  const running = env.running.controllers.find((controller) => controller.name === 'replicaset-controller')!;
  await env.client.for(replicasets).create({ metadata: { name: 'rs', namespace: 'default' }, spec: { replicas: 40, selector: { matchLabels: { app: 'x' } }, template } });
  for (let i = 0; i < 50; i++) { running.queue.add('default/rs'); await Promise.resolve(); }
  await env.settle();
  assert.equal((await env.client.for(pods).list({ namespace: 'default' })).items.length, 40);
});

test('a replication controller is the same with a plain selector', async () => {
  await using env = await startControllerTest(only);
  env.kubelet();
  await env.client.for(replicationcontrollers).create({ metadata: { name: 'rc', namespace: 'default' }, spec: { replicas: 2, selector: { app: 'x' }, template } });
  await env.settle();
  const rc = await env.client.for(replicationcontrollers).get({ namespace: 'default', name: 'rc' });
  assert.equal(rc.status?.availableReplicas, 2);
  for (const pod of (await env.client.for(pods).list({ namespace: 'default' })).items) assert.equal(pod.metadata.ownerReferences?.[0]?.kind, 'ReplicationController');
});
