/** storage.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/registry/storage. */
import type * as v1 from '../../api/storage/v1.ts';
import type { Column } from '../types.ts';
import * as defaults from '../../api/storage/v1.defaults.ts';
import * as validation from '../../api/storage/v1.validation.ts';
import { csidrivers, csinodes, csistoragecapacities, storageclasses, volumeattachments, volumeattributesclasses } from '../../api/resources.ts';
import { ageColumn, boolean, column, entry, integer, nameColumn } from './define.ts';

const isDefault = (metadata: { readonly annotations?: { readonly [key: string]: string } }) =>
  metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true' || metadata.annotations?.['storageclass.beta.kubernetes.io/is-default-class'] === 'true';
const defaultMark = (object: v1.StorageClass | v1.VolumeAttributesClass) => (isDefault(object.metadata) ? `${object.metadata.name} (default)` : object.metadata.name);
const nameWithDefault = { ...nameColumn, value: (object: v1.StorageClass) => defaultMark(object) };

const storageClassColumns: readonly Column<v1.StorageClass>[] = [
  nameWithDefault,
  column('Provisioner', (object) => object.provisioner),
  column('ReclaimPolicy', (object) => object.reclaimPolicy ?? 'Delete'),
  column('VolumeBindingMode', (object) => object.volumeBindingMode ?? 'Immediate'),
  column('AllowVolumeExpansion', (object) => object.allowVolumeExpansion ?? false, boolean),
  ageColumn,
];
const volumeAttachmentColumns: readonly Column<v1.VolumeAttachment>[] = [
  nameColumn,
  column('Attacher', ({ spec }) => spec.attacher, { format: 'name' }),
  column('PV', ({ spec }) => spec.source?.persistentVolumeName ?? ''),
  column('Node', ({ spec }) => spec.nodeName),
  column('Attached', ({ status }) => status?.attached ?? false, boolean),
  ageColumn,
];
const csiDriverColumns: readonly Column<v1.CSIDriver>[] = [
  nameColumn,
  column('AttachRequired', ({ spec }) => spec.attachRequired ?? true, boolean),
  column('PodInfoOnMount', ({ spec }) => spec.podInfoOnMount ?? false, boolean),
  column('StorageCapacity', ({ spec }) => spec.storageCapacity ?? false, boolean),
  column('TokenRequests', ({ spec }) => (spec.tokenRequests ?? []).map((request) => request.audience).join(',') || '<unset>'),
  column('RequiresRepublish', ({ spec }) => spec.requiresRepublish ?? false, boolean),
  column('Modes', ({ spec }) => (spec.volumeLifecycleModes ?? []).join(',') || '<none>'),
  ageColumn,
];

export const storageEntries = [
  entry(csidrivers, { columns: csiDriverColumns, strategy: { setDefaults: defaults.setCSIDriverDefaults, allowCreateOnUpdate: false, validate: validation.validateCSIDriver, validateUpdate: validation.validateCSIDriverUpdate } }),
  entry(csinodes, { columns: [nameColumn, column('Drivers', ({ spec }: v1.CSINode) => spec?.drivers?.length ?? 0, integer), ageColumn], strategy: { generation: 'none', validate: validation.validateCSINode, validateUpdate: validation.validateCSINode } }),
  entry(csistoragecapacities, { strategy: { validate: validation.validateCSIStorageCapacity, validateUpdate: validation.validateCSIStorageCapacity } }),
  entry(storageclasses, { columns: storageClassColumns, strategy: { setDefaults: defaults.setStorageClassDefaults, allowUnconditionalUpdate: true, validate: validation.validateStorageClass, validateUpdate: validation.validateStorageClassUpdate } }),
  entry(volumeattachments, { columns: volumeAttachmentColumns, strategy: { generation: 'none', validate: validation.validateVolumeAttachment, validateUpdate: validation.validateVolumeAttachmentUpdate } }),
  entry(volumeattributesclasses, { columns: [nameColumn, column('DriverName', (object: v1.VolumeAttributesClass) => object.driverName), ageColumn], strategy: { validate: validation.validateVolumeAttributesClass, validateUpdate: validation.validateVolumeAttributesClassUpdate } }),
];
