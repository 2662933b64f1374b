/**
 * Records Events about objects, in the background and bounded: similar ones are combined, repeated ones counted by patching
 * the first, floods of one object dropped. Behaviour and figures: client-go tools/record (events_cache.go).
 */
import type { Clock } from '../base/clock.ts';
import { sleep, timestamp } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { events } from '../api/resources.ts';
import type { Event, ObjectReference } from '../api/core/v1.ts';
import { isNotFound, isStatusError } from '../api/meta/status.ts';
import type { ApiObject, Client } from './client.ts';

export interface EventRecorder {
  /** `object`: a live object, or a reference to one (or to a part: fieldPath). Never throws, never waits. */
  event(object: ApiObject | ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string, options?: { annotations?: Record<string, string>; action?: string; related?: ObjectReference }): void;
  /** Resolves when everything recorded so far was sent or given up. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  client: Client; clock: Clock; log: Logger;
  /** source.component, such as 'deployment-controller'. */
  component: string;
  /** source.host: the node's name. */
  host?: string;
  signal?: AbortSignal | undefined;
  /** Shared between recorders of one process. Default: an own one. */
  correlator?: EventCorrelator;
}

/** Waiting events; more are dropped. */
const queueLimit = 1000;
const sendAttempts = 12;
const resendDelayMs = 10_000;
const aggregateMax = 10;
const aggregateIntervalMs = 600_000;
const spamBurst = 25;
const spamPerSecond = 1 / 300;
const cacheLimit = 4096;

export function referenceTo(object: ApiObject | ObjectReference): ObjectReference {
  if (!('metadata' in object)) return object;
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return { kind: object.kind, ...(namespace ? { namespace } : {}), name, ...(uid ? { uid } : {}), apiVersion: object.apiVersion, ...(resourceVersion ? { resourceVersion } : {}) };
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, log, component, host, signal } = options;
  const correlator = options.correlator ?? new EventCorrelator(clock);
  const queue: Event[] = [];
  let sequence = 0;
  let sending: Promise<void> | undefined;

  const send = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      if (signal?.aborted) { queue.length = 0; return; }
      await write(next);
    }
  };
  const write = async (recorded: Event) => {
    const correlated = correlator.correlate(recorded);
    if (!correlated) return;
    let { event } = correlated;
    let patch = correlated.patch;
    for (let attempt = 1; attempt <= sendAttempts; attempt++) {
      try {
        const sent = patch
          ? await client.for(events).patch({ namespace: event.metadata.namespace, name: event.metadata.name }, 'strategic', patch, { signal })
          : await client.for(events).create(event, { signal });
        correlator.sent(sent);
        return;
      } catch (err) {
        if (signal?.aborted) return;
        if (patch && isNotFound(err)) { // The counted event has expired: it starts anew.
          patch = undefined;
          event = { ...event, metadata: { name: eventName(event.involvedObject.name ?? ''), namespace: event.metadata.namespace } };
          continue;
        }
        if (isStatusError(err)) {
          if (!(err.reason === 'Forbidden' && err.message.includes('being terminated'))) log.debug({ reason: recorded.reason, err: err.message }, 'the server refused an event');
          return;
        }
        if (attempt === sendAttempts) { log.warn({ reason: recorded.reason, err: String(err) }, 'gave up sending an event'); return; }
        try { await sleep(clock, resendDelayMs, signal); } catch { return; }
      }
    }
  };
  const eventName = (name: string) => `${name}.${(BigInt(Math.floor(clock.now())) * 1_000_000n + BigInt(sequence++ % 1_000_000)).toString(16)}`;

  return {
    event(object, type, reason, message, { annotations, action, related } = {}) {
      const involvedObject = referenceTo(object);
      if (queue.length >= queueLimit || signal?.aborted) return;
      const now = timestamp(clock.now());
      queue.push({
        apiVersion: 'v1', kind: 'Event',
        metadata: { name: eventName(involvedObject.name ?? ''), namespace: involvedObject.namespace || 'default', ...(annotations ? { annotations } : {}) },
        involvedObject, reason, message: message.length > 1024 ? message.slice(0, 1024) : message, type, firstTimestamp: now, lastTimestamp: now, count: 1,
        source: { component, ...(host ? { host } : {}) }, reportingComponent: component, reportingInstance: host ?? '',
        ...(action ? { action } : {}), ...(related ? { related } : {}),
      });
      sending ??= send().finally(() => { sending = undefined; });
    },
    async flush() { while (sending) await sending; },
  };
}

