/**
 * What to do next for a pod, as a pure function of its spec, what the runtime has and what probes say. Driven by the pod syncer.
 * Behaviour: upstream's computePodActions; kubernetes.io/docs/concepts/workloads/pods/{init-containers,sidecar-containers}.
 * Differs: progress of init containers is judged within the current sandbox, so records of an earlier sandbox need no purging.
 */
import type { Container, EphemeralContainer, Pod } from '../api/core/v1.ts';
import { containerHash } from './container-hash.ts';
import { type ContainerRecord, type PodState, isExited, isReadySandbox, isRunning, latest } from './pod-state.ts';
import { isSidecar } from './resources.ts';

export type KillReason = 'changed' | 'resized' | 'liveness' | 'startup' | 'unknown';
export interface PlannedKill { record: ContainerRecord; spec: Container | undefined; reason: KillReason; message: string }
export interface PodPlan {
  /** Stop everything: the sandbox is no good, or nothing is left to run. */
  killPod: boolean;
  createSandbox: boolean;
  attempt: number;
  sandboxId: string | undefined;
  kill: PlannedKill[];
  startEphemeral: EphemeralContainer[];
  startInit: Container[];
  start: Container[];
  resize: { container: Container; record: ContainerRecord }[];
}
/** What the probes know of a running container. */
export interface ProbeView {
  /** Liveness or startup has failed past its threshold: the container must go. */
  failed(uid: string, containerId: string): 'liveness' | 'startup' | undefined;
  started(pod: Pod, container: Container, record: ContainerRecord): boolean;
}
/** How the resources of a running container differ from the spec. */
export type ResizeView = (container: Container, record: ContainerRecord) => 'none' | 'update' | 'restart';

/** The restart policy that holds for one container's exit; container rules first. */
export function shouldRestart(pod: Pod, container: Container, record: ContainerRecord | undefined): boolean {
  if (!record) return true;
  if (isRunning(record)) return false;
  if (!isExited(record)) return true;
  for (const rule of container.restartPolicyRules ?? []) {
    const listed = rule.exitCodes?.values?.includes(record.exitCode) ?? false;
    if (rule.action === 'Restart' && rule.exitCodes && (rule.exitCodes.operator === 'In' ? listed : !listed)) return true;
  }
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && record.exitCode !== 0);
}

function sandboxChange(pod: Pod, state: PodState): { changed: boolean; attempt: number; id: string | undefined } {
  const [newest] = state.sandboxes;
  if (!newest) return { changed: true, attempt: 0, id: undefined };
  const attempt = newest.metadata.attempt + 1;
  const ready = state.sandboxes.filter(isReadySandbox);
  if (ready.length > 1 || !isReadySandbox(newest)) return { changed: true, attempt, id: newest.id };
  const hostNetwork = newest.namespaces.network === 'NODE';
  if (hostNetwork !== (pod.spec.hostNetwork ?? false)) return { changed: true, attempt, id: undefined };
  if (!hostNetwork && !newest.network.ip) return { changed: true, attempt, id: newest.id };
  return { changed: false, attempt: newest.metadata.attempt, id: newest.id };
}

export function planPod(pod: Pod, state: PodState, probes: ProbeView, resized: ResizeView = () => 'none'): PodPlan {
  const sandbox = sandboxChange(pod, state);
  const plan: PodPlan = { killPod: sandbox.changed, createSandbox: sandbox.changed, attempt: sandbox.attempt, sandboxId: sandbox.id, kill: [], startEphemeral: [], startInit: [], start: [], resize: [] };
  const init = pod.spec.initContainers ?? [];
  if (sandbox.changed) {
    const neverAgain = (pod.spec.restartPolicy ?? 'Always') === 'Never' && !pod.spec.containers.some((container) => container.restartPolicyRules || container.restartPolicy);
    if (neverAgain && sandbox.attempt !== 0 && state.containers.length > 0) { plan.createSandbox = false; return plan; }
    plan.start = pod.spec.containers.filter((container) => {
      const record = latest(state, container.name);
      return !(record && isExited(record) && record.exitCode === 0 && !shouldRestart(pod, container, record));
    });
    if (plan.start.length === 0) { plan.createSandbox = false; return plan; }
    const [first] = init;
    if (first) { plan.startInit = [first]; plan.start = []; }
    return plan;
  }
  plan.startEphemeral = (pod.spec.ephemeralContainers ?? []).filter((container) => !latest(state, container.name));
  if (!planInit(pod, init, state, sandbox.id!, probes, plan)) return plan;
  planMain(pod, state, probes, resized, plan);
  return plan;
}

