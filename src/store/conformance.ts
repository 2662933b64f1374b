/** What every backend of the store must do. Each backend's test runs it: `conformance('memory', (limits) => createMemoryStore(limits))`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoreLimits } from './limits.ts';
import { Compacted, FutureRevision, type Store, type StoreEvent, type TxnResult } from './store.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (value: Uint8Array | undefined): string | undefined => (value ? Buffer.from(value).toString() : undefined);
const put = (store: Store, key: string, value: string, expect?: number): Promise<TxnResult> => store.txn(key, { expect, value: bytes(value) });
const remove = (store: Store, key: string, expect?: number): Promise<TxnResult> => store.txn(key, { expect, value: null });
const show = (event: StoreEvent): string => (event.type === 'put'
  ? `${event.revision - 0} put ${event.key}=${text(event.entry.value)}${event.previous ? ` was ${text(event.previous.value)}` : ''}`
  : `${event.revision} delete ${event.key} was ${text(event.previous.value)}`);

/** Takes events until `count` have come; then ends the watch. */
async function take(store: Store, prefix: string, since: number, count: number): Promise<StoreEvent[]> {
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  for await (const batch of store.watch(prefix, since, { signal: stop.signal })) {
    events.push(...batch);
    if (events.length >= count) stop.abort();
  }
  return events;
}

