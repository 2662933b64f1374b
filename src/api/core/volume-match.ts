/** Which volume suits a claim: pure. Text: kubernetes.io/docs/concepts/storage/persistent-volumes#binding. Upstream: component-helpers/storage/volume/pv_helpers.go. */
import type { PersistentVolume, PersistentVolumeClaim } from './v1.ts';
import { compareQuantity, parseQuantity, zeroQuantity } from '../quantity.ts';
import { selectorFrom } from '../label-selector.ts';

/** The older annotations still count where the fields are empty. */
const classAnnotation = 'volume.beta.kubernetes.io/storage-class';
export const classOfClaim = (claim: PersistentVolumeClaim): string => claim.metadata.annotations?.[classAnnotation] ?? claim.spec?.storageClassName ?? '';
export const classOfVolume = (volume: PersistentVolume): string => volume.metadata.annotations?.[classAnnotation] ?? volume.spec?.storageClassName ?? '';

const size = (text: string | undefined) => (text === undefined ? zeroQuantity : parseQuantity(text));
const capacity = (volume: PersistentVolume) => size(volume.spec?.capacity?.storage);
const mode = (spec: { volumeMode?: string } | undefined) => spec?.volumeMode ?? 'Filesystem';

/** The binding is complete: the controller has said so, and names the volume. */
export const isBound = (claim: PersistentVolumeClaim): boolean => claim.metadata.annotations?.['pv.kubernetes.io/bind-completed'] !== undefined && Boolean(claim.spec?.volumeName);

/** The volume names this claim as its own, by uid or, before the first binding, by name alone. */
export function isClaimedBy(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  return ref !== undefined && ref.name === claim.metadata.name && ref.namespace === claim.metadata.namespace && (!ref.uid || ref.uid === claim.metadata.uid);
}

/** Why a volume that a claim names can't be its; undefined when it can. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (compareQuantity(capacity(volume), size(claim.spec?.resources?.requests?.storage)) < 0) return 'requested PV is too small';
  if (classOfVolume(volume) !== classOfClaim(claim)) return 'storageClassName does not match';
  if (mode(volume.spec) !== mode(claim.spec)) return 'incompatible volumeMode';
  if ((volume.spec?.volumeAttributesClassName ?? '') !== (claim.spec?.volumeAttributesClassName ?? '')) return 'volume attributes class does not match';
  if (!(claim.spec?.accessModes ?? []).every((one) => volume.spec?.accessModes?.includes(one))) return 'incompatible accessMode';
  return undefined;
}

/** A volume kept for the claim, else the smallest that suits. `nodeFits` limits the choice to what a node can reach; `delayed` claims take only what was kept for them. */
export function bestVolume(claim: PersistentVolumeClaim, volumes: readonly PersistentVolume[], { delayed = false, nodeFits = () => true }: { delayed?: boolean; nodeFits?: (volume: PersistentVolume) => boolean } = {}): PersistentVolume | undefined {
  const selector = claim.spec?.selector && selectorFrom(claim.spec.selector);
  let best: PersistentVolume | undefined;
  for (const volume of volumes) {
    if (isClaimedBy(volume, claim)) { if (!mismatch(volume, claim)) return volume; continue; }
    if (delayed || volume.spec?.claimRef || volume.metadata.deletionTimestamp || (volume.status?.phase !== 'Available' && volume.status?.phase !== 'Pending' && volume.status?.phase !== undefined)) continue;
    if (mismatch(volume, claim) || (selector && !selector.matches(volume.metadata.labels)) || !nodeFits(volume)) continue;
    if (!best || compareQuantity(capacity(volume), capacity(best)) < 0) best = volume;
  }
  return best;
}
