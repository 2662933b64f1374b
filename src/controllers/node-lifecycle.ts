/**
 * Watches over nodes: a silent kubelet's conditions become Unknown, conditions become taints, and nodes that stay away get
 * NoExecute taints, zone by zone at a limited rate. Upstream: pkg/controller/nodelifecycle, with its figures.
 */
import type { Lease } from '../api/coordination/v1.ts';
import type { Node, NodeCondition, Pod, Taint } from '../api/core/v1.ts';
import { leases, nodes, pods } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { every, timestamp } from '../base/clock.ts';
import { defineController, done, type Context } from './framework.ts';
import { millis, podCondition } from './pods.ts';
import { changedTaints, notReadyTaint, unreachableTaint } from './taints.ts';

const startupGraceMs = 60_000;
const defaultGraceMs = 50_000;
const defaultPeriodMs = 5_000;
const unhealthyZoneShare = 0.55;
const largeZone = 50;
const secondaryRate = 0.01;
const watchedConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];
const nodeLeaseNamespace = 'kube-node-lease';

interface Health { probedAt: number; heartbeat: string; transition: string; renewTime: string; ready: string }
interface Zone { nextAt: number; waiting: Map<string, Taint>; state: 'Normal' | 'PartialDisruption' | 'FullDisruption' }
interface State { health: Map<string, Health>; zones: Map<string, Zone> }

const conditionOf = (node: Node, type: string): NodeCondition | undefined => node.status?.conditions?.find((condition) => condition.type === type);
const zoneOf = (node: Node): string => `${node.metadata.labels?.['topology.kubernetes.io/region'] ?? ''}:\0:${node.metadata.labels?.['topology.kubernetes.io/zone'] ?? ''}`;

export const nodeLifecycleController = defineController({
  name: 'node-lifecycle-controller', account: 'node-controller', aliases: ['nodelifecycle'], component: 'node-controller', for: nodes, writes: ['nodes', 'nodes/status', 'pods/status'], workers: 8,
  when: (old: Node | undefined, next: Node) => !old || old.spec !== next.spec || old.status?.conditions !== next.status?.conditions,
  setup(context): State {
    context.cache(leases);
    context.cache(pods).addIndex('node', (pod) => [pod.spec.nodeName ?? '']);
    const state: State = { health: new Map(), zones: new Map() };
    context.cache(nodes).addHandler({
      onAdd: (node, initial) => { if (!initial) context.events.event({ kind: 'Node', name: node.metadata.name, uid: node.metadata.uid }, 'Normal', 'RegisteredNode', `Node ${node.metadata.name} event: Registered Node ${node.metadata.name} in Controller`); },
      onDelete: (node) => {
        context.events.event({ kind: 'Node', name: node.metadata.name, uid: node.metadata.uid }, 'Normal', 'RemovingNode', `Node ${node.metadata.name} event: Removing Node ${node.metadata.name} from Controller`);
        state.health.delete(node.metadata.name);
        for (const zone of state.zones.values()) zone.waiting.delete(node.metadata.name);
      },
    });
    return state;
  },
  run: (context) => every(context.clock, context.options.nodeMonitorPeriodMs ?? defaultPeriodMs, context.signal, async () => {
    try { await monitor(context); } catch (err) { if (!context.signal.aborted) context.log.warn({ err: String(err) }, 'monitoring nodes failed; will retry'); }
  }, { immediately: true }),
  // Conditions and cordoning become NoSchedule taints at once.
  async reconcile(name, { cache, client, clock }, signal) {
    const node = cache(nodes).get(name);
    if (!node) return done;
    const time = timestamp(clock.now());
    const wanted = noScheduleTaints(node);
    const managed = [notReadyTaint, unreachableTaint, ...pressureTaints.map(([, , key]) => key), unschedulableTaint].map((key): Taint => ({ key, effect: 'NoSchedule' }));
    const taints = changedTaints(node, wanted.map((taint) => ({ ...taint, timeAdded: time })), managed.filter((taint) => !wanted.some((one) => one.key === taint.key)));
    if (taints) await writeTaints(node, taints, client, signal);
    return done;
  },
});

