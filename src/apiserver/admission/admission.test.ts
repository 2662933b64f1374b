import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRng } from '../../base/rng.ts';
import type { JsonObject } from '../../base/json.ts';
import { conflict, notFound } from '../../api/meta/status.ts';
import * as r from '../../api/resources.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import { createCertificateRequest, generateKey } from '../../base/x509.ts';
import type { ApiObject, Client } from '../../client/client.ts';
import { keyOf } from '../../client/informer.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { StaticInformers } from '../../testing/static-informers.ts';
import type { AdmissionAttributes, AuthorizationAttributes, UserInfo } from '../types.ts';
import { defaultAdmission, type AdmissionChoice } from './default-admission.ts';
import { violationsOf } from './pod-security.ts';

/** The chain over informers filled by hand; the client reads them too and books quota status. */
function chain(choice: AdmissionChoice = {}, allow: (asked: AuthorizationAttributes) => boolean = () => true) {
  const informers = new StaticInformers();
  const clock = new FakeClock();
  let version = 100;
  const client = { for: <T extends ApiObject>(names: ResourceNames<T>) => ({
    async get(at: { namespace?: string; name: string }) {
      const found = informers.informer(names).get(at.namespace ? `${at.namespace}/${at.name}` : at.name);
      if (!found) throw notFound({ group: names.group, resource: names.plural }, at.name);
      return found;
    },
    async updateStatus(object: T) {
      if (informers.informer(names).get(keyOf(object))?.metadata.resourceVersion !== object.metadata.resourceVersion) throw conflict({ group: '', resource: names.plural }, object.metadata.name, 'stale');
      const next = { ...object, metadata: { ...object.metadata, resourceVersion: `${++version}` } };
      informers.set(names, next);
      return next;
    },
  }) } as unknown as Client;
  const authorizer = { authorize: async (asked: AuthorizationAttributes) => ({ decision: allow(asked) ? 'allow' as const : 'none' as const, reason: '' }), rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }) };
  const plugins = defaultAdmission({ client, informers, clock, rng: seededRng(1), authorizer }, choice);
  const warnings: string[] = [];
  async function run(operation: AdmissionAttributes['operation'], names: ResourceNames, object: object | undefined, more: Partial<AdmissionAttributes> & { old?: object } = {}): Promise<Made> {
    const { metadata = { name: '' } } = (object ?? more.old ?? {}) as Partial<ApiObject>;
    const { old, ...rest } = more;
    const attributes: AdmissionAttributes = { operation, names, subresource: '', namespace: metadata.namespace ?? '', name: metadata.name ?? '', user: { name: 'ann', groups: [] }, dryRun: false, warn: (text) => warnings.push(text),
      ...(object ? { object: structuredClone(object) as JsonObject } : {}), ...(old ? { oldObject: old as JsonObject } : {}), ...rest };
    for (const plugin of plugins) if (plugin.handles(operation, names, attributes.subresource)) await plugin.admit?.(attributes);
    for (const plugin of plugins) if (plugin.handles(operation, names, attributes.subresource)) await plugin.validate?.(attributes);
    return attributes.object as unknown as Made;
  }
  const put = <T extends ApiObject>(names: ResourceNames<T>, name: string, body: object = {}, namespace?: string) =>
    informers.set(names, { apiVersion: names.apiVersion, kind: names.kind, ...body, metadata: { name, ...(namespace ? { namespace } : {}), uid: `uid-${name}`, resourceVersion: `${++version}`, ...(body as { metadata?: object }).metadata } } as unknown as T);
  put(r.namespaces, 'a', { status: { phase: 'Active' } });
  put(r.serviceaccounts, 'default', {}, 'a');
  return { run, put, plugins, informers, clock, warnings, create: (names: ResourceNames, object: object) => run('CREATE', names, object) };
}
/** What comes out, as far as the tests look at it. */
interface MadeContainer { imagePullPolicy?: string; volumeMounts?: object[]; resources?: object }
interface Made {
  metadata: { annotations: Record<string, string>; finalizers?: string[]; labels?: Record<string, string> };
  spec: { serviceAccountName?: string; volumes?: { name: string; projected?: object }[]; containers: [MadeContainer, ...MadeContainer[]]; initContainers: MadeContainer[]; imagePullSecrets?: object[]; priority?: number;
    preemptionPolicy?: string; priorityClassName?: string; tolerations: { key: string; tolerationSeconds?: number }[]; taints?: object[]; storageClassName?: string; ingressClassName?: string; overhead?: object; nodeSelector?: object };
}
const pod = (spec: object = {}, metadata: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'a', ...metadata }, spec: { containers: [{ name: 'c', image: 'x' }], ...spec } });

