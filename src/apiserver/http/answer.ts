/** Writes a result to an HTTP answer: headers, compression, chunks at the reader's pace. */
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { StatusError } from '../../api/meta/status.ts';
import type { JsonObject } from '../../base/json.ts';
import type { EncodedBody } from '../encoding/encode.ts';
import { encodeValue, wantsPretty } from '../encoding/encode.ts';
import type { ApiRequest } from '../request.ts';

export type Answer = ServerResponse | Http2ServerResponse;

/** Answers below this are sent as they are. Source: upstream's defaultGzipThresholdBytes. */
const gzipThresholdBytes = 128 * 1024;
/** Bytes handed to the socket in one piece: below what malloc takes from the system page by page. */
const pieceBytes = 64 * 1024;
const gzipPieceBytes = 64 * 1024;

export type Headers = Record<string, string | string[]>;

export function baseHeaders(auditId: string, request: ApiRequest | undefined): Headers {
  const headers: Headers = { 'audit-id': auditId, 'cache-control': 'no-cache, private' };
  if (request && request.warnings.length > 0) headers.warning = warningHeaders(request.warnings);
  return headers;
}
/** Source: RFC 7234 §5.5; apimachinery/pkg/util/net NewWarningHeader; at most 4 KiB of them, each at most 256 bytes when over. */
function warningHeaders(warnings: readonly string[]): string[] {
  const unique = [...new Set(warnings)];
  const total = unique.reduce((sum, text) => sum + text.length, 0);
  return unique.map((text) => {
    const clean = text.replace(/\p{Cc}/gu, ' ');
    const cut = total > 4096 && clean.length > 256 ? clean.slice(0, 256) : clean;
    return `299 - "${Buffer.from(cut.replace(/[\\"]/g, '\\$&')).toString('latin1')}"`;
  }).slice(0, 64);
}

/** Sends a body. Resolves when it is handed over; a reader that is gone ends it quietly. Of a large one only a piece or two wait in memory. */
export async function send(answer: Answer, request: ApiRequest, code: number, headers: Headers, { contentType, chunks, length }: EncodedBody): Promise<void> {
  headers['content-type'] = contentType;
  const packed = length >= gzipThresholdBytes && request.method === 'GET' && acceptsGzip(request);
  if (packed) {
    headers['content-encoding'] = 'gzip';
    headers.vary = 'Accept-Encoding';
  } else headers['content-length'] = String(length);
  if (answer.destroyed) return;
  (answer as ServerResponse).writeHead(code, headers);
  if (request.method === 'HEAD') { answer.end(); return; }
  if (length <= pieceBytes && !packed) { (answer as ServerResponse).end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length)); return; }
  for await (const piece of packed ? compressed(chunks) : pieces(chunks)) {
    const pending = writePaced(answer, piece);
    if (!(pending === true || await pending)) return;
  }
  answer.end();
}

/** Small chunks joined, so that each costs the socket one write. */
function* pieces(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  let joined: Uint8Array[] = [];
  let size = 0;
  for (const chunk of chunks) {
    joined.push(chunk);
    size += chunk.length;
    if (size < pieceBytes) continue;
    yield joined.length === 1 ? chunk : Buffer.concat(joined, size);
    joined = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(joined, size);
}

/** gzip as fast as it goes; it runs on other threads, at the reader's pace. */
function compressed(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  return Readable.from(pieces(chunks)).pipe(createGzip({ level: 1, chunkSize: gzipPieceBytes }));
}

/** False when the reader is gone. */
export function writePaced(answer: Answer, bytes: Uint8Array): Promise<boolean> | boolean {
  if (answer.destroyed || (answer as ServerResponse).writableEnded) return false;
  if ((answer as ServerResponse).write(bytes)) return true;
  return new Promise((resolve) => {
    const done = (ok: boolean) => { answer.off('drain', onDrain); answer.off('close', onClose); resolve(ok); };
    const onDrain = () => done(true);
    const onClose = () => done(false);
    answer.on('drain', onDrain);
    answer.on('close', onClose);
  });
}

function acceptsGzip({ headers }: ApiRequest): boolean {
  const value = headers['accept-encoding'];
  return typeof value === 'string' && /(^|[\s,])gzip($|[\s,;])/.test(value) && !/gzip\s*;\s*q=0(\.0*)?($|[\s,])/.test(value);
}

export async function sendError(answer: Answer, request: ApiRequest, headers: Headers, error: StatusError): Promise<void> {
  if ((answer as ServerResponse).headersSent) { answer.destroy(); return; }
  const retry = error.status.details?.retryAfterSeconds;
  if (retry) headers['retry-after'] = String(retry);
  headers['x-content-type-options'] = 'nosniff';
  await send(answer, request, error.code, headers, encodeValue(error.status as unknown as JsonObject, 'json', wantsPretty(request)));
}
