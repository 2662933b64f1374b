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

test('generateName, dry run, namespaces and names', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const configmaps = env.client().for(resources.configmaps);
  const made = await configmaps.create({ metadata: { generateName: 'x-' } } as never, inDefault);
  assert.match(made.metadata.name, /^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  const revision = await env.store.revision();
  const pretended = await configmaps.create({ metadata: { name: 'dry' } }, { ...inDefault, dryRun: true });
  assert.ok(pretended.metadata.uid);
  assert.equal(pretended.metadata.resourceVersion, undefined);
  assert.equal(await env.store.revision(), revision, 'nothing was written');
  await assert.rejects(configmaps.create({ metadata: { name: 'UPPER' } }, inDefault), rejects(422, /^ConfigMap "UPPER" is invalid: metadata.name: Invalid value: "UPPER": a lowercase RFC 1123 subdomain/));
  await assert.rejects(configmaps.create({ metadata: {} }, inDefault), rejects(422, /metadata.name: Required value: name or generateName is required/));
  await assert.rejects(configmaps.create({ metadata: { name: 'a', namespace: 'other' } }, inDefault), rejects(400, /the namespace of the provided object does not match the namespace sent on the request/));
  await assert.rejects(configmaps.create({ metadata: { name: 'a', resourceVersion: '5' } }, inDefault), rejects(500, /resourceVersion should not be set on objects to be created/));
  await assert.rejects(configmaps.create({ metadata: { name: 'a', labels: { '-bad': 'x' } } }, inDefault), rejects(422, /metadata.labels: Invalid value: "-bad"/));
});

test('patches of each kind, and their conflicts', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const configmaps = client.for(resources.configmaps);
  const key = { namespace: 'default', name: 'a' };
  await configmaps.create({ metadata: { name: 'a', labels: { one: '1' } }, data: { a: '1' } }, inDefault);
  assert.deepEqual((await configmaps.patch(key, 'merge', { data: { b: '2', a: null } })).data, { b: '2' });
  assert.deepEqual((await configmaps.patch(key, 'json', [{ op: 'add', path: '/data/c', value: '3' }])).data, { b: '2', c: '3' });
  assert.deepEqual((await configmaps.patch(key, 'strategic', { metadata: { labels: { two: '2' } } })).metadata.labels, { one: '1', two: '2' });
  await assert.rejects(configmaps.patch(key, 'merge', { metadata: { resourceVersion: '1' } }), (err) => isConflict(err));
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => configmaps.patch(key, 'merge', { data: { [`k${i}`]: 'x' } })));
  assert.equal(all.length, 20);
  assert.equal(Object.keys((await configmaps.get(key)).data!).length, 22, 'none of the concurrent patches is lost');
  const deployments = client.for(resources.deployments);
  const configuration = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { replicas: 2, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } } } };
  const at = { namespace: 'default', name: 'd' };
  const applied = await deployments.patch(at, 'apply', configuration, { fieldManager: 'me' });
  assert.equal(applied.metadata.generation, 1);
  assert.equal(applied.metadata.managedFields![0]!.operation, 'Apply');
  const again = await deployments.patch(at, 'apply', configuration, { fieldManager: 'me' });
  assert.equal(again.metadata.resourceVersion, applied.metadata.resourceVersion);
  await assert.rejects(deployments.patch(at, 'apply', { ...configuration, spec: { ...configuration.spec, replicas: 5 } }, { fieldManager: 'you' }), rejects(409, /conflict with "me"/));
  const forced = await deployments.patch(at, 'apply', { ...configuration, spec: { ...configuration.spec, replicas: 5 } }, { fieldManager: 'you', force: true });
  assert.equal(forced.spec.replicas, 5);
  assert.equal(forced.metadata.generation, 2);
});

