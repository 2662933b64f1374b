/** Reads kubeconfig files into transport options. Source: client-go tools/clientcmd/api/v1. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { RestOptions } from './rest.ts';

interface Cluster { server?: string; 'certificate-authority'?: string; 'certificate-authority-data'?: string; 'insecure-skip-tls-verify'?: boolean; 'tls-server-name'?: string }
interface User {
  'client-certificate'?: string; 'client-certificate-data'?: string; 'client-key'?: string; 'client-key-data'?: string;
  token?: string; tokenFile?: string; username?: string; password?: string; as?: string; 'as-groups'?: string[]; exec?: unknown;
}
interface Context { cluster?: string; user?: string; namespace?: string }
export interface Kubeconfig {
  'current-context'?: string;
  clusters?: { name: string; cluster: Cluster }[];
  users?: { name: string; user: User }[];
  contexts?: { name: string; context: Context }[];
}

/** The connection of one context (default: the current one). File names in it are relative to the file. Throws with what is missing. */
export function loadKubeconfig(path: string, contextName?: string): RestOptions & { namespace: string; context: string } {
  return restOptionsOf(parse(readFileSync(path, 'utf8')) as Kubeconfig, { contextName, path });
}

export function restOptionsOf(config: Kubeconfig | null, { contextName, path }: { contextName?: string | undefined; path: string }): RestOptions & { namespace: string; context: string } {
  const name = contextName ?? config?.['current-context'] ?? '';
  const context = config?.contexts?.find((entry) => entry.name === name)?.context;
  if (!context) throw new Error(`${path}: context "${name}" does not exist; known: ${config?.contexts?.map((entry) => entry.name).join(', ') || 'none'}`);
  const cluster = config?.clusters?.find((entry) => entry.name === context.cluster)?.cluster;
  if (!cluster?.server) throw new Error(`${path}: cluster "${context.cluster ?? ''}" of context "${name}" has no server`);
  const user = config?.users?.find((entry) => entry.name === context.user)?.user ?? {};
  if (user.exec) throw new Error(`${path}: user "${context.user}" takes its credentials from a program (exec), which is not supported; use a token or client certificate`);
  const file = (relative: string | undefined) => (relative ? resolve(dirname(path), relative) : undefined);
  const read = (data: string | undefined, relative: string | undefined) => (data ? Buffer.from(data, 'base64') : relative ? readFileSync(file(relative)!) : undefined);
  /** Files are read again for each request only when they are files: rotated certificates are taken up. */
  const live = (data: string | undefined, relative: string | undefined) => {
    if (data || !relative) return read(data, relative);
    let last = readFileSync(file(relative)!);
    return () => { try { last = readFileSync(file(relative)!); } catch { /* being replaced: the old one serves */ } return last; };
  };
  const headers: Record<string, string> = {};
  if (user.as) headers['Impersonate-User'] = user.as;
  return {
    server: cluster.server, ca: read(cluster['certificate-authority-data'], cluster['certificate-authority']),
    cert: live(user['client-certificate-data'], user['client-certificate']), key: live(user['client-key-data'], user['client-key']),
    token: user.token, tokenFile: user.token ? undefined : file(user.tokenFile), username: user.username, password: user.password,
    tlsServerName: cluster['tls-server-name'], insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'], headers,
    namespace: context.namespace ?? 'default', context: name,
  };
}
