import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extract } from 'tar-stream';
import { gunzipSync } from 'node:zlib';
import { normalizeImageName } from './images.ts';
import { ociArchive } from './oci-archive.ts';
import { pauseProgram, sandboxImageArchive } from './sandbox-image.ts';

for (const [name, full] of [
  ['nginx', 'docker.io/library/nginx:latest'],
  ['nginx:1.27', 'docker.io/library/nginx:1.27'],
  ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app:2', 'localhost:5000/app:2'],
  ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause:3.10'],
  ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
  [`nginx@sha256:${'a'.repeat(64)}`, `docker.io/library/nginx@sha256:${'a'.repeat(64)}`],
  ['quay.io:443/a/b', 'quay.io:443/a/b:latest'],
] as const) test(`${name} is ${full}`, () => { assert.equal(normalizeImageName(name), full); });

async function untar(archive: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    files.set(entry.header.name, Buffer.concat(chunks));
  }
  return files;
}

test('an archive is an OCI layout whose digests lead to the files', async () => {
  const files = await untar(ociArchive({ names: ['docker.io/library/a:1', 'docker.io/library/a:2'], architecture: 'arm64', config: { Cmd: ['/x'] },
    files: [{ path: 'etc', type: 'folder' }, { path: 'etc/x', type: 'file', body: 'hello', mode: 0o600 }, { path: 'y', type: 'link', target: 'etc/x' }] }));
  const blob = (digest: string) => files.get(`blobs/sha256/${digest.slice(7)}`)!;
  const index = JSON.parse(files.get('index.json')!.toString());
  assert.deepEqual(index.manifests.map((item: { annotations: Record<string, string> }) => item.annotations['io.containerd.image.name']), ['docker.io/library/a:1', 'docker.io/library/a:2']);
  const manifest = JSON.parse(blob(index.manifests[0].digest).toString());
  const config = JSON.parse(blob(manifest.config.digest).toString());
  assert.deepEqual([config.architecture, config.config], ['arm64', { Cmd: ['/x'] }]);
  const layer = await untar(gunzipSync(blob(manifest.layers[0].digest)));
  assert.deepEqual([...layer.keys()], ['etc/', 'etc/x', 'y']);
  assert.equal(layer.get('etc/x')!.toString(), 'hello');
});

test('the sandbox image is the same bytes each time, and small', () => {
  assert.ok(sandboxImageArchive('arm64').equals(sandboxImageArchive('arm64')));
  for (const [architecture, machine] of [['amd64', 0x3e], ['arm64', 0xb7]] as const) {
    const program = pauseProgram(architecture);
    assert.equal(program.readUInt16LE(18), machine);
    assert.equal(Number(program.readBigUInt64LE(96)), program.length); // the segment is the file
    assert.ok(program.length < 400);
  }
  assert.throws(() => pauseProgram('s390x'), /--container-runtime-endpoint/);
});
