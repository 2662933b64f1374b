/** Checks that many kinds share: labels, annotations, selectors, counts, int-or-percent, metadata.ownerReferences. Source: apimachinery/pkg/api/validation, pkg/apis/meta/v1/validation. */
import type { LabelSelector } from '../meta/v1.ts';
import { addInvalid, fieldImmutable, forbidden, invalid, isNegative, notSupported, required, tooLong, type FieldError, type FieldPath } from './field.ts';
import { isDNS1123Label, isDNS1123Subdomain, isInRange, isQualifiedName, isValidLabelValue, isValidPercent, isValidPortName, isValidPortNum, type Messages } from './names.ts';
import { semanticEqual } from './equality.ts';

type StringMap = { readonly [key: string]: string } | undefined;

export function validateLabels(labels: StringMap, path: () => FieldPath, errors: FieldError[]): void {
  for (const key in labels) {
    const keyMessages = isQualifiedName(key);
    if (keyMessages.length > 0) addInvalid(errors, path(), key, keyMessages);
    const valueMessages = isValidLabelValue(labels[key]!);
    if (valueMessages.length > 0) addInvalid(errors, path(), labels[key], valueMessages);
  }
}
const annotationsLimitBytes = 256 * 1024;
export function validateAnnotations(annotations: StringMap, path: () => FieldPath, errors: FieldError[]): void {
  let bytes = 0;
  for (const key in annotations) {
    const messages = isQualifiedName(key.toLowerCase());
    if (messages.length > 0) addInvalid(errors, path(), key, messages);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key]!);
  }
  if (bytes > annotationsLimitBytes) errors.push(tooLong(path(), annotationsLimitBytes));
}

export function validateLabelSelector(selector: LabelSelector | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!selector) return;
  validateLabels(selector.matchLabels, () => path.child('matchLabels'), errors);
  for (const [i, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = path.child('matchExpressions').index(i);
    if (operator === 'In' || operator === 'NotIn') { if (values.length === 0) errors.push(required(at.child('values'), "must be specified when `operator` is 'In' or 'NotIn'")); }
    else if (operator === 'Exists' || operator === 'DoesNotExist') { if (values.length > 0) errors.push(forbidden(at.child('values'), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")); }
    else errors.push(invalid(at.child('operator'), operator, 'not a valid selector operator'));
    addInvalid(errors, at.child('key'), key, isQualifiedName(key));
    for (const [v, value] of values.entries()) addInvalid(errors, at.child('values').index(v), value, isValidLabelValue(value));
  }
}
export const isEmptySelector = (selector: LabelSelector | undefined) =>
  !selector || (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions?.length ?? 0) === 0);

export function validateNonnegative(value: number | undefined, path: FieldPath, name: string, errors: FieldError[]): void {
  if (value !== undefined && value < 0) errors.push(invalid(path.child(name), value, isNegative));
}
export function validateImmutable(next: unknown, old: unknown, path: () => FieldPath, errors: FieldError[]): void {
  if (!semanticEqual(next, old)) errors.push(invalid(path(), next ?? null, fieldImmutable));
}
/** `allowed` in upstream's order: sorted where it has a set. Absent or '' is 'Required value'. */
export function validateEnum(value: string | undefined, allowed: readonly string[], path: FieldPath, name: string, errors: FieldError[], options: { optional?: boolean } = {}): void {
  if (value !== undefined && allowed.includes(value)) return;
  if (value === undefined || value === '') { if (!options.optional) errors.push(required(path.child(name))); return; }
  errors.push(notSupported(path.child(name), value, allowed));
}
export function validateText(value: string | undefined, check: (value: string) => Messages, path: FieldPath, name: string, errors: FieldError[]): void {
  const messages = check(value ?? '');
  if (messages.length > 0) addInvalid(errors, path.child(name), value ?? '', messages);
}
export function validateRequiredText(value: string | undefined, check: ((value: string) => Messages) | undefined, path: FieldPath, name: string, errors: FieldError[], detail = ''): void {
  if (value === undefined || value === '') errors.push(required(path.child(name), detail));
  else if (check) validateText(value, check, path, name, errors);
}
export const validateDNSLabel = (value: string, path: FieldPath, name: string, errors: FieldError[]) => validateText(value, isDNS1123Label, path, name, errors);
export const validateSubdomain = (value: string, path: FieldPath, name: string, errors: FieldError[]) => validateText(value, isDNS1123Subdomain, path, name, errors);

export function validatePortNumOrName(port: number | string | undefined, path: FieldPath, name: string, errors: FieldError[]): void {
  if (typeof port === 'string') validateText(port, isValidPortName, path, name, errors);
  else { const messages = isValidPortNum(port ?? 0); if (messages.length > 0) addInvalid(errors, path.child(name), port ?? 0, messages); }
}

/** A count or a percentage, as maxUnavailable. */
export function validateIntOrPercent(value: number | string | undefined, path: FieldPath, name: string, errors: FieldError[]): void {
  if (typeof value === 'string') addInvalid(errors, path.child(name), value, isValidPercent(value));
  else if (value !== undefined && value < 0) errors.push(invalid(path.child(name), value, isNegative));
}
export function validateAtMost100Percent(value: number | string | undefined, path: FieldPath, name: string, errors: FieldError[]): void {
  if (typeof value === 'string' && /^\d+%$/.test(value) && Number(value.slice(0, -1)) > 100) errors.push(invalid(path.child(name), value, 'must not be greater than 100%'));
}
/** 5 → 5, '25%' → 25. What is neither counts as 0. */
export function intOrPercentValue(value: number | string | undefined): number { return typeof value === 'string' ? Number.parseInt(value, 10) || 0 : value ?? 0; }
export function validateRange(value: number | undefined, low: number, high: number, path: FieldPath, name: string, errors: FieldError[]): void {
  if (value === undefined) return;
  const messages = isInRange(value, low, high);
  if (messages.length > 0) addInvalid(errors, path.child(name), value, messages);
}
