/** The fields of policy/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const policyV1 = defineTypes('policy/v1', 'policy/v1', {
  Eviction: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    deleteOptions: '2 DeleteOptions pointer',
  },
  PodDisruptionBudget: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 PodDisruptionBudgetSpec',
    status: '3 PodDisruptionBudgetStatus',
  },
  PodDisruptionBudgetList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []PodDisruptionBudget!',
  },
  PodDisruptionBudgetSpec: {
    minAvailable: '1 IntOrString pointer',
    selector: '2 LabelSelector replace pointer',
    maxUnavailable: '3 IntOrString pointer',
    unhealthyPodEvictionPolicy: '4 string pointer',
  },
  PodDisruptionBudgetStatus: {
    observedGeneration: '1 int64',
    disruptedPods: '2 map<Time>',
    disruptionsAllowed: '3 int32 pointer',
    currentHealthy: '4 int32 pointer',
    desiredHealthy: '5 int32 pointer',
    expectedPods: '6 int32 pointer',
    conditions: '7 []Condition map(type) merge(type)',
  },
});
