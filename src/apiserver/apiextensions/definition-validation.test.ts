/** What a CustomResourceDefinition may say, in upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../../api/all.schema.ts';
import type { JsonObject } from '../../base/json.ts';
import type { Definition } from './conditions.ts';
import { unrecognizedFormats, validateDefinition, validateDefinitionUpdate } from './definition-validation.ts';

const schemaAt = 'spec.validation.openAPIV3Schema';
function make(properties: JsonObject, root: JsonObject = {}): Definition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'widgets.example.com' },
    spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' }, conversion: { strategy: 'None' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties, ...root } } }] },
    status: { storedVersions: ['v1'] },
  } as unknown as Definition;
}
const texts = (definition: Definition) => validateDefinition(definition).map((error) => `${error.field}: ${error.detail}`);

test('a sound definition', () => assert.deepEqual(texts(make({ spec: { type: 'object', properties: { a: { type: 'string' } } } })), []));

const schemas: [name: string, properties: JsonObject, errors: string[]][] = [
  ['no type', { spec: { properties: {} } }, [`${schemaAt}.properties[spec].type: Required value: must not be empty for specified object fields`]],
  ['unknown type', { spec: { type: 'objekt' } }, [`${schemaAt}.properties[spec].type: Unsupported value: "objekt": supported values: "array", "boolean", "integer", "number", "object", "string"`]],
  ['array without items', { l: { type: 'array' } }, [`${schemaAt}.properties[l].items: Required value: must be specified`]],
  ['type inside anyOf', { a: { type: 'string', anyOf: [{ type: 'string' }] } }, [`${schemaAt}.properties[a].anyOf[0].type: Forbidden: must be empty to be structural`]],
  ['int-or-string pattern', { a: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] } }, []],
  ['field only in a validation', { a: { type: 'object', anyOf: [{ properties: { b: { minimum: 1 } } }] } }, [`${schemaAt}.properties[a].properties[b]: Required value: because it is defined in ${schemaAt}.properties[a].anyOf[0].properties[b]`]],
  ['metadata', { metadata: { type: 'object', properties: { labels: { type: 'object' } } } }, [`${schemaAt}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified`]],
  ['$ref', { a: { type: 'object', $ref: '#/x' } }, [`${schemaAt}.properties[a].$ref: Forbidden: $ref is not supported`]],
  ['uniqueItems', { a: { type: 'array', uniqueItems: true, items: { type: 'string' } } }, [`${schemaAt}.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`]],
  ['both kinds of properties', { a: { type: 'object', properties: { b: { type: 'string' } }, additionalProperties: { type: 'string' } } }, [`${schemaAt}.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive`]],
  ['pattern', { a: { type: 'string', pattern: '(?=x)' } }, [`${schemaAt}.properties[a].pattern: Invalid value: "(?=x)": must be a valid regular expression, but isn't: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\``]],
  ['list map without keys', { a: { type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object' } } }, [`${schemaAt}.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map`]],
  ['key without default', { a: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: { type: 'object', properties: { k: { type: 'string' } } } } }, [`${schemaAt}.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property`]],
  ['set of objects', { a: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } } }, [`${schemaAt}.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set`]],
  ['preserve false', { a: { type: 'object', 'x-kubernetes-preserve-unknown-fields': false } }, [`${schemaAt}.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined`]],
  ['embedded without anything', { a: { type: 'object', 'x-kubernetes-embedded-resource': true } }, [`${schemaAt}.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields`]],
  ['default of a wrong type', { a: { type: 'integer', default: 'x' } }, [`${schemaAt}.properties[a].default: Invalid value: "string": ${''} in body must be of type integer: "string"`]],
  ['default with unknown fields', { a: { type: 'object', default: { b: 1 } } }, [`${schemaAt}.properties[a].default: Invalid value: {"b":1}: must not have unknown fields`]],
  ['rule that does not compile', { a: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self.nope' }] } }, [`${schemaAt}.properties[a].x-kubernetes-validations[0].rule: Invalid value: {"rule":"self.nope"}: compilation failed: ERROR: <input>:1:5: type 'int' does not support field selection\n | self.nope\n | ....^`]],
  ['rule that is no condition', { a: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self + 1' }] } }, [`${schemaAt}.properties[a].x-kubernetes-validations[0].rule: Invalid value: {"rule":"self + 1"}: cel expression must evaluate to a bool`]],
  ['a rule nobody can afford', { l: { type: 'array', items: { type: 'array', items: { type: 'string' }, 'x-kubernetes-validations': [{ rule: "self.all(s, s == 'a')" }] } } }, [`${schemaAt}.properties[l].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`, `${schemaAt}.properties[l].items.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema`, `${schemaAt}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`]],
  ['the same, bounded', { l: { type: 'array', maxItems: 10, items: { type: 'array', maxItems: 100, items: { type: 'string' }, 'x-kubernetes-validations': [{ rule: "self.all(s, s == 'a')" }] } } }, []],
  ['no rule', { a: { type: 'integer', 'x-kubernetes-validations': [{ rule: ' ' }] } }, [`${schemaAt}.properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified`]],
  ['oldSelf in a list', { l: { type: 'array', items: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] } } }, [`${schemaAt}.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within ${schemaAt}.properties[l]`]],
];
for (const [name, properties, errors] of schemas) test(name, () => assert.deepEqual(texts(make(properties)), errors));

const definitions: [name: string, change: (d: any) => void, error: string | RegExp][] = [ // eslint-disable-line typescript/no-explicit-any -- broken on purpose
  ['a name', (d) => { d.metadata.name = 'x'; }, 'metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group'],
  ['a group without a dot', (d) => { d.spec.group = 'example'; d.metadata.name = 'widgets.example'; }, 'spec.group: Invalid value: "example": should be a domain with at least one dot'],
  ['a scope', (d) => { d.spec.scope = 'World'; }, 'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'],
  ['kinds alike', (d) => { d.spec.names.listKind = 'Widget'; }, 'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same'],
  ['no kind', (d) => { d.spec.names.kind = ''; }, 'spec.names.kind: Required value'],
  ['two storage versions', (d) => { d.spec.versions.push({ ...d.spec.versions[0], name: 'v2' }); }, /^spec.versions: Invalid value: .*: must have exactly one version marked as storage version$/],
  ['no schema', (d) => { delete d.spec.versions[0].schema; }, 'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required'],
  ['schemas that differ', (d) => { d.spec.versions.push({ name: 'v2', served: true, storage: false, schema: { openAPIV3Schema: { type: 'array' } } }); }, 'spec.versions[1].schema.openAPIV3Schema.type: Invalid value: "array": must be object at the root'],
  ['a scale path', (d) => { d.spec.versions[0].subresources = { scale: { specReplicasPath: '.status.x', statusReplicasPath: '.status.y' } }; }, 'spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec'],
  ['a column', (d) => { d.spec.versions[0].additionalPrinterColumns = [{ name: 'a', type: 'text', jsonPath: 'x' }]; }, 'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string'],
  ['a column path', (d) => { d.spec.versions[0].additionalPrinterColumns = [{ name: 'a', type: 'string', jsonPath: 'x' }]; }, 'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "x": must be a simple json path starting with .'],
  ['a selectable field', (d) => { d.spec.versions[0].selectableFields = [{ jsonPath: '.spec.nope' }]; }, 'spec.selectableFields[0].jsonPath: Invalid value: ".spec.nope": is an invalid path: does not refer to a valid field'],
  ['a webhook without client', (d) => { d.spec.conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } }; }, 'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook'],
  ['review versions', (d) => { d.spec.conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v9'], clientConfig: { url: 'https://h/' } } }; }, 'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1'],
  ['a plain URL', (d) => { d.spec.conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: 'http://h/' } } }; }, /webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme/],
  ['a protected group', (d) => { d.spec.group = 'x.k8s.io'; d.metadata.name = 'widgets.x.k8s.io'; }, /^metadata.annotations\[api-approved.kubernetes.io\]: Required value: protected groups must have approval annotation/],
  ['preserveUnknownFields', (d) => { d.spec.preserveUnknownFields = true; }, 'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead'],
  ['a warning without deprecation', (d) => { d.spec.versions[0].deprecationWarning = 'x'; }, 'spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions'],
  ['status and a rule at the root', (d) => { d.spec.versions[0].subresources = { status: {} }; d.spec.versions[0].schema.openAPIV3Schema.anyOf = [{ required: ['spec'] }]; }, /only \[Description Type .* XValidations\] fields are allowed at the root of the schema if the status subresource is enabled$/],
];
for (const [name, change, expected] of definitions) {
  test(name, () => {
    const definition = make({ spec: { type: 'object', properties: { a: { type: 'string' } } } });
    change(definition);
    const found = texts(definition);
    assert.ok(found.some((text) => (typeof expected === 'string' ? text === expected : expected.test(text))), found.join('\n'));
  });
}

test('names and scope stay once established; the group and plural always', () => {
  const old = make({});
  const established = { ...old, status: { ...old.status, conditions: [{ type: 'Established', status: 'True' }] } } as Definition;
  const next = { ...old, spec: { ...old.spec, scope: 'Cluster', names: { ...old.spec.names, kind: 'Gadget' } } } as Definition;
  const update = (before: Definition) => validateDefinitionUpdate(next, before).map((error) => `${error.field}: ${error.detail}`);
  assert.deepEqual(update(old), []);
  assert.deepEqual(update(established), ['spec.scope: Invalid value: "Cluster": field is immutable', 'spec.names.kind: Invalid value: "Gadget": field is immutable']);
});

test('what was stored before a rule existed does not stand in the way', () => {
  const old = make({ a: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } } });
  assert.equal(validateDefinition(old).length, 1);
  assert.deepEqual(validateDefinitionUpdate(old, old), []);
});

test('hostile schemas are refused or soon done', () => {
  let deep: JsonObject = { type: 'string' };
  for (let level = 0; level < 500; level++) deep = { type: 'object', properties: { a: deep } };
  assert.deepEqual(texts(make({ deep })), [`${schemaAt}: Invalid value: "": must not be nested deeper than 200 levels`]);
  const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`p${index}`, { type: 'string', pattern: '^a$' }]));
  assert.deepEqual(texts(make({ wide: { type: 'object', properties: wide } })), []);
  assert.match(texts(make({ a: { type: 'string', pattern: '((((a{1000}){1000}){1000}){1000})' } }))[0]!, /expression too large|invalid repeat count/);
});

test('formats nobody checks', () => assert.deepEqual(unrecognizedFormats(make({ a: { type: 'string', format: 'nope' }, b: { type: 'integer', format: 'int32' }, c: { type: 'integer', format: 'date' } })), ['nope', 'date']));
