/**
 * What the node has promised to each pod. A resize asks for other cpu and memory: it is granted when the node has room, deferred while
 * others hold it, and infeasible when the node could never give it. Until granted the pod goes on with what it had. KEP-1287.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Container, Pod } from '../api/core/v1.ts';
import type { NodeAllocatable } from './fields.ts';
import { isStaticPod, uidOf } from './names.ts';
import { podRequests } from './resources.ts';
import type { ConditionDraft } from './status-manager.ts';

type Resources = NonNullable<Container['resources']>;
/** By container name, init containers included. */
type Granted = Map<string, Resources>;

export interface Allocations {
  /** The pod as the node has promised it: its spec, or with the resources it had before. */
  granted(pod: Pod, others: readonly Pod[]): Pod;
  /** PodResizePending while a resize waits. */
  pending(uid: string): ConditionDraft | undefined;
  /** Pods whose resize was deferred, as their source has them. */
  deferred(): Pod[];
  forget(uid: string): void;
}

const containersOf = (pod: Pod): Container[] => [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
const withResources = (pod: Pod, granted: Granted): Pod => {
  const replace = (container: Container): Container => { const resources = granted.get(container.name); return resources ? { ...container, resources } : container; };
  return { ...pod, spec: { ...pod.spec, containers: pod.spec.containers.map(replace), ...(pod.spec.initContainers ? { initContainers: pod.spec.initContainers.map(replace) } : {}) } };
};
/** What the status says was promised, for a pod that ran before this kubelet did. */
function fromStatus(pod: Pod): Granted | undefined {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  if (statuses.length === 0 || !pod.status?.conditions?.some(({ type }) => type === 'PodResizePending')) return undefined;
  return new Map(statuses.flatMap(({ name, resources, allocatedResources }) => (resources ? [[name, { ...resources, ...(allocatedResources ? { requests: allocatedResources } : {}) }] as const] : [])));
}

export function createAllocations(allocatable: NodeAllocatable): Allocations {
  const known = new Map<string, Granted>();
  const waiting = new Map<string, { pod: Pod; condition: ConditionDraft }>();
  const room = [['cpu', allocatable.cpuMillis], ['memory', allocatable.memoryBytes]] as const;

  function refusal(pod: Pod, others: readonly Pod[]): { reason: string; message: string } | undefined {
    const wanted = podRequests(pod);
    for (const [name, capacity] of room) if ((wanted[name] ?? 0) > capacity) return { reason: 'Infeasible', message: `Node didn't have enough capacity: ${name}, requested: ${wanted[name]}, capacity: ${capacity}` };
    for (const [name, capacity] of room) {
      const used = others.reduce((sum, other) => sum + (uidOf(other) === uidOf(pod) ? 0 : podRequests(other)[name] ?? 0), 0);
      if (used + (wanted[name] ?? 0) > capacity) return { reason: 'Deferred', message: `Node didn't have enough resource: ${name}, requested: ${wanted[name] ?? 0}, used: ${used}, capacity: ${capacity}` };
    }
    return undefined;
  }

  return {
    granted(pod, others) {
      const uid = uidOf(pod);
      const wants: Granted = new Map(containersOf(pod).map(({ name, resources = {} }) => [name, resources]));
      const has = known.get(uid) ?? fromStatus(pod);
      const same = !has || [...wants].every(([name, resources]) => isDeepStrictEqual(resources, has.get(name) ?? resources));
      const refused = same || isStaticPod(pod) || pod.metadata.deletionTimestamp ? undefined : refusal(pod, others);
      if (!refused) {
        known.set(uid, wants);
        waiting.delete(uid);
        return pod;
      }
      known.set(uid, has!);
      waiting.set(uid, { pod, condition: { type: 'PodResizePending', status: 'True', ...refused } });
      return withResources(pod, has!);
    },
    pending: (uid) => waiting.get(uid)?.condition,
    deferred: () => [...waiting.values()].filter(({ condition }) => condition.reason === 'Deferred').map(({ pod }) => pod),
    forget(uid) { known.delete(uid); waiting.delete(uid); },
  };
}
