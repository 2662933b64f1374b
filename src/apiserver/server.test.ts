/** The handler chain over the memory store, verb by verb. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as resources from '../api/resources.ts';
import { isAlreadyExists, isConflict, isNotFound, StatusError } from '../api/meta/status.ts';
import type { Pod } from '../api/core/v1.ts';
import type { WatchEvent } from '../client/client.ts';
import { FakeClock, settle } from '../testing/fake-clock.ts';
import { startApiServer } from '../testing/api-server.ts';

const pod = (name: string, extra: object = {}) => ({ metadata: { name, ...extra }, spec: { containers: [{ name: 'c', image: 'busybox' }] } });
const inDefault = { namespace: 'default' };
const rejects = (code: number, message: RegExp) => (err: unknown) => { assert.ok(err instanceof StatusError, String(err)); assert.equal(err.code, code, err.message); assert.match(err.message, message); return true; };

test('create, get, update, delete', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const configmaps = client.for(resources.configmaps);
  const made = await configmaps.create({ metadata: { name: 'a' }, data: { k: 'v' } }, inDefault);
  assert.match(made.metadata.uid!, /^[0-9a-f-]{36}$/);
  assert.equal(made.metadata.creationTimestamp, '2026-01-01T00:00:00Z');
  assert.equal(made.metadata.namespace, 'default');
  assert.equal(made.metadata.generation, undefined);
  assert.equal(made.kind, 'ConfigMap');
  assert.deepEqual(await configmaps.get({ namespace: 'default', name: 'a' }), made);
  await assert.rejects(configmaps.create({ metadata: { name: 'a' } }, inDefault), (err) => isAlreadyExists(err));
  const updated = await configmaps.update({ ...made, data: { k: 'w' } });
  assert.notEqual(updated.metadata.resourceVersion, made.metadata.resourceVersion);
  await assert.rejects(configmaps.update({ ...made, data: { k: 'x' } }), (err) => isConflict(err));
  const same = await configmaps.update(updated);
  assert.equal(same.metadata.resourceVersion, updated.metadata.resourceVersion, 'no change, no write');
  const status = await configmaps.delete({ namespace: 'default', name: 'a' }) as { kind: string; details: object };
  assert.equal(status.kind, 'Status');
  assert.deepEqual(status.details, { name: 'a', kind: 'configmaps', uid: made.metadata.uid });
  await assert.rejects(configmaps.get({ namespace: 'default', name: 'a' }), (err) => isNotFound(err));
});

test('watch sees what is there and what comes, and resumes', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const configmaps = env.client().for(resources.configmaps);
  const first = await configmaps.create({ metadata: { name: 'a', labels: { on: 'yes' } } }, inDefault);
  const stop = new AbortController();
  const seen: string[] = [];
  const follow = async (events: AsyncIterable<WatchEvent<{ metadata: { name: string; resourceVersion?: string } }>>, into: string[]) => {
    for await (const event of events) into.push(event.type === 'ERROR' ? `ERROR ${event.object.message}` : `${event.type} ${event.object.metadata.name ?? ''}`.trim());
  };
  const labelled: string[] = [];
  const running = [
    follow(configmaps.watch({ namespace: 'default', signal: stop.signal }), seen),
    follow(configmaps.watch({ namespace: 'default', labelSelector: 'on=yes', signal: stop.signal }), labelled),
  ];
  await settle();
  await configmaps.update({ ...first, metadata: { ...first.metadata, labels: {} } });
  await configmaps.create({ metadata: { name: 'b' } }, inDefault);
  await configmaps.delete({ namespace: 'default', name: 'b' });
  await env.settle();
  assert.deepEqual(seen, ['ADDED a', 'MODIFIED a', 'ADDED b', 'DELETED b']);
  assert.deepEqual(labelled, ['ADDED a', 'DELETED a'], 'leaving the selection is a deletion');
  const resumed: string[] = [];
  running.push(follow(configmaps.watch({ namespace: 'default', resourceVersion: first.metadata.resourceVersion, signal: stop.signal }), resumed));
  await settle();
  assert.deepEqual(resumed, ['MODIFIED a', 'ADDED b', 'DELETED b']);
  stop.abort();
  await Promise.all(running);
});

test('pods end gracefully', async () => {
  const clock = new FakeClock();
  await using env = await startApiServer({ clock });
  const pods = env.client().for(resources.pods);
  await pods.create(pod('free'), inDefault);
  const gone = await pods.delete({ namespace: 'default', name: 'free' }) as Pod;
  assert.equal(gone.kind, 'Pod');
  await assert.rejects(pods.get({ namespace: 'default', name: 'free' }), (err) => isNotFound(err), 'a pod without a node goes at once');
  await pods.create(pod('bound'), inDefault);
  await pods.createSubresource({ namespace: 'default', name: 'bound' }, 'binding', { metadata: { name: 'bound' }, target: { kind: 'Node', name: 'n1' } });
  await assert.rejects(pods.createSubresource({ namespace: 'default', name: 'bound' }, 'binding', { metadata: { name: 'bound' }, target: { kind: 'Node', name: 'n2' } }), rejects(409, /pod bound is already assigned to node "n1"/));
  const marked = await pods.delete({ namespace: 'default', name: 'bound' }) as Pod;
  assert.equal(marked.metadata.deletionGracePeriodSeconds, 30);
  assert.equal(marked.metadata.deletionTimestamp, '2026-01-01T00:00:30Z');
  const still = await pods.get({ namespace: 'default', name: 'bound' });
  assert.equal(still.spec.nodeName, 'n1');
  assert.equal(still.status!.conditions!.find(({ type }) => type === 'PodScheduled')!.status, 'True');
  await pods.delete({ namespace: 'default', name: 'bound' }, { gracePeriodSeconds: 0 });
  await assert.rejects(pods.get({ namespace: 'default', name: 'bound' }), (err) => isNotFound(err));
});
