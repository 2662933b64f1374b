/** Each part of the benchmark, tiny, so that none of them rots. What it measures is not judged here. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { benchCluster } from './cluster.ts';
import type { Figure } from './figure.ts';
import { benchManagedFields } from './managed-fields.ts';
import { benchProxy } from './proxy.ts';
import { benchScheduler } from './scheduler.ts';
import { benchStore } from './store.ts';

function assertMeasured(figures: readonly Figure[], ...names: string[]): void {
  for (const { name, value } of figures) assert.ok(Number.isFinite(value) && value >= 0, `${name}: ${value}`);
  for (const name of names) assert.ok(figures.some((figure) => figure.name.includes(name)), `no figure named ${name} in ${figures.map((figure) => figure.name).join('; ')}`);
}

test('the store benchmark measures every backend', async () => assertMeasured(await benchStore(0.02), 'store/lmdb', 'raw lmdb', 'store/memory'));
test('the scheduler benchmark schedules', () => assertMeasured(benchScheduler(20, 20), 'scheduler cycles'));
test('the managedFields benchmark measures', () => assertMeasured(benchManagedFields(20), 'decode'));
test('the proxy benchmark writes rules', { skip: process.getuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux' }, async () => assertMeasured(await benchProxy(3, 10), 'cold', 'one change'));
test('the cluster benchmark starts a cluster, measures it and leaves nothing', async () => {
  assertMeasured(await benchCluster({ secondsEach: 0.05, podStarts: 1, small: true, runtime: 'simulated' }), 'start of the server', 'resident memory', 'CREATE pods', 'GET one pod', 'LIST', 'write → event', 'slow readers');
});
