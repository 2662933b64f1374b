/** A pod on every node that wants one. Behaviour: kubernetes.io/docs/concepts/workloads/controllers/daemonset; upstream's pkg/controller/daemon. */
import type { DaemonSet, DaemonSetStatus } from '../api/apps/v1.ts';
import type { Node, Pod } from '../api/core/v1.ts';
import { controllerrevisions, daemonsets, nodes, pods } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import type { NewObject } from '../client/client.ts';
import { keyOf } from '../client/informer.ts';
import { omitEmpty, same } from './canonical.ts';
import { claim } from './claim.ts';
import { affinityFor, nodeWants, planPods, planRollout, targetNode, tolerationsOf } from './daemonset-plan.ts';
import { defineController, done, indexByController, requeueAfter, slowStart, type Context, type Result } from './framework.ts';
import { availableIn, createPod, deletePod, isReady, labelSelector, podFromTemplate } from './pods.ts';
import { revisionHashLabel, syncRevisions, trimRevisions } from './revisions.ts';

const generationAnnotation = 'deprecated.daemonset.template.generation';
const generationLabel = 'pod-template-generation';
/** Creations and deletions of one pass at most. */
const burst = 250;
/** A node whose pods keep failing is tried again after 1 s, doubled up to 15 min. */
const failureBackoffMs = { first: 1_000, most: 15 * 60_000 };

type Failures = Map<string, { count: number; until: number }>;

export const daemonSetController = defineController({
  name: 'daemonset-controller', account: 'daemon-set-controller', aliases: ['daemonset'], for: daemonsets,
  owns: [{ resource: pods, expected: true, selector: (set: DaemonSet) => labelSelector(set.spec.selector) }],
  watches: [{
    resource: nodes,
    *keys({ old, next }: { old?: Node; next?: Node }, context) {
      // Only labels and taints decide; heartbeats wake nobody.
      if (old && next && same(old.metadata.labels, next.metadata.labels) && same(old.spec.taints, next.spec.taints)) return;
      for (const set of context.cache(daemonsets).list()) yield keyOf(set);
    },
  }],
  writes: ['pods', 'controllerrevisions', 'daemonsets/status'],
  setup({ cache }): Failures { indexByController(cache(controllerrevisions)); return new Map(); },
  async reconcile(key, context, signal) {
    const set = context.cache(daemonsets).get(key);
    if (!set) { context.expectations.forget(key); return done; }
    const selector = labelSelector(set.spec.selector);
    if (selector.empty) { context.events.event(set, 'Warning', 'SelectingAll', 'This daemon set is selecting all pods. A non-empty selector is required.'); return done; }
    const { revisions, update, collisionCount } = await syncRevisions(context, set, daemonsets, selector, signal);
    const hash = update.metadata.labels?.[revisionHashLabel] ?? '';
    const owned = await claim(context, set, daemonsets, pods, selector);
    const byNode = new Map<string, Pod[]>();
    for (const pod of owned) { const node = targetNode(pod) ?? ''; byNode.set(node, [...byNode.get(node) ?? [], pod]); }
    const all = context.cache(nodes).list();
    let failure: unknown;
    if (!set.metadata.deletionTimestamp && context.expectations.met(key)) {
      try { await manage(key, set, all, byNode, hash, context, signal); } catch (err) { failure = err; }
    }
    const { status, wakeMs } = statusOf(set, all, byNode, hash, collisionCount, context.clock.now());
    if (!same(set.status ?? {}, status)) await context.client.for(daemonsets).updateStatus({ ...set, status }, { signal });
    await trimRevisions(context, revisions, new Set([update.metadata.name, ...owned.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? '')]), set.spec.revisionHistoryLimit ?? 10, signal);
    if (failure) throw failure;
    const retryMs = nextRetry(context.state as Failures, set.metadata.uid!, context.clock.now());
    return [wakeMs, retryMs].some((ms) => ms !== undefined) ? requeueAfter(Math.min(wakeMs ?? Infinity, retryMs ?? Infinity)) : done;
  },
});

