/**
 * Problems with fields, in upstream's words, and the paths they name. A path is a chain of small nodes; its text is made only
 * when an error needs it. Source: apimachinery/pkg/util/validation/field.
 */
import type { FieldError } from '../meta/status.ts';
export type { FieldError } from '../meta/status.ts';

/** `field('spec', 'containers').index(0).child('name')` reads 'spec.containers[0].name'. The empty path reads '<nil>'. */
export class FieldPath {
  readonly parent: FieldPath | undefined;
  readonly part: string | number;
  readonly kind: 'child' | 'index' | 'key';
  constructor(parent: FieldPath | undefined, part: string | number, kind: 'child' | 'index' | 'key') {
    this.parent = parent;
    this.part = part;
    this.kind = kind;
  }
  child(name: string, ...more: string[]): FieldPath {
    let path = new FieldPath(this, name, 'child');
    for (const next of more) path = new FieldPath(path, next, 'child');
    return path;
  }
  index(at: number): FieldPath { return new FieldPath(this, at, 'index'); }
  key(key: string): FieldPath { return new FieldPath(this, key, 'key'); }
  toString(): string {
    const before = this.parent ? this.parent.toString() : '';
    if (this.kind !== 'child') return `${before}[${this.part}]`;
    return before === '' ? String(this.part) : `${before}.${this.part}`;
  }
}

export function field(name: string, ...more: string[]): FieldPath {
  return more.length === 0 ? new FieldPath(undefined, name, 'child') : new FieldPath(undefined, name, 'child').child(more[0]!, ...more.slice(1));
}

/** Go's %q. */
export function quote(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is escaped
  return `"${text.replace(/[\\"\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => {
    const short = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\t': '\\t', '\r': '\\r', '\u0007': '\\a', '\b': '\\b', '\f': '\\f', '\v': '\\v' }[char];
    const code = char.charCodeAt(0);
    return short ?? (code < 0x80 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`);
  })}"`;
}

/** Go's encoding/json escapes these in strings. */
const goJson = (value: unknown) => (JSON.stringify(value) ?? 'null').replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
const shown = (value: unknown) => (typeof value === 'string' ? quote(value) : goJson(value));
const withDetail = (text: string, detail: string) => (detail === '' ? text : `${text}: ${detail}`);

export const required = (path: FieldPath, detail = ''): FieldError => ({ type: 'FieldValueRequired', field: path.toString(), detail: withDetail('Required value', detail) });
export const invalid = (path: FieldPath, value: unknown, detail: string): FieldError =>
  ({ type: 'FieldValueInvalid', field: path.toString(), detail: withDetail(`Invalid value: ${shown(value)}`, detail) });
export const typeInvalid = (path: FieldPath, value: unknown, detail: string): FieldError =>
  ({ type: 'FieldValueTypeInvalid', field: path.toString(), detail: withDetail(`Invalid value: ${shown(value)}`, detail) });
/** `values` are listed in the order given: pass them sorted where upstream has a set. */
export const notSupported = (path: FieldPath, value: unknown, values: Iterable<string>): FieldError => {
  const list = [...values].map(quote).join(', ');
  return { type: 'FieldValueNotSupported', field: path.toString(), detail: withDetail(`Unsupported value: ${shown(value)}`, list === '' ? '' : `supported values: ${list}`) };
};
export const notFound = (path: FieldPath, value: unknown): FieldError => ({ type: 'FieldValueNotFound', field: path.toString(), detail: `Not found: ${shown(value)}` });
export const duplicate = (path: FieldPath, value: unknown): FieldError => ({ type: 'FieldValueDuplicate', field: path.toString(), detail: `Duplicate value: ${shown(value)}` });
export const forbidden = (path: FieldPath, detail: string): FieldError => ({ type: 'FieldValueForbidden', field: path.toString(), detail: withDetail('Forbidden', detail) });
export const internalError = (path: FieldPath, detail: string): FieldError => ({ type: 'InternalError', field: path.toString(), detail: `Internal error: ${detail}` });
const counted = (count: number, unit: string) => `${count} ${unit}${count === 1 ? '' : 's'}`;
/** `maxBytes` below 0: 'value is too long'. */
export const tooLong = (path: FieldPath, maxBytes: number): FieldError =>
  ({ type: 'FieldValueTooLong', field: path.toString(), detail: `Too long: ${maxBytes >= 0 ? `may not be more than ${counted(maxBytes, 'byte')}` : 'value is too long'}` });
export const tooLongCharacters = (path: FieldPath, max: number): FieldError =>
  ({ type: 'FieldValueTooLong', field: path.toString(), detail: `Too long: may not be more than ${counted(max, 'character')}` });
export const tooShort = (path: FieldPath, min: number): FieldError =>
  ({ type: 'FieldValueTooShort', field: path.toString(), detail: `Too short: must be at least ${counted(min, 'character')}` });
/** `actual` below 0 is left out. */
export const tooMany = (path: FieldPath, actual: number, max: number): FieldError =>
  ({ type: 'FieldValueTooMany', field: path.toString(), detail: `Too many${actual >= 0 ? `: ${actual}` : ''}: must have at most ${counted(max, 'item')}` });
export const tooFew = (path: FieldPath, actual: number, min: number): FieldError =>
  ({ type: 'FieldValueTooFew', field: path.toString(), detail: `Too few: ${actual}: must have at least ${counted(min, 'item')}` });

export const fieldImmutable = 'field is immutable';
export const isNegative = 'must be greater than or equal to 0';

/** Adds an `invalid` error for each message. Returns true when there was one. */
export function addInvalid(errors: FieldError[], path: FieldPath, value: unknown, messages: readonly string[]): boolean {
  for (const message of messages) errors.push(invalid(path, value, message));
  return messages.length > 0;
}
/** The same for a child of `path`, whose node is made only when there is an error. */
export function addInvalidChild(errors: FieldError[], path: FieldPath, child: string, value: unknown, messages: readonly string[]): boolean {
  return messages.length > 0 && addInvalid(errors, path.child(child), value, messages);
}
