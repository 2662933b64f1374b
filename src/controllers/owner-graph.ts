/**
 * Who owns whom, over all objects of the cluster, by uid. Pure memory: sources feed it, the garbage collector asks it.
 * Holds a few words per object, never the object. Upstream: pkg/controller/garbagecollector (graph.go, graph_builder.go).
 */
import type { OwnerReference } from '../api/meta/v1.ts';
import type { ApiObject } from '../client/client.ts';
import type { DiscoveredResource } from './discovery.ts';

export interface GraphNode {
  uid: string; name: string;
  /** '' for cluster-scoped objects; for a virtual node its first dependent's. */
  namespace: string;
  kind: string; group: string;
  resource: DiscoveredResource | undefined;
  resourceVersion: string;
  owners: readonly OwnerReference[];
  dependents: Set<GraphNode> | undefined;
  /** Known only from an ownerReference. */
  virtual: boolean;
  beingDeleted: boolean;
  /** Foreground deletion: waits for its blocking dependents. */
  deletingDependents: boolean;
  orphaning: boolean;
}

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';
const none: readonly OwnerReference[] = Object.freeze([]);

export interface GraphEvents {
  /** Decide whether this object should go. */
  check(node: GraphNode): void;
  /** Cut its dependents loose. */
  orphan(node: GraphNode): void;
}

export class OwnerGraph {
  readonly nodes = new Map<string, GraphNode>();
  readonly #events: GraphEvents;
  constructor(events: GraphEvents) { this.#events = events; }

  put(object: ApiObject, resource: DiscoveredResource): void {
    const { uid = '', name, namespace = '', ownerReferences = none, finalizers, deletionTimestamp, resourceVersion = '' } = object.metadata;
    let node = this.nodes.get(uid);
    const before = node ? { deletingDependents: node.deletingDependents, orphaning: node.orphaning } : { deletingDependents: false, orphaning: false };
    if (!node) {
      node = { uid, name, namespace, kind: resource.kind, group: resource.group, resource, resourceVersion, owners: none, dependents: undefined, virtual: false, beingDeleted: false, deletingDependents: false, orphaning: false };
      this.nodes.set(uid, node);
    } else if (node.virtual) {
      const wrong = node.namespace !== namespace || node.name !== name || node.kind !== resource.kind || node.group !== resource.group;
      Object.assign(node, { name, namespace, kind: resource.kind, group: resource.group, resource, virtual: false });
      // Dependents that named another object with this uid have no such owner.
      if (wrong) for (const dependent of node.dependents ?? []) this.#events.check(dependent);
    }
    node.resourceVersion = resourceVersion;
    this.#setOwners(node, ownerReferences);
    node.beingDeleted = deletionTimestamp !== undefined;
    node.deletingDependents = node.beingDeleted && (finalizers?.includes(foregroundFinalizer) ?? false);
    node.orphaning = node.beingDeleted && (finalizers?.includes(orphanFinalizer) ?? false);
    if (node.orphaning && !before.orphaning) this.#events.orphan(node);
    if (node.deletingDependents && !before.deletingDependents) {
      for (const dependent of node.dependents ?? []) this.#events.check(dependent);
      this.#events.check(node);
    }
  }

  delete(uid: string): void {
    const node = this.nodes.get(uid);
    if (!node) return;
    this.nodes.delete(uid);
    for (const dependent of node.dependents ?? []) this.#events.check(dependent);
    for (const { uid: ownerUid } of node.owners) {
      const owner = this.nodes.get(ownerUid);
      if (!owner) continue;
      owner.dependents?.delete(node);
      if (owner.virtual && !owner.dependents?.size) this.nodes.delete(ownerUid);
      else if (owner.deletingDependents) this.#events.check(owner);
    }
    node.dependents = undefined;
  }

  /** Dependents whose reference says the owner has to wait for them. */
  blocking(node: GraphNode): GraphNode[] {
    return [...node.dependents ?? []].filter((dependent) => dependent.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion));
  }

  #setOwners(node: GraphNode, next: readonly OwnerReference[]): void {
    const old = node.owners;
    node.owners = next.length === 0 ? none : next;
    if (old.length === 0 && next.length === 0) return;
    for (const reference of old) {
      const now = next.find((one) => one.uid === reference.uid);
      const owner = this.nodes.get(reference.uid);
      if (!now) {
        owner?.dependents?.delete(node);
        if (owner?.virtual && !owner.dependents?.size) this.nodes.delete(owner.uid);
      }
      if (owner?.deletingDependents && reference.blockOwnerDeletion && !now?.blockOwnerDeletion) this.#events.check(owner);
    }
    let orphaned = false;
    for (const reference of next) {
      if (old.some((one) => one.uid === reference.uid)) continue;
      let owner = this.nodes.get(reference.uid);
      if (!owner) {
        owner = {
          uid: reference.uid, name: reference.name, namespace: node.namespace, kind: reference.kind, group: reference.apiVersion.includes('/') ? reference.apiVersion.split('/')[0]! : '',
          resource: undefined, resourceVersion: '', owners: none, dependents: undefined, virtual: true, beingDeleted: false, deletingDependents: false, orphaning: false,
        };
        this.nodes.set(reference.uid, owner);
        this.#events.check(owner);
      } else if (!owner.virtual && ((owner.namespace !== '' && owner.namespace !== node.namespace) || owner.name !== reference.name || owner.kind !== reference.kind)) orphaned = true;
      else if (owner.deletingDependents) orphaned = true;
      (owner.dependents ??= new Set()).add(node);
    }
    if (orphaned) this.#events.check(node);
  }
}
