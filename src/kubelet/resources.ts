/**
 * Requests, limits and QoS of pods, and their translation into Linux terms (cpu shares, quota, oom_score_adj).
 * Text: kubernetes.io/docs/concepts/workloads/pods/pod-qos; figures: upstream pkg/kubelet/{qos,cm}.
 */
import type { Container, Pod } from '../api/core/v1.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';
type Resources = Readonly<Record<string, string>>;

const suffixes: Readonly<Record<string, number>> = {
  '': 1, n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};
/** '500m' → 0.5; '1Gi' → 1073741824; '1e3' → 1000. NaN for what is no quantity. Exact enough for the node's own sums. */
export function quantityNumber(text: string | number | undefined): number {
  if (text === undefined) return 0;
  const match = /^([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([a-zA-Z]*))$/.exec(String(text));
  if (!match) return NaN;
  const base = Number(match[1]) * (match[2] ? 10 ** Number(match[2].slice(1)) : 1);
  const scale = suffixes[match[3] ?? ''];
  return scale === undefined ? NaN : scale < 1 ? base / Math.round(1 / scale) : base * scale;
}
export const cpuMillis = (text: string | undefined): number => Math.ceil(quantityNumber(text) * 1000 - 1e-9);
export const bytesOf = (text: string | undefined): number => Math.ceil(quantityNumber(text));

export function isSidecar(container: Container): boolean { return container.restartPolicy === 'Always'; }

/** Upstream's ComputePodQOS: only cpu and memory count. */
export function qosClass(pod: Pod): QosClass {
  const sources = pod.spec.resources && (pod.spec.resources.requests || pod.spec.resources.limits)
    ? [pod.spec.resources] : [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((container) => container.resources ?? {});
  let any = false;
  let guaranteed = true;
  for (const { requests = {}, limits = {} } of sources) {
    for (const name of ['cpu', 'memory'] as const) {
      const request = quantityNumber(requests[name] ?? limits[name]);
      const limit = quantityNumber(limits[name]);
      if (request > 0 || limit > 0) any = true;
      if (!(limit > 0) || request !== limit) guaranteed = false;
    }
  }
  return !any ? 'BestEffort' : guaranteed ? 'Guaranteed' : 'Burstable';
}

/** What the pod asks of a node: sum of containers and sidecars, or the largest init step, plus overhead. cpu in millis, the rest as numbers. */
export function podRequests(pod: Pod, which: 'requests' | 'limits' = 'requests'): Record<string, number> {
  const value = (name: string, text: string) => (name === 'cpu' ? cpuMillis(text) : bytesOf(text));
  const of = (container: Container): Record<string, number> => {
    const list: Resources = which === 'requests' ? { ...container.resources?.limits, ...container.resources?.requests } : container.resources?.limits ?? {};
    return Object.fromEntries(Object.entries(list).map(([name, text]) => [name, value(name, text)]));
  };
  const total: Record<string, number> = {};
  const add = (into: Record<string, number>, more: Record<string, number>) => { for (const [name, amount] of Object.entries(more)) into[name] = (into[name] ?? 0) + amount; };
  for (const container of pod.spec.containers) add(total, of(container));
  const sidecars: Record<string, number> = {};
  const initMax: Record<string, number> = {};
  for (const container of pod.spec.initContainers ?? []) {
    const own = of(container);
    if (isSidecar(container)) { add(total, own); add(sidecars, own); }
    const step = isSidecar(container) ? { ...sidecars } : { ...sidecars };
    if (!isSidecar(container)) add(step, own);
    for (const [name, amount] of Object.entries(step)) initMax[name] = Math.max(initMax[name] ?? 0, amount);
  }
  for (const [name, amount] of Object.entries(initMax)) total[name] = Math.max(total[name] ?? 0, amount);
  const podLevel = pod.spec.resources?.[which];
  for (const [name, text] of Object.entries(podLevel ?? {})) total[name] = value(name, text);
  if (pod.spec.overhead) add(total, Object.fromEntries(Object.entries(pod.spec.overhead).map(([name, text]) => [name, value(name, text)])));
  return total;
}

const minShares = 2;
const maxShares = 262_144;
/** cgroup v1 cpu.shares: 1024 per CPU. */
export function milliCpuToShares(millis: number): number {
  return millis === 0 ? minShares : Math.min(maxShares, Math.max(minShares, Math.floor((millis * 1024) / 1000)));
}
export const cpuPeriodMicros = 100_000;
/** CFS quota in µs per period; 0: none. */
export function milliCpuToQuota(millis: number, period = cpuPeriodMicros): number {
  return millis <= 0 ? 0 : Math.max(1000, Math.floor((millis * period) / 1000));
}

/** -997 guaranteed and critical, 1000 best effort, between by memory request. */
export function oomScoreAdj(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  if ((pod.spec.priority ?? 0) >= 2_000_000_000) return -997;
  const qos = qosClass(pod);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const request = bytesOf(container.resources?.requests?.memory ?? container.resources?.limits?.memory);
  const adjust = 1000 - Math.floor((1000 * request) / Math.max(1, nodeMemoryBytes));
  return adjust < 3 ? 3 : adjust === 1000 ? 999 : adjust;
}

export interface LinuxResources { cpuShares: number; cpuPeriod: number; cpuQuota: number; memoryLimitBytes: number; oomScoreAdj: number; hugepageLimits: { pageSize: string; limit: number }[] }
export function containerLinuxResources(pod: Pod, container: Container, nodeMemoryBytes: number): LinuxResources {
  const { requests = {}, limits = {} } = container.resources ?? {};
  const request = requests.cpu !== undefined ? cpuMillis(requests.cpu) : cpuMillis(limits.cpu ?? '0');
  return {
    cpuShares: milliCpuToShares(request), cpuPeriod: cpuPeriodMicros, cpuQuota: milliCpuToQuota(cpuMillis(limits.cpu ?? '0')),
    memoryLimitBytes: limits.memory === undefined ? 0 : bytesOf(limits.memory), oomScoreAdj: oomScoreAdj(pod, container, nodeMemoryBytes),
    hugepageLimits: Object.entries(limits).filter(([name]) => name.startsWith('hugepages-')).map(([name, text]) => ({ pageSize: `${name.slice(10)}B`.replace('iB', 'B'), limit: bytesOf(text) })),
  };
}

/** Limits of the pod's own cgroup; undefined where some container is unlimited. */
export function podCgroupLimits(pod: Pod): { cpuShares: number; cpuQuota?: number; memoryBytes?: number } {
  const requests = podRequests(pod);
  const limits = podRequests(pod, 'limits');
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const everyOne = (name: 'cpu' | 'memory') => pod.spec.resources?.limits?.[name] !== undefined || containers.every((container) => container.resources?.limits?.[name] !== undefined);
  const qos = qosClass(pod);
  if (qos === 'BestEffort') return { cpuShares: minShares };
  return {
    cpuShares: milliCpuToShares(requests.cpu ?? 0),
    ...(everyOne('cpu') && limits.cpu ? { cpuQuota: milliCpuToQuota(limits.cpu) } : {}),
    ...(everyOne('memory') && limits.memory ? { memoryBytes: limits.memory } : {}),
  };
}
