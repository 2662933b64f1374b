/**
 * OpenAPI v2 in the protobuf form that kubectl up to 1.31 asks for. Only what our documents contain is described.
 * Source: google/gnostic, openapiv2/OpenAPIv2.proto.
 */
import { defineMessages } from '../../base/protobuf.ts';
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';

const gnostic = defineMessages({
  Document: { swagger: '1 string', info: '2 Info', schemes: '5 []string', consumes: '6 []string', produces: '7 []string', paths: '8 Paths', definitions: '9 Named', security: '12 []SecurityRequirement', securityDefinitions: '13 SecurityDefinitions' },
  Info: { title: '1 string', version: '2 string' },
  Paths: { path: '2 []NamedPathItem' },
  NamedPathItem: { name: '1 string', value: '2 PathItem' },
  PathItem: { get: '2 Operation', put: '3 Operation', post: '4 Operation', delete: '5 Operation', options: '6 Operation', head: '7 Operation', patch: '8 Operation' },
  Operation: { tags: '1 []string', description: '3 string', operationId: '5 string', produces: '6 []string', consumes: '7 []string', parameters: '8 []ParametersItem', responses: '9 Responses', schemes: '10 []string', extensions: '13 []NamedAny' },
  ParametersItem: { parameter: '1 Parameter' },
  Parameter: { body: '1 BodyParameter', nonBody: '2 NonBodyParameter' },
  BodyParameter: { description: '1 string', name: '2 string', in: '3 string', required: '4 bool', schema: '5 Schema' },
  NonBodyParameter: { query: '3 QueryParameter', path: '4 PathParameter' },
  QueryParameter: { required: '1 bool', in: '2 string', description: '3 string', name: '4 string', type: '6 string', uniqueItems: '18 bool' },
  PathParameter: { required: '1 bool', in: '2 string', description: '3 string', name: '4 string', type: '5 string', uniqueItems: '17 bool' },
  Responses: { code: '1 []NamedResponseValue' },
  NamedResponseValue: { name: '1 string', value: '2 ResponseValue' },
  ResponseValue: { response: '1 Response' },
  Response: { description: '1 string', schema: '2 SchemaItem' },
  SchemaItem: { schema: '1 Schema' },
  Named: { properties: '1 []NamedSchema' },
  NamedSchema: { name: '1 string', value: '2 Schema' },
  Schema: { ref: '1 string', format: '2 string', description: '4 string', required: '19 []string', additionalProperties: '21 AdditionalProperties', type: '22 TypeItem', items: '23 Items', properties: '25 Named', extensions: '31 []NamedAny' },
  AdditionalProperties: { schema: '1 Schema', boolean: '2 bool?' },
  TypeItem: { value: '1 []string' },
  Items: { schema: '1 []Schema' },
  NamedAny: { name: '1 string', value: '2 Any' },
  Any: { yaml: '2 string' },
  SecurityRequirement: { entries: '1 []NamedStringArray' },
  NamedStringArray: { name: '1 string', value: '2 TypeItem' },
  SecurityDefinitions: { entries: '1 []NamedSecurity' },
  NamedSecurity: { name: '1 string', value: '2 SecurityItem' },
  SecurityItem: { apiKey: '2 ApiKey' },
  ApiKey: { type: '1 string', name: '2 string', in: '3 string', description: '4 string' },
});

/** `document` as `openApiV2` makes it. */
export function encodeDocument(document: JsonObject): Uint8Array {
  return gnostic.encode('Document', {
    swagger: text(document.swagger), info: { title: text(object(document.info).title), version: text(object(document.info).version) },
    paths: { path: entries(document.paths).map(([name, item]) => ({ name, value: Object.fromEntries(entries(item).map(([method, operation]) => [method, operationOf(object(operation))])) as never })) },
    definitions: named(document.definitions),
    security: [{ entries: [{ name: 'BearerToken', value: { value: [] } }] }],
    securityDefinitions: { entries: entries(document.securityDefinitions).map(([name, value]) => ({ name, value: { apiKey: object(value) as never } })) },
  });
}

/** For tests: what `encodeDocument` wrote. */
export const decodeGnosticDocument = (bytes: Uint8Array) => gnostic.decode('Document', bytes);

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const object = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const strings = (value: Json | undefined): string[] => (Array.isArray(value) ? value as string[] : []);
const entries = (value: Json | undefined): [string, Json][] => Object.entries(object(value)) as [string, Json][];
/** JSON is YAML. */
const extensionsOf = (value: JsonObject) => Object.entries(value).filter(([name]) => name.startsWith('x-')).map(([name, any]) => ({ name, value: { yaml: `${JSON.stringify(any)}\n` } }));
const named = (value: Json | undefined) => ({ properties: entries(value).map(([name, schema]) => ({ name, value: schemaOf(object(schema)) })) });

interface SchemaInit { [key: string]: unknown }
function schemaOf(schema: JsonObject): SchemaInit {
  return {
    ref: text(schema.$ref), format: text(schema.format), description: text(schema.description), required: strings(schema.required),
    ...(schema.type ? { type: { value: [text(schema.type)] } } : {}),
    ...(isJsonObject(schema.items) ? { items: { schema: [schemaOf(schema.items)] } } : {}),
    ...(isJsonObject(schema.additionalProperties) ? { additionalProperties: { schema: schemaOf(schema.additionalProperties) } } : typeof schema.additionalProperties === 'boolean' ? { additionalProperties: { boolean: schema.additionalProperties } } : {}),
    ...(schema.properties ? { properties: named(schema.properties) } : {}),
    extensions: extensionsOf(schema),
  };
}

function operationOf(operation: JsonObject): SchemaInit {
  return {
    tags: strings(operation.tags), description: text(operation.description), operationId: text(operation.operationId), produces: strings(operation.produces), consumes: strings(operation.consumes), schemes: strings(operation.schemes),
    parameters: (operation.parameters as JsonObject[]).map((p) => ({ parameter: p.in === 'body' ? { body: { name: text(p.name), in: 'body', required: p.required === true, schema: schemaOf(object(p.schema)) } }
      : { nonBody: { [p.in as string]: { required: p.required === true, in: text(p.in), description: text(p.description), name: text(p.name), type: text(p.type), uniqueItems: true } } } })),
    responses: { code: entries(operation.responses).map(([name, value]) => ({ name, value: { response: { description: text(object(value).description), ...(object(value).schema ? { schema: { schema: schemaOf(object(object(value).schema)) } } : {}) } } })) },
    extensions: extensionsOf(operation),
  };
}
