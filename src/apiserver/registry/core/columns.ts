/** What `kubectl get` shows of core/v1 kinds other than pods. Source: upstream's pkg/printers/internalversion/printers.go. */
import type * as v1 from '../../../api/core/v1.ts';
import type { Column } from '../../types.ts';
import { since } from '../../../api/human-duration.ts';
import { formatQuantity, parseQuantity } from '../../../api/quantity.ts';
import { ageColumn, column, formatLabels, integer, keyCount, nameColumn, templateColumns, wide } from '../define.ts';

const joinHostPort = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

// ---- Service

function ingressText(status: v1.LoadBalancerStatus | undefined, full: boolean): string {
  const text = [...new Set((status?.ingress ?? []).map((ingress) => ingress.ip || ingress.hostname || '').filter(Boolean))].sort().join(',');
  return !full && text.length > 16 ? `${text.slice(0, 13)}...` : text;
}
export function externalIP(service: v1.Service, full = false): string {
  const external = service.spec.externalIPs ?? [];
  switch (service.spec.type) {
    case 'LoadBalancer': {
      const fromIngress = ingressText(service.status?.loadBalancer, full);
      if (external.length > 0) return [...(fromIngress === '' ? [] : fromIngress.split(',')), ...external].join(',');
      return fromIngress || '<pending>';
    }
    case 'ExternalName': return service.spec.externalName ?? '';
    case 'ClusterIP': case 'NodePort': return external.length > 0 ? external.join(',') : '<none>';
    default: return '<unknown>';
  }
}
const portsText = (ports: readonly v1.ServicePort[]) =>
  ports.map((port) => (port.nodePort ? `${port.port}:${port.nodePort}/${port.protocol}` : `${port.port}/${port.protocol}`)).join(',');
export const serviceColumns: readonly Column<v1.Service>[] = [
  nameColumn,
  column('Type', ({ spec }) => spec.type ?? ''),
  column('Cluster-IP', ({ spec }) => (spec.type === 'ExternalName' || !spec.clusterIP ? '<none>' : spec.clusterIPs?.[0] ?? spec.clusterIP)),
  // Differs: upstream cuts load-balancer addresses at 16 characters except in -o wide; a column's value can't know, and whole addresses are of more use.
  column('External-IP', (service) => externalIP(service, true)),
  column('Port(s)', ({ spec }) => portsText(spec.ports ?? []) || '<none>'),
  ageColumn,
  wide('Selector', ({ spec }) => formatLabels(spec.selector)),
];

// ---- Node

export function nodeRoles(node: v1.Node): string[] {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith('node-role.kubernetes.io/')) { const role = key.slice('node-role.kubernetes.io/'.length); if (role !== '') roles.add(role); }
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return [...roles].sort();
}
function nodeStatus(node: v1.Node): string {
  const ready = (node.status?.conditions ?? []).find((condition) => condition.type === 'Ready');
  const status = !ready ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec.unschedulable ? `${status},SchedulingDisabled` : status;
}
const nodeAddress = (node: v1.Node, type: string) => (node.status?.addresses ?? []).find((address) => address.type === type)?.address || '<none>';
export const nodeColumns: readonly Column<v1.Node>[] = [
  nameColumn,
  column('Status', nodeStatus, { description: 'The status of the node' }),
  column('Roles', (node) => nodeRoles(node).join(',') || '<none>', { description: 'The roles of the node' }),
  ageColumn,
  column('Version', (node) => node.status?.nodeInfo?.kubeletVersion ?? ''),
  wide('Internal-IP', (node) => nodeAddress(node, 'InternalIP')),
  wide('External-IP', (node) => nodeAddress(node, 'ExternalIP')),
  wide('OS-Image', (node) => node.status?.nodeInfo?.osImage || '<unknown>'),
  wide('Kernel-Version', (node) => node.status?.nodeInfo?.kernelVersion || '<unknown>'),
  wide('Container-Runtime', (node) => node.status?.nodeInfo?.containerRuntimeVersion || '<unknown>'),
];

