/** Deletes Jobs `ttlSecondsAfterFinished` after they ended. Upstream: pkg/controller/ttlafterfinished. */
import type { Job } from '../api/batch/v1.ts';
import { jobs } from '../api/resources.ts';
import { isConflict, isNotFound } from '../api/meta/status.ts';
import { defineController, done, requeueAfter } from './framework.ts';
import { finishedCondition } from './job-plan.ts';
import { millis } from './pods.ts';

const expiresAt = (job: Job): number | undefined => {
  const finished = finishedCondition(job);
  return finished && job.spec.ttlSecondsAfterFinished !== undefined ? millis(finished.lastTransitionTime) + job.spec.ttlSecondsAfterFinished * 1000 : undefined;
};

export const ttlAfterFinishedController = defineController({
  name: 'ttl-after-finished-controller', aliases: ['ttl-after-finished'], for: jobs, writes: ['jobs'],
  when: (_, next: Job) => next.spec.ttlSecondsAfterFinished !== undefined && finishedCondition(next) !== undefined,
  async reconcile(key, { cache, client, clock }, signal) {
    const job = cache(jobs).get(key);
    if (!job || job.metadata.deletionTimestamp) return done;
    const due = expiresAt(job);
    if (due === undefined) return done;
    if (due > clock.now()) return requeueAfter(due - clock.now());
    try {
      // The cached job may have got a longer life meanwhile.
      const fresh = await client.for(jobs).get(job.metadata, { signal });
      const freshDue = expiresAt(fresh);
      if (freshDue === undefined || fresh.metadata.uid !== job.metadata.uid) return done;
      if (freshDue > clock.now()) return requeueAfter(freshDue - clock.now());
      await client.for(jobs).delete(job.metadata, { propagationPolicy: 'Foreground', preconditions: { uid: fresh.metadata.uid, resourceVersion: fresh.metadata.resourceVersion }, signal });
    } catch (err) { if (!isNotFound(err) && !isConflict(err)) throw err; }
    return done;
  },
});
