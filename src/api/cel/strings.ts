/** cel-go's strings extension (version 2) and base64. Offsets count code points. Source: cel-go ext/strings.go, ext/formatting.go. */
import { fn, type Library } from './overloads.ts';
import { big, listAt, text } from './standard.ts';
import { CelError, CelList, CelMap, Duration, formatDuration, formatTimestamp, fromStrings, Timestamp, TypeValue, typeNameOf, UInt, type Value } from './values.ts';

/** Longest text a function makes. */
export const maxTextLength = 1024 * 1024;

const ascii = (value: string): boolean => !/[^\0-\x7f]/.test(value); // oxlint-disable-line no-control-regex
const points = (value: string): string | readonly string[] => (ascii(value) ? value : [...value]);
const slice = (value: string, start: number, end?: number): string => { const chars = points(value); return typeof chars === 'string' ? chars.slice(start, end) : chars.slice(start, end).join(''); };
const length = (value: string): number => points(value).length;
/** A UTF-16 offset as one of code points. */
const pointOffset = (value: string, offset: number): bigint => BigInt(offset < 0 ? offset : length(value.slice(0, offset)));
const unitOffset = (value: string, offset: number): number => slice(value, 0, offset).length;
function inRange(value: bigint, low: number, high: number): number {
  if (value < BigInt(low) || value > BigInt(high)) throw new CelError(`index out of range: ${value}`);
  return Number(value);
}
const bounded = (value: string): string => { if (value.length > maxTextLength) throw new CelError('operation cancelled: actual cost limit exceeded', true); return value; };

function replace(value: string, from: string, to: string, limit: bigint): string {
  if (limit === 0n) return value;
  let left = limit < 0n ? Infinity : Number(limit);
  if (from === '') {
    const chars = [...value];
    let out = '';
    for (let i = 0; i <= chars.length; i++) { if (left-- > 0) out += to; out += chars[i] ?? ''; bounded(out); }
    return out;
  }
  const parts = value.split(from);
  let out = parts[0]!;
  for (const part of parts.slice(1)) { out += (left-- > 0 ? to : from) + part; bounded(out); }
  return out;
}
function split(value: string, by: string, limit: bigint): string[] {
  if (limit === 0n) return [];
  const parts = by === '' ? [...value] : value.split(by);
  if (limit < 0n || BigInt(parts.length) <= limit) return parts;
  const n = Number(limit);
  return [...parts.slice(0, n - 1), parts.slice(n - 1).join(by)];
}
function join(list: CelList, by: string): string {
  const parts = [...list];
  for (const part of parts) if (typeof part !== 'string') throw new CelError('no such overload');
  return bounded(parts.join(by));
}
const asciiOnly = (value: string, change: (part: string) => string): string => value.replace(/[A-Za-z]+/g, change);
const quoteEscapes: Readonly<Record<string, string>> = { '\x07': '\\a', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v', '\\': '\\\\', '"': '\\"' };

const shownNumber = (value: number): string => (Number.isNaN(value) ? 'NaN' : value === Infinity ? 'Infinity' : value === -Infinity ? '-Infinity' : String(value));
function shown(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'number') return shownNumber(value);
  if (typeof value !== 'object') return String(value);
  if (value instanceof UInt) return String(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof TypeValue) return value.name;
  if (value instanceof CelList) return bounded(`[${[...value].map(shown).join(', ')}]`);
  if (value instanceof CelMap) return bounded(`{${[...value.keys()].map((key) => `${shown(key)}: ${shown(value.get(key)!)}`).toSorted().join(', ')}}`);
  throw new CelError(`no formatting function for type ${typeNameOf(value)}`);
}
const integer = (value: Value | undefined): bigint | undefined => (typeof value === 'bigint' ? value : value instanceof UInt ? value.value : undefined);
const signed = (value: bigint, base: number): string => (value < 0n ? `-${(-value).toString(base)}` : value.toString(base));

