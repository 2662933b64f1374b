/**
 * Writes the EndpointSlices of Services with a selector, changing as few slices as possible: endpoints stay where they are,
 * new ones fill free places. Upstream: pkg/controller/endpointslice, k8s.io/endpointslice reconciler.
 */
import type { Endpoint, EndpointPort, EndpointSlice } from '../api/discovery/v1.ts';
import type { Node, Pod, Service } from '../api/core/v1.ts';
import { endpointslices, nodes, services } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { timestamp } from '../base/clock.ts';
import { canonical, same } from './canonical.ts';
import { controllerReference } from './claim.ts';
import { defineController, done } from './framework.ts';
import { isNamespaceTerminating, isReady } from './pods.ts';
import { hasSelector, headlessLabel, hostnameFor, isHeadless, podIPOf, podsBehindServices, servicePods, shouldBeInEndpoints, targetPort } from './service-pods.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const controllerName = 'endpointslice-controller.k8s.io';
const triggerTime = 'endpoints.kubernetes.io/last-change-trigger-time';
const zoneLabel = 'topology.kubernetes.io/zone';
const maxPerSlice = 100;
const sliceIndex = 'service';

export interface SlicePlan { create: { addressType: string; ports: readonly EndpointPort[]; endpoints: Endpoint[] }[]; update: { slice: EndpointSlice; endpoints: Endpoint[]; ports: readonly EndpointPort[] }[]; remove: EndpointSlice[] }

export const endpointSliceController = defineController({
  name: 'endpointslice-controller', aliases: ['endpointslice'], component: 'endpoint-slice-controller', for: services, writes: ['endpointslices'],
  watches: [podsBehindServices, {
    resource: endpointslices,
    // Our own writes come back unchanged and cost one comparison; a foreign change or delete is put right.
    *keys({ old, next, any }: { old?: EndpointSlice; next?: EndpointSlice; any: EndpointSlice }) {
      const service = any.metadata.labels?.[serviceNameLabel];
      if (service && any.metadata.labels?.[managedByLabel] === controllerName && (old || !next)) yield `${any.metadata.namespace}/${service}`;
    },
  }],
  setup({ cache }) {
    cache(nodes);
    cache(endpointslices).addIndex(sliceIndex, (slice) => {
      const service = slice.metadata.labels?.[serviceNameLabel];
      return service && slice.metadata.labels?.[managedByLabel] === controllerName ? [`${slice.metadata.namespace}/${service}`] : [];
    });
    /** Slices created and not yet in the cache, per service: a stale cache must not make them twice. */
    return { pending: new Map<string, Map<string, EndpointSlice>>() };
  },
  async reconcile(key, context, signal) {
    const { cache, client, clock, state } = context;
    const { pending } = state as { pending: Map<string, Map<string, EndpointSlice>> };
    const service = cache(services).get(key);
    if (!service) { pending.delete(key); return done; }
    if (!hasSelector(service) || service.spec.type === 'ExternalName' || service.metadata.deletionTimestamp) return done;
    const existing = new Map(cache(endpointslices).byIndex(sliceIndex, key).map((slice) => [slice.metadata.name, slice]));
    const waiting = pending.get(key);
    for (const [name, slice] of waiting ?? []) {
      const seen = existing.get(name);
      if (seen && BigInt(seen.metadata.resourceVersion ?? 0) >= BigInt(slice.metadata.resourceVersion ?? 0)) waiting!.delete(name); else existing.set(name, slice);
    }
    const members = servicePods(service, context);
    const families = service.spec.ipFamilies?.length ? service.spec.ipFamilies : ['IPv4'];
    const api = client.for(endpointslices);
    const labels = sliceLabels(service);
    const plans = families.map((family) => planSlices(family as 'IPv4' | 'IPv6', desiredEndpoints(service, members, family as 'IPv4' | 'IPv6', (name) => cache(nodes).get(name)), [...existing.values()].filter((slice) => slice.addressType === family), labels));
    const wrongFamily = [...existing.values()].filter((slice) => !families.includes(slice.addressType));
    const annotations = { [triggerTime]: timestamp(clock.now()) };
    const remember = (slice: EndpointSlice) => {
      let map = pending.get(key);
      if (!map) pending.set(key, map = new Map());
      map.set(slice.metadata.name, slice);
    };
    try {
      for (const plan of plans) {
        for (const { slice, endpoints, ports } of plan.update) {
          remember(await api.update({ ...slice, metadata: { ...slice.metadata, labels: { ...labels }, annotations: { ...slice.metadata.annotations, ...annotations } }, endpoints, ports }, { signal }));
        }
        for (const { addressType, endpoints, ports } of plan.create) {
          remember(await api.create({
            metadata: { namespace: service.metadata.namespace, generateName: `${service.metadata.name}-`, labels, annotations, ownerReferences: [controllerReference(service, services)] }, addressType, endpoints, ports,
          }, { signal }));
        }
      }
      for (const slice of [...plans.flatMap((plan) => plan.remove), ...wrongFamily]) {
        pending.get(key)?.delete(slice.metadata.name);
        try { await api.delete(slice.metadata, { signal }); } catch (err) { if (!isNotFound(err)) throw err; }
      }
    } catch (err) {
      if (isNamespaceTerminating(err)) return done;
      // What was remembered may be what is out of date.
      pending.delete(key);
      throw err;
    }
    return done;
  },
});

