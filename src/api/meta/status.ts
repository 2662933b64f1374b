/**
 * API errors. What a caller can act on is a `StatusError` carrying a metav1.Status, made by the constructors below with
 * upstream's codes, reasons and messages. Source: apimachinery/pkg/api/errors; Kubernetes API conventions, "Response Status Kind".
 */
import type { Status, StatusCause, StatusDetails } from './v1.ts';

export interface GroupResource { group: string; resource: string }
/** 'deployments.apps', 'pods'. */
export function formatGroupResource({ group, resource }: GroupResource): string { return group ? `${resource}.${group}` : resource; }

export class StatusError extends Error {
  readonly status: Status;
  constructor(status: Omit<Status, 'apiVersion' | 'kind' | 'metadata' | 'status'>, options?: ErrorOptions) {
    super(status.message, options);
    this.name = 'StatusError';
    this.status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', ...status };
  }
  get code(): number { return this.status.code ?? 500; }
  get reason(): string { return this.status.reason ?? ''; }
}

export function isStatusError(err: unknown, reason?: string): err is StatusError {
  return err instanceof StatusError && (reason === undefined || err.reason === reason);
}
export const isNotFound = (err: unknown): err is StatusError => isStatusError(err, 'NotFound');
export const isAlreadyExists = (err: unknown): err is StatusError => isStatusError(err, 'AlreadyExists');
export const isConflict = (err: unknown): err is StatusError => isStatusError(err, 'Conflict');
export const isInvalid = (err: unknown): err is StatusError => isStatusError(err, 'Invalid');
export const isForbidden = (err: unknown): err is StatusError => isStatusError(err, 'Forbidden');
export const isGone = (err: unknown): err is StatusError => isStatusError(err, 'Expired') || isStatusError(err, 'Gone');

/** One problem with a field, in upstream's words. Make them with `field` helpers of `validation/field.ts`. */
export interface FieldError {
  type: 'FieldValueRequired' | 'FieldValueInvalid' | 'FieldValueDuplicate' | 'FieldValueNotSupported' | 'FieldValueForbidden'
    | 'FieldValueTooLong' | 'FieldValueTooShort' | 'FieldValueTooMany' | 'FieldValueTooFew' | 'FieldValueNotFound' | 'FieldValueTypeInvalid' | 'InternalError';
  /** 'spec.containers[0].name' */
  field: string;
  /** The text after the path: 'Required value', 'Invalid value: "x": must be…'. */
  detail: string;
}

const detailsOf = ({ group, resource }: GroupResource, name: string): StatusDetails =>
  ({ ...(name ? { name } : {}), ...(group ? { group } : {}), ...(resource ? { kind: resource } : {}) });

export const notFound = (resource: GroupResource, name: string) =>
  new StatusError({ code: 404, reason: 'NotFound', message: `${formatGroupResource(resource)} "${name}" not found`, details: detailsOf(resource, name) });
export const alreadyExists = (resource: GroupResource, name: string) =>
  new StatusError({ code: 409, reason: 'AlreadyExists', message: `${formatGroupResource(resource)} "${name}" already exists`, details: detailsOf(resource, name) });
export const conflict = (resource: GroupResource, name: string, why: string, causes?: readonly StatusCause[]) =>
  new StatusError({ code: 409, reason: 'Conflict', message: `Operation cannot be fulfilled on ${formatGroupResource(resource)} "${name}": ${why}`, details: { ...detailsOf(resource, name), ...(causes ? { causes } : {}) } });
/** The `why` of an update against an old resourceVersion. */
export const staleObject = 'the object has been modified; please apply your changes to the latest version and try again';
export const forbidden = (resource: GroupResource, name: string, why: string) =>
  new StatusError({ code: 403, reason: 'Forbidden', details: detailsOf(resource, name),
    message: resource.resource === '' ? `forbidden: ${why}` : name ? `${formatGroupResource(resource)} "${name}" is forbidden: ${why}` : `${formatGroupResource(resource)} is forbidden: ${why}` });
/** Here the details name the kind, not the resource: `Deployment.apps "x" is invalid: …`. */
export function invalid(kind: { group: string; kind: string }, name: string, errors: readonly FieldError[]): StatusError {
  const texts = [...new Set(errors.map((error) => `${error.field}: ${error.detail}`))];
  const list = texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`;
  return new StatusError({ code: 422, reason: 'Invalid', message: `${formatGroupResource({ group: kind.group, resource: kind.kind })} "${name}" is invalid: ${errors.length === 0 ? '<nil>' : list}`,
    details: { ...detailsOf({ group: kind.group, resource: kind.kind }, name), causes: errors.map((error) => ({ reason: error.type, message: error.detail, field: error.field })) } });
}
export const badRequest = (message: string) => new StatusError({ code: 400, reason: 'BadRequest', message });
export const unauthorized = (message = 'Unauthorized') => new StatusError({ code: 401, reason: 'Unauthorized', message });
export const methodNotSupported = (resource: GroupResource, action: string) =>
  new StatusError({ code: 405, reason: 'MethodNotAllowed', message: `${action} is not supported on resources of kind "${formatGroupResource(resource)}"`, details: detailsOf(resource, '') });
export const expired = (message: string) => new StatusError({ code: 410, reason: 'Expired', message });
export const tooManyRequests = (message: string, retryAfterSeconds?: number) =>
  new StatusError({ code: 429, reason: 'TooManyRequests', message, details: retryAfterSeconds === undefined ? {} : { retryAfterSeconds } });
export const internalError = (message: string, cause?: unknown) =>
  new StatusError({ code: 500, reason: 'InternalError', message: `Internal error occurred: ${message}`, details: { causes: [{ message }] } }, { cause });
export const serviceUnavailable = (message: string) => new StatusError({ code: 503, reason: 'ServiceUnavailable', message });
export const timeoutError = (message: string, retryAfterSeconds = 0) =>
  new StatusError({ code: 504, reason: 'Timeout', message: `Timeout: ${message}`, details: retryAfterSeconds ? { retryAfterSeconds } : {} });
export const tooLarge = (message: string) => new StatusError({ code: 413, reason: 'RequestEntityTooLarge', message: `Request entity too large: ${message}` });
export const unsupportedMediaType = (message: string) => new StatusError({ code: 415, reason: 'UnsupportedMediaType', message });
export const notAcceptable = (message: string) => new StatusError({ code: 406, reason: 'NotAcceptable', message });
