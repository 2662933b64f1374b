/** The official JavaScript client against a real cluster: list, watch, informer, exec, log. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { CoreV1Api, Exec, KubeConfig, Log, makeInformer, type V1Pod, type V1Status, Watch } from '@kubernetes/client-node';
import { eventually, startTestCluster, whyNoNode } from './harness.ts';
import { writeTestImages } from './images.ts';

const namespace = 'default';

function sleeper(name: string): V1Pod {
  return {
    metadata: { name, labels: { app: 'client-node' } },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'echo ready; sleep 3600'] }] },
  };
}

test('@kubernetes/client-node', { skip: whyNoNode(), timeout: 300_000 }, async (t) => {
  await using cluster = await startTestCluster('clientnode');
  await using images = await writeTestImages();
  await cluster.knarr('image', 'load', images.files[0]!);
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const core = config.makeApiClient(CoreV1Api);

  const seen: string[] = [];
  const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/pods`, () => core.listNamespacedPod({ namespace }));
  informer.on('add', (pod) => seen.push(`add ${pod.metadata!.name}`));
  informer.on('delete', (pod) => seen.push(`delete ${pod.metadata!.name}`));
  await informer.start();

  await t.test('create and list', async () => {
    await eventually(() => core.readNamespacedServiceAccount({ namespace, name: 'default' }));
    await core.createNamespacedPod({ namespace, body: sleeper('first') });
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: 'app=client-node' });
    assert.deepEqual(items.map((pod) => pod.metadata!.name), ['first']);
  });
  await t.test('watch until it runs', async () => {
    const running = new Promise<void>((resolve, reject) => {
      void new Watch(config).watch(`/api/v1/namespaces/${namespace}/pods`, { fieldSelector: 'metadata.name=first' }, (_, pod: V1Pod) => {
        if (pod.status?.phase === 'Running') resolve();
      }, (err) => reject(err instanceof Error ? err : new Error('the watch ended'))).catch(reject);
    });
    await running;
  });
  await t.test('exec gives output and status', async () => {
    const stdout = new PassThrough();
    const chunks: Buffer[] = [];
    stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const status = await new Promise<V1Status>((resolve, reject) => {
      new Exec(config).exec(namespace, 'first', 'main', ['sh', '-c', 'echo from-exec; exit 4'], stdout, null, null, false, resolve).catch(reject);
    });
    assert.equal(status.status, 'Failure');
    assert.equal(status.details?.causes?.[0]?.message, '4');
    assert.equal(Buffer.concat(chunks).toString(), 'from-exec\n');
  });
  await t.test('log', async () => {
    const out = new PassThrough();
    await new Log(config).log(namespace, 'first', 'main', out, { tailLines: 1 });
    const [line] = await once(out, 'data') as [Buffer];
    assert.equal(line.toString(), 'ready\n');
  });
  await t.test('the informer saw it come and go', async () => {
    await core.deleteNamespacedPod({ namespace, name: 'first' });
    await eventually(async () => assert.deepEqual(seen, ['add first', 'delete first']));
  });
  await informer.stop();
});
