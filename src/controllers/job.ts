/**
 * Runs Jobs to completion. Every pod carries a finalizer until it was counted in the status, so none is counted twice or
 * lost. Behaviour: kubernetes.io/docs/concepts/workloads/controllers/job; upstream's pkg/controller/job.
 */
import type { Draft } from '../base/json.ts';
import { timestamp } from '../base/clock.ts';
import type { Job, JobCondition, JobStatus } from '../api/batch/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { jobs, pods } from '../api/resources.ts';
import { isInvalid, isNotFound } from '../api/meta/status.ts';
import type { NewObject } from '../client/client.ts';
import { same } from './canonical.ts';
import { claim } from './claim.ts';
import { controllerOf, defineController, done, requeueAfter, slowStart, type Context, type Result } from './framework.ts';
import { completionIndexKey, formatIndexes, indexOf, parseIndexes } from './job-indexes.ts';
import {
  backoffAfter, conditionOf, duplicates, failureCount, finishedAt, finishedCondition, hasFailed, hasSucceeded, hasTracking, indexFailureCountKey, isIndexed, makeCondition, matchFailurePolicy,
  matchSuccessPolicy, onlyReplaceFailed, pendingIndexes, remainingDeadline, restartsExceedLimit, setCondition, trackingFinalizer,
} from './job-plan.ts';
import { compareForDeletion, createPod, deletePod, isActive, isReady, isTerminating, labelSelector, podFromTemplate } from './pods.ts';

const maxPodsPerSync = 500;
const maxUncounted = 500;
const orphanPrefix = 'orphan!';

interface State { backoff: Map<string, { failures: number; lastFailure: number }> }

export const jobController = defineController({
  name: 'job-controller', aliases: ['job'], for: jobs,
  owns: [{ resource: pods, expected: true, selector: (job: Job) => labelSelector(job.spec.selector) }],
  watches: [{
    // A tracked pod whose Job is gone or done must not hang on its finalizer.
    resource: pods,
    *keys({ next }: { next?: Pod }, context) {
      if (!next || !hasTracking(next)) return;
      const owner = controllerOf(next);
      const job = owner?.kind === 'Job' ? context.cache(jobs).get(`${next.metadata.namespace}/${owner.name}`) : undefined;
      if (!job || job.metadata.uid !== owner!.uid || finishedCondition(job)) yield `${orphanPrefix}${next.metadata.namespace}/${next.metadata.name}`;
    },
  }],
  writes: ['pods', 'jobs/status'],
  setup: (context): State => {
    context.cache(pods).addIndex('job-uid', (pod) => { const owner = hasTracking(pod) ? controllerOf(pod) : undefined; return owner?.kind === 'Job' ? [owner.uid] : []; });
    // When a Job goes, what its pods' finalizers waited for goes too.
    const release = (job: Job) => { for (const pod of context.cache(pods).byIndex('job-uid', job.metadata.uid!)) context.enqueue(`${orphanPrefix}${pod.metadata.namespace}/${pod.metadata.name}`); };
    context.cache(jobs).addHandler({ onUpdate: (_, job) => { if (finishedCondition(job)) release(job); }, onDelete: release });
    return { backoff: new Map() };
  },
  async reconcile(key, context, signal) {
    if (key.startsWith(orphanPrefix)) return releaseOrphan(key.slice(orphanPrefix.length), context, signal);
    const state = context.state as State;
    const job = context.cache(jobs).get(key);
    if (!job) { context.expectations.forget(key); state.backoff.delete(key); return done; }
    if (finishedCondition(job)) { state.backoff.delete(key); return done; }
    if (job.spec.managedBy && job.spec.managedBy !== 'kubernetes.io/job-controller') return done;
    return syncJob(key, job, context, signal);
  },
});

async function releaseOrphan(key: string, context: Context, signal: AbortSignal): Promise<Result> {
  const pod = context.cache(pods).get(key);
  if (!pod || !hasTracking(pod)) return done;
  const owner = controllerOf(pod);
  if (owner?.kind === 'Job') {
    const job = context.cache(jobs).get(`${pod.metadata.namespace}/${owner.name}`);
    if (job && job.metadata.uid === owner.uid && !finishedCondition(job)) return done;
  }
  await removeFinalizer(pod, context, signal);
  return done;
}

