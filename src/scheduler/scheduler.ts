/**
 * kube-scheduler: takes pods without a node from the queue, runs a cycle for each, and binds. The cycle is synchronous; binding runs
 * beside it, on the assumption that it will succeed. Source: scheduler/schedule_one.go; KEP-624.
 */
import type { Clock } from '../base/clock.ts';
import { timestamp } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Pod, PodCondition } from '../api/core/v1.ts';
import { isNotFound } from '../api/meta/status.ts';
import { namespaces, nodes, persistentvolumeclaims, persistentvolumes, poddisruptionbudgets, pods, storageclasses } from '../api/resources.ts';
import type { ApiObject, Client } from '../client/client.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Informer, InformerFactory } from '../client/informer.ts';
import type { PodDisruptionBudget } from '../api/policy/v1.ts';
import { SchedulerCache } from './cache.ts';
import { SchedulingCycle } from './cycle.ts';
import type { EventType, Plugin } from './framework.ts';
import { type SchedulerMetrics, schedulerMetrics } from './metrics.ts';
import { defaultPlugins } from './plugins/all.ts';
import { isTerminal, type PodInfo, podInfoOf } from './pod-info.ts';
import { wasResized } from './resources.ts';
import { planPreemption } from './preemption.ts';
import { type QueuedPod, SchedulingQueue } from './queue.ts';
import type { Registry } from 'prom-client';

export interface SchedulerOptions {
  client: Client;
  informers: InformerFactory;
  recorder: EventRecorder;
  clock: Clock;
  rng: Rng;
  log: Logger;
  signal: AbortSignal;
  /** Pods with this spec.schedulerName are ours. */
  schedulerName?: string;
  plugins?: readonly Plugin[];
  metrics?: Registry;
}

/** Bindings under way at once; further decisions wait. */
const bindingLimit = 256;
/** After this many cycles in one go, others on the thread get their turn. */
const cyclesPerTurn = 32;

/** Runs until the signal aborts. */
export async function runScheduler(options: SchedulerOptions): Promise<void> {
  const scheduler = new Scheduler(options);
  await scheduler.run();
}

