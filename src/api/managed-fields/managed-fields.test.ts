import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../all.schema.ts';
import { cloneJson, deepFreeze, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { randomInt, seededRng } from '../../base/rng.ts';
import { StatusError } from '../meta/status.ts';
import { typeOf } from '../schema.ts';
import { difference, equals, intersection, pathsOf, union, type FieldSet } from './field-set.ts';
import { applyConfiguration, managerFromUserAgent, maxUpdateManagers, trackUpdate, type ApplyOptions } from './managed-fields.ts';

const deployment = typeOf('apps/v1.Deployment');
const options = (manager: string, extra: Partial<ApplyOptions> = {}): ApplyOptions => ({ type: deployment, apiVersion: 'apps/v1', manager, time: '2026-01-01T00:00:00Z', ...extra });
const make = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default', ...metadata }, spec });
const withContainers = (...containers: JsonObject[]): JsonObject => ({ template: { spec: { containers } } });
function entries(object: JsonObject | undefined): JsonObject[] { return (((object?.metadata as JsonObject | undefined)?.managedFields ?? []) as JsonObject[]); }
function owns(object: JsonObject | undefined, manager: string): string[] { return entries(object).filter((e) => e.manager === manager).flatMap((e) => pathsOf(e.fieldsV1 as FieldSet)); }
const applied = (live: JsonObject | undefined, config: JsonObject, o: ApplyOptions): JsonObject => {
  const result = applyConfiguration(live ? deepFreeze(cloneJson(live)) : undefined, deepFreeze(cloneJson(config)), o);
  assert.ok(result, 'apply changed nothing');
  return result;
};

test('create: the fields of a new object, as upstream writes them', () => {
  const object = make({
    replicas: 2, selector: { matchLabels: { app: 'web' } }, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }], resources: {} }], volumes: [{ name: 'v', emptyDir: {} }] } },
  }, { labels: { app: 'web' }, uid: 'x' });
  trackUpdate(undefined, object, options('kubectl-create'));
  assert.deepEqual(entries(object), [{
    manager: 'kubectl-create', operation: 'Update', apiVersion: 'apps/v1', time: '2026-01-01T00:00:00Z', fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
      'f:spec': {
        'f:replicas': {}, 'f:selector': {}, 'f:strategy': { 'f:type': {}, 'f:rollingUpdate': { '.': {}, 'f:maxSurge': {} } },
        'f:template': { 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } }, 'f:spec': {
          'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:image': {}, 'f:resources': {}, 'f:ports': { '.': {}, 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } } } },
          'f:volumes': { '.': {}, 'k:{"name":"v"}': { '.': {}, 'f:name': {}, 'f:emptyDir': {} } },
        } },
      },
    },
  }]);
});

test('update: the changed fields change hands, what vanishes is nobody\'s, no change leaves the time', () => {
  const live = make({ replicas: 1, paused: true }, { labels: { a: '1' } });
  trackUpdate(undefined, live, options('a'));
  const next = make({ replicas: 2 }, { labels: { a: '1', b: '2' }, managedFields: cloneJson(entries(live)) });
  trackUpdate(deepFreeze(live), next, options('b', { time: '2026-01-02T00:00:00Z' }));
  assert.deepEqual(owns(next, 'a'), ['.metadata.labels', '.metadata.labels.a']);
  assert.deepEqual(owns(next, 'b'), ['.metadata.labels.b', '.spec.replicas']);
  const again = cloneJson(next);
  trackUpdate(next, again, options('c', { time: '2026-01-03T00:00:00Z' }));
  assert.deepEqual(entries(again), entries(next));
});

test('subresources are managers of their own; status survives', () => {
  const live = make({ replicas: 1 });
  trackUpdate(undefined, live, options('a'));
  const next = cloneJson(live);
  next.status = { replicas: 1, conditions: [{ type: 'Available', status: 'True' }] };
  trackUpdate(live, next, options('controller', { subresource: 'status' }));
  assert.deepEqual(entries(next).map((e) => [e.manager, e.subresource]), [['a', undefined], ['controller', 'status']]);
  assert.deepEqual(owns(next, 'controller'), ['.status.conditions', '.status.conditions[type="Available"]', '.status.conditions[type="Available"].status', '.status.conditions[type="Available"].type', '.status.replicas']);
});

test('apply creates, then changes, then gives up a field', () => {
  let object = applied(undefined, make({ replicas: 1, ...withContainers({ name: 'a', image: '1' }, { name: 'b', image: '1' }) }, { labels: { x: '1', y: '2' } }), options('m'));
  assert.deepEqual(owns(object, 'm'), ['.metadata.labels.x', '.metadata.labels.y', '.spec.replicas', '.spec.template.spec.containers[name="a"]', '.spec.template.spec.containers[name="a"].image',
    '.spec.template.spec.containers[name="a"].name', '.spec.template.spec.containers[name="b"]', '.spec.template.spec.containers[name="b"].image', '.spec.template.spec.containers[name="b"].name']);
  object = applied(object, make({ ...withContainers({ name: 'b', image: '2' }) }, { labels: { x: '1' } }), options('m'));
  assert.deepEqual(object.spec, withContainers({ name: 'b', image: '2' }));
  assert.deepEqual((object.metadata as JsonObject).labels, { x: '1' });
  assert.equal(entries(object).length, 1);
  assert.equal(applyConfiguration(object, make({ ...withContainers({ name: 'b', image: '2' }) }, { labels: { x: '1' } }), options('m', { time: '2027-01-01T00:00:00Z' })), undefined);
});