const unschedulableTaint = 'node.kubernetes.io/unschedulable';
const pressureTaints: readonly (readonly [string, string, string])[] = [
  ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'], ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'],
  ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'], ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
];
export function noScheduleTaints(node: Node): Taint[] {
  const taints: Taint[] = [];
  const ready = conditionOf(node, 'Ready')?.status;
  if (ready === 'False') taints.push({ key: notReadyTaint, effect: 'NoSchedule' });
  if (ready === 'Unknown') taints.push({ key: unreachableTaint, effect: 'NoSchedule' });
  for (const [type, status, key] of pressureTaints) if (conditionOf(node, type)?.status === status) taints.push({ key, effect: 'NoSchedule' });
  if (node.spec.unschedulable) taints.push({ key: unschedulableTaint, effect: 'NoSchedule' });
  return taints;
}

async function writeTaints(node: Node, taints: readonly Taint[], client: Context['client'], signal: AbortSignal): Promise<void> {
  try {
    await client.for(nodes).patch({ name: node.metadata.name }, 'merge', { metadata: { resourceVersion: node.metadata.resourceVersion! }, spec: { taints: taints.length ? taints.map((taint) => ({ ...taint })) : null } }, { signal });
  } catch (err) { if (!isNotFound(err)) throw err; }
}

async function monitor(context: Context): Promise<void> {
  const { cache, clock, state } = context;
  const { zones } = state as State;
  const byZone = new Map<string, { ready: number; notReady: number }>();
  const current: Node[] = [];
  for (const cached of cache(nodes).list()) {
    let node = cached;
    try { node = await updateHealth(cached, context); } catch (err) { context.log.debug({ node: cached.metadata.name, err: String(err) }, 'could not update the node; will retry'); continue; }
    current.push(node);
    const zone = zoneOf(node);
    const counts = byZone.get(zone) ?? { ready: 0, notReady: 0 };
    if (conditionOf(node, 'Ready')?.status === 'True') counts.ready++; else counts.notReady++;
    byZone.set(zone, counts);
    if (!zones.has(zone)) zones.set(zone, { nextAt: 0, waiting: new Map(), state: 'Normal' });
  }
  for (const [name, zone] of zones) {
    const counts = byZone.get(name);
    if (!counts) { zones.delete(name); continue; }
    zone.state = counts.ready === 0 && counts.notReady > 0 ? 'FullDisruption' : counts.notReady > 2 && counts.notReady / (counts.ready + counts.notReady) >= unhealthyZoneShare ? 'PartialDisruption' : 'Normal';
  }
  const allDown = zones.size > 0 && [...zones.values()].every((zone) => zone.state === 'FullDisruption');
  for (const node of current) {
    const zone = zones.get(zoneOf(node))!;
    const ready = conditionOf(node, 'Ready')?.status;
    const { name } = node.metadata;
    const noExecute = (key: string): Taint => ({ key, effect: 'NoExecute' });
    // When nothing answers, the fault is likely ours: nobody is evicted.
    if (ready === 'True' || allDown) {
      zone.waiting.delete(name);
      const taints = changedTaints(node, [], [noExecute(notReadyTaint), noExecute(unreachableTaint)]);
      if (taints) await attempt(writeTaints(node, taints, context.client, context.signal), context);
      continue;
    }
    const [want, other] = ready === 'False' ? [notReadyTaint, unreachableTaint] : [unreachableTaint, notReadyTaint];
    const has = (key: string) => node.spec.taints?.some((taint) => taint.key === key && taint.effect === 'NoExecute');
    if (has(want)) zone.waiting.delete(name);
    else if (has(other)) await attempt(writeTaints(node, changedTaints(node, [{ ...noExecute(want), timeAdded: timestamp(clock.now()) }], [noExecute(other)])!, context.client, context.signal), context);
    else zone.waiting.set(name, noExecute(want));
  }
  for (const [key, zone] of zones) {
    if (zone.waiting.size === 0) continue;
    const counts = byZone.get(key)!;
    const rate = zone.state === 'PartialDisruption' ? (counts.ready + counts.notReady > largeZone ? secondaryRate : 0) : context.options.nodeEvictionRate ?? 0.1;
    if (rate <= 0 || clock.monotonic() < zone.nextAt) continue;
    const [name, taint] = zone.waiting.entries().next().value!;
    zone.waiting.delete(name);
    const node = cache(nodes).get(name);
    if (!node) continue;
    const taints = changedTaints(node, [{ ...taint, timeAdded: timestamp(clock.now()) }], []);
    if (taints) await attempt(writeTaints(node, taints, context.client, context.signal), context);
    zone.nextAt = clock.monotonic() + 1000 / rate;
  }
}