async function removeFinalizer(pod: Pod, context: Context, signal: AbortSignal): Promise<void> {
  try {
    await context.client.for(pods).patch(pod.metadata, 'strategic', { metadata: { uid: pod.metadata.uid!, '$deleteFromPrimitiveList/finalizers': [trackingFinalizer] } }, { signal });
  } catch (err) { if (!isNotFound(err) && !isInvalid(err)) throw err; }
}

async function syncJob(key: string, job: Job, context: Context, signal: AbortSignal): Promise<Result> {
  const { clock, expectations, events } = context;
  const now = clock.now();
  const state = context.state as State;
  const expected = expectations.met(key);
  const all = await claim(context, job, jobs, pods, labelSelector(job.spec.selector), { finalizers: [trackingFinalizer] });
  const active = all.filter(isActive);
  const terminating = all.filter(isTerminating);
  const old: JobStatus = job.status ?? {};
  let conditions: readonly JobCondition[] = old.conditions ?? [];
  let wakeMs: number | undefined;
  const wake = (ms: number) => { wakeMs = Math.min(ms, wakeMs ?? Infinity); };

  // What ended and is in no count yet.
  const uncounted = { succeeded: new Set(old.uncountedTerminatedPods?.succeeded), failed: new Set(old.uncountedTerminatedPods?.failed) };
  const tracked = all.filter(hasTracking);
  const isNew = (pod: Pod) => hasTracking(pod) && !uncounted.succeeded.has(pod.metadata.uid!) && !uncounted.failed.has(pod.metadata.uid!);
  const newSucceeded = all.filter((pod) => hasSucceeded(pod) && isNew(pod));
  const rules = job.spec.podFailurePolicy?.rules;
  const policyOf = (pod: Pod) => (pod.status?.phase === 'Failed' ? matchFailurePolicy(rules, pod) : undefined);
  const newFailed = all.filter((pod) => !hasSucceeded(pod) && hasFailed(pod, job) && isNew(pod));
  const newCountedFailed = newFailed.filter((pod) => policyOf(pod)?.action !== 'Ignore');
  const indexed = isIndexed(job);
  const succeededIndexes = parseIndexes(old.completedIndexes, job.spec.completions);
  if (indexed) for (const pod of tracked) if (hasSucceeded(pod) && indexOf(pod) >= 0 && indexOf(pod) < (job.spec.completions ?? 0)) succeededIndexes.add(indexOf(pod));
  const perIndex = indexed ? job.spec.backoffLimitPerIndex : undefined;
  const failedIndexes = parseIndexes(old.failedIndexes, job.spec.completions);
  if (perIndex !== undefined) {
    for (const pod of tracked) {
      if (!hasFailed(pod, job) || hasSucceeded(pod) || indexOf(pod) < 0) continue;
      const action = policyOf(pod)?.action;
      if (action === 'FailIndex' || (action !== 'Ignore' && failureCount(pod) >= perIndex)) failedIndexes.add(indexOf(pod));
    }
    for (const index of succeededIndexes) failedIndexes.delete(index);
  }
  const succeeded = indexed ? succeededIndexes.size : (old.succeeded ?? 0) + uncounted.succeeded.size + newSucceeded.length;
  const failed = (old.failed ?? 0) + uncounted.failed.size + newCountedFailed.length;

  const backoff = state.backoff.get(key) ?? { failures: 0, lastFailure: 0 };
  if (newSucceeded.length > 0) backoff.failures = 0;
  if (newCountedFailed.length > 0) {
    const lastSuccess = Math.max(0, ...newSucceeded.map((pod) => finishedAt(pod, now)));
    backoff.failures += newCountedFailed.filter((pod) => finishedAt(pod, now) >= lastSuccess).length;
    backoff.lastFailure = Math.max(...newCountedFailed.map((pod) => finishedAt(pod, now)));
  }

  let startTime = old.startTime;
  if (!startTime && !job.spec.suspend) startTime = timestamp(now);

  // Is it over? A target, once set, stays.
  let target: JobCondition | undefined = conditionOf(job, 'FailureTarget') ?? conditionOf(job, 'SuccessCriteriaMet');
  if (!target) {
    const fail = (reason: string, message: string) => makeCondition('FailureTarget', 'True', reason, message, now);
    const doomed = all.filter((pod) => hasFailed(pod, job)).map(policyOf).find((match) => match?.action === 'FailJob');
    const successRule = indexed && job.spec.successPolicy ? matchSuccessPolicy(job, succeededIndexes) : undefined;
    const left = remainingDeadline({ ...job, status: { ...old, startTime } }, now);
    if (doomed) target = fail('PodFailurePolicy', doomed.message);
    else if (successRule) target = makeCondition('SuccessCriteriaMet', 'True', 'SuccessPolicy', successRule, now);
    else if (failed > (job.spec.backoffLimit ?? 6) || restartsExceedLimit(job, all)) target = fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
    else if (left !== undefined && left <= 0) target = fail('DeadlineExceeded', 'Job was active longer than specified deadline');
    else if (perIndex !== undefined && job.spec.maxFailedIndexes !== undefined && failedIndexes.size > job.spec.maxFailedIndexes) target = fail('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
    else if (perIndex !== undefined && failedIndexes.size > 0 && failedIndexes.size + succeededIndexes.size >= (job.spec.completions ?? 0)) target = fail('FailedIndexes', 'Job has failed indexes');
    else if (left !== undefined) wake(left);
  }

  let failure: unknown;
  let activeCount = active.length;
  if (target) {
    if (!job.metadata.deletionTimestamp) activeCount -= await deletePods(active, key, job, context, signal, false);
  } else if (job.metadata.deletionTimestamp) { /* the garbage collector removes the pods */
  } else {
    if (expected) {
      try {
        const plan = await manage();
        activeCount = plan.active;
        if (plan.waitMs !== undefined) wake(plan.waitMs);
      } catch (err) { failure = err; }
    }
    const finished = job.spec.completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= job.spec.completions && active.length === 0;
    if (finished && failure === undefined && expected && activeCount === 0) target = makeCondition('SuccessCriteriaMet', 'True', 'CompletionsReached', 'Reached expected number of succeeded pods', now);
    const suspended = old.conditions?.find((condition) => condition.type === 'Suspended');
    if (!target) {
      if (job.spec.suspend && suspended?.status !== 'True') {
        conditions = setCondition(conditions, makeCondition('Suspended', 'True', 'JobSuspended', 'Job suspended', now));
        events.event(job, 'Normal', 'Suspended', 'Job suspended');
      } else if (!job.spec.suspend && suspended?.status === 'True') {
        conditions = setCondition(conditions, makeCondition('Suspended', 'False', 'JobResumed', 'Job resumed', now));
        events.event(job, 'Normal', 'Resumed', 'Job resumed');
        startTime = timestamp(now);
      }
    }
    if (job.spec.suspend && startTime && !target) startTime = undefined;
  }
  if (target) conditions = setCondition(conditions, conditions.find((condition) => condition.type === target!.type) ?? target);

  // Count: note the uids, take the finalizers off, then turn uids into numbers. A crash between the steps loses nothing.
  const counted = { succeeded: old.succeeded ?? 0, failed: old.failed ?? 0 };
  const base = {
    ...(startTime ? { startTime } : {}), active: activeCount, ready: active.filter(isReady).length, terminating: terminating.length,
    ...(indexed ? { completedIndexes: formatIndexes(succeededIndexes) || undefined } : {}),
    ...(perIndex !== undefined ? { failedIndexes: formatIndexes(failedIndexes) } : {}),
  };
  let latest = job;
  const write = async (status: JobStatus) => {
    const next = clean(status);
    if (!same(latest.status ?? {}, next)) latest = await context.client.for(jobs).updateStatus({ ...latest, status: next }, { signal });
  };
  const statusNow = (): JobStatus => ({
    ...base, conditions, succeeded: indexed ? Math.min(succeededIndexes.size, succeeded) : counted.succeeded, failed: counted.failed,
    uncountedTerminatedPods: { ...(uncounted.succeeded.size ? { succeeded: [...uncounted.succeeded] } : {}), ...(uncounted.failed.size ? { failed: [...uncounted.failed] } : {}) },
  });
  // A pod of a job that is over, or that is being deleted with it, is finished by that.
  const releasing = tracked.filter((pod) => hasSucceeded(pod) || hasFailed(pod, job) || (target?.type === 'FailureTarget' && isTerminating(pod) && pod.status?.phase === 'Failed'));
  for (const pod of newSucceeded) if (uncounted.succeeded.size + uncounted.failed.size < maxUncounted) uncounted.succeeded.add(pod.metadata.uid!);
  const ignored = new Set(newFailed.filter((pod) => !newCountedFailed.includes(pod)).map((pod) => pod.metadata.uid!));
  for (const pod of newCountedFailed) if (uncounted.succeeded.size + uncounted.failed.size < maxUncounted) uncounted.failed.add(pod.metadata.uid!);
  if (uncounted.succeeded.size + uncounted.failed.size > 0) await write(statusNow());
  if (newSucceeded.length > 0 || newCountedFailed.length > 0) state.backoff.set(key, backoff);
  const noted = releasing.filter((pod) => uncounted.succeeded.has(pod.metadata.uid!) || uncounted.failed.has(pod.metadata.uid!) || ignored.has(pod.metadata.uid!));
  const removals = await Promise.allSettled(noted.map((pod) => removeFinalizer(pod, context, signal)));
  const stuck = new Set(noted.filter((_, i) => removals[i]!.status === 'rejected').map((pod) => pod.metadata.uid!));
  // Pods with the finalizer that this pass did not release stay uncounted.
  const holding = new Set(tracked.map((pod) => pod.metadata.uid!));
  for (const pod of noted) if (!stuck.has(pod.metadata.uid!)) holding.delete(pod.metadata.uid!);
  for (const which of ['succeeded', 'failed'] as const) {
    for (const uid of [...uncounted[which]]) if (!holding.has(uid)) { uncounted[which].delete(uid); counted[which]++; }
  }
  const settled = uncounted.succeeded.size + uncounted.failed.size === 0 && stuck.size === 0;
  if (target && settled && activeCount === 0 && terminating.length === 0 && active.length === 0) {
    const complete = target.type === 'SuccessCriteriaMet';
    conditions = setCondition(conditions, makeCondition(complete ? 'Complete' : 'Failed', 'True', target.reason ?? '', target.message ?? '', now));
    await write({ ...statusNow(), ...(complete ? { completionTime: timestamp(now) } : {}), active: 0 });
    if (complete) events.event(job, 'Normal', 'Completed', 'Job completed');
    else events.event(job, 'Warning', target.reason ?? 'Failed', target.message ?? '');
    return done;
  }
  await write(statusNow());
  if (failure) throw failure;
  const rejected = removals.find((result) => result.status === 'rejected');
  if (rejected) throw rejected.reason;
  return wakeMs === undefined ? done : requeueAfter(wakeMs);

  /** Makes and removes pods until as many run as should. */
  async function manage(): Promise<{ active: number; waitMs?: number }> {
    if (job.spec.suspend) return { active: active.length - await deletePods(active.slice(0, maxPodsPerSync), key, job, context, signal) };
    const parallelism = job.spec.parallelism ?? 1;
    const finishedSet = new Set([...succeededIndexes, ...failedIndexes]);
    let want = job.spec.completions === undefined ? (succeeded > 0 ? active.length : parallelism)
      : Math.max(0, Math.min(job.spec.completions - (perIndex === undefined ? succeeded : finishedSet.size), parallelism));
    if (job.spec.completions === undefined && succeeded > 0) want = Math.min(want, parallelism);
    const surplus = active.length - want;
    const extra = indexed ? duplicates(job, active, finishedSet) : [];
    if (surplus > 0 || extra.length > 0) {
      const rest = active.filter((pod) => !extra.includes(pod)).sort((a, b) => compareForDeletion(a, b, () => 0, now));
      const doomed = [...extra, ...rest.slice(0, Math.max(0, surplus - extra.length))].slice(0, maxPodsPerSync);
      return { active: active.length - await deletePods(doomed, key, job, context, signal) };
    }
    const room = want - active.length - (onlyReplaceFailed(job) ? terminating.length : 0);
    if (room <= 0) return { active: active.length };
    if (perIndex === undefined) {
      const waitMs = backoff.lastFailure + backoffAfter(backoff.failures) - now;
      if (backoff.failures > 0 && waitMs > 0) return { active: active.length, waitMs };
    }
    let indexes: number[] = [];
    const counts = new Map<number, number>();
    let waitMs: number | undefined;
    if (indexed) {
      indexes = pendingIndexes(job, Math.min(room, maxPodsPerSync), onlyReplaceFailed(job) ? [...active, ...terminating] : active, finishedSet);
      if (perIndex !== undefined) {
        for (const index of indexes) {
          const last = tracked.concat(all).filter((pod) => indexOf(pod) === index && hasFailed(pod, job)).sort((a, b) => failureCount(b) - failureCount(a))[0];
          if (!last) continue;
          const count = failureCount(last) + (policyOf(last)?.action === 'Ignore' ? 0 : 1);
          counts.set(index, count);
          const wait = finishedAt(last, now) + backoffAfter(count) - now;
          if (wait > 0) { waitMs = Math.min(wait, waitMs ?? Infinity); indexes = indexes.filter((other) => other !== index); }
        }
      }
    }
    const count = indexed ? indexes.length : Math.min(room, maxPodsPerSync);
    if (count === 0) return { active: active.length, waitMs };
    expectations.expectCreations(key, count);
    const { succeeded: made, attempted, error } = await slowStart(count, async (i) => {
      try { await createPod(context, job, podOf(job, indexed ? indexes[i]! : undefined, perIndex === undefined || !indexed ? undefined : counts.get(indexes[i]!) ?? 0), signal); } catch (err) {
        expectations.creationObserved(key);
        throw err;
      }
    });
    for (let skipped = count - attempted; skipped > 0; skipped--) expectations.creationObserved(key);
    if (error) throw error;
    return { active: active.length + made, waitMs };
  }
}

function clean(status: JobStatus): JobStatus {
  const { active, succeeded, failed, conditions, ...rest } = status;
  return {
    ...(conditions?.length ? { conditions } : {}), ...rest, ...(active ? { active } : {}), ...(succeeded ? { succeeded } : {}), ...(failed ? { failed } : {}),
  };
}

/** Returns how many are on their way out. */
async function deletePods(doomed: readonly Pod[], key: string, job: Job, context: Context, signal: AbortSignal, expect = true): Promise<number> {
  if (expect && doomed.length > 0) context.expectations.expectDeletions(key, doomed.map((pod) => pod.metadata.uid!));
  let gone = 0;
  const results = await Promise.allSettled(doomed.map(async (pod) => {
    try { await deletePod(context, job, pod, signal); gone++; } catch (err) {
      context.expectations.deletionObserved(key, pod.metadata.uid!);
      if (!isNotFound(err)) throw err;
      gone++;
    }
  }));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  return gone;
}

function podOf(job: Job, index: number | undefined, failures: number | undefined): NewObject<Pod> {
  const pod = podFromTemplate(job.spec.template, job, jobs);
  pod.metadata.finalizers = [...(pod.metadata.finalizers ?? []), trackingFinalizer];
  if (index === undefined) return pod as NewObject<Pod>;
  pod.metadata.generateName = `${job.metadata.name}-${index}-`;
  pod.metadata.annotations = { ...pod.metadata.annotations, [completionIndexKey]: String(index), ...(failures === undefined ? {} : { [indexFailureCountKey]: String(failures) }) };
  pod.metadata.labels = { ...pod.metadata.labels, [completionIndexKey]: String(index) };
  const spec = pod.spec as Draft<Pod['spec']>;
  spec.hostname = `${job.metadata.name}-${index}`;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (container.env?.some((variable) => variable.name === 'JOB_COMPLETION_INDEX')) continue;
    container.env = [...(container.env ?? []), { name: 'JOB_COMPLETION_INDEX', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${completionIndexKey}']` } } }];
  }
  return pod as NewObject<Pod>;
}
