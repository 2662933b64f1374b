/**
 * One serial worker per pod uid: syncing, then terminating, then terminated; never back. Workers don't wait for each other. A wake that
 * comes during a step leads to one more step. Behaviour: upstream pkg/kubelet/pod_workers.go.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from '../api/core/v1.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { annotations, uidOf } from './names.ts';
import { type PodSyncer, syncRetryMs } from './pod-syncer.ts';
import type { StatusOverride } from './status-builder.ts';

const forcedGraceSeconds = 1;

/** False when only the status differs, which this kubelet wrote itself; gates on others' conditions count. */
function wantsMore(before: Pod, next: Pod): boolean {
  const [old, now] = [before.metadata, next.metadata];
  return old.deletionTimestamp !== now.deletionTimestamp || old.deletionGracePeriodSeconds !== now.deletionGracePeriodSeconds || old.generation !== now.generation
    || !isDeepStrictEqual(before.spec, next.spec) || !isDeepStrictEqual(old.labels, now.labels) || !isDeepStrictEqual(old.annotations, now.annotations)
    || (next.spec.readinessGates !== undefined && !isDeepStrictEqual(before.status?.conditions, next.status?.conditions));
}

export type WorkerState = 'syncing' | 'terminating' | 'terminated' | 'finished';
interface Worker {
  uid: string;
  pod: Pod;
  state: WorkerState;
  /** Wanted: at least one more step. */
  pending: boolean;
  urgent: boolean;
  running: boolean;
  timer: Timer | undefined;
  /** Seconds; the shortest asked for. */
  grace: number | undefined;
  override: StatusOverride | undefined;
  /** The apiserver (or the manifest folder) no longer has it. */
  deleted: boolean;
  /** Known only from the runtime: there is nothing to report to. */
  lost: boolean;
  /** Its records are gone from the runtime. */
  removed: boolean;
  abort: AbortController;
  terminateAbort: AbortController;
}

export interface PodWorkers {
  /** The pod as its source has it now. */
  update(pod: Pod): void;
  /** Its source no longer has it. */
  remove(uid: string): void;
  /** Something changed; `urgent`: retry what is backing off for volumes. */
  wake(uid: string, urgent?: boolean): void;
  /** Ends the pod for a reason of the node's own. */
  evict(uid: string, override: StatusOverride, graceSeconds: number | undefined): void;
  /** Turns a pod away at the door: nothing of it is started. */
  refuse(pod: Pod, override: StatusOverride): void;
  /** Ends containers that no known pod owns. */
  killOrphan(pod: Pod): void;
  stateOf(uid: string): WorkerState | undefined;
  pods(): { pod: Pod; state: WorkerState; deleted: boolean }[];
  idle(): boolean;
}

