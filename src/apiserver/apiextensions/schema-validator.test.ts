/** Messages about values, as upstream words them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../base/json.ts';
import { validateListTypes } from './list-types.ts';
import { schemaValidator } from './schema-validator.ts';

const cases: [name: string, schema: JsonObject, value: Json, errors: string[]][] = [
  ['type', { type: 'integer' }, 'x', ['spec.v: Invalid value: "string": spec.v in body must be of type integer: "string"']],
  ['null', { type: 'string' }, null, ['spec.v: Invalid value: "null": spec.v in body must be of type string: "null"']],
  ['nullable', { type: 'string', nullable: true }, null, []],
  ['a whole number is a number', { type: 'number' }, 3, []],
  ['a fraction is no integer', { type: 'integer' }, 3.5, ['spec.v: Invalid value: "number": spec.v in body must be of type integer: "number"', '<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.v']],
  ['int32', { type: 'integer', format: 'int32' }, 2 ** 31, ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.v']],
  ['int-or-string', { 'x-kubernetes-int-or-string': true }, true, ['spec.v: Invalid value: "boolean": spec.v in body must be of type integer,string: "boolean"']],
  ['int-or-string, both', { 'x-kubernetes-int-or-string': true }, '80%', []],
  ['minimum', { type: 'integer', minimum: 2 }, 1, ['spec.v: Invalid value: 1: spec.v in body should be greater than or equal to 2']],
  ['exclusive', { type: 'number', maximum: 2, exclusiveMaximum: true }, 2, ['spec.v: Invalid value: 2: spec.v in body should be less than 2']],
  ['multipleOf', { type: 'integer', multipleOf: 5 }, 7, ['spec.v: Invalid value: 7: spec.v in body should be a multiple of 5']],
  ['multipleOf a fraction', { type: 'number', multipleOf: 0.1 }, 0.3, []],
  ['maxLength counts characters', { type: 'string', maxLength: 2 }, '😀😀', []],
  ['maxLength', { type: 'string', maxLength: 2 }, 'abc', ['spec.v: Too long: may not be more than 2 bytes']],
  ['minLength', { type: 'string', minLength: 2 }, 'a', ['spec.v: Invalid value: "a": spec.v in body should be at least 2 chars long']],
  ['pattern', { type: 'string', pattern: '^a+$' }, 'b', ["spec.v: Invalid value: \"b\": spec.v in body should match '^a+$'"]],
  ['format', { type: 'string', format: 'date-time' }, 'today', ['spec.v: Invalid value: "today": spec.v in body must be of type date-time: "today"']],
  ['format it is', { type: 'string', format: 'date-time' }, '2026-01-02T03:04:05Z', []],
  ['unknown format', { type: 'string', format: 'whatever' }, 'x', []],
  ['ipv4', { type: 'string', format: 'ipv4' }, '1.2.3', ['spec.v: Invalid value: "1.2.3": spec.v in body must be of type ipv4: "1.2.3"']],
  ['enum', { type: 'string', enum: ['a', 'b'] }, 'c', ['spec.v: Unsupported value: "c": supported values: "a", "b"']],
  ['required', { type: 'object', required: ['x'] }, {}, ['spec.v.x: Required value']],
  ['minProperties', { type: 'object', minProperties: 1 }, {}, ['spec.v: Invalid value: 0: spec.v in body should have at least 1 properties']],
  ['maxProperties', { type: 'object', maxProperties: 0 }, { a: 1 }, ['spec.v: Too many: 1: must have at most 0 items']],
  ['additionalProperties', { type: 'object', additionalProperties: { type: 'string' } }, { k: 1 }, ['spec.v.k: Invalid value: "integer": spec.v.k in body must be of type string: "integer"']],
  ['items', { type: 'array', items: { type: 'string' } }, ['a', 1], ['spec.v[1]: Invalid value: "integer": spec.v[1] in body must be of type string: "integer"']],
  ['minItems', { type: 'array', minItems: 2 }, [1], ['spec.v: Invalid value: 1: spec.v in body should have at least 2 items']],
  ['maxItems', { type: 'array', maxItems: 1 }, [1, 2], ['spec.v: Too many: 2: must have at most 1 item']],
  ['anyOf', { anyOf: [{ required: ['a'] }, { required: ['b'] }] }, {}, ['<nil>: Invalid value: "": "spec.v" must validate at least one schema (anyOf)', 'spec.v.a: Required value']],
  ['oneOf, none', { oneOf: [{ required: ['a'] }, { required: ['b'] }] }, {}, ['<nil>: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found none valid', 'spec.v.a: Required value']],
  ['oneOf, two', { oneOf: [{ required: ['a'] }, { required: ['b'] }] }, { a: 1, b: 1 }, ['<nil>: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found 2 valid alternatives']],
  ['allOf', { allOf: [{ required: ['a'] }, { required: ['b'] }] }, { a: 1 }, ['spec.v.b: Required value', '<nil>: Invalid value: "": "spec.v" must validate all the schemas (allOf)']],
  ['not', { not: { required: ['a'] } }, { a: 1 }, ['<nil>: Invalid value: "": "spec.v" must not validate the schema (not)']],
];
for (const [name, schema, value, errors] of cases) {
  test(name, () => {
    const validate = schemaValidator({ type: 'object', properties: { spec: { type: 'object', properties: { v: schema } } } });
    assert.deepEqual(validate({ spec: { v: value } }).map((error) => `${error.field}: ${error.detail}`), errors);
  });
}

test('status is named from the object, messages from the status', () => {
  assert.deepEqual(schemaValidator({ type: 'object', properties: { n: { type: 'integer' } } }, 'status')({ n: 'x' }).map((error) => `${error.field}: ${error.detail}`), ['status.n: Invalid value: "string": n in body must be of type integer: "string"']);
});

test('sets and maps', () => {
  const list = (extra: JsonObject) => ({ type: 'object', properties: { l: { type: 'array', ...extra } } });
  const texts = (schema: JsonObject, l: Json[]) => validateListTypes(schema, { l }).map((error) => `${error.field}: ${error.detail}`);
  assert.deepEqual(texts(list({ 'x-kubernetes-list-type': 'set' }), ['a', 'b', 'a', 'a']), ['l[2]: Duplicate value: "a"']);
  const keyed = list({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k', 'p'] });
  assert.deepEqual(texts(keyed, [{ k: 1, p: 'x' }, { k: 1, p: 'y' }, { k: 1, p: 'x', v: 2 }]), ['l[2]: Duplicate value: {"k":1,"p":"x"}']);
  assert.deepEqual(texts(keyed, ['a']), ['l[0]: Invalid value: "a": must be an object for an array of list-type map']);
});

test('ratcheting follows lists of type map by their keys', () => {
  const validate = schemaValidator({ type: 'object', properties: { l: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: { type: 'object', properties: { k: { type: 'string' }, v: { type: 'integer', maximum: 1 } } } } } });
  const fields = (next: Json, old: Json) => validate(next, old).map((error) => error.field);
  assert.deepEqual(fields({ l: [{ k: 'new', v: 1 }, { k: 'a', v: 5 }] }, { l: [{ k: 'a', v: 5 }] }), []);
  assert.deepEqual(fields({ l: [{ k: 'a', v: 6 }] }, { l: [{ k: 'a', v: 5 }] }), ['l[0].v']);
});

test('patterns that make other engines hang', () => {
  assert.equal(schemaValidator({ type: 'string', pattern: '^(a+)+$' })(`${'a'.repeat(50_000)}b`).length, 1);
});
