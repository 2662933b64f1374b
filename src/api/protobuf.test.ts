import assert from 'node:assert/strict';
import { test } from 'node:test';
import './resources.ts';
import { defineMessages, ProtobufError } from '../base/protobuf.ts';
import { randomInt, seededRng, type Rng } from '../base/rng.ts';
import type { Json, JsonObject } from '../base/json.ts';
import { decodeObject } from './decode.ts';
import { decodeProtobufObject, decodeUnknown, encodeObject, encodeWatchFrame, isProtobuf } from './protobuf.ts';
import { builtInResources } from './resource-names.ts';
import { typeOf, type FieldType, type TypeSchema } from './schema.ts';

const pod = typeOf('core/v1.Pod');
const roundTrip = (object: JsonObject, type: TypeSchema) => decodeProtobufObject(encodeObject(object, type), () => type);

test('the wire, field by field, as upstream\'s generated.proto has it', () => {
  const bytes = encodeObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', creationTimestamp: '2026-01-02T03:04:05Z', labels: { b: '2', a: '1' } },
    spec: { nodeName: 'n', terminationGracePeriodSeconds: 30, volumes: [{ name: 'v', emptyDir: {} }], containers: [{ name: 'c', resources: { limits: { cpu: '1' } } }] } }, pod);
  assert.ok(isProtobuf(bytes));
  const proto = defineMessages({
    Pod: { metadata: '1 Meta', spec: '2 Spec' }, Meta: { name: '1 string', creationTimestamp: '8 Time', labels: '11 map<string,string>' }, Time: { seconds: '1 int64', nanos: '2 int32' },
    Spec: { volumes: '1 []Volume', containers: '2 []Container', terminationGracePeriodSeconds: '4 int64', nodeName: '10 string' },
    Volume: { name: '1 string', source: '2 Source' }, Source: { emptyDir: '2 Empty' }, Empty: {},
    Container: { name: '1 string', resources: '8 Resources' }, Resources: { limits: '1 map<string,Quantity>' }, Quantity: { string: '1 string' },
  });
  const unknown = decodeUnknown(bytes);
  assert.deepEqual([unknown.apiVersion, unknown.kind], ['v1', 'Pod']);
  assert.deepEqual(proto.decode('Pod', unknown.raw), {
    metadata: { name: 'p', creationTimestamp: { seconds: Date.parse('2026-01-02T03:04:05Z') / 1000, nanos: 0 }, labels: { a: '1', b: '2' } },
    spec: { volumes: [{ name: 'v', source: { emptyDir: {} } }], containers: [{ name: 'c', resources: { limits: { cpu: { string: '1' } } } }], terminationGracePeriodSeconds: 30, nodeName: 'n' },
  });
});

test('zero values that Go always writes mean absent; behind a pointer they count', () => {
  const claim = typeOf('core/v1.PersistentVolumeClaim');
  assert.deepEqual(roundTrip({ spec: { storageClassName: '', volumeName: '' } }, claim).spec, { storageClassName: '' });
  assert.deepEqual(roundTrip({ spec: { hostNetwork: false, nodeName: '' } }, pod).spec, {});
});

test('the odd types', () => {
  const cases: [string, JsonObject][] = [
    ['coordination/v1.Lease', { spec: { renewTime: '2026-01-01T00:00:00.000123Z', leaseDurationSeconds: 15 } }],
    ['core/v1.Service', { spec: { ports: [{ port: 80, targetPort: 'http' }, { port: 81, targetPort: 8081 }] } }],
    ['core/v1.Secret', { data: { a: 'AAECaw==', b: '' } }],
    ['authentication/v1.TokenReview', { status: { user: { extra: { k: ['a', 'b'] } } } }],
    ['apps/v1.ControllerRevision', { data: { spec: { any: [1, null, 'x'] } }, revision: 3 }],
    ['core/v1.Pod', { metadata: { managedFields: [{ manager: 'm', fieldsV1: { 'f:a': {} } }] } }],
    ['apiextensions/v1.JSONSchemaProps', { default: { a: 1 }, items: { type: 'string' }, additionalProperties: false, maximum: 1.5, dependencies: { a: ['b'], c: { type: 'object' } } }],
    ['apiextensions/v1.JSONSchemaProps', { items: [{ type: 'string' }], additionalProperties: { type: 'string' } }],
    ['core/v1.Pod', { spec: { securityContext: { supplementalGroups: [1, 2 ** 40], runAsUser: 0 }, ephemeralContainers: [{ name: 'e', image: 'i', targetContainerName: 't' }] } }],
  ];
  for (const [name, value] of cases) assert.deepEqual(roundTrip(value, typeOf(name)), { apiVersion: typeOf(name).apiVersion, kind: typeOf(name).shortName, ...value });
});

