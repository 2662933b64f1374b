/**
 * The Pod Security Standards, by labels of the namespace: `enforce` refuses pods, `warn` and `audit` tell. Workloads are
 * checked by their template for warnings only. Source: kubernetes.io/docs/concepts/security/pod-security-standards; messages as
 * upstream's staging/src/k8s.io/pod-security-admission. Differs: versions are read as `latest`.
 */
import type { Container, Pod, PodSpec } from '../../api/core/v1.ts';
import type { ObjectMeta } from '../../api/meta/v1.ts';
import { namespaces } from '../../api/resources.ts';
import type { AdmissionPlugin } from '../types.ts';
import { find, refuse, type AdmissionDeps } from './plugin.ts';
import { mirrorAnnotation } from './service-account.ts';

export type Level = 'privileged' | 'baseline' | 'restricted';
const label = (mode: 'enforce' | 'warn' | 'audit') => `pod-security.kubernetes.io/${mode}`;

/** Where kinds keep the pod they make. */
const templates: Readonly<Record<string, readonly string[]>> = {
  '/podtemplates': ['template'], '/replicationcontrollers': ['spec', 'template'], 'apps/deployments': ['spec', 'template'], 'apps/replicasets': ['spec', 'template'], 'apps/daemonsets': ['spec', 'template'],
  'apps/statefulsets': ['spec', 'template'], 'batch/jobs': ['spec', 'template'], 'batch/cronjobs': ['spec', 'jobTemplate', 'spec', 'template'],
};

export function podSecurity(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(namespaces);
  return {
    name: 'PodSecurity',
    handles: (operation, names, subresource) => (operation === 'CREATE' || operation === 'UPDATE') && ((names.group === '' && names.plural === 'pods' && (subresource === '' || subresource === 'ephemeralcontainers'))
      || (subresource === '' && templates[`${names.group}/${names.plural}`] !== undefined)),
    async validate(attributes) {
      const namespace = await find(deps, namespaces, attributes.namespace);
      const labels = namespace?.metadata.labels;
      const level = (mode: 'enforce' | 'warn'): Level => { const value = labels?.[label(mode)]; return value === 'baseline' || value === 'restricted' ? value : 'privileged'; };
      const [enforce, warn] = [level('enforce'), level('warn')];
      if (enforce === 'privileged' && warn === 'privileged') return;
      const { names, object, oldObject } = attributes;
      const isPod = names.plural === 'pods';
      const subject = isPod ? object as unknown as Pod : templates[`${names.group}/${names.plural}`]!.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object) as Pod | undefined;
      if (!subject?.spec) return;
      if (isPod && oldObject && !changesMatter(subject, oldObject as unknown as Pod)) return;
      const version = (mode: 'enforce' | 'warn') => labels?.[`${label(mode)}-version`] ?? 'latest';
      if (isPod && enforce !== 'privileged') {
        const violations = violationsOf(enforce, subject.spec, subject.metadata);
        if (violations.length > 0) throw refuse(attributes, `violates PodSecurity "${enforce}:${version('enforce')}": ${violations.join(', ')}`);
      }
      if (warn !== 'privileged') {
        const violations = violationsOf(warn, subject.spec, subject.metadata);
        if (violations.length > 0) attributes.warn(`would violate PodSecurity "${warn}:${version('warn')}": ${violations.join(', ')}`);
      }
    },
  };
}

/** Updates of a pod are judged where they may change the verdict: images, ephemeral containers, the annotations that name profiles. */
function changesMatter(next: Pod, old: Pod): boolean {
  const view = ({ spec, metadata }: Pod) => JSON.stringify([[...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ image }) => image), spec?.ephemeralContainers,
    Object.entries(metadata.annotations ?? {}).filter(([key]) => key.startsWith('container.apparmor.security.beta.kubernetes.io/')), spec?.securityContext]);
  return metadataIsOrdinary(next) && view(next) !== view(old);
}
const metadataIsOrdinary = ({ metadata }: Pod): boolean => metadata.annotations?.[mirrorAnnotation] === undefined;

type Check = (spec: PodSpec, metadata: ObjectMeta | undefined) => string | undefined;
const q = JSON.stringify;

/** What the level does not allow, in upstream's words and order. Empty: it passes. */
export function violationsOf(level: Level, spec: PodSpec, metadata?: ObjectMeta): string[] {
  if (level === 'privileged') return [];
  const restricted = level === 'restricted';
  const checks = [...baseline.filter(({ name }) => !restricted || !replacedByRestricted.has(name)), ...(restricted ? restrictedChecks : [])];
  return checks.map(({ run }) => run(spec, metadata)).filter((text) => text !== undefined);
}

function containersOf(spec: PodSpec): Container[] { return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])] as Container[]; }
/** `container "a"` or `containers "a", "b"`. */
function listed(names: readonly string[], one = 'container', many = 'containers'): string { return `${names.length === 1 ? one : many} ${names.map((name) => q(name)).join(', ')}`; }
function bad(spec: PodSpec, test: (container: Container) => boolean): string[] { return containersOf(spec).filter(test).map(({ name }) => name); }
/** Pod and containers that are at fault: `pod and container "a" must not set …`. */
function blame(pod: boolean, containers: readonly string[]): string { return [...(pod ? ['pod'] : []), ...(containers.length > 0 ? [listed(containers)] : [])].join(' and '); }

