/** The fields of discovery.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const discoveryV1 = defineTypes('discovery/v1', 'discovery.k8s.io/v1', {
  Endpoint: {
    addresses: '1 []string! set',
    conditions: '2 EndpointConditions',
    hostname: '3 string pointer',
    targetRef: '4 core/v1.ObjectReference pointer',
    deprecatedTopology: '5 map<string>',
    nodeName: '6 string pointer',
    zone: '7 string pointer',
    hints: '8 EndpointHints pointer',
  },
  EndpointConditions: {
    ready: '1 bool pointer',
    serving: '2 bool pointer',
    terminating: '3 bool pointer',
  },
  EndpointHints: {
    forZones: '1 []ForZone atomic',
    forNodes: '2 []ForNode atomic',
  },
  EndpointPort: {
    $struct: 'atomic',
    name: '1 string pointer',
    protocol: '2 string pointer',
    port: '3 int32 pointer',
    appProtocol: '4 string pointer',
  },
  EndpointSlice: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    endpoints: '2 []Endpoint atomic',
    ports: '3 []EndpointPort atomic',
    addressType: '4 string!',
  },
  EndpointSliceList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []EndpointSlice!',
  },
  ForNode: {
    name: '1 string!',
  },
  ForZone: {
    name: '1 string!',
  },
});
