import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { FakeClock } from '../testing/fake-clock.ts';
import { Workqueue } from './workqueue.ts';

test('an item added twice is handed out once', async () => {
  const queue = new Workqueue<string>({ name: 'q', clock: new FakeClock() });
  queue.add('a'); queue.add('a'); queue.add('b');
  assert.equal(queue.length, 2);
  assert.equal(await queue.take(), 'a');
  assert.equal(await queue.take(), 'b');
  assert.equal(queue.length, 0);
});

test('an item added while being worked on comes back after done, never before', async () => {
  const queue = new Workqueue<string>({ name: 'q', clock: new FakeClock() });
  queue.add('a');
  await queue.take();
  queue.add('a'); queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(await queue.take(), 'a');
  queue.done('a');
  assert.equal(queue.idle, true);
});

test('retries back off from 5 ms, doubling to at most 1000 s, until forgotten', async () => {
  const clock = new FakeClock();
  const queue = new Workqueue<string>({ name: 'q', clock });
  const waits: number[] = [];
  for (let i = 0; i < 20; i++) {
    queue.addRateLimited('a');
    const start = clock.now();
    while (queue.length === 0) await clock.advance(waits.length < 10 ? 5 : 5000);
    waits.push(clock.now() - start);
    await queue.take();
    queue.done('a');
  }
  assert.deepEqual(waits.slice(0, 5), [5, 10, 20, 40, 80]);
  assert.equal(waits.at(-1), 1_000_000);
  queue.forget('a');
  assert.equal(queue.failures('a'), 0);
});

test('of two delayed adds the earlier counts', async () => {
  const clock = new FakeClock();
  const queue = new Workqueue<string>({ name: 'q', clock });
  queue.addAfter('a', 1000); queue.addAfter('a', 100); queue.addAfter('a', 500);
  await clock.advance(100);
  assert.equal(queue.length, 1);
  assert.equal(clock.pending, 0);
});

test('shutting down releases takers and drops delayed items', async () => {
  const clock = new FakeClock();
  const queue = new Workqueue<string>({ name: 'q', clock });
  const taker = queue.take();
  queue.addAfter('a', 10);
  queue.shutDown();
  assert.equal(await taker, undefined);
  assert.equal(clock.pending, 0);
});

test('metrics carry upstream names', async () => {
  const metrics = new Registry();
  const queue = new Workqueue<string>({ name: 'deployment', clock: new FakeClock(), metrics });
  new Workqueue<string>({ name: 'job', clock: new FakeClock(), metrics });
  queue.add('a'); queue.add('b');
  await queue.take();
  const text = await metrics.metrics();
  assert.match(text, /workqueue_depth\{name="deployment"\} 1/);
  assert.match(text, /workqueue_adds_total\{name="deployment"\} 2/);
});
