/**
 * Runs the probes of running containers, one loop per probe, and remembers results by container id. A change wakes the pod's worker.
 * Text: kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes; behaviour and event texts: upstream pkg/kubelet/prober.
 */
import type { Container, Pod, Probe } from '../../api/core/v1.ts';
import { type Clock, sleep } from '../../base/clock.ts';
import type { Rng } from '../../base/rng.ts';
import type { Handlers } from '../handlers.ts';
import { uidOf } from '../names.ts';
import type { ProbeView } from '../plan.ts';
import { type ContainerRecord, type PodState, isRunning, latest, podIPs } from '../pod-state.ts';
import { containerField, type Recorder } from '../recorder.ts';
import { isSidecar } from '../resources.ts';

export type ProbeKind = 'liveness' | 'readiness' | 'startup';
const kinds: readonly ProbeKind[] = ['startup', 'liveness', 'readiness'];
const titles = { liveness: 'Liveness', readiness: 'Readiness', startup: 'Startup' } as const;
/** Tries per probe before an unknown result (exec could not run) is given up on. Upstream: maxProbeRetries. */
const attemptsOnUnknown = 3;

interface Worker { kind: ProbeKind; containerId: string; result: 'success' | 'failure' | 'unknown'; stop: AbortController; trigger: () => void }

export interface ProbeManager extends ProbeView {
  /** Starts probes of newly running containers, stops those of gone ones. `previouslyReady`: what the API says of a container found running at start. */
  update(pod: Pod, state: PodState, previouslyReady: (name: string, containerId: string) => { ready: boolean; started: boolean } | undefined): void;
  /** Once a pod terminates nothing may restart its containers; readiness goes on. */
  stopLiveness(uid: string): void;
  remove(uid: string): void;
  ready(pod: Pod, container: Container, record: ContainerRecord): boolean;
}

const specOf = (container: Container, kind: ProbeKind): Probe | undefined => (kind === 'liveness' ? container.livenessProbe : kind === 'readiness' ? container.readinessProbe : container.startupProbe);

