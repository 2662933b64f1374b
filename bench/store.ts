/**
 * Durable puts per second of 2 KB values: the store with 1 and 64 writers, beside raw lmdb (one put per key, committed and
 * fsynced, no log, no comparison) in the same run. `node bench/store.ts [seconds per figure]`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { systemClock } from '../src/base/clock.ts';
import { openLmdbStore } from '../src/store/lmdb.ts';
import { createMemoryStore } from '../src/store/memory.ts';

export interface Figure { name: string; value: number; unit: string }

/** Writers in a loop for `milliseconds`; returns puts per second. */
async function rate(writers: number, milliseconds: number, put: (key: string) => Promise<unknown>): Promise<number> {
  const started = systemClock.monotonic();
  let puts = 0;
  await Promise.all(Array.from({ length: writers }, async (_, writer) => {
    for (let i = 0; systemClock.monotonic() - started < milliseconds; i++) {
      await put(`/registry/pods/default/${writer}-${i % 500}`);
      puts++;
    }
  }));
  return Math.round((puts * 1000) / (systemClock.monotonic() - started));
}

export async function benchStore(secondsEach = 1): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'knarr-bench-'));
  const value = Buffer.alloc(2048, 'x');
  const figures: Figure[] = [];
  const unit = 'puts/s';
  try {
    await using store = await openLmdbStore({ dir: join(dir, 'store'), clock: systemClock });
    await using memory = createMemoryStore();
    const raw = open<Buffer, string>({ path: join(dir, 'raw.mdb'), encoding: 'binary', overlappingSync: false, mapSize: 256 * 1024 * 1024 });
    for (const writers of [1, 64]) {
      figures.push({ name: `store/lmdb ${writers} writers`, unit, value: await rate(writers, secondsEach * 1000, (key) => store.txn(key, { expect: undefined, value })) });
      figures.push({ name: `raw lmdb ${writers} writers`, unit, value: await rate(writers, secondsEach * 1000, (key) => raw.put(key, value)) });
    }
    figures.push({ name: 'store/memory 64 writers', unit, value: await rate(64, secondsEach * 1000, (key) => memory.txn(key, { expect: undefined, value })) });
    await raw.close();
  } finally { rmSync(dir, { recursive: true, force: true }); }
  return figures;
}

if (import.meta.main) for (const { name, value, unit } of await benchStore(Number(process.argv[2] ?? 1))) console.log(`${name.padEnd(28)} ${value} ${unit}`);
