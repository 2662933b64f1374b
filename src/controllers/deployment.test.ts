import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, ReplicaSet } from '../api/apps/v1.ts';
import { deployments, events, pods, replicasets } from '../api/resources.ts';
import { startControllerTest } from '../testing/controllers.ts';

const only = { controllers: ['deployment', 'replicaset', 'garbagecollector'] };
const key = { namespace: 'default', name: 'web' };
const makeDeployment = (image: string, spec: Partial<Deployment['spec']> = {}) => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } } as never, spec: { containers: [{ name: 'c', image }] } }, ...spec },
});

test('a deployment rolls out, updates within its limits, rolls back and keeps history', async () => {
  await using env = await startControllerTest(only);
  const stop = env.kubelet();
  await env.client.for(deployments).create(makeDeployment('app:1'));
  await env.settle();
  let web = await env.client.for(deployments).get(key);
  assert.equal(web.status?.availableReplicas, 3);
  assert.equal(web.metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
  assert.deepEqual(web.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`).sort(), ['Available=True MinimumReplicasAvailable', 'Progressing=True NewReplicaSetAvailable']);

  let [mostPods, fewestReady] = [0, 99];
  env.informers.informer(pods).addHandler({ onAdd: count, onUpdate: count });
  function count() {
    const all = env.informers.informer(pods).list('default').filter((pod) => !pod.metadata.deletionTimestamp);
    mostPods = Math.max(mostPods, all.length);
    fewestReady = Math.min(fewestReady, all.filter((pod) => pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')).length);
  }
  [mostPods, fewestReady] = [0, 99];
  await env.client.for(deployments).patch(key, 'strategic', { spec: { template: { spec: { containers: [{ name: 'c', image: 'app:2' }] } } } });
  await env.settle();
  await env.settle();
  web = await env.client.for(deployments).get(key);
  assert.equal(web.status?.updatedReplicas, 3);
  assert.equal(web.status?.replicas, 3);
  assert.ok(mostPods <= 4, `maxSurge 25 % of 3 is 1: at most 4 pods, saw ${mostPods}`);
  assert.ok(fewestReady >= 3, `maxUnavailable 25 % of 3 is 0: saw ${fewestReady} ready`);
  const sets = (await env.client.for(replicasets).list({ namespace: 'default' })).items;
  assert.deepEqual(sets.map((set) => [set.metadata.annotations?.['deployment.kubernetes.io/revision'], set.spec.replicas]).sort(), [['1', 0], ['2', 3]]);

  const first = sets.find((set) => set.spec.replicas === 0) as ReplicaSet;
  const { 'pod-template-hash': _, ...labels } = first.spec.template!.metadata!.labels!;
  await env.client.for(deployments).patch(key, 'json', [{ op: 'replace', path: '/spec/template', value: { ...first.spec.template, metadata: { labels } } }] as never);
  await env.settle();
  await env.settle();
  const after = (await env.client.for(replicasets).list({ namespace: 'default' })).items;
  assert.equal(after.length, 2, 'the old set is taken up again');
  const current = after.find((set) => set.spec.replicas === 3)!;
  assert.equal(current.metadata.name, first.metadata.name);
  assert.equal(current.metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
  assert.equal(current.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
  const messages = (await env.client.for(events).list({ namespace: 'default' })).items.filter((event) => event.involvedObject.kind === 'Deployment').map((event) => event.message);
  assert.ok(messages.some((message) => /^Scaled up replica set web-\w+ from 0 to 3$/.test(message!)), messages.join('\n'));
  stop();
});

test('a rollout that does not progress says so after its deadline, and recovers', async () => {
  await using env = await startControllerTest(only);
  let healthy = false;
  env.kubelet(() => (healthy ? 'Running' : undefined));
  await env.client.for(deployments).create(makeDeployment('app:1', { progressDeadlineSeconds: 60 }));
  await env.settle();
  await env.advance(62_000);
  const reasonOf = async () => (await env.client.for(deployments).get(key)).status?.conditions?.find((condition) => condition.type === 'Progressing');
  assert.equal((await reasonOf())?.reason, 'ProgressDeadlineExceeded');
  assert.match((await reasonOf())?.message ?? '', /^ReplicaSet "web-\w+" has timed out progressing\.$/);
  healthy = true;
  for (const pod of (await env.client.for(pods).list({ namespace: 'default' })).items) await env.client.for(pods).patch(pod.metadata, 'merge', { metadata: { labels: { touched: 'yes' } } });
  await env.settle();
  assert.equal((await reasonOf())?.reason, 'NewReplicaSetAvailable');
});

test('Recreate removes every old pod before it makes a new one', async () => {
  await using env = await startControllerTest(only);
  env.kubelet();
  await env.client.for(deployments).create(makeDeployment('app:1', { strategy: { type: 'Recreate' } }));
  await env.settle();
  let mixed = false;
  const hashes = () => new Set(env.informers.informer(pods).list('default').map((pod) => pod.metadata.labels!['pod-template-hash']));
  env.informers.informer(pods).addHandler({ onAdd: () => { mixed ||= hashes().size > 1; } });
  await env.client.for(deployments).patch(key, 'strategic', { spec: { template: { spec: { containers: [{ name: 'c', image: 'app:2' }] } } } });
  await env.settle();
  await env.settle();
  assert.equal(mixed, false);
  assert.equal((await env.client.for(deployments).get(key)).status?.updatedReplicas, 3);
});

test('deleting a deployment takes its sets and pods along; orphaning keeps them', async () => {
  await using env = await startControllerTest(only);
  env.kubelet();
  await env.client.for(deployments).create(makeDeployment('app:1'));
  await env.settle();
  await env.client.for(deployments).delete(key, { propagationPolicy: 'Orphan' });
  await env.settle();
  const [set] = (await env.client.for(replicasets).list({ namespace: 'default' })).items;
  assert.deepEqual(set!.metadata.ownerReferences ?? [], []);
  await env.client.for(deployments).create(makeDeployment('app:1'));
  await env.settle();
  assert.equal((await env.client.for(replicasets).get(set!.metadata)).metadata.ownerReferences?.[0]?.kind, 'Deployment', 'the orphan is adopted');
  await env.client.for(deployments).delete(key, { propagationPolicy: 'Foreground' });
  await env.settle();
  await env.settle();
  assert.equal((await env.client.for(replicasets).list({ namespace: 'default' })).items.length, 0);
  assert.equal((await env.client.for(pods).list({ namespace: 'default' })).items.length, 0);
});

test('an adopted set keeps its revision, however large, and the next one follows it', async () => {
  await using env = await startControllerTest(only);
  const stop = env.kubelet();
  const { spec } = makeDeployment('app:0', { replicas: 1 });
  await env.client.for(replicasets).create({
    metadata: { name: 'by-hand', namespace: 'default', labels: { app: 'web' }, annotations: { 'deployment.kubernetes.io/revision': '3546343826724305832' } }, spec,
  });
  await env.settle();
  await env.client.for(deployments).create(makeDeployment('app:1', { replicas: 1 }));
  await env.settle();
  await env.settle();
  assert.equal((await env.client.for(deployments).get(key)).metadata.annotations?.['deployment.kubernetes.io/revision'], '3546343826724305833');
  const adopted = await env.client.for(replicasets).get({ namespace: 'default', name: 'by-hand' });
  assert.equal(adopted.metadata.ownerReferences?.[0]?.kind, 'Deployment');
  assert.equal(adopted.spec.replicas, 0);
  stop();
});
