/** Results into bytes. Stored objects are written as they lie in the cache; everything else is built on demand. */
import { stringify as yamlText } from 'yaml';
import type { JsonObject } from '../../base/json.ts';
import { badRequest } from '../../api/meta/status.ts';
import { ProtobufError } from '../../base/protobuf.ts';
import { decodeProtobufObject, encodeObject, encodeWatchFrame } from '../../api/protobuf.ts';
import { listKindOf } from '../../api/resource-names.ts';
import { allGroupVersions, findType, type TypeSchema } from '../../api/schema.ts';
import type { ApiObject } from '../../client/client.ts';
import type { CacheEntry } from '../cache-entry.ts';
import { useProtobuf } from '../handlers/body.ts';
import { bookmarkObject } from '../in-process.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import type { WatchItem } from '../watch-cache.ts';
import { contentTypes, negotiate, type Encoding, type Form } from './negotiate.ts';
import { includeObjectOf, partialMetadata, tableOf, type IncludeObject } from './table.ts';

export interface EncodedBody { contentType: string; /** To be written one after the other. */ chunks: readonly Uint8Array[]; length: number }

const keyByApiVersion = new Map<string, string>();
/** The schema of a kind by what it says on the wire. */
export function typeByKind(apiVersion: string, kind: string): TypeSchema | undefined {
  if (keyByApiVersion.size === 0) for (const { key, apiVersion: wire } of allGroupVersions()) keyByApiVersion.set(wire, key);
  const key = keyByApiVersion.get(apiVersion);
  return (key === undefined ? undefined : findType(`${key}.${kind}`)) ?? findType(`meta/v1.${kind}`);
}
useProtobuf({
  decode(body) {
    try { return decodeProtobufObject(body, typeByKind); } catch (err) { throw err instanceof ProtobufError ? badRequest(err.message) : err; }
  },
});

export const acceptOf = (request: ApiRequest): string => { const { accept } = request.headers; return typeof accept === 'string' ? accept : accept?.join(',') ?? ''; };

export function wantsPretty(request: ApiRequest): boolean {
  const { query, headers } = request;
  if (query.has('pretty')) return query.flag('pretty');
  const agent = headers['user-agent'];
  return typeof agent === 'string' && (agent.startsWith('curl') || agent.startsWith('Wget') || agent.startsWith('Mozilla/5.0'));
}

export function encodeValue(value: JsonObject, encoding: Encoding, pretty: boolean): EncodedBody {
  let bytes: Uint8Array;
  if (encoding === 'protobuf') {
    const type = typeByKind(String(value.apiVersion), String(value.kind));
    if (type) bytes = encodeObject(value, type); else return encodeValue(value, 'json', pretty);
  } else if (encoding === 'yaml') bytes = Buffer.from(yamlText(value, { aliasDuplicateObjects: false, lineWidth: 0 }));
  else bytes = Buffer.from(pretty ? `${JSON.stringify(value, null, 2)}` : JSON.stringify(value));
  return { contentType: contentTypes[encoding], chunks: [bytes], length: bytes.length };
}

const comma = Buffer.from(',');
const itemsHead = Buffer.from(',"items":[');
const listEnd = Buffer.from(']}\n');

function encodeList(resource: ServedResource, entries: readonly CacheEntry[], metadata: object): EncodedBody {
  const meta = Buffer.from(JSON.stringify(metadata));
  const chunks: Uint8Array[] = [resource.listHead, meta, itemsHead];
  let length = resource.listHead.length + meta.length + itemsHead.length + listEnd.length + Math.max(0, entries.length - 1);
  for (let index = 0; index < entries.length; index++) {
    if (index > 0) chunks.push(comma);
    const bytes = resource.bytes(entries[index]!);
    chunks.push(bytes);
    length += bytes.length;
  }
  chunks.push(listEnd);
  return { contentType: 'application/json', chunks, length };
}

/** Throws 406. `now` is for ages in tables. */
export function encodeResult(request: ApiRequest, result: Extract<ApiResult, { type: 'object' | 'value' | 'list' }>, now: number): EncodedBody {
  const resource = result.resource;
  const form = negotiate(acceptOf(request), { transforms: result.type !== 'value', protobuf: resource ? resource.names.typeName !== '' : true });
  const pretty = form.encoding === 'json' && wantsPretty(request);
  if (result.type === 'value') return encodeValue(result.value, form.encoding, pretty);
  if (form.as) return encodeValue(transformed(request, result, form, now), form.encoding, pretty);
  if (result.type === 'object') {
    if (form.encoding === 'json' && !pretty) {
      const bytes = result.resource.bytes(result.entry);
      return { contentType: 'application/json', chunks: [bytes], length: bytes.length };
    }
    if (form.encoding === 'protobuf') {
      const bytes = protobufBytes(result.resource, result.entry);
      return { contentType: contentTypes.protobuf, chunks: [bytes], length: bytes.length };
    }
    return encodeValue(result.resource.view(result.entry) as unknown as JsonObject, form.encoding, pretty);
  }
  if (form.encoding === 'json' && !pretty) return encodeList(result.resource, result.entries, result.metadata);
  const { names } = result.resource;
  return encodeValue({ kind: listKindOf(names), apiVersion: names.apiVersion, metadata: result.metadata as unknown as JsonObject, items: result.entries.map((entry) => result.resource.view(entry) as unknown as JsonObject) }, form.encoding, pretty);
}

