/** batch/v1: Jobs and CronJobs. Source: Kubernetes API reference; upstream's pkg/registry/batch. */
import type * as v1 from '../../api/batch/v1.ts';
import type { Column } from '../types.ts';
import * as defaults from '../../api/batch/v1.defaults.ts';
import * as validation from '../../api/batch/v1.validation.ts';
import type { Draft } from '../../base/json.ts';
import { podWarnings } from './core/pod.ts';
import { humanDuration, since } from '../../api/human-duration.ts';
import { formatSelector } from '../../api/label-selector.ts';
import { cronjobs, jobs } from '../../api/resources.ts';
import { ageColumn, boolean, column, entry, integer, nameColumn, templateColumns, wide } from './define.ts';

const jobCondition = (job: v1.Job, type: string) => (job.status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True');
function jobStatus(job: v1.Job): string {
  if (jobCondition(job, 'Complete')) return 'Complete';
  if (jobCondition(job, 'Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (jobCondition(job, 'Suspended')) return 'Suspended';
  if (jobCondition(job, 'FailureTarget')) return 'FailureTarget';
  if (jobCondition(job, 'SuccessCriteriaMet')) return 'SuccessCriteriaMet';
  return 'Running';
}
const jobColumns: readonly Column<v1.Job>[] = [
  nameColumn,
  column('Status', jobStatus, { description: 'Status of the job.' }),
  column('Completions', ({ spec, status }) => {
    const succeeded = status?.succeeded ?? 0;
    if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
    const parallelism = spec?.parallelism ?? 0;
    return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
  }),
  column('Duration', ({ status }, now) => {
    if (status?.startTime === undefined) return '';
    return humanDuration((status.completionTime === undefined ? now : Date.parse(status.completionTime)) - Date.parse(status.startTime));
  }, { description: 'Time required to complete the job.' }),
  ageColumn,
  ...templateColumns<v1.Job>(({ spec }) => spec?.template),
  wide('Selector', ({ spec }) => formatSelector(spec?.selector)),
];
const cronJobColumns: readonly Column<v1.CronJob>[] = [
  nameColumn,
  column('Schedule', ({ spec }) => spec.schedule),
  column('Timezone', ({ spec }) => spec.timeZone ?? '<none>'),
  column('Suspend', ({ spec }) => (spec.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False'), boolean),
  column('Active', ({ status }) => status?.active?.length ?? 0, integer),
  column('Last Schedule', ({ status }, now) => (status?.lastScheduleTime === undefined ? '<none>' : since(status.lastScheduleTime, now))),
  ageColumn,
  ...templateColumns<v1.CronJob>(({ spec }) => spec.jobTemplate?.spec?.template),
  wide('Selector', ({ spec }) => formatSelector(spec.jobTemplate?.spec?.selector)),
];

/** A job selects its pods by its own uid; both the prefixed and the old label names are set. Source: generateSelector of upstream's job strategy. */
export function generateSelector(job: Draft<v1.Job>): void {
  const { spec } = job;
  if (!spec?.template || !job.metadata.uid) return;
  const labels = ((spec.template.metadata ??= {} as Draft<typeof job.metadata>).labels ??= {});
  labels['controller-uid'] = labels['batch.kubernetes.io/controller-uid'] = job.metadata.uid;
  labels['job-name'] = labels['batch.kubernetes.io/job-name'] = job.metadata.name;
  // Upstream fills a job's own empty labels from its template each time it reads the job; here once.
  if (Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels };
  spec.selector ??= {};
  (spec.selector.matchLabels ??= {})['batch.kubernetes.io/controller-uid'] ??= job.metadata.uid;
}

export const batchEntries = [
  entry(cronjobs, { columns: cronJobColumns, strategy: {
      setDefaults: defaults.setCronJobDefaults,
      validate: (object) => validation.validateCronJob(object),
      validateUpdate: (object) => validation.validateCronJob(object),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec.jobTemplate?.spec?.template, 'spec.jobTemplate.spec.template.')),
    } }),
  entry(jobs, {
    columns: jobColumns, strategy: {
      setDefaults: defaults.setJobDefaults,
      prepareForCreate(job) { if (!job.spec?.manualSelector) generateSelector(job); },
      validate: (object) => validation.validateJob(object),
      validateUpdate: (object, old) => validation.validateJobUpdate(object, old),
      validateStatusUpdate: (object, old) => validation.validateJobStatus(object, old),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec?.template, 'spec.template.')),
    },
    fieldSelectors: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  }),
];
