import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configmaps, flowschemas, prioritylevelconfigurations } from '../../api/resources.ts';
import { startApiServer } from '../../testing/api-server.ts';
import { FakeClock, settle } from '../../testing/fake-clock.ts';
import type { AdmissionPlugin, UserInfo } from '../types.ts';
import { hand, PriorityLevel } from './priority-level.ts';

const limits = (nominal: number, queuing?: { queues: number; handSize: number; queueLengthLimit: number }) => ({ seats: { nominal, guaranteed: nominal, most: nominal }, queuing });
const user = (name: string): UserInfo => ({ name, groups: ['system:authenticated'] });
const map = (name: string) => ({ metadata: { name, namespace: 'default' } }) as never;

test('hands are stable, without repeats, and differ between flows', () => {
  assert.deepEqual(hand('a', 64, 6), hand('a', 64, 6));
  assert.equal(new Set(hand('a', 64, 6)).size, 6);
  assert.notDeepEqual(hand('a', 64, 6), hand('b', 64, 6));
  assert.deepEqual(hand('x', 3, 8).sort(), [0, 1, 2]);
});

test('a flood waits behind itself: another flow gets every other seat', async () => {
  const level = new PriorityLevel('l', limits(1, { queues: 64, handSize: 2, queueLengthLimit: 50 }), new FakeClock(), () => false);
  const order: string[] = [];
  const enter = (flow: string) => {
    const outcome = level.enter(1, () => flow, 1000, undefined);
    if (outcome instanceof Promise) void outcome.then((refusal) => { order.push(refusal ?? flow); });
    else order.push(outcome ?? flow);
    return outcome;
  };
  for (let i = 0; i < 60; i++) enter('flood');
  for (let i = 0; i < 3; i++) enter('calm');
  assert.deepEqual(order, ['flood']);
  for (let i = 0; i < 12; i++) { level.leave(1); level.dispatch(); await settle(1); }
  // The flood holds two queues, the other flow one or two.
  assert.ok(order.filter((flow) => flow === 'calm').length === 3, order.join(' '));
});

test('queues are bounded, waits end, who leaves is not served', async () => {
  const clock = new FakeClock();
  const level = new PriorityLevel('l', limits(1, { queues: 1, handSize: 1, queueLengthLimit: 2 }), clock, () => false);
  assert.equal(level.enter(1, () => '', 1000, undefined), undefined);
  const first = level.enter(1, () => '', 1000, undefined);
  const abort = new AbortController();
  const second = level.enter(1, () => '', 5000, abort.signal);
  assert.equal(level.enter(1, () => '', 1000, undefined), 'queue-full');
  await clock.advance(1000);
  assert.equal(await first, 'time-out');
  abort.abort();
  assert.equal(await second, 'cancelled');
  assert.equal(level.waiting, 0);
  const refusing = new PriorityLevel('r', limits(1), clock, () => false);
  refusing.enter(1, () => '', 1000, undefined);
  assert.equal(refusing.enter(1, () => '', 1000, undefined), 'concurrency-limit');
});

test('the default objects are there, repaired where they ask for it, and say whether they dangle', async () => {
  const clock = new FakeClock();
  await using env = await startApiServer({ clock, flowControl: {} });
  const client = env.client();
  const levels = (await client.for(prioritylevelconfigurations).list()).items;
  assert.deepEqual(levels.map(({ metadata }) => metadata.name), ['catch-all', 'exempt', 'global-default', 'leader-election', 'node-high', 'system', 'workload-high', 'workload-low']);
  const schemas = (await client.for(flowschemas).list()).items;
  assert.equal(schemas.length, 11);
  await env.settle();
  assert.deepEqual((await client.for(flowschemas).get({ name: 'probes' })).status!.conditions!.map(({ type, status, reason }) => [type, status, reason]), [['Dangling', 'False', 'Found']]);
  const system = levels.find(({ metadata }) => metadata.name === 'system')!;
  await client.for(prioritylevelconfigurations).update({ ...system, spec: { ...system.spec, limited: { ...system.spec.limited, nominalConcurrencyShares: 99 } } });
  const nodeHigh = levels.find(({ metadata }) => metadata.name === 'node-high')!;
  await client.for(prioritylevelconfigurations).update({ ...nodeHigh, metadata: { ...nodeHigh.metadata, annotations: { 'apf.kubernetes.io/autoupdate-spec': 'false' } }, spec: { ...nodeHigh.spec, limited: { ...nodeHigh.spec.limited, nominalConcurrencyShares: 41 } } });
  await client.for(flowschemas).delete({ name: 'catch-all' });
  await client.for(flowschemas).create({ metadata: { name: 'lost' }, spec: { priorityLevelConfiguration: { name: 'nowhere' }, matchingPrecedence: 5 } });
  await clock.advance(60_000);
  await env.settle();
  const shares = async (name: string) => (await client.for(prioritylevelconfigurations).get({ name })).spec.limited!.nominalConcurrencyShares;
  assert.deepEqual([await shares('system'), await shares('node-high')], [30, 41]);
  assert.ok(await client.for(flowschemas).get({ name: 'catch-all' }));
  const [lost] = (await client.for(flowschemas).get({ name: 'lost' })).status!.conditions!;
  assert.deepEqual([lost!.status, lost!.message], ['True', 'This FlowSchema references the PriorityLevelConfiguration object named "nowhere" but there is no such object']);
});

