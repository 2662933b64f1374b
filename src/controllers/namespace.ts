/**
 * Empties a namespace that is being deleted, kind by kind as discovery lists them, then takes the `kubernetes` finalizer off.
 * Upstream: pkg/controller/namespace/deletion (conditions, messages and reasons are its).
 */
import type { Namespace, NamespaceCondition, Pod } from '../api/core/v1.ts';
import { namespaces, pods } from '../api/resources.ts';
import { isConflict, isNotFound, isStatusError } from '../api/meta/status.ts';
import { timestamp } from '../base/clock.ts';
import { same } from './canonical.ts';
import { defineController, done, requeueAfter, type Context } from './framework.ts';
import { discoverPreferred, type DiscoveredResource } from './discovery.ts';

const finalizer = 'kubernetes';
/** Objects still ending gracefully are looked at again after half their estimate, at least this long. */
const recheckMs = 1000;

interface Left { groupResource: string; count: number; finalizers: Map<string, number>; waitSeconds: number }

export const namespaceController = defineController({
  name: 'namespace-controller', aliases: ['namespace'], for: namespaces, writes: ['*', 'namespaces/status', 'namespaces/finalize'], workers: 10,
  when: (_, next: Namespace) => next.metadata.deletionTimestamp !== undefined,
  // The last pod gone is what most deletions wait for.
  watches: [{ resource: pods, keys: ({ next, any }: { next?: Pod; any: Pod }, { cache }) => {
    const namespace = any.metadata.namespace!;
    return !next && cache(namespaces).get(namespace)?.metadata.deletionTimestamp && cache(pods).list(namespace).length === 0 ? [namespace] : [];
  } }],
  async reconcile(name, context, signal) {
    const cached = context.cache(namespaces).get(name);
    if (!cached?.metadata.deletionTimestamp) return done;
    const api = context.client.for(namespaces);
    let namespace: Namespace;
    try { namespace = await api.get({ name }, { signal }); } catch (err) { if (isNotFound(err)) return done; throw err; }
    if (!namespace.metadata.deletionTimestamp || namespace.metadata.uid !== cached.metadata.uid) return done;
    if (namespace.status?.phase !== 'Terminating') namespace = await api.updateStatus({ ...namespace, status: { ...namespace.status, phase: 'Terminating' } }, { signal });
    if (!namespace.spec?.finalizers?.includes(finalizer)) return done;

    const { resources, error: discoveryError } = await discoverPreferred(context.client, ['delete'], signal);
    const left: Left[] = [];
    const deleteErrors: string[] = [];
    let podsFailed = false;
    // Pods first, and nothing else until the last is gone: what guards or serves them must outlive them (KEP-5080).
    const ordered = [...resources.filter(isPods), ...resources.filter((resource) => !isPods(resource))];
    for (const resource of ordered) {
      if (!resource.namespaced) continue;
      if (!isPods(resource) && (podsFailed || left[0]?.groupResource === podsGroupResource)) break;
      try {
        const remaining = await emptyOf(resource, name, context, signal);
        if (remaining.count > 0) left.push(remaining);
      } catch (err) {
        if (signal.aborted) throw err;
        deleteErrors.push((err as Error).message);
        podsFailed ||= isPods(resource);
      }
    }
    const conditions = conditionsFor(namespace.status?.conditions ?? [], left, deleteErrors, discoveryError, context.clock.now());
    if (!same(conditions, namespace.status?.conditions ?? [])) {
      try { namespace = await api.updateStatus({ ...namespace, status: { ...namespace.status, conditions } }, { signal }); } catch (err) { if (isNotFound(err)) return done; throw err; }
    }
    if (discoveryError) throw new Error(discoveryError);
    if (deleteErrors.length > 0) throw new Error(deleteErrors.join('; '));
    if (left.length > 0) return requeueAfter(Math.max(recheckMs, ...left.map((one) => (one.waitSeconds / 2) * 1000)));
    try {
      await api.update({ ...namespace, spec: { ...namespace.spec, finalizers: (namespace.spec.finalizers ?? []).filter((one) => one !== finalizer) } }, { subresource: 'finalize', signal });
    } catch (err) { if (isConflict(err)) return requeueAfter(1); if (!isNotFound(err)) throw err; }
    return done;
  },
});

