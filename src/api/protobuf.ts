/**
 * Kubernetes objects as protobuf: the media type `application/vnd.kubernetes.protobuf` and upstream's storage encoding. An object is the
 * four bytes `k8s\0` and a runtime.Unknown that names its kind and holds its message; messages follow from the field numbers of the schema.
 * Fields Go embeds (`1.3`) are written inside their outer message and read back flat. proto2 as gogo writes it: lists unpacked, zero values of
 * what is no pointer mean absent. Source: apimachinery/pkg/runtime/serializer/protobuf and the generated.proto of each group.
 */
import { ProtobufError, ProtobufReader, ProtobufWriter, maxDepth } from '../base/protobuf.ts';
import { isJsonObject, setOwn, type Json, type JsonObject } from '../base/json.ts';
import { microTimestamp, timestamp } from '../base/clock.ts';
import { findType, typeOf, type FieldSchema, type FieldType, type Scalar, type TypeSchema } from './schema.ts';

/** What every encoded object begins with. */
export const protobufPrefix = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);
export const protobufMediaType = 'application/vnd.kubernetes.protobuf';

export function isProtobuf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x6b && bytes[1] === 0x38 && bytes[2] === 0x73 && bytes[3] === 0;
}

/** `apiVersion` and `kind` are the object's own where it has them, the type's otherwise. */
export function encodeObject(object: JsonObject, type: TypeSchema): Uint8Array {
  const writer = new ProtobufWriter();
  writeMessage(writer, planOf(type), object, 0);
  const raw = writer.length;
  writer.varint32(raw);
  writer.tag(2, 2);
  const meta = writer.length;
  writer.string(typeof object.kind === 'string' ? object.kind : type.shortName);
  writer.tag(2, 2);
  writer.string(typeof object.apiVersion === 'string' ? object.apiVersion : type.apiVersion);
  writer.tag(1, 2);
  writer.varint32(writer.length - meta);
  writer.tag(1, 2);
  writer.raw(protobufPrefix);
  return writer.finish();
}

export interface UnknownObject { apiVersion: string; kind: string; raw: Uint8Array; contentEncoding: string; contentType: string }

/** The envelope only. Throws `ProtobufError`. */
export function decodeUnknown(bytes: Uint8Array): UnknownObject {
  if (!isProtobuf(bytes)) throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix k8s');
  const reader = new ProtobufReader(bytes.subarray(4));
  const end = bytes.length - 4;
  const out: UnknownObject = { apiVersion: '', kind: '', raw: new Uint8Array(), contentEncoding: '', contentType: '' };
  while (reader.pos < end) {
    const { number, wire } = reader.tag(end);
    if (wire !== 2 || number > 4) reader.skip(wire, number, end);
    else if (number === 2) out.raw = reader.bytes(end);
    else if (number === 3) out.contentEncoding = reader.string(end);
    else if (number === 4) out.contentType = reader.string(end);
    else {
      const stop = reader.delimited(end);
      while (reader.pos < stop) {
        const inner = reader.tag(stop);
        if (inner.wire !== 2) reader.skip(inner.wire, inner.number, stop);
        else if (inner.number === 1) out.apiVersion = reader.string(stop);
        else if (inner.number === 2) out.kind = reader.string(stop);
        else reader.pos = reader.delimited(stop);
      }
    }
  }
  return out;
}

/** The object with its apiVersion and kind. `resolve` finds the type; without one the kind can't be read and this throws `ProtobufError`. */
export function decodeProtobufObject(bytes: Uint8Array, resolve: (apiVersion: string, kind: string) => TypeSchema | undefined): JsonObject {
  const unknown = decodeUnknown(bytes);
  const type = resolve(unknown.apiVersion, unknown.kind);
  if (!type) throw new ProtobufError(`no kind "${unknown.kind}" is registered for version "${unknown.apiVersion}"`);
  return { apiVersion: unknown.apiVersion, kind: unknown.kind, ...decodeMessage(unknown.raw, type) };
}

/** The bare message of a type, as inside the envelope. */
export function decodeMessage(raw: Uint8Array, type: TypeSchema): JsonObject {
  const out: JsonObject = {};
  readMessage(new ProtobufReader(raw), planOf(type), raw.length, out, 0);
  return out;
}

/** One event of a protobuf watch: four bytes of length (big endian), then a meta.WatchEvent whose object is `object`'s encoding. */
export function encodeWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  writer.bytes(object);
  writer.tag(1, 2);
  writer.varint32(writer.length);
  writer.tag(2, 2);
  writer.string(type);
  writer.tag(1, 2);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(writer.length);
  writer.raw(size);
  return writer.finish();
}

