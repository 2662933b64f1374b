/** Puts a pod's status together from the runtime's state, probes and start problems. Driven by the pod syncer; pure but for its inputs. */
import type { ContainerStatus, Pod, PodStatus } from '../api/core/v1.ts';
import type { Draft } from '../base/json.ts';
import { type StartProblems, type StatusInput, containerStatuses } from './container-status.ts';
import { type PodState, isReadySandbox, isRunning, latest, podIPs } from './pod-state.ts';
import { podConditions, podPhase, type Phase } from './pod-status.ts';
import type { ProbeManager } from './probes/probe-manager.ts';
import { isSidecar, qosClass } from './resources.ts';
import type { ComputedStatus, ConditionDraft } from './status-manager.ts';

/** Ends a pod from outside: eviction, deadline, refusal. */
export interface StatusOverride { phase: Phase; reason: string; message: string; conditions?: { type: string; status: string; reason: string; message: string }[] | undefined }

export interface BuildInput {
  pod: Pod;
  state: PodState;
  problems: StartProblems;
  runtimeName: string;
  probes: ProbeManager;
  hostIPs: readonly string[];
  /** The last status known. */
  previous: PodStatus | undefined;
  terminal: boolean;
  override?: StatusOverride | undefined;
  /** What a container runs with while it differs from its spec. */
  resized?: StatusInput['resized'];
  /** PodResizePending and PodResizeInProgress, while they hold. */
  resize?: readonly ConditionDraft[] | undefined;
}

export interface BuiltStatus {
  status: ComputedStatus;
  /** The pod's work is over. The status says so only once nothing runs any more: until then others may not count on its end. */
  ended: boolean;
}

export function buildStatus(input: BuildInput): BuiltStatus {
  const { pod, state, problems, runtimeName, probes, hostIPs, previous, terminal, override } = input;
  const initSpecs = pod.spec.initContainers ?? [];
  const common = { pod, state, problems, runtimeName, hasInitContainers: initSpecs.length > 0, terminal, ...(input.resized ? { resized: input.resized } : {}) };
  const init = containerStatuses(initSpecs, { ...common, previous: previous?.initContainerStatuses, isInit: true });
  const main = containerStatuses(pod.spec.containers, { ...common, previous: previous?.containerStatuses, isInit: false });
  const ephemeral = containerStatuses(pod.spec.ephemeralContainers ?? [], { ...common, previous: previous?.ephemeralContainerStatuses, isInit: false });
  const addReadiness = (statuses: Draft<ContainerStatus>[], specs: readonly { name: string }[], always: boolean) => {
    for (const [index, status] of statuses.entries()) {
      const spec = pod.spec.containers.find(({ name }) => name === specs[index]!.name) ?? initSpecs.find(({ name }) => name === specs[index]!.name);
      const record = latest(state, status.name);
      const runningNow = status.state?.running !== undefined && record !== undefined && spec !== undefined;
      status.started = runningNow && probes.started(pod, spec, record);
      if (always || (spec && isSidecar(spec))) status.ready = runningNow && probes.ready(pod, spec, record);
    }
  };
  const initialized = main.some((status) => status.state?.running || status.state?.terminated || status.lastState?.terminated);
  // Once a pod has begun, a container without an end when everything ended counts as failed.
  if (terminal && initialized) for (const status of main) if (!status.state?.terminated) status.state = { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } };
  addReadiness(main, pod.spec.containers, true);
  addReadiness(init, initSpecs, false);
  for (const status of ephemeral) { status.ready = false; delete status.started; }
  let phase = podPhase(pod, init, main, terminal);
  // A pod that ended stays as it ended.
  if (previous?.phase === 'Failed' || previous?.phase === 'Succeeded') phase = previous.phase;
  if (override) phase = override.phase;
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const wasOver = previous?.phase === 'Succeeded' || previous?.phase === 'Failed';
  if (ended && !wasOver && state.containers.some(isRunning)) phase = previous?.phase === 'Running' ? 'Running' : 'Pending';
  const ips = podIPs(state);
  const addresses = pod.spec.hostNetwork ? hostIPs : ips.length > 0 ? ips : (previous?.podIPs ?? []).map(({ ip }) => ip);
  const showAddresses = pod.spec.hostNetwork ? (phase === 'Pending' && state.sandboxes.length === 0 ? [] : addresses) : addresses;
  const sandboxReady = state.sandboxes.some((sandbox) => isReadySandbox(sandbox) && (pod.spec.hostNetwork || sandbox.network.ip !== ''));
  /** Turned away at the door: it never had containers here. */
  const refused = override !== undefined && state.sandboxes.length === 0 && !previous?.containerStatuses?.length;
  const over = phase === 'Succeeded' || phase === 'Failed';
  const reason = override?.reason ?? (phase === previous?.phase ? previous?.reason : undefined);
  const message = override?.message ?? (phase === previous?.phase ? previous?.message : undefined);
  const status: ComputedStatus = {
    phase, qosClass: previous?.qosClass ?? qosClass(pod),
    ...(reason && over ? { reason } : {}), ...(message && over ? { message } : {}),
    ...(hostIPs.length > 0 ? { hostIP: hostIPs[0]!, hostIPs: hostIPs.map((ip) => ({ ip })) } : {}),
    ...(showAddresses.length > 0 ? { podIP: showAddresses[0]!, podIPs: showAddresses.map((ip) => ({ ip })) } : {}),
    ...(init.length > 0 && !refused ? { initContainerStatuses: init } : {}), ...(refused ? {} : { containerStatuses: main }), ...(ephemeral.length > 0 ? { ephemeralContainerStatuses: ephemeral } : {}),
    conditions: [...podConditions(pod, phase, init, main, previous?.conditions ?? [], sandboxReady), ...(override?.conditions ?? []), ...(over ? [] : input.resize ?? [])],
  };
  return { status, ended };
}
