/**
 * Protocol buffers by description: CRI, etcd, OpenAPI and Kubernetes' own objects all encode through here.
 * A message is a record of `'<number> <type>'` strings; the TypeScript types follow from the same strings.
 * Text: protobuf.dev/programming-guides/encoding and proto3. Unknown fields are skipped; malformed input throws `ProtobufError`.
 *
 *   const api = defineMessages({
 *     Pod: { name: '1 string', labels: '2 map<string,string>', containers: '3 []Container', uid: '4 int64?' },
 *     Container: { image: '1 string' },
 *   });
 *   api.decode('Pod', api.encode('Pod', { name: 'a' })) // { name: 'a', labels: {}, containers: [] }
 *
 * Types: string, bool, bytes, float, double, int32, uint32, sint32, fixed32, sfixed32, enum (an int32), int64, uint64, sint64, fixed64,
 * sfixed64 (numbers; a value past 2^53 throws), bigint64, biguint64 (bigint), another message, `[]T`, `map<K,V>`.
 * A scalar with `?` has presence: written whenever it is set, left out of the decoded object when absent (oneof, optional).
 * Without it a zero value is not written, and decodes to the zero value. Absent messages stay absent; absent lists and maps decode empty.
 */

interface ScalarTypes {
  string: string; bool: boolean; bytes: Uint8Array; float: number; double: number;
  int32: number; uint32: number; sint32: number; fixed32: number; sfixed32: number; enum: number;
  int64: number; uint64: number; sint64: number; fixed64: number; sfixed64: number; bigint64: bigint; biguint64: bigint;
}
type ScalarName = keyof ScalarTypes;
export type MessageSpecs = Readonly<Record<string, Readonly<Record<string, string>>>>;

type ValueOf<S extends MessageSpecs, T extends string, Init extends boolean> =
  T extends `[]${infer Item}` ? readonly ValueOf<S, Item, Init>[]
  : T extends `map<${string},${infer Value}>` ? Readonly<Record<string, ValueOf<S, Value, Init>>>
  : T extends ScalarName ? ScalarTypes[T]
  : T extends keyof S & string ? (Init extends true ? MessageInit<S, T> : Message<S, T>)
  : never;
type TypeText<Spec extends string> = Spec extends `${number} ${infer T}` ? T : never;
type HasDefault<T extends string> = T extends `${string}?` ? false : T extends `[]${string}` | `map<${string}` | ScalarName ? true : false;
type Bare<T extends string> = T extends `${infer Name}?` ? Name : T;

/** What `decode` returns. */
export type Message<S extends MessageSpecs, N extends keyof S> = {
  readonly [K in keyof S[N] as HasDefault<TypeText<S[N][K]>> extends true ? K : never]: ValueOf<S, TypeText<S[N][K]>, false>
} & { readonly [K in keyof S[N] as HasDefault<TypeText<S[N][K]>> extends true ? never : K]?: ValueOf<S, Bare<TypeText<S[N][K]>>, false> };
/** What `encode` takes: every field may be left out. */
export type MessageInit<S extends MessageSpecs, N extends keyof S> = { readonly [K in keyof S[N]]?: ValueOf<S, Bare<TypeText<S[N][K]>>, true> | undefined };

export interface Messages<S extends MessageSpecs> {
  encode<N extends keyof S & string>(name: N, value: MessageInit<S, N>): Uint8Array;
  /** `bytes` fields of the result are views into the input. */
  decode<N extends keyof S & string>(name: N, bytes: Uint8Array): Message<S, N>;
}
/** The decoded type of one message of a definition: `MessageOf<typeof cri, 'PodSandbox'>`. */
export type MessageOf<M, N extends string> = M extends Messages<infer S> ? (N extends keyof S ? Message<S, N> : never) : never;

export class ProtobufError extends Error {}

/** Messages nested deeper are refused, in both directions. Upstream's decoders stop at 100 too. */
export const maxDepth = 100;
/** Largest message written. gRPC and etcd stop far below. */
const maxEncodedBytes = 512 * 1024 * 1024;

