/**
 * exec, attach and port-forward on the node: joins a client's upgrade request to the stream URL that the runtime answered (CRI Exec,
 * Attach, PortForward). Driven by the kubelet's HTTPS server.
 * - SPDY/3.1, and WebSocket with the older `[base64.][v4.]channel.k8s.io`: the runtime's server speaks them; bytes pass through.
 * - WebSocket `v5.channel.k8s.io`: ends here and becomes SPDY/3.1 with `v4.channel.k8s.io` towards the runtime. Exit status passes untouched.
 * - WebSocket `SPDY/3.1+portforward.k8s.io`: SPDY bytes inside binary messages; unwrapped.
 * Source: k8s.io/apimachinery/pkg/util/remotecommand, KEP-4006 (SPDY to WebSockets).
 */
import { request as httpRequest, STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { SpdyConnection, type SpdyStream } from './spdy.ts';

export type StreamRequest =
  /** The same flags as in the CRI request that gave the URL. */
  | { kind: 'exec' | 'attach'; url: string; stdin?: boolean; stdout?: boolean; stderr?: boolean; tty?: boolean }
  | { kind: 'portForward'; url: string };

/** The client's side, as node:http's `upgrade` event gives it. */
export interface UpgradeRequest { request: IncomingMessage; socket: Duplex; head: Buffer }
export interface StreamOptions { clock: Clock; log: Logger; signal?: AbortSignal }

/** For the runtime to answer the upgrade; it is on the same machine. */
const dialTimeoutMs = 30_000;
/** How long a side that doesn't read may take to accept what is left for it. */
const lingerMs = 30_000;
/** Largest WebSocket message taken; kubectl sends 32 KiB. */
const maxMessageBytes = 4 * 1024 * 1024;
/** More unsent than this on one side stops reading the other. */
const maxBufferedBytes = 1024 * 1024;
/** How much of a runtime's refusal is passed on. */
const maxRefusalBytes = 64 * 1024;

const v4 = 'v4.channel.k8s.io';
const v5 = 'v5.channel.k8s.io';
const portForwardTunnel = 'SPDY/3.1+portforward.k8s.io';
const portForwardProtocol = 'portforward.k8s.io';
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** Joins the two and resolves when the stream has ended, however it ended. Failures before that are answered to the client as HTTP. */
export async function connectStream(client: UpgradeRequest, stream: StreamRequest, options: StreamOptions): Promise<void> {
  const { request, socket } = client;
  socket.on('error', () => {}); // its close is what counts
  if (options.signal?.aborted) { socket.destroy(); return; }
  const onAbort = () => { socket.destroy(); };
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const upgrade = (request.headers.upgrade ?? '').toLowerCase();
    if (upgrade === 'websocket') {
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
      if (stream.kind !== 'portForward' && offered.includes(v5)) await translate(client, stream, options);
      else if (stream.kind === 'portForward' && offered.includes(portForwardTunnel)) await unwrap(client, stream.url, options);
      else await passThrough(client, stream.url, options);
    } else if (upgrade === 'spdy/3.1') await passThrough(client, stream.url, options);
    else refuse(socket, 400, `unable to upgrade: missing upgrade headers in request: ${JSON.stringify(request.headers.upgrade ?? '')}`);
  } catch (error) {
    options.log.info({ err: error, kind: stream.kind }, 'a stream ended with an error');
    if (error instanceof Refusal) refuse(socket, error.status, error.message);
    else socket.destroy();
  } finally { options.signal?.removeEventListener('abort', onAbort); }
}

