/** A clock that moves only when told to. Timers fire in due order; `advance` lets promises settle between them. */
import type { Clock, Timer } from '../base/clock.ts';

export class FakeClock implements Clock {
  #now: number;
  #start: number;
  #sequence = 0;
  readonly #timers = new Map<number, { due: number; sequence: number; callback: () => void }>();

  constructor(startMs = 1_767_225_600_000) { // 2026-01-01T00:00:00Z
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number { return this.#now; }
  monotonic(): number { return this.#now - this.#start; }

  after(delayMs: number, callback: () => void): Timer {
    const sequence = ++this.#sequence;
    this.#timers.set(sequence, { due: this.#now + Math.max(0, delayMs), sequence, callback });
    return { cancel: () => { this.#timers.delete(sequence); } };
  }

  /** Timers waiting. */
  get pending(): number { return this.#timers.size; }

  /** Moves time forward, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const next = [...this.#timers.values()].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due || a.sequence - b.sequence)[0];
      if (!next) break;
      this.#timers.delete(next.sequence);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets everything already resolved run: microtasks and a few turns of the event loop. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => { setImmediate(resolve); });
}
