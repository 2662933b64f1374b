/**
 * Serves what CustomResourceDefinitions define, and keeps their status: names, conditions, the deletion of their objects. Driven
 * by the cache of definitions, in the turn in which a write is seen, so a definition that reads as established is served.
 * Source: apiextensions-apiserver/pkg/apiserver, pkg/controller/{status,establish,finalizer,nonstructuralschema,apiapproval}.
 */
import { sleep } from '../../base/clock.ts';
import { draftOf, type Draft, type Json } from '../../base/json.ts';
import { uuid } from '../../base/rng.ts';
import { customresourcedefinitions } from '../../api/resources.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import { isConflict, isNotFound } from '../../api/meta/status.ts';
import { Workqueue } from '../../client/workqueue.ts';
import type { CacheEntry } from '../cache-entry.ts';
import type { Call, ServerContext } from '../handlers/context.ts';
import { removeObject } from '../handlers/delete.ts';
import { Query, type ApiRequest } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import type { ResourceEntry, UserInfo } from '../types.ts';
import type { Watcher } from '../watch-cache.ts';
import { approvalCondition, cleanupFinalizer, conditionOf, isTrue, removeCondition, sameCondition, setCondition, type Condition, type Definition } from './conditions.ts';
import { webhookConverter } from './conversion.ts';
import { customResourceEntry, lazy, type DefinitionHead, type VersionHead } from './custom-resource.ts';
import { resolveNames } from './naming.ts';
import { nonStructuralCondition } from './structural-validation.ts';
import { hasInvalidCaBundle } from './definition-validation.ts';
import { createConversionCaller } from './webhook-call.ts';

/** How often, at first and at most, it is looked whether the last object of a definition being deleted is gone, and for how long. Source: crd_finalizer.go. */
const goneFirstMs = 50;
const goneLastMs = 5000;
const goneWaitMs = 60_000;
/** Objects deleted at once. */
const deleteWorkers = 16;
/** Retries of one definition wait this long at most. */
const maxRetryMs = 60_000;

const finalizerUser: UserInfo = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] };

interface Known {
  head: DefinitionHead;
  /** What the entries were made from: others only when it changes. */
  signature: string;
  /** Likewise without what ends no watch. */
  shape: string;
  established: boolean;
  accepted: Partial<v1.CustomResourceDefinitionNames>;
  entries: ResourceEntry[];
  storage: ResourceEntry | undefined;
  entry: CacheEntry;
}

export class CustomResources implements AsyncDisposable {
  readonly #context: ServerContext;
  readonly #stop = new AbortController();
  readonly #known = new Map<string, Known>();
  readonly #queue: Workqueue<string>;
  readonly #definitions: ServedResource;
  #watcher: Watcher | undefined;
  #running: Promise<void> | undefined;
  readonly #finalizing = new Map<string, Promise<void>>();
  /** Changes with every definition that is served. */
  generation = 0;

  /** Undefined `definitions`: the server has no such resource. */
  constructor(context: ServerContext, definitions: ServedResource) {
    this.#context = context;
    this.#definitions = definitions;
    this.#queue = new Workqueue<string>({ name: 'custom_resource_definitions', clock: context.clock, maxDelayMs: maxRetryMs });
  }

  /** Resolves when everything established is served. */
  async start(): Promise<void> {
    await this.#definitions.cache.ready();
    this.#follow();
    this.#running = this.#work();
  }