/** The runtime (or the way to it) said no; nothing has been sent to the client yet. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) { super(message); this.status = status; }
}

function refuse(socket: Duplex, status: number, message: string): void {
  if (!socket.writable) return;
  const body = `${message}\n`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

interface Upgraded { response: IncomingMessage; socket: Duplex; head: Buffer }

/** Throws `Refusal` when the answer is not 101. */
function dial(url: string, headers: Record<string, string | string[]>, { clock, signal }: StreamOptions, method = 'POST'): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    if (!url.startsWith('http://')) throw new Refusal(502, `the container runtime's streaming server must listen on this machine without TLS, and its URL is ${new URL(url).protocol}//…`);
    const request = httpRequest(url, { method, headers: { Connection: 'Upgrade', ...headers }, agent: false, ...(signal ? { signal } : {}) });
    const timer = clock.after(dialTimeoutMs, () => { request.destroy(new Error(`no answer in ${dialTimeoutMs / 1000} s`)); });
    request.on('upgrade', (response, socket, head) => {
      timer.cancel();
      socket.setNoDelay(true);
      socket.on('error', () => {});
      resolve({ response, socket, head });
    });
    request.on('response', (response) => {
      timer.cancel();
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => { if (text.length < maxRefusalBytes) text += chunk; });
      response.on('close', () => reject(new Refusal(response.statusCode ?? 502, text.trim() || `the container runtime answered ${response.statusCode}`)));
    });
    request.on('error', (error) => { timer.cancel(); reject(new Refusal(502, `error dialing the container runtime's streaming server: ${error.message}`)); });
    request.end();
  });
}

/** Both speak the same; only the head of the request is written anew. */
async function passThrough({ request, socket, head }: UpgradeRequest, url: string, options: StreamOptions): Promise<void> {
  const headers: Record<string, string | string[]> = { Upgrade: request.headers.upgrade! };
  // Names that describe the upgrade; credentials stay here.
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (values && /^(sec-websocket-.*|x-stream-protocol-version)$/.test(name)) headers[name] = values.length === 1 ? values[0]! : values;
  }
  const upstream = await dial(url, headers, options, request.method ?? 'POST');
  if (socket.destroyed) { upstream.socket.destroy(); return; }
  const raw = upstream.response.rawHeaders;
  let answer = 'HTTP/1.1 101 Switching Protocols\r\n';
  // The runtime names an empty protocol where none was asked for; clients refuse that.
  for (let at = 0; at < raw.length; at += 2) if (raw[at + 1] !== '') answer += `${raw[at]}: ${raw[at + 1]}\r\n`;
  socket.write(`${answer}\r\n`);
  if (upstream.head.length > 0) socket.write(upstream.head);
  if (head.length > 0) upstream.socket.write(head);
  await join(socket, upstream.socket, options.clock);
}

/** Copies both ways until both are closed. A half-close passes on; when one side is gone the other gets what is left, then goes too. */
function join(a: Duplex, b: Duplex, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    let open = 2;
    const closed = (other: Duplex) => () => {
      if (--open === 0) { resolve(); return; }
      const timer = clock.after(lingerMs, () => { other.destroy(); }, { keepAlive: false });
      other.once('close', () => timer.cancel());
      other.end(() => { other.destroy(); });
    };
    a.once('close', closed(b));
    b.once('close', closed(a));
    a.pipe(b);
    b.pipe(a);
  });
}

function acceptWebSocket({ request, socket, head }: UpgradeRequest, protocol: string): Promise<WebSocket> {
  const server = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: maxMessageBytes, perMessageDeflate: false });
  // Chosen here: `ws` refuses a name with a slash (RFC 6455 §4.1 wants a token), and the port-forward tunnel's has one.
  delete request.headers['sec-websocket-protocol'];
  server.on('headers', (headers) => { headers.push(`Sec-WebSocket-Protocol: ${protocol}`); });
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error('the client has left')));
    server.once('wsClientError', (error) => reject(error));
    server.handleUpgrade(request, socket, head, resolve);
  });
}

/** Sends, and tells through `pressure` when the client is slow. */
function sender(ws: WebSocket, pressure: (full: boolean) => void): (message: Buffer) => void {
  let full = false;
  return (message) => {
    if (ws.readyState !== WebSocket.OPEN) return;
    ws.send(message, { binary: true }, () => {
      if (full && ws.bufferedAmount < maxBufferedBytes / 2) { full = false; pressure(false); }
    });
    if (!full && ws.bufferedAmount > maxBufferedBytes) { full = true; pressure(true); }
  };
}

