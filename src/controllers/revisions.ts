/** The history of StatefulSet and DaemonSet templates as ControllerRevisions. Upstream: pkg/controller/history. */
import type { ControllerRevision } from '../api/apps/v1.ts';
import type { PodTemplateSpec } from '../api/core/v1.ts';
import { controllerrevisions } from '../api/resources.ts';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { Selector } from '../api/label-selector.ts';
import type { JsonObject } from '../base/json.ts';
import type { ApiObject } from '../client/client.ts';
import { canonical, templateHash } from './canonical.ts';
import { claim, controllerReference } from './claim.ts';
import type { Context } from './framework.ts';

export const revisionHashLabel = 'controller-revision-hash';
type Owner = ApiObject & { spec: { template: PodTemplateSpec; revisionHistoryLimit?: number }; status?: { collisionCount?: number } };

/** A patch that puts the whole template back, as kubectl rollout undo applies it. */
const dataOf = (template: PodTemplateSpec): JsonObject => ({ spec: { template: { ...(template as unknown as JsonObject), $patch: 'replace' } } });
export const templateOf = (revision: ControllerRevision): PodTemplateSpec => {
  const { $patch: _, ...template } = (revision.data as unknown as { spec: { template: PodTemplateSpec & { $patch?: string } } }).spec.template;
  return template;
};

export interface History { revisions: ControllerRevision[]; update: ControllerRevision; collisionCount: number | undefined }

/** All revisions, oldest first, with the one of the current template; made or moved to the front where needed. Throws after noting a hash collision in `onCollision`. */
export async function syncRevisions<T extends Owner>(context: Context, owner: T, names: ResourceNames<T>, selector: Selector, signal: AbortSignal): Promise<History> {
  const api = context.client.for(controllerrevisions);
  const revisions = (await claim(context, owner, names, controllerrevisions, selector)).sort((a, b) => a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1));
  const data = dataOf(owner.spec.template);
  const text = canonical(data);
  const newest = revisions.at(-1);
  const equal = revisions.findLast((revision) => canonical(revision.data) === text);
  let collisionCount = owner.status?.collisionCount;
  if (equal) {
    if (equal === newest) return { revisions, update: equal, collisionCount };
    const moved = await api.update({ ...equal, revision: newest!.revision + 1 }, { signal });
    return { revisions: [...revisions.filter((revision) => revision !== equal), moved], update: moved, collisionCount };
  }
  for (;;) {
    const hash = templateHash(data, collisionCount);
    const name = `${owner.metadata.name}-${hash}`;
    try {
      const made = await api.create({
        metadata: { name, namespace: owner.metadata.namespace, labels: { ...owner.spec.template.metadata?.labels, [revisionHashLabel]: hash }, ownerReferences: [controllerReference(owner, names)] },
        data, revision: (newest?.revision ?? 0) + 1,
      }, { signal });
      return { revisions: [...revisions, made], update: made, collisionCount };
    } catch (err) {
      if (!isAlreadyExists(err)) throw err;
      const existing = await api.get({ namespace: owner.metadata.namespace, name }, { signal });
      if (canonical(existing.data) === text) return { revisions: [...revisions, existing], update: existing, collisionCount };
      collisionCount = (collisionCount ?? 0) + 1;
    }
  }
}

/** Deletes the oldest revisions no pod and no status refers to, beyond the limit. */
export async function trimRevisions(context: Context, revisions: readonly ControllerRevision[], live: ReadonlySet<string>, limit: number, signal: AbortSignal): Promise<void> {
  const unused = revisions.filter((revision) => !live.has(revision.metadata.name) && !live.has(revision.metadata.labels?.[revisionHashLabel] ?? ''));
  for (const revision of unused.slice(0, Math.max(0, unused.length - limit))) {
    try { await context.client.for(controllerrevisions).delete(revision.metadata, { signal }); } catch (err) { if (!isNotFound(err)) throw err; }
  }
}
