/**
 * Rolls Deployments out: makes a ReplicaSet per template, grows the new one and shrinks the old ones within maxSurge and
 * maxUnavailable, keeps history, and reports progress in the words `kubectl rollout status` reads.
 * Behaviour: kubernetes.io/docs/concepts/workloads/controllers/deployment; upstream's pkg/controller/deployment.
 */
import type { Deployment, DeploymentStatus, ReplicaSet } from '../api/apps/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { deployments, pods, replicasets } from '../api/resources.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import { keyOf } from '../client/informer.ts';
import { same, templateHash } from './canonical.ts';
import { claim, controllerReference } from './claim.ts';
import { controlledBy, controllerOf, defineController, done, indexByController, requeueAfter, type Context, type Result } from './framework.ts';
import {
  activeSets, baseStatus, byCreation, conditionOf, findNewSet, hasDeadline, isComplete, isRolling, isSaturated, maxReplicas, newSetReplicas, proportionalScale,
  replicasOf, rolloutStatus, sameTemplate, shrinkOldSets, withCondition,
} from './deployment-plan.ts';
import { desiredReplicasAnnotation, lastAppliedAnnotation, maxReplicasAnnotation, podTemplateHashLabel, revisionAnnotation, revisionHistoryAnnotation } from './names.ts';
import { isNamespaceTerminating, isTerminal, labelSelector } from './pods.ts';

const historyLimitChars = 2000;

export const deploymentController = defineController({
  name: 'deployment-controller', aliases: ['deployment'], for: deployments,
  owns: [{ resource: replicasets, selector: (deployment: Deployment) => labelSelector(deployment.spec.selector) }],
  watches: [{
    // A Recreate rollout waits for the last old pod to go.
    resource: pods,
    *keys({ next, old }: { old?: Pod; next?: Pod }, context) {
      if (next || !old) return;
      const owner = controllerOf(old);
      const set = owner?.kind === 'ReplicaSet' ? context.cache(replicasets).get(`${old.metadata.namespace}/${owner.name}`) : undefined;
      const parent = set && controllerOf(set);
      const deployment = parent && context.cache(deployments).get(`${old.metadata.namespace}/${parent.name}`);
      if (deployment && !isRolling(deployment)) yield keyOf(deployment);
    },
  }],
  writes: ['replicasets', 'deployments/status'],
  setup: (context) => { indexByController(context.cache(pods)); },
  async reconcile(key, context, signal) {
    const deployment = context.cache(deployments).get(key);
    if (!deployment) return done;
    const { selector } = deployment.spec;
    if (labelSelector(selector).empty) {
      context.events.event(deployment, 'Warning', 'SelectingAll', 'This deployment is selecting all pods. A non-empty selector is required.');
      if ((deployment.status?.observedGeneration ?? 0) < (deployment.metadata.generation ?? 0)) await writeStatus(deployment, { ...deployment.status, observedGeneration: deployment.metadata.generation }, context, signal);
      return done;
    }
    const sets = await claim(context, deployment, deployments, replicasets, labelSelector(selector));
    return new Rollout(deployment, sets, context, signal).run();
  },
});

async function writeStatus(deployment: Deployment, status: DeploymentStatus, context: Context, signal: AbortSignal): Promise<Deployment> {
  if (same(deployment.status, status)) return deployment;
  return context.client.for(deployments).updateStatus({ ...deployment, status }, { signal });
}

/** One reconcile of one deployment. */
class Rollout {
  #deployment: Deployment;
  #sets: ReplicaSet[];
  readonly #context: Context;
  readonly #signal: AbortSignal;
  constructor(deployment: Deployment, sets: readonly ReplicaSet[], context: Context, signal: AbortSignal) {
    this.#deployment = deployment;
    this.#sets = [...sets];
    this.#context = context;
    this.#signal = signal;
  }

