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
