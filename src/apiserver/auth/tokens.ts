/**
 * Service account tokens: issuing (TokenRequest) and verifying. A verified signature is remembered until the token ends; whether
 * the objects it is bound to still exist is looked up again every ten seconds.
 * Source: kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin; upstream's pkg/serviceaccount (claims). RFC 7515, RFC 7519.
 */
import { createHash, createPrivateKey, createPublicKey, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { uuid, type Rng } from '../../base/rng.ts';
import type { UserInfo } from '../types.ts';
import { serviceAccountGroups, serviceAccountUserName } from './users.ts';

/** Source: kubeadm and upstream's defaults. */
export const defaultIssuer = 'https://kubernetes.default.svc.cluster.local';
export const legacyIssuer = 'kubernetes/serviceaccount';
/** Seconds. Source: pkg/serviceaccount, pkg/registry/core/serviceaccount/storage/token.go. */
export const defaultExpirationSeconds = 3600;
export const minExpirationSeconds = 600;
export const maxExpirationSeconds = 2 ** 32;
/** What kubelets ask for; such tokens live a year and only warn after this, for clients that never read them again. */
export const warnOnlyExpirationSeconds = 3607;
const extendedExpirationSeconds = 365 * 24 * 3600;
/** An object may be on its way out this long before tokens bound to it end. */
const deletionLeewayMs = 60_000;
/** How long a look-up of bound objects holds. Source: apiserver's token cache TTL. */
const lookupTtlMs = 10_000;
/** Most tokens remembered. */
const cacheLimit = 10_000;

/** An object a token is bound to, as far as it matters. */
export interface BoundObject { readonly metadata: { readonly uid?: string; readonly deletionTimestamp?: string }; readonly data?: { readonly [key: string]: string }; readonly spec?: { readonly nodeName?: string } }
/** Where bound objects are looked up: informers' copies first, the API when not there. */
export interface TokenObjects {
  get(resource: 'serviceaccounts' | 'secrets' | 'pods' | 'nodes', namespace: string, name: string): Promise<BoundObject | undefined>;
}

interface Reference { name: string; uid: string }
export interface TokenClaims {
  iss: string; sub: string; aud: string[]; exp: number; iat: number; nbf: number; jti: string;
  'kubernetes.io': { namespace: string; serviceaccount: Reference; pod?: Reference; secret?: Reference; node?: Reference; warnafter?: number };
}

export interface IssueTokenOptions {
  namespace: string;
  serviceAccount: Reference;
  /** Default: the API server itself. */
  audiences?: readonly string[] | undefined;
  /** Seconds; default one hour. */
  expirationSeconds?: number | undefined;
  pod?: Reference | undefined;
  secret?: Reference | undefined;
  /** The node of the pod, or the node it is bound to. */
  node?: Reference | undefined;
}

export interface TokenIssuer {
  /** A signed token and when it ends, in milliseconds since the epoch: what TokenRequest answers with. */
  issue(options: IssueTokenOptions): { token: string; expirationMs: number; jti: string };
  /** A token without end, for a Secret of type kubernetes.io/service-account-token. */
  issueLegacy(options: { namespace: string; serviceAccount: Reference; secretName: string }): string;
  /** JSON Web Key Set of the public keys, for /openid/v1/jwks. */
  keySet(): { keys: object[] };
  /** For /.well-known/openid-configuration. */
  discovery(): object;
}

export interface TokenKeys {
  /** PEM; signs. */
  privateKey: string;
  /** PEM; more keys that verify (rotation). The private key's own is included. */
  publicKeys?: readonly string[];
  issuer?: string;
  /** Audiences that the API server answers to; default the issuer. */
  apiAudiences?: readonly string[];
  clock: Clock;
  rng: Rng;
}

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function keyId(key: KeyObject): string { return createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('base64url'); }
function algorithmOf(key: KeyObject): 'RS256' | 'ES256' | 'ES384' | 'ES512' {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return curve === 'secp384r1' ? 'ES384' : curve === 'secp521r1' ? 'ES512' : 'ES256';
}
const digests: Readonly<Record<string, string>> = { RS256: 'sha256', ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' };

export function createTokenIssuer({ privateKey, publicKeys = [], issuer = defaultIssuer, apiAudiences = [issuer], clock, rng }: TokenKeys): TokenIssuer {
  const key = createPrivateKey(privateKey);
  const publicKey = createPublicKey(key);
  const alg = algorithmOf(key);
  const header = base64url({ alg, kid: keyId(publicKey) });
  const signed = (claims: object): string => {
    const body = `${header}.${base64url(claims)}`;
    return `${body}.${sign(digests[alg]!, Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  return {
    issue({ namespace, serviceAccount, audiences, expirationSeconds = defaultExpirationSeconds, pod, secret, node }) {
      const now = Math.floor(clock.now() / 1000);
      const aud = audiences?.length ? [...audiences] : [...apiAudiences];
      const extended = expirationSeconds === warnOnlyExpirationSeconds && pod !== undefined && aud.every((audience) => apiAudiences.includes(audience));
      const jti = uuid(rng);
      const claims: TokenClaims = {
        aud, exp: now + (extended ? extendedExpirationSeconds : expirationSeconds), iat: now, iss: issuer, jti,
        'kubernetes.io': { namespace, ...(node ? { node } : {}), ...(pod ? { pod } : {}), ...(secret ? { secret } : {}), serviceaccount: serviceAccount, ...(extended ? { warnafter: now + warnOnlyExpirationSeconds } : {}) },
        nbf: now, sub: serviceAccountUserName(namespace, serviceAccount.name),
      };
      return { token: signed(claims), expirationMs: (now + expirationSeconds) * 1000, jti };
    },
    issueLegacy({ namespace, serviceAccount, secretName }) {
      return signed({
        iss: legacyIssuer, 'kubernetes.io/serviceaccount/namespace': namespace, 'kubernetes.io/serviceaccount/secret.name': secretName,
        'kubernetes.io/serviceaccount/service-account.name': serviceAccount.name, 'kubernetes.io/serviceaccount/service-account.uid': serviceAccount.uid,
        sub: serviceAccountUserName(namespace, serviceAccount.name),
      });
    },
    keySet: () => ({ keys: [publicKey, ...publicKeys.map((pem) => createPublicKey(pem))].filter((one, i, all) => all.findIndex((other) => other.equals(one)) === i)
      .map((one) => ({ use: 'sig', ...one.export({ format: 'jwk' }), kid: keyId(one), alg: algorithmOf(one) })) }),
    discovery: () => ({ issuer, jwks_uri: `${issuer}/openid/v1/jwks`, response_types_supported: ['id_token'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: [alg] }),
  };
}

/** Undefined: not one of our tokens (another issuer or key). Throws for ours that no longer hold. */
export interface TokenVerifier {
  /** `--api-audiences`. */
  readonly apiAudiences: readonly string[];
  /** `audiences` default to the API server's. */
  verify(token: string, audiences?: readonly string[]): Promise<{ user: UserInfo; audiences: string[]; warnAfterMs?: number } | undefined>;
}

interface Remembered { claims: TokenClaims; user: UserInfo; legacySecret: string | undefined; checkedUntil: number }

export function createTokenVerifier(keys: Omit<TokenKeys, 'privateKey' | 'rng'> & { privateKey?: string; objects: TokenObjects; /** Look up secrets, pods and accounts; default true. */ lookup?: boolean }): TokenVerifier {
  const { issuer = defaultIssuer, clock, objects, lookup = true } = keys;
  const apiAudiences = keys.apiAudiences ?? [issuer];
  const byId = new Map([...(keys.privateKey ? [createPublicKey(createPrivateKey(keys.privateKey))] : []), ...(keys.publicKeys ?? []).map((pem) => createPublicKey(pem))].map((key) => [keyId(key), key]));
  const remembered = new Map<string, Remembered>();

  function read(token: string): Remembered | undefined {
    const [head = '', body = '', signature = '', ...rest] = token.split('.');
    if (!signature || rest.length > 0) return undefined;
    const header = parse(head) as { alg?: string; kid?: string } | undefined;
    const claims = parse(body) as Record<string, unknown> | undefined;
    if (!header || !claims || (claims['iss'] !== issuer && claims['iss'] !== legacyIssuer)) return undefined;
    const candidates = header.kid && byId.has(header.kid) ? [byId.get(header.kid)!] : [...byId.values()];
    const holds = candidates.some((key) => header.alg === algorithmOf(key)
      && verify(digests[header.alg]!, Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
    if (!holds) return undefined;
    return claims['iss'] === legacyIssuer && !(claims['kubernetes.io'] as object | undefined) ? legacy(claims) : modern(claims as unknown as TokenClaims);
  }

  async function check({ claims, legacySecret }: Remembered, token: string): Promise<void> {
    const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io'];
    const gone = (object: BoundObject | undefined, uid: string) => !object || (uid !== '' && object.metadata.uid !== uid)
      || (object.metadata.deletionTimestamp !== undefined && Date.parse(object.metadata.deletionTimestamp) + deletionLeewayMs < clock.now());
    const require = async (resource: Parameters<TokenObjects['get']>[0], at: string, { name, uid }: Reference) => {
      const object = await objects.get(resource, at, name);
      if (gone(object, uid)) throw new Error(`service account token has been invalidated: ${resource} ${name} is gone`);
      return object!;
    };
    await require('serviceaccounts', namespace, serviceaccount);
    if (legacySecret !== undefined) {
      const held = (await require('secrets', namespace, { name: legacySecret, uid: '' })).data?.['token'] ?? '';
      if (!equal(Buffer.from(held, 'base64').toString(), token)) throw new Error('service account token has been invalidated: its secret holds another');
    }
    if (secret) await require('secrets', namespace, secret);
    if (pod) await require('pods', namespace, pod);
    // A token of a pod names its node for information; bound to it is only one without a pod.
    if (node && !pod && !secret) await require('nodes', '', node);
  }

  return {
    apiAudiences,
    async verify(token, audiences = apiAudiences) {
      let known = remembered.get(token);
      if (!known) {
        known = read(token);
        if (!known) return undefined;
        if (remembered.size >= cacheLimit) remembered.clear();
        remembered.set(token, known);
      }
      const now = clock.now();
      const { claims } = known;
      if (claims.exp * 1000 <= now) { remembered.delete(token); throw new Error('service account token has expired'); }
      if (claims.nbf * 1000 > now + deletionLeewayMs) throw new Error('service account token is not valid yet');
      const common = claims.aud.filter((audience) => audiences.includes(audience));
      if (common.length === 0 && known.legacySecret === undefined) throw new Error(`token audiences ${JSON.stringify(claims.aud)} is invalid for the target audiences ${JSON.stringify(audiences)}`);
      if (lookup && known.checkedUntil <= now) {
        await check(known, token);
        known.checkedUntil = now + lookupTtlMs;
      }
      const warnAfter = claims['kubernetes.io'].warnafter;
      return { user: known.user, audiences: known.legacySecret === undefined ? common : [...audiences], ...(warnAfter ? { warnAfterMs: warnAfter * 1000 } : {}) };
    },
  };
}

function parse(part: string): unknown { try { return JSON.parse(Buffer.from(part, 'base64url').toString()) as unknown; } catch { return undefined; } }

function modern(claims: TokenClaims): Remembered | undefined {
  const bound = claims['kubernetes.io'];
  if (!bound?.namespace || !bound.serviceaccount?.name || typeof claims.exp !== 'number') return undefined;
  const normal: TokenClaims = { ...claims, aud: Array.isArray(claims.aud) ? claims.aud : [claims.aud], nbf: claims.nbf ?? 0 };
  const key = 'authentication.kubernetes.io';
  const extra: Record<string, readonly string[]> = {
    ...(claims.jti ? { [`${key}/credential-id`]: [`JTI=${claims.jti}`] } : {}),
    ...(bound.node ? { [`${key}/node-name`]: [bound.node.name], ...(bound.node.uid ? { [`${key}/node-uid`]: [bound.node.uid] } : {}) } : {}),
    ...(bound.pod ? { [`${key}/pod-name`]: [bound.pod.name], [`${key}/pod-uid`]: [bound.pod.uid] } : {}),
  };
  return { claims: normal, user: accountUser(bound.namespace, bound.serviceaccount, extra), legacySecret: undefined, checkedUntil: 0 };
}

function legacy(claims: Record<string, unknown>): Remembered | undefined {
  const claim = (name: string) => String(claims[`kubernetes.io/serviceaccount/${name}`] ?? '');
  const namespace = claim('namespace');
  const serviceaccount = { name: claim('service-account.name'), uid: claim('service-account.uid') };
  if (!namespace || !serviceaccount.name || !claim('secret.name')) return undefined;
  const as: TokenClaims = { iss: legacyIssuer, sub: String(claims['sub'] ?? ''), aud: [], exp: Number.MAX_SAFE_INTEGER / 1000, iat: 0, nbf: 0, jti: '', 'kubernetes.io': { namespace, serviceaccount } };
  return { claims: as, user: accountUser(namespace, serviceaccount, {}), legacySecret: claim('secret.name'), checkedUntil: 0 };
}

function accountUser(namespace: string, { name, uid }: Reference, extra: Record<string, readonly string[]>): UserInfo {
  return { name: serviceAccountUserName(namespace, name), uid, groups: [...serviceAccountGroups(namespace), 'system:authenticated'], ...(Object.keys(extra).length > 0 ? { extra } : {}) };
}

/** In constant time for equal lengths. */
export function equal(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
