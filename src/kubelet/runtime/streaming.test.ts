/** A client, the kubelet's side under test, and a runtime's streaming server made of our own SPDY (the real one: containerd.test.ts). */
import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { SpdyConnection, type SpdyStream } from './spdy.ts';
import { connectStream, type StreamRequest } from './streaming.ts';

async function listen(t: TestContext, onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void, onRequest?: Parameters<typeof createServer>[1]): Promise<string> {
  const server: Server = createServer(onRequest ?? (() => {}));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => { sockets.add(socket); });
  server.on('upgrade', onUpgrade);
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A runtime that accepts SPDY and hands out its streams by type. */
async function spdyRuntime(t: TestContext, onStreams: (streams: Record<string, SpdyStream>, connection: SpdyConnection) => void, expected: number) {
  const requests: IncomingMessage[] = [];
  const address = await listen(t, (request, socket, head) => {
    requests.push(request);
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\nX-Stream-Protocol-Version: ${request.headers['x-stream-protocol-version']}\r\n\r\n`);
    const streams: Record<string, SpdyStream> = {};
    const connection = new SpdyConnection(socket, { head, onStream: (stream) => {
      streams[stream.headers['streamtype']!] = stream;
      if (Object.keys(streams).length === expected) onStreams(streams, connection);
    } });
  });
  return { url: `http://${address}/exec/token`, requests };
}

async function kubelet(t: TestContext, stream: StreamRequest) {
  let ended!: Promise<void>;
  const address = await listen(t, (request, socket, head) => { ended = connectStream({ request, socket, head }, stream, { clock: systemClock, log: silentLogger }); });
  return { address, ended: () => ended };
}

interface Client { ws: WebSocket; messages: [number, string][]; closed: Promise<number>; next(): Promise<[number, string]> }
async function open(address: string, protocol: string): Promise<Client> {
  const ws = new WebSocket(`ws://${address}/exec`, protocol);
  const messages: [number, string][] = [];
  let seen = 0;
  let wake = () => {};
  ws.on('message', (data: Buffer) => { messages.push([data[0]!, data.subarray(1).toString()]); wake(); });
  const closed = new Promise<number>((resolve) => { ws.on('close', resolve); });
  await new Promise<void>((resolve, reject) => { ws.on('open', resolve); ws.on('error', reject); });
  return { ws, messages, closed, async next() { while (messages.length <= seen) await new Promise<void>((resolve) => { wake = resolve; }); return messages[seen++]!; } };
}

test('v5.channel.k8s.io becomes SPDY: input, half-close, both outputs, exit status', async (t) => {
  const status = JSON.stringify({ metadata: {}, status: 'Failure', reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: '7' }] } });
  const runtime = await spdyRuntime(t, ({ stdin, stdout, stderr, error }, connection) => {
    stdin!.onData = (chunk) => stdout!.write(Buffer.from(`got ${chunk.toString()}`));
    stdin!.onEnd = () => {
      stderr!.write(Buffer.from('bye'));
      error!.write(Buffer.from(status));
      connection.end();
    };
  }, 4);
  const { address, ended } = await kubelet(t, { kind: 'exec', url: runtime.url, stdin: true, stdout: true, stderr: true });
  const client = await open(address, 'v5.channel.k8s.io');
  assert.equal(client.ws.protocol, 'v5.channel.k8s.io');
  assert.deepEqual(await client.next(), [1, '']);
  client.ws.send(Buffer.from('\u0000hello'));
  assert.deepEqual(await client.next(), [1, 'got hello']);
  client.ws.send(Buffer.from([255, 0]));
  assert.deepEqual(await client.next(), [2, 'bye']);
  assert.deepEqual(await client.next(), [3, status]);
  assert.equal(await client.closed, 1000);
  await ended();
  assert.equal(runtime.requests[0]!.headers['x-stream-protocol-version'], 'v4.channel.k8s.io');
  assert.equal(runtime.requests[0]!.method, 'POST');
});

