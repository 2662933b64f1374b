import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addQuantity, bytesOf, canonicalQuantity, compareQuantity, cpuMillis, formatQuantity, parseQuantity } from './quantity.ts';

const cases: [string | number, string, millis: number, units: number][] = [
  ['1000m', '1', 1000, 1], ['0.5', '500m', 500, 1], [2, '2', 2000, 2], ['1.5Gi', '1536Mi', 1610612736000, 1610612736],
  ['1024', '1024', 1024000, 1024], ['1e3', '1e3', 1e6, 1000], ['100k', '100k', 1e8, 1e5], ['0.0000000001', '1n', 1, 1],
  ['1.3Ki', '1331200m', 1331200, 1332], ['-5m', '-5m', -5, -1], ['0Gi', '0', 0, 0], ['1023Ki', '1023Ki', 1047552000, 1047552], ['.5', '500m', 500, 1],
];
for (const [text, canonical, millis, units] of cases) {
  test(`quantity ${text} reads ${canonical}`, () => {
    assert.equal(canonicalQuantity(text), canonical);
    assert.equal(canonicalQuantity(canonical), canonical);
    assert.equal(cpuMillis(text), millis);
    assert.equal(bytesOf(text), units);
  });
}
for (const [text, message] of [['abc', /must match the regular expression/], ['', /must match/], ['.', /numeric part/], ['1Kim', /suffix/]] as const) {
  test(`quantity '${text}' is refused`, () => assert.throws(() => parseQuantity(text), message));
}
test('sums keep the format of the first', () => {
  assert.equal(formatQuantity(addQuantity(parseQuantity('512Mi'), parseQuantity('1G'))), '1536870912');
  assert.equal(formatQuantity(addQuantity(parseQuantity('512Mi'), parseQuantity('512Mi'))), '1Gi');
  assert.equal(compareQuantity('1Gi', '1G'), 1);
  assert.equal(compareQuantity('1000m', '1'), 0);
});
