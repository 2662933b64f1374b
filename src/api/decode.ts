/**
 * From parsed JSON to an object of a type: wrong types are refused in Go's words, unknown fields are reported and dropped,
 * null becomes absent, values take the form that Go would write back (quantities, times, base64). One decoder is compiled per
 * type on first use and works in place: an object that needs nothing changed is not copied. Driven by the apiserver for every
 * body it reads and every patch result. Source: sigs.k8s.io/json, apimachinery/pkg/runtime/serializer/json, and the
 * UnmarshalJSON methods of Time, MicroTime, Quantity, IntOrString and the JSONSchemaProps unions.
 */
import type { Json, JsonObject } from '../base/json.ts';
import { badRequest, type StatusError } from './meta/status.ts';
import { canonicalQuantity } from './quantity.ts';
import { resolveRef, typeOf, type FieldSchema, type FieldType, type Scalar, type TypeSchema } from './schema.ts';

/** Unknown fields reported per object; further ones are dropped without a word. Upstream's limit. */
const maxReportedFields = 100;
/**
 * Objects nested deeper are refused, so that later recursive walks can't exhaust the stack.
 * Differs: upstream's limit is 10,000, reached by no object that its own recursive code handles well.
 */
export const maxJsonDepth = 1000;

export interface Decoded {
  /** The value passed in. */
  object: JsonObject;
  /** `unknown field "spec.foo"`, in document order, for a warning or (joined by `strictDecodingError`) an error. */
  unknownFields: string[];
}

/** Decodes in place. Throws BadRequest for a value of the wrong type. */
export function decodeObject(type: TypeSchema, value: Json): Decoded {
  const state: State = { path: [], struct: '', unknownFields: [] };
  try {
    decoderOf(type)(value, state);
  } catch (err) {
    if (err instanceof DecodeError) throw cannotBeHandled(type, err.message);
    throw err;
  }
  return { object: value as JsonObject, unknownFields: state.unknownFields };
}

/** `Deployment in version "v1" cannot be handled as a Deployment: …`. `given` is what the body says it is, where that differs. */
export function cannotBeHandled(type: Pick<TypeSchema, 'shortName' | 'apiVersion'>, why: string, given?: { kind: string; apiVersion: string }): StatusError {
  const apiVersion = given?.apiVersion ?? type.apiVersion;
  return badRequest(`${given?.kind ?? type.shortName} in version "${apiVersion.slice(apiVersion.indexOf('/') + 1)}" cannot be handled as a ${type.shortName}: ${why}`);
}

/** fieldValidation=Strict: unknown and duplicate fields in one error. */
export function strictDecodingError(type: Pick<TypeSchema, 'shortName' | 'apiVersion'>, problems: readonly string[]): StatusError {
  return cannotBeHandled(type, `strict decoding error: ${problems.join(', ')}`);
}