export function createPodWorkers(options: {
  syncer: PodSyncer; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal; syncFrequencyMs: number;
  /** Called when all of a pod that was deleted is gone. */
  onFinished(pod: Pod): void;
}): PodWorkers {
  const { syncer, clock, rng, log, signal } = options;
  const workers = new Map<string, Worker>();
  signal.addEventListener('abort', () => { for (const worker of workers.values()) { worker.timer?.cancel(); worker.abort.abort(); } });

  function poke(worker: Worker): void {
    worker.pending = true;
    if (!worker.running) void run(worker);
  }
  function schedule(worker: Worker, delayMs: number): void {
    worker.timer?.cancel();
    worker.timer = clock.after(delayMs, () => poke(worker), { keepAlive: false });
  }

  async function run(worker: Worker): Promise<void> {
    worker.running = true;
    worker.timer?.cancel();
    try {
      while (worker.pending && !signal.aborted) {
        worker.pending = false;
        const urgent = worker.urgent;
        worker.urgent = false;
        try { await step(worker, urgent); } catch (error) {
          if (signal.aborted) return;
          if (worker.state === 'terminating' && worker.abort.signal.aborted && (error as Error).name === 'AbortError') { worker.pending = true; continue; }
          log.warn({ err: (error as Error).message, pod: `${worker.pod.metadata.namespace}/${worker.pod.metadata.name}` }, 'Error syncing pod, skipping');
          schedule(worker, syncRetryMs(error));
        }
      }
    } finally { worker.running = false; }
  }

  async function step(worker: Worker, urgent: boolean): Promise<void> {
    const { pod } = worker;
    if (worker.state === 'syncing') {
      const result = await syncer.sync(pod, { urgent, signal: worker.abort.signal });
      if (worker.state !== 'syncing') { worker.pending = true; return; }
      if (result.terminal) { worker.state = 'terminating'; worker.override ??= result.override; worker.pending = true; return; }
      if (result.again) worker.pending = true;
      // Pods are looked at now and then even when nothing happens: tokens age, statuses are mended.
      const idle = options.syncFrequencyMs * (1 + 0.5 * rng.float());
      schedule(worker, Math.min(result.retryAfterMs ?? idle, idle));
      return;
    }
    if (worker.state === 'terminating') {
      await syncer.terminate(pod, { graceSeconds: worker.grace, override: worker.override, signal: worker.terminateAbort.signal });
      worker.state = 'terminated';
    }
    if (worker.state === 'terminated') {
      const over = worker.deleted || worker.lost || worker.pod.metadata.deletionTimestamp !== undefined;
      await syncer.cleanUp(worker.pod, { override: worker.override, remove: over, lost: worker.lost });
      worker.removed = over;
      worker.state = 'finished';
      if (worker.deleted || worker.lost) finish(worker);
      return;
    }
    if (worker.state === 'finished') {
      // A pod that had ended by itself is now deleted as well.
      if (!worker.removed && (worker.deleted || worker.pod.metadata.deletionTimestamp)) await syncer.cleanUp(worker.pod, { override: worker.override, remove: true, lost: worker.lost });
      if (worker.deleted) finish(worker);
    }
  }
  function finish(worker: Worker): void {
    worker.timer?.cancel();
    workers.delete(worker.uid);
    options.onFinished(worker.pod);
  }

  function beginTermination(worker: Worker, grace: number | undefined): void {
    if (worker.state === 'syncing') {
      worker.state = 'terminating';
      worker.grace = grace;
      // A start in progress is given up: pulls, sandboxes, hooks.
      worker.abort.abort();
      poke(worker);
    } else if (worker.state === 'terminating' && grace !== undefined && (worker.grace === undefined || grace < worker.grace)) {
      worker.grace = grace;
      // Cut the running step short and stop again with the shorter period beside it.
      worker.terminateAbort.abort();
      worker.terminateAbort = new AbortController();
      const again = worker.terminateAbort.signal;
      void syncer.terminate(worker.pod, { graceSeconds: grace, override: worker.override, signal: again }).catch((error: unknown) => { log.debug({ err: error }, 'shorter stop failed'); });
      poke(worker);
    } else poke(worker);
  }

  function ensure(pod: Pod): Worker {
    const uid = uidOf(pod);
    let worker = workers.get(uid);
    if (!worker) {
      worker = { uid, pod, state: 'syncing', pending: false, urgent: false, running: false, timer: undefined, grace: undefined, override: undefined, deleted: false, lost: false, removed: false, abort: new AbortController(), terminateAbort: new AbortController() };
      workers.set(uid, worker);
    }
    return worker;
  }

  return {
    update(pod) {
      const known = workers.get(uidOf(pod));
      const worker = ensure(pod);
      const before = worker.pod;
      worker.pod = pod;
      if (known && !wantsMore(before, pod)) return;
      const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
      if (pod.metadata.deletionTimestamp) beginTermination(worker, pod.metadata.deletionGracePeriodSeconds);
      else if (!known && ended) beginTermination(worker, undefined);
      else if (worker.state === 'syncing') { worker.urgent = true; poke(worker); }
    },
    remove(uid) {
      const worker = workers.get(uid);
      if (!worker) return;
      worker.deleted = true;
      // Gone from the API before this node agreed: a forced deletion. Containers get the minimum.
      beginTermination(worker, worker.pod.metadata.annotations?.[annotations.configSource] === 'file' ? undefined : forcedGraceSeconds);
    },
    wake(uid, urgent = false) {
      const worker = workers.get(uid);
      if (worker?.state === 'terminating' && !worker.lost) {
        // Its step waits for containers to end; what they do meanwhile is told beside it.
        syncer.refresh(worker.pod, worker.override, () => worker.state === 'terminating').catch((error: unknown) => { log.debug({ err: error }, 'status of a terminating pod not read'); });
      }
      if (!worker || worker.state !== 'syncing') return;
      worker.urgent ||= urgent;
      poke(worker);
    },
    evict(uid, override, graceSeconds) {
      const worker = workers.get(uid);
      if (!worker || worker.state !== 'syncing') return;
      worker.override = override;
      beginTermination(worker, graceSeconds);
    },
    refuse(pod, override) {
      const worker = ensure(pod);
      worker.override = override;
      beginTermination(worker, 0);
    },
    killOrphan(pod) {
      const worker = ensure(pod);
      worker.lost = true;
      worker.deleted = true;
      beginTermination(worker, pod.metadata.deletionGracePeriodSeconds);
    },
    stateOf: (uid) => workers.get(uid)?.state,
    pods: () => [...workers.values()].map(({ pod, state, deleted }) => ({ pod, state, deleted })),
    idle: () => [...workers.values()].every((worker) => !worker.running && !worker.pending),
  };
}
