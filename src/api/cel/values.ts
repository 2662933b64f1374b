/**
 * Values while an expression runs. JSON data is not converted up front: lists and maps over it hand out converted members on
 * demand, by their static type where there is one. Ints are bigint, doubles number. Source: CEL language definition, "Values".
 */
import { setOwn, type Json, type JsonObject } from '../../base/json.ts';
import { unescapeIdentifier } from './escape.ts';
import { dyn, string as stringType, type CelType } from './types.ts';

/** What went wrong while an expression ran. `fatal`: no `||` or `&&` may swallow it (the cost limit). */
export class CelError extends Error {
  override name = 'CelError';
  readonly fatal: boolean;
  constructor(message: string, fatal = false) { super(message); this.fatal = fatal; }
}

export class UInt { readonly value: bigint; constructor(value: bigint) { this.value = value; } }
/** Nanoseconds since the Unix epoch. */
export class Timestamp { readonly nanos: bigint; constructor(nanos: bigint) { this.nanos = nanos; } }
export class Duration { readonly nanos: bigint; constructor(nanos: bigint) { this.nanos = nanos; } }
export class TypeValue { readonly name: string; constructor(name: string) { this.name = name; } }
export class Optional { readonly value: Value | undefined; constructor(value?: Value) { this.value = value; } }
export const none = new Optional();
/** A library's own value: Quantity, URL, IP, Authorizer … */
export abstract class Opaque {
  abstract readonly type: string;
  equals(other: Opaque): boolean { return this === other; }
}

export abstract class CelList {
  abstract readonly size: number;
  abstract get(index: number): Value;
  *[Symbol.iterator](): Iterator<Value> { for (let i = 0; i < this.size; i++) yield this.get(i); }
}
export class ArrayList extends CelList {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) { super(); this.items = items; }
  get size(): number { return this.items.length; }
  get(index: number): Value { return this.items[index]!; }
}
export class JsonList extends CelList {
  readonly raw: readonly Json[];
  readonly items: CelType;
  constructor(raw: readonly Json[], items: CelType) { super(); this.raw = raw; this.items = items; }
  get size(): number { return this.raw.length; }
  get(index: number): Value { return toCel(this.raw[index]!, this.items); }
}

export abstract class CelMap {
  abstract readonly size: number;
  /** Undefined: no such key. */
  abstract get(key: Value): Value | undefined;
  abstract keys(): Iterable<Value>;
  /** `map.name`; differs from `get` where names are escaped. */
  field(name: string): Value | undefined { return this.get(name); }
  get typeName(): string { return 'map'; }
}
/** Keys of int, uint and double are one where equal. */
function keyText(key: Value): string {
  if (typeof key === 'string') return `s${key}`;
  if (typeof key === 'bigint') return `n${key}`;
  if (typeof key === 'number') return `n${key}`;
  if (typeof key === 'boolean') return `b${key}`;
  if (key instanceof UInt) return `n${key.value}`;
  throw new CelError(`unsupported key type: ${typeNameOf(key)}`);
}
export class ValueMap extends CelMap {
  readonly entries = new Map<string, readonly [Value, Value]>();
  readonly #typeName: string;
  constructor(entries: Iterable<readonly [Value, Value]> = [], typeName = 'map') { super(); this.#typeName = typeName; for (const [key, value] of entries) this.set(key, value); }
  override get typeName(): string { return this.#typeName; }
  set(key: Value, value: Value): void { this.entries.set(keyText(key), [key, value]); }
  get size(): number { return this.entries.size; }
  get(key: Value): Value | undefined { return this.entries.get(keyText(key))?.[1]; }
  *keys(): Iterable<Value> { for (const [key] of this.entries.values()) yield key; }
}
export class JsonMap extends CelMap {
  readonly raw: JsonObject;
  readonly type: CelType;
  constructor(raw: JsonObject, type: CelType) { super(); this.raw = raw; this.type = type; }
  get size(): number { let n = 0; for (const key in this.raw) if (this.raw[key] !== undefined) n++; return n; }
  get(key: Value): Value | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.raw, key)) return undefined;
    const value = this.raw[key];
    if (value === undefined) return undefined;
    const { type } = this;
    return toCel(value, type.kind === 'map' ? type.values : type.kind === 'object' ? type.field(key) ?? dyn : dyn);
  }
  override field(name: string): Value | undefined {
    const { type } = this;
    if (type.kind === 'object') {
      const json = type.jsonName?.(name) ?? name;
      const value = Object.hasOwn(this.raw, json) ? this.raw[json] : undefined;
      const fieldType = type.field(name) ?? dyn;
      // A null where the schema has no null counts as absent.
      return value === undefined || (value === null && !fieldType.nullable && fieldType.kind !== 'dyn' && fieldType.kind !== 'null') ? undefined : toCel(value, fieldType);
    }
    const own = this.get(name);
    return own === undefined && name.includes('__') ? this.get(unescapeIdentifier(name)) : own;
  }
  *keys(): Iterable<Value> { for (const key in this.raw) if (this.raw[key] !== undefined) yield key; }
  override get typeName(): string { return this.type.kind === 'object' ? this.type.name : 'map'; }
}

