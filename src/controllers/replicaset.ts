/**
 * Keeps `spec.replicas` Pods per ReplicaSet and per ReplicationController: one implementation, told the kind's words.
 * Behaviour: kubernetes.io/docs/concepts/workloads/controllers/replicaset; upstream's pkg/controller/replicaset.
 */
import type { ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '../api/apps/v1.ts';
import type { Pod, PodTemplateSpec, ReplicationController } from '../api/core/v1.ts';
import { pods, replicasets, replicationcontrollers } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { Selector } from '../api/label-selector.ts';
import { timestamp } from '../base/clock.ts';
import { isNotFound } from '../api/meta/status.ts';
import { claim } from './claim.ts';
import { controlledBy, controllerOf, defineController, done, requeueAfter, slowStart, type Context, type ControllerDefinition } from './framework.ts';
import { availableIn, compareForDeletion, createPod, deletePod, isActive, isNamespaceTerminating, isReady, isTerminating, labelSelector, mapSelector, podFromTemplate } from './pods.ts';

/** Both kinds have these; RC's selector is a plain map. */
type Owner = ReplicaSet | ReplicationController;

/** Pods made or deleted in one reconcile. */
const burstReplicas = 500;

export const replicaSetController = replicaController({
  name: 'replicaset-controller', aliases: ['replicaset'], names: replicasets as ResourceNames<Owner>,
  selector: (owner) => labelSelector((owner as ReplicaSet).spec.selector),
});
export const replicationController = replicaController({
  name: 'replicationcontroller-controller', aliases: ['replicationcontroller'], component: 'replication-controller', names: replicationcontrollers as ResourceNames<Owner>,
  selector: (owner) => mapSelector((owner as ReplicationController).spec.selector),
});

interface Words { name: string; aliases: string[]; component?: string; names: ResourceNames<Owner>; selector(owner: Owner): Selector }

function replicaController({ name, aliases, component, names, selector }: Words): ControllerDefinition {
  return defineController({
    name, aliases, component: component ?? name, account: component ?? name, for: names, owns: [{ resource: pods, expected: true, selector }], writes: ['pods', `${names.plural}/status`], workers: 5,
    setup(context) {
      // Pods that are ready now become available later without any event.
      context.cache(names).addIndex('controller-uid', (owner) => { const reference = controllerOf(owner); return reference ? [reference.uid] : []; });
    },
    async reconcile(key, context, signal) {
      const { expectations, clock } = context;
      const owner = context.cache(names).get(key);
      if (!owner) { expectations.forget(key); return done; }
      const needsSync = expectations.met(key);
      const all = await claim(context, owner, names, pods, selector(owner));
      const active = all.filter(isActive);
      let failure: unknown;
      if (needsSync && !owner.metadata.deletionTimestamp) {
        try { await manageReplicas(key, owner, names, active, context, signal); } catch (err) { failure = err; }
      }
      const plan = planStatus(owner, active, all.filter(isTerminating).length, failure, clock.now());
      if (statusChanged(owner, plan.status)) {
        await context.client.for(names).updateStatus({ ...owner, status: plan.status } as Owner, { signal });
      }
      if (failure) throw failure;
      return plan.availableInMs === undefined ? done : requeueAfter(plan.availableInMs);
    },
  });
}

async function manageReplicas(key: string, owner: Owner, names: ResourceNames<Owner>, active: readonly Pod[], context: Context, signal: AbortSignal): Promise<void> {
  const { expectations } = context;
  const surplus = active.length - (owner.spec.replicas ?? 1);
  if (surplus < 0) {
    const count = Math.min(-surplus, burstReplicas);
    expectations.expectCreations(key, count);
    const template = podFromTemplate((owner.spec.template ?? {}) as PodTemplateSpec, owner, names);
    const { attempted, error } = await slowStart(count, async () => {
      try { await createPod(context, owner, template, signal); } catch (err) {
        expectations.creationObserved(key);
        // Nothing can be made in a namespace that is going away: retrying helps nobody.
        if (!isNamespaceTerminating(err)) throw err;
      }
    });
    for (let skipped = count - attempted; skipped > 0; skipped--) expectations.creationObserved(key);
    if (error) throw error;
  } else if (surplus > 0) {
    const doomed = podsToDelete(active, Math.min(surplus, burstReplicas), relatedPods(owner, names, context), context.clock.now());
    expectations.expectDeletions(key, doomed.map((pod) => pod.metadata.uid!));
    const results = await Promise.allSettled(doomed.map(async (pod) => {
      try { await deletePod(context, owner, pod, signal); } catch (err) {
        expectations.deletionObserved(key, pod.metadata.uid!);
        if (!isNotFound(err)) throw err;
      }
    }));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }
}

/** Pods of all sets with the same controller: during a rollout, nodes crowded by the whole deployment give up pods first. */
function relatedPods(owner: Owner, names: ResourceNames<Owner>, context: Context): Pod[] {
  const parent = controllerOf(owner);
  const siblings = parent ? context.cache(names).byIndex('controller-uid', parent.uid) : [owner];
  return siblings.flatMap((sibling) => controlledBy(context.cache(pods), sibling));
}

export function podsToDelete(active: readonly Pod[], count: number, related: readonly Pod[], now: number): Pod[] {
  if (count >= active.length) return [...active];
  const perNode = new Map<string, number>();
  for (const pod of related) if (isActive(pod) && pod.spec.nodeName) perNode.set(pod.spec.nodeName, (perNode.get(pod.spec.nodeName) ?? 0) + 1);
  const rank = (pod: Pod) => perNode.get(pod.spec.nodeName ?? '') ?? 0;
  return [...active].sort((a, b) => compareForDeletion(a, b, rank, now)).slice(0, count);
}

/** The status these pods give, and when the next of them becomes available by itself. */
export function planStatus(owner: Owner, active: readonly Pod[], terminating: number, failure: unknown, now: number): { status: ReplicaSetStatus; availableInMs?: number } {
  const templateLabels = Object.entries(owner.spec.template?.metadata?.labels ?? {});
  const minReadySeconds = owner.spec.minReadySeconds ?? 0;
  let [fullyLabeled, ready, available] = [0, 0, 0];
  let availableInMs: number | undefined;
  for (const pod of active) {
    if (templateLabels.every(([name, value]) => pod.metadata.labels?.[name] === value)) fullyLabeled++;
    if (!isReady(pod)) continue;
    ready++;
    const wait = availableIn(pod, minReadySeconds, now);
    if (wait === 0) available++;
    else if (wait !== undefined) availableInMs = Math.min(wait, availableInMs ?? Infinity);
  }
  const surplus = active.length - (owner.spec.replicas ?? 1);
  const conditions = (owner.status?.conditions ?? []) as readonly ReplicaSetCondition[];
  const known = conditions.find((condition) => condition.type === 'ReplicaFailure');
  const rest = conditions.filter((condition) => condition !== known);
  const failed: ReplicaSetCondition[] = failure === undefined || surplus === 0 ? [] : known ? [known]
    : [{ type: 'ReplicaFailure', status: 'True', lastTransitionTime: timestamp(now), reason: surplus < 0 ? 'FailedCreate' : 'FailedDelete', message: (failure as Error).message }];
  const next = [...rest, ...failed];
  return {
    status: {
      replicas: active.length, ...(fullyLabeled ? { fullyLabeledReplicas: fullyLabeled } : {}), ...(ready ? { readyReplicas: ready } : {}), ...(available ? { availableReplicas: available } : {}),
      ...(owner.kind === 'ReplicaSet' ? { terminatingReplicas: terminating } : {}),
      observedGeneration: owner.metadata.generation, ...(next.length ? { conditions: next } : {}),
    },
    availableInMs,
  };
}

function statusChanged(owner: Owner, next: ReplicaSetStatus): boolean {
  const old = owner.status as ReplicaSetStatus | undefined;
  return old?.replicas !== next.replicas || (old?.fullyLabeledReplicas ?? 0) !== (next.fullyLabeledReplicas ?? 0) || (old?.readyReplicas ?? 0) !== (next.readyReplicas ?? 0)
    || (old?.availableReplicas ?? 0) !== (next.availableReplicas ?? 0) || (old?.terminatingReplicas ?? 0) !== (next.terminatingReplicas ?? 0)
    || old?.observedGeneration !== next.observedGeneration || JSON.stringify(old?.conditions ?? []) !== JSON.stringify(next.conditions ?? []);
}

