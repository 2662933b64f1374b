import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Server, ServerCredentials, status, type handleBidiStreamingCall, type handleServerStreamingCall, type handleUnaryCall } from '@grpc/grpc-js';
import { exec } from './exec.ts';
import { GrpcClient, GrpcError, hasGrpcCode } from './grpc.ts';
import { defineMessages } from './protobuf.ts';

const messages = defineMessages({ Text: { text: '1 string' } });
type Text = { text?: string | undefined };
const codec = { encode: (value: Text) => messages.encode('Text', value), decode: (bytes: Uint8Array) => messages.decode('Text', bytes) };
const method = (name: string) => ({ path: `/test.Echo/${name}`, ...codec });

async function startServer(address: string, calls: { cancelled?: () => void } = {}, credentials = ServerCredentials.createInsecure()) {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  const wire = { requestSerialize: (value: Text) => Buffer.from(codec.encode(value)), requestDeserialize: codec.decode, responseSerialize: (value: Text) => Buffer.from(codec.encode(value)), responseDeserialize: codec.decode };
  server.addService({
    Say: { path: '/test.Echo/Say', requestStream: false, responseStream: false, ...wire },
    Hang: { path: '/test.Echo/Hang', requestStream: false, responseStream: false, ...wire },
    Count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...wire },
    Chat: { path: '/test.Echo/Chat', requestStream: true, responseStream: true, ...wire },
  }, {
    Say: ((call, done) => {
      const { text } = call.request;
      if (text === 'missing') done({ code: status.NOT_FOUND, details: 'container "x": not found' });
      else done(null, { text: text === 'metadata' ? String(call.metadata.get('token')[0]) : text });
    }) satisfies handleUnaryCall<Text, Text>,
    Hang: ((call) => { call.on('cancelled', () => calls.cancelled?.()); }) satisfies handleUnaryCall<Text, Text>,
    Count: ((call) => {
      call.on('cancelled', () => calls.cancelled?.());
      for (let index = 0; index < 3; index++) call.write({ text: String(index) });
      if (call.request.text === 'fail') call.emit('error', { code: status.ABORTED, details: 'enough' });
      else if (call.request.text !== 'forever') call.end();
    }) satisfies handleServerStreamingCall<Text, Text>,
    Chat: ((call) => { call.on('data', (item: Text) => call.write({ text: `${item.text}!` })); call.on('end', () => call.end()); }) satisfies handleBidiStreamingCall<Text, Text>,
  });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync(address, credentials, (error, bound) => { if (error) reject(error); else resolve(bound); }));
  return { server, port };
}