// ---- plans

interface Entry {
  number: number;
  field?: FieldSchema;
  /** Set instead of `field` for what Go embeds. */
  embedded?: Plan;
}
interface Plan { entries: Entry[]; byNumber: Map<number, Entry> }

const plans = new WeakMap<TypeSchema, Plan>();

function planOf(type: TypeSchema): Plan {
  let plan = plans.get(type);
  if (plan) return plan;
  plan = { entries: [], byNumber: new Map() };
  for (const field of type.fields.values()) {
    if (field.numbers[0] === 0) continue;
    let at = plan;
    for (const number of field.numbers.slice(0, -1)) {
      let entry = at.byNumber.get(number);
      if (!entry) addEntry(at, entry = { number, embedded: { entries: [], byNumber: new Map() } });
      at = entry.embedded!;
    }
    addEntry(at, { number: field.numbers.at(-1)!, field });
  }
  plans.set(type, plan);
  return plan;
}
function addEntry(plan: Plan, entry: Entry): void {
  plan.entries.push(entry);
  plan.entries.sort((a, b) => a.number - b.number);
  plan.byNumber.set(entry.number, entry);
}

const refPlan = (name: string): Plan => planOf(typeOf(name));
const schemaProps = 'apiextensions/v1.JSONSchemaProps';
const messageScalars: ReadonlySet<Scalar> = new Set(['Time', 'MicroTime', 'Duration', 'Quantity', 'IntOrString', 'RawExtension', 'FieldsV1', 'ExtraValue', 'JSON', 'JSONSchemaPropsOrArray', 'JSONSchemaPropsOrBool', 'JSONSchemaPropsOrStringArray', 'any']);
function wireOf(type: FieldType): number {
  if (type.kind !== 'scalar') return 2;
  return type.scalar === 'bool' || type.scalar === 'int32' || type.scalar === 'int64' ? 0 : type.scalar === 'double' ? 1 : 2;
}

// ---- writing, last field first

function writeMessage(writer: ProtobufWriter, plan: Plan, object: JsonObject, depth: number): void {
  if (depth > maxDepth) throw new ProtobufError(`nested deeper than ${maxDepth}`);
  for (let i = plan.entries.length - 1; i >= 0; i--) {
    const { number, field, embedded } = plan.entries[i]!;
    if (embedded) {
      const end = writer.length;
      writeMessage(writer, embedded, object, depth);
      if (writer.length > end) { writer.varint32(writer.length - end); writer.tag(number, 2); }
      continue;
    }
    const value = object[field!.name];
    if (value === undefined || value === null) continue;
    writeField(writer, number, field!.type, value, depth);
  }
}

function writeField(writer: ProtobufWriter, number: number, type: FieldType, value: Json, depth: number): void {
  if (type.kind === 'list') {
    const list = expectList(value);
    for (let i = list.length - 1; i >= 0; i--) writeField(writer, number, type.items, list[i]!, depth);
  } else if (type.kind === 'map') {
    const map = expectObject(value);
    const keys = Object.keys(map).sort(); // as gogo writes them: the same object is the same bytes
    for (let i = keys.length - 1; i >= 0; i--) {
      const end = writer.length;
      writeField(writer, 2, type.values, map[keys[i]!] ?? null, depth);
      writer.string(keys[i]!);
      writer.tag(1, 2);
      writer.varint32(writer.length - end);
      writer.tag(number, 2);
    }
  } else if (type.kind === 'ref' || messageScalars.has(type.scalar)) {
    const end = writer.length;
    if (type.kind === 'ref') writeMessage(writer, refPlan(type.name), expectObject(value), depth + 1);
    else writeScalarMessage(writer, type.scalar, value, depth);
    writer.varint32(writer.length - end);
    writer.tag(number, 2);
  } else {
    writePlain(writer, type.scalar, value);
    writer.tag(number, wireOf(type));
  }
}

function writePlain(writer: ProtobufWriter, scalar: Scalar, value: Json): void {
  switch (scalar) {
    case 'string': writer.string(String(value)); break;
    case 'bool': writer.varint32(value ? 1 : 0); break;
    case 'bytes': writer.bytes(Buffer.from(String(value), 'base64')); break;
    case 'double': writer.double(Number(value)); break;
    default: writer.varint64(Math.trunc(Number(value)));
  }
}

