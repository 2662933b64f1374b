import assert from 'node:assert/strict';
import test from 'node:test';
import type { StatefulSet } from '../api/apps/v1.ts';
import { persistentvolumeclaims, pods, statefulsets } from '../api/resources.ts';
import { startControllerTest } from '../testing/controllers.ts';

const key = { namespace: 'default', name: 'db' };
const makeSet = (spec: Partial<StatefulSet['spec']> = {}) => ({
  metadata: { ...key },
  spec: { serviceName: 'db', replicas: 3, selector: { matchLabels: { app: 'db' } }, template: { metadata: { labels: { app: 'db' } } as never, spec: { containers: [{ name: 'c', image: 'db:1' }] } }, ...spec },
});
const start = () => startControllerTest({ controllers: ['statefulset', 'garbagecollector'] });
type Env = Awaited<ReturnType<typeof start>>;
const list = async (env: Env) => (await env.client.for(pods).list({ namespace: 'default' })).items.filter((pod) => !pod.metadata.deletionTimestamp).map((pod) => `${pod.metadata.name} ${pod.spec.containers[0]!.image}`).sort();
const names = async (env: Env) => (await list(env)).map((line) => line.split(' ')[0]);

test('pods come in order, each after the one before is ready, and go in reverse', async () => {
  await using env = await start();
  let readyUpTo = 0;
  const stop = env.kubelet((pod) => (Number(pod.metadata.name.split('-')[1]) <= readyUpTo ? 'Running' : undefined));
  await env.client.for(statefulsets).create(makeSet());
  await env.settle();
  assert.deepEqual(await names(env), ['db-0', 'db-1']);
  readyUpTo = 2;
  for (const pod of (await env.client.for(pods).list({ namespace: 'default' })).items) await env.client.for(pods).patch(pod.metadata, 'merge', { metadata: { annotations: { touched: 'yes' } } });
  await env.settle();
  await env.settle();
  assert.deepEqual(await names(env), ['db-0', 'db-1', 'db-2']);
  assert.equal((await env.client.for(statefulsets).get(key)).status?.readyReplicas, 3);
  await env.client.for(statefulsets).patch(key, 'merge', { spec: { replicas: 1 } });
  for (let i = 0; i < 3; i++) await env.settle();
  assert.deepEqual(await names(env), ['db-0']);
  stop();
});

test('a rolling update goes from the last to the partition', async () => {
  await using env = await start();
  const stop = env.kubelet();
  await env.client.for(statefulsets).create(makeSet({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } } }));
  for (let i = 0; i < 3; i++) await env.settle();
  await env.client.for(statefulsets).patch(key, 'strategic', { spec: { template: { spec: { containers: [{ name: 'c', image: 'db:2' }] } } } });
  for (let i = 0; i < 4; i++) await env.settle();
  assert.deepEqual(await list(env), ['db-0 db:1', 'db-1 db:2', 'db-2 db:2']);
  const { status } = await env.client.for(statefulsets).get(key);
  assert.equal(status?.updatedReplicas, 2);
  assert.notEqual(status?.currentRevision, status?.updateRevision);
  await env.client.for(statefulsets).patch(key, 'merge', { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } });
  for (let i = 0; i < 4; i++) await env.settle();
  const after = await env.client.for(statefulsets).get(key);
  assert.equal(after.status?.currentRevision, after.status?.updateRevision);
  stop();
});

test('each pod has claims of its own that stay; a pod that went comes back under its name', async () => {
  await using env = await start();
  const stop = env.kubelet();
  const template = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } };
  await env.client.for(statefulsets).create(makeSet({ replicas: 2, podManagementPolicy: 'Parallel', volumeClaimTemplates: [template as never] }));
  await env.settle();
  const before = (await env.client.for(pods).get({ namespace: 'default', name: 'db-0' })).metadata.uid;
  await env.client.for(pods).delete({ namespace: 'default', name: 'db-0' }, { gracePeriodSeconds: 0 });
  for (let i = 0; i < 2; i++) await env.settle();
  const again = await env.client.for(pods).get({ namespace: 'default', name: 'db-0' });
  assert.notEqual(again.metadata.uid, before);
  assert.equal(again.spec.volumes?.find((volume) => volume.name === 'data')?.persistentVolumeClaim?.claimName, 'data-db-0');
  assert.equal(again.spec.hostname, 'db-0');
  await env.client.for(statefulsets).patch(key, 'merge', { spec: { replicas: 0 } });
  for (let i = 0; i < 2; i++) await env.settle();
  assert.deepEqual((await env.client.for(persistentvolumeclaims).list({ namespace: 'default' })).items.map((claim) => claim.metadata.name).sort(), ['data-db-0', 'data-db-1']);
  stop();
});