test('gRPC over a unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-'));
  const socket = join(folder, 's');
  const calls: { cancelled?: () => void } = {};
  let { server } = await startServer(`unix:${socket}`, calls);
  using client = new GrpcClient({ address: `unix://${socket}`, metadata: { token: 'abc' } });
  t.after(() => { server.forceShutdown(); rmSync(folder, { recursive: true }); });
  const nextCancel = () => new Promise<void>((resolve) => { calls.cancelled = resolve; });

  await t.test('answers, and sends metadata', async () => {
    assert.equal((await client.unary(method('Say'), { text: 'hi' })).text, 'hi');
    assert.equal((await client.unary(method('Say'), { text: 'metadata' })).text, 'abc');
  });
  await t.test('carries 10 MiB', async () => {
    const text = 'x'.repeat(10 * 1024 * 1024);
    assert.equal((await client.unary(method('Say'), { text })).text!.length, text.length);
  });
  await t.test('names the code of a failure', async () => {
    await assert.rejects(client.unary(method('Say'), { text: 'missing' }), (error) => {
      assert.ok(hasGrpcCode(error, 'NOT_FOUND'));
      assert.equal(error.message, 'rpc error: code = NotFound desc = container "x": not found');
      assert.equal(error.method, '/test.Echo/Say');
      return true;
    });
    await assert.rejects(client.unary(method('Nothing'), {}), (error) => hasGrpcCode(error, 'UNIMPLEMENTED'));
  });
  await t.test('ends at the deadline', async () => {
    await assert.rejects(client.unary(method('Hang'), {}, { timeoutMs: 20 }), (error) => hasGrpcCode(error, 'DEADLINE_EXCEEDED'));
  });
  await t.test('an abort cancels at the server and throws its reason', async () => {
    const cancelled = nextCancel();
    const controller = new AbortController();
    const reason = new Error('no longer needed');
    const call = client.unary(method('Hang'), {}, { signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await assert.rejects(call, (error) => error === reason);
    void cancelled;
  });
  await t.test('streams, and a left loop cancels the call', async () => {
    const seen: unknown[] = [];
    for await (const { text } of client.serverStream(method('Count'), {})) seen.push(text);
    assert.deepEqual(seen, ['0', '1', '2']);
    const cancelled = nextCancel();
    for await (const _ of client.serverStream(method('Count'), { text: 'forever' })) break;
    await cancelled;
  });
  await t.test('a stream that fails throws after its items', async () => {
    let count = 0;
    await assert.rejects(async () => { for await (const _ of client.serverStream(method('Count'), { text: 'fail' })) count++; },
      (error) => error instanceof GrpcError && error.code === 'ABORTED' && error.details === 'enough');
    assert.equal(count, 3);
  });
  await t.test('an aborted stream throws the reason', async () => {
    const controller = new AbortController();
    await assert.rejects(async () => {
      for await (const _ of client.serverStream(method('Count'), { text: 'forever' }, { signal: controller.signal })) setImmediate(() => controller.abort(new Error('stop')));
    }, /stop/);
  });
  await t.test('both ways', async () => {
    const chat = client.duplex(method('Chat'));
    const answers: unknown[] = [];
    await chat.write({ text: 'a' });
    for await (const { text } of chat) {
      answers.push(text);
      if (answers.length === 1) { await chat.write({ text: 'b' }); chat.end(); }
    }
    assert.deepEqual(answers, ['a!', 'b!']);
  });
  await t.test('fails UNAVAILABLE while the server is away, and connects again when it is back', async () => {
    server.forceShutdown();
    await assert.rejects(client.unary(method('Say'), { text: 'hi' }), (error) => hasGrpcCode(error, 'UNAVAILABLE'));
    rmSync(socket, { force: true });
    ({ server } = await startServer(`unix:${socket}`, calls));
    assert.equal((await client.unary(method('Say'), { text: 'again' }, { waitForReady: true, timeoutMs: 10_000 })).text, 'again');
  });
});

/** A self-signed certificate for localhost, for both sides. Undefined without openssl. */
async function certificate(folder: string): Promise<{ cert: string; key: string } | undefined> {
  const [cert, key] = ['cert', 'key'].map((name) => join(folder, name)) as [string, string];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650', '-subj', '/CN=test', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert];
  try { await exec('openssl', args); } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

test('gRPC over TLS with client certificates', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const made = await certificate(folder);
  if (!made) { t.skip('needs openssl'); return; }
  const { cert, key } = made;
  const credentials = ServerCredentials.createSsl(Buffer.from(cert), [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }], true);
  const { server, port } = await startServer('127.0.0.1:0', {}, credentials);
  t.after(() => server.forceShutdown());
  using client = new GrpcClient({ address: `https://127.0.0.1:${port}`, tls: { ca: cert, cert, key, serverName: 'localhost' } });
  assert.equal((await client.unary(method('Say'), { text: 'secret' })).text, 'secret');
  using stranger = new GrpcClient({ address: `127.0.0.1:${port}`, tls: { ca: cert, serverName: 'localhost' } });
  await assert.rejects(stranger.unary(method('Say'), {}), (error) => hasGrpcCode(error, 'UNAVAILABLE'));
});
