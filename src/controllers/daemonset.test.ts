import assert from 'node:assert/strict';
import test from 'node:test';
import type { DaemonSet } from '../api/apps/v1.ts';
import { controllerrevisions, daemonsets, nodes, pods } from '../api/resources.ts';
import { makeNode } from '../testing/builders.ts';
import { startControllerTest } from '../testing/controllers.ts';
import { tolerationsOf } from './daemonset-plan.ts';

const key = { namespace: 'default', name: 'agent' };
const makeSet = (spec: Partial<DaemonSet['spec']> = {}, podSpec: object = {}) => ({
  metadata: { ...key },
  spec: { selector: { matchLabels: { app: 'agent' } }, template: { metadata: { labels: { app: 'agent' } } as never, spec: { containers: [{ name: 'c', image: 'agent:1' }], ...podSpec } }, ...spec },
});

async function start(names: string[]) {
  const env = await startControllerTest({ controllers: ['daemonset', 'garbagecollector'] });
  for (const name of names) await addNode(env, name);
  return env;
}
type Env = Awaited<ReturnType<typeof startControllerTest>>;
const addNode = (env: Env, name: string, parts: Parameters<typeof makeNode>[0] = {}) => { const { metadata, spec } = makeNode({ name, ...parts }); return env.client.for(nodes).create({ metadata: { name, labels: metadata.labels ?? {} }, spec }); };
const placed = async (env: Env) => (await env.client.for(pods).list({ namespace: 'default' })).items.filter((pod) => !pod.metadata.deletionTimestamp)
  .map((pod) => [pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0]?.matchFields?.[0]?.values?.[0] ?? '?', pod.spec.containers[0]!.image] as const).sort();

test('one pod per node that wants it, also on nodes that come later', async () => {
  await using env = await start(['a', 'b']);
  await addNode(env, 'tainted', { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] });
  await env.client.for(daemonsets).create(makeSet());
  await env.settle();
  assert.deepEqual((await placed(env)).map(([node]) => node), ['a', 'b']);
  await addNode(env, 'c');
  await env.settle();
  assert.deepEqual((await placed(env)).map(([node]) => node), ['a', 'b', 'c']);
  const { status } = await env.client.for(daemonsets).get(key);
  assert.deepEqual([status?.desiredNumberScheduled, status?.currentNumberScheduled, status?.numberReady, status?.numberUnavailable, status?.observedGeneration], [3, 3, 0, 3, 1]);
});

test('a node selector that no longer matches takes the pod away', async () => {
  await using env = await start([]);
  await addNode(env, 'blue', { labels: { color: 'blue' } });
  await addNode(env, 'green', { labels: { color: 'green' } });
  await env.client.for(daemonsets).create(makeSet({}, { nodeSelector: { color: 'blue' } }));
  await env.settle();
  assert.deepEqual((await placed(env)).map(([node]) => node), ['blue']);
  await env.client.for(nodes).patch({ name: 'blue' }, 'merge', { metadata: { labels: { color: 'red' } } });
  await env.settle();
  assert.deepEqual(await placed(env), []);
});

test('a rolling update replaces pods one at a time, and the revisions are kept', async () => {
  await using env = await start(['a', 'b', 'c']);
  const stop = env.kubelet();
  await env.client.for(daemonsets).create(makeSet());
  await env.settle();
  assert.equal((await env.client.for(daemonsets).get(key)).status?.numberAvailable, 3);
  let fewest = 99;
  env.informers.informer(pods).addHandler({ onUpdate: () => { fewest = Math.min(fewest, env.informers.informer(pods).list('default').filter((pod) => !pod.metadata.deletionTimestamp && pod.status?.phase === 'Running').length); } });
  await env.client.for(daemonsets).patch(key, 'strategic', { spec: { template: { spec: { containers: [{ name: 'c', image: 'agent:2' }] } } } });
  for (let i = 0; i < 4; i++) await env.settle();
  assert.deepEqual((await placed(env)).map(([, image]) => image), ['agent:2', 'agent:2', 'agent:2']);
  assert.ok(fewest >= 2, `maxUnavailable is 1: saw ${fewest} running`);
  assert.deepEqual((await env.client.for(controllerrevisions).list({ namespace: 'default' })).items.map((revision) => revision.revision).sort(), [1, 2]);
  assert.equal((await env.client.for(daemonsets).get(key)).status?.updatedNumberScheduled, 3);
  stop();
});

test('a failed pod is replaced', async () => {
  await using env = await start(['a']);
  await env.client.for(daemonsets).create(makeSet());
  await env.settle();
  const [pod] = (await env.client.for(pods).list({ namespace: 'default' })).items;
  await env.client.for(pods).updateStatus({ ...pod!, status: { ...pod!.status, phase: 'Failed' } });
  await env.settle();
  const { items } = await env.client.for(pods).list({ namespace: 'default' });
  assert.equal(items.length, 1);
  assert.notEqual(items[0]!.metadata.uid, pod!.metadata.uid);
});

test('daemon pods tolerate a node in trouble', () => {
  assert.deepEqual(tolerationsOf({ containers: [] }).map(({ key: name }) => name!.split('/')[1]), ['not-ready', 'unreachable', 'disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable']);
  assert.ok(tolerationsOf({ containers: [], hostNetwork: true }).some(({ key: name }) => name === 'node.kubernetes.io/network-unavailable'));
});
