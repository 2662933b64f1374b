/**
 * Phase and conditions of a pod from its container statuses. Behaviour: upstream's getPhase and pkg/kubelet/status/generate.go;
 * kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle.
 */
import type { ContainerStatus, Pod, PodCondition } from '../api/core/v1.ts';
import { isSidecar } from './resources.ts';

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** `terminal`: everything was stopped for good. */
export function podPhase(pod: Pod, init: readonly ContainerStatus[], main: readonly ContainerStatus[], terminal: boolean): Phase {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const find = (list: readonly ContainerStatus[], name: string) => list.find((status) => status.name === name);
  let pendingInit = 0;
  let pendingSidecar = 0;
  let failedInit = 0;
  for (const container of pod.spec.initContainers ?? []) {
    const status = find(init, container.name);
    if (isSidecar(container)) { if (!status?.started) pendingSidecar++; continue; }
    if (!status) { pendingInit++; continue; }
    const over = status.state?.terminated;
    const last = status.state?.waiting ? status.lastState?.terminated : undefined;
    if (over) { if (over.exitCode !== 0) failedInit++; }
    else if (last) { if (last.exitCode !== 0) failedInit++; else pendingInit++; }
    else pendingInit++;
  }
  let running = 0; let waiting = 0; let stopped = 0; let succeeded = 0;
  for (const container of pod.spec.containers) {
    const status = find(main, container.name);
    if (!status) { waiting++; continue; }
    if (status.state?.running) running++;
    else if (status.state?.terminated) { stopped++; if (status.state.terminated.exitCode === 0) succeeded++; }
    else if (status.lastState?.terminated) stopped++;
    else waiting++;
  }
  if (failedInit > 0 && policy === 'Never') return 'Failed';
  const hasBegun = running > 0 || stopped > 0;
  if (terminal && stopped + waiting > 0 && running === 0) return stopped > 0 && stopped === succeeded && waiting === 0 ? 'Succeeded' : 'Failed';
  if (pendingInit > 0 || failedInit > 0 || (pendingSidecar > 0 && !hasBegun)) return 'Pending';
  if (waiting > 0) return 'Pending';
  if (running > 0) return 'Running';
  if (stopped > 0) {
    if (policy === 'Always') return 'Running';
    if (stopped === succeeded) return 'Succeeded';
    return policy === 'Never' ? 'Failed' : 'Running';
  }
  return 'Pending';
}

type Made = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>;
const yes = (type: string): Made => ({ type, status: 'True' });

/** The conditions the kubelet owns, without times. */
export function podConditions(pod: Pod, phase: Phase, init: readonly ContainerStatus[], main: readonly ContainerStatus[], others: readonly PodCondition[], sandboxReady: boolean): Made[] {
  const containersReady = readiness('ContainersReady', pod, phase, init, main);
  let ready: Made = { ...containersReady, type: 'Ready' };
  if (containersReady.status === 'True') {
    const missing: string[] = [];
    for (const { conditionType } of pod.spec.readinessGates ?? []) {
      const gate = others.find((condition) => condition.type === conditionType);
      if (!gate) missing.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
      else if (gate.status !== 'True') missing.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`);
    }
    if (missing.length > 0) ready = { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: missing.join(', ') };
  }
  return [{ type: 'PodReadyToStartContainers', status: sandboxReady ? 'True' : 'False' }, initialized(pod, phase, init, main), ready, containersReady, yes('PodScheduled')];
}

function readiness(type: string, pod: Pod, phase: Phase, init: readonly ContainerStatus[], main: readonly ContainerStatus[]): Made {
  if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const unknown: string[] = [];
  const unready: string[] = [];
  for (const [list, containers] of [[init, (pod.spec.initContainers ?? []).filter(isSidecar)], [main, pod.spec.containers]] as const) {
    for (const container of containers) {
      const status = list.find((item) => item.name === container.name);
      if (!status) unknown.push(container.name);
      else if (!status.ready) unready.push(container.name);
    }
  }
  return unmet(type, 'ContainersNotReady', 'unready', unknown, unready);
}

function initialized(pod: Pod, phase: Phase, init: readonly ContainerStatus[], main: readonly ContainerStatus[]): Made {
  const type = 'Initialized';
  if ((pod.spec.initContainers ?? []).length === 0) return phase === 'Succeeded' ? { type, status: 'True', reason: 'PodCompleted' } : yes(type);
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const container of pod.spec.initContainers ?? []) {
    const status = init.find((item) => item.name === container.name);
    if (!status) unknown.push(container.name);
    else if (isSidecar(container) ? !status.started : !status.ready) incomplete.push(container.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { type, status: 'True', reason: 'PodCompleted' };
  // Once a main container has started, initialization is over whatever sidecars do.
  const begun = main.some((status) => status.state?.running || status.state?.terminated || status.lastState?.terminated);
  return begun ? yes(type) : unmet(type, 'ContainersNotInitialized', 'incomplete', unknown, incomplete);
}

function unmet(type: string, reason: string, word: string, unknown: readonly string[], names: readonly string[]): Made {
  const parts = [...(unknown.length > 0 ? [`containers with unknown status: [${unknown.join(' ')}]`] : []), ...(names.length > 0 ? [`containers with ${word} status: [${names.join(' ')}]`] : [])];
  return parts.length === 0 ? yes(type) : { type, status: 'False', reason, message: parts.join(', ') };
}
