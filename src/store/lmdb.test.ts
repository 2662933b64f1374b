import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { tryExec } from '../base/exec.ts';
import { conformance } from './conformance.ts';
import { openLmdbStore } from './lmdb.ts';

const base = mkdtempSync(join(tmpdir(), 'knarr-lmdb-'));
after(() => rmSync(base, { recursive: true, force: true }));
let made = 0;
const freshDir = () => join(base, `${made++}`);
const openAt = (dir: string) => openLmdbStore({ dir, clock: systemClock });

conformance('lmdb', (limits) => openLmdbStore({ dir: freshDir(), clock: systemClock, ...limits }));

test('lmdb: everything is there after opening again, history too', async () => {
  const dir = freshDir();
  {
    await using store = await openAt(dir);
    for (let i = 0; i < 50; i++) await store.txn(`/k/${i % 10}`, { expect: undefined, value: Buffer.from(`${i}`) });
    await store.txn('/k/3', { expect: undefined, value: null });
    await store.compact(20);
  }
  await using store = await openAt(dir);
  assert.equal(await store.revision(), 52);
  assert.equal((await store.range('/k/')).count, 9);
  assert.equal(Buffer.from((await store.get('/k/3', { revision: 51 }))!.value).toString(), '43');
  await assert.rejects(store.get('/k/3', { revision: 19 }), /compacted/);
  const stop = new AbortController();
  const seen: number[] = [];
  for await (const batch of store.watch('/', 20, { signal: stop.signal })) {
    seen.push(...batch.map((event) => event.revision));
    stop.abort();
  }
  assert.deepEqual(seen, Array.from({ length: 32 }, (_, i) => 21 + i));
  const next = await store.txn('/new', { expect: 0, value: Buffer.from('x') });
  assert.equal(next.revision, 53);
});

test('lmdb: writes under way when it closes are finished', async () => {
  const dir = freshDir();
  const store = await openAt(dir);
  const writes = Array.from({ length: 100 }, (_, i) => store.txn(`/${i}`, { expect: 0, value: Buffer.from('x') }));
  await store[Symbol.asyncDispose]();
  assert.equal((await Promise.all(writes)).filter((result) => result.ok).length, 100);
  await using again = await openAt(dir);
  assert.equal((await again.range('/')).count, 100);
});

test('lmdb: a snapshot is a store', async () => {
  const dir = freshDir();
  const copy = freshDir();
  {
    await using store = await openAt(dir);
    for (let i = 0; i < 20; i++) await store.txn(`/${i}`, { expect: 0, value: Buffer.from(`${i}`) });
    await store.snapshot(join(copy, 'store.mdb'));
    await store.txn('/later', { expect: 0, value: Buffer.from('x') });
  }
  await using store = await openAt(copy);
  assert.equal(await store.revision(), 21);
  assert.equal((await store.range('/')).count, 20);
});

test('lmdb: grows past the space it reserved', async () => {
  await using store = await openLmdbStore({ dir: freshDir(), clock: systemClock, historyBytes: 1024 });
  const value = Buffer.alloc(1024 * 1024, 7);
  for (let i = 0; i < 80; i += 8) await Promise.all(Array.from({ length: 8 }, (_, j) => store.txn(`/${i + j}`, { expect: 0, value })));
  assert.equal((await store.range('/', { keysOnly: true })).count, 80);
  assert.deepEqual(Buffer.from((await store.get('/40'))!.value), value);
});

test('lmdb: one process per directory, in one sentence', async () => {
  const dir = freshDir();
  await using store = await openAt(dir);
  await assert.rejects(openAt(dir), /already open in this process/);
  const script = `import { openLmdbStore } from ${JSON.stringify(import.meta.resolve('./lmdb.ts'))}; import { systemClock } from ${JSON.stringify(import.meta.resolve('../base/clock.ts'))};
    try { await openLmdbStore({ dir: ${JSON.stringify(dir)}, clock: systemClock }); console.log('opened'); } catch (err) { console.log(err.message); }`;
  const { stdout } = await tryExec(process.execPath, ['--input-type=module-typescript', '-e', script]);
  assert.match(stdout, new RegExp(`^the store in ${dir} is in use by process ${process.pid}: stop that process or choose another directory\n$`));
  assert.equal((await store.txn('/a', { expect: 0, value: Buffer.from('x') })).ok, true);
});

test('lmdb: a lock left by a process that is gone, or whose pid another has now, does not matter', async () => {
  const dir = freshDir();
  await (await openAt(dir))[Symbol.asyncDispose]();
  for (const stale of ['999999999 1@boot', '1 12345@another-boot', '']) {
    writeFileSync(join(dir, 'lock'), stale);
    await (await openAt(dir))[Symbol.asyncDispose]();
  }
});

// KNARR_CRASH_ROUNDS=1000 for the long run.
test('lmdb: killed at any moment: what was acknowledged stays, what a watch showed happened, revisions go on', async () => {
  const rounds = Number(process.env['KNARR_CRASH_ROUNDS'] ?? 12);
  const dir = freshDir();
  const journal = `${dir}.journal`;
  let lastRevision = 1;
  let total = 0;
  for (let round = 0; round < rounds; round++) {
    writeFileSync(journal, '');
    await assert.rejects(tryExec(process.execPath, [join(import.meta.dirname, 'crash-child.ts'), dir, journal, `${round + 1}`]), /killed/);
    const lines = readFileSync(journal, 'utf8').split('\n').slice(0, -1).map((line) => line.split(' ') as [string, string, string, string]);
    await using store = await openAt(dir);
    const revision = await store.revision();
    assert.ok(revision >= lastRevision, 'the revision never goes back');
    for (const [what, key, at, value] of lines) {
      assert.ok(Number(at) <= revision, `round ${round}: ${what} ${key} at ${at}, the store is at ${revision}`);
      const entry = await store.get(key, { revision: Number(at) });
      assert.equal(entry ? Buffer.from(entry.value).toString().slice(0, 20) : '-', value, `round ${round}: ${what} ${key} at ${at}`);
    }
    total += lines.length;
    const next = await store.txn('/marker', { expect: undefined, value: Buffer.from(`${round}`) });
    assert.equal(next.revision, revision + 1);
    lastRevision = next.revision;
  }
  assert.ok(total > rounds, `the children did too little: ${total} lines`);
});
