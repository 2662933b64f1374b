import { nodes, pods } from '../../api/resources.ts';
import { definePlugin, fits, maxNodeScore, unschedulable, type Refusal } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import type { PodInfo } from '../pod-info.ts';

const podsFull: Refusal = unschedulable(['Too many pods']);

/** What the node is short of, in upstream's order: pods, cpu, memory, ephemeral storage, the rest. */
function shortages(pod: PodInfo, node: NodeInfo): string[] {
  const short: string[] = [];
  for (const [name, wanted] of pod.requests) {
    if (wanted > 0 && wanted > (node.allocatable.get(name) ?? 0) - (node.requested.get(name) ?? 0)) short.push(name);
  }
  const rank = (name: string) => ['cpu', 'memory', 'ephemeral-storage'].indexOf(name) >>> 0; // unknown last
  return short.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Keeps nodes with room for the pod's requests, emptiest first. KEP-624 (framework), KEP-4247 (requeue hints). */
export const nodeResourcesFit = definePlugin({
  name: 'NodeResourcesFit',
  requeueOn: [{ resource: nodes, on: ['add', 'update'] }, { resource: pods, on: ['delete', 'update'] }],
  filter(_, node, pod) {
    const full = node.pods.size + 1 > (node.allocatable.get('pods') ?? 0);
    const short = shortages(pod, node);
    if (short.length === 0) return full ? podsFull : fits;
    const reasons = short.map((name) => `Insufficient ${name}`);
    if (full) reasons.unshift('Too many pods');
    // More than the whole node has: no eviction helps.
    return { reasons, resolvable: short.every((name) => (pod.requests.get(name) ?? 0) <= (node.allocatable.get(name) ?? 0)) };
  },
  score(_, node, pod) { // LeastAllocated over cpu and memory
    const cpu = freeShare(node.allocatable.get('cpu'), node.scoredCpuMillis + pod.scoredCpuMillis);
    const memory = freeShare(node.allocatable.get('memory'), node.scoredMemoryBytes + pod.scoredMemoryBytes);
    return Math.floor((cpu + memory) / 2);
  },
});

/** What stays free, 0 to 100. */
function freeShare(capacity: number | undefined, used: number): number {
  return !capacity || used > capacity ? 0 : Math.floor(((capacity - used) * maxNodeScore) / capacity);
}

/** Prefers nodes where cpu and memory stay evenly used. */
export const nodeResourcesBalancedAllocation = definePlugin({
  name: 'NodeResourcesBalancedAllocation',
  requeueOn: [],
  preScore: (pod) => (pod.requests.size === 0 ? 'skip' : undefined), // a pod that asks for nothing changes no balance
  score(_, node, pod) {
    const share = (name: string) => Math.min(1, ((node.requested.get(name) ?? 0) + (pod.requests.get(name) ?? 0)) / (node.allocatable.get(name) || 1));
    return Math.floor((1 - Math.abs(share('cpu') - share('memory')) / 2) * maxNodeScore);
  },
});
