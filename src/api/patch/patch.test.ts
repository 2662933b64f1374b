import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../all.schema.ts';
import { cloneJson, deepFreeze, isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import { randomInt, seededRng, type Rng } from '../../base/rng.ts';
import { isStatusError, StatusError } from '../meta/status.ts';
import { typeOf } from '../schema.ts';
import { jsonPatch, unknownPatchFields } from './json-patch.ts';
import { mergePatch } from './merge-patch.ts';
import { strategicMergePatch } from './strategic-merge-patch.ts';

// ---- RFC 6902; names are those of its appendix A where it has the case
const jsonCases: [name: string, doc: Json, patch: Json, expected: Json][] = [
  ['A.1 add a member', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
  ['A.2 add an element', { foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
  ['A.3 remove a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
  ['A.4 remove an element', { foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
  ['A.5 replace', { baz: 'qux' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo' }],
  ['A.6 move', { foo: { waldo: 'fred' }, qux: {} }, [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }], { foo: {}, qux: { thud: 'fred' } }],
  ['A.7 move an element', { foo: ['all', 'grass', 'cows', 'eat'] }, [{ op: 'move', from: '/foo/1', path: '/foo/3' }], { foo: ['all', 'cows', 'eat', 'grass'] }],
  ['A.8 test', { baz: 'qux', foo: ['a', 2, 'c'] }, [{ op: 'test', path: '/baz', value: 'qux' }, { op: 'test', path: '/foo/1', value: 2 }], { baz: 'qux', foo: ['a', 2, 'c'] }],
  ['A.10 add nested', { foo: 'bar' }, [{ op: 'add', path: '/child', value: { grandchild: {} } }], { foo: 'bar', child: { grandchild: {} } }],
  ['A.14 escapes', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }, { op: 'replace', path: '/~1', value: 1 }], { '/': 1, '~1': 10 }],
  ['A.16 append', { foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc'] }], { foo: ['bar', ['abc']] }],
  ['copy is a copy', { a: { x: 1 } }, [{ op: 'copy', from: '/a', path: '/b' }, { op: 'replace', path: '/b/x', value: 2 }], { a: { x: 1 }, b: { x: 2 } }],
  ['negative index', { a: [1, 2] }, [{ op: 'replace', path: '/a/-1', value: 3 }], { a: [1, 3] }],
  ['test for absence', { a: 1 }, [{ op: 'test', path: '/b', value: null }], { a: 1 }],
  ['null as a value', {}, [{ op: 'add', path: '/a', value: null }], { a: null }],
  ['the whole document', { a: 1 }, [{ op: 'replace', path: '', value: { b: 1 } }], { b: 1 }],
];
for (const [name, doc, patch, expected] of jsonCases) {
  test(`json patch: ${name}`, () => assert.deepEqual(jsonPatch(cloneJson(doc), deepFreeze(cloneJson(patch))), expected));
}
for (const [name, doc, op] of [
  ['test fails', { a: 1 }, { op: 'test', path: '/a', value: 2 }], ['remove what is not there', {}, { op: 'remove', path: '/a' }], ['replace what is not there', {}, { op: 'replace', path: '/a', value: 1 }],
  ['add below nothing', {}, { op: 'add', path: '/a/b', value: 1 }], ['index past the end', { a: [] }, { op: 'add', path: '/a/1', value: 1 }], ['index with a zero in front', { a: [1, 2] }, { op: 'remove', path: '/a/01' }],
  ['unknown op', {}, { op: 'spam', path: '/a' }], ['into itself', { a: {} }, { op: 'move', from: '/a', path: '/a/b' }], ['no value', {}, { op: 'add', path: '/a' }], ['bad pointer', { a: 1 }, { op: 'remove', path: 'a' }],
] as [string, Json, Json][]) {
  test(`json patch refused: ${name}`, () => assert.throws(() => jsonPatch(cloneJson(doc), [op]), (err) =>
    err instanceof StatusError && err.code === 422 && err.message === 'the server rejected our request due to an error in our request' && err.cause instanceof Error));
}
test('json patch limits', () => {
  assert.throws(() => jsonPatch({}, {}), (err) => isStatusError(err, 'BadRequest') && err.message === 'json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  const many = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: null }));
  assert.throws(() => jsonPatch({}, many), (err) => isStatusError(err, 'RequestEntityTooLarge') && /10000, got 10001/.test(err.message));
  const doubling = Array.from({ length: 30 }, (_, i) => ({ op: 'copy', from: '', path: `/x${i}` }));
  assert.throws(() => jsonPatch({ a: 'x'.repeat(1000) }, doubling), (err) => isStatusError(err, 'Invalid'));
  assert.deepEqual(unknownPatchFields([{ op: 'add', path: '/a', value: 1, foo: 2 }]), ['json patch unknown field "[0].foo"']);
});

// ---- RFC 7386 appendix A
for (const [doc, patch, expected] of [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }], [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }], [{ a: 'b' }, { a: null }, {}], [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }], [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }], [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }], [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }], [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
] as [JsonObject, JsonObject, JsonObject][]) {
  test(`merge patch: ${JSON.stringify(patch)} on ${JSON.stringify(doc)}`, () => assert.deepEqual(mergePatch(cloneJson(doc), deepFreeze(cloneJson(patch))), expected));
}

// ---- strategic merge
const pod = typeOf('core/v1.Pod');
const deployment = typeOf('apps/v1.Deployment');
const spec = (value: JsonObject): JsonObject => ({ spec: value });
const containers = (...items: Json[]): JsonObject => spec({ containers: items });
const strategicCases: [name: string, original: JsonObject, patch: JsonObject, expected: JsonObject, type?: typeof pod][] = [
  ['containers merge by name', containers({ name: 'a', image: '1', tty: true }, { name: 'b' }), containers({ name: 'a', image: '2' }), containers({ name: 'a', image: '2', tty: true }, { name: 'b' })],
  ['a new container goes where the patch leaves it', containers({ name: 'a' }, { name: 'b' }), containers({ name: 'c' }), containers({ name: 'c' }, { name: 'a' }, { name: 'b' })],
  ['delete an element', containers({ name: 'a' }, { name: 'b' }), containers({ name: 'a', $patch: 'delete' }), containers({ name: 'b' })],
  ['replace a list', containers({ name: 'a' }, { name: 'b' }), containers({ $patch: 'replace' }, { name: 'c' }), containers({ name: 'c' })],
  ['replace a map', spec({ securityContext: { runAsUser: 1, fsGroup: 2 } }), spec({ securityContext: { $patch: 'replace', runAsUser: 3 } }), spec({ securityContext: { runAsUser: 3 } })],
  ['delete a map', spec({ securityContext: { runAsUser: 1 } }), spec({ securityContext: { $patch: 'delete' } }), spec({ securityContext: {} })],
  ['null deletes', { metadata: { labels: { a: '1', b: '2' } } }, { metadata: { labels: { a: null } } }, { metadata: { labels: { b: '2' } } }],
  ['null for nothing', {}, { metadata: { labels: { a: null, b: '1' } } }, { metadata: { labels: { b: '1' } } }],
  ['atomic lists are replaced', containers({ name: 'a', args: ['x', 'y'] }), containers({ name: 'a', args: ['z'] }), containers({ name: 'a', args: ['z'] })],
  ['primitive lists merge', { metadata: { finalizers: ['a', 'b'] } }, { metadata: { finalizers: ['b', 'c'] } }, { metadata: { finalizers: ['a', 'b', 'c'] } }],
  ['delete from a primitive list', { metadata: { finalizers: ['a', 'b', 'c'] } }, { metadata: { '$deleteFromPrimitiveList/finalizers': ['b'] } }, { metadata: { finalizers: ['a', 'c'] } }],
  ['element order', containers({ name: 'a' }, { name: 'b' }, { name: 's' }), spec({ '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }], containers: [{ name: 'b', image: '2' }] }),
    containers({ name: 'b', image: '2' }, { name: 'a' }, { name: 's' })],
  ['element order alone', containers({ name: 'a' }, { name: 'b' }), spec({ '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] }), containers({ name: 'b' }, { name: 'a' })],
  ['element order of primitives', { metadata: { finalizers: ['a', 'b'] } }, { metadata: { '$setElementOrder/finalizers': ['b', 'c', 'a'], finalizers: ['c'] } }, { metadata: { finalizers: ['b', 'c', 'a'] } }],
  ['element order with a deletion', containers({ name: 'a' }, { name: 'b' }), spec({ '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a', $patch: 'delete' }] }), containers({ name: 'b' })],
  ['retainKeys', spec({ strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } }), spec({ strategy: { $retainKeys: ['type'], type: 'Recreate' } }), spec({ strategy: { type: 'Recreate' } }), deployment],
  ['volumes: merge and retainKeys', spec({ volumes: [{ name: 'v', emptyDir: {} }, { name: 'w', emptyDir: {} }] }), spec({ volumes: [{ $retainKeys: ['name', 'hostPath'], name: 'v', hostPath: { path: '/' } }] }),
    spec({ volumes: [{ name: 'v', hostPath: { path: '/' } }, { name: 'w', emptyDir: {} }] })],
  ['ports merge by containerPort', containers({ name: 'a', ports: [{ containerPort: 80 }, { containerPort: 81 }] }), containers({ name: 'a', ports: [{ containerPort: 81, name: 'x' }] }),
    containers({ name: 'a', ports: [{ containerPort: 80 }, { containerPort: 81, name: 'x' }] })],
  ['a type changes', spec({ nodeName: 'a' }), spec({ nodeName: 5 }), spec({ nodeName: 5 })],
  ['directives where there is nothing', {}, containers({ name: 'a', $patch: 'delete' }, { name: 'b' }), containers({ name: 'b' })],
  ['taints of a node', spec({ taints: [{ key: 'a', effect: 'NoSchedule' }] }), spec({ taints: [{ key: 'b', effect: 'NoExecute' }] }), spec({ taints: [{ key: 'b', effect: 'NoExecute' }] }), typeOf('core/v1.Node')],
  ['conditions merge by type', { status: { conditions: [{ type: 'Ready', status: 'False' }, { type: 'X', status: 'True' }] } }, { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    { status: { conditions: [{ type: 'Ready', status: 'True' }, { type: 'X', status: 'True' }] } }],
  ['empty patch', containers({ name: 'a' }), {}, containers({ name: 'a' })],
];
for (const [name, original, patch, expected, type = pod] of strategicCases) {
  test(`strategic: ${name}`, () => assert.deepEqual(strategicMergePatch(cloneJson(original), deepFreeze(cloneJson(patch)), type), expected));
}
for (const [name, original, patch, code, message] of [
  ['unknown directive', {}, { $patch: 'spam' }, 500, 'unknown patch type: spam in map: map[$patch:spam]'],
  ['no merge key', containers({ name: 'a' }), containers({ image: 'b' }), 500, 'map: map[image:b] does not contain declared merge key: name'],
  ['retainKeys without the key', spec({ volumes: [{ name: 'v' }] }), spec({ volumes: [{ $retainKeys: ['hostPath'], name: 'v' }] }), 400, 'invalid patch format of retainKeys'],
  ['order that does not match', containers({ name: 'a' }), spec({ '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a' }] }), 500,
    "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n"],
  ['primitive list directive without a field', { metadata: { finalizers: ['a'] } }, { metadata: { $deleteFromPrimitiveList: ['a'] } }, 400, 'invalid patch format of primitive list'],
  ['mixed list', { metadata: { finalizers: ['a'] } }, { metadata: { finalizers: [1] } }, 500, 'list element types are not identical: [a 1]'],
] as [string, JsonObject, JsonObject, number, string][]) {
  test(`strategic refused: ${name}`, () => assert.throws(() => strategicMergePatch(cloneJson(original), patch, pod), (err) => err instanceof StatusError && err.code === code && err.message === message || assert.fail(String(err))));
}

// ---- properties

function randomJson(rng: Rng, depth: number): Json {
  const pick = randomInt(rng, depth > 0 ? 6 : 3);
  if (pick === 0) return randomInt(rng, 3);
  if (pick === 1) return 'xyz'[randomInt(rng, 3)]!;
  if (pick === 2) return rng.float() < 0.5;
  if (pick === 3) return Array.from({ length: randomInt(rng, 4) }, () => randomJson(rng, depth - 1));
  return randomObject(rng, depth - 1);
}
function randomObject(rng: Rng, depth: number): JsonObject {
  return Object.fromEntries(Array.from({ length: randomInt(rng, 4) }, () => ['abcde'[randomInt(rng, 5)]!, randomJson(rng, depth)]));
}
/** The merge patch from one document to another, from RFC 7386's definition. */
function difference(from: JsonObject, to: JsonObject): JsonObject {
  const patch: JsonObject = {};
  for (const key of Object.keys(from)) if (!(key in to)) patch[key] = null;
  for (const [key, value] of Object.entries(to)) {
    const old = from[key];
    if (jsonEqual(old, value)) continue;
    patch[key] = isJsonObject(old) && isJsonObject(value) ? difference(old, value) : value!;
  }
  return patch;
}
/** A JSON patch from one value to another. */
function operations(from: Json, to: Json, path: string): Json[] {
  if (jsonEqual(from, to)) return [];
  if (isJsonObject(from) && isJsonObject(to)) {
    return [...Object.keys(from).filter((key) => !(key in to)).map((key) => ({ op: 'remove', path: `${path}/${key}` })),
      ...Object.entries(to).flatMap(([key, value]) => (key in from ? operations(from[key]!, value!, `${path}/${key}`) : [{ op: 'add', path: `${path}/${key}`, value: value! }]))];
  }
  if (Array.isArray(from) && Array.isArray(to)) {
    const shared = Math.min(from.length, to.length);
    return [...Array.from({ length: shared }, (_, i) => operations(from[i]!, to[i]!, `${path}/${i}`)).flat(),
      ...from.slice(shared).map(() => ({ op: 'remove', path: `${path}/${shared}` })), ...to.slice(shared).map((value) => ({ op: 'add', path: `${path}/-`, value }))];
  }
  return [{ op: 'replace', path, value: to }];
}

test('a difference applied gives the other document', () => {
  const rng = seededRng(11);
  for (let i = 0; i < 500; i++) {
    const [from, to] = [randomObject(rng, 3), randomObject(rng, 3)];
    assert.deepEqual(mergePatch(cloneJson(from), difference(from, to)), to, `seed 11, round ${i}`);
    assert.deepEqual(jsonPatch(cloneJson(from), operations(from, to, '')), to, `seed 11, round ${i}`);
  }
});

test('strategic merge of containers agrees with a map by name', () => {
  const rng = seededRng(5);
  for (let i = 0; i < 500; i++) {
    const some = () => Array.from({ length: 5 }, (_, n) => ({ name: `c${n}`, image: `${randomInt(rng, 9)}` })).filter(() => rng.float() < 0.6);
    const [before, change] = [some(), some().map((c) => (rng.float() < 0.3 ? { name: c.name, $patch: 'delete' } : c))];
    const model = new Map<string, JsonObject>(before.map((c) => [c.name, c]));
    for (const c of change) if ('$patch' in c) model.delete(c.name); else model.set(c.name, { ...model.get(c.name), ...c });
    const after = strategicMergePatch(containers(...cloneJson(before)), containers(...change), pod);
    const items = ((after.spec as JsonObject).containers as JsonObject[]).toSorted((a, b) => String(a.name).localeCompare(String(b.name)));
    assert.deepEqual(items, [...model.values()].sort((a, b) => String(a.name).localeCompare(String(b.name))), `seed 5, round ${i}`);
    // Again: the same patch changes nothing more.
    const again = strategicMergePatch(cloneJson(after), containers(...change), pod);
    assert.deepEqual(again, after);
  }
});
