/** Deletes pods from nodes with NoExecute taints they don't tolerate, or no longer. Upstream: pkg/controller/tainteviction. */
import type { Node, Pod, Taint } from '../api/core/v1.ts';
import { nodes, pods } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { timestamp } from '../base/clock.ts';
import { keyOf } from '../client/informer.ts';
import { same } from './canonical.ts';
import { defineController, done, requeueAfter } from './framework.ts';
import { podCondition } from './pods.ts';
import { toleratedMs } from './taints.ts';

const noExecute = (node: Node | undefined): Taint[] => (node?.spec.taints ?? []).filter((taint) => taint.effect === 'NoExecute');

interface State { since: Map<string, { uid: string; at: number }> }

export const taintEvictionController = defineController({
  name: 'taint-eviction-controller', account: 'node-controller', aliases: ['taint-eviction'], writes: ['pods', 'pods/status'], workers: 8,
  watches: [
    {
      resource: pods,
      *keys({ old, next, any }: { old?: Pod; next?: Pod; any: Pod }, { cache, state }) {
        if (!next) { if ((state as State).since.has(keyOf(any))) yield keyOf(any); return; }
        if (next.spec.nodeName && (!old || old.spec.nodeName !== next.spec.nodeName || !same(old.spec.tolerations, next.spec.tolerations)) && noExecute(cache(nodes).get(next.spec.nodeName)).length > 0) yield keyOf(next);
      },
    },
    {
      resource: nodes,
      keys({ old, next, any }: { old?: Node; next?: Node; any: Node }, { cache }) {
        if (!next || same(noExecute(old), noExecute(next))) return [];
        return cache(pods).byIndex('node', any.metadata.name).map(keyOf);
      },
    },
  ],
  setup({ cache }): State {
    cache(pods).addIndex('node', (pod) => [pod.spec.nodeName ?? '']);
    return { since: new Map() };
  },
  async reconcile(key, { cache, client, clock, events, state }, signal) {
    const { since } = state as State;
    const pod = cache(pods).get(key);
    if (!pod?.spec.nodeName || pod.metadata.deletionTimestamp) { since.delete(key); return done; }
    const taints = noExecute(cache(nodes).get(pod.spec.nodeName));
    const staysMs = taints.length === 0 ? undefined : toleratedMs(taints, pod.spec.tolerations ?? []);
    if (staysMs === undefined) {
      if (since.delete(key)) events.event(pod, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`);
      return done;
    }
    let start = since.get(key);
    if (start?.uid !== pod.metadata.uid) since.set(key, start = { uid: pod.metadata.uid!, at: clock.now() });
    const left = start!.at + staysMs - clock.now();
    if (left > 0) return requeueAfter(left);
    events.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
    try {
      if (podCondition(pod, 'DisruptionTarget')?.status !== 'True') {
        const condition = { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint', lastTransitionTime: timestamp(clock.now()) };
        await client.for(pods).patch(pod.metadata, 'strategic', { metadata: { uid: pod.metadata.uid! }, status: { conditions: [condition] } }, { subresource: 'status', signal });
      }
      await client.for(pods).delete(pod.metadata, { preconditions: { uid: pod.metadata.uid }, signal });
    } catch (err) { if (!isNotFound(err)) throw err; }
    since.delete(key);
    return done;
  },
});
