import assert from 'node:assert/strict';
import { test } from 'node:test';
import './all.schema.ts';
import type { JsonObject } from '../base/json.ts';
import { decodeObject } from './decode.ts';
import { applyConfiguration } from './managed-fields/managed-fields.ts';
import { pathsOf, type FieldSet } from './managed-fields/field-set.ts';
import { applySchemaDefaults, customDefinition, customType } from './structural.ts';

const kind = { group: 'example.com', version: 'v1', kind: 'Widget' };
const schema: JsonObject = {
  type: 'object', properties: {
    spec: { type: 'object', properties: {
      size: { type: 'integer', default: 3 }, note: { type: 'string', nullable: true, default: 'x' }, free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { known: { type: 'string' } } },
      ports: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['port', 'protocol'], items: { type: 'object', properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' }, name: { type: 'string' } } } },
      tags: { type: 'object', additionalProperties: { type: 'object', properties: { a: { type: 'string', default: 'd' } } } },
    } },
  },
};
const type = customType(kind, schema);

test('pruning keeps values as sent and reports what it drops', () => {
  const value = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w', labels: {}, nope: 1 }, extra: 1,
    spec: { size: 'wrong', note: null, zero: 0, free: { known: 'k', other: [1] }, ports: [{ port: 1, junk: 2 }], tags: { t: { a: '', b: 1 } } } };
  const { object, unknownFields } = decodeObject(type, structuredClone(value));
  assert.deepEqual(unknownFields, ['unknown field "metadata.nope"', 'unknown field "extra"', 'unknown field "spec.zero"', 'unknown field "spec.ports[0].junk"', 'unknown field "spec.tags.t.b"']);
  assert.deepEqual(object, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { size: 'wrong', note: null, free: { known: 'k', other: [1] }, ports: [{ port: 1 }], tags: { t: { a: '' } } } });
  assert.throws(() => decodeObject(type, { metadata: { name: 1 } }), /Go struct field ObjectMeta\.metadata\.name of type string/);
});

test('a kind without a schema keeps everything', () => {
  const value = { metadata: { name: 'w' }, spec: { a: [{ b: null }] }, other: 0 };
  assert.deepEqual(decodeObject(customType(kind, undefined), structuredClone(value)), { object: value, unknownFields: [] });
});

test('defaults', () => {
  const value: JsonObject = { spec: { note: null, ports: [{ port: 1 }], tags: { t: {} } } };
  applySchemaDefaults(value, schema);
  assert.deepEqual(value, { spec: { note: null, size: 3, ports: [{ port: 1, protocol: 'TCP' }], tags: { t: { a: 'd' } } } });
});

test('server-side apply on a custom resource', () => {
  const options = (manager: string) => ({ type, apiVersion: 'example.com/v1', manager, time: '2026-01-01T00:00:00Z' });
  const make = (spec: JsonObject): JsonObject => ({ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec });
  let live = applyConfiguration(undefined, make({ ports: [{ port: 1 }], free: { x: { y: 1 } } }), options('a'))!;
  live = applyConfiguration(live, make({ ports: [{ port: 2, name: 'two' }], free: { x: { z: 2 } } }), options('b'))!;
  assert.deepEqual(live.spec, { ports: [{ port: 1 }, { port: 2, name: 'two' }], free: { x: { y: 1, z: 2 } } });
  const fields = ((live.metadata as JsonObject).managedFields as JsonObject[]).find((entry) => entry.manager === 'b')!.fieldsV1 as FieldSet;
  assert.deepEqual(pathsOf(fields), ['.spec.free.x', '.spec.free.x.z', '.spec.ports[port=2,protocol="TCP"]', '.spec.ports[port=2,protocol="TCP"].name', '.spec.ports[port=2,protocol="TCP"].port']);
  assert.throws(() => applyConfiguration(live, make({ ports: [{ port: 2, name: 'zwei' }] }), options('a')), /conflict with "b": \.spec\.ports\[port=2,protocol="TCP"\]\.name/);
});

test('the definition for OpenAPI', () => {
  const definition = customDefinition(kind, schema, { $ref: '#/definitions/m' });
  assert.deepEqual(definition['x-kubernetes-group-version-kind'], [kind]);
  assert.deepEqual(Object.keys(definition.properties as JsonObject), ['spec', 'apiVersion', 'kind', 'metadata']);
});
