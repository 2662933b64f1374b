import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pods } from '../api/resources.ts';
import { startKubelet } from '../testing/kubelet-env.ts';
import { simulatedHost } from './host.ts';
import { staticPod } from './static-pods.ts';

const manifest = (image: string) => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: c\n    image: ${image}\n`;

test('a manifest becomes a pod of this node with upstream\'s annotations', () => {
  const pod = staticPod(manifest('busybox:1'), '/etc/web.yaml', 'Node-A', 0);
  assert.equal(pod.metadata.name, 'web-node-a');
  assert.equal(pod.metadata.namespace, 'default');
  assert.equal(pod.metadata.annotations?.['kubernetes.io/config.source'], 'file');
  assert.equal(pod.metadata.annotations?.['kubernetes.io/config.hash'], pod.metadata.uid);
  assert.equal(pod.spec.containers[0]?.imagePullPolicy, 'IfNotPresent');
  assert.notEqual(staticPod(manifest('busybox:2'), '/etc/web.yaml', 'Node-A', 0).metadata.uid, pod.metadata.uid);
  assert.throws(() => staticPod('kind: Service', 'x.yaml', 'n', 0), /not a Pod/);
});

test('static pods run, show as mirrors, come back when the mirror is deleted, change and go with their file', async () => {
  const files = new Map([['web.yaml', manifest('busybox:1')]]);
  const host = { ...simulatedHost(), listDir: async (path: string) => (path === '/manifests' ? [...files.keys()] : []), readFile: async (path: string) => files.get(path.slice('/manifests/'.length)) };
  await using env = await startKubelet({ host, config: { staticPodPath: '/manifests' } });
  await env.settle();
  const first = await env.pod('web-node-a');
  assert.equal(first.status?.phase, 'Running');
  assert.equal(first.metadata.annotations?.['kubernetes.io/config.mirror'], first.metadata.annotations?.['kubernetes.io/config.hash']);
  assert.equal(first.metadata.ownerReferences?.[0]?.kind, 'Node');
  const container = await env.containerId('web-node-a', 'c');
  await env.client.for(pods).delete({ namespace: 'default', name: 'web-node-a' });
  await env.settle();
  const again = await env.pod('web-node-a');
  assert.notEqual(again.metadata.uid, first.metadata.uid);
  assert.equal(again.metadata.deletionTimestamp, undefined);
  assert.equal(await env.containerId('web-node-a', 'c'), container);
  files.set('web.yaml', manifest('busybox:2'));
  await env.clock.advance(21_000);
  await env.settle();
  assert.equal((await env.pod('web-node-a')).spec.containers[0]?.image, 'busybox:2');
  assert.equal((await env.pod('web-node-a')).status?.phase, 'Running');
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 1);
  files.clear();
  await env.clock.advance(21_000);
  await env.settle();
  assert.equal(await env.find('web-node-a'), undefined);
  assert.deepEqual(await env.runtime.listContainers(), []);
});

test('static pods run while the apiserver is away and show when it comes', async () => {
  let away = true;
  const host = { ...simulatedHost(), listDir: async (path: string) => (path === '/manifests' ? ['web.yaml'] : []), readFile: async (path: string) => (path === '/manifests/web.yaml' ? manifest('busybox:1') : undefined) };
  await using env = await startKubelet({ host, config: { staticPodPath: '/manifests' }, failing: () => (away ? new Error('connection refused') : undefined) });
  await env.settle();
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 1);
  away = false;
  await env.clock.advance(70_000);
  await env.settle();
  assert.equal((await env.pod('web-node-a')).status?.phase, 'Running');
});
