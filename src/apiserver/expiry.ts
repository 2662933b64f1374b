/**
 * Removes objects whose kind has a time to live (events) once nobody has written them for that long. All objects of a kind
 * have the same time to live, so the order of writing is the order of expiry.
 * Differs: upstream lets etcd leases do this; our times are kept in memory and start anew with the process.
 */
import type { Clock } from '../base/clock.ts';
import { every } from '../base/clock.ts';
import type { Store } from '../store/store.ts';
import type { Feed } from './watch-cache.ts';

/** How often it looks, and when after start it counts what an earlier process left. */
const periodMs = 30_000;
const page = 1000;
/** Deletions under way at once. */
const parallel = 64;

interface Kind { prefix: string; ttlMs: number; /** key → revision and time of its last write, oldest first. */ written: Map<string, { revision: number; at: number }> }

export function startExpiry(store: Store, feed: Feed, clock: Clock, kinds: readonly { storagePrefix: string; ttlSeconds?: number }[], signal: AbortSignal): Promise<void> {
  const byPrefix = new Map<string, Kind>();
  for (const { storagePrefix, ttlSeconds } of kinds) if (ttlSeconds) byPrefix.set(storagePrefix, { prefix: `${storagePrefix}/`, ttlMs: ttlSeconds * 1000, written: new Map() });
  if (byPrefix.size === 0) return Promise.resolve();
  const all = [...byPrefix.values()];
  const remove = feed.listen((event) => {
    for (const kind of all) {
      if (!event.key.startsWith(kind.prefix)) continue;
      kind.written.delete(event.key);
      if (event.type === 'put') kind.written.set(event.key, { revision: event.revision, at: clock.now() });
    }
  });
  let counted = false;
  return every(clock, periodMs, signal, async () => {
    if (!counted) {
      counted = true;
      for (const kind of all) await count(kind);
    }
    for (const kind of all) await expire(kind);
  }).finally(remove);

  async function count({ prefix, written }: Kind): Promise<void> {
    let from: string | undefined;
    const found: [string, { revision: number; at: number }][] = [];
    for (;;) {
      const { entries, more } = await store.range(prefix, { limit: page, keysOnly: true, ...(from === undefined ? {} : { from }) });
      for (const { key, modRevision } of entries) if (!written.has(key)) found.push([key, { revision: modRevision, at: clock.now() }]);
      const last = entries.at(-1);
      if (!more || !last) break;
      from = `${last.key}\0`;
    }
    // They are older than what was written since the start, and are counted from now: order is by time still.
    for (const [key, value] of found) if (!written.has(key)) written.set(key, value);
  }

  async function expire({ written, ttlMs }: Kind): Promise<void> {
    const before = clock.now() - ttlMs;
    let batch: Promise<unknown>[] = [];
    for (const [key, { revision, at }] of written) {
      if (at > before || signal.aborted) break;
      written.delete(key);
      // Written again meanwhile: the transaction fails, and the feed has put it back at the end.
      batch.push(store.txn(key, { expect: revision, value: null }));
      if (batch.length >= parallel) { await Promise.all(batch); batch = []; }
    }
    await Promise.all(batch);
  }
}
