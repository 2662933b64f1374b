/**
 * Objects that exist before a server says it is ready: system namespaces, the system priority classes, the `kubernetes`
 * Service and its endpoints. Source: upstream's pkg/controlplane (controller/systemnamespaces, kubernetesservice, reconcilers).
 */
import { timestamp } from '../base/clock.ts';
import type { ApiObject, NewObject } from '../client/client.ts';
import * as resources from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { ServerContext } from './handlers/context.ts';

export interface BootstrapConfig {
  /** The address the `kubernetes` Service leads to; without it that Service is not made. */
  advertise?: { address: string; port: number };
  /** The first address of the service range: '10.96.0.1'. */
  serviceIP?: string;
  /** The service ranges, primary family first: published as ServiceCIDR `kubernetes`. */
  serviceCIDRs?: readonly string[];
  /** More to do before ready, such as the default roles. */
  also?(context: ServerContext, signal: AbortSignal): Promise<void>;
}

export const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;

export async function bootstrap(context: ServerContext, { advertise, serviceIP, serviceCIDRs, also }: BootstrapConfig, signal: AbortSignal): Promise<void> {
  const { client } = context;
  const ensure = async <T extends ApiObject>(names: ResourceNames<T>, object: NewObject<T>): Promise<void> => {
    const { name, namespace } = (object as ApiObject).metadata;
    const served = context.resources.for(names as ResourceNames);
    // The usual start finds everything there, at the price of one read each.
    if (!served || await context.store.get(served.key(namespace ?? '', name))) return;
    try {
      await client.for(names).create(object, { signal });
    } catch (err) {
      if (!isAlreadyExists(err)) throw err;
    }
  };
  await Promise.all(systemNamespaces.map((name) => ensure(resources.namespaces, { metadata: { name } } as never)));
  await Promise.all([
    ensure(resources.priorityclasses, { metadata: { name: 'system-node-critical' }, value: 2_000_001_000, globalDefault: false, description: 'Used for system critical pods that must not be moved from their current node.' } as never),
    ensure(resources.priorityclasses, { metadata: { name: 'system-cluster-critical' }, value: 2_000_000_000, globalDefault: false, description: 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.' } as never),
    ...(serviceCIDRs ? [ensureServiceCIDR(context, serviceCIDRs, signal)] : []),
    also?.(context, signal),
  ]);
  if (advertise) {
    const labels = { component: 'apiserver', provider: 'kubernetes' };
    const port = { name: 'https', port: 443, protocol: 'TCP', targetPort: advertise.port };
    await ensure(resources.services, {
      metadata: { name: 'kubernetes', namespace: 'default', labels },
      spec: { type: 'ClusterIP', ports: [port], sessionAffinity: 'None', ipFamilyPolicy: 'SingleStack', ...(serviceIP ? { clusterIP: serviceIP, clusterIPs: [serviceIP] } : {}) },
    } as never);
    // Endpoints may not be on loopback: a machine without any other address serves itself alone.
    if (isLoopback(advertise.address)) context.log.warn({ address: advertise.address }, 'the kubernetes Service has no endpoints: this machine has no address that pods could reach');
    else await reconcileEndpoints(context, advertise, signal);
  }
}

/** Source: upstream's pkg/controlplane/controller/defaultservicecidr. */
async function ensureServiceCIDR({ client, clock }: ServerContext, cidrs: readonly string[], signal: AbortSignal): Promise<void> {
  const api = client.for(resources.servicecidrs);
  const name = 'kubernetes';
  const found = await api.get({ name }, { signal }).catch((err: unknown) => { if (isNotFound(err)) return undefined; throw err; });
  let current = found;
  try { current ??= await api.create({ metadata: { name }, spec: { cidrs: [...cidrs] } } as never, { signal }); } catch (err) { if (isAlreadyExists(err)) return; throw err; }
  if (current.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
  const ready = { type: 'Ready', status: 'True', reason: '', message: 'Kubernetes default Service CIDR is ready', lastTransitionTime: timestamp(clock.now()) };
  await api.updateStatus({ ...current, status: { conditions: [...(current.status?.conditions ?? []).filter(({ type }) => type !== 'Ready'), ready] } }, { signal });
}

const isLoopback = (address: string) => address === '::1' || address.startsWith('127.');

/**
 * The endpoints of `kubernetes` are the apiservers themselves. With a store of our own that is us alone; with a shared one we
 * add ourselves beside the others.
 */
async function reconcileEndpoints({ client, sharedStore }: ServerContext, { address, port }: { address: string; port: number }, signal: AbortSignal): Promise<void> {
  const key = { namespace: 'default', name: 'kubernetes' };
  const absent = (err: unknown) => { if (isNotFound(err)) return undefined; throw err; };
  const merged = (known: readonly string[]) => (sharedStore ? [...new Set([...known, address])].sort() : [address]);
  const endpoints = client.for(resources.endpoints);
  const old = await endpoints.get(key, { signal }).catch(absent);
  const addresses = merged(old?.subsets?.flatMap((subset) => (subset.addresses ?? []).map(({ ip }) => ip)) ?? []);
  const subsets = [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: 'https', port, protocol: 'TCP' }] }];
  const labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' };
  if (!old) await endpoints.create({ metadata: { ...key, labels }, subsets }, { signal });
  else if (JSON.stringify(old.subsets) !== JSON.stringify(subsets)) await endpoints.update({ ...old, metadata: { ...old.metadata, labels: { ...old.metadata.labels, ...labels } }, subsets }, { signal });

  const slices = client.for(resources.endpointslices);
  const oldSlice = await slices.get(key, { signal }).catch(absent);
  const body = {
    addressType: address.includes(':') ? 'IPv6' : 'IPv4', endpoints: merged(oldSlice?.endpoints?.flatMap((endpoint) => endpoint.addresses) ?? []).map((one) => ({ addresses: [one], conditions: { ready: true } })),
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  };
  if (!oldSlice) await slices.create({ metadata: { ...key, labels: { 'kubernetes.io/service-name': 'kubernetes' } }, ...body }, { signal });
  else if (JSON.stringify([oldSlice.endpoints, oldSlice.ports]) !== JSON.stringify([body.endpoints, body.ports])) await slices.update({ ...oldSlice, ...body }, { signal });
}