test('status and scale change only what is theirs', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const deployments = env.client().for(resources.deployments);
  const made = await deployments.create({ metadata: { name: 'd' }, spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } }, status: { replicas: 9 } } as never, inDefault);
  assert.equal(made.status?.replicas, undefined);
  const status = await deployments.updateStatus({ ...made, spec: { ...made.spec, replicas: 7 }, status: { replicas: 1 } });
  assert.equal(status.spec.replicas, 1);
  assert.equal(status.status!.replicas, 1);
  assert.equal(status.metadata.generation, 1);
  const request = env.client().request;
  const path = '/apis/apps/v1/namespaces/default/deployments/d/scale';
  const scale = await request({ method: 'GET', path }) as { spec: { replicas: number }; status: { selector: string } };
  assert.equal(scale.status.selector, 'a=b');
  await request({ method: 'PUT', path, body: { ...scale, spec: { replicas: 4 } } });
  const scaled = await deployments.get({ namespace: 'default', name: 'd' });
  assert.equal(scaled.spec.replicas, 4);
  assert.equal(scaled.metadata.generation, 2);
  assert.equal(scaled.status!.replicas, 1);
  await request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { spec: { replicas: 6 } } });
  assert.equal((await deployments.get({ namespace: 'default', name: 'd' })).spec.replicas, 6);
});

test('lists come in chunks of one moment, filtered and counted', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const configmaps = env.client().for(resources.configmaps);
  for (let i = 0; i < 7; i++) await configmaps.create({ metadata: { name: `c${i}`, labels: { odd: String(i % 2) } } }, inDefault);
  const first = await configmaps.list({ namespace: 'default', limit: 3 });
  assert.deepEqual(first.items.map((item) => item.metadata.name), ['c0', 'c1', 'c2']);
  assert.equal(first.metadata.remainingItemCount, 4);
  await configmaps.delete({ namespace: 'default', name: 'c4' });
  await configmaps.create({ metadata: { name: 'c9' } }, inDefault);
  const second = await configmaps.list({ namespace: 'default', limit: 3, continue: first.metadata.continue });
  assert.deepEqual(second.items.map((item) => item.metadata.name), ['c3', 'c4', 'c5'], 'as of the first chunk');
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  const third = await configmaps.list({ namespace: 'default', limit: 3, continue: second.metadata.continue });
  assert.deepEqual(third.items.map((item) => item.metadata.name), ['c6']);
  assert.equal(third.metadata.continue, undefined);
  const odd = await configmaps.list({ namespace: 'default', labelSelector: 'odd in (1)' });
  assert.deepEqual(odd.items.map((item) => item.metadata.name), ['c1', 'c3', 'c5']);
  assert.deepEqual((await configmaps.list({ fieldSelector: 'metadata.name=c1' })).items.length, 1);
  await assert.rejects(configmaps.list({ fieldSelector: 'data.x=1' }), rejects(400, /is not a known field selector|field label not supported/));
  await assert.rejects(configmaps.list({ continue: 'nonsense' }), rejects(400, /continue key is not valid/));
  await env.store.compact(await env.store.revision());
  await assert.rejects(configmaps.list({ namespace: 'default', limit: 3, continue: first.metadata.continue }), (err) => {
    assert.ok(err instanceof StatusError);
    assert.equal(err.code, 410);
    assert.ok(err.status.metadata.continue, 'a token to go on inconsistently');
    return true;
  });
  await assert.rejects(configmaps.list({ resourceVersion: '5', resourceVersionMatch: 'Exact' }), rejects(410, /too old/));
  await assert.rejects(configmaps.watch({ resourceVersion: '2' })[Symbol.asyncIterator]().next(), rejects(410, /^too old resource version: 2 \(\d+\)$/));
});

test('what a list began five to ten minutes ago can be continued, but not as of then', async () => {
  const clock = new FakeClock();
  await using env = await startApiServer({ clock });
  const configmaps = env.client().for(resources.configmaps);
  for (const name of ['a', 'b', 'c']) await configmaps.create({ metadata: { name } }, inDefault);
  const first = await configmaps.list({ namespace: 'default', limit: 1 });
  await configmaps.create({ metadata: { name: 'd' } }, inDefault);
  await clock.advance(4 * 60_000);
  assert.deepEqual((await configmaps.list({ namespace: 'default', continue: first.metadata.continue })).items.map((item) => item.metadata.name), ['b', 'c']);
  await clock.advance(6 * 60_000);
  let token: string | undefined;
  await assert.rejects(configmaps.list({ namespace: 'default', continue: first.metadata.continue }), (err) => {
    assert.ok(err instanceof StatusError && err.code === 410 && err.reason === 'Expired', String(err));
    token = err.status.metadata.continue;
    return true;
  });
  assert.deepEqual((await configmaps.list({ namespace: 'default', continue: token })).items.map((item) => item.metadata.name), ['b', 'c', 'd']);
});