function protobufBytes(resource: ServedResource, entry: CacheEntry): Buffer {
  return entry.encoding(`protobuf ${resource.names.apiVersion}`, () => encodeObject(resource.view(entry) as unknown as JsonObject, resource.type!));
}

function transformed(request: ApiRequest, result: Extract<ApiResult, { type: 'object' | 'list' }>, form: Form, now: number): JsonObject {
  const { resource } = result;
  const objects = result.type === 'list' ? result.entries.map((entry) => resource.view(entry)) : [resource.view(result.entry)];
  if (form.as === 'Table') {
    const metadata = result.type === 'list' ? result.metadata : { resourceVersion: objects[0]!.metadata.resourceVersion };
    return tableOf(resource, objects, metadata, { now, include: includeObjectOf(request.query.get('includeObject')), metaVersion: form.metaVersion });
  }
  if (result.type === 'object') return partialMetadata(objects[0]!, form.metaVersion);
  return { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${form.metaVersion}`, metadata: result.metadata as unknown as JsonObject, items: objects.map((object) => partialMetadata(object, form.metaVersion)) };
}

// ---- watch

const frameHeads = { ADDED: Buffer.from('{"type":"ADDED","object":'), MODIFIED: Buffer.from('{"type":"MODIFIED","object":'), DELETED: Buffer.from('{"type":"DELETED","object":') } as const;
const frameEnd = Buffer.from('}\n');

export interface WatchEncoder { contentType: string; frame(item: WatchItem): Uint8Array }

/** Frames of one watch; those of the usual form are built once per event and shared. Throws 406. */
export function watchEncoder(request: ApiRequest, resource: ServedResource, clock: { now(): number }): WatchEncoder {
  const form = negotiate(acceptOf(request), { transforms: true, protobuf: resource.names.typeName !== '' });
  const include = includeObjectOf(request.query.get('includeObject'));
  const name = `${form.encoding} ${form.as ?? ''} ${form.metaVersion} ${form.as === 'Table' ? include : ''} ${resource.entry.alias?.viewName ?? resource.names.apiVersion}`;
  const json = (type: string, object: JsonObject): Buffer => Buffer.from(`{"type":"${type}","object":${JSON.stringify(object)}}\n`);
  const other = (type: string, object: JsonObject): Uint8Array => {
    if (form.encoding === 'protobuf') {
      const schema = typeByKind(String(object.apiVersion), String(object.kind));
      if (schema) return encodeWatchFrame(type, encodeObject(object, schema));
    }
    return form.encoding === 'yaml' ? Buffer.from(`---\n${yamlText({ type, object }, { aliasDuplicateObjects: false })}`) : json(type, object);
  };
  const make = (type: keyof typeof frameHeads, entry: CacheEntry): Buffer => {
    if (form.as === undefined && form.encoding === 'json') return Buffer.concat([frameHeads[type], resource.bytes(entry), frameEnd]);
    if (form.as === undefined && form.encoding === 'protobuf') return Buffer.from(encodeWatchFrame(type, protobufBytes(resource, entry)));
    return Buffer.from(other(type, shape(resource.view(entry), form, resource, include, clock.now())));
  };
  const contentType = form.encoding === 'protobuf' ? 'application/vnd.kubernetes.protobuf;stream=watch' : contentTypes[form.encoding];
  return {
    contentType,
    frame(item) {
      if (item.type === 'BOOKMARK') {
        const bookmark = bookmarkObject(resource, item.revision, item.initialEventsEnd);
        if (form.encoding === 'protobuf') delete (bookmark.metadata as JsonObject).creationTimestamp;
        return other('BOOKMARK', form.as ? shape(bookmark as unknown as ApiObject, form, resource, include, undefined) : bookmark);
      }
      if (item.type === 'ERROR') return other('ERROR', item.error.status as unknown as JsonObject);
      // Ages in tables grow, so only the other forms are shared.
      return item.event && form.as !== 'Table' ? item.event.frame(`${name} ${item.type}`, () => make(item.type, item.entry)) : make(item.type, item.entry);
    },
  };
}
function shape(object: ApiObject, form: Form, resource: ServedResource, include: IncludeObject, now: number | undefined): JsonObject {
  if (form.as === 'PartialObjectMetadata') return partialMetadata(object, form.metaVersion);
  if (form.as === 'Table') return tableOf(resource, now === undefined ? [] : [object], { resourceVersion: object.metadata.resourceVersion }, { now: now ?? 0, include, metaVersion: form.metaVersion });
  return object as unknown as JsonObject;
}
