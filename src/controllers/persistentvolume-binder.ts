/**
 * Binds claims to volumes and keeps both phases true. A binding is four writes, each of which may be the last before a crash; the next look
 * goes on from there. Text: kubernetes.io/docs/concepts/storage/persistent-volumes. Upstream: pkg/controller/volume/persistentvolume.
 * Differs: there are no in-tree provisioners, deleters or recyclers; external ones are told by the usual annotations and phases.
 */
import type { PersistentVolume, PersistentVolumeClaim } from '../api/core/v1.ts';
import type { StorageClass } from '../api/storage/v1.ts';
import { isNotFound } from '../api/meta/status.ts';
import { persistentvolumeclaims, persistentvolumes, storageclasses } from '../api/resources.ts';
import { keyOf } from '../client/informer.ts';
import { defineController, done, type Context, type Result } from './framework.ts';
import { bestVolume, classOfClaim, isClaimedBy, mismatch } from '../api/core/volume-match.ts';
import { same } from './canonical.ts';

const bindCompleted = 'pv.kubernetes.io/bind-completed';
const boundByController = 'pv.kubernetes.io/bound-by-controller';
export const selectedNode = 'volume.kubernetes.io/selected-node';
const storageProvisioner = 'volume.kubernetes.io/storage-provisioner';
const betaStorageProvisioner = 'volume.beta.kubernetes.io/storage-provisioner';
const noProvisioner = 'kubernetes.io/no-provisioner';

const claimKey = (claim: PersistentVolumeClaim) => `claim:${keyOf(claim)}`;
const refKey = (volume: PersistentVolume) => (volume.spec?.claimRef ? [`claim:${volume.spec.claimRef.namespace}/${volume.spec.claimRef.name}`] : []);
const unbound = (claim: PersistentVolumeClaim) => claim.metadata.annotations?.[bindCompleted] === undefined;

/** Keys are 'claim:NAMESPACE/NAME' and 'volume:NAME'. One worker: two claims must not take one volume. */
export const persistentVolumeBinder = defineController({
  name: 'persistentvolume-binder-controller', aliases: ['persistentvolume-binder'], account: 'persistent-volume-binder', component: 'persistentvolume-controller', workers: 1,
  writes: ['persistentvolumes', 'persistentvolumes/status', 'persistentvolumeclaims', 'persistentvolumeclaims/status'],
  watches: [
    { resource: persistentvolumeclaims, keys: ({ old, any }: { old?: PersistentVolumeClaim; any: PersistentVolumeClaim }) => [claimKey(any), ...(any.spec?.volumeName ? [`volume:${any.spec.volumeName}`] : []), ...(old?.spec?.volumeName ? [`volume:${old.spec.volumeName}`] : [])] },
    {
      resource: persistentvolumes,
      *keys({ any, next }: { any: PersistentVolume; next?: PersistentVolume }, { cache }) {
        yield `volume:${any.metadata.name}`;
        yield* refKey(any);
        if (!next || !next.spec?.claimRef) for (const claim of cache(persistentvolumeclaims).list()) if (unbound(claim) || claim.spec?.volumeName === any.metadata.name) yield claimKey(claim);
      },
    },
    { resource: storageclasses, keys: ({ any }: { any: StorageClass }, { cache }) => cache(persistentvolumeclaims).list().filter((claim) => unbound(claim) && classOfClaim(claim) === any.metadata.name).map(claimKey) },
  ],
  async reconcile(key, context, signal) {
    const name = key.slice(key.indexOf(':') + 1);
    if (key.startsWith('volume:')) {
      const volume = context.cache(persistentvolumes).get(name);
      return volume ? syncVolume(volume, context, signal) : done;
    }
    const claim = context.cache(persistentvolumeclaims).get(name);
    if (!claim) return done;
    return unbound(claim) ? syncUnbound(claim, context, signal) : syncBound(claim, context, signal);
  },
});

