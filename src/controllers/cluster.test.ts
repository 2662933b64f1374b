import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterroles, configmaps, endpoints, endpointslices, leases, namespaces, nodes, pods, secrets, serviceaccounts, services } from '../api/resources.ts';
import type { Endpoint } from '../api/discovery/v1.ts';
import { isNotFound } from '../api/meta/status.ts';
import { microTimestamp, timestamp } from '../base/clock.ts';
import { startControllerTest, type ControllerTest } from '../testing/controllers.ts';
import { planSlices } from './endpointslice.ts';
import { chooseControllers } from './index.ts';
import { CidrPool } from './node-ipam.ts';
import { toleratedMs } from './taints.ts';

test('--controllers: names count more than the star, unknown ones are refused', () => {
  const names = (flags: string[]) => chooseControllers(flags).map((one) => one.name);
  assert.ok(names(['*']).includes('deployment-controller'));
  assert.ok(!names(['*', '-deployment']).includes('deployment-controller'));
  assert.deepEqual(names(['deployment', 'job-controller']), ['deployment-controller', 'job-controller']);
  assert.throws(() => chooseControllers(['nonsense']), /"nonsense" is not in the list of known controllers/);
});

test('a namespace gets its default service account and root CA, is emptied when deleted, and goes', async () => {
  await using env = await startControllerTest({ controllers: ['*'], rootCa: 'PEM' });
  await env.client.for(namespaces).create({ metadata: { name: 'team' } } as never);
  await env.settle();
  assert.ok(await env.client.for(serviceaccounts).get({ namespace: 'team', name: 'default' }));
  assert.equal((await env.client.for(configmaps).get({ namespace: 'team', name: 'kube-root-ca.crt' })).data?.['ca.crt'], 'PEM');
  await env.client.for(serviceaccounts).delete({ namespace: 'team', name: 'default' });
  await env.settle();
  assert.ok(await env.client.for(serviceaccounts).get({ namespace: 'team', name: 'default' }), 'made again');
  await env.client.for(configmaps).create({ metadata: { name: 'held', namespace: 'team', finalizers: ['example.com/hold'] } });
  await env.client.for(namespaces).delete({ name: 'team' });
  await env.settle();
  const namespace = await env.client.for(namespaces).get({ name: 'team' });
  assert.equal(namespace.status?.phase, 'Terminating');
  const remaining = namespace.status?.conditions?.find((condition) => condition.type === 'NamespaceFinalizersRemaining');
  assert.equal(remaining?.message, 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances');
  assert.equal(namespace.status?.conditions?.find((condition) => condition.type === 'NamespaceContentRemaining')?.message, 'Some resources are remaining: configmaps. has 1 resource instances');
  await env.client.for(configmaps).patch({ namespace: 'team', name: 'held' }, 'merge', { metadata: { finalizers: null } });
  await env.advance(3000);
  await assert.rejects(env.client.for(namespaces).get({ name: 'team' }), isNotFound);
});

test('a namespace is emptied of its pods before anything else', async () => {
  await using env = await startControllerTest({ controllers: ['namespace'] });
  await env.client.for(namespaces).create({ metadata: { name: 'team' } } as never);
  await env.client.for(configmaps).create({ metadata: { name: 'kept', namespace: 'team' } });
  await env.client.for(pods).create({ metadata: { name: 'held', namespace: 'team', finalizers: ['example.com/hold'] }, spec: { containers: [{ name: 'c', image: 'i' }] } } as never);
  await env.client.for(namespaces).delete({ name: 'team' });
  await env.settle();
  assert.equal((await env.client.for(configmaps).get({ namespace: 'team', name: 'kept' })).metadata.deletionTimestamp, undefined);
  const { status } = await env.client.for(namespaces).get({ name: 'team' });
  assert.equal(status?.conditions?.find((condition) => condition.type === 'NamespaceContentRemaining')?.message, 'Some resources are remaining: pods. has 1 resource instances');
  await env.client.for(pods).patch({ namespace: 'team', name: 'held' }, 'merge', { metadata: { finalizers: null } });
  await env.advance(60_000);
  await assert.rejects(env.client.for(namespaces).get({ name: 'team' }), isNotFound);
});

test('objects of absent owners go; those with one living owner lose the dead reference', async () => {
  await using env = await startControllerTest({ controllers: ['garbagecollector'] });
  const owner = await env.client.for(secrets).create({ metadata: { name: 'owner', namespace: 'default' } });
  const living = await env.client.for(secrets).create({ metadata: { name: 'living', namespace: 'default' } });
  const reference = (object: typeof owner) => ({ apiVersion: 'v1', kind: 'Secret', name: object.metadata.name, uid: object.metadata.uid! });
  await env.client.for(configmaps).create({ metadata: { name: 'one', namespace: 'default', ownerReferences: [reference(owner)] } });
  await env.client.for(configmaps).create({ metadata: { name: 'two', namespace: 'default', ownerReferences: [reference(owner), reference(living)] } });
  await env.client.for(configmaps).create({ metadata: { name: 'ghost', namespace: 'default', ownerReferences: [{ ...reference(owner), uid: 'never-existed' }] } });
  await env.settle();
  assert.deepEqual((await env.client.for(configmaps).list({ namespace: 'default' })).items.map((object) => object.metadata.name).sort(), ['one', 'two']);
  await env.client.for(secrets).delete({ namespace: 'default', name: 'owner' });
  await env.settle();
  const left = (await env.client.for(configmaps).list({ namespace: 'default' })).items;
  assert.deepEqual(left.map((object) => object.metadata.name), ['two']);
  assert.deepEqual(left[0]!.metadata.ownerReferences?.map((one) => one.name), ['living']);
});

const podBehind = (name: string) => ({
  metadata: { name, namespace: 'default', labels: { app: 'web' } }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x', ports: [{ name: 'http', containerPort: 8080 }] }] },
});
async function setReady(env: ControllerTest, name: string, ip: string, ready = true) {
  await env.client.for(pods).patch({ namespace: 'default', name }, 'strategic', { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] } }, { subresource: 'status' });
}

