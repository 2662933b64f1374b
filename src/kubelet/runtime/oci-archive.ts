/**
 * Writes OCI image archives (one layer, one platform) byte for byte the same each time, without a build tool: for the sandbox image
 * and for images made in tests. Source: OCI image-spec 1.1 (image-layout, manifest, config), POSIX.1-1988 ustar.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export type TarEntry =
  | { path: string; type: 'file'; body: Uint8Array | string; mode?: number }
  | { path: string; type: 'folder'; mode?: number }
  | { path: string; type: 'link'; target: string };

const blockBytes = 512;

/** A ustar archive. Owner root, modification time zero. Throws for a path that ustar's 100 bytes can't hold. */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(tarBlocks), Buffer.alloc(2 * blockBytes)]);
}

function tarBlocks(entry: TarEntry): Buffer[] {
  const name = entry.type === 'folder' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  if (Buffer.byteLength(name) > 100) throw new RangeError(`${name}: more than 100 bytes`);
  const body = entry.type === 'file' ? Buffer.from(entry.body as string) : Buffer.alloc(0);
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, width: number) => header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at);
  header.write(name, 0, 100);
  octal(entry.type === 'link' ? 0o777 : entry.mode ?? 0o755, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(body.length, 124, 12);
  octal(0, 136, 12);
  header.write('        ', 148);
  header.write({ file: '0', folder: '5', link: '2' }[entry.type], 156);
  if (entry.type === 'link') header.write(entry.target, 157, 100);
  header.write('ustar\u000000', 257);
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
  return [header, body, Buffer.alloc((blockBytes - (body.length % blockBytes)) % blockBytes)];
}

/** The `config` part of an image configuration: Docker's capitalised fields. */
export interface ImageConfig {
  Entrypoint?: readonly string[]; Cmd?: readonly string[]; Env?: readonly string[]; User?: string; WorkingDir?: string;
  ExposedPorts?: Readonly<Record<string, object>>; Labels?: Readonly<Record<string, string>>; StopSignal?: string;
}

/** `names` are full references: registry, repository and tag. */
export function ociArchive(image: { names: readonly string[]; files: readonly TarEntry[]; config: ImageConfig; architecture: string }): Buffer {
  const layer = tar(image.files);
  const blob = gzipSync(layer, { level: 6 });
  const config = json({ architecture: image.architecture, os: 'linux', config: image.config, rootfs: { type: 'layers', diff_ids: [digest(layer)] } });
  const manifest = json({ schemaVersion: 2, mediaType: manifestType, config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', blob)] });
  const index = json({ schemaVersion: 2, manifests: image.names.map((name) => ({ ...descriptor(manifestType, manifest),
    annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1) } })) });
  const file = (path: string, body: Uint8Array | string): TarEntry => ({ path, type: 'file', body, mode: 0o644 });
  return tar([file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'), file('index.json', index), { path: 'blobs', type: 'folder' }, { path: 'blobs/sha256', type: 'folder' },
    ...[config, manifest, blob].map((bytes) => file(`blobs/sha256/${digest(bytes).slice('sha256:'.length)}`, bytes))]);
}

/** Go's name of this machine's architecture: amd64, arm64 … */
export const goArchitecture: string = ({ x64: 'amd64', ia32: '386' } as Partial<Record<string, string>>)[process.arch] ?? process.arch;

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const digest = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const descriptor = (mediaType: string, bytes: Uint8Array) => ({ mediaType, digest: digest(bytes), size: bytes.length });
