/**
 * The queue between informers and reconcilers: an item waits at most once, is never handed to two workers at a time, and
 * comes back when it was added while being worked on. First come, first served. Metrics are named as upstream.
 * Behaviour: client-go util/workqueue.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Clock, Timer } from '../base/clock.ts';

export interface WorkqueueOptions {
  /** The `name` label of the metrics. */
  name: string;
  clock: Clock;
  metrics?: Registry | undefined;
  /** First retry of an item, doubled at each further one. Default 5 ms, as client-go. */
  baseDelayMs?: number;
  /** Default 1000 s, as client-go. */
  maxDelayMs?: number;
}

export class Workqueue<T> {
  readonly #clock: Clock;
  readonly #metrics: QueueMetrics | undefined;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  /** In order of arrival; a Set keeps order and removes duplicates at once. Value: when it was added. */
  readonly #ready = new Map<T, number>();
  readonly #processing = new Map<T, number>();
  /** Added while being processed. */
  readonly #again = new Set<T>();
  readonly #delayed = new Map<T, { due: number; timer: Timer }>();
  readonly #failures = new Map<T, number>();
  readonly #takers: ((item: T | undefined) => void)[] = [];
  #closed = false;

  constructor({ name, clock, metrics, baseDelayMs = 5, maxDelayMs = 1_000_000 }: WorkqueueOptions) {
    this.#clock = clock;
    this.#baseDelayMs = baseDelayMs;
    this.#maxDelayMs = maxDelayMs;
    this.#metrics = metrics && queueMetrics(metrics, name);
  }

  /** Items ready to be taken. */
  get length(): number { return this.#ready.size; }
  /** Nothing ready and nothing being worked on (delayed items may wait). */
  get idle(): boolean { return this.#ready.size === 0 && this.#processing.size === 0; }
  get closed(): boolean { return this.#closed; }

  add(item: T): void {
    if (this.#closed) return;
    if (this.#processing.has(item)) {
      if (!this.#again.has(item)) { this.#again.add(item); this.#metrics?.adds.inc(); }
      return;
    }
    if (this.#ready.has(item)) return;
    this.#metrics?.adds.inc();
    this.#offer(item);
  }

  /** Adds after a delay; of several waiting adds of one item the earliest counts. */
  addAfter(item: T, delayMs: number): void {
    if (this.#closed) return;
    if (delayMs <= 0) { this.add(item); return; }
    const due = this.#clock.monotonic() + delayMs;
    const waiting = this.#delayed.get(item);
    if (waiting) {
      if (waiting.due <= due) return;
      waiting.timer.cancel();
    }
    const timer = this.#clock.after(delayMs, () => { this.#delayed.delete(item); this.add(item); }, { keepAlive: false });
    this.#delayed.set(item, { due, timer });
  }

  /** Adds after the item's own backoff, which doubles until `forget`. */
  addRateLimited(item: T): void {
    const failures = this.#failures.get(item) ?? 0;
    this.#failures.set(item, failures + 1);
    this.#metrics?.retries.inc();
    this.addAfter(item, Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** Math.min(failures, 40)));
  }

  forget(item: T): void { this.#failures.delete(item); }
  failures(item: T): number { return this.#failures.get(item) ?? 0; }

  /** The next item; undefined once shut down. Call `done` when worked on. */
  take(): Promise<T | undefined> {
    const next = this.#ready.entries().next();
    if (!next.done) {
      const [item, since] = next.value;
      this.#ready.delete(item);
      this.#start(item, since);
      return Promise.resolve(item);
    }
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => { this.#takers.push(resolve); });
  }

  done(item: T): void {
    const since = this.#processing.get(item);
    if (since === undefined) return;
    this.#processing.delete(item);
    this.#metrics?.workDuration.observe((this.#clock.monotonic() - since) / 1000);
    if (this.#again.delete(item) && !this.#closed) this.#offer(item);
  }

  shutDown(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    this.#ready.clear();
    this.#again.clear();
    this.#metrics?.depth.set(0);
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #offer(item: T): void {
    const taker = this.#takers.shift();
    if (taker) {
      this.#start(item, this.#clock.monotonic());
      taker(item);
      return;
    }
    this.#ready.set(item, this.#clock.monotonic());
    this.#metrics?.depth.set(this.#ready.size);
  }

  #start(item: T, since: number): void {
    const now = this.#clock.monotonic();
    this.#processing.set(item, now);
    this.#metrics?.depth.set(this.#ready.size);
    this.#metrics?.queueDuration.observe((now - since) / 1000);
  }
}

interface QueueMetrics {
  depth: Gauge.Internal<string>; adds: Counter.Internal; retries: Counter.Internal;
  queueDuration: Histogram.Internal<string>; workDuration: Histogram.Internal<string>;
}

/** Upstream's buckets: 10 ns to 10 s by powers of ten, in seconds. */
const buckets = Array.from({ length: 10 }, (_, i) => 10 ** (i - 8));

function queueMetrics(registry: Registry, name: string): QueueMetrics {
  const shared = { registers: [registry], labelNames: ['name'] };
  const get = <M>(metric: string, make: () => M): M => (registry.getSingleMetric(metric) as M | undefined) ?? make();
  return {
    depth: get('workqueue_depth', () => new Gauge({ ...shared, name: 'workqueue_depth', help: 'Current depth of workqueue' })).labels(name),
    adds: get('workqueue_adds_total', () => new Counter({ ...shared, name: 'workqueue_adds_total', help: 'Total number of adds handled by workqueue' })).labels(name),
    retries: get('workqueue_retries_total', () => new Counter({ ...shared, name: 'workqueue_retries_total', help: 'Total number of retries handled by workqueue' })).labels(name),
    queueDuration: get('workqueue_queue_duration_seconds', () => new Histogram({ ...shared, buckets, name: 'workqueue_queue_duration_seconds', help: 'How long in seconds an item stays in workqueue before being requested' })).labels(name),
    workDuration: get('workqueue_work_duration_seconds', () => new Histogram({ ...shared, buckets, name: 'workqueue_work_duration_seconds', help: 'How long in seconds processing an item from workqueue takes' })).labels(name),
  };
}