async function manage(key: string, set: DaemonSet, all: readonly Node[], byNode: ReadonlyMap<string, readonly Pod[]>, hash: string, context: Context, signal: AbortSignal): Promise<Result> {
  const failures = context.state as Failures;
  const now = context.clock.now();
  const mayRetry = (node: string) => (failures.get(`${set.metadata.uid}/${node}`)?.until ?? 0) <= now;
  const plan = planPods(set, all, byNode, hash, now, mayRetry);
  for (const pod of plan.failed) {
    const id = `${set.metadata.uid}/${targetNode(pod)}`;
    const count = (failures.get(id)?.count ?? 0) + 1;
    failures.set(id, { count, until: now + Math.min(failureBackoffMs.most, failureBackoffMs.first * 2 ** (count - 1)) });
    context.events.event(set, 'Warning', 'FailedDaemonPod', `Found failed daemon pod ${pod.metadata.namespace}/${pod.metadata.name} on node ${targetNode(pod)}, will try to kill it`);
  }
  if (plan.create.length === 0 && plan.remove.length === 0) {
    const rollout = planRollout(set, all, byNode, hash, now);
    plan.create = rollout.create;
    plan.remove = rollout.remove;
  }
  const create = plan.create.slice(0, burst);
  const remove = plan.remove.slice(0, burst);
  const { expectations } = context;
  if (create.length + remove.length === 0) return done;
  expectations.alsoExpect(key, create.length, remove.map((pod) => pod.metadata.uid!));
  const deletions = Promise.allSettled(remove.map(async (pod) => {
    try { await deletePod(context, set, pod, signal); } catch (err) {
      expectations.deletionObserved(key, pod.metadata.uid!);
      if (!isNotFound(err)) throw err;
    }
  }));
  const { succeeded, error } = await slowStart(create.length, async (i) => { await createPod(context, set, podFor(set, create[i]!, hash), signal); });
  for (let i = succeeded; i < create.length; i++) expectations.creationObserved(key);
  const failed = (await deletions).find((result) => result.status === 'rejected');
  if (error ?? failed) throw error ?? (failed as PromiseRejectedResult).reason;
  return done;
}

function podFor(set: DaemonSet, nodeName: string, hash: string): NewObject<Pod> {
  const pod = podFromTemplate(set.spec.template, set, daemonsets);
  const generation = set.metadata.annotations?.[generationAnnotation];
  pod.metadata.labels = { ...pod.metadata.labels, [revisionHashLabel]: hash, ...(generation ? { [generationLabel]: generation } : {}) };
  const spec = pod.spec as unknown as Pod['spec'];
  return { ...pod, spec: { ...spec, affinity: affinityFor(nodeName, spec.affinity), tolerations: tolerationsOf(spec) } } as unknown as NewObject<Pod>;
}

function statusOf(set: DaemonSet, all: readonly Node[], byNode: ReadonlyMap<string, readonly Pod[]>, hash: string, collisionCount: number | undefined, now: number): { status: DaemonSetStatus; wakeMs: number | undefined } {
  const counts = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0, updatedNumberScheduled: 0, numberAvailable: 0 };
  let wakeMs: number | undefined;
  for (const node of all) {
    const { run } = nodeWants(set, node);
    const live = (byNode.get(node.metadata.name) ?? []).filter((pod) => pod.status?.phase !== 'Failed' && pod.status?.phase !== 'Succeeded');
    if (!run) { if (live.length > 0) counts.numberMisscheduled++; continue; }
    counts.desiredNumberScheduled++;
    if (live.length === 0) continue;
    counts.currentNumberScheduled++;
    // The newest stands for the node while an update has two there.
    const pod = [...live].sort((a, b) => Number(isReady(b)) - Number(isReady(a)) || ((a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? 1 : -1))[0]!;
    if (isReady(pod)) {
      counts.numberReady++;
      const wait = availableIn(pod, set.spec.minReadySeconds ?? 0, now);
      if (wait === 0) counts.numberAvailable++; else if (wait !== undefined) wakeMs = Math.min(wait, wakeMs ?? Infinity);
    }
    if (live.some((one) => one.metadata.labels?.[revisionHashLabel] === hash)) counts.updatedNumberScheduled++;
  }
  const { currentNumberScheduled, numberMisscheduled, desiredNumberScheduled, numberReady, ...optional } = counts;
  return { wakeMs, status: {
    currentNumberScheduled, numberMisscheduled, desiredNumberScheduled, numberReady,
    ...omitEmpty({ ...optional, numberUnavailable: desiredNumberScheduled - counts.numberAvailable, observedGeneration: set.metadata.generation ?? 0 }),
    ...(collisionCount === undefined ? {} : { collisionCount }), ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  } };
}

/** When the first back-off of the set's nodes is over; old ones are forgotten. */
function nextRetry(failures: Failures, uid: string, now: number): number | undefined {
  let next: number | undefined;
  for (const [id, { until }] of failures) {
    if (until + 2 * failureBackoffMs.most < now) failures.delete(id);
    else if (id.startsWith(`${uid}/`) && until > now) next = Math.min(until - now, next ?? Infinity);
  }
  return next;
}
