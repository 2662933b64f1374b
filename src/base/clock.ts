/** Time as a parameter. Components take a `Clock`; only `systemClock` reads the machine's. Tests and the simulation pass their own. */
export interface Timer { cancel(): void }

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back. For durations. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`. Does not keep the process alive by itself unless `keepAlive`. */
  after(delayMs: number, callback: () => void, options?: { keepAlive?: boolean }): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback, { keepAlive = true } = {}) {
    // setTimeout holds 31 bits; longer waits (certificates) are chained.
    const longest = 2 ** 31 - 1;
    let handle: NodeJS.Timeout;
    const arm = (left: number) => {
      handle = setTimeout(() => (left > longest ? arm(left - longest) : callback()), Math.min(left, longest));
      if (!keepAlive) handle.unref();
    };
    arm(Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`; rejects with the signal's reason when aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) { reject(signal.reason as Error); return; }
    const onAbort = () => { timer.cancel(); reject(signal!.reason as Error); };
    const timer = clock.after(delayMs, () => { signal?.removeEventListener('abort', onAbort); resolve(); });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Calls `run` every `periodMs` (first after one period, or at once with `immediately`) until the signal aborts; calls never overlap. */
export async function every(clock: Clock, periodMs: number, signal: AbortSignal, run: () => Promise<void> | void, { immediately = false } = {}): Promise<void> {
  if (immediately && !signal.aborted) await run();
  while (!signal.aborted) {
    try { await sleep(clock, periodMs, signal); } catch { return; }
    await run();
  }
}

/** '2026-11-21T03:00:00Z', the form of metav1.Time. */
export function timestamp(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastTimestamp.second) lastTimestamp = { second, text: `${new Date(ms).toISOString().slice(0, 19)}Z` };
  return lastTimestamp.text;
}
/** A busy server asks for the same second thousands of times. */
let lastTimestamp = { second: NaN, text: '' };
/** '2026-11-21T03:00:00.123000Z', the form of metav1.MicroTime. */
export function microTimestamp(ms: number): string { return `${new Date(ms).toISOString().slice(0, 23)}000Z`; }
