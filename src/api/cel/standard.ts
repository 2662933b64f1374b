/** CEL's standard functions, with optionals. Source: CEL language definition, "List of Standard Definitions"; cel-go common/stdlib. */
import { inInt, inUint } from './evaluate.ts';
import { fn, type Library } from './overloads.ts';
import { compileRegex, RegexError } from './re2.ts';
import { ArrayList, CelError, CelList, CelMap, durationOf, formatDuration, formatTimestamp, none, Optional, parseDuration, parseTimestamp, timestampOf, UInt, type Duration, type Timestamp, type Value } from './values.ts';

/** The reader of argument i as what its signature says. */
type Args = readonly Value[];
export const text = (args: Args, i: number): string => args[i] as string;
export const big = (args: Args, i: number): bigint => args[i] as bigint;
export const listAt = (args: Args, i: number): CelList => args[i] as CelList;
const real = (args: Args, i: number): number => args[i] as number;
const unsigned = (args: Args, i: number): bigint => (args[i] as UInt).value;
const nanos = (args: Args, i: number): bigint => (args[i] as Duration | Timestamp).nanos;
const binary = (args: Args, i: number): Uint8Array => args[i] as Uint8Array;

const notZero = (value: bigint, what: string): bigint => { if (value === 0n) throw new CelError(what); return value; };
const fromDouble = (value: number, low: number, high: number, what: string): bigint => {
  if (!Number.isFinite(value) || value <= low || value >= high) throw new CelError(what);
  return BigInt(Math.trunc(value));
};
const shownDouble = (value: number): string => (Number.isNaN(value) ? 'NaN' : value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : goDouble(value));
/** As Go's strconv 'g' with the shortest digits. */
function goDouble(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e21)) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return String(value);
}
const codePoints = (value: string): number => { let n = 0; for (const _ of value) n++; return n; };
const parseInteger = (value: string, what: string): bigint => { if (!/^[+-]?\d{1,30}$/.test(value)) throw new CelError(`strconv.${what}: parsing ${JSON.stringify(value)}: invalid syntax`); return BigInt(value.replace('+', '')); };

const zones = new Map<string, Intl.DateTimeFormat>();
/** The wall clock of a zone as a UTC date. */
function inZone(at: bigint, zone: string): Date {
  const ms = Number(at / 1_000_000n) - (at < 0n && at % 1_000_000n !== 0n ? 1 : 0);
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset) return new Date(ms + (offset[1] === '-' ? -1 : 1) * (Number(offset[2]) * 60 + Number(offset[3])) * 60_000);
  if (zone === '' || zone === 'UTC') return new Date(ms);
  let format = zones.get(zone);
  if (!format) {
    try { format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }); } catch { throw new CelError(`unknown time zone ${zone}`); }
    if (zones.size < 500) zones.set(zone, format);
  }
  const part = Object.fromEntries(format.formatToParts(new Date(ms)).map(({ type, value }) => [type, Number(value)])) as Record<string, number>;
  return new Date(Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second, ((ms % 1000) + 1000) % 1000));
}
const dateParts: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(), getMonth: (date) => date.getUTCMonth(), getDayOfYear: (date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000),
  getDayOfMonth: (date) => date.getUTCDate() - 1, getDate: (date) => date.getUTCDate(), getDayOfWeek: (date) => date.getUTCDay(),
  getHours: (date) => date.getUTCHours(), getMinutes: (date) => date.getUTCMinutes(), getSeconds: (date) => date.getUTCSeconds(), getMilliseconds: (date) => date.getUTCMilliseconds(),
};

const isZero = (value: Value): boolean => value === null || value === '' || value === false || value === 0 || value === 0n || (value instanceof CelList && value.size === 0) || (value instanceof CelMap && value.size === 0) || (value instanceof UInt && value.value === 0n);

