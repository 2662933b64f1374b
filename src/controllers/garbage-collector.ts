/**
 * Deletes objects whose owners are gone, and carries out foreground and orphaning deletion, for every kind discovery lists.
 * Shares the informers other controllers have; follows the remaining kinds without keeping their objects.
 * Upstream: pkg/controller/garbagecollector; kubernetes.io/docs/concepts/architecture/garbage-collection.
 * Differs: deletes with the graph's resourceVersion as precondition where upstream reads each object first: equally safe,
 * half the requests. Kinds are discovered again when a CustomResourceDefinition or APIService changes, not every 30 s.
 */
import { apiservices, customresourcedefinitions } from '../api/resources.ts';
import { isConflict, isNotFound, isStatusError } from '../api/meta/status.ts';
import type { ApiObject } from '../client/client.ts';
import { runReflector } from '../client/reflector.ts';
import type { Timer } from '../base/clock.ts';
import { discoverPreferred, namesOf, type DiscoveredResource } from './discovery.ts';
import { defineController, done, groupOf, type Context } from './framework.ts';
import { foregroundFinalizer, orphanFinalizer, OwnerGraph, type GraphNode } from './owner-graph.ts';

const rediscoverDelayMs = 500;
const rediscoverRetryMs = 30_000;
/** Events are many, short-lived and own nothing. */
const ignored = new Set(['events', 'events.events.k8s.io']);
const absentLimit = 500;

interface State {
  graph: OwnerGraph;
  monitors: Map<string, { stop(): void; resource: DiscoveredResource }>;
  byKind: Map<string, DiscoveredResource>;
  /** Owners known not to exist, by place and uid. */
  absent: Set<string>;
  timer?: Timer | undefined;
}

export const garbageCollector = defineController({
  name: 'garbage-collector-controller', account: 'generic-garbage-collector', aliases: ['garbagecollector'], component: 'garbage-collector-controller', writes: ['*'], workers: 20,
  setup(context): State {
    const graph = new OwnerGraph({ check: (node) => context.enqueue(`check!${node.uid}`), orphan: (node) => context.enqueue(`orphan!${node.uid}`) });
    const state: State = { graph, monitors: new Map(), byKind: new Map(), absent: new Set() };
    const rediscover = () => {
      state.timer ??= context.clock.after(rediscoverDelayMs, () => { state.timer = undefined; context.enqueue('discover!'); }, { keepAlive: false });
    };
    for (const names of [customresourcedefinitions, apiservices]) {
      context.cache<ApiObject>(names as never).addHandler({
        onAdd: (_, initial) => { if (!initial) rediscover(); },
        onUpdate: (old, next) => { if (JSON.stringify(old) !== JSON.stringify(next)) rediscover(); },
        onDelete: rediscover,
      });
    }
    context.signal.addEventListener('abort', () => { for (const monitor of state.monitors.values()) monitor.stop(); }, { once: true });
    return state;
  },
  run: (context) => context.enqueue('discover!'),
  async reconcile(key, context, signal) {
    const state = context.state as State;
    const [what, uid = ''] = key.split('!') as [string, string?];
    if (what === 'discover') { await discover(state, context, signal); return done; }
    const node = state.graph.nodes.get(uid);
    if (!node) return done;
    if (what === 'orphan') await orphanDependents(node, state, context, signal);
    else await check(node, state, context, signal);
    return done;
  },
});

async function discover(state: State, context: Context, signal: AbortSignal): Promise<void> {
  const { resources, error } = await discoverPreferred(context.client, ['delete', 'list', 'watch'], signal);
  const wanted = new Map<string, DiscoveredResource>();
  for (const resource of resources) {
    const id = resource.group ? `${resource.name}.${resource.group}` : resource.name;
    if (!ignored.has(id)) wanted.set(id, resource);
    state.byKind.set(`${resource.group}/${resource.kind}`, resource);
  }
  for (const [id, monitor] of state.monitors) {
    const next = wanted.get(id);
    // A group that failed to answer keeps its monitors.
    if (next ? next.version === monitor.resource.version : error !== undefined) continue;
    monitor.stop();
    state.monitors.delete(id);
    if (!next) {
      for (const node of [...state.graph.nodes.values()]) if (node.resource === monitor.resource) state.graph.delete(node.uid);
      state.byKind.delete(`${monitor.resource.group}/${monitor.resource.kind}`);
    }
  }
  for (const [id, resource] of wanted) if (!state.monitors.has(id)) state.monitors.set(id, { resource, stop: follow(resource, state, context) });
  if (error) { context.log.debug({ err: error }, 'discovery was incomplete'); context.enqueue('discover!', rediscoverRetryMs); }
}

