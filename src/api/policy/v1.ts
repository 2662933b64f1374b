/** Types of policy/v1, written by `npm run generate` from `v1.schema.ts`; do not edit. */
import type * as metaV1 from '../meta/v1.ts';

export interface Eviction {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ObjectMeta;
  readonly deleteOptions?: metaV1.DeleteOptions;
}
export interface PodDisruptionBudget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ObjectMeta;
  readonly spec: PodDisruptionBudgetSpec;
  readonly status?: PodDisruptionBudgetStatus;
}
export interface PodDisruptionBudgetList {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ListMeta;
  readonly items: readonly PodDisruptionBudget[];
}
export interface PodDisruptionBudgetSpec {
  readonly minAvailable?: number | string;
  readonly selector?: metaV1.LabelSelector;
  readonly maxUnavailable?: number | string;
  readonly unhealthyPodEvictionPolicy?: string;
}
export interface PodDisruptionBudgetStatus {
  readonly observedGeneration?: number;
  readonly disruptedPods?: { readonly [key: string]: string };
  readonly disruptionsAllowed?: number;
  readonly currentHealthy?: number;
  readonly desiredHealthy?: number;
  readonly expectedPods?: number;
  readonly conditions?: readonly metaV1.Condition[];
}
