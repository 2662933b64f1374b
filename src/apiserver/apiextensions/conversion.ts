/**
 * Conversion between the versions of a custom resource: by name only (`None`), or by a webhook that is asked for many objects at
 * once. Answers of the webhook are kept with the cache entry they belong to, as bytes.
 * Source: apiextensions-apiserver/pkg/apiserver/conversion; apiextensions.k8s.io/v1 ConversionReview.
 */
import { cloneJson, isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import { internalError } from '../../api/meta/status.ts';
import type { CacheEntry } from '../cache-entry.ts';

/** Objects sent in one ConversionReview at most. Differs: upstream sends a whole list at once, whatever its size. */
const batchLimit = 500;

/** Posts a ConversionReview and returns the answer's JSON. Throws an Error in upstream's words of why it failed. */
export type CallConversion = (review: JsonObject) => Promise<Json>;

export interface Converter {
  /** Objects of any version, as `apiVersion` shows them, in order. Those that are in it already come back as they are. */
  convert(objects: readonly JsonObject[], apiVersion: string): Promise<JsonObject[]>;
}

export function webhookConverter({ call, uid, reviewVersions }: { call: CallConversion; uid(): string; reviewVersions: readonly string[] }): Converter {
  return {
    async convert(objects, apiVersion) {
      const out = [...objects];
      const which = objects.flatMap((object, index) => (object.apiVersion === apiVersion ? [] : [index]));
      for (let from = 0; from < which.length; from += batchLimit) {
        const batch = which.slice(from, from + batchLimit);
        const sent = batch.map((index) => objects[index]!);
        const converted = await review(sent, apiVersion, call, uid(), reviewVersions);
        for (const [at, index] of batch.entries()) out[index] = converted[at]!;
      }
      return out;
    },
  };
}

const gvk = ({ apiVersion, kind }: JsonObject) => { const text = String(apiVersion); const slash = text.indexOf('/'); return `${slash < 0 ? '' : text.slice(0, slash)}/${text.slice(slash + 1)}, Kind=${String(kind)}`; };

async function review(objects: readonly JsonObject[], desired: string, call: CallConversion, uid: string, versions: readonly string[]): Promise<JsonObject[]> {
  const version = versions.find((one) => one === 'v1' || one === 'v1beta1');
  if (!version) throw internalError('no supported conversion review versions');
  const what = `conversion webhook for ${gvk(objects[0]!)}`;
  let answer: Json;
  try {
    answer = await call({ kind: 'ConversionReview', apiVersion: `apiextensions.k8s.io/${version}`, request: { uid, desiredAPIVersion: desired, objects: objects as JsonObject[] } });
  } catch (err) {
    throw failed(`${what} failed: ${err instanceof Error ? err.message : String(err)}`);
  }
  const problem = answerProblem(answer, version, uid);
  if (problem) throw failed(`${what} failed: ${problem}`);
  const { convertedObjects } = (answer as { response: { convertedObjects?: Json } }).response;
  const converted = Array.isArray(convertedObjects) ? convertedObjects : [];
  if (converted.length !== objects.length) throw failed(`${what} returned ${converted.length} objects, expected ${objects.length}`);
  return converted.map((object, index) => {
    const original = objects[index]!;
    const bad = (why: string) => failed(`${what} returned invalid converted object at index ${index}: ${why}`);
    if (!isJsonObject(object)) throw bad('invalid type');
    if (object.apiVersion !== desired) throw bad(`invalid groupVersion (expected ${desired}, received ${String(object.apiVersion ?? '')})`);
    if (object.kind !== original.kind) throw bad(`invalid kind (expected ${String(original.kind)}, received ${String(object.kind ?? '')})`);
    return restoreMetadata(original, object, (why) => failed(`${what} returned invalid metadata in object at index ${index}: ${why}`), bad);
  });
}

function answerProblem(answer: Json, version: string, uid: string): string | undefined {
  if (!isJsonObject(answer)) return 'no response provided';
  if (version === 'v1' && (answer.apiVersion !== 'apiextensions.k8s.io/v1' || answer.kind !== 'ConversionReview')) return `expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got ${gvk(answer)}`;
  const { response } = answer;
  if (!isJsonObject(response)) return 'no response provided';
  if (version === 'v1' && response.uid !== uid) return `expected response.uid="${uid}", got ${JSON.stringify(response.uid ?? '')}`;
  const result = isJsonObject(response.result) ? response.result : {};
  if (result.status === 'Success') return undefined;
  return typeof result.message === 'string' && result.message !== '' ? result.message : `response.result.status was '${String(result.status ?? '')}', not 'Success'`;
}

/** A webhook may change labels and annotations; all else of metadata is the original's. */
function restoreMetadata(original: JsonObject, converted: JsonObject, badMetadata: (why: string) => Error, bad: (why: string) => Error): JsonObject {
  const before = isJsonObject(original.metadata) ? original.metadata : {};
  const { metadata } = converted;
  if (metadata === undefined) throw badMetadata('missing metadata in converted object');
  if (!isJsonObject(metadata)) throw badMetadata(`invalid metadata of type ${typeof metadata} in converted object`);
  for (const [name, text] of [['name', 'name'], ['namespace', 'namespace'], ['uid', 'UID']] as const) {
    if ((metadata[name] ?? '') !== (before[name] ?? '')) throw bad(`must have the same ${text}: ${String(before[name] ?? '')} != ${String(metadata[name] ?? '')}`);
  }
  const after = cloneJson(before);
  for (const field of ['labels', 'annotations'] as const) {
    const map = metadata[field];
    if (map === undefined || map === null) { delete after[field]; continue; }
    if (!isJsonObject(map)) throw badMetadata(`invalid metadata.${field} of type ${typeof map} in converted object`);
    for (const key in map) if (typeof map[key] !== 'string') throw badMetadata(`metadata.${field}[${key}] must be a string, but is ${typeof map[key]} in converted object`);
    if (!jsonEqual(map, before[field])) after[field] = map;
  }
  return { ...converted, metadata: after };
}

/** A plain error of upstream's: clients see it as an internal error with this message. */
const failed = (message: string) => internalError(message);

/** What a webhook made of cache entries, until they go. */
export class ConvertedEntries {
  readonly #kept = new WeakMap<CacheEntry, Buffer>();
  readonly #converter: Converter;
  readonly #apiVersion: string;
  constructor(converter: Converter, apiVersion: string) { this.#converter = converter; this.#apiVersion = apiVersion; }

  prepare(entries: readonly CacheEntry[]): Promise<void> | undefined {
    const missing = entries.filter((entry) => !this.#kept.has(entry) && (entry.object.apiVersion !== this.#apiVersion));
    return missing.length === 0 ? undefined : this.#convert(missing);
  }
  async #convert(entries: readonly CacheEntry[]): Promise<void> {
    const objects = await this.#converter.convert(entries.map((entry) => entry.object as unknown as JsonObject), this.#apiVersion);
    for (const [index, entry] of entries.entries()) this.#kept.set(entry, Buffer.from(JSON.stringify(objects[index])));
  }
  /** Undefined when `prepare` was not awaited. A fresh object. */
  get(entry: CacheEntry): JsonObject | undefined { const bytes = this.#kept.get(entry); return bytes && JSON.parse(bytes.toString()) as JsonObject; }
}
