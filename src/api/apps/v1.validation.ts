/** apps/v1. Source: upstream's pkg/apis/apps/validation. */
import type * as v1 from './v1.ts';
import type { LabelSelector } from '../meta/v1.ts';
import type { PodTemplateSpec } from '../core/v1.ts';
import { selectorFrom, type Selector } from '../label-selector.ts';
import { semanticEqual } from '../validation/equality.ts';
import { field, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { intOrPercentValue, isEmptySelector, validateAtMost100Percent, validateImmutable, validateIntOrPercent, validateLabelSelector, validateNonnegative } from '../validation/meta.ts';
import { validatePodTemplate } from '../core/pod-spec.validation.ts';
import { validateClaimSpec } from '../core/claims.validation.ts';

const specPath = field('spec');
const statusPath = field('status');

function selectorOrUndefined(selector: LabelSelector | undefined): Selector | undefined {
  try { return selector && selectorFrom(selector); } catch { return undefined; }
}
/** A workload that keeps pods running: the template's labels match, pods always restart. */
export function validateTemplateOf(template: PodTemplateSpec | undefined, selector: Selector | undefined, kind: string, path: FieldPath, errors: FieldError[]): void {
  if (!template) { errors.push(required(path)); return; }
  if (selector && !selector.empty && !selector.matches(template.metadata?.labels)) errors.push(invalid(path.child('metadata', 'labels'), template.metadata?.labels ?? null, '`selector` does not match template `labels`'));
  validatePodTemplate(template, path, errors);
  const restart = template.spec?.restartPolicy;
  if (restart !== undefined && restart !== 'Always') errors.push(notSupported(path.child('spec', 'restartPolicy'), restart, ['Always']));
  if (template.spec?.activeDeadlineSeconds !== undefined) errors.push(forbidden(path.child('spec', 'activeDeadlineSeconds'), `activeDeadlineSeconds in ${kind} is not Supported`));
}
/** Returns the compiled selector where it is good. */
export function validateWorkloadSelector(selector: LabelSelector | undefined, emptyText: string, path: FieldPath, errors: FieldError[]): Selector | undefined {
  if (!selector) { errors.push(required(path.child('selector'))); return undefined; }
  validateLabelSelector(selector, path.child('selector'), errors);
  if (isEmptySelector(selector)) errors.push(invalid(path.child('selector'), selector, emptyText));
  const compiled = selectorOrUndefined(selector);
  if (!compiled) errors.push(invalid(path.child('selector'), selector, 'invalid label selector'));
  return compiled;
}

// ---- Deployment

export function validateDeployment({ spec }: v1.Deployment): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  validateNonnegative(spec.replicas, specPath, 'replicas', errors);
  const selector = validateWorkloadSelector(spec.selector, 'empty selector is invalid for deployment', specPath, errors);
  validateTemplateOf(spec.template, selector, 'ReplicaSet', specPath.child('template'), errors);
  const strategyPath = specPath.child('strategy');
  const { type, rollingUpdate } = spec.strategy ?? {};
  if (type === 'Recreate') { if (rollingUpdate) errors.push(forbidden(strategyPath.child('rollingUpdate'), "may not be specified when strategy `type` is 'Recreate'")); }
  else if (type === 'RollingUpdate') {
    const path = strategyPath.child('rollingUpdate');
    if (!rollingUpdate) errors.push(required(path, 'this should be defaulted and never be nil'));
    else {
      validateIntOrPercent(rollingUpdate.maxUnavailable, path, 'maxUnavailable', errors);
      validateIntOrPercent(rollingUpdate.maxSurge, path, 'maxSurge', errors);
      if (intOrPercentValue(rollingUpdate.maxUnavailable) === 0 && intOrPercentValue(rollingUpdate.maxSurge) === 0) errors.push(invalid(path.child('maxUnavailable'), rollingUpdate.maxUnavailable ?? null, 'may not be 0 when `maxSurge` is 0'));
      validateAtMost100Percent(rollingUpdate.maxUnavailable, path, 'maxUnavailable', errors);
    }
  } else errors.push(notSupported(strategyPath.child('type'), type ?? '', ['Recreate', 'RollingUpdate']));
  validateNonnegative(spec.minReadySeconds, specPath, 'minReadySeconds', errors);
  validateNonnegative(spec.revisionHistoryLimit, specPath, 'revisionHistoryLimit', errors);
  validateNonnegative(spec.progressDeadlineSeconds, specPath, 'progressDeadlineSeconds', errors);
  if (spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0)) errors.push(invalid(specPath.child('progressDeadlineSeconds'), spec.progressDeadlineSeconds, 'must be greater than minReadySeconds'));
  return errors;
}
export function validateDeploymentUpdate(next: v1.Deployment, old: v1.Deployment): FieldError[] {
  const errors = validateDeployment(next);
  validateImmutable(next.spec.selector, old.spec.selector, () => specPath.child('selector'), errors);
  return errors;
}
type Counts = Readonly<Record<string, number | undefined>>;
function validateCounts(status: object | undefined, names: readonly string[], errors: FieldError[]): void {
  for (const name of names) validateNonnegative((status as Counts | undefined)?.[name], statusPath, name, errors);
}
function validateNotAbove(status: object | undefined, pairs: readonly (readonly [string, string, string])[], errors: FieldError[]): void {
  const counts = (status ?? {}) as Counts;
  for (const [name, bound, message] of pairs) if ((counts[name] ?? 0) > (counts[bound] ?? 0)) errors.push(invalid(statusPath.child(name), counts[name], message));
}
export function validateDeploymentStatus({ status }: v1.Deployment): FieldError[] {
  const errors: FieldError[] = [];
  validateCounts(status, ['observedGeneration', 'replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas', 'unavailableReplicas', 'collisionCount'], errors);
  const above = 'cannot be greater than status.replicas';
  validateNotAbove(status, [['updatedReplicas', 'replicas', above], ['readyReplicas', 'replicas', above], ['availableReplicas', 'replicas', above], ['availableReplicas', 'readyReplicas', 'cannot be greater than readyReplicas']], errors);
  return errors;
}

