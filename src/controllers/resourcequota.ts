/**
 * Counts what each ResourceQuota limits and writes `status`. Admission books what it admits at once; this takes off what went, mends what
 * the two disagree on, and follows changes of the spec. Upstream: pkg/controller/resourcequota.
 */
import type { Pod, ResourceQuota } from '../api/core/v1.ts';
import { addUsage, inQuotaScopes, quotaUsage, type Usage } from '../api/core/quota-usage.ts';
import { isConflict, isNotFound } from '../api/meta/status.ts';
import { compareQuantity, formatQuantity, parseQuantity, zeroQuantity, type Quantity } from '../api/quantity.ts';
import { persistentvolumeclaims, pods, resourcequotas, services } from '../api/resources.ts';
import type { ApiObject } from '../client/client.ts';
import { keyOf } from '../client/informer.ts';
import { runReflector } from '../client/reflector.ts';
import { same } from './canonical.ts';
import { discoverPreferred, namesOf, type DiscoveredResource } from './discovery.ts';
import { defineController, done, requeueAfter, type Context } from './framework.ts';

/** Upstream's --resource-quota-sync-period. */
const resyncMs = 5 * 60_000;
/** Changes that come together are counted together. */
const gatherMs = 100;
/** Admission books an object before it is stored, where it can be counted: a lower count is believed once it has stood this long. */
const settleMs = 200;
/** Objects read at a time. */
const pageLimit = 500;

/** `lowered`: since when, in milliseconds, and at which revision of a quota less is counted than booked, by key. */
interface State { monitors: Map<string, () => void>; lowered: Map<string, { revision: string; sinceMs: number }> }

/** Every quota of the namespace. */
function wake({ metadata }: ApiObject, context: Context): string[] {
  for (const quota of context.cache(resourcequotas).list(metadata.namespace)) context.enqueue(keyOf(quota), gatherMs);
  return [];
}

export const resourceQuotaController = defineController({
  name: 'resourcequota-controller', aliases: ['resourcequota'], for: resourcequotas, writes: ['resourcequotas/status'],
  watches: [
    { resource: pods, keys: (change: { old?: Pod; next?: Pod; any: Pod }, context) => (podCountsAnew(change) ? wake(change.any, context) : []) },
    ...[services, persistentvolumeclaims].map((resource) => ({ resource, keys: ({ old, next, any }: { old?: { spec?: unknown }; next?: { spec?: unknown }; any: ApiObject }, context: Context) => (same(old?.spec, next?.spec) ? [] : wake(any, context)) })),
  ],
  setup(context): State {
    const monitors: State['monitors'] = new Map();
    context.signal.addEventListener('abort', () => { for (const stop of monitors.values()) stop(); }, { once: true });
    return { monitors, lowered: new Map() };
  },
  async reconcile(key, context, signal) {
    const { lowered } = context.state as State;
    if (!context.cache(resourcequotas).get(key)) { lowered.delete(key); return done; }
    const [namespace, name] = key.split('/') as [string, string];
    // Read before counting: what admission books from here on makes the write below a conflict.
    const [quota] = (await context.client.for(resourcequotas).list({ namespace, fieldSelector: `metadata.name=${name}`, signal })).items; // its role may list, not get
    if (!quota) return done;
    if (quota.metadata.deletionTimestamp) return done;
    const startedMs = context.clock.monotonic();
    const hard = quota.spec?.hard ?? {};
    const counted = await countUsage(quota, context, signal);
    const used = Object.fromEntries(Object.keys(hard).map((resource) => [resource, formatQuantity(like(counted[resource] ?? zeroQuantity, hard[resource]!))]));
    if (!same({ hard, used }, { hard: quota.status?.hard ?? {}, used: quota.status?.used ?? {} }) || !quota.status?.hard) {
      const lower = Object.entries(used).some(([resource, amount]) => compareQuantity(amount, quota.status?.used?.[resource] ?? '0') < 0);
      if (lower) {
        const revision = quota.metadata.resourceVersion!;
        const before = lowered.get(key);
        const sinceMs = before?.revision === revision ? before.sinceMs : startedMs;
        if (startedMs - sinceMs < settleMs) { lowered.set(key, { revision, sinceMs }); return requeueAfter(settleMs - (startedMs - sinceMs)); }
      }
      lowered.delete(key);
      try { await context.client.for(resourcequotas).updateStatus({ ...quota, status: { hard, used } }, { signal }); } catch (err) {
        if (isConflict(err)) return requeueAfter(gatherMs);
        if (!isNotFound(err)) throw err;
      }
    }
    return requeueAfter(resyncMs);
  },
});

