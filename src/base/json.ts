/** JSON as values, and the two views of an object's type: read-only as handed out, draft while being built. */
export type Json = string | number | boolean | null | JsonObject | Json[];
export interface JsonObject { [key: string]: Json | undefined }

/** A deep mutable view of a read-only API type, for code that owns the object it changes. */
export type Draft<T> = T extends (infer U)[] ? Draft<U>[] : T extends readonly (infer U)[] ? Draft<U>[]
  : T extends object ? { -readonly [K in keyof T]: Draft<T[K]> } : T;

/** A deep copy that the caller may change. */
export function draftOf<T>(value: T): Draft<T> { return structuredClone(value) as Draft<T>; }

/** Freezes a JSON value all the way down and returns it. Used on shared objects under test, where a stray write must show. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}

/** A deep copy of a JSON value, several times faster than structuredClone. */
export function cloneJson<T extends Json | undefined>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => cloneJson(item)) as T;
  const out: JsonObject = {};
  for (const key in value) setOwn(out, key, cloneJson((value as JsonObject)[key]));
  return out as T;
}

/** `target[key] = value`, also for the key '__proto__', which assignment would take for the prototype. */
export function setOwn(target: JsonObject, key: string, value: Json | undefined): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equal as JSON: order of keys does not matter; undefined and absent are one. */
export function jsonEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => jsonEqual(item, b[index]));
  if (Array.isArray(b)) return false;
  for (const key in a) if (!jsonEqual(a[key], Object.hasOwn(b, key) ? b[key] : undefined)) return false;
  for (const key in b) if (b[key] !== undefined && !Object.hasOwn(a, key)) return false;
  return true;
}