class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #schedulerName: string;
  readonly #cache: SchedulerCache;
  readonly #queue: SchedulingQueue;
  readonly #cycle: SchedulingCycle;
  readonly #metrics: SchedulerMetrics | undefined;
  readonly #plugins: readonly Plugin[];
  readonly #budgets: Informer<PodDisruptionBudget>;
  #binding = 0;
  #bindingFreed: (() => void) | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#schedulerName = options.schedulerName ?? 'default-scheduler';
    const plugins = options.plugins ?? defaultPlugins;
    this.#plugins = plugins;
    const [claims, volumes, classes] = [options.informers.informer(persistentvolumeclaims), options.informers.informer(persistentvolumes), options.informers.informer(storageclasses)];
    this.#cache = new SchedulerCache({ claim: (namespace, name) => claims.get(`${namespace}/${name}`), volume: (name) => volumes.get(name), volumes: () => volumes.list(), storageClass: (name) => classes.get(name) });
    this.#budgets = options.informers.informer(poddisruptionbudgets);
    this.#queue = new SchedulingQueue({ clock: options.clock, plugins });
    this.#cycle = new SchedulingCycle(plugins, options.rng);
    this.#metrics = options.metrics && schedulerMetrics(options.metrics, () => this.#queue.pending);
    this.#watch(plugins);
  }

  async run(): Promise<void> {
    const { informers, signal, log } = this.#options;
    const stop = () => { this.#queue.close(); this.#bindingFreed?.(); };
    signal.addEventListener('abort', stop, { once: true });
    try { await informers.synced(signal); } catch { return; }
    log.info('scheduler started');
    let cycles = 0;
    while (!signal.aborted && await this.#queue.ready()) {
      const pod = this.#queue.pop();
      if (!pod) continue;
      this.#schedule(pod);
      while (this.#binding >= bindingLimit && !signal.aborted) await new Promise<void>((resolve) => { this.#bindingFreed = resolve; });
      if (++cycles % cyclesPerTurn === 0) await new Promise<void>((resolve) => { setImmediate(resolve); });
    }
  }

  /** Feeds cache and queue from the informers that the plugins' registrations name. */
  #watch(plugins: readonly Plugin[]): void {
    const { informers } = this.#options;
    informers.informer(nodes).addHandler({
      onAdd: (node) => { this.#cache.setNode(node); this.#event(nodes, 'add', undefined, node); },
      onUpdate: (old, node) => { this.#cache.setNode(node); this.#event(nodes, 'update', old, node); },
      onDelete: (node) => { this.#cache.removeNode(node.metadata.name); this.#event(nodes, 'delete', node, node); },
    });
    informers.informer(pods).addHandler({
      onAdd: (pod) => this.#onPod(undefined, pod),
      onUpdate: (old, pod) => this.#onPod(old, pod),
      onDelete: (pod) => {
        this.#queue.remove(pod.metadata.uid!);
        if (!pod.spec.nodeName) { this.#cache.nominate(podInfoOf(pod), undefined); return; }
        this.#cache.removePod(pod);
        this.#event(pods, 'delete', pod, pod);
      },
    });
    const setNamespace = ({ metadata }: ApiObject) => this.#cache.setNamespace(metadata.name, metadata.labels);
    informers.informer(namespaces).addHandler({ onAdd: setNamespace, onUpdate: (_, namespace) => setNamespace(namespace), onDelete: ({ metadata }) => this.#cache.removeNamespace(metadata.name) });
    const others = new Set(plugins.flatMap((plugin) => plugin.requeueOn.map((registration) => registration.resource)));
    others.delete(nodes);
    others.delete(pods);
    for (const resource of others) {
      informers.informer(resource as typeof nodes as never).addHandler({
        onAdd: (object: ApiObject) => this.#event(resource, 'add', undefined, object),
        onUpdate: (old: ApiObject, object: ApiObject) => this.#event(resource, 'update', old, object),
        onDelete: (object: ApiObject) => this.#event(resource, 'delete', object, object),
      });
    }
  }

  #onPod(old: Pod | undefined, pod: Pod): void {
    if (pod.spec.nodeName) {
      this.#queue.remove(pod.metadata.uid!);
      const wasHere = Boolean(old?.spec.nodeName);
      // Only what sums and selectors depend on is worth the work; a status heartbeat is not.
      if (wasHere && old!.spec === pod.spec && old!.metadata.labels === pod.metadata.labels && isTerminal(old!) === isTerminal(pod) && !(wasResized(pod) && old!.status !== pod.status)) return;
      this.#cache.setPod(pod);
      this.#event(pods, !wasHere ? 'add' : isTerminal(pod) ? 'delete' : 'update', old, pod);
    } else if ((pod.spec.schedulerName ?? 'default-scheduler') === this.#schedulerName && !isTerminal(pod)) {
      if (pod.metadata.deletionTimestamp) this.#queue.remove(pod.metadata.uid!);
      else if (!this.#cache.isAssumed(pod.metadata.uid!)) {
        const info = podInfoOf(pod);
        this.#cache.nominate(info, pod.status?.nominatedNodeName);
        this.#queue.set(info);
      }
    }
  }

  #event(resource: Parameters<SchedulingQueue['onEvent']>[0]['resource'], type: EventType, old: ApiObject | undefined, object: ApiObject): void {
    this.#queue.onEvent({ resource, type, old, object });
  }

  #schedule(queued: QueuedPod): void {
    const { clock, log } = this.#options;
    const started = clock.monotonic();
    try {
      const result = this.#cycle.run(queued.info, this.#cache);
      this.#metrics?.attempt(result.outcome === 'chosen' ? 'scheduled' : 'unschedulable', (clock.monotonic() - started) / 1000);
      if (result.outcome === 'chosen') void this.#bind(queued, result.node.name);
      else {
        const plan = planPreemption(queued.info, this.#plugins, this.#cache, result.refusals, this.#budgets.list());
        if ('victims' in plan) void this.#preempt(queued, plan.nodeName, plan.victims, result);
        else void this.#refuse(queued, `${result.message} preemption: ${plan.message}`, result.refusedBy);
      }
    } catch (err) {
      this.#metrics?.attempt('error', (clock.monotonic() - started) / 1000);
      log.error({ err, pod: queued.info.key }, 'scheduling failed');
      this.#queue.failed(queued, new Set());
    }
  }

  async #bind(queued: QueuedPod, nodeName: string): Promise<void> {
    const { client, log, recorder, signal, clock } = this.#options;
    const { info } = queued;
    const { namespace, name, uid } = info.pod.metadata;
    this.#cache.assume(info, nodeName);
    this.#cache.nominate(info, undefined);
    this.#binding++;
    try {
      const node = this.#cache.node(nodeName);
      for (const plugin of this.#plugins) if (node && plugin.preBind) await plugin.preBind(info, node, this.#cache, { client, clock, signal });
      await client.for(pods).createSubresource({ namespace, name }, 'binding', {
        apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace, uid }, target: { kind: 'Node', name: nodeName },
      }, { signal });
      this.#queue.done(info.uid);
      this.#metrics?.scheduled((clock.now() - queued.addedAt) / 1000, queued.attempts);
      recorder.event(info.pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${nodeName}`, { action: 'Binding' });
    } catch (err) {
      this.#cache.forget(info);
      this.#event(pods, 'delete', info.pod, info.pod); // its room is free again
      if (signal.aborted) return;
      if (isNotFound(err)) { this.#queue.done(info.uid); return; }
      log.warn({ err, pod: info.key, node: nodeName }, 'binding failed; the pod will be tried again');
      this.#queue.failed(queued, new Set());
    } finally {
      this.#binding--;
      const freed = this.#bindingFreed;
      this.#bindingFreed = undefined;
      freed?.();
    }
  }

  /** Ends the victims and promises their room to the pod, which comes back when they are gone. */
  async #preempt(queued: QueuedPod, nodeName: string, victims: readonly PodInfo[], { message, refusedBy }: { message: string; refusedBy: Set<string> }): Promise<void> {
    const { client, recorder, clock, log, signal } = this.#options;
    const { info } = queued;
    this.#cache.nominate(info, nodeName);
    const refused = this.#refuse(queued, message, refusedBy, nodeName);
    await Promise.all(victims.map(async ({ pod, key }) => {
      const { namespace, name, uid } = pod.metadata;
      const condition: PodCondition = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: `${this.#schedulerName}: preempting to accommodate a higher priority pod`, lastTransitionTime: timestamp(clock.now()) };
      try {
        await client.for(pods).patch({ namespace, name }, 'strategic', { metadata: { uid }, status: { conditions: [{ ...condition }] } }, { subresource: 'status', signal });
        await client.for(pods).delete({ namespace, name }, { preconditions: { uid }, signal });
        recorder.event(pod, 'Normal', 'Preempted', `Preempted by pod ${info.uid} on node ${nodeName}`, { action: 'Preempting', related: { apiVersion: 'v1', kind: 'Pod', name: info.pod.metadata.name, namespace: info.pod.metadata.namespace, uid: info.uid } });
      } catch (err) { if (!isNotFound(err) && !signal.aborted) log.warn({ err, pod: key }, 'could not preempt the pod'); }
    }));
    await refused;
  }

  /** Back to the queue, then tell the user: an event, and the PodScheduled condition if that changes. */
  async #refuse(queued: QueuedPod, message: string, refusedBy: Set<string>, nominatedNodeName?: string): Promise<void> {
    const { client, recorder, clock, log, signal } = this.#options;
    const { pod } = queued.info;
    this.#queue.failed(queued, refusedBy);
    recorder.event(pod, 'Warning', 'FailedScheduling', message, { action: 'Scheduling' });
    const known = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
    const nominated = nominatedNodeName !== undefined && nominatedNodeName !== pod.status?.nominatedNodeName;
    if (!nominated && known?.status === 'False' && known.reason === 'Unschedulable' && known.message === message) return;
    const condition: PodCondition = {
      type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message,
      lastTransitionTime: known?.status === 'False' ? known.lastTransitionTime! : timestamp(clock.now()),
      ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    };
    try {
      await client.for(pods).patch({ namespace: pod.metadata.namespace, name: pod.metadata.name }, 'strategic', { metadata: { uid: pod.metadata.uid }, status: { conditions: [{ ...condition }], ...(nominated ? { nominatedNodeName } : {}) } }, { subresource: 'status', signal });
    } catch (err) {
      if (!isNotFound(err) && !signal.aborted) log.warn({ err, pod: queued.info.key }, 'could not write the PodScheduled condition');
    }
  }
}