/** A body that is not JSON, or does not say what it is: the kind that was expected, the parser's words, the first bytes of the body. */
export function unrecognizedObject(kind: string, why: string, body: string): StatusError {
  const most = 30;
  const summary = body.startsWith('{') ? (body.length > most ? `${body.slice(0, most)} ...` : body)
    : Buffer.from(body.slice(0, most)).toString('hex').slice(0, most * 2) + (body.length > most ? ' ...' : '');
  return badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why} (${summary})`);
}

/** Throws BadRequest when nested deeper than `maxJsonDepth`. For values no schema describes. */
export function checkDepth(value: Json | undefined): void {
  if (tooDeep(value, 0)) throw badRequest('json: exceeded max depth');
}

// ---- the machinery

class DecodeError extends Error {}

interface State {
  /** Field names, list indices, and map keys with a NUL in front. */
  path: (string | number)[];
  /** The Go struct whose field is being read. */
  struct: string;
  unknownFields: string[];
}
/** Returns the value to keep, the same one where possible; undefined drops it. Never sees null or undefined. */
type Decoder = (value: Json, state: State) => Json | undefined;
interface FieldDecoder { decode: Decoder; omitZero: boolean }

const decoders = new WeakMap<TypeSchema, Decoder>();

function decoderOf(type: TypeSchema): Decoder {
  let decoder = decoders.get(type);
  if (!decoder) {
    let compiled: ReadonlyMap<string, FieldDecoder> | undefined; // on first use: types refer to themselves
    decoder = (value, state) => decodeStruct(type, compiled ??= compileFields(type), value, state);
    decoders.set(type, decoder);
  }
  return decoder;
}

function compileFields(type: TypeSchema): ReadonlyMap<string, FieldDecoder> {
  return new Map([...type.fields].map(([name, field]) => [name, {
    decode: type.custom ? compileCustom(field.type) : compile(field.type),
    omitZero: !type.custom && omitsZero(field),
  }]));
}

/** Only prunes: custom resources are checked by their validation, and keep what they hold as it was sent. */
function compileCustom(type: FieldType): Decoder {
  switch (type.kind) {
    case 'scalar': return passThrough;
    case 'ref': { let decode: Decoder | undefined; return (value, state) => (isObject(value) ? (decode ??= decoderOf(resolveRef(type)))(value, state) : value); }
    case 'list': {
      const decode = compileCustom(type.items);
      return (value, state) => {
        if (!Array.isArray(value)) return value;
        for (let index = 0; index < value.length; index++) { state.path.push(index); decode(value[index]!, state); state.path.pop(); }
        return value;
      };
    }
    case 'map': {
      const decode = compileCustom(type.values);
      return (value, state) => {
        if (!isObject(value)) return value;
        for (const key in value) { state.path.push(`\0${key}`); decode(value[key] ?? null, state); state.path.pop(); }
        return value;
      };
    }
  }
}
function isObject(value: Json): value is JsonObject { return typeof value === 'object' && value !== null && !Array.isArray(value); }

/** Go leaves out a zero value ("omitempty") unless the field is required or a pointer: zero and absent are one. */
function omitsZero({ name, type, required, pointer }: FieldSchema): boolean {
  if (required || pointer || name === 'managedFields') return false; // empty managedFields ask to forget all managers
  return type.kind === 'list' || type.kind === 'map' || (type.kind === 'scalar' && ['string', 'bool', 'int32', 'int64', 'double', 'bytes'].includes(type.scalar));
}

function compile(type: FieldType): Decoder {
  switch (type.kind) {
    case 'scalar': return scalarDecoders[type.scalar];
    case 'ref': { let decode: Decoder | undefined; return (value, state) => (decode ??= decoderOf(resolveRef(type)))(value, state); }
    case 'list': return listDecoder(type);
    case 'map': return mapDecoder(type);
  }
}

function decodeStruct(type: TypeSchema, fields: ReadonlyMap<string, FieldDecoder>, value: Json, state: State): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(value, state, goName(type.name));
  if (state.path.length > maxJsonDepth) throw new DecodeError('json: exceeded max depth');
  const outer = state.struct;
  for (const key in value) {
    const child = value[key];
    const field = fields.get(key);
    if (field === undefined) {
      if (type.preserveUnknownFields) continue;
      if (state.unknownFields.length < maxReportedFields) state.unknownFields.push(`unknown field "${formatPath(state.path, key)}"`);
      delete value[key];
    } else if (child === undefined || (child === null && !type.custom)) delete value[key];
    else if (child === null) continue;
    else {
      state.path.push(key);
      state.struct = type.shortName;
      const next = field.decode(child, state);
      if (next === undefined || (field.omitZero && isZero(next))) delete value[key];
      else if (next !== child) value[key] = next;
      state.path.pop();
    }
  }
  state.struct = outer;
  return value;
}

function isZero(value: Json): boolean {
  if (typeof value !== 'object') return value === '' || value === false || value === 0;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value as JsonObject) return false;
  return true;
}

function listDecoder(type: FieldType & { kind: 'list' }): Decoder {
  const decode = compile(type.items);
  return (value, state) => {
    if (!Array.isArray(value)) throw mismatch(value, state, goType(type));
    for (let index = 0; index < value.length; index++) {
      const item = value[index]!;
      state.path.push(index);
      const next = item === null ? zeroOf(type.items) : decode(item, state) ?? null;
      if (next !== item) value[index] = next;
      state.path.pop();
    }
    return value;
  };
}

function mapDecoder(type: FieldType & { kind: 'map' }): Decoder {
  const decode = compile(type.values);
  return (value, state) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(value, state, goType(type));
    for (const key in value) {
      const item = value[key]!;
      if (typeof item === 'string' && decode === decodeString) continue;
      state.path.push(`\0${key}`);
      const next = item === null ? zeroOf(type.values) : decode(item, state);
      if (next !== item) value[key] = next;
      state.path.pop();
    }
    return value;
  };
}

/** What Go leaves for null inside a list or map. */
function zeroOf(type: FieldType): Json {
  if (type.kind === 'ref' || type.kind === 'map') return {};
  if (type.kind === 'list') return [];
  switch (type.scalar) {
    case 'string': case 'bytes': return '';
    case 'bool': return false;
    case 'int32': case 'int64': case 'double': case 'IntOrString': return 0;
    case 'Quantity': return '0';
    case 'ExtraValue': return [];
    default: return null;
  }
}

const decodeString: Decoder = (value, state) => (typeof value === 'string' ? value : fail(value, state, 'string'));
const passThrough: Decoder = (value) => {
  if (typeof value === 'object' && tooDeep(value, 0)) throw new DecodeError('json: exceeded max depth');
  return value;
};

const scalarDecoders: Record<Scalar, Decoder> = {
  string: decodeString,
  bool: (value, state) => (typeof value === 'boolean' ? value : fail(value, state, 'bool')),
  int32: (value, state) => (typeof value === 'number' && (value | 0) === value ? value : fail(value, state, 'int32')),
  int64: (value, state) => (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 2 ** 63 ? value : fail(value, state, 'int64')),
  double: (value, state) => (typeof value === 'number' ? value : fail(value, state, 'float64')),
  bytes: decodeBytes,
  Time: (value) => decodeTime(value, 0),
  MicroTime: (value) => decodeTime(value, 6),
  Duration: (value) => {
    if (typeof value !== 'string') throw plainMismatch(value, 'string');
    if (!/^[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(value)) throw new DecodeError(`time: invalid duration "${value}"`);
    return value;
  },
  Quantity: decodeQuantity,
  IntOrString: (value) => {
    if (typeof value === 'string' || (typeof value === 'number' && (value | 0) === value)) return value;
    throw plainMismatch(value, 'int32');
  },
  RawExtension: passThrough,
  FieldsV1: passThrough,
  JSON: passThrough,
  any: passThrough,
  ExtraValue: (value, state) => {
    if (!Array.isArray(value)) throw mismatch(value, state, 'v1.ExtraValue');
    for (const [index, item] of value.entries()) if (item === null) value[index] = ''; else decodeString(item, state);
    return value;
  },
  JSONSchemaPropsOrArray: (value, state) => (Array.isArray(value) ? decodeSchemas(value, state) : decodeSchema(value, state)),
  JSONSchemaPropsOrBool: (value, state) => {
    if (typeof value === 'boolean') return value;
    if (typeof value !== 'object') throw new DecodeError('boolean or JSON schema expected');
    return decodeSchema(value, state);
  },
  JSONSchemaPropsOrStringArray: (value, state) => {
    if (Array.isArray(value)) { for (const item of value) decodeString(item, state); return value; }
    return decodeSchema(value, state);
  },
};

const schemaProps = 'apiextensions/v1.JSONSchemaProps';
const decodeSchema: Decoder = (value, state) => decoderOf(typeOf(schemaProps))(value, state);
const decodeSchemas = listDecoder({ kind: 'list', items: { kind: 'ref', name: schemaProps } });

function tooDeep(value: Json | undefined, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth > maxJsonDepth) return true;
  if (Array.isArray(value)) return value.some((item) => tooDeep(item, depth + 1));
  for (const key in value) if (tooDeep(value[key], depth + 1)) return true;
  return false;
}

function decodeBytes(value: Json, state: State): Json {
  if (typeof value !== 'string') throw mismatch(value, state, '[]uint8');
  const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, '') : value; // as Go's encoding/base64
  const body = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length;
  for (let at = 0; at < body; at++) {
    const c = text.charCodeAt(at);
    const fits = (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || (c >= 48 && c <= 57) || c === 43 || c === 47;
    if (!fits) throw new DecodeError(`illegal base64 data at input byte ${at}`);
  }
  if (text.length % 4 !== 0) throw new DecodeError(`illegal base64 data at input byte ${text.length - (text.length % 4)}`);
  return text;
}

/** Canonical forms seen, since a cluster writes few distinct quantities; emptied when it grows past the limit. */
const quantities = new Map<string | number, string>();
const maxCachedQuantities = 4096;

function decodeQuantity(value: Json): Json {
  if (typeof value !== 'string' && typeof value !== 'number') throw new DecodeError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  let canonical = quantities.get(value);
  if (canonical === undefined) {
    try { canonical = canonicalQuantity(value); } catch (err) { throw new DecodeError((err as Error).message); }
    if (quantities.size >= maxCachedQuantities) quantities.clear();
    quantities.set(value, canonical);
  }
  return canonical;
}

const plainTime = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;
const anyTime = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/;

/** RFC 3339 in, UTC with `digits` decimals out. */
function decodeTime(value: Json, digits: 0 | 6): Json {
  if (typeof value !== 'string') throw plainMismatch(value, 'string');
  if (digits === 0 && plainTime.test(value) && !(value[8] === '3' || value.startsWith('-02-29', 4) || value.startsWith('-02-3', 4))) return value;
  const [, local, fraction = '', zone] = anyTime.exec(value) ?? [];
  const ms = local ? Date.parse(local + zone!) : NaN;
  // Date.parse lets 30 February roll over; Go does not.
  if (Number.isNaN(ms) || new Date(Date.parse(`${local!}Z`)).toISOString().slice(0, 19) !== local) throw new DecodeError(timeProblem(value, digits));
  const seconds = new Date(ms).toISOString().slice(0, 19);
  return digits === 0 ? `${seconds}Z` : `${seconds}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
}