export function createProbeManager(options: { handlers: Handlers; clock: Clock; rng: Rng; recorder: Recorder; signal: AbortSignal; startedAtMs: number; hostIP: string; onChange(uid: string): void }): ProbeManager {
  const { handlers, clock, rng, recorder } = options;
  /** By uid, then 'container/kind'. */
  const pods = new Map<string, Map<string, Worker>>();
  const find = (uid: string, name: string, kind: ProbeKind, containerId: string) => {
    const worker = pods.get(uid)?.get(`${name}/${kind}`);
    return worker?.containerId === containerId ? worker : undefined;
  };
  const startupDone = (uid: string, container: Container, containerId: string) => !container.startupProbe || find(uid, container.name, 'startup', containerId)?.result === 'success';

  async function loop(pod: Pod, container: Container, record: ContainerRecord, worker: Worker, target: { podIP: string; hostNetwork: boolean }): Promise<void> {
    const spec = specOf(container, worker.kind)!;
    const signal = AbortSignal.any([options.signal, worker.stop.signal]);
    const periodMs = (spec.periodSeconds ?? 10) * 1000;
    const uid = uidOf(pod);
    let last: 'success' | 'failure' | undefined;
    let run = 0;
    // After a restart of the kubelet all probes would come at once: spread them.
    if (record.startedAtMs < options.startedAtMs) await sleep(clock, rng.float() * Math.min(periodMs, Math.max(0, clock.monotonic())), signal).catch(() => {});
    const initial = record.startedAtMs + (spec.initialDelaySeconds ?? 0) * 1000 - clock.now();
    if (initial > 0) await sleep(clock, initial, signal).catch(() => {});
    while (!signal.aborted) {
      if (worker.kind === 'startup' || startupDone(uid, container, record.id)) {
        const outcome = await once(spec, container, record, target, signal);
        if (signal.aborted) return;
        if (outcome.result !== 'success') {
          const text = outcome.result === 'unknown' ? `${titles[worker.kind]} probe errored and resulted in unknown state: ${outcome.output}` : `${titles[worker.kind]} probe failed: ${outcome.output}`;
          recorder.event(pod, 'Warning', 'Unhealthy', text, containerField(pod, container.name));
        }
        if (outcome.result === 'success' && outcome.warning) recorder.event(pod, 'Warning', 'ProbeWarning', `${titles[worker.kind]} probe warning: ${outcome.output}`, containerField(pod, container.name));
        const result = outcome.result === 'success' ? 'success' : 'failure';
        run = result === last ? run + 1 : 1;
        last = result;
        const threshold = result === 'failure' ? spec.failureThreshold ?? 3 : spec.successThreshold ?? 1;
        if (run >= threshold && worker.result !== result) {
          worker.result = result;
          options.onChange(uid);
          if (worker.kind === 'startup' && result === 'success') for (const other of kinds) if (other !== 'startup') find(uid, container.name, other, record.id)?.trigger();
        }
        // Done: a started container stays started; a failed one waits to be replaced.
        if (worker.kind === 'startup' && worker.result !== 'unknown') return;
        if (worker.kind === 'liveness' && worker.result === 'failure') return;
      }
      const early = new Promise<void>((resolve) => { worker.trigger = resolve; });
      const wait = new AbortController();
      await Promise.race([early, sleep(clock, periodMs, AbortSignal.any([signal, wait.signal])).catch(() => {})]);
      wait.abort();
    }
  }

  async function once(spec: Probe, container: Container, record: ContainerRecord, target: { podIP: string; hostNetwork: boolean }, signal: AbortSignal) {
    const timeoutMs = (spec.timeoutSeconds ?? 1) * 1000;
    let outcome = await handlers.run(spec, { container, containerId: record.id, ...target }, timeoutMs, signal);
    for (let attempt = 1; attempt < attemptsOnUnknown && outcome.result === 'unknown' && !signal.aborted; attempt++) outcome = await handlers.run(spec, { container, containerId: record.id, ...target }, timeoutMs, signal);
    return outcome;
  }

  return {
    update(pod, state, previously) {
      const uid = uidOf(pod);
      let workers = pods.get(uid);
      const probed = [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isSidecar)];
      for (const container of probed) {
        const record = latest(state, container.name);
        for (const kind of kinds) {
          const key = `${container.name}/${kind}`;
          const worker = workers?.get(key);
          const wanted = specOf(container, kind) && record && isRunning(record);
          if (worker && (!wanted || worker.containerId !== record.id)) { worker.stop.abort(); workers!.delete(key); }
          if (!wanted || workers?.has(key)) continue;
          if (pod.metadata.deletionTimestamp && kind !== 'readiness') continue;
          if (!workers) { workers = new Map(); pods.set(uid, workers); }
          const before = previously(container.name, record.id);
          const made: Worker = {
            kind, containerId: record.id, stop: new AbortController(), trigger: () => {},
            result: kind === 'liveness' ? 'success' : kind === 'readiness' ? (before?.ready ? 'success' : 'failure') : (before?.started ? 'success' : 'unknown'),
          };
          workers.set(key, made);
          if (!(kind === 'startup' && made.result === 'success')) void loop(pod, container, record, made, { podIP: pod.spec.hostNetwork ? options.hostIP : podIPs(state)[0] ?? '', hostNetwork: pod.spec.hostNetwork ?? false });
        }
      }
    },
    stopLiveness(uid) {
      for (const [key, worker] of pods.get(uid) ?? []) if (worker.kind !== 'readiness') { worker.stop.abort(); if (worker.kind === 'liveness') pods.get(uid)!.delete(key); }
    },
    remove(uid) {
      for (const worker of pods.get(uid)?.values() ?? []) worker.stop.abort();
      pods.delete(uid);
    },
    ready(pod, container, record) {
      if (!isRunning(record) || !startupDone(uidOf(pod), container, record.id)) return false;
      return !container.readinessProbe || find(uidOf(pod), container.name, 'readiness', record.id)?.result === 'success';
    },
    started(pod, container, record) { return isRunning(record) && startupDone(uidOf(pod), container, record.id); },
    failed(uid, containerId) {
      for (const worker of pods.get(uid)?.values() ?? []) {
        if (worker.containerId === containerId && worker.result === 'failure' && worker.kind !== 'readiness') return worker.kind;
      }
      return undefined;
    },
  };
}
