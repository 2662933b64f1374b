/**
 * Pods waiting to be scheduled: active (highest priority first), in backoff after a failure, and unschedulable until an event that
 * one of the plugins that refused them asked for. Source: scheduler/backend/queue, KEP-4247.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { Heap } from '../base/heap.ts';
import type { ClusterEvent, Plugin } from './framework.ts';
import type { PodInfo } from './pod-info.ts';

export interface QueuedPod {
  info: PodInfo;
  /** When it was first added, ms. Orders pods of equal priority. */
  addedAt: number;
  attempts: number;
  /** Which plugins refused it last; empty: an error, not a refusal. */
  refusedBy: ReadonlySet<string>;
  /** Not before this time. */
  backoffUntil: number;
}

export interface QueueOptions {
  clock: Clock;
  plugins: readonly Plugin[];
  initialBackoffMs?: number;
  maxBackoffMs?: number;
  /** An unschedulable pod is tried again after this long even without an event. */
  unschedulableLimitMs?: number;
}

export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #plugins: readonly Plugin[];
  readonly #byName: ReadonlyMap<string, Plugin>;
  readonly #initialBackoffMs: number;
  readonly #maxBackoffMs: number;
  readonly #unschedulableLimitMs: number;
  readonly #active = new Heap<QueuedPod>((pod) => pod.info.uid, (a, b) => a.info.priority !== b.info.priority ? a.info.priority > b.info.priority : a.addedAt < b.addedAt);
  readonly #backoff = new Heap<QueuedPod>((pod) => pod.info.uid, (a, b) => a.backoffUntil < b.backoffUntil);
  readonly #unschedulable = new Map<string, QueuedPod & { since: number }>();
  /** Being scheduled or bound now, with the events seen meanwhile: they may have been missed by the attempt. */
  readonly #inFlight = new Map<string, ClusterEvent[]>();
  #timer: Timer | undefined;
  #waiter: (() => void) | undefined;
  #closed = false;

  constructor({ clock, plugins, initialBackoffMs = 1_000, maxBackoffMs = 10_000, unschedulableLimitMs = 300_000 }: QueueOptions) {
    this.#clock = clock;
    this.#plugins = plugins;
    this.#byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
    this.#initialBackoffMs = initialBackoffMs;
    this.#maxBackoffMs = maxBackoffMs;
    this.#unschedulableLimitMs = unschedulableLimitMs;
  }

  /** How many wait where; upstream's scheduler_pending_pods. */
  get pending() { return { active: this.#active.size, backoff: this.#backoff.size, unschedulable: this.#unschedulable.size }; }

  /** A new pod, or a changed one that is not bound. A change of its spec or labels may make it schedulable. */
  set(info: PodInfo): void {
    if (this.#inFlight.has(info.uid)) return;
    const queued = this.#active.get(info.uid) ?? this.#backoff.get(info.uid);
    if (queued) { queued.info = info; return; }
    const stuck = this.#unschedulable.get(info.uid);
    if (stuck && !schedulingChanged(stuck.info, info)) { stuck.info = info; return; }
    this.#unschedulable.delete(info.uid);
    this.#enqueue(stuck ? { ...stuck, info } : { info, addedAt: this.#clock.now(), attempts: 0, refusedBy: new Set(), backoffUntil: 0 });
  }

  remove(uid: string): void {
    this.#active.remove(uid);
    this.#backoff.remove(uid);
    this.#unschedulable.delete(uid);
    this.#inFlight.delete(uid);
  }

  /** The next pod, or undefined when there is none now. The caller must answer with `done` or `failed`. */
  pop(): QueuedPod | undefined {
    const pod = this.#active.pop();
    if (!pod) return undefined;
    pod.attempts++;
    this.#inFlight.set(pod.info.uid, []);
    return pod;
  }

  /** Resolves when there is something to pop, or the queue is closed (false). */
  async ready(): Promise<boolean> {
    while (this.#active.size === 0 && !this.#closed) await new Promise<void>((resolve) => { this.#waiter = resolve; });
    return !this.#closed;
  }

  done(uid: string): void { this.#inFlight.delete(uid); }

  /** The attempt failed; `refusedBy` empty: by an error. Gone if it was removed meanwhile. */
  failed(pod: QueuedPod, refusedBy: ReadonlySet<string>): void {
    const missed = this.#inFlight.get(pod.info.uid);
    if (!missed) return;
    this.#inFlight.delete(pod.info.uid);
    const now = this.#clock.now();
    const delayMs = Math.min(this.#maxBackoffMs, this.#initialBackoffMs * 2 ** Math.min(30, pod.attempts - 1));
    const next: QueuedPod = { ...pod, refusedBy, backoffUntil: now + delayMs };
    if (refusedBy.size === 0 || missed.some((event) => this.#couldHelp(next, event))) this.#enqueue(next);
    else { this.#unschedulable.set(pod.info.uid, { ...next, since: now }); this.#arm(); }
  }

  /** Something happened in the cluster: pods whose refusing plugins asked for it are tried again. */
  onEvent(event: ClusterEvent): void {
    for (const events of this.#inFlight.values()) if (events.length < missedEventLimit) events.push(event);
    if (this.#unschedulable.size === 0) return;
    for (const [uid, pod] of this.#unschedulable) {
      if (!this.#couldHelp(pod, event)) continue;
      this.#unschedulable.delete(uid);
      this.#enqueue(pod);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#wake();
  }

  #couldHelp(pod: QueuedPod, event: ClusterEvent): boolean {
    for (const name of pod.refusedBy) {
      for (const { resource, on, hint } of this.#byName.get(name)?.requeueOn ?? []) {
        if (resource === event.resource && on.includes(event.type) && (hint?.(pod.info, event) ?? true)) return true;
      }
    }
    return false;
  }

  #enqueue(pod: QueuedPod): void {
    for (const plugin of this.#plugins) {
      if (plugin.preEnqueue?.(pod.info)) { this.#unschedulable.set(pod.info.uid, { ...pod, refusedBy: new Set([plugin.name]), since: this.#clock.now() }); return; }
    }
    if (pod.backoffUntil > this.#clock.now()) { this.#backoff.push(pod); this.#arm(); return; }
    this.#active.push(pod);
    this.#wake();
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.();
  }

  /** One timer for whatever is due first. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed) return;
    let due = this.#backoff.peek()?.backoffUntil ?? Infinity;
    // Entered in order of time, so the first is the oldest.
    const oldest = this.#unschedulable.values().next().value;
    if (oldest) due = Math.min(due, oldest.since + this.#unschedulableLimitMs);
    if (due < Infinity) this.#timer = this.#clock.after(due - this.#clock.now(), () => this.#onTimer());
  }

  #onTimer(): void {
    const now = this.#clock.now();
    for (let pod = this.#backoff.peek(); pod && pod.backoffUntil <= now; pod = this.#backoff.peek()) this.#enqueue(this.#backoff.pop()!);
    for (const [uid, pod] of this.#unschedulable) {
      if (pod.since + this.#unschedulableLimitMs > now) break;
      this.#unschedulable.delete(uid);
      this.#enqueue(pod);
    }
    this.#arm();
  }
}

/** Events remembered per pod in flight; more than this in one attempt counts as seen. */
const missedEventLimit = 1_000;

/** Whether an update could make an unschedulable pod fit: anything but its status. */
function schedulingChanged(old: PodInfo, next: PodInfo): boolean {
  return old.pod.metadata.generation !== next.pod.metadata.generation || JSON.stringify(old.pod.metadata.labels) !== JSON.stringify(next.pod.metadata.labels)
    || JSON.stringify(old.pod.spec) !== JSON.stringify(next.pod.spec);
}
