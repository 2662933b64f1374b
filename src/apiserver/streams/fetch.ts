/** One HTTP request passed to a backend, its answer streamed back. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { serviceUnavailable } from '../../api/meta/status.ts';
import type { TlsClientConfig } from '../request.ts';

const connectTimeoutMs = 30_000;

export interface BackendRequest {
  url: URL;
  method: string;
  headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  tls?: TlsClientConfig;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Resolves with the answer's head. Rejects with 503 when the backend can't be reached in time. */
export function ask({ url, method, headers, tls, body, signal }: BackendRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const outgoing = send(url, { method, headers: headers as Record<string, string | string[]>, agent: false, ...(url.protocol === 'https:' ? tls : {}), ...(signal ? { signal } : {}), timeout: connectTimeoutMs });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('response', (answer) => { outgoing.setTimeout(0); resolve(answer); });
    outgoing.on('error', (err) => reject(serviceUnavailable(`error trying to reach service: ${err.message}`)));
    if (body instanceof Readable) body.pipe(outgoing);
    else if (body instanceof Uint8Array) outgoing.end(body);
    else outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** At most `limit` bytes of an answer as text. */
export async function textOf(answer: IncomingMessage, limit = 10 * 1024): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= limit) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, limit);
}
