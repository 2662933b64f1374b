/**
 * Service account tokens for projected volumes, bound to their pod, renewed at 80 % of their life or after 24 h.
 * Text: kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin; upstream pkg/kubelet/token. Tokens are never logged.
 */
import type { TokenRequest } from '../api/authentication/v1.ts';
import type { Pod } from '../api/core/v1.ts';
import { serviceaccounts } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Client } from '../client/client.ts';
import { uidOf } from './names.ts';

const maxAgeMs = 24 * 3600_000;
const lifeFraction = 0.8;

export interface TokenManager {
  token(pod: Pod, request: { audience?: string | undefined; expirationSeconds?: number | undefined }): Promise<string>;
  forget(uid: string): void;
}

export function createTokenManager(client: Client, clock: Clock): TokenManager {
  interface Held { token: string; fetchedAt: number; renewAt: number; expiresAt: number }
  const held = new Map<string, Held>();
  return {
    async token(pod, { audience, expirationSeconds = 3600 }) {
      const account = pod.spec.serviceAccountName || 'default';
      const key = `${uidOf(pod)}/${account}/${audience ?? ''}/${expirationSeconds}`;
      const known = held.get(key);
      if (known && clock.now() < known.renewAt) return known.token;
      try {
        const answer = await client.for(serviceaccounts).createSubresource<TokenRequest>({ namespace: pod.metadata.namespace ?? 'default', name: account }, 'token', {
          apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {},
          spec: { audiences: audience ? [audience] : [], expirationSeconds, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: uidOf(pod) } },
        });
        const token = answer.status?.token ?? '';
        const now = clock.now();
        const expiresAt = Date.parse(answer.status?.expirationTimestamp ?? '') || now + expirationSeconds * 1000;
        held.set(key, { token, fetchedAt: now, expiresAt, renewAt: Math.min(now + maxAgeMs, now + (expiresAt - now) * lifeFraction) });
        return token;
      } catch (error) {
        if (known && clock.now() < known.expiresAt) return known.token;
        throw new Error(`failed to fetch token: ${(error as Error).message}`, { cause: error });
      }
    },
    forget(uid) { for (const key of held.keys()) if (key.startsWith(`${uid}/`)) held.delete(key); },
  };
}