test('the list: upstream\'s order and choices', () => {
  const names = chain().plugins.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 4), ['NamespaceLifecycle', 'LimitRanger', 'ServiceAccount', 'NodeRestriction']);
  assert.equal(names.at(-1), 'ResourceQuota');
  assert.ok(!names.includes('AlwaysPullImages'));
  assert.ok(chain({ enable: ['AlwaysPullImages'] }).plugins.some(({ name }) => name === 'AlwaysPullImages'));
  assert.ok(!chain({ disable: ['Priority'] }).plugins.some(({ name }) => name === 'Priority'));
  assert.throws(() => chain({ enable: ['Nope'] }), /there is no admission plugin "Nope"; known: AlwaysAdmit/);
  chain({ disable: ['MutatingAdmissionWebhook'] });
});

test('NamespaceLifecycle', async () => {
  const { run, create, put } = chain();
  const config = (namespace: string) => ({ metadata: { name: 'x', namespace } });
  await create(r.configmaps, config('a'));
  await assert.rejects(create(r.configmaps, config('b')), { code: 404, message: 'namespaces "b" not found' });
  put(r.namespaces, 'going', { status: { phase: 'Terminating' } });
  await assert.rejects(create(r.configmaps, config('going')), { code: 403, message: 'configmaps "x" is forbidden: unable to create new content in namespace going because it is being terminated' });
  await run('UPDATE', r.configmaps, config('going'), { old: config('going') });
  await run('DELETE', r.configmaps, undefined, { old: config('going') });
  await assert.rejects(run('DELETE', r.namespaces, undefined, { name: 'kube-system', old: {} }), { message: 'namespaces "kube-system" is forbidden: this namespace may not be deleted' });
});

test('ServiceAccount: default account, token volume, pull secrets', async () => {
  const { create, put } = chain();
  put(r.serviceaccounts, 'bot', { imagePullSecrets: [{ name: 'pull' }] }, 'a');
  put(r.serviceaccounts, 'quiet', { automountServiceAccountToken: false }, 'a');
  const plain = await create(r.pods, pod({ initContainers: [{ name: 'i' }] }));
  assert.equal(plain.spec.serviceAccountName, 'default');
  const volume = plain.spec.volumes![0]!;
  assert.match(volume.name, /^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  assert.deepEqual(volume.projected, { defaultMode: 420, sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3607 } }, { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } }] });
  for (const container of [...plain.spec.containers, ...plain.spec.initContainers]) assert.deepEqual(container.volumeMounts, [{ name: volume.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }]);
  const bot = await create(r.pods, pod({ serviceAccountName: 'bot', automountServiceAccountToken: false }));
  assert.deepEqual([bot.spec.imagePullSecrets, bot.spec.volumes], [[{ name: 'pull' }], undefined]);
  assert.equal((await create(r.pods, pod({ serviceAccountName: 'quiet' }))).spec.volumes, undefined);
  const own = await create(r.pods, pod({ containers: [{ name: 'c', volumeMounts: [{ name: 'mine', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }] }] }));
  assert.equal(own.spec.volumes, undefined);
  await assert.rejects(create(r.pods, pod({ serviceAccountName: 'nope' })), { message: 'pods "web" is forbidden: error looking up service account a/nope: serviceaccount "nope" not found' });
  const mirror = { annotations: { 'kubernetes.io/config.mirror': 'x' } };
  assert.equal((await create(r.pods, pod({}, mirror))).spec.serviceAccountName, undefined);
  await assert.rejects(create(r.pods, pod({ serviceAccountName: 'bot' }, mirror)), /a mirror pod may not reference service accounts/);
});

