/**
 * Which endpoints a Service port uses on this node: from EndpointSlices, by readiness, topology hints and traffic policy.
 * Pure. Behaviour: kubernetes.io/docs/reference/networking/virtual-ips, KEP-1669 (terminating endpoints), KEP-2433 and
 * KEP-4444 (hints and trafficDistribution).
 */
import type { EndpointSlice } from '../api/discovery/v1.ts';
import type { Service, ServicePort } from '../api/core/v1.ts';

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
  readonly isLocal: boolean;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

export interface Place { nodeName: string; zone?: string | undefined }

/** The endpoints of one Service port in one address family, ordered by address and port, each once. */
export function endpointsOf(port: ServicePort, slices: readonly EndpointSlice[], addressType: 'IPv4' | 'IPv6', nodeName: string): Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.addressType !== addressType) continue;
    for (const slicePort of slice.ports ?? []) {
      if ((slicePort.name ?? '') !== (port.name ?? '') || (slicePort.protocol ?? 'TCP') !== (port.protocol ?? 'TCP')) continue;
      if (slicePort.port === undefined) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const ip = endpoint.addresses[0];
        if (ip === undefined) continue;
        const ready = endpoint.conditions?.ready ?? true;
        const key = `${ip} ${slicePort.port}`;
        // The same address in two slices happens while pods move between them: the ready one counts.
        if (found.get(key)?.ready) continue;
        found.set(key, {
          ip, port: slicePort.port, isLocal: endpoint.nodeName === nodeName, ready,
          serving: endpoint.conditions?.serving ?? ready, terminating: endpoint.conditions?.terminating ?? false,
          zoneHints: endpoint.hints?.forZones?.map((zone) => zone.name) ?? [],
          nodeHints: endpoint.hints?.forNodes?.map((node) => node.name) ?? [],
        });
      }
    }
  }
  return [...found.values()].sort((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : a.port - b.port));
}

export interface UsableEndpoints {
  /** For traffic policy Cluster, after topology hints. */
  cluster: readonly Endpoint[];
  /** For traffic policy Local; `undefined` where no policy of the Service is Local. */
  local?: readonly Endpoint[] | undefined;
  /** Whether any node could answer, so that "none here" means drop and not reject. */
  hasAny: boolean;
}

/** Ready endpoints; when a Service has none, those that still serve while they terminate. */
export function usableEndpoints(service: Service, endpoints: readonly Endpoint[], place: Place): UsableEndpoints {
  const usesLocal = internalLocal(service) || externalLocal(service);
  const usesCluster = !internalLocal(service) || (isExternal(service) && !externalLocal(service)) || externalLocal(service);
  let cluster: readonly Endpoint[] = [];
  if (usesCluster) {
    const inTopology = topologyFilter(endpoints, place);
    cluster = endpoints.filter((endpoint) => endpoint.ready && inTopology(endpoint));
    if (cluster.length === 0) cluster = endpoints.filter((endpoint) => endpoint.serving && endpoint.terminating);
  }
  const hasAny = endpoints.some((endpoint) => endpoint.ready) || endpoints.some((endpoint) => endpoint.serving && endpoint.terminating);
  if (!usesLocal) return { cluster, hasAny };
  let local = endpoints.filter((endpoint) => endpoint.isLocal && endpoint.ready);
  if (local.length === 0) local = endpoints.filter((endpoint) => endpoint.isLocal && endpoint.serving && endpoint.terminating);
  return { cluster, local, hasAny };
}

export function isExternal(service: Service): boolean {
  return service.spec.type === 'NodePort' || service.spec.type === 'LoadBalancer' || (service.spec.externalIPs?.length ?? 0) > 0;
}
export function externalLocal(service: Service): boolean { return isExternal(service) && service.spec.externalTrafficPolicy === 'Local'; }
export function internalLocal(service: Service): boolean { return service.spec.internalTrafficPolicy === 'Local'; }

/** Hints count only when every ready endpoint has them and some of them name our node or zone. */
function topologyFilter(endpoints: readonly Endpoint[], { nodeName, zone }: Place): (endpoint: Endpoint) => boolean {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  if (ready.length === 0) return () => true;
  if (ready.every((endpoint) => endpoint.nodeHints.length > 0)) {
    const mine = (endpoint: Endpoint) => endpoint.nodeHints.includes(nodeName);
    if (ready.some(mine)) return mine;
  }
  if (zone !== undefined && zone !== '' && ready.every((endpoint) => endpoint.zoneHints.length > 0)) {
    const mine = (endpoint: Endpoint) => endpoint.zoneHints.includes(zone);
    if (ready.some(mine)) return mine;
  }
  return () => true;
}
