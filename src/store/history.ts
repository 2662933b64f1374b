/**
 * The past as an undo log: one record per revision with what the key held before. From the present and the log, walked
 * backwards, follow both the events since a revision and any key at an earlier one; new values are never kept twice.
 */
import type { Entry, StoreEvent } from './store.ts';

export interface UndoRecord {
  revision: number;
  key: string;
  /** What the key held before this revision; undefined: it did not exist. */
  previous: Entry | undefined;
}

/** Events of `newestFirst` under `prefix` in commit order. `current` is the state after the newest record. */
export function eventsFrom(newestFirst: Iterable<UndoRecord>, prefix: string, current: (key: string) => Entry | undefined): StoreEvent[] {
  const after = new Map<string, Entry | undefined>();
  const events: StoreEvent[] = [];
  for (const { revision, key, previous } of newestFirst) {
    if (!key.startsWith(prefix)) continue;
    const entry = after.has(key) ? after.get(key) : current(key);
    after.set(key, previous);
    if (entry) events.push({ type: 'put', key, entry, previous, revision });
    else if (previous) events.push({ type: 'delete', key, previous, revision });
  }
  return events.reverse();
}

/** For each key under `prefix` that the records touched: what it held before the oldest of them. */
export function stateBefore(newestFirst: Iterable<UndoRecord>, prefix: string): Map<string, Entry | undefined> {
  const before = new Map<string, Entry | undefined>();
  for (const { key, previous } of newestFirst) if (key.startsWith(prefix)) before.set(key, previous);
  return before;
}

/** Merges `changes` (undefined: absent) into `entries`, which are sorted by key; keys below `from` are left out. */
export function overlay(entries: readonly Entry[], changes: ReadonlyMap<string, Entry | undefined>, from: string): Entry[] {
  if (changes.size === 0) return [...entries];
  const added: Entry[] = [];
  for (const [key, entry] of changes) if (entry && key >= from) added.push(entry);
  added.sort((a, b) => (a.key < b.key ? -1 : 1));
  const merged: Entry[] = [];
  let next = 0;
  for (const entry of entries) {
    while (next < added.length && added[next]!.key < entry.key) merged.push(added[next++]!);
    if (!changes.has(entry.key)) merged.push(entry);
  }
  while (next < added.length) merged.push(added[next++]!);
  return merged;
}
