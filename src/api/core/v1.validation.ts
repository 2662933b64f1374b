/** core/v1 kinds other than pods, services and claims, which have files of their own. Source: upstream's pkg/apis/core/validation. */
import type * as v1 from './v1.ts';
import { parseCIDR } from '../cidr.ts';
import { compareQuantity, tryParseQuantity } from '../quantity.ts';
import { differences, semanticEqual } from '../validation/equality.ts';
import { addInvalid, duplicate, field, fieldImmutable, forbidden, invalid, notSupported, required, tooLong, type FieldError, type FieldPath } from '../validation/field.ts';
import { isConfigMapKey, isDNS1123Subdomain, isQualifiedName, isValidCIDRForLegacyField } from '../validation/names.ts';
import { validateAnnotations, validateImmutable, validateNonnegative } from '../validation/meta.ts';
import { validateTemplateOf } from '../apps/v1.validation.ts';
import { selectorFromMap } from '../label-selector.ts';
import { validateAccessModes, volumeModes } from './claims.validation.ts';
import { isStandardResource, validateQuantityValue, validateResourceListValues } from './resources.validation.ts';
import { validateNodeSelector, validateTaints } from './scheduling.validation.ts';
import { validateCSIDriverName, validateHostPath, validateNFS } from './volumes.validation.ts';
import { validatePodTemplate } from './pod-spec.validation.ts';

const specPath = field('spec');
const metaPath = field('metadata');
const maxSecretBytes = 1024 * 1024;
/** Of base64 text, without decoding it. */
const base64Bytes = (text: string) => Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);

// ---- ConfigMap, Secret, ServiceAccount

export function validateConfigMap({ data, binaryData }: v1.ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const key in data) {
    const messages = isConfigMapKey(key);
    if (messages.length > 0) addInvalid(errors, field('data').key(key), key, messages);
    if (binaryData?.[key] !== undefined) errors.push(invalid(field('data').key(key), key, 'duplicate of key present in binaryData'));
    size += Buffer.byteLength(data[key]!);
  }
  for (const key in binaryData) {
    const messages = isConfigMapKey(key);
    if (messages.length > 0) addInvalid(errors, field('binaryData').key(key), key, messages);
    size += base64Bytes(binaryData[key]!);
  }
  if (size > maxSecretBytes) errors.push(tooLong(field(''), maxSecretBytes));
  return errors;
}
export function validateConfigMapUpdate(next: v1.ConfigMap, old: v1.ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  if (old.immutable) {
    if (!next.immutable) errors.push(forbidden(field('immutable'), 'field is immutable when `immutable` is set'));
    for (const name of ['data', 'binaryData'] as const) if (!semanticEqual(next[name], old[name])) errors.push(forbidden(field(name), 'field is immutable when `immutable` is set'));
  }
  return [...errors, ...validateConfigMap(next)];
}