const baselineCapabilities = new Set(['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']);
const safeSysctls = new Set(['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']);
const selinuxTypes = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']);
const restrictedVolumes = new Set(['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret']);

const baseline: readonly { name: string; run: Check }[] = [
  { name: 'appArmorProfile', run: (spec, metadata) => {
    const values = [spec.securityContext?.appArmorProfile?.type, ...containersOf(spec).map(({ securityContext }) => securityContext?.appArmorProfile?.type)].filter((type) => type === 'Unconfined');
    const annotations = Object.entries(metadata?.annotations ?? {}).filter(([key, value]) => key.startsWith('container.apparmor.security.beta.kubernetes.io/') && value !== '' && value !== 'runtime/default' && !value.startsWith('localhost/'));
    return values.length + annotations.length > 0 ? `forbidden AppArmor profile${annotations.length + values.length > 1 ? 's' : ''} (${[...annotations.map(([key, value]) => `${key}=${q(value)}`), ...values.map(() => 'appArmorProfile.type="Unconfined"')].join(', ')})` : undefined;
  } },
  { name: 'capabilities_baseline', run: (spec) => {
    const at = bad(spec, ({ securityContext }) => (securityContext?.capabilities?.add ?? []).some((one) => !baselineCapabilities.has(one)));
    const which = [...new Set(containersOf(spec).flatMap(({ securityContext }) => (securityContext?.capabilities?.add ?? []).filter((one) => !baselineCapabilities.has(one))))].sort();
    return at.length > 0 ? `non-default capabilities (${listed(at)} must not include ${which.map((one) => q(one)).join(', ')} in securityContext.capabilities.add)` : undefined;
  } },
  { name: 'hostNamespaces', run: (spec) => {
    const set = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => spec[name]);
    return set.length > 0 ? `host namespaces (${set.map((name) => `${name}=true`).join(', ')})` : undefined;
  } },
  { name: 'hostPathVolumes', run: (spec) => {
    const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => name);
    return names.length > 0 ? `hostPath volumes (${listed(names, 'volume', 'volumes')})` : undefined;
  } },
  { name: 'hostPorts', run: (spec) => {
    const at = bad(spec, ({ ports }) => (ports ?? []).some(({ hostPort }) => hostPort));
    const ports = [...new Set(containersOf(spec).flatMap(({ ports: all }) => (all ?? []).flatMap(({ hostPort }) => hostPort || [])))].sort((a, b) => a - b);
    return at.length > 0 ? `hostPort (${listed(at)} ${at.length === 1 ? 'uses' : 'use'} ${ports.length === 1 ? 'hostPort' : 'hostPorts'} ${ports.join(', ')})` : undefined;
  } },
  { name: 'privileged', run: (spec) => {
    const at = bad(spec, ({ securityContext }) => securityContext?.privileged === true);
    return at.length > 0 ? `privileged (${listed(at)} must not set securityContext.privileged=true)` : undefined;
  } },
  { name: 'procMount', run: (spec) => {
    const wrong = ({ securityContext }: Container) => securityContext?.procMount !== undefined && securityContext.procMount !== 'Default' && spec.hostUsers !== false;
    const at = bad(spec, wrong);
    return at.length > 0 ? `procMount (${listed(at)} must not set securityContext.procMount to ${[...new Set(containersOf(spec).filter(wrong).map(({ securityContext }) => q(securityContext!.procMount)))].join(', ')})` : undefined;
  } },
  { name: 'seLinuxOptions', run: (spec) => {
    type Options = { readonly type?: string; readonly user?: string; readonly role?: string } | undefined;
    const wrong = (options: Options) => options !== undefined && (!selinuxTypes.has(options.type ?? '') || Boolean(options.user) || Boolean(options.role));
    const all: Options[] = [spec.securityContext?.seLinuxOptions, ...containersOf(spec).map(({ securityContext }) => securityContext?.seLinuxOptions)];
    const at = bad(spec, ({ securityContext }) => wrong(securityContext?.seLinuxOptions));
    const parts = [...new Set(all.filter(wrong).flatMap((options) => [...(!selinuxTypes.has(options!.type ?? '') ? [`type ${q(options!.type)}`] : []), ...(options!.user ? ['user may not be set'] : []), ...(options!.role ? ['role may not be set'] : [])]))];
    return parts.length > 0 ? `seLinuxOptions (${blame(wrong(spec.securityContext?.seLinuxOptions), at)} set forbidden securityContext.seLinuxOptions: ${parts.join('; ')})` : undefined;
  } },
  { name: 'seccompProfile_baseline', run: (spec) => {
    const at = bad(spec, ({ securityContext }) => securityContext?.seccompProfile?.type === 'Unconfined');
    const pod = spec.securityContext?.seccompProfile?.type === 'Unconfined';
    return pod || at.length > 0 ? `seccompProfile (${blame(pod, at)} must not set securityContext.seccompProfile.type to "Unconfined")` : undefined;
  } },
  { name: 'sysctls', run: (spec) => {
    const names = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !safeSysctls.has(name));
    return names.length > 0 ? `forbidden sysctls (${names.join(', ')})` : undefined;
  } },
  { name: 'windowsHostProcess', run: (spec) => {
    const at = bad(spec, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true);
    const pod = spec.securityContext?.windowsOptions?.hostProcess === true;
    return pod || at.length > 0 ? `hostProcess (${blame(pod, at)} must not set securityContext.windowsOptions.hostProcess=true)` : undefined;
  } },
];

