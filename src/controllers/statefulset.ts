/**
 * Pods with names, order and storage of their own. Behaviour: kubernetes.io/docs/concepts/workloads/controllers/statefulset;
 * upstream's pkg/controller/statefulset. Names are fixed, so a stale cache can't make a pod twice: the server refuses.
 */
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '../api/apps/v1.ts';
import type { PersistentVolumeClaim, Pod } from '../api/core/v1.ts';
import type { OwnerReference } from '../api/meta/v1.ts';
import type { Draft } from '../base/json.ts';
import { controllerrevisions, persistentvolumeclaims, pods, statefulsets } from '../api/resources.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { NewObject } from '../client/client.ts';
import { omitEmpty, same } from './canonical.ts';
import { claim } from './claim.ts';
import { defineController, done, indexByController, requeueAfter, type Context, type Result } from './framework.ts';
import { scaledValue } from './names.ts';
import { availableIn, isReady, isTerminal, labelSelector, podFromTemplate } from './pods.ts';
import { revisionHashLabel, syncRevisions, templateOf, trimRevisions } from './revisions.ts';

const podNameLabel = 'statefulset.kubernetes.io/pod-name';
const podIndexLabel = 'apps.kubernetes.io/pod-index';

export const statefulSetController = defineController({
  name: 'statefulset-controller', aliases: ['statefulset'], for: statefulsets, owns: [{ resource: pods, selector: (set: StatefulSet) => labelSelector(set.spec.selector) }],
  writes: ['pods', 'persistentvolumeclaims', 'controllerrevisions', 'statefulsets/status'],
  setup({ cache }) { indexByController(cache(controllerrevisions)); cache(persistentvolumeclaims); },
  async reconcile(key, context, signal) {
    const set = context.cache(statefulsets).get(key);
    if (!set) return done;
    const selector = labelSelector(set.spec.selector);
    const { revisions, update, collisionCount } = await syncRevisions(context, set, statefulsets, selector, signal);
    const owned = await claim(context, set, statefulsets, pods, selector, { filter: (pod) => parentOf(pod) === set.metadata.name });
    const current = revisions.find((revision) => revision.metadata.name === set.status?.currentRevision) ?? update;
    const sync = new Sync(set, owned, current, update, collisionCount, context, signal);
    const result = await sync.run();
    const live = new Set([current.metadata.name, update.metadata.name, ...owned.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? '')]);
    await trimRevisions(context, revisions, live, set.spec.revisionHistoryLimit ?? 10, signal);
    return result;
  },
});

const namePattern = /^(.*)-(\d+)$/;
const parentOf = (pod: Pod): string | undefined => namePattern.exec(pod.metadata.name)?.[1];
const ordinalOf = (pod: Pod): number => Number(namePattern.exec(pod.metadata.name)?.[2] ?? -1);
const isGoing = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
const runsAndReady = (pod: Pod): boolean => pod.status?.phase === 'Running' && isReady(pod);

class Sync {
  readonly #set: StatefulSet;
  readonly #pods: readonly Pod[];
  readonly #current: ControllerRevision;
  readonly #update: ControllerRevision;
  readonly #collisionCount: number | undefined;
  readonly #context: Context;
  readonly #signal: AbortSignal;
  #wakeMs: number | undefined;
  constructor(set: StatefulSet, owned: readonly Pod[], current: ControllerRevision, update: ControllerRevision, collisionCount: number | undefined, context: Context, signal: AbortSignal) {
    this.#set = set; this.#pods = owned; this.#current = current; this.#update = update;
    this.#collisionCount = collisionCount; this.#context = context; this.#signal = signal;
  }

