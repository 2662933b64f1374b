/** What the node and its containers use: /stats/summary for people and autoscalers, /metrics/resource for metrics-server. Shapes: upstream kubelet/pkg/apis/stats/v1alpha1. */
import { type Clock, timestamp } from '../../base/clock.ts';
import type { Host } from '../host.ts';
import { labels } from '../names.ts';
import type { ContainerStats, Runtime } from '../runtime/runtime.ts';

interface Cpu { time: string; usageNanoCores: number; usageCoreNanoSeconds: number }
interface Memory { time: string; availableBytes?: number; usageBytes: number; workingSetBytes: number; rssBytes: number; pageFaults: number; majorPageFaults: number }
interface ContainerSummary { name: string; startTime: string; cpu: Cpu; memory: Memory; rootfs?: { time: string; usedBytes: number; inodesUsed: number } }
interface PodSummary { podRef: { name: string; namespace: string; uid: string }; startTime: string; containers: ContainerSummary[]; cpu: Cpu; memory: Memory }
export interface Summary { node: { nodeName: string; startTime: string; cpu: Cpu; memory: Memory; fs: object }; pods: PodSummary[] }
export interface StatsProvider { summary(): Promise<Summary>; resourceMetrics(): Promise<string> }

/** Kernel ticks per second, fixed on Linux for user space. */
const ticksPerSecond = 100;

