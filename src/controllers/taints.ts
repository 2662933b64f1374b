/** Taints and tolerations. Source: kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration; component-helpers scheduling/corev1. */
import { toleratesTaint } from '../api/core/tolerations.ts';
import type { Node, Taint, Toleration } from '../api/core/v1.ts';

export const notReadyTaint = 'node.kubernetes.io/not-ready';
export const unreachableTaint = 'node.kubernetes.io/unreachable';

export const sameTaint = (a: Taint, b: Taint): boolean => a.key === b.key && a.effect === b.effect;
/** How long a pod may stay: undefined for ever, 0 not at all. */
export function toleratedMs(taints: readonly Taint[], tolerations: readonly Toleration[]): number | undefined {
  let shortest: number | undefined;
  for (const taint of taints) {
    const matching = tolerations.filter((toleration) => toleratesTaint(toleration, taint));
    if (matching.length === 0) return 0;
    for (const { tolerationSeconds } of matching) if (tolerationSeconds !== undefined) shortest = Math.min(Math.max(0, tolerationSeconds) * 1000, shortest ?? Infinity);
  }
  return shortest;
}
/** The taints with some added or replaced and others taken away; undefined when nothing changes. */
export function changedTaints(node: Node, add: readonly Taint[], remove: readonly Taint[]): Taint[] | undefined {
  const old = node.spec.taints ?? [];
  const kept = old.filter((taint) => !remove.some((gone) => sameTaint(gone, taint)) || add.some((one) => sameTaint(one, taint)));
  const missing = add.filter((taint) => !kept.some((one) => sameTaint(one, taint)));
  return missing.length === 0 && kept.length === old.length ? undefined : [...kept, ...missing];
}
