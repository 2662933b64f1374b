/**
 * Keeps claims, volumes and volume attributes classes that are in use from going: their finalizer is taken off once nothing uses them.
 * Text: kubernetes.io/docs/concepts/storage/persistent-volumes#storage-object-in-use-protection. Upstream: pkg/controller/volume/{pvc,pv,vac}protection.
 */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../api/core/v1.ts';
import type { VolumeAttributesClass } from '../api/storage/v1.ts';
import { isNotFound } from '../api/meta/status.ts';
import { persistentvolumeclaims, persistentvolumes, pods, volumeattributesclasses } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject } from '../client/client.ts';
import { defineController, done, type Context, type Result } from './framework.ts';
import { isTerminal } from './pods.ts';

/** Claims that a pod names, its ephemeral volumes' included. */
export function claimsOf(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => (volume.persistentVolumeClaim ? [volume.persistentVolumeClaim.claimName] : volume.ephemeral ? [`${pod.metadata.name}-${volume.name}`] : []));
}
/** A pod counts from the time it has a node until it is gone; one that ended frees the claims that live with it. */
function uses(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (!pod.spec.nodeName) return false;
  return (pod.spec.volumes ?? []).some((volume) => volume.persistentVolumeClaim?.claimName === claim.metadata.name
    || (volume.ephemeral !== undefined && !isTerminal(pod) && `${pod.metadata.name}-${volume.name}` === claim.metadata.name && claim.metadata.ownerReferences?.some(({ uid }) => uid === pod.metadata.uid)));
}

/** Adds the finalizer to what lives, and takes it off what is to go and is not `inUse`. */
async function protect<T extends ApiObject>(object: T | undefined, names: ResourceNames<T>, finalizer: string, inUse: () => Promise<boolean>, { client, log }: Context, signal: AbortSignal): Promise<Result> {
  if (!object) return done;
  const { finalizers = [], deletionTimestamp, name } = object.metadata;
  const has = finalizers.includes(finalizer);
  if (deletionTimestamp ? !has || await inUse() : has) return done;
  try {
    await client.for(names).update({ ...object, metadata: { ...object.metadata, finalizers: deletionTimestamp ? finalizers.filter((one) => one !== finalizer) : [...finalizers, finalizer] } }, { signal });
    log.debug({ name, finalizer }, deletionTimestamp ? 'no longer in use' : 'protected');
  } catch (err) { if (!isNotFound(err)) throw err; }
  return done;
}

export const claimProtectionController = defineController({
  name: 'persistentvolumeclaim-protection-controller', aliases: ['pvc-protection'], account: 'pvc-protection-controller', for: persistentvolumeclaims, writes: ['persistentvolumeclaims'],
  watches: [{
    resource: pods,
    *keys({ old, next, any }: { old?: Pod; next?: Pod; any: Pod }) {
      // Only a pod that went, ended, or was replaced under its name frees a claim.
      if (next && !isTerminal(next) && old?.metadata.uid === next.metadata.uid) return;
      for (const pod of new Set([old, next])) if (pod) for (const claim of claimsOf(pod)) yield `${any.metadata.namespace}/${claim}`;
    },
  }],
  setup: ({ cache }) => { cache(pods); },
  async reconcile(key, context, signal) {
    const claim = context.cache(persistentvolumeclaims).get(key);
    return protect(claim, persistentvolumeclaims, 'kubernetes.io/pvc-protection', async () => {
      if (context.cache(pods).list(claim!.metadata.namespace).some((pod) => uses(pod, claim!))) return true;
      // The cache may lag behind a pod that was bound to a node just now.
      const { items } = await context.client.for(pods).list({ namespace: claim!.metadata.namespace!, signal });
      return items.some((pod) => uses(pod, claim!));
    }, context, signal);
  },
});

export const volumeProtectionController = defineController({
  name: 'persistentvolume-protection-controller', aliases: ['pv-protection'], account: 'pv-protection-controller', for: persistentvolumes, writes: ['persistentvolumes'],
  async reconcile(key, context, signal) {
    const volume = context.cache(persistentvolumes).get(key);
    return protect(volume, persistentvolumes, 'kubernetes.io/pv-protection', async () => volume!.status?.phase === 'Bound', context, signal);
  },
});

const classesOfClaim = ({ spec, status }: PersistentVolumeClaim): string[] => [spec?.volumeAttributesClassName, status?.currentVolumeAttributesClassName, status?.modifyVolumeStatus?.targetVolumeAttributesClassName].filter((name): name is string => name !== undefined && name !== '');
const classesOfVolume = ({ spec }: PersistentVolume): string[] => (spec?.volumeAttributesClassName ? [spec.volumeAttributesClassName] : []);

export const attributesClassProtectionController = defineController({
  name: 'volumeattributesclass-protection-controller', for: volumeattributesclasses, writes: ['volumeattributesclasses'],
  watches: [
    { resource: persistentvolumeclaims, keys: ({ old }: { old?: PersistentVolumeClaim }) => (old ? classesOfClaim(old) : []) },
    { resource: persistentvolumes, keys: ({ old }: { old?: PersistentVolume }) => (old ? classesOfVolume(old) : []) },
  ],
  async reconcile(name, context, signal) {
    const found = context.cache(volumeattributesclasses).get(name) as VolumeAttributesClass | undefined;
    return protect(found, volumeattributesclasses, 'kubernetes.io/vac-protection', async () => context.cache(persistentvolumeclaims).list().some((claim) => classesOfClaim(claim).includes(name))
      || context.cache(persistentvolumes).list().some((volume) => classesOfVolume(volume).includes(name)), context, signal);
  },
});

