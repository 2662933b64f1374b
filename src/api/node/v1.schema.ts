/** The fields of node.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const nodeV1 = defineTypes('node/v1', 'node.k8s.io/v1', {
  Overhead: {
    podFixed: '1 map<Quantity>',
  },
  RuntimeClass: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    handler: '2 string!',
    overhead: '3 Overhead pointer',
    scheduling: '4 Scheduling pointer',
  },
  RuntimeClassList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []RuntimeClass!',
  },
  Scheduling: {
    nodeSelector: '1 map<string> atomic',
    tolerations: '2 []core/v1.Toleration atomic',
  },
});
