/** Which pods stand behind which services, and on which ports: shared by the Endpoints and EndpointSlice controllers. Upstream: pkg/controller/endpoint, staging endpointslice util. */
import type { Pod, Service, ServicePort } from '../api/core/v1.ts';
import { pods, services } from '../api/resources.ts';
import { keyOf } from '../client/informer.ts';
import { isIP } from 'node:net';
import type { Context, Watched } from './framework.ts';
import { isReady, mapSelector } from './pods.ts';

export const headlessLabel = 'service.kubernetes.io/headless';
export const isHeadless = (service: Service): boolean => !service.spec.clusterIP || service.spec.clusterIP === 'None';
export const hasSelector = (service: Service): boolean => service.spec.selector !== undefined && Object.keys(service.spec.selector).length > 0;

/** Above this many pods a service's changes are gathered for a moment, so that a rollout stays linear. */
const gatherAbove = 200;
const gatherMs = 250;

export function servicePods(service: Service, { cache }: Context): Pod[] {
  const selector = mapSelector(service.spec.selector);
  const candidates = cache(pods).list(service.metadata.namespace);
  return candidates.filter((pod) => selector.matches(pod.metadata.labels));
}

/** Services whose pods changed in a way that endpoints show. */
export const podsBehindServices: Watched = {
  resource: pods,
  keys({ old, next, any }: { old?: Pod; next?: Pod; any: Pod }, context: Context) {
    if (old && next && !endpointChanged(old, next)) return [];
    const namespace = any.metadata.namespace!;
    const found: string[] = [];
    for (const service of context.cache(services).list(namespace)) {
      if (!hasSelector(service)) continue;
      const selector = mapSelector(service.spec.selector);
      if ((next && selector.matches(next.metadata.labels)) || (old && selector.matches(old.metadata.labels))) found.push(keyOf(service));
    }
    if (found.length > 0 && context.cache(pods).list(namespace).length > gatherAbove) {
      for (const key of found) context.enqueue(key, gatherMs);
      return [];
    }
    return found;
  },
};

function endpointChanged(old: Pod, next: Pod): boolean {
  const ips = (pod: Pod) => (pod.status?.podIPs ?? []).map(({ ip }) => ip).join();
  return old.metadata.uid !== next.metadata.uid || old.metadata.deletionTimestamp !== next.metadata.deletionTimestamp || ips(old) !== ips(next) || isReady(old) !== isReady(next)
    || old.status?.phase !== next.status?.phase || old.status?.podIP !== next.status?.podIP || old.spec.nodeName !== next.spec.nodeName
    || old.spec.hostname !== next.spec.hostname || old.spec.subdomain !== next.spec.subdomain || !sameLabels(old.metadata.labels, next.metadata.labels);
}
function sameLabels(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

export function podIPOf(pod: Pod, family: 'IPv4' | 'IPv6'): string | undefined {
  const wanted = family === 'IPv6' ? 6 : 4;
  const all = pod.status?.podIPs?.map(({ ip }) => ip) ?? (pod.status?.podIP ? [pod.status.podIP] : []);
  return all.find((ip) => isIP(ip) === wanted);
}

export function shouldBeInEndpoints(pod: Pod, includeTerminating: boolean): boolean {
  const phase = pod.status?.phase;
  if (phase === 'Failed' || phase === 'Succeeded') return false;
  if (!pod.status?.podIP && !pod.status?.podIPs?.length) return false;
  return includeTerminating || pod.metadata.deletionTimestamp === undefined;
}

/** The number a service port has on this pod; undefined where the pod has no port of that name. */
export function targetPort(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  if (target === undefined || target === '') return port.port;
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const one of container.ports ?? []) if (one.name === target && (one.protocol ?? 'TCP') === (port.protocol ?? 'TCP')) return one.containerPort;
  }
  return undefined;
}

export const hostnameFor = (pod: Pod, service: Service): string | undefined =>
  pod.spec.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;
