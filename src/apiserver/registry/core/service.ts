/** Services: what the apiserver does with them; addresses and ports come from `service-allocator.ts`. Source: Kubernetes API reference; upstream's pkg/registry/core/service. */
import type { Draft } from '../../../base/json.ts';
import type { Service } from '../../../api/core/v1.ts';
import { setServiceDefaults } from '../../../api/core/v1.defaults.ts';
import { validateService, validateServiceStatusUpdate, validateServiceUpdate } from '../../../api/core/service.validation.ts';
import { services } from '../../../api/resources.ts';
import { nameIsDNS1035Label } from '../../../api/validation/names.ts';
import { entry } from '../define.ts';
import { serviceColumns } from './columns.ts';
import { allocateForService, knownServiceAllocator, needsClusterIP, needsHealthCheckPort, needsNodePort, serviceAllocatorOf } from './service-allocator.ts';

type DraftSpec = Draft<Service>['spec'];
const same = (a: readonly string[] | undefined, b: readonly string[] | undefined) => (a ?? []).join() === (b ?? []).join();

/** clusterIP is the first of clusterIPs, whichever a client wrote. Source: normalizeClusterIPs. */
export function normaliseClusterIPs(spec: DraftSpec, old: Service['spec'] | undefined): void {
  if (!old) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
    return;
  }
  // A client that knows only clusterIP clears or changes it; clusterIPs must not bring the old value back.
  if (old.clusterIP && !spec.clusterIP && same(spec.clusterIPs, old.clusterIPs)) delete spec.clusterIPs;
  else if (old.clusterIP && spec.clusterIP !== old.clusterIP && same(spec.clusterIPs, old.clusterIPs) && spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else if (spec.clusterIP && !spec.clusterIPs?.length && spec.clusterIP !== old.clusterIP) spec.clusterIPs = [spec.clusterIP];
}

/** What the server chose stays when an update leaves it out. Source: patchAllocatedValues. */
export function keepAllocated(service: Draft<Service>, old: Service): void {
  const { spec } = service;
  const after = service as Service;
  if (needsClusterIP(old) && needsClusterIP(after)) {
    if (!spec.clusterIP && old.spec.clusterIP) spec.clusterIP = old.spec.clusterIP;
    if (!spec.clusterIPs?.length && spec.clusterIP === old.spec.clusterIP && old.spec.clusterIPs) spec.clusterIPs = [...old.spec.clusterIPs];
    if (spec.ipFamilyPolicy === undefined && old.spec.ipFamilyPolicy !== undefined) spec.ipFamilyPolicy = old.spec.ipFamilyPolicy;
    if (!spec.ipFamilies?.length && old.spec.ipFamilies) spec.ipFamilies = [...old.spec.ipFamilies];
  }
  if (needsNodePort(old) && needsNodePort(after)) {
    const used = new Set((spec.ports ?? []).map((port) => `${port.protocol}/${port.nodePort ?? 0}`));
    for (const port of spec.ports ?? []) {
      if (port.nodePort) continue;
      const before = (old.spec.ports ?? []).find((one) => one.port === port.port && one.protocol === port.protocol);
      if (before?.nodePort && !used.has(`${before.protocol}/${before.nodePort}`)) port.nodePort = before.nodePort;
    }
  }
  if (needsHealthCheckPort(old) && needsHealthCheckPort(after) && !spec.healthCheckNodePort && old.spec.healthCheckNodePort) spec.healthCheckNodePort = old.spec.healthCheckNodePort;
}

/** Changing the type gives up what only the old one needed, unless the client set it in the same breath. Source: dropTypeDependentFields. */
export function dropTypeDependent(service: Draft<Service>, old: Service): void {
  const { spec } = service;
  const after = service as Service;
  if (needsClusterIP(old) && !needsClusterIP(after)) {
    if (spec.clusterIP === old.spec.clusterIP && same(spec.clusterIPs, old.spec.clusterIPs)) { delete spec.clusterIP; delete spec.clusterIPs; }
    if (same(spec.ipFamilies, old.spec.ipFamilies)) delete spec.ipFamilies;
    if (spec.ipFamilyPolicy === old.spec.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  }
  if ((old.spec.type === 'NodePort' || old.spec.type === 'LoadBalancer') && spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') {
    for (const [i, port] of (spec.ports ?? []).entries()) if (port.nodePort && port.nodePort === old.spec.ports?.[i]?.nodePort) delete port.nodePort;
  }
  if (needsHealthCheckPort(old) && !needsHealthCheckPort(after) && spec.healthCheckNodePort === old.spec.healthCheckNodePort) delete spec.healthCheckNodePort;
  if (old.spec.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts === old.spec.allocateLoadBalancerNodePorts) delete spec.allocateLoadBalancerNodePorts;
    if (spec.loadBalancerClass === old.spec.loadBalancerClass) delete spec.loadBalancerClass;
  }
  const external = spec.type === 'NodePort' || spec.type === 'LoadBalancer' || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);
  if (!external && spec.externalTrafficPolicy === old.spec.externalTrafficPolicy) delete spec.externalTrafficPolicy;
}

export const serviceEntry = entry(services, {
  columns: serviceColumns, storagePrefix: '/registry/services/specs',
  fieldSelectors: { 'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '', 'spec.type': ({ spec }) => spec.type ?? '' },
  strategy: {
    setDefaults: setServiceDefaults, validateName: nameIsDNS1035Label, generation: 'none',
    prepareForCreate(service) { service.status = { loadBalancer: {} }; },
    prepareForUpdate(service, old, { subresource }) {
      if (subresource === 'status') { service.spec = structuredClone(old.spec) as DraftSpec; (service.status ??= {}).loadBalancer ??= {}; return; }
      service.status = structuredClone(old.status ?? { loadBalancer: {} }) as Draft<Service>['status'];
      if (service.spec.type !== 'LoadBalancer' && old.spec.type === 'LoadBalancer') service.status = { loadBalancer: {} };
    },
    async allocate(service, old, { client, rng, subresource, dryRun }) {
      if (subresource !== '') return undefined;
      // Runs before prepareFor…, so what the server chose earlier is put back here.
      normaliseClusterIPs(service.spec, old?.spec);
      if (old) { keepAllocated(service, old); dropTypeDependent(service, old); }
      const reservation = allocateForService(await serviceAllocatorOf(client), service, old, rng);
      // A dry run shows what it would have got and keeps nothing.
      return dryRun ? { commit: reservation.release, release: reservation.release } : reservation;
    },
    onDeleted(service, { client }) { knownServiceAllocator(client)?.release(service); },
    validate: (service) => validateService(service),
    validateUpdate: (service, old) => validateServiceUpdate(service, old),
    validateStatusUpdate: (service) => validateServiceStatusUpdate(service),
  },
});