// ---- ReplicaSet

export function validateReplicaSet({ spec }: v1.ReplicaSet): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  validateNonnegative(spec.replicas, specPath, 'replicas', errors);
  validateNonnegative(spec.minReadySeconds, specPath, 'minReadySeconds', errors);
  const selector = validateWorkloadSelector(spec.selector, 'empty selector is invalid for deployment', specPath, errors);
  validateTemplateOf(spec.template, selector, 'ReplicaSet', specPath.child('template'), errors);
  return errors;
}
export function validateReplicaSetUpdate(next: v1.ReplicaSet, old: v1.ReplicaSet): FieldError[] {
  const errors = validateReplicaSet(next);
  validateImmutable(next.spec?.selector, old.spec?.selector, () => specPath.child('selector'), errors);
  return errors;
}
export function validateReplicaSetStatus({ status }: v1.ReplicaSet): FieldError[] {
  const errors: FieldError[] = [];
  validateCounts(status, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'], errors);
  const above = 'cannot be greater than status.replicas';
  validateNotAbove(status, [['fullyLabeledReplicas', 'replicas', above], ['readyReplicas', 'replicas', above], ['availableReplicas', 'replicas', above], ['availableReplicas', 'readyReplicas', 'cannot be greater than readyReplicas']], errors);
  return errors;
}

// ---- DaemonSet

export function validateDaemonSet({ spec }: v1.DaemonSet): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  const selector = validateWorkloadSelector(spec.selector, 'empty selector is invalid for daemonset', specPath, errors);
  validateTemplateOf(spec.template, selector, 'DaemonSet', specPath.child('template'), errors);
  validateNonnegative(spec.minReadySeconds, specPath, 'minReadySeconds', errors);
  const path = specPath.child('updateStrategy');
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  if (type === 'RollingUpdate') {
    const at = path.child('rollingUpdate');
    if (!rollingUpdate) errors.push(required(at));
    else {
      const [unavailable, surge] = [intOrPercentValue(rollingUpdate.maxUnavailable), intOrPercentValue(rollingUpdate.maxSurge)];
      validateIntOrPercent(rollingUpdate.maxUnavailable, at, 'maxUnavailable', errors);
      validateIntOrPercent(rollingUpdate.maxSurge, at, 'maxSurge', errors);
      validateAtMost100Percent(rollingUpdate.maxUnavailable, at, 'maxUnavailable', errors);
      validateAtMost100Percent(rollingUpdate.maxSurge, at, 'maxSurge', errors);
      if (unavailable !== 0 && surge !== 0) errors.push(invalid(at.child('maxSurge'), rollingUpdate.maxSurge, 'may not be set when maxUnavailable is non-zero'));
      if (unavailable === 0 && surge === 0) errors.push(required(at.child('maxUnavailable'), 'cannot be 0 when maxSurge is 0'));
    }
  } else if (type !== 'OnDelete') errors.push(notSupported(path, { type: type ?? '', ...(rollingUpdate ? { rollingUpdate } : {}) }, ['RollingUpdate', 'OnDelete']));
  validateNonnegative(spec.revisionHistoryLimit, specPath, 'revisionHistoryLimit', errors);
  return errors;
}
export function validateDaemonSetUpdate(next: v1.DaemonSet, old: v1.DaemonSet): FieldError[] {
  const errors = validateDaemonSet(next);
  validateImmutable(next.spec.selector, old.spec.selector, () => specPath.child('selector'), errors);
  return errors;
}
export function validateDaemonSetStatus({ status }: v1.DaemonSet): FieldError[] {
  const errors: FieldError[] = [];
  validateCounts(status, ['currentNumberScheduled', 'numberMisscheduled', 'desiredNumberScheduled', 'numberReady', 'observedGeneration', 'updatedNumberScheduled', 'numberAvailable', 'numberUnavailable', 'collisionCount'], errors);
  return errors;
}

// ---- StatefulSet

