/**
 * SPDY/3.1 framing over any byte stream, as far as Kubernetes' streaming protocols use it: streams with headers, data, half-close,
 * reset, ping, goaway and flow control. Driven by streaming.ts as a client of the container runtime; the accepting side exists for tests.
 * Text: SPDY Protocol Draft 3.1 (chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1). Section numbers below are its.
 * Differs: header blocks are sent as stored (uncompressed) deflate blocks: same format, no state, no compression side channel.
 * Differs: a peer's window binds us only once it has sent a WINDOW_UPDATE or its own initial window. Go's implementation, at the
 * other end everywhere in Kubernetes, never sends one and relies on TCP; waiting for it would stop every upload after 64 KiB. Nor do
 * we acknowledge to such a peer: a write that meets its closed socket would cost us what it sent last.
 */
import type { Duplex } from 'node:stream';
import { constants as zlib, inflateSync } from 'node:zlib';

/** §2.6.10.1: names and values that peers' compressed blocks refer to. A constant of the protocol: 1,423 bytes. */
export const headerDictionary: Buffer = Buffer.concat([
  ...('options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control connection content-base '
    + 'content-encoding content-language content-length content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since '
    + 'if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer '
    + 'transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin')
    .split(' ').map((word) => lengthPrefixed(word.replace('_', ' '))),
  Buffer.from('100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content'
    + '301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable'
    + 'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT'
    + 'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public'
    + 'privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.'),
]);

const version = 3;
const frame = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goaway: 7, headers: 8, windowUpdate: 9 } as const;
const flagFin = 1;
const settingsInitialWindow = 7;
const rstStatus = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5, internalError: 6, streamAlreadyClosed: 9 } as const;
/** §2.6.8: both a stream's and the session's. */
const initialWindowBytes = 64 * 1024;
/** Taken data is acknowledged in steps of this. */
const windowStepBytes = initialWindowBytes / 2;
/** Data frames are cut to this, so that streams share the connection fairly. */
const dataFrameBytes = 32 * 1024;

/** A longer frame ends the connection; Go writes 32 KiB at most. */
const maxFrameBytes = 1024 * 1024;
/** All header blocks of a connection together. Kubernetes' are some 100 bytes per stream. */
const maxHeaderBytes = 256 * 1024;
const maxStreams = 1024;
/** Data waiting for the peer's window, per stream; more is an error of the writer, which `write`'s answer told to wait. */
const maxQueuedBytes = 16 * 1024 * 1024;

export type SpdyHeaders = Readonly<Record<string, string>>;
export class SpdyError extends Error {}

