/**
 * The HTTPS door: HTTP/1.1 and HTTP/2 over TLS, client certificates asked for and not demanded. Turns requests into
 * `ApiRequest`s of an authenticated user and results into bytes. Every wait has a limit: header and body time, body size,
 * what a slow reader may leave unread.
 */
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest } from 'node:http2';
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { uuid } from '../../base/rng.ts';
import { badRequest, StatusError, tooLarge, unauthorized } from '../../api/meta/status.ts';
import { impersonate } from '../auth/impersonation.ts';
import { encodeResult, watchEncoder } from '../encoding/encode.ts';
import { statusErrorOf } from '../handlers/pipeline.ts';
import { requestInfo } from '../request-info.ts';
import { Query, type ApiRequest } from '../request.ts';
import type { ApiServer } from '../server.ts';
import { proxyUpgrade } from '../streams/upgrade.ts';
import type { UserInfo } from '../types.ts';
import { baseHeaders, send, sendError, type Answer, type Headers } from './answer.ts';
import { prepareItems } from '../in-process.ts';
import { streamWatch } from './watch-stream.ts';
import { websocketStream, websocketWatch } from './websocket.ts';

/** Source: upstream's MaxRequestBodyBytes, 3 MiB. */
export const bodyLimitBytes = 3 * 1024 * 1024;
const headersTimeoutMs = 32_000;
const requestTimeoutMs = 60_000;
const keepAliveTimeoutMs = 180_000;
/** Streams one HTTP/2 connection may have open. Source: upstream's --http2-max-streams-per-connection. */
const maxConcurrentStreams = 1000;

export interface TlsConfig {
  /** PEM. A function is asked when `reload` is called. */
  cert: string | Buffer;
  key: string | Buffer;
  /** PEM of the CAs that client certificates may come from. */
  clientCa?: string | Buffer | undefined;
  minVersion?: 'TLSv1.2' | 'TLSv1.3';
}
export interface ListenOptions { host?: string; port: number; /** Undefined: plain HTTP, for tests and a TLS-ending proxy on the same host. */ tls?: TlsConfig | undefined }
export interface Listener extends AsyncDisposable {
  address: string;
  port: number;
  /** Takes new certificates for new connections. */
  reload(tls: TlsConfig): void;
  /** Stops accepting; connections end when their requests have. */
  close(): Promise<void>;
}

type Incoming = IncomingMessage | Http2ServerRequest;

export async function listen(server: ApiServer, options: ListenOptions): Promise<Listener> {
  const { tls } = options;
  const http1Options = { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveTimeoutMs, maxHeaderSize: 64 * 1024 };
  const secure = (config: TlsConfig) => ({
    cert: config.cert, key: config.key, minVersion: config.minVersion ?? 'TLSv1.2' as const,
    requestCert: true, rejectUnauthorized: false, ...(config.clientCa === undefined ? {} : { ca: config.clientCa }),
  });
  const listener: Http2SecureServer | Server = tls
    ? createSecureServer({ ...secure(tls), ...http1Options, allowHTTP1: true, settings: { maxConcurrentStreams }, maxSessionMemory: 64 } as Parameters<typeof createSecureServer>[0])
    : createServer(http1Options);
  const onRequest = (request: Incoming, answer: Answer) => { void serve(server, request, answer); };
  (listener as Server).on('request', onRequest);
  (listener as Server).on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => { void upgrade(server, request, socket, head); });
  (listener as Server).on('clientError', (_err: Error, socket: Duplex) => { if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n400 Bad Request'); else socket.destroy(); });
  const sockets = new Set<Socket>();
  (listener as Server).on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  const sessions = new Set<{ close(): void; destroy(): void }>();
  (listener as Http2SecureServer).on('session', (session) => { sessions.add(session); session.on('close', () => sessions.delete(session)); session.on('error', () => session.destroy()); });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ port: options.port, host: options.host ?? '127.0.0.1' }, () => { listener.off('error', reject); resolve(); });
  });
  const { address, port } = listener.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  const close = () => closing ??= new Promise<void>((resolve) => {
    listener.close(() => resolve());
    for (const session of sessions) session.close();
    (listener as Server).closeIdleConnections?.();
    // Answers under way get a moment; then the connections go.
    const { clock } = server.context;
    clock.after(1000, () => { for (const session of sessions) session.destroy(); for (const socket of sockets) socket.destroy(); }, { keepAlive: false });
    setImmediate(() => { for (const socket of sockets) if (idle(socket)) socket.destroy(); });
  });
  return {
    address, port, close,
    reload(next) { if (tls) (listener as Http2SecureServer).setSecureContext(secure(next)); },
    [Symbol.asyncDispose]: close,
  };
}
const idle = (socket: Socket & { _httpMessage?: unknown }) => !socket._httpMessage && socket.writableLength === 0;

