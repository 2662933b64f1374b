/** storage.k8s.io/v1. Source: upstream's pkg/apis/storage/validation. */
import type * as v1 from './v1.ts';
import { semanticEqual } from '../validation/equality.ts';
import { addInvalid, duplicate, field, fieldImmutable, forbidden, invalid, notSupported, required, type FieldError } from '../validation/field.ts';
import { isDNS1123Subdomain, isQualifiedName, nameIsDNSSubdomain } from '../validation/names.ts';
import { validateEnum, validateImmutable } from '../validation/meta.ts';
import { validateCSIDriverName } from '../core/volumes.validation.ts';

const specPath = field('spec');

function validateParameters(parameters: { readonly [key: string]: string } | undefined, errors: FieldError[]): void {
  const path = field('parameters');
  if (Object.keys(parameters ?? {}).length > 512) errors.push({ type: 'FieldValueTooLong', field: 'parameters', detail: 'Too long: may not be more than 512 bytes' });
  for (const key in parameters) if (key === '') errors.push(invalid(path, key, 'field can not be empty.'));
}
export function validateStorageClass(storageClass: v1.StorageClass): FieldError[] {
  const errors: FieldError[] = [];
  if (!storageClass.provisioner) errors.push(required(field('provisioner')));
  else addInvalid(errors, field('provisioner'), storageClass.provisioner, isQualifiedName(storageClass.provisioner.toLowerCase()));
  validateParameters(storageClass.parameters, errors);
  if (storageClass.reclaimPolicy && !['Delete', 'Retain'].includes(storageClass.reclaimPolicy)) errors.push(notSupported(field('reclaimPolicy'), storageClass.reclaimPolicy, ['Delete', 'Retain']));
  if (!storageClass.volumeBindingMode) errors.push(required(field('volumeBindingMode')));
  else if (!['Immediate', 'WaitForFirstConsumer'].includes(storageClass.volumeBindingMode)) errors.push(notSupported(field('volumeBindingMode'), storageClass.volumeBindingMode, ['Immediate', 'WaitForFirstConsumer']));
  for (const [t, term] of (storageClass.allowedTopologies ?? []).entries()) {
    for (const [i, { key, values }] of (term.matchLabelExpressions ?? []).entries()) {
      const path = field('allowedTopologies').index(t).child('matchLabelExpressions').index(i);
      if ((values?.length ?? 0) === 0) errors.push(required(path.child('values')));
      addInvalid(errors, path.child('key'), key, isQualifiedName(key));
    }
  }
  return errors;
}
export function validateStorageClassUpdate(next: v1.StorageClass, old: v1.StorageClass): FieldError[] {
  const errors = validateStorageClass(next);
  if (!semanticEqual(next.parameters, old.parameters)) errors.push(forbidden(field('parameters'), 'updates to parameters are forbidden.'));
  if (next.provisioner !== old.provisioner) errors.push(forbidden(field('provisioner'), 'updates to provisioner are forbidden.'));
  if (next.reclaimPolicy !== old.reclaimPolicy) errors.push(forbidden(field('reclaimPolicy'), 'updates to reclaimPolicy are forbidden.'));
  validateImmutable(next.volumeBindingMode, old.volumeBindingMode, () => field('volumeBindingMode'), errors);
  return errors;
}
export function validateCSIDriver({ metadata, spec }: v1.CSIDriver): FieldError[] {
  const errors: FieldError[] = [];
  validateCSIDriverName(metadata.name, field('metadata', 'name'), errors);
  for (const mode of spec.volumeLifecycleModes ?? []) if (mode !== 'Persistent' && mode !== 'Ephemeral') errors.push(notSupported(specPath.child('volumeLifecycleModes'), mode, ['Persistent', 'Ephemeral']));
  validateEnum(spec.fsGroupPolicy, ['ReadWriteOnceWithFSType', 'File', 'None'], specPath, 'fsGroupPolicy', errors, { optional: true });
  return errors;
}
export function validateCSIDriverUpdate(next: v1.CSIDriver, old: v1.CSIDriver): FieldError[] {
  const errors = validateCSIDriver(next);
  for (const name of ['attachRequired', 'volumeLifecycleModes'] as const) validateImmutable(next.spec[name], old.spec[name], () => specPath.child(name), errors);
  return errors;
}
export function validateCSINode({ spec }: v1.CSINode): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, driver] of (spec?.drivers ?? []).entries()) {
    const path = specPath.child('drivers').index(i);
    validateCSIDriverName(driver.name, path.child('name'), errors);
    if (!driver.nodeID) errors.push(required(path.child('nodeID')));
    if (seen.has(driver.name)) errors.push(duplicate(specPath.child('drivers').index(i).child('name'), driver.name));
    seen.add(driver.name);
  }
  return errors;
}
export function validateVolumeAttachment({ spec }: v1.VolumeAttachment): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.attacher) errors.push(required(specPath.child('attacher')));
  const source = spec.source ?? {};
  const count = (source.persistentVolumeName ? 1 : 0) + (source.inlineVolumeSpec ? 1 : 0);
  if (count === 0) errors.push(required(specPath.child('source'), 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'));
  if (count > 1) errors.push(forbidden(specPath.child('source'), 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'));
  addInvalid(errors, specPath.child('nodeName'), spec.nodeName ?? '', nameIsDNSSubdomain(spec.nodeName ?? '', false));
  return errors;
}
export function validateVolumeAttachmentUpdate(next: v1.VolumeAttachment, old: v1.VolumeAttachment): FieldError[] {
  const errors = validateVolumeAttachment(next);
  if (!semanticEqual(next.spec, old.spec)) errors.push(invalid(specPath, next.spec, fieldImmutable));
  return errors;
}
export function validateVolumeAttributesClass(object: v1.VolumeAttributesClass): FieldError[] {
  const errors: FieldError[] = [];
  validateCSIDriverName(object.driverName, field('driverName'), errors);
  if (Object.keys(object.parameters ?? {}).length === 0) errors.push(required(field('parameters'), 'must contain at least one key/value pair'));
  validateParameters(object.parameters, errors);
  return errors;
}
export function validateVolumeAttributesClassUpdate(next: v1.VolumeAttributesClass, old: v1.VolumeAttributesClass): FieldError[] {
  const errors = validateVolumeAttributesClass(next);
  validateImmutable(next.driverName, old.driverName, () => field('driverName'), errors);
  validateImmutable(next.parameters, old.parameters, () => field('parameters'), errors);
  return errors;
}
export function validateCSIStorageCapacity(capacity: v1.CSIStorageCapacity): FieldError[] {
  const errors: FieldError[] = [];
  addInvalid(errors, field('storageClassName'), capacity.storageClassName ?? '', isDNS1123Subdomain(capacity.storageClassName ?? ''));
  return errors;
}