/** A value that decoding leaves as it is. */
function randomValue(rng: Rng, type: FieldType, depth: number): Json {
  if (type.kind === 'list') return [randomValue(rng, type.items, depth)];
  if (type.kind === 'map') return { k: randomValue(rng, type.values, depth), 'a/b': randomValue(rng, type.values, depth) };
  if (type.kind === 'ref') return randomObject(rng, typeOf(type.name), depth - 1);
  switch (type.scalar) {
    case 'string': return `s${randomInt(rng, 100)}é`;
    case 'bool': return true;
    case 'int32': return randomInt(rng, 2 ** 31) * (rng.float() < 0.5 ? -1 : 1) || 1;
    case 'int64': return (randomInt(rng, 2 ** 50) + 1) * (rng.float() < 0.5 ? -1 : 1);
    case 'double': return rng.float() + 1;
    case 'bytes': return Buffer.from(rng.bytes(1 + randomInt(rng, 9))).toString('base64');
    case 'Time': return '2026-02-03T04:05:06Z';
    case 'MicroTime': return '2026-02-03T04:05:06.000700Z';
    case 'Quantity': return `${1 + randomInt(rng, 999)}m`;
    case 'IntOrString': return rng.float() < 0.5 ? 'x' : -5;
    case 'ExtraValue': return ['a', ''];
    case 'JSONSchemaPropsOrBool': return false;
    case 'JSONSchemaPropsOrStringArray': return ['a'];
    case 'JSONSchemaPropsOrArray': return [];
    default: return { free: [1, 'x', { y: null }] };
  }
}
function randomObject(rng: Rng, type: TypeSchema, depth: number): JsonObject {
  const out: JsonObject = {};
  for (const field of type.fields.values()) {
    if (field.numbers[0] === 0 || (depth <= 0 && field.type.kind !== 'scalar') || rng.float() < 0.3) continue;
    out[field.name] = randomValue(rng, field.type, depth);
  }
  return out;
}

test('every kind comes back as it went, and as decoding leaves it', () => {
  const rng = seededRng(21);
  for (const { typeName } of builtInResources()) {
    const type = typeOf(typeName);
    for (let i = 0; i < 3; i++) {
      const object = { apiVersion: type.apiVersion, kind: type.shortName, ...randomObject(rng, type, 6) };
      const back = roundTrip(object, type);
      assert.deepEqual(back, object, typeName);
      assert.deepEqual(decodeObject(type, structuredClone(back)), { object: back, unknownFields: [] }, typeName);
    }
  }
});

test('malformed input throws ProtobufError', () => {
  const rng = seededRng(4);
  const good = encodeObject({ metadata: { name: 'x' }, spec: { containers: [{ name: 'c', ports: [{ containerPort: 1 }] }] } }, pod);
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from(good);
    bytes[4 + randomInt(rng, bytes.length - 4)] = randomInt(rng, 256);
    try { decodeProtobufObject(bytes.subarray(0, rng.float() < 0.3 ? 5 + randomInt(rng, bytes.length - 5) : bytes.length), () => pod); } catch (err) { assert.ok(err instanceof ProtobufError, String(err)); }
  }
  assert.throws(() => decodeUnknown(Uint8Array.of(1, 2, 3)), ProtobufError);
  assert.throws(() => decodeProtobufObject(good, () => undefined), /no kind "Pod" is registered for version "v1"/);
});

test('watch frames', () => {
  const object = encodeObject({ metadata: { name: 'x' } }, pod);
  const frame = Buffer.from(encodeWatchFrame('ADDED', object));
  assert.equal(frame.readUInt32BE(0), frame.length - 4);
  const events = defineMessages({ WatchEvent: { type: '1 string', object: '2 Raw' }, Raw: { raw: '1 bytes' } });
  const event = events.decode('WatchEvent', frame.subarray(4));
  assert.equal(event.type, 'ADDED');
  assert.deepEqual(Buffer.from(event.object!.raw), Buffer.from(object));
});
