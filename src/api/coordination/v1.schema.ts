/** The fields of coordination.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const coordinationV1 = defineTypes('coordination/v1', 'coordination.k8s.io/v1', {
  Lease: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 LeaseSpec',
  },
  LeaseList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []Lease!',
  },
  LeaseSpec: {
    holderIdentity: '1 string pointer',
    leaseDurationSeconds: '2 int32 pointer',
    acquireTime: '3 MicroTime pointer',
    renewTime: '4 MicroTime pointer',
    leaseTransitions: '5 int32 pointer',
    strategy: '6 string pointer',
    preferredHolder: '7 string pointer',
  },
});
