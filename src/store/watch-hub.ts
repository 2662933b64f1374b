/** Hands committed events to watchers. Each has a bounded queue; who falls further behind is told `Compacted` and must list again. */
import { Compacted, type StoreEvent } from './store.ts';

interface Watcher {
  prefix: string;
  /** Events up to this revision are not wanted (again). */
  since: number;
  queue: (readonly StoreEvent[])[];
  queued: number;
  failure: Error | undefined;
  wake: (() => void) | undefined;
}

export class WatchHub {
  readonly #watchers = new Set<Watcher>();
  readonly #queueLimit: number;
  #closed = false;

  constructor(queueLimit: number) { this.#queueLimit = queueLimit; }

  get size(): number { return this.#watchers.size; }

  /** Events of one commit, in revision order. */
  publish(events: readonly StoreEvent[], compactRevision: () => number): void {
    for (const watcher of this.#watchers) {
      if (watcher.failure) continue;
      const wanted = events.filter((event) => event.revision > watcher.since && event.key.startsWith(watcher.prefix));
      if (wanted.length === 0) continue;
      if (watcher.queued + wanted.length > this.#queueLimit) {
        watcher.failure = new Compacted(compactRevision());
        watcher.queue = [];
      } else {
        watcher.queue.push(wanted);
        watcher.queued += wanted.length;
      }
      watcher.wake?.();
    }
  }

  /** `backlog` runs when the iteration starts, in one turn with joining, so nothing falls between; it returns the events since `since` or throws. */
  async *watch(prefix: string, since: number, signal: AbortSignal, backlog: () => readonly StoreEvent[], revision: () => number): AsyncGenerator<readonly StoreEvent[]> {
    if (this.#closed || signal.aborted) return;
    const missed = backlog();
    const watcher: Watcher = { prefix, since: Math.max(since, revision()), queue: [], queued: 0, failure: undefined, wake: undefined };
    const wake = () => { watcher.wake?.(); };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', wake, { once: true });
    try {
      if (missed.length > 0) yield missed;
      for (;;) {
        if (signal.aborted) return;
        if (watcher.failure) throw watcher.failure;
        const batch = watcher.queue.shift();
        if (batch) {
          watcher.queued -= batch.length;
          yield batch;
          continue;
        }
        if (this.#closed) return;
        await new Promise<void>((resolve) => { watcher.wake = resolve; });
        watcher.wake = undefined;
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener('abort', wake);
    }
  }

  /** Watchers get what is queued, then end. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.wake?.();
  }
}
