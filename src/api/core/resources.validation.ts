/** Resource lists: names, amounts, requests against limits. Source: upstream's ValidateContainerResourceRequirements, ValidateResourceQuotaResourceName. */
import type { ResourceRequirements } from './v1.ts';
import { compareQuantity, formatQuantity, isInteger, tryParseQuantity, type Quantity } from '../quantity.ts';
import { addInvalid, duplicate, forbidden, invalid, isNegative, notFound, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isQualifiedName } from '../validation/names.ts';

export type ResourceList = { readonly [key: string]: string } | undefined;

const standardContainerResources = new Set(['cpu', 'memory', 'ephemeral-storage']);
const standardResources = new Set([...standardContainerResources, 'requests.cpu', 'requests.memory', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage',
  'pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'persistentvolumeclaims', 'configmaps', 'storage', 'requests.storage', 'services.nodeports', 'services.loadbalancers']);
const integerResources = new Set(['pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'configmaps', 'persistentvolumeclaims', 'services.nodeports', 'services.loadbalancers']);

export const isHugePages = (name: string) => name.startsWith('hugepages-');
/** Of Kubernetes itself rather than an extended resource. */
export const isNativeResource = (name: string) => !name.includes('/') || name.includes('kubernetes.io/');
export const isExtendedResource = (name: string) => !isNativeResource(name) && !name.startsWith('requests.') && isQualifiedName(`requests.${name}`).length === 0;
const overcommitAllowed = (name: string) => isNativeResource(name) && !isHugePages(name);
export const isStandardResource = (name: string) => standardResources.has(name) || isHugePages(name) || name.startsWith('requests.hugepages-');

export function validateResourceName(name: string, path: FieldPath, errors: FieldError[]): void {
  if (addInvalid(errors, path, name, isQualifiedName(name))) return;
  if (!name.includes('/') && !isStandardResource(name)) errors.push(invalid(path, name, 'must be a standard resource type or fully qualified'));
}
function validateContainerResourceName(name: string, path: FieldPath, errors: FieldError[]): void {
  validateResourceName(name, path, errors);
  if (!name.includes('/')) { if (!standardContainerResources.has(name) && !isHugePages(name)) errors.push(invalid(path, name, 'must be a standard resource for containers')); }
  else if (!isNativeResource(name) && !isExtendedResource(name)) errors.push(invalid(path, name, "doesn't follow extended resource name standard"));
}

/** What is no quantity was refused when decoding; here amounts only. */
export function validateQuantityValue(name: string, text: string, path: () => FieldPath, errors: FieldError[]): void {
  const quantity = tryParseQuantity(text);
  if (!quantity) { errors.push(invalid(path(), text, 'must be a quantity such as 500m, 2 or 1Gi')); return; }
  if (quantity.nanos < 0n) errors.push(invalid(path(), text, isNegative));
  if ((integerResources.has(name) || isExtendedResource(name)) && !isInteger(quantity)) errors.push(invalid(path(), text, 'must be an integer'));
}
export function validateResourceListValues(list: ResourceList, path: FieldPath, errors: FieldError[]): void {
  for (const name in list) validateQuantityValue(name, list[name]!, () => path.key(name), errors);
}
export const quantityText = (quantity: Quantity | undefined) => (quantity ? formatQuantity(quantity) : '0');

export function validateResourceRequirements(resources: ResourceRequirements | undefined, claimNames: ReadonlySet<string> | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!resources) return;
  const { limits, requests, claims } = resources;
  let [hugePages, cpuOrMemory] = [false, false];
  for (const name in limits) {
    if (name === 'cpu' || name === 'memory') cpuOrMemory = true;
    else { validateContainerResourceName(name, path.child('limits').key(name), errors); if (isHugePages(name)) hugePages = true; }
    validateQuantityValue(name, limits[name]!, () => path.child('limits').key(name), errors);
  }
  for (const name in requests) {
    if (name === 'cpu' || name === 'memory') cpuOrMemory = true;
    else { validateContainerResourceName(name, path.child('requests').key(name), errors); if (isHugePages(name)) hugePages = true; }
    const request = requests[name]!;
    validateQuantityValue(name, request, () => path.child('requests').key(name), errors);
    const limit = limits?.[name];
    if (limit !== undefined) {
      if (limit === request) continue;
      const [a, b] = [tryParseQuantity(request), tryParseQuantity(limit)];
      const order = a && b ? compareQuantity(a, b) : 0;
      if (order !== 0 && !overcommitAllowed(name)) errors.push(invalid(path.child('requests'), request, `must be equal to ${name} limit of ${limit}`));
      else if (order > 0) errors.push(invalid(path.child('requests'), request, `must be less than or equal to ${name} limit of ${limit}`));
    } else if (!overcommitAllowed(name)) errors.push(required(path.child('limits'), 'Limit must be set for non overcommitable resources'));
  }
  if (hugePages && !cpuOrMemory) errors.push(forbidden(path, 'HugePages require cpu or memory'));
  if (claims) {
    const seen = new Set<string>();
    for (const [i, claim] of claims.entries()) {
      const at = path.child('claims').index(i);
      if (!claim.name) errors.push(required(at.child('name')));
      else {
        const key = claim.request ? `${claim.name}/${claim.request}` : claim.name;
        if (seen.has(key)) errors.push(duplicate(at, key));
        seen.add(key);
        if (!claimNames?.has(claim.name)) errors.push(notFound(at.child('name'), claim.name));
      }
    }
  }
}