  /** The heads of what is served, for OpenAPI. */
  served(): { head: DefinitionHead; entries: readonly ResourceEntry[] }[] { return [...this.#known.values()].filter(({ established }) => established).map(({ head, entries }) => ({ head, entries })); }

  // ---- from definitions to resources

  /** The watcher tells of each change in the turn of the write. */
  #follow(): void {
    const seen = new Set<string>();
    let replacing = true;
    const watcher = this.#definitions.cache.watch({ namespace: '', matches: undefined }, undefined, { initial: true, initialEventsEnd: true });
    this.#watcher = watcher;
    const drain = () => {
      while (watcher.pending) {
        for (const item of watcher.take()) {
          if (item.type === 'BOOKMARK') {
            if (replacing) for (const name of this.#known.keys()) if (!seen.has(name)) this.#forget(name);
            replacing = false;
          } else if (item.type === 'DELETED') this.#forget(item.entry.object.metadata.name);
          else if (item.type !== 'ERROR') {
            if (replacing) seen.add(item.entry.object.metadata.name);
            this.#observe(item.entry);
          }
        }
      }
      if (watcher.ended && !this.#stop.signal.aborted) void this.#again();
    };
    watcher.onReady = drain;
    drain();
  }
  /** The feed lost its place: from the beginning. */
  async #again(): Promise<void> {
    try {
      await this.#definitions.cache.ready();
      this.#follow();
    } catch (err) {
      if (this.#stop.signal.aborted) return;
      this.#context.log.error({ err }, 'custom resource definitions are followed no more for now');
      await sleep(this.#context.clock, goneLastMs, this.#stop.signal).then(() => this.#again(), () => {});
    }
  }

  #observe(entry: CacheEntry): void {
    const definition = entry.object as unknown as Definition;
    const { metadata, status } = definition;
    const accepted: Partial<v1.CustomResourceDefinitionNames> = status?.acceptedNames ?? {};
    const terminating = isTrue(definition, 'Terminating');
    const established = isTrue(definition, 'Established') && Boolean(accepted.plural && accepted.kind);
    const shape = `${metadata.uid} ${metadata.generation} ${JSON.stringify(accepted)}`;
    const signature = `${shape} ${terminating} ${established}`;
    const known = this.#known.get(metadata.name);
    if (known) known.entry = entry;
    if (known?.signature !== signature) this.#install(entry, definition, { accepted, terminating, established, shape, signature }, known);
    this.#queue.add(metadata.name);
  }

  #install(entry: CacheEntry, definition: Definition, what: Pick<Known, 'accepted' | 'established' | 'shape' | 'signature'> & { terminating: boolean }, before: Known | undefined): void {
    const { metadata, spec } = definition;
    const known: Known = { ...what, entry, entries: [], storage: undefined, head: undefined as unknown as DefinitionHead };
    const { webhook } = spec.conversion ?? {};
    known.head = {
      name: metadata.name, uid: metadata.uid ?? '', generation: metadata.generation ?? 0, group: spec.group, scope: spec.scope === 'Cluster' ? 'Cluster' : 'Namespaced',
      accepted: { ...spec.names, ...what.accepted } as v1.CustomResourceDefinitionNames, terminating: what.terminating, definition: () => known.entry.object as unknown as Definition,
      nonStructural: before && before.head.uid === metadata.uid && before.head.generation === metadata.generation ? before.head.nonStructural : lazy(() => nonStructuralCondition(known.entry.object as unknown as Definition)),
      converter: spec.conversion?.strategy === 'Webhook' && webhook?.clientConfig ? webhookConverter({
        call: createConversionCaller(this.#context, metadata.name, webhook.clientConfig), uid: () => uuid(this.#context.rng), reviewVersions: webhook.conversionReviewVersions ?? [],
      }) : undefined,
    };
    const versions = spec.versions.map((version): VersionHead => { const { schema: _, additionalPrinterColumns: __, selectableFields: ___, ...rest } = version; return draftOf(rest); });
    const stored = versions.find(({ storage }) => storage) ?? versions[0]!;
    known.storage = customResourceEntry(known.head, stored, stored);
    if (what.established) known.entries = versions.filter(({ served }) => served).map((version) => (version === stored ? known.storage! : customResourceEntry(known.head, version, stored)));
    this.#known.set(metadata.name, known);
    this.#serve(before, known);
  }

  #serve(before: Known | undefined, after: Known | undefined): void {
    const { resources, feed } = this.#context;
    if (!before?.entries.length && !after?.entries.length) return;
    const kept = new Set(after?.entries.map(({ names }) => names.version));
    const prefix = before?.storage?.storagePrefix;
    const storageChanged = before && after && before.storage?.names.version !== after.storage?.names.version;
    // As upstream: a definition that changed ends the watches of its objects, and clients watch again.
    if (before && (!after || before.shape !== after.shape || after.entries.length === 0)) for (const { names } of before.entries) resources.for(names)?.cache.closeWatchers();
    if (before && after && storageChanged && prefix) feed.drop(prefix);
    for (const { names } of before?.entries ?? []) if (!kept.has(names.version)) resources.remove(names);
    for (const entry of after?.entries ?? []) resources.add(entry);
    this.generation++;
  }

  #forget(name: string): void {
    const known = this.#known.get(name);
    if (!known) return;
    this.#known.delete(name);
    this.#serve(known, undefined);
    // Its names are free now.
    for (const other of this.#known.values()) if (other.head.group === known.head.group) this.#queue.add(other.head.name);
  }

  // ---- status

  async #work(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      const name = await this.#queue.take();
      if (name === undefined) return;
      try {
        await this.#reconcile(name);
        this.#queue.forget(name);
      } catch (err) {
        if (signal.aborted) return;
        if (!isNotFound(err) && !isConflict(err)) this.#context.log.warn({ err, name }, 'custom resource definition');
        this.#queue.addRateLimited(name);
      } finally {
        this.#queue.done(name);
        // A cluster may have hundreds, each large: only their bytes are kept.
        this.#known.get(name)?.entry.cool();
      }
    }
  }

