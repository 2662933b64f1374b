/** Binding, phases and protection of claims and volumes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolumeClaimSpec, PersistentVolumeSpec } from '../api/core/v1.ts';
import { events, persistentvolumeclaims, persistentvolumes, pods, storageclasses } from '../api/resources.ts';
import { startControllerTest, type ControllerTest } from '../testing/controllers.ts';

const only = { controllers: ['persistentvolume-binder', 'pvc-protection', 'pv-protection', 'ephemeral-volume', 'garbagecollector'] };
const volume = (name: string, storage: string, spec: Partial<PersistentVolumeSpec> = {}) => ({ metadata: { name, finalizers: ['kubernetes.io/pv-protection'] }, spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], hostPath: { path: `/tmp/${name}` }, persistentVolumeReclaimPolicy: 'Retain', ...spec } });
const claim = (name: string, storage: string, spec: Partial<PersistentVolumeClaimSpec> = {}) => ({ metadata: { name, namespace: 'default', finalizers: ['kubernetes.io/pvc-protection'] }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } }, storageClassName: '', ...spec } });
async function start(...volumes: ReturnType<typeof volume>[]): Promise<ControllerTest> {
  const env = await startControllerTest(only);
  for (const one of volumes) await env.client.for(persistentvolumes).create(one);
  return env;
}
const pvc = (env: ControllerTest, name: string) => env.client.for(persistentvolumeclaims).get({ namespace: 'default', name });
const pv = (env: ControllerTest, name: string) => env.client.for(persistentvolumes).get({ name });
const phases = async (env: ControllerTest, ...names: string[]) => Promise.all(names.map(async (name) => (await pv(env, name)).status?.phase));

test('a claim takes the smallest volume that suits, and leaves it Released', async () => {
  await using env = await start(volume('large', '10Gi'), volume('fit', '2Gi'), volume('small', '512Mi'), volume('shared', '1Gi', { accessModes: ['ReadOnlyMany'] }));
  await env.client.for(persistentvolumeclaims).create(claim('c', '1Gi'));
  await env.settle();
  const bound = await pvc(env, 'c');
  assert.equal(bound.spec?.volumeName, 'fit');
  assert.deepEqual({ phase: bound.status?.phase, capacity: bound.status?.capacity, accessModes: bound.status?.accessModes }, { phase: 'Bound', capacity: { storage: '2Gi' }, accessModes: ['ReadWriteOnce'] });
  assert.equal(bound.metadata.annotations?.['pv.kubernetes.io/bind-completed'], 'yes');
  const taken = await pv(env, 'fit');
  assert.equal(taken.spec?.claimRef?.uid, bound.metadata.uid);
  assert.equal(taken.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], 'yes');
  assert.deepEqual(await phases(env, 'fit', 'large', 'small'), ['Bound', 'Available', 'Available']);
  await env.client.for(persistentvolumeclaims).delete({ namespace: 'default', name: 'c' });
  await env.settle();
  await assert.rejects(pvc(env, 'c'), /not found/);
  assert.deepEqual(await phases(env, 'fit'), ['Released']);
});

test('claims and volumes may name each other', async () => {
  await using env = await start(volume('a', '5Gi'), volume('kept', '1Gi', { claimRef: { namespace: 'default', name: 'mine' } }));
  await env.settle();
  assert.deepEqual(await phases(env, 'kept'), ['Available']);
  await env.client.for(persistentvolumeclaims).create(claim('other', '1Gi', { volumeName: 'a' }));
  await env.client.for(persistentvolumeclaims).create(claim('mine', '1Gi'));
  await env.client.for(persistentvolumeclaims).create(claim('late', '1Gi', { volumeName: 'kept' }));
  await env.settle();
  assert.equal((await pvc(env, 'mine')).spec?.volumeName, 'kept');
  assert.deepEqual([(await pvc(env, 'other')).status?.phase, (await pvc(env, 'late')).status?.phase], ['Bound', 'Pending']);
  await env.client.for(persistentvolumes).delete({ name: 'a' });
  await env.settle();
  assert.ok((await pv(env, 'a')).metadata.deletionTimestamp, 'a bound volume stays');
});

test('claims of a class that waits for a consumer stay pending; without any class the reason is told', async () => {
  await using env = await start(volume('local', '1Gi', { storageClassName: 'local' }));
  await env.client.for(storageclasses).create({ metadata: { name: 'local' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' });
  await env.settle();
  await env.client.for(persistentvolumeclaims).create(claim('waits', '1Gi', { storageClassName: 'local' }));
  await env.client.for(persistentvolumeclaims).create(claim('none', '1Gi'));
  await env.settle();
  assert.deepEqual([(await pvc(env, 'waits')).status?.phase, (await pvc(env, 'none')).status?.phase], ['Pending', 'Pending']);
  const messages = (await env.client.for(events).list({ namespace: 'default' })).items.map(({ reason, message }) => `${reason}: ${message}`);
  assert.ok(messages.includes('WaitForFirstConsumer: waiting for first consumer to be created before binding'));
  assert.ok(messages.includes('FailedBinding: no persistent volumes available for this claim and no storage class is set'));
  await env.client.for(persistentvolumes).create(volume('new', '1Gi'));
  await env.settle();
  assert.equal((await pvc(env, 'none')).status?.phase, 'Bound');
});

test('a claim in use outlives its deletion until the pod is gone', async () => {
  await using env = await start();
  await env.client.for(persistentvolumeclaims).create(claim('used', '1Gi'));
  await env.client.for(pods).create({ metadata: { name: 'p', namespace: 'default' }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'used' } }] } });
  await env.settle();
  await env.client.for(persistentvolumeclaims).delete({ namespace: 'default', name: 'used' });
  await env.settle();
  assert.deepEqual((await pvc(env, 'used')).metadata.finalizers, ['kubernetes.io/pvc-protection']);
  await env.client.for(pods).delete({ namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 });
  await env.settle();
  await assert.rejects(pvc(env, 'used'), /not found/);
});

test("a pod's ephemeral volume has a claim of the pod's own, gone with it", async () => {
  await using env = await start(volume('pv', '1Gi'));
  const { spec } = claim('', '1Gi');
  await env.client.for(pods).create({ metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { metadata: { labels: { a: 'b' } }, spec } } }] } } as never);
  await env.settle();
  const made = await pvc(env, 'p-scratch');
  assert.deepEqual([made.status?.phase, made.metadata.labels, made.metadata.ownerReferences?.[0]?.name], ['Bound', { a: 'b' }, 'p']);
  await env.client.for(pods).delete({ namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 });
  await env.settle();
  await env.advance(2000);
  await assert.rejects(pvc(env, 'p-scratch'), /not found/);
});