/** Feeds the graph from a resource. Returns how to stop. */
function follow(resource: DiscoveredResource, { graph }: State, context: Context): () => void {
  const names = namesOf(resource);
  const shared = context.informers.existing?.(names);
  if (shared) {
    return shared.addHandler({
      onAdd: (object) => graph.put(object, resource),
      onUpdate: (old, next) => {
        if (old.metadata.uid !== next.metadata.uid) graph.delete(old.metadata.uid!);
        graph.put(next, resource);
      },
      onDelete: (object) => graph.delete(object.metadata.uid!),
    });
  }
  const stop = new AbortController();
  const api = context.client.for(names);
  void runReflector<ApiObject>({
    name: resource.name, clock: context.clock, rng: context.rng, log: context.log, signal: AbortSignal.any([context.signal, stop.signal]),
    list: (options) => api.list(options), watch: (options) => api.watch({ ...options, transient: true }),
    onReplace(items) {
      const seen = new Set(items.map((item) => item.metadata.uid));
      for (const node of [...graph.nodes.values()]) if (node.resource === resource && !seen.has(node.uid)) graph.delete(node.uid);
      for (const item of items) graph.put(item, resource);
    },
    onEvent: (type, object) => { if (type === 'DELETED') graph.delete(object.metadata.uid!); else graph.put(object, resource); },
  });
  return () => stop.abort(new Error('no longer served'));
}

const pathOf = (resource: DiscoveredResource, namespace: string, name: string): string =>
  `${resource.base}${resource.namespaced ? `/namespaces/${namespace}` : ''}/${resource.name}/${encodeURIComponent(name)}`;

async function read(resource: DiscoveredResource, namespace: string, name: string, context: Context, signal: AbortSignal): Promise<ApiObject | undefined> {
  try { return await context.client.request({ method: 'GET', path: pathOf(resource, namespace, name), signal }) as unknown as ApiObject; } catch (err) { if (isNotFound(err)) return undefined; throw err; }
}

/** Whether the owner that a reference names exists. Throws when that can't be told. */
async function ownerState(node: GraphNode, reference: GraphNode['owners'][number], state: State, context: Context, signal: AbortSignal): Promise<'solid' | 'dangling' | 'waiting' | 'unresolvable'> {
  const group = groupOf(reference.apiVersion);
  const resource = state.byKind.get(`${group}/${reference.kind}`);
  if (!resource) throw new Error(`the server has no kind ${reference.kind} in ${reference.apiVersion}, which owns ${node.kind} ${node.namespace}/${node.name}`);
  if (resource.namespaced && node.namespace === '') {
    context.events.event({ apiVersion: node.group ? `${node.group}/${node.resource!.version}` : node.resource!.version, kind: node.kind, name: node.name, uid: node.uid }, 'Warning', 'OwnerRefInvalidNamespace',
      `ownerRef [${reference.apiVersion}/${reference.kind}, namespace: , name: ${reference.name}, uid: ${reference.uid}] does not exist in namespace ""`);
    return 'unresolvable';
  }
  const namespace = resource.namespaced ? node.namespace : '';
  const owner = state.graph.nodes.get(reference.uid);
  if (owner && !owner.virtual) {
    const same = owner.namespace === namespace && owner.name === reference.name && owner.kind === reference.kind && owner.group === group;
    return !same ? 'dangling' : owner.deletingDependents ? 'waiting' : 'solid';
  }
  const place = `${resource.base}/${resource.name}/${namespace}/${reference.name}/${reference.uid}`;
  if (state.absent.has(place)) return 'dangling';
  const live = await read(resource, namespace, reference.name, context, signal);
  if (!live || live.metadata.uid !== reference.uid) {
    state.absent.add(place);
    if (state.absent.size > absentLimit) state.absent.delete(state.absent.values().next().value!);
    return 'dangling';
  }
  return live.metadata.deletionTimestamp && live.metadata.finalizers?.includes(foregroundFinalizer) ? 'waiting' : 'solid';
}

