/** What `kubectl get pods` shows. One summary feeds Ready, Status and Restarts. Source: upstream's printPod. */
import type { ContainerStatus, Pod } from '../../../api/core/v1.ts';
import type { Column } from '../../types.ts';
import { since } from '../../../api/human-duration.ts';
import { ageColumn, column, nameColumn, wide } from '../define.ts';

interface Summary { ready: string; reason: string; restarts: number; lastRestart: string | undefined }

const later = (a: string | undefined, b: string | undefined) => (b !== undefined && (a === undefined || Date.parse(b) > Date.parse(a)) ? b : a);
const lastFinish = (status: ContainerStatus) => status.lastState?.terminated?.finishedAt;
const exitText = (signal: number | undefined, exitCode: number) => (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);

export function summarisePod(pod: Pod): Summary {
  const status = pod.status ?? {};
  const initContainers = pod.spec.initContainers ?? [];
  const sidecars = new Set(initContainers.filter((container) => container.restartPolicy === 'Always').map((container) => container.name));
  const total = (pod.spec.containers?.length ?? 0) + sidecars.size;
  let [readyCount, restarts, sidecarRestarts] = [0, 0, 0];
  let lastRestart: string | undefined;
  let lastSidecarRestart: string | undefined;
  let reason = status.reason || status.phase || '';
  for (const condition of status.conditions ?? []) if (condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated') reason = 'SchedulingGated';

  let initializing = false;
  for (const [i, container] of (status.initContainerStatuses ?? []).entries()) {
    restarts += container.restartCount ?? 0;
    lastRestart = later(lastRestart, lastFinish(container));
    const sidecar = sidecars.has(container.name);
    if (sidecar) {
      sidecarRestarts += container.restartCount ?? 0;
      lastSidecarRestart = later(lastSidecarRestart, lastFinish(container));
    }
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started) { if (container.ready) readyCount++; continue; }
    initializing = true;
    if (terminated) reason = `Init:${terminated.reason || exitText(terminated.signal, terminated.exitCode)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`;
    else reason = `Init:${i}/${initContainers.length}`;
    break;
  }

  const conditionTrue = (type: string) => (status.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True');
  if (!initializing || conditionTrue('Initialized')) {
    restarts = sidecarRestarts;
    lastRestart = lastSidecarRestart;
    let hasRunning = false;
    for (const container of [...status.containerStatuses ?? []].reverse()) {
      restarts += container.restartCount ?? 0;
      lastRestart = later(lastRestart, lastFinish(container));
      const { terminated, waiting, running } = container.state ?? {};
      if (waiting?.reason) reason = waiting.reason;
      else if (terminated) reason = terminated.reason || exitText(terminated.signal, terminated.exitCode);
      else if (container.ready && running) { hasRunning = true; readyCount++; }
    }
    if (reason === 'Completed' && hasRunning) reason = conditionTrue('Ready') ? 'Running' : 'NotReady';
  }

  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') reason = 'Unknown';
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') reason = 'Terminating';
  }
  return { ready: `${readyCount}/${total}`, reason, restarts, lastRestart };
}

// The columns of one row ask in turn about the same object.
let last: { pod: Pod; summary: Summary } | undefined;
function summaryOf(pod: Pod): Summary {
  if (last?.pod !== pod) last = { pod, summary: summarisePod(pod) };
  return last.summary;
}

export const podColumns: readonly Column<Pod>[] = [
  nameColumn,
  column('Ready', (pod) => summaryOf(pod).ready, { description: 'The aggregate readiness state of this pod for accepting traffic.' }),
  column('Status', (pod) => summaryOf(pod).reason, { description: 'The aggregate status of the containers in this pod.' }),
  column('Restarts', (pod, now) => {
    const { restarts, lastRestart } = summaryOf(pod);
    return restarts !== 0 && lastRestart !== undefined ? `${restarts} (${since(lastRestart, now)} ago)` : String(restarts);
  }, { description: 'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.' }),
  ageColumn,
  wide('IP', (pod) => pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || '<none>', { description: 'The address of the pod, where it has one.' }),
  wide('Node', (pod) => pod.spec.nodeName || '<none>', { description: 'The node the pod is bound to.' }),
  wide('Nominated Node', (pod) => pod.status?.nominatedNodeName || '<none>', { description: 'The node the pod may be bound to once others have left it.' }),
  wide('Readiness Gates', (pod) => {
    const gates = pod.spec.readinessGates ?? [];
    if (gates.length === 0) return '<none>';
    const met = gates.filter((gate) => (pod.status?.conditions ?? []).some((condition) => condition.type === gate.conditionType && condition.status === 'True')).length;
    return `${met}/${gates.length}`;
  }, { description: 'How many readiness gates are met.' }),
];
