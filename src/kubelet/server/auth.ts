/**
 * Who may call the kubelet: client certificates of the cluster's CA and bearer tokens (TokenReview), each allowed by a SubjectAccessReview
 * on nodes/<subresource>. Text: kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz.
 */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { subjectaccessreviews, tokenreviews } from '../../api/resources.ts';
import type { Clock } from '../../base/clock.ts';
import type { Client } from '../../client/client.ts';
import type { KubeletConfig } from '../config.ts';

export interface Caller { name: string; uid?: string; groups: readonly string[] }
export interface Verdict { status: 200 | 401 | 403 | 500; message: string; caller?: Caller }

const allowForMs = 300_000;
const denyForMs = 30_000;
const tokenForMs = 120_000;
/** Answers remembered; the oldest go first. */
const cacheLimit = 2048;

class Cache<T> {
  readonly #entries = new Map<string, { value: T; until: number }>();
  readonly #clock: Clock;
  constructor(clock: Clock) { this.#clock = clock; }
  get(key: string): T | undefined { const entry = this.#entries.get(key); return entry && entry.until > this.#clock.now() ? entry.value : undefined; }
  set(key: string, value: T, forMs: number): void {
    if (this.#entries.size >= cacheLimit) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, { value, until: this.#clock.now() + forMs });
  }
}

const verbs: Readonly<Record<string, string>> = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
/** The node subresources that allow a path, most particular first. Upstream's fine-grained kubelet authorization. */
export function subresourcesOf(path: string): string[] {
  const [first = ''] = path.split('/').filter(Boolean);
  if (first === 'stats' || first === 'metrics') return [first];
  if (first === 'logs') return ['log'];
  if (first === 'pods' || first === 'runningpods') return ['pods', 'proxy'];
  if (first === 'healthz' || first === 'configz') return [first, 'proxy'];
  return ['proxy'];
}

export function createAuth(options: { client: Client; clock: Clock; config: KubeletConfig; nodeName: string }): (request: IncomingMessage, path: string) => Promise<Verdict> {
  const { client, clock, config, nodeName } = options;
  const tokens = new Cache<Caller | null>(clock);
  const decisions = new Cache<{ allowed: boolean; reason: string }>(clock);

  async function authenticate(request: IncomingMessage): Promise<Caller | undefined> {
    const socket = request.socket as TLSSocket;
    if (socket.authorized) {
      const { subject } = socket.getPeerCertificate();
      const organizations = (subject as { O?: string | string[] } | undefined)?.O ?? [];
      if (subject?.CN) return { name: Array.isArray(subject.CN) ? subject.CN[0]! : subject.CN, groups: [...(Array.isArray(organizations) ? organizations : [organizations]), 'system:authenticated'] };
    }
    const [, token] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token && config.authenticationWebhook) {
      let caller = tokens.get(token);
      if (caller === undefined) {
        const review = await client.for(tokenreviews).create({ metadata: {}, spec: { token } });
        const user = review.status?.user;
        caller = review.status?.authenticated && user?.username ? { name: user.username, groups: user.groups ?? [], ...(user.uid ? { uid: user.uid } : {}) } : null;
        tokens.set(token, caller, tokenForMs);
      }
      return caller ?? undefined;
    }
    return config.authenticationAnonymous && !token ? { name: 'system:anonymous', groups: ['system:unauthenticated'] } : undefined;
  }

  return async (request, path) => {
    try {
      const caller = await authenticate(request);
      if (!caller) return { status: 401, message: 'Unauthorized' };
      if (config.authorizationMode === 'AlwaysAllow' || caller.groups.includes('system:masters')) return { status: 200, message: '', caller };
      const verb = verbs[request.method ?? 'GET'] ?? '';
      const wanted = subresourcesOf(path);
      for (const subresource of wanted) {
        const key = JSON.stringify([caller, verb, subresource]);
        let decision = decisions.get(key);
        if (!decision) {
          const review = await client.for(subjectaccessreviews).create({ metadata: {}, spec: { user: caller.name, groups: caller.groups, ...(caller.uid ? { uid: caller.uid } : {}), resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName } } });
          decision = { allowed: review.status?.allowed ?? false, reason: review.status?.reason ?? '' };
          decisions.set(key, decision, decision.allowed ? allowForMs : denyForMs);
        }
        if (decision.allowed) return { status: 200, message: '', caller };
      }
      return { status: 403, message: `Forbidden (user=${caller.name}, verb=${verb}, resource=nodes, subresource(s)=[${wanted.join(' ')}])` };
    } catch (error) { return { status: 500, message: `Authorization error: ${(error as Error).message}` }; }
  };
}
