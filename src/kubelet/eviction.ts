/**
 * Frees the node when memory, disk or process ids run out: unused images first for disk, then the pods that exceed their requests most.
 * Pods that outgrow their own local storage limits go whatever the node has.
 * Text: kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction; thresholds and texts: upstream pkg/kubelet/eviction.
 */
import type { Container, Pod, Volume } from '../api/core/v1.ts';
import { type Clock, every } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Refusal } from './admission.ts';
import type { KubeletConfig } from './config.ts';
import type { Host } from './host.ts';
import { isStaticPod, labels, uidOf, volumeDir } from './names.ts';
import type { Pressure } from './node-status.ts';
import type { PodWorkers } from './pod-workers.ts';
import type { Recorder } from './recorder.ts';
import { bytesOf, podRequests, qosClass } from './resources.ts';
import type { ContainerStats, Runtime } from './runtime/runtime.ts';

const periodMs = 10_000;
/** A condition stays this long after its cause has gone. Upstream: evictionPressureTransitionPeriod. */
const transitionMs = 300_000;
const criticalPriority = 2_000_000_000;

export interface Signals { memoryAvailable: number; memoryCapacity: number; nodefsAvailable: number; nodefsCapacity: number; inodesFree: number; inodes: number }
export interface EvictionManager { run(): Promise<void>; pressure(): Pressure; refuses(pod: Pod): Refusal | undefined; check(): Promise<void> }

/** Which thresholds are crossed, by signal. Pure. */
export function crossed(thresholds: Readonly<Record<string, string>>, signals: Signals): { signal: string; threshold: string; available: number }[] {
  const values: Record<string, [number, number]> = {
    'memory.available': [signals.memoryAvailable, signals.memoryCapacity], 'nodefs.available': [signals.nodefsAvailable, signals.nodefsCapacity], 'nodefs.inodesFree': [signals.inodesFree, signals.inodes],
    'imagefs.available': [signals.nodefsAvailable, signals.nodefsCapacity], 'imagefs.inodesFree': [signals.inodesFree, signals.inodes],
  };
  return Object.entries(thresholds).flatMap(([signal, threshold]) => {
    const [available, capacity] = values[signal] ?? [];
    if (available === undefined || capacity === undefined || capacity <= 0) return [];
    const limit = threshold.endsWith('%') ? (capacity * Number(threshold.slice(0, -1))) / 100 : bytesOf(threshold);
    return available < limit ? [{ signal, threshold, available }] : [];
  });
}

/** Those to end first come first: over their request, then low priority, then by how far over. */
export function rankByMemory(pods: readonly Pod[], usage: (pod: Pod) => number): Pod[] {
  const over = (pod: Pod) => usage(pod) - (podRequests(pod).memory ?? 0);
  return [...pods].sort((a, b) => Number(over(b) > 0) - Number(over(a) > 0) || (a.spec.priority ?? 0) - (b.spec.priority ?? 0) || over(b) - over(a));
}

