import assert from 'node:assert/strict';
import test from 'node:test';
import type { CronJob, Job } from '../api/batch/v1.ts';
import { cronjobs, jobs } from '../api/resources.ts';
import { startControllerTest } from '../testing/controllers.ts';

const key = { namespace: 'default', name: 'tick' };
const makeCronJob = (spec: Partial<CronJob['spec']> = {}) => ({
  metadata: { ...key },
  spec: { schedule: '*/1 * * * *', jobTemplate: { metadata: {} as never, spec: { template: { metadata: {} as never, spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x:1' }] } } } }, ...spec },
});
async function start(spec: Partial<CronJob['spec']> = {}) {
  const env = await startControllerTest({ controllers: ['cronjob'] });
  await env.client.for(cronjobs).create(makeCronJob(spec));
  await env.settle();
  return Object.assign(env, {
    jobNames: async () => (await env.client.for(jobs).list({ namespace: 'default' })).items.map((job) => job.metadata.name).sort(),
    minute: async () => { await env.clock.advance(60_100); await env.settle(); },
    finish: async (name: string, type = 'Complete') => {
      const job = await env.client.for(jobs).get({ namespace: 'default', name });
      const time = new Date(env.clock.now()).toISOString().replace(/\.\d+Z/, 'Z');
      const condition = (of: string) => ({ type: of, status: 'True', lastTransitionTime: time, lastProbeTime: time });
      await env.client.for(jobs).updateStatus({ ...job, status: { startTime: time, ...(type === 'Complete' ? { completionTime: time, succeeded: 1 } : { failed: 1 }), conditions: [condition(type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget'), condition(type)] } } as Job);
      await env.settle();
    },
  });
}

test('a job each minute, named after it', async () => {
  await using env = await start();
  assert.deepEqual(await env.jobNames(), []);
  const minute = Math.floor(env.clock.now() / 60_000);
  await env.minute();
  await env.minute();
  assert.deepEqual(await env.jobNames(), [`tick-${minute + 1}`, `tick-${minute + 2}`]);
  const { status } = await env.client.for(cronjobs).get(key);
  assert.equal(status?.active?.length, 2);
  assert.equal(Date.parse(status!.lastScheduleTime!), (minute + 2) * 60_000);
});

test('Forbid waits for the running one, Replace ends it', async () => {
  await using forbid = await start({ concurrencyPolicy: 'Forbid' });
  await forbid.minute();
  await forbid.minute();
  assert.equal((await forbid.jobNames()).length, 1);
  await forbid.finish((await forbid.jobNames())[0]!);
  await forbid.minute();
  assert.equal((await forbid.jobNames()).length, 2);
  await using replace = await start({ concurrencyPolicy: 'Replace' });
  await replace.minute();
  const first = await replace.jobNames();
  await replace.minute();
  const second = await replace.jobNames();
  assert.equal(second.length, 1);
  assert.notDeepEqual(second, first);
});

test('suspended: nothing; finished ones are kept up to the limits', async () => {
  await using suspended = await start({ suspend: true });
  await suspended.minute();
  assert.deepEqual(await suspended.jobNames(), []);
  await using env = await start({ successfulJobsHistoryLimit: 1 });
  for (let i = 0; i < 3; i++) {
    await env.minute();
    await env.finish((await env.jobNames()).at(-1)!);
  }
  assert.equal((await env.jobNames()).length, 1);
  const { status } = await env.client.for(cronjobs).get(key);
  assert.equal(status?.active, undefined);
  assert.notEqual(status?.lastSuccessfulTime, undefined);
});

test('after a long sleep only the last missed start is made up for', async () => {
  await using env = await start();
  await env.clock.advance(3 * 60 * 60_000 + 500);
  await env.settle();
  const names = await env.jobNames();
  const last = Math.floor(env.clock.now() / 60_000);
  assert.ok(names.includes(`tick-${last}`), names.join());
});