export function validateStatefulSet({ spec }: v1.StatefulSet): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  if (!spec.podManagementPolicy) errors.push(required(specPath.child('podManagementPolicy')));
  else if (spec.podManagementPolicy !== 'OrderedReady' && spec.podManagementPolicy !== 'Parallel') errors.push(invalid(specPath.child('podManagementPolicy'), spec.podManagementPolicy, "must be 'OrderedReady' or 'Parallel'"));
  const path = specPath.child('updateStrategy');
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  if (!type) errors.push(required(path));
  else if (type === 'OnDelete') { if (rollingUpdate) errors.push(invalid(path.child('rollingUpdate'), rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")); }
  else if (type === 'RollingUpdate') {
    if (rollingUpdate) {
      const at = path.child('rollingUpdate');
      validateNonnegative(rollingUpdate.partition, at, 'partition', errors);
      if (rollingUpdate.maxUnavailable !== undefined) {
        validateIntOrPercent(rollingUpdate.maxUnavailable, at, 'maxUnavailable', errors);
        if (intOrPercentValue(rollingUpdate.maxUnavailable) === 0) errors.push(invalid(at.child('maxUnavailable'), rollingUpdate.maxUnavailable, 'cannot be 0'));
        validateAtMost100Percent(rollingUpdate.maxUnavailable, at, 'maxUnavailable', errors);
      }
    }
  } else errors.push(invalid(path, spec.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'"));
  const retention = spec.persistentVolumeClaimRetentionPolicy;
  for (const name of ['whenDeleted', 'whenScaled'] as const) {
    const value = retention?.[name];
    if (value !== undefined && value !== 'Retain' && value !== 'Delete') errors.push(notSupported(specPath.child('persistentVolumeClaimRetentionPolicy', name), value, ['Delete', 'Retain']));
  }
  validateNonnegative(spec.replicas, specPath, 'replicas', errors);
  validateNonnegative(spec.minReadySeconds, specPath, 'minReadySeconds', errors);
  validateNonnegative(spec.revisionHistoryLimit, specPath, 'revisionHistoryLimit', errors);
  if (spec.ordinals) validateNonnegative(spec.ordinals.start, specPath.child('ordinals'), 'start', errors);
  for (const [i, claim] of (spec.volumeClaimTemplates ?? []).entries()) validateClaimSpec(claim.spec, specPath.child('volumeClaimTemplates').index(i).child('spec'), errors);
  const selector = validateWorkloadSelector(spec.selector, 'empty selector is invalid for statefulset', specPath, errors);
  // Mounts may name claims; the controller adds those volumes when it makes the pods.
  const claims = (spec.volumeClaimTemplates ?? []).map((claim) => ({ name: claim.metadata?.name ?? '', persistentVolumeClaim: { claimName: claim.metadata?.name ?? '' } }));
  const template = claims.length === 0 || !spec.template?.spec ? spec.template
    : { ...spec.template, spec: { ...spec.template.spec, volumes: [...(spec.template.spec.volumes ?? []).filter((volume) => !claims.some((claim) => claim.name === volume.name)), ...claims] } };
  validateTemplateOf(template, selector, 'StatefulSet', specPath.child('template'), errors);
  return errors;
}
const mutable = ['replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'] as const;
export function validateStatefulSetUpdate(next: v1.StatefulSet, old: v1.StatefulSet): FieldError[] {
  const errors = validateStatefulSet(next);
  const fixed = (spec: v1.StatefulSetSpec) => {
    const { volumeClaimTemplates, ...rest } = { ...spec, ...Object.fromEntries(mutable.map((name) => [name, undefined])) };
    // The status of a claim template means nothing.
    return { ...rest, volumeClaimTemplates: volumeClaimTemplates?.map((claim) => ({ ...claim, status: undefined })) };
  };
  if (!semanticEqual(fixed(next.spec), fixed(old.spec))) {
    errors.push(forbidden(specPath, `updates to statefulset spec for fields other than ${mutable.slice(0, -1).map((name) => `'${name}'`).join(', ')} and '${mutable.at(-1)}' are forbidden`));
  }
  return errors;
}
export function validateStatefulSetStatus({ status }: v1.StatefulSet): FieldError[] {
  const errors: FieldError[] = [];
  validateCounts(status, ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'observedGeneration', 'collisionCount'], errors);
  const above = 'cannot be greater than status.replicas';
  validateNotAbove(status, [['readyReplicas', 'replicas', above], ['currentReplicas', 'replicas', above], ['updatedReplicas', 'replicas', above], ['availableReplicas', 'replicas', above]], errors);
  return errors;
}

// ---- ControllerRevision

export function validateControllerRevision(revision: v1.ControllerRevision): FieldError[] {
  const errors: FieldError[] = [];
  if (revision.data === undefined || revision.data === null) errors.push(required(field('data'), 'data is mandatory'));
  if ((revision.revision ?? 0) < 0) errors.push(invalid(field('revision'), revision.revision, 'must be greater than or equal to 0'));
  return errors;
}
export function validateControllerRevisionUpdate(next: v1.ControllerRevision, old: v1.ControllerRevision): FieldError[] {
  const errors = validateControllerRevision(next);
  validateImmutable(next.data, old.data, () => field('data'), errors);
  return errors;
}