interface Field {
  name: string;
  number: number;
  scalar: ScalarName | undefined;
  message: MessagePlan | undefined;
  repeated: boolean;
  presence: boolean;
  /** Set for maps: the plan of one entry, fields `key` = 1 and `value` = 2. */
  entry: MessagePlan | undefined;
  wire: number;
  packable: boolean;
}
interface MessagePlan { name: string; fields: Field[]; byNumber: Map<number, Field>; defaults: Field[] }

const wireOf: Record<ScalarName, number> = {
  string: 2, bytes: 2, bool: 0, int32: 0, uint32: 0, sint32: 0, enum: 0, int64: 0, uint64: 0, sint64: 0, bigint64: 0, biguint64: 0,
  double: 1, fixed64: 1, sfixed64: 1, float: 5, fixed32: 5, sfixed32: 5,
};

/** Describes messages that may refer to each other. Throws at once for a description that makes no sense. */
export function defineMessages<const S extends MessageSpecs>(specs: S): Messages<S> {
  const plans = new Map<string, MessagePlan>();
  for (const name of Object.keys(specs)) plans.set(name, { name, fields: [], byNumber: new Map(), defaults: [] });
  for (const [name, spec] of Object.entries(specs)) {
    const plan = plans.get(name)!;
    for (const [fieldName, text] of Object.entries(spec)) addField(plan, parseField(`${name}.${fieldName}`, fieldName, text, plans));
  }
  const planOf = (name: string): MessagePlan => {
    const plan = plans.get(name);
    if (!plan) throw new ProtobufError(`no message ${name} is defined`);
    return plan;
  };
  return {
    encode(name, value) {
      const writer = new ProtobufWriter();
      writeMessage(writer, planOf(name), value as Record<string, unknown>, 0);
      return writer.finish();
    },
    decode(name, bytes) {
      const reader = new ProtobufReader(bytes);
      return readMessage(reader, planOf(name), bytes.length, undefined, 0) as never;
    },
  };
}

function addField(plan: MessagePlan, field: Field): void {
  if (plan.byNumber.has(field.number)) throw new ProtobufError(`${plan.name}: field number ${field.number} is used twice`);
  plan.fields.push(field);
  plan.fields.sort((a, b) => a.number - b.number);
  plan.byNumber.set(field.number, field);
  if (field.repeated || field.entry || (field.scalar && !field.presence)) plan.defaults.push(field);
}

function parseField(where: string, name: string, text: string, plans: ReadonlyMap<string, MessagePlan>): Field {
  const [, digits, prefix, map, keyType, word, optional] = /^(\d+) (\[\])?(map<(\w+),\s*)?([\w.]+)(?:>)?(\?)?$/.exec(text) ?? [];
  const number = Number(digits);
  if (!digits || !word || number < 1 || number > 0x1fffffff) throw new ProtobufError(`${where}: can't read the description '${text}'`);
  const scalar = word in wireOf ? word as ScalarName : undefined;
  const message = scalar ? undefined : plans.get(word);
  if (!scalar && !message) throw new ProtobufError(`${where}: no message ${word} is defined`);
  const field: Field = { name, number, scalar, message, repeated: prefix !== undefined, presence: optional !== undefined, entry: undefined, wire: scalar ? wireOf[scalar] : 2,
    packable: scalar !== undefined && wireOf[scalar] !== 2 };
  if (!map) return field;
  const entry: MessagePlan = { name: `${where} entry`, fields: [], byNumber: new Map(), defaults: [] };
  addField(entry, parseField(where, 'key', `1 ${keyType}`, plans));
  addField(entry, { ...field, name: 'value', number: 2, presence: false });
  return { ...field, scalar: undefined, message: undefined, entry, wire: 2, packable: false };
}

// ---- writing

