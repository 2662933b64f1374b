/** Request bodies: media types, field validation, and from bytes to an object of the expected kind. */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { cannotBeHandled, checkDepth, decodeObject, strictDecodingError, unrecognizedObject } from '../../api/decode.ts';
import { JsonSyntaxError, parseJson, parseJsonStrict } from '../../api/json-text.ts';
import { parseYamlStrict } from '../../api/yaml-text.ts';
import { badRequest, unsupportedMediaType } from '../../api/meta/status.ts';
import { typeOf, type TypeSchema } from '../../api/schema.ts';
import type { ApiRequest } from '../request.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';
const jsonTypes = ['', 'application/json', '*/*'];
const accepted = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];

export function unsupported(types: readonly string[]) {
  return unsupportedMediaType(`the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`);
}

/** Default Warn, as upstream. */
export function fieldValidationOf({ query }: ApiRequest): FieldValidation {
  const value = query.get('fieldValidation');
  if (value === '') return 'Warn';
  if (value === 'Ignore' || value === 'Warn' || value === 'Strict') return value;
  throw badRequest(`fieldValidation: Unsupported value: ${JSON.stringify(value)}: supported values: "Ignore", "Strict", "Warn"`);
}

export interface ParsedBody { value: Json; duplicateFields: string[] }

/** Protobuf bodies, when the codec is there: `k8s\0` envelopes to JSON. */
export interface ProtobufCodec { decode(body: Uint8Array): JsonObject; encode?(type: TypeSchema, object: JsonObject): Uint8Array }
let protobuf: ProtobufCodec | undefined;
export function useProtobuf(codec: ProtobufCodec): void { protobuf = codec; }
export const protobufCodec = (): ProtobufCodec | undefined => protobuf;

/** The body as JSON that the caller may change; undefined when there is none. `kind` is for messages. */
export function parseBody({ body, contentType, inProcess }: ApiRequest, kind: string, strict: boolean): ParsedBody | undefined {
  if (body === undefined || body === null) return undefined;
  if (!(body instanceof Uint8Array)) return { value: inProcess ? copyOf(body as Json) : body as Json, duplicateFields: [] };
  if (body.length === 0) return undefined;
  if (contentType === 'application/vnd.kubernetes.protobuf') {
    if (!protobuf) throw unsupported(accepted.slice(0, 2));
    return { value: protobuf.decode(body), duplicateFields: [] };
  }
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  try {
    if (jsonTypes.includes(contentType)) return strict ? strictJson(text) : { value: parseJson(text), duplicateFields: [] };
    if (contentType === 'application/yaml' || contentType === 'application/x-yaml' || contentType === 'text/yaml') {
      const { value, duplicateFields } = parseYamlStrict(text);
      return { value, duplicateFields };
    }
  } catch (err) {
    if (err instanceof JsonSyntaxError || err instanceof SyntaxError) throw unrecognizedObject(kind, `couldn't get version/kind; json parse error: ${err.message}`, text);
    throw err;
  }
  throw unsupported(accepted);
}
/** JSON.parse is several times faster than the strict parser, so duplicates are looked for only where one may be. */
function strictJson(text: string): ParsedBody {
  const { value, duplicateFields } = parseJsonStrict(text);
  return { value, duplicateFields };
}

/** A copy without keys whose value is undefined, which JSON does not have. */
function copyOf<T extends Json | undefined>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copyOf(item))) as T;
  const out: JsonObject = {};
  for (const key in value as JsonObject) {
    const child = (value as JsonObject)[key];
    if (child !== undefined) out[key] = copyOf(child);
  }
  return out as T;
}
export { copyOf as copyJson };

export interface ExpectedKind {
  kind: string;
  apiVersion: string;
  type: TypeSchema | undefined;
  /** Older versions of the same shape that clients still send; read as `apiVersion`. */
  alsoAccepted?: readonly string[];
}
export function expectedKind(apiVersion: string, kind: string, typeName: string): ExpectedKind {
  return { kind, apiVersion, type: typeName ? typeOf(typeName) : undefined };
}

/** An object of the expected kind, decoded; apiVersion and kind are filled in where absent. The caller owns it. */
export function decodeBody(request: ApiRequest, expected: ExpectedKind): JsonObject {
  const validation = fieldValidationOf(request);
  // Differs: upstream looks for duplicates by default too; clients that don't ask marshal their objects, and JSON.parse is several times faster.
  const parsed = parseBody(request, expected.kind, validation === 'Strict' || request.query.get('fieldValidation') === 'Warn');
  if (!parsed) throw badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)`);
  return decodeAs(request, parsed.value, expected, validation, parsed.duplicateFields);
}

export function decodeAs(request: ApiRequest, value: Json, expected: ExpectedKind, validation: FieldValidation, duplicateFields: readonly string[] = []): JsonObject {
  if (!isJsonObject(value)) throw unrecognizedObject(expected.kind, `couldn't get version/kind; json parse error: json: cannot unmarshal ${goType(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`, JSON.stringify(value));
  checkKind(value, expected);
  const { type } = expected;
  if (!type) {
    checkDepth(value);
    decodeObject(typeOf('meta/v1.ObjectMeta'), (value.metadata ??= {}) as Json);
    return value;
  }
  const { object, unknownFields } = decodeObject(type, value);
  if (validation !== 'Ignore' && (unknownFields.length > 0 || duplicateFields.length > 0)) {
    const problems = [...unknownFields, ...duplicateFields];
    if (validation === 'Strict') throw strictDecodingError(type, problems);
    request.warnings.push(...problems);
  }
  return object;
}

function checkKind(value: JsonObject, expected: ExpectedKind): void {
  const { kind, apiVersion } = value;
  if (typeof kind === 'string' && kind !== '' && typeof apiVersion === 'string' && apiVersion !== '') {
    if (expected.alsoAccepted?.includes(apiVersion)) value.apiVersion = expected.apiVersion;
    else if (apiVersion !== expected.apiVersion) throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`);
    if (kind !== expected.kind) {
      throw cannotBeHandled({ shortName: expected.kind, apiVersion: expected.apiVersion }, `converting (${shortKind(apiVersion, kind)}) to (${shortKind(expected.apiVersion, expected.kind)}): unknown conversion`, { kind, apiVersion });
    }
  }
  value.kind = expected.kind;
  value.apiVersion = expected.apiVersion;
}
const shortKind = (apiVersion: string, kind: string) => `${apiVersion.slice(apiVersion.indexOf('/') + 1)}.${kind}`;
const goType = (value: Json) => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value);

/** DeleteOptions, CreateOptions and the like from the query. `dryRun` may be 'All' only. */
export function isDryRun(values: readonly string[]): boolean {
  if (values.length === 0 || (values.length === 1 && values[0] === '')) return false;
  for (const value of values) {
    if (value !== 'All') throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(value)}: supported values: "All"`);
  }
  return true;
}
