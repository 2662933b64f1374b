/**
 * JSON Patch, RFC 6902: add, remove, replace, move, copy, test. Failures answer as upstream's patch handler does: 400 for a
 * patch that can't be read, 422 for one that does not fit the object. Source: evanphx/json-patch v4, apiserver/pkg/endpoints/handlers/patch.go.
 */
import { cloneJson, isJsonObject, jsonEqual, setOwn, type Json, type JsonObject } from '../../base/json.ts';
import { badRequest, StatusError, tooLarge } from '../meta/status.ts';

/** Upstream's limits. */
export const maxOperations = 10_000;
export const maxCopiedBytes = 3 * 1024 * 1024;

interface Operation { op: string; path: string; from: string; value: Json | undefined }

/** Changes `doc` in place and returns the result (another value where the whole document was replaced). The patch is left alone. */
export function jsonPatch(doc: Json, patch: Json): Json {
  const operations = readOperations(patch);
  const root = { doc };
  const copied = { bytes: 0 };
  for (const operation of operations) {
    try {
      apply(root, operation, copied);
    } catch (err) {
      if (!(err instanceof PatchError)) throw err;
      // Upstream keeps what went wrong to itself; here it stays readable as the cause.
      throw unprocessablePatch(err);
    }
  }
  return root.doc;
}

/** For fieldValidation: `json patch unknown field "[0].foo"`. */
export function unknownPatchFields(patch: Json): string[] {
  if (!Array.isArray(patch)) return [];
  return patch.flatMap((operation, index) => (isJsonObject(operation) ? Object.keys(operation) : [])
    .filter((key) => !['op', 'path', 'from', 'value'].includes(key)).map((key) => `json patch unknown field "[${index}].${key}"`));
}

/** The answer to a patch that is well formed and does not fit. */
export function unprocessablePatch(cause: Error): StatusError {
  return new StatusError({ code: 422, reason: 'Invalid', message: 'the server rejected our request due to an error in our request', details: {} }, { cause });
}

class PatchError extends Error {}

function readOperations(patch: Json): Operation[] {
  const kind = Array.isArray(patch) ? '' : isJsonObject(patch) ? 'object' : patch === null ? '' : typeof patch === 'boolean' ? 'bool' : typeof patch;
  if (kind) throw badRequest(`json: cannot unmarshal ${kind} into Go value of type jsonpatch.Patch`);
  const items = (patch ?? []) as Json[];
  if (items.length > maxOperations) throw tooLarge(`The allowed maximum operations in a JSON patch is ${maxOperations}, got ${items.length}`);
  return items.map((item) => {
    if (!isJsonObject(item)) throw badRequest('json: cannot unmarshal patch operation into Go value of type jsonpatch.Operation');
    const text = (key: string) => (typeof item[key] === 'string' ? item[key] : undefined);
    return { op: text('op') ?? 'unknown', path: text('path') ?? missing('path'), from: text('from') ?? '', value: Object.hasOwn(item, 'value') ? item.value : undefined };
  });
}

function missing(key: string): never { throw unprocessablePatch(new PatchError(`operation missing ${key} field`)); }

function apply(root: { doc: Json }, { op, path, from, value }: Operation, copied: { bytes: number }): void {
  switch (op) {
    case 'add': return add(root, path, given(value, op), op);
    case 'remove': remove(root, path, op); return;
    case 'replace': {
      if (path !== '') remove(root, path, op, true);
      return put(root, path, given(value, op));
    }
    case 'move': {
      if (path.startsWith(`${from}/`)) throw new PatchError('move operation does not apply: a value can\'t be moved into itself');
      const moved = get(root.doc, from, op);
      remove(root, from, op);
      return add(root, path, moved, op);
    }
    case 'copy': {
      const source = get(root.doc, from, op);
      copied.bytes += Buffer.byteLength(JSON.stringify(source));
      if (copied.bytes > maxCopiedBytes) throw new PatchError(`Unable to complete the copy, the accumulated size increase of copy is ${copied.bytes}, exceeding the limit ${maxCopiedBytes}`);
      return add(root, path, cloneJson(source), op);
    }
    case 'test': {
      const actual = tryGet(root.doc, path);
      if (!jsonEqual(actual ?? null, value ?? null)) throw new PatchError(`testing value ${path} failed`);
      return;
    }
    default: throw new PatchError(`Unexpected kind: ${op}`);
  }
}

/** A fresh copy: the same patch may be applied again after a conflict. */
function given(value: Json | undefined, op: string): Json {
  if (value === undefined) throw new PatchError(`${op} operation: missing value`);
  return cloneJson(value);
}

/** RFC 6901. */
function tokens(pointer: string): string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw new PatchError(`invalid pointer: ${pointer}`);
  return pointer.slice(1).split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function step(value: Json | undefined, token: string): Json | undefined {
  if (Array.isArray(value)) return value[index(value, token, value.length - 1)];
  return isJsonObject(value) && Object.hasOwn(value, token) ? value[token] : undefined;
}

/** Array indices; negative ones count from the end, as upstream's library allows. */
function index(list: readonly Json[], token: string, most: number): number {
  if (!/^-?(0|[1-9]\d*)$/.test(token)) throw new PatchError(`invalid array index: ${token}`);
  let at = Number(token);
  if (at < 0) at += most + 1;
  if (at < 0 || at > most) throw new PatchError(`Unable to access invalid index: ${token}`);
  return at;
}

function tryGet(doc: Json, pointer: string): Json | undefined {
  let value: Json | undefined = doc;
  for (const token of tokens(pointer)) value = step(value, token);
  return value;
}
function get(doc: Json, pointer: string, op: string): Json {
  const value = tryGet(doc, pointer);
  if (value === undefined) throw new PatchError(`${op} operation does not apply: doc is missing from path: ${pointer}`);
  return value;
}

function parentOf(doc: Json, pointer: string, op: string): { parent: Json[] | JsonObject; token: string } {
  const path = tokens(pointer);
  const token = path.pop();
  let parent: Json | undefined = doc;
  for (const part of path) parent = step(parent, part);
  if (token === undefined || typeof parent !== 'object' || parent === null) throw new PatchError(`${op} operation does not apply: doc is missing path: "${pointer}"`);
  return { parent, token };
}

function add(root: { doc: Json }, pointer: string, value: Json, op: string): void {
  if (pointer === '') { root.doc = value; return; }
  const { parent, token } = parentOf(root.doc, pointer, op);
  if (!Array.isArray(parent)) setOwn(parent, token, value);
  else if (token === '-') parent.push(value);
  else parent.splice(index(parent, token, parent.length), 0, value);
}

/** Removes, or with `leave` only checks that there is something. */
function remove(root: { doc: Json }, pointer: string, op: string, leave = false): void {
  const { parent, token } = parentOf(root.doc, pointer, op);
  if (Array.isArray(parent)) {
    const at = index(parent, token, parent.length - 1);
    if (!leave) parent.splice(at, 1);
    return;
  }
  if (!Object.hasOwn(parent, token)) throw new PatchError(`${op} operation does not apply: doc is missing key: ${pointer}`);
  if (!leave) delete parent[token];
}

function put(root: { doc: Json }, pointer: string, value: Json): void {
  if (pointer === '') { root.doc = value; return; }
  const { parent, token } = parentOf(root.doc, pointer, 'replace');
  if (Array.isArray(parent)) parent[index(parent, token, parent.length - 1)] = value;
  else setOwn(parent, token, value);
}
