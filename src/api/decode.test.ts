import assert from 'node:assert/strict';
import { test } from 'node:test';
import './all.schema.ts';
import type { Json } from '../base/json.ts';
import { decodeObject, strictDecodingError, unrecognizedObject } from './decode.ts';
import { JsonSyntaxError, parseJson, parseJsonStrict } from './json-text.ts';
import { isStatusError } from './meta/status.ts';
import { typeOf } from './schema.ts';
import { parseYamlStrict, parseYamlStream } from './yaml-text.ts';

const deployment = typeOf('apps/v1.Deployment');
const pod = typeOf('core/v1.Pod');
const container = (extra: Record<string, Json>): Json => ({ spec: { template: { spec: { containers: [{ name: 'a', ...extra }] } } } });

const refused: [name: string, type: string, value: Json, message: string][] = [
  ['string for int32', 'apps/v1.Deployment', { spec: { replicas: 'x' } }, 'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32'],
  ['fraction for int32', 'apps/v1.Deployment', { spec: { replicas: 1.5 } }, 'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32'],
  ['int32 too large', 'apps/v1.Deployment', { spec: { replicas: 3000000000 } }, 'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32'],
  ['number for string in a list', 'apps/v1.Deployment', container({ env: [{ name: 'A', value: 1 }] }), 'json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string'],
  ['object for list', 'core/v1.Pod', { spec: { containers: {} } }, 'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'],
  ['array for struct', 'core/v1.Pod', { spec: [] }, 'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec'],
  ['bool for string in a map', 'core/v1.Pod', { metadata: { labels: { a: true } } }, 'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string'],
  ['struct left again', 'core/v1.Pod', { spec: { affinity: { nodeAffinity: {} }, nodeName: 1 } }, 'json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string'],
  ['time', 'core/v1.Pod', { metadata: { creationTimestamp: 'x' } }, 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'],
  ['day', 'core/v1.Pod', { metadata: { creationTimestamp: '2024-02-30T00:00:00Z' } }, 'parsing time "2024-02-30T00:00:00Z": day out of range'],
  ['base64', 'core/v1.Secret', { data: { a: 'ab!=' } }, 'illegal base64 data at input byte 2'],
  ['quantity', 'apps/v1.Deployment', container({ resources: { limits: { cpu: 'x' } } }), "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ['IntOrString', 'core/v1.Service', { spec: { ports: [{ targetPort: 1.5 }] } }, 'json: cannot unmarshal number 1.5 into Go value of type int32'],
  ['the whole body', 'core/v1.Pod', [], 'json: cannot unmarshal array into Go value of type v1.Pod'],
];
for (const [name, type, value, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(() => decodeObject(typeOf(type), value), (err) => isStatusError(err, 'BadRequest') && (err.message.endsWith(`: ${message}`) || err.message === message || assert.fail(err.message)));
  });
}

test('unknown fields are reported with their path, and dropped', () => {
  const value = { kind: 'Deployment', spec: { foo: 1, template: { spec: { containers: [{ name: 'a', imagee: 'x' }, { bar: null }] } } }, __proto: 1 };
  const { object, unknownFields } = decodeObject(deployment, value);
  assert.deepEqual(unknownFields, ['unknown field "spec.foo"', 'unknown field "spec.template.spec.containers[0].imagee"', 'unknown field "spec.template.spec.containers[1].bar"', 'unknown field "__proto"']);
  assert.deepEqual(object, { kind: 'Deployment', spec: { template: { spec: { containers: [{ name: 'a' }, {}] } } } });
  assert.equal(strictDecodingError(deployment, unknownFields.slice(0, 1)).message, 'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo"');
});

test('values take the form Go writes', () => {
  const { object } = decodeObject(pod, {
    metadata: { creationTimestamp: null, deletionTimestamp: '2024-01-01T01:00:00.5+01:00', labels: {}, finalizers: [], annotations: { a: null } },
    spec: { nodeName: '', hostNetwork: false, priority: 0, runtimeClassName: '', containers: [{ name: 'a', command: ['x', null], resources: { limits: { cpu: 1, memory: '1024Ki' }, requests: { cpu: '500e-3' } }, ports: [] }] },
  });
  assert.deepEqual(object, {
    metadata: { deletionTimestamp: '2024-01-01T00:00:00Z', annotations: { a: '' } },
    spec: { priority: 0, runtimeClassName: '', containers: [{ name: 'a', command: ['x', ''], resources: { limits: { cpu: '1', memory: '1Mi' }, requests: { cpu: '500e-3' } } }] },
  });
  assert.deepEqual(decodeObject(typeOf('coordination/v1.Lease'), { spec: { renewTime: '2024-01-01T00:00:00.1234567Z' } }).object, { spec: { renewTime: '2024-01-01T00:00:00.123456Z' } });
  assert.deepEqual(decodeObject(typeOf('core/v1.Secret'), { data: { a: 'YWJj\nZGVm', b: '' } }).object, { data: { a: 'YWJjZGVm', b: '' } });
});

test('nothing to change: the same objects come back', () => {
  const value = { metadata: { name: 'a', labels: { x: 'y' } }, spec: { containers: [{ name: 'a', resources: { limits: { cpu: '1' } } }] } };
  const copy = structuredClone(value);
  const { object } = decodeObject(pod, value);
  assert.equal(object, value);
  assert.deepEqual(value, copy);
});

test('schema unions of custom resource definitions', () => {
  const schema = { properties: { a: { items: { type: 'string', junk: 1 } }, b: { additionalProperties: false }, c: { items: [{ type: 'string' }], dependencies: { x: ['y'], z: { nope: 1 } } } } };
  const { unknownFields } = decodeObject(typeOf('apiextensions/v1.JSONSchemaProps'), schema);
  assert.deepEqual(unknownFields, ['unknown field "properties.a.items.junk"', 'unknown field "properties.c.dependencies.z.nope"']);
});

test('depth is bounded', () => {
  const nest = (levels: number) => JSON.parse('{"not":'.repeat(levels) + '{}' + '}'.repeat(levels)) as Json;
  assert.throws(() => decodeObject(typeOf('apiextensions/v1.JSONSchemaProps'), nest(5000)), /max depth/);
  assert.throws(() => decodeObject(typeOf('apps/v1.ControllerRevision'), { data: nest(5000) }), /max depth/);
  assert.throws(() => parseJsonStrict('['.repeat(5000)), /max depth/);
});

test('duplicates', () => {
  const { value, duplicateFields } = parseJsonStrict('{"spec":{"replicas":1,"replicas":2,"c":[{},{"a":1,"a":2,"a":3}]},"\\u0073pec":{"x":"\\n\\ud83d\\ude00"}}');
  assert.deepEqual(value, { spec: { x: '\n😀' } });
  assert.deepEqual(duplicateFields, ['duplicate field "spec.replicas"', 'duplicate field "spec.c[1].a"', 'duplicate field "spec"']);
});

test('the strict parser agrees with JSON.parse', () => {
  for (const text of ['1', '-0.5e+3', '"a\\"b\\\\"', ' [ ] ', '{ }', '[1,[2,{"a":null}],true,false]', '{"__proto__":{"a":1}}', '"\\u00e9\\/"', '1e400']) assert.deepEqual(parseJsonStrict(text).value, JSON.parse(text));
});

for (const [text, message] of [
  ['', 'unexpected end of JSON input'], ['{', 'unexpected end of JSON input'], ['{"a":1', 'unexpected end of JSON input'], ['x', "invalid character 'x' looking for beginning of value"],
  ['{a:1}', "invalid character 'a' looking for beginning of object key string"], ['{"a" 1}', "invalid character '1' after object key"], ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
  ['[1 2]', "invalid character '2' after array element"], ['1 2', "invalid character '2' after top-level value"], ['nul!', "invalid character '!' in literal null (expecting 'l')"],
  ['"a\nb"', "invalid character '\\n' in string literal"], ['"\\q"', "invalid character 'q' in string escape code"], ['01', "invalid character '1' after top-level value"], ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
] as const) {
  test(`syntax: ${JSON.stringify(text)}`, () => assert.throws(() => parseJson(text), (err) => err instanceof JsonSyntaxError && err.message === message || assert.fail(String(err))));
}

test('YAML as Go reads it', () => {
  const { value, duplicateFields } = parseYamlStrict('a: yes\nb: 2024-01-01\nc: 010\nd: "yes"\ne: 1:30\nf: &x {k: 1}\ng: *x\na: no\nh: ~\n1: x\n');
  assert.deepEqual(value, { a: false, b: '2024-01-01', c: 8, d: 'yes', e: '1:30', f: { k: 1 }, g: { k: 1 }, h: null, 1: 'x' });
  assert.deepEqual(duplicateFields, ['yaml: unmarshal errors:\n  line 8: key "a" already set in map']);
  assert.throws(() => parseYamlStrict('a: [1'), JsonSyntaxError);
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefgh'.split('').map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)].join('\n');
  assert.throws(() => parseYamlStrict(bomb), JsonSyntaxError);
  assert.deepEqual(parseYamlStream('---\na: 1\n---\n# nothing\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }]);
});

test('a body that is not an object of any kind', () => {
  assert.equal(unrecognizedObject('Pod', "couldn't get version/kind; json parse error: unexpected end of JSON input", '{').message,
    "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({)");
});
