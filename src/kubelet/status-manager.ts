/**
 * Writes pod status to the apiserver: at once when it changed, never when it did not, one write at a time per pod; and deletes a pod
 * for good when all of it is gone from the node. Behaviour: upstream pkg/kubelet/status.
 */
import { isDeepStrictEqual } from 'node:util';
import { isConflict, isNotFound } from '../api/meta/status.ts';
import type { Pod, PodCondition, PodStatus } from '../api/core/v1.ts';
import { pods } from '../api/resources.ts';
import { type Clock, sleep, timestamp } from '../base/clock.ts';
import type { Draft, Json, JsonObject } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import { isStaticPod, uidOf } from './names.ts';

export type ConditionDraft = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>;
/** A status as computed: no times, and only the conditions the kubelet owns. */
export type ComputedStatus = Omit<Draft<PodStatus>, 'conditions' | 'startTime'> & { conditions: ConditionDraft[] };

const retryInitialMs = 200;
const retryMaxMs = 10_000;
/** Others' writes stand this long: whoever patches a status finds it so on the next read. Upstream: syncPeriod. */
const mendAfterMs = 10_000;
/** Replaced as a whole in patches: their merge keys must not make old entries linger. */
const replacedLists = new Set(['podIPs', 'hostIPs']);
/** Conditions that go when their cause has gone. */
const transient = new Set(['PodResizePending', 'PodResizeInProgress']);
/** Fields this manager writes; others belong to controllers. */
const ownedFields = ['phase', 'message', 'reason', 'hostIP', 'hostIPs', 'podIP', 'podIPs', 'startTime', 'qosClass', 'initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses', 'observedGeneration'] as const;

interface Entry {
  pod: Pod;
  status: Draft<PodStatus>;
  owned: Set<string>;
  dirty: boolean;
  writing: boolean;
  /** The object as the last write left it. */
  written: Pod | undefined;
  /** What that write said. */
  sent: PodStatus | undefined;
  /** Nothing of the pod is left here: delete it once the status is written. */
  finished: boolean;
  /** What someone wrote over will be put right. */
  mending?: boolean;
}

export interface StatusManager {
  set(pod: Pod, status: ComputedStatus): void;
  /** The status last computed here, else undefined. */
  get(uid: string): PodStatus | undefined;
  /** Containers, volumes and cgroup are gone. */
  finish(pod: Pod): void;
  /** The informer saw it: what someone else wrote over is put right a little later. */
  observed(pod: Pod): void;
  forget(uid: string): void;
  /** Resolves when nothing waits to be written. For tests and shutdown. */
  idle(): boolean;
}

const isNewer = (a: Pod | undefined, b: Pod): boolean => {
  const [left, right] = [a?.metadata.resourceVersion, b.metadata.resourceVersion];
  return left !== undefined && right !== undefined && (left.length !== right.length ? left.length > right.length : left > right);
};

