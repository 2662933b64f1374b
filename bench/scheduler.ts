/** Pods scheduled per second on 5,000 nodes, cycle and cache alone: `node bench/scheduler.ts [nodes] [pods]`. */
import { systemClock } from '../src/base/clock.ts';
import { seededRng } from '../src/base/rng.ts';
import { SchedulerCache } from '../src/scheduler/cache.ts';
import { SchedulingCycle } from '../src/scheduler/cycle.ts';
import { defaultPlugins } from '../src/scheduler/plugins/all.ts';
import { podInfoOf } from '../src/scheduler/pod-info.ts';
import { makeNode, makePod } from '../src/testing/builders.ts';
import { type Figure, printFigure } from './figure.ts';

export function benchScheduler(nodeCount = 5_000, podCount = 10_000): Figure[] {
  const cache = new SchedulerCache();
  for (let i = 0; i < nodeCount; i++) cache.setNode(makeNode({ name: `node-${i}`, cpu: '32', memory: '64Gi', labels: { zone: `z${i % 3}` } }));
  const cycle = new SchedulingCycle(defaultPlugins, seededRng(1));
  const pods = Array.from({ length: podCount }, () => podInfoOf(makePod({ cpu: '100m', memory: '128Mi' })));
  const started = systemClock.monotonic();
  for (const pod of pods) {
    const result = cycle.run(pod, cache);
    if (result.outcome === 'refused') throw new Error(result.message);
    cache.assume(pod, result.node.name);
  }
  const rate = Math.round((podCount * 1000) / (systemClock.monotonic() - started));
  return [{ name: `scheduler cycles, ${nodeCount} nodes`, value: rate, unit: 'pods/s', target: '≥ 3,000' }];
}

if (import.meta.main) for (const figure of benchScheduler(...process.argv.slice(2).map(Number))) printFigure(figure);