interface Observation { count: number; firstTimestamp: string; name: string }

/** Decides what becomes of an event: dropped (undefined), created, or a patch of an earlier one. */
export class EventCorrelator {
  readonly #clock: Clock;
  readonly #spam = new Map<string, { tokens: number; at: number }>();
  readonly #groups = new Map<string, { messages: Set<string>; at: number }>();
  readonly #seen = new Map<string, Observation>();
  constructor(clock: Clock) { this.#clock = clock; }

  correlate(recorded: Event): { event: Event; patch?: { count: number; lastTimestamp: string; message: string } } | undefined {
    const aggregated = this.#aggregate(recorded);
    const { event, key } = aggregated;
    const earlier = this.#seen.get(key);
    const counted: Event = earlier
      ? { ...event, metadata: { ...event.metadata, name: earlier.name }, count: earlier.count + 1, firstTimestamp: earlier.firstTimestamp }
      : event;
    remember(this.#seen, key, { count: counted.count ?? 1, firstTimestamp: counted.firstTimestamp!, name: counted.metadata.name });
    if (this.#isSpam(recorded)) return undefined;
    return earlier ? { event: counted, patch: { count: counted.count!, lastTimestamp: counted.lastTimestamp!, message: counted.message ?? '' } } : { event: counted };
  }

  /** The name and count the server has: later repeats patch that one. */
  sent(event: Event): void {
    const key = keyOf(event, event.message?.startsWith(combinedPrefix) ? '' : event.message ?? '');
    const known = this.#seen.get(key);
    if (known) remember(this.#seen, key, { ...known, name: event.metadata.name, count: Math.max(known.count, event.count ?? 1) });
  }

  #aggregate(event: Event): { event: Event; key: string } {
    const now = this.#clock.monotonic();
    const group = keyOf(event, '');
    const known = this.#groups.get(group);
    const messages = known && now - known.at <= aggregateIntervalMs ? known.messages : new Set<string>();
    messages.add(event.message ?? '');
    remember(this.#groups, group, { messages, at: now });
    if (messages.size < aggregateMax) return { event, key: keyOf(event, event.message ?? '') };
    messages.delete(messages.values().next().value!);
    return { event: { ...event, message: `${combinedPrefix}${event.message ?? ''}` }, key: group };
  }

  #isSpam(event: Event): boolean {
    const now = this.#clock.monotonic();
    const key = JSON.stringify([event.source, event.involvedObject.kind, event.involvedObject.namespace, event.involvedObject.name, event.involvedObject.uid, event.involvedObject.apiVersion]);
    const bucket = this.#spam.get(key) ?? { tokens: spamBurst, at: now };
    const tokens = Math.min(spamBurst, bucket.tokens + ((now - bucket.at) / 1000) * spamPerSecond);
    remember(this.#spam, key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    return tokens < 1;
  }
}

const combinedPrefix = '(combined from similar events): ';

function keyOf(event: Event, message: string): string {
  const { kind, namespace, name, uid, apiVersion, fieldPath } = event.involvedObject;
  return JSON.stringify([event.source?.component, event.source?.host, kind, namespace, name, uid, apiVersion, fieldPath, event.type, event.reason, message]);
}

/** Sets as the newest entry and drops the oldest beyond the limit. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > cacheLimit) map.delete(map.keys().next().value!);
}
