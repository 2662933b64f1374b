/** Keeps kubelets to their own node, its pods, leases and tokens. Source: upstream's plugin/pkg/admission/noderestriction. */
import type { Lease } from '../../api/coordination/v1.ts';
import type { TokenRequest } from '../../api/authentication/v1.ts';
import type { Node, PersistentVolumeClaim, Pod } from '../../api/core/v1.ts';
import { conflict, notFound } from '../../api/meta/status.ts';
import { nodes, pods } from '../../api/resources.ts';
import { nodeIdentity } from '../auth/users.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../types.ts';
import { find, oldOf, refuse, type AdmissionDeps } from './plugin.ts';
import { mirrorAnnotation } from './service-account.ts';

const restrictedPrefix = 'node-restriction.kubernetes.io';
const kubeletNamespaces = ['kubelet.kubernetes.io', 'node.kubernetes.io'];
/** Source: k8s.io/kubelet/pkg/apis/well_known_labels.go. */
const kubeletLabels = new Set(['kubernetes.io/hostname', 'topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/instance-type', 'beta.kubernetes.io/instance-type', 'kubernetes.io/os', 'kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/arch', 'node.kubernetes.io/windows-build']);

export function nodeRestriction(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(pods);
  deps.informers.informer(nodes);
  return {
    name: 'NodeRestriction',
    handles: (operation, names) => operation !== 'CONNECT' && handlers[`${names.group}/${names.plural}`] !== undefined,
    async admit(attributes) {
      const { isNode, name: node } = nodeIdentity(attributes.user);
      if (!isNode) return;
      if (!node) throw refuse(attributes, `could not determine node from user ${JSON.stringify(attributes.user.name)}`);
      await handlers[`${attributes.names.group}/${attributes.names.plural}`]!(deps, attributes, node);
    },
  };
}

type Check = (deps: AdmissionDeps, attributes: AdmissionAttributes, node: string) => Promise<void> | void;
const q = JSON.stringify;

