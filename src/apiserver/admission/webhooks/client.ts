/**
 * Calls to webhooks: HTTPS with kept-alive connections per certificate authority, by URL or Service, with a time limit and a limit on the
 * answer's size. Failures read as Go's HTTP client writes them. Source: apiserver/pkg/util/webhook; client-go rest.
 */
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import type { Clock } from '../../../base/clock.ts';
import type { Json } from '../../../base/json.ts';
import type { Service } from '../../../api/core/v1.ts';
import { isNotFound, StatusError } from '../../../api/meta/status.ts';
import { services } from '../../../api/resources.ts';
import type { Client } from '../../../client/client.ts';

export interface WebhookClientConfig { readonly url?: string; readonly service?: { readonly name?: string; readonly namespace?: string; readonly path?: string; readonly port?: number }; /** PEM in base64. */ readonly caBundle?: string }

/** Bytes of an answer; more is a failure. Differs: upstream reads any amount. */
export const maxAnswerBytes = 16 * 1024 * 1024;
/** Connection pools kept, one per certificate authority and server name. */
const maxAgents = 64;
const maxSockets = 256;
const idleSocketMs = 90_000;

export interface WebhookCall { config: WebhookClientConfig; body: Json; timeoutSeconds: number }
export interface WebhookClient extends Disposable {
  /** Resolves with the answer's JSON; rejects with an Error whose message says how the call failed. */
  post(call: WebhookCall): Promise<Json>;
}

export function createWebhookClient({ client, clock }: { client: Client; clock: Clock }): WebhookClient {
  const agents = new Map<string, Agent>();
  const agentFor = (caBundle: string | undefined, servername: string): Agent => {
    const key = `${servername}\0${caBundle ?? ''}`;
    let agent = agents.get(key);
    if (agent) agents.delete(key);
    else agent = new Agent({ keepAlive: true, maxSockets, maxFreeSockets: 16, timeout: idleSocketMs, ...(isIP(servername) ? {} : { servername }), ...(caBundle ? { ca: Buffer.from(caBundle, 'base64') } : {}) });
    agents.set(key, agent);
    if (agents.size > maxAgents) {
      const [oldest, idle] = agents.entries().next().value!;
      agents.delete(oldest);
      idle.destroy();
    }
    return agent;
  };

  return {
    async post({ config, body, timeoutSeconds }) {
      const { url, servername, host, address } = where(config);
      url.searchParams.set('timeout', `${timeoutSeconds}s`);
      // URLs leave out the port 443; upstream's texts do for URLs and do not for Services.
      const failed = (why: string) => new Error(`Post "https://${host}${url.pathname}${url.search}": ${why}`);
      const target = address ? await address(client).catch((err: unknown) => { throw failed(err instanceof Error ? err.message : String(err)); }) : undefined;
      return await new Promise<Json>((resolve, reject) => {
        const timer = clock.after(timeoutSeconds * 1000, () => fail('context deadline exceeded'), { keepAlive: false });
        const settle = (run: () => void) => { timer.cancel(); run(); };
        const outgoing = request(url, {
          method: 'POST', agent: agentFor(config.caBundle, servername), headers: { 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'kube-apiserver-admission' },
          ...(isIP(servername) ? {} : { servername }), ...(target ? (isIP(target.host) ? { lookup: lookupOf(target.host), port: target.port } : { hostname: target.host, port: target.port }) : {}),
        });
        const fail = (why: string) => settle(() => { reject(failed(why)); outgoing.destroy(); });
        outgoing.on('error', (err: NodeJS.ErrnoException) => settle(() => reject(failed(reasonOf(err, url)))));
        outgoing.on('response', (answer) => { collect(answer, fail, (text) => settle(() => { try { resolve(read(answer, text)); } catch (err) { reject(err as Error); } })); });
        outgoing.end(JSON.stringify(body));
      });
    },
    [Symbol.dispose]() { for (const agent of agents.values()) agent.destroy(); agents.clear(); },
  };
}

function collect(answer: IncomingMessage, fail: (why: string) => void, done: (text: string) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  answer.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxAnswerBytes) fail(`the answer is longer than ${maxAnswerBytes} bytes`); else chunks.push(chunk);
  });
  answer.on('end', () => done(Buffer.concat(chunks).toString()));
  answer.on('error', (err) => fail(err.message));
  answer.on('aborted', () => fail('unexpected EOF'));
}

