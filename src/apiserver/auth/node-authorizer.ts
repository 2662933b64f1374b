/**
 * What a kubelet may see: its own node, the pods bound to it, and the secrets, config maps, claims and volumes those pods
 * name. The graph follows pods, persistent volumes and volume attachments. Source: kubernetes.io/docs/reference/access-authn-authz/node.
 */
import type { PersistentVolume, Pod } from '../../api/core/v1.ts';
import type { VolumeAttachment } from '../../api/storage/v1.ts';
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../types.ts';
import { nodeRules } from './default-roles.ts';
import { ruleAllows } from './policy-rules.ts';
import type { RbacFeed } from './rbac.ts';
import { nodeIdentity } from './users.ts';

export interface NodeGraphFeeds { pods: RbacFeed<Pod>; persistentvolumes: RbacFeed<PersistentVolume>; volumeattachments: RbacFeed<VolumeAttachment> }

const mirrorAnnotation = 'kubernetes.io/config.mirror';

/** Edges from nodes to what their pods need, counted: `secrets/NS/NAME` → node → pods that use it. */
export class NodeGraph {
  readonly #edges = new Map<string, Map<string, number>>();
  readonly #pods = new Map<string, { node: string; targets: string[] }>();
  /** 'persistentvolumes/NAME' and what a volume's driver needs, by the claim they are bound to. */
  readonly #volumes = new Map<string, { claim: string; targets: string[] }>();
  readonly #byTarget = new Map<string, Set<string>>();
  readonly #attachments = new Map<string, string>();
  #ready: Promise<unknown> | undefined;

