/**
 * Adoption and release: an owner takes matching orphans and lets go of what no longer matches its selector.
 * Behaviour: upstream's ControllerRefManager (pkg/controller/controller_ref_manager.go).
 */
import type { ResourceNames } from '../api/resource-names.ts';
import type { OwnerReference } from '../api/meta/v1.ts';
import { isInvalid, isNotFound } from '../api/meta/status.ts';
import type { Selector } from '../api/label-selector.ts';
import type { ApiObject } from '../client/client.ts';
import { controlledBy, orphansIn, type Context } from './framework.ts';

export function controllerReference(owner: ApiObject, names: ResourceNames): OwnerReference {
  return { apiVersion: names.apiVersion, kind: names.kind, name: owner.metadata.name, uid: owner.metadata.uid!, controller: true, blockOwnerDeletion: true };
}

/** The dependents that `owner` controls after adopting and releasing. */
export async function claim<O extends ApiObject, T extends ApiObject>(
  context: Context, owner: O, ownerNames: ResourceNames<O>, dependentNames: ResourceNames<T>, selector: Selector,
  options: { filter?: (dependent: T) => boolean; finalizers?: readonly string[] } = {},
): Promise<T[]> {
  const cache = context.cache(dependentNames);
  const { namespace = '', uid } = owner.metadata;
  const claimed: T[] = [];
  const waiting: Promise<void>[] = [];
  const api = context.client.for(dependentNames);
  const matches = (dependent: T) => selector.matches(dependent.metadata.labels) && (options.filter?.(dependent) ?? true);

  for (const dependent of controlledBy(cache, owner)) {
    if (matches(dependent)) { claimed.push(dependent); continue; }
    if (owner.metadata.deletionTimestamp) continue;
    waiting.push(api.patch({ namespace, name: dependent.metadata.name }, 'strategic', {
      metadata: {
        uid: dependent.metadata.uid!, ownerReferences: [{ $patch: 'delete', uid: uid! }],
        ...(options.finalizers?.length ? { '$deleteFromPrimitiveList/finalizers': [...options.finalizers] } : {}),
      },
    }).then(() => undefined, (err: unknown) => { if (!isNotFound(err) && !isInvalid(err)) throw err; }));
  }
  if (!owner.metadata.deletionTimestamp) {
    let adoptable: Promise<void> | undefined;
    for (const dependent of orphansIn(cache, namespace)) {
      if (dependent.metadata.deletionTimestamp || !matches(dependent)) continue;
      // The cached owner may be gone or replaced: only a fresh read allows adoption.
      adoptable ??= context.client.for(ownerNames).get({ namespace, name: owner.metadata.name }).then((fresh) => {
        if (fresh.metadata.uid !== uid) throw new Error(`original ${ownerNames.kind} ${namespace}/${owner.metadata.name} is gone: got uid ${fresh.metadata.uid}, wanted ${uid}`);
        if (fresh.metadata.deletionTimestamp) throw new Error(`${namespace}/${owner.metadata.name} has just been deleted at ${fresh.metadata.deletionTimestamp}`);
      });
      const ready = adoptable;
      waiting.push((async () => {
        await ready;
        try {
          claimed.push(await api.patch({ namespace, name: dependent.metadata.name }, 'strategic', {
            metadata: { uid: dependent.metadata.uid!, ownerReferences: [{ ...controllerReference(owner, ownerNames) }], ...(options.finalizers?.length ? { finalizers: [...options.finalizers] } : {}) },
          }));
        } catch (err) { if (!isNotFound(err) && !isInvalid(err)) throw err; }
      })());
    }
  }
  const failed = (await Promise.allSettled(waiting)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  return claimed;
}