// ---- Event

function lastSeen(event: v1.Event): string | undefined { return event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime; }
const eventAge = (timestamp: string | undefined, now: number) => since(timestamp ?? undefined, now);
export const eventColumns: readonly Column<v1.Event>[] = [
  column('Last Seen', (event, now) => {
    // A series keeps its start in eventTime; a lone event is as old as its first sight.
    if (event.series) return eventAge(event.series.lastObservedTime, now);
    return eventAge(lastSeen(event) ?? event.firstTimestamp, now);
  }),
  column('Type', (event) => event.type ?? ''),
  column('Reason', (event) => event.reason ?? ''),
  column('Object', ({ involvedObject }) => (involvedObject?.name ? `${(involvedObject.kind ?? '').toLowerCase()}/${involvedObject.name}` : (involvedObject?.kind ?? '').toLowerCase())),
  wide('Subobject', (event) => event.involvedObject?.fieldPath ?? ''),
  wide('Source', (event) => {
    const component = event.source?.component || event.reportingComponent || '';
    const host = event.source?.host || event.reportingInstance || '';
    return host ? `${component}, ${host}` : component;
  }),
  column('Message', (event) => (event.message ?? '').trim()),
  wide('First Seen', (event, now) => eventAge(event.firstTimestamp ?? event.eventTime, now)),
  wide('Count', (event) => event.series?.count ?? (event.count || 1), integer),
  wide('Name', (event) => event.metadata.name, { format: 'name' }),
];

// ---- Endpoints

function endpointsText(endpoints: v1.Endpoints): string {
  if ((endpoints.subsets?.length ?? 0) === 0) return '<none>';
  const list: string[] = [];
  let count = 0;
  for (const { addresses = [], ports = [] } of endpoints.subsets ?? []) {
    if (ports.length === 0) for (const { ip } of addresses) { if (list.length < 3) list.push(ip); count++; } // headless, no ports
    else for (const { port } of ports) for (const { ip } of addresses) { if (list.length < 3) list.push(joinHostPort(ip, port)); count++; }
  }
  const text = list.join(',');
  return count > list.length ? `${text} + ${count - list.length} more...` : text;
}

// ---- volumes

const accessModeShort: Readonly<Record<string, string>> = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' };
export function accessModesText(modes: readonly string[] | undefined): string {
  const order = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'];
  return order.filter((mode) => modes?.includes(mode)).map((mode) => accessModeShort[mode]).join(',');
}
const betaClass = 'volume.beta.kubernetes.io/storage-class';
const quantityText = (text: string | undefined) => (text === undefined ? '' : formatQuantity(parseQuantity(text)));
export const persistentVolumeColumns: readonly Column<v1.PersistentVolume>[] = [
  nameColumn,
  column('Capacity', ({ spec }) => quantityText(spec.capacity?.['storage'] ?? '0')),
  column('Access Modes', ({ spec }) => accessModesText(spec.accessModes)),
  column('Reclaim Policy', ({ spec }) => spec.persistentVolumeReclaimPolicy ?? ''),
  column('Status', ({ metadata, status }) => (metadata.deletionTimestamp !== undefined ? 'Terminating' : status?.phase ?? '')),
  column('Claim', ({ spec }) => (spec.claimRef ? `${spec.claimRef.namespace}/${spec.claimRef.name}` : '')),
  column('StorageClass', ({ metadata, spec }) => metadata.annotations?.[betaClass] ?? spec.storageClassName ?? ''),
  column('VolumeAttributesClass', ({ spec }) => spec.volumeAttributesClassName || '<unset>'),
  column('Reason', ({ status }) => status?.reason ?? ''),
  ageColumn,
  wide('VolumeMode', ({ spec }) => spec.volumeMode ?? '<unset>'),
];
export const persistentVolumeClaimColumns: readonly Column<v1.PersistentVolumeClaim>[] = [
  nameColumn,
  column('Status', ({ metadata, status }) => (metadata.deletionTimestamp !== undefined ? 'Terminating' : status?.phase ?? '')),
  column('Volume', ({ spec }) => spec.volumeName ?? ''),
  column('Capacity', ({ spec, status }) => (spec.volumeName ? quantityText(status?.capacity?.['storage'] ?? '0') : '')),
  column('Access Modes', ({ spec, status }) => (spec.volumeName ? accessModesText(status?.accessModes) : '')),
  column('StorageClass', ({ metadata, spec }) => metadata.annotations?.[betaClass] ?? spec.storageClassName ?? ''),
  column('VolumeAttributesClass', ({ spec }) => spec.volumeAttributesClassName || '<unset>'),
  ageColumn,
  wide('VolumeMode', ({ spec }) => spec.volumeMode ?? '<unset>'),
];