test('ServiceAccount: waits a moment for a new namespace\'s default account', async () => {
  const { create, put, clock } = chain();
  put(r.namespaces, 'new', { status: { phase: 'Active' } });
  const late = create(r.pods, pod({}, { namespace: 'new' }));
  await new Promise<void>((resolve) => { setImmediate(resolve); });
  put(r.serviceaccounts, 'default', {}, 'new');
  assert.equal((await late).spec.serviceAccountName, 'default');
  put(r.namespaces, 'none', { status: { phase: 'Active' } });
  const never = assert.rejects(create(r.pods, pod({}, { namespace: 'none' })), /serviceaccount "default" not found/);
  await clock.advance(5000);
  await never;
});

test('Priority', async () => {
  const { create, put } = chain();
  assert.deepEqual([(await create(r.pods, pod())).spec.priority, (await create(r.pods, pod())).spec.preemptionPolicy], [0, 'PreemptLowerPriority']);
  put(r.priorityclasses, 'high', { value: 1000, preemptionPolicy: 'Never' });
  put(r.priorityclasses, 'usual', { value: 7, globalDefault: true });
  const high = (await create(r.pods, pod({ priorityClassName: 'high' }))).spec;
  assert.deepEqual([high.priority, high.preemptionPolicy], [1000, 'Never']);
  const usual = (await create(r.pods, pod())).spec;
  assert.deepEqual([usual.priority, usual.priorityClassName], [7, 'usual']);
  await assert.rejects(create(r.pods, pod({ priorityClassName: 'none' })), { message: 'pods "web" is forbidden: no PriorityClass with name none was found' });
  await assert.rejects(create(r.pods, pod({ priority: 5 })), { message: 'pods "web" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 7 from the given PriorityClass name' });
  await assert.rejects(create(r.priorityclasses, { metadata: { name: 'second' }, value: 1, globalDefault: true }), { message: 'priorityclasses.scheduling.k8s.io "second" is forbidden: PriorityClass usual is already marked as default. Only one default can exist' });
});

test('tolerations, taints, finalizers, pull policy, topology', async () => {
  const { create, run, put } = chain({ enable: ['AlwaysPullImages', 'ExtendedResourceToleration'] });
  const made = (await create(r.pods, pod({ tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }], containers: [{ name: 'c', imagePullPolicy: 'Never', resources: { requests: { 'example.com/gpu': '1', cpu: '1' } } }] }))).spec;
  assert.deepEqual(made.tolerations.map((one: { key: string; tolerationSeconds?: number }) => `${one.key}:${one.tolerationSeconds}`), ['node.kubernetes.io/not-ready:5', 'node.kubernetes.io/unreachable:300', 'example.com/gpu:undefined']);
  assert.equal(made.containers[0].imagePullPolicy, 'Always');
  assert.equal((await create(r.pods, pod({ tolerations: [{ operator: 'Exists' }] }))).spec.tolerations.length, 1, 'tolerates all already');
  const node = await create(r.nodes, { metadata: { name: 'n1' }, spec: {} });
  assert.deepEqual(node.spec.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }]);
  assert.deepEqual((await create(r.persistentvolumes, { metadata: { name: 'v' }, spec: {} })).metadata.finalizers, ['kubernetes.io/pv-protection']);
  assert.deepEqual((await create(r.persistentvolumeclaims, { metadata: { name: 'v', namespace: 'a' }, spec: {} })).metadata.finalizers, ['kubernetes.io/pvc-protection']);
  put(r.nodes, 'n1', { metadata: { labels: { 'topology.kubernetes.io/zone': 'z1' } } });
  assert.deepEqual((await run('CREATE', r.pods, { metadata: { name: 'web', namespace: 'a' }, target: { kind: 'Node', name: 'n1' } }, { subresource: 'binding' })).metadata.labels, { 'topology.kubernetes.io/zone': 'z1' });
});

