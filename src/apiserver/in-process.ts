/**
 * The transport that components in the apiserver's own process use: the same handler chain as that user, without sockets, TLS
 * and JSON. Answers are the cache's own objects: shared and read-only.
 */
import type { Json, JsonObject } from '../base/json.ts';
import type { Transport, TransportRequest, WatchEvent } from '../client/client.ts';
import { StatusError } from '../api/meta/status.ts';
import { listKindOf } from '../api/resource-names.ts';
import { Query, type ApiRequest, type ApiResult } from './request.ts';
import type { ServedResource } from './resource-table.ts';
import type { UserInfo } from './types.ts';
import type { WatchItem } from './watch-cache.ts';

/** Most bytes of a streamed answer (logs) that are collected. */
const streamLimitBytes = 16 * 1024 * 1024;
const noHeaders = Object.freeze({});

export interface InProcessOptions {
  /** Stands in for User-Agent: the default field manager. */
  userAgent?: string;
  /** Told of every Warning. */
  onWarning?(warning: string): void;
}

export function inProcessTransport(handle: (request: ApiRequest) => Promise<ApiResult>, user: UserInfo, { userAgent = '', onWarning }: InProcessOptions = {}): Transport {
  const requestOf = ({ method, path, query, body, contentType, signal }: TransportRequest): ApiRequest => ({
    method, path: path.includes('%') ? decodeURIComponent(path) : path, query: new Query(query), user, headers: noHeaders,
    contentType: (contentType ?? 'application/json').split(';')[0]!, body: body as Json | undefined, signal, userAgent, inProcess: true, warnings: [],
    note: { verb: '', group: '', version: '', resource: '', subresource: '', scope: '' },
  });

  return {
    async request(request) {
      request.signal?.throwIfAborted();
      const asked = requestOf(request);
      const result = await handle(asked);
      if (onWarning) for (const warning of asked.warnings) onWarning(warning);
      return answerOf(result);
    },
    async *watch(request) {
      const { signal } = request;
      signal?.throwIfAborted();
      const result = await handle(requestOf(request));
      if (result.type === 'stream') { yield* eventsOf(result, signal); return; }
      if (result.type !== 'watch') throw new Error(`not a watch: ${request.path}`);
      const { watcher, resource } = result;
      const { cache } = resource;
      const kept = request.transient ? 0 : 1;
      cache.keepParsed += kept;
      const stop = () => watcher.close();
      signal?.addEventListener('abort', stop, { once: true });
      if (signal?.aborted) watcher.close();
      try {
        for (;;) {
          const taken = watcher.take();
          const preparing = prepareItems(result, taken);
          for (const item of preparing ? await preparing : taken) {
            if (signal?.aborted) return;
            yield eventOf(item, resource);
            if (item.type === 'ERROR') return;
          }
          if (watcher.pending) continue;
          if (watcher.ended) return;
          await new Promise<void>((resolve) => { watcher.onReady = resolve; });
          watcher.onReady = undefined;
        }
      } finally {
        cache.keepParsed -= kept;
        signal?.removeEventListener('abort', stop);
        watcher.close();
      }
    },
  };
}

/** The items as they are to be shown, their objects ready; undefined when they are as they are. */
export function prepareItems({ resource, deferred }: Extract<ApiResult, { type: 'watch' }>, items: readonly WatchItem[]): Promise<readonly WatchItem[]> | undefined {
  if (!resource.entry.alias?.prepare) return undefined;
  return (async () => {
    const entries = items.flatMap((item) => ('entry' in item ? [item.entry, ...(deferred && item.event?.previous ? [item.event.previous] : [])] : []));
    await resource.prepare(entries);
    if (!deferred) return items;
    const out: WatchItem[] = [];
    for (const item of items) {
      if (!('entry' in item)) { out.push(item); continue; }
      const { event } = item;
      const now = item.type !== 'DELETED' && deferred(item.entry);
      const before = item.type !== 'ADDED' && event?.previous !== undefined && deferred(event.previous);
      if (now) out.push(before ? item : { type: 'ADDED', entry: item.entry, event });
      else if (before) { const { gone } = event!; await resource.prepare([gone]); out.push({ type: 'DELETED', entry: gone, event }); }
    }
    return out;
  })();
}

export function bookmarkObject({ names }: ServedResource, revision: number, initialEventsEnd: boolean): JsonObject {
  return { kind: names.kind, apiVersion: names.apiVersion, metadata: { resourceVersion: String(revision), creationTimestamp: null, ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) } };
}

function eventOf(item: WatchItem, resource: ServedResource): WatchEvent<unknown> {
  switch (item.type) {
    case 'BOOKMARK': return { type: 'BOOKMARK', object: bookmarkObject(resource, item.revision, item.initialEventsEnd) };
    case 'ERROR': return { type: 'ERROR', object: item.error.status };
    default: return { type: item.type, object: resource.view(item.entry) };
  }
}

async function answerOf(result: ApiResult): Promise<Json> {
  switch (result.type) {
    case 'object': return result.resource.view(result.entry) as unknown as Json;
    case 'value': return result.value;
    case 'list': {
      const { names } = result.resource;
      return { kind: listKindOf(names), apiVersion: names.apiVersion, metadata: result.metadata as unknown as JsonObject, items: result.entries.map((entry) => result.resource.view(entry) as unknown as Json) };
    }
    case 'raw': {
      const text = typeof result.body === 'string' ? result.body : Buffer.from(result.body).toString();
      if (result.code >= 400) throw new StatusError({ code: result.code, message: text });
      return result.contentType.startsWith('application/json') ? JSON.parse(text) as Json : text;
    }
    case 'stream': {
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of result.body) {
        const bytes = Buffer.from(chunk as Uint8Array);
        size += bytes.length;
        if (size > streamLimitBytes) { result.body.destroy(); break; }
        chunks.push(bytes);
      }
      const text = Buffer.concat(chunks).toString();
      if (result.code >= 400) throw statusOf(text, result.code);
      return isJson(result.headers) ? JSON.parse(text) as Json : text;
    }
    case 'watch': result.watcher.close(); throw new Error('a watch was asked for by request(); use watch()');
    case 'upgrade': throw new StatusError({ code: 400, reason: 'BadRequest', message: 'Upgrade request required' });
  }
}

const isJson = (headers: Readonly<Record<string, string | readonly string[]>>) => String(headers['content-type'] ?? '').startsWith('application/json');

/** A watch that another server answers: one JSON event per line. */
async function* eventsOf({ body, code }: ApiResult & { type: 'stream' }, signal: AbortSignal | undefined): AsyncGenerator<WatchEvent<unknown>> {
  const stop = () => body.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  let rest = '';
  try {
    body.setEncoding('utf8');
    for await (const chunk of body) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop()!;
      if (code >= 400) { rest = `${lines.join('\n')}${rest}`; continue; }
      for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent<unknown>;
    }
  } catch (err) { if (!signal?.aborted) throw err; } finally {
    signal?.removeEventListener('abort', stop);
    body.destroy();
  }
  if (code >= 400) throw statusOf(rest, code);
}

function statusOf(text: string, code: number): StatusError {
  try {
    const status = JSON.parse(text) as { kind?: string };
    if (status.kind === 'Status') return new StatusError(status as never);
  } catch { /* plain text */ }
  return new StatusError({ code, message: text });
}
