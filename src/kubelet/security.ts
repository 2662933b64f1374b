/** securityContext of pod and container → CRI. Behaviour: upstream pkg/kubelet/kuberuntime/security_context.go and pkg/securitycontext. */
import type { Container, EphemeralContainer, Pod, SeccompProfile, AppArmorProfile, SecurityContext } from '../api/core/v1.ts';
import type { Image, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceOption, SecurityProfile } from './runtime/runtime.ts';
import { ConfigError } from './environment.ts';
import { formatPod } from './names.ts';

/** /proc paths hidden or read-only unless procMount is Unmasked. Source: pkg/securitycontext/util.go. */
const maskedPaths = ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function effectiveSecurityContext(pod: Pod, container: Container | EphemeralContainer): SecurityContext {
  const own = container.securityContext ?? {};
  const shared = pod.spec.securityContext ?? {};
  const runAsUser = own.runAsUser ?? shared.runAsUser;
  const runAsGroup = own.runAsGroup ?? shared.runAsGroup;
  const runAsNonRoot = own.runAsNonRoot ?? shared.runAsNonRoot;
  const seccompProfile = own.seccompProfile ?? shared.seccompProfile;
  const appArmorProfile = own.appArmorProfile ?? shared.appArmorProfile;
  const seLinuxOptions = own.seLinuxOptions ?? shared.seLinuxOptions;
  return { ...own, ...(runAsUser === undefined ? {} : { runAsUser }), ...(runAsGroup === undefined ? {} : { runAsGroup }), ...(runAsNonRoot === undefined ? {} : { runAsNonRoot }),
    ...(seccompProfile ? { seccompProfile } : {}), ...(appArmorProfile ? { appArmorProfile } : {}), ...(seLinuxOptions ? { seLinuxOptions } : {}) };
}

export function namespaces(pod: Pod, targetId?: string): NamespaceOption {
  return {
    network: pod.spec.hostNetwork ? 'NODE' : 'POD', ipc: pod.spec.hostIPC ? 'NODE' : 'POD',
    ...(targetId ? { pid: 'TARGET' as const, targetId } : { pid: pod.spec.hostPID ? 'NODE' as const : pod.spec.shareProcessNamespace ? 'POD' as const : 'CONTAINER' as const }),
  };
}

function profile(spec: SeccompProfile | AppArmorProfile | undefined, seccompRoot: string | undefined): SecurityProfile | undefined {
  if (!spec) return undefined;
  if (spec.type !== 'Localhost') return { profileType: spec.type as 'RuntimeDefault' | 'Unconfined' };
  const name = spec.localhostProfile ?? '';
  return { profileType: 'Localhost', localhostRef: seccompRoot === undefined ? name : `${seccompRoot}/${name}` };
}

function groups(pod: Pod): number[] {
  const { fsGroup, supplementalGroups = [] } = pod.spec.securityContext ?? {};
  return [...(fsGroup === undefined ? [] : [fsGroup]), ...supplementalGroups];
}
const policy = (pod: Pod) => pod.spec.securityContext?.supplementalGroupsPolicy as 'Merge' | 'Strict' | undefined;

export function sandboxSecurityContext(pod: Pod, seccompRoot: string): LinuxSandboxSecurityContext {
  const shared = pod.spec.securityContext ?? {};
  const privileged = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some((container) => container.securityContext?.privileged);
  const appArmor = profile(shared.appArmorProfile, undefined);
  return {
    namespaceOptions: namespaces(pod), privileged, supplementalGroups: groups(pod), ...(policy(pod) ? { supplementalGroupsPolicy: policy(pod)! } : {}),
    ...(shared.runAsUser === undefined ? {} : { runAsUser: shared.runAsUser }), ...(shared.runAsGroup === undefined || shared.runAsUser === undefined ? {} : { runAsGroup: shared.runAsGroup }),
    ...(shared.seLinuxOptions ? { selinuxOptions: shared.seLinuxOptions } : {}),
    seccomp: profile(shared.seccompProfile, seccompRoot) ?? { profileType: 'RuntimeDefault' }, ...(appArmor ? { apparmor: appArmor } : {}),
  };
}

/** `image` tells the user when the pod doesn't. Throws ConfigError when runAsNonRoot is not met. */
export function containerSecurityContext(pod: Pod, container: Container | EphemeralContainer, image: Pick<Image, 'uid' | 'username'> | undefined, seccompRoot: string, targetId?: string): LinuxContainerSecurityContext {
  const context = effectiveSecurityContext(pod, container);
  verifyNonRoot(pod, container, context, image);
  const user: LinuxContainerSecurityContext = context.runAsUser !== undefined ? { runAsUser: context.runAsUser }
    : image?.uid !== undefined ? { runAsUser: image.uid } : image?.username ? { runAsUsername: image.username } : {};
  const appArmor = profile(context.appArmorProfile, undefined);
  const unmasked = context.procMount === 'Unmasked' || context.privileged === true;
  return {
    ...user, ...(context.runAsGroup === undefined ? {} : { runAsGroup: context.runAsGroup }),
    capabilities: { addCapabilities: context.capabilities?.add ?? [], dropCapabilities: context.capabilities?.drop ?? [] },
    privileged: context.privileged ?? false, readonlyRootfs: context.readOnlyRootFilesystem ?? false, noNewPrivs: context.allowPrivilegeEscalation === false,
    namespaceOptions: namespaces(pod, targetId), supplementalGroups: groups(pod), ...(policy(pod) ? { supplementalGroupsPolicy: policy(pod)! } : {}),
    ...(context.seLinuxOptions ? { selinuxOptions: context.seLinuxOptions } : {}),
    maskedPaths: unmasked ? [] : maskedPaths, readonlyPaths: unmasked ? [] : readonlyPaths,
    seccomp: profile(context.seccompProfile, seccompRoot) ?? { profileType: 'Unconfined' }, ...(appArmor ? { apparmor: appArmor } : {}),
  };
}

function verifyNonRoot(pod: Pod, container: Container | EphemeralContainer, context: SecurityContext, image: Pick<Image, 'uid' | 'username'> | undefined): void {
  if (!context.runAsNonRoot) return;
  const where = `(pod: "${formatPod(pod)}", container: ${container.name})`;
  if (context.runAsUser !== undefined) {
    if (context.runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${where}`);
    return;
  }
  if (image?.username && image.uid === undefined) throw new ConfigError(`container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`);
  if ((image?.uid ?? 0) === 0) throw new ConfigError(`container has runAsNonRoot and image will run as root ${where}`);
}
