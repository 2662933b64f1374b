/** What controllers ask of pods, and how they make and delete them. Behaviour: upstream's pkg/controller/controller_utils.go and pkg/api/v1/pod. */
import type { Draft } from '../base/json.ts';
import type { LabelSelector } from '../api/meta/v1.ts';
import { isNotFound, isStatusError } from '../api/meta/status.ts';
import { selectorFrom, selectorFromMap, type Selector } from '../api/label-selector.ts';
import type { Pod, PodCondition, PodTemplateSpec } from '../api/core/v1.ts';
import { pods } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, NewObject } from '../client/client.ts';
import { controllerReference } from './claim.ts';
import type { Context } from './framework.ts';

export const isTerminal = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
export const isActive = (pod: Pod): boolean => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined;
export const isTerminating = (pod: Pod): boolean => !isTerminal(pod) && pod.metadata.deletionTimestamp !== undefined;
export function podCondition(pod: Pod, type: string): PodCondition | undefined { return pod.status?.conditions?.find((condition) => condition.type === type); }
export const isReady = (pod: Pod): boolean => podCondition(pod, 'Ready')?.status === 'True';
export const millis = (time: string | undefined): number => (time ? Date.parse(time) : 0);

/** How long until a ready pod has been so for `minReadySeconds`; 0 when it has, undefined when it is not ready. */
export function availableIn(pod: Pod, minReadySeconds: number, now: number): number | undefined {
  const ready = podCondition(pod, 'Ready');
  if (ready?.status !== 'True') return undefined;
  if (minReadySeconds === 0) return 0;
  if (!ready.lastTransitionTime) return undefined;
  return Math.max(0, millis(ready.lastTransitionTime) + minReadySeconds * 1000 - now);
}
export const isAvailable = (pod: Pod, minReadySeconds: number, now: number): boolean => availableIn(pod, minReadySeconds, now) === 0;

const compiled = new WeakMap<object, Selector>();
/** Compiled once per selector object: cached objects never change. */
export function labelSelector(selector: LabelSelector | undefined): Selector {
  if (!selector) return selectorFrom(undefined);
  let made = compiled.get(selector);
  if (!made) compiled.set(selector, made = selectorFrom(selector));
  return made;
}
export function mapSelector(labels: { readonly [key: string]: string } | undefined): Selector {
  if (!labels) return selectorFrom(undefined);
  let made = compiled.get(labels);
  if (!made) compiled.set(labels, made = selectorFromMap(labels));
  return made;
}

/** A pod as its owner's template says, named by the server after the owner. */
export function podFromTemplate(template: PodTemplateSpec, owner: ApiObject, names: ResourceNames): Draft<NewObject<Pod>> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    metadata: {
      namespace: owner.metadata.namespace, generateName: `${owner.metadata.name}-`,
      ...(labels ? { labels: { ...labels } } : {}), ...(annotations ? { annotations: { ...annotations } } : {}), ...(finalizers ? { finalizers: [...finalizers] } : {}),
      ownerReferences: [controllerReference(owner, names)],
    },
    spec: structuredClone(template.spec),
  } as Draft<NewObject<Pod>>;
}

export function isNamespaceTerminating(err: unknown): boolean {
  return isStatusError(err, 'Forbidden') && (err.status.details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating') || err.message.includes('because it is being terminated'));
}

export async function createPod(context: Context, owner: ApiObject, pod: NewObject<Pod>, signal: AbortSignal): Promise<Pod> {
  try {
    const created = await context.client.for(pods).create(pod, { signal });
    context.events.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
    return created;
  } catch (err) {
    if (!isNamespaceTerminating(err) && !signal.aborted) context.events.event(owner, 'Warning', 'FailedCreate', `Error creating: ${(err as Error).message}`);
    throw err;
  }
}

/** Throws NotFound too: the caller's expectations need to know. */
export async function deletePod(context: Context, owner: ApiObject, pod: Pod, signal: AbortSignal): Promise<void> {
  const { namespace, name } = pod.metadata;
  try {
    await context.client.for(pods).delete({ namespace, name }, { signal });
    context.events.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  } catch (err) {
    if (!isNotFound(err) && !signal.aborted) context.events.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${(err as Error).message}`);
    throw err;
  }
}

const restarts = (pod: Pod): number => Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount ?? 0));
const phaseOrder: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
const deletionCost = (pod: Pod): number => {
  const text = pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'];
  return text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : 0;
};
/** Powers of two of the age in nanoseconds: near-equal ages compare equal, so that the oldest are not always spared. */
const ageRank = (time: number, now: number): number => { const age = (now - time) * 1e6; return age <= 0 ? -1 : Math.floor(Math.log2(age)); };

/** Which of two pods goes first when scaling down. `rank`: how many pods of the same deployment share the node. */
export function compareForDeletion(a: Pod, b: Pod, rank: (pod: Pod) => number, now: number): number {
  const byFlag = (first: boolean, second: boolean) => Number(second) - Number(first);
  const byAge = (first: number, second: number) => {
    const difference = ageRank(first, now) - ageRank(second, now);
    if (difference !== 0) return difference;
    return a.metadata.uid! < b.metadata.uid! ? -1 : 1;
  };
  if (!a.spec.nodeName !== !b.spec.nodeName) return byFlag(!a.spec.nodeName, !b.spec.nodeName);
  const phase = (phaseOrder[a.status?.phase ?? ''] ?? 0) - (phaseOrder[b.status?.phase ?? ''] ?? 0);
  if (phase !== 0) return phase;
  if (isReady(a) !== isReady(b)) return byFlag(!isReady(a), !isReady(b));
  const cost = deletionCost(a) - deletionCost(b);
  if (cost !== 0) return cost;
  const ranks = rank(b) - rank(a);
  if (ranks !== 0) return ranks;
  if (isReady(a)) {
    const readyA = millis(podCondition(a, 'Ready')!.lastTransitionTime);
    const readyB = millis(podCondition(b, 'Ready')!.lastTransitionTime);
    if (readyA !== readyB) return byAge(readyA, readyB);
  }
  const restarted = restarts(b) - restarts(a);
  if (restarted !== 0) return restarted;
  const [createdA, createdB] = [millis(a.metadata.creationTimestamp), millis(b.metadata.creationTimestamp)];
  return createdA === createdB ? 0 : byAge(createdA, createdB);
}
