/**
 * One scheduling cycle: from a pod to a node, synchronously over the snapshot. Filters stop at the first refusal of a node; enough
 * feasible nodes are enough in a large cluster. Source: scheduler/schedule_one.go.
 */
import { randomInt, type Rng } from '../base/rng.ts';
import { isRefusal, type Plugin, type Refusal, type Snapshot } from './framework.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodInfo } from './pod-info.ts';

export type CycleResult =
  | { outcome: 'chosen'; node: NodeInfo; evaluated: number; feasible: number }
  | { outcome: 'refused'; message: string; refusedBy: Set<string>; refusals: ReadonlyMap<NodeInfo, Refusal> };

/** A cluster below this size is always looked at whole. */
const minFeasibleNodes = 100;
const minPercentage = 5;

/** How many feasible nodes suffice among `count`. */
export function feasibleNodesWanted(count: number): number {
  if (count < minFeasibleNodes) return count;
  const percentage = Math.max(minPercentage, 50 - Math.floor(count / 125));
  return Math.max(minFeasibleNodes, Math.floor((count * percentage) / 100));
}

export class SchedulingCycle {
  readonly #plugins: readonly Plugin[];
  readonly #rng: Rng;
  /** Where the next cycle starts to look, so that all nodes get their turn. */
  #start = 0;

  constructor(plugins: readonly Plugin[], rng: Rng) {
    this.#plugins = plugins;
    this.#rng = rng;
  }

