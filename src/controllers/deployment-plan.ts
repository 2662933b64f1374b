/**
 * The arithmetic of a rollout, pure: which ReplicaSet gets how many replicas, and what the status says.
 * Behaviour: upstream's pkg/controller/deployment (rolling.go, sync.go, progress.go, util/deployment_util.go).
 */
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../api/apps/v1.ts';
import { timestamp } from '../base/clock.ts';
import { canonical, omitEmpty } from './canonical.ts';
import { desiredReplicasAnnotation, maxReplicasAnnotation, podTemplateHashLabel, scaledValue } from './names.ts';

const sum = (sets: readonly ReplicaSet[], value: (set: ReplicaSet) => number | undefined) => sets.reduce((total, set) => total + (value(set) ?? 0), 0);
export const replicasOf = (object: { readonly spec: { readonly replicas?: number } }): number => object.spec.replicas ?? 1;
export const specTotal = (sets: readonly ReplicaSet[]): number => sum(sets, replicasOf);
const available = (set: ReplicaSet): number => set.status?.availableReplicas ?? 0;
export const isRolling = (deployment: Deployment): boolean => (deployment.spec.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
export const activeSets = (sets: readonly ReplicaSet[]): ReplicaSet[] => sets.filter((set) => replicasOf(set) > 0);
export const byCreation = (a: ReplicaSet, b: ReplicaSet): number => {
  const [x, y] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  return x === y ? (a.metadata.name < b.metadata.name ? -1 : 1) : x < y ? -1 : 1;
};

/** maxSurge rounds up, maxUnavailable down; both may not be 0. */
export function fenceposts(deployment: Deployment): { surge: number; unavailable: number } {
  if (!isRolling(deployment)) return { surge: 0, unavailable: 0 };
  const { maxSurge, maxUnavailable } = deployment.spec.strategy?.rollingUpdate ?? {};
  const replicas = replicasOf(deployment);
  const surge = scaledValue(maxSurge, replicas, 'up');
  const unavailable = scaledValue(maxUnavailable, replicas, 'down');
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}
export function maxUnavailable(deployment: Deployment): number {
  const replicas = replicasOf(deployment);
  return !isRolling(deployment) || replicas === 0 ? 0 : Math.min(fenceposts(deployment).unavailable, replicas);
}
export const maxReplicas = (deployment: Deployment): number => replicasOf(deployment) + fenceposts(deployment).surge;

const templates = new WeakMap<object, string>();
/** The template without the hash label: equal texts mean the same rollout. */
function templateText(template: object | undefined): string {
  if (!template) return '';
  let text = templates.get(template);
  if (text === undefined) {
    const { metadata, ...rest } = template as { metadata?: { labels?: Record<string, string>; creationTimestamp?: unknown } };
    const { [podTemplateHashLabel]: _, ...labels } = metadata?.labels ?? {};
    const { creationTimestamp: __, ...meta } = metadata ?? {};
    text = canonical({ ...rest, metadata: { ...meta, labels } });
    templates.set(template, text);
  }
  return text;
}
export function findNewSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const wanted = templateText(deployment.spec.template);
  return [...sets].sort(byCreation).find((set) => templateText(set.spec.template) === wanted);
}
export const sameTemplate = (deployment: Deployment, set: ReplicaSet): boolean => templateText(deployment.spec.template) === templateText(set.spec.template);

/** How large the new set may become now. */
export function newSetReplicas(deployment: Deployment, all: readonly ReplicaSet[], current: number): number {
  const wanted = replicasOf(deployment);
  if (!isRolling(deployment)) return wanted;
  const room = maxReplicas(deployment) - specTotal(all);
  return room <= 0 ? current : current + Math.min(room, wanted - current);
}

export interface Scale { set: ReplicaSet; replicas: number }