const handlers: Readonly<Record<string, Check | undefined>> = {
  async '/pods'(deps, attributes, node) {
    const { subresource, operation } = attributes;
    const existing = async (): Promise<Pod> => {
      const pod = (attributes.oldObject as unknown as Pod | undefined) ?? await find(deps, pods, `${attributes.namespace}/${attributes.name}`);
      if (!pod) throw notFound({ group: '', resource: 'pods' }, attributes.name);
      return pod;
    };
    const unexpected = (): never => { throw refuse(attributes, `unexpected operation ${q(operation)}`); };
    if (subresource === '') {
      if (operation === 'CREATE') await createPod(deps, attributes, node);
      else if (operation === 'DELETE') { if ((await existing()).spec?.nodeName !== node) throw refuse(attributes, `node ${q(node)} can only delete pods with spec.nodeName set to itself`); } else throw refuse(attributes, `unexpected operation ${q(operation)}, node ${q(node)} can only create and delete mirror pods`);
    } else if (subresource === 'status') {
      if (operation !== 'UPDATE') unexpected();
      const [old, next] = [oldOf<Pod>(attributes), attributes.object as unknown as Pod];
      if (old.spec?.nodeName !== node) throw refuse(attributes, `node ${q(node)} can only update pod status for pods with spec.nodeName set to itself`);
      if (!same(old.metadata.labels, next.metadata.labels)) throw refuse(attributes, `node ${q(node)} cannot update labels through pod status`);
      if (!same(old.status?.resourceClaimStatuses, next.status?.resourceClaimStatuses)) throw refuse(attributes, `node ${q(node)} cannot update resource claim statuses`);
    } else if (subresource === 'eviction') {
      if (operation !== 'CREATE') unexpected();
      if ((await existing()).spec?.nodeName !== node) throw refuse(attributes, `node ${node} can only evict pods with spec.nodeName set to itself`);
    } else throw refuse(attributes, `unexpected pod subresource ${q(subresource)}, only 'status' and 'eviction' are allowed`);
  },

  '/nodes'(_deps, attributes, node) {
    const { operation } = attributes;
    if (attributes.name !== node) throw refuse(attributes, `node ${q(node)} is not allowed to modify node ${q(attributes.name)}`);
    const next = attributes.object as unknown as Node;
    if (operation === 'CREATE') {
      const labels = forbiddenLabels(changedLabels(next.metadata.labels, undefined));
      if (labels.length > 0) throw refuse(attributes, `node ${q(node)} is not allowed to set the following labels: ${labels.join(', ')}`);
      if (next.metadata.ownerReferences?.length) throw refuse(attributes, `node ${q(node)} is not allowed to set ownerReferences`);
    } else if (operation === 'UPDATE') {
      const old = oldOf<Node>(attributes);
      if (!same(old.spec?.taints, next.spec?.taints)) throw refuse(attributes, `node ${q(node)} is not allowed to modify taints`);
      if (!same(old.metadata.ownerReferences, next.metadata.ownerReferences)) throw refuse(attributes, `node ${q(node)} is not allowed to modify ownerReferences`);
      const labels = forbiddenLabels(changedLabels(next.metadata.labels, old.metadata.labels));
      if (labels.length > 0) throw refuse(attributes, `is not allowed to modify labels: ${labels.join(', ')}`);
    }
  },

  '/persistentvolumeclaims'(_deps, attributes, node) {
    if (attributes.subresource !== 'status') throw refuse(attributes, 'may only update PVC status');
    if (attributes.operation !== 'UPDATE') throw refuse(attributes, `unexpected operation ${q(attributes.operation)}`);
    const bare = ({ metadata, status, ...claim }: PersistentVolumeClaim) => ({ ...claim,
      metadata: { ...metadata, resourceVersion: undefined, managedFields: undefined },
      status: { ...status, capacity: undefined, conditions: undefined, allocatedResources: undefined, allocatedResourceStatuses: undefined } });
    if (!same(bare(oldOf<PersistentVolumeClaim>(attributes)), bare(attributes.object as unknown as PersistentVolumeClaim))) throw refuse(attributes, `node ${q(node)} is not allowed to update fields other than status.quantity and status.conditions`);
  },

  async '/serviceaccounts'(deps, attributes, node) {
    if (attributes.operation !== 'CREATE' || attributes.subresource !== 'token') return;
    const reference = (attributes.object as unknown as TokenRequest).spec?.boundObjectRef;
    if (!reference || reference.apiVersion !== 'v1' || reference.kind !== 'Pod' || !reference.name) throw refuse(attributes, 'node requested token not bound to a pod');
    if (!reference.uid) throw refuse(attributes, 'node requested token with a pod binding without a uid');
    const pod = await find(deps, pods, `${attributes.namespace}/${reference.name}`);
    if (!pod) throw notFound({ group: '', resource: 'pods' }, reference.name);
    if (pod.metadata.uid !== reference.uid) throw conflict({ group: '', resource: 'pods' }, reference.name, `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`);
    if (pod.spec?.nodeName !== node) throw refuse(attributes, 'node requested token bound to a pod scheduled on a different node');
  },

  'coordination.k8s.io/leases'(_deps, attributes, node) {
    if (attributes.namespace !== 'kube-node-lease') throw refuse(attributes, 'can only access leases in the "kube-node-lease" system namespace');
    const name = attributes.operation === 'CREATE' ? (attributes.object as unknown as Lease).metadata.name : attributes.name;
    if (name !== node) throw refuse(attributes, 'can only access node lease with the same name as the requesting node');
  },

  'storage.k8s.io/csinodes'(_deps, attributes, node) {
    const name = attributes.operation === 'CREATE' ? (attributes.object as unknown as Node).metadata.name : attributes.name;
    if (name !== node) throw refuse(attributes, 'can only access CSINode with the same name as the requesting node');
  },

  'resource.k8s.io/resourceslices'(_deps, attributes, node) {
    const slice = (attributes.operation === 'DELETE' ? attributes.oldObject : attributes.object) as unknown as { spec?: { nodeName?: string } } | undefined;
    if (slice && slice.spec?.nodeName !== node) throw refuse(attributes, attributes.operation === 'CREATE' ? 'can only create ResourceSlice with the same NodeName as the requesting node' : 'can only delete ResourceSlice with the same NodeName as the requesting node');
  },
};

