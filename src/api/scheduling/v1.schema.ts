/** The fields of scheduling.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const schedulingV1 = defineTypes('scheduling/v1', 'scheduling.k8s.io/v1', {
  PriorityClass: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    value: '2 int32',
    globalDefault: '3 bool',
    description: '4 string',
    preemptionPolicy: '5 string pointer',
  },
  PriorityClassList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []PriorityClass!',
  },
});