const dockerKeys: Readonly<Record<string, string>> = { 'kubernetes.io/dockercfg': '.dockercfg', 'kubernetes.io/dockerconfigjson': '.dockerconfigjson' };
export function validateSecret(secret: v1.Secret): FieldError[] {
  const errors: FieldError[] = [];
  const dataPath = field('data');
  let size = 0;
  for (const key in secret.data) {
    const messages = isConfigMapKey(key);
    if (messages.length > 0) addInvalid(errors, dataPath.key(key), key, messages);
    size += base64Bytes(secret.data[key]!);
  }
  if (size > maxSecretBytes) errors.push(tooLong(dataPath, maxSecretBytes));
  const needs = (key: string, path: FieldPath = dataPath.key(key)) => { if (secret.data?.[key] === undefined) errors.push(required(path)); };
  switch (secret.type) {
    case 'kubernetes.io/service-account-token':
      if (!secret.metadata.annotations?.['kubernetes.io/service-account.name']) errors.push(required(metaPath.child('annotations').key('kubernetes.io/service-account.name')));
      break;
    case 'kubernetes.io/dockercfg': case 'kubernetes.io/dockerconfigjson': {
      const key = dockerKeys[secret.type]!;
      const text = secret.data?.[key];
      if (text === undefined) errors.push(required(dataPath.key(key)));
      else try { JSON.parse(Buffer.from(text, 'base64').toString()); } catch (err) { errors.push(invalid(dataPath.key(key), '<secret contents redacted>', err instanceof Error ? err.message : 'is no JSON')); }
      break;
    }
    case 'kubernetes.io/basic-auth':
      if (secret.data?.['username'] === undefined && secret.data?.['password'] === undefined) { needs('username'); needs('password'); }
      break;
    case 'kubernetes.io/ssh-auth': if (!secret.data?.['ssh-privatekey']) errors.push(required(dataPath.key('ssh-privatekey'))); break;
    case 'kubernetes.io/tls': needs('tls.crt'); needs('tls.key'); break;
    default:
  }
  return errors;
}
export function validateSecretUpdate(next: v1.Secret, old: v1.Secret): FieldError[] {
  const errors: FieldError[] = [];
  validateImmutable(next.type, old.type, () => field('type'), errors);
  if (old.immutable) {
    if (!next.immutable) errors.push(forbidden(field('immutable'), 'field is immutable when `immutable` is set'));
    if (!semanticEqual(next.data, old.data)) errors.push(forbidden(field('data'), 'field is immutable when `immutable` is set'));
  }
  return [...errors, ...validateSecret(next)];
}

// ---- Namespace, Node

export function validateNamespace({ spec }: v1.Namespace): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, name] of (spec?.finalizers ?? []).entries()) {
    if (name !== 'kubernetes' && !name.includes('/')) errors.push(invalid(specPath.child('finalizers').index(i), name, 'name is neither a standard finalizer name nor is it fully qualified'));
  }
  return errors;
}
export function validateNamespaceStatus({ metadata, status }: v1.Namespace): FieldError[] {
  const path = field('status', 'Phase');
  const phase = status?.phase ?? '';
  if (metadata.deletionTimestamp === undefined ? phase !== 'Active' : phase !== 'Terminating') {
    return [invalid(path, phase, metadata.deletionTimestamp === undefined ? "may only be 'Active' if `deletionTimestamp` is empty" : "may only be 'Terminating' if `deletionTimestamp` is not empty")];
  }
  return [];
}

export function validateNode(node: v1.Node): FieldError[] {
  const errors: FieldError[] = [];
  if (node.spec?.taints) validateTaints(node.spec.taints, metaPath.child('taints'), errors);
  for (const list of ['capacity', 'allocatable'] as const) for (const name in node.status?.[list]) validateQuantityValue(name, node.status[list][name]!, () => field('status', list, name), errors);
  const cidrs = node.spec?.podCIDRs ?? [];
  const path = specPath.child('podCIDRs');
  for (const [i, text] of cidrs.entries()) addInvalid(errors, path.index(i), text, isValidCIDRForLegacyField(text));
  if (cidrs.length > 2 || (cidrs.length === 2 && parseCIDR(cidrs[0]!)?.family === parseCIDR(cidrs[1]!)?.family)) errors.push(invalid(path, cidrs, 'may specify no more than one CIDR for each IP family'));
  return errors;
}
export function validateNodeUpdate(next: v1.Node, old: v1.Node): FieldError[] {
  const errors = validateNode(next);
  const seen = new Set<string>();
  for (const [i, address] of (next.status?.addresses ?? []).entries()) {
    const key = `${address.type} ${address.address}`;
    if (seen.has(key)) errors.push(duplicate(field('status', 'addresses').index(i), address));
    seen.add(key);
  }
  if ((old.spec.podCIDRs?.length ?? 0) > 0 && !semanticEqual(next.spec.podCIDRs, old.spec.podCIDRs)) errors.push(forbidden(specPath.child('podCIDRs'), 'node updates may not change podCIDR except from "" to valid'));
  if (old.spec.providerID && next.spec.providerID !== old.spec.providerID) errors.push(forbidden(specPath.child('providerID'), 'node updates may not change providerID except from "" to valid'));
  if ((next.spec.externalID ?? '') !== (old.spec.externalID ?? '')) errors.push(forbidden(specPath.child('externalID'), 'may not be updated'));
  return errors;
}

