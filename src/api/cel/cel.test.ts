import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../base/json.ts';
import { Budget, compile, CompileError, runtimeCostBudget, toCel, toJson } from './cel.ts';
import { mutationMessages } from './admission.ts';
import { compileRegex, RegexError } from './re2.ts';
import { compileRule, ruleBudget } from './rule.ts';
import { configurationType, patchListType } from './admission.ts';
import { dyn, int, string, typeOfSchema, typeOfStructural } from './types.ts';
import { typeOf } from '../schema.ts';
import '../apps/v1.schema.ts';
import '../core/v1.schema.ts';
import '../meta/v1.schema.ts';

const object = { a: { b: [1, 2, 3], name: 'x' }, 'dash-ed': 1, n: null };
const run = (expression: string): Json => toJson(compile(expression, { variables: { object: dyn }, returns: 'any' }).evaluate({ object: toCel(object, dyn) }, new Budget(runtimeCostBudget)));

const good: Readonly<Record<string, Json>> = {
  // the language
  'object.a.b.map(x, x * 2)': [2, 4, 6], 'object.a.b.all(i, v, v == i + 1)': true, 'has(object.a.c)': false, 'object.?a.?z.orValue(3)': 3, 'object.n == null': true, 'object.dash__dash__ed': 1,
  '[?optional.of(1), ?optional.none()]': [1], 'cel.bind(q, 5, q * q)': 25, 'object.a.b.exists(x, x == 3) && (1 / 0 == 1 || true)': true, '"x" in object.a': false, 'dyn(1) == 1.0': true, '-5 / 2': -2, '[1, 2].exists_one(x, x == 2)': true,
  'type([]) == list': true, '{"a": 1}.transformMap(k, v, v + 1)': { a: 2 }, '[1, 2, 3].transformList(i, v, i > 0, v * 2)': [4, 6], 'optional.of(1).optMap(x, x + 1).value()': 2, 'size("héllo")': 5, '[[1, 2], [3]].map(x, x.map(y, y + 1))': [[2, 3], [4]],
  'duration("1h").getMinutes()': 60, 'timestamp("2024-01-02T03:04:05Z").getDayOfMonth()': 1, 'timestamp("2024-07-01T12:00:00Z").getHours("America/New_York")': 8, 'timestamp("2024-01-01T00:00:00Z") + duration("24h") == timestamp("2024-01-02T00:00:00Z")': true, 'uint(3) == 3u': true, 'string(duration("90s"))': '90s',
  // libraries
  '[1, 2, 3].sum()': 6, '[3, 1].isSorted()': false, '[1, 5, 2].max()': 5, '["a", "b"].indexOf("b")': 1, '"abc123".find("[0-9]+")': '123', '"a1b22".findAll("[0-9]+")': ['1', '22'], 'sets.contains([1, 2, 3], [2])': true, 'sets.intersects([1], [2])': false,
  'url("https://u@example.com:8443/a/b?x=1&x=2").getPort()': '8443', 'isURL("nope")': false, 'url("https://h/p?k=v").getQuery()["k"][0]': 'v', 'quantity("1Gi").isGreaterThan(quantity("500Mi"))': true, 'isQuantity("zz")': false, 'quantity("1").add(2).asInteger()': 3,
  'ip("192.168.0.1").family()': 4, 'ip.isCanonical("127.0.0.1")': true, 'cidr("10.0.0.0/8").containsIP("10.1.2.3")': true, 'cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16")': true, 'string(cidr("10.0.0.1/8").masked())': '10.0.0.0/8',
  'format.dns1123Label().validate("A").hasValue()': true, 'semver("1.2.3").isLessThan(semver("1.3.0"))': true, 'isSemver("v1.0", true)': true, 'jsonpatch.escapeKey("a/b~c")': 'a~1b~0c',
  '"hello".charAt(1)': 'e', '"tacocat".substring(1, 3)': 'ac', '"a,b,c".split(",", 2)': ['a', 'b,c'], '["x", "y"].join("-")': 'x-y', '"%s is %d and %.2f, %x".format(["a", 3, 1.5, 255])': 'a is 3 and 1.50, ff', '"aXbX".replace("X", "-", 1)': 'a-bX', '"abc".matches("^a.*c$")': true,
};
for (const [expression, wanted] of Object.entries(good)) test(`evaluates ${expression}`, () => assert.deepEqual(run(expression), wanted));

const failing: Readonly<Record<string, string>> = { 'object.zzz': 'no such key: zzz', 'object.a.b[7]': 'index out of bounds: 7', '1 / 0': 'division by zero', 'object.a.b + 1': 'no such overload', '9223372036854775807 + 1': 'integer overflow', 'quantity("x").sign()': "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" };
for (const [expression, message] of Object.entries(failing)) test(`fails ${expression}`, () => assert.throws(() => run(expression), { name: 'CelError', message }));

