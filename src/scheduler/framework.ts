/**
 * The scheduling framework's contract: what a plugin may do at which point. Plugins are pure over the node infos they are given,
 * say which cluster events could change their mind, and refuse in upstream's words. Source: KEP-624, KEP-4247 (requeue hints).
 */
import type { PersistentVolume, PersistentVolumeClaim } from '../api/core/v1.ts';
import type { StorageClass } from '../api/storage/v1.ts';
import type { Clock } from '../base/clock.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, Client } from '../client/client.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodInfo } from './pod-info.ts';

/** Why a node, or every node, can't take the pod. */
export interface Refusal {
  /** In upstream's words; each counts nodes in the pod's message. */
  reasons: readonly string[];
  /** False: no eviction of other pods could help (UnschedulableAndUnresolvable). */
  resolvable: boolean;
}
export const unschedulable = (reasons: readonly string[]): Refusal => ({ reasons, resolvable: true });
export const unresolvable = (...reasons: readonly string[]): Refusal => ({ reasons, resolvable: false });
/** The answer of a filter that lets the node through. */
export const fits = undefined;

export type EventType = 'add' | 'update' | 'delete';
export interface ClusterEvent { resource: ResourceNames; type: EventType; old: ApiObject | undefined; object: ApiObject }
export interface EventRegistration {
  resource: ResourceNames;
  on: readonly EventType[];
  /** Whether this very event could make the pod schedulable. Default: yes. */
  hint?(pod: PodInfo, event: ClusterEvent): boolean;
}

/** Claims, volumes and classes as the caches have them. */
export interface StorageView {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  volumes(): readonly PersistentVolume[];
  storageClass(name: string): StorageClass | undefined;
}

/** What plugins see of the cluster during one scheduling cycle. */
export interface Snapshot {
  readonly nodes: readonly NodeInfo[];
  node(name: string): NodeInfo | undefined;
  /** Nodes with a pod that has any affinity, or a required anti-affinity, to others. */
  nodesWithAffinity(): Iterable<NodeInfo>;
  nodesWithRequiredAntiAffinity(): Iterable<NodeInfo>;
  /** Pods that preemption made room for on this node. */
  nominatedTo(nodeName: string): readonly PodInfo[];
  namespaceLabels(name: string): Readonly<Record<string, string>>;
  /** Absent where nobody keeps volumes. */
  readonly storage?: StorageView | undefined;
}

export interface PreFilterResult<State> {
  state: State;
  /** Only these nodes need be looked at. */
  nodeNames?: ReadonlySet<string>;
}

/** `State` is what a plugin computes once per pod and reads per node. */
export interface Plugin<State = unknown> {
  name: string;
  /** Events after which a pod that this plugin refused may fit. */
  requeueOn: readonly EventRegistration[];
  /** Keeps a pod out of the queue until it answers undefined; upstream's PreEnqueue. */
  preEnqueue?(pod: PodInfo): Refusal | undefined;
  /** Once per pod. 'skip': this plugin's filter has nothing to say about the pod. */
  preFilter?(pod: PodInfo, snapshot: Snapshot): PreFilterResult<State> | Refusal | 'skip';
  filter?(state: State, node: NodeInfo, pod: PodInfo): Refusal | undefined;
  /** Once per pod over the nodes that passed. 'skip': all scores are equal. */
  preScore?(pod: PodInfo, nodes: readonly NodeInfo[], state: State | undefined, snapshot: Snapshot): unknown;
  /** 0 to 100, higher is better, unless `normalize` maps it there. `state` is preScore's, else preFilter's. */
  score?(state: never, node: NodeInfo, pod: PodInfo): number;
  normalize?(scores: number[], nodes: readonly NodeInfo[], pod: PodInfo): void;
  weight?: number;
  /** After the node is chosen and before the pod is bound to it; may take long. A failure sends the pod back to the queue. */
  preBind?(pod: PodInfo, node: NodeInfo, snapshot: Snapshot, tools: { client: Client; clock: Clock; signal: AbortSignal }): Promise<void>;
}

export function definePlugin<State>(plugin: Plugin<State>): Plugin { return plugin as Plugin; }

export const maxNodeScore = 100;

/** Scales scores to 0…100 by the largest; `reverse` makes the smallest best. Source: plugins/helper/normalize_score.go. */
export function normalizeByMax(scores: number[], reverse: boolean): void {
  let max = 0;
  for (const score of scores) if (score > max) max = score;
  for (let i = 0; i < scores.length; i++) {
    const scaled = max === 0 ? 0 : Math.floor((scores[i]! * maxNodeScore) / max);
    scores[i] = reverse ? maxNodeScore - scaled : scaled;
  }
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'reasons' in value && 'resolvable' in value;
}
