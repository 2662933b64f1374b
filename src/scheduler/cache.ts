/**
 * The scheduler's view of nodes and the pods on them, including pods it has decided on but not yet seen bound (assumed). It is
 * the snapshot of a cycle too: cycles are synchronous, so nothing changes while one looks. Source: scheduler/backend/cache.
 */
import type { Node, Pod } from '../api/core/v1.ts';
import type { Snapshot, StorageView } from './framework.ts';
import { NodeInfo } from './node-info.ts';
import { isTerminal, type PodInfo, podInfoOf } from './pod-info.ts';

const none: readonly PodInfo[] = [];

export class SchedulerCache implements Snapshot {
  readonly #byName = new Map<string, NodeInfo>();
  #list: NodeInfo[] = [];
  /** Where each known pod is, by uid. Pods of a node not (yet) known wait in `#homeless`. */
  readonly #placed = new Map<string, string>();
  readonly #homeless = new Map<string, Map<string, PodInfo>>();
  readonly #assumed = new Set<string>();
  readonly #withAffinity = new Set<NodeInfo>();
  readonly #withRequiredAntiAffinity = new Set<NodeInfo>();
  readonly #nominated = new Map<string, PodInfo[]>();
  readonly #nominatedNode = new Map<string, string>();
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();

  readonly storage: StorageView | undefined;

  constructor(storage?: StorageView) { this.storage = storage; }

  get nodes(): readonly NodeInfo[] { return this.#list; }
  node(name: string): NodeInfo | undefined { return this.#byName.get(name); }
  nodesWithAffinity(): Iterable<NodeInfo> { return this.#withAffinity; }
  nodesWithRequiredAntiAffinity(): Iterable<NodeInfo> { return this.#withRequiredAntiAffinity; }
  namespaceLabels(name: string): Readonly<Record<string, string>> { return this.#namespaces.get(name) ?? {}; }
  setNamespace(name: string, labels: Readonly<Record<string, string>> | undefined): void { this.#namespaces.set(name, labels ?? {}); }
  removeNamespace(name: string): void { this.#namespaces.delete(name); }

  nominatedTo(nodeName: string): readonly PodInfo[] { return this.#nominated.get(nodeName) ?? none; }
  /** `nodeName` undefined: no longer. */
  nominate(pod: PodInfo, nodeName: string | undefined): void {
    const before = this.#nominatedNode.get(pod.uid);
    if (before !== undefined) {
      const left = this.#nominated.get(before)!.filter((other) => other.uid !== pod.uid);
      if (left.length > 0) this.#nominated.set(before, left); else this.#nominated.delete(before);
      this.#nominatedNode.delete(pod.uid);
    }
    if (!nodeName) return;
    this.#nominatedNode.set(pod.uid, nodeName);
    this.#nominated.set(nodeName, [...this.nominatedTo(nodeName), pod]);
  }

  setNode(node: Node): void {
    const known = this.#byName.get(node.metadata.name);
    if (known) { known.setNode(node); return; }
    const info = new NodeInfo(node);
    this.#byName.set(info.name, info);
    this.#list.push(info);
    for (const pod of this.#homeless.get(info.name)?.values() ?? []) info.addPod(pod);
    this.#homeless.delete(info.name);
    this.#index(info);
  }

  removeNode(name: string): void {
    const info = this.#byName.get(name);
    if (!info) return;
    this.#byName.delete(name);
    this.#list = this.#list.filter((node) => node !== info);
    this.#withAffinity.delete(info);
    this.#withRequiredAntiAffinity.delete(info);
    if (info.pods.size > 0) this.#homeless.set(name, new Map(info.pods));
  }

  /** Decided on a node, binding under way. */
  assume(pod: PodInfo, nodeName: string): void {
    this.#assumed.add(pod.uid);
    this.#place(pod, nodeName);
  }

  /** The binding failed. */
  forget(pod: PodInfo): void {
    if (!this.#assumed.delete(pod.uid)) return;
    this.#remove(pod.uid);
  }

  isAssumed(uid: string): boolean { return this.#assumed.has(uid); }

  /** A bound pod as the API shows it. Finished pods free their room. */
  setPod(pod: Pod): void {
    const info = podInfoOf(pod);
    this.#assumed.delete(info.uid);
    this.#remove(info.uid);
    if (!isTerminal(pod)) this.#place(info, pod.spec.nodeName!);
  }

  removePod(pod: Pod): void {
    const uid = pod.metadata.uid!;
    this.#assumed.delete(uid);
    this.#remove(uid);
  }

  #place(pod: PodInfo, nodeName: string): void {
    this.#placed.set(pod.uid, nodeName);
    const node = this.#byName.get(nodeName);
    if (node) { node.addPod(pod); this.#index(node); return; }
    let waiting = this.#homeless.get(nodeName);
    if (!waiting) this.#homeless.set(nodeName, waiting = new Map());
    waiting.set(pod.uid, pod);
  }

  #remove(uid: string): void {
    const nodeName = this.#placed.get(uid);
    if (nodeName === undefined) return;
    this.#placed.delete(uid);
    const node = this.#byName.get(nodeName);
    if (node) { node.removePod(uid); this.#index(node); }
    this.#homeless.get(nodeName)?.delete(uid);
  }

  #index(node: NodeInfo): void {
    for (const [set, member] of [[this.#withAffinity, node.podsWithAffinity], [this.#withRequiredAntiAffinity, node.podsWithRequiredAntiAffinity]] as const) {
      if (member.size > 0) set.add(node); else set.delete(node);
    }
  }
}