const wrong: Readonly<Record<string, string>> = {
  'x > 1': "1:1: undeclared reference to 'x' (in container '')\n | x > 1\n | ^", '1 + "a"': "1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + \"a\"\n | ..^", '[1, "a"]': "1:5: expected type 'int' but found 'string'\n | [1, \"a\"]\n | ....^",
  '(1 +\n 2) + "a"': "2:5: found no matching overload for '_+_' applied to '(int, string)'\n |  2) + \"a\"\n | ....^", 'has(object)': '1:5: invalid argument to has() macro\n | has(object)\n | ....^', '"a".matches("(")': '1:13: invalid matches argument\n | "a".matches("(")\n | ............^',
  '1.map(x, x)': "1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | 1.map(x, x)\n | ^", 'Object{spec: 1}': "1:7: undeclared reference to 'Object' (in container '')\n | Object{spec: 1}\n | ......^",
};
for (const [expression, message] of Object.entries(wrong)) test(`refuses ${JSON.stringify(expression)}`, () => assert.throws(() => run(expression), { name: 'CompileError', message: `compilation failed: ERROR: <input>:${message}` }));

test('results of another type than asked for', () => {
  assert.throws(() => compile('1', { variables: {} }), { message: 'must evaluate to bool' });
  assert.throws(() => compile('1', { variables: {}, returns: [string, int, dyn].slice(0, 1) }), { message: 'must evaluate to string' });
  assert.equal(compile('object', { variables: { object: dyn } }).type.kind, 'dyn', 'dyn is decided at run time');
});