export function conformance(name: string, open: (limits?: Partial<StoreLimits>) => Promise<Store> | Store): void {
  const check = (what: string, run: (store: Store) => Promise<void>, limits?: Partial<StoreLimits>) => test(`${name}: ${what}`, async () => {
    await using store = await open(limits);
    await run(store);
  });

  check('an empty store is at revision 1', async (store) => {
    assert.equal(await store.revision(), 1);
    assert.deepEqual(await store.range('/'), { entries: [], revision: 1, more: false, count: 0 });
    assert.equal(await store.get('/a'), undefined);
  });

  check('each write takes the next revision; modRevision moves, createRevision stays', async (store) => {
    const first = await put(store, '/a', '1', 0);
    assert.ok(first.ok);
    assert.deepEqual({ ...first.entry, value: text(first.entry!.value) }, { key: '/a', value: '1', modRevision: 2, createRevision: 2 });
    assert.equal(first.previous, undefined);
    const second = await put(store, '/a', '2', 2);
    assert.ok(second.ok);
    assert.equal(second.revision, 3);
    assert.equal(second.entry!.createRevision, 2);
    assert.equal(text(second.previous?.value), '1');
    assert.equal(await store.revision(), 3);
    assert.equal(text((await store.get('/a'))?.value), '2');
  });

  check('a failed comparison writes nothing and shows what is there', async (store) => {
    await put(store, '/a', '1');
    for (const expect of [0, 1, 3]) {
      const result = await put(store, '/a', 'x', expect);
      assert.equal(result.ok, false, `expect ${expect}`);
      assert.equal(text(!result.ok ? result.current?.value : undefined), '1');
    }
    assert.deepEqual(await put(store, '/b', 'x', 5), { ok: false, current: undefined, revision: 2 });
    assert.equal((await remove(store, '/a', 7)).ok, false);
    assert.equal(await store.revision(), 2);
  });

  check('delete and create again', async (store) => {
    await put(store, '/a', '1', 0);
    const gone = await remove(store, '/a', 2);
    assert.ok(gone.ok);
    assert.equal(gone.entry, undefined);
    assert.equal(text(gone.previous?.value), '1');
    assert.equal(gone.revision, 3);
    assert.equal(await store.get('/a'), undefined);
    const again = await put(store, '/a', '2', 0);
    assert.ok(again.ok);
    assert.equal(again.entry?.createRevision, 4);
  });

  check('deleting what is not there changes nothing', async (store) => {
    assert.deepEqual(await remove(store, '/a'), { ok: true, entry: undefined, previous: undefined, revision: 1 });
    assert.equal(await store.revision(), 1);
  });

  check('of many writers that expect the same revision one wins', async (store) => {
    await put(store, '/a', '0', 0);
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => put(store, '/a', `${i}`, 2)));
    assert.equal(results.filter((result) => result.ok).length, 1);
    const winner = results.findIndex((result) => result.ok);
    for (const result of results) if (!result.ok) assert.equal(text(result.current?.value), `${winner}`);
    assert.equal(await store.revision(), 3);
  });

  check('concurrent writes: every revision once, values as acknowledged', async (store) => {
    const results = await Promise.all(Array.from({ length: 200 }, (_, i) => put(store, `/k/${i % 50}`, `${i}`)));
    const revisions = results.map((result) => result.revision);
    assert.deepEqual([...revisions].sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i + 2));
    const range = await store.range('/k/');
    assert.equal(range.count, 50);
    for (const entry of range.entries) {
      const last = results.filter((result) => result.ok && result.entry?.key === entry.key).sort((a, b) => b.revision - a.revision)[0]!;
      assert.equal(entry.modRevision, last.revision);
      assert.equal(text(entry.value), text(last.ok ? last.entry?.value : undefined));
    }
  });

  check('a chain of conditional writes without waiting', async (store) => {
    const results = await Promise.all([put(store, '/a', '1', 0), put(store, '/a', '2', 2), remove(store, '/a', 3), put(store, '/a', '3', 0), put(store, '/a', 'x', 0)]);
    assert.deepEqual(results.map((result) => result.ok), [true, true, true, true, false]);
    assert.equal(text((await store.get('/a'))?.value), '3');
  });

  check('ranges are in key order and end with the prefix', async (store) => {
    for (const key of ['/pods/b', '/pods/a', '/podsx', '/pod', '/pods/', '/pods0', '/pods/a/1', '/pods.x/1']) await put(store, key, key);
    const keys = async (prefix: string) => (await store.range(prefix)).entries.map((entry) => entry.key);
    assert.deepEqual(await keys('/pods/'), ['/pods/', '/pods/a', '/pods/a/1', '/pods/b']);
    assert.deepEqual(await keys('/pods/a'), ['/pods/a', '/pods/a/1']);
    assert.deepEqual(await keys('/pod'), ['/pod', '/pods.x/1', '/pods/', '/pods/a', '/pods/a/1', '/pods/b', '/pods0', '/podsx']);
    assert.equal((await keys('')).length, 8);
    assert.deepEqual(await keys('/x'), []);
  });

  check('ranges: limit, from, count, more, keysOnly', async (store) => {
    for (let i = 0; i < 10; i++) await put(store, `/k/${i}`, `v${i}`);
    const page = await store.range('/k/', { limit: 3 });
    assert.deepEqual(page.entries.map((entry) => entry.key), ['/k/0', '/k/1', '/k/2']);
    assert.deepEqual([page.more, page.count, page.revision], [true, 10, 11]);
    const next = await store.range('/k/', { limit: 3, from: '/k/2\0' });
    assert.deepEqual(next.entries.map((entry) => entry.key), ['/k/3', '/k/4', '/k/5']);
    assert.deepEqual([next.more, next.count], [true, 7]);
    const last = await store.range('/k/', { limit: 3, from: '/k/7' });
    assert.deepEqual([last.more, last.count, last.entries.length], [false, 3, 3]);
    assert.deepEqual((await store.range('/k/', { from: '/a' })).count, 10);
    const bare = await store.range('/k/', { keysOnly: true, limit: 1 });
    assert.equal(bare.entries[0]!.value.length, 0);
    assert.equal(bare.entries[0]!.modRevision, 2);
  });

  check('reads as of an earlier revision', async (store) => {
    await put(store, '/k/a', 'a1'); // 2
    await put(store, '/k/b', 'b1'); // 3
    await put(store, '/k/a', 'a2'); // 4
    await remove(store, '/k/b'); // 5
    await put(store, '/k/c', 'c1'); // 6
    await put(store, '/k/b', 'b2'); // 7
    const at = async (revision: number) => (await store.range('/k/', { revision })).entries.map((entry) => `${text(entry.value)}@${entry.modRevision}`).join(' ');
    assert.equal(await at(2), 'a1@2');
    assert.equal(await at(3), 'a1@2 b1@3');
    assert.equal(await at(4), 'a2@4 b1@3');
    assert.equal(await at(5), 'a2@4');
    assert.equal(await at(6), 'a2@4 c1@6');
    assert.equal(await at(7), 'a2@4 b2@7 c1@6');
    const page = await store.range('/k/', { revision: 4, limit: 1, from: '/k/b' });
    assert.deepEqual([page.entries.map((entry) => text(entry.value)), page.count, page.more, page.revision], [['b1'], 1, false, 4]);
    assert.equal(text((await store.get('/k/a', { revision: 3 }))?.value), 'a1');
    assert.equal(await store.get('/k/b', { revision: 5 }), undefined);
    assert.equal(text((await store.get('/k/b', { revision: 3 }))?.value), 'b1');
  });

  check('a future revision is refused', async (store) => {
    await assert.rejects(store.range('/', { revision: 2 }), FutureRevision);
    await assert.rejects(store.get('/a', { revision: 9 }), (err: unknown) => err instanceof FutureRevision && err.currentRevision === 1);
    await assert.rejects(store.compact(5), FutureRevision);
  });

  check('compaction forgets the past and keeps the present', async (store) => {
    for (let i = 0; i < 5; i++) await put(store, '/a', `${i}`); // 2 to 6
    await put(store, '/b', 'b'); // 7
    await store.compact(5);
    await assert.rejects(store.range('/', { revision: 4 }), (err: unknown) => err instanceof Compacted && err.compactRevision === 5);
    await assert.rejects(store.get('/a', { revision: 2 }), Compacted);
    assert.equal(text((await store.get('/a', { revision: 5 }))?.value), '3');
    assert.equal((await store.range('/', { revision: 6 })).count, 1);
    assert.equal((await store.range('/')).count, 2);
    await assert.rejects(store.compact(5), Compacted);
    await assert.rejects(take(store, '/', 2, 1), Compacted);
    assert.deepEqual((await take(store, '/', 5, 2)).map(show), ['6 put /a=4 was 3', '7 put /b=b']);
  });

  check('watch: events in commit order with what was there before', async (store) => {
    const events = take(store, '/k/', 1, 5);
    await put(store, '/k/a', '1');
    await put(store, '/other', 'x');
    await put(store, '/k/a', '2');
    await put(store, '/k/b', '1');
    await remove(store, '/k/a');
    await put(store, '/k/a', '3');
    assert.deepEqual((await events).map(show), ['2 put /k/a=1', '4 put /k/a=2 was 1', '5 put /k/b=1', '6 delete /k/a was 2', '7 put /k/a=3']);
  });

  check('watch: resumes anywhere without gap or repeat, past and present joined', async (store) => {
    for (let i = 0; i < 6; i++) await (i === 3 ? remove(store, '/k/a') : put(store, '/k/a', `${i}`)); // 2 to 7
    for (let since = 1; since <= 7; since++) {
      const watching = take(store, '/k/', since, 7 - since + 3);
      for (let i = 0; i < 3; i++) await put(store, '/k/z', `${since}.${i}`);
      const seen = (await watching).map((event) => event.revision);
      assert.deepEqual(seen.slice(0, 7 - since + 3), Array.from({ length: 7 - since + 3 }, (_, i) => since + 1 + i), `since ${since}`);
      if (since === 1) assert.equal(await store.revision(), 10);
    }
  });

  check('watch: since a revision not reached yet, only what comes after it', async (store) => {
    const watching = take(store, '/', 3, 1);
    await put(store, '/a', '1');
    await put(store, '/a', '2');
    await put(store, '/a', '3');
    assert.deepEqual((await watching).map(show), ['4 put /a=3 was 2']);
  });

  check('watch: several watchers see their own prefixes', async (store) => {
    const a = take(store, '/a/', 1, 30);
    const b = take(store, '/b/', 1, 30);
    const both = take(store, '/', 1, 60);
    await Promise.all(Array.from({ length: 60 }, (_, i) => put(store, `/${i % 2 ? 'a' : 'b'}/${i}`, `${i}`)));
    assert.ok((await a).every((event) => event.key.startsWith('/a/')));
    assert.ok((await b).every((event) => event.key.startsWith('/b/')));
    const revisions = (await both).map((event) => event.revision);
    assert.deepEqual(revisions, Array.from({ length: 60 }, (_, i) => i + 2));
  });

  check('watch: an event is visible to reads when it is delivered', async (store) => {
    const stop = new AbortController();
    const seen = (async () => {
      for await (const batch of store.watch('/', 1, { signal: stop.signal })) {
        for (const event of batch) {
          assert.ok((await store.revision()) >= event.revision);
          assert.ok(((await store.get(event.key))?.modRevision ?? 0) >= event.revision);
          if (event.revision === 41) stop.abort();
        }
      }
    })();
    await Promise.all(Array.from({ length: 40 }, (_, i) => put(store, `/${i % 7}`, `${i}`)));
    await seen;
  });

  check('a list and the watch from its revision give the whole truth', async (store) => {
    const writing = Promise.all(Array.from({ length: 300 }, (_, i) => (i % 11 === 10 ? remove(store, `/k/${i % 20}`) : put(store, `/k/${i % 20}`, `${i}`))));
    const views: Promise<void>[] = [];
    for (let round = 0; round < 10; round++) {
      const { entries, revision } = await store.range('/k/');
      assert.ok(entries.every((entry) => entry.modRevision <= revision), 'nothing newer than the revision it claims');
      views.push((async () => {
        const view = new Map(entries.map((entry) => [entry.key, entry.modRevision]));
        await writing;
        const end = await store.revision();
        if (end > revision) {
          for (const event of await take(store, '/k/', revision, end - revision)) if (event.type === 'put') view.set(event.key, event.revision); else view.delete(event.key);
        }
        assert.deepEqual([...view].sort(), (await store.range('/k/')).entries.map((entry) => [entry.key, entry.modRevision]).sort());
      })());
    }
    await Promise.all(views);
  });

  check('watch: one that does not keep up is told Compacted and costs a bounded queue', async (store) => {
    const stop = new AbortController();
    const slow = store.watch('/', 1, { signal: stop.signal })[Symbol.asyncIterator]();
    const first = slow.next();
    await put(store, '/a', 'first');
    await first;
    for (let i = 0; i < 20; i++) await put(store, '/a', `${i}`);
    await assert.rejects(async () => { for (let i = 0; i < 20; i++) await slow.next(); }, Compacted);
    stop.abort();
    assert.equal((await take(store, '/', 20, 2)).length, 2, 'others are not touched');
  }, { watchQueueEvents: 8 });

  check('watch: ends when its signal aborts, also while waiting', async (store) => {
    const stop = new AbortController();
    const watching = (async () => { for await (const batch of store.watch('/', 1, { signal: stop.signal })) assert.fail(`got ${batch.length}`); })();
    await new Promise<void>((resolve) => { setImmediate(resolve); });
    stop.abort();
    await watching;
    for await (const batch of store.watch('/', 1, { signal: stop.signal })) assert.fail(`got ${batch.length}`);
  });

  check('history is bounded: the oldest is forgotten by itself', async (store) => {
    for (let i = 0; i < 60; i++) await put(store, `/k/${i % 5}`, `${i}`);
    await assert.rejects(take(store, '/', 2, 1), Compacted);
    await assert.rejects(store.range('/', { revision: 10 }), Compacted);
    assert.deepEqual((await take(store, '/', 56, 5)).map((event) => event.revision), [57, 58, 59, 60, 61]);
    assert.equal((await store.range('/')).count, 5);
  }, { historyRevisions: 20 });

  test(`${name}: closing ends watches and refuses further calls`, async () => {
    const store = await open();
    await put(store, '/a', '1');
    const watching = (async () => { let count = 0; for await (const batch of store.watch('/', 1, { signal: new AbortController().signal })) count += batch.length; return count; })();
    await new Promise<void>((resolve) => { setImmediate(resolve); });
    await store[Symbol.asyncDispose]();
    assert.equal(await watching, 1);
    await assert.rejects(store.get('/a'));
    await assert.rejects(put(store, '/a', '2'));
    await store[Symbol.asyncDispose]();
  });

  check('values of all sizes come back as they were', async (store) => {
    for (const size of [0, 1, 4095, 4096, 100_000, 1_500_000]) {
      const value = Uint8Array.from({ length: size }, (_, i) => (i * 31) & 0xff);
      await store.txn('/big', { expect: undefined, value });
      assert.deepEqual(Buffer.from((await store.get('/big'))!.value), Buffer.from(value));
    }
    assert.ok((await store.sizeBytes()) >= 1_500_000);
  });
}
