/** Writes an Endpoints object per Service with a selector. Upstream: pkg/controller/endpoint. */
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service } from '../api/core/v1.ts';
import { endpoints, pods, services } from '../api/resources.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import { timestamp } from '../base/clock.ts';
import { splitKey } from '../client/informer.ts';
import { canonical, same } from './canonical.ts';
import { defineController, done } from './framework.ts';
import { isNamespaceTerminating, isReady } from './pods.ts';
import { hasSelector, headlessLabel, hostnameFor, isHeadless, podIPOf, podsBehindServices, servicePods, shouldBeInEndpoints, targetPort } from './service-pods.ts';

const maxCapacity = 1000;
const overCapacity = 'endpoints.kubernetes.io/over-capacity';
const triggerTime = 'endpoints.kubernetes.io/last-change-trigger-time';
const managedBy = 'endpoints.kubernetes.io/managed-by';

export const endpointsController = defineController({
  name: 'endpoints-controller', account: 'endpoint-controller', aliases: ['endpoint'], component: 'endpoint-controller', for: services, writes: ['endpoints'],
  watches: [podsBehindServices, { resource: endpoints, keys: ({ next, any }: { next?: Endpoints; any: Endpoints }) => (next ? [] : [`${any.metadata.namespace}/${any.metadata.name}`]) }],
  setup: ({ cache }) => { cache(pods).list(''); },
  async reconcile(key, context, signal) {
    const service = context.cache(services).get(key);
    const current = context.cache(endpoints).get(key);
    const api = context.client.for(endpoints);
    const { namespace, name } = splitKey(key);
    if (!service) {
      // Only what this controller made: an Endpoints without a Service may be someone's own.
      if (current?.metadata.labels?.[managedBy] || current?.metadata.annotations?.[triggerTime]) {
        try { await api.delete({ namespace, name }, { signal }); } catch (err) { if (!isNotFound(err)) throw err; }
      }
      return done;
    }
    if (!hasSelector(service) || service.spec.type === 'ExternalName') return done;
    const { subsets, truncated } = capped(repack(subsetsOf(service, servicePods(service, context))));
    const labels: Record<string, string> = { ...service.metadata.labels, [managedBy]: 'endpoint-controller' };
    if (isHeadless(service)) labels[headlessLabel] = ''; else delete labels[headlessLabel];
    const old = current?.metadata.annotations ?? {};
    if (current && same(current.subsets ?? [], subsets) && same(current.metadata.labels ?? {}, labels) && (old[overCapacity] !== undefined) === truncated) return done;
    const { [overCapacity]: _, ...kept } = old;
    const annotations = { ...kept, [triggerTime]: timestamp(context.clock.now()), ...(truncated ? { [overCapacity]: 'truncated' } : {}) };
    try {
      if (current) await api.update({ ...current, metadata: { ...current.metadata, labels, annotations }, subsets }, { signal });
      else await api.create({ metadata: { namespace, name, labels, annotations }, subsets }, { signal });
    } catch (err) {
      if (isNamespaceTerminating(err)) return done;
      if (isAlreadyExists(err)) throw err;
      const verb = current ? 'update' : 'create';
      if (!signal.aborted) context.events.event(service, 'Warning', current ? 'FailedToUpdateEndpoint' : 'FailedToCreateEndpoint', `Failed to ${verb} endpoint ${key}: ${(err as Error).message}`);
      throw err;
    }
    return done;
  },
});

function subsetsOf(service: Service, candidates: readonly Pod[]): EndpointSubset[] {
  const family = service.spec.ipFamilies?.[0] === 'IPv6' ? 'IPv6' : 'IPv4';
  const found: EndpointSubset[] = [];
  for (const pod of candidates) {
    if (!shouldBeInEndpoints(pod, service.spec.publishNotReadyAddresses ?? false)) continue;
    const ip = podIPOf(pod, family);
    if (!ip) continue;
    const hostname = hostnameFor(pod, service);
    const address: EndpointAddress = {
      ip, ...(hostname ? { hostname } : {}), ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
      targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    };
    const which = service.spec.publishNotReadyAddresses || isReady(pod) ? 'addresses' : 'notReadyAddresses';
    const ports: (EndpointPort | undefined)[] = [];
    if (!service.spec.ports?.length) { if (isHeadless(service)) ports.push(undefined); } else {
      for (const port of service.spec.ports) {
        const number = targetPort(pod, port);
        if (number === undefined) continue;
        ports.push({ ...(port.name ? { name: port.name } : {}), port: number, protocol: port.protocol ?? 'TCP', ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}) });
      }
    }
    for (const port of ports) found.push({ [which]: [address], ...(port ? { ports: [port] } : {}) });
  }
  return found;
}

/** The fewest subsets: ports with the same addresses share one, in a stable order. */
export function repack(subsets: readonly EndpointSubset[]): EndpointSubset[] {
  const byPort = new Map<string, { port: EndpointPort | undefined; ready: Map<string, EndpointAddress>; notReady: Map<string, EndpointAddress> }>();
  for (const subset of subsets) {
    for (const port of subset.ports?.length ? subset.ports : [undefined]) {
      const id = canonical(port ?? null);
      let entry = byPort.get(id);
      if (!entry) byPort.set(id, entry = { port, ready: new Map(), notReady: new Map() });
      for (const address of subset.addresses ?? []) entry.ready.set(`${address.ip} ${address.targetRef?.uid ?? ''}`, address);
      for (const address of subset.notReadyAddresses ?? []) entry.notReady.set(`${address.ip} ${address.targetRef?.uid ?? ''}`, address);
    }
  }
  const groups = new Map<string, { ports: EndpointPort[]; addresses: EndpointAddress[]; notReadyAddresses: EndpointAddress[] }>();
  const sorted = (map: Map<string, EndpointAddress>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, address]) => address);
  for (const [, { port, ready, notReady }] of [...byPort].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const key of ready.keys()) notReady.delete(key);
    const id = `${[...ready.keys()].sort().join()}|${[...notReady.keys()].sort().join()}`;
    let group = groups.get(id);
    if (!group) groups.set(id, group = { ports: [], addresses: sorted(ready), notReadyAddresses: sorted(notReady) });
    if (port) group.ports.push(port);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { ports, addresses, notReadyAddresses }]) => ({
    ...(addresses.length ? { addresses } : {}), ...(notReadyAddresses.length ? { notReadyAddresses } : {}), ...(ports.length ? { ports } : {}),
  }));
}

/** At most 1000 addresses, ready ones first. */
function capped(subsets: EndpointSubset[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const total = subsets.reduce((sum, { addresses = [], notReadyAddresses = [] }) => sum + addresses.length + notReadyAddresses.length, 0);
  if (total <= maxCapacity) return { subsets, truncated: false };
  let room = maxCapacity;
  const ready = subsets.map(({ addresses = [] }) => { const part = addresses.slice(0, room); room -= part.length; return part; });
  const notReady = subsets.map(({ notReadyAddresses = [] }) => { const part = notReadyAddresses.slice(0, room); room -= part.length; return part; });
  return {
    truncated: true,
    subsets: subsets.map(({ ports }, i) => ({ ...(ready[i]!.length ? { addresses: ready[i]! } : {}), ...(notReady[i]!.length ? { notReadyAddresses: notReady[i]! } : {}), ...(ports ? { ports } : {}) }))
      .filter((subset) => subset.addresses ?? subset.notReadyAddresses),
  };
}