const replacedByRestricted = new Set(['capabilities_baseline', 'seccompProfile_baseline', 'hostPathVolumes']);
const isWindows = (spec: PodSpec): boolean => spec.os?.name === 'windows';

const restrictedChecks: readonly { name: string; run: Check }[] = [
  { name: 'allowPrivilegeEscalation', run: (spec) => {
    if (isWindows(spec)) return undefined;
    const at = bad(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
    return at.length > 0 ? `allowPrivilegeEscalation != false (${listed(at)} must set securityContext.allowPrivilegeEscalation=false)` : undefined;
  } },
  { name: 'capabilities_restricted', run: (spec) => {
    if (isWindows(spec)) return undefined;
    const noDrop = bad(spec, ({ securityContext }) => !securityContext?.capabilities?.drop?.includes('ALL'));
    const adds = bad(spec, ({ securityContext }) => (securityContext?.capabilities?.add ?? []).some((one) => one !== 'NET_BIND_SERVICE'));
    const which = [...new Set(containersOf(spec).flatMap(({ securityContext }) => (securityContext?.capabilities?.add ?? []).filter((one) => one !== 'NET_BIND_SERVICE')))].sort();
    const parts = [...(noDrop.length > 0 ? [`${listed(noDrop)} must set securityContext.capabilities.drop=["ALL"]`] : []), ...(adds.length > 0 ? [`${listed(adds)} must not include ${which.map((one) => q(one)).join(', ')} in securityContext.capabilities.add`] : [])];
    return parts.length > 0 ? `unrestricted capabilities (${parts.join('; ')})` : undefined;
  } },
  { name: 'restrictedVolumes', run: (spec) => {
    const wrong = (spec.volumes ?? []).map((volume) => ({ name: volume.name, type: Object.keys(volume).find((key) => key !== 'name' && (volume as unknown as Record<string, unknown>)[key] !== undefined) ?? 'unknown' })).filter(({ type }) => !restrictedVolumes.has(type));
    const types = [...new Set(wrong.map(({ type }) => type))].sort();
    return wrong.length > 0 ? `restricted volume types (${listed(wrong.map(({ name }) => name), 'volume', 'volumes')} ${wrong.length === 1 ? 'uses' : 'use'} restricted volume ${types.length === 1 ? 'type' : 'types'} ${types.map((type) => q(type)).join(', ')})` : undefined;
  } },
  { name: 'runAsNonRoot', run: (spec) => {
    if (spec.hostUsers === false) return undefined;
    const pod = spec.securityContext?.runAsNonRoot;
    const explicit = bad(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false);
    const implicit = bad(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined && pod !== true);
    if (explicit.length > 0 || (pod === false && implicit.length > 0)) return `runAsNonRoot != true (${blame(pod === false, explicit)} must not set securityContext.runAsNonRoot=false)`;
    return implicit.length > 0 ? `runAsNonRoot != true (pod or ${listed(implicit)} must set securityContext.runAsNonRoot=true)` : undefined;
  } },
  { name: 'runAsUser', run: (spec) => {
    if (spec.hostUsers === false) return undefined;
    const at = bad(spec, ({ securityContext }) => securityContext?.runAsUser === 0);
    const pod = spec.securityContext?.runAsUser === 0;
    return pod || at.length > 0 ? `runAsUser=0 (${blame(pod, at)} must not set runAsUser=0)` : undefined;
  } },
  { name: 'seccompProfile_restricted', run: (spec) => {
    if (isWindows(spec)) return undefined;
    const good = (type: string | undefined) => type === 'RuntimeDefault' || type === 'Localhost';
    const pod = spec.securityContext?.seccompProfile?.type;
    const explicit = bad(spec, ({ securityContext }) => securityContext?.seccompProfile?.type !== undefined && !good(securityContext.seccompProfile.type));
    const implicit = bad(spec, ({ securityContext }) => securityContext?.seccompProfile?.type === undefined && !good(pod));
    const podBad = pod !== undefined && !good(pod);
    if (explicit.length > 0 || (podBad && implicit.length > 0)) return `seccompProfile (${blame(podBad, explicit)} must not set securityContext.seccompProfile.type to "Unconfined")`;
    return implicit.length > 0 ? `seccompProfile (pod or ${listed(implicit)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")` : undefined;
  } },
];
