/**
 * ConfigMap kube-system/extension-apiserver-authentication: how an aggregated server tells who is behind a request. Several
 * apiservers keep their certificates side by side. Source: upstream's pkg/controlplane/controller/clusterauthenticationtrust.
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../api/meta/status.ts';
import { configmaps } from '../../api/resources.ts';
import type { Client } from '../../client/client.ts';

export const configMapKey = { namespace: 'kube-system', name: 'extension-apiserver-authentication' } as const;
const writeTries = 5;

export interface ClusterAuthentication {
  /** PEM. */
  clientCa?: string | undefined;
  requestHeader?: { ca: string; allowedNames?: readonly string[]; usernameHeaders?: readonly string[]; uidHeaders?: readonly string[]; groupHeaders?: readonly string[]; extraHeaderPrefixes?: readonly string[] } | undefined;
}

export async function publishClusterAuthentication(client: Client, clock: Clock, config: ClusterAuthentication, signal?: AbortSignal): Promise<void> {
  const maps = client.for(configmaps);
  for (let attempt = 0; ; attempt++) {
    try {
      const old = await maps.get(configMapKey, { signal }).catch((err: unknown) => { if (isNotFound(err)) return undefined; throw err; });
      const data = { ...old?.data, ...dataOf(config, old?.data ?? {}, clock.now()) };
      if (!old) await maps.create({ metadata: { ...configMapKey }, data } as never, { signal });
      else if (Object.keys(data).some((key) => data[key] !== old.data?.[key])) await maps.update({ ...old, data }, { signal });
      return;
    } catch (err) { if (attempt >= writeTries || (!isConflict(err) && !isAlreadyExists(err))) throw err; }
  }
}

function dataOf({ clientCa, requestHeader }: ClusterAuthentication, old: Readonly<Record<string, string>>, now: number): Record<string, string> {
  const list = (name: string, ours: readonly string[]): Record<string, string> => {
    let known: string[] = [];
    try { known = JSON.parse(old[name] ?? '[]') as string[]; } catch { /* someone wrote nonsense */ }
    return { [name]: JSON.stringify([...new Set([...known, ...ours])]) };
  };
  return {
    ...(clientCa === undefined ? {} : { 'client-ca-file': joined(old['client-ca-file'], clientCa, now) }),
    ...(requestHeader ? {
      'requestheader-client-ca-file': joined(old['requestheader-client-ca-file'], requestHeader.ca, now),
      ...list('requestheader-username-headers', requestHeader.usernameHeaders ?? ['X-Remote-User']),
      ...list('requestheader-uid-headers', requestHeader.uidHeaders ?? ['X-Remote-Uid']),
      ...list('requestheader-group-headers', requestHeader.groupHeaders ?? ['X-Remote-Group']),
      ...list('requestheader-extra-headers-prefix', requestHeader.extraHeaderPrefixes ?? ['X-Remote-Extra-']),
      ...list('requestheader-allowed-names', requestHeader.allowedNames ?? []),
    } : {}),
  };
}

/** Both sets of certificates, once each, expired ones dropped. */
function joined(old: string | undefined, ours: string, now: number): string {
  const seen = new Map<string, string>();
  for (const pem of `${old ?? ''}\n${ours}`.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []) {
    try {
      const certificate = new X509Certificate(pem);
      if (Date.parse(certificate.validTo) > now) seen.set(certificate.fingerprint256, pem);
    } catch { /* not a certificate */ }
  }
  return [...seen.values()].map((pem) => `${pem}\n`).join('');
}