/** Old sets to shrink in this step of a rolling update: unhealthy replicas first, then as many as availability allows, oldest set first. */
export function shrinkOldSets(deployment: Deployment, olds: readonly ReplicaSet[], newSet: ReplicaSet): Scale[] {
  const sizes = new Map(olds.map((set) => [set, replicasOf(set)]));
  if (specTotal(olds) === 0) return [];
  const all = [...olds, newSet];
  const minAvailable = replicasOf(deployment) - maxUnavailable(deployment);
  const newUnavailable = replicasOf(newSet) - available(newSet);
  const most = specTotal(all) - minAvailable - newUnavailable;
  if (most <= 0) return [];
  const sorted = activeSets(olds).sort(byCreation);
  let cleaned = 0;
  for (const set of sorted) {
    if (cleaned >= most) break;
    const size = sizes.get(set)!;
    if (size === 0 || size === available(set)) continue;
    const count = Math.min(most - cleaned, size - available(set));
    if (count <= 0) continue;
    sizes.set(set, size - count);
    cleaned += count;
  }
  let spare = sum(all, available) - minAvailable;
  for (const set of sorted) {
    if (spare <= 0) break;
    const size = sizes.get(set)!;
    if (size === 0) continue;
    const count = Math.min(size, spare);
    sizes.set(set, size - count);
    spare -= count;
  }
  return sorted.filter((set) => sizes.get(set) !== replicasOf(set)).map((set) => ({ set, replicas: sizes.get(set)! }));
}

/** Spreads a change of `spec.replicas` over the sets of an unfinished rollout in proportion to their sizes; the largest takes the rest. */
export function proportionalScale(deployment: Deployment, sets: readonly ReplicaSet[]): Scale[] {
  const active = activeSets(sets);
  const wanted = replicasOf(deployment);
  const toAdd = (wanted > 0 ? maxReplicas(deployment) : 0) - specTotal(active);
  active.sort((a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byCreation(b, a) : byCreation(a, b)));
  let added = 0;
  const scales = active.map((set) => {
    const share = toAdd === 0 || toAdd === added ? 0
      : toAdd > 0 ? Math.min(fraction(deployment, set), toAdd - added) : Math.max(fraction(deployment, set), toAdd - added);
    added += share;
    return { set, replicas: replicasOf(set) + share };
  });
  if (scales[0] && toAdd !== 0) scales[0].replicas = Math.max(0, scales[0].replicas + toAdd - added);
  return scales;
}
function fraction(deployment: Deployment, set: ReplicaSet): number {
  const size = replicasOf(set);
  if (replicasOf(deployment) === 0) return -size;
  const before = Number(set.metadata.annotations?.[maxReplicasAnnotation] ?? deployment.status?.replicas ?? 0);
  if (!before) return 0;
  const exact = (size * maxReplicas(deployment)) / before;
  return Math.floor(exact + 0.5) - size;
}
/** The new set has everything the deployment wants. */
export function isSaturated(deployment: Deployment, set: ReplicaSet | undefined): boolean {
  const wanted = replicasOf(deployment);
  return set !== undefined && replicasOf(set) === wanted && Number(set.metadata.annotations?.[desiredReplicasAnnotation]) === wanted && available(set) === wanted;
}

// ---- status

export const hasDeadline = (deployment: Deployment): boolean => deployment.spec.progressDeadlineSeconds !== undefined && deployment.spec.progressDeadlineSeconds !== 2 ** 31 - 1;
export const conditionOf = (status: DeploymentStatus | undefined, type: string): DeploymentCondition | undefined => status?.conditions?.find((condition) => condition.type === type);

export function withCondition(conditions: readonly DeploymentCondition[], type: string, status: string, reason: string, message: string, now: number): DeploymentCondition[] {
  const known = conditions.find((condition) => condition.type === type);
  if (known?.status === status && known.reason === reason) return [...conditions];
  const time = timestamp(now);
  return [...conditions.filter((condition) => condition !== known), { type, status, reason, message, lastUpdateTime: time, lastTransitionTime: known?.status === status ? known.lastTransitionTime : time }];
}
const without = (conditions: readonly DeploymentCondition[], type: string) => conditions.filter((condition) => condition.type !== type);

