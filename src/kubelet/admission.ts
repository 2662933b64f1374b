/**
 * Whether this node can take a pod it was given: upstream's kubelet runs the scheduler's node predicates once more, so that pods bound
 * by hand or by races fail visibly. A refused pod becomes Failed with the reason.
 */
import { compileNodeSelector } from '../api/core/node-selector.ts';
import type { Node, Pod } from '../api/core/v1.ts';
import type { KubeletConfig } from './config.ts';
import type { NodeAllocatable } from './fields.ts';
import { isStaticPod, uidOf } from './names.ts';
import { podRequests } from './resources.ts';

export interface Refusal { reason: string; message: string }

/** Namespaced sysctls that need no allowance. Text: kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster. */
const safeSysctls = new Set(['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']);

function matchesSelector(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value) && (!required || compileNodeSelector(required)(node));
}
const hostPorts = (pod: Pod): string[] => [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')]
  .flatMap((container) => (container.ports ?? []).filter(({ hostPort }) => hostPort).map((port) => `${port.protocol ?? 'TCP'}/${port.hostPort}/${port.hostIP ?? ''}`));

/** `others`: the pods that already run here. */
export function admit(pod: Pod, others: readonly Pod[], node: Node | undefined, allocatable: NodeAllocatable, config: KubeletConfig): Refusal | undefined {
  for (const { name } of pod.spec.securityContext?.sysctls ?? []) {
    const plain = name.replaceAll('/', '.');
    const allowed = config.allowedUnsafeSysctls.some((pattern) => (pattern.endsWith('*') ? plain.startsWith(pattern.slice(0, -1)) : plain === pattern));
    if (!safeSysctls.has(plain) && !allowed) return { reason: 'SysctlForbidden', message: `forbidden sysctl: "${name}" not allowlisted` };
  }
  if (isStaticPod(pod)) return undefined;
  if (pod.spec.os && pod.spec.os.name !== 'linux') return { reason: 'PodOSNotSupported', message: "Failed to admit pod as the OS field doesn't match node OS" };
  if (node && !matchesSelector(pod, node)) return { reason: 'NodeAffinity', message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" };
  const live = others.filter((other) => uidOf(other) !== uidOf(pod));
  if (live.length + 1 > config.maxPods) return { reason: 'OutOfpods', message: `Node didn't have enough resource: pods, requested: 1, used: ${live.length}, capacity: ${config.maxPods}` };
  const taken = new Set(live.flatMap(hostPorts));
  if (hostPorts(pod).some((port) => taken.has(port))) return { reason: 'NodePorts', message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" };
  const wanted = podRequests(pod);
  for (const [name, capacity] of [['cpu', allocatable.cpuMillis], ['memory', allocatable.memoryBytes], ['ephemeral-storage', allocatable.ephemeralStorageBytes]] as const) {
    const request = wanted[name] ?? 0;
    if (request === 0) continue;
    const used = live.reduce((sum, other) => sum + (podRequests(other)[name] ?? 0), 0);
    if (used + request > capacity) return { reason: `OutOf${name}`, message: `Node didn't have enough resource: ${name}, requested: ${request}, used: ${used}, capacity: ${capacity}` };
  }
  return undefined;
}
