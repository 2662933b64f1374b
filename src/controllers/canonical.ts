/** JSON with sorted keys and without undefined, for comparing and hashing; upstream's hash alphabet for names. */
import { nameSuffixAlphabet } from './names.ts';

export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const child = (value as Record<string, unknown>)[key];
    if (child !== undefined) fields.push(`${JSON.stringify(key)}:${canonical(child)}`);
  }
  return `{${fields.join(',')}}`;
}
export const same = (a: unknown, b: unknown): boolean => a === b || canonical(a ?? null) === canonical(b ?? null);

/** 32-bit FNV-1a. */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
/** Digits as letters that spell no words. Source: apimachinery util/rand SafeEncodeString. */
export function safeEncode(text: string): string {
  return [...text].map((char) => nameSuffixAlphabet[char.charCodeAt(0) % nameSuffixAlphabet.length]).join('');
}
/** The value of `pod-template-hash` and `controller-revision-hash`. Differs: hashed over canonical JSON, not Go's memory dump; a hash only has to agree with itself. */
export function templateHash(template: unknown, collisionCount: number | undefined): string {
  return safeEncode(String(fnv32a(canonical(template) + (collisionCount === undefined ? '' : `#${collisionCount}`))));
}
/** Without the fields that Go leaves out when empty: zeros, false, '' and empty lists. */
export function omitEmpty<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, child]) => child !== undefined && child !== 0 && child !== '' && child !== false && !(Array.isArray(child) && child.length === 0))) as T;
}
