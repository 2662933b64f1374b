import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import test from 'node:test';
import { layerViolations, reservedUses } from './layers.ts';

const src = import.meta.dirname;
const files = globSync('**/*.ts', { cwd: src }).map((file) => ({ file, source: readFileSync(join(src, file), 'utf8') }));

test('every import follows the layer table', () => {
  const found = files.flatMap(({ file, source }) => {
    const paths = [...source.matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g)].map(([, path]) => relative(src, join(src, dirname(file), path!)));
    return layerViolations(file, paths);
  });
  assert.deepEqual(found, []);
});

test('time, chance and processes come from base', () => {
  assert.deepEqual(files.flatMap(({ file, source }) => reservedUses(file, source)), []);
});

test('violations are told in sentences', () => {
  assert.deepEqual(layerViolations('scheduler/queue.ts', ['apiserver/server.ts', 'client/client.ts']), ['scheduler/queue.ts: scheduler imports apiserver; use client']);
  assert.match(layerViolations('kubelet/x.ts', ['store/lmdb.ts'])[0]!, /only the apiserver talks to the store/);
  assert.deepEqual(layerViolations('cluster/main.ts', ['store/lmdb.ts', 'kubelet/x.ts']), []);
  assert.match(reservedUses('proxy/sync.ts', 'const t = Date.now();')[0]!, /proxy\/sync.ts:1: .*clock.now/);
  assert.deepEqual(reservedUses('base/clock.ts', 'Date.now()'), []);
});