  follow(feeds: NodeGraphFeeds): void {
    feeds.pods.addHandler({ onAdd: (pod) => this.setPod(pod), onUpdate: (_old, pod) => this.setPod(pod), onDelete: (pod) => this.deletePod(pod) });
    feeds.persistentvolumes.addHandler({ onAdd: (volume) => this.setVolume(volume), onUpdate: (_old, volume) => this.setVolume(volume), onDelete: (volume) => this.deleteVolume(volume) });
    feeds.volumeattachments.addHandler({
      onAdd: (attachment) => { this.#attachments.set(attachment.metadata.name, attachment.spec.nodeName); }, onUpdate: (_old, attachment) => { this.#attachments.set(attachment.metadata.name, attachment.spec.nodeName); },
      onDelete: (attachment) => { this.#attachments.delete(attachment.metadata.name); },
    });
    this.#ready = Promise.all([feeds.pods.synced(), feeds.persistentvolumes.synced(), feeds.volumeattachments.synced()]).catch(() => {});
  }
  async synced(): Promise<void> { await this.#ready; this.#ready = undefined; }
  get isSynced(): boolean { return this.#ready === undefined; }

  setPod(pod: Pod): void {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const node = pod.spec?.nodeName ?? '';
    const targets = node ? podTargets(pod) : [];
    const old = this.#pods.get(key);
    if (old && old.node === node && old.targets.length === targets.length && old.targets.every((target, i) => target === targets[i])) return;
    this.deletePod(pod);
    if (!node) return;
    this.#pods.set(key, { node, targets });
    for (const target of targets) {
      let nodes = this.#edges.get(target);
      if (!nodes) this.#edges.set(target, nodes = new Map());
      nodes.set(node, (nodes.get(node) ?? 0) + 1);
    }
  }
  deletePod(pod: Pod): void {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const old = this.#pods.get(key);
    if (!old) return;
    this.#pods.delete(key);
    for (const target of old.targets) {
      const nodes = this.#edges.get(target)!;
      const left = nodes.get(old.node)! - 1;
      if (left > 0) nodes.set(old.node, left); else nodes.delete(old.node);
      if (nodes.size === 0) this.#edges.delete(target);
    }
  }

  setVolume(volume: PersistentVolume): void {
    this.deleteVolume(volume);
    const { claimRef } = volume.spec ?? {};
    if (!claimRef?.name) return;
    const targets = [`persistentvolumes/${volume.metadata.name}`, ...volumeSecrets(volume, claimRef.namespace ?? '')];
    this.#volumes.set(volume.metadata.name, { claim: `persistentvolumeclaims/${claimRef.namespace}/${claimRef.name}`, targets });
    for (const target of targets) this.#byTarget.set(target, (this.#byTarget.get(target) ?? new Set()).add(volume.metadata.name));
  }
  deleteVolume(volume: PersistentVolume): void {
    for (const target of this.#volumes.get(volume.metadata.name)?.targets ?? []) {
      const volumes = this.#byTarget.get(target);
      volumes?.delete(volume.metadata.name);
      if (volumes?.size === 0) this.#byTarget.delete(target);
    }
    this.#volumes.delete(volume.metadata.name);
  }

  /** A pod of the node needs `target` ('secrets/NS/NAME', 'persistentvolumes/NAME'), itself or through a claim. */
  reaches(node: string, target: string): boolean {
    if (this.#edges.get(target)?.has(node)) return true;
    for (const name of this.#byTarget.get(target) ?? []) if (this.#edges.get(this.#volumes.get(name)!.claim)?.has(node)) return true;
    return false;
  }
  podIsOn(node: string, namespace: string, name: string): boolean { return this.#pods.get(`${namespace}/${name}`)?.node === node; }
  attachmentIsFor(node: string, name: string): boolean { return this.#attachments.get(name) === node; }
}

function podTargets(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? '';
  const targets = new Set<string>([`pods/${namespace}/${pod.metadata.name}`]);
  if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) return [...targets]; // a node writes its own mirror pods: they open nothing
  const add = (resource: string, name: string | undefined) => { if (name) targets.add(`${resource}/${namespace}/${name}`); };
  const spec = pod.spec!;
  add('serviceaccounts', spec.serviceAccountName);
  for (const { name } of spec.imagePullSecrets ?? []) add('secrets', name);
  for (const container of [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]) {
    for (const { configMapRef, secretRef } of container.envFrom ?? []) { add('configmaps', configMapRef?.name); add('secrets', secretRef?.name); }
    for (const { valueFrom } of container.env ?? []) { add('configmaps', valueFrom?.configMapKeyRef?.name); add('secrets', valueFrom?.secretKeyRef?.name); }
  }
  for (const volume of spec.volumes ?? []) {
    add('secrets', volume.secret?.secretName);
    add('configmaps', volume.configMap?.name);
    add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral) add('persistentvolumeclaims', `${pod.metadata.name}-${volume.name}`);
    for (const source of volume.projected?.sources ?? []) { add('secrets', source.secret?.name); add('configmaps', source.configMap?.name); }
    for (const driver of [volume.csi?.nodePublishSecretRef, volume.cephfs?.secretRef, volume.flexVolume?.secretRef, volume.iscsi?.secretRef, volume.rbd?.secretRef, volume.scaleIO?.secretRef, volume.storageos?.secretRef]) add('secrets', driver?.name);
    add('secrets', volume.azureFile?.secretName);
  }
  for (const claim of pod.status?.resourceClaimStatuses ?? []) add('resourceclaims', claim.resourceClaimName);
  for (const claim of spec.resourceClaims ?? []) add('resourceclaims', claim.resourceClaimName);
  return [...targets];
}

function volumeSecrets({ spec }: PersistentVolume, claimNamespace: string): string[] {
  const references = [spec?.csi?.nodePublishSecretRef, spec?.csi?.nodeStageSecretRef, spec?.csi?.nodeExpandSecretRef, spec?.cephfs?.secretRef, spec?.flexVolume?.secretRef, spec?.iscsi?.secretRef, spec?.rbd?.secretRef, spec?.scaleIO?.secretRef];
  return references.filter((reference) => reference?.name).map((reference) => `secrets/${reference!.namespace || claimNamespace}/${reference!.name}`);
}

const none = (reason: string): AuthorizationDecision => ({ decision: 'none', reason });
const allow: AuthorizationDecision = { decision: 'allow', reason: '' };
/** What upstream's static node rules leave to the graph. */
const leaseNamespace = 'kube-node-lease';

export function createNodeAuthorizer(graph: NodeGraph): Authorizer {
  return {
    async authorize(asked) {
      const { isNode, name: node } = nodeIdentity(asked.user);
      if (!isNode) return none('');
      if (!node) return none(`unknown node for user ${JSON.stringify(asked.user.name)}`);
      const decision = decide(graph, node, asked);
      if (decision.decision === 'allow' || graph.isSynced) return decision;
      await graph.synced();
      return decide(graph, node, asked);
    },
    rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: true, evaluationError: 'node authorizer does not support user rule resolution' }),
  };
}

function decide(graph: NodeGraph, node: string, asked: AuthorizationAttributes): AuthorizationDecision {
  const { group, resource, subresource, verb, namespace, name } = asked;
  if (!asked.isResource) return byRules(asked);
  const related = (what = `${resource}/${namespace ? `${namespace}/` : ''}${name}`) => (graph.reaches(node, what) ? allow : none(`no relationship found between node '${node}' and this object`));
  const readOne = (verbs: readonly string[]): AuthorizationDecision | undefined => {
    if (!verbs.includes(verb)) return none('can only read resources of this type');
    if (subresource) return none('cannot read subresource');
    return name ? undefined : none('No Object name found');
  };
  switch (`${group}/${resource}`) {
    case '/secrets': case '/configmaps': return readOne(['get', 'list', 'watch']) ?? related();
    case '/persistentvolumes': case 'resource.k8s.io/resourceclaims': return readOne(['get']) ?? related();
    case '/persistentvolumeclaims':
      if (subresource === 'status' && ['get', 'update', 'patch'].includes(verb)) return name ? related() : none('No Object name found');
      return readOne(['get']) ?? related();
    case 'storage.k8s.io/volumeattachments': return readOne(['get']) ?? (graph.attachmentIsFor(node, name) ? allow : none(`no relationship found between node '${node}' and this object`));
    case '/serviceaccounts':
      if (subresource !== 'token') return none('');
      return verb === 'create' ? related() : none('can only create tokens for service accounts');
    case 'coordination.k8s.io/leases':
      if (namespace !== leaseNamespace) return none(`can only access leases in the "${leaseNamespace}" system namespace`);
      if (!['get', 'create', 'update', 'patch', 'delete'].includes(verb)) return none('can only get, create, update, patch, or delete a node lease');
      return verb === 'create' || name === node ? allow : none('can only access node lease with the same name as the requesting node');
    case 'storage.k8s.io/csinodes':
      if (subresource) return none('cannot authorize CSINode subresources');
      if (!['get', 'create', 'update', 'patch', 'delete'].includes(verb)) return none('can only get, create, update, patch, or delete a CSINode');
      return verb === 'create' || name === node ? allow : none('can only access CSINode with the same name as the requesting node');
    case 'resource.k8s.io/resourceslices':
      if (verb === 'create' || ['get', 'update', 'patch', 'delete'].includes(verb)) return byRules(asked);
      return hasField(asked, 'spec.nodeName', node) ? allow : none("can only list/watch/deletecollection resourceslices with spec.nodeName field selector");
    case '/nodes':
      if (subresource === 'status' || verb === 'create') return byRules(asked);
      if (['get', 'list', 'watch'].includes(verb) && !subresource) return name === node || hasField(asked, 'metadata.name', node) ? allow : none('node can only access its own Node object');
      return byRules(asked);
    case '/pods':
      if (subresource) return byRules(asked);
      if (verb === 'get') return graph.podIsOn(node, namespace, name) ? allow : none(`no relationship found between node '${node}' and this object`);
      if (verb === 'list' || verb === 'watch') {
        if (hasField(asked, 'spec.nodeName', node)) return allow;
        return name && graph.podIsOn(node, namespace, name) ? allow : none('can only list/watch pods with spec.nodeName field selector');
      }
      return byRules(asked);
    default: return byRules(asked);
  }
}

const hasField = ({ fieldSelector = '' }: AuthorizationAttributes, field: string, value: string): boolean => fieldSelector.split(',').some((term) => term === `${field}=${value}` || term === `${field}==${value}`);
const byRules = (asked: AuthorizationAttributes): AuthorizationDecision => (nodeRules.some((rule) => ruleAllows(rule, asked)) ? allow : none(''));
