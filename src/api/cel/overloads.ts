/**
 * Functions as data: a signature in text, `string.charAt(int) string` or `sets.contains(list<T>, list<T>) bool`, and what it does. The
 * checker reads the types, the evaluator picks by the values. Libraries are lists of these.
 */
import { bool, bytes, double, duration, dyn, int, list, map, nullType, opaque, optional, param, string, timestamp, typeType, uint, type CelType } from './types.ts';
import { CelList, CelMap, Duration, Optional, Timestamp, TypeValue, UInt, type Value } from './values.ts';

export interface CallContext { /** Throws when the limit is passed. */ spend(cost: number): void }
export type Implementation = (args: readonly Value[], context: CallContext) => Value;
export interface Overload { name: string; receiver: boolean; args: readonly CelType[]; result: CelType; run: Implementation }
export type Library = readonly Overload[];

const names: Readonly<Record<string, CelType>> = { bool, bytes, double, duration, dyn, int, list: list(dyn), map: map(dyn, dyn), null: nullType, string, timestamp, type: typeType, uint };
const parsed = new Map<string, CelType>();
/** 'list<T>', 'map<K, V>', 'optional<T>', 'int', 'kubernetes.Quantity'; one capital letter is a type parameter. */
function parseType(text: string): CelType {
  const known = parsed.get(text);
  if (known) return known;
  const inner = /^(list|map|optional)<(.*)>$/.exec(text);
  const make = (): CelType => {
    if (!inner) return names[text] ?? (/^[A-Z]$/.test(text) ? param(text) : opaque(text));
    const [, kind, args = ''] = inner;
    if (kind === 'list') return list(parseType(args));
    if (kind === 'optional') return optional(parseType(args));
    const comma = args.indexOf(',');
    return map(parseType(args.slice(0, comma).trim()), parseType(args.slice(comma + 1).trim()));
  };
  const type = make();
  parsed.set(text, type);
  return type;
}
function splitArgs(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let current = '';
  for (const char of text) {
    if (char === '<') depth++;
    if (char === '>') depth--;
    if (char === ',' && depth === 0) { out.push(current.trim()); current = ''; } else current += char;
  }
  if (current.trim()) out.push(current.trim());
  return out;
}

/** `<receiver>.name(args) result` for methods (the receiver in angle brackets), `name(args) result` for functions. */
export function fn(signature: string, run: Implementation): Overload {
  const match = /^(?:<(.+?)>\.)?([\w.@!?:+\-*/%<>=&|]+?)\((.*)\) (\S.*)$/.exec(signature);
  if (!match) throw new Error(`not a signature: ${signature}`);
  const [, receiver, name = '', args = '', result = ''] = match;
  return { name, receiver: receiver !== undefined, args: [...(receiver === undefined ? [] : [receiver]), ...splitArgs(args)].map(parseType), result: parseType(result), run };
}

export class Functions {
  readonly #byName = new Map<string, Overload[]>();
  constructor(...libraries: readonly Library[]) {
    for (const overload of libraries.flat()) {
      const known = this.#byName.get(overload.name);
      if (known) known.push(overload); else this.#byName.set(overload.name, [overload]);
    }
  }
  find(name: string): readonly Overload[] { return this.#byName.get(name) ?? []; }
  has(name: string): boolean { return this.#byName.has(name); }
}

/** Whether a value can be passed where `type` is wanted. Members of lists and maps are not looked at. */
export function accepts(type: CelType, value: Value): boolean {
  switch (type.kind) {
    case 'dyn': case 'param': case 'error': return true;
    case 'string': return typeof value === 'string';
    case 'int': return typeof value === 'bigint';
    case 'double': return typeof value === 'number';
    case 'bool': return typeof value === 'boolean';
    case 'uint': return value instanceof UInt;
    case 'bytes': return value instanceof Uint8Array;
    case 'null': return value === null;
    case 'timestamp': return value instanceof Timestamp;
    case 'duration': return value instanceof Duration;
    case 'type': return value instanceof TypeValue;
    case 'list': return value instanceof CelList;
    case 'map': case 'object': return value instanceof CelMap;
    case 'optional': return value instanceof Optional;
    case 'opaque': return typeof value === 'object' && value !== null && 'type' in value && value.type === type.name;
  }
}
