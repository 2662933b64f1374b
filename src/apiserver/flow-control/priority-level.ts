/**
 * One priority level: so many seats, and queues for who does not find one. Each flow is dealt a hand of queues and takes the
 * emptiest (shuffle sharding), so a flood fills its own hand and others pass by; waiting requests are taken in order of virtual
 * start times (start-time fair queueing), so every queue gets the same share of the seats.
 * Source: KEP-1040; apiserver/pkg/util/flowcontrol/fairqueuing. Differs: seats move between levels at once when they are needed, not every ten seconds.
 */
import type { Clock, Timer } from '../../base/clock.ts';

export interface LevelLimits {
  /** Undefined: exempt. */
  seats: { nominal: number; /** Kept for this level whatever others want. */ guaranteed: number; /** With what it borrows. */ most: number } | undefined;
  /** Undefined: refuse at once. */
  queuing: { queues: number; handSize: number; queueLengthLimit: number } | undefined;
}
export type Refusal = 'concurrency-limit' | 'queue-full' | 'time-out' | 'cancelled';
/** Whether `width` seats beyond its nominal share may be taken from others. */
export type Borrow = (level: PriorityLevel, width: number) => boolean;

interface Waiting { width: number; start: number; queue: Queue; timer: Timer; resolve(refusal: Refusal | undefined): void; onAbort: (() => void) | undefined; signal: AbortSignal | undefined }
interface Queue { waiting: Waiting[]; /** Virtual time at which its last request would be done. */ finish: number }

/** Milliseconds from an arbitrary start to virtual time: none; virtual time counts seats handed out per queue. */
export class PriorityLevel {
  readonly name: string;
  readonly #clock: Clock;
  readonly #borrow: Borrow;
  #limits: LevelLimits;
  #queues: Queue[] = [];
  readonly #busy = new Set<Queue>();
  #virtual = 0;
  executingSeats = 0;
  executing = 0;
  waiting = 0;

  constructor(name: string, limits: LevelLimits, clock: Clock, borrow: Borrow) {
    this.name = name;
    this.#limits = limits;
    this.#clock = clock;
    this.#borrow = borrow;
  }
  get limits(): LevelLimits { return this.#limits; }
  set limits(limits: LevelLimits) { this.#limits = limits; this.dispatch(); }

  #fits(width: number): boolean {
    const { seats } = this.#limits;
    if (!seats) return true;
    const after = this.executingSeats + width;
    return after <= seats.nominal ? this.executingSeats + width <= seats.guaranteed || this.#borrow(this, width) : after <= seats.most && this.#borrow(this, width)
      // A request wider than the level runs when it is alone.
      || this.executing === 0;
  }
  #start(width: number): void { this.executing++; this.executingSeats += width; }

  /** Undefined: go on, and call `leave`. Else what became of it, or a promise of that. */
  enter(width: number, flow: () => string, maxWaitMs: number, signal: AbortSignal | undefined): undefined | Refusal | Promise<Refusal | undefined> {
    if (this.waiting === 0 && this.#fits(width)) { this.#start(width); return undefined; }
    const { queuing } = this.#limits;
    if (!queuing) return 'concurrency-limit';
    const queue = this.#deal(flow(), queuing);
    if (queue.waiting.length >= queuing.queueLengthLimit) return 'queue-full';
    return new Promise((resolve) => {
      const start = Math.max(this.#virtual, queue.finish);
      queue.finish = start + width;
      const waiting: Waiting = { width, start, queue, resolve, signal, onAbort: undefined, timer: this.#clock.after(maxWaitMs, () => this.#leaveQueue(waiting, 'time-out'), { keepAlive: false }) };
      if (signal) {
        waiting.onAbort = () => this.#leaveQueue(waiting, 'cancelled');
        signal.addEventListener('abort', waiting.onAbort, { once: true });
      }
      queue.waiting.push(waiting);
      this.#busy.add(queue);
      this.waiting++;
      // A fast request of another queue may have found no seat only because someone waits.
      this.dispatch();
    });
  }
  leave(width: number): void {
    this.executing--;
    this.executingSeats -= width;
  }

  /** Hands free seats to who waits. */
  dispatch(): void {
    while (this.waiting > 0) {
      let next: Queue | undefined;
      for (const queue of this.#busy) if (!next || queue.waiting[0]!.start < next.waiting[0]!.start) next = queue;
      const head = next!.waiting[0]!;
      if (!this.#fits(head.width)) return;
      this.#virtual = Math.max(this.#virtual, head.start);
      this.#start(head.width);
      this.#leaveQueue(head, undefined);
    }
  }
  #leaveQueue(waiting: Waiting, outcome: Refusal | undefined): void {
    const { queue, timer, signal, onAbort } = waiting;
    const at = queue.waiting.indexOf(waiting);
    if (at < 0) return;
    queue.waiting.splice(at, 1);
    if (queue.waiting.length === 0) this.#busy.delete(queue);
    this.waiting--;
    timer.cancel();
    if (onAbort) signal!.removeEventListener('abort', onAbort);
    waiting.resolve(outcome);
  }

  /** The shortest queue of the flow's hand. */
  #deal(flow: string, { queues, handSize }: { queues: number; handSize: number }): Queue {
    while (this.#queues.length < queues) this.#queues.push({ waiting: [], finish: 0 });
    let best: Queue | undefined;
    for (const index of hand(flow, queues, handSize)) {
      const queue = this.#queues[index]!;
      if (!best || queue.waiting.length < best.waiting.length) best = queue;
    }
    return best!;
  }
}

/** `size` different numbers below `queues`, the same for the same flow. Source: apiserver/pkg/util/shufflesharding (the scheme, not the hash). */
export function hand(flow: string, queues: number, size: number): number[] {
  // FNV-1a, then steps of a small generator.
  let state = 0x811c9dc5;
  for (let i = 0; i < flow.length; i++) state = Math.imul(state ^ flow.charCodeAt(i), 0x01000193);
  const cards: number[] = [];
  while (cards.length < Math.min(size, queues)) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const card = Math.floor((state / 2 ** 32) * queues);
    if (!cards.includes(card)) cards.push(card);
  }
  return cards;
}
