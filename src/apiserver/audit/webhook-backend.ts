/**
 * Audit events sent in batches to a server, as an EventList. Events beyond the buffer are dropped and counted.
 * Source: kube-apiserver's --audit-webhook-* flags (batch mode, its defaults); apiserver/plugin/pkg/audit/{buffered,webhook}.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { sleep, type Clock, type Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { TlsClientConfig } from '../request.ts';
import type { AuditBackend } from './audit.ts';

export interface WebhookBackendOptions {
  url: string;
  tls?: TlsClientConfig;
  /** A bearer token. */
  token?: string;
  clock: Clock;
  log: Logger;
  /** Defaults: 10,000 events, 400 a batch, 30 s, 10 s. */
  bufferSize?: number;
  batchSize?: number;
  maxWaitMs?: number;
  initialBackoffMs?: number;
}
const tries = 5;
const backoffFactor = 1.5;
const timeoutMs = 30_000;
/** Batches on their way at once. */
const parallel = 4;

export function createWebhookBackend(options: WebhookBackendOptions): AuditBackend & { readonly dropped: number; flush(): Promise<void> } {
  const { clock, log, bufferSize = 10_000, batchSize = 400, maxWaitMs = 30_000, initialBackoffMs = 10_000 } = options;
  const events: string[] = [];
  let dropped = 0;
  let timer: Timer | undefined;
  const sending = new Set<Promise<void>>();
  const stop = new AbortController();

  function ship(): void {
    timer?.cancel();
    timer = undefined;
    while (events.length > 0 && sending.size < parallel) {
      const batch = events.splice(0, batchSize);
      const work: Promise<void> = send(batch).finally(() => { sending.delete(work); if (events.length > 0) arm(); });
      sending.add(work);
    }
  }
  function arm(): void {
    if (events.length >= batchSize && sending.size < parallel) ship();
    else timer ??= clock.after(maxWaitMs, ship, { keepAlive: false });
  }
  async function send(batch: readonly string[]): Promise<void> {
    const body = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${batch.join(',')}]}`;
    let waitMs = initialBackoffMs;
    for (let attempt = 1; ; attempt++) {
      try { await post(options, body); return; } catch (err) {
        const final = attempt >= tries || stop.signal.aborted || (err instanceof Refused && err.code !== 429 && err.code < 500);
        if (final) {
          dropped += batch.length;
          log.error({ err, events: batch.length }, 'audit events could not be delivered');
          return;
        }
      }
      try { await sleep(clock, waitMs, stop.signal); } catch { /* one last try */ }
      waitMs *= backoffFactor;
    }
  }
  return {
    get dropped() { return dropped; },
    write(event) {
      if (events.length >= bufferSize) { dropped++; return; }
      events.push(event);
      arm();
    },
    async flush() { do { ship(); await Promise.all(sending); } while (events.length > 0); },
    async [Symbol.asyncDispose]() { stop.abort(); await this.flush(); timer?.cancel(); },
  };
}

class Refused extends Error {
  readonly code: number;
  constructor(code: number) { super(`the audit webhook answered ${code}`); this.code = code; }
}

function post({ url, tls, token }: WebhookBackendOptions, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const outgoing = send(url, { method: 'POST', timeout: timeoutMs, ...tls, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...(token ? { authorization: `Bearer ${token}` } : {}) } }, (answer) => {
      answer.resume();
      answer.on('error', reject);
      answer.on('end', () => { const code = answer.statusCode ?? 500; if (code >= 200 && code < 300) resolve(); else reject(new Refused(code)); });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