function writeScalarMessage(writer: ProtobufWriter, scalar: Scalar, value: Json, depth: number): void {
  const schema = (item: Json, number: number) => writeField(writer, number, { kind: 'ref', name: schemaProps }, item, depth);
  const strings = (list: Json, number: number) => writeField(writer, number, { kind: 'list', items: { kind: 'scalar', scalar: 'string' } }, list, depth);
  switch (scalar) {
    case 'Quantity': writer.string(String(value)); writer.tag(1, 2); return;
    case 'Time': case 'MicroTime': {
      const ms = Date.parse(String(value));
      if (Number.isNaN(ms)) throw new ProtobufError(`not a time: ${String(value)}`);
      const nanos = Number((/\.(\d+)/.exec(String(value))?.[1] ?? '').padEnd(9, '0').slice(0, 9));
      writer.varint64(scalar === 'Time' ? 0 : nanos);
      writer.tag(2, 0);
      writer.varint64(Math.floor(ms / 1000));
      writer.tag(1, 0);
      return;
    }
    case 'IntOrString': {
      const text = typeof value === 'string';
      writer.string(text ? value : '');
      writer.tag(3, 2);
      writer.varint64(text ? 0 : Number(value));
      writer.tag(2, 0);
      writer.varint32(text ? 1 : 0);
      writer.tag(1, 0);
      return;
    }
    case 'Duration': writer.varint64(durationNanos(String(value))); writer.tag(1, 0); return;
    case 'ExtraValue': strings(value, 1); return;
    case 'RawExtension': case 'FieldsV1': case 'JSON': case 'any': writer.string(JSON.stringify(value)); writer.tag(1, 2); return;
    case 'JSONSchemaPropsOrArray':
      if (Array.isArray(value)) { for (let i = value.length - 1; i >= 0; i--) schema(value[i]!, 2); } else schema(value, 1);
      return;
    case 'JSONSchemaPropsOrBool':
      if (isJsonObject(value)) schema(value, 2);
      writer.varint32(value === false ? 0 : 1);
      writer.tag(1, 0);
      return;
    case 'JSONSchemaPropsOrStringArray':
      if (Array.isArray(value)) strings(value, 2); else schema(value, 1);
      return;
    default: throw new ProtobufError(`no message for ${scalar}`);
  }
}

function expectObject(value: Json): JsonObject { if (!isJsonObject(value)) throw new ProtobufError('expected an object'); return value; }
function expectList(value: Json): Json[] { if (!Array.isArray(value)) throw new ProtobufError('expected a list'); return value; }

