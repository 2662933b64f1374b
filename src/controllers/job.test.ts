import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job, JobSpec } from '../api/batch/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { events, jobs, pods } from '../api/resources.ts';
import { startControllerTest, type ControllerTest } from '../testing/controllers.ts';
import { formatIndexes, parseIndexes } from './job-indexes.ts';
import { matchFailurePolicy } from './job-plan.ts';

const only = { controllers: ['job', 'ttl-after-finished', 'garbagecollector'] };
const key = { namespace: 'default', name: 'work' };
const makeJob = (spec: Partial<JobSpec> = {}) => ({
  metadata: { name: 'work', namespace: 'default' },
  spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } }, ...spec } as JobSpec,
});
const conditions = (job: Job) => (job.status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
const podsOf = async (env: ControllerTest) => (await env.client.for(pods).list({ namespace: 'default' })).items;

test('indexes', () => {
  assert.deepEqual([...parseIndexes('1,3-5,7')], [1, 3, 4, 5, 7]);
  assert.equal(formatIndexes([7, 1, 3, 4, 5]), '1,3-5,7');
  assert.equal(formatIndexes([0, 1]), '0,1');
  assert.equal(formatIndexes([]), '');
});

test('a job runs to completion, counts each pod once and is removed after its ttl', async () => {
  await using env = await startControllerTest(only);
  env.kubelet(() => 'Succeeded');
  await env.client.for(jobs).create(makeJob({ completions: 5, parallelism: 2, ttlSecondsAfterFinished: 100 }));
  for (let i = 0; i < 4; i++) await env.settle();
  const job = await env.client.for(jobs).get(key);
  assert.equal(job.status?.succeeded, 5);
  assert.deepEqual(conditions(job), ['SuccessCriteriaMet=True CompletionsReached', 'Complete=True CompletionsReached']);
  assert.ok(job.status?.completionTime);
  assert.deepEqual(job.status?.uncountedTerminatedPods ?? {}, {});
  const made = await podsOf(env);
  assert.equal(made.length, 5);
  assert.ok(made.every((pod) => !pod.metadata.finalizers?.length), 'no tracking finalizer is left');
  assert.ok((await env.client.for(events).list({ namespace: 'default' })).items.some((event) => event.reason === 'Completed' && event.message === 'Job completed'));
  await env.advance(101_000);
  await env.settle();
  assert.equal((await env.client.for(jobs).list({ namespace: 'default' })).items.length, 0);
  assert.equal((await podsOf(env)).length, 0);
});

test('failing pods are replaced with growing delays until the backoff limit', async () => {
  await using env = await startControllerTest(only);
  env.kubelet(() => 'Failed');
  await env.client.for(jobs).create(makeJob({ backoffLimit: 2 }));
  await env.settle();
  assert.equal((await podsOf(env)).length, 1, 'the second waits 10 s');
  await env.advance(10_500);
  assert.equal((await podsOf(env)).length, 2);
  await env.advance(21_000);
  await env.settle();
  const job = await env.client.for(jobs).get(key);
  assert.equal(job.status?.failed, 3);
  assert.deepEqual(conditions(job), ['FailureTarget=True BackoffLimitExceeded', 'Failed=True BackoffLimitExceeded']);
  assert.equal(job.status?.conditions?.at(-1)?.message, 'Job has reached the specified backoff limit');
});

test('an indexed job gives each index one pod', async () => {
  await using env = await startControllerTest(only);
  env.kubelet(() => 'Succeeded');
  await env.client.for(jobs).create(makeJob({ completions: 3, parallelism: 3, completionMode: 'Indexed' }));
  for (let i = 0; i < 3; i++) await env.settle();
  const job = await env.client.for(jobs).get(key);
  assert.equal(job.status?.completedIndexes, '0-2');
  assert.deepEqual((await podsOf(env)).map((pod) => pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index']).sort(), ['0', '1', '2']);
  assert.match((await podsOf(env))[0]!.spec.hostname ?? '', /^work-\d$/);
});

test('a suspended job has no pods; resuming starts it; the deadline ends it', async () => {
  await using env = await startControllerTest(only);
  env.kubelet();
  await env.client.for(jobs).create(makeJob({ parallelism: 2, suspend: true, activeDeadlineSeconds: 50 }));
  await env.settle();
  assert.equal((await podsOf(env)).length, 0);
  assert.deepEqual(conditions(await env.client.for(jobs).get(key)), ['Suspended=True JobSuspended']);
  await env.client.for(jobs).patch(key, 'merge', { spec: { suspend: false } });
  await env.settle();
  const job = await env.client.for(jobs).get(key);
  assert.equal(job.status?.active, 2);
  assert.deepEqual(conditions(job), ['Suspended=False JobResumed']);
  await env.advance(51_000);
  await env.settle();
  assert.ok(conditions(await env.client.for(jobs).get(key)).includes('Failed=True DeadlineExceeded'));
});

test('failure policy: the first matching rule decides, in upstream\'s words', () => {
  const pod = { metadata: { name: 'p', namespace: 'n' }, spec: { containers: [] }, status: { containerStatuses: [{ name: 'c', state: { terminated: { exitCode: 42 } } }], conditions: [{ type: 'DisruptionTarget', status: 'True' }] } } as unknown as Pod;
  const rules = [{ action: 'Ignore', onPodConditions: [{ type: 'Other' }] }, { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } }];
  assert.deepEqual(matchFailurePolicy(rules, pod), { action: 'FailJob', message: 'Container c for pod n/p failed with exit code 42 matching FailJob rule at index 1' });
  assert.deepEqual(matchFailurePolicy([{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }], pod), { action: 'Ignore', message: 'Pod n/p has condition DisruptionTarget matching Ignore rule at index 0' });
  assert.equal(matchFailurePolicy([{ action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [42] } }], pod), undefined);
});
