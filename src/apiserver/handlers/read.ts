/**
 * get, list and watch, all from the cache. Source: apiserver/pkg/endpoints/handlers/get.go, pkg/storage/cacher; Kubernetes
 * API concepts, "Resource versions", "Retrieving large results sets in chunks", "Streaming lists".
 */
import type { Timer } from '../../base/clock.ts';
import { StatusError, badRequest, expired, invalid, notFound } from '../../api/meta/status.ts';
import { parseFieldSelector, type FieldSelector } from '../../api/field-selector.ts';
import { parseSelector, SelectorError, type Selector } from '../../api/label-selector.ts';
import type { ListMeta } from '../../api/meta/v1.ts';
import * as problem from '../../api/validation/field.ts';
import type { ApiObject } from '../../client/client.ts';
import { Compacted, FutureRevision } from '../../store/store.ts';
import { CacheEntry } from '../cache-entry.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import { search, type WatchScope, type Watcher } from '../watch-cache.ts';
import { fresh, type Call, type ServerContext } from './context.ts';

export async function get(call: Call): Promise<ApiResult> {
  const { context, resource, info, request } = call;
  const wanted = parseVersion(request.query.get('resourceVersion'));
  if (context.sharedStore && wanted === undefined) await fresh(context);
  else if (wanted) await context.feed.waitForClient(wanted);
  const filling = resource.cache.ready();
  if (filling) await filling;
  const entry = resource.cache.get(resource.key(info.namespace, info.name));
  if (!entry) throw notFound(resource.groupResource, info.name);
  return { type: 'object', code: 200, resource, entry };
}

// ---- what a list or watch selects

export interface Selection {
  /** Undefined: everything in the namespace. */
  matches: ((object: ApiObject) => boolean) | undefined;
  scope: WatchScope;
  /** What can be told only once the entry is prepared: fields of objects that a webhook converts. */
  deferred: ((entry: CacheEntry) => boolean) | undefined;
  labels: Selector | undefined;
  fields: FieldSelector | undefined;
}

export function selectionOf({ resource, request, info }: Call): Selection {
  const labels = parse(request.query.get('labelSelector'), parseSelector);
  const fields = parse(request.query.get('fieldSelector'), parseFieldSelector);
  // '/watch/pods/NAME' selects by name.
  const named = info.name && request.path.includes('/watch/') ? info.name : undefined;
  const readers: { read(object: ApiObject): string; value: string; equal: boolean; field: string }[] = [];
  for (const { field, operator, value } of fields?.terms ?? []) {
    const read = fieldReader(resource, field);
    if (!read) throw badRequest(unknownField(resource, field));
    readers.push({ read, value, equal: operator === '=', field });
  }
  if (named !== undefined) readers.push({ read: (object) => object.metadata.name, value: named, equal: true, field: 'metadata.name' });
  // Selectors speak of this version's fields, the cache hands out stored ones.
  const { alias } = resource.entry;
  const tests: ((object: ApiObject) => boolean)[] = [];
  const later = new Set(alias?.prepare ? readers.filter(({ field }) => !field.startsWith('metadata.')) : []);
  for (const reader of readers) {
    if (later.has(reader)) continue;
    const { read, value, equal, field } = reader;
    if (alias && !field.startsWith('metadata.')) reader.read = (object) => read(alias.fromStored(object as never) as unknown as ApiObject);
    tests.push(equal ? (object) => reader.read(object) === value : (object) => reader.read(object) !== value);
  }
  if (labels) tests.push((object) => labels.matches(object.metadata.labels));
  const matches = tests.length === 0 ? undefined : tests.length === 1 ? tests[0] : (object: ApiObject) => tests.every((test) => test(object));
  const deferred = later.size === 0 ? undefined : (entry: CacheEntry) => { const view = resource.view(entry); return [...later].every(({ read, value, equal }) => (read(view) === value) === equal); };
  const key = readers.find((reader) => reader.equal && reader.field !== 'metadata.namespace' && !later.has(reader));
  const namespace = resource.namespaced ? info.namespace : '';
  const trigger = key && { field: key.field, value: key.value, of: (object: ApiObject) => key.read(object) };
  return { matches, scope: { namespace, matches, trigger }, deferred, labels, fields };
}
function parse<S extends { empty: boolean }>(text: string, parser: (text: string) => S): S | undefined {
  if (text === '') return undefined;
  try {
    const selector = parser(text);
    return selector.empty ? undefined : selector;
  } catch (err) {
    throw err instanceof SelectorError ? badRequest(err.message) : err;
  }
}
function fieldReader({ entry, namespaced }: ServedResource, field: string): ((object: ApiObject) => string) | undefined {
  if (field === 'metadata.name') return (object) => object.metadata.name;
  if (field === 'metadata.namespace' && namespaced) return (object) => object.metadata.namespace ?? '';
  return entry.fieldSelectors?.[field];
}
const unknownField = ({ entry }: ServedResource, field: string) =>
  (entry.fieldSelectors ? `field label not supported: ${field}` : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`);

/** Undefined for ''; throws upstream's error for what is no number. */
export function parseVersion(text: string): number | undefined {
  if (text === '') return undefined;
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

// ---- list

interface ContinueToken { v: string; rv: number; start: string }
const tokenVersion = 'meta.k8s.io/v1';
/** `start` is relative to the prefix. */
function encodeContinue(start: string, rv: number): string { return Buffer.from(JSON.stringify({ v: tokenVersion, rv, start })).toString('base64url'); }
function decodeContinue(text: string): ContinueToken {
  let token: Partial<ContinueToken>;
  try { token = JSON.parse(Buffer.from(text, 'base64url').toString()) as ContinueToken; } catch { throw badRequest('continue key is not valid'); }
  if (token.v !== tokenVersion) throw badRequest(`continue key is not valid: server does not recognize this encoded version ${token.v ?? ''}`.trimEnd());
  if (!token.rv) throw badRequest('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  if (!token.start) throw badRequest('continue key is not valid: encoded start key empty (version meta.k8s.io/v1)');
  if (`/${token.start}`.split('/').some((part, index) => part === '.' || part === '..' || (index > 0 && part === ''))) throw badRequest(`continue key is not valid: ${token.start}`);
  return token as ContinueToken;
}
const tooOldContinue = 'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
const tooOldList = 'The resourceVersion for the provided list is too old.';

export interface ListOptions { version: number | undefined; match: string; limit: number; token: ContinueToken | undefined }

function listOptions(request: ApiRequest): ListOptions {
  const { query } = request;
  const version = query.get('resourceVersion');
  const match = query.get('resourceVersionMatch');
  const continues = query.get('continue');
  const errors: problem.FieldError[] = [];
  const path = problem.field('resourceVersionMatch');
  if (match !== '') {
    if (version === '') errors.push(problem.forbidden(path, 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
    if (continues !== '') errors.push(problem.forbidden(path, 'resourceVersionMatch is forbidden when continue is provided'));
    if (match !== 'Exact' && match !== 'NotOlderThan') errors.push(problem.notSupported(path, match, ['Exact', 'NotOlderThan', '']));
    if (match === 'Exact' && version === '0') errors.push(problem.forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (query.has('sendInitialEvents') && query.get('sendInitialEvents') !== '') errors.push(problem.forbidden(problem.field('sendInitialEvents'), 'sendInitialEvents is forbidden for list'));
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors);
  if (continues !== '' && version !== '' && version !== '0') throw badRequest('specifying resource version is not allowed when using continue');
  return { version: parseVersion(version), match, limit: parseLimit(query.get('limit')), token: continues === '' ? undefined : decodeContinue(continues) };
}
function parseLimit(text: string): number {
  if (text === '') return 0;
  if (!/^-?\d+$/.test(text)) throw badRequest(`limit: Invalid value: ${JSON.stringify(text)}: strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Math.max(0, Number(text));
}

