/**
 * What every controller is made of: edges declared as data, and one runner for all. Informers turn changes into keys, a
 * workqueue hands each key to one worker at a time, `reconcile` brings the world closer to the spec and may be called again
 * at any time. Behaviour: controller-runtime's reconcile contract; upstream's ControllerExpectations and controllerRef rules.
 */
import type { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Selector } from '../api/label-selector.ts';
import type { OwnerReference } from '../api/meta/v1.ts';
import { isConflict, isNotFound, isStatusError } from '../api/meta/status.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, Client } from '../client/client.ts';
import { createEventRecorder, type EventCorrelator, type EventRecorder } from '../client/events.ts';
import { keyOf, type Informer, type InformerFactory } from '../client/informer.ts';
import { Workqueue } from '../client/workqueue.ts';
import { Expectations } from './expectations.ts';
import type { ControllerOptions } from './options.ts';

/** Nothing more to do until something changes; or look again after a while. */
export interface Result { requeueAfterMs?: number }
export const done: Result = Object.freeze({});
export const requeueAfter = (ms: number): Result => ({ requeueAfterMs: Math.max(1, ms) });

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Names = ResourceNames<any>;

export interface Owned {
  resource: Names;
  /** Adds and deletes of these count towards expectations. */
  expected?: boolean;
  /** An orphan that matches wakes the owner, who may adopt it. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  selector?(owner: any): Selector;
}
export interface Watched {
  resource: Names;
  /** Which keys a change concerns. `old` is undefined for adds, `next` for deletes. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  keys(change: { old?: any; next?: any; any: any }, context: Context): readonly string[] | Iterable<string>;
}

export interface Context {
  client: Client; clock: Clock; rng: Rng; log: Logger; options: ControllerOptions; metrics: Registry | undefined;
  informers: InformerFactory;
  events: EventRecorder;
  expectations: Expectations;
  signal: AbortSignal;
  /** The shared informer of a resource. */
  cache<T extends ApiObject>(names: ResourceNames<T>): Informer<T>;
  enqueue(key: string, delayMs?: number): void;
  /** Per-controller memory made by `setup`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  state: any;
}

export interface ControllerDefinition {
  /** Upstream's name for `--controllers`, such as 'replicaset-controller'. */
  name: string;
  /** The older short names it also answers to. */
  aliases?: readonly string[];
  /** The service account of kube-system that upstream's default roles know it by; default the name; '' acts as the manager itself. */
  account?: string;
  /** source.component of its events; default the name. */
  component?: string;
  /** The kind whose keys are reconciled; a controller without one enqueues its own. */
  for?: Names;
  /** Which changes of `for` matter; default all. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  when?(old: any, next: any): boolean;
  owns?: readonly Owned[];
  watches?: readonly Watched[];
  /** 'pods', 'replicasets/status': for the graph, and so that each field has one writer. */
  writes: readonly string[];
  /** Reconciles running at a time. Default 5. */
  workers?: number;
  /** Started only when named, as upstream's bootstrap-signer. */
  disabledByDefault?: boolean;
  /** Before informers start: indexes, memory. */
  setup?(context: Context): unknown;
  /** After caches have synced, for controllers with timers or sources of their own. */
  run?(context: Context): Promise<void> | void;
  reconcile?(key: string, context: Context, signal: AbortSignal): Promise<Result | void>;
}

export function defineController(definition: ControllerDefinition): ControllerDefinition { return definition; }

export const controllerIndex = 'controller-uid';
const orphanIndex = 'orphans';

export function controllerOf(object: ApiObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}
export function indexByController<T extends ApiObject>(informer: Informer<T>): Informer<T> {
  informer.addIndex(controllerIndex, (object) => { const owner = controllerOf(object); return owner ? [owner.uid] : []; });
  informer.addIndex(orphanIndex, (object) => (controllerOf(object) ? [] : [object.metadata.namespace ?? '']));
  return informer;
}
/** What `owner` controls, by index. */
export function controlledBy<T extends ApiObject>(informer: Informer<T>, owner: ApiObject): T[] {
  return informer.byIndex(controllerIndex, owner.metadata.uid!);
}
export const orphansIn = <T extends ApiObject>(informer: Informer<T>, namespace: string): T[] => informer.byIndex(orphanIndex, namespace);

export interface ControllerEnvironment {
  client: Client; informers: InformerFactory; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal; options: ControllerOptions;
  metrics?: Registry | undefined; correlator: EventCorrelator;
}

export interface RunningController extends AsyncDisposable { name: string; queue: Workqueue<string>; context: Context; idle(): boolean }