function sliceLabels(service: Service): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries(service.metadata.labels ?? {})) if (name !== serviceNameLabel && name !== managedByLabel && name !== headlessLabel) labels[name] = value;
  if (isHeadless(service)) labels[headlessLabel] = '';
  labels[serviceNameLabel] = service.metadata.name;
  labels[managedByLabel] = controllerName;
  return labels;
}

/** Endpoints by the ports they have: pods may give one named port different numbers. */
export function desiredEndpoints(service: Service, members: readonly Pod[], family: 'IPv4' | 'IPv6', nodeOf: (name: string) => Node | undefined): Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }> {
  const groups = new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
  const { publishNotReadyAddresses = false, trafficDistribution } = service.spec;
  for (const pod of members) {
    const ip = podIPOf(pod, family);
    if (!ip || !shouldBeInEndpoints(pod, true)) continue;
    const ports: EndpointPort[] = [];
    for (const port of service.spec.ports ?? []) {
      const number = targetPort(pod, port);
      if (number !== undefined) ports.push({ name: port.name ?? '', protocol: port.protocol ?? 'TCP', port: number, ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}) });
    }
    const serving = isReady(pod);
    const terminating = pod.metadata.deletionTimestamp !== undefined;
    const { nodeName } = pod.spec;
    const zone = nodeName ? nodeOf(nodeName)?.metadata.labels?.[zoneLabel] : undefined;
    const hostname = hostnameFor(pod, service);
    const ready = publishNotReadyAddresses || (serving && !terminating);
    const hints = !ready ? undefined
      : trafficDistribution === 'PreferSameNode' && nodeName ? { ...(zone ? { forZones: [{ name: zone }] } : {}), forNodes: [{ name: nodeName }] }
        : (trafficDistribution === 'PreferClose' || trafficDistribution === 'PreferSameZone') && zone ? { forZones: [{ name: zone }] } : undefined;
    const endpoint: Endpoint = {
      addresses: [ip], conditions: { ready, serving, terminating }, ...(hostname ? { hostname } : {}),
      targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
      ...(nodeName ? { nodeName } : {}), ...(zone ? { zone } : {}), ...(hints ? { hints } : {}),
    };
    const id = canonical(ports);
    const group = groups.get(id);
    if (group) group.endpoints.push(endpoint); else groups.set(id, { ports, endpoints: [endpoint] });
  }
  return groups;
}

export function planSlices(addressType: 'IPv4' | 'IPv6', desired: ReadonlyMap<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>, existing: readonly EndpointSlice[], labels: Readonly<Record<string, string>>): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  // Without endpoints one empty slice says so: consumers see that the service is known.
  const wanted = desired.size > 0 ? desired : new Map([['[]', { ports: [], endpoints: [] }]]);
  const byPorts = new Map<string, EndpointSlice[]>();
  for (const slice of existing) {
    const id = canonical(slice.ports ?? []);
    byPorts.set(id, [...byPorts.get(id) ?? [], slice]);
  }
  const spare = [...byPorts].filter(([id]) => !wanted.has(id)).flatMap(([, slices]) => slices);
  for (const [id, { ports, endpoints }] of wanted) {
    const left = new Map(endpoints.map((endpoint) => [`${endpoint.targetRef?.uid}/${endpoint.addresses[0]}`, endpoint]));
    const kept = (byPorts.get(id) ?? []).map((slice) => {
      let changed = !same(slice.metadata.labels ?? {}, labels);
      const next: Endpoint[] = [];
      for (const endpoint of slice.endpoints ?? []) {
        const key = `${endpoint.targetRef?.uid}/${endpoint.addresses[0]}`;
        const now = left.get(key);
        if (!now) { changed = true; continue; }
        left.delete(key);
        if (!same(now, endpoint)) changed = true;
        next.push(now);
      }
      return { slice, changed, next };
    });
    // Slices already being written take new endpoints first, then the fullest with room.
    for (const one of [...kept].sort((a, b) => Number(b.changed) - Number(a.changed) || b.next.length - a.next.length)) {
      if (left.size === 0) break;
      for (const [key, endpoint] of left) {
        if (one.next.length >= maxPerSlice) break;
        one.next.push(endpoint);
        one.changed = true;
        left.delete(key);
      }
    }
    const empties = kept.filter((one) => one.next.length === 0);
    const isPlaceholder = endpoints.length === 0;
    for (const one of kept) {
      if (one.next.length === 0 && !(isPlaceholder && one === empties[0])) { plan.remove.push(one.slice); continue; }
      if (one.changed) plan.update.push({ slice: one.slice, endpoints: one.next, ports });
    }
    const rest = [...left.values()];
    if (isPlaceholder && kept.length === 0) rest.length = 0;
    const chunks: Endpoint[][] = [];
    for (let i = 0; i < rest.length; i += maxPerSlice) chunks.push(rest.slice(i, i + maxPerSlice));
    if (isPlaceholder && kept.length === 0) chunks.push([]);
    for (const chunk of chunks) {
      const reuse = spare.shift();
      if (reuse) plan.update.push({ slice: reuse, endpoints: chunk, ports }); else plan.create.push({ addressType, ports, endpoints: chunk });
    }
  }
  plan.remove.push(...spare);
  return plan;
}
