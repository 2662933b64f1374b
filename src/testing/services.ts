/** Builders of Services and EndpointSlices that show only what matters. Revisions count up, so that each is a change. */
import type { EndpointConditions, EndpointHints, EndpointPort, EndpointSlice } from '../api/discovery/v1.ts';
import type { Service, ServicePort, ServiceSpec, ServiceStatus } from '../api/core/v1.ts';
import type { ObjectMeta } from '../api/meta/v1.ts';

let revision = 0;
export function metaOf(name: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
  return { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: String(++revision), creationTimestamp: '2026-01-01T00:00:00Z', ...more } as ObjectMeta;
}

export function makeService(name: string, clusterIP: string | undefined, spec: Omit<Partial<ServiceSpec>, 'ports'> & { ports?: Partial<ServicePort>[] } = {}, more: { namespace?: string; status?: ServiceStatus } = {}): Service {
  const { ports = [], ...rest } = spec;
  return {
    apiVersion: 'v1', kind: 'Service', metadata: metaOf(name, { namespace: more.namespace ?? 'default' }),
    spec: { type: 'ClusterIP', ...(clusterIP === undefined ? {} : { clusterIP, clusterIPs: [clusterIP] }), ports: ports.map((port) => ({ protocol: 'TCP', ...port }) as ServicePort), ...rest },
    ...(more.status ? { status: more.status } : {}),
  };
}

export interface EndpointSpec { ip: string; nodeName?: string; hostname?: string; conditions?: EndpointConditions; hints?: EndpointHints; pod?: string }

export function makeSlice(service: string, endpoints: readonly EndpointSpec[], ports: readonly EndpointPort[], more: { namespace?: string; suffix?: string; labels?: Record<string, string> } = {}): EndpointSlice {
  const namespace = more.namespace ?? 'default';
  return {
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice',
    metadata: metaOf(`${service}-${more.suffix ?? 'abcde'}`, { namespace, labels: { 'kubernetes.io/service-name': service, ...more.labels } }),
    addressType: endpoints[0]?.ip.includes(':') ? 'IPv6' : 'IPv4',
    endpoints: endpoints.map(({ ip, nodeName, hostname, conditions, hints, pod }) => ({
      addresses: [ip], conditions: { ready: true, serving: true, terminating: false, ...conditions },
      ...(nodeName === undefined ? {} : { nodeName }), ...(hostname === undefined ? {} : { hostname }), ...(hints ? { hints } : {}),
      ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', name: pod, namespace } }),
    })),
    ports: ports.map((port) => ({ protocol: 'TCP', ...port })),
  };
}
