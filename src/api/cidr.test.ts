import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrContains, cidrSize, cidrsOverlap, formatCIDR, formatIP, parseCIDR, parseIP } from './cidr.ts';

for (const [text, canonical] of [['10.0.0.1', '10.0.0.1'], ['010.0.0.1', '10.0.0.1'], ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], ['::', '::'], ['::1', '::1'], ['::ffff:1.2.3.4', '1.2.3.4'], ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0']] as const) {
  test(`${text} reads ${canonical}`, () => assert.equal(formatIP(parseIP(text)!), canonical));
}
for (const text of ['', '1.2.3', '1.2.3.256', 'fe80::1%eth0', '1:2', 'x']) test(`'${text}' is no address`, () => assert.equal(parseIP(text), undefined));
test('blocks', () => {
  const services = parseCIDR('10.96.0.0/12')!;
  assert.equal(cidrSize(services), 2n ** 20n);
  assert.equal(cidrContains(services, parseIP('10.111.255.255')!), true);
  assert.equal(cidrContains(services, parseIP('10.112.0.0')!), false);
  assert.equal(formatCIDR(parseCIDR('10.1.2.3/16')!), '10.1.0.0/16');
  assert.equal(cidrsOverlap(services, parseCIDR('10.100.0.0/16')!), true);
  assert.equal(parseCIDR('10.0.0.0/33'), undefined);
});