export function createEvictionManager(options: { host: Host; runtime: Runtime; workers: PodWorkers; clock: Clock; log: Logger; config: KubeletConfig; signal: AbortSignal; recorder: Recorder; images(force: boolean): Promise<number>; onChange(): void }): EvictionManager {
  const { host, runtime, workers, clock, log, config, signal, recorder } = options;
  const lastSeen = { memory: -Infinity, disk: -Infinity };
  const pressure = (): Pressure => ({ memory: clock.monotonic() - lastSeen.memory < transitionMs, disk: clock.monotonic() - lastSeen.disk < transitionMs, pid: false });

  async function readSignals(): Promise<Signals> {
    const [machine, meminfo] = await Promise.all([host.machine(), host.readFile('/proc/meminfo')]);
    const available = Number(/MemAvailable:\s+(\d+)/.exec(meminfo ?? '')?.[1] ?? NaN) * 1024;
    return { memoryAvailable: Number.isNaN(available) ? machine.memoryBytes : available, memoryCapacity: machine.memoryBytes, nodefsAvailable: machine.nodeFs.availableBytes, nodefsCapacity: machine.nodeFs.capacityBytes, inodesFree: machine.nodeFs.inodesFree, inodes: machine.nodeFs.inodes };
  }

  function evict(pod: Pod, message: string): void {
    recorder.event(pod, 'Warning', 'Evicted', message);
    workers.evict(uidOf(pod), { phase: 'Failed', reason: 'Evicted', message, conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }] }, 0);
  }

  /** Pods that hold more local storage than they said they would. */
  async function checkLocalStorage(): Promise<void> {
    const limited = workers.pods().filter(({ state, pod }) => state === 'syncing' && !isStaticPod(pod)).map(({ pod }) => pod)
      .map((pod) => ({ pod, volumes: (pod.spec.volumes ?? []).filter((volume) => volume.emptyDir?.sizeLimit), containers: pod.spec.containers.filter((container) => container.resources?.limits?.['ephemeral-storage']) }))
      .filter(({ volumes, containers }) => volumes.length > 0 || containers.length > 0);
    const layers = limited.some(({ containers }) => containers.length > 0) ? await runtime.listContainerStats() : [];
    for (const { pod, volumes, containers } of limited) {
      const why = await overVolume(pod, volumes) ?? overContainer(pod, containers, layers);
      if (why) evict(pod, why);
    }
  }
  async function overVolume(pod: Pod, volumes: readonly Volume[]): Promise<string | undefined> {
    for (const { name, emptyDir } of volumes) {
      const used = await host.diskUsage(volumeDir(config.rootDir, uidOf(pod), 'kubernetes.io/empty-dir', name));
      if (used !== undefined && used > bytesOf(emptyDir!.sizeLimit)) return `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir!.sizeLimit!}". `;
    }
    return undefined;
  }
  function overContainer(pod: Pod, containers: readonly Container[], layers: readonly ContainerStats[]): string | undefined {
    for (const { name, resources } of containers) {
      const own = layers.find(({ attributes }) => attributes.labels[labels.podUid] === uidOf(pod) && attributes.labels[labels.containerName] === name);
      const limit = resources!.limits!['ephemeral-storage']!;
      if ((own?.writableLayer?.usedBytes ?? 0) > bytesOf(limit)) return `Container ${name} exceeded its local ephemeral storage limit "${limit}". `;
    }
    return undefined;
  }

  async function check(): Promise<void> {
    await checkLocalStorage();
    const before = pressure();
    let found = crossed(config.evictionHard, await readSignals());
    if (found.length === 0) return;
    if (found.some(({ signal: name }) => name === 'memory.available')) lastSeen.memory = clock.monotonic();
    if (found.some(({ signal: name }) => name !== 'memory.available')) lastSeen.disk = clock.monotonic();
    const after = pressure();
    if (before.memory !== after.memory || before.disk !== after.disk) options.onChange();
    if (found.some(({ signal: name }) => name !== 'memory.available')) {
      await options.images(true);
      found = crossed(config.evictionHard, await readSignals());
    }
    const [first] = found;
    if (!first) return;
    const resource = first.signal.startsWith('memory') ? 'memory' : first.signal.endsWith('inodesFree') ? 'inodes' : 'ephemeral-storage';
    const stats = await runtime.listPodSandboxStats().catch(() => []);
    const used = new Map(stats.map((item) => [item.attributes.labels[labels.podUid] ?? item.attributes.metadata.uid, item.memory?.workingSetBytes ?? 0]));
    const candidates = workers.pods().filter((item) => item.state === 'syncing' && !isStaticPod(item.pod) && (item.pod.spec.priority ?? 0) < criticalPriority).map(({ pod }) => pod);
    const [victim] = rankByMemory(candidates, (pod) => used.get(uidOf(pod)) ?? 0);
    if (!victim) { log.warn({ signal: first.signal }, 'the node is under pressure and no pod may be evicted'); return; }
    const message = `The node was low on resource: ${resource}. Threshold quantity: ${first.threshold}, available: ${Math.floor(first.available / 1024)}Ki. `;
    evict(victim, message);
  }

  return {
    pressure, check,
    refuses(pod) {
      const { memory, disk } = pressure();
      if ((!memory && !disk) || isStaticPod(pod) || (pod.spec.priority ?? 0) >= criticalPriority) return undefined;
      if (memory && !disk && qosClass(pod) !== 'BestEffort') return undefined;
      const name = disk ? 'DiskPressure' : 'MemoryPressure';
      return { reason: 'Evicted', message: `The node had condition: [${name}]. ` };
    },
    async run() {
      if (host.simulated) return;
      await every(clock, periodMs, signal, async () => { try { await check(); } catch (error) { log.debug({ err: error }, 'eviction check failed'); } });
    },
  };
}