/** Writes of some users stop here until let go. */
function gate() {
  const held: (() => void)[] = [];
  const plugin: AdmissionPlugin = {
    name: 'Gate', handles: (operation, names) => operation === 'CREATE' && names.plural === 'configmaps',
    validate: ({ user: { name } }) => (name === 'flood' ? new Promise<void>((resolve) => { held.push(resolve); }) : undefined),
  };
  return { plugin, held };
}

test('a flood from one user is refused at its limit while others pass', async () => {
  const { plugin, held } = gate();
  await using env = await startApiServer({ flowControl: { maxRequestsInFlight: 20, maxMutatingRequestsInFlight: 10 }, security: () => ({ admission: [plugin] }) });
  const flood = env.client(user('flood')).for(configmaps);
  let refused = 0;
  let created = 0;
  const load = Array.from({ length: 1000 }, (_, i) => flood.create(map(`f${i}`)).then(() => { created++; }, (err: { code: number; message: string; status: { details: { retryAfterSeconds: number } } }) => {
    assert.deepEqual([err.code, err.message, err.status.details.retryAfterSeconds], [429, 'Too many requests, please try again later.', 1]);
    refused++;
  }));
  await settle();
  // Six queues of fifty hold what no seat was found for.
  assert.ok(held.length > 0 && held.length < 30, `${held.length} run`);
  assert.equal(refused, 1000 - held.length - 300);
  // Exempt users and other levels do not notice.
  await env.client().for(configmaps).create(map('admin'));
  await env.client({ name: 'system:node:n', groups: ['system:nodes', 'system:authenticated'] }).for(configmaps).create(map('node'));
  // Another user of the same level waits for a few seats, not for the flood.
  const calm = env.client(user('calm')).for(configmaps).create(map('calm'));
  let done = false;
  void calm.then(() => { done = true; });
  for (let freed = 0; !done; freed++) {
    assert.ok(freed < 20, 'the calm user waits for the whole flood');
    held.shift()!();
    await settle();
  }
  assert.ok(created < 20, `${created} of the flood ran before`);
  const text = await env.server.metrics.registry.metrics();
  assert.match(text, /apiserver_flowcontrol_rejected_requests_total\{priority_level="global-default",flow_schema="global-default",reason="queue-full"\} \d+/);
  assert.match(text, /apiserver_flowcontrol_current_inqueue_requests\{priority_level="global-default"\} 2\d\d/);
  while (created + refused < 1000) { for (const release of held.splice(0)) release(); await settle(); }
  await Promise.all(load);
  await env.settle();
});

test('answers name their FlowSchema and priority level; a schema of the user comes first', async () => {
  await using env = await startApiServer({ flowControl: {}, security: () => ({ authenticator: { authenticate: async ({ headers }) => user(String(headers['x-test-user'])) } }) });
  const client = env.client();
  const level = await client.for(prioritylevelconfigurations).create({ metadata: { name: 'mine' }, spec: { type: 'Limited', limited: { nominalConcurrencyShares: 1, limitResponse: { type: 'Reject' } } } });
  const schema = await client.for(flowschemas).create({ metadata: { name: 'mine' }, spec: { priorityLevelConfiguration: { name: 'mine' }, matchingPrecedence: 1000, rules: [{ subjects: [{ kind: 'User', user: { name: 'noxu' } }], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }] }] } });
  await env.settle();
  const listener = await env.server.listen({ port: 0 });
  const ask = async (name: string) => {
    const { headers } = await fetch(`http://127.0.0.1:${listener.port}/version`, { headers: { 'x-test-user': name } });
    return [headers.get('x-kubernetes-pf-flowschema-uid'), headers.get('x-kubernetes-pf-prioritylevel-uid')];
  };
  assert.deepEqual(await ask('noxu'), [schema.metadata.uid, level.metadata.uid]);
  assert.deepEqual(await ask('someone'), [(await client.for(flowschemas).get({ name: 'global-default' })).metadata.uid, (await client.for(prioritylevelconfigurations).get({ name: 'global-default' })).metadata.uid]);
});