const toBuffer = (data: Buffer | ArrayBuffer | Buffer[]): Buffer => (Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data));

async function translate(client: UpgradeRequest, stream: StreamRequest & { kind: 'exec' | 'attach' }, options: StreamOptions): Promise<void> {
  const upstream = await dial(stream.url, { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': v4 }, options);
  const connection = new SpdyConnection(upstream.socket, { head: upstream.head });
  // Before anything is awaited: an end in between must not be missed.
  const ended = new Promise<Error | undefined>((resolve) => { connection.onClose = resolve; });
  const outputs: number[] = [];
  const inputs = new Map<number, SpdyStream>();
  const early: Buffer[] = [];
  let send = (message: Buffer) => { early.push(message); };
  const open = (streamType: keyof typeof channel) => connection.createStream({ streamtype: streamType });
  const output = (streamType: 'stdout' | 'stderr' | 'error') => {
    const made = open(streamType);
    const prefix = Buffer.from([channel[streamType]]);
    made.onData = (chunk) => send(Buffer.concat([prefix, chunk]));
    outputs.push(channel[streamType]);
  };
  output('error');
  if (stream.stdin) inputs.set(channel.stdin, open('stdin'));
  if (stream.stdout) output('stdout');
  if (stream.stderr && !stream.tty) output('stderr');
  if (stream.tty) inputs.set(channel.resize, open('resize'));

  let ws: WebSocket;
  try { ws = await acceptWebSocket(client, v5); } catch (error) { connection.destroy(); throw error; }
  send = sender(ws, (full) => { if (full) connection.pause(); else connection.resume(); });
  // An empty message on the first channel tells the client that the stream stands, as upstream's servers do.
  send(Buffer.from([Math.min(...outputs)])); // the error channel has the highest number
  for (const message of early.splice(0)) send(message);

  connection.onDrain = () => { ws.resume(); };
  ws.on('message', (data) => {
    const message = toBuffer(data as Buffer);
    if (message.length === 0) return;
    const number = message[0]!;
    if (number === channel.close) {
      const target = message[1];
      if (target !== undefined) inputs.get(target)?.end();
      return;
    }
    try { if (inputs.get(number)?.write(message.subarray(1)) === false) ws.pause(); } catch (error) { ws.close(1011, (error as Error).message.slice(0, 100)); }
  });
  ws.on('error', () => {}); // 'close' follows
  const left = new Promise<void>((resolve) => { ws.once('close', () => { connection.destroy(); resolve(); }); });
  const error = await ended;
  ws.resume(); // or the client's closing message would never be read
  if (error) ws.close(1011, 'the connection to the container runtime broke'); else ws.close(1000);
  await left;
}

async function unwrap(client: UpgradeRequest, url: string, options: StreamOptions): Promise<void> {
  const upstream = await dial(url, { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': portForwardProtocol }, options);
  let ws: WebSocket;
  try { ws = await acceptWebSocket(client, portForwardTunnel); } catch (error) { upstream.socket.destroy(); throw error; }
  const send = sender(ws, (full) => { if (full) upstream.socket.pause(); else upstream.socket.resume(); });
  if (upstream.head.length > 0) send(upstream.head);
  upstream.socket.on('data', send);
  upstream.socket.on('drain', () => { ws.resume(); });
  ws.on('message', (data) => { if (upstream.socket.writable && !upstream.socket.write(toBuffer(data as Buffer))) ws.pause(); });
  ws.on('error', () => {});
  upstream.socket.on('end', () => { upstream.socket.end(); });
  const left = new Promise<void>((resolve) => { ws.once('close', () => { upstream.socket.destroy(); resolve(); }); });
  upstream.socket.once('close', () => { ws.resume(); ws.close(1000); });
  await left;
}