/** The strategic merge patch that turns `from` into `to`, for the fields the kubelet owns; undefined when there is nothing to say. */
export function statusPatch(from: PodStatus, to: PodStatus, owned: ReadonlySet<string>): JsonObject | undefined {
  const patch: JsonObject = {};
  for (const field of ownedFields) {
    const [before, after] = [from[field] as Json | undefined, to[field] as Json | undefined];
    if (isDeepStrictEqual(before, after) || (after === undefined && (before === undefined || (Array.isArray(before) && before.length === 0)))) continue;
    if (after === undefined) patch[field] = null;
    else patch[field] = replacedLists.has(field) && Array.isArray(after) && before !== undefined ? [{ $patch: 'replace' }, ...after] : after;
  }
  const conditions: Json[] = [];
  for (const condition of to.conditions ?? []) {
    if (!owned.has(condition.type)) continue;
    const before = from.conditions?.find(({ type }) => type === condition.type);
    if (isDeepStrictEqual(before, condition)) continue;
    const cleared = Object.fromEntries(Object.keys(before ?? {}).filter((key) => !(key in condition)).map((key) => [key, null]));
    conditions.push({ ...cleared, ...condition } as JsonObject);
  }
  // What is over is taken away: these say something only while it lasts.
  for (const { type } of from.conditions ?? []) if (transient.has(type) && !to.conditions?.some((condition) => condition.type === type)) conditions.push({ $patch: 'delete', type });
  if (conditions.length > 0) patch.conditions = conditions;
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** The apiserver may write what we sent in its own way; as long as that stands there is nothing to put right. */
function settled(entry: Entry, pod: Pod): boolean {
  return entry.sent !== undefined && isDeepStrictEqual(entry.sent, entry.status) && statusPatch(pod.status ?? {}, entry.written?.status ?? {}, entry.owned) === undefined;
}

export function createStatusManager(options: { client: Client; clock: Clock; log: Logger; signal: AbortSignal; nodeName: string; latest(pod: Pod): Pod | undefined }): StatusManager {
  const { client, clock, log, signal } = options;
  const entries = new Map<string, Entry>();

  async function write(entry: Entry): Promise<void> {
    if (entry.writing) return;
    entry.writing = true;
    let wait = retryInitialMs;
    try {
      while (!signal.aborted && (entry.dirty || entry.finished)) {
        const shared = options.latest(entry.pod);
        // A static pod without its mirror has nobody to tell yet.
        if (!shared) { entry.dirty = false; break; }
        const base = isNewer(entry.written, shared) ? entry.written! : shared;
        const key = { namespace: base.metadata.namespace ?? 'default', name: base.metadata.name };
        try {
          if (entry.dirty) {
            entry.dirty = false;
            const patch = statusPatch(base.status ?? {}, entry.status, entry.owned);
            if (patch && !settled(entry, base)) {
              const sent = entry.status;
              entry.written = await client.for(pods).patch(key, 'strategic', { metadata: { uid: base.metadata.uid! }, status: patch }, { subresource: 'status', signal });
              entry.sent = sent;
            }
          }
          if (entry.finished && !entry.dirty) {
            entry.finished = false;
            if (base.metadata.deletionTimestamp) await client.for(pods).delete(key, { gracePeriodSeconds: 0, preconditions: { uid: base.metadata.uid! }, signal });
          }
          wait = retryInitialMs;
        } catch (error) {
          if (signal.aborted) return;
          if (isNotFound(error) || (isConflict(error) && options.latest(entry.pod)?.metadata.uid !== base.metadata.uid)) { entry.dirty = false; entry.finished = false; break; }
          log.debug({ err: error, pod: key.name }, 'pod status not written; trying again');
          const finishing = base.metadata.deletionTimestamp !== undefined && entry.finished;
          entry.dirty = true;
          entry.finished ||= finishing;
          await sleep(clock, wait, signal).catch(() => {});
          wait = Math.min(wait * 2, retryMaxMs);
        }
      }
    } finally { entry.writing = false; }
  }

  function withTimes(pod: Pod, computed: ComputedStatus, before: PodStatus): Draft<PodStatus> {
    const now = timestamp(clock.now());
    const generation = pod.metadata.generation;
    const conditions: Draft<PodCondition>[] = computed.conditions.map((made) => {
      const old = before.conditions?.find(({ type }) => type === made.type);
      const lastTransitionTime = old?.status === made.status && old.lastTransitionTime ? old.lastTransitionTime : now;
      return { type: made.type, status: made.status, lastProbeTime: null as never, lastTransitionTime, ...(made.reason ? { reason: made.reason } : {}), ...(made.message ? { message: made.message } : {}), ...(generation === undefined ? {} : { observedGeneration: generation }) };
    });
    for (const condition of conditions) if ((condition.lastProbeTime as unknown) === null) delete condition.lastProbeTime;
    return { ...computed, conditions, startTime: before.startTime ?? now, ...(generation === undefined ? {} : { observedGeneration: generation }) };
  }

  return {
    set(pod, computed) {
      const uid = uidOf(pod);
      let entry = entries.get(uid);
      const before = entry?.status ?? options.latest(pod)?.status ?? pod.status ?? {};
      const status = withTimes(pod, computed, before);
      if (entry && isDeepStrictEqual(entry.status, status)) { entry.pod = pod; return; }
      if (!entry) { entry = { pod, status, owned: new Set(), dirty: false, writing: false, written: undefined, sent: undefined, finished: false }; entries.set(uid, entry); }
      entry.pod = pod;
      entry.status = status;
      for (const { type } of computed.conditions) entry.owned.add(type);
      entry.dirty = true;
      void write(entry);
    },
    get(uid) { return entries.get(uid)?.status; },
    finish(pod) {
      const uid = uidOf(pod);
      const entry = entries.get(uid) ?? { pod, status: structuredClone(pod.status ?? {}) as Draft<PodStatus>, owned: new Set<string>(), dirty: false, writing: false, written: undefined, sent: undefined, finished: false };
      entries.set(uid, entry);
      if (isStaticPod(pod)) return;
      entry.finished = true;
      void write(entry);
    },
    observed(pod) {
      const entry = entries.get(uidOf(pod)) ?? [...entries.values()].find(({ pod: own }) => isStaticPod(own) && own.metadata.name === pod.metadata.name && own.metadata.namespace === pod.metadata.namespace);
      if (!entry || entry.dirty || isNewer(entry.written, pod) || settled(entry, pod)) return;
      if (entry.mending || !statusPatch(pod.status ?? {}, entry.status, entry.owned)) return;
      entry.mending = true;
      clock.after(mendAfterMs, () => {
        entry.mending = false;
        const latest = options.latest(entry.pod);
        if (signal.aborted || !entries.has(uidOf(entry.pod)) || entry.dirty || !latest || isNewer(entry.written, latest) || settled(entry, latest)) return;
        if (statusPatch(latest.status ?? {}, entry.status, entry.owned)) { entry.dirty = true; void write(entry); }
      }, { keepAlive: false });
    },
    forget(uid) { entries.delete(uid); },
    idle() { return [...entries.values()].every((entry) => !entry.dirty && !entry.writing); },
  };
}
