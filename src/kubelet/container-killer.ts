/**
 * Stops containers the way the API promises: preStop hook, stop signal, grace period, SIGKILL; sidecars after the containers they serve.
 * Text: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle, "Pod termination".
 */
import type { Container, LifecycleHandler, Pod } from '../api/core/v1.ts';
import { type Clock, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { hasGrpcCode } from '../base/grpc-status.ts';
import type { Handlers } from './handlers.ts';
import { annotations } from './names.ts';
import { type ContainerRecord, type PodState, isExited, podIPs } from './pod-state.ts';
import type { KillReason } from './plan.ts';
import { containerField, type Recorder } from './recorder.ts';
import { isSidecar } from './resources.ts';
import type { Runtime } from './runtime/runtime.ts';

/** Even a forced end leaves containers this long. Upstream: minimumGracePeriodInSeconds. */
const minimumGraceSeconds = 2;
const defaultGraceSeconds = 30;

export interface KillOptions { graceSeconds?: number | undefined; reason?: KillReason | undefined; message?: string | undefined; signal?: AbortSignal | undefined }
export interface ContainerKiller {
  killContainer(pod: Pod, record: ContainerRecord, spec: Container | undefined, podIP: string, options: KillOptions): Promise<void>;
  /** Every container, then the sandboxes. */
  killPod(pod: Pod, state: PodState, options: KillOptions): Promise<void>;
}

export function createContainerKiller(options: { runtime: Runtime; handlers: Handlers; clock: Clock; recorder: Recorder; log: Logger; hostIP: string }): ContainerKiller {
  const { runtime, handlers, clock, recorder, log } = options;

  function graceOf(pod: Pod, record: ContainerRecord, spec: Container | undefined, reason: KillReason | undefined): number {
    if (pod.metadata.deletionGracePeriodSeconds !== undefined) return pod.metadata.deletionGracePeriodSeconds;
    const probe = reason === 'liveness' ? spec?.livenessProbe : reason === 'startup' ? spec?.startupProbe : undefined;
    if (probe?.terminationGracePeriodSeconds !== undefined) return probe.terminationGracePeriodSeconds;
    const noted = record.annotations[annotations.podTerminationGracePeriod];
    return pod.spec.terminationGracePeriodSeconds ?? (noted === undefined ? defaultGraceSeconds : Number(noted));
  }

  /** The hook of the spec, or as noted on the container when the spec is lost. */
  function preStopOf(record: ContainerRecord, spec: Container | undefined): LifecycleHandler | undefined {
    if (spec) return spec.lifecycle?.preStop;
    const noted = record.annotations[annotations.preStopHandler];
    try { return noted ? JSON.parse(noted) as LifecycleHandler : undefined; } catch { return undefined; }
  }

  const killer: ContainerKiller = {
    async killContainer(pod, record, spec, podIP, { graceSeconds, reason, message, signal }) {
      if (isExited(record)) return;
      const field = containerField(pod, record.name);
      let grace = graceSeconds ?? graceOf(pod, record, spec, reason);
      recorder.event(pod, 'Normal', 'Killing', message || `Stopping container ${record.name}`, field);
      const hook = preStopOf(record, spec);
      if (hook && grace > 0 && record.state === 'CONTAINER_RUNNING') {
        const started = clock.monotonic();
        const stop = new AbortController();
        const over = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
        const run = handlers.hook(hook, { container: spec ?? { name: record.name }, containerId: record.id, podIP, hostNetwork: false }, grace * 1000, over).then((outcome) => {
          if (outcome.result !== 'success' && !over.aborted) {
            recorder.event(pod, 'Warning', 'FailedPreStopHook', 'PreStopHook failed', field);
            log.info({ pod: pod.metadata.name, container: record.name, output: outcome.output }, 'preStop hook failed');
          }
        });
        await Promise.race([run, sleep(clock, grace * 1000, over).catch(() => {})]);
        stop.abort();
        grace -= Math.floor((clock.monotonic() - started) / 1000);
      }
      // An explicit period is obeyed down to nothing; one used up by the hook leaves the minimum.
      if (grace < minimumGraceSeconds) grace = graceSeconds !== undefined && graceSeconds <= 0 ? 0 : minimumGraceSeconds;
      try { await runtime.stopContainer(record.id, signal?.aborted ? Math.min(grace, minimumGraceSeconds) : grace); } catch (error) { if (!hasGrpcCode(error, 'NOT_FOUND')) throw error; }
    },

    async killPod(pod, state, killOptions) {
      const podIP = pod.spec.hostNetwork ? options.hostIP : podIPs(state)[0] ?? '';
      const running = state.containers.filter((record) => !isExited(record));
      const specs = new Map([...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])].map((spec) => [spec.name, spec as Container]));
      const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
      const kill = (record: ContainerRecord) => killer.killContainer(pod, record, specs.get(record.name), podIP, killOptions);
      const first = running.filter((record) => !sidecars.includes(record.name));
      const started = clock.monotonic();
      const results = await Promise.allSettled(first.map(kill));
      // Sidecars end in reverse order, sharing what is left of the grace period.
      for (const name of sidecars.toReversed()) {
        const total = killOptions.graceSeconds ?? pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
        const left = Math.max(first.length > 0 || total > 0 ? 1 : 0, total - Math.floor((clock.monotonic() - started) / 1000));
        const records = running.filter((record) => record.name === name);
        results.push(...await Promise.allSettled(records.map((record) => killer.killContainer(pod, record, specs.get(name), podIP, { ...killOptions, graceSeconds: left }))));
      }
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) {
        recorder.event(pod, 'Warning', 'FailedKillPod', `error killing pod: ${(failed.reason as Error).message}`);
        throw failed.reason;
      }
      await Promise.all(state.sandboxes.map((sandbox) => runtime.stopPodSandbox(sandbox.id)));
    },
  };
  return killer;
}