// ---- PersistentVolume

const notSources = new Set(['capacity', 'accessModes', 'claimRef', 'persistentVolumeReclaimPolicy', 'storageClassName', 'mountOptions', 'volumeMode', 'nodeAffinity', 'volumeAttributesClassName']);
export function validatePersistentVolume({ spec }: v1.PersistentVolume): FieldError[] {
  const errors: FieldError[] = [];
  validateAccessModes(spec.accessModes, specPath, errors, '');
  const capacity = spec.capacity ?? {};
  const capacityPath = specPath.child('capacity');
  if (Object.keys(capacity).length === 0) errors.push(required(capacityPath));
  else if (capacity['storage'] === undefined || Object.keys(capacity).length > 1) errors.push(notSupported(capacityPath, capacity, ['storage']));
  for (const name in capacity) {
    const quantity = tryParseQuantity(capacity[name]);
    if (!quantity || quantity.nanos <= 0n) errors.push(invalid(capacityPath.key(name), capacity[name], 'must be greater than zero'));
  }
  if (spec.persistentVolumeReclaimPolicy && !['Delete', 'Recycle', 'Retain'].includes(spec.persistentVolumeReclaimPolicy)) errors.push(notSupported(specPath.child('persistentVolumeReclaimPolicy'), spec.persistentVolumeReclaimPolicy, ['Delete', 'Recycle', 'Retain']));
  let source: string | undefined;
  for (const key in spec) {
    if (notSources.has(key) || spec[key as keyof v1.PersistentVolumeSpec] === undefined) continue;
    if (source !== undefined) errors.push(forbidden(specPath.child(key), 'may not specify more than 1 volume type'));
    source ??= key;
  }
  if (source === undefined) errors.push(required(specPath, 'must specify a volume type'));
  if (spec.hostPath) {
    validateHostPath(spec.hostPath, specPath.child('hostPath'), errors);
    if (spec.hostPath.path === '/' && spec.persistentVolumeReclaimPolicy === 'Recycle') errors.push(forbidden(specPath.child('persistentVolumeReclaimPolicy'), "may not be 'recycle' for a hostPath mount of '/'"));
  }
  if (spec.nfs) validateNFS(spec.nfs, specPath.child('nfs'), errors);
  if (spec.csi) {
    validateCSIDriverName(spec.csi.driver, specPath.child('csi', 'driver'), errors);
    if (!spec.csi.volumeHandle) errors.push(required(specPath.child('csi', 'volumeHandle')));
  }
  if (spec.local) {
    if (!spec.local.path) errors.push(required(specPath.child('local', 'path')));
    if (!spec.nodeAffinity) errors.push(required(metaPath.child('annotations'), 'Local volume requires node affinity'));
  }
  if (spec.nodeAffinity) {
    if (!spec.nodeAffinity.required) errors.push(required(specPath.child('nodeAffinity', 'required'), 'must specify required node constraints'));
    else validateNodeSelector(spec.nodeAffinity.required, specPath.child('nodeAffinity', 'required'), errors);
  }
  if (spec.storageClassName) addInvalid(errors, specPath.child('storageClassName'), spec.storageClassName, isDNS1123Subdomain(spec.storageClassName));
  if (spec.volumeMode !== undefined && !volumeModes.includes(spec.volumeMode)) errors.push(notSupported(specPath.child('volumeMode'), spec.volumeMode, volumeModes));
  return errors;
}
export function validatePersistentVolumeUpdate(next: v1.PersistentVolume, old: v1.PersistentVolume): FieldError[] {
  const errors = validatePersistentVolume(next);
  const source = (spec: v1.PersistentVolumeSpec) => Object.fromEntries(Object.entries(spec).filter(([key]) => !notSources.has(key)));
  if (!semanticEqual(source(next.spec), source(old.spec))) errors.push(forbidden(specPath.child('persistentvolumesource'), `spec.persistentvolumesource is immutable after creation\n${differences(source(old.spec), source(next.spec)).join('\n')}`));
  validateImmutable(next.spec.volumeMode, old.spec.volumeMode, () => specPath.child('volumeMode'), errors);
  if (old.spec.nodeAffinity && !semanticEqual(next.spec.nodeAffinity, old.spec.nodeAffinity)) errors.push(invalid(specPath.child('nodeAffinity'), next.spec.nodeAffinity ?? null, fieldImmutable));
  return errors;
}

