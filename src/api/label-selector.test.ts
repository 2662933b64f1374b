import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFieldSelector } from './field-selector.ts';
import { formatSelector, parseSelector, selectorFrom, selectorFromMap } from './label-selector.ts';

const matching: [string, Record<string, string>, boolean][] = [
  ['', {}, true], ['a=b', { a: 'b' }, true], ['a==b', { a: 'c' }, false], ['a!=b', {}, true], ['a in (b,c)', { a: 'c' }, true], ['a in (b,c)', {}, false],
  ['a notin (b)', {}, true], ['a notin (b)', { a: 'b' }, false], ['a', { a: '' }, true], ['!a', { a: '' }, false], ['a>3', { a: '4' }, true], ['a<3', { a: 'x' }, false],
  ['a=b,c=d', { a: 'b' }, false], ['a=b,c=d,e', { a: 'b', c: 'd', e: '' }, true], ['in=notin', { in: 'notin' }, true], ['a in ()', { a: '' }, true], ['a=', { a: '' }, true],
];
for (const [text, labels, expected] of matching) test(`'${text}' on ${JSON.stringify(labels)}: ${expected}`, () => assert.equal(parseSelector(text).matches(labels), expected));

for (const [text, message] of [
  ['a=b c', "found 'c', expected: ',' or 'end of string'"], [',a', "found ',', expected: !, identifier, or 'end of string'"],
  ['a in b', "unable to parse requirement: found 'b' expected: '('"], ['a=b,', "found '', expected: identifier after ','"],
  ['a<x', "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"],
] as const) test(`'${text}' is refused`, () => assert.throws(() => parseSelector(text), { message }));

test('metav1.LabelSelector', () => {
  const selector = { matchLabels: { z: '1', a: '2' }, matchExpressions: [{ key: 'm', operator: 'In', values: ['y', 'x'] }, { key: 'n', operator: 'DoesNotExist' }] };
  assert.equal(formatSelector(selector), 'a=2,m in (x,y),!n,z=1');
  assert.equal(selectorFrom(selector).matches({ z: '1', a: '2', m: 'x' }), true);
  assert.equal(selectorFrom(undefined).matches({}), false);
  assert.equal(selectorFrom({}).matches({}), true);
  assert.equal(selectorFromMap({ a: 'b' }).matches({ a: 'b', c: 'd' }), true);
  assert.throws(() => selectorFrom({ matchExpressions: [{ key: 'a', operator: 'Is' }] }), /"Is" is not a valid label selector operator/);
});

test('field selectors', () => {
  const fields: Record<string, string> = { 'spec.nodeName': 'n1', 'status.phase': 'Running' };
  const matches = (text: string) => parseFieldSelector(text).matches((name) => fields[name]);
  assert.equal(matches('spec.nodeName=n1,status.phase!=Failed'), true);
  assert.equal(matches('spec.nodeName==n2'), false);
  assert.equal(parseFieldSelector('a=b\\,c').terms[0]!.value, 'b,c');
  assert.throws(() => parseFieldSelector('a'), { message: "invalid selector: 'a'; can't understand 'a'" });
  assert.throws(() => parseFieldSelector('a=b\\x'), { message: 'invalid field selector: invalid escape sequence: \\x' });
});