  async run(): Promise<Result> {
    if (this.#deployment.metadata.deletionTimestamp) return this.#plainStatus(findNewSet(this.#deployment, this.#sets));
    await this.#notePause();
    if (this.#deployment.spec.paused || this.#isScaling()) return this.#sync();
    return isRolling(this.#deployment) ? this.#rolling() : this.#recreate();
  }

  #olds(newSet: ReplicaSet | undefined): ReplicaSet[] { return this.#sets.filter((set) => set !== newSet); }

  /** So that a paused deployment never runs into its deadline, and a resumed one starts counting anew. */
  async #notePause(): Promise<void> {
    const deployment = this.#deployment;
    if (!hasDeadline(deployment)) return;
    const condition = conditionOf(deployment.status, 'Progressing');
    if (condition?.reason === 'ProgressDeadlineExceeded') return;
    const wasPaused = condition?.reason === 'DeploymentPaused';
    if (!!deployment.spec.paused === wasPaused) return;
    const [reason, message] = deployment.spec.paused ? ['DeploymentPaused', 'Deployment is paused'] : ['DeploymentResumed', 'Deployment is resumed'];
    this.#deployment = await writeStatus(deployment, { ...deployment.status, conditions: withCondition(deployment.status?.conditions ?? [], 'Progressing', 'Unknown', reason!, message!, this.#context.clock.now()) }, this.#context, this.#signal);
  }

  /** Someone changed spec.replicas since the sets were last sized. */
  #isScaling(): boolean {
    const wanted = replicasOf(this.#deployment);
    return activeSets(this.#sets).some((set) => { const desired = set.metadata.annotations?.[desiredReplicasAnnotation]; return desired !== undefined && Number(desired) !== wanted; });
  }

  async #sync(): Promise<Result> {
    const newSet = await this.#newSet(false);
    const olds = this.#olds(newSet);
    const active = activeSets(this.#sets);
    const wanted = replicasOf(this.#deployment);
    const only = active.length === 0 ? newSet ?? [...olds].sort(byCreation).at(-1) : active.length === 1 ? active[0] : undefined;
    if (only) { if (replicasOf(only) !== wanted) await this.#scale(only, wanted); else await this.#scale(only, wanted, true); }
    else if (isSaturated(this.#deployment, newSet)) for (const old of activeSets(olds)) await this.#scale(old, 0);
    else if (isRolling(this.#deployment)) for (const { set, replicas } of proportionalScale(this.#deployment, this.#sets)) await this.#scale(set, replicas);
    if (this.#deployment.spec.paused) await this.#cleanUp(newSet);
    return this.#plainStatus(newSet);
  }

  async #rolling(): Promise<Result> {
    let newSet = (await this.#newSet(true))!;
    const wanted = replicasOf(this.#deployment);
    const size = replicasOf(newSet);
    const target = size > wanted ? wanted : size === wanted ? size : newSetReplicas(this.#deployment, this.#sets, size);
    if (target !== size) {
      newSet = await this.#scale(newSet, target);
      return this.#rolloutStatus(newSet);
    }
    const shrink = shrinkOldSets(this.#deployment, this.#olds(newSet), newSet);
    for (const { set, replicas } of shrink) await this.#scale(set, replicas);
    if (shrink.length === 0 && isComplete(this.#deployment, this.#deployment.status)) await this.#cleanUp(newSet);
    return this.#rolloutStatus(newSet);
  }

  async #recreate(): Promise<Result> {
    let newSet = await this.#newSet(false);
    const olds = activeSets(this.#olds(newSet));
    if (olds.length > 0) {
      for (const old of olds) await this.#scale(old, 0);
      return this.#rolloutStatus(newSet);
    }
    if (this.#oldPodsRemain(newSet)) return this.#rolloutStatus(newSet);
    newSet ??= (await this.#newSet(true))!;
    newSet = await this.#scale(newSet, replicasOf(this.#deployment));
    if (isComplete(this.#deployment, this.#deployment.status)) await this.#cleanUp(newSet);
    return this.#rolloutStatus(newSet);
  }

  #oldPodsRemain(newSet: ReplicaSet | undefined): boolean {
    return this.#olds(newSet).some((old) => (old.status?.replicas ?? 0) > 0 || controlledBy(this.#context.cache(pods), old).some((pod) => !isTerminal(pod)));
  }

  /** The set of the current template, with its annotations up to date; made when asked. */
  async #newSet(create: boolean): Promise<ReplicaSet | undefined> {
    const { client, clock, events } = this.#context;
    const deployment = this.#deployment;
    const found = findNewSet(deployment, this.#sets);
    const olds = this.#olds(found);
    const revision = olds.map(revisionOf).reduce((most, one) => (one > most ? one : most), 0n) + 1n;
    const api = client.for(replicasets);
    if (found) {
      const annotations = setAnnotations(deployment, found, revision);
      const minReadySeconds = deployment.spec.minReadySeconds ?? 0;
      if (!same(annotations, found.metadata.annotations ?? {}) || (found.spec.minReadySeconds ?? 0) !== minReadySeconds) {
        return this.#replace(found, await api.update({ ...found, metadata: { ...found.metadata, annotations }, spec: { ...found.spec, minReadySeconds } }, { signal: this.#signal }));
      }
      await this.#noteRevision(found.metadata.annotations?.[revisionAnnotation] ?? String(revision));
      if (hasDeadline(deployment) && !conditionOf(deployment.status, 'Progressing')) await this.#condition('True', 'FoundNewReplicaSet', `Found new replica set "${found.metadata.name}"`);
      return found;
    }
    if (!create) return undefined;

    const hash = templateHash(deployment.spec.template, deployment.status?.collisionCount);
    const labels = { ...deployment.spec.template.metadata?.labels, [podTemplateHashLabel]: hash };
    const name = `${deployment.metadata.name}-${hash}`;
    const replicas = newSetReplicas(deployment, this.#sets, 0);
    const { namespace } = deployment.metadata;
    let made: ReplicaSet;
    let isNew = true;
    try {
      made = await api.create({
        metadata: {
          name, namespace, labels, ownerReferences: [controllerReference(deployment, deployments)],
          annotations: { ...setAnnotations(deployment, undefined, revision), [desiredReplicasAnnotation]: String(replicasOf(deployment)), [maxReplicasAnnotation]: String(maxReplicas(deployment)) },
        },
        spec: {
          replicas, minReadySeconds: deployment.spec.minReadySeconds ?? 0,
          selector: { ...deployment.spec.selector, matchLabels: { ...deployment.spec.selector.matchLabels, [podTemplateHashLabel]: hash } },
          template: { ...deployment.spec.template, metadata: { ...deployment.spec.template.metadata, labels } as ReplicaSet['metadata'] },
        },
      }, { signal: this.#signal });
    } catch (err) {
      if (isAlreadyExists(err)) {
        const existing = await api.get({ namespace, name }, { signal: this.#signal });
        if (controllerOf(existing)?.uid !== deployment.metadata.uid || !sameTemplate(deployment, existing)) {
          // Another template with the same hash: the next try hashes with a higher count.
          await writeStatus(deployment, { ...deployment.status, collisionCount: (deployment.status?.collisionCount ?? 0) + 1 }, this.#context, this.#signal);
          throw err;
        }
        made = existing;
        isNew = false;
      } else {
        if (!isNamespaceTerminating(err) && !this.#signal.aborted) {
          const message = `Failed to create new replica set "${name}": ${(err as Error).message}`;
          if (hasDeadline(deployment)) await this.#condition('False', 'ReplicaSetCreateError', message);
          events.event(deployment, 'Warning', 'ReplicaSetCreateError', message);
        }
        throw err;
      }
    }
    this.#sets.push(made);
    if (isNew && replicas > 0) events.event(deployment, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${made.metadata.name} from 0 to ${replicas}`);
    await this.#noteRevision(made.metadata.annotations?.[revisionAnnotation] ?? String(revision));
    if (isNew && hasDeadline(deployment)) await this.#condition('True', 'NewReplicaSetCreated', `Created new replica set "${made.metadata.name}"`);
    void clock;
    return made;
  }

  async #condition(status: string, reason: string, message: string): Promise<void> {
    const { status: old } = this.#deployment;
    this.#deployment = await writeStatus(this.#deployment, { ...old, conditions: withCondition(old?.conditions ?? [], 'Progressing', status, reason, message, this.#context.clock.now()) }, this.#context, this.#signal);
  }

  async #noteRevision(revision: string): Promise<void> {
    const deployment = this.#deployment;
    if (deployment.metadata.annotations?.[revisionAnnotation] === revision) return;
    this.#deployment = await this.#context.client.for(deployments).update({ ...deployment, metadata: { ...deployment.metadata, annotations: { ...deployment.metadata.annotations, [revisionAnnotation]: revision } } }, { signal: this.#signal });
  }

  #replace(old: ReplicaSet, next: ReplicaSet): ReplicaSet {
    this.#sets = this.#sets.map((set) => (set === old ? next : set));
    return next;
  }

  /** Resizes a set, or only refreshes what it remembers of the deployment's size. */
  async #scale(set: ReplicaSet, replicas: number, quiet = false): Promise<ReplicaSet> {
    const deployment = this.#deployment;
    const before = replicasOf(set);
    const sizes = { [desiredReplicasAnnotation]: String(replicasOf(deployment)), [maxReplicasAnnotation]: String(maxReplicas(deployment)) };
    const { annotations } = set.metadata;
    if (before === replicas && annotations?.[desiredReplicasAnnotation] === sizes[desiredReplicasAnnotation] && annotations?.[maxReplicasAnnotation] === sizes[maxReplicasAnnotation]) return set;
    const next = await this.#context.client.for(replicasets).update({ ...set, metadata: { ...set.metadata, annotations: { ...annotations, ...sizes } }, spec: { ...set.spec, replicas } }, { signal: this.#signal });
    if (before !== replicas && !quiet) {
      this.#context.events.event(deployment, 'Normal', 'ScalingReplicaSet', `Scaled ${before < replicas ? 'up' : 'down'} replica set ${set.metadata.name} from ${before} to ${replicas}`);
    }
    return this.#replace(set, next);
  }

  /** Removes the oldest sets beyond revisionHistoryLimit. */
  async #cleanUp(newSet: ReplicaSet | undefined): Promise<void> {
    const limit = this.#deployment.spec.revisionHistoryLimit;
    if (limit === undefined || limit === 2 ** 31 - 1) return;
    const olds = this.#olds(newSet).filter((set) => !set.metadata.deletionTimestamp);
    olds.sort((a, b) => Number(revisionOf(a) - revisionOf(b)) || byCreation(a, b));
    for (const set of olds.slice(0, Math.max(0, olds.length - limit))) {
      if ((set.status?.replicas ?? 0) !== 0 || replicasOf(set) !== 0 || (set.metadata.generation ?? 0) > (set.status?.observedGeneration ?? 0)) continue;
      try { await this.#context.client.for(replicasets).delete(set.metadata, { signal: this.#signal }); } catch (err) { if (!isNotFound(err)) throw err; }
    }
  }

  async #plainStatus(newSet: ReplicaSet | undefined): Promise<Result> {
    await writeStatus(this.#deployment, baseStatus(this.#deployment, this.#sets, newSet, this.#context.clock.now()), this.#context, this.#signal);
    return done;
  }

  async #rolloutStatus(newSet: ReplicaSet | undefined): Promise<Result> {
    const { status, checkAgainMs } = rolloutStatus(this.#deployment, this.#sets, newSet, this.#context.clock.now());
    await writeStatus(this.#deployment, status, this.#context, this.#signal);
    return checkAgainMs === undefined ? done : requeueAfter(checkAgainMs);
  }
}

const notCopied = new Set([lastAppliedAnnotation, revisionAnnotation, revisionHistoryAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation, 'deprecated.deployment.rollback.to']);

/** Revisions are 64-bit: a set made by hand may carry one that a double can't hold. What is no number counts as 0. */
const parseRevision = (text: string | undefined): bigint => (text !== undefined && /^\d{1,19}$/.test(text) ? BigInt(text) : 0n);
const revisionOf = (set: ReplicaSet): bigint => parseRevision(set.metadata.annotations?.[revisionAnnotation]);

/** A set's annotations: the deployment's, its own, and its revision with those it had before. */
function setAnnotations(deployment: Deployment, set: ReplicaSet | undefined, revision: bigint): Record<string, string> {
  const annotations: Record<string, string> = { ...set?.metadata.annotations };
  for (const [name, value] of Object.entries(deployment.metadata.annotations ?? {})) if (!notCopied.has(name)) annotations[name] = value;
  const old = annotations[revisionAnnotation];
  if (parseRevision(old) < revision) {
    annotations[revisionAnnotation] = String(revision);
    if (old !== undefined && old !== '') {
      const history = annotations[revisionHistoryAnnotation] ? annotations[revisionHistoryAnnotation]!.split(',') : [];
      history.push(old);
      while (history.join(',').length > historyLimitChars) history.shift();
      annotations[revisionHistoryAnnotation] = history.join(',');
    }
  }
  return annotations;
}