test('default classes: the newest; resizing', async () => {
  const { create, run, put } = chain();
  const claim = (spec: object = {}, more: object = {}) => ({ metadata: { name: 'c', namespace: 'a' }, spec, ...more });
  assert.equal((await create(r.persistentvolumeclaims, claim())).spec.storageClassName, undefined);
  const marked = (at: string, kind: string) => ({ metadata: { creationTimestamp: at, annotations: { [`${kind}.kubernetes.io/is-default-class`]: 'true' } } });
  put(r.storageclasses, 'old', marked('2026-01-01T00:00:00Z', 'storageclass'));
  put(r.storageclasses, 'new', { ...marked('2026-02-01T00:00:00Z', 'storageclass'), allowVolumeExpansion: true });
  put(r.storageclasses, 'other');
  assert.equal((await create(r.persistentvolumeclaims, claim())).spec.storageClassName, 'new');
  assert.equal((await create(r.persistentvolumeclaims, claim({ storageClassName: '' }))).spec.storageClassName, '');
  put(r.ingressclasses, 'nginx', marked('2026-01-01T00:00:00Z', 'ingressclass'));
  assert.equal((await create(r.ingresses, { metadata: { name: 'i', namespace: 'a' }, spec: {} })).spec.ingressClassName, 'nginx');
  const size = (storage: string, storageClassName: string, phase = 'Bound') => claim({ storageClassName, resources: { requests: { storage } } }, { status: { phase } });
  await run('UPDATE', r.persistentvolumeclaims, size('2Gi', 'new'), { old: size('1Gi', 'new') });
  await assert.rejects(run('UPDATE', r.persistentvolumeclaims, size('2Gi', 'other'), { old: size('1Gi', 'other') }), /only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize/);
});

test('RuntimeClass: overhead and scheduling', async () => {
  const { create, put } = chain();
  put(r.runtimeclasses, 'vm', { handler: 'vm', overhead: { podFixed: { cpu: '250m' } }, scheduling: { nodeSelector: { vm: 'yes' }, tolerations: [{ key: 'vm', operator: 'Exists' }] } });
  const made = (await create(r.pods, pod({ runtimeClassName: 'vm' }))).spec;
  assert.deepEqual([made.overhead, made.nodeSelector, made.tolerations.some((one: { key: string }) => one.key === 'vm')], [{ cpu: '250m' }, { vm: 'yes' }, true]);
  await assert.rejects(create(r.pods, pod({ runtimeClassName: 'none' })), /pod rejected: RuntimeClass "none" not found/);
  await assert.rejects(create(r.pods, pod({ runtimeClassName: 'vm', overhead: { cpu: '1' } })), /pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead/);
  await assert.rejects(create(r.pods, pod({ overhead: { cpu: '1' } })), /pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead/);
});

test('LimitRanger: defaults and bounds in upstream\'s words', async () => {
  const { create, put } = chain();
  put(r.limitranges, 'l', { spec: { limits: [
    { type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '100m' }, min: { cpu: '50m' }, max: { cpu: '1' }, maxLimitRequestRatio: { cpu: '8' } },
    { type: 'Pod', max: { cpu: '1500m' } }, { type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '2Gi' } }] } }, 'a');
  const made = await create(r.pods, pod());
  assert.deepEqual(made.spec.containers[0].resources, { requests: { cpu: '100m' }, limits: { cpu: '500m' } });
  assert.equal(made.metadata.annotations['kubernetes.io/limit-ranger'], 'LimitRanger plugin set: cpu request for container c; cpu limit for container c');
  const withCpu = (request: string, limit: string, count = 1) => pod({ containers: Array.from({ length: count }, (_, i) => ({ name: `c${i}`, resources: { requests: { cpu: request }, limits: { cpu: limit } } })) });
  const table: [object, string][] = [
    [withCpu('10m', '50m'), 'minimum cpu usage per Container is 50m, but request is 10m'],
    [withCpu('500m', '2'), '[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod is 1500m, but limit is 2]'],
    [withCpu('100m', '1'), 'cpu max limit to request ratio per Container is 8, but provided ratio is 10.000000'],
    [withCpu('500m', '800m', 2), 'maximum cpu usage per Pod is 1500m, but limit is 1600m'],
  ];
  for (const [object, message] of table) await assert.rejects(create(r.pods, object), { message: `pods "web" is forbidden: ${message}` });
  const claim = (storage: string) => ({ metadata: { name: 'c', namespace: 'a' }, spec: { resources: { requests: { storage } } } });
  await create(r.persistentvolumeclaims, claim('1Gi'));
  await assert.rejects(create(r.persistentvolumeclaims, claim('512Mi')), { message: 'persistentvolumeclaims "c" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi' });
  await assert.rejects(create(r.persistentvolumeclaims, claim('3Gi')), /maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi/);
});

