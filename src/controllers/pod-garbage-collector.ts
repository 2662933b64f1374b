/**
 * Removes pods nobody else will: those bound to nodes that are gone, terminating ones that were never bound, those on nodes
 * marked out of service, and the oldest finished ones beyond a threshold. Upstream: pkg/controller/podgc.
 * Differs: woken by node and pod events with one timer, where upstream lists every 20 s; the 40 s quarantine stays.
 */
import { timestamp, every } from '../base/clock.ts';
import type { Node, Pod } from '../api/core/v1.ts';
import { nodes, pods } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { defineController, done, requeueAfter, type Context } from './framework.ts';
import { isTerminal, podCondition } from './pods.ts';

const sweepMs = 20_000;
const quarantineMs = 40_000;
const outOfService = 'node.kubernetes.io/out-of-service';

/** Keys are node names; '' stands for pods without a node, '*' for the count of finished pods. */
export const podGarbageCollector = defineController({
  name: 'pod-garbage-collector-controller', account: 'pod-garbage-collector', aliases: ['podgc'], component: 'pod-garbage-collector', writes: ['pods', 'pods/status'], workers: 1,
  watches: [
    { resource: nodes, keys: ({ next, any }: { next?: Node; any: Node }) => (!next || any.spec.taints?.some((taint) => taint.key === outOfService) ? [any.metadata.name] : []) },
    {
      resource: pods,
      *keys({ next }: { next?: Pod }, context) {
        if (!next) return;
        if (isTerminal(next)) { const state = context.state as { finished: boolean }; state.finished = true; }
        if (next.metadata.deletionTimestamp && !next.spec.nodeName) yield '';
        else if (next.spec.nodeName && context.cache(nodes).hasSynced && !context.cache(nodes).get(next.spec.nodeName)) yield next.spec.nodeName;
      },
    },
  ],
  setup(context) {
    context.cache(pods).addIndex('node', (pod) => [pod.spec.nodeName ?? '']);
    context.cache(nodes);
    return { finished: false, missingSince: new Map<string, number>() };
  },
  async run(context) {
    for (const pod of context.cache(pods).list()) if (pod.spec.nodeName && !context.cache(nodes).get(pod.spec.nodeName)) context.enqueue(pod.spec.nodeName);
    const state = context.state as { finished: boolean };
    await every(context.clock, sweepMs, context.signal, () => { if (state.finished) { state.finished = false; context.enqueue('*'); } });
  },
  async reconcile(key, context, signal) {
    const all = context.cache(pods);
    const { clock } = context;
    if (key === '*') {
      const threshold = context.options.terminatedPodGCThreshold ?? 12_500;
      if (threshold <= 0) return done;
      const finished = all.list().filter(isTerminal);
      if (finished.length <= threshold) return done;
      const age = (pod: Pod) => pod.metadata.creationTimestamp ?? '';
      const evicted = (pod: Pod) => (pod.status?.reason === 'Evicted' ? 0 : 1);
      finished.sort((a, b) => evicted(a) - evicted(b) || (age(a) < age(b) ? -1 : 1));
      await Promise.all(finished.slice(0, finished.length - threshold).map((pod) => remove(pod, undefined, context, signal)));
      return done;
    }
    if (key === '') {
      await Promise.all(all.byIndex('node', '').filter((pod) => pod.metadata.deletionTimestamp).map((pod) => remove(pod, undefined, context, signal)));
      return done;
    }
    const { missingSince } = context.state as { missingSince: Map<string, number> };
    const node = context.cache(nodes).get(key);
    if (node) {
      missingSince.delete(key);
      const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
      if (ready?.status === 'True' || !node.spec.taints?.some((taint) => taint.key === outOfService)) return done;
      await Promise.all(all.byIndex('node', key).filter((pod) => pod.metadata.deletionTimestamp).map((pod) => remove(pod, undefined, context, signal)));
      return done;
    }
    const orphans = all.byIndex('node', key);
    if (orphans.length === 0) { missingSince.delete(key); return done; }
    const since = missingSince.get(key) ?? clock.monotonic();
    missingSince.set(key, since);
    const left = since + quarantineMs - clock.monotonic();
    if (left > 0) return requeueAfter(left);
    try { await context.client.for(nodes).get({ name: key }, { signal }); return requeueAfter(sweepMs); } catch (err) { if (!isNotFound(err)) throw err; }
    await Promise.all(orphans.map((pod) => remove(pod, 'PodGC: node no longer exists', context, signal)));
    missingSince.delete(key);
    return done;
  },
});

async function remove(pod: Pod, disruption: string | undefined, { client, clock, log }: Context, signal: AbortSignal): Promise<void> {
  try {
    if (!isTerminal(pod)) {
      const conditions = disruption && podCondition(pod, 'DisruptionTarget')?.status !== 'True'
        ? [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC', message: disruption, lastTransitionTime: timestamp(clock.now()) }] : undefined;
      await client.for(pods).patch(pod.metadata, 'strategic', { status: { phase: 'Failed', ...(conditions ? { conditions } : {}) } }, { subresource: 'status', signal });
    }
    await client.for(pods).delete(pod.metadata, { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid }, signal });
    log.debug({ pod: `${pod.metadata.namespace}/${pod.metadata.name}` }, 'forced deletion of an orphaned or finished pod');
  } catch (err) { if (!isNotFound(err)) throw err; }
}
