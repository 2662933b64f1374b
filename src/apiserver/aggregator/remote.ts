/**
 * One API group version that another server answers for: where it is, how to speak to it as the front proxy, and what it has said
 * of itself. Source: kube-aggregator/pkg/apiserver/handler_proxy.go; kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer.
 */
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { JsonObject } from '../../base/json.ts';
import type { Rng } from '../../base/rng.ts';
import type { APIService } from '../../api/apiregistration/v1.ts';
import type { ApiRequest, ApiResult, TlsClientConfig } from '../request.ts';
import { upgradeHeaders } from '../streams/upgrade.ts';
import type { UserInfo } from '../types.ts';
import { originsOf, pickOrigin, type Routing, type ServiceBackends } from './resolve.ts';

/** Connections kept to one aggregated server, and at most open beside watches. */
const idleConnections = 25;
const connectTimeoutMs = 30_000;
/** Bytes of a discovery or OpenAPI document that are read at most. */
const documentLimitBytes = 64 * 1024 * 1024;

/** The client certificate that says: these headers are true. */
export interface ProxyIdentity { certificatePem: string; keyPem: string }
export interface RemoteDeps { backends: ServiceBackends; routing: Routing; rng: Rng; identity(): ProxyIdentity | undefined }

const hopByHop = new Set(['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'content-length']);
const wire = (text: string) => (/^[\x20-\x7e]*$/.test(text) ? text : Buffer.from(text.replace(/[\r\n]/g, ' ')).toString('latin1'));
/** Source: client-go transport headerKeyEscape. */
const headerKey = (key: string) => Buffer.from(key).toString('latin1').replace(/[^!#$&'*+\-.^_`|~0-9A-Za-z]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

/** Who the request is for, as the aggregated server reads it. */
export function identityHeaders({ name, uid, groups, extra }: UserInfo): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'X-Remote-User': wire(name) };
  if (uid) headers['X-Remote-Uid'] = wire(uid);
  if (groups.length > 0) headers['X-Remote-Group'] = groups.map(wire);
  for (const [key, values] of Object.entries(extra ?? {})) headers[`X-Remote-Extra-${headerKey(key)}`] = values.map(wire);
  return headers;
}

export const unavailable = (text = 'service unavailable', code = 503): ApiResult => ({ type: 'raw', code, contentType: 'text/plain; charset=utf-8', body: `${text}\n`, headers: { 'x-content-type-options': 'nosniff' } });
/** Segments as they came: a slash inside one stays encoded. */
const encodedPath = (path: string) => path.split('/').map((part) => encodeURIComponent(part).replaceAll('%252F', '%2F')).join('/');

export interface Fetched { code: number; headers: IncomingMessage['headers']; body: Buffer }

export class RemoteApi implements Disposable {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly service: { namespace: string; name: string; port: number };
  readonly #deps: RemoteDeps;
  readonly #spec: APIService['spec'];
  readonly #agent: Agent;
  #available: boolean;
  /** Its part of aggregated discovery (APIVersionDiscovery); undefined before the first answer. */
  discovery: JsonObject | undefined;

  constructor(object: APIService, deps: RemoteDeps) {
    const { spec } = object;
    this.name = object.metadata.name;
    this.group = spec.group ?? '';
    this.version = spec.version ?? '';
    this.service = { namespace: spec.service?.namespace ?? '', name: spec.service?.name ?? '', port: spec.service?.port ?? 443 };
    this.#spec = spec;
    this.#deps = deps;
    this.#available = isAvailable(object);
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: idleConnections, maxCachedSessions: idleConnections, ...this.tls });
  }

  get available(): boolean { return this.#available; }
  set available(value: boolean) { this.#available = value; }

  get tls(): TlsClientConfig {
    const identity = this.#deps.identity();
    const { caBundle, insecureSkipTLSVerify } = this.#spec;
    return {
      ...(identity ? { cert: identity.certificatePem, key: identity.keyPem } : {}), ...(caBundle ? { ca: Buffer.from(caBundle, 'base64') } : {}),
      rejectUnauthorized: !insecureSkipTLSVerify, servername: `${this.service.name}.${this.service.namespace}.svc`,
    };
  }

  origins(): string[] { return originsOf(this.#deps.backends, this.service.namespace, this.service.name, this.service.port, this.#deps.routing); }

  /** Passes a request on and its answer back. */
  async proxy(request: ApiRequest): Promise<ApiResult> {
    if (!this.#available) return unavailable();
    let origin: string;
    try { origin = pickOrigin(this.origins(), this.#deps.rng); } catch { return unavailable(); }
    const query = request.query.toString();
    const url = new URL(`${origin}${encodedPath(request.path)}${query ? `?${query}` : ''}`);
    const identity = identityHeaders(request.user);
    if (/upgrade/i.test(String(request.headers.connection ?? ''))) return { type: 'upgrade', target: { url, method: request.method, headers: identity, tls: this.tls } };

    const headers: Record<string, string | string[]> = { ...identity };
    for (const [header, value] of Object.entries(upgradeHeaders(request.headers as never))) if (!hopByHop.has(header) && !header.startsWith(':')) headers[header] = value;
    if (request.inProcess) {
      headers.accept ??= 'application/json';
      headers['user-agent'] ??= request.userAgent;
    }
    if (request.contentType && !headers['content-type']) headers['content-type'] = request.contentType;
    let { body } = request;
    if (body !== undefined && !(body instanceof Uint8Array) && !(body instanceof Readable)) body = Buffer.from(JSON.stringify(body));
    if (body instanceof Uint8Array) headers['content-length'] = String(body.length);
    else if (typeof request.headers['content-length'] === 'string') headers['content-length'] = request.headers['content-length'];
    try {
      const answer = await this.#ask(url, request.method, headers, request.method === 'GET' || request.method === 'HEAD' ? undefined : body, request.signal);
      const kept: Record<string, string | string[]> = {};
      for (const [header, value] of Object.entries(answer.headers)) if (value !== undefined && (!hopByHop.has(header) || header === 'content-length')) kept[header] = value;
      return { type: 'stream', code: answer.statusCode ?? 502, headers: kept, body: answer };
    } catch (err) {
      if (request.signal?.aborted) throw err;
      return unavailable(`error trying to reach service: ${err instanceof Error ? err.message : String(err)}`);
    }
  }

  /** A document of the server, read whole, as `user`. */
  async fetch(origin: string, path: string, { user, accept = 'application/json', etag, timeoutMs, signal }: { user: UserInfo; accept?: string; etag?: string | undefined; timeoutMs: number; signal?: AbortSignal | undefined }): Promise<Fetched> {
    const answer = await this.#ask(new URL(`${origin}${path}`), 'GET', { ...identityHeaders(user), Accept: accept, ...(etag ? { 'If-None-Match': etag } : {}) }, undefined, signal, timeoutMs);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer) {
      size += (chunk as Buffer).length;
      if (size > documentLimitBytes) { answer.destroy(); throw new Error(`${path} of ${this.name} is larger than ${documentLimitBytes} bytes`); }
      chunks.push(chunk as Buffer);
    }
    return { code: answer.statusCode ?? 502, headers: answer.headers, body: Buffer.concat(chunks) };
  }

  #ask(url: URL, method: string, headers: Record<string, string | string[]>, body: unknown, signal: AbortSignal | undefined, timeoutMs = 0): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(url, { method, headers, agent: this.#agent, ...(signal ? { signal } : {}), timeout: timeoutMs || connectTimeoutMs });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${url.host} in time`)));
      outgoing.on('response', (answer) => { if (timeoutMs === 0) outgoing.setTimeout(0); resolve(answer); });
      outgoing.on('error', reject);
      if (body instanceof Readable) { body.on('error', (err: Error) => outgoing.destroy(err)); body.pipe(outgoing); } else outgoing.end(body);
    });
  }

  [Symbol.dispose](): void { this.#agent.destroy(); }
}

export function isAvailable({ status }: APIService): boolean { return (status?.conditions ?? []).some(({ type, status: state }) => type === 'Available' && state === 'True'); }