test('ResourceQuota: books, refuses, and two at once do not both take the last', async () => {
  const { create, run, put, informers } = chain();
  put(r.resourcequotas, 'q', { status: { hard: { pods: '2', 'requests.cpu': '1', 'services.nodeports': '1', 'count/configmaps': '1' }, used: { pods: '0', 'requests.cpu': '0', 'services.nodeports': '0', 'count/configmaps': '0' } } }, 'a');
  const used = () => informers.informer(r.resourcequotas).get('a/q')!.status!.used!;
  const cpu = (name: string, amount: string) => pod({ containers: [{ name: 'c', resources: { requests: { cpu: amount } } }] }, { name });
  await create(r.pods, cpu('one', '300m'));
  assert.deepEqual([used()['pods'], used()['requests.cpu']], ['1', '300m']);
  await assert.rejects(create(r.pods, cpu('big', '800m')), { message: 'pods "big" is forbidden: exceeded quota: q, requested: requests.cpu=800m, used: requests.cpu=300m, limited: requests.cpu=1' });
  await assert.rejects(create(r.pods, pod()), { message: 'pods "web" is forbidden: failed quota: q: must specify requests.cpu for: c' });
  await run('CREATE', r.pods, cpu('dry', '100m'), { dryRun: true });
  const both = await Promise.allSettled([create(r.pods, cpu('two', '100m')), create(r.pods, cpu('three', '100m'))]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal(used()['pods'], '2');
  await create(r.configmaps, { metadata: { name: 'x', namespace: 'a' } });
  await assert.rejects(create(r.configmaps, { metadata: { name: 'y', namespace: 'a' } }), /exceeded quota: q, requested: count\/configmaps=1, used: count\/configmaps=1, limited: count\/configmaps=1/);
  const service = (type: string) => ({ metadata: { name: 's', namespace: 'a' }, spec: { type, ports: [{ port: 80 }] } });
  await run('UPDATE', r.services, service('NodePort'), { old: service('ClusterIP') });
  assert.equal(used()['services.nodeports'], '1');
  await run('UPDATE', r.services, service('ClusterIP'), { old: service('NodePort') });
  assert.equal(used()['services.nodeports'], '0');
});

test('ResourceQuota: scopes', async () => {
  const { create, put } = chain();
  put(r.resourcequotas, 'best', { spec: { scopes: ['BestEffort'] }, status: { hard: { pods: '0' }, used: { pods: '0' } } }, 'a');
  await assert.rejects(create(r.pods, pod()), /exceeded quota: best, requested: pods=1, used: pods=0, limited: pods=0/);
  await create(r.pods, pod({ containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }] }));
});