test('finalizers hold an object; propagation policies set theirs', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const configmaps = env.client().for(resources.configmaps);
  const key = { namespace: 'default', name: 'a' };
  await configmaps.create({ metadata: { name: 'a', finalizers: ['example.com/hold'] } }, inDefault);
  await configmaps.delete(key, { propagationPolicy: 'Foreground' });
  const held = await configmaps.get(key);
  assert.deepEqual(held.metadata.finalizers, ['example.com/hold', 'foregroundDeletion']);
  assert.equal(held.metadata.deletionTimestamp, '2026-01-01T00:00:00Z');
  assert.equal(held.metadata.deletionGracePeriodSeconds, 0);
  await assert.rejects(configmaps.update({ ...held, metadata: { ...held.metadata, finalizers: [...held.metadata.finalizers!, 'example.com/more'] } }), rejects(422, /no new finalizers can be added if the object is being deleted/));
  await configmaps.patch(key, 'json', [{ op: 'remove', path: '/metadata/finalizers' }]);
  await assert.rejects(configmaps.get(key), (err) => isNotFound(err));
  await configmaps.create({ metadata: { name: 'a' } }, inDefault);
  await assert.rejects(configmaps.delete(key, { preconditions: { uid: 'other' } }), rejects(409, /the UID in the precondition \(other\) does not match the UID in record/));
  await configmaps.delete(key, { propagationPolicy: 'Orphan' });
  assert.deepEqual((await configmaps.get(key)).metadata.finalizers, ['orphan']);
  await configmaps.deleteCollection({ namespace: 'default' });
});

test('a namespace stays until its finalizer goes', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const namespaces = client.for(resources.namespaces);
  await namespaces.create({ metadata: { name: 'n' } } as never);
  await namespaces.delete({ name: 'n' });
  const ending = await namespaces.get({ name: 'n' });
  assert.equal(ending.status!.phase, 'Terminating');
  await client.request({ method: 'PUT', path: '/api/v1/namespaces/n/finalize', body: { ...ending, spec: { finalizers: [] } } });
  await assert.rejects(namespaces.get({ name: 'n' }), (err) => isNotFound(err));
});

test('eviction asks the budget', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const pods = client.for(resources.pods);
  const made = await pods.create(pod('p', { labels: { a: 'b' } }), inDefault);
  await pods.updateStatus({ ...made, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } } as never);
  const budgets = client.for(resources.poddisruptionbudgets);
  const budget = await budgets.create({ metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } } } as never, inDefault);
  const evict = () => pods.createSubresource({ namespace: 'default', name: 'p' }, 'eviction', { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } });
  await assert.rejects(evict(), rejects(429, /Cannot evict pod as it would violate the pod's disruption budget/));
  await budgets.updateStatus({ ...budget, status: { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 } });
  await assert.rejects(evict(), (err) => {
    assert.ok(err instanceof StatusError);
    assert.deepEqual(err.status.details!.causes, [{ reason: 'DisruptionBudget', message: 'The disruption budget b needs 1 healthy pods and has 1 currently' }]);
    return true;
  });
  const latest = await budgets.get({ namespace: 'default', name: 'b' });
  assert.equal(latest.status!.disruptionsAllowed, 0, 'shown although 0, as upstream');
  await budgets.updateStatus({ ...latest, status: { ...latest.status!, disruptionsAllowed: 1 } });
  await pods.patch({ namespace: 'default', name: 'p' }, 'merge', { metadata: { finalizers: ['example.com/hold'] } });
  await evict();
  const held = await pods.get({ namespace: 'default', name: 'p' });
  assert.deepEqual(held.status!.conditions!.map(({ type, reason }) => `${type} ${reason}`), ['Ready undefined', 'DisruptionTarget EvictionByEvictionAPI']);
  await pods.patch({ namespace: 'default', name: 'p' }, 'merge', { metadata: { finalizers: null } });
  await assert.rejects(pods.get({ namespace: 'default', name: 'p' }), (err) => isNotFound(err));
  assert.equal((await budgets.get({ namespace: 'default', name: 'b' })).status!.disruptionsAllowed, 0);
});