test('endpoints and slices follow pods', async () => {
  await using env = await startControllerTest({ controllers: ['endpoint', 'endpointslice', 'garbagecollector'] });
  await env.client.for(services).create({ metadata: { name: 'web', namespace: 'default' }, spec: { clusterIP: 'None', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] } });
  await env.settle();
  let [slice] = (await env.client.for(endpointslices).list({ namespace: 'default', labelSelector: 'kubernetes.io/service-name=web' })).items;
  assert.deepEqual(slice!.endpoints ?? [], [], 'an empty slice says that the service is known');
  for (const name of ['a', 'b']) await env.client.for(pods).create(podBehind(name));
  await setReady(env, 'a', '10.0.0.1');
  await setReady(env, 'b', '10.0.0.2', false);
  await env.settle();
  const object = await env.client.for(endpoints).get({ namespace: 'default', name: 'web' });
  assert.deepEqual(object.subsets?.map(({ addresses, notReadyAddresses, ports }) => [addresses?.map(({ ip }) => ip), notReadyAddresses?.map(({ ip }) => ip), ports?.map(({ name, port, protocol }) => `${name} ${port}/${protocol}`)]), [[['10.0.0.1'], ['10.0.0.2'], ['http 8080/TCP']]]);
  [slice] = (await env.client.for(endpointslices).list({ namespace: 'default', labelSelector: 'kubernetes.io/service-name=web' })).items;
  assert.deepEqual(slice!.ports, [{ name: 'http', protocol: 'TCP', port: 8080 }]);
  assert.deepEqual(slice!.endpoints!.map((endpoint) => [endpoint.addresses[0], endpoint.conditions?.ready]).sort(), [['10.0.0.1', true], ['10.0.0.2', false]]);
  await setReady(env, 'b', '10.0.0.2');
  await env.settle();
  assert.equal((await env.client.for(endpoints).get({ namespace: 'default', name: 'web' })).subsets?.[0]?.addresses?.length, 2);
  await env.client.for(services).delete({ namespace: 'default', name: 'web' });
  await env.settle();
  assert.deepEqual((await env.client.for(endpoints).list({ namespace: 'default' })).items.map((one) => one.metadata.name).filter((name) => name === 'web'), []);
  assert.equal((await env.client.for(endpointslices).list({ namespace: 'default', labelSelector: 'kubernetes.io/service-name=web' })).items.length, 0);
});

test('slices: at most 100 endpoints each, and only those that change are written', () => {
  const endpoint = (i: number): Endpoint => ({ addresses: [`10.0.${i >> 8}.${i & 255}`], targetRef: { kind: 'Pod', uid: `u${i}` } });
  const ports = [{ name: 'http', protocol: 'TCP', port: 80 }];
  const desired = (count: number, skip = -1) => new Map([['[{"name":"http","port":80,"protocol":"TCP"}]', { ports, endpoints: Array.from({ length: count }, (_, i) => endpoint(i)).filter((_, i) => i !== skip) }]]);
  const first = planSlices('IPv4', desired(250), [], {});
  assert.deepEqual(first.create.map((slice) => slice.endpoints.length), [100, 100, 50]);
  const existing = first.create.map((slice, i) => ({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: `s${i}` }, ...slice }));
  assert.deepEqual(planSlices('IPv4', desired(250), existing, {}), { create: [], update: [], remove: [] });
  const fewer = planSlices('IPv4', desired(250, 5), existing, {});
  assert.deepEqual(fewer.update.map(({ slice, endpoints: list }) => [slice.metadata.name, list.length]), [['s0', 99]]);
  const more = planSlices('IPv4', desired(251), existing, {});
  assert.deepEqual(more.update.map(({ slice, endpoints: list }) => [slice.metadata.name, list.length]), [['s2', 51]]);
});

