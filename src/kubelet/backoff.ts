/**
 * Doubling waits by key, as client-go's flowcontrol.Backoff: a key idle for twice the maximum starts over.
 * Used for crash loops (10 s to 5 min, reset after 10 min) and image pulls (the same figures).
 */
import type { Clock } from '../base/clock.ts';

interface Entry { delayMs: number; lastUpdate: number }
/** Keys kept before stale ones are swept. */
const sweepLimit = 1024;

export class Backoff {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #initialMs: number;
  readonly #maxMs: number;
  constructor(clock: Clock, initialMs: number, maxMs: number) {
    this.#clock = clock;
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }

  /** The current wait of a key; 0 when it never failed. */
  get(key: string): number { return this.#entries.get(key)?.delayMs ?? 0; }

  /** Doubles the wait (or starts it). `eventTime`: when the thing that failed ended; long ago starts over. */
  next(key: string, eventTime: number): void {
    const entry = this.#entries.get(key);
    const now = this.#clock.now();
    if (this.#entries.size > sweepLimit) this.sweep();
    if (!entry || this.#expired(eventTime, entry.lastUpdate)) this.#entries.set(key, { delayMs: this.#initialMs, lastUpdate: now });
    else this.#entries.set(key, { delayMs: Math.min(entry.delayMs * 2, this.#maxMs), lastUpdate: now });
  }

  /** Milliseconds still to wait, counted from `eventTime`; 0 when it may go ahead. */
  remaining(key: string, eventTime: number): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#expired(eventTime, entry.lastUpdate)) return 0;
    return Math.max(0, eventTime + entry.delayMs - this.#clock.now());
  }
  /** As `remaining`, counted from the last `next`. */
  remainingSinceUpdate(key: string): number {
    const entry = this.#entries.get(key);
    if (!entry) return 0;
    const now = this.#clock.now();
    return this.#expired(now, entry.lastUpdate) ? 0 : Math.max(0, entry.lastUpdate + entry.delayMs - now);
  }

  reset(key: string): void { this.#entries.delete(key); }
  resetPrefix(prefix: string): void { for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key); }
  sweep(): void {
    const now = this.#clock.now();
    for (const [key, entry] of this.#entries) if (this.#expired(now, entry.lastUpdate)) this.#entries.delete(key);
  }
  #expired(eventTime: number, lastUpdate: number): boolean { return eventTime - lastUpdate > 2 * this.#maxMs; }
}
