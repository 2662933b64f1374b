/**
 * Spreads pods over topology domains. `DoNotSchedule` constraints filter, `ScheduleAnyway` ones score. Source: KEP-895, KEP-2891
 * (minDomains), KEP-3094 (inclusion policies), KEP-3243 (matchLabelKeys); plugins/podtopologyspread.
 */
import { type Selector, selectorFrom } from '../../api/label-selector.ts';
import { nodes, pods } from '../../api/resources.ts';
import { tolerates } from '../../api/core/tolerations.ts';
import type { TopologySpreadConstraint } from '../../api/core/v1.ts';
import { definePlugin, fits, maxNodeScore, unresolvable, unschedulable } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import type { PodInfo } from '../pod-info.ts';
import { nodeRequirementOf } from './node-affinity.ts';

interface Constraint {
  spec: TopologySpreadConstraint;
  key: string;
  selector: Selector;
  /** The pod counts itself where it lands. */
  matchesSelf: boolean;
  /** Whether pods on this node count at all. */
  includes(node: NodeInfo): boolean;
  /** Matching pods per domain, over the nodes that count. */
  counts: Map<string, number>;
}

const missingLabel = unresolvable("node(s) didn't match pod topology spread constraints (missing required label)");
const violated = unschedulable(["node(s) didn't match pod topology spread constraints"]);
const hostname = 'kubernetes.io/hostname';

function constraintsOf(pod: PodInfo, action: TopologySpreadConstraint['whenUnsatisfiable']): Constraint[] {
  const specs = pod.pod.spec.topologySpreadConstraints?.filter((constraint) => constraint.whenUnsatisfiable === action) ?? [];
  if (specs.length === 0) return [];
  const labels = pod.pod.metadata.labels ?? {};
  const required = nodeRequirementOf(pod.pod);
  return specs.map((spec) => {
    const own = (spec.matchLabelKeys ?? []).flatMap((key) => (labels[key] === undefined ? [] : [{ key, operator: 'In', values: [labels[key]] }]));
    const selector = selectorFrom(own.length === 0 ? spec.labelSelector : { ...spec.labelSelector, matchExpressions: [...spec.labelSelector?.matchExpressions ?? [], ...own] });
    const honorAffinity = (spec.nodeAffinityPolicy ?? 'Honor') === 'Honor';
    const honorTaints = spec.nodeTaintsPolicy === 'Honor';
    return {
      spec, key: spec.topologyKey, selector, matchesSelf: selector.matches(labels), counts: new Map(),
      includes: (node) => (!honorAffinity || !required || required(node.node)) && (!honorTaints || node.hardTaints.every((taint) => tolerates(pod.tolerations, taint))),
    };
  });
}

/** Matching pods of the pod's namespace on a node; those on their way out don't count. */
function countOn(node: NodeInfo, { selector }: Constraint, namespace: string | undefined): number {
  let count = 0;
  for (const { pod } of node.pods.values()) if (pod.metadata.namespace === namespace && !pod.metadata.deletionTimestamp && selector.matches(pod.metadata.labels)) count++;
  return count;
}

/** Counts each constraint's matching pods by domain, over the nodes that carry all of the constraints' keys. */
function countDomains(constraints: readonly Constraint[], among: readonly NodeInfo[], pod: PodInfo): void {
  for (const node of among) {
    const labels = node.node.metadata.labels ?? {};
    if (constraints.some(({ key }) => labels[key] === undefined)) continue;
    for (const constraint of constraints) {
      if (!constraint.includes(node)) continue;
      const domain = labels[constraint.key]!;
      constraint.counts.set(domain, (constraint.counts.get(domain) ?? 0) + countOn(node, constraint, pod.pod.metadata.namespace));
    }
  }
}

export const podTopologySpread = definePlugin<Constraint[]>({
  name: 'PodTopologySpread',
  requeueOn: [
    { resource: pods, on: ['add', 'update', 'delete'], hint: (pod, { object }) => object.metadata.namespace === pod.pod.metadata.namespace },
    { resource: nodes, on: ['add', 'update', 'delete'] },
  ],
  preFilter(pod, snapshot) {
    const constraints = constraintsOf(pod, 'DoNotSchedule');
    if (constraints.length === 0) return 'skip';
    countDomains(constraints, snapshot.nodes, pod);
    return { state: constraints };
  },
  filter(constraints, node) {
    for (const { key, counts, matchesSelf, spec } of constraints) {
      const domain = node.node.metadata.labels?.[key];
      if (domain === undefined) return missingLabel;
      let least = Infinity;
      for (const count of counts.values()) if (count < least) least = count;
      if (counts.size < (spec.minDomains ?? 1)) least = 0;
      const skew = (counts.get(domain) ?? 0) + (matchesSelf ? 1 : 0) - (least === Infinity ? 0 : least);
      if (skew > spec.maxSkew) return violated;
    }
    return fits;
  },
  preScore(pod, among) {
    const constraints = constraintsOf(pod, 'ScheduleAnyway');
    if (constraints.length === 0) return 'skip';
    countDomains(constraints.filter(({ key }) => key !== hostname), among, pod);
    // Rarer domains weigh more, so that a spread over hosts doesn't drown one over zones.
    const weights = constraints.map(({ key, counts }) => Math.log((key === hostname ? among.length : counts.size) + 2));
    return { constraints, weights };
  },
  score({ constraints, weights }: { constraints: Constraint[]; weights: number[] }, node, pod) {
    let score = 0;
    for (const [i, constraint] of constraints.entries()) {
      const domain = node.node.metadata.labels?.[constraint.key];
      if (domain === undefined) return -1; // ignored: normalised to 0
      const count = constraint.key === hostname ? countOn(node, constraint, pod.pod.metadata.namespace) : constraint.counts.get(domain) ?? 0;
      score += count * weights[i]! + constraint.spec.maxSkew - 1;
    }
    return Math.round(score);
  },
  normalize(scores) { // fewest pods first
    const counted = scores.filter((score) => score >= 0);
    const max = Math.max(...counted);
    const min = Math.min(...counted);
    for (const [i, score] of scores.entries()) scores[i] = score < 0 ? 0 : max === 0 ? maxNodeScore : Math.floor((maxNodeScore * (max + min - score)) / max);
  },
  weight: 2,
});
