/**
 * What a Job's pods mean, pure: failure and success policies, limits, what to count. Behaviour: upstream's pkg/controller/job
 * (job_controller.go, pod_failure_policy.go, success_policy.go, indexed_job_utils.go, backoff_utils.go).
 */
import type { Job, JobCondition, PodFailurePolicyRule } from '../api/batch/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { timestamp } from '../base/clock.ts';
import { indexOf, parseIndexes } from './job-indexes.ts';
import { millis } from './pods.ts';

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
export const indexFailureCountKey = 'batch.kubernetes.io/job-index-failure-count';
export const indexIgnoredFailureCountKey = 'batch.kubernetes.io/job-index-ignored-failure-count';
const backoffMs = 10_000;
const maxBackoffMs = 600_000;

export const isIndexed = (job: Job): boolean => job.spec.completionMode === 'Indexed';
export const conditionOf = (job: Job, type: string): JobCondition | undefined => job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
export const finishedCondition = (job: Job): JobCondition | undefined => conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed');
export const onlyReplaceFailed = (job: Job): boolean => (job.spec.podReplacementPolicy ?? (job.spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed')) === 'Failed';
export const hasTracking = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) ?? false;
export const hasSucceeded = (pod: Pod): boolean => pod.status?.phase === 'Succeeded';
export function hasFailed(pod: Pod, job: Job): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return !onlyReplaceFailed(job) && pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded';
}

/** When the pod's last container ended; its deletion or creation where none says. */
export function finishedAt(pod: Pod, now: number): number {
  const ends = (pod.status?.containerStatuses ?? []).map((status) => millis(status.state?.terminated?.finishedAt)).filter((time) => time > 0);
  if (ends.length > 0) return Math.max(...ends);
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready')?.lastTransitionTime;
  return millis(pod.metadata.deletionTimestamp ?? ready) || now;
}
export const backoffAfter = (failures: number): number => (failures === 0 ? 0 : Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures - 1, 20)));

export interface PolicyMatch { action: string; message: string }
/** The first rule that a failed pod matches. */
export function matchFailurePolicy(rules: readonly PodFailurePolicyRule[] | undefined, pod: Pod): PolicyMatch | undefined {
  const subject = `${pod.metadata.namespace}/${pod.metadata.name}`;
  for (const [i, rule] of (rules ?? []).entries()) {
    const codes = rule.onExitCodes;
    if (codes) {
      const hit = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])].find((status) => {
        const ended = status.state?.terminated;
        if (!ended || ended.exitCode === 0 || (codes.containerName && codes.containerName !== status.name)) return false;
        return codes.values.includes(ended.exitCode) === (codes.operator === 'In');
      });
      if (hit) return { action: rule.action, message: `Container ${hit.name} for pod ${subject} failed with exit code ${hit.state!.terminated!.exitCode} matching ${rule.action} rule at index ${i}` };
    }
    const hit = rule.onPodConditions && pod.status?.conditions?.find((condition) => rule.onPodConditions!.some((pattern) => pattern.type === condition.type && (pattern.status ?? 'True') === condition.status));
    if (hit) return { action: rule.action, message: `Pod ${subject} has condition ${hit.type} matching ${rule.action} rule at index ${i}` };
  }
  return undefined;
}

/** The rule of the success policy that holds, in upstream's words. */
export function matchSuccessPolicy(job: Job, succeeded: ReadonlySet<number>): string | undefined {
  for (const [i, rule] of (job.spec.successPolicy?.rules ?? []).entries()) {
    const wanted = rule.succeededIndexes ? parseIndexes(rule.succeededIndexes, job.spec.completions ?? 0) : undefined;
    const met = wanted ? [...wanted].filter((index) => succeeded.has(index)).length : succeeded.size;
    if (met >= (rule.succeededCount ?? wanted?.size ?? Infinity)) return `Matched rules at index ${i}`;
  }
  return undefined;
}

/** OnFailure pods restart in place: their restarts count against the limit. */
export function restartsExceedLimit(job: Job, pods: readonly Pod[]): boolean {
  if (job.spec.template.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const pod of pods) {
    if (pod.status?.phase !== 'Running' && pod.status?.phase !== 'Pending') continue;
    for (const status of [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])]) restarts += status.restartCount ?? 0;
  }
  const limit = job.spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}
export function remainingDeadline(job: Job, now: number): number | undefined {
  if (job.spec.activeDeadlineSeconds === undefined || !job.status?.startTime || job.spec.suspend) return undefined;
  return millis(job.status.startTime) + job.spec.activeDeadlineSeconds * 1000 - now;
}

export function makeCondition(type: string, status: string, reason: string, message: string, now: number): JobCondition {
  const time = timestamp(now);
  return { type, status, lastProbeTime: time, lastTransitionTime: time, reason, message };
}
export function setCondition(conditions: readonly JobCondition[], next: JobCondition): JobCondition[] {
  const known = conditions.find((condition) => condition.type === next.type);
  if (known?.status === next.status && known.reason === next.reason && known.message === next.message) return [...conditions];
  return known ? conditions.map((condition) => (condition === known ? next : condition)) : [...conditions, next];
}

/** Which indexes still need a pod, lowest first. */
export function pendingIndexes(job: Job, count: number, taken: readonly Pod[], finished: ReadonlySet<number>): number[] {
  const busy = new Set(taken.map(indexOf));
  const found: number[] = [];
  for (let index = 0; index < (job.spec.completions ?? 0) && found.length < count; index++) if (!busy.has(index) && !finished.has(index)) found.push(index);
  return found;
}
/** Surplus pods of an Indexed Job: a second pod of one index, or an index beyond completions. */
export function duplicates(job: Job, active: readonly Pod[], finished: ReadonlySet<number>): Pod[] {
  const seen = new Set<number>();
  return [...active].sort((a, b) => (a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1).filter((pod) => {
    const index = indexOf(pod);
    if (index < 0 || index >= (job.spec.completions ?? 0) || seen.has(index) || finished.has(index)) return true;
    seen.add(index);
    return false;
  });
}
export function failureCount(pod: Pod): number { return Number(pod.metadata.annotations?.[indexFailureCountKey] ?? 0) || 0; }
