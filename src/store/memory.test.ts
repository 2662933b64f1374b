import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { conformance } from './conformance.ts';
import { createMemoryStore } from './memory.ts';

conformance('memory', (limits) => createMemoryStore(limits));

test('memory: history is bounded by bytes too', async () => {
  await using store = createMemoryStore({ historyBytes: 1000 });
  for (let i = 0; i < 100; i++) await store.txn('/a', { expect: undefined, value: new Uint8Array(100) });
  assert.ok((await store.sizeBytes()) <= 1000 + 102);
  assert.equal((await store.get('/a', { revision: 95 }))?.modRevision, 95);
});

test('memory: a snapshot holds the revision and every entry', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'knarr-store-'));
  try {
    await using store = createMemoryStore();
    await store.txn('/b', { expect: 0, value: Buffer.from('two') });
    await store.txn('/a', { expect: 0, value: Buffer.from('one') });
    await store.snapshot(join(dir, 'snapshot'));
    const lines = (await readFile(join(dir, 'snapshot'), 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as object);
    assert.deepEqual(lines, [{ revision: 3 }, { key: '/a', modRevision: 3, createRevision: 3, value: 'b25l' }, { key: '/b', modRevision: 2, createRevision: 2, value: 'dHdv' }]);
  } finally { await rm(dir, { recursive: true }); }
});