// ---- who is there

interface Peer { certificate: Uint8Array | undefined }
const peers = new WeakMap<object, Peer>();
/** The verified client certificate, read once per connection. */
function certificateOf(socket: TLSSocket | undefined, connection: object): Uint8Array | undefined {
  let peer = peers.get(connection);
  if (!peer) {
    peer = { certificate: socket?.authorized ? socket.getPeerX509Certificate?.()?.raw : undefined };
    peers.set(connection, peer);
  }
  return peer.certificate;
}

/** As proxies in front say, then the peer itself. Source: apimachinery/pkg/util/net SourceIPs. */
function sourceIPsOf({ headers, socket }: Incoming): string[] {
  const forwarded = headers['x-forwarded-for'];
  const ips = (typeof forwarded === 'string' ? forwarded.split(',') : []).map((text) => text.trim()).filter((text) => isIP(text) !== 0);
  const real = headers['x-real-ip'];
  if (typeof real === 'string' && isIP(real) !== 0 && !ips.includes(real)) ips.push(real);
  const peer = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  if (peer && ips.at(-1) !== peer) ips.push(peer);
  return ips;
}

async function authenticated(server: ApiServer, request: Incoming, path: string, asked: ApiRequest): Promise<UserInfo> {
  const { context } = server;
  const session = 'stream' in request ? (request as Http2ServerRequest).stream.session : undefined;
  const clientCertificate = certificateOf(request.socket as TLSSocket, session ?? request.socket);
  const headers = request.headers as Readonly<Record<string, string | readonly string[] | undefined>>;
  let user: UserInfo | undefined;
  try { user = await context.authenticator.authenticate({ headers, path, ...(clientCertificate ? { clientCertificate } : {}) }); } catch (err) {
    context.audit?.begin(asked, requestInfo(asked.method, path, asked.query))?.fail(statusErrorOf(err), false);
    throw err;
  }
  if (!user) throw unauthorized();
  for (const name in headers) if (name.startsWith('impersonate-')) {
    if (asked.origin) asked.origin.impersonator = user;
    return impersonate(headers, user, context.authorizer);
  }
  return user;
}

function requestOf(request: Incoming): ApiRequest {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  let path = rawPath;
  if (rawPath.includes('%')) {
    // A slash inside a segment stays encoded, so that segments stay what they were.
    try { path = rawPath.split('/').map((part) => decodeURIComponent(part).replace(/\//g, '%2F')).join('/'); } catch { throw badRequest(`invalid URL escape in ${JSON.stringify(rawPath)}`); }
  }
  const headers = request.headers as ApiRequest['headers'];
  const contentType = typeof headers['content-type'] === 'string' ? headers['content-type'].split(';', 1)[0]!.trim().toLowerCase() : '';
  const agent = typeof headers['user-agent'] === 'string' ? headers['user-agent'] : '';
  return {
    method: request.method ?? 'GET', path, query: new Query(mark < 0 ? undefined : new URLSearchParams(url.slice(mark + 1))), user: nobody, headers, contentType,
    body: undefined, signal: undefined, userAgent: agent.split('/')[0]!.replace(/[^\x20-\x7e]/g, ''), inProcess: false, warnings: [],
    note: { verb: '', group: '', version: '', resource: '', subresource: '', scope: '' },
  };
}
/** Paths whose body goes on to a backend unread. */
const proxied = /\/(pods|services|nodes)\/[^/]+\/proxy(\/|$)/;
const nobody: UserInfo = { name: '', groups: [] };

function readBody(request: Incoming): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    const refuse = () => reject(tooLarge(`limit is ${bodyLimitBytes}`));
    if (declared > bodyLimitBytes) { refuse(); return; }
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > bodyLimitBytes) { request.removeAllListeners('data'); request.pause(); refuse(); } else chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    request.on('error', reject);
    request.on('aborted', () => reject(badRequest('the client went away before its request was complete')));
  });
}

// ---- one request

const auditIdOf = (request: Incoming, server: ApiServer): string => {
  const given = request.headers['audit-id'];
  return typeof given === 'string' && given.length > 0 && given.length <= 64 && /^[\x21-\x7e]+$/.test(given) ? given : uuid(server.context.rng);
};