async function createPod(deps: AdmissionDeps, attributes: AdmissionAttributes, node: string): Promise<void> {
  const pod = attributes.object as unknown as Pod;
  const who = `node ${q(node)}`;
  if (pod.metadata.annotations?.[mirrorAnnotation] === undefined) throw refuse(attributes, `pod does not have ${q(mirrorAnnotation)} annotation, ${who} can only create mirror pods`);
  if (pod.spec?.nodeName !== node) throw refuse(attributes, `${who} can only create pods with spec.nodeName set to itself`);
  const owners = pod.metadata.ownerReferences ?? [];
  if (owners.length > 1) throw refuse(attributes, `${who} can only create pods with a single owner reference set to itself`);
  const owner = owners[0];
  if (!owner || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) throw refuse(attributes, `${who} can only create pods with an owner reference set to itself`);
  if (!owner.controller) throw refuse(attributes, `${who} can only create pods with a controller owner reference set to itself`);
  if (owner.blockOwnerDeletion) throw refuse(attributes, `${who} must not set blockOwnerDeletion on an owner reference`);
  const known = await find(deps, nodes, node);
  if (!known) throw notFound({ group: '', resource: 'nodes' }, node);
  if (owner.uid !== known.metadata.uid) throw refuse(attributes, `node ${node} UID mismatch: expected ${owner.uid} got ${known.metadata.uid}`);
  if (pod.spec.serviceAccountName) throw refuse(attributes, `${who} can not create pods that reference a service account`);
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])];
  const volumes = pod.spec.volumes ?? [];
  const sources = volumes.flatMap((volume) => volume.projected?.sources ?? []);
  const uses = (kind: 'secret' | 'configMap') => containers.some(({ env, envFrom }) => env?.some(({ valueFrom }) => valueFrom?.[`${kind}KeyRef`]) || envFrom?.some((from) => from[`${kind}Ref`])) || volumes.some((volume) => volume[kind]) || sources.some((source) => source[kind]);
  if (uses('secret') || pod.spec.imagePullSecrets?.length) throw refuse(attributes, `${who} can not create pods that reference secrets`);
  if (uses('configMap')) throw refuse(attributes, `${who} can not create pods that reference configmaps`);
  if (sources.some((source) => source.clusterTrustBundle)) throw refuse(attributes, `${who} can not create pods that reference clustertrustbundles`);
  if (volumes.some((volume) => volume.persistentVolumeClaim)) throw refuse(attributes, `${who} can not create pods that reference persistentvolumeclaims`);
}

type Labels = Readonly<Record<string, string>> | undefined;
function changedLabels(a: Labels, b: Labels): string[] { return Object.keys({ ...a, ...b }).filter((key) => a?.[key] !== b?.[key]); }

function forbiddenLabels(labels: readonly string[]): string[] {
  const within = (namespace: string, domain: string) => namespace === domain || namespace.endsWith(`.${domain}`);
  return labels.filter((label) => {
    const namespace = label.includes('/') ? label.slice(0, label.indexOf('/')) : '';
    if (within(namespace, restrictedPrefix)) return true;
    if (!within(namespace, 'kubernetes.io') && !within(namespace, 'k8s.io')) return false;
    return !kubeletLabels.has(label) && !kubeletNamespaces.some((domain) => within(namespace, domain));
  }).sort();
}

/** Deep equality that takes absent and empty for the same. */
function same(a: unknown, b: unknown): boolean {
  const normal = (value: unknown): unknown => (Array.isArray(value) ? (value.length > 0 ? value.map(normal) : undefined)
    : typeof value === 'object' && value !== null ? ((entries) => (entries.length > 0 ? Object.fromEntries(entries) : undefined))(Object.entries(value).map(([key, child]) => [key, normal(child)] as const).filter(([, child]) => child !== undefined).sort(([x], [y]) => (x < y ? -1 : 1))) : value);
  return JSON.stringify(normal(a) ?? null) === JSON.stringify(normal(b) ?? null);
}