test('one conflict and several, in upstream\'s words', () => {
  const live = make({ replicas: 3, ...withContainers({ name: 'a', image: '1', ports: [{ containerPort: 80, name: 'h' }] }) });
  trackUpdate(undefined, live, options('kubectl-client-side-apply'));
  assert.throws(() => applyConfiguration(live, make({ replicas: 4 }), options('m')), (err) => {
    assert.ok(err instanceof StatusError);
    assert.equal(err.message, 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas');
    assert.deepEqual({ code: err.code, reason: err.reason, causes: err.status.details?.causes }, { code: 409, reason: 'Conflict',
      causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "kubectl-client-side-apply" using apps/v1', field: '.spec.replicas' }] });
    return true;
  });
  assert.throws(() => applyConfiguration(live, make({ replicas: 4, ...withContainers({ name: 'a', image: '2', ports: [{ containerPort: 80, name: 'i' }] }) }), options('m')), {
    message: 'Apply failed with 3 conflicts: conflicts with "kubectl-client-side-apply" using apps/v1:\n- .spec.replicas\n- .spec.template.spec.containers[name="a"].image\n'
      + '- .spec.template.spec.containers[name="a"].ports[containerPort=80,protocol="TCP"].name' });
  const forced = applied(live, make({ replicas: 4 }), options('m', { force: true }));
  assert.equal((forced.spec as JsonObject).replicas, 4);
  assert.ok(!owns(forced, 'kubectl-client-side-apply').includes('.spec.replicas'));
  const shared = applied(live, make({ replicas: 3 }), options('m'));
  assert.ok(owns(shared, 'm').includes('.spec.replicas') && owns(shared, 'kubectl-client-side-apply').includes('.spec.replicas'), 'the same value is shared');
});

test('shared ownership keeps a field until the last applier gives it up', () => {
  let object = applied(undefined, make({ replicas: 1 }, { labels: { x: '1' } }), options('a'));
  object = applied(object, make({ paused: true }, { labels: { x: '1' } }), options('b'));
  object = applied(object, make({ replicas: 1 }), options('a'));
  assert.deepEqual((object.metadata as JsonObject).labels, { x: '1' });
  object = applied(object, make({ paused: true }), options('b'));
  assert.equal((object.metadata as JsonObject).labels, undefined);
  assert.deepEqual(object.spec, { replicas: 1, paused: true });
});

test('what an applier gives up stays while somebody who updated it owns it', () => {
  const live = make({ replicas: 3, paused: true });
  trackUpdate(undefined, live, options('kubectl-create'));
  const both = applied(live, make({ replicas: 3 }), options('m'));
  const after = applied(both, make({}), options('m'));
  assert.deepEqual(after.spec, { replicas: 3, paused: true });
  assert.ok(owns(after, 'kubectl-create').includes('.spec.replicas'));
});

test('an object nobody tracked becomes before-first-apply', () => {
  const live = make({ replicas: 3 }, { uid: 'u' });
  const next = cloneJson(live);
  trackUpdate(live, next, options('x'));
  assert.deepEqual(entries(next), []);
  assert.throws(() => applyConfiguration(live, make({ replicas: 4 }), options('m')), /conflict with "before-first-apply" using apps\/v1: \.spec\.replicas/);
});

test('kubectl takes over what its client-side apply had set', () => {
  const lastApplied = JSON.stringify(make({ replicas: 3 }));
  const live = make({ replicas: 3 }, { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': lastApplied } });
  trackUpdate(undefined, live, options('kubectl-client-side-apply'));
  assert.throws(() => applyConfiguration(live, make({ replicas: 4 }), options('other')), /conflict/);
  const object = applied(live, make({ replicas: 4 }), options('kubectl'));
  assert.equal((object.spec as JsonObject).replicas, 4);
  assert.match(String(((object.metadata as JsonObject).annotations as JsonObject)['kubectl.kubernetes.io/last-applied-configuration']), /"replicas":4/);
});

test('sets and atomic values', () => {
  const live = applied(undefined, make({ selector: { matchLabels: { a: '1' } } }, { finalizers: ['x/a', 'x/b'] }), options('a'));
  const { spec: _, ...config } = make({}, { finalizers: ['x/c'] });
  const next = applied(live, config, options('b'));
  assert.deepEqual((next.metadata as JsonObject).finalizers, ['x/a', 'x/b', 'x/c']);
  assert.deepEqual(owns(next, 'b'), ['.metadata.finalizers[="x/c"]']);
  assert.deepEqual(owns(live, 'a'), ['.metadata.finalizers[="x/a"]', '.metadata.finalizers[="x/b"]', '.spec.selector']);
  assert.throws(() => applyConfiguration(live, make({ selector: { matchLabels: { a: '2' } } }), options('b')), /\.spec\.selector$/);
});

test('configurations that make no sense', () => {
  assert.throws(() => applyConfiguration(undefined, make(withContainers({ name: 'a' }, { name: 'a' })), options('m')),
    { message: 'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="a"]' });
  assert.throws(() => applyConfiguration(undefined, make(withContainers({ image: 'a' })), options('m')), /element 0: associative list with keys has an element that omits key field "name"/);
  assert.throws(() => applyConfiguration(undefined, make({ nope: 1 }), options('m')), /\.spec\.nope: field not declared in schema/);
  assert.throws(() => applyConfiguration(undefined, { ...make({}), apiVersion: 'apps/v2' }, options('m')), /Incorrect version specified in apply patch/);
  assert.throws(() => applyConfiguration(undefined, make({}, { managedFields: [] }), options('m')), /metadata\.managedFields must be nil/);
});

test('old update managers are united', () => {
  let live = make({ replicas: 0 });
  trackUpdate(undefined, live, options('m0'));
  for (let i = 1; i <= 14; i++) {
    const next = cloneJson(live);
    (next.metadata as JsonObject).labels = { ...((live.metadata as JsonObject).labels as JsonObject), [`l${i}`]: '1' };
    trackUpdate(live, next, options(`m${i}`, { time: `2026-01-${String(i + 1).padStart(2, '0')}T00:00:00Z` }));
    live = next;
  }
  assert.equal(entries(live).length, maxUpdateManagers);
  assert.ok(owns(live, 'ancient-changes').includes('.spec.replicas'));
  assert.deepEqual(new Set(entries(live).flatMap((e) => pathsOf(e.fieldsV1 as FieldSet))).size, 1 + 1 + 14);
});

test('managers can be reset, and unreadable ones are forgotten', () => {
  const live = make({ replicas: 1 });
  trackUpdate(undefined, live, options('a'));
  for (const list of [[], [{}]]) {
    const next = make({ replicas: 2 }, { managedFields: list });
    trackUpdate(live, next, options('b'));
    assert.deepEqual(entries(next), []);
  }
  const next = make({ replicas: 2 }, { managedFields: [{ operation: 'Spam' }] });
  trackUpdate(live, next, options('b'));
  assert.deepEqual(entries(next).map((e) => e.manager), ['b']);
  assert.equal(managerFromUserAgent('kubectl/v1.36.0 (linux/amd64) kubernetes/abc'), 'kubectl');
});

test('set algebra agrees with sets of paths', () => {
  const rng = seededRng(3);
  const random = (depth: number): FieldSet => Object.fromEntries([...'abc'].filter(() => rng.float() < 0.6).map((key) => {
    const below = depth > 0 ? random(depth - 1) : {};
    return [`f:${key}`, Object.keys(below).length > 0 && rng.float() < 0.5 ? { '.': {}, ...below } : below];
  }));
  for (let i = 0; i < 500; i++) {
    const [a, b] = [random(3), random(3)];
    const [pa, pb] = [new Set(pathsOf(a)), new Set(pathsOf(b))];
    assert.deepEqual(new Set(pathsOf(union(a, b))), pa.union(pb));
    assert.deepEqual(new Set(pathsOf(difference(a, b))), pa.difference(pb));
    assert.deepEqual(new Set(pathsOf(intersection(a, b))), pa.intersection(pb));
    assert.ok(equals(union(a, b), union(b, a)) && equals(difference(a, a), {}));
  }
});

test('appliers of random configurations: each sees its own values, and gone means gone', () => {
  const rng = seededRng(9);
  for (let round = 0; round < 200; round++) {
    let live: JsonObject | undefined;
    const model = new Map<string, Map<string, string>>();
    for (let step = 0; step < 12; step++) {
      const manager = 'abc'[randomInt(rng, 3)]!;
      const labels: Record<string, string> = Object.fromEntries(['k', 'l', 'm', 'n'].filter(() => rng.float() < 0.5).map((key) => [key, `${randomInt(rng, 2)}`]));
      model.set(manager, new Map(Object.entries(labels)));
      for (const [other, owned] of model) if (other !== manager) for (const [key, value] of Object.entries(labels)) if (owned.has(key) && owned.get(key) !== value) owned.delete(key);
      live = applyConfiguration(live, make({ paused: true }, { labels }), options(manager, { force: true })) ?? live;
      const expected = Object.fromEntries([...model.values()].flatMap((owned) => [...owned]));
      const actual = (live!.metadata as JsonObject).labels ?? {};
      assert.deepEqual(isJsonObject(actual as Json) ? actual : {}, expected, `seed 9, round ${round}, step ${step}`);
      for (const [m, owned] of model) assert.deepEqual(owns(live, m).filter((p) => p.includes('labels.')).sort(), [...owned.keys()].map((key) => `.metadata.labels.${key}`).sort());
    }
  }
});
