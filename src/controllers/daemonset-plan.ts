/** Which nodes a DaemonSet's pods belong on, and which pods come and go for it: pure. Behaviour: upstream's pkg/controller/daemon (daemon_controller.go, update.go). */
import type { DaemonSet } from '../api/apps/v1.ts';
import type { Node, Pod, PodSpec, Toleration } from '../api/core/v1.ts';
import { compileNodeSelector } from '../api/core/node-selector.ts';
import { tolerates } from '../api/core/tolerations.ts';
import { scaledValue } from './names.ts';
import { isAvailable, isReady, millis } from './pods.ts';
import { revisionHashLabel } from './revisions.ts';

/** What every daemon pod tolerates, so that a node in trouble keeps its agents. */
export const daemonTolerations: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }, { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' }, { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' }, { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];
const networkToleration: Toleration = { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' };

/** The template's tolerations with the daemon's own. */
export function tolerationsOf({ tolerations = [], hostNetwork }: PodSpec): Toleration[] {
  const own = [...daemonTolerations, ...(hostNetwork ? [networkToleration] : [])];
  return [...tolerations, ...own.filter((one) => !tolerations.some((other) => other.key === one.key && other.effect === one.effect && other.operator === one.operator && !other.tolerationSeconds))];
}

/** Whether pods of the set are to run on the node, and whether one that runs there may stay. */
export function nodeWants(set: DaemonSet, node: Node): { run: boolean; stay: boolean } {
  const { spec } = set.spec.template;
  const nothing = { run: false, stay: false };
  if (!spec || (spec.nodeName && spec.nodeName !== node.metadata.name)) return nothing;
  if (Object.entries(spec.nodeSelector ?? {}).some(([key, value]) => node.metadata.labels?.[key] !== value)) return nothing;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required && !compileNodeSelector(required)(node)) return nothing;
  const tolerations = tolerationsOf(spec);
  const untolerated = (node.spec.taints ?? []).filter((taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(tolerations, taint));
  return { run: untolerated.length === 0, stay: untolerated.every((taint) => taint.effect !== 'NoExecute') };
}

/** The node a daemon pod is for: where it runs, or where its affinity sends it. */
export function targetNode(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields } of terms) for (const field of matchFields ?? []) if (field.key === 'metadata.name' && field.operator === 'In' && field.values?.length === 1) return field.values[0];
  return undefined;
}

/** The pod's affinity, replaced so that it fits its node only. */
export function affinityFor(nodeName: string, affinity: PodSpec['affinity']): NonNullable<PodSpec['affinity']> {
  return { ...affinity, nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }] } } };
}

export interface DaemonPlan { create: string[]; remove: Pod[]; failed: Pod[] }

/** `podsByNode`: the set's pods on each node or meant for it. `mayRetry`: whether a failed pod's back-off is over. */
export function planPods(set: DaemonSet, nodes: readonly Node[], podsByNode: ReadonlyMap<string, readonly Pod[]>, hash: string, now: number, mayRetry: (node: string) => boolean): DaemonPlan {
  const plan: DaemonPlan = { create: [], remove: [], failed: [] };
  const surge = surgeOf(set, nodes.filter((node) => nodeWants(set, node).run).length);
  for (const node of nodes) {
    const { run, stay } = nodeWants(set, node);
    const pods = podsByNode.get(node.metadata.name) ?? [];
    if (!run && !stay) { plan.remove.push(...pods.filter((pod) => !pod.metadata.deletionTimestamp)); continue; }
    if (!stay) continue;
    const alive: Pod[] = [];
    for (const pod of pods) {
      if (pod.metadata.deletionTimestamp) continue;
      if (pod.status?.phase === 'Failed') {
        if (mayRetry(node.metadata.name)) { plan.failed.push(pod); plan.remove.push(pod); } // else its place stays taken until the back-off is over
      } else if (pod.status?.phase === 'Succeeded') plan.remove.push(pod);
      else alive.push(pod);
    }
    if (pods.length === 0 && run) plan.create.push(node.metadata.name);
    else if (alive.length > 1) {
      // Two at a time only while a surging update waits for the new one to become available.
      const oldest = [...alive].sort((a, b) => Number(isReady(b)) - Number(isReady(a)) || millis(a.metadata.creationTimestamp) - millis(b.metadata.creationTimestamp));
      const news = oldest.filter((pod) => pod.metadata.labels?.[revisionHashLabel] === hash);
      const olds = oldest.filter((pod) => pod.metadata.labels?.[revisionHashLabel] !== hash);
      if (surge > 0 && news.length > 0 && olds.length > 0) {
        const arrived = news.some((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now));
        plan.remove.push(...(arrived ? olds : olds.slice(1)), ...news.slice(1));
      } else plan.remove.push(...oldest.slice(1));
    }
  }
  // Pods for nodes that are gone are the garbage collector's, unless they never started.
  const known = new Set(nodes.map((node) => node.metadata.name));
  for (const [name, pods] of podsByNode) if (!known.has(name)) plan.remove.push(...pods.filter((pod) => !pod.metadata.deletionTimestamp && !pod.spec.nodeName));
  return plan;
}

export function surgeOf({ spec: { updateStrategy } }: DaemonSet, desired: number): number {
  return updateStrategy?.type === 'OnDelete' ? 0 : scaledValue(updateStrategy?.rollingUpdate?.maxSurge ?? 0, desired, 'up');
}
function unavailableLimit({ spec: { updateStrategy } }: DaemonSet, desired: number): number {
  return scaledValue(updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, desired, 'up');
}

/** One step of a rolling update: old pods to end (they come back new), or nodes that get a new pod beside the old one. */
export function planRollout(set: DaemonSet, nodes: readonly Node[], podsByNode: ReadonlyMap<string, readonly Pod[]>, hash: string, now: number): { remove: Pod[]; create: string[] } {
  if (set.spec.updateStrategy?.type === 'OnDelete') return { remove: [], create: [] };
  const wanted = nodes.filter((node) => nodeWants(set, node).run);
  const surge = surgeOf(set, wanted.length);
  const minReady = set.spec.minReadySeconds ?? 0;
  const isNew = (pod: Pod) => pod.metadata.labels?.[revisionHashLabel] === hash;
  const remove: Pod[] = [];
  const create: string[] = [];
  const candidates: Pod[] = [];
  let unavailable = 0;
  let surging = 0;
  for (const node of wanted) {
    const pods = (podsByNode.get(node.metadata.name) ?? []).filter((pod) => pod.status?.phase !== 'Failed' && pod.status?.phase !== 'Succeeded');
    const live = pods.filter((pod) => !pod.metadata.deletionTimestamp);
    const old = live.find((pod) => !isNew(pod));
    const fresh = live.find(isNew);
    if (surge > 0) {
      if (old && fresh) surging++;
      else if (old && !fresh) { if (!isAvailable(old, minReady, now)) create.unshift(node.metadata.name); else create.push(node.metadata.name); }
      continue;
    }
    if (!live.some((pod) => isAvailable(pod, minReady, now))) {
      unavailable++;
      // An old pod that serves nobody is replaced at once, at no cost.
      if (old) remove.push(old);
    } else if (old) candidates.push(old);
  }
  if (surge > 0) return { remove, create: create.slice(0, Math.max(0, surge - surging)) };
  remove.push(...candidates.slice(0, Math.max(0, unavailableLimit(set, wanted.length) - unavailable)));
  return { remove, create };
}
