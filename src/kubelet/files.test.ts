/** The parts that touch files: atomic volumes and log reading, in a temporary folder. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, readdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { writeAtomically } from './atomic-writer.ts';
import { readContainerLog, type LogOptions } from './server/container-logs.ts';

async function temporary() {
  const dir = await mkdtemp(join(tmpdir(), 'knarr-kubelet-'));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}
const payload = (files: Record<string, string>) => new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode: 0o644 }]));

test('a volume changes as a whole, and not at all when nothing changed', async () => {
  await using at = await temporary();
  assert.equal(await writeAtomically(at.dir, payload({ a: '1', 'd/b': '2', gone: 'x' }), '..v1', undefined), true);
  assert.equal(await readFile(join(at.dir, 'd/b'), 'utf8'), '2');
  assert.equal(await writeAtomically(at.dir, payload({ a: '1', 'd/b': '2', gone: 'x' }), '..v2', undefined), false);
  assert.equal(await writeAtomically(at.dir, payload({ a: '3', 'd/b': '2' }), '..v3', undefined), true);
  assert.equal(await readFile(join(at.dir, 'a'), 'utf8'), '3');
  assert.equal(await readlink(join(at.dir, '..data')), '..v3');
  assert.deepEqual((await readdir(at.dir)).sort(), ['..data', '..v3', 'a', 'd']);
  await assert.rejects(writeAtomically(at.dir, payload({ '../x': '' }), '..v4', undefined), /invalid path/);
});

const line = (index: number, stream = 'stdout') => `2026-01-01T00:00:0${index}.000000000Z ${stream} F line ${index}\n`;
async function read(path: string, options: Partial<LogOptions>): Promise<string> {
  let out = '';
  for await (const chunk of readContainerLog(path, { follow: false, timestamps: false, ...options }, { clock: systemClock, signal: new AbortController().signal, running: async () => false })) out += chunk.toString();
  return out;
}

test('logs: tail, since, timestamps, limit and stream', async () => {
  await using at = await temporary();
  const path = join(at.dir, '0.log');
  await writeFile(path, [1, 2, 3, 4].map((index) => line(index, index === 3 ? 'stderr' : 'stdout')).join(''));
  assert.equal(await read(path, {}), 'line 1\nline 2\nline 3\nline 4\n');
  assert.equal(await read(path, { tailLines: 2 }), 'line 3\nline 4\n');
  assert.equal(await read(path, { tailLines: 0 }), '');
  assert.equal(await read(path, { tailLines: 9 }), 'line 1\nline 2\nline 3\nline 4\n');
  assert.equal(await read(path, { sinceMs: Date.parse('2026-01-01T00:00:03Z') }), 'line 3\nline 4\n');
  assert.equal(await read(path, { tailLines: 1, timestamps: true }), '2026-01-01T00:00:04.000000000Z line 4\n');
  assert.equal(await read(path, { limitBytes: 9 }), 'line 1\nli');
  assert.equal(await read(path, { stream: 'stderr' }), 'line 3\n');
});

test('a followed log goes on after rotation and ends with its container', async () => {
  await using at = await temporary();
  const path = join(at.dir, '0.log');
  await writeFile(path, line(1));
  let alive = true;
  const seen: string[] = [];
  for await (const chunk of readContainerLog(path, { follow: true, timestamps: false }, { clock: systemClock, signal: new AbortController().signal, running: async () => alive })) {
    seen.push(chunk.toString());
    if (seen.length === 1) await appendFile(path, line(2));
    if (seen.length === 2) { await rename(path, `${path}.old`); await writeFile(path, line(3)); }
    if (seen.length === 3) alive = false;
  }
  assert.deepEqual(seen, ['line 1\n', 'line 2\n', 'line 3\n']);
});