test('bookmarks, initial events and the end of a watch', async () => {
  const clock = new FakeClock();
  await using env = await startApiServer({ clock });
  const configmaps = env.client().for(resources.configmaps);
  await configmaps.create({ metadata: { name: 'a' } }, inDefault);
  const seen: string[] = [];
  const running = (async () => {
    for await (const event of configmaps.watch({ namespace: 'default', sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true, timeoutSeconds: 90 } as never)) {
      seen.push(event.type === 'BOOKMARK' ? `BOOKMARK ${Object.keys(event.object.metadata.annotations ?? {}).join()}`.trim() : `${event.type} ${(event.object as { metadata: { name: string } }).metadata.name}`);
    }
  })();
  await settle();
  assert.deepEqual(seen, ['ADDED a', 'BOOKMARK k8s.io/initial-events-end']);
  await clock.advance(61_000);
  assert.deepEqual(seen.slice(2), ['BOOKMARK']);
  await clock.advance(30_000);
  await running;
  assert.deepEqual(seen.slice(3), ['BOOKMARK'], 'one before the end');
});

test('reviews answer and store nothing', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const { request } = env.client();
  const revision = await env.store.revision();
  const review = await request({ method: 'POST', path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', body: { spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } } }) as { status: object };
  assert.deepEqual(review.status, { allowed: true });
  const self = await request({ method: 'POST', path: '/apis/authentication.k8s.io/v1/selfsubjectreviews', body: {} }) as { status: { userInfo: object } };
  assert.deepEqual(self.status.userInfo, { username: 'admin', groups: ['system:masters', 'system:authenticated'] });
  await assert.rejects(request({ method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body: { spec: { user: 'x' } } }), rejects(422, /exactly one of nonResourceAttributes or resourceAttributes must be specified/));
  assert.equal(await env.store.revision(), revision);
});

test('what is not served is refused in upstream words', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const { request } = env.client();
  for (const path of ['/api/v1/nonsense', '/apis/none.example/v1/things', '/api/v1/namespaces/default/nodes', '/nothing']) {
    await assert.rejects(request({ method: 'GET', path }), rejects(404, /the server could not find the requested resource/), path);
  }
  await assert.rejects(request({ method: 'POST', path: '/api/v1/pods', body: pod('a') }), rejects(405, /the server does not allow this method on the requested resource/));
  await assert.rejects(request({ method: 'GET', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews' }), rejects(405, /does not allow this method/));
  await assert.rejects(request({ method: 'PATCH', path: '/api/v1/namespaces/default', contentType: 'text/plain', body: {} }), rejects(415, /accepted media types include: application\/json-patch\+json, application\/merge-patch\+json, application\/strategic-merge-patch\+json, application\/apply-patch\+yaml/));
  await assert.rejects(request({ method: 'POST', path: '/api/v1/namespaces/default/pods', body: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' } } }), rejects(400, /the API version in the data \(apps\/v1\) does not match the expected API version \(v1\)/));
  await assert.rejects(request({ method: 'POST', path: '/api/v1/namespaces/default/pods', query: { fieldValidation: 'Strict' }, body: { ...pod('x'), spec: { ...pod('x').spec, nope: 1 } } }), rejects(400, /strict decoding error: unknown field "spec.nope"/));
});

test('events go an hour after their last write', async () => {
  const clock = new FakeClock();
  await using env = await startApiServer({ clock });
  const events = env.client().for(resources.events);
  const made = await events.create({ metadata: { name: 'e', namespace: 'default' }, involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' }, reason: 'r', message: 'm', type: 'Normal' } as never, inDefault);
  await clock.advance(50 * 60_000);
  await events.update({ ...made, count: 2 } as never);
  await clock.advance(50 * 60_000);
  assert.equal((await events.list({ namespace: 'default' })).items.length, 1, 'the update gave it another hour');
  await clock.advance(11 * 60_000);
  await env.settle();
  assert.equal((await events.list({ namespace: 'default' })).items.length, 0);
});

test('the kubernetes Service leads to this server', async () => {
  await using env = await startApiServer({ clock: new FakeClock(), bootstrap: { advertise: { address: '10.1.2.3', port: 6443 }, serviceIP: '10.96.0.1' } });
  const client = env.client();
  const key = { namespace: 'default', name: 'kubernetes' };
  assert.equal((await client.for(resources.services).get(key)).spec.clusterIP, '10.96.0.1');
  assert.deepEqual((await client.for(resources.endpoints).get(key)).subsets, [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] }]);
  assert.deepEqual((await client.for(resources.endpointslices).get(key)).endpoints![0]!.addresses, ['10.1.2.3']);
});

test('events are found by field in either group', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const client = env.client();
  const event = (name: string, controller: string) => client.for(resources.eventsK8sIo).create({
    metadata: { name }, regarding: { kind: 'Pod', name, namespace: 'default' }, reason: 'Test', action: 'Do', type: 'Normal', eventTime: '2017-09-19T13:49:16.000000Z', reportingController: controller, reportingInstance: 'i',
  } as never, inDefault);
  await event('a', 'one');
  await event('b', 'two');
  const found = async (names: typeof resources.events | typeof resources.eventsK8sIo, fieldSelector: string) => (await client.for(names as typeof resources.events).list({ ...inDefault, fieldSelector })).items.map((item) => item.metadata.name);
  assert.deepEqual(await found(resources.eventsK8sIo, 'reportingController=one'), ['a']);
  assert.deepEqual(await found(resources.eventsK8sIo, 'regarding.name=b,type=Normal'), ['b']);
  assert.deepEqual(await found(resources.events, 'source=one'), ['a']);
  assert.deepEqual(await found(resources.events, 'involvedObject.name=b'), ['b']);
});

test('a resize or an ephemeral container raises the generation; a resize keeps names and takes nothing away', async () => {
  await using env = await startApiServer({ clock: new FakeClock() });
  const pods = env.client().for(resources.pods);
  const key = { namespace: 'default', name: 'p' };
  const container = (name: string, requests: object, limits?: object) => ({ name, image: 'i', resources: { requests, ...(limits ? { limits } : {}) } });
  await pods.create({ metadata: { name: 'p' }, spec: { containers: [container('a', { cpu: '20m', memory: '35Mi' }), container('b', { cpu: '20m' })] } } as never, inDefault);
  const resize = (containers: object[]) => pods.patch(key, 'strategic', { spec: { containers } } as never, { subresource: 'resize' });
  const resized = await resize([container('a', { memory: '30Mi' }, { memory: '50Mi' })]);
  assert.deepEqual(resized.spec.containers[0]!.resources, { limits: { memory: '50Mi' }, requests: { cpu: '20m', memory: '30Mi' } });
  assert.equal(resized.metadata.generation, 2);
  await assert.rejects(resize([{ name: 'b', resources: { requests: { cpu: null } } }]), rejects(422, /resource requests cannot be removed/));
  const now = await pods.get(key);
  await assert.rejects(pods.update({ ...now, spec: { ...now.spec, containers: [...now.spec.containers].reverse() } }, { subresource: 'resize' } as never), rejects(422, /spec\.containers\[0\]\.name: Forbidden: containers may not be renamed or reordered on resize, spec\.containers\[1\]\.name: Forbidden: containers may not be renamed or reordered on resize/));
  const debugged = await pods.patch(key, 'strategic', { spec: { ephemeralContainers: [{ name: 'd', image: 'i' }] } } as never, { subresource: 'ephemeralcontainers' });
  assert.equal(debugged.metadata.generation, 3);
});

test('the service range is published as the ServiceCIDR kubernetes; addresses may be of any kind', async () => {
  await using env = await startApiServer({ clock: new FakeClock(), bootstrap: { serviceCIDRs: ['10.96.0.0/12'] } });
  const client = env.client();
  const { spec, status } = await client.for(resources.servicecidrs).get({ name: 'kubernetes' });
  assert.deepEqual(spec?.cidrs, ['10.96.0.0/12']);
  assert.deepEqual(status?.conditions?.map((condition) => [condition.type, condition.status]), [['Ready', 'True']]);
  for (const name of ['255.255.255.255', 'fe80::42:1dff:fe84:f9e2']) {
    await client.for(resources.ipaddresses).create({ metadata: { name }, spec: { parentRef: { group: 'mygroup', resource: 'myresources', namespace: 'foo', name: 'bar' } } } as never);
  }
});