test('pod ranges: handed out once, given back, none left is an error', () => {
  const pool = new CidrPool({ family: 4, base: 10n << 24n, length: 22 }, 24);
  assert.deepEqual([pool.allocate(), pool.allocate()], ['10.0.0.0/24', '10.0.1.0/24']);
  pool.occupy('10.0.2.0/24');
  assert.equal(pool.allocate(), '10.0.3.0/24');
  assert.equal(pool.allocate(), undefined);
  pool.release('10.0.1.0/24');
  assert.equal(pool.allocate(), '10.0.1.0/24');
});

test('tolerations: the shortest of the matching ones counts, an untolerated taint evicts at once', () => {
  const taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' };
  assert.equal(toleratedMs([taint], []), 0);
  assert.equal(toleratedMs([taint], [{ operator: 'Exists' }]), undefined);
  assert.equal(toleratedMs([taint], [{ key: taint.key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }]), 300_000);
  assert.equal(toleratedMs([taint, { key: 'other', effect: 'NoExecute' }], [{ key: taint.key, operator: 'Exists' }]), 0);
});

test('a silent node becomes Unknown, is tainted, and loses its pods after they have tolerated it', async () => {
  await using env = await startControllerTest({ controllers: ['nodelifecycle', 'taint-eviction', 'nodeipam', 'podgc'], clusterCidr: '10.244.0.0/16' });
  const api = env.client.for(nodes);
  const beat = async (name: string) => {
    const renewTime = microTimestamp(env.clock.now());
    try { await env.client.for(leases).patch({ namespace: 'kube-node-lease', name }, 'merge', { spec: { renewTime } }); } catch { await env.client.for(leases).create({ metadata: { namespace: 'kube-node-lease', name }, spec: { holderIdentity: name, renewTime } }); }
  };
  try { await env.client.for(namespaces).create({ metadata: { name: 'kube-node-lease' } } as never); } catch { /* made at start */ }
  for (const name of ['n1', 'n2']) {
    await api.create({ metadata: { name, labels: { 'topology.kubernetes.io/zone': name } }, spec: {} });
    const time = timestamp(env.clock.now());
    await api.patch({ name }, 'strategic', { status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: time, lastTransitionTime: time }] } }, { subresource: 'status' });
    await beat(name);
  }
  const bound = (name: string, tolerationSeconds: number) => ({ metadata: { name, namespace: 'default' }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }], tolerations: [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }] } });
  await env.client.for(pods).create(bound('patient', 300));
  await env.client.for(pods).create(bound('hasty', 10));
  await setReady(env, 'patient', '10.244.0.2');
  await env.settle();
  assert.deepEqual([(await api.get({ name: 'n1' })).spec.podCIDR, (await api.get({ name: 'n2' })).spec.podCIDR].sort(), ['10.244.0.0/24', '10.244.1.0/24']);
  for (let i = 0; i < 7; i++) { await env.advance(10_000); await beat('n2'); }
  const node = await api.get({ name: 'n1' });
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  assert.deepEqual([ready?.status, ready?.reason, ready?.message], ['Unknown', 'NodeStatusUnknown', 'Kubelet stopped posting node status.']);
  assert.deepEqual(node.spec.taints?.map(({ key, effect }) => `${key}:${effect}`).sort(), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule']);
  assert.equal((await env.client.for(pods).get({ namespace: 'default', name: 'patient' })).status?.conditions?.find((condition) => condition.type === 'Ready')?.status, 'False');
  const gone = async (name: string) => { try { return (await env.client.for(pods).get({ namespace: 'default', name })).metadata.deletionTimestamp !== undefined; } catch (err) { return isNotFound(err); } };
  assert.deepEqual([await gone('hasty'), await gone('patient')], [true, false]);
  assert.equal((await api.get({ name: 'n2' })).spec.taints?.length ?? 0, 0);
  for (let i = 0; i < 31; i++) { await env.advance(10_000); await beat('n2'); }
  assert.equal(await gone('patient'), true);
  await beat('n1');
  await api.patch({ name: 'n1' }, 'strategic', { status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }] } }, { subresource: 'status' });
  await env.advance(6000);
  assert.equal((await api.get({ name: 'n1' })).spec.taints?.length ?? 0, 0);
  await api.delete({ name: 'n1' });
  await env.advance(45_000);
  assert.deepEqual((await env.client.for(pods).list({ namespace: 'default' })).items.map((pod) => pod.metadata.name), []);
});

test('aggregated cluster roles take the rules of those they select', async () => {
  await using env = await startControllerTest({ controllers: ['clusterrole-aggregation'] });
  const rule = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
  await env.client.for(clusterroles).create({ metadata: { name: 'sum' }, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] } });
  await env.client.for(clusterroles).create({ metadata: { name: 'part', labels: { part: 'yes' } }, rules: [rule] });
  await env.settle();
  assert.deepEqual((await env.client.for(clusterroles).get({ name: 'sum' })).rules, [rule]);
});