function timeProblem(text: string, digits: 0 | 6): string {
  const layout = digits === 0 ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00';
  const parts: [string, RegExp][] = [['2006', /^\d{4}/], ['-', /^-/], ['01', /^\d\d/], ['-', /^-/], ['02', /^\d\d/], ['T', /^T/], ['15', /^\d\d/], [':', /^:/], ['04', /^\d\d/], [':', /^:/], ['05', /^\d\d(\.\d+)?/], ['Z07:00', /^(Z|[+-]\d\d:\d\d)/]];
  let rest = text;
  for (const [name, pattern] of parts) {
    const [match] = pattern.exec(rest) ?? [];
    if (match === undefined) return `parsing time "${text}" as "${layout}": cannot parse "${rest}" as "${name}"`;
    rest = rest.slice(match.length);
  }
  if (rest) return `parsing time "${text}": extra text: "${rest}"`;
  const [, month, day, hour, minute] = /^\d{4}-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text)!.map(Number) as [number, number, number, number, number];
  const which = month < 1 || month > 12 ? 'month' : hour > 23 ? 'hour' : minute > 59 ? 'minute' : day < 1 || day > 28 ? 'day' : 'second';
  return `parsing time "${text}": ${which} out of range`;
}

// ---- Go's words

function fail(value: Json, state: State, type: string): never { throw mismatch(value, state, type); }