test('a terminal has a resize channel and no standard error', async (t) => {
  const types: string[] = [];
  const runtime = await spdyRuntime(t, (streams) => {
    types.push(...Object.keys(streams).sort());
    streams['resize']!.onData = (chunk) => streams['stdout']!.write(chunk);
  }, 4);
  const { address } = await kubelet(t, { kind: 'attach', url: runtime.url, stdin: true, stdout: true, stderr: true, tty: true });
  const client = await open(address, 'v5.channel.k8s.io');
  await client.next();
  client.ws.send(Buffer.from('\u0004{"Width":80,"Height":24}'));
  assert.deepEqual(await client.next(), [1, '{"Width":80,"Height":24}']);
  assert.deepEqual(types, ['error', 'resize', 'stdin', 'stdout']);
  client.ws.close();
});

test('a client that leaves ends the runtime side', async (t) => {
  const gone = Promise.withResolvers<void>();
  const runtime = await spdyRuntime(t, (_, connection) => { connection.onClose = () => gone.resolve(); }, 2);
  const { address, ended } = await kubelet(t, { kind: 'exec', url: runtime.url, stdout: true });
  const client = await open(address, 'v5.channel.k8s.io');
  await client.next();
  client.ws.terminate();
  await gone.promise;
  await ended();
});

test('eight megabytes pass a client that reads slowly, unharmed', async (t) => {
  const total = 8 * 1024 * 1024;
  const runtime = await spdyRuntime(t, ({ stdout, error }, connection) => {
    let left = total;
    const pump = () => {
      let room = true;
      while (room && left > 0) { room = stdout!.write(Buffer.alloc(32 * 1024, left >> 15)); left -= 32 * 1024; }
      if (left === 0) { connection.onDrain = () => {}; error!.write(Buffer.from('{}')); connection.end(); }
    };
    connection.onDrain = pump;
    pump();
  }, 2);
  const { address } = await kubelet(t, { kind: 'exec', url: runtime.url, stdout: true });
  const ws = new WebSocket(`ws://${address}/exec`, 'v5.channel.k8s.io');
  let bytes = 0;
  ws.on('message', (data: Buffer) => {
    if (data[0] === 1) bytes += data.length - 1;
    ws.pause();
    setImmediate(() => ws.resume());
  });
  assert.equal(await new Promise((resolve) => { ws.on('close', resolve); }), 1000);
  assert.equal(bytes, total);
});

test("a runtime's refusal reaches the client as HTTP", async (t) => {
  const address = await listen(t, (_, socket) => { socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\nsession gone\r\n'); });
  const front = await kubelet(t, { kind: 'exec', url: `http://${address}/exec/x`, stdout: true });
  for (const headers of [{ Upgrade: 'websocket', 'Sec-WebSocket-Protocol': 'v5.channel.k8s.io' }, { Upgrade: 'SPDY/3.1' }]) {
    const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      httpRequest(`http://${front.address}/exec`, { headers: { Connection: 'Upgrade', ...headers } }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => { body += chunk.toString(); }).on('end', () => resolve({ status: response.statusCode, body }));
      }).on('error', reject).end();
    });
    assert.deepEqual(answer, { status: 404, body: 'session gone\n' });
  }
});

