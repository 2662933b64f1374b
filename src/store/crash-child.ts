/** The victim of the crash test in `lmdb.test.ts`: writes, notes what was acknowledged and what a watch showed, and kills itself at a random moment. */
import { openSync, writeSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { randomInt, seededRng } from '../base/rng.ts';
import { openLmdbStore } from './lmdb.ts';

const [, , dir = '', journal = '', seed = '1'] = process.argv;
const rng = seededRng(Number(seed));
const file = openSync(journal, 'a');
const store = await openLmdbStore({ dir, clock: systemClock, historyRevisions: 50_000 });
let turns = 20 + randomInt(rng, 1500);
const countDown = () => { if (turns-- <= 0) process.kill(process.pid, 'SIGKILL'); else setImmediate(countDown); };

async function note(): Promise<void> {
  for await (const batch of store.watch('/', await store.revision(), { signal: new AbortController().signal })) {
    for (const event of batch) writeSync(file, `shown ${event.key} ${event.revision} ${event.type === 'put' ? Buffer.from(event.entry.value).toString().slice(0, 20) : '-'}\n`);
  }
}
async function write(writer: number): Promise<void> {
  for (let i = 0; ; i++) {
    const key = `/k/${randomInt(rng, 30)}`;
    const value = randomInt(rng, 6) === 0 ? null : Buffer.from(`${seed}.${writer}.${i}-`.padEnd(20, 'x') + 'y'.repeat(randomInt(rng, 9000)));
    const result = await store.txn(key, { expect: undefined, value });
    if (result.ok && (result.entry || result.previous)) writeSync(file, `acknowledged ${key} ${result.revision} ${value ? value.toString().slice(0, 20) : '-'}\n`);
  }
}
void note();
for (let writer = 0; writer < 16; writer++) void write(writer);
countDown();