/** Operators are run by the evaluator where it can; their types are here. */
const compareTypes = ['bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration'];
const numbers = ['int', 'uint', 'double'];
const unreachable = (): never => { throw new CelError('no such overload'); };
const operators: Library = [
  fn('!_(bool) bool', unreachable), fn('-_(int) int', unreachable), fn('-_(double) double', unreachable),
  ...['_<_', '_<=_', '_>_', '_>=_'].flatMap((name) => [
    ...compareTypes.map((type) => fn(`${name}(${type}, ${type}) bool`, unreachable)),
    ...numbers.flatMap((a) => numbers.filter((b) => b !== a).map((b) => fn(`${name}(${a}, ${b}) bool`, unreachable))),
  ]),
  fn('@in(A, list<A>) bool', unreachable), fn('@in(A, map<A, B>) bool', unreachable),
  fn('_+_(int, int) int', (args) => inInt(big(args, 0) + big(args, 1))), fn('_-_(int, int) int', (args) => inInt(big(args, 0) - big(args, 1))),
  fn('_*_(int, int) int', (args) => inInt(big(args, 0) * big(args, 1))), fn('_/_(int, int) int', (args) => inInt(big(args, 0) / notZero(big(args, 1), 'division by zero'))), fn('_%_(int, int) int', (args) => big(args, 0) % notZero(big(args, 1), 'modulus by zero')),
  fn('_+_(uint, uint) uint', (args) => inUint(unsigned(args, 0) + unsigned(args, 1))), fn('_-_(uint, uint) uint', (args) => inUint(unsigned(args, 0) - unsigned(args, 1))),
  fn('_*_(uint, uint) uint', (args) => inUint(unsigned(args, 0) * unsigned(args, 1))), fn('_/_(uint, uint) uint', (args) => inUint(unsigned(args, 0) / notZero(unsigned(args, 1), 'division by zero'))), fn('_%_(uint, uint) uint', (args) => inUint(unsigned(args, 0) % notZero(unsigned(args, 1), 'modulus by zero'))),
  fn('_+_(double, double) double', (args) => real(args, 0) + real(args, 1)), fn('_-_(double, double) double', (args) => real(args, 0) - real(args, 1)),
  fn('_*_(double, double) double', (args) => real(args, 0) * real(args, 1)), fn('_/_(double, double) double', (args) => real(args, 0) / real(args, 1)),
  fn('_+_(string, string) string', (args) => text(args, 0) + text(args, 1)),
  fn('_+_(bytes, bytes) bytes', (args, { spend }) => { void spend; return new Uint8Array(Buffer.concat([binary(args, 0), binary(args, 1)])); }),
  fn('_+_(list<A>, list<A>) list<A>', (args, context) => { context.spend(listAt(args, 0).size + listAt(args, 1).size); return new ArrayList([...listAt(args, 0), ...listAt(args, 1)]); }),
  fn('_+_(duration, duration) duration', (args) => durationOf(nanos(args, 0) + nanos(args, 1))), fn('_-_(duration, duration) duration', (args) => durationOf(nanos(args, 0) - nanos(args, 1))),
  fn('_+_(timestamp, duration) timestamp', (args) => timestampOf(nanos(args, 0) + nanos(args, 1))), fn('_+_(duration, timestamp) timestamp', (args) => timestampOf(nanos(args, 0) + nanos(args, 1))),
  fn('_-_(timestamp, duration) timestamp', (args) => timestampOf(nanos(args, 0) - nanos(args, 1))), fn('_-_(timestamp, timestamp) duration', (args) => durationOf(nanos(args, 0) - nanos(args, 1))),
];

const sizes: readonly [string, (value: Value) => number][] = [['string', (value) => codePoints(value as string)], ['bytes', (value) => (value as Uint8Array).length], ['list<A>', (value) => (value as CelList).size], ['map<A, B>', (value) => (value as CelMap).size]];

