import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../base/log.ts';
import type { Event } from '../api/core/v1.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { createEventRecorder } from './events.ts';
import { createClient } from './typed-client.ts';

function setup() {
  const sent: string[] = [];
  const clock = new FakeClock();
  const byName = new Map<string, Event>();
  const client = createClient({
    async request({ method, path, body }) {
      if (method === 'POST') byName.set((body as Event).metadata.name, body as Event);
      const event = method === 'POST' ? body as Event : { ...byName.get(path.split('/').at(-1)!)!, ...body as object };
      sent.push(`${method} ${event.message} x${event.count}`);
      return event as never;
    },
    async *watch() { /* none */ },
  });
  return { sent, clock, recorder: createEventRecorder({ client, clock, log: silentLogger, component: 'test' }) };
}
const object = (name: string) => ({ kind: 'Pod', apiVersion: 'v1', metadata: { name, namespace: 'default', uid: name } });

test('a repeated event is counted by a patch', async () => {
  const { sent, recorder } = setup();
  for (let i = 0; i < 3; i++) recorder.event(object('a'), 'Normal', 'Created', 'made');
  recorder.event(object('b'), 'Normal', 'Created', 'made');
  await recorder.flush();
  assert.deepEqual(sent, ['POST made x1', 'PATCH made x2', 'PATCH made x3', 'POST made x1']);
});

test('the tenth different message with one reason is combined', async () => {
  const { sent, recorder } = setup();
  for (let i = 0; i < 12; i++) recorder.event(object('a'), 'Normal', 'Created', `made ${i}`);
  await recorder.flush();
  assert.deepEqual(sent.slice(8), [
    'POST made 8 x1', 'POST (combined from similar events): made 9 x1', 'PATCH (combined from similar events): made 10 x2', 'PATCH (combined from similar events): made 11 x3',
  ]);
});

test('a flood about one object is cut at 25; one more each five minutes', async () => {
  const { sent, clock, recorder } = setup();
  for (let i = 0; i < 40; i++) recorder.event(object('a'), 'Normal', 'Created', 'made');
  await recorder.flush();
  assert.equal(sent.length, 25);
  await clock.advance(300_000);
  recorder.event(object('a'), 'Normal', 'Created', 'made');
  await recorder.flush();
  assert.equal(sent.length, 26);
});