// ---- the rest

export const namespaceColumns: readonly Column<v1.Namespace>[] = [nameColumn, column('Status', ({ status }) => status?.phase ?? '', { description: 'The status of the namespace' }), ageColumn];
export const endpointsColumns: readonly Column<v1.Endpoints>[] = [nameColumn, column('Endpoints', endpointsText), ageColumn];
export const secretColumns: readonly Column<v1.Secret>[] = [nameColumn, column('Type', (secret) => secret.type ?? ''), column('Data', (secret) => keyCount(secret.data), integer), ageColumn];
export const configMapColumns: readonly Column<v1.ConfigMap>[] = [nameColumn, column('Data', (map) => keyCount(map.data) + keyCount(map.binaryData), integer), ageColumn];
export const serviceAccountColumns: readonly Column<v1.ServiceAccount>[] = [nameColumn, column('Secrets', (account) => account.secrets?.length ?? 0, integer), ageColumn];
export const replicationControllerColumns: readonly Column<v1.ReplicationController>[] = [
  nameColumn,
  column('Desired', ({ spec }) => spec.replicas ?? 0, integer),
  column('Current', ({ status }) => status?.replicas ?? 0, integer),
  column('Ready', ({ status }) => status?.readyReplicas ?? 0, integer),
  ageColumn,
  ...templateColumns<v1.ReplicationController>(({ spec }) => spec.template),
  wide('Selector', ({ spec }) => formatLabels(spec.selector)),
];
export const podTemplateColumns: readonly Column<v1.PodTemplate>[] = [
  nameColumn,
  ...templateColumns<v1.PodTemplate>((object) => object.template).map(({ priority: _priority, ...shown }) => shown),
  column('Pod Labels', (object) => formatLabels(object.template?.metadata?.labels), { description: 'The labels for the pod template.' }),
];
export const componentStatusColumns: readonly Column<v1.ComponentStatus>[] = [
  nameColumn,
  column('Status', ({ conditions }) => {
    const healthy = (conditions ?? []).find((condition) => condition.type === 'Healthy');
    return !healthy ? 'Unknown' : healthy.status === 'True' ? 'Healthy' : 'Unhealthy';
  }),
  column('Message', ({ conditions }) => (conditions ?? []).find((condition) => condition.type === 'Healthy')?.message ?? ''),
  column('Error', ({ conditions }) => (conditions ?? []).find((condition) => condition.type === 'Healthy')?.error ?? ''),
];
function quotaText(quota: v1.ResourceQuota, limits: boolean): string {
  return Object.keys(quota.spec.hard ?? {}).sort().filter((name) => name.startsWith('limits') === limits)
    .map((name) => `${name}: ${quantityText(quota.status?.used?.[name] ?? '0')}/${quantityText(quota.status?.hard?.[name] ?? quota.spec.hard?.[name])}`).join(', ');
}
export const resourceQuotaColumns: readonly Column<v1.ResourceQuota>[] = [
  nameColumn,
  column('Request', (quota) => quotaText(quota, false), { description: 'Request represents a minimum amount of cpu/memory that a container may consume.' }),
  column('Limit', (quota) => quotaText(quota, true), { description: 'Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.' }),
  ageColumn,
];