test('no expression runs for long', () => {
  const big = toCel({ list: Array.from({ length: 2000 }, (_, i) => i), text: 'a'.repeat(100_000) }, dyn);
  for (const expression of ['o.list.all(x, o.list.all(y, o.list.all(z, x + y + z >= 0)))', 'o.list.map(x, o.list.map(y, o.list)).size() > 0', 'o.list.all(x, o.text.matches("(a+)+$"))', 'o.list.all(x, o.text + o.text == o.text || true)']) {
    assert.throws(() => compile(expression, { variables: { o: dyn } }).evaluate({ o: big }, new Budget(runtimeCostBudget)), { message: 'operation cancelled: actual cost limit exceeded' });
  }
  const nested = (use: string) => `${Array.from({ length: 60 }, (_, i) => `cel.bind(v${i}, [v${i - 1}, v${i - 1}], `).join('').replaceAll('v-1', '1')}${use}${')'.repeat(60)}`;
  assert.throws(() => compile(nested('"%s".format([v59]) == ""'), { variables: {} }).evaluate({}, new Budget(runtimeCostBudget)), { message: 'operation cancelled: actual cost limit exceeded' });
  assert.throws(() => toJson(compile(nested('v59'), { variables: {}, returns: 'any' }).evaluate({}, new Budget(runtimeCostBudget))), { message: 'operation cancelled: actual cost limit exceeded' });
  assert.throws(() => compile('o.text.matches("^(a{1000}){9}$")', { variables: { o: dyn } }).evaluate({ o: big }, new Budget(runtimeCostBudget)), { message: 'operation cancelled: actual cost limit exceeded' });
  const budget = new Budget(10);
  assert.throws(() => compile('[1, 2, 3, 4, 5, 6, 7].all(x, x > 0)', { variables: {} }).evaluate({}, budget));
  assert.ok(budget.left <= 0);
  assert.throws(() => compile(`${'('.repeat(5000)}1${')'.repeat(5000)}`, { variables: {}, returns: 'any' }), CompileError);
  assert.throws(() => compile(`"${'a'.repeat(200_000)}"`, { variables: {}, returns: 'any' }), /expression code point size exceeds limit/);
});

test('messages of mutations', () => {
  const options = { variables: { object: dyn }, message: mutationMessages };
  const configuration = compile('Object{metadata: Object.metadata{labels: {"x": "y"}}, ?spec: optional.none()}', { ...options, returns: [configurationType] });
  assert.deepEqual(toJson(configuration.evaluate({}, new Budget(1000))), { metadata: { labels: { x: 'y' } } });
  const patch = compile('true ? [JSONPatch{op: "add", path: "/a", value: [1]}] : []', { ...options, returns: [patchListType] });
  assert.deepEqual(toJson(patch.evaluate({}, new Budget(1000))), [{ op: 'add', path: '/a', value: [1] }]);
  assert.throws(() => compile('JSONPatch{nope: 1}', { ...options, returns: 'any' }), /undefined field 'nope'/);
  assert.throws(() => compile('1', { ...options, returns: [configurationType] }), { message: 'must evaluate to Object' });
});

test('types of built-in kinds and of structural schemas', () => {
  const deployment = typeOfSchema(typeOf('apps/v1.Deployment'));
  assert.throws(() => compile('object.spec.replicas > "1"', { variables: { object: deployment } }), /found no matching overload for '_>_' applied to '\(int, string\)'/);
  assert.throws(() => compile('object.spec.nope', { variables: { object: deployment }, returns: 'any' }), /undefined field 'nope'/);
  compile('object.spec.template.spec.containers.all(c, c.image.startsWith("x")) && object.metadata.namespace != "" && object.metadata.creationTimestamp < timestamp("2030-01-01T00:00:00Z")', { variables: { object: deployment } });
});

const schema = typeOfStructural({ type: 'object', properties: {
  replicas: { type: 'integer' }, minReplicas: { type: 'integer' }, 'a-b': { type: 'string' }, namespace: { type: 'string' }, when: { type: 'string', format: 'date-time' }, any: { 'x-kubernetes-int-or-string': true }, list: { type: 'array', items: { type: 'string' } }, size: { type: 'number' },
} }, true);
test('rules of custom resources', () => {
  const self = { replicas: 1, minReplicas: 2, 'a-b': 'y', when: '2024-01-01T00:00:00Z', any: '5%', size: 2, list: ['a', 'b'] };
  const fails = (rule: Parameters<typeof compileRule>[0], old?: Json) => compileRule(rule, schema).validate(self, old, ruleBudget());
  for (const rule of ['self.a__dash__b == "y"', 'self.when < timestamp("2025-01-01T00:00:00Z")', 'type(self.any) == string', 'self.size / 2.0 == 1.0', '!has(self.__namespace__)', 'self.list.all(x, x.size() == 1)', 'self.metadata.name != "" || true']) assert.equal(fails(rule), undefined, rule);
  assert.deepEqual(fails('self.minReplicas <= self.replicas'), { message: 'failed rule: self.minReplicas <= self.replicas', reason: 'FieldValueInvalid' });
  assert.deepEqual(fails({ rule: 'false', message: 'no', messageExpression: '"got " + string(self.replicas)', reason: 'FieldValueForbidden', fieldPath: '.replicas' }), { message: 'got 1', reason: 'FieldValueForbidden', fieldPath: '.replicas' });
  assert.deepEqual(fails({ rule: 'false', message: 'no', messageExpression: 'self.list[9]' }), { message: 'no', reason: 'FieldValueInvalid' });
  assert.deepEqual(fails('self.list[5] == "x"'), { message: 'index out of bounds: 5 evaluating rule: self.list[5] == "x"', reason: 'FieldValueInvalid' });
  assert.equal(fails('self.replicas >= oldSelf.replicas'), undefined, 'transition rules need an old value');
  assert.ok(fails('self.replicas >= oldSelf.replicas', { replicas: 3 }));
  assert.ok(fails({ rule: 'oldSelf.hasValue()', optionalOldSelf: true }), 'with optionalOldSelf they run on creation');
  assert.throws(() => compileRule('self.nope', schema), /undefined field 'nope'/);
  assert.throws(() => compileRule('self.replicas', schema), { message: 'cel expression must evaluate to a bool' });
});

test('regular expressions are RE2 and take linear time', () => {
  const cases: [string, string, boolean][] = [
    ['^a.*c$', 'abcd', false], ['^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', 'a-b', true], ['^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', 'a-', false], ['(?i)ABC', 'xabcx', true], ['\\bfoo\\b', 'a foo b', true], ['\\bfoo\\b', 'afoo', false], ['^(a|ab)(c|bcd)$', 'abcd', true],
    ['a{2,3}$', 'aa', true], ['^a{2}$', 'aaa', false], ['\\p{L}+', 'é', true], ['[[:alpha:]]', '1', false], ['(?m)^b$', 'a\nb\nc', true], ['[\\]a-]', '-', true], ['\\Q.*\\E', 'a.*', true], ['^$', '', true], ['\\x{e9}', 'é', true],
  ];
  for (const [pattern, text, wanted] of cases) { assert.equal(compileRegex(pattern).test(text), wanted, pattern); assert.equal(compileRegex(pattern).find(text) !== undefined, wanted, pattern); }
  assert.deepEqual(compileRegex('(a+)(b+)?').find('xaab'), { start: 1, end: 4, groups: ['aab', 'aa', 'b'] });
  assert.equal(compileRegex('^(a+)+$').test(`${'a'.repeat(50_000)}b`), false);
  for (const [pattern, message] of [['(', 'missing closing ): `(`'], ['[a', 'missing closing ]: `[a`'], ['a**', 'invalid nested repetition operator: `**`'], ['\\8', 'invalid escape sequence: `\\8`'], ['a{2000}', 'invalid repeat count: `{2000}`'], ['*', 'missing argument to repetition operator: `*`']] as const) {
    assert.throws(() => compileRegex(pattern), { name: RegexError.name, message: `error parsing regexp: ${message}` });
  }
});
