/** The parts without I/O: expansion, quantities, QoS, fields, DNS, hosts, environment, cgroup names, secrets of registries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, Service } from '../api/core/v1.ts';
import { cgroupParts, sharesToWeight, slicePath } from './cgroups.ts';
import { containerEnvironment, serviceVariables } from './environment.ts';
import { crossed } from './eviction.ts';
import { expand } from './expand.ts';
import { podFieldValue, resourceFieldValue } from './fields.ts';
import { defaultPullPolicy, withDefaultTag } from './image-manager.ts';
import { goDuration } from './names.ts';
import { hostsFile, parseResolvConf, podDns, podHostname } from './pod-network-files.ts';
import { registryOf } from './pull-secrets.ts';
import { milliCpuToQuota, milliCpuToShares, oomScoreAdj, podRequests, qosClass, quantityNumber } from './resources.ts';
import { containerSecurityContext } from './security.ts';
import { subresourcesOf } from './server/auth.ts';
import { statusPatch } from './status-manager.ts';
import { criLogText } from './termination-message.ts';

const pod = (spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'ns', uid: 'u1', ...metadata }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } });
const withResources = (resources: Container['resources']): Pod => pod({ containers: [{ name: 'c', image: 'i', ...(resources ? { resources } : {}) }] });

for (const [text, expected] of [['$(A)', '1'], ['$$(A)', '$(A)'], ['$(B)', '$(B)'], ['x$(A)y', 'x1y'], ['$A', '$A'], ['$(A', '$(A'], ['$', '$'], ['$$$(A)', '$1']] as const) {
  test(`expand ${text}`, () => { assert.equal(expand(text, (name) => (name === 'A' ? '1' : undefined)), expected); });
}

test('quantities, shares and quotas', () => {
  assert.equal(quantityNumber('500m'), 0.5);
  assert.equal(quantityNumber('1Gi'), 2 ** 30);
  assert.equal(quantityNumber('1e3'), 1000);
  assert.ok(Number.isNaN(quantityNumber('abc')));
  assert.equal(milliCpuToShares(100), 102);
  assert.equal(milliCpuToShares(0), 2);
  assert.equal(milliCpuToQuota(500), 50_000);
  assert.equal(milliCpuToQuota(1), 1000);
});

test('QoS classes and oom scores', () => {
  assert.equal(qosClass(withResources(undefined)), 'BestEffort');
  assert.equal(qosClass(withResources({ requests: { cpu: '1' } })), 'Burstable');
  const both = { cpu: '1', memory: '1Gi' };
  assert.equal(qosClass(withResources({ requests: both, limits: both })), 'Guaranteed');
  assert.equal(qosClass(withResources({ limits: both })), 'Guaranteed');
  const half = withResources({ requests: { memory: '512Mi' } });
  assert.equal(oomScoreAdj(half, half.spec.containers[0]!, 2 ** 30), 500);
  assert.equal(oomScoreAdj(withResources(undefined), { name: 'c' }, 2 ** 30), 1000);
});

test('requests count sidecars with the rest and init steps by the largest', () => {
  const cpu = (text: string) => ({ resources: { requests: { cpu: text } } });
  assert.equal(podRequests(pod({ initContainers: [{ name: 'a', ...cpu('3') }, { name: 's', restartPolicy: 'Always', ...cpu('1') }, { name: 'b', ...cpu('1') }], containers: [{ name: 'c', ...cpu('500m') }] })).cpu, 3000);
  assert.equal(podRequests(pod({ initContainers: [{ name: 's', restartPolicy: 'Always', ...cpu('1') }], containers: [{ name: 'c', ...cpu('500m') }] })).cpu, 1500);
});

test('field references', () => {
  const where = { podIPs: ['10.0.0.1'], hostIPs: ['1.1.1.1'], nodeName: 'n' };
  const labelled = pod({}, { labels: { b: '2', a: 'x "y"' } });
  assert.equal(podFieldValue(labelled, 'metadata.labels', where), 'a="x \\"y\\""\nb="2"');
  assert.equal(podFieldValue(labelled, "metadata.labels['b']", where), '2');
  assert.equal(podFieldValue(labelled, 'status.podIP', where), '10.0.0.1');
  const allocatable = { cpuMillis: 4000, memoryBytes: 8 * 2 ** 30, ephemeralStorageBytes: 1e9 };
  const limited: Container = { name: 'c', resources: { limits: { cpu: '1500m', memory: '64Mi' } } };
  assert.equal(resourceFieldValue(limited, { resource: 'limits.cpu' }, allocatable), '2');
  assert.equal(resourceFieldValue(limited, { resource: 'limits.memory', divisor: '1Mi' }, allocatable), '64');
  assert.equal(resourceFieldValue({ name: 'c' }, { resource: 'limits.cpu' }, allocatable), '4');
});

test('DNS policies', () => {
  const host = parseResolvConf('search corp.example\nnameserver 9.9.9.9\noptions timeout:1\n');
  const cluster = { dns: ['10.96.0.10'], domain: 'cluster.local' };
  assert.deepEqual(podDns(pod(), host, cluster), { servers: ['10.96.0.10'], searches: ['ns.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp.example'], options: ['ndots:5'], warnings: [] });
  assert.deepEqual(podDns(pod({ dnsPolicy: 'Default' }), host, cluster).servers, ['9.9.9.9']);
  assert.deepEqual(podDns(pod({ hostNetwork: true }), host, cluster).servers, ['9.9.9.9']);
  assert.deepEqual(podDns(pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }), host, cluster).servers, ['10.96.0.10']);
  assert.deepEqual(podDns(pod({ dnsPolicy: 'None', dnsConfig: { nameservers: ['1.2.3.4'], options: [{ name: 'ndots', value: '2' }] } }), host, cluster), { servers: ['1.2.3.4'], searches: [], options: ['ndots:2'], warnings: [] });
  assert.equal(podDns(pod(), host, { dns: [], domain: 'cluster.local' }).warnings[0]?.reason, 'MissingClusterDNS');
});

test('hosts and host names', () => {
  const named = pod({ hostname: 'h', subdomain: 'sub', hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] });
  const names = podHostname(named, 'cluster.local', 'n');
  assert.deepEqual(names, { hostname: 'h', domain: 'sub.ns.svc.cluster.local' });
  const text = hostsFile(named, ['10.0.0.2'], names, '');
  assert.match(text, /^10\.0\.0\.2\th\.sub\.ns\.svc\.cluster\.local\th$/m);
  assert.match(text, /^1\.2\.3\.4\ta\tb$/m);
});

test('environment: services, references, expansion, what is missing', async () => {
  const service = (name: string): Service => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'ns' }, spec: { clusterIP: '10.96.0.7', ports: [{ port: 80, name: 'http' }] } });
  assert.equal(serviceVariables([service('my-db')]).MY_DB_PORT_80_TCP, 'tcp://10.96.0.7:80');
  const sources = {
    configMap: async (_: string, name: string) => (name === 'cm' ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { k: 'v', other: 'o' } } : undefined),
    secret: async () => undefined, services: (namespace: string) => (namespace === 'ns' ? [service('db')] : []),
    addresses: { podIPs: ['10.0.0.1'], hostIPs: [], nodeName: 'n' }, allocatable: { cpuMillis: 1, memoryBytes: 1, ephemeralStorageBytes: 1 },
  };
  const env = async (container: Container) => Object.fromEntries((await containerEnvironment(pod(), container, sources)).map(({ key, value }) => [key, value]));
  const got = await env({ name: 'c', envFrom: [{ prefix: 'P_', configMapRef: { name: 'cm' } }, { secretRef: { name: 'none', optional: true } }], env: [{ name: 'A', value: '$(P_k)-$(DB_SERVICE_HOST)' }, { name: 'B', valueFrom: { configMapKeyRef: { name: 'cm', key: 'k' } } }, { name: 'C', valueFrom: { secretKeyRef: { name: 'none', key: 'x', optional: true } } }] });
  assert.equal(got.A, 'v-10.96.0.7');
  assert.equal(got.B, 'v');
  assert.equal(got.P_other, 'o');
  assert.equal('C' in got, false);
  await assert.rejects(env({ name: 'c', env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'cm', key: 'zz' } } }] }), /couldn't find key zz in ConfigMap ns\/cm/);
  await assert.rejects(env({ name: 'c', envFrom: [{ secretRef: { name: 'none' } }] }), /secret "none" not found/);
});

test('images: tags and policies', () => {
  assert.equal(withDefaultTag('nginx'), 'nginx:latest');
  assert.equal(withDefaultTag('localhost:5000/a/b'), 'localhost:5000/a/b:latest');
  assert.equal(defaultPullPolicy('nginx'), 'Always');
  assert.equal(defaultPullPolicy('nginx:1'), 'IfNotPresent');
  assert.equal(registryOf('quay.io/x/y:1'), 'quay.io');
  assert.equal(registryOf('library/x'), 'docker.io');
});

test('runAsNonRoot is held against the image', () => {
  const strict: Container = { name: 'c', securityContext: { runAsNonRoot: true } };
  assert.throws(() => containerSecurityContext(pod(), strict, { username: '' }, '/s'), /container has runAsNonRoot and image will run as root \(pod: "web_ns\(u1\)", container: c\)/);
  assert.throws(() => containerSecurityContext(pod(), strict, { username: 'app' }, '/s'), /non-numeric user \(app\)/);
  assert.equal(containerSecurityContext(pod(), strict, { uid: 5, username: '' }, '/s').runAsUser, 5);
});

test('cgroup names', () => {
  assert.deepEqual(cgroupParts('a-b', 'Burstable'), ['kubepods', 'burstable', 'poda-b']);
  assert.deepEqual(cgroupParts('a-b', 'Guaranteed'), ['kubepods', 'poda-b']);
  assert.equal(slicePath(['kubepods', 'burstable', 'poda-b']), 'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice');
  assert.equal(sharesToWeight(1024), 39);
});

test('a status patch says what changed and no more', () => {
  const before = { phase: 'Pending', podIPs: [{ ip: '1' }], conditions: [{ type: 'Ready', status: 'False', message: 'm' }, { type: 'gate', status: 'True' }] };
  const after = { phase: 'Running', podIPs: [{ ip: '2' }], conditions: [{ type: 'Ready', status: 'True' }] };
  assert.deepEqual(statusPatch(before, after, new Set(['Ready'])), { phase: 'Running', podIPs: [{ $patch: 'replace' }, { ip: '2' }], conditions: [{ message: null, type: 'Ready', status: 'True' }] });
  assert.equal(statusPatch(after, after, new Set(['Ready'])), undefined);
});

test('small things', () => {
  assert.equal(goDuration(10_000), '10s');
  assert.equal(goDuration(80_000), '1m20s');
  assert.equal(goDuration(300_000), '5m0s');
  assert.equal(criLogText('2026-01-01T00:00:00Z stdout P ab\n2026-01-01T00:00:00Z stdout F c\n'), 'abc\n');
  assert.deepEqual(subresourcesOf('/metrics/resource'), ['metrics']);
  assert.deepEqual(subresourcesOf('/exec/ns/p/c'), ['proxy']);
  assert.deepEqual(crossed({ 'memory.available': '100Mi', 'nodefs.available': '10%' }, { memoryAvailable: 50e6, memoryCapacity: 1e9, nodefsAvailable: 20, nodefsCapacity: 100, inodes: 1, inodesFree: 1 }).map(({ signal }) => signal), ['memory.available']);
});
