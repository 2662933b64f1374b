/** PersistentVolumeClaims. Source: upstream's ValidatePersistentVolumeClaimSpec and its updates. */
import type * as v1 from './v1.ts';
import { compareQuantity, tryParseQuantity } from '../quantity.ts';
import { addInvalid, field, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { differences, semanticEqual } from '../validation/equality.ts';
import { validateImmutable, validateLabelSelector, validateRequiredText } from '../validation/meta.ts';
import { isDNS1123Subdomain } from '../validation/names.ts';

export const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
export const volumeModes = ['Block', 'Filesystem'];

export function validateAccessModes(modes: readonly string[] | undefined, path: FieldPath, errors: FieldError[], none = 'at least 1 access mode is required'): void {
  if ((modes?.length ?? 0) === 0) errors.push(required(path.child('accessModes'), none));
  for (const mode of modes ?? []) if (!accessModes.includes(mode)) errors.push(notSupported(path.child('accessModes'), mode, accessModes));
  if ((modes?.length ?? 0) > 1 && modes!.includes('ReadWriteOncePod')) errors.push(forbidden(path.child('accessModes'), 'may not use ReadWriteOncePod with other access modes'));
}
function validateSource(source: { apiGroup?: string; kind?: string; name?: string } | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!source) return;
  validateRequiredText(source.name, undefined, path, 'name', errors);
  validateRequiredText(source.kind, undefined, path, 'kind', errors);
  if (!source.apiGroup && source.kind !== 'PersistentVolumeClaim') errors.push(invalid(path, source.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
}

export function validateClaimSpec(spec: v1.PersistentVolumeClaimSpec | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!spec) { errors.push(required(path)); return; }
  if (spec.selector) validateLabelSelector(spec.selector, path.child('selector'), errors);
  validateAccessModes(spec.accessModes, path, errors);
  const storage = spec.resources?.requests?.['storage'];
  if (storage === undefined) errors.push(required(path.child('resources').key('storage')));
  else {
    const quantity = tryParseQuantity(storage);
    if (!quantity || quantity.nanos <= 0n) errors.push(invalid(path.child('resources').key('storage'), storage, 'must be greater than zero'));
  }
  if (spec.storageClassName) addInvalid(errors, path.child('storageClassName'), spec.storageClassName, isDNS1123Subdomain(spec.storageClassName));
  if (spec.volumeMode !== undefined && !volumeModes.includes(spec.volumeMode)) errors.push(notSupported(path.child('volumeMode'), spec.volumeMode, volumeModes));
  validateSource(spec.dataSource, path.child('dataSource'), errors);
  validateSource(spec.dataSourceRef, path.child('dataSourceRef'), errors);
}

const specPath = field('spec');
export function validatePersistentVolumeClaim({ spec }: v1.PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  validateClaimSpec(spec, specPath, errors);
  return errors;
}
export function validatePersistentVolumeClaimUpdate(next: v1.PersistentVolumeClaim, old: v1.PersistentVolumeClaim): FieldError[] {
  const errors = validatePersistentVolumeClaim(next);
  const munged = structuredClone(next.spec) as { -readonly [K in keyof v1.PersistentVolumeClaimSpec]: v1.PersistentVolumeClaimSpec[K] };
  // Binding fills volumeName once; storage may grow while bound; a class may be set on an unbound claim that had none.
  if (!old.spec.volumeName) munged.volumeName = old.spec.volumeName;
  munged.resources = { ...munged.resources, requests: old.spec.resources?.requests };
  munged.volumeAttributesClassName = old.spec.volumeAttributesClassName;
  if (old.spec.storageClassName === undefined && next.spec.storageClassName !== undefined && !old.spec.volumeName) munged.storageClassName = undefined;
  if (!semanticEqual(munged, old.spec)) {
    errors.push(forbidden(specPath, `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${differences(old.spec, munged).join('\n')}`));
  }
  const [before, after] = [old.spec.resources?.requests?.['storage'], next.spec.resources?.requests?.['storage']];
  if (before !== undefined && after !== undefined && before !== after) {
    if (next.status?.phase !== 'Bound' && old.status?.phase !== 'Bound') errors.push(forbidden(specPath, 'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'));
    else if (compareQuantity(after, before) < 0 && (!old.status?.capacity?.['storage'] || compareQuantity(after, old.status.capacity['storage']) <= 0)) {
      errors.push(forbidden(specPath.child('resources', 'requests', 'storage'), 'field can not be less than status.capacity'));
    }
  }
  validateImmutable(next.spec.volumeMode, old.spec.volumeMode, () => specPath.child('volumeMode'), errors);
  return errors;
}