function mismatch(value: Json, state: State, type: string): DecodeError {
  const fields = state.path.filter((part) => typeof part === 'string' && !part.startsWith('\0'));
  if (fields.length === 0) return plainMismatch(value, type);
  return new DecodeError(`json: cannot unmarshal ${jsonKind(value, type)} into Go struct field ${state.struct}.${fields.join('.')} of type ${type}`);
}
function plainMismatch(value: Json, type: string): DecodeError {
  return new DecodeError(`json: cannot unmarshal ${jsonKind(value, type)} into Go value of type ${type}`);
}
function jsonKind(value: Json, type: string): string {
  if (typeof value === 'number') return /^(u?int|float)/.test(type) ? `number ${value}` : 'number';
  return typeof value === 'boolean' ? 'bool' : Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
}
/** 'v1.PodSpec' for 'core/v1.PodSpec'. */
function goName(name: string): string { return name.slice(name.indexOf('/') + 1); }
function goType(type: FieldType): string {
  switch (type.kind) {
    case 'list': return `[]${goType(type.items)}`;
    case 'map': return `map[string]${goType(type.values)}`;
    case 'ref': return goName(type.name);
    case 'scalar': return { bytes: '[]uint8', double: 'float64', Time: 'v1.Time', MicroTime: 'v1.MicroTime', Quantity: 'resource.Quantity', IntOrString: 'intstr.IntOrString',
      ExtraValue: 'v1.ExtraValue', JSON: 'v1.JSON', Duration: 'v1.Duration', RawExtension: 'runtime.RawExtension', any: 'interface {}' }[type.scalar as string] ?? type.scalar;
  }
}

/** 'spec.containers[0].image' */
function formatPath(path: readonly (string | number)[], last: string): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text ? '.' : ''}${part.startsWith('\0') ? part.slice(1) : part}`;
  }
  return text ? `${text}.${last}` : last;
}
