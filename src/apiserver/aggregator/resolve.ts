/**
 * Where the Service behind an APIService is reached. Source: apiserver/pkg/util/proxy (ResolveEndpoint, ResolveCluster).
 * Differs: endpoints by default rather than the cluster IP, since the control plane's host need not run a proxy; `clusterIP` is upstream's default.
 */
import { randomInt, type Rng } from '../../base/rng.ts';
import type { Service, ServicePort } from '../../api/core/v1.ts';
import type { EndpointSlice } from '../../api/discovery/v1.ts';
import { hostOf } from '../streams/kubelet.ts';

export type Routing = 'endpoint' | 'clusterIP';
/** What a resolver looks at. */
export interface ServiceBackends {
  service(namespace: string, name: string): Service | undefined;
  slices(namespace: string, name: string): readonly EndpointSlice[];
}

export class Unresolved extends Error {}

/** All origins the Service has on `port`, 'https://10.1.0.3:6443'. Throws `Unresolved` with upstream's words. */
export function originsOf(backends: ServiceBackends, namespace: string, name: string, port: number, routing: Routing): string[] {
  const service = backends.service(namespace, name);
  if (!service) throw new Unresolved(`service "${name}" not found`);
  const { spec } = service;
  if (spec.type === 'ExternalName') return [`https://${hostOf(spec.externalName ?? '')}:${port}`];
  const servicePort: ServicePort | undefined = (spec.ports ?? []).find((candidate) => candidate.port === port);
  if (!servicePort) throw new Unresolved(`no service port ${port} found for service "${name}"`);
  if (routing === 'clusterIP' && spec.clusterIP !== 'None') return [`https://${hostOf(spec.clusterIP ?? '')}:${port}`];
  const origins: string[] = [];
  for (const slice of backends.slices(namespace, name)) {
    const target = slice.ports?.find((candidate) => (candidate.name ?? '') === (servicePort.name ?? ''))?.port;
    if (target === undefined) continue;
    for (const { addresses, conditions } of slice.endpoints ?? []) {
      if (conditions?.ready === false) continue;
      for (const address of addresses) origins.push(`https://${hostOf(address)}:${target}`);
    }
  }
  if (origins.length === 0) throw new Unresolved(`no endpoints available for service "${name}"`);
  return origins;
}

export function pickOrigin(origins: readonly string[], rng: Rng): string { return origins[randomInt(rng, origins.length)]!; }