  run(pod: PodInfo, snapshot: Snapshot): CycleResult {
    const all = snapshot.nodes;
    if (all.length === 0) return { outcome: 'refused', message: 'no nodes available to schedule pods', refusedBy: new Set(this.#plugins.map((plugin) => plugin.name)), refusals: new Map() };
    const prepared = prepareFilters(this.#plugins, pod, snapshot);
    // Said of the pod, not of nodes: without a count.
    if ('refusal' in prepared) return { ...refuse(all.length, new Map(all.map((node) => [node, prepared.refusal])), new Set([prepared.plugin.name])), message: `0/${all.length} nodes are available: ${prepared.refusal.reasons.join(', ')}.` } as CycleResult;
    const { filters, states, only } = prepared;
    const candidates = only ? [...only].flatMap((name) => snapshot.node(name) ?? []) : all;
    const wanted = feasibleNodesWanted(candidates.length);
    const feasible: NodeInfo[] = [];
    const refusals = new Map<NodeInfo, Refusal>();
    const refusedBy = new Set<string>();
    let looked = 0;
    for (; looked < candidates.length && feasible.length < wanted; looked++) {
      const node = candidates[(this.#start + looked) % candidates.length]!;
      // Room that was made for others by preemption is theirs.
      const refused = this.#withNominated(pod, node, snapshot) ?? firstRefusal(filters, node, pod);
      if (refused) { refusals.set(node, refused.refusal); refusedBy.add(refused.plugin.name); } else feasible.push(node);
    }
    if (!only) this.#start = (this.#start + looked) % all.length;
    if (feasible.length === 0) {
      if (only) for (const node of all) if (!refusals.has(node)) refusals.set(node, notSelected);
      return refuse(all.length, refusals, refusedBy.size > 0 ? refusedBy : new Set(['NodeAffinity']));
    }
    return { outcome: 'chosen', node: feasible.length === 1 ? feasible[0]! : this.#best(pod, feasible, states, snapshot), evaluated: looked, feasible: feasible.length };
  }

  /** Why the node can't take the pod once the pods nominated to it (of no lower priority) are there too. */
  #withNominated(pod: PodInfo, node: NodeInfo, snapshot: Snapshot): RefusedBy | undefined {
    const nominated = snapshot.nominatedTo(node.name).filter((other) => other.uid !== pod.uid && other.priority >= pod.priority);
    return nominated.length === 0 ? undefined : refusalWith(this.#plugins, pod, node, snapshot, (changed) => { for (const other of nominated) changed.addPod(other); });
  }

  /** The node with the highest weighted sum of scores; among equals, any. */
  #best(pod: PodInfo, nodes: readonly NodeInfo[], states: ReadonlyMap<Plugin, unknown>, snapshot: Snapshot): NodeInfo {
    const totals = new Float64Array(nodes.length);
    for (const plugin of this.#plugins) {
      if (!plugin.score) continue;
      let state = states.get(plugin);
      if (plugin.preScore) {
        state = plugin.preScore(pod, nodes, state, snapshot);
        if (state === 'skip') continue;
      }
      const scores = nodes.map((node) => plugin.score!(state as never, node, pod));
      plugin.normalize?.(scores, nodes, pod);
      const weight = plugin.weight ?? 1;
      for (let i = 0; i < scores.length; i++) totals[i]! += weight * scores[i]!;
    }
    let best = 0;
    let equals = 1;
    for (let i = 1; i < nodes.length; i++) {
      if (totals[i]! > totals[best]!) { best = i; equals = 1; }
      else if (totals[i] === totals[best] && randomInt(this.#rng, ++equals) === 0) best = i;
    }
    return nodes[best]!;
  }
}

export interface RefusedBy { plugin: Plugin; refusal: Refusal }
interface Prepared { filters: { plugin: Plugin; state: unknown }[]; states: Map<Plugin, unknown>; only: ReadonlySet<string> | undefined }

/** Runs the preFilters: what each filter needs, or the plugin that refuses every node at once. */
function prepareFilters(plugins: readonly Plugin[], pod: PodInfo, snapshot: Snapshot): Prepared | RefusedBy {
  const prepared: Prepared = { filters: [], states: new Map(), only: undefined };
  for (const plugin of plugins) {
    if (plugin.preFilter) {
      const result = plugin.preFilter(pod, snapshot);
      if (result === 'skip') continue;
      if (isRefusal(result)) return { plugin, refusal: result };
      prepared.states.set(plugin, result.state);
      const { nodeNames } = result;
      if (nodeNames) prepared.only = prepared.only ? new Set([...prepared.only].filter((name) => nodeNames.has(name))) : nodeNames;
    }
    if (plugin.filter) prepared.filters.push({ plugin, state: prepared.states.get(plugin) });
  }
  return prepared;
}

function firstRefusal(filters: Prepared['filters'], node: NodeInfo, pod: PodInfo): RefusedBy | undefined {
  for (const { plugin, state } of filters) {
    const refusal = plugin.filter!(state, node, pod);
    if (refusal) return { plugin, refusal };
  }
  return undefined;
}

/** What refuses the pod on `node` after `change` to a copy of it; the rest of the cluster stays as it is. */
export function refusalWith(plugins: readonly Plugin[], pod: PodInfo, node: NodeInfo, snapshot: Snapshot, change: (copy: NodeInfo) => void): RefusedBy | undefined {
  const copy = node.clone();
  change(copy);
  const prepared = prepareFilters(plugins, pod, withNode(snapshot, node, copy));
  return 'refusal' in prepared ? prepared : firstRefusal(prepared.filters, copy, pod);
}

/** The snapshot with one node replaced. */
function withNode(snapshot: Snapshot, node: NodeInfo, copy: NodeInfo): Snapshot {
  const replaced = (list: Iterable<NodeInfo>, member: boolean) => [...[...list].filter((each) => each !== node), ...(member ? [copy] : [])];
  return {
    get nodes() { return snapshot.nodes.map((each) => (each === node ? copy : each)); },
    node: (name) => (name === copy.name ? copy : snapshot.node(name)),
    nodesWithAffinity: () => replaced(snapshot.nodesWithAffinity(), copy.podsWithAffinity.size > 0),
    nodesWithRequiredAntiAffinity: () => replaced(snapshot.nodesWithRequiredAntiAffinity(), copy.podsWithRequiredAntiAffinity.size > 0),
    namespaceLabels: (name) => snapshot.namespaceLabels(name),
    nominatedTo: (name) => snapshot.nominatedTo(name),
    storage: snapshot.storage,
  };
}

const notSelected: Refusal = { reasons: ["node(s) didn't match Pod's node affinity/selector"], resolvable: false };

function refuse(nodeCount: number, refusals: ReadonlyMap<NodeInfo, Refusal>, refusedBy: Set<string>): CycleResult {
  return { outcome: 'refused', message: fitMessage(nodeCount, refusals.values()), refusedBy, refusals };
}

/** '0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.' */
export function fitMessage(nodeCount: number, refusals: Iterable<Refusal>): string {
  const counts = new Map<string, number>();
  for (const { reasons } of refusals) for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const list = [...counts].map(([reason, count]) => `${count} ${reason}`).sort().join(', ');
  return `0/${nodeCount} nodes are available${list ? `: ${list}.` : '.'}`;
}
