/**
 * Frees the node when memory, disk or process ids run out: unused images first for disk, then the pods that exceed their requests most.
 * Text: kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction; thresholds and texts: upstream pkg/kubelet/eviction.
 */
import type { Pod } from '../api/core/v1.ts';
import { type Clock, every } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Refusal } from './admission.ts';
import type { KubeletConfig } from './config.ts';
import type { Host } from './host.ts';
import { isStaticPod, labels, uidOf } from './names.ts';
import type { Pressure } from './node-status.ts';
import type { PodWorkers } from './pod-workers.ts';
import type { Recorder } from './recorder.ts';
import { bytesOf, podRequests, qosClass } from './resources.ts';
import type { Runtime } from './runtime/runtime.ts';

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

  async function check(): Promise<void> {
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
    recorder.event(victim, 'Warning', 'Evicted', message);
    workers.evict(uidOf(victim), { phase: 'Failed', reason: 'Evicted', message, conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }] }, 0);
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
