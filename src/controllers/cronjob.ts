/** Jobs on a schedule. Behaviour: kubernetes.io/docs/concepts/workloads/controllers/cron-jobs; upstream's pkg/controller/cronjob (cronjob_controllerv2.go, utils.go). */
import { timestamp } from '../base/clock.ts';
import type { CronJob, Job } from '../api/batch/v1.ts';
import type { ObjectReference } from '../api/core/v1.ts';
import { cronjobs, jobs } from '../api/resources.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import { same } from './canonical.ts';
import { controllerReference } from './claim.ts';
import { parseSchedule, type Schedule } from './cron.ts';
import { controlledBy, defineController, done, requeueAfter, type Context, type Result } from './framework.ts';
import { conditionOf, finishedCondition } from './job-plan.ts';
import { isNamespaceTerminating, millis } from './pods.ts';

const scheduledAnnotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
/** A little after the minute, so that clocks a hair apart agree. Source: nextScheduleDelta. */
const nextScheduleDeltaMs = 100;
/** More missed starts than this are worth a warning. */
const manyMissed = 100;

export const cronJobController = defineController({
  name: 'cronjob-controller', aliases: ['cronjob'], for: cronjobs, owns: [{ resource: jobs }], writes: ['jobs', 'cronjobs/status'],
  async reconcile(key, context, signal) {
    const cronJob = context.cache(cronjobs).get(key);
    return cronJob ? new Sync(cronJob, context, signal).run() : done;
  },
});

class Sync {
  readonly #cronJob: CronJob;
  readonly #context: Context;
  readonly #signal: AbortSignal;
  readonly #owned: readonly Job[];
  #active: ObjectReference[];
  #lastScheduleTime: string | undefined;
  #lastSuccessfulTime: string | undefined;

  constructor(cronJob: CronJob, context: Context, signal: AbortSignal) {
    this.#cronJob = cronJob;
    this.#context = context;
    this.#signal = signal;
    this.#owned = controlledBy(context.cache(jobs), cronJob);
    this.#active = [...cronJob.status?.active ?? []];
    this.#lastScheduleTime = cronJob.status?.lastScheduleTime;
    this.#lastSuccessfulTime = cronJob.status?.lastSuccessfulTime;
  }

