import { nodes } from '../../api/resources.ts';
import { compileNodeSelector, type NodeMatcher } from '../../api/core/node-selector.ts';
import type { Pod, PreferredSchedulingTerm } from '../../api/core/v1.ts';
import { definePlugin, fits, normalizeByMax, unresolvable } from '../framework.ts';

interface Preferences { terms: { weight: number; matches: NodeMatcher }[] }

/** Keeps nodes that match spec.nodeSelector and the required node affinity; prefers by the preferred terms' weights. */
export const nodeAffinity = definePlugin<NodeMatcher>({
  name: 'NodeAffinity',
  requeueOn: [{ resource: nodes, on: ['add', 'update'] }],
  preFilter({ pod }) {
    const state = nodeRequirementOf(pod);
    if (!state) return 'skip';
    const names = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms.map((term) => term.matchFields?.find(({ key, operator }) => key === 'metadata.name' && operator === 'In')?.values);
    // Every alternative names its nodes: only those need be looked at (DaemonSet pods).
    return names && names.length > 0 && names.every((list) => list !== undefined) ? { state, nodeNames: new Set(names.flat()) } : { state };
  },
  filter: (matches, node) => (matches(node.node) ? fits : unresolvable("node(s) didn't match Pod's node affinity/selector")),
  preScore: ({ pod }) => preferencesOf(pod) ?? 'skip',
  score: ({ terms }: Preferences, node) => terms.reduce((sum, { weight, matches }) => sum + (matches(node.node) ? weight : 0), 0),
  normalize: (scores) => normalizeByMax(scores, false),
  weight: 2,
});

/** spec.nodeSelector and the required node affinity as one predicate; undefined when the pod has neither. */
export function nodeRequirementOf(pod: Pod): NodeMatcher | undefined {
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const simple = Object.entries(pod.spec.nodeSelector ?? {});
  if (!required && simple.length === 0) return undefined;
  const matches = required && compileNodeSelector(required);
  return (node) => simple.every(([key, value]) => node.metadata.labels?.[key] === value) && (!matches || matches(node));
}

function preferencesOf(pod: Pod): Preferences | undefined {
  const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const terms = preferred.filter(({ weight }) => weight !== 0)
    .map(({ weight, preference }: PreferredSchedulingTerm) => ({ weight, matches: compileNodeSelector({ nodeSelectorTerms: [preference] }) }));
  return terms.length === 0 ? undefined : { terms };
}