export type Value = boolean | bigint | number | string | null | UInt | Uint8Array | Timestamp | Duration | CelList | CelMap | TypeValue | Optional | Opaque;

/** JSON as a value of `type`. Untyped numbers are ints where they are whole. */
export function toCel(raw: Json, type: CelType): Value {
  switch (typeof raw) {
    case 'string':
      if (type.kind === 'string' || type.kind === 'dyn') return raw;
      if (type.kind === 'timestamp') return parseTimestamp(/^\d{4}-\d\d-\d\d$/.test(raw) ? `${raw}T00:00:00Z` : raw);
      if (type.kind === 'duration') return parseDuration(raw);
      if (type.kind === 'bytes') return new Uint8Array(Buffer.from(raw, 'base64'));
      return raw;
    case 'number':
      if (type.kind === 'double') return raw;
      return Number.isInteger(raw) ? BigInt(raw) : raw;
    case 'boolean': return raw;
    default:
      if (raw === null) return null;
      if (Array.isArray(raw)) return new JsonList(raw, type.kind === 'list' ? type.items : dyn);
      return new JsonMap(raw, type);
  }
}
export const fromStrings = (values: readonly string[]): CelList => new JsonList(values as string[], stringType);

/** Lists and maps in one result: a short expression can name one list many times over. */
const maxJsonNodes = 200_000;

/** A value as JSON; throws for what JSON has no form for. */
export function toJson(value: Value, room = { left: maxJsonNodes }): Json {
  if (--room.left < 0) throw new CelError('operation cancelled: actual cost limit exceeded', true);
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof UInt) return Number(value.value);
  if (value instanceof JsonList) return value.raw as Json[];
  if (value instanceof JsonMap) return value.raw;
  if (value instanceof CelList) return [...value].map((one) => toJson(one, room));
  if (value instanceof CelMap) {
    const out: JsonObject = {};
    for (const key of value.keys()) setOwn(out, typeof key === 'string' ? key : String(toJson(key)), toJson(value.get(key)!, room));
    return out;
  }
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Optional && value.value !== undefined) return toJson(value.value, room);
  throw new CelError(`unsupported conversion from '${typeNameOf(value)}' to JSON`);
}

export function typeNameOf(value: Value): string {
  switch (typeof value) {
    case 'string': return 'string';
    case 'bigint': return 'int';
    case 'number': return 'double';
    case 'boolean': return 'bool';
  }
  if (value === null) return 'null_type';
  if (value instanceof UInt) return 'uint';
  if (value instanceof CelList) return 'list';
  if (value instanceof CelMap) return value.typeName;
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp';
  if (value instanceof Duration) return 'google.protobuf.Duration';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof TypeValue) return 'type';
  if (value instanceof Optional) return 'optional_type';
  return value.type;
}

const isNumber = (value: Value): value is bigint | number | UInt => typeof value === 'bigint' || typeof value === 'number' || value instanceof UInt;
const numeric = (value: bigint | number | UInt): bigint | number => (value instanceof UInt ? value.value : value);

