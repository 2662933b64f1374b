import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { mergeKubeconfig, removeFromKubeconfig } from './kubeconfig.ts';

const source = `apiVersion: v1
kind: Config
clusters: [{name: knarr, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}]
users: [{name: admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
contexts: [{name: admin@knarr, context: {cluster: knarr, user: admin}}]
current-context: admin@knarr
`;
const others = `# mine
apiVersion: v1
kind: Config
clusters:
  - name: work # do not touch
    cluster:
      server: https://work.example:6443
users:
  - name: me
    user:
      token: abc
contexts:
  - name: work
    context:
      cluster: work
      user: me
current-context: work
`;

function withFile(run: (file: string, from: string) => void) {
  const dir = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  try { writeFileSync(join(dir, 'source'), source); run(join(dir, '.kube/config'), join(dir, 'source')); } finally { rmSync(dir, { recursive: true }); }
}

test('a new file gets one private context', () => withFile((file, from) => {
  mergeKubeconfig(file, 'knarr', from);
  const text = readFileSync(file, 'utf8');
  assert.match(text, /current-context: knarr/);
  assert.match(text, /client-key-data: S0VZ/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
}));

test('other entries and comments stay; merging twice replaces; removing leaves the rest as it was', () => withFile((_, from) => {
  const file = `${from}-config`;
  writeFileSync(file, others);
  mergeKubeconfig(file, 'knarr', from);
  mergeKubeconfig(file, 'knarr', from);
  const merged = readFileSync(file, 'utf8');
  assert.match(merged, /work # do not touch/);
  assert.match(merged, /^# mine/);
  assert.equal(merged.match(/name: knarr/g)?.length, 3);
  assert.equal(removeFromKubeconfig(file, 'knarr'), true);
  assert.equal(removeFromKubeconfig(file, 'knarr'), false);
  assert.equal(readFileSync(file, 'utf8'), others.replace('current-context: work', 'current-context: ""'));
}));

test('a broken file is refused and kept', () => withFile((_, from) => {
  const file = `${from}-config`;
  writeFileSync(file, 'clusters: [unclosed');
  assert.throws(() => mergeKubeconfig(file, 'knarr', from), /is not a valid kubeconfig/);
  assert.equal(readFileSync(file, 'utf8'), 'clusters: [unclosed');
}));