export interface Listed { entries: readonly CacheEntry[]; metadata: ListMeta }

export async function list(call: Call): Promise<ApiResult> {
  const { entries, metadata } = await listEntries(call);
  return { type: 'list', resource: call.resource, entries, metadata };
}

export async function listEntries(call: Call): Promise<Listed> {
  const { context, resource, request, info } = call;
  const options = listOptions(request);
  const selection = selectionOf(call);
  const { cache } = resource;
  const { feed } = context;
  const atLatest = options.version === undefined && !options.token;
  if (atLatest) { if (context.sharedStore) await fresh(context); } else if (options.version) await feed.waitForClient(options.version);
  const filling = cache.ready();
  if (filling) await filling;
  const namespace = resource.namespaced ? info.namespace : '';
  const exact = options.token ? (options.token.rv > 0 ? options.token.rv : undefined)
    : options.match === 'Exact' ? options.version
    // With a limit and no match, upstream reads exactly that version.
    : options.match === '' && options.version && options.limit > 0 ? options.version : undefined;
  const start = options.token ? `${resource.entry.storagePrefix}/${options.token.start}` : undefined;
  // Source: a list at '0' is served whole from the cache.
  const limit = options.version === 0 ? 0 : options.limit;
  const { matches, deferred } = selection;
  if (exact !== undefined && exact < cache.modified) return rangeAt(call, selection, exact, start, limit);

  const revision = exact ?? feed.revision;
  const all = cache.list(namespace);
  const from = start === undefined ? 0 : search(all, start);
  if (deferred) await resource.prepare(matches ? all.filter((entry) => matches(entry.object)) : all.slice());
  if (limit === 0 && !matches && !deferred) return { entries: from === 0 ? all.slice() : all.slice(from), metadata: { resourceVersion: String(revision) } };
  const entries: CacheEntry[] = [];
  let more = false;
  for (let index = from; index < all.length; index++) {
    const entry = all[index]!;
    if ((matches && !matches(entry.object)) || (deferred && !deferred(entry))) continue;
    if (limit > 0 && entries.length === limit) { more = true; break; }
    entries.push(entry);
  }
  return { entries, metadata: listMeta(resource, revision, more ? entries.at(-1)! : undefined, matches || deferred ? undefined : all.length - from - entries.length) };
}