export function createStats(options: { runtime: Runtime; host: Host; clock: Clock; nodeName: string; startedAtMs: number }): StatsProvider {
  const { runtime, host, clock, nodeName, startedAtMs } = options;
  /** The sample before, to tell cores in use where the runtime gives totals only. */
  const last = new Map<string, { at: number; total: number; rate: number }>();

  function rate(id: string, total: number, given: number | undefined, at: number): number {
    const before = last.get(id);
    const value = given ?? (before && at > before.at ? Math.max(0, Math.round((total - before.total) / ((at - before.at) / 1000))) : before?.rate ?? 0);
    if (!before || at > before.at) last.set(id, { at, total, rate: value });
    return value;
  }
  function container(stats: ContainerStats, startTime: string): ContainerSummary {
    const at = stats.cpu?.timestampMs ?? clock.now();
    const total = stats.cpu?.usageCoreNanoSeconds ?? 0;
    const { memory = { timestampMs: at } } = stats;
    return {
      name: stats.attributes.labels[labels.containerName] ?? stats.attributes.metadata.name, startTime,
      cpu: { time: timestamp(at), usageNanoCores: rate(stats.attributes.id, total, stats.cpu?.usageNanoCores, at), usageCoreNanoSeconds: total },
      memory: { time: timestamp(memory.timestampMs), usageBytes: memory.usageBytes ?? memory.workingSetBytes ?? 0, workingSetBytes: memory.workingSetBytes ?? 0, rssBytes: memory.rssBytes ?? 0, pageFaults: memory.pageFaults ?? 0, majorPageFaults: memory.majorPageFaults ?? 0 },
      ...(stats.writableLayer ? { rootfs: { time: timestamp(stats.writableLayer.timestampMs), usedBytes: stats.writableLayer.usedBytes ?? 0, inodesUsed: stats.writableLayer.inodesUsed ?? 0 } } : {}),
    };
  }
  const sum = (items: readonly ContainerSummary[], time: string): { cpu: Cpu; memory: Memory } => {
    const add = (pick: (item: ContainerSummary) => number) => items.reduce((total, item) => total + pick(item), 0);
    return {
      cpu: { time, usageNanoCores: add((item) => item.cpu.usageNanoCores), usageCoreNanoSeconds: add((item) => item.cpu.usageCoreNanoSeconds) },
      memory: { time, usageBytes: add((item) => item.memory.usageBytes), workingSetBytes: add((item) => item.memory.workingSetBytes), rssBytes: add((item) => item.memory.rssBytes), pageFaults: add((item) => item.memory.pageFaults), majorPageFaults: add((item) => item.memory.majorPageFaults) },
    };
  };

  async function summary(): Promise<Summary> {
    const [stats, machine, procStat, meminfo, list] = await Promise.all([runtime.listContainerStats(), host.machine(), host.readFile('/proc/stat'), host.readFile('/proc/meminfo'), runtime.listContainers({ state: 'CONTAINER_RUNNING' })]);
    const now = clock.now();
    const time = timestamp(now);
    const created = new Map(list.map((item) => [item.id, item.createdAtMs]));
    for (const id of last.keys()) if (id !== 'node' && !created.has(id)) last.delete(id);
    const pods = new Map<string, PodSummary>();
    for (const item of stats) {
      if (!created.has(item.attributes.id)) continue;
      const its = item.attributes.labels;
      const uid = its[labels.podUid];
      if (!uid) continue;
      const startTime = timestamp(created.get(item.attributes.id)!);
      let pod = pods.get(uid);
      if (!pod) { pod = { podRef: { name: its[labels.podName] ?? '', namespace: its[labels.podNamespace] ?? '', uid }, startTime, containers: [], ...sum([], time) }; pods.set(uid, pod); }
      pod.containers.push(container(item, startTime));
    }
    for (const pod of pods.values()) Object.assign(pod, sum(pod.containers, time));
    const everything = sum([...pods.values()].flatMap((pod) => pod.containers), time);
    const ticks = /^cpu +(.*)$/m.exec(procStat ?? '')?.[1]?.split(' ').map(Number);
    const busy = ticks ? ((ticks[0] ?? 0) + (ticks[1] ?? 0) + (ticks[2] ?? 0) + (ticks[5] ?? 0) + (ticks[6] ?? 0)) * (1e9 / ticksPerSecond) : everything.cpu.usageCoreNanoSeconds;
    const available = meminfo ? Number(/MemAvailable:\s+(\d+)/.exec(meminfo)?.[1] ?? 0) * 1024 : machine.memoryBytes - everything.memory.workingSetBytes;
    const used = machine.memoryBytes - available;
    return {
      node: {
        nodeName, startTime: timestamp(startedAtMs), cpu: { time, usageNanoCores: rate('node', busy, undefined, now), usageCoreNanoSeconds: busy },
        memory: { time, availableBytes: available, usageBytes: used, workingSetBytes: used, rssBytes: used, pageFaults: 0, majorPageFaults: 0 },
        fs: { time, availableBytes: machine.nodeFs.availableBytes, capacityBytes: machine.nodeFs.capacityBytes, usedBytes: machine.nodeFs.capacityBytes - machine.nodeFs.availableBytes, inodes: machine.nodeFs.inodes, inodesFree: machine.nodeFs.inodesFree, inodesUsed: machine.nodeFs.inodes - machine.nodeFs.inodesFree },
      },
      pods: [...pods.values()],
    };
  }

  return {
    summary,
    async resourceMetrics() {
      const { node, pods } = await summary();
      const lines: string[] = [];
      const family = (name: string, type: string, help: string, samples: [string, number][]) => {
        lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`, ...samples.map(([tags, value]) => `${name}${tags} ${value} ${clock.now()}`));
      };
      const tag = (pod: PodSummary, name?: string) => `{${name === undefined ? '' : `container="${name}",`}namespace="${pod.podRef.namespace}",pod="${pod.podRef.name}"}`;
      const containers = pods.flatMap((pod) => pod.containers.map((item) => [tag(pod, item.name), item] as const));
      family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the container in core-seconds', containers.map(([tags, item]) => [tags, item.cpu.usageCoreNanoSeconds / 1e9]));
      family('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes', containers.map(([tags, item]) => [tags, item.memory.workingSetBytes]));
      family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', containers.map(([tags, item]) => [tags, Date.parse(item.startTime) / 1000]));
      family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [['', node.cpu.usageCoreNanoSeconds / 1e9]]);
      family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [['', node.memory.workingSetBytes]]);
      family('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the pod in core-seconds', pods.map((pod) => [tag(pod), pod.cpu.usageCoreNanoSeconds / 1e9]));
      family('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes', pods.map((pod) => [tag(pod), pod.memory.workingSetBytes]));
      family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [['', 0]]);
      return `${lines.join('\n')}\n`;
    },
  };
}
