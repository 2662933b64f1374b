import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configmaps, deployments, pods, resourcequotas } from '../api/resources.ts';
import { startControllerTest } from '../testing/controllers.ts';

const pod = (name: string, cpu: string, extra: object = {}) => ({ metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }], ...extra } }) as never;

test('usage follows what is there, in scope, and the spec', async () => {
  await using env = await startControllerTest({ controllers: ['resourcequota'] });
  const quotas = env.client.for(resourcequotas);
  const quota = async (name: string) => { await env.advance(500); return (await quotas.get({ namespace: 'default', name })).status; };
  await env.client.for(pods).create(pod('a', '250m'));
  await quotas.create({ metadata: { name: 'all', namespace: 'default' }, spec: { hard: { pods: '5', 'requests.cpu': '2', memory: '1Gi', configmaps: '9', 'count/deployments.apps': '3', 'services.nodeports': '1' } } });
  await quotas.create({ metadata: { name: 'best-effort', namespace: 'default' }, spec: { hard: { pods: '5' }, scopes: ['BestEffort'] } });
  assert.deepEqual(await quota('all'), {
    hard: { pods: '5', 'requests.cpu': '2', memory: '1Gi', configmaps: '9', 'count/deployments.apps': '3', 'services.nodeports': '1' },
    used: { pods: '1', 'requests.cpu': '250m', memory: '0', configmaps: '0', 'count/deployments.apps': '0', 'services.nodeports': '0' },
  });
  await env.client.for(pods).create(pod('b', '1'));
  await env.client.for(pods).create({ metadata: { name: 'free', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }] } } as never);
  await env.client.for(configmaps).create({ metadata: { name: 'c', namespace: 'default' } });
  await env.client.for(deployments).create({ metadata: { name: 'd', namespace: 'default' }, spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } } } as never);
  assert.deepEqual((await quota('all'))?.used, { pods: '3', 'requests.cpu': '1250m', memory: '0', configmaps: '1', 'count/deployments.apps': '1', 'services.nodeports': '0' });
  assert.deepEqual((await quota('best-effort'))?.used, { pods: '1' });
  await env.client.for(pods).patch({ namespace: 'default', name: 'b' }, 'merge', { status: { phase: 'Succeeded' } }, { subresource: 'status' });
  await env.client.for(configmaps).delete({ namespace: 'default', name: 'c' });
  await env.client.for(deployments).delete({ namespace: 'default', name: 'd' });
  assert.deepEqual((await quota('all'))?.used, { pods: '2', 'requests.cpu': '250m', memory: '0', configmaps: '0', 'count/deployments.apps': '0', 'services.nodeports': '0' });
  const now = await quotas.get({ namespace: 'default', name: 'all' });
  await quotas.updateStatus({ ...now, status: { hard: { pods: '99' }, used: {} } });
  assert.deepEqual((await quota('all'))?.hard, now.spec?.hard, 'the spec has the last word');
  await quotas.patch({ namespace: 'default', name: 'all' }, 'json', [{ op: 'replace', path: '/spec/hard', value: { pods: '1' } }]);
  assert.deepEqual(await quota('all'), { hard: { pods: '1' }, used: { pods: '2' } });
});

test('what admission has booked and not yet stored is not taken back', async () => {
  await using env = await startControllerTest({ controllers: ['resourcequota'] });
  const quotas = env.client.for(resourcequotas);
  const key = { namespace: 'default', name: 'few' };
  await quotas.create({ metadata: key, spec: { hard: { pods: '2' } } });
  await env.advance(500);
  const booked = await quotas.get(key);
  await quotas.updateStatus({ ...booked, status: { hard: { pods: '2' }, used: { pods: '1' } } });
  await env.settle();
  assert.equal((await quotas.get(key)).status?.used?.pods, '1', 'the pod may be on its way');
  await env.client.for(pods).create(pod('late', '1m'));
  await env.advance(500);
  assert.equal((await quotas.get(key)).status?.used?.pods, '1');
  await env.client.for(pods).delete({ namespace: 'default', name: 'late' });
  await env.advance(500);
  assert.equal((await quotas.get(key)).status?.used?.pods, '0', 'what has gone is given back');
});
