/**
 * `npm run bench`: every figure of docs/architecture.md that this machine can measure, printed with its target and appended as one
 * line to bench/history.ndjson. `npm run bench -- --small` takes a few seconds and appends nothing.
 */
import { appendFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { tryExec } from '../src/base/exec.ts';
import { benchCluster } from './cluster.ts';
import { type Figure, printFigure } from './figure.ts';
import { benchManagedFields } from './managed-fields.ts';
import { benchProxy } from './proxy.ts';
import { benchScheduler } from './scheduler.ts';
import { benchStore } from './store.ts';

const small = process.argv.includes('--small');
const parts: (() => Figure[] | Promise<Figure[]>)[] = [
  () => benchStore(small ? 0.1 : 1),
  () => benchScheduler(small ? 100 : 5_000, small ? 100 : 10_000),
  () => benchManagedFields(small ? 50 : 5_000),
  ...(process.platform === 'linux' && process.getuid?.() === 0 ? [() => (small ? benchProxy(5, 10) : benchProxy())] : []),
  () => benchCluster(small ? { secondsEach: 0.1, podStarts: 1, small } : { secondsEach: 3, podStarts: 20 }),
];

const figures: Figure[] = [];
for (const part of parts) for (const figure of await part()) { figures.push(figure); printFigure(figure); }
if (!small) {
  const commit = (await tryExec('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname })).stdout.trim();
  appendFileSync(join(import.meta.dirname, 'history.ndjson'), `${JSON.stringify({ at: new Date(systemClock.now()).toISOString(), commit, node: process.version, cpu: `${cpus().length} × ${cpus()[0]?.model ?? '?'}`, figures: Object.fromEntries(figures.map(({ name, value, unit }) => [`${name} [${unit}]`, value])) })}\n`);
}
