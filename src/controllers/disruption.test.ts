import assert from 'node:assert/strict';
import test from 'node:test';
import type { PodDisruptionBudget } from '../api/policy/v1.ts';
import { makePod } from '../testing/builders.ts';
import { planBudget } from './disruption.ts';

const now = Date.parse('2026-01-01T00:10:00Z');
const budget = (spec: object, status?: object) => ({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'b', namespace: 'default', generation: 2 }, spec: { selector: {}, ...spec }, ...(status ? { status } : {}) }) as PodDisruptionBudget;
const pod = (name: string, ready = true, deleted = false) => {
  const made = makePod({ name });
  return { ...made, metadata: { ...made.metadata, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'rs', controller: true }], ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) }, status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] } };
};
const plan = (of: PodDisruptionBudget, pods: ReturnType<typeof pod>[], replicas = 4) => planBudget(of, pods, () => ({ uid: 'rs', replicas }), now);

const three = [pod('a'), pod('b'), pod('c', false)];
const cases: [name: string, spec: object, pods: ReturnType<typeof pod>[], expect: [allowed: number, healthy: number, desired: number, expected: number]][] = [
  ['minAvailable as a number', { minAvailable: 1 }, three, [1, 2, 1, 3]],
  ['minAvailable as a share of what should be', { minAvailable: '50%' }, three, [0, 2, 2, 4]],
  ['maxUnavailable', { maxUnavailable: 2 }, three, [0, 2, 2, 4]],
  ['maxUnavailable as a share', { maxUnavailable: '75%' }, three, [1, 2, 1, 4]],
  ['terminating pods are not healthy', { minAvailable: 0 }, [pod('a', true, true)], [0, 0, 0, 1]],
  ['no pods at all', { minAvailable: 0 }, [], [0, 0, 0, 0]],
];
for (const [name, spec, pods, [allowed, healthy, desired, expected]] of cases) {
  test(name, () => {
    const { status } = plan(budget(spec), pods);
    assert.deepEqual([status.disruptionsAllowed, status.currentHealthy, status.desiredHealthy, status.expectedPods], [allowed, healthy, desired, expected]);
    assert.equal(status.conditions?.[0]?.reason, allowed > 0 ? 'SufficientPods' : 'InsufficientPods');
  });
}

test('a noted eviction counts as gone until it happens or runs out', () => {
  const noted = budget({ minAvailable: 1 }, { disruptedPods: { a: '2026-01-01T00:09:00Z', b: '2026-01-01T00:07:00Z' } });
  const { status, recheckMs } = plan(noted, [pod('a'), pod('b'), pod('c')]);
  assert.deepEqual(status.disruptedPods, { a: '2026-01-01T00:09:00Z' });
  assert.equal(status.disruptionsAllowed, 1);
  assert.equal(recheckMs, 60_000);
});

test('a share of pods without a controller can\'t be told', () => {
  const { status } = planBudget(budget({ maxUnavailable: 1 }), [pod('a')], () => undefined, now);
  assert.equal(status.conditions?.[0]?.reason, 'SyncFailed');
  assert.equal(status.disruptionsAllowed, 0);
});

test('pods on their own have no scale: they add nothing to a share', () => {
  const { metadata, ...rest } = pod('a');
  const { ownerReferences: _, ...alone } = metadata;
  const { status } = planBudget(budget({ minAvailable: '1%' }), [{ ...rest, metadata: alone } as never], () => undefined, now);
  assert.deepEqual([status.conditions?.[0]?.reason, status.expectedPods, status.disruptionsAllowed], ['InsufficientPods', 0, 0]);
});
