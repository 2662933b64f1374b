/** Environment variables and the downward API's references. Source: upstream's ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector. */
import type * as v1 from './v1.ts';
import { canonicalQuantity } from '../quantity.ts';
import { addInvalid, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { validateRequiredText, validateText } from '../validation/meta.ts';
import { isConfigMapKey, isDNS1123Subdomain, isEnvVarName, isQualifiedName } from '../validation/names.ts';

const envFieldPaths = ['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs'];
export const volumeFieldPaths = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid'];
/** What the conversion of field labels knows; others can't be referenced at all. */
const knownFieldPaths = new Set([...envFieldPaths, ...volumeFieldPaths, 'spec.host', 'spec.restartPolicy', 'spec.schedulerName', 'status.phase', 'status.nominatedNodeName']);
const resourcePaths = ['limits.cpu', 'limits.ephemeral-storage', 'limits.memory', 'requests.cpu', 'requests.ephemeral-storage', 'requests.memory'];
const sizeDivisors = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

export function validateFieldRef(reference: v1.ObjectFieldSelector, allowed: readonly string[], path: FieldPath, errors: FieldError[]): void {
  const { apiVersion, fieldPath } = reference;
  if (!apiVersion) { errors.push(required(path.child('apiVersion'))); return; }
  if (!fieldPath) { errors.push(required(path.child('fieldPath'))); return; }
  if (apiVersion !== 'v1') { errors.push(invalid(path.child('fieldPath'), fieldPath, `error converting fieldPath: unsupported pod version: ${apiVersion}`)); return; }
  const subscripted = /^(.*)\['(.*)'\]$/s.exec(fieldPath);
  const [base, subscript] = subscripted ? [subscripted[1]!, subscripted[2]!] : [fieldPath, undefined];
  if (!knownFieldPaths.has(base)) { errors.push(invalid(path.child('fieldPath'), fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`)); return; }
  if (subscript !== undefined) {
    if (base === 'metadata.annotations') addInvalid(errors, path, subscript.toLowerCase(), isQualifiedName(subscript.toLowerCase()));
    else if (base === 'metadata.labels') addInvalid(errors, path, subscript, isQualifiedName(subscript));
    else errors.push(invalid(path, base, 'does not support subscript'));
  } else if (!allowed.includes(base)) errors.push(notSupported(path.child('fieldPath'), base, allowed));
}

export function validateContainerResourceFieldRef({ containerName, resource, divisor }: v1.ResourceFieldSelector, path: FieldPath, errors: FieldError[], volume: boolean): void {
  if (volume && !containerName) errors.push(required(path.child('containerName')));
  else if (!resource) errors.push(required(path.child('resource')));
  else if (!resourcePaths.includes(resource) && !/^(requests|limits)\.hugepages-/.test(resource)) errors.push(notSupported(path.child('resource'), resource, resourcePaths));
  let unit: string;
  try { unit = canonicalQuantity(divisor ?? '0'); } catch { return; }
  if (unit === '0') return;
  const sizes = (what: string) => `only divisor's values ${sizeDivisors.join(', ')} are supported with the ${what} resource`;
  if (resource?.endsWith('.cpu')) { if (unit !== '1' && unit !== '1m') errors.push(invalid(path.child('divisor'), resource, "only divisor's values 1m and 1 are supported with the cpu resource")); }
  else if (!sizeDivisors.includes(unit)) errors.push(invalid(path.child('divisor'), resource, sizes(resource?.endsWith('.memory') ? 'memory' : resource?.endsWith('.ephemeral-storage') ? 'local ephemeral storage' : 'hugepages')));
}

function validateKeyRef(reference: v1.ConfigMapKeySelector | v1.SecretKeySelector, path: FieldPath, errors: FieldError[]): void {
  validateText(reference.name, isDNS1123Subdomain, path, 'name', errors);
  validateRequiredText(reference.key, isConfigMapKey, path, 'key', errors);
}
function validateValueFrom(variable: v1.EnvVar, path: FieldPath, errors: FieldError[]): void {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = variable.valueFrom!;
  let sources = 0;
  if (fieldRef) { sources++; validateFieldRef(fieldRef, envFieldPaths, path.child('fieldRef'), errors); }
  if (resourceFieldRef) { sources++; validateContainerResourceFieldRef(resourceFieldRef, path.child('resourceFieldRef'), errors, false); }
  if (configMapKeyRef) { sources++; validateKeyRef(configMapKeyRef, path.child('configMapKeyRef'), errors); }
  if (secretKeyRef) { sources++; validateKeyRef(secretKeyRef, path.child('secretKeyRef'), errors); }
  if (fileKeyRef) {
    sources++;
    validateRequiredText(fileKeyRef.key, isEnvVarName, path.child('fileKeyRef'), 'key', errors);
    validateRequiredText(fileKeyRef.volumeName, undefined, path.child('fileKeyRef'), 'volumeName', errors);
    validateRequiredText(fileKeyRef.path, undefined, path.child('fileKeyRef'), 'path', errors);
  }
  if (sources === 0) errors.push(invalid(path, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'));
  else if (variable.value) errors.push(invalid(path, '', 'may not be specified when `value` is not empty'));
  else if (sources > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
}

export function validateEnv(variables: readonly v1.EnvVar[], path: FieldPath, errors: FieldError[]): void {
  for (let i = 0; i < variables.length; i++) {
    const variable = variables[i]!;
    if (!variable.name) errors.push(required(path.index(i).child('name')));
    else { const messages = isEnvVarName(variable.name); if (messages.length > 0) addInvalid(errors, path.index(i).child('name'), variable.name, messages); }
    if (variable.valueFrom) validateValueFrom(variable, path.index(i).child('valueFrom'), errors);
  }
}
export function validateEnvFrom(sources: readonly v1.EnvFromSource[], path: FieldPath, errors: FieldError[]): void {
  for (const [i, source] of sources.entries()) {
    const at = path.index(i);
    if (source.prefix) validateText(source.prefix, isEnvVarName, at, 'prefix', errors);
    let count = 0;
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      if (!source[kind]) continue;
      count++;
      validateRequiredText(source[kind].name, isDNS1123Subdomain, at.child(kind), 'name', errors);
    }
    if (count === 0) errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (count > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
  }
}
