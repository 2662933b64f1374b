/** batch/v1: Jobs and CronJobs. Source: Kubernetes API reference; upstream's pkg/registry/batch. */
import type * as v1 from '../../api/batch/v1.ts';
import type { Column } from '../types.ts';
import * as defaults from '../../api/batch/v1.defaults.ts';
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

export const batchEntries = [
  entry(cronjobs, { columns: cronJobColumns, strategy: { setDefaults: defaults.setCronJobDefaults } }),
  entry(jobs, {
    columns: jobColumns, strategy: { setDefaults: defaults.setJobDefaults },
    fieldSelectors: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  }),
];
