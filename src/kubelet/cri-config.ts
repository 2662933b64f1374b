/**
 * Pod and container specs → CRI's sandbox and container configurations. Behaviour: upstream pkg/kubelet/kuberuntime.
 */
import type { Container, EphemeralContainer, Pod } from '../api/core/v1.ts';
import { annotations, labels, podLogDir, uidOf } from './names.ts';
import { containerHash } from './container-hash.ts';
import { expand } from './expand.ts';
import { containerLinuxResources, cpuMillis, milliCpuToQuota, milliCpuToShares, podRequests, cpuPeriodMicros } from './resources.ts';
import { noteResources, resourcesAnnotation } from './resize.ts';
import type { ContainerConfig, Image, LinuxContainerResources, Mount, PodSandboxConfig } from './runtime/runtime.ts';
import { containerSecurityContext, sandboxSecurityContext } from './security.ts';
import { type DnsResult, utsHostname } from './pod-network-files.ts';
import type { KubeletConfig } from './config.ts';

export interface NodeFacts { nodeName: string; memoryBytes: number }
export type AnyContainer = Container & { readonly targetContainerName?: string };

const podLabels = (pod: Pod) => ({ [labels.podName]: pod.metadata.name, [labels.podNamespace]: pod.metadata.namespace ?? '', [labels.podUid]: uidOf(pod) });

function summed(amounts: Record<string, number>, limits: Record<string, number>): LinuxContainerResources {
  return { cpuShares: milliCpuToShares(amounts.cpu ?? 0), cpuPeriod: cpuPeriodMicros, cpuQuota: milliCpuToQuota(limits.cpu ?? 0), memoryLimitInBytes: limits.memory ?? 0 };
}

export function sandboxConfig(pod: Pod, attempt: number, dns: DnsResult, cgroupParent: string, config: KubeletConfig, node: NodeFacts): PodSandboxConfig {
  const ports = pod.spec.hostNetwork ? [] : [...(pod.spec.initContainers ?? []).filter((item) => item.restartPolicy === 'Always'), ...pod.spec.containers].flatMap((container) => container.ports ?? []);
  const overhead = pod.spec.overhead;
  return {
    metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace ?? '', uid: uidOf(pod), attempt },
    hostname: utsHostname(pod, config.clusterDomain, node.nodeName), logDirectory: podLogDir(config.podLogsDir, pod),
    dnsConfig: { servers: dns.servers, searches: dns.searches, options: dns.options },
    portMappings: ports.filter((port) => port.hostPort).map((port) => ({ protocol: (port.protocol ?? 'TCP') as 'TCP', containerPort: port.containerPort, hostPort: port.hostPort!, ...(port.hostIP ? { hostIp: port.hostIP } : {}) })),
    labels: { ...pod.metadata.labels, ...podLabels(pod) }, annotations: { ...pod.metadata.annotations },
    linux: {
      ...(cgroupParent ? { cgroupParent } : {}), securityContext: sandboxSecurityContext(pod, `${config.rootDir}/seccomp`),
      sysctls: Object.fromEntries((pod.spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name.replaceAll('/', '.'), value])),
      resources: summed(podRequests(pod), podRequests(pod, 'limits')),
      ...(overhead ? { overhead: { cpuShares: milliCpuToShares(cpuMillis(overhead.cpu ?? '0')) } } : {}),
    },
  };
}

export interface ContainerInputs {
  image: string;
  imageInfo: Image | undefined;
  attempt: number;
  env: readonly { key: string; value: string }[];
  mounts: readonly Mount[];
  /** For an ephemeral container: the id of the container whose processes it sees. */
  targetId?: string | undefined;
}

export function containerConfig(pod: Pod, container: Container | EphemeralContainer, inputs: ContainerInputs, config: KubeletConfig, node: NodeFacts): ContainerConfig {
  const scope = new Map(inputs.env.map(({ key, value }) => [key, value]));
  const fill = (text: string) => expand(text, (name) => scope.get(name));
  const linux = containerLinuxResources(pod, container as Container, node.memoryBytes);
  const stop = container.lifecycle?.stopSignal;
  return {
    metadata: { name: container.name, attempt: inputs.attempt },
    image: { image: inputs.image, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map(fill), args: (container.args ?? []).map(fill), workingDir: container.workingDir ?? '',
    envs: inputs.env, mounts: inputs.mounts, stdin: container.stdin ?? false, stdinOnce: container.stdinOnce ?? false, tty: container.tty ?? false,
    labels: { ...podLabels(pod), [labels.containerName]: container.name },
    annotations: {
      [annotations.containerHash]: containerHash(container), [annotations.restartCount]: String(inputs.attempt),
      [resourcesAnnotation]: noteResources(container as Container),
      [annotations.terminationMessagePath]: container.terminationMessagePath ?? '/dev/termination-log', [annotations.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
      ...(pod.metadata.deletionGracePeriodSeconds !== undefined ? { [annotations.podDeletionGracePeriod]: String(pod.metadata.deletionGracePeriodSeconds) } : {}),
      ...(pod.spec.terminationGracePeriodSeconds !== undefined ? { [annotations.podTerminationGracePeriod]: String(pod.spec.terminationGracePeriodSeconds) } : {}),
      ...(container.lifecycle?.preStop ? { [annotations.preStopHandler]: JSON.stringify(container.lifecycle.preStop) } : {}),
      ...(container.ports?.length ? { [annotations.ports]: JSON.stringify(container.ports) } : {}),
    },
    logPath: `${container.name}/${inputs.attempt}.log`,
    linux: {
      resources: { cpuShares: linux.cpuShares, cpuPeriod: linux.cpuPeriod, cpuQuota: linux.cpuQuota, memoryLimitInBytes: linux.memoryLimitBytes, oomScoreAdj: linux.oomScoreAdj, hugepageLimits: linux.hugepageLimits },
      securityContext: containerSecurityContext(pod, container, inputs.imageInfo, `${config.rootDir}/seccomp`, inputs.targetId),
    },
    ...(stop ? { stopSignal: stop } : {}),
  };
}
