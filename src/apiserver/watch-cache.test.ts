/** The cache itself: consistency with the store, the window, slow watchers, indexes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../store/store.ts';
import { createMemoryStore } from '../store/memory.ts';
import { FakeClock, settle } from '../testing/fake-clock.ts';
import type { ApiObject } from '../client/client.ts';
import { StatusError } from '../api/meta/status.ts';
import { CacheEntry, storedForm } from './cache-entry.ts';
import { Feed, watcherQueueLimit, type WatchCache, type Watcher } from './watch-cache.ts';

const form = storedForm('/registry/configmaps', 'v1', 'ConfigMap', true);
const stored = (namespace: string, name: string, extra = '') => Buffer.from(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"${name}","namespace":"${namespace}"${extra}},"data":{"ü":"x"}}`);
const key = (namespace: string, name: string) => `/registry/configmaps/${namespace}/${name}`;
const everything = { namespace: '', matches: undefined };

async function setup(store: Store = createMemoryStore()): Promise<{ store: Store; feed: Feed; cache: WatchCache; put(namespace: string, name: string, extra?: string): Promise<number> } & AsyncDisposable> {
  const feed = new Feed(store, new FakeClock());
  const cache = feed.cache(form);
  return {
    store, feed, cache,
    async put(namespace, name, extra) {
      const { revision } = await store.txn(key(namespace, name), { expect: undefined, value: stored(namespace, name, extra) });
      await feed.waitFor(revision);
      return revision;
    },
    async [Symbol.asyncDispose]() { await feed[Symbol.asyncDispose](); await store[Symbol.asyncDispose](); },
  };
}
const take = (watcher: Watcher) => watcher.take().map((item) => (item.type === 'BOOKMARK' ? `BOOKMARK ${item.revision}` : item.type === 'ERROR' ? `ERROR ${item.error.message}` : `${item.type} ${item.entry.object.metadata.name}@${item.entry.object.metadata.resourceVersion}`));

test('the resourceVersion is spliced into the stored bytes', () => {
  const entry = new CacheEntry(form, key('a', 'b'), 42, stored('a', 'b'));
  assert.equal(entry.bytes.toString(), '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"42","name":"b","namespace":"a"},"data":{"ü":"x"}}');
  assert.deepEqual(JSON.parse(entry.at(77).bytes.toString()), { ...entry.object, metadata: { ...entry.object.metadata, resourceVersion: '77' } });
  const foreign = new CacheEntry(form, key('a', 'b'), 5, Buffer.from('{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" } }'));
  assert.deepEqual(JSON.parse(foreign.bytes.toString()).metadata, { name: 'b', resourceVersion: '5' });
  assert.throws(() => { (entry.object.metadata as { name: string }).name = 'changed'; }, TypeError);
});

test('fills on first use, in order of keys, and follows', async () => {
  await using env = await setup();
  for (const [namespace, name] of [['b', '1'], ['a', '2'], ['a-b', '3'], ['a', '1']] as const) await env.store.txn(key(namespace, name), { expect: 0, value: stored(namespace, name) });
  await env.cache.ready();
  const names = () => env.cache.list('').map((entry) => entry.key.slice('/registry/configmaps/'.length));
  assert.deepEqual(names(), (await env.store.range('/registry/configmaps/')).entries.map((entry) => entry.key.slice('/registry/configmaps/'.length)), 'as the store orders them');
  await env.put('a', '0');
  const gone = await env.store.txn(key('a', '2'), { expect: undefined, value: null });
  await env.feed.waitFor(gone.revision);
  assert.deepEqual(names(), ['a-b/3', 'a/0', 'a/1', 'b/1']);
  assert.deepEqual(env.cache.list('a').length, 2);
});

test('writes while it fills are not lost and not seen twice', async () => {
  const store = createMemoryStore();
  for (let i = 0; i < 50; i++) await store.txn(key('a', `${i}`), { expect: 0, value: stored('a', `${i}`) });
  await using env = await setup(store);
  const filling = env.cache.ready();
  const writes = Array.from({ length: 50 }, (_, i) => store.txn(key('a', `new-${i}`), { expect: 0, value: stored('a', `new-${i}`) }));
  await Promise.all([filling, ...writes]);
  await env.feed.waitFor(await store.revision());
  assert.equal(env.cache.list('a').length, 100);
});

test('a watch resumes inside the window and is refused before it', async () => {
  await using env = await setup();
  await env.put('a', 'first');
  await env.cache.ready();
  const start = env.feed.revision;
  const second = await env.put('a', 'second');
  const third = await env.put('b', 'third');
  assert.deepEqual(take(env.cache.watch(everything, start, { initial: false, initialEventsEnd: false })), [`ADDED second@${second}`, `ADDED third@${third}`]);
  assert.deepEqual(take(env.cache.watch({ namespace: 'b', matches: undefined }, start, { initial: false, initialEventsEnd: false })), [`ADDED third@${third}`]);
  assert.throws(() => env.cache.watch(everything, start - 1, { initial: false, initialEventsEnd: false }), (err) => err instanceof StatusError && err.code === 410 && err.message === `too old resource version: ${start - 1} (${start})`);
});

test('a watcher that does not read is ended with 410 and bounded memory', async () => {
  await using env = await setup();
  await env.cache.ready();
  const slow = env.cache.watch(everything, undefined, { initial: false, initialEventsEnd: false });
  const quick = env.cache.watch(everything, undefined, { initial: false, initialEventsEnd: false });
  let seen = 0;
  quick.onReady = () => { seen += quick.take(1e6).length; };
  for (let i = 0; i <= watcherQueueLimit; i++) await env.store.txn(key('a', 'x'), { expect: undefined, value: stored('a', 'x') });
  await env.feed.waitFor(await env.store.revision());
  seen += quick.take(1e6).length;
  assert.equal(seen, watcherQueueLimit + 1);
  assert.ok(slow.ended);
  assert.match(take(slow).join(), /^ERROR too old resource version/);
  assert.equal(env.cache.watchers, 1);
});

test('a selector on a field finds its watchers, and moves between them', async () => {
  await using env = await setup();
  await env.cache.ready();
  const of = (object: ApiObject) => object.metadata.labels?.node ?? '';
  const on = (value: string) => env.cache.watch({ namespace: '', matches: (object) => of(object) === value, trigger: { field: 'spec.nodeName', value, of } }, undefined, { initial: false, initialEventsEnd: false });
  const [one, two] = [on('n1'), on('n2')];
  const first = await env.put('a', 'p', ',"labels":{"node":"n1"}');
  const moved = await env.put('a', 'p', ',"labels":{"node":"n2"}');
  assert.deepEqual(take(one), [`ADDED p@${first}`, `DELETED p@${moved}`]);
  assert.deepEqual(take(two), [`ADDED p@${moved}`]);
  one.close();
  two.close();
  assert.equal(env.cache.watchers, 0);
});

test('when the feed loses its place, watchers are told and caches fill again', async () => {
  await using env = await setup(createMemoryStore({ watchQueueEvents: 5 }));
  await env.cache.ready();
  const watcher = env.cache.watch(everything, undefined, { initial: false, initialEventsEnd: false });
  await Promise.all(Array.from({ length: 20 }, (_, i) => env.store.txn(key('a', `${i}`), { expect: 0, value: stored('a', `${i}`) })));
  await settle();
  await env.feed.waitFor(await env.store.revision());
  assert.match(take(watcher).join(), /ERROR too old resource version/);
  await env.cache.ready();
  assert.equal(env.cache.list('a').length, 20);
});

test('old states leave the window in time, and large ones by their size, without further events', async () => {
  await using store = createMemoryStore();
  const clock = new FakeClock();
  await using feed = new Feed(store, clock);
  const cache = feed.cache(form);
  await cache.ready();
  const put = async (name: string, extra?: string) => {
    const { revision } = await store.txn(key('a', name), { expect: undefined, value: stored('a', name, extra) });
    await feed.waitFor(revision);
    return revision;
  };
  const resumes = (since: number) => { try { cache.watch(everything, since, { initial: false, initialEventsEnd: false }).close(); return true; } catch (err) { assert.equal((err as StatusError).code, 410); return false; } };
  const first = await put('small');
  for (let i = 0; i < 200; i++) await put('small');
  assert.ok(resumes(first));
  await clock.advance(80_000);
  assert.ok(!resumes(first), 'after a quiet while the oldest are gone');
  const large = `,"annotations":{"x":"${'x'.repeat(1024 * 1024)}"}`;
  const before = await put('large', large);
  for (let i = 0; i < 40; i++) await put('large', large);
  assert.ok(!resumes(before), 'forty states of 1 MiB are more than the window keeps');
  assert.ok(resumes(feed.revision - 5));
});
