/**
 * What a controller has written and not yet seen in its cache. While expectations are unmet the cache lags our own writes,
 * and acting on it would create or delete twice. Behaviour: upstream's ControllerExpectations (pkg/controller/controller_utils.go).
 */
import type { Clock } from '../base/clock.ts';

/** A lost event must not stop a controller for ever. */
const expectationTimeoutMs = 5 * 60_000;

interface Expected { creations: number; deletions: Set<string>; since: number }

export class Expectations {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Expected>();
  constructor(clock: Clock) { this.#clock = clock; }

  /** Every expected write was observed, or waiting longer makes no sense. */
  met(key: string): boolean {
    const expected = this.#byKey.get(key);
    if (!expected) return true;
    return (expected.creations <= 0 && expected.deletions.size === 0) || this.#clock.monotonic() - expected.since > expectationTimeoutMs;
  }
  expectCreations(key: string, count: number): void { this.#byKey.set(key, { creations: count, deletions: new Set(), since: this.#clock.monotonic() }); }
  expectDeletions(key: string, uids: readonly string[]): void { this.#byKey.set(key, { creations: 0, deletions: new Set(uids), since: this.#clock.monotonic() }); }
  /** Call before each write: adds to what is already expected. */
  alsoExpect(key: string, creations: number, deletions: readonly string[]): void {
    const expected = this.#byKey.get(key) ?? { creations: 0, deletions: new Set<string>(), since: 0 };
    expected.creations = Math.max(0, expected.creations) + creations;
    for (const uid of deletions) expected.deletions.add(uid);
    expected.since = this.#clock.monotonic();
    this.#byKey.set(key, expected);
  }
  /** Also called when a create failed: nothing will be observed. */
  creationObserved(key: string): void { const expected = this.#byKey.get(key); if (expected) expected.creations--; }
  deletionObserved(key: string, uid: string): void { this.#byKey.get(key)?.deletions.delete(uid); }
  forget(key: string): void { this.#byKey.delete(key); }
}
