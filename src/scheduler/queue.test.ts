import assert from 'node:assert/strict';
import test from 'node:test';
import { nodes, pods } from '../api/resources.ts';
import { makeNode, makePod, type PodParts } from '../testing/builders.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { definePlugin } from './framework.ts';
import { podInfoOf } from './pod-info.ts';
import { SchedulingQueue } from './queue.ts';
import { schedulingGates } from './plugins/scheduling-gates.ts';

const wantsNodes = definePlugin({ name: 'WantsNodes', requeueOn: [{ resource: nodes, on: ['add'], hint: (_, { object }) => object.metadata.name === 'good' }] });
function start() {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock, plugins: [wantsNodes, schedulingGates] });
  const add = (parts: PodParts = {}) => { const info = podInfoOf(makePod(parts)); queue.set(info); return info; };
  const nodeAdded = (name: string) => queue.onEvent({ resource: nodes, type: 'add', old: undefined, object: makeNode({ name }) });
  return { clock, queue, add, nodeAdded };
}

test('priority first, then the order of arrival', async () => {
  const { clock, queue, add } = start();
  const first = add({});
  await clock.advance(1);
  const second = add({});
  const high = add({ spec: { priority: 10 } });
  assert.deepEqual([queue.pop(), queue.pop(), queue.pop(), queue.pop()].map((pod) => pod?.info.uid), [high.uid, first.uid, second.uid, undefined]);
});

test('a refused pod waits for an event its plugin asked for, then for its backoff', async () => {
  const { clock, queue, add, nodeAdded } = start();
  add();
  queue.failed(queue.pop()!, new Set(['WantsNodes']));
  await clock.advance(60_000);
  nodeAdded('other');
  assert.equal(queue.pop(), undefined);
  nodeAdded('good');
  const again = queue.pop()!;
  assert.equal(again.attempts, 2);
  queue.failed(again, new Set(['WantsNodes']));
  nodeAdded('good');
  assert.deepEqual(queue.pending, { active: 0, backoff: 1, unschedulable: 0 });
  await clock.advance(1_999);
  assert.equal(queue.pop(), undefined);
  await clock.advance(1);
  assert.equal(queue.pop()?.attempts, 3);
});

test('an event during the attempt is not missed', () => {
  const { queue, add, nodeAdded } = start();
  add();
  const pod = queue.pop()!;
  nodeAdded('good');
  queue.failed(pod, new Set(['WantsNodes']));
  assert.equal(queue.pending.backoff, 1);
});

test('without any event it is tried again after five minutes', async () => {
  const { clock, queue, add } = start();
  add();
  queue.failed(queue.pop()!, new Set(['WantsNodes']));
  await clock.advance(300_000);
  assert.notEqual(queue.pop(), undefined);
});

test('gates hold a pod back until they are gone; removal forgets it', () => {
  const { queue } = start();
  const pod = makePod({ spec: { schedulingGates: [{ name: 'wait' }] } });
  queue.set(podInfoOf(pod));
  assert.equal(queue.pop(), undefined);
  queue.set(podInfoOf({ ...pod, spec: { ...pod.spec, schedulingGates: [] } }));
  const popped = queue.pop()!;
  queue.remove(popped.info.uid);
  queue.failed(popped, new Set());
  assert.deepEqual(queue.pending, { active: 0, backoff: 0, unschedulable: 0 });
  queue.onEvent({ resource: pods, type: 'delete', old: undefined, object: pod });
});

test('errors are retried with growing delays up to ten seconds', async () => {
  const { clock, queue, add } = start();
  add();
  for (const delay of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
    queue.failed(queue.pop()!, new Set());
    await clock.advance(delay - 1);
    assert.equal(queue.pop(), undefined);
    await clock.advance(1);
    assert.equal(queue.pending.active, 1);
  }
});