function format(pattern: string, args: CelList): string {
  let used = 0;
  let out = '';
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] !== '%') { out += pattern[i]; continue; }
    const [whole, precision, verb] = /^(?:\.(\d*))?(.)?/s.exec(pattern.slice(i + 1))!;
    i += whole.length;
    if (verb === '%') { out += '%'; continue; }
    if (verb === undefined) throw new CelError('could not parse formatting clause: unexpected end of string');
    if (used >= args.size) throw new CelError(`index ${used} out of range`);
    const value = args.get(used++);
    const wrong = (what: string) => new CelError(`error during formatting: ${what} clause can only be used on ${what === 'decimal' || what === 'octal' ? 'integers' : 'numbers'}, was given ${typeNameOf(value)}`);
    const places = Math.min(Number(precision || 6), 100);
    switch (verb) {
      case 's': out += shown(value); break;
      case 'd': { const n = integer(value); if (n !== undefined) out += n; else if (typeof value === 'number' && !Number.isFinite(value)) out += shownNumber(value); else throw wrong('decimal'); break; }
      case 'f': case 'e': {
        const n = typeof value === 'number' ? value : integer(value) === undefined ? undefined : Number(integer(value));
        if (n === undefined) throw wrong(verb === 'f' ? 'fixed-point' : 'scientific');
        out += Number.isFinite(n) ? (verb === 'f' ? n.toFixed(places) : n.toExponential(places).replace(/e([+-])(\d)$/, 'e$10$2')) : shownNumber(n);
        break;
      }
      case 'b': { const n = typeof value === 'boolean' ? BigInt(value) : integer(value); if (n === undefined) throw wrong('binary'); out += signed(n, 2); break; }
      case 'o': { const n = integer(value); if (n === undefined) throw wrong('octal'); out += signed(n, 8); break; }
      case 'x': case 'X': {
        const n = integer(value);
        const hex = n !== undefined ? signed(n, 16) : typeof value === 'string' ? Buffer.from(value).toString('hex') : value instanceof Uint8Array ? Buffer.from(value).toString('hex') : undefined;
        if (hex === undefined) throw wrong('hex');
        out += verb === 'X' ? hex.toUpperCase() : hex;
        break;
      }
      default: throw new CelError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
    }
    bounded(out);
  }
  return out;
}

export const stringsLibrary: Library = [
  fn('<string>.charAt(int) string', (args) => { const at = inRange(big(args, 1), 0, length(text(args, 0))); return slice(text(args, 0), at, at + 1); }),
  fn('<string>.indexOf(string) int', (args) => pointOffset(text(args, 0), text(args, 0).indexOf(text(args, 1)))),
  fn('<string>.indexOf(string, int) int', (args) => { const from = inRange(big(args, 2), 0, length(text(args, 0))); return pointOffset(text(args, 0), text(args, 0).indexOf(text(args, 1), unitOffset(text(args, 0), from))); }),
  fn('<string>.lastIndexOf(string) int', (args) => pointOffset(text(args, 0), text(args, 0).lastIndexOf(text(args, 1)))),
  fn('<string>.lastIndexOf(string, int) int', (args) => { const from = inRange(big(args, 2), 0, length(text(args, 0))); return pointOffset(text(args, 0), text(args, 0).lastIndexOf(text(args, 1), unitOffset(text(args, 0), from))); }),
  fn('<string>.lowerAscii() string', (args) => asciiOnly(text(args, 0), (part) => part.toLowerCase())),
  fn('<string>.upperAscii() string', (args) => asciiOnly(text(args, 0), (part) => part.toUpperCase())),
  fn('<string>.replace(string, string) string', (args) => replace(text(args, 0), text(args, 1), text(args, 2), -1n)),
  fn('<string>.replace(string, string, int) string', (args) => replace(text(args, 0), text(args, 1), text(args, 2), big(args, 3))),
  fn('<string>.split(string) list<string>', (args) => fromStrings(split(text(args, 0), text(args, 1), -1n))),
  fn('<string>.split(string, int) list<string>', (args) => fromStrings(split(text(args, 0), text(args, 1), big(args, 2)))),
  fn('<string>.substring(int) string', (args) => slice(text(args, 0), inRange(big(args, 1), 0, length(text(args, 0))))),
  fn('<string>.substring(int, int) string', (args) => {
    if (big(args, 1) > big(args, 2)) throw new CelError(`invalid substring range. start: ${big(args, 1)}, end: ${big(args, 2)}`);
    return slice(text(args, 0), inRange(big(args, 1), 0, length(text(args, 0))), inRange(big(args, 2), 0, length(text(args, 0))));
  }),
  fn('<string>.trim() string', (args) => text(args, 0).replace(/^[\s\u0085\u180e\u200b-\u200d\u2060\ufeff]+|[\s\u0085\u180e\u200b-\u200d\u2060\ufeff]+$/g, '')), // oxlint-disable-line no-misleading-character-class
  fn('<string>.reverse() string', (args) => [...text(args, 0)].toReversed().join('')),
  fn('<string>.format(list<dyn>) string', (args, context) => { context.spend(text(args, 0).length / 10 + listAt(args, 1).size); return format(text(args, 0), listAt(args, 1)); }),
  fn('<list<string>>.join() string', (args, context) => { context.spend(listAt(args, 0).size); return join(listAt(args, 0), ''); }),
  fn('<list<string>>.join(string) string', (args, context) => { context.spend(listAt(args, 0).size); return join(listAt(args, 0), text(args, 1)); }),
  fn('strings.quote(string) string', (args) => `"${text(args, 0).replace(/[\x07\b\f\n\r\t\v\\"]/g, (char) => quoteEscapes[char]!)}"`), // oxlint-disable-line no-control-regex
  fn('base64.encode(bytes) string', ([value]) => Buffer.from(value as Uint8Array).toString('base64')),
  fn('base64.decode(string) bytes', (args) => new Uint8Array(Buffer.from(text(args, 0), 'base64'))),
];