/** The JSON of a good answer; the words of client-go for a bad one. */
function read({ statusCode = 0 }: IncomingMessage, text: string): Json {
  const shown = text.slice(0, 2048);
  if (statusCode < 200 || statusCode > 206) {
    const status = parsed(text);
    if (typeof status === 'object' && status !== null && !Array.isArray(status) && status.kind === 'Status' && typeof status.message === 'string') throw new StatusError({ code: statusCode, message: status.message });
    if (statusCode >= 300 && statusCode < 400) throw new Error(`unexpected response: ${statusCode}`);
    switch (statusCode) {
      case 404: throw new Error('the server could not find the requested resource');
      case 401: throw new Error('the server has asked for the client to provide credentials');
      case 403: throw new Error(shown || 'unknown');
      case 405: throw new Error('the server does not allow this method on the requested resource');
      case 503: throw new Error('the server is currently unable to handle the request');
      case 504: throw new Error('the server was unable to return a response in the time allotted, but may still be processing the request');
      default: throw new Error(statusCode >= 500 ? `an error on the server (${JSON.stringify(shown || 'unknown')}) has prevented the request from succeeding` : `the server rejected our request for an unknown reason`);
    }
  }
  const value = parsed(text);
  if (value === undefined) throw new Error(`couldn't get version/kind; json parse error: the answer is not JSON: ${JSON.stringify(shown.slice(0, 100))}`);
  return value;
}
function parsed(text: string): Json | undefined { try { return JSON.parse(text) as Json; } catch { return undefined; } }

interface Address { host: string; port: number }
function where({ url, service }: WebhookClientConfig): { url: URL; servername: string; host: string; address?: (client: Client) => Promise<Address> } {
  if (service) {
    const { name = '', namespace = '', path = '', port = 443 } = service;
    const servername = `${name}.${namespace}.svc`;
    return { url: new URL(`https://${servername}:${port}${path.startsWith('/') ? '' : '/'}${path}`), servername, host: `${servername}:${port}`, address: (client) => serviceAddress(client, namespace, name, port) };
  }
  if (!url) throw new Error('webhook configuration must have either service or URL');
  const parsedUrl = new URL(url);
  return { url: parsedUrl, servername: parsedUrl.hostname.replace(/^\[|\]$/g, ''), host: parsedUrl.host };
}
/** The cluster IP, which the host's own proxy serves. Source: apiserver/pkg/util/proxy ResolveCluster. */
async function serviceAddress(client: Client, namespace: string, name: string, port: number): Promise<Address> {
  let service: Service;
  try { service = await client.for(services).get({ namespace, name }) as Service; } catch (err) {
    if (isNotFound(err)) throw new Error(`service ${JSON.stringify(name)} not found`, { cause: err });
    throw err;
  }
  const { type, clusterIP, externalName, ports } = service.spec;
  if (type === 'ExternalName') return { host: externalName ?? '', port };
  if (!(ports ?? []).some((one) => one.port === port)) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
  if (!clusterIP || clusterIP === 'None') throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
  return { host: clusterIP, port };
}
const lookupOf = (host: string): LookupFunction => (_name, options, callback) => {
  const family = isIP(host);
  if (options.all) (callback as unknown as (err: null, found: { address: string; family: number }[]) => void)(null, [{ address: host, family }]); else callback(null, host, family);
};

function reasonOf(err: NodeJS.ErrnoException & { address?: string; port?: number }, url: URL): string {
  const at = err.address ? `${err.address.includes(':') ? `[${err.address}]` : err.address}:${err.port ?? ''}` : url.host;
  switch (err.code) {
    case 'ECONNREFUSED': return `dial tcp ${at}: connect: connection refused`;
    case 'EHOSTUNREACH': return `dial tcp ${at}: connect: no route to host`;
    case 'ETIMEDOUT': return `dial tcp ${at}: i/o timeout`;
    case 'ENOTFOUND': case 'EAI_AGAIN': return `dial tcp: lookup ${url.hostname}: no such host`;
    case 'ECONNRESET': return err.message.includes('socket hang up') ? 'EOF' : `read tcp ${at}: read: connection reset by peer`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT': case 'SELF_SIGNED_CERT_IN_CHAIN': case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE': case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY': return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED': return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID': return `tls: failed to verify certificate: x509: certificate is not valid for ${url.hostname}`;
    default: return err.message;
  }
}
