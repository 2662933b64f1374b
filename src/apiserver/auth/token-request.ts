/**
 * TokenRequest: checks what the token is to be bound to and has it issued.
 * Source: upstream's pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation.
 */
import type { JsonObject } from '../../base/json.ts';
import { timestamp } from '../../base/clock.ts';
import { badRequest, conflict, invalid, notFound, type FieldError } from '../../api/meta/status.ts';
import type { TokenRequest } from '../../api/authentication/v1.ts';
import type { ApiObject } from '../../client/client.ts';
import { maxExpirationSeconds, minExpirationSeconds, defaultExpirationSeconds, type BoundObject, type TokenIssuer, type TokenObjects } from './tokens.ts';

interface Asked { namespace: string; name: string; serviceAccount: JsonObject; request: JsonObject }

export function createTokenRequestAnswer(issuer: TokenIssuer, objects: TokenObjects): (asked: Asked) => Promise<JsonObject> {
  return async ({ namespace, name, serviceAccount, request }) => {
    const { spec } = request as unknown as TokenRequest;
    const expirationSeconds = spec?.expirationSeconds ?? defaultExpirationSeconds;
    const errors: FieldError[] = [];
    const wrong = (detail: string) => errors.push({ type: 'FieldValueInvalid', field: 'spec.expirationSeconds', detail: `Invalid value: ${expirationSeconds}: ${detail}` });
    if (expirationSeconds < minExpirationSeconds) wrong('may not specify a duration less than 10 minutes');
    if (expirationSeconds > maxExpirationSeconds) wrong('may not specify a duration larger than 2^32 seconds');
    if (errors.length > 0) throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, name, errors);
    const account = serviceAccount as unknown as ApiObject;
    const bound = spec?.boundObjectRef ? await boundTo(objects, namespace, name, spec.boundObjectRef) : {};
    const { token, expirationMs } = issuer.issue({
      namespace, serviceAccount: { name, uid: account.metadata.uid ?? '' }, expirationSeconds, ...bound,
      ...(spec?.audiences && spec.audiences.length > 0 ? { audiences: spec.audiences } : {}),
    });
    return {
      kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: { ...request.metadata as JsonObject, creationTimestamp: null },
      spec: { ...request.spec as JsonObject, audiences: spec?.audiences && spec.audiences.length > 0 ? [...spec.audiences] : [issuer.audience], expirationSeconds },
      status: { token, expirationTimestamp: timestamp(expirationMs) },
    };
  };
}

type Reference = NonNullable<NonNullable<TokenRequest['spec']>['boundObjectRef']>;
const kinds = { Pod: { resource: 'pods', apiVersion: 'v1' }, Secret: { resource: 'secrets', apiVersion: 'v1' }, Node: { resource: 'nodes', apiVersion: 'v1' } } as const;

/** The object a token shall live and die with; for a pod also its node. */
async function boundTo(objects: TokenObjects, namespace: string, account: string, { kind = '', apiVersion = '', name = '', uid }: Reference) {
  if (!Object.hasOwn(kinds, kind) || apiVersion !== 'v1') throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to object of type ${apiVersion}, Kind=${kind}`);
  const { resource } = kinds[kind as keyof typeof kinds];
  const object = await objects.get(resource, resource === 'nodes' ? '' : namespace, name) as (BoundObject & { spec?: { nodeName?: string; serviceAccountName?: string } }) | undefined;
  if (!object) throw notFound({ group: '', resource }, name);
  if (uid && uid !== object.metadata.uid) throw conflict({ group: '', resource }, name, `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`);
  const reference = { name, uid: object.metadata.uid ?? '' };
  if (kind === 'Secret') return { secret: reference };
  if (kind === 'Node') return { node: reference };
  if ((object.spec?.serviceAccountName ?? 'default') !== account) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`);
  const nodeName = object.spec?.nodeName;
  const node = nodeName ? await objects.get('nodes', '', nodeName) : undefined;
  return { pod: reference, ...(nodeName ? { node: { name: nodeName, uid: node?.metadata.uid ?? '' } } : {}) };
}