async function syncUnbound(claim: PersistentVolumeClaim, context: Context, signal: AbortSignal): Promise<Result> {
  const { cache, events } = context;
  const named = claim.spec?.volumeName;
  if (named) {
    const volume = cache(persistentvolumes).get(named);
    if (!volume) return setClaimPhase(claim, 'Pending', context, signal);
    if (!volume.spec?.claimRef || isClaimedBy(volume, claim)) {
      const why = volume.spec?.claimRef?.uid ? undefined : mismatch(volume, claim);
      if (!why) return bind(volume, claim, context, signal);
      events.event(claim, 'Warning', 'VolumeMismatch', `Cannot bind to requested volume "${named}": ${why}`);
    } else events.event(claim, 'Warning', 'FailedBinding', `volume "${named}" already bound to a different claim.`);
    return setClaimPhase(claim, 'Pending', context, signal);
  }
  if (claim.metadata.deletionTimestamp) return done;
  const className = classOfClaim(claim);
  const storageClass = className ? cache(storageclasses).get(className) : undefined;
  const delayed = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && claim.metadata.annotations?.[selectedNode] === undefined;
  const volume = bestVolume(claim, cache(persistentvolumes).list(), { delayed });
  if (volume) return bind(volume, claim, context, signal);
  if (delayed) events.event(claim, 'Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
  else if (!className) events.event(claim, 'Normal', 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set');
  else if (!storageClass) events.event(claim, 'Warning', 'ProvisioningFailed', `storageclass.storage.k8s.io "${className}" not found`);
  else if (storageClass.provisioner === noProvisioner) events.event(claim, 'Warning', 'ProvisioningFailed', 'no volume plugin matched name: kubernetes.io/no-provisioner');
  else {
    events.event(claim, 'Normal', 'ExternalProvisioning', `Waiting for a volume to be created either by the external provisioner '${storageClass.provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`);
    if (claim.metadata.annotations?.[storageProvisioner] !== storageClass.provisioner) {
      claim = await context.client.for(persistentvolumeclaims).update({ ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, [storageProvisioner]: storageClass.provisioner, [betaStorageProvisioner]: storageClass.provisioner } } }, { signal });
    }
  }
  return setClaimPhase(claim, 'Pending', context, signal);
}

async function syncBound(claim: PersistentVolumeClaim, context: Context, signal: AbortSignal): Promise<Result> {
  const lost = (message: string, reason = 'ClaimLost') => {
    if (claim.status?.phase !== 'Lost') context.events.event(claim, 'Warning', reason, message);
    return setClaimPhase(claim, 'Lost', context, signal);
  };
  const name = claim.spec?.volumeName;
  if (!name) return lost('Bound claim has lost reference to PersistentVolume. Data on the volume is lost!');
  const volume = context.cache(persistentvolumes).get(name);
  if (!volume) return lost('Bound claim has lost its PersistentVolume. Data on the volume is lost!');
  if (!volume.spec?.claimRef || isClaimedBy(volume, claim)) return bind(volume, claim, context, signal);
  return lost('Two claims are bound to the same volume, this one is bound incorrectly', 'ClaimMisbound');
}

async function bind(volume: PersistentVolume, claim: PersistentVolumeClaim, context: Context, signal: AbortSignal): Promise<Result> {
  const { client } = context;
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  if (volume.spec?.claimRef?.uid !== uid) {
    const annotations = volume.spec?.claimRef ? volume.metadata.annotations : { ...volume.metadata.annotations, [boundByController]: 'yes' };
    volume = await client.for(persistentvolumes).update({
      ...volume, metadata: { ...volume.metadata, ...(annotations ? { annotations } : {}) },
      spec: { ...volume.spec, claimRef: { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace: namespace!, name, uid: uid!, resourceVersion: resourceVersion! } },
    }, { signal });
  }
  await setVolumePhase(volume, 'Bound', '', context, signal);
  const byUs = claim.spec?.volumeName !== volume.metadata.name;
  if (byUs || unbound(claim)) {
    claim = await client.for(persistentvolumeclaims).update({
      ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, [bindCompleted]: 'yes', ...(byUs ? { [boundByController]: 'yes' } : {}) } },
      spec: { ...claim.spec, volumeName: volume.metadata.name },
    }, { signal });
  }
  return setClaimPhase(claim, 'Bound', context, signal, volume);
}

