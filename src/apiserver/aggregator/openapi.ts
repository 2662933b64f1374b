/**
 * OpenAPI of aggregated servers joined with our own: v3 documents are passed through by group version, v2 is merged into the one
 * document. Fetched when asked for and kept for a minute. Source: kube-aggregator/pkg/controllers/{openapi,openapiv3}.
 * Differs: a server that has only v2 is missing from v3.
 */
import { createHash } from 'node:crypto';
import { jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import type { Clock } from '../../base/clock.ts';
import { openApiV2ProtobufAccepts, openApiV2ProtobufMediaType } from '../../api/openapi/documents.ts';
import { encodeDocument } from '../../api/openapi/gnostic.ts';
import type { OpenApi } from '../non-resource.ts';
import { aggregatorUser } from './availability.ts';
import type { Fetched, RemoteApi } from './remote.ts';

/** How long a download holds, and a failure. Source: upstream's successfulUpdateDelay, failedUpdateMaxExpDelay. */
const freshMs = 60_000;
const timeoutMs = 5_000;

interface Download { at: number; etag: string; body: Buffer | undefined }

export class AggregatedOpenApi {
  readonly #own: OpenApi;
  readonly #remotes: () => readonly RemoteApi[];
  readonly #clock: Clock;
  readonly #downloads = new Map<string, Promise<Download>>();
  #merged: { key: string; own: unknown; document: JsonObject; json?: Buffer; protobuf?: Uint8Array } | undefined;

  constructor(own: OpenApi, remotes: () => readonly RemoteApi[], clock: Clock) { this.#own = own; this.#remotes = remotes; this.#clock = clock; }

  #available(): RemoteApi[] { return this.#remotes().filter((remote) => remote.available); }

  async #download(remote: RemoteApi, path: string): Promise<Download> {
    const { namespace, name, port } = remote.service;
    const key = `${namespace}/${name}:${port}${path}`;
    const known = await this.#downloads.get(key);
    const now = this.#clock.monotonic();
    if (known && now - known.at < freshMs) return known;
    const fetching = (async (): Promise<Download> => {
      try {
        const [origin = ''] = remote.origins();
        const answer: Fetched = await remote.fetch(origin, path, { user: aggregatorUser, etag: known?.etag, timeoutMs });
        if (answer.code === 304 && known) return { ...known, at: now };
        if (answer.code !== 200) return { at: now, etag: '', body: undefined };
        return { at: now, etag: answer.headers.etag ?? createHash('sha256').update(answer.body).digest('hex'), body: answer.body };
      } catch { return { at: now, etag: known?.etag ?? '', body: known?.body }; }
    })();
    this.#downloads.set(key, fetching);
    return fetching;
  }

  async v2(accept: string) {
    const remotes = this.#available();
    const own = await this.#own.v2(accept);
    if (remotes.length === 0 || !own) return own;
    const parts = await Promise.all(remotes.map(async (remote) => ({ remote, ...await this.#download(remote, '/openapi/v2') })));
    const plain = (await this.#own.v2('application/json'))!;
    const key = parts.map(({ remote, etag }) => `${remote.name} ${etag}`).join('\n');
    if (this.#merged?.key !== key || this.#merged.own !== plain.body) {
      const document = JSON.parse(Buffer.from(plain.body as Uint8Array).toString()) as JsonObject;
      for (const { remote, body } of parts) if (body) try { mergeV2(document, JSON.parse(body.toString()) as JsonObject, remote.group, remote.version); } catch { /* not a document */ }
      this.#merged = { key, own: plain.body, document };
    }
    const merged = this.#merged;
    const types = accept.split(',').map((type) => type.split(';')[0]!.trim());
    if (types.some((type) => openApiV2ProtobufAccepts.includes(type))) return { contentType: openApiV2ProtobufMediaType, body: merged.protobuf ??= encodeDocument(merged.document) };
    return { contentType: 'application/json', body: merged.json ??= Buffer.from(JSON.stringify(merged.document)) };
  }

  async v3Index(): Promise<JsonObject> {
    const index = await this.#own.v3Index();
    const remotes = this.#available();
    if (remotes.length === 0) return index;
    const paths = { ...index.paths as JsonObject };
    await Promise.all(remotes.map(async (remote) => {
      const { body } = await this.#download(remote, '/openapi/v3');
      if (!body) return;
      try {
        const theirs = (JSON.parse(body.toString()) as { paths?: Record<string, JsonObject> }).paths ?? {};
        const found = theirs[pathOf(remote)];
        if (found) paths[pathOf(remote)] = found;
      } catch { /* not an index */ }
    }));
    return { paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))) };
  }

  async v3(path: string, accept: string) {
    const remote = this.#available().find((one) => pathOf(one) === path);
    if (!remote) return this.#own.v3(path, accept);
    const { body } = await this.#download(remote, `/openapi/v3/${path}`);
    return body && { contentType: 'application/json', body };
  }
}
const pathOf = ({ group, version }: RemoteApi) => (group === '' ? `api/${version}` : `apis/${group}/${version}`);

const prefix = '#/definitions/';
function references(value: Json | undefined, into: Set<string>): void {
  if (Array.isArray(value)) for (const one of value) references(one, into);
  else if (value && typeof value === 'object') {
    if (typeof value.$ref === 'string' && value.$ref.startsWith(prefix)) into.add(value.$ref.slice(prefix.length));
    for (const key in value) references(value[key], into);
  }
}
function renamed(value: Json | undefined, names: ReadonlyMap<string, string>): Json | undefined {
  if (Array.isArray(value)) return value.map((one) => renamed(one, names)!);
  if (!value || typeof value !== 'object') return value;
  const out: JsonObject = {};
  for (const [key, one] of Object.entries(value)) out[key] = key === '$ref' && typeof one === 'string' && one.startsWith(prefix) ? prefix + (names.get(one.slice(prefix.length)) ?? one.slice(prefix.length)) : renamed(one, names);
  return out;
}

/** Adds the paths of one group version and what they refer to; a definition that means something else here gets another name. Source: kube-openapi/pkg/aggregator. */
export function mergeV2(into: JsonObject, from: JsonObject, group: string, version: string): void {
  const root = group === '' ? `/api/${version}/` : `/apis/${group}/`;
  const wanted = Object.entries((from.paths ?? {}) as JsonObject).filter(([path]) => path === root || path.startsWith(group === '' ? root : `${root}${version}/`));
  const theirs = (from.definitions ?? {}) as Record<string, Json>;
  const needed = new Set<string>();
  for (const [, operations] of wanted) references(operations, needed);
  for (const name of needed) references(theirs[name], needed);
  const definitions = (into.definitions ??= {}) as JsonObject;
  const names = new Map<string, string>();
  for (const name of needed) {
    if (definitions[name] === undefined || jsonEqual(definitions[name], theirs[name])) continue;
    let count = 2;
    while (definitions[`${name}_v${count}`] !== undefined) count++;
    names.set(name, `${name}_v${count}`);
  }
  for (const name of needed) if (theirs[name] !== undefined) definitions[names.get(name) ?? name] ??= renamed(theirs[name], names);
  const paths = (into.paths ??= {}) as JsonObject;
  for (const [path, operations] of wanted) paths[path] ??= renamed(operations, names);
}
