import assert from 'node:assert/strict';
import test from 'node:test';
import { deployments, nodes, pods, secrets } from '../api/resources.ts';
import type { Deployment } from '../api/apps/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { createRestTransport } from '../client/rest.ts';
import { createClient } from '../client/typed-client.ts';
import { isForbidden } from '../api/meta/status.ts';
import { startCluster } from './index.ts';

const web = (replicas: number) => ({
  metadata: { name: 'web' },
  spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'web:1' }] } } },
}) as unknown as Deployment;

test('a whole cluster in this process: a deployment is rolled out over its nodes', { timeout: 60_000 }, async () => {
  await using cluster = await startCluster({ nodes: 2 });
  await cluster.client.for(deployments).create(web(4), { namespace: 'default' });
  for await (const { object } of cluster.client.for(deployments).watch({ namespace: 'default' })) if ((object as Deployment).status?.readyReplicas === 4) break;
  const { items } = await cluster.client.for(pods).list({ namespace: 'default', labelSelector: 'app=web' });
  assert.deepEqual([...new Set(items.map((pod: Pod) => pod.spec.nodeName))].sort(), ['node-0', 'node-1']);
  assert.ok(items.every((pod: Pod) => pod.status?.phase === 'Running' && pod.status.podIP));
});

test('other users have their own rights, and HTTPS is there when asked for', { timeout: 60_000 }, async () => {
  await using cluster = await startCluster({ nodes: 0, port: 0 });
  await assert.rejects(cluster.clientFor({ name: 'jane' }).for(secrets).list(), isForbidden);
  await using transport = createRestTransport(loadKubeconfig(cluster.kubeconfig!));
  assert.deepEqual((await createClient(transport).for(nodes).list()).items, []);
});