async function check(node: GraphNode, state: State, context: Context, signal: AbortSignal): Promise<void> {
  const { graph } = state;
  if (node.virtual) {
    const resource = state.byKind.get(`${node.group}/${node.kind}`);
    if (!resource) throw new Error(`the server has no kind ${node.kind} in group "${node.group}"`);
    if (resource.namespaced && node.namespace === '') return;
    const live = await read(resource, node.namespace, node.name, context, signal);
    if (node.virtual && live?.metadata.uid !== node.uid) graph.delete(node.uid);
    return;
  }
  if (node.deletingDependents) {
    const blocking = graph.blocking(node);
    if (blocking.length === 0) { await removeFinalizer(node, foregroundFinalizer, state, context, signal); return; }
    for (const dependent of blocking) if (!dependent.deletingDependents) context.enqueue(`check!${dependent.uid}`);
    return;
  }
  if (node.beingDeleted || node.owners.length === 0) return;

  const states = await Promise.all(node.owners.map((reference) => ownerState(node, reference, state, context, signal)));
  const is = (wanted: string) => node.owners.filter((_, i) => states[i] === wanted);
  const [dangling, waiting] = [is('dangling'), is('waiting')];
  if (is('unresolvable').length > 0) return;
  if (is('solid').length > 0) {
    const drop = new Set([...dangling, ...waiting].map((reference) => reference.uid));
    if (drop.size > 0) await patchOwners(node, (references) => references.filter((reference) => !drop.has(reference.uid)), context, signal);
    return;
  }
  const hasDependents = (node.dependents?.size ?? 0) > 0;
  if (waiting.length > 0 && hasDependents) {
    // A circle of owners in foreground deletion would wait for itself.
    if ([...node.dependents!].some((dependent) => dependent.deletingDependents)) {
      await patchOwners(node, (references) => references.map((reference) => ({ ...reference, blockOwnerDeletion: false })), context, signal);
    }
    await remove(node, 'Foreground', context, signal);
    return;
  }
  await remove(node, node.orphaning ? 'Orphan' : node.deletingDependents ? 'Foreground' : 'Background', context, signal);
}

async function remove(node: GraphNode, propagationPolicy: string, context: Context, signal: AbortSignal): Promise<void> {
  try {
    await context.client.request({
      method: 'DELETE', path: pathOf(node.resource!, node.namespace, node.name), signal,
      body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions: { uid: node.uid, resourceVersion: node.resourceVersion } },
    });
    context.log.debug({ object: `${node.resource!.name} ${node.namespace}/${node.name}`, propagationPolicy }, 'deleted, its owners are gone');
  } catch (err) {
    // Gone, or another object by now: the graph will hear of it. Changed: look again with what changed.
    if (!isNotFound(err)) throw err;
  }
}

async function patchOwners(node: GraphNode, change: (references: GraphNode['owners']) => unknown, context: Context, signal: AbortSignal): Promise<void> {
  const body = { metadata: { uid: node.uid, resourceVersion: node.resourceVersion, ownerReferences: change(node.owners) } };
  try {
    await context.client.request({ method: 'PATCH', path: pathOf(node.resource!, node.namespace, node.name), contentType: 'application/merge-patch+json', body, signal });
  } catch (err) { if (!isNotFound(err)) throw err; }
}

async function removeFinalizer(node: GraphNode, finalizer: string, _: State, context: Context, signal: AbortSignal): Promise<void> {
  const path = pathOf(node.resource!, node.namespace, node.name);
  for (;;) {
    const live = await read(node.resource!, node.namespace, node.name, context, signal);
    if (!live || live.metadata.uid !== node.uid || !live.metadata.finalizers?.includes(finalizer)) return;
    try {
      await context.client.request({
        method: 'PATCH', path, contentType: 'application/merge-patch+json', signal,
        body: { metadata: { resourceVersion: live.metadata.resourceVersion, finalizers: live.metadata.finalizers.filter((one) => one !== finalizer) } },
      });
      return;
    } catch (err) { if (isNotFound(err)) return; if (!isConflict(err)) throw err; }
  }
}

async function orphanDependents(node: GraphNode, state: State, context: Context, signal: AbortSignal): Promise<void> {
  if (!node.orphaning) return;
  const results = await Promise.allSettled([...node.dependents ?? []].map(async (dependent) => {
    for (;;) {
      const live = await read(dependent.resource!, dependent.namespace, dependent.name, context, signal);
      if (!live || live.metadata.uid !== dependent.uid || !live.metadata.ownerReferences?.some((reference) => reference.uid === node.uid)) return;
      try {
        await context.client.request({
          method: 'PATCH', path: pathOf(dependent.resource!, dependent.namespace, dependent.name), contentType: 'application/merge-patch+json', signal,
          body: { metadata: { resourceVersion: live.metadata.resourceVersion, ownerReferences: live.metadata.ownerReferences.filter((reference) => reference.uid !== node.uid) } },
        });
        return;
      } catch (err) { if (isNotFound(err) || isStatusError(err, 'Invalid')) return; if (!isConflict(err)) throw err; }
    }
  }));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  await removeFinalizer(node, orphanFinalizer, state, context, signal);
}
