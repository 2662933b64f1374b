/**
 * How far back reads may go: lists at an older revision, and chunks that continue one, get 410 Expired. Every period the horizon moves to
 * where the store was a period ago, as upstream's etcd3 compactor does; the store of several servers is compacted up to there.
 * Differs: a store of this server alone keeps its past within its own limits and is not compacted, so that the past can still be asked for.
 */
import type { Clock } from '../base/clock.ts';
import { every } from '../base/clock.ts';
import { Compacted, type Store } from '../store/store.ts';

/** Upstream's --etcd-compaction-interval. */
export const compactionIntervalMs = 5 * 60_000;

export class Horizon {
  #revision = 0;
  /** Reads older than this are refused. */
  get revision(): number { return this.#revision; }
  /** Throws `Compacted` for a revision behind the horizon. */
  check(revision: number): void { if (revision < this.#revision) throw new Compacted(this.#revision); }

  /** Until the signal aborts. `compact`: the store as well. */
  async follow(store: Store, clock: Clock, signal: AbortSignal, { compact, failed }: { compact: boolean; failed(err: unknown): void }): Promise<void> {
    let before: number | undefined;
    await every(clock, compactionIntervalMs, signal, async () => {
      try {
        const now = await store.revision();
        if (before !== undefined && before > this.#revision) {
          this.#revision = before;
          if (compact) await store.compact(before).catch((err: unknown) => { if (!(err instanceof Compacted)) throw err; }); // another server was first
        }
        before = now;
      } catch (err) { if (!signal.aborted) failed(err); }
    }, { immediately: true });
  }
}