/** One stream. Set the callbacks in the same turn as it is made or handed out. */
export class SpdyStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  onData: (chunk: Buffer) => void = () => {};
  /** The peer sends no more. */
  onEnd: () => void = () => {};
  /** Reset by the peer, or the connection is gone. Nothing follows. */
  onClose: (error?: Error) => void = () => {};
  /** Resolves with the peer's SYN_REPLY. */
  readonly replied: Promise<void>;
  /** @internal */ sendWindow: number;
  /** @internal */ unacknowledged = 0;
  /** @internal */ queue: Buffer[] = [];
  /** @internal */ queuedBytes = 0;
  /** @internal */ endQueued = false;
  /** @internal */ localClosed = false;
  /** @internal */ remoteClosed = false;
  /** @internal */ settle: { resolve(): void; reject(error: Error): void };
  readonly #connection: SpdyConnection;

  constructor(connection: SpdyConnection, id: number, headers: SpdyHeaders, sendWindow: number) {
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
    this.sendWindow = sendWindow;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {}); // callers who don't wait for the reply hear of a failure through onClose
    this.replied = promise;
    this.settle = { resolve, reject };
  }

  /** False: wait for the connection's `onDrain` before writing more. Throws after `end`. */
  write(chunk: Uint8Array): boolean {
    if (this.localClosed || this.endQueued) throw new SpdyError(`stream ${this.id}: written after its end`);
    if (chunk.length === 0) return true;
    return this.#connection.send(this, Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  }
  /** Half-close: no more from this side. */
  end(): void {
    if (this.localClosed || this.endQueued) return;
    this.endQueued = true;
    this.#connection.flush(this);
  }
  reset(): void { this.#connection.reset(this.id, rstStatus.cancel); }
}

export class SpdyConnection {
  /** The socket and every stream's queue take more. */
  onDrain: () => void = () => {};
  /** Once, after the streams' `onClose`. With an error unless it ended in order. */
  onClose: (error?: Error) => void = () => {};
  readonly #socket: Duplex;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #onStream: ((stream: SpdyStream) => void) | undefined;
  readonly #headerReader = new HeaderReader();
  #headerWriterStarted = false;
  #nextStreamId: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #neededBytes = 8;
  #sendWindow = initialWindowBytes;
  #peerInitialWindow = initialWindowBytes;
  #peerUsesWindows = false;
  #unacknowledged = 0;
  #closed = false;

  /** `onStream` makes it the accepting side; it is called after the reply to the peer's SYN_STREAM went out. `head`: bytes already read. */
  constructor(socket: Duplex, options: { onStream?: (stream: SpdyStream) => void; head?: Buffer } = {}) {
    this.#socket = socket;
    this.#onStream = options.onStream;
    this.#nextStreamId = options.onStream ? 2 : 1;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('error', (error) => this.#close(error));
    socket.on('close', () => this.#close());
    socket.on('end', () => { socket.end(); this.#close(); });
    if (options.head?.length) this.#receive(options.head);
  }

  createStream(headers: SpdyHeaders): SpdyStream {
    if (this.#closed) throw new SpdyError('the connection has ended');
    if (this.#streams.size >= maxStreams) throw new SpdyError(`more than ${maxStreams} streams`);
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    const stream = new SpdyStream(this, id, headers, this.#peerInitialWindow);
    this.#streams.set(id, stream);
    const fixed = Buffer.alloc(10); // stream, associated stream, priority, slot
    fixed.writeUInt32BE(id, 0);
    this.#control(frame.synStream, 0, fixed, this.#headerBlock(headers));
    return stream;
  }

  /** Stop and go on reading; the peer is held back by TCP. */
  pause(): void { this.#socket.pause(); }
  resume(): void { this.#socket.resume(); }

  /** Says goodbye and closes after what is queued has gone out. */
  end(): void {
    if (this.#closed) return;
    this.#control(frame.goaway, 0, Buffer.alloc(8));
    this.#socket.end();
  }
  destroy(error?: Error): void {
    this.#socket.destroy();
    this.#close(error);
  }

  /** @internal */ send(stream: SpdyStream, chunk: Buffer): boolean {
    stream.queue.push(chunk);
    stream.queuedBytes += chunk.length;
    if (stream.queuedBytes > maxQueuedBytes) throw new SpdyError(`stream ${stream.id}: more than ${maxQueuedBytes} bytes wait for the peer`);
    return this.flush(stream);
  }

  /** @internal Sends what the windows allow; true when nothing is left waiting. */
  flush(stream: SpdyStream): boolean {
    let room = true;
    while (stream.queue.length > 0 && !stream.localClosed) {
      const window = this.#peerUsesWindows ? Math.min(stream.sendWindow, this.#sendWindow) : dataFrameBytes;
      if (window <= 0) return false;
      const first = stream.queue[0]!;
      const part = first.subarray(0, Math.min(window, dataFrameBytes));
      if (part.length === first.length) stream.queue.shift(); else stream.queue[0] = first.subarray(part.length);
      stream.queuedBytes -= part.length;
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      room = this.#data(stream.id, 0, part);
    }
    if (stream.endQueued && !stream.localClosed) {
      stream.localClosed = true;
      this.#data(stream.id, flagFin, Buffer.alloc(0));
      this.#forgetWhenDone(stream);
    }
    return room;
  }

  /** @internal */ reset(id: number, status: number): void {
    const body = Buffer.alloc(8);
    body.writeUInt32BE(id, 0);
    body.writeUInt32BE(status, 4);
    this.#control(frame.rstStream, 0, body);
    const stream = this.#streams.get(id);
    if (stream) this.#drop(stream);
  }

  #drop(stream: SpdyStream, error?: Error): void {
    if (!this.#streams.delete(stream.id)) return;
    stream.localClosed = stream.remoteClosed = true;
    stream.queue = [];
    stream.settle.reject(error ?? new SpdyError(`stream ${stream.id} was closed`));
    stream.onClose(error);
  }

  #forgetWhenDone(stream: SpdyStream): void {
    if (stream.localClosed && stream.remoteClosed) this.#drop(stream);
  }

  #drained(): void {
    if ([...this.#streams.values()].every((stream) => stream.queue.length === 0)) this.onDrain();
  }

  #control(type: number, flags: number, ...parts: Buffer[]): void {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(0x8000 | version, 0);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(flags * 2 ** 24 + parts.reduce((sum, part) => sum + part.length, 0), 4);
    if (this.#socket.writable) this.#socket.write(Buffer.concat([header, ...parts]));
  }

  #data(id: number, flags: number, body: Buffer): boolean {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(id, 0);
    header.writeUInt32BE(flags * 2 ** 24 + body.length, 4);
    return this.#socket.writable && this.#socket.write(Buffer.concat([header, body]));
  }

  /** §2.6.10, inside one zlib stream per direction (RFC 1950, RFC 1951 §3.2.4): data, then an empty block that makes readers hand it on. */
  #headerBlock(headers: SpdyHeaders): Buffer {
    const entries = Object.entries(headers);
    const block = Buffer.concat([uint32(entries.length), ...entries.flatMap(([name, value]) => [lengthPrefixed(name.toLowerCase()), lengthPrefixed(value)])]);
    const parts: Buffer[] = this.#headerWriterStarted ? [] : [Buffer.from([0x78, 0xbb]), uint32(adler32(headerDictionary))];
    this.#headerWriterStarted = true;
    for (let at = 0; at < block.length; at += 0xffff) parts.push(storedBlock(block.subarray(at, at + 0xffff)));
    parts.push(storedBlock(Buffer.alloc(0)));
    return Buffer.concat(parts);
  }

  #receive(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#closed || this.#pendingBytes < this.#neededBytes) return;
    let buffer = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending);
    try {
      this.#neededBytes = 8;
      while (buffer.length >= 8) {
        const length = buffer.readUInt32BE(4) & 0xffffff;
        if (length > maxFrameBytes) throw new SpdyError(`a frame of ${length} bytes; at most ${maxFrameBytes} are taken`);
        if (buffer.length < 8 + length) { this.#neededBytes = 8 + length; break; }
        this.#handle(buffer.subarray(0, 8), buffer.subarray(8, 8 + length));
        buffer = buffer.subarray(8 + length);
        if (this.#closed) return;
      }
    } catch (error) {
      this.destroy(error instanceof SpdyError ? error : new SpdyError(`a frame can't be read: ${(error as Error).message}`, { cause: error }));
      return;
    }
    this.#pending = buffer.length > 0 ? [buffer] : [];
    this.#pendingBytes = buffer.length;
  }

  #handle(header: Buffer, body: Buffer): void {
    const flags = header[4]!;
    const word = header.readUInt32BE(0);
    if (word < 2 ** 31) { this.#handleData(word, flags, body); return; }
    if (((word >>> 16) & 0x7fff) !== version) throw new SpdyError(`SPDY version ${(word >>> 16) & 0x7fff}; we speak ${version}`);
    const id = body.length >= 4 ? body.readUInt32BE(0) & 0x7fffffff : 0;
    const stream = this.#streams.get(id);
    switch (word & 0xffff) {
      case frame.synStream: this.#handleSynStream(id, flags, body); break;
      case frame.synReply:
        this.#headerReader.skip(body.subarray(4));
        stream?.settle.resolve();
        if (stream && flags & flagFin) this.#remoteEnd(stream);
        break;
      case frame.headers:
        if (this.#onStream) this.#headerReader.read(body.subarray(4)); else this.#headerReader.skip(body.subarray(4));
        if (stream && flags & flagFin) this.#remoteEnd(stream);
        break;
      case frame.rstStream:
        if (stream) this.#drop(stream, new SpdyError(`stream ${id} was reset by the peer with status ${body.readUInt32BE(4)}`));
        break;
      case frame.settings: this.#handleSettings(body); break;
      case frame.ping:
        // Ours have odd numbers when we are the client, and we send none; an even one is the other side's question.
        if ((id % 2 === 1) === (this.#onStream !== undefined)) this.#control(frame.ping, 0, body.subarray(0, 4));
        break;
      case frame.goaway: break; // the peer closes when its streams are done
      case frame.windowUpdate: this.#handleWindowUpdate(id, body.readUInt32BE(4) & 0x7fffffff); break;
      default: break; // §2.2.1: unknown control frames are ignored
    }
  }

  #handleSynStream(id: number, flags: number, body: Buffer): void {
    const headers = this.#headerReader.read(body.subarray(10));
    if (!this.#onStream || this.#streams.size >= maxStreams) { this.reset(id, rstStatus.refusedStream); return; }
    if (this.#streams.has(id)) { this.reset(id, rstStatus.protocolError); return; }
    const stream = new SpdyStream(this, id, headers, this.#peerInitialWindow);
    this.#streams.set(id, stream);
    this.#control(frame.synReply, 0, uint32(id), this.#headerBlock({}));
    stream.settle.resolve();
    this.#onStream(stream);
    if (flags & flagFin) this.#remoteEnd(stream);
  }

  #handleData(id: number, flags: number, body: Buffer): void {
    const stream = this.#streams.get(id);
    this.#unacknowledged += body.length;
    if (this.#peerUsesWindows && this.#unacknowledged >= windowStepBytes) { this.#acknowledge(0, this.#unacknowledged); this.#unacknowledged = 0; }
    if (!stream || stream.remoteClosed) {
      if (!stream && body.length > 0) this.reset(id, rstStatus.invalidStream);
      return;
    }
    if (body.length > 0) stream.onData(body);
    if (flags & flagFin) { this.#remoteEnd(stream); return; }
    stream.unacknowledged += body.length;
    if (this.#peerUsesWindows && stream.unacknowledged >= windowStepBytes) { this.#acknowledge(id, stream.unacknowledged); stream.unacknowledged = 0; }
  }

  #acknowledge(id: number, bytes: number): void { this.#control(frame.windowUpdate, 0, Buffer.concat([uint32(id), uint32(bytes)])); }

  #remoteEnd(stream: SpdyStream): void {
    if (stream.remoteClosed) return;
    stream.remoteClosed = true;
    stream.onEnd();
    this.#forgetWhenDone(stream);
  }

  #handleSettings(body: Buffer): void {
    const count = body.readUInt32BE(0);
    for (let at = 4; at + 8 <= body.length && at < 4 + count * 8; at += 8) {
      if ((body.readUInt32BE(at) & 0xffffff) !== settingsInitialWindow) continue;
      const size = body.readUInt32BE(at + 4);
      this.#peerUsesWindows = true;
      for (const stream of this.#streams.values()) stream.sendWindow += size - this.#peerInitialWindow;
      this.#peerInitialWindow = size;
      this.#flushAll();
    }
  }

  #handleWindowUpdate(id: number, delta: number): void {
    this.#peerUsesWindows = true;
    if (id === 0) this.#sendWindow += delta;
    else {
      const stream = this.#streams.get(id);
      if (stream) stream.sendWindow += delta;
    }
    this.#flushAll();
  }

  #flushAll(): void {
    let waited = false;
    for (const stream of this.#streams.values()) {
      if (stream.queue.length === 0) continue;
      waited = true;
      this.flush(stream);
    }
    if (waited && !this.#socket.writableNeedDrain) this.#drained();
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pending = [];
    for (const stream of this.#streams.values()) this.#drop(stream, error);
    this.onClose(error);
  }
}

/** Header blocks of one direction: they share a compression state, so the few there are get unpacked again from the first. */
class HeaderReader {
  #compressed: Buffer[] = [];
  #compressedBytes = 0;
  #readBytes = 0;

  skip(block: Buffer): void {
    this.#compressed.push(Buffer.from(block));
    this.#compressedBytes += block.length;
    if (this.#compressedBytes > maxHeaderBytes) throw new SpdyError(`more than ${maxHeaderBytes} bytes of headers`);
  }

  read(block: Buffer): SpdyHeaders {
    this.skip(block);
    const all = inflateSync(Buffer.concat(this.#compressed), { dictionary: headerDictionary, finishFlush: zlib.Z_SYNC_FLUSH, maxOutputLength: maxHeaderBytes * 4 });
    const plain = all.subarray(this.#readBytes);
    this.#readBytes = all.length;
    const headers: Record<string, string> = {};
    let at = 4;
    const text = () => {
      const length = plain.readUInt32BE(at);
      at += 4 + length;
      return plain.toString('utf8', at - length, at);
    };
    for (let left = plain.readUInt32BE(0); left > 0; left--) { const name = text(); headers[name] = text(); }
    return headers;
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
function storedBlock(bytes: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt16LE(bytes.length, 1);
  header.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([header, bytes]);
}
/** RFC 1950 §8.2. */
export function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) { a = (a + byte) % 65521; b = (b + a) % 65521; }
  return b * 65536 + a;
}
