import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineMessages, ProtobufError } from './protobuf.ts';
import { seededRng, randomInt } from './rng.ts';

const api = defineMessages({
  All: {
    s: '1 string', b: '2 bool', i: '3 int32', u: '4 uint32', l: '5 int64', ul: '6 uint64', d: '7 double', f: '8 float', y: '9 bytes', e: '10 enum',
    si: '11 sint32', sl: '12 sint64', fx: '13 fixed32', fl: '14 fixed64', sfx: '15 sfixed32', sfl: '16 sfixed64', big: '17 bigint64', ubig: '18 biguint64',
    list: '19 []string', nums: '20 []int32', map: '21 map<string,string>', child: '22 All', children: '23 []All', byId: '24 map<int64,All>', opt: '25 int64?', flags: '26 []bool',
  },
  Unpacked: { a: '20 []string' },
  Empty: {},
  One: { text: '1 string' },
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const un = (text: string) => Buffer.from(text, 'hex');
const zero = api.decode('All', new Uint8Array());

test('figures of the encoding guide', () => {
  assert.equal(hex(api.encode('All', { i: 150 })), '189601');
  assert.equal(hex(api.encode('One', { text: 'testing' })), '0a0774657374696e67');
  assert.equal(hex(api.encode('All', { i: -1 })), `18${'ff'.repeat(9)}01`);
  assert.equal(hex(api.encode('All', { nums: [3, 270, 86942] })), 'a20106038e029ea705');
  assert.equal(hex(api.encode('All', { si: -2 })), '5803');
});

test('zero values are absent on the wire, except with presence', () => {
  assert.equal(api.encode('All', { s: '', b: false, i: 0, d: 0, y: new Uint8Array(), list: [], map: {}, big: 0n }).length, 0);
  assert.equal(hex(api.encode('All', { opt: 0 })), 'c80100');
  assert.equal(api.decode('All', un('c80100')).opt, 0);
  assert.equal('opt' in zero, false);
  assert.equal('child' in zero, false);
  assert.deepEqual(zero.list, []);
});

test('every type comes back', () => {
  const value = {
    s: 'żółw', b: true, i: -5, u: 2 ** 32 - 1, l: -(2 ** 53 - 1), ul: 2 ** 53 - 1, d: Math.PI, f: 0.5, y: Uint8Array.of(0, 255), e: 3, si: -(2 ** 31), sl: -(2 ** 40), fx: 7, fl: 2 ** 40,
    sfx: -7, sfl: -(2 ** 40), big: -(2n ** 63n), ubig: 2n ** 64n - 1n, list: ['', 'b'], nums: [0, -1, 300], map: { a: '', __proto: 'x' }, child: { s: 'in' }, children: [{}, { i: 1 }],
    byId: { '-9': { s: 'z' } }, opt: 4, flags: [true, false],
  };
  const back = api.decode('All', api.encode('All', value));
  const fill = (v: object): object => ({ ...zero, ...v });
  assert.deepEqual({ ...back, y: Uint8Array.from(back.y) }, { ...fill(value), child: fill({ s: 'in' }), children: [fill({}), fill({ i: 1 })], byId: { '-9': fill({ s: 'z' }) } });
});

test('packed and unpacked repeated scalars are both read', () => {
  assert.deepEqual(api.decode('All', un('a00103a0018e02a2010105')).nums, [3, 270, 5]);
});

test('a message that comes twice is merged, a scalar is replaced', () => {
  const twice = Buffer.concat([api.encode('All', { child: { s: 'a', i: 1 } }), api.encode('All', { child: { s: 'b' } })]);
  const { child } = api.decode('All', twice);
  assert.equal(child?.s, 'b');
  assert.equal(child?.i, 1);
});

test('unknown fields of every wire type are skipped', () => {
  const bytes = api.encode('All', { s: 'x', i: 1, d: 1, f: 1, children: [{}], fx: 1 });
  assert.deepEqual(api.decode('Empty', bytes), {});
  assert.equal(api.decode('One', un('1b080112021a001c0a0178')).text, 'x'); // a group
});

test('map keys cannot reach the prototype', () => {
  const back = api.decode('All', api.encode('All', { map: JSON.parse('{"__proto__":"x"}') as Record<string, string> }));
  assert.deepEqual(Object.keys(back.map), ['__proto__']);
});

for (const [name, text] of [
  ['cut in a tag', '80'], ['cut in a varint', '1880'], ['cut in a string', '0a05aa'], ['length past the end', '0affffffff7f'], ['field number zero', '0001'],
  ['varint of eleven bytes', `18${'ff'.repeat(10)}01`], ['wrong wire type', '0801'], ['wire type 7', 'ff0f'], ['cut in fixed64', '39000000'], ['group that never ends', '1b0801'],
  ['nested length past its parent', 'b201020a05aaaaaaaaaa'],
] as const) {
  test(`malformed: ${name}`, () => assert.throws(() => api.decode('All', un(text)), ProtobufError));
}

test('int64 past 2^53 throws both ways; bigints hold it', () => {
  assert.throws(() => api.decode('All', un(`28${'ff'.repeat(8)}7f`)), /beyond 2\^53/);
  assert.throws(() => api.encode('All', { l: 2 ** 53 }), /expected an integer/);
  assert.throws(() => api.encode('All', { i: 2 ** 31 }), /expected an integer/);
  assert.throws(() => api.encode('All', { i: 1.5 }), /expected an integer/);
  assert.throws(() => api.encode('One', { text: 5 as never }), /One\.text: expected a string, got number 5/);
});

test('depth is bounded', () => {
  let bytes: Uint8Array = new Uint8Array();
  for (let i = 0; i < 200; i++) bytes = Buffer.concat([un('b201'), Buffer.from(varint(bytes.length)), bytes]);
  assert.throws(() => api.decode('All', bytes), /nested deeper/);
  const loop: { child?: object } = {};
  loop.child = loop;
  assert.throws(() => api.encode('All', loop), /nested deeper/);
});

test('random bytes either decode or throw ProtobufError', () => {
  const rng = seededRng(7);
  for (let i = 0; i < 2000; i++) {
    const bytes = rng.bytes(randomInt(rng, 40));
    try { api.decode('All', bytes); } catch (err) { assert.ok(err instanceof ProtobufError, String(err)); }
  }
});

test('long messages outgrow the first buffer', () => {
  const value = { list: Array.from({ length: 5000 }, (_, i) => `item ${i}`), child: { s: 'x'.repeat(70_000) } };
  const back = api.decode('All', api.encode('All', value));
  assert.deepEqual(back.list, value.list);
  assert.equal(back.child?.s, value.child.s);
});

test('descriptions that make no sense throw at once', () => {
  assert.throws(() => defineMessages({ A: { a: '1 Missing' } }), /A\.a: no message Missing/);
  assert.throws(() => defineMessages({ A: { a: '1 string', b: '1 bool' } }), /used twice/);
  assert.throws(() => defineMessages({ A: { a: 'string' } }), /can't read/);
});

function varint(n: number): number[] { const out = []; while (n > 127) { out.push((n & 127) | 128); n >>>= 7; } out.push(n); return out; }
