/** batch/v1. Source: upstream's pkg/apis/batch/validation. */
import type * as v1 from './v1.ts';
import { selectorFrom } from '../label-selector.ts';
import { field, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { semanticEqual } from '../validation/equality.ts';
import { validateEnum, validateImmutable, validateLabelSelector, validateNonnegative } from '../validation/meta.ts';
import { cronScheduleError } from '../validation/cron.ts';
import { validatePodTemplate } from '../core/pod-spec.validation.ts';

const specPath = field('spec');
const maxParallelismIndexed = 100_000;

function validateFailurePolicy(spec: v1.JobSpec, path: FieldPath, errors: FieldError[]): void {
  const rules = spec.podFailurePolicy!.rules ?? [];
  const containers = new Set([...spec.template?.spec?.containers ?? [], ...spec.template?.spec?.initContainers ?? []].map((container) => container.name));
  if (rules.length > 20) errors.push({ type: 'FieldValueTooMany', field: path.child('rules').toString(), detail: `Too many: ${rules.length}: must have at most 20 items` });
  for (const [i, rule] of rules.entries()) {
    const at = path.child('rules').index(i);
    if (!rule.action) errors.push(required(at.child('action'), `valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`));
    else if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) errors.push(invalid(at.child('action'), rule.action, 'requires the backoffLimitPerIndex to be set'));
    else if (!['Count', 'FailIndex', 'FailJob', 'Ignore'].includes(rule.action)) errors.push(notSupported(at.child('action'), rule.action, ['Count', 'FailIndex', 'FailJob', 'Ignore']));
    if (rule.onExitCodes) {
      const { operator, values = [], containerName } = rule.onExitCodes;
      const inside = at.child('onExitCodes');
      if (operator !== 'In' && operator !== 'NotIn') errors.push(notSupported(inside.child('operator'), operator ?? '', ['In', 'NotIn']));
      if (containerName !== undefined && !containers.has(containerName)) errors.push(invalid(inside.child('containerName'), containerName, 'must be one of the container or initContainer names in the pod template'));
      if (values.length === 0) errors.push(invalid(inside.child('values'), values, 'at least one value is required'));
      for (const [v, code] of values.entries()) if (operator === 'In' && code === 0) errors.push(invalid(inside.child('values').index(v), code, 'must not be 0 for the In operator'));
    }
    const conditions = rule.onPodConditions ?? [];
    for (const [c, pattern] of conditions.entries()) {
      if (!pattern.type) errors.push(required(at.child('onPodConditions').index(c).child('type')));
      validateEnum(pattern.status, ['False', 'True', 'Unknown'], at.child('onPodConditions').index(c), 'status', errors);
    }
    if (rule.onExitCodes && conditions.length > 0) errors.push(invalid(at, '', 'specifying both OnExitCodes and OnPodConditions is not supported'));
    if (!rule.onExitCodes && conditions.length === 0) errors.push(invalid(at, '', 'specifying one of OnExitCodes and OnPodConditions is required'));
  }
}

