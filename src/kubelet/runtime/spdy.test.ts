import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { adler32, headerDictionary, SpdyConnection, type SpdyError, type SpdyStream } from './spdy.ts';
import { settle } from '../../testing/fake-clock.ts';

function pair() {
  const [left, right] = duplexPair();
  const accepted: SpdyStream[] = [];
  const server = new SpdyConnection(right!, { onStream: (stream) => { accepted.push(stream); handlers.onStream(stream); } });
  const handlers: { onStream: (stream: SpdyStream) => void } = { onStream: () => {} };
  return { client: new SpdyConnection(left!), server, accepted, handlers, left: left!, right: right! };
}
const frame = (type: number, body: Buffer) => { const header = Buffer.alloc(8); header.writeUInt16BE(0x8003, 0); header.writeUInt16BE(type, 2); header.writeUInt32BE(body.length, 4); return Buffer.concat([header, body]); };
const words = (...values: number[]) => { const bytes = Buffer.alloc(values.length * 4); values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4)); return bytes; };

test('the dictionary is the one of SPDY/3', () => {
  assert.equal(headerDictionary.length, 1423);
  assert.equal(adler32(headerDictionary), 0xe3c6a7c2); // the id that every SPDY/3 header block begins with
});

test('streams carry headers, data both ways and half-close', async () => {
  const { client, accepted, handlers } = pair();
  handlers.onStream = (stream) => {
    stream.onData = (chunk) => stream.write(Buffer.from(chunk.toString().toUpperCase()));
    stream.onEnd = () => stream.end();
  };
  const results: string[][] = [];
  const streams = ['stdin', 'error'].map((streamtype, index) => {
    const stream = client.createStream({ streamType: streamtype, port: `80${index}` });
    const got: string[] = results[index] = [];
    stream.onData = (chunk) => got.push(chunk.toString());
    stream.onEnd = () => got.push('end');
    stream.onClose = (error) => got.push(error ? 'failed' : 'closed');
    return stream;
  });
  await Promise.all(streams.map((stream) => stream.replied));
  assert.deepEqual(accepted.map(({ headers }) => headers), [{ streamtype: 'stdin', port: '800' }, { streamtype: 'error', port: '801' }]);
  streams[0]!.write(Buffer.from('one'));
  streams[1]!.write(Buffer.from('two'));
  streams[0]!.end();
  await settle(20);
  assert.deepEqual(results, [['ONE', 'end', 'closed'], ['TWO']]);
  assert.throws(() => streams[0]!.write(Buffer.from('x')), /after its end/);
});

test('a megabyte arrives whole and in order', async () => {
  const { client, handlers } = pair();
  const done = Promise.withResolvers<Buffer>();
  handlers.onStream = (stream) => {
    const parts: Buffer[] = [];
    stream.onData = (chunk) => parts.push(chunk);
    stream.onEnd = () => done.resolve(Buffer.concat(parts));
  };
  const body = Buffer.from(Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
  const stream = client.createStream({});
  stream.write(body);
  stream.end();
  assert.ok((await done.promise).equals(body));
});

test('a peer that uses windows holds the writer back until it gives room', async () => {
  const [left, right] = duplexPair();
  const client = new SpdyConnection(left!);
  let received = 0;
  right!.on('data', (chunk: Buffer) => { received += chunk.length; });
  right!.write(frame(4, words(1, 7, 1000))); // SETTINGS: initial window 1000
  await settle();
  const stream = client.createStream({});
  await settle();
  received = 0;
  assert.equal(stream.write(Buffer.alloc(2500)), false);
  await settle();
  assert.equal(received, 8 + 1000);
  right!.write(frame(9, words(stream.id, 600)));
  await settle();
  assert.equal(received, 8 + 1000 + 8 + 600);
  const drained = Promise.withResolvers<void>();
  client.onDrain = drained.resolve;
  stream.end();
  right!.write(frame(9, words(stream.id, 5000)));
  await drained.promise;
  await settle();
  assert.equal(received, 8 + 1000 + 8 + 600 + 8 + 900 + 8);
});

test('taken data is acknowledged to a peer that uses windows', async () => {
  const { client, handlers, left, right } = pair();
  right.write(frame(4, words(1, 7, 65536)));
  handlers.onStream = (stream) => { stream.write(Buffer.alloc(40 * 1024)); };
  const sent: Buffer[] = [];
  const write = left.write.bind(left) as (chunk: Buffer) => boolean;
  left.write = ((chunk: Buffer) => { sent.push(chunk); return write(chunk); }) as typeof left.write;
  const stream = client.createStream({});
  await settle(20);
  const updates = sent.filter((bytes) => bytes.readUInt16BE(2) === 9 && bytes[0] === 0x80).map((bytes) => [bytes.readUInt32BE(8), bytes.readUInt32BE(12)]);
  assert.deepEqual(updates, [[0, 32 * 1024], [stream.id, 32 * 1024]]);
});

test('a reset reaches the other side as an error', async () => {
  const { client, accepted } = pair();
  const stream = client.createStream({});
  await stream.replied;
  const closed = new Promise<Error | undefined>((resolve) => { accepted[0]!.onClose = resolve; });
  stream.reset();
  assert.match((await closed as SpdyError).message, /reset by the peer with status 5/);
});

test('pings are answered', async () => {
  const [left, right] = duplexPair();
  void new SpdyConnection(left!);
  const answer = new Promise<Buffer>((resolve) => { right!.once('data', resolve); });
  right!.write(frame(6, words(2)));
  assert.deepEqual(await answer, frame(6, words(2)));
});

for (const { name, bytes, message } of [
  { name: 'a frame above the limit', bytes: Buffer.from([0, 0, 0, 1, 0, 0xff, 0xff, 0xff]), message: /16777215 bytes/ },
  { name: 'another version', bytes: Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]), message: /version 2/ },
  { name: 'a cut frame', bytes: frame(9, words(1)), message: /can't be read/ },
  { name: 'headers that are no zlib', bytes: frame(1, Buffer.concat([Buffer.alloc(10), Buffer.from('garbage')])), message: /can't be read/ },
]) {
  test(`${name} ends the connection with an error`, async () => {
    const [left, right] = duplexPair();
    const connection = new SpdyConnection(left!, { onStream: () => {} });
    const closed = new Promise<Error | undefined>((resolve) => { connection.onClose = resolve; });
    right!.write(bytes);
    assert.match((await closed)!.message, message);
  });
}

test('streams end when the connection does', async () => {
  const { client, right } = pair();
  const stream = client.createStream({});
  await stream.replied;
  const order: string[] = [];
  stream.onClose = () => order.push('stream');
  const closed = new Promise<void>((resolve) => { client.onClose = () => { order.push('connection'); resolve(); }; });
  right.end();
  await closed;
  assert.deepEqual(order, ['stream', 'connection']);
});