test('NodeRestriction', async () => {
  const { run, put } = chain();
  const n1: UserInfo = { name: 'system:node:n1', groups: ['system:nodes'] };
  put(r.nodes, 'n1');
  put(r.pods, 'mine', { spec: { nodeName: 'n1' } }, 'a');
  put(r.pods, 'theirs', { spec: { nodeName: 'n2' } }, 'a');
  const node = (name: string, labels: object = {}, spec: object = {}) => ({ metadata: { name, labels }, spec });
  const mirror = (more: object = {}, spec: object = {}) => pod({ nodeName: 'n1', ...spec }, { annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'uid-n1', controller: true }], ...more });
  const token = (spec: object) => ({ metadata: { name: 'default', namespace: 'a' }, spec });
  const bound = (name: string, uid?: string) => token({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, ...(uid ? { uid } : {}) } });
  const on = (name: string, status: object = {}, labels: object = {}) => ({ metadata: { name, namespace: 'a', labels }, spec: { nodeName: name === 'mine' ? 'n1' : 'n2' }, status });
  type Case = [string, () => Promise<unknown>, RegExp | undefined];
  const cases: Case[] = [
    ['registers itself', () => run('CREATE', r.nodes, node('n1', { 'kubernetes.io/hostname': 'n1', 'node.kubernetes.io/x': 'y', mine: '1' }), { user: n1 }), undefined],
    ['not another', () => run('CREATE', r.nodes, node('n2'), { user: n1 }), /node "n1" is not allowed to modify node "n2"/],
    ['not with restricted labels', () => run('CREATE', r.nodes, node('n1', { 'node-restriction.kubernetes.io/pci': '1', 'node-role.kubernetes.io/control-plane': '' }), { user: n1 }), /nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io\/pci, node-role.kubernetes.io\/control-plane/],
    ['no taints', () => run('UPDATE', r.nodes, node('n1'), { user: n1, old: node('n1', {}, { taints: [{ key: 'a', effect: 'NoSchedule' }] }) }), /node "n1" is not allowed to modify taints/],
    ['no label changes', () => run('UPDATE', r.nodes, node('n1'), { user: n1, old: node('n1', { 'node-role.kubernetes.io/worker': '' }) }), /is not allowed to modify labels: node-role.kubernetes.io\/worker/],
    ['status of its pods', () => run('UPDATE', r.pods, on('mine', { phase: 'Running' }), { user: n1, old: on('mine'), subresource: 'status' }), undefined],
    ['not of others', () => run('UPDATE', r.pods, on('theirs'), { user: n1, old: on('theirs'), subresource: 'status' }), /node "n1" can only update pod status for pods with spec.nodeName set to itself/],
    ['no labels by status', () => run('UPDATE', r.pods, on('mine', {}, { a: 'b' }), { user: n1, old: on('mine'), subresource: 'status' }), /node "n1" cannot update labels through pod status/],
    ['deletes its pods', () => run('DELETE', r.pods, undefined, { user: n1, name: 'mine', namespace: 'a' }), undefined],
    ['not others', () => run('DELETE', r.pods, undefined, { user: n1, name: 'theirs', namespace: 'a' }), /node "n1" can only delete pods with spec.nodeName set to itself/],
    ['creates mirror pods', () => run('CREATE', r.pods, mirror(), { user: n1 }), undefined],
    ['no other pods', () => run('CREATE', r.pods, pod({ nodeName: 'n1' }), { user: n1 }), /pod does not have "kubernetes.io\/config.mirror" annotation, node "n1" can only create mirror pods/],
    ['none with secrets', () => run('CREATE', r.pods, mirror({}, { containers: [{ name: 'c', envFrom: [{ secretRef: { name: 's' } }] }] }), { user: n1 }), /node "n1" can not create pods that reference secrets/],
    ['tokens for its pods', () => run('CREATE', r.serviceaccounts, bound('mine', 'uid-mine'), { user: n1, subresource: 'token' }), undefined],
    ['bound only', () => run('CREATE', r.serviceaccounts, token({}), { user: n1, subresource: 'token' }), /node requested token not bound to a pod/],
    ['with a uid', () => run('CREATE', r.serviceaccounts, bound('mine'), { user: n1, subresource: 'token' }), /node requested token with a pod binding without a uid/],
    ['not for others', () => run('CREATE', r.serviceaccounts, bound('theirs', 'uid-theirs'), { user: n1, subresource: 'token' }), /node requested token bound to a pod scheduled on a different node/],
    ['others are not its business', () => run('UPDATE', r.nodes, node('n2'), { old: node('n2', { 'node-restriction.kubernetes.io/x': '' }) }), undefined],
  ];
  put(r.namespaces, 'kube-node-lease', { status: { phase: 'Active' } });
  cases.push(['its lease', () => run('CREATE', r.leases, { metadata: { name: 'n1', namespace: 'kube-node-lease' } }, { user: n1 }), undefined],
    ['not another\'s', () => run('CREATE', r.leases, { metadata: { name: 'n2', namespace: 'kube-node-lease' } }, { user: n1 }), /can only access node lease with the same name as the requesting node/]);
  for (const [name, act, refusal] of cases) {
    if (refusal) await assert.rejects(act(), refusal, name); else await act();
  }
});

