/** Taints and tolerations. Source: kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration; component-helpers. */
import type { Taint, Toleration } from './v1.ts';

/** Whether one toleration matches the taint. An empty key with Exists matches all; an empty effect matches all effects. */
export function toleratesTaint(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator || 'Equal') {
    case 'Exists': return true;
    case 'Equal': return (toleration.key ?? '') === taint.key && (toleration.value ?? '') === (taint.value ?? '');
    case 'Lt': return compareIntegers(taint.value, toleration.value) < 0;
    case 'Gt': return compareIntegers(taint.value, toleration.value) > 0;
    default: return false;
  }
}

export function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some((toleration) => toleratesTaint(toleration, taint));
}

/** NaN, so neither less nor more, unless both are integers. */
function compareIntegers(a: string | undefined, b: string | undefined): number {
  return /^-?\d+$/.test(a ?? '') && /^-?\d+$/.test(b ?? '') ? Number(a) - Number(b) : NaN;
}