  async run(): Promise<Result> {
    let failure: unknown;
    // Also when a step fails, the status tells how far it came.
    try { if (!this.#set.metadata.deletionTimestamp) await this.#step(); } catch (err) { failure = err; }
    const status = this.#status();
    if (!same(this.#set.status ?? {}, status)) await this.#context.client.for(statefulsets).updateStatus({ ...this.#set, status }, { signal: this.#signal });
    if (failure) throw failure;
    return this.#wakeMs === undefined ? done : requeueAfter(this.#wakeMs);
  }

  get #start(): number { return this.#set.spec.ordinals?.start ?? 0; }
  get #replicas(): number { return this.#set.spec.replicas ?? 1; }
  #revisionOf(pod: Pod): string | undefined { return pod.metadata.labels?.[revisionHashLabel]; }
  #nameOf(revision: ControllerRevision): string { return revision.metadata.name; }

  #isAvailable(pod: Pod): boolean {
    if (!runsAndReady(pod)) return false;
    const wait = availableIn(pod, this.#set.spec.minReadySeconds ?? 0, this.#context.clock.now());
    if (wait !== undefined && wait > 0) this.#wakeMs = Math.min(wait, this.#wakeMs ?? Infinity);
    return wait === 0;
  }

  async #step(): Promise<void> {
    const ordered = (this.#set.spec.podManagementPolicy ?? 'OrderedReady') === 'OrderedReady';
    const [start, count] = [this.#start, this.#replicas];
    const byOrdinal = new Map(this.#pods.map((pod) => [ordinalOf(pod), pod]));
    for (let ordinal = start; ordinal < start + count; ordinal++) {
      const pod = byOrdinal.get(ordinal);
      if (!pod) {
        await this.#create(ordinal);
        if (ordered) return;
        continue;
      }
      if (isTerminal(pod)) {
        if (!isGoing(pod)) {
          this.#context.events.event(this.#set, 'Warning', pod.status!.phase === 'Failed' ? 'RecreatingFailedPod' : 'RecreatingTerminatedPod', `StatefulSet ${this.#set.metadata.namespace}/${this.#set.metadata.name} is recreating ${pod.status!.phase === 'Failed' ? 'failed' : 'terminated'} Pod ${pod.metadata.name}`);
          await this.#delete(pod);
        }
        if (ordered) return;
        continue;
      }
      await this.#ensureClaims(ordinal);
      if (ordered && (isGoing(pod) || !this.#isAvailable(pod))) return;
    }
    const condemned = this.#pods.filter((pod) => ordinalOf(pod) < start || ordinalOf(pod) >= start + count).sort((a, b) => ordinalOf(b) - ordinalOf(a));
    const firstUnhealthy = [...this.#pods].sort((a, b) => ordinalOf(a) - ordinalOf(b)).find((pod) => !runsAndReady(pod) || isGoing(pod));
    for (const pod of condemned) {
      if (isGoing(pod)) { if (ordered) return; continue; }
      if (ordered && !runsAndReady(pod) && pod !== firstUnhealthy) return;
      await this.#delete(pod);
      if (ordered) return;
    }
    const strategy = this.#set.spec.updateStrategy;
    if (strategy?.type === 'OnDelete') return;
    const partition = start + (strategy?.rollingUpdate?.partition ?? 0);
    const limit = Math.max(1, scaledValue(strategy?.rollingUpdate?.maxUnavailable ?? 1, count, 'up'));
    const replicas = [...byOrdinal].filter(([ordinal]) => ordinal >= start && ordinal < start + count).sort(([a], [b]) => b - a).map(([, pod]) => pod);
    let unavailable = replicas.filter((pod) => isGoing(pod) || !this.#isAvailable(pod)).length;
    for (const pod of replicas) {
      if (ordinalOf(pod) < partition) break;
      const healthy = !isGoing(pod) && this.#isAvailable(pod);
      if (this.#revisionOf(pod) !== this.#nameOf(this.#update) && !isGoing(pod)) {
        // An unhealthy pod of the old template counts already; replacing it makes nothing worse.
        if (healthy && unavailable >= limit) return;
        await this.#delete(pod);
        if (healthy) unavailable++;
        if (unavailable >= limit) return;
      } else if (!healthy && unavailable >= limit) return;
    }
  }

  #revisionFor(ordinal: number): ControllerRevision {
    const strategy = this.#set.spec.updateStrategy;
    if (strategy?.type === 'OnDelete' || this.#current === this.#update) return this.#update;
    return ordinal < this.#start + (strategy?.rollingUpdate?.partition ?? 0) ? this.#current : this.#update;
  }

  async #create(ordinal: number): Promise<void> {
    const { metadata: { name: setName, namespace } } = this.#set;
    const revision = this.#revisionFor(ordinal);
    const name = `${setName}-${ordinal}`;
    const pod = podFromTemplate(revision === this.#update ? this.#set.spec.template : templateOf(revision), this.#set, statefulsets);
    delete pod.metadata.generateName;
    pod.metadata.name = name;
    pod.metadata.labels = { ...pod.metadata.labels, [podNameLabel]: name, [podIndexLabel]: String(ordinal), [revisionHashLabel]: this.#nameOf(revision) };
    const spec = pod.spec as Draft<Pod['spec']>;
    spec.hostname = name;
    if (this.#set.spec.serviceName) spec.subdomain = this.#set.spec.serviceName;
    const templates = this.#set.spec.volumeClaimTemplates ?? [];
    const claimed = new Set(templates.map((template) => template.metadata.name));
    const volumes = [
      ...templates.map((template) => ({ name: template.metadata.name, persistentVolumeClaim: { claimName: this.#claimName(template, ordinal), readOnly: false } })),
      ...(spec.volumes ?? []).filter((volume) => !claimed.has(volume.name)),
    ];
    if (volumes.length > 0) spec.volumes = volumes as typeof spec.volumes;
    try {
      await this.#ensureClaims(ordinal);
      await this.#context.client.for(pods).create(pod as NewObject<Pod>, { signal: this.#signal });
      this.#context.events.event(this.#set, 'Normal', 'SuccessfulCreate', `create Pod ${name} in StatefulSet ${setName} successful`);
    } catch (err) {
      if (isAlreadyExists(err)) {
        // Ours, and the cache will show it; or a stranger's, and we have to wait until it goes.
        const existing = await this.#context.client.for(pods).get({ namespace, name }, { signal: this.#signal });
        if (existing.metadata.ownerReferences?.some((reference) => reference.uid === this.#set.metadata.uid)) return;
      }
      if (!this.#signal.aborted) this.#context.events.event(this.#set, 'Warning', 'FailedCreate', `create Pod ${name} in StatefulSet ${setName} failed error: ${(err as Error).message}`);
      throw err;
    }
  }

  #claimName(template: PersistentVolumeClaim, ordinal: number): string { return `${template.metadata.name}-${this.#set.metadata.name}-${ordinal}`; }

  async #ensureClaims(ordinal: number): Promise<void> {
    const { metadata: { namespace, name: setName, uid } } = this.#set;
    const policy = this.#set.spec.persistentVolumeClaimRetentionPolicy;
    for (const template of this.#set.spec.volumeClaimTemplates ?? []) {
      const name = this.#claimName(template, ordinal);
      const existing = this.#context.cache(persistentvolumeclaims).get(`${namespace}/${name}`);
      const owner: OwnerReference = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: setName, uid: uid!, controller: true };
      const ownedBySet = existing?.metadata.ownerReferences?.some((reference) => reference.uid === uid);
      const wantOwner = policy?.whenDeleted === 'Delete';
      const api = this.#context.client.for(persistentvolumeclaims);
      if (existing) {
        if (wantOwner !== !!ownedBySet && !existing.metadata.deletionTimestamp) {
          const kept = (existing.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid);
          await api.update({ ...existing, metadata: { ...existing.metadata, ownerReferences: wantOwner ? [...kept, owner] : kept } }, { signal: this.#signal });
        }
        continue;
      }
      const { labels, annotations } = template.metadata;
      try {
        await api.create({
          metadata: { name, namespace, labels: { ...labels, ...this.#set.spec.selector.matchLabels }, ...(annotations ? { annotations } : {}), ...(wantOwner ? { ownerReferences: [owner] } : {}) }, spec: template.spec,
        }, { signal: this.#signal });
        this.#context.events.event(this.#set, 'Normal', 'SuccessfulCreate', `create Claim ${name} Pod ${setName}-${ordinal} in StatefulSet ${setName} success`);
      } catch (err) { if (!isAlreadyExists(err)) throw err; }
    }
  }

  async #delete(pod: Pod): Promise<void> {
    const { name } = pod.metadata;
    try {
      await this.#context.client.for(pods).delete(pod.metadata, { preconditions: { uid: pod.metadata.uid }, signal: this.#signal });
      this.#context.events.event(this.#set, 'Normal', 'SuccessfulDelete', `delete Pod ${name} in StatefulSet ${this.#set.metadata.name} successful`);
    } catch (err) {
      if (isNotFound(err)) return;
      if (!this.#signal.aborted) this.#context.events.event(this.#set, 'Warning', 'FailedDelete', `delete Pod ${name} in StatefulSet ${this.#set.metadata.name} failed error: ${(err as Error).message}`);
      throw err;
    }
    const policy = this.#set.spec.persistentVolumeClaimRetentionPolicy;
    const ordinal = ordinalOf(pod);
    if (policy?.whenScaled === 'Delete' && (ordinal < this.#start || ordinal >= this.#start + this.#replicas)) {
      // The claim follows its pod: the garbage collector takes it when the pod is gone.
      for (const template of this.#set.spec.volumeClaimTemplates ?? []) {
        const existing = this.#context.cache(persistentvolumeclaims).get(`${this.#set.metadata.namespace}/${this.#claimName(template, ordinal)}`);
        if (!existing) continue;
        await this.#context.client.for(persistentvolumeclaims).update({ ...existing, metadata: { ...existing.metadata, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid! }] } }, { signal: this.#signal });
      }
    }
  }

  #status(): StatefulSetStatus {
    const [current, update] = [this.#nameOf(this.#current), this.#nameOf(this.#update)];
    const mine = this.#pods.filter((pod) => !isTerminal(pod));
    const ready = mine.filter(runsAndReady);
    const live = mine.filter((pod) => !isGoing(pod));
    const ofRevision = (name: string) => live.filter((pod) => this.#revisionOf(pod) === name).length;
    const updated = ofRevision(update);
    const replicas = mine.length;
    const rolling = (this.#set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
    const complete = rolling && updated === replicas && ready.length === replicas && updated === this.#replicas;
    return {
      observedGeneration: this.#set.metadata.generation, replicas,
      ...omitEmpty({ readyReplicas: ready.length, currentReplicas: complete ? updated : ofRevision(current), updatedReplicas: updated, currentRevision: complete ? update : current, updateRevision: update }),
      availableReplicas: ready.filter((pod) => this.#isAvailable(pod)).length, collisionCount: this.#collisionCount ?? 0,
      ...(this.#set.status?.conditions?.length ? { conditions: this.#set.status.conditions } : {}),
    };
  }
}
