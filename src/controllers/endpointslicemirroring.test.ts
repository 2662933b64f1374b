import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpoints, endpointslices, services } from '../api/resources.ts';
import { startControllerTest } from '../testing/controllers.ts';

test('Endpoints of a Service without selector are mirrored, followed and unmirrored', async () => {
  await using env = await startControllerTest({ controllers: ['endpointslicemirroring', 'endpoint', 'endpointslice'] });
  const slices = async () => (await env.client.for(endpointslices).list({ namespace: 'default', labelSelector: 'kubernetes.io/service-name=custom' })).items;
  await env.client.for(services).create({ metadata: { name: 'custom', namespace: 'default' }, spec: { ports: [{ name: 'example', port: 80, protocol: 'TCP' }] } } as never);
  await env.settle();
  assert.deepEqual(await slices(), []);
  const made = await env.client.for(endpoints).create({ metadata: { name: 'custom', namespace: 'default', labels: { a: 'b' } }, subsets: [{ addresses: [{ ip: '10.1.2.3' }], notReadyAddresses: [{ ip: 'fd00::1' }], ports: [{ port: 80 }] }] } as never);
  await env.settle();
  const both = await slices();
  assert.deepEqual(both.map(({ addressType, endpoints: list, ports }) => [addressType, list?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]), ports?.map(({ port }) => port)]).sort(), [['IPv4', [['10.1.2.3', true]], [80]], ['IPv6', [['fd00::1', false]], [80]]]);
  assert.deepEqual(both[0]!.metadata.labels, { a: 'b', 'kubernetes.io/service-name': 'custom', 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' });
  assert.equal(both[0]!.metadata.ownerReferences?.[0]?.kind, 'Endpoints');
  await env.client.for(endpoints).update({ ...made, subsets: [{ addresses: [{ ip: '10.2.3.4' }], ports: [{ port: 80, protocol: 'TCP' }] }] });
  await env.settle();
  assert.deepEqual((await slices()).map(({ endpoints: list }) => list?.[0]?.addresses[0]), ['10.2.3.4']);
  await env.client.for(endpoints).delete({ namespace: 'default', name: 'custom' });
  await env.settle();
  assert.deepEqual(await slices(), []);
});