/**
 * Fills a buffer from its end towards its start, so that the length of a nested message is known when its prefix is written.
 * Callers write fields in descending order: value first, then `tag`.
 */
export class ProtobufWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #pos = 1024;
  /** Bytes written so far. */
  get length(): number { return this.#buffer.length - this.#pos; }

  #reserve(count: number): void {
    if (count <= this.#pos) return;
    const used = this.length;
    if (used + count > maxEncodedBytes) throw new ProtobufError(`message larger than ${maxEncodedBytes} bytes`);
    const next = Buffer.allocUnsafe(Math.max((used + count) * 2, 1024));
    this.#buffer.copy(next, next.length - used, this.#pos);
    this.#pos = next.length - used;
    this.#buffer = next;
  }
  tag(number: number, wire: number): void { this.varint32(number * 8 + wire); }
  /** An unsigned value below 2^32. */
  varint32(value: number): void {
    if (value < 0x80) { this.#reserve(1); this.#buffer[--this.#pos] = value; return; }
    const size = value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
    this.#reserve(size);
    let at = this.#pos -= size;
    let rest = value;
    for (let i = 1; i < size; i++) { this.#buffer[at++] = (rest & 0x7f) | 0x80; rest = rest >>> 7; }
    this.#buffer[at] = rest;
  }
  /** Two's complement 64 bits from an integer within ±2^53. */
  varint64(value: number): void {
    if (value >= 0 && value < 0x100000000) { this.varint32(value); return; }
    if (value >= 0) { this.#big(BigInt(value)); return; }
    this.#big(BigInt.asUintN(64, BigInt(value)));
  }
  varintBig(value: bigint): void { this.#big(BigInt.asUintN(64, value)); }
  #big(value: bigint): void {
    let size = 1;
    for (let rest = value >> 7n; rest > 0n; rest >>= 7n) size++;
    this.#reserve(size);
    let at = this.#pos -= size;
    let rest = value;
    for (let i = 1; i < size; i++) { this.#buffer[at++] = Number(rest & 0x7fn) | 0x80; rest >>= 7n; }
    this.#buffer[at] = Number(rest);
  }
  fixed32(value: number): void { this.#reserve(4); this.#pos -= 4; this.#buffer.writeInt32LE(value | 0, this.#pos); }
  fixed64(value: bigint): void { this.#reserve(8); this.#pos -= 8; this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, value), this.#pos); }
  float(value: number): void { this.#reserve(4); this.#pos -= 4; this.#buffer.writeFloatLE(value, this.#pos); }
  double(value: number): void { this.#reserve(8); this.#pos -= 8; this.#buffer.writeDoubleLE(value, this.#pos); }
  raw(bytes: Uint8Array): void { this.#reserve(bytes.length); this.#pos -= bytes.length; this.#buffer.set(bytes, this.#pos); }
  /** UTF-8 with its length in front. */
  string(value: string): void {
    const size = Buffer.byteLength(value);
    this.#reserve(size);
    this.#pos -= size;
    this.#buffer.write(value, this.#pos, size);
    this.varint32(size);
  }
  bytes(value: Uint8Array): void { this.raw(value); this.varint32(value.length); }
  finish(): Uint8Array { return this.#buffer.subarray(this.#pos); }
}

function writeMessage(writer: ProtobufWriter, plan: MessagePlan, value: Record<string, unknown>, depth: number): void {
  if (depth > maxDepth) throw new ProtobufError(`${plan.name}: nested deeper than ${maxDepth}`);
  for (let i = plan.fields.length - 1; i >= 0; i--) {
    const field = plan.fields[i]!;
    const fieldValue = value[field.name];
    if (fieldValue === undefined || fieldValue === null) continue;
    if (field.entry) {
      const entries = Object.entries(fieldValue as Record<string, unknown>);
      for (let at = entries.length - 1; at >= 0; at--) {
        const [key, entryValue] = entries[at]!;
        writeNested(writer, field, field.entry, { key: keyFrom(field.entry.fields[0]!.scalar!, key), value: entryValue }, depth);
      }
    } else if (field.repeated) {
      const items = fieldValue as readonly unknown[];
      if (items.length === 0) continue;
      if (field.packable) {
        const end = writer.length;
        for (let at = items.length - 1; at >= 0; at--) writeScalar(writer, plan, field, items[at]);
        writer.varint32(writer.length - end);
        writer.tag(field.number, 2);
      } else for (let at = items.length - 1; at >= 0; at--) writeOne(writer, plan, field, items[at], depth);
    } else if (field.message || field.presence || !isZero(fieldValue)) writeOne(writer, plan, field, fieldValue, depth);
  }
}

function isZero(value: unknown): boolean {
  return value === '' || value === false || value === 0n || (value === 0 && !Object.is(value, -0)) || (value instanceof Uint8Array && value.length === 0);
}

function keyFrom(scalar: ScalarName, key: string): unknown {
  return scalar === 'string' ? key : scalar === 'bool' ? key === 'true' : scalar === 'bigint64' || scalar === 'biguint64' ? BigInt(key) : Number(key);
}

function writeOne(writer: ProtobufWriter, plan: MessagePlan, field: Field, value: unknown, depth: number): void {
  if (field.message) { writeNested(writer, field, field.message, value as Record<string, unknown>, depth); return; }
  writeScalar(writer, plan, field, value);
  writer.tag(field.number, field.wire);
}

function writeNested(writer: ProtobufWriter, field: Field, plan: MessagePlan, value: Record<string, unknown>, depth: number): void {
  if (typeof value !== 'object' || value === null) throw new ProtobufError(`${plan.name}: expected an object, got ${typeof value}`);
  const end = writer.length;
  writeMessage(writer, plan, value, depth + 1);
  writer.varint32(writer.length - end);
  writer.tag(field.number, 2);
}

function writeScalar(writer: ProtobufWriter, plan: MessagePlan, field: Field, value: unknown): void {
  const wrong = (expected: string): never => { throw new ProtobufError(`${plan.name}.${field.name}: expected ${expected}, got ${typeof value}${typeof value === 'number' ? ` ${value}` : ''}`); };
  const integer = (least: number, most: number): number =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most ? value : wrong(`an integer from ${least} to ${most}`);
  const int32 = () => integer(-(2 ** 31), 2 ** 31 - 1);
  const uint32 = () => integer(0, 2 ** 32 - 1);
  const int64 = () => integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const uint64 = () => integer(0, Number.MAX_SAFE_INTEGER);
  const number = () => (typeof value === 'number' ? value : wrong('a number'));
  switch (field.scalar!) {
    case 'string': writer.string(typeof value === 'string' ? value : wrong('a string')); break;
    case 'bytes': writer.bytes(value instanceof Uint8Array ? value : wrong('bytes')); break;
    case 'bool': writer.varint32((typeof value === 'boolean' ? value : wrong('a boolean')) ? 1 : 0); break;
    case 'int32': case 'enum': writer.varint64(int32()); break;
    case 'uint32': writer.varint32(uint32()); break;
    case 'sint32': { const n = int32(); writer.varint32(((n << 1) ^ (n >> 31)) >>> 0); break; }
    case 'int64': writer.varint64(int64()); break;
    case 'uint64': writer.varint64(uint64()); break;
    case 'sint64': { const n = BigInt(int64()); writer.varintBig((n << 1n) ^ (n >> 63n)); break; }
    case 'bigint64': case 'biguint64': writer.varintBig(typeof value === 'bigint' ? value : wrong('a bigint')); break;
    case 'fixed32': writer.fixed32(uint32()); break;
    case 'sfixed32': writer.fixed32(int32()); break;
    case 'fixed64': writer.fixed64(BigInt(uint64())); break;
    case 'sfixed64': writer.fixed64(BigInt(int64())); break;
    case 'float': writer.float(number()); break;
    case 'double': writer.double(number()); break;
  }
}

// ---- reading

/** Walks the wire format. Every read is checked against the end of the innermost message. */
export class ProtobufReader {
  readonly buffer: Buffer;
  pos = 0;
  /** The two halves of the last varint, unsigned. */
  lo = 0;
  hi = 0;
  constructor(bytes: Uint8Array) { this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength); }

  varint(end: number): void {
    let lo = 0;
    let hi = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= end) throw new ProtobufError('unexpected end of input');
      const byte = this.buffer[this.pos++]!;
      if (shift < 28) lo |= (byte & 0x7f) << shift;
      else if (shift === 28) { lo |= (byte & 0x0f) << 28; hi = (byte & 0x7f) >> 4; } else hi |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break;
        this.lo = lo >>> 0;
        this.hi = hi >>> 0;
        return;
      }
    }
    throw new ProtobufError('integer overflow');
  }
  varint32(end: number): number {
    const byte = this.buffer[this.pos]!;
    if (this.pos < end && byte < 0x80) { this.pos++; return byte; }
    this.varint(end);
    return this.lo;
  }
  /** The end of a length-delimited field that starts here. */
  delimited(end: number): number {
    this.varint(end);
    if (this.hi !== 0 || this.lo > end - this.pos) throw new ProtobufError('unexpected end of input');
    return this.pos + this.lo;
  }
  need(count: number, end: number): number {
    const at = this.pos;
    if (end - at < count) throw new ProtobufError('unexpected end of input');
    this.pos += count;
    return at;
  }
  string(end: number): string {
    const stop = this.delimited(end);
    const text = this.buffer.toString('utf8', this.pos, stop);
    this.pos = stop;
    return text;
  }
  bytes(end: number): Uint8Array {
    const stop = this.delimited(end);
    const bytes = new Uint8Array(this.buffer.buffer, this.buffer.byteOffset + this.pos, stop - this.pos);
    this.pos = stop;
    return bytes;
  }
  /** The last varint as a signed number. */
  signed(): number {
    const value = (this.hi | 0) * 0x100000000 + this.lo;
    if (!Number.isSafeInteger(value)) throw new ProtobufError(`integer beyond 2^53: ${this.bigSigned()}`);
    return value;
  }
  unsigned(): number {
    const value = this.hi * 0x100000000 + this.lo;
    if (!Number.isSafeInteger(value)) throw new ProtobufError(`integer beyond 2^53: ${this.bigUnsigned()}`);
    return value;
  }
  bigUnsigned(): bigint { return (BigInt(this.hi) << 32n) | BigInt(this.lo); }
  bigSigned(): bigint { return BigInt.asIntN(64, this.bigUnsigned()); }

  /** Steps over one field whose tag was just read. */
  skip(wire: number, number: number, end: number, depth = 0): void {
    if (depth > maxDepth) throw new ProtobufError(`nested deeper than ${maxDepth}`);
    if (wire === 0) this.varint(end);
    else if (wire === 1) this.need(8, end);
    else if (wire === 2) this.pos = this.delimited(end);
    else if (wire === 5) this.need(4, end);
    else if (wire === 3) {
      for (;;) {
        const { number: inner, wire: innerWire } = this.tag(end);
        if (innerWire === 4) {
          if (inner !== number) throw new ProtobufError('group ends with another number than it began');
          return;
        }
        this.skip(innerWire, inner, end, depth + 1);
      }
    } else throw new ProtobufError(`illegal wire type ${wire}`);
  }
  tag(end: number): { number: number; wire: number } {
    const tag = this.varint32(end);
    if (tag < 8) throw new ProtobufError(`illegal tag ${tag}`);
    return { number: tag >>> 3, wire: tag & 7 };
  }
}

function readMessage(reader: ProtobufReader, plan: MessagePlan, end: number, into: Record<string, unknown> | undefined, depth: number): Record<string, unknown> {
  if (depth > maxDepth) throw new ProtobufError(`${plan.name}: nested deeper than ${maxDepth}`);
  const target = into ?? {};
  if (!into) for (const field of plan.defaults) target[field.name] = zeroOf(field);
  while (reader.pos < end) {
    const tag = reader.varint32(end);
    const wire = tag & 7;
    const number = tag >>> 3;
    if (number === 0) throw new ProtobufError(`${plan.name}: illegal tag ${tag}`);
    const field = plan.byNumber.get(number);
    if (!field) { reader.skip(wire, number, end); continue; }
    if (wire !== field.wire && !(wire === 2 && field.repeated && field.packable)) {
      throw new ProtobufError(`${plan.name}.${field.name}: wrong wire type ${wire}`);
    }
    if (field.entry) {
      const stop = reader.delimited(end);
      const entry = readMessage(reader, field.entry, stop, undefined, depth + 1);
      const value = entry.value ?? {};
      setOwn(target[field.name] as Record<string, unknown>, String(entry.key), value);
    } else if (field.message) {
      const stop = reader.delimited(end);
      if (field.repeated) (target[field.name] as unknown[]).push(readMessage(reader, field.message, stop, undefined, depth + 1));
      else target[field.name] = readMessage(reader, field.message, stop, target[field.name] as Record<string, unknown> | undefined, depth + 1);
    } else if (!field.repeated) target[field.name] = readScalar(reader, plan, field, end);
    else if (wire === 2 && field.packable) {
      const stop = reader.delimited(end);
      const items = target[field.name] as unknown[];
      while (reader.pos < stop) items.push(readScalar(reader, plan, field, stop));
    } else (target[field.name] as unknown[]).push(readScalar(reader, plan, field, end));
  }
  if (reader.pos !== end) throw new ProtobufError(`${plan.name}: unexpected end of input`);
  return target;
}

/** As JSON.parse does for '__proto__': an own property, not the prototype. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

const noBytes = new Uint8Array(0);
function zeroOf(field: Field): unknown {
  if (field.entry) return {};
  if (field.repeated) return [];
  switch (field.scalar!) {
    case 'string': return '';
    case 'bool': return false;
    case 'bytes': return noBytes;
    case 'bigint64': case 'biguint64': return 0n;
    default: return 0;
  }
}

function readScalar(reader: ProtobufReader, plan: MessagePlan, field: Field, end: number): unknown {
  switch (field.scalar!) {
    case 'string': return reader.string(end);
    case 'bytes': return reader.bytes(end);
    case 'bool': reader.varint(end); return reader.lo !== 0 || reader.hi !== 0;
    case 'int32': case 'enum': reader.varint(end); return reader.lo | 0;
    case 'uint32': reader.varint(end); return reader.lo;
    case 'sint32': reader.varint(end); return (reader.lo >>> 1) ^ -(reader.lo & 1);
    case 'int64': reader.varint(end); return reader.signed();
    case 'uint64': reader.varint(end); return reader.unsigned();
    case 'sint64': { reader.varint(end); const n = reader.bigUnsigned(); return safe(plan, field, (n >> 1n) ^ -(n & 1n)); }
    case 'bigint64': reader.varint(end); return reader.bigSigned();
    case 'biguint64': reader.varint(end); return reader.bigUnsigned();
    case 'fixed32': return reader.buffer.readUInt32LE(reader.need(4, end));
    case 'sfixed32': return reader.buffer.readInt32LE(reader.need(4, end));
    case 'fixed64': return safe(plan, field, reader.buffer.readBigUInt64LE(reader.need(8, end)));
    case 'sfixed64': return safe(plan, field, reader.buffer.readBigInt64LE(reader.need(8, end)));
    case 'float': return reader.buffer.readFloatLE(reader.need(4, end));
    case 'double': return reader.buffer.readDoubleLE(reader.need(8, end));
  }
}

function safe(plan: MessagePlan, field: Field, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new ProtobufError(`${plan.name}.${field.name}: integer beyond 2^53: ${value}`);
  return number;
}