/** `spend` is told of each member looked at. Values of different types are unequal. */
export function equal(a: Value, b: Value, spend: (n: number) => void): boolean {
  if (a === b) return true;
  // oxlint-disable-next-line eqeqeq
  if (isNumber(a)) return isNumber(b) && numeric(a) == numeric(b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof CelList) {
    if (!(b instanceof CelList) || a.size !== b.size) return false;
    for (let i = 0; i < a.size; i++) { spend(1); if (!equal(a.get(i), b.get(i), spend)) return false; }
    return true;
  }
  if (a instanceof CelMap) {
    if (!(b instanceof CelMap) || a.size !== b.size) return false;
    for (const key of a.keys()) {
      spend(1);
      const other = b.get(key);
      if (other === undefined || !equal(a.get(key)!, other, spend)) return false;
    }
    return true;
  }
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name;
  if (a instanceof Optional) return b instanceof Optional && (a.value === undefined || b.value === undefined ? a.value === b.value : equal(a.value, b.value, spend));
  return a instanceof Opaque && b instanceof Opaque && a.type === b.type && a.equals(b);
}

/** Negative, 0, positive; undefined where the two have no order. NaN has none. */
export function compare(a: Value, b: Value): number | undefined {
  if (isNumber(a) && isNumber(b)) { const x = numeric(a); const y = numeric(b); return x < y ? -1 : x > y ? 1 : x == y ? 0 : NaN; } // oxlint-disable-line eqeqeq
  if (typeof a === 'string' && typeof b === 'string') return a === b ? 0 : compareText(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return undefined;
}
/** By code point, as Go's UTF-8 order. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) { const hx = x >= 0xd800 && x < 0xe000; return hx === (y >= 0xd800 && y < 0xe000) ? x - y : hx ? 1 : -1; }
  }
  return a.length - b.length;
}

// ---- time

const second = 1_000_000_000n;
const minTimestamp = -62135596800n * second;
const maxTimestamp = 253402300800n * second - 1n;
export function timestampOf(nanos: bigint): Timestamp {
  if (nanos < minTimestamp || nanos > maxTimestamp) throw new CelError('timestamp overflow');
  return new Timestamp(nanos);
}
export function durationOf(nanos: bigint): Duration {
  if (nanos < -(2n ** 63n) || nanos >= 2n ** 63n) throw new CelError('duration overflow');
  return new Duration(nanos);
}
/** RFC 3339. */
export function parseTimestamp(text: string): Timestamp {
  const match = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const ms = match ? Date.parse(`${match[1]}T${match[2]}${match[4]!.toUpperCase()}`) : NaN;
  if (!match || Number.isNaN(ms)) throw new CelError(`parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(text)} as "2006"`);
  return timestampOf(BigInt(ms) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0')));
}
export function formatTimestamp({ nanos }: Timestamp): string {
  const fraction = ((nanos % second) + second) % second;
  const text = new Date(Number((nanos - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  return `${text}${fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`}Z`;
}
const units: Readonly<Record<string, bigint>> = { ns: 1n, us: 1000n, 'µs': 1000n, 'μs': 1000n, ms: 1_000_000n, s: second, m: 60n * second, h: 3600n * second };
/** As Go's time.ParseDuration. */
export function parseDuration(text: string): Duration {
  const wrong = () => new CelError(`time: invalid duration ${JSON.stringify(text)}`);
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text)!;
  if (rest === '0') return new Duration(0n);
  if (rest === '' || rest.length > 200) throw wrong();
  let nanos = 0n;
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;
  while (part.lastIndex < rest.length) {
    const match = part.exec(rest);
    if (!match || (match[1] === '' && !match[2])) throw wrong();
    const unit = units[match[3]!]!;
    const fraction = (match[2] ?? '').slice(0, 18);
    nanos += BigInt(match[1] || '0') * unit + (fraction ? BigInt(fraction) * unit / 10n ** BigInt(fraction.length) : 0n);
  }
  return durationOf(sign === '-' ? -nanos : nanos);
}
/** Seconds, as string(duration) in cel-go. */
export function formatDuration({ nanos }: Duration): string {
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = String(size % second).padStart(9, '0').replace(/0+$/, '');
  return `${nanos < 0n ? '-' : ''}${size / second}${fraction ? `.${fraction}` : ''}s`;
}
