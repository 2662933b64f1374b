/**
 * Mirrors Endpoints that someone wrote by hand, for Services without a selector, into EndpointSlices: what consumes slices sees them too.
 * Upstream: pkg/controller/endpointslicemirroring.
 */
import { isIPv6 } from 'node:net';
import type { Endpoint, EndpointPort, EndpointSlice } from '../api/discovery/v1.ts';
import type { EndpointAddress, Endpoints } from '../api/core/v1.ts';
import { endpoints, endpointslices, services } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { canonical } from './canonical.ts';
import { controllerReference } from './claim.ts';
import { managedByLabel, planSlices, serviceNameLabel } from './endpointslice.ts';
import { defineController, done } from './framework.ts';
import { isNamespaceTerminating } from './pods.ts';
import { hasSelector } from './service-pods.ts';

const controllerName = 'endpointslicemirroring-controller.k8s.io';
const skipMirrorLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';
/** Upstream's --mirroring-max-endpoints-per-subset. */
const maxPerSubset = 1000;
const mirrorIndex = 'mirrored';

const isOurs = (slice: EndpointSlice): boolean => slice.metadata.labels?.[managedByLabel] === controllerName;

export const endpointSliceMirroringController = defineController({
  name: 'endpointslice-mirroring-controller', account: 'endpointslicemirroring-controller', aliases: ['endpointslicemirroring'], component: 'endpoint-slice-mirroring-controller', for: endpoints, writes: ['endpointslices'],
  watches: [
    { resource: services, keys: ({ any }) => [`${any.metadata.namespace}/${any.metadata.name}`] },
    {
      resource: endpointslices,
      *keys({ old, next, any }: { old?: EndpointSlice; next?: EndpointSlice; any: EndpointSlice }) {
        const service = any.metadata.labels?.[serviceNameLabel];
        if (service && isOurs(any) && (old || !next)) yield `${any.metadata.namespace}/${service}`;
      },
    },
  ],
  setup({ cache }) {
    cache(endpointslices).addIndex(mirrorIndex, (slice) => {
      const service = slice.metadata.labels?.[serviceNameLabel];
      return service && isOurs(slice) ? [`${slice.metadata.namespace}/${service}`] : [];
    });
    /** Slices created and not yet in the cache. */
    return { pending: new Map<string, Map<string, EndpointSlice>>() };
  },
  async reconcile(key, { cache, client, state }, signal) {
    const { pending } = state as { pending: Map<string, Map<string, EndpointSlice>> };
    const source = cache(endpoints).get(key);
    const service = cache(services).get(key);
    const existing = new Map(cache(endpointslices).byIndex(mirrorIndex, key).map((slice) => [slice.metadata.name, slice]));
    for (const [name, slice] of pending.get(key) ?? []) {
      if (existing.has(name)) pending.get(key)!.delete(name); else existing.set(name, slice);
    }
    const mirrored = source && service && shouldMirror(source) && !hasSelector(service) && !source.metadata.deletionTimestamp;
    if (!mirrored && existing.size === 0) { pending.delete(key); return done; }
    const api = client.for(endpointslices);
    const labels = { ...source?.metadata.labels, [serviceNameLabel]: source?.metadata.name ?? '', [managedByLabel]: controllerName };
    const remove: EndpointSlice[] = [];
    try {
      for (const family of ['IPv4', 'IPv6'] as const) {
        const slices = [...existing.values()].filter((slice) => slice.addressType === family);
        const desired = mirrored ? desiredOf(source, family) : new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
        if (desired.size === 0) { remove.push(...slices); continue; }
        const plan = planSlices(family, desired, slices, labels);
        remove.push(...plan.remove);
        for (const { slice, endpoints: addresses, ports } of plan.update) await api.update({ ...slice, metadata: { ...slice.metadata, labels }, endpoints: addresses, ports }, { signal });
        for (const { addressType, endpoints: addresses, ports } of plan.create) {
          const { [lastAppliedAnnotation]: _, ...annotations } = source!.metadata.annotations ?? {};
          const slice = await api.create({
            metadata: { namespace: source!.metadata.namespace, generateName: `${source!.metadata.name}-`, labels, annotations, ownerReferences: [controllerReference(source!, endpoints)] }, addressType, endpoints: addresses, ports,
          }, { signal });
          let map = pending.get(key);
          if (!map) pending.set(key, map = new Map());
          map.set(slice.metadata.name, slice);
        }
      }
      for (const slice of remove) {
        pending.get(key)?.delete(slice.metadata.name);
        try { await api.delete(slice.metadata, { signal }); } catch (err) { if (!isNotFound(err)) throw err; }
      }
    } catch (err) {
      if (isNamespaceTerminating(err)) return done;
      pending.delete(key); // what was remembered may be what is out of date
      throw err;
    }
    return done;
  },
});

function shouldMirror({ metadata }: Endpoints): boolean {
  return metadata.labels?.[skipMirrorLabel] !== 'true' && metadata.annotations?.[leaderAnnotation] === undefined;
}

/** By the ports they have; an address named twice for the same ports counts once. */
function desiredOf({ subsets = [] }: Endpoints, family: 'IPv4' | 'IPv6'): Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }> {
  const groups = new Map<string, { ports: EndpointPort[]; endpoints: Map<string, Endpoint> }>();
  for (const { addresses = [], notReadyAddresses = [], ports: subsetPorts = [] } of subsets) {
    const ports = subsetPorts.map(({ name, protocol, port, appProtocol }): EndpointPort => ({ name: name ?? '', protocol: protocol ?? 'TCP', port, ...(appProtocol ? { appProtocol } : {}) }));
    let room = maxPerSubset;
    for (const [list, ready] of [[addresses, true], [notReadyAddresses, false]] as const) {
      for (const address of list) {
        if (isIPv6(address.ip) !== (family === 'IPv6') || room-- <= 0) continue;
        const id = canonical(ports);
        const group = groups.get(id) ?? { ports, endpoints: new Map<string, Endpoint>() };
        groups.set(id, group);
        if (!group.endpoints.has(address.ip)) group.endpoints.set(address.ip, endpointOf(address, ready));
      }
    }
  }
  return new Map([...groups].map(([id, group]) => [id, { ports: group.ports, endpoints: [...group.endpoints.values()] }]));
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return { addresses: [ip], conditions: { ready }, ...(hostname ? { hostname } : {}), ...(nodeName ? { nodeName } : {}), ...(targetRef ? { targetRef } : {}) };
}
