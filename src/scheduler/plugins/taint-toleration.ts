import { nodes, pods } from '../../api/resources.ts';
import { tolerates } from '../../api/core/tolerations.ts';
import { definePlugin, fits, normalizeByMax, unresolvable } from '../framework.ts';

/** Keeps pods off nodes whose taints they don't tolerate, and prefers nodes without soft ones. */
export const taintToleration = definePlugin({
  name: 'TaintToleration',
  requeueOn: [{ resource: nodes, on: ['add', 'update'] }, { resource: pods, on: ['update'] }],
  filter(_, node, pod) {
    for (const taint of node.hardTaints) if (!tolerates(pod.tolerations, taint)) return unresolvable('node(s) had untolerated taint(s)');
    return fits;
  },
  preScore: (_, among) => (among.some((node) => node.softTaints.length > 0) ? undefined : 'skip'),
  score: (_, node, pod) => node.softTaints.reduce((count, taint) => count + (tolerates(pod.tolerations, taint) ? 0 : 1), 0),
  normalize: (scores) => normalizeByMax(scores, true),
  weight: 3,
});