test('a runtime that is away is a bad gateway', async (t) => {
  const front = await kubelet(t, { kind: 'portForward', url: 'http://127.0.0.1:1/portforward/x' });
  const status = await new Promise((resolve, reject) => {
    httpRequest(`http://${front.address}/`, { method: 'POST', headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1' } }, (response) => { response.resume(); resolve(response.statusCode); }).on('error', reject).end();
  });
  assert.equal(status, 502);
});

async function upgrade(address: string, headers: Record<string, string | string[]>, method = 'POST'): Promise<{ response: IncomingMessage; socket: Duplex; head: Buffer }> {
  return new Promise((resolve, reject) => {
    httpRequest(`http://${address}/exec`, { method, headers: { Connection: 'Upgrade', ...headers } })
      .on('upgrade', (response, socket, head) => resolve({ response, socket, head })).on('error', reject).end();
  });
}

test('SPDY passes through, with its protocol offers and without credentials', async (t) => {
  const runtime = await spdyRuntime(t, ({ stdout }, connection) => { stdout!.write(Buffer.from('raw')); connection.end(); }, 1);
  const front = await kubelet(t, { kind: 'exec', url: runtime.url, stdout: true });
  const { response, socket, head } = await upgrade(front.address, { Upgrade: 'SPDY/3.1', Authorization: 'Bearer secret', 'X-Stream-Protocol-Version': ['v4.channel.k8s.io', 'v3.channel.k8s.io'] });
  assert.equal(response.headers.upgrade, 'SPDY/3.1');
  const connection = new SpdyConnection(socket, { head });
  const stream = connection.createStream({ streamtype: 'stdout' });
  const data = new Promise<string>((resolve) => { stream.onData = (chunk) => resolve(chunk.toString()); });
  assert.equal(await data, 'raw');
  await front.ended();
  assert.deepEqual(runtime.requests[0]!.headersDistinct['x-stream-protocol-version'], ['v4.channel.k8s.io', 'v3.channel.k8s.io']);
  assert.equal(runtime.requests[0]!.headers.authorization, undefined);
});

test('older WebSocket protocols pass through', async (t) => {
  const server = new WebSocketServer({ noServer: true, handleProtocols: () => 'v4.channel.k8s.io' });
  const address = await listen(t, (request, socket, head) => { server.handleUpgrade(request, socket, head, (ws) => { ws.on('message', (data) => ws.send(data)); }); });
  const front = await kubelet(t, { kind: 'exec', url: `http://${address}/exec/x`, stdin: true, stdout: true });
  const client = await open(front.address, 'v4.channel.k8s.io');
  client.ws.send(Buffer.from('\u0000echo'));
  assert.deepEqual(await client.next(), [0, 'echo']);
  client.ws.close();
  await client.closed;
});

/** Small binary WebSocket messages by hand: no client library takes a subprotocol with a slash, and kubectl sends one. */
function tunnel(socket: Duplex): Duplex {
  let unread = Buffer.alloc(0);
  const inner = new Duplex({
    read: () => {},
    write(chunk: Buffer, _, done) { socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | 126, chunk.length >> 8, chunk.length & 0xff, 0, 0, 0, 0]), chunk]), done); },
  });
  socket.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    for (;;) {
      const long = (unread[1] ?? 0) === 126;
      const start = long ? 4 : 2;
      if (unread.length < start) return;
      const length = long ? unread.readUInt16BE(2) : unread[1]!;
      if (unread.length < start + length) return;
      inner.push(unread.subarray(start, start + length));
      unread = unread.subarray(start + length);
    }
  });
  return inner;
}

test('port-forward through a WebSocket tunnel', async (t) => {
  const runtime = await spdyRuntime(t, ({ data, error }) => {
    assert.equal(data!.headers['port'], '8080');
    data!.onData = (chunk) => data!.write(Buffer.from(`pong ${chunk.toString()}`));
    data!.onEnd = () => { data!.end(); error!.end(); };
  }, 2);
  const front = await kubelet(t, { kind: 'portForward', url: runtime.url });
  const { response, socket, head } = await upgrade(front.address, { Upgrade: 'websocket', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': 'SPDY/3.1+portforward.k8s.io' }, 'GET');
  assert.equal(response.headers['sec-websocket-protocol'], 'SPDY/3.1+portforward.k8s.io');
  assert.equal(head.length, 0);
  const connection = new SpdyConnection(tunnel(socket));
  const headers = { port: '8080', requestid: '0' };
  const error = connection.createStream({ ...headers, streamtype: 'error' });
  error.end();
  const data = connection.createStream({ ...headers, streamtype: 'data' });
  const got: string[] = [];
  const ended = new Promise<void>((resolve) => { data.onEnd = resolve; });
  data.onData = (chunk) => got.push(chunk.toString());
  data.write(Buffer.from('ping'));
  data.end();
  await ended;
  assert.deepEqual(got, ['pong ping']);
  assert.equal(runtime.requests[0]!.headers['x-stream-protocol-version'], 'portforward.k8s.io');
  socket.destroy();
  await front.ended();
});