test('certificates: approving, signing, subjects', async () => {
  const asked: string[] = [];
  const { run, create } = chain({}, (at) => { asked.push(`${at.verb} ${at.resource} ${at.name}`); return at.name === 'example.com/*'; });
  const request = (signerName: string, organizations: string[] = [], status: object = {}) => ({ metadata: { name: 'r' }, spec: { signerName, request: Buffer.from(createCertificateRequest({ subject: { commonName: 'x', organizations }, privateKey: generateKey().privateKey })).toString('base64') }, status });
  await run('UPDATE', r.certificatesigningrequests, request('example.com/a'), { subresource: 'approval', old: request('example.com/a') });
  assert.deepEqual(asked, ['approve signers example.com/a', 'approve signers example.com/*']);
  await assert.rejects(run('UPDATE', r.certificatesigningrequests, request('kubernetes.io/kubelet-serving'), { subresource: 'approval', old: request('kubernetes.io/kubelet-serving') }), { message: 'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "kubernetes.io/kubelet-serving"' });
  const old = request('k.io/x');
  await run('UPDATE', r.certificatesigningrequests, { ...old, status: { conditions: [] } }, { subresource: 'status', old });
  await assert.rejects(run('UPDATE', r.certificatesigningrequests, { ...old, status: { certificate: 'Qw==' } }, { subresource: 'status', old }), /user not permitted to sign requests with signerName "k.io\/x"/);
  await create(r.certificatesigningrequests, request('kubernetes.io/kube-apiserver-client', ['devs']));
  await assert.rejects(create(r.certificatesigningrequests, request('kubernetes.io/kube-apiserver-client', ['system:masters'])), /use of kubernetes.io\/kube-apiserver-client signer with system:masters group is not allowed/);
});

test('PodSecurity: enforce refuses, warn warns, workloads are only warned', async () => {
  const { create, put, warnings } = chain();
  put(r.namespaces, 'a', { status: { phase: 'Active' }, metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline', 'pod-security.kubernetes.io/warn': 'restricted' } } });
  await create(r.pods, pod());
  assert.deepEqual(warnings, ['would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")']);
  await assert.rejects(create(r.pods, pod({ hostNetwork: true, containers: [{ name: 'c', securityContext: { privileged: true } }] })), { message: 'pods "web" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), privileged (container "c" must not set securityContext.privileged=true)' });
  await create(r.deployments, { metadata: { name: 'd', namespace: 'a' }, spec: { template: { spec: { hostPID: true, containers: [] } } } });
  assert.match(warnings.at(-1)!, /would violate PodSecurity "restricted:latest": host namespaces \(hostPID=true\)/);
  const good = { securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, containers: [{ name: 'c', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }], volumes: [{ name: 'v', emptyDir: {} }] };
  assert.deepEqual(violationsOf('restricted', good as never), []);
  assert.deepEqual(violationsOf('restricted', { ...good, volumes: [{ name: 'v', hostPath: { path: '/' } }] } as never), ['restricted volume types (volume "v" uses restricted volume type "hostPath")']);
  assert.deepEqual(violationsOf('baseline', { containers: [{ name: 'a', ports: [{ hostPort: 80 }], securityContext: { capabilities: { add: ['NET_ADMIN', 'CHOWN'] } } }] } as never),
    ['non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)', 'hostPort (container "a" uses hostPort 80)']);
});