/** Starts one controller; it begins to work when its caches have synced. */
export function startController(definition: ControllerDefinition, environment: ControllerEnvironment): RunningController {
  const { client, clock, informers, options } = environment;
  const stop = new AbortController();
  const signal = AbortSignal.any([environment.signal, stop.signal]);
  const log = environment.log.child({ controller: definition.name });
  const queue = new Workqueue<string>({ name: definition.name.replace(/-controller$/, ''), clock, metrics: environment.metrics });
  const used = new Set<Informer<ApiObject>>();
  const removers: (() => void)[] = [];
  let prepared = false;
  let busy = 0;
  const context: Context = {
    client, clock, rng: environment.rng, log, options, informers, metrics: environment.metrics, signal, state: undefined,
    events: createEventRecorder({ client, clock, log, component: definition.component ?? definition.name, signal, correlator: environment.correlator }),
    expectations: new Expectations(clock),
    cache<T extends ApiObject>(names: ResourceNames<T>) {
      const informer = informers.informer(names);
      if (!prepared) used.add(informer as unknown as Informer<ApiObject>);
      return informer;
    },
    enqueue: (key, delayMs = 0) => { queue.addAfter(key, delayMs); },
  };
  wire(definition, context, removers);
  context.state = definition.setup?.(context);
  prepared = true;

  const work = async () => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      busy++;
      try {
        const result = await definition.reconcile!(key, context, signal) ?? done;
        queue.forget(key);
        if (result.requeueAfterMs !== undefined) queue.addAfter(key, result.requeueAfterMs);
      } catch (err) {
        if (signal.aborted) return;
        const level = isConflict(err) || isNotFound(err) ? 'debug' : queue.failures(key) > 3 ? 'warn' : 'debug';
        log[level]({ key, err: isStatusError(err) ? err.message : err }, 'reconcile failed; will retry');
        queue.addRateLimited(key);
      } finally { busy--; queue.done(key); }
    }
  };
  const running = (async () => {
    try { for (const informer of used) await informer.synced(signal); } catch { return; }
    const tasks: (Promise<void> | void)[] = [definition.run?.(context)];
    if (definition.reconcile) for (let i = 0; i < (definition.workers ?? 5); i++) tasks.push(work());
    await Promise.all(tasks);
  })().catch((err: unknown) => { if (!signal.aborted) log.error({ err }, 'controller stopped'); });
  const onAbort = () => queue.shutDown();
  if (signal.aborted) onAbort(); else signal.addEventListener('abort', onAbort, { once: true });

  return {
    name: definition.name, queue, context, idle: () => queue.idle && busy === 0,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error(`${definition.name} was stopped`));
      for (const remove of removers) remove();
      await running;
    },
  };
}

/** Turns the declared edges into informer handlers. */
function wire(definition: ControllerDefinition, context: Context, removers: (() => void)[]): void {
  const { enqueue, expectations } = context;
  const primary = definition.for ? context.cache(definition.for as ResourceNames<ApiObject>) : undefined;
  if (primary) {
    const when = definition.when ?? (() => true);
    removers.push(primary.addHandler({
      onAdd: (object) => { if (when(undefined, object)) enqueue(keyOf(object)); },
      onUpdate: (old, next) => {
        // Another object under the same name: what we expected of the old one will not come.
        if (old.metadata.uid !== next.metadata.uid) expectations.forget(keyOf(old));
        if (when(old, next)) enqueue(keyOf(next));
      },
      onDelete: (object) => { expectations.forget(keyOf(object)); enqueue(keyOf(object)); },
    }));
  }
  for (const { resource, expected, selector } of definition.owns ?? []) {
    const kind = definition.for!.kind;
    const group = definition.for!.group;
    const informer = indexByController(context.cache(resource as ResourceNames<ApiObject>));
    const ownerKey = (object: ApiObject): string | undefined => {
      const owner = controllerOf(object);
      if (!owner || owner.kind !== kind || groupOf(owner.apiVersion) !== group) return undefined;
      const key = definition.for!.scope === 'Namespaced' ? `${object.metadata.namespace}/${owner.name}` : owner.name;
      const found = primary!.get(key);
      return !found || found.metadata.uid === owner.uid ? key : undefined;
    };
    const wakeAdopters = (object: ApiObject) => {
      if (!selector || controllerOf(object) || object.metadata.deletionTimestamp) return;
      for (const owner of primary!.list(object.metadata.namespace)) if (selector(owner).matches(object.metadata.labels)) enqueue(keyOf(owner));
    };
    removers.push(informer.addHandler({
      onAdd: (object) => {
        const key = ownerKey(object);
        if (key === undefined) { wakeAdopters(object); return; }
        if (expected) {
          if (object.metadata.deletionTimestamp) expectations.deletionObserved(key, object.metadata.uid!);
          else expectations.creationObserved(key);
        }
        enqueue(key);
      },
      onUpdate: (old, next) => {
        const before = ownerKey(old);
        const after = ownerKey(next);
        if (before !== undefined && before !== after) enqueue(before);
        if (after === undefined) {
          if (old.metadata.labels !== next.metadata.labels || before !== undefined) wakeAdopters(next);
          return;
        }
        if (expected && next.metadata.deletionTimestamp) expectations.deletionObserved(after, next.metadata.uid!);
        enqueue(after);
      },
      onDelete: (object) => {
        const key = ownerKey(object);
        if (key === undefined) return;
        if (expected) expectations.deletionObserved(key, object.metadata.uid!);
        enqueue(key);
      },
    }));
  }
  for (const { resource, keys } of definition.watches ?? []) {
    const tell = (change: { old?: ApiObject; next?: ApiObject; any: ApiObject }) => { for (const key of keys(change, context)) enqueue(key); };
    removers.push(context.cache(resource as ResourceNames<ApiObject>).addHandler({
      onAdd: (next) => tell({ next, any: next }),
      onUpdate: (old, next) => tell({ old, next, any: next }),
      onDelete: (old) => tell({ old, any: old }),
    }));
  }
}

export const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '');

/** Runs `action` for 0..count-1 in batches of 1, 2, 4 …, stopping after a batch with a failure: a quota that refuses one refuses all. Returns how many succeeded and the first error. */
export async function slowStart(count: number, action: (index: number) => Promise<void>): Promise<{ succeeded: number; attempted: number; error?: unknown }> {
  let attempted = 0;
  let succeeded = 0;
  for (let batch = 1; attempted < count; batch *= 2) {
    const size = Math.min(batch, count - attempted);
    const results = await Promise.allSettled(Array.from({ length: size }, (_, i) => action(attempted + i)));
    attempted += size;
    const failed = results.find((result) => result.status === 'rejected');
    succeeded += results.filter((result) => result.status === 'fulfilled').length;
    if (failed) return { succeeded, attempted, error: failed.reason as unknown };
  }
  return { succeeded, attempted };
}