export function validateJobSpec(spec: v1.JobSpec | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!spec) { errors.push(required(path.child('template'))); return; }
  for (const name of ['parallelism', 'completions', 'activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const) validateNonnegative(spec[name], path, name, errors);
  const mode = spec.completionMode;
  if (mode !== undefined) {
    if (mode !== 'NonIndexed' && mode !== 'Indexed') errors.push(notSupported(path.child('completionMode'), mode, ['Indexed', 'NonIndexed']));
    if (mode === 'Indexed') {
      if (spec.completions === undefined) errors.push(required(path.child('completions'), 'when completion mode is Indexed'));
      if ((spec.parallelism ?? 0) > maxParallelismIndexed) errors.push(invalid(path.child('parallelism'), spec.parallelism, 'must be less than or equal to 100000 when completion mode is Indexed'));
    }
  }
  if (spec.backoffLimitPerIndex !== undefined && mode !== 'Indexed') errors.push(invalid(path.child('backoffLimitPerIndex'), spec.backoffLimitPerIndex, 'requires indexed completion mode'));
  if (spec.maxFailedIndexes !== undefined) {
    if (spec.backoffLimitPerIndex === undefined) errors.push(required(path.child('backoffLimitPerIndex'), 'when maxFailedIndexes is specified'));
    if (spec.completions !== undefined && spec.maxFailedIndexes > spec.completions) errors.push(invalid(path.child('maxFailedIndexes'), spec.maxFailedIndexes, 'must be less than or equal to completions'));
  }
  if (spec.podFailurePolicy) validateFailurePolicy(spec, path.child('podFailurePolicy'), errors);
  if (spec.podReplacementPolicy !== undefined) {
    if (spec.podFailurePolicy && spec.podReplacementPolicy !== 'Failed') errors.push(notSupported(path.child('podReplacementPolicy'), spec.podReplacementPolicy, ['Failed']));
    else validateEnum(spec.podReplacementPolicy, ['Failed', 'TerminatingOrFailed'], path, 'podReplacementPolicy', errors);
  }
  validatePodTemplate(spec.template, path.child('template'), errors);
  const restartPath = path.child('template', 'spec', 'restartPolicy');
  const restart = spec.template?.spec?.restartPolicy ?? '';
  if (restart === '' || restart === 'Always') errors.push(required(restartPath, 'valid values: "OnFailure", "Never"'));
  else if (restart !== 'OnFailure' && restart !== 'Never') errors.push(notSupported(restartPath, restart, ['OnFailure', 'Never']));
  else if (spec.podFailurePolicy && restart !== 'Never') errors.push(invalid(restartPath, restart, 'only "Never" is supported when podFailurePolicy is specified'));
}

export function validateJob(job: v1.Job): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = job;
  validateJobSpec(spec, specPath, errors);
  if (!spec) return errors;
  if (!spec.selector) errors.push(required(specPath.child('selector')));
  else {
    validateLabelSelector(spec.selector, specPath.child('selector'), errors);
    try {
      if (!selectorFrom(spec.selector).matches(spec.template?.metadata?.labels)) errors.push(invalid(specPath.child('template', 'metadata', 'labels'), spec.template?.metadata?.labels ?? null, '`selector` does not match template `labels`'));
    } catch { /* already an error */ }
    if (spec.manualSelector !== true && !spec.selector.matchLabels?.['batch.kubernetes.io/controller-uid'] && !spec.selector.matchLabels?.['controller-uid']) {
      errors.push(invalid(specPath.child('selector'), spec.selector, '`selector` not auto-generated'));
    }
  }
  return errors;
}
export function validateJobUpdate(next: v1.Job, old: v1.Job): FieldError[] {
  const errors = validateJob(next);
  const [spec, before] = [next.spec!, old.spec!];
  const elastic = before.completionMode === 'Indexed' && spec.completions === spec.parallelism && spec.completions !== undefined;
  if (!elastic) validateImmutable(spec.completions, before.completions, () => specPath.child('completions'), errors);
  validateImmutable(spec.selector, before.selector, () => specPath.child('selector'), errors);
  // Where a suspended job that never started runs may still be decided.
  let template: unknown = spec.template;
  if (before.suspend && (old.status?.startTime === undefined || jobSuspended(old))) {
    template = {
      metadata: before.template?.metadata,
      spec: { ...spec.template?.spec, nodeSelector: before.template?.spec?.nodeSelector, affinity: before.template?.spec?.affinity, tolerations: before.template?.spec?.tolerations, schedulingGates: before.template?.spec?.schedulingGates,
        containers: spec.template?.spec?.containers?.map((container, i) => ({ ...container, resources: before.template?.spec?.containers?.[i]?.resources })) },
    };
  }
  if (!semanticEqual(template, before.template)) errors.push(invalid(specPath.child('template'), spec.template, 'field is immutable'));
  for (const name of ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const) validateImmutable(spec[name], before[name], () => specPath.child(name), errors);
  return errors;
}
const jobSuspended = ({ status }: v1.Job) => (status?.conditions ?? []).some((condition) => condition.type === 'Suspended' && condition.status === 'True');
export function validateJobStatus({ status }: v1.Job, old: v1.Job): FieldError[] {
  const errors: FieldError[] = [];
  const path = field('status');
  for (const name of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) validateNonnegative(status?.[name], path, name, errors);
  const finished = (job: v1.Job, type: string) => (job.status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True');
  for (const type of ['Complete', 'Failed']) {
    if (finished(old, type) && !finished({ status } as v1.Job, type)) errors.push(invalid(path.child('conditions'), `${type}=True`, `cannot disable the ${type}=True condition`));
  }
  if (finished({ status } as v1.Job, 'Complete') && finished({ status } as v1.Job, 'Failed')) errors.push(invalid(path.child('conditions'), 'Complete=True', 'cannot set Complete=True and Failed=True conditions'));
  return errors;
}

/** Upstream: the controller adds 11 characters. */
const cronJobNameMax = 52;
export function validateCronJob(cronJob: v1.CronJob): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = cronJob;
  if (!spec) return [required(specPath)];
  if ((cronJob.metadata.name ?? '').length > cronJobNameMax) errors.push(invalid(field('metadata', 'name'), cronJob.metadata.name, `must be no more than ${cronJobNameMax} characters`));
  if (!spec.schedule) errors.push(required(specPath.child('schedule')));
  else {
    if (spec.schedule.includes('TZ')) errors.push(invalid(specPath.child('schedule'), spec.schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'));
    const problem = cronScheduleError(spec.schedule);
    if (problem !== undefined) errors.push(invalid(specPath.child('schedule'), spec.schedule, problem));
  }
  validateNonnegative(spec.startingDeadlineSeconds, specPath, 'startingDeadlineSeconds', errors);
  if (spec.timeZone !== undefined) {
    const path = specPath.child('timeZone');
    if (spec.timeZone === '') errors.push(invalid(path, spec.timeZone, 'timeZone must be nil or non-empty string'));
    else if (spec.timeZone.toLowerCase() === 'local') errors.push(invalid(path, spec.timeZone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'));
    else if (!knownTimeZone(spec.timeZone)) errors.push(invalid(path, spec.timeZone, `unknown time zone ${spec.timeZone}`));
  }
  if (!spec.concurrencyPolicy) errors.push(required(specPath.child('concurrencyPolicy')));
  else if (!['Allow', 'Forbid', 'Replace'].includes(spec.concurrencyPolicy)) errors.push(notSupported(specPath.child('concurrencyPolicy'), spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace']));
  validateNonnegative(spec.successfulJobsHistoryLimit, specPath, 'successfulJobsHistoryLimit', errors);
  validateNonnegative(spec.failedJobsHistoryLimit, specPath, 'failedJobsHistoryLimit', errors);
  const template = specPath.child('jobTemplate', 'spec');
  validateJobSpec(spec.jobTemplate?.spec, template, errors);
  if (spec.jobTemplate?.spec?.manualSelector) errors.push(notSupported(template.child('manualSelector'), true, ['nil', 'false']));
  return errors;
}
function knownTimeZone(name: string): boolean {
  try { new Intl.DateTimeFormat('en', { timeZone: name }); return !/^[+-]/.test(name); } catch { return false; }
}