async function attempt(work: Promise<void>, context: Context): Promise<void> {
  try { await work; } catch (err) { if (!context.signal.aborted) context.log.debug({ err: String(err) }, 'could not write taints; will retry'); }
}

/** Marks a node whose kubelet has been silent too long; returns the node as it is then. */
async function updateHealth(node: Node, context: Context): Promise<Node> {
  const { clock, client, events, options, state } = context;
  const { health } = state as State;
  const { name } = node.metadata;
  const now = clock.now();
  const ready = conditionOf(node, 'Ready');
  const lease: Lease | undefined = context.cache(leases).get(`${nodeLeaseNamespace}/${name}`);
  const seen = { heartbeat: ready?.lastHeartbeatTime ?? '', transition: ready?.lastTransitionTime ?? '', renewTime: lease?.spec.renewTime ?? '' };
  let known = health.get(name);
  if (!known) health.set(name, known = { ...seen, probedAt: ready ? now : millis(node.metadata.creationTimestamp) || now, ready: ready?.status ?? '' });
  else if (known.heartbeat !== seen.heartbeat || known.renewTime < seen.renewTime || (known.transition !== seen.transition && ready?.status !== 'Unknown')) known.probedAt = now;
  Object.assign(known, seen);
  const graceMs = ready ? options.nodeMonitorGracePeriodMs ?? defaultGraceMs : startupGraceMs;
  let next = node;
  if (now > known.probedAt + graceMs) {
    const time = timestamp(now);
    const conditions = [...node.status?.conditions ?? []];
    let changed = false;
    for (const type of watchedConditions) {
      const at = conditions.findIndex((condition) => condition.type === type);
      if (at < 0) {
        changed = true;
        conditions.push({ type, status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.', lastHeartbeatTime: node.metadata.creationTimestamp, lastTransitionTime: time });
      } else if (conditions[at]!.status !== 'Unknown') {
        changed = true;
        conditions[at] = { ...conditions[at]!, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.', lastTransitionTime: time };
      }
    }
    if (changed) next = await client.for(nodes).updateStatus({ ...node, status: { ...node.status, conditions } }, { signal: context.signal });
  }
  const status = conditionOf(next, 'Ready')?.status ?? '';
  if (known.ready === 'True' && status !== 'True') {
    events.event({ kind: 'Node', name, uid: node.metadata.uid }, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    await markPodsNotReady(name, context);
  }
  known.ready = status;
  return next;
}

/** Endpoints must not lead to pods on a node nobody hears of. */
async function markPodsNotReady(node: string, { cache, client, clock, events, signal }: Context): Promise<void> {
  await Promise.all(cache(pods).byIndex('node', node).map(async (pod: Pod) => {
    if (podCondition(pod, 'Ready')?.status !== 'True') return;
    const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: timestamp(clock.now()) }];
    try {
      await client.for(pods).patch(pod.metadata, 'strategic', { metadata: { uid: pod.metadata.uid! }, status: { conditions } }, { subresource: 'status', signal });
      events.event(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
    } catch (err) { if (!isNotFound(err)) throw err; }
  }));
}