// ---- LimitRange, ResourceQuota

export function validateLimitRange({ spec }: v1.LimitRange): FieldError[] {
  const errors: FieldError[] = [];
  const types = new Set<string>();
  for (const [i, item] of (spec?.limits ?? []).entries()) {
    const path = specPath.child('limits').index(i);
    if (!item.type || (!['Container', 'Pod', 'PersistentVolumeClaim'].includes(item.type) && !item.type.includes('/'))) errors.push(invalid(path.child('type'), item.type ?? '', 'must be a standard limit type or fully qualified'));
    if (types.has(item.type)) errors.push(duplicate(path.child('type'), item.type));
    types.add(item.type);
    for (const list of ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const) validateResourceListValues(item[list], path.child(list), errors);
    if (item.type === 'Pod') for (const list of ['default', 'defaultRequest'] as const) if (Object.keys(item[list] ?? {}).length > 0) errors.push(forbidden(path.child(list), "may not be specified when `type` is 'Pod'"));
    if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) errors.push(required(path.child('limits'), 'either minimum or maximum storage value is required, but neither was provided'));
    // min ≤ defaultRequest ≤ default ≤ max
    const ordered = [['min', 'max'], ['min', 'defaultRequest'], ['min', 'default'], ['defaultRequest', 'default'], ['defaultRequest', 'max'], ['default', 'max']] as const;
    for (const [low, high] of ordered) {
      for (const name in item[low]) {
        const [a, b] = [tryParseQuantity(item[low][name]), tryParseQuantity(item[high]?.[name])];
        if (!a || !b || compareQuantity(a, b) <= 0) continue;
        const words: Record<string, string> = { min: 'min value', max: 'max value', default: 'default value', defaultRequest: 'default request value' };
        // Upstream names the value under its own field, or the default's where the bound is the lower one.
        errors.push(low === 'min' && high !== 'max' ? invalid(path.child(high).key(name), item[high]![name], `${words[low]} ${item[low][name]} is greater than ${words[high]} ${item[high]![name]}`)
          : invalid(path.child(low).key(name), item[low][name], `${words[low]} ${item[low][name]} is greater than ${words[high]} ${item[high]![name]}`));
      }
    }
    for (const name in item.maxLimitRequestRatio) {
      const ratio = tryParseQuantity(item.maxLimitRequestRatio[name]);
      if (ratio && ratio.nanos < 1_000_000_000n) errors.push(invalid(path.child('maxLimitRequestRatio').key(name), item.maxLimitRequestRatio[name], `ratio ${item.maxLimitRequestRatio[name]} is less than 1`));
    }
  }
  return errors;
}
const quotaScopes = ['BestEffort', 'CrossNamespacePodAffinity', 'NotBestEffort', 'NotTerminating', 'PriorityClass', 'Terminating', 'VolumeAttributesClass'];
function validateQuotaName(name: string, path: FieldPath, errors: FieldError[]): void {
  if (addInvalid(errors, path, name, isQualifiedName(name))) return;
  if (!name.includes('/') && !isStandardResource(name) && !name.startsWith('limits.hugepages-')) errors.push(invalid(path, name, 'must be a standard resource for quota'));
}
export function validateResourceQuota({ spec }: v1.ResourceQuota): FieldError[] {
  const errors: FieldError[] = [];
  for (const name in spec?.hard) {
    const path = specPath.child('hard').key(name);
    validateQuotaName(name, path, errors);
    validateQuantityValue(name, spec.hard[name]!, () => path, errors);
  }
  for (const scope of spec?.scopes ?? []) if (!quotaScopes.includes(scope)) errors.push(invalid(specPath.child('scopes'), spec.scopes, 'unsupported scope'));
  for (const [a, b] of [['BestEffort', 'NotBestEffort'], ['Terminating', 'NotTerminating']] as const) {
    if (spec?.scopes?.includes(a) && spec.scopes.includes(b)) errors.push(invalid(specPath.child('scopes'), spec.scopes, 'conflicting scopes'));
  }
  for (const [i, expression] of (spec?.scopeSelector?.matchExpressions ?? []).entries()) {
    const path = specPath.child('scopeSelector', 'matchExpressions').index(i);
    if (!quotaScopes.includes(expression.scopeName)) errors.push(invalid(path.child('scopeName'), expression.scopeName, 'unsupported scope'));
    const values = expression.values ?? [];
    if (['In', 'NotIn'].includes(expression.operator)) { if (values.length === 0) errors.push(required(path.child('values'), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")); }
    else if (['Exists', 'DoesNotExist'].includes(expression.operator)) { if (values.length > 0) errors.push(invalid(path.child('values'), values, "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector")); }
    else errors.push(invalid(path.child('operator'), expression.operator, 'not a valid selector operator'));
  }
  return errors;
}
export function validateResourceQuotaUpdate(next: v1.ResourceQuota, old: v1.ResourceQuota): FieldError[] {
  const errors = validateResourceQuota(next);
  const sorted = (quota: v1.ResourceQuota) => [...quota.spec.scopes ?? []].sort();
  if (!semanticEqual(sorted(next), sorted(old))) errors.push(invalid(specPath.child('scopes'), next.spec.scopes ?? null, fieldImmutable));
  return errors;
}

// ---- ReplicationController, PodTemplate, Event

export function validateReplicationController({ spec }: v1.ReplicationController): FieldError[] {
  const errors: FieldError[] = [];
  validateNonnegative(spec.minReadySeconds, specPath, 'minReadySeconds', errors);
  if (Object.keys(spec.selector ?? {}).length === 0) errors.push(required(specPath.child('selector')));
  validateNonnegative(spec.replicas, specPath, 'replicas', errors);
  validateTemplateOf(spec.template, selectorFromMap(spec.selector), 'ReplicationController', specPath.child('template'), errors);
  return errors;
}
export function validateReplicationControllerStatus({ status }: v1.ReplicationController): FieldError[] {
  const errors: FieldError[] = [];
  const path = field('status');
  for (const name of ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'] as const) {
    validateNonnegative(status?.[name], path, name, errors);
    if (name !== 'observedGeneration' && (status?.[name] ?? 0) > (status?.replicas ?? 0)) errors.push(invalid(path.child(name), status![name], 'cannot be greater than status.replicas'));
  }
  return errors;
}
export function validatePodTemplateObject({ template }: v1.PodTemplate): FieldError[] {
  const errors: FieldError[] = [];
  validatePodTemplate(template, field('template'), errors);
  return errors;
}
/** The object an event is about lies in the event's namespace; cluster-scoped ones are told of in `default`. */
export function validateEvent(event: v1.Event): FieldError[] {
  const errors: FieldError[] = [];
  const about = event.involvedObject?.namespace ?? '';
  const namespace = event.metadata.namespace ?? '';
  const path = field('involvedObject', 'namespace');
  if (about === '') { if (namespace !== '' && namespace !== 'default' && namespace !== 'kube-system') errors.push(invalid(path, about, 'does not match event.namespace')); }
  else if (about !== namespace) errors.push(invalid(path, about, 'does not match event.namespace'));
  return errors;
}
export function validateServiceAccount(account: v1.ServiceAccount): FieldError[] {
  const errors: FieldError[] = [];
  validateAnnotations(account.metadata.annotations, () => metaPath.child('annotations'), errors);
  return errors;
}
