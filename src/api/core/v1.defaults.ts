/**
 * Defaults of core/v1, filled into drafts after decoding. Idempotent. Pod templates of all workloads go through
 * `setPodTemplateDefaults`. Source: Kubernetes API reference; upstream's pkg/apis/core/v1/defaults.go.
 */
import type { Draft } from '../../base/json.ts';
import { formatQuantity, parseQuantity, tryParseQuantity } from '../quantity.ts';
import type * as v1 from './v1.ts';

type ResourceList = Record<string, string>;
const million = 1_000_000n;

/** Canonical text, rounded up to thousandths. What is no quantity is left for validation. */
export function setResourceListDefaults(list: ResourceList | undefined): void {
  if (!list) return;
  for (const name in list) {
    const quantity = tryParseQuantity(list[name]);
    if (!quantity) continue;
    const rest = quantity.nanos % million;
    const text = rest === 0n ? formatQuantityCached(list[name]!) : formatQuantity({ ...quantity, nanos: quantity.nanos - rest + (quantity.nanos > 0n ? million : -million) });
    if (text !== list[name]) list[name] = text;
  }
}
const canonical = new Map<string, string>();
function formatQuantityCached(text: string): string {
  let known = canonical.get(text);
  if (known === undefined) {
    known = formatQuantity(parseQuantity(text));
    if (canonical.size > 8192) canonical.clear();
    canonical.set(text, known);
  }
  return known;
}

/** 'IfNotPresent' for images with a tag other than latest or a digest, else 'Always'. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  const name = image.slice(image.lastIndexOf('/') + 1);
  if (name.includes('@')) return 'IfNotPresent';
  const colon = name.indexOf(':');
  return colon < 0 || name.slice(colon + 1) === 'latest' ? 'Always' : 'IfNotPresent';
}

type AnyContainer = Draft<v1.Container> | Draft<v1.EphemeralContainer>;

function setHandlerDefaults(handler: { httpGet?: Draft<v1.HTTPGetAction>; grpc?: Draft<v1.GRPCAction> } | undefined): void {
  if (handler?.httpGet) {
    handler.httpGet.path ||= '/';
    handler.httpGet.scheme ||= 'HTTP';
  }
  if (handler?.grpc) handler.grpc.service ??= '';
}

function setProbeDefaults(probe: Draft<v1.Probe> | undefined): void {
  if (!probe) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  setHandlerDefaults(probe);
}

function setContainerDefaults(container: AnyContainer): void {
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.imagePullPolicy ||= defaultPullPolicy(container.image ?? '');
  container.resources ??= {};
  if (container.ports) for (const port of container.ports) port.protocol ||= 'TCP';
  if (container.env) {
    for (const { valueFrom } of container.env) {
      if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ||= 'v1';
      if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ||= '0';
      if (valueFrom?.fileKeyRef) valueFrom.fileKeyRef.optional ??= false;
    }
  }
  setResourceListDefaults(container.resources.limits);
  setResourceListDefaults(container.resources.requests);
  setProbeDefaults(container.livenessProbe);
  setProbeDefaults(container.readinessProbe);
  setProbeDefaults(container.startupProbe);
  if (container.lifecycle) {
    setHandlerDefaults(container.lifecycle.postStart);
    setHandlerDefaults(container.lifecycle.preStop);
  }
}

const defaultMode = 0o644;
const downwardItems = (items: Draft<v1.DownwardAPIVolumeFile>[] | undefined) => {
  for (const item of items ?? []) {
    if (item.fieldRef) item.fieldRef.apiVersion ||= 'v1';
    if (item.resourceFieldRef) item.resourceFieldRef.divisor ||= '0';
  }
};
function setVolumeDefaults(volume: Draft<v1.Volume>): void {
  let source = false;
  for (const key in volume) if (key !== 'name' && volume[key as keyof v1.Volume] !== undefined) { source = true; break; }
  if (!source) { volume.emptyDir = {}; return; }
  if (volume.secret) volume.secret.defaultMode ??= defaultMode;
  if (volume.configMap) volume.configMap.defaultMode ??= defaultMode;
  if (volume.downwardAPI) { volume.downwardAPI.defaultMode ??= defaultMode; downwardItems(volume.downwardAPI.items); }
  if (volume.projected) {
    volume.projected.defaultMode ??= defaultMode;
    for (const projection of volume.projected.sources ?? []) {
      if (projection.serviceAccountToken) projection.serviceAccountToken.expirationSeconds ??= 3600;
      if (projection.podCertificate) projection.podCertificate.maxExpirationSeconds ??= 86400;
      downwardItems(projection.downwardAPI?.items);
    }
  }
  if (volume.hostPath) volume.hostPath.type ??= '';
  if (volume.ephemeral?.volumeClaimTemplate) setPersistentVolumeClaimSpecDefaults(volume.ephemeral.volumeClaimTemplate.spec);
  if (volume.image) volume.image.pullPolicy ||= defaultPullPolicy(volume.image.reference ?? '');
  setSharedSourceDefaults(volume);
}
/** Sources that Volume and PersistentVolumeSpec have in common. */
function setSharedSourceDefaults(source: Draft<v1.Volume> | Draft<v1.PersistentVolumeSpec>): void {
  if (source.iscsi) source.iscsi.iscsiInterface ||= 'default';
  if (source.rbd) { source.rbd.pool ||= 'rbd'; source.rbd.user ||= 'admin'; source.rbd.keyring ||= '/etc/ceph/keyring'; }
  if (source.azureDisk) { source.azureDisk.cachingMode ??= 'ReadWrite'; source.azureDisk.kind ??= 'Shared'; source.azureDisk.fsType ??= 'ext4'; source.azureDisk.readOnly ??= false; }
  if (source.scaleIO) { source.scaleIO.storageMode ||= 'ThinProvisioned'; source.scaleIO.fsType ||= 'xfs'; }
}