/** Nothing used is shown as a plain 0. */
function like(amount: Quantity, hard: string): Quantity {
  return amount.nanos === 0n ? { ...amount, format: parseQuantity(hard).format } : amount;
}

const hasEnded = (pod: Pod | undefined): boolean => pod?.status?.phase === 'Succeeded' || pod?.status?.phase === 'Failed';
function podCountsAnew({ old, next }: { old?: Pod; next?: Pod }): boolean {
  return !old || !next || hasEnded(old) !== hasEnded(next) || old.metadata.deletionTimestamp !== next.metadata.deletionTimestamp || !same(old.spec, next.spec);
}

/** A pod that should have gone by now no longer counts: its node does not answer. */
function overdue({ metadata }: ApiObject, now: number): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  return deletionTimestamp !== undefined && deletionGracePeriodSeconds !== undefined && now > Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

async function countUsage(quota: ResourceQuota, context: Context, signal: AbortSignal): Promise<Usage> {
  const { namespace } = quota.metadata;
  const now = context.clock.now();
  let total: Usage = {};
  for (const resource of await kindsOf(Object.keys(quota.spec?.hard ?? {}), context, signal)) {
    const kind = { group: resource.group, plural: resource.name };
    const isPod = kind.group === '' && kind.plural === 'pods';
    if (!isPod) monitor(resource, context);
    const api = context.client.for(namesOf(resource));
    let next: string | undefined;
    do {
      const { items, metadata } = await api.list({ namespace, limit: pageLimit, continue: next, signal });
      for (const item of items) {
        if (!inQuotaScopes(quota, kind, item) || (isPod && overdue(item, now))) continue;
        total = addUsage(total, quotaUsage(kind, item));
      }
      next = metadata.continue || undefined;
    } while (next);
  }
  return total;
}

const bare = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims', 'pods']);
/** The kinds whose objects the named amounts come from. */
async function kindsOf(hard: readonly string[], { client }: Context, signal: AbortSignal): Promise<DiscoveredResource[]> {
  const wanted = new Set<string>();
  for (const name of hard) {
    if (name.startsWith('count/')) wanted.add(name.slice('count/'.length));
    else if (bare.has(name)) wanted.add(name);
    else if (name.startsWith('services.')) wanted.add('services');
    else if (name === 'requests.storage' || name.includes('.storageclass.storage.k8s.io/')) wanted.add('persistentvolumeclaims');
    else wanted.add('pods');
  }
  const core = (name: string, kind: string): DiscoveredResource => ({ group: '', version: 'v1', base: '/api/v1', name, kind, namespaced: true, verbs: [] });
  const kinds: Readonly<Record<string, string>> = { configmaps: 'ConfigMap', secrets: 'Secret', replicationcontrollers: 'ReplicationController', resourcequotas: 'ResourceQuota', services: 'Service', persistentvolumeclaims: 'PersistentVolumeClaim', pods: 'Pod' };
  const out: DiscoveredResource[] = [];
  for (const name of [...wanted]) if (kinds[name]) { out.push(core(name, kinds[name])); wanted.delete(name); }
  if (wanted.size > 0) {
    const { resources } = await discoverPreferred(client, ['list', 'watch'], signal);
    out.push(...resources.filter(({ group, name, namespaced }) => namespaced && wanted.has(group ? `${name}.${group}` : name)));
  }
  return out;
}

/** Follows a counted kind, so that deletions are noticed; nothing of it is kept. Services and claims have informers. */
function monitor(resource: DiscoveredResource, context: Context): void {
  const { monitors } = context.state as State;
  const id = `${resource.name}.${resource.group}`;
  if (monitors.has(id) || ['services.', 'persistentvolumeclaims.'].includes(id)) return;
  const stop = new AbortController();
  monitors.set(id, () => stop.abort(new Error('the quota controller stops')));
  const api = context.client.for(namesOf(resource));
  void runReflector<ApiObject>({
    name: resource.name, clock: context.clock, rng: context.rng, log: context.log, signal: AbortSignal.any([context.signal, stop.signal]),
    list: (options) => api.list({ ...options, limit: 1 }), watch: (options) => api.watch({ ...options, transient: true }),
    onReplace: () => { for (const quota of context.cache(resourcequotas).list()) context.enqueue(keyOf(quota), gatherMs); },
    onEvent: (type, object) => { if (type !== 'MODIFIED') wake(object, context); },
  });
}
