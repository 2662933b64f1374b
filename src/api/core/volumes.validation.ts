/** Volumes of a pod. Source: upstream's ValidateVolumes and what it calls. In-tree cloud volumes that every cluster now serves by CSI are checked for their required fields only. */
import type * as v1 from './v1.ts';
import { tryParseQuantity } from '../quantity.ts';
import { addInvalid, duplicate, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isConfigMapKey, isDNS1123Label, isDNS1123Subdomain, nameIsDNSSubdomain } from '../validation/names.ts';
import { validateEnum, validateLabelSelector, validateRequiredText } from '../validation/meta.ts';
import { validateContainerResourceFieldRef, validateFieldRef, volumeFieldPaths } from './env.validation.ts';
import { validateClaimSpec } from './claims.validation.ts';

const badMode = 'must be a number between 0 and 0777 (octal), both inclusive';
const hostPathTypes = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket'];

export function hasBacksteps(path: string): boolean { return path.split('/').includes('..'); }
/** A relative path that does not climb. */
export function validateLocalDescendingPath(target: string, path: FieldPath, errors: FieldError[]): void {
  if (target.startsWith('/')) errors.push(invalid(path, target, 'must be a relative path'));
  if (hasBacksteps(target)) errors.push(invalid(path, target, "must not contain '..'"));
}
function validateLocalNonReservedPath(target: string, path: FieldPath, errors: FieldError[]): void {
  validateLocalDescendingPath(target, path, errors);
  if (target.startsWith('..') && !target.startsWith('../')) errors.push(invalid(path, target, "must not start with '..'"));
}
function validateMode(mode: number | undefined, path: FieldPath, name: string, errors: FieldError[]): void {
  if (mode !== undefined && (mode < 0 || mode > 0o777)) errors.push(invalid(path.child(name), mode, badMode));
}
function validateKeyToPaths(items: readonly v1.KeyToPath[] | undefined, path: FieldPath, errors: FieldError[]): void {
  for (const [i, item] of (items ?? []).entries()) {
    const at = path.child('items').index(i);
    validateRequiredText(item.key, isConfigMapKey, at, 'key', errors);
    if (!item.path) errors.push(required(at.child('path')));
    else validateLocalNonReservedPath(item.path, at.child('path'), errors);
    validateMode(item.mode, at, 'mode', errors);
  }
}
function validateDownwardItems(items: readonly v1.DownwardAPIVolumeFile[] | undefined, path: FieldPath, errors: FieldError[]): void {
  for (const [i, item] of (items ?? []).entries()) {
    const at = path.child('items').index(i);
    if (!item.path) errors.push(required(at.child('path')));
    else validateLocalNonReservedPath(item.path, at.child('path'), errors);
    if (item.fieldRef) {
      validateFieldRef(item.fieldRef, volumeFieldPaths, at.child('fieldRef'), errors);
      if (item.resourceFieldRef) errors.push(invalid(at, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'));
    } else if (item.resourceFieldRef) validateContainerResourceFieldRef(item.resourceFieldRef, at.child('resourceFieldRef'), errors, true);
    else errors.push(required(at, 'one of fieldRef and resourceFieldRef is required'));
    validateMode(item.mode, at, 'mode', errors);
  }
}
function validateProjected(source: v1.ProjectedVolumeSource, path: FieldPath, errors: FieldError[]): void {
  validateMode(source.defaultMode, path, 'defaultMode', errors);
  const paths = new Set<string>();
  const claimPath = (target: string, at: FieldPath) => {
    if (paths.has(target)) errors.push(invalid(at, target, 'conflicting duplicate paths'));
    paths.add(target);
  };
  for (const [i, projection] of (source.sources ?? []).entries()) {
    const at = path.child('sources').index(i);
    let count = 0;
    const second = (name: string) => { if (count++ > 0) errors.push(forbidden(at.child(name), 'may not specify more than 1 volume type')); };
    if (projection.secret) {
      second('secret');
      if (!projection.secret.name) errors.push(required(at.child('secret', 'name')));
      validateKeyToPaths(projection.secret.items, at.child('secret'), errors);
      for (const item of projection.secret.items ?? []) if (item.path) claimPath(item.path, at.child('secret', 'items'));
    }
    if (projection.configMap) {
      second('configMap');
      if (!projection.configMap.name) errors.push(required(at.child('configMap', 'name')));
      validateKeyToPaths(projection.configMap.items, at.child('configMap'), errors);
      for (const item of projection.configMap.items ?? []) if (item.path) claimPath(item.path, at.child('configMap', 'items'));
    }
    if (projection.downwardAPI) {
      second('downwardAPI');
      validateDownwardItems(projection.downwardAPI.items, at.child('downwardAPI'), errors);
      for (const item of projection.downwardAPI.items ?? []) if (item.path) claimPath(item.path, at.child('downwardAPI', 'items'));
    }
    if (projection.serviceAccountToken) {
      second('serviceAccountToken');
      const { expirationSeconds, path: target } = projection.serviceAccountToken;
      if (expirationSeconds !== undefined) {
        if (expirationSeconds < 600) errors.push(invalid(at.child('serviceAccountToken', 'expirationSeconds'), expirationSeconds, 'may not specify a duration less than 10 minutes'));
        if (expirationSeconds > 2 ** 32) errors.push(invalid(at.child('serviceAccountToken', 'expirationSeconds'), expirationSeconds, 'may not specify a duration larger than 2^32 seconds'));
      }
      if (!target) errors.push(required(at.child('serviceAccountToken', 'path')));
      else { validateLocalNonReservedPath(target, at.child('serviceAccountToken', 'path'), errors); claimPath(target, at.child('serviceAccountToken', 'path')); }
    }
    if (projection.clusterTrustBundle) {
      second('clusterTrustBundle');
      const bundle = projection.clusterTrustBundle;
      const inside = at.child('clusterTrustBundle');
      if (bundle.name !== undefined && bundle.signerName !== undefined) errors.push(invalid(inside, bundle, 'only one of name and signerName may be used'));
      else if (bundle.name !== undefined) addInvalid(errors, inside.child('name'), bundle.name, bundle.name === '' ? ['must be a valid object name'] : []);
      else if (bundle.signerName === undefined) errors.push(required(inside, 'either name or signerName must be specified'));
      if (bundle.labelSelector) validateLabelSelector(bundle.labelSelector, inside.child('labelSelector'), errors);
      if (!bundle.path) errors.push(required(inside.child('path')));
      else { validateLocalNonReservedPath(bundle.path, inside.child('path'), errors); claimPath(bundle.path, inside.child('path')); }
    }
    if (projection.podCertificate) {
      second('podCertificate');
      if (!projection.podCertificate.signerName) errors.push(required(at.child('podCertificate', 'signerName')));
    }
    if (count === 0) errors.push(required(at, 'must specify a volume type'));
  }
}

/** Required text fields of sources that need no more. */
const requiredFields: Readonly<Record<string, readonly string[]>> = {
  gcePersistentDisk: ['pdName'], awsElasticBlockStore: ['volumeID'], gitRepo: ['repository'], iscsi: ['targetPortal', 'iqn'], glusterfs: ['endpoints', 'path'],
  rbd: ['monitors', 'image'], cinder: ['volumeID'], cephfs: ['monitors'], flocker: [], fc: [], flexVolume: ['driver'], azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'], quobyte: ['registry', 'volume'], azureDisk: ['diskName', 'diskURI'], photonPersistentDisk: ['pdID'], portworxVolume: ['volumeID'],
  scaleIO: ['gateway', 'system', 'volumeName'], storageos: [],
};
function validateSource(kind: string, volume: v1.Volume, path: FieldPath, isPod: boolean, errors: FieldError[]): void {
  switch (kind) {
    case 'emptyDir': {
      const limit = tryParseQuantity(volume.emptyDir!.sizeLimit);
      if (limit && limit.nanos < 0n) errors.push(forbidden(path.child('sizeLimit'), 'SizeLimit field must be a valid resource quantity'));
      return;
    }
    case 'hostPath': return validateHostPath(volume.hostPath!, path, errors);
    case 'secret':
      if (!volume.secret!.secretName) errors.push(required(path.child('secretName')));
      validateMode(volume.secret!.defaultMode, path, 'defaultMode', errors);
      return validateKeyToPaths(volume.secret!.items, path, errors);
    case 'configMap':
      if (!volume.configMap!.name) errors.push(required(path.child('name')));
      validateMode(volume.configMap!.defaultMode, path, 'defaultMode', errors);
      return validateKeyToPaths(volume.configMap!.items, path, errors);
    case 'downwardAPI':
      validateMode(volume.downwardAPI!.defaultMode, path, 'defaultMode', errors);
      return validateDownwardItems(volume.downwardAPI!.items, path, errors);
    case 'projected': return validateProjected(volume.projected!, path, errors);
    case 'persistentVolumeClaim': if (!volume.persistentVolumeClaim!.claimName) errors.push(required(path.child('claimName'))); return;
    case 'nfs': return validateNFS(volume.nfs!, path, errors);
    case 'csi': return validateCSIDriverName(volume.csi!.driver, path.child('driver'), errors);
    case 'image':
      if (isPod && !volume.image!.reference) errors.push(required(path.child('reference')));
      return validateEnum(volume.image!.pullPolicy, ['Always', 'IfNotPresent', 'Never'], path, 'pullPolicy', errors);
    case 'ephemeral': {
      const template = volume.ephemeral!.volumeClaimTemplate;
      if (!template) errors.push(required(path.child('volumeClaimTemplate')));
      else validateClaimSpec(template.spec, path.child('volumeClaimTemplate', 'spec'), errors);
      return;
    }
    default: {
      const source = volume[kind as keyof v1.Volume] as unknown as Record<string, unknown>;
      for (const name of requiredFields[kind] ?? []) {
        const value = source[name];
        if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) errors.push(required(path.child(name)));
      }
    }
  }
}
export function validateHostPath(source: v1.HostPathVolumeSource, path: FieldPath, errors: FieldError[]): void {
  if (!source.path) { errors.push(required(path.child('path'))); return; }
  if (hasBacksteps(source.path)) errors.push(invalid(path.child('path'), source.path, "must not contain '..'"));
  if (source.type !== undefined && !hostPathTypes.includes(source.type)) errors.push(notSupported(path.child('type'), source.type, hostPathTypes));
}
export function validateNFS(source: v1.NFSVolumeSource, path: FieldPath, errors: FieldError[]): void {
  if (!source.server) errors.push(required(path.child('server')));
  if (!source.path) errors.push(required(path.child('path')));
  else if (!source.path.startsWith('/')) errors.push(invalid(path.child('path'), source.path, 'must be an absolute path'));
}
export function validateCSIDriverName(name: string | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!name) { errors.push(required(path)); return; }
  if (name.length > 63) errors.push({ type: 'FieldValueTooLong', field: path.toString(), detail: 'Too long: may not be more than 63 bytes' });
  addInvalid(errors, path, name, isDNS1123Subdomain(name.toLowerCase()));
}