const isPods = ({ group, name }: DiscoveredResource) => group === '' && name === 'pods';
const podsGroupResource = 'pods.';

interface Item { metadata: { name: string; finalizers?: string[] } }

async function emptyOf(resource: DiscoveredResource, namespace: string, { client }: Context, signal: AbortSignal): Promise<Left> {
  const path = `${resource.base}/namespaces/${namespace}/${resource.name}`;
  const list = async () => (await client.request({ method: 'GET', path, signal }) as unknown as { items?: Item[] }).items ?? [];
  const canList = resource.verbs.includes('list');
  const left: Left = { groupResource: `${resource.name}.${resource.group}`, count: 0, finalizers: new Map(), waitSeconds: 0 };
  if (!canList) return left;
  let items = await list();
  if (items.length === 0) return left;
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
  try {
    if (resource.verbs.includes('deletecollection')) await client.request({ method: 'DELETE', path, body, signal });
    else throw methodNotAllowed;
  } catch (err) {
    if (err !== methodNotAllowed && !isStatusError(err, 'MethodNotAllowed') && !isStatusError(err, 'NotFound')) throw err;
    for (const item of items) {
      try { await client.request({ method: 'DELETE', path: `${path}/${item.metadata.name}`, body, signal }); } catch (one) { if (!isNotFound(one) && !isStatusError(one, 'MethodNotAllowed')) throw one; }
    }
  }
  items = await list();
  left.count = items.length;
  for (const item of items) for (const name of item.metadata.finalizers ?? []) left.finalizers.set(name, (left.finalizers.get(name) ?? 0) + 1);
  if (resource.group === '' && resource.name === 'pods') {
    for (const pod of items as unknown as Pod[]) left.waitSeconds = Math.max(left.waitSeconds, pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0);
  }
  return left;
}
const methodNotAllowed = new Error('no deletecollection');

function conditionsFor(old: readonly NamespaceCondition[], left: readonly Left[], deleteErrors: readonly string[], discoveryError: string | undefined, now: number): NamespaceCondition[] {
  const next = [...old];
  const set = (type: string, bad: boolean, badReason: string, badMessage: string, goodReason: string, goodMessage: string) => {
    const [status, reason, message] = bad ? ['True', badReason, badMessage] : ['False', goodReason, goodMessage];
    const at = next.findIndex((condition) => condition.type === type);
    const known = next[at];
    if (known && known.status === status && known.reason === reason && known.message === message) return;
    const made: NamespaceCondition = { type, status, reason, message, lastTransitionTime: timestamp(now) };
    if (at < 0) next.push(made); else next[at] = made;
  };
  const sorted = [...left].sort((a, b) => (a.groupResource < b.groupResource ? -1 : 1));
  const finalizers = new Map<string, number>();
  for (const one of left) for (const [name, count] of one.finalizers) finalizers.set(name, (finalizers.get(name) ?? 0) + count);
  set('NamespaceDeletionDiscoveryFailure', discoveryError !== undefined, 'DiscoveryFailed', `Discovery failed for some groups, 1 failing: ${discoveryError ?? ''}`, 'ResourcesDiscovered', 'All resources successfully discovered');
  set('NamespaceDeletionGroupVersionParsingFailure', false, '', '', 'ParsedGroupVersions', 'All legacy kube types successfully parsed');
  set('NamespaceDeletionContentFailure', deleteErrors.length > 0, 'ContentDeletionFailed', `Failed to delete all resource types, ${deleteErrors.length} remaining: ${deleteErrors.join(', ')}`, 'ContentDeleted', 'All content successfully deleted, may be waiting on finalization');
  set('NamespaceContentRemaining', sorted.length > 0, 'SomeResourcesRemain', `Some resources are remaining: ${sorted.map((one) => `${one.groupResource} has ${one.count} resource instances`).join(', ')}`, 'ContentRemoved', 'All content successfully removed');
  set('NamespaceFinalizersRemaining', finalizers.size > 0, 'SomeFinalizersRemain', `Some content in the namespace has finalizers remaining: ${[...finalizers].sort().map(([name, count]) => `${name} in ${count} resource instances`).join(', ')}`, 'ContentHasNoFinalizers', 'All content-preserving finalizers finished');
  return next;
}
