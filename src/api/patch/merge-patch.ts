/** JSON Merge Patch, RFC 7386. */
import { cloneJson, isJsonObject, setOwn, type Json, type JsonObject } from '../../base/json.ts';
import { badRequest } from '../meta/status.ts';

/** Changes `doc` in place and returns it. The patch, which has to be an object, is left alone. */
export function mergePatch(doc: JsonObject, patch: Json): JsonObject {
  if (!isJsonObject(patch)) throw badRequest('Invalid JSON Patch');
  return merge(doc, patch);
}

function merge(doc: JsonObject, patch: JsonObject): JsonObject {
  for (const key in patch) {
    const value = patch[key];
    if (value === null || value === undefined) delete doc[key];
    else if (isJsonObject(value)) {
      const current = Object.hasOwn(doc, key) ? doc[key] : undefined;
      setOwn(doc, key, merge(isJsonObject(current) ? current : {}, value));
    } else setOwn(doc, key, cloneJson(value));
  }
  return doc;
}
