/**
 * Authentication and authorization by asking another server: TokenReview and SubjectAccessReview over HTTPS, answers remembered for
 * a while. Where to ask comes from a kubeconfig file.
 * Source: kubernetes.io/docs/reference/access-authn-authz/{authentication,webhook}; apiserver/plugin/pkg/{authenticator/token,authorizer}/webhook.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { Clock } from '../../base/clock.ts';
import type { Json, JsonObject } from '../../base/json.ts';
import type { TlsClientConfig } from '../request.ts';
import { ask } from '../streams/fetch.ts';
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer, UserInfo } from '../types.ts';
import type { TokenAuthenticator } from './authenticators.ts';

/** Answers remembered, of each kind. */
const cacheLimit = 8192;
const answerLimitBytes = 1024 * 1024;

export interface WebhookTarget { url: string; tls: TlsClientConfig; token?: string }

/** Reads the current context of a kubeconfig file. Throws with what is missing. */
export function webhookTarget(path: string): WebhookTarget {
  interface Named<T> { name?: string; cluster?: T; user?: T; context?: T }
  const file = parseYaml(readFileSync(path, 'utf8')) as { clusters?: Named<Record<string, string>>[]; users?: Named<Record<string, string>>[]; contexts?: Named<Record<string, string>>[]; 'current-context'?: string };
  const context = (file.contexts?.find(({ name }) => name === file['current-context']) ?? file.contexts?.[0])?.context;
  const cluster = file.clusters?.find(({ name }) => name === context?.['cluster'])?.cluster;
  if (!cluster?.['server']) throw new Error(`${path}: the current context names no cluster with a server`);
  const user = file.users?.find(({ name }) => name === context?.['user'])?.user ?? {};
  const pem = (from: Record<string, string>, name: string) => {
    if (from[`${name}-data`]) return Buffer.from(from[`${name}-data`]!, 'base64');
    return from[name] ? readFileSync(resolve(dirname(path), from[name])) : undefined;
  };
  return {
    url: cluster['server'], ...(user['token'] ? { token: user['token'] } : {}),
    tls: { ca: pem(cluster, 'certificate-authority'), cert: pem(user, 'client-certificate'), key: pem(user, 'client-key'), rejectUnauthorized: String(cluster['insecure-skip-tls-verify'] ?? '') !== 'true' },
  };
}

async function post({ url, tls, token }: WebhookTarget, review: JsonObject): Promise<JsonObject> {
  const body = Buffer.from(JSON.stringify(review));
  const answer = await ask({ url: new URL(url), method: 'POST', tls, body, headers: { 'content-type': 'application/json', accept: 'application/json', 'content-length': String(body.length), ...(token ? { authorization: `Bearer ${token}` } : {}) } });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) { size += (chunk as Buffer).length; if (size > answerLimitBytes) throw new Error('the webhook answered too much'); chunks.push(chunk as Buffer); }
  const code = answer.statusCode ?? 500;
  if (code < 200 || code >= 300) throw new Error(`the webhook answered ${code}`);
  return (JSON.parse(Buffer.concat(chunks).toString()) as { status?: JsonObject }).status ?? {};
}

/** Remembers what a question was answered, one asking at a time. Failures are not remembered. */
class Remembered<T> {
  readonly #clock: Clock;
  readonly #known = new Map<string, { until: number; value: Promise<T> }>();
  constructor(clock: Clock) { this.#clock = clock; }
  get(key: string, make: () => Promise<T>, ttlMs: (value: T) => number): Promise<T> {
    const now = this.#clock.monotonic();
    const known = this.#known.get(key);
    if (known && known.until > now) return known.value;
    if (this.#known.size >= cacheLimit) this.#known.clear();
    const entry = { until: Infinity, value: make() };
    this.#known.set(key, entry);
    entry.value.then((value) => { entry.until = this.#clock.monotonic() + ttlMs(value); }, () => { this.#known.delete(key); });
    return entry.value;
  }
}

export interface TokenWebhookOptions { target: WebhookTarget; clock: Clock; /** `--authentication-token-webhook-cache-ttl`. Default 2 minutes. */ cacheTtlMs?: number; /** Audiences the token must be for. */ audiences?: readonly string[] }

/** `--authentication-token-webhook-config-file`: for `SecurityConfig.tokens`. */
export function tokenWebhook({ target, clock, cacheTtlMs = 120_000, audiences }: TokenWebhookOptions): TokenAuthenticator {
  const remembered = new Remembered<UserInfo | undefined>(clock);
  return (token) => remembered.get(createHash('sha256').update(token).digest('base64'), async () => {
    const status = await post(target, { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', metadata: { creationTimestamp: null }, spec: { token, ...(audiences ? { audiences: [...audiences] } : {}) } });
    if (status.authenticated !== true) {
      if (status.error) throw new Error(String(status.error));
      return undefined;
    }
    const user = (status.user ?? {}) as { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
    return { name: user.username ?? '', groups: user.groups ?? [], ...(user.uid ? { uid: user.uid } : {}), ...(user.extra ? { extra: user.extra } : {}) };
  }, () => cacheTtlMs);
}

export interface AuthorizationWebhookOptions { target: WebhookTarget; clock: Clock; /** Defaults 5 minutes and 30 seconds. */ authorizedTtlMs?: number; unauthorizedTtlMs?: number; /** When the webhook can't be asked. Default 'NoOpinion'. */ failurePolicy?: 'NoOpinion' | 'Deny' }

/** `--authorization-mode=Webhook`. */
export function authorizationWebhook({ target, clock, authorizedTtlMs = 300_000, unauthorizedTtlMs = 30_000, failurePolicy = 'NoOpinion' }: AuthorizationWebhookOptions): Authorizer {
  const remembered = new Remembered<AuthorizationDecision>(clock);
  return {
    async authorize(asked) {
      const spec = reviewSpec(asked);
      try {
        return await remembered.get(JSON.stringify(spec), async () => {
          const { allowed, denied, reason } = await post(target, { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: { creationTimestamp: null }, spec });
          if (allowed === true && denied === true) throw new Error('webhook subject access review returned both allow and deny response');
          return { decision: denied === true ? 'deny' : allowed === true ? 'allow' : 'none', reason: typeof reason === 'string' ? reason : '' };
        }, ({ decision }) => (decision === 'allow' ? authorizedTtlMs : unauthorizedTtlMs));
      } catch (err) {
        return { decision: failurePolicy === 'Deny' ? 'deny' : 'none', reason: `the authorization webhook could not be asked: ${err instanceof Error ? err.message : String(err)}` };
      }
    },
    rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: true, evaluationError: 'webhook authorizer does not support user rule resolution' }),
  };
}

function reviewSpec({ user, isResource, verb, path, group, version, namespace, resource, subresource, name }: AuthorizationAttributes): JsonObject {
  const given = (values: Record<string, string>) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''));
  return {
    ...(isResource ? { resourceAttributes: given({ namespace, verb, group, version, resource, subresource, name }) } : { nonResourceAttributes: given({ path, verb }) }),
    user: user.name, ...(user.groups.length > 0 ? { groups: [...user.groups] } : {}), ...(user.uid ? { uid: user.uid } : {}), ...(user.extra ? { extra: user.extra as unknown as Json } : {}),
  };
}
