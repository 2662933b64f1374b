import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLogger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { events, nodes, persistentvolumeclaims, persistentvolumes, pods, storageclasses } from '../api/resources.ts';
import { createEventRecorder } from '../client/events.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { startApiServer } from '../testing/api-server.ts';
import { makeNode, makePod } from '../testing/builders.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { runScheduler } from './scheduler.ts';

/** A scheduler against a real API server in this process. */
async function start() {
  const clock = new FakeClock();
  const rng = seededRng(7);
  const env = await startApiServer({ clock, rng });
  const stop = new AbortController();
  const client = env.client();
  const informers = createInformerFactory(client, { clock, rng, log: silentLogger, signal: stop.signal });
  const recorder = createEventRecorder({ client, clock, log: silentLogger, component: 'default-scheduler', signal: stop.signal });
  const running = runScheduler({ client, informers, recorder, clock, rng, log: silentLogger, signal: stop.signal });
  const bare = <T extends { metadata: { name: string; namespace?: string; labels?: object } }>(object: T) => ({ ...object, metadata: { name: object.metadata.name, ...(object.metadata.namespace ? { namespace: object.metadata.namespace } : {}) } });
  return {
    clock, client, recorder,
    addNode: async (parts: Parameters<typeof makeNode>[0]) => { const node = makeNode(parts); await client.for(nodes).updateStatus({ ...await client.for(nodes).create(bare(node) as never), status: node.status! }); },
    addPod: (parts: Parameters<typeof makePod>[0]) => client.for(pods).create(bare(makePod(parts)) as never, { namespace: 'default' }),
    pod: (name: string) => client.for(pods).get({ namespace: 'default', name }),
    async [Symbol.asyncDispose]() { stop.abort(); await running; await informers[Symbol.asyncDispose](); await env[Symbol.asyncDispose](); },
  };
}

test('a pod is bound to the node that has room, and the event says so', async () => {
  await using env = await start();
  await env.addNode({ name: 'full', cpu: '100m' });
  await env.addNode({ name: 'roomy' });
  await env.addPod({ name: 'web', cpu: '1' });
  await env.clock.advance(0);
  const pod = await env.pod('web');
  assert.equal(pod.spec.nodeName, 'roomy');
  assert.equal(pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled')?.status, 'True');
  await env.recorder.flush();
  const { items } = await env.client.for(events).list({ namespace: 'default', fieldSelector: 'reason=Scheduled' });
  assert.deepEqual(items.map((event) => event.message), ['Successfully assigned default/web to roomy']);
});

test('a pod that fits nowhere says why, and goes when a node comes', async () => {
  await using env = await start();
  await env.addNode({ name: 'small', cpu: '100m' });
  await env.addPod({ name: 'web', cpu: '1' });
  await env.clock.advance(0);
  const condition = (await env.pod('web')).status?.conditions?.find(({ type }) => type === 'PodScheduled');
  assert.equal(condition?.reason, 'Unschedulable');
  assert.equal(condition?.message, '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.');
  await env.addNode({ name: 'big' });
  await env.clock.advance(1_500); // its backoff
  assert.equal((await env.pod('web')).spec.nodeName, 'big');
});

test('pods of other schedulers are left alone', async () => {
  await using env = await start();
  await env.addNode({ name: 'a' });
  await env.addPod({ name: 'theirs', spec: { schedulerName: 'other' } });
  await env.clock.advance(10_000);
  assert.equal((await env.pod('theirs')).spec.nodeName, undefined);
});

test('many pods never overfill a node', async () => {
  await using env = await start();
  for (const name of ['a', 'b']) await env.addNode({ name, cpu: '1' });
  await Promise.all(Array.from({ length: 30 }, (_, i) => env.addPod({ name: `p-${i}`, cpu: '100m' })));
  await env.clock.advance(0);
  const placed = (await env.client.for(pods).list()).items.map((pod) => pod.spec.nodeName).filter(Boolean);
  assert.deepEqual([placed.filter((name) => name === 'a').length, placed.filter((name) => name === 'b').length], [10, 10]);
});

test('a more important pod preempts the least important ones, and gets their room', async () => {
  await using env = await start();
  await env.addNode({ name: 'a', cpu: '1' });
  await env.addPod({ name: 'low', cpu: '600m', spec: { priority: 1 } });
  await env.addPod({ name: 'middle', cpu: '400m', spec: { priority: 5 } });
  await env.clock.advance(0);
  await env.addPod({ name: 'high', cpu: '500m', spec: { priority: 10 } });
  await env.clock.advance(0);
  const waiting = await env.pod('high');
  assert.equal(waiting.status?.nominatedNodeName, 'a');
  const victim = await env.pod('low');
  assert.notEqual(victim.metadata.deletionTimestamp, undefined);
  assert.equal(victim.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.reason, 'PreemptionByScheduler');
  assert.equal((await env.pod('middle')).metadata.deletionTimestamp, undefined);
  await env.addPod({ name: 'sneaky', cpu: '500m', spec: { priority: 2 } });
  await env.client.for(pods).delete({ namespace: 'default', name: 'low' }, { gracePeriodSeconds: 0 });
  await env.clock.advance(10_000);
  assert.equal((await env.pod('high')).spec.nodeName, 'a');
  assert.equal((await env.pod('sneaky')).spec.nodeName, undefined);
});

test('a pod waits for its claim, goes where its volume is, and gives a waiting claim its volume', async () => {
  await using env = await start();
  await env.addNode({ name: 'a' });
  await env.addNode({ name: 'b' });
  const on = (node: string) => ({ required: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }] } });
  await env.client.for(storageclasses).create({ metadata: { name: 'local' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' });
  const withClaim = (name: string) => env.client.for(pods).create({ metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: name } }] } });
  const claim = (name: string) => env.client.for(persistentvolumeclaims).create({ metadata: { name, namespace: 'default' }, spec: { storageClassName: 'local', accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } });
  const message = async (name: string) => (await env.pod(name)).status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message;
  await withClaim('one');
  await env.clock.advance(0);
  assert.equal(await message('one'), '0/2 nodes are available: persistentvolumeclaim "one" not found. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.');
  await claim('one');
  await env.clock.advance(1_500);
  assert.match(await message('one') ?? '', /2 node\(s\) didn't find available persistent volumes to bind/);
  await env.client.for(persistentvolumes).create({ metadata: { name: 'pv' }, spec: { storageClassName: 'local', capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], local: { path: '/mnt' }, nodeAffinity: on('b') } });
  await env.clock.advance(5_000);
  const volume = await env.client.for(persistentvolumes).get({ name: 'pv' });
  assert.equal(volume.spec?.claimRef?.name, 'one');
  assert.equal((await env.pod('one')).spec.nodeName, undefined, 'until the claim is bound');
  // What the volume controller does.
  const bound = await env.client.for(persistentvolumeclaims).get({ namespace: 'default', name: 'one' });
  await env.client.for(persistentvolumeclaims).update({ ...bound, metadata: { ...bound.metadata, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } }, spec: { ...bound.spec, volumeName: 'pv' } });
  await env.clock.advance(200);
  assert.equal((await env.pod('one')).spec.nodeName, 'b');
});
