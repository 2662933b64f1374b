/** Defaults of discovery.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/discovery/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setEndpointSliceDefaults(slice: Draft<v1.EndpointSlice>): void {
  for (const port of slice.ports ?? []) { port.name ??= ''; port.protocol ??= 'TCP'; }
}