export const standardLibrary: Library = [
  ...operators,
  ...sizes.flatMap(([type, size]) => [fn(`size(${type}) int`, ([value]) => BigInt(size(value!))), fn(`<${type}>.size() int`, ([value]) => BigInt(size(value!)))]),
  fn('<string>.contains(string) bool', (args) => text(args, 0).includes(text(args, 1))),
  fn('<string>.startsWith(string) bool', (args) => text(args, 0).startsWith(text(args, 1))),
  fn('<string>.endsWith(string) bool', (args) => text(args, 0).endsWith(text(args, 1))),
  ...['<string>.matches(string) bool', 'matches(string, string) bool'].map((signature) => fn(signature, (args, context) => {
    try {
      const regex = compileRegex(text(args, 1));
      context.spend((text(args, 0).length / 10 + 1) * Math.max(1, regex.size / 2));
      return regex.test(text(args, 0));
    } catch (err) { throw err instanceof RegexError ? new CelError(err.message) : err; }
  })),
  // conversions
  fn('bool(bool) bool', ([value]) => value!), fn('bool(string) bool', (args) => {
    if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text(args, 0))) return true;
    if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text(args, 0))) return false;
    throw new CelError(`strconv.ParseBool: parsing ${JSON.stringify(text(args, 0))}: invalid syntax`);
  }),
  fn('int(int) int', ([value]) => value!), fn('int(uint) int', (args) => inInt(unsigned(args, 0))), fn('int(double) int', (args) => fromDouble(real(args, 0), -(2 ** 63), 2 ** 63, 'integer overflow')),
  fn('int(string) int', (args) => inInt(parseInteger(text(args, 0), 'ParseInt'))), fn('int(timestamp) int', (args) => { const at = nanos(args, 0); const whole = at / 1_000_000_000n; return at < 0n && at % 1_000_000_000n !== 0n ? whole - 1n : whole; }),
  fn('int(duration) int', (args) => nanos(args, 0)),
  fn('uint(uint) uint', ([value]) => value!), fn('uint(int) uint', (args) => inUint(big(args, 0))), fn('uint(double) uint', (args) => inUint(fromDouble(real(args, 0), -1, 2 ** 64, 'unsigned integer overflow'))), fn('uint(string) uint', (args) => inUint(parseInteger(text(args, 0), 'ParseUint'))),
  fn('double(double) double', ([value]) => value!), fn('double(int) double', (args) => Number(big(args, 0))), fn('double(uint) double', (args) => Number(unsigned(args, 0))),
  fn('double(string) double', (args) => {
    const value = text(args, 0);
    if (/^[+-]?inf(?:inity)?$/i.test(value)) return value.startsWith('-') ? -Infinity : Infinity;
    if (/^nan$/i.test(value)) return NaN;
    if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) throw new CelError(`strconv.ParseFloat: parsing ${JSON.stringify(value)}: invalid syntax`);
    return Number(value);
  }),
  fn('string(string) string', ([value]) => value!), fn('string(bool) string', ([value]) => String(value)), fn('string(int) string', ([value]) => String(value)), fn('string(uint) string', (args) => String(unsigned(args, 0))),
  fn('string(double) string', (args) => shownDouble(real(args, 0))), fn('string(timestamp) string', ([value]) => formatTimestamp(value as Timestamp)), fn('string(duration) string', ([value]) => formatDuration(value as Duration)),
  fn('string(bytes) string', (args) => { try { return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(binary(args, 0)); } catch { throw new CelError('invalid UTF-8 in bytes, cannot convert to string'); } }),
  fn('bytes(bytes) bytes', ([value]) => value!), fn('bytes(string) bytes', (args) => new Uint8Array(Buffer.from(text(args, 0)))),
  fn('timestamp(timestamp) timestamp', ([value]) => value!), fn('timestamp(string) timestamp', (args) => parseTimestamp(text(args, 0))), fn('timestamp(int) timestamp', (args) => timestampOf(big(args, 0) * 1_000_000_000n)),
  fn('duration(duration) duration', ([value]) => value!), fn('duration(string) duration', (args) => parseDuration(text(args, 0))), fn('duration(int) duration', (args) => durationOf(big(args, 0))),
  // time
  ...Object.entries(dateParts).flatMap(([name, part]) => [
    fn(`<timestamp>.${name}() int`, (args) => BigInt(part(inZone(nanos(args, 0), '')))),
    fn(`<timestamp>.${name}(string) int`, (args) => BigInt(part(inZone(nanos(args, 0), text(args, 1))))),
  ]),
  fn('<duration>.getHours() int', (args) => nanos(args, 0) / 3_600_000_000_000n), fn('<duration>.getMinutes() int', (args) => nanos(args, 0) / 60_000_000_000n),
  fn('<duration>.getSeconds() int', (args) => nanos(args, 0) / 1_000_000_000n), fn('<duration>.getMilliseconds() int', (args) => nanos(args, 0) / 1_000_000n),
  // optionals; or, orValue and optMap are run by the evaluator
  fn('optional.of(T) optional<T>', ([value]) => new Optional(value!)), fn('optional.none() optional<T>', () => none),
  fn('optional.ofNonZeroValue(T) optional<T>', ([value]) => (isZero(value!) ? none : new Optional(value!))),
  fn('<optional<T>>.hasValue() bool', ([value]) => (value as Optional).value !== undefined),
  fn('<optional<T>>.value() T', ([value]) => { const inner = (value as Optional).value; if (inner === undefined) throw new CelError('optional.none() dereference'); return inner; }),
  fn('<optional<T>>.or(optional<T>) optional<T>', unreachable), fn('<optional<T>>.orValue(T) T', unreachable),
];