/** Returns the good volumes by name; mounts may only name those. */
export function validateVolumes(volumes: readonly v1.Volume[] | undefined, podName: string | undefined, isPod: boolean, path: FieldPath, errors: FieldError[]): Map<string, v1.Volume> {
  const good = new Map<string, v1.Volume>();
  if (!volumes) return good;
  for (let i = 0; i < volumes.length; i++) {
    const volume = volumes[i]!;
    const at = path.index(i);
    const before = errors.length;
    let first: string | undefined;
    for (const key in volume) {
      if (key === 'name' || volume[key as keyof v1.Volume] === undefined) continue;
      if (first !== undefined) { errors.push(forbidden(at.child(key), 'may not specify more than 1 volume type')); continue; }
      first = key;
      validateSource(key, volume, at.child(key), isPod, errors);
    }
    if (first === undefined) errors.push(required(at, 'must specify a volume type'));
    if (!volume.name) errors.push(required(at.child('name')));
    else {
      addInvalid(errors, at.child('name'), volume.name, isDNS1123Label(volume.name));
      if (good.has(volume.name)) errors.push(duplicate(at.child('name'), volume.name));
    }
    if (volume.ephemeral && podName) addInvalid(errors, at.child('name'), volume.name, nameIsDNSSubdomain(`${podName}-${volume.name}`, false).map((message) => `PVC name "${podName}-${volume.name}": ${message}`));
    if (errors.length === before) good.set(volume.name, volume);
  }
  return good;
}
