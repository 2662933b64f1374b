/** Builders of valid objects, and a way to run a kind's own rules as the apiserver would, without one. */
import type { FakeClock } from './fake-clock.ts';
import { seededRng } from '../base/rng.ts';
import type { FieldError } from '../api/meta/status.ts';
import type { ResourceEntry, StrategyContext } from '../apiserver/types.ts';
import type { Client } from '../client/client.ts';
import { registryEntries } from '../apiserver/registry/all.ts';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests mutate at will
export type Loose = any;

export const podSpec = (change: (spec: Loose) => void = () => {}): Loose => { const spec = { containers: [{ name: 'main', image: 'busybox:1.36' }] }; change(spec); return spec; };
export function makeObject(apiVersion: string, kind: string, rest: Loose = {}): Loose {
  return { apiVersion, kind, metadata: { name: 'x', namespace: 'default', uid: '11111111-2222-4333-8444-555555555555', ...rest.metadata }, ...Object.fromEntries(Object.entries(rest).filter(([key]) => key !== 'metadata')) };
}
const template = (change?: (spec: Loose) => void) => ({ metadata: { labels: { app: 'x' } }, spec: podSpec(change) });
const selector = { matchLabels: { app: 'x' } };
export const make: Readonly<Record<string, () => Loose>> = {
  Pod: () => makeObject('v1', 'Pod', { spec: podSpec() }),
  Deployment: () => makeObject('apps/v1', 'Deployment', { spec: { selector, template: template() } }),
  ReplicaSet: () => makeObject('apps/v1', 'ReplicaSet', { spec: { selector, template: template() } }),
  StatefulSet: () => makeObject('apps/v1', 'StatefulSet', { spec: { selector, serviceName: 'x', template: template() } }),
  DaemonSet: () => makeObject('apps/v1', 'DaemonSet', { spec: { selector, template: template() } }),
  ReplicationController: () => makeObject('v1', 'ReplicationController', { spec: { template: template() } }),
  Job: () => makeObject('batch/v1', 'Job', { spec: { template: { spec: podSpec((spec) => { spec.restartPolicy = 'Never'; }) } } }),
  CronJob: () => makeObject('batch/v1', 'CronJob', { spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: { spec: podSpec((spec) => { spec.restartPolicy = 'OnFailure'; }) } } } } }),
  Service: () => makeObject('v1', 'Service', { spec: { selector: { app: 'x' }, ports: [{ port: 80 }] } }),
  PersistentVolumeClaim: () => makeObject('v1', 'PersistentVolumeClaim', { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }),
  PersistentVolume: () => makeObject('v1', 'PersistentVolume', { metadata: { namespace: undefined }, spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' } } }),
  Ingress: () => makeObject('networking.k8s.io/v1', 'Ingress', { spec: { rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] } }),
  NetworkPolicy: () => makeObject('networking.k8s.io/v1', 'NetworkPolicy', { spec: { podSelector: {}, ingress: [{ from: [{ podSelector: selector }] }] } }),
  RoleBinding: () => makeObject('rbac.authorization.k8s.io/v1', 'RoleBinding', { roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'User', name: 'u' }] }),
  Role: () => makeObject('rbac.authorization.k8s.io/v1', 'Role', { rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] }),
  HorizontalPodAutoscaler: () => makeObject('autoscaling/v2', 'HorizontalPodAutoscaler', { spec: { scaleTargetRef: { kind: 'Deployment', name: 'x', apiVersion: 'apps/v1' }, maxReplicas: 3 } }),
  PodDisruptionBudget: () => makeObject('policy/v1', 'PodDisruptionBudget', { spec: { selector, minAvailable: 1 } }),
  ConfigMap: () => makeObject('v1', 'ConfigMap', { data: { a: 'b' } }),
  Secret: () => makeObject('v1', 'Secret', { data: { a: 'Yg==' } }),
  Node: () => makeObject('v1', 'Node', { metadata: { namespace: undefined }, spec: {} }),
  PriorityClass: () => makeObject('scheduling.k8s.io/v1', 'PriorityClass', { metadata: { namespace: undefined }, value: 10 }),
  StorageClass: () => makeObject('storage.k8s.io/v1', 'StorageClass', { metadata: { namespace: undefined }, provisioner: 'x.io/y' }),
  LimitRange: () => makeObject('v1', 'LimitRange', { spec: { limits: [{ type: 'Container', max: { cpu: '2' } }] } }),
  ResourceQuota: () => makeObject('v1', 'ResourceQuota', { spec: { hard: { pods: '10' } } }),
  EndpointSlice: () => makeObject('discovery.k8s.io/v1', 'EndpointSlice', { addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }], ports: [{ port: 80 }] }),
  Endpoints: () => makeObject('v1', 'Endpoints', { subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }] }),
  Lease: () => makeObject('coordination.k8s.io/v1', 'Lease', { spec: { leaseDurationSeconds: 15 } }),
  CustomResourceDefinition: () => makeObject('apiextensions.k8s.io/v1', 'CustomResourceDefinition', { metadata: { namespace: undefined, name: 'things.example.com' }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'things', kind: 'Thing' }, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }] } }),
  APIService: () => makeObject('apiregistration.k8s.io/v1', 'APIService', { metadata: { namespace: undefined, name: 'v1.metrics.x.io' }, spec: { group: 'metrics.x.io', version: 'v1', groupPriorityMinimum: 100, versionPriority: 100, service: { name: 's', namespace: 'n' } } }),
  CertificateSigningRequest: () => makeObject('certificates.k8s.io/v1', 'CertificateSigningRequest', { metadata: { namespace: undefined }, spec: { request: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\n').toString('base64'), signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'] } }),
  Namespace: () => makeObject('v1', 'Namespace', { metadata: { namespace: undefined } }),
};

export function entryOf(kind: string, apiVersion?: string): ResourceEntry {
  const entry = registryEntries.find(({ names, alias }) => names.kind === kind && !alias && (apiVersion === undefined || names.apiVersion === apiVersion));
  if (!entry) throw new Error(`no registry entry of kind ${kind}`);
  return entry;
}
export function strategyContext(clock: FakeClock, client: Client = {} as Client, subresource = ''): StrategyContext {
  return { user: { name: 'admin', groups: ['system:masters'] }, clock, rng: seededRng(1), subresource, client, dryRun: false };
}
/** Defaults, prepareForCreate, validation: what a create does to it. */
export function created(object: Loose, context: StrategyContext): { object: Loose; errors: FieldError[] } {
  const { strategy } = entryOf(object.kind, object.apiVersion);
  strategy.setDefaults?.(object);
  strategy.prepareForCreate?.(object, context);
  return { object, errors: strategy.validate?.(object, context) ?? [] };
}
export function updated(next: Loose, old: Loose, context: StrategyContext): FieldError[] {
  const { strategy } = entryOf(old.kind, old.apiVersion);
  strategy.setDefaults?.(next);
  strategy.prepareForUpdate?.(next, old, context);
  return (context.subresource === 'status' ? strategy.validateStatusUpdate : strategy.validateUpdate)?.call(strategy, next, old, context) ?? [];
}