function listMeta(resource: ServedResource, revision: number, lastOfMore: CacheEntry | undefined, remaining: number | undefined): ListMeta {
  if (!lastOfMore) return { resourceVersion: String(revision) };
  const start = `${lastOfMore.key.slice(resource.entry.storagePrefix.length + 1)}\0`;
  return { resourceVersion: String(revision), continue: encodeContinue(start, revision), ...(remaining === undefined ? {} : { remainingItemCount: remaining }) };
}

/** Reads the past from the store. */
async function rangeAt({ context, resource, info }: Call, { matches, deferred }: Selection, revision: number, start: string | undefined, limit: number): Promise<Listed> {
  const prefix = resource.namespaced && info.namespace ? `${resource.entry.storagePrefix}/${info.namespace}/` : `${resource.entry.storagePrefix}/`;
  const entries: CacheEntry[] = [];
  let from = start;
  try {
    context.horizon.check(revision);
    for (;;) {
      const page = await context.store.range(prefix, { revision, ...(limit > 0 ? { limit: matches ? Math.max(limit, 500) : limit + 1 } : {}), ...(from === undefined ? {} : { from }) });
      for (const [index, stored] of page.entries.entries()) {
        const entry = new CacheEntry(resource.cache.form, stored.key, stored.modRevision, stored.value);
        if (matches && !matches(entry.object)) continue;
        if (deferred) { await resource.prepare([entry]); if (!deferred(entry)) continue; }
        if (limit > 0 && entries.length === limit) {
          return { entries, metadata: listMeta(resource, revision, entries.at(-1)!, matches ? undefined : page.count - index) };
        }
        entries.push(entry);
      }
      const last = page.entries.at(-1);
      if (!page.more || !last) return { entries, metadata: { resourceVersion: String(revision) } };
      from = `${last.key}\0`;
    }
  } catch (err) {
    if (err instanceof Compacted) {
      if (start === undefined) throw expired(tooOldList);
      const { status } = expired(tooOldContinue);
      throw new StatusError({ ...status, metadata: { continue: encodeContinue(start.slice(resource.entry.storagePrefix.length + 1), -1) } } as never);
    }
    if (err instanceof FutureRevision) throw badRequest(`the resourceVersion ${revision} lies in the future`);
    throw err;
  }
}

// ---- watch

export async function watch(call: Call): Promise<ApiResult> {
  const { context, resource, request } = call;
  const { query } = request;
  const version = parseVersion(query.get('resourceVersion'));
  const match = query.get('resourceVersionMatch');
  const sendInitialEvents = query.get('sendInitialEvents') === '' ? undefined : query.flag('sendInitialEvents');
  const path = problem.field('resourceVersionMatch');
  const errors: problem.FieldError[] = [];
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan') errors.push(problem.forbidden(path, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
  if (match !== '') {
    if (sendInitialEvents === undefined) errors.push(problem.forbidden(path, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'));
    if (match !== 'NotOlderThan') errors.push(problem.notSupported(path, match, ['NotOlderThan']));
    if (query.get('continue') !== '') errors.push(problem.forbidden(path, 'resourceVersionMatch is forbidden when continue is provided'));
  }
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors);
  const selection = selectionOf(call);
  const bookmarks = query.flag('allowWatchBookmarks');
  if (version) await context.feed.waitForClient(version);
  else if (version === undefined || sendInitialEvents) await fresh(context);
  const filling = resource.cache.ready();
  if (filling) await filling;
  // Without a version (or at '0') a watch begins with what there is, unless told otherwise.
  const initial = sendInitialEvents ?? !version;
  const watcher = resource.cache.watch(selection.scope, version || undefined, { initial, initialEventsEnd: sendInitialEvents === true && bookmarks });
  const seconds = query.get('timeoutSeconds');
  if (seconds !== '' && !/^\d+$/.test(seconds)) { watcher.close(); throw badRequest(`timeoutSeconds: Invalid value: ${JSON.stringify(seconds)}: must be an integer`); }
  const timeoutMs = Number(seconds) > 0 ? Number(seconds) * 1000 : context.minRequestTimeoutMs * (1 + context.rng.float());
  startTimers(context, watcher, timeoutMs, bookmarks);
  return { type: 'watch', resource, watcher, ...(selection.deferred ? { deferred: selection.deferred } : {}) };
}

/** How often a watch is told how far it is. Source: cacher's bookmarkFrequency. */
const bookmarkPeriodMs = 60_000;

/** A bookmark each minute and one before the end. */
function startTimers({ clock }: ServerContext, watcher: Watcher, timeoutMs: number, bookmarks: boolean): void {
  const end = clock.after(timeoutMs, () => { if (bookmarks) watcher.bookmark(); watcher.close(); }, { keepAlive: false });
  let tick: Timer | undefined;
  const arm = () => { tick = clock.after(bookmarkPeriodMs, () => { watcher.bookmark(); arm(); }, { keepAlive: false }); };
  if (bookmarks) arm();
  watcher.onEnd = () => { end.cancel(); tick?.cancel(); };
}
