/**
 * What goes into the handler chain and what comes out, whatever the transport: HTTP turns results into bytes by the Accept
 * header, the in-process transport hands over the objects themselves.
 */
import type { Readable } from 'node:stream';
import type { Json, JsonObject } from '../base/json.ts';
import type { ListMeta } from '../api/meta/v1.ts';
import type { AuditEvent } from './audit/audit.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { FlowLabels } from './flow-control/flow-control.ts';
import type { ServedResource } from './resource-table.ts';
import type { UserInfo } from './types.ts';
import type { Watcher } from './watch-cache.ts';

export interface RequestOrigin { auditId: string; sourceIPs: readonly string[]; /** Who it really was, acting as `user`. */ impersonator?: UserInfo }

export interface ApiRequest {
  method: string;
  /** Decoded, without query. */
  path: string;
  query: Query;
  user: UserInfo;
  /** Lower-case names. */
  headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The media type of the body without parameters; '' when not given. */
  contentType: string;
  /** The body: bytes from the wire, or a value in-process (read-only: decoding copies it). */
  body: Uint8Array | Json | object | undefined;
  signal: AbortSignal | undefined;
  /** The product part of User-Agent, the default field manager. */
  userAgent: string;
  /** Set by in-process callers, which take parsed objects. */
  inProcess: boolean;
  /** Collected for the Warning header. */
  warnings: string[];
  /** Where it came from, for the record; absent in-process and while nothing is recorded. */
  origin?: RequestOrigin;
  /** How flow control classified it, for the headers of the answer. */
  flow?: FlowLabels;
  /** Its entry in the audit record, where it has one. */
  audit?: AuditEvent;
  /** Filled by the pipeline, for metrics and audit. */
  note: { verb: string; group: string; version: string; resource: string; subresource: string; scope: string };
}

export class Query {
  readonly #params: URLSearchParams | Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  constructor(params: URLSearchParams | Readonly<Record<string, string | readonly string[] | undefined>> | undefined) { this.#params = params; }
  /** The first value; '' when absent. */
  get(name: string): string {
    const params = this.#params;
    if (!params) return '';
    if (params instanceof URLSearchParams) return params.get(name) ?? '';
    const value = params[name];
    return value === undefined ? '' : typeof value === 'string' ? value : value[0] ?? '';
  }
  all(name: string): readonly string[] {
    const params = this.#params;
    if (!params) return [];
    if (params instanceof URLSearchParams) return params.getAll(name);
    const value = params[name];
    return value === undefined ? [] : typeof value === 'string' ? [value] : value;
  }
  has(name: string): boolean {
    const params = this.#params;
    return params !== undefined && (params instanceof URLSearchParams ? params.has(name) : params[name] !== undefined);
  }
  /** As Go's strconv.ParseBool with upstream's leniency: present and neither 'false' nor '0'. */
  flag(name: string): boolean {
    if (!this.has(name)) return false;
    const value = this.get(name).toLowerCase();
    return value !== 'false' && value !== '0';
  }
  toString(): string {
    const params = this.#params;
    if (!params) return '';
    if (params instanceof URLSearchParams) return params.toString();
    const out = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) for (const one of value === undefined ? [] : typeof value === 'string' ? [value] : value) out.append(name, one);
    return out.toString();
  }
}

export type ApiResult =
  /** A stored object. */
  | { type: 'object'; code: number; resource: ServedResource; entry: CacheEntry }
  /** Any other JSON: Status, Scale, reviews, discovery, dry-run answers. `resource` says how it prints as a table. */
  | { type: 'value'; code: number; value: JsonObject; resource?: ServedResource }
  | { type: 'list'; resource: ServedResource; entries: readonly CacheEntry[]; metadata: ListMeta }
  /** `deferred`: which entries it is about can be told only when they are prepared; see `prepareItems`. */
  | { type: 'watch'; resource: ServedResource; watcher: Watcher; deferred?: (entry: CacheEntry) => boolean }
  | { type: 'raw'; code: number; contentType: string; body: string | Uint8Array; headers?: Readonly<Record<string, string>> }
  /** An answer passed through from somewhere else: logs, proxied requests. */
  | { type: 'stream'; code: number; headers: Readonly<Record<string, string | readonly string[]>>; body: Readable }
  /** The connection is to be handed over: exec, attach, portforward, proxied upgrades. */
  | { type: 'upgrade'; target: UpgradeTarget };

/** Where an upgraded connection goes, as is. */
export interface UpgradeTarget {
  url: URL;
  method: string;
  tls?: TlsClientConfig;
  /** In place of the request's own. */
  headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** How to speak TLS to a kubelet or a proxied server. */
export interface TlsClientConfig { cert?: string | Buffer | undefined; key?: string | Buffer | undefined; ca?: string | Buffer | undefined; rejectUnauthorized?: boolean; servername?: string }