async function serve(server: ApiServer, incoming: Incoming, answer: Answer): Promise<void> {
  const { context } = server;
  const started = context.clock.monotonic();
  const auditId = auditIdOf(incoming, server);
  answer.on('error', () => {});
  incoming.on('error', () => {});
  let request: ApiRequest | undefined;
  let code = 0;
  let watching = false;
  const headers = (): Headers => {
    const base = baseHeaders(auditId, request);
    if (request?.flow) {
      base['x-kubernetes-pf-flowschema-uid'] = request.flow.schemaUid;
      base['x-kubernetes-pf-prioritylevel-uid'] = request.flow.levelUid;
    }
    return base;
  };
  try {
    request = requestOf(incoming);
    const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
    if (context.audit) request.origin = { auditId, sourceIPs: sourceIPsOf(incoming) };
    request.user = await authenticated(server, incoming, request.path, request);
    // Proxied requests stream their bodies; everything else reads them whole.
    if (hasBody) request.body = proxied.test(request.path) || context.aggregator?.remoteFor(request.path) ? incoming as never : await readBody(incoming);
    const result = await server.handle(request);
    switch (result.type) {
      case 'object': case 'value': case 'list':
        code = request.method === 'HEAD' ? 200 : 'code' in result ? result.code : 200;
        await send(answer, request, code, headers(), encodeResult(request, result, context.clock.now()));
        break;
      case 'watch': {
        code = 200;
        watching = true;
        server.metrics.watchStarted(request.note);
        let encoder;
        try { encoder = watchEncoder(request, result.resource, context.clock); } catch (err) { result.watcher.close(); throw err; }
        try { await streamWatch(answer, result.watcher, encoder, headers(), result.resource.entry.alias?.prepare && ((items) => prepareItems(result, items))); } finally { server.metrics.watchEnded(request.note); }
        break;
      }
      case 'raw': {
        code = result.code;
        const body = typeof result.body === 'string' ? Buffer.from(result.body) : result.body;
        await send(answer, request, code, { ...headers(), ...result.headers }, { contentType: result.contentType, chunks: [body], length: body.length });
        break;
      }
      case 'stream': {
        code = result.code;
        const { body } = result;
        answer.on('close', () => body.destroy());
        (answer as ServerResponse).writeHead(code, { ...headers(), ...result.headers as Headers });
        if ('flushHeaders' in answer) answer.flushHeaders();
        body.on('error', () => answer.destroy());
        body.pipe(answer as ServerResponse);
        break;
      }
      case 'upgrade': throw badRequest('Upgrade request required');
    }
  } catch (err) {
    const error = statusErrorOf(err);
    code = error.code;
    if (code >= 500 && !(err instanceof StatusError)) context.log.error({ err, path: incoming.url }, 'request failed');
    const asked = request ?? { ...emptyRequest, method: incoming.method ?? 'GET' };
    // A body that was not read to its end makes the connection useless for the next request.
    const errorHeaders = headers();
    if (error.reason === 'RequestEntityTooLarge' && incoming.httpVersionMajor === 1) errorHeaders.connection = 'close';
    await sendError(answer, asked, errorHeaders, error).catch(() => answer.destroy());
    if (error.reason === 'RequestEntityTooLarge') incoming.resume();
  } finally {
    if (request) server.metrics.observe(request.note, code, context.clock.monotonic() - started, watching);
  }
}
const emptyRequest: ApiRequest = {
  method: 'GET', path: '/', query: new Query(undefined), user: nobody, headers: {}, contentType: '', body: undefined, signal: undefined, userAgent: '', inProcess: false, warnings: [],
  note: { verb: '', group: '', version: '', resource: '', subresource: '', scope: '' },
};

async function upgrade(server: ApiServer, incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  socket.on('error', () => socket.destroy());
  const auditId = auditIdOf(incoming, server);
  let request: ApiRequest | undefined;
  try {
    request = requestOf(incoming);
    if (server.context.audit) request.origin = { auditId, sourceIPs: sourceIPsOf(incoming) };
    request.user = await authenticated(server, incoming, request.path, request);
    const result = await server.handle(request);
    if (result.type === 'watch') { websocketWatch(incoming, socket, head, result.watcher, watchEncoder(request, result.resource, server.context.clock)); return; }
    if (result.type === 'upgrade') { await proxyUpgrade(incoming, socket, head, result.target); return; }
    if (result.type === 'stream') {
      if (incoming.headers.upgrade?.toLowerCase() === 'websocket') { websocketStream(incoming, socket, head, result.body); return; }
      result.body.destroy();
    }
    throw badRequest('this path can not be upgraded');
  } catch (err) {
    const error = statusErrorOf(err);
    const body = Buffer.from(JSON.stringify(error.status));
    if (socket.writable) {
      socket.end(`HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? 'Error'}\r\nAudit-Id: ${auditId}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString()}`);
    } else socket.destroy();
  }
}
