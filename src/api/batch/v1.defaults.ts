/** Defaults of batch/v1. Source: Kubernetes API reference; upstream's pkg/apis/batch/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import { setPodTemplateDefaults } from '../core/v1.defaults.ts';
import type * as v1 from './v1.ts';

const maxInt32 = 2 ** 31 - 1;

export function setJobDefaults(job: Draft<v1.Job>): void {
  const { spec } = job;
  if (!spec) return;
  if (spec.completions === undefined && spec.parallelism === undefined) { spec.completions = 1; spec.parallelism = 1; }
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex !== undefined ? maxInt32 : 6;
  const labels = spec.template?.metadata?.labels;
  if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels };
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  if (spec.podFailurePolicy) {
    for (const rule of spec.podFailurePolicy.rules ?? []) for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True';
  }
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
  setPodTemplateDefaults(spec.template);
}
export function setCronJobDefaults({ spec }: Draft<v1.CronJob>): void {
  if (!spec) return;
  spec.concurrencyPolicy ||= 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  setPodTemplateDefaults(spec.jobTemplate?.spec?.template);
}
