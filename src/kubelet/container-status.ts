/**
 * Runtime records → API container statuses. Behaviour: upstream's convertToAPIContainerStatuses; reasons are the runtime's or upstream's.
 */
import type { Container, ContainerState, ContainerStatus, EphemeralContainer, Pod } from '../api/core/v1.ts';
import type { Draft } from '../base/json.ts';
import { timestamp } from '../base/clock.ts';
import { type ContainerRecord, type PodState, isExited, isRunning } from './pod-state.ts';
import { shouldRestart } from './plan.ts';
import type { Sizes } from './resize.ts';

/** Why a container could not start the last time, by name; cleared when it did. */
export type StartProblems = ReadonlyMap<string, { reason: string; message: string }>;
type Built = Draft<ContainerStatus>;

export function stateOf(record: ContainerRecord, runtimeName: string): Draft<ContainerState> {
  if (record.state === 'CONTAINER_RUNNING') return { running: { startedAt: timestamp(record.startedAtMs) } };
  if (record.state === 'CONTAINER_CREATED') return { waiting: {} };
  if (record.state === 'CONTAINER_UNKNOWN') return { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } };
  // A container that never ran has no start: Go shows the zero time as 1970.
  return { terminated: {
    exitCode: record.exitCode, reason: record.reason || (record.exitCode === 0 ? 'Completed' : 'Error'),
    startedAt: timestamp(record.startedAtMs), finishedAt: timestamp(record.finishedAtMs), containerID: `${runtimeName}://${record.id}`,
    ...(record.terminationMessage || (record.message && record.reason === 'StartError' ? record.message : '') ? { message: record.terminationMessage || record.message } : {}),
  } };
}

export interface StatusInput {
  pod: Pod;
  state: PodState;
  problems: StartProblems;
  /** 'containerd' */
  runtimeName: string;
  previous: readonly ContainerStatus[] | undefined;
  /** Also the pod's init containers: they change what an unborn container waits for. */
  hasInitContainers: boolean;
  isInit: boolean;
  /** Nothing restarts any more. */
  terminal: boolean;
  resized?: ((container: Container, record: ContainerRecord) => Sizes | undefined) | undefined;
}

export function containerStatuses(containers: readonly (Container | EphemeralContainer)[], input: StatusInput): Built[] {
  return containers.map((container) => containerStatus(container as Container, input));
}

function containerStatus(container: Container, input: StatusInput): Built {
  const { pod, state, problems, runtimeName } = input;
  const records = state.containers.filter((record) => record.name === container.name);
  const [newest] = records;
  const previous = input.previous?.find((status) => status.name === container.name);
  const status: Built = { name: container.name, state: {}, lastState: {}, ready: false, restartCount: 0, image: container.image ?? '', imageID: '' };
  if (container.resources && (container.resources.requests || container.resources.limits)) {
    if (container.resources.requests) status.allocatedResources = { ...container.resources.requests };
    status.resources = structuredClone(container.resources) as Draft<Container['resources']>;
  } else status.resources = {};
  if (!newest) {
    const gone = previous?.state?.running ?? undefined;
    status.restartCount = previous?.restartCount ?? 0;
    if (previous?.state?.terminated && (input.terminal || !shouldRestartStatus(pod, container, previous.state.terminated.exitCode))) {
      // Its record was collected; what was reported stands.
      return { ...(structuredClone(previous) as Built) };
    }
    if (gone && input.terminal) {
      status.state = { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } };
      return status;
    }
    if (previous?.lastState && Object.keys(previous.lastState).length > 0) status.lastState = structuredClone(previous.lastState) as Draft<ContainerState>;
    const problem = problems.get(container.name);
    status.state = { waiting: problem ? { reason: problem.reason, ...(problem.message ? { message: problem.message } : {}) } : { reason: input.hasInitContainers ? 'PodInitializing' : 'ContainerCreating' } };
    if (problem === undefined && previous?.restartCount === undefined) status.restartCount = 0;
    return status;
  }
  status.restartCount = newest.restartCount;
  const actual = isRunning(newest) ? input.resized?.(container, newest) : undefined;
  if (actual) status.resources = withSizes(container.resources ?? {}, actual);
  status.containerID = `${runtimeName}://${newest.id}`;
  status.image = newest.image.userSpecifiedImage || (newest.image.image.startsWith('sha256:') ? container.image ?? newest.image.image : newest.image.image);
  status.imageID = newest.imageRef;
  status.state = stateOf(newest, runtimeName);
  const older = records.find((record) => record !== newest && isExited(record));
  if (older) status.lastState = stateOf(older, runtimeName);
  else if (previous && previous.containerID !== status.containerID && previous.state?.terminated) status.lastState = { terminated: structuredClone(previous.state.terminated) as Draft<ContainerState>['terminated'] };
  else if (previous?.lastState?.terminated) status.lastState = structuredClone(previous.lastState) as Draft<ContainerState>;
  if (newest.user?.linux) status.user = { linux: { uid: newest.user.linux.uid, gid: newest.user.linux.gid, supplementalGroups: [...newest.user.linux.supplementalGroups] } };
  if (container.lifecycle?.stopSignal) status.stopSignal = container.lifecycle.stopSignal;
  if (container.volumeMounts && container.volumeMounts.length > 0) {
    status.volumeMounts = container.volumeMounts.map((mount) => ({
      name: mount.name, mountPath: mount.mountPath, ...(mount.readOnly ? { readOnly: true, recursiveReadOnly: mount.recursiveReadOnly === 'Enabled' ? 'Enabled' : 'Disabled' } : {}),
    }));
  }
  if (input.isInit && container.restartPolicy !== 'Always') status.ready = isExited(newest) && newest.exitCode === 0;
  const problem = problems.get(container.name);
  if (!isRunning(newest) && !input.terminal && problem && shouldRestart(pod, container, newest)) {
    if (status.state.terminated) status.lastState = { terminated: status.state.terminated };
    status.state = { waiting: { reason: problem.reason, ...(problem.message ? { message: problem.message } : {}) } };
  }
  return status;
}

function shouldRestartStatus(pod: Pod, container: Container, exitCode: number): boolean {
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

/** The spec's resources with the cpu and memory that the container has. */
function withSizes(resources: NonNullable<Container['resources']>, { cpu, memory }: Sizes): Draft<NonNullable<Container['resources']>> {
  const list = (from: { readonly [name: string]: string } | undefined, at: 0 | 1) => {
    const { cpu: _cpu, memory: _memory, ...rest } = from ?? {};
    const next = { ...(cpu[at] ? { cpu: cpu[at] } : {}), ...(memory[at] ? { memory: memory[at] } : {}), ...rest };
    return Object.keys(next).length > 0 ? next : undefined;
  };
  const [requests, limits] = [list(resources.requests, 0), list(resources.limits, 1)];
  return { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) };
}