  async run(): Promise<Result> {
    await this.#trimHistory();
    await this.#trackJobs();
    let result: Result = done;
    let failure: unknown;
    try { if (!this.#cronJob.metadata.deletionTimestamp) result = await this.#schedule(); } catch (err) { failure = err; }
    const status = {
      ...(this.#active.length > 0 ? { active: this.#active } : {}), ...(this.#lastScheduleTime ? { lastScheduleTime: this.#lastScheduleTime } : {}),
      ...(this.#lastSuccessfulTime ? { lastSuccessfulTime: this.#lastSuccessfulTime } : {}),
    };
    if (!same(this.#cronJob.status ?? {}, status)) await this.#context.client.for(cronjobs).updateStatus({ ...this.#cronJob, status }, { signal: this.#signal });
    if (failure) throw failure;
    return result;
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void { this.#context.events.event(this.#cronJob, type, reason, message); }

  /** Brings the list of active jobs up to date with what they have become. */
  async #trackJobs(): Promise<void> {
    const seen = new Set<string>();
    for (const job of this.#owned) {
      seen.add(job.metadata.uid!);
      const listed = this.#active.some((reference) => reference.uid === job.metadata.uid);
      const finished = finishedCondition(job);
      if (!listed && !finished) {
        this.#event('Warning', 'UnexpectedJob', `Saw a job that the controller did not create or forgot: ${job.metadata.name}`);
      } else if (listed && finished) {
        this.#active = this.#active.filter((reference) => reference.uid !== job.metadata.uid);
        this.#event('Normal', 'SawCompletedJob', `Saw completed job: ${job.metadata.name}, condition: ${finished.type}`);
      }
      const completed = conditionOf(job, 'Complete') && job.status?.completionTime;
      if (completed && millis(completed) > millis(this.#lastSuccessfulTime)) this.#lastSuccessfulTime = completed;
    }
    for (const reference of this.#active.filter(({ uid }) => !seen.has(uid ?? ''))) {
      // The cache may lag behind our own create: only the server knows that it is gone.
      try {
        const fresh = await this.#context.client.for(jobs).get({ namespace: this.#cronJob.metadata.namespace, name: reference.name ?? '' }, { signal: this.#signal });
        if (fresh.metadata.uid === reference.uid) continue;
      } catch (err) { if (!isNotFound(err)) throw err; }
      this.#event('Normal', 'MissingJob', `Active job went missing: ${reference.name}`);
      this.#active = this.#active.filter((other) => other !== reference);
    }
  }

  async #schedule(): Promise<Result> {
    const { spec } = this.#cronJob;
    if (spec.suspend) return done;
    const now = this.#context.clock.now();
    let schedule: Schedule;
    try { schedule = parseSchedule(spec.schedule, spec.timeZone ?? 'UTC'); } catch (err) {
      this.#event('Warning', 'UnknownTimeZone', `invalid timeZone: ${JSON.stringify(spec.timeZone)}: ${(err as Error).message}`);
      return done;
    }
    const next = schedule.nextAfter(now);
    const again: Result = next === undefined ? done : requeueAfter(next - now + nextScheduleDeltaMs);
    const due = this.#mostRecentDue(schedule, now);
    if (due === undefined) return again;
    if (spec.startingDeadlineSeconds !== undefined && due + spec.startingDeadlineSeconds * 1000 < now) {
      this.#event('Warning', 'MissSchedule', `Missed scheduled time to start a job: ${new Date(due).toUTCString()}`);
      return again;
    }
    const name = jobName(this.#cronJob, due);
    if (this.#active.some((reference) => reference.name === name) || this.#lastScheduleTime === timestamp(due)) return again;
    if (spec.concurrencyPolicy === 'Forbid' && this.#active.length > 0) {
      this.#event('Normal', 'JobAlreadyActive', 'Not starting job because prior execution is running and concurrency policy is Forbid');
      return again;
    }
    if (spec.concurrencyPolicy === 'Replace') for (const reference of [...this.#active]) await this.#deleteJob(reference.name ?? '', reference.uid);
    await this.#start(name, due);
    return again;
  }

  /** The last time before now that the schedule fired since the last start; undefined when nothing is due. */
  #mostRecentDue(schedule: Schedule, now: number): number | undefined {
    const { spec, metadata } = this.#cronJob;
    let from = millis(this.#lastScheduleTime ?? metadata.creationTimestamp);
    if (spec.startingDeadlineSeconds !== undefined) from = Math.max(from, now - spec.startingDeadlineSeconds * 1000);
    let due = schedule.nextAfter(from);
    if (due === undefined || due > now) return undefined;
    let missed = 1;
    const second = schedule.nextAfter(due);
    if (second === undefined) return due;
    // Leaps over long outages instead of counting through them.
    const period = second - due;
    const leaps = Math.floor((now - due) / period);
    if (leaps > manyMissed) {
      missed += leaps;
      due = schedule.nextAfter(now - 2 * period) ?? due;
    }
    for (let following = schedule.nextAfter(due); following !== undefined && following <= now; following = schedule.nextAfter(due)) { due = following; missed++; }
    if (missed > manyMissed) this.#event('Warning', 'TooManyMissedTimes', `too many missed start times: ${missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew`);
    return due;
  }

  async #start(name: string, due: number): Promise<void> {
    const { metadata, spec } = this.#cronJob;
    const template = spec.jobTemplate;
    const annotations = { ...template.metadata?.annotations, [scheduledAnnotation]: timestamp(due) };
    let job: Job;
    try {
      job = await this.#context.client.for(jobs).create({
        metadata: { name, namespace: metadata.namespace, annotations, ...(template.metadata?.labels ? { labels: template.metadata.labels } : {}), creationTimestamp: timestamp(due), ownerReferences: [controllerReference(this.#cronJob, cronjobs)] },
        spec: template.spec!,
      }, { signal: this.#signal });
    } catch (err) {
      if (isNamespaceTerminating(err)) return;
      if (!isAlreadyExists(err)) { this.#event('Warning', 'FailedCreate', `Error creating job: ${(err as Error).message}`); throw err; }
      job = await this.#context.client.for(jobs).get({ namespace: metadata.namespace, name }, { signal: this.#signal });
      if (!job.metadata.ownerReferences?.some((owner) => owner.uid === metadata.uid)) { this.#event('Warning', 'FailedCreate', `Error creating job: ${(err as Error).message}`); throw err; }
      this.#lastScheduleTime = timestamp(due);
      if (finishedCondition(job)) return;
    }
    this.#event('Normal', 'SuccessfulCreate', `Created job ${name}`);
    this.#active = [...this.#active.filter((reference) => reference.uid !== job.metadata.uid),
      { kind: 'Job', namespace: metadata.namespace!, name, uid: job.metadata.uid!, apiVersion: 'batch/v1', resourceVersion: job.metadata.resourceVersion! }];
    this.#lastScheduleTime = timestamp(due);
  }

  async #deleteJob(name: string, uid: string | undefined): Promise<void> {
    try {
      await this.#context.client.for(jobs).delete({ namespace: this.#cronJob.metadata.namespace, name }, { propagationPolicy: 'Background', signal: this.#signal });
      this.#event('Normal', 'SuccessfulDelete', `Deleted job ${name}`);
    } catch (err) {
      if (!isNotFound(err)) { this.#event('Warning', 'FailedDelete', `Deleted job: ${(err as Error).message}`); throw err; }
    }
    this.#active = this.#active.filter((reference) => reference.uid !== uid);
  }

  /** Keeps the newest finished jobs, so many that succeeded and so many that failed. */
  async #trimHistory(): Promise<void> {
    const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = this.#cronJob.spec;
    for (const [type, limit] of [['Complete', successfulJobsHistoryLimit], ['Failed', failedJobsHistoryLimit]] as const) {
      const finished = this.#owned.filter((job) => conditionOf(job, type) && !job.metadata.deletionTimestamp)
        .sort((a, b) => millis(a.status?.startTime) - millis(b.status?.startTime) || (a.metadata.name < b.metadata.name ? -1 : 1));
      for (const job of finished.slice(0, Math.max(0, finished.length - limit))) await this.#deleteJob(job.metadata.name, job.metadata.uid);
    }
  }
}

/** The cron job's name and the minute it was due, so that no two starts of one minute can exist. */
const jobName = ({ metadata }: CronJob, due: number): string => `${metadata.name}-${Math.floor(due / 60_000)}`;