/** Shared by pods and the templates of all workloads. */
export function setPodSpecDefaults(spec: Draft<v1.PodSpec>): void {
  spec.restartPolicy ||= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.securityContext ??= {};
  spec.schedulerName ||= 'default-scheduler';
  if (spec.volumes) for (const volume of spec.volumes) setVolumeDefaults(volume);
  if (spec.initContainers) for (const container of spec.initContainers) setContainerDefaults(container);
  for (const container of spec.containers ?? []) setContainerDefaults(container);
  if (spec.ephemeralContainers) for (const container of spec.ephemeralContainers) setContainerDefaults(container);
  if (spec.overhead) setResourceListDefaults(spec.overhead);
  if (spec.resources) { setResourceListDefaults(spec.resources.limits); setResourceListDefaults(spec.resources.requests); }
}

export function setPodTemplateDefaults(template: Draft<v1.PodTemplateSpec> | undefined): void {
  if (template?.spec) setPodSpecDefaults(template.spec);
}

function requestsFromLimits(resources: Draft<v1.ResourceRequirements> | undefined): void {
  if (!resources?.limits) return;
  for (const name in resources.limits) (resources.requests ??= {})[name] ??= resources.limits[name]!;
}
function hostPorts(containers: Draft<v1.Container>[] | undefined): void {
  for (const container of containers ?? []) for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
}

export function setPodDefaults(pod: Draft<v1.Pod>): void {
  pod.spec ??= { containers: [] };
  const { spec } = pod;
  setPodSpecDefaults(spec);
  for (const container of spec.containers ?? []) requestsFromLimits(container.resources);
  for (const container of spec.initContainers ?? []) requestsFromLimits(container.resources);
  if (spec.resources) podLevelRequests(spec);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork) { hostPorts(spec.containers); hostPorts(spec.initContainers); }
}

/** Pod-level requests come from the containers' where all have them, else from the pod's limits. KEP-2837. */
function podLevelRequests(spec: Draft<v1.PodSpec>): void {
  const resources = spec.resources!;
  if (!resources.limits) return;
  const containers = spec.containers ?? [];
  for (const name in resources.limits) {
    if (resources.requests?.[name] !== undefined) continue;
    const requested = containers.filter((container) => container.resources?.requests?.[name] !== undefined);
    if (requested.length > 0) {
      let nanos = 0n;
      let format = parseQuantity('0').format;
      for (const container of requested) {
        const quantity = tryParseQuantity(container.resources!.requests![name]);
        if (quantity) { nanos += quantity.nanos; format = quantity.format; }
      }
      (resources.requests ??= {})[name] = formatQuantity({ nanos, format });
    } else (resources.requests ??= {})[name] = resources.limits[name]!;
  }
}

