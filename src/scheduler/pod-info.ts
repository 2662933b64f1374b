/** A pod with what the scheduler needs of it computed once. */
import type { Pod, Toleration, ContainerPort } from '../api/core/v1.ts';
import { keyOf } from '../client/informer.ts';
import { type Amounts, defaultCpuMillis, defaultMemoryBytes, podRequests } from './resources.ts';

export interface PodInfo {
  readonly pod: Pod;
  readonly key: string;
  readonly uid: string;
  readonly priority: number;
  /** What must be free on the node. */
  readonly requests: Amounts;
  /** cpu millis and memory bytes as scoring counts them, with defaults for containers that ask for nothing. */
  readonly scoredCpuMillis: number;
  readonly scoredMemoryBytes: number;
  readonly hostPorts: readonly HostPort[];
  readonly tolerations: readonly Toleration[];
}
export interface HostPort { protocol: string; ip: string; port: number }

const fill: Amounts = new Map([['cpu', defaultCpuMillis], ['memory', defaultMemoryBytes]]);

export function podInfoOf(pod: Pod): PodInfo {
  const scored = podRequests(pod, fill);
  return {
    pod, key: keyOf(pod), uid: pod.metadata.uid ?? keyOf(pod), priority: pod.spec.priority ?? 0, requests: podRequests(pod),
    scoredCpuMillis: scored.get('cpu') ?? 0, scoredMemoryBytes: scored.get('memory') ?? 0,
    hostPorts: hostPortsOf(pod), tolerations: pod.spec.tolerations ?? [],
  };
}

function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  return [...pod.spec.containers, ...sidecars].flatMap((container) => (container.ports ?? []).filter((port): port is ContainerPort & { hostPort: number } => (port.hostPort ?? 0) > 0)
    .map((port) => ({ protocol: port.protocol ?? 'TCP', ip: port.hostIP || '0.0.0.0', port: port.hostPort })));
}

/** Whether a pod is over: its resources are free. */
export function isTerminal(pod: Pod): boolean { return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'; }