const unitNanos: Readonly<Record<string, number>> = { h: 3.6e12, m: 6e10, s: 1e9, ms: 1e6, µs: 1e3, us: 1e3, ns: 1 };
function durationNanos(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  return sign * [...text.matchAll(/([\d.]+)(h|ms|m|s|µs|us|ns)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * unitNanos[unit!]!, 0);
}

// ---- reading

function readMessage(reader: ProtobufReader, plan: Plan, end: number, out: JsonObject, depth: number): void {
  if (depth > maxDepth) throw new ProtobufError(`nested deeper than ${maxDepth}`);
  while (reader.pos < end) {
    const { number, wire } = reader.tag(end);
    const entry = plan.byNumber.get(number);
    if (!entry) reader.skip(wire, number, end);
    else if (entry.embedded) {
      if (wire !== 2) throw new ProtobufError(`wrong wire type ${wire} for an embedded struct`);
      readMessage(reader, entry.embedded, reader.delimited(end), out, depth + 1);
    } else readField(reader, entry.field!, wire, end, out, depth);
  }
  if (reader.pos !== end) throw new ProtobufError('unexpected end of input');
}

function readField(reader: ProtobufReader, field: FieldSchema, wire: number, end: number, out: JsonObject, depth: number): void {
  const { type, name } = field;
  const expect = (expected: number) => { if (wire !== expected) throw new ProtobufError(`wrong wire type ${wire} for ${name}`); };
  if (type.kind === 'list') {
    const list = (out[name] ??= []) as Json[];
    const item = wireOf(type.items);
    if (wire === 2 && item !== 2) { // packed
      const stop = reader.delimited(end);
      while (reader.pos < stop) list.push(readValue(reader, type.items, stop, depth)!);
    } else { expect(item); list.push(readValue(reader, type.items, end, depth) ?? null); }
    return;
  }
  if (type.kind === 'map') {
    expect(2);
    const map = (out[name] ??= {}) as JsonObject;
    const stop = reader.delimited(end);
    let key = '';
    let value: Json | undefined;
    while (reader.pos < stop) {
      const inner = reader.tag(stop);
      if (inner.number === 1 && inner.wire === 2) key = reader.string(stop);
      else if (inner.number === 2 && inner.wire === wireOf(type.values)) value = readValue(reader, type.values, stop, depth);
      else reader.skip(inner.wire, inner.number, stop);
    }
    setOwn(map, key, value ?? emptyValue(type.values));
    return;
  }
  expect(wireOf(type));
  const value = readValue(reader, type, end, depth);
  if (value === undefined) return;
  if (!field.required && !field.pointer && (value === '' || value === 0 || value === false) && type.kind === 'scalar' && type.scalar !== 'IntOrString') return;
  // A message in two parts is one message.
  out[name] = type.kind === 'ref' && isJsonObject(out[name]) && isJsonObject(value) ? { ...out[name], ...value } : value;
}

function emptyValue(type: FieldType): Json {
  if (type.kind === 'list') return [];
  if (type.kind !== 'scalar') return {};
  return type.scalar === 'bool' ? false : type.scalar === 'int32' || type.scalar === 'int64' || type.scalar === 'double' ? 0 : type.scalar === 'ExtraValue' ? [] : type.scalar === 'Quantity' ? '0' : '';
}

/** Undefined: what stands for nil inside a message, such as the zero time. */
function readValue(reader: ProtobufReader, type: FieldType, end: number, depth: number): Json | undefined {
  if (type.kind === 'ref') {
    const out: JsonObject = {};
    const target = findType(type.name);
    readMessage(reader, target ? planOf(target) : { entries: [], byNumber: new Map() }, reader.delimited(end), out, depth + 1);
    return out;
  }
  if (type.kind !== 'scalar') throw new ProtobufError('lists of lists have no encoding');
  switch (type.scalar) {
    case 'string': return reader.string(end);
    case 'bool': reader.varint(end); return reader.lo !== 0 || reader.hi !== 0;
    case 'int32': reader.varint(end); return reader.lo | 0;
    case 'int64': reader.varint(end); return Number(reader.bigSigned());
    case 'double': return reader.buffer.readDoubleLE(reader.need(8, end));
    case 'bytes': return Buffer.from(reader.bytes(end)).toString('base64');
    default: return readScalarMessage(reader, type.scalar, reader.delimited(end), depth);
  }
}

function readScalarMessage(reader: ProtobufReader, scalar: Scalar, end: number, depth: number): Json | undefined {
  const empty = reader.pos === end;
  let [first, second]: (number | undefined)[] = [];
  let text: string | undefined;
  const strings: Json[] = [];
  const schemas: Json[] = [];
  let schema: JsonObject | undefined;
  while (reader.pos < end) {
    const { number, wire } = reader.tag(end);
    if (wire === 0) {
      reader.varint(end);
      if (number === 1) first = Number(reader.bigSigned()); else if (number === 2) second = Number(reader.bigSigned());
    } else if (wire !== 2) reader.skip(wire, number, end);
    else if (scalar.startsWith('JSONSchemaPropsOr') && !(scalar === 'JSONSchemaPropsOrStringArray' && number === 2)) {
      const out: JsonObject = {};
      readMessage(reader, refPlan(schemaProps), reader.delimited(end), out, depth + 1);
      if (scalar === 'JSONSchemaPropsOrArray' && number === 2) schemas.push(out); else schema = out;
    } else { text = reader.string(end); strings.push(text); }
  }
  switch (scalar) {
    case 'Quantity': return text ?? '0';
    case 'Time': return empty ? undefined : timestamp((first ?? 0) * 1000);
    case 'MicroTime': {
      if (empty) return undefined;
      const micros = Math.floor((second ?? 0) / 1000);
      return `${microTimestamp((first ?? 0) * 1000).slice(0, 20)}${String(micros).padStart(6, '0')}Z`;
    }
    case 'IntOrString': return first === 1 ? text ?? '' : second ?? 0;
    case 'Duration': return `${(first ?? 0) / 1e9}s`;
    case 'ExtraValue': return strings;
    case 'RawExtension': case 'FieldsV1': case 'JSON': case 'any':
      if (text === undefined || text === '') return undefined;
      try { return JSON.parse(text) as Json; } catch { throw new ProtobufError(`${scalar} does not hold JSON`); }
    case 'JSONSchemaPropsOrArray': return schema ?? schemas;
    case 'JSONSchemaPropsOrBool': return schema ?? first === 1;
    case 'JSONSchemaPropsOrStringArray': return schema ?? strings;
    default: throw new ProtobufError(`no message for ${scalar}`);
  }
}