/** True when the main containers may start. */
function planInit(pod: Pod, init: readonly Container[], state: PodState, sandboxId: string, probes: ProbeView, plan: PodPlan): boolean {
  const initialized = pod.spec.containers.some((container) => latest(state, container.name, sandboxId));
  /** Earlier steps may have been removed by garbage collection: a later record proves they succeeded. */
  const furthest = init.findLastIndex((container) => latest(state, container.name, sandboxId));
  for (const [index, container] of init.entries()) {
    const record = latest(state, container.name, sandboxId);
    if (isSidecar(container)) {
      const failure = record && isRunning(record) ? killReasonOf(pod, container, record, probes) : undefined;
      if (record && failure) plan.kill.push({ record, spec: container, ...failure });
      if (record && isRunning(record) && !failure) {
        if (!initialized && !probes.started(pod, container, record)) return false;
        continue;
      }
      plan.startInit.push(container);
      if (!initialized) return false;
      continue;
    }
    if (initialized || (!record && index < furthest)) continue;
    if (!record) { plan.startInit.push(container); return false; }
    if (isRunning(record)) {
      if (record.hash !== containerHash(container)) { plan.kill.push({ record, spec: container, reason: 'changed', message: `Init container ${container.name} definition changed` }); plan.startInit.push(container); }
      return false;
    }
    if (isExited(record) && record.exitCode === 0) continue;
    if (shouldRestart(pod, container, record)) plan.startInit.push(container);
    else plan.killPod = true;
    return false;
  }
  return true;
}

function killReasonOf(pod: Pod, container: Container, record: ContainerRecord, probes: ProbeView): { reason: KillReason; message: string } | undefined {
  if (record.hash !== containerHash(container)) return { reason: 'changed', message: `Container ${container.name} definition changed, will be restarted` };
  const failed = probes.failed(pod.metadata.uid ?? '', record.id);
  return failed ? { reason: failed, message: `Container ${container.name} failed ${failed} probe` } : undefined;
}

function planMain(pod: Pod, state: PodState, probes: ProbeView, resized: ResizeView, plan: PodPlan): void {
  let keep = 0;
  for (const container of pod.spec.containers) {
    const record = latest(state, container.name);
    if (!record || !isRunning(record)) {
      if (shouldRestart(pod, container, record)) {
        if (record?.state === 'CONTAINER_UNKNOWN') plan.kill.push({ record, spec: container, reason: 'unknown', message: `Container is in ${record.state} state, try killing it before restart` });
        plan.start.push(container);
      }
      continue;
    }
    const size = resized(container, record);
    const why = killReasonOf(pod, container, record, probes) ?? (size === 'restart' ? { reason: 'resized' as const, message: `Container ${container.name} resize requires restart` } : undefined);
    if (!why) {
      keep++;
      if (size === 'update') plan.resize.push({ container, record });
      continue;
    }
    // A changed container is replaced whatever the policy; one that failed a probe only when its policy restarts failures.
    const restart = why.reason === 'changed' || why.reason === 'resized' || (container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always') !== 'Never';
    plan.kill.push({ record, spec: container, reason: why.reason, message: restart && (why.reason === 'liveness' || why.reason === 'startup') ? `${why.message}, will be restarted` : why.message });
    if (restart) plan.start.push(container); else keep++;
  }
  if (keep === 0 && plan.start.length === 0) plan.killPod = true;
}