export function setReplicationControllerDefaults(rc: Draft<v1.ReplicationController>): void {
  rc.spec ??= {};
  const labels = rc.spec.template?.metadata?.labels;
  if (labels) {
    if (Object.keys(rc.spec.selector ?? {}).length === 0) rc.spec.selector = { ...labels };
    if (Object.keys(rc.metadata.labels ?? {}).length === 0) rc.metadata.labels = { ...labels };
  }
  rc.spec.replicas ??= 1;
  setPodTemplateDefaults(rc.spec.template);
}
export function setPodTemplateObjectDefaults(object: Draft<v1.PodTemplate>): void { setPodTemplateDefaults(object.template); }

export function setServiceDefaults(service: Draft<v1.Service>): void {
  const spec = (service.spec ??= {});
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10800 } };
  }
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  const external = spec.type === 'LoadBalancer' || spec.type === 'NodePort' || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);
  if (external) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') {
    spec.allocateLoadBalancerNodePorts ??= true;
    for (const ingress of service.status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
  }
  (service.status ??= {}).loadBalancer ??= {};
}

export function setEndpointsDefaults(endpoints: Draft<v1.Endpoints>): void {
  for (const subset of endpoints.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
}
export function setSecretDefaults(secret: Draft<v1.Secret>): void {
  secret.type ||= 'Opaque';
  if (secret.stringData) { // write-only: it ends up in data
    for (const [key, value] of Object.entries(secret.stringData)) (secret.data ??= {})[key] = Buffer.from(value).toString('base64');
    delete secret.stringData;
  }
}
export function setNamespaceDefaults(namespace: Draft<v1.Namespace>): void {
  namespace.spec ??= {};
  // With generateName there is no name yet; prepareForCreate labels those.
  if (namespace.metadata.name) (namespace.metadata.labels ??= {})['kubernetes.io/metadata.name'] ??= namespace.metadata.name;
  (namespace.status ??= {}).phase ||= 'Active';
}
export function setNodeDefaults(node: Draft<v1.Node>): void {
  node.spec ??= {};
  if (!node.status) return;
  if (!node.status.allocatable && node.status.capacity) node.status.allocatable = { ...node.status.capacity };
  setResourceListDefaults(node.status.capacity);
  setResourceListDefaults(node.status.allocatable);
}
export function setPersistentVolumeDefaults(volume: Draft<v1.PersistentVolume>): void {
  const spec = (volume.spec ??= {});
  (volume.status ??= {}).phase ||= 'Pending';
  spec.persistentVolumeReclaimPolicy ||= 'Retain';
  spec.volumeMode ??= 'Filesystem';
  if (spec.hostPath) spec.hostPath.type ??= '';
  setResourceListDefaults(spec.capacity);
  setSharedSourceDefaults(spec);
}
export function setPersistentVolumeClaimSpecDefaults(spec: Draft<v1.PersistentVolumeClaimSpec>): void {
  spec.volumeMode ??= 'Filesystem';
  spec.resources ??= {};
  setResourceListDefaults(spec.resources.limits);
  setResourceListDefaults(spec.resources.requests);
}
export function setPersistentVolumeClaimDefaults(claim: Draft<v1.PersistentVolumeClaim>): void {
  (claim.status ??= {}).phase ||= 'Pending';
  setPersistentVolumeClaimSpecDefaults(claim.spec ??= {});
  setResourceListDefaults(claim.status.capacity);
}
export function setLimitRangeDefaults(limitRange: Draft<v1.LimitRange>): void {
  limitRange.spec ??= { limits: [] };
  for (const item of limitRange.spec.limits ?? []) {
    for (const list of [item.max, item.min, item.default, item.defaultRequest, item.maxLimitRequestRatio]) setResourceListDefaults(list);
    if (item.type !== 'Container') continue;
    for (const [name, value] of Object.entries(item.max ?? {})) (item.default ??= {})[name] ??= value;
    for (const [name, value] of Object.entries(item.default ?? {})) (item.defaultRequest ??= {})[name] ??= value;
    for (const [name, value] of Object.entries(item.min ?? {})) (item.defaultRequest ??= {})[name] ??= value;
  }
}
export function setResourceQuotaDefaults(quota: Draft<v1.ResourceQuota>): void {
  quota.spec ??= {};
  setResourceListDefaults(quota.spec.hard);
}
