/**
 * How many pods of a PodDisruptionBudget may be evicted right now: the status that evictions and preemption go by.
 * Behaviour: kubernetes.io/docs/concepts/workloads/pods/disruptions; upstream's pkg/controller/disruption.
 */
import { timestamp } from '../base/clock.ts';
import type { Pod } from '../api/core/v1.ts';
import type { Condition } from '../api/meta/v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '../api/policy/v1.ts';
import { deployments, poddisruptionbudgets, pods, replicasets, replicationcontrollers, statefulsets } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject } from '../client/client.ts';
import { keyOf } from '../client/informer.ts';
import { same } from './canonical.ts';
import { controllerOf, defineController, done, groupOf, requeueAfter, type Context } from './framework.ts';
import { scaledValue } from './names.ts';
import { isReady, isTerminal, labelSelector, millis } from './pods.ts';

/** An eviction that the API server noted and that never happened stops counting after this. Source: DeletionTimeout. */
const evictionTimeoutMs = 2 * 60_000;

/** Kinds whose spec.replicas says how many pods there should be. */
const scaled: readonly ResourceNames<ApiObject>[] = [replicationcontrollers, replicasets, statefulsets, deployments] as never;

export const disruptionController = defineController({
  name: 'disruption-controller', aliases: ['disruption'], for: poddisruptionbudgets, component: 'controllermanager',
  watches: [
    { resource: pods, *keys({ any, old, next }: { any: Pod; old?: Pod; next?: Pod }, context) { for (const pod of new Set([old ?? any, next ?? any])) yield* budgetsOf(pod, context); } },
    ...scaled.map((resource) => ({
      resource,
      *keys({ any, old, next }: { any: ApiObject; old?: ApiObject; next?: ApiObject }, context: Context) {
        if (old && next && replicasOf(old) === replicasOf(next)) return;
        for (const budget of context.cache(poddisruptionbudgets).list(any.metadata.namespace)) yield keyOf(budget);
      },
    })),
  ],
  writes: ['poddisruptionbudgets/status'],
  async reconcile(key, context, signal) {
    const budget = context.cache(poddisruptionbudgets).get(key);
    if (!budget) return done;
    const now = context.clock.now();
    const selector = labelSelector(budget.spec.selector);
    const selected = budget.spec.selector ? context.cache(pods).list(budget.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels)) : [];
    const { status, recheckMs } = planBudget(budget, selected, (pod) => replicasBehind(pod, context), now);
    if (!same(withoutTimes(budget.status), withoutTimes(status))) await context.client.for(poddisruptionbudgets).updateStatus({ ...budget, status }, { signal });
    return recheckMs === undefined ? done : requeueAfter(recheckMs);
  },
});

function* budgetsOf(pod: Pod, context: Context): Iterable<string> {
  for (const budget of context.cache(poddisruptionbudgets).list(pod.metadata.namespace)) {
    if (budget.spec.selector && labelSelector(budget.spec.selector).matches(pod.metadata.labels)) yield keyOf(budget);
  }
}

const replicasOf = (object: ApiObject): number => (object as ApiObject & { spec?: { replicas?: number } }).spec?.replicas ?? 1;

/** The controller at the top of a pod, and its wanted size; undefined when it has none that scales. */
function replicasBehind(pod: Pod, context: Context): { uid: string; replicas: number } | undefined {
  let found: ApiObject | undefined;
  for (let child: ApiObject = pod; ;) {
    const owner = controllerOf(child);
    const names = owner && scaled.find((one) => one.kind === owner.kind && one.group === groupOf(owner.apiVersion));
    const parent = names && context.cache(names).get(`${pod.metadata.namespace}/${owner!.name}`);
    if (!parent || parent.metadata.uid !== owner!.uid) break;
    child = found = parent;
  }
  return found && { uid: found.metadata.uid!, replicas: replicasOf(found) };
}

/** Pure: the status of a budget over the pods it selects. `recheckMs`: when a noted eviction runs out. */
export function planBudget(budget: PodDisruptionBudget, selected: readonly Pod[], replicasOfPod: (pod: Pod) => { uid: string; replicas: number } | undefined, now: number): { status: PodDisruptionBudgetStatus; recheckMs: number | undefined } {
  const { minAvailable, maxUnavailable } = budget.spec;
  const counted = selected.filter((pod) => !isTerminal(pod));
  const old = budget.status;
  const refused = (message: string): { status: PodDisruptionBudgetStatus; recheckMs: undefined } => ({ recheckMs: undefined, status: {
    currentHealthy: old?.currentHealthy ?? 0, desiredHealthy: old?.desiredHealthy ?? 0, expectedPods: old?.expectedPods ?? 0, disruptionsAllowed: 0, observedGeneration: budget.metadata.generation ?? 0,
    ...(old?.disruptedPods ? { disruptedPods: old.disruptedPods } : {}), conditions: withCondition(budget, 'False', 'SyncFailed', message, now),
  } });

  let expectedPods = counted.length;
  let desiredHealthy: number;
  if (maxUnavailable !== undefined || typeof minAvailable === 'string') {
    const controllers = new Map<string, number>();
    for (const pod of counted) {
      // A pod on its own has no scale to take a share of: it adds nothing.
      if (!controllerOf(pod)) continue;
      const controller = replicasOfPod(pod);
      if (!controller) return refused(`found no controllers for pod "${pod.metadata.name}"`);
      controllers.set(controller.uid, controller.replicas);
    }
    expectedPods = [...controllers.values()].reduce((sum, replicas) => sum + replicas, 0);
    desiredHealthy = maxUnavailable !== undefined ? Math.max(0, expectedPods - scaledValue(maxUnavailable, expectedPods, 'up')) : scaledValue(minAvailable, expectedPods, 'up');
  } else desiredHealthy = minAvailable ?? 1;

  const disruptedPods: Record<string, string> = {};
  let recheckMs: number | undefined;
  for (const pod of counted) {
    const at = old?.disruptedPods?.[pod.metadata.name];
    if (at === undefined || pod.metadata.deletionTimestamp) continue;
    const left = millis(at) + evictionTimeoutMs - now;
    if (left <= 0) continue;
    disruptedPods[pod.metadata.name] = at;
    recheckMs = Math.min(left, recheckMs ?? Infinity);
  }
  const currentHealthy = counted.filter((pod) => !pod.metadata.deletionTimestamp && disruptedPods[pod.metadata.name] === undefined && isReady(pod)).length;
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  return { recheckMs, status: {
    currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed, observedGeneration: budget.metadata.generation ?? 0, ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}),
    conditions: withCondition(budget, disruptionsAllowed > 0 ? 'True' : 'False', disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods', '', now),
  } };
}

function withCondition(budget: PodDisruptionBudget, status: string, reason: string, message: string, now: number): Condition[] {
  const old = budget.status?.conditions?.find((condition) => condition.type === 'DisruptionAllowed');
  const condition: Condition = { type: 'DisruptionAllowed', status, reason, message, observedGeneration: budget.metadata.generation ?? 0, lastTransitionTime: old?.status === status ? old.lastTransitionTime : timestamp(now) };
  return [...(budget.status?.conditions ?? []).filter((other) => other.type !== 'DisruptionAllowed'), condition];
}

/** For comparing: when a condition changed follows from what changed. */
function withoutTimes(status: PodDisruptionBudgetStatus | undefined): object {
  return { ...status, disruptedPods: status?.disruptedPods ?? {}, conditions: status?.conditions?.map((condition) => ({ ...condition, lastTransitionTime: '' })) };
}