  async #reconcile(name: string): Promise<void> {
    const known = this.#known.get(name);
    if (!known) return;
    const definition = known.entry.object as unknown as Definition;
    const now = this.#context.clock.now();
    /** Definitions are large: copied only when there is something to write. */
    let draft: Draft<Definition> | undefined;
    const change = () => draft ??= draftOf(definition) as Draft<Definition>;
    const put = (condition: Omit<Condition, 'lastTransitionTime'> | undefined, type: string) => {
      const old = conditionOf(definition, type);
      if (condition) { if (!sameCondition(condition, old)) setCondition(change(), condition, now); } else if (old) removeCondition(change(), type);
    };

    const others = [...this.#known.values()].filter((other) => other !== known && other.head.group === definition.spec.group).map(({ accepted }) => accepted);
    const naming = resolveNames(definition, others);
    if (naming) {
      (change().status ??= {}).acceptedNames = naming.names;
      setCondition(change(), naming.namesAccepted, now);
      setCondition(change(), naming.established, now);
    }
    const current = (draft ?? definition) as Definition;
    if (isTrue(current, 'NamesAccepted') && !isTrue(current, 'Established') && definition.metadata.deletionTimestamp === undefined) {
      put(hasInvalidCaBundle(definition) ? { type: 'Established', status: 'False', reason: 'InvalidCABundle', message: 'The conversion webhook CABundle is invalid' }
        : { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' }, 'Established');
    }
    put(known.head.nonStructural(), 'NonStructuralSchema');
    put(approvalCondition(definition), 'KubernetesAPIApprovalPolicyConformant');
    if (draft) {
      await this.#writeStatus(draft);
      if (naming) for (const other of this.#known.values()) if (other !== known && other.head.group === definition.spec.group) this.#queue.add(other.head.name);
      return;
    }
    if (definition.metadata.deletionTimestamp !== undefined && definition.metadata.finalizers?.includes(cleanupFinalizer) && !this.#finalizing.has(name)) {
      this.#finalizing.set(name, this.#finalize(known, definition).catch((err: unknown) => {
        if (this.#stop.signal.aborted) return;
        if (!isNotFound(err) && !isConflict(err)) this.#context.log.warn({ err, name }, 'objects of a custom resource definition could not be deleted');
        this.#queue.addRateLimited(name);
      }).finally(() => { this.#finalizing.delete(name); }));
    }
  }

  #writeStatus(draft: Draft<Definition>): Promise<Definition> { return this.#context.client.for(customresourcedefinitions).updateStatus(draft as Definition, { signal: this.#stop.signal }); }

  // ---- deletion

  async #finalize(known: Known, definition: Definition): Promise<void> {
    const { clock } = this.#context;
    const terminating = (status: 'True' | 'False', reason: string, message: string) => ({ type: 'Terminating', status, reason, message });
    let draft = draftOf(definition) as Draft<Definition>;
    setCondition(draft, terminating('True', 'InstanceDeletionInProgress', 'CustomResource deletion is in progress'), clock.now());
    draft = draftOf(await this.#writeStatus(draft)) as Draft<Definition>;
    if (isTrue(definition, 'Established') && known.storage) {
      const problem = await this.#deleteObjects(this.#context.resources.make(known.storage));
      if (problem) {
        setCondition(draft, terminating('True', problem.reason, problem.message), clock.now());
        await this.#writeStatus(draft);
        throw new Error(problem.message);
      }
      setCondition(draft, terminating('False', 'InstanceDeletionCompleted', 'removed all instances'), clock.now());
    } else setCondition(draft, terminating('False', 'NeverEstablished', 'resource was never established'), clock.now());
    const finalizers = (draft.metadata.finalizers ?? []).filter((finalizer) => finalizer !== cleanupFinalizer);
    if (finalizers.length > 0) draft.metadata.finalizers = finalizers; else delete draft.metadata.finalizers;
    await this.#writeStatus(draft);
  }

  /** Through the handlers, so that admission and finalizers have their say. Undefined: all gone. */
  async #deleteObjects(resource: ServedResource): Promise<{ reason: string; message: string } | undefined> {
    const { clock } = this.#context;
    const { cache } = resource;
    const errors: string[] = [];
    try { await cache.ready(); } catch (err) { return { reason: 'InstanceDeletionFailed', message: `could not list instances: ${(err as Error).message}` }; }
    const queue = [...cache.list('')].values();
    await Promise.all(Array.from({ length: deleteWorkers }, async () => {
      for (const entry of queue) {
        const { namespace = '', name } = entry.object.metadata;
        try { await removeObject(this.#callFor(resource, namespace, name), {}); } catch (err) { if (!isNotFound(err)) errors.push((err as Error).message); }
      }
    }));
    if (errors.length > 0) return { reason: 'InstanceDeletionFailed', message: `could not issue all deletes: ${errors.length === 1 ? errors[0] : `[${errors.slice(0, 10).join(', ')}]`}` };
    const until = clock.monotonic() + goneWaitMs;
    for (let waitMs = goneFirstMs; cache.size > 0; waitMs = Math.min(goneLastMs, waitMs * 2)) {
      if (clock.monotonic() >= until) return { reason: 'InstanceDeletionCheck', message: 'could not confirm zero CustomResources remaining: timed out waiting for the condition' };
      await sleep(clock, waitMs, this.#stop.signal);
    }
    return undefined;
  }

  #callFor(resource: ServedResource, namespace: string, name: string): Call {
    const { group, version, plural } = resource.names;
    const request: ApiRequest = {
      method: 'DELETE', path: '', query: new Query(undefined), user: finalizerUser, headers: {}, contentType: '', body: undefined as Json | undefined, signal: this.#stop.signal, userAgent: 'kube-apiserver', inProcess: true, warnings: [],
      note: { verb: 'DELETE', group, version, resource: plural, subresource: '', scope: 'resource' },
    };
    return { context: this.#context, request, resource, info: { verb: 'delete', path: '', isResource: true, group, version, namespace, resource: plural, subresource: '', name, rest: '' } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the server is stopping'));
    this.#queue.shutDown();
    this.#watcher?.close();
    await this.#running;
    await Promise.allSettled(this.#finalizing.values());
  }
}