async function setClaimPhase(claim: PersistentVolumeClaim, phase: string, { client }: Context, signal: AbortSignal, volume?: PersistentVolume): Promise<Result> {
  const { accessModes: _modes, capacity: _capacity, currentVolumeAttributesClassName: _class, ...rest } = claim.status ?? {};
  const first = volume && claim.status?.phase !== 'Bound';
  const status = phase === 'Pending' ? { ...rest, phase }
    : phase === 'Lost' ? { ...claim.status, phase }
    // A resize changes the capacity of a bound claim: that is then its resizer's to say.
    : { ...claim.status, phase, ...(volume?.spec?.accessModes ? { accessModes: volume.spec.accessModes } : {}), ...(first && volume.spec?.capacity?.storage ? { capacity: { ...claim.status?.capacity, storage: volume.spec.capacity.storage } } : {}),
      ...(first && volume.spec?.volumeAttributesClassName ? { currentVolumeAttributesClassName: volume.spec.volumeAttributesClassName } : {}) };
  if (!same(status, claim.status)) await client.for(persistentvolumeclaims).updateStatus({ ...claim, status }, { signal });
  return done;
}

async function setVolumePhase(volume: PersistentVolume, phase: string, message: string, { client }: Context, signal: AbortSignal): Promise<Result> {
  if (volume.status?.phase === phase) return done;
  const { message: _old, ...rest } = volume.status ?? {};
  await client.for(persistentvolumes).updateStatus({ ...volume, status: { ...rest, phase, ...(message ? { message } : {}) } }, { signal });
  return done;
}

async function syncVolume(volume: PersistentVolume, context: Context, signal: AbortSignal): Promise<Result> {
  const ref = volume.spec?.claimRef;
  // Kept for a claim by name, and not yet bound: still available.
  if (!ref?.uid) return setVolumePhase(volume, 'Available', '', context, signal);
  let claim: PersistentVolumeClaim | undefined = context.cache(persistentvolumeclaims).get(`${ref.namespace}/${ref.name}`);
  if (!claim || claim.metadata.uid !== ref.uid) {
    // The cache may lag: giving up a volume that is in use would lose data.
    try { claim = await context.client.for(persistentvolumeclaims).get({ namespace: ref.namespace!, name: ref.name! }, { signal }); } catch (err) { if (!isNotFound(err)) throw err; claim = undefined; }
    if (claim?.metadata.uid !== ref.uid) claim = undefined;
  }
  if (!claim) {
    if (volume.status?.phase === 'Failed') return done;
    await setVolumePhase(volume, 'Released', '', context, signal);
    const policy = volume.spec?.persistentVolumeReclaimPolicy ?? 'Retain';
    if (policy === 'Recycle') context.events.event(volume, 'Warning', 'VolumeFailedRecycle', 'No recycler plugin found for the volume!');
    else if (policy === 'Delete' && (volume.spec?.hostPath || volume.spec?.local)) context.events.event(volume, 'Warning', 'VolumeFailedDelete', 'error getting deleter volume plugin for volume: no deletable volume plugin matched');
    return done;
  }
  if (!claim.spec?.volumeName) { context.enqueue(claimKey(claim)); return done; }
  if (claim.spec.volumeName === volume.metadata.name) return setVolumePhase(volume, 'Bound', '', context, signal);
  // The claim went to another volume: this one is free again, or kept by name as it was before.
  const { claimRef: _ref, ...spec } = volume.spec!;
  if (volume.metadata.annotations?.[boundByController]) {
    const { [boundByController]: _by, ...annotations } = volume.metadata.annotations;
    volume = await context.client.for(persistentvolumes).update({ ...volume, metadata: { ...volume.metadata, annotations }, spec }, { signal });
  } else volume = await context.client.for(persistentvolumes).update({ ...volume, spec: { ...spec, claimRef: { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace: ref.namespace!, name: ref.name! } } }, { signal });
  return setVolumePhase(volume, 'Available', '', context, signal);
}
