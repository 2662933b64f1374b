/** The AdmissionReview that webhooks get, and what their answer may say. Source: apiserver/pkg/admission/plugin/webhook/{request,errors}. */
import { isJsonObject, type Json, type JsonObject } from '../../../base/json.ts';
import { StatusError } from '../../../api/meta/status.ts';
import type { Status } from '../../../api/meta/v1.ts';

export const reviewVersions = ['v1', 'v1beta1'] as const;

export function admissionReview(version: string, uid: string, request: JsonObject, object: JsonObject | undefined, oldObject: JsonObject | undefined): JsonObject {
  const { options, ...rest } = request;
  return { kind: 'AdmissionReview', apiVersion: `admission.k8s.io/${version}`, request: { uid, ...rest, object: object ?? null, oldObject: oldObject ?? null, options: options ?? null } };
}

export interface Answer { allowed: boolean; status: JsonObject | undefined; patch: Json | undefined; warnings: readonly string[]; auditAnnotations: Readonly<Record<string, string>> }

/** Limits on what an answer may put into the request's own. */
const maxWarnings = 100;
const maxAuditAnnotations = 100;

/** Throws an Error that says what is wrong with the answer. */
export function readAnswer(review: Json, version: string, uid: string, mutating: boolean): Answer {
  if (!isJsonObject(review)) throw new Error('webhook response was absent');
  const response = review.response;
  if (!isJsonObject(response)) throw new Error('webhook response was absent');
  if (version === 'v1') {
    if (response.uid !== uid) throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(typeof response.uid === 'string' ? response.uid : '')}`);
    const kind = `${typeof review.apiVersion === 'string' ? review.apiVersion : ''}, Kind=${typeof review.kind === 'string' ? review.kind : ''}`;
    if (kind !== 'admission.k8s.io/v1, Kind=AdmissionReview') throw new Error(`expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${kind}`);
  }
  const patchText = typeof response.patch === 'string' ? response.patch : '';
  const patchType = typeof response.patchType === 'string' ? response.patchType : undefined;
  if (version === 'v1') {
    if (!mutating) {
      if (patchText !== '') throw new Error('validating webhook may not return response.patch');
      if (patchType !== undefined) throw new Error('validating webhook may not return response.patchType');
    } else {
      if (patchText !== '' && patchType === undefined) throw new Error('webhook returned response.patch but not response.patchType');
      if (patchText === '' && patchType !== undefined) throw new Error('webhook returned response.patchType but not response.patch');
      if (patchType === '') throw new Error('webhook returned invalid response.patchType of ""');
    }
  }
  if (mutating && patchText !== '' && (patchType ?? 'JSONPatch') !== 'JSONPatch') throw new Error(`unsupported patch type ${JSON.stringify(patchType)}`);
  const annotations = isJsonObject(response.auditAnnotations) ? Object.entries(response.auditAnnotations).filter((entry): entry is [string, string] => typeof entry[1] === 'string').slice(0, maxAuditAnnotations) : [];
  return {
    allowed: response.allowed === true, status: isJsonObject(response.status) ? response.status : undefined, patch: mutating && patchText !== '' ? decodePatch(patchText) : undefined,
    warnings: (Array.isArray(response.warnings) ? response.warnings : []).filter((warning) => typeof warning === 'string').slice(0, maxWarnings), auditAnnotations: Object.fromEntries(annotations),
  };
}

/** The patch is not JSON. */
export class UndecodablePatch extends Error {}
function decodePatch(text: string): Json {
  try { return JSON.parse(Buffer.from(text, 'base64').toString()) as Json; } catch (err) { throw new UndecodablePatch(err instanceof Error ? err.message : String(err)); }
}

/** A refusal never looks like a success. */
export function rejection(webhook: string, given: JsonObject | undefined): StatusError {
  const status = given as Partial<Status> | undefined;
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  const reason = text(status?.reason);
  const why = text(status?.message) ?? reason;
  const code = typeof status?.code === 'number' && status.code >= 400 && status.code < 600 ? status.code : 400;
  return new StatusError({ code, message: why === undefined ? `${denied} without explanation` : `${denied}: ${why}`, ...(reason ? { reason } : {}), ...(status?.details ? { details: status.details } : {}) } as ConstructorParameters<typeof StatusError>[0]);
}