export function baseStatus(deployment: Deployment, all: readonly ReplicaSet[], newSet: ReplicaSet | undefined, now: number): DeploymentStatus {
  const availableReplicas = sum(all, available);
  const enough = availableReplicas >= replicasOf(deployment) - maxUnavailable(deployment);
  const old = deployment.status?.conditions ?? [];
  return {
    ...omitEmpty({
      observedGeneration: deployment.metadata.generation, replicas: sum(all, (set) => set.status?.replicas), updatedReplicas: newSet?.status?.replicas ?? 0,
      readyReplicas: sum(all, (set) => set.status?.readyReplicas), availableReplicas, unavailableReplicas: Math.max(0, specTotal(all) - availableReplicas),
    }),
    terminatingReplicas: sum(all, (set) => set.status?.terminatingReplicas),
    ...(deployment.status?.collisionCount === undefined ? {} : { collisionCount: deployment.status.collisionCount }),
    conditions: enough ? withCondition(old, 'Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', now)
      : withCondition(old, 'Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', now),
  };
}
export function isComplete(deployment: Deployment, status: DeploymentStatus | undefined): boolean {
  const wanted = replicasOf(deployment);
  return (status?.updatedReplicas ?? 0) === wanted && (status?.replicas ?? 0) === wanted && (status?.availableReplicas ?? 0) === wanted
    && (status?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
}
function isProgressing(old: DeploymentStatus | undefined, next: DeploymentStatus): boolean {
  const outdated = (status: DeploymentStatus | undefined) => (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0);
  return (next.updatedReplicas ?? 0) > (old?.updatedReplicas ?? 0) || outdated(next) < outdated(old)
    || (next.readyReplicas ?? 0) > (old?.readyReplicas ?? 0) || (next.availableReplicas ?? 0) > (old?.availableReplicas ?? 0);
}

/** The status of a rollout under way; `checkAgainMs`: when the progress deadline may have passed. */
export function rolloutStatus(deployment: Deployment, all: readonly ReplicaSet[], newSet: ReplicaSet | undefined, now: number): { status: DeploymentStatus; checkAgainMs?: number } {
  const status = baseStatus(deployment, all, newSet, now);
  let conditions = [...status.conditions!];
  const subject = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  const current = conditionOf(deployment.status, 'Progressing');
  const deadlineMs = (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;
  if (!hasDeadline(deployment)) conditions = without(conditions, 'Progressing');
  else if (!((status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === 'NewReplicaSetAvailable')) {
    if (isComplete(deployment, status)) conditions = withCondition(conditions, 'Progressing', 'True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`, now);
    else if (isProgressing(deployment.status, status)) {
      // lastUpdateTime moves with every step; that is what the deadline counts from.
      const time = timestamp(now);
      conditions = [...without(conditions, 'Progressing'), {
        type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message: `${subject} is progressing.`, lastUpdateTime: time,
        lastTransitionTime: current?.status === 'True' ? current.lastTransitionTime : time,
      }];
    } else if (current && current.reason !== 'NewReplicaSetAvailable' && (current.reason === 'ProgressDeadlineExceeded' || Date.parse(current.lastUpdateTime ?? '') + deadlineMs < now)) {
      conditions = withCondition(conditions, 'Progressing', 'False', 'ProgressDeadlineExceeded', `${subject} has timed out progressing.`, now);
    }
  }
  const failure = (newSet ? [newSet, ...all] : all).flatMap((set) => set.status?.conditions ?? []).find((condition) => condition.type === 'ReplicaFailure');
  conditions = failure ? withCondition(conditions, 'ReplicaFailure', failure.status, failure.reason ?? '', failure.message ?? '', now) : without(conditions, 'ReplicaFailure');
  const next = { ...status, conditions };
  const progressing = conditionOf(next, 'Progressing');
  if (!progressing || !hasDeadline(deployment) || isComplete(deployment, next) || progressing.reason === 'ProgressDeadlineExceeded' || progressing.reason === 'DeploymentPaused') return { status: next };
  return { status: next, checkAgainMs: Math.max(0, Date.parse(progressing.lastUpdateTime ?? '') + deadlineMs - now) + 1000 };
}
