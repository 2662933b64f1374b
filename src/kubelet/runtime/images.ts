/**
 * Image archives without a registry: `knarr image load FILE…` and `save`, and image names as Docker and containerd normalise them.
 * Archives go through containerd's own `ctr` (OCI layouts and `docker save`, plain or compressed) into the namespace that CRI reads.
 * Source: github.com/distribution/reference (normalisation).
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { access, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { tryExec } from '../../base/exec.ts';
import { UserError } from '../../base/user-error.ts';

/** Where CRI keeps its images and containers in containerd. */
export const criNamespace = 'k8s.io';
/** Large images on slow disks take minutes to unpack. */
const importTimeoutMs = 30 * 60_000;

/** An index above this is not read for names. */
const maxIndexBytes = 4 * 1024 * 1024;

export interface ContainerdAccess {
  /** A path or `unix://…`. */
  endpoint: string;
  /** Default: containerd's own. */
  snapshotter?: string;
}

/** `nginx` → `docker.io/library/nginx:latest`. A first part with a dot, a colon or `localhost` is a registry. */
export function normalizeImageName(name: string): string {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? (first === 'index.docker.io' ? 'docker.io' : first) : 'docker.io';
  let path = hasRegistry ? name.slice(slash + 1) : name;
  if (registry === 'docker.io' && !path.includes('/')) path = `library/${path}`;
  const tagged = path.includes('@') || path.slice(path.lastIndexOf('/') + 1).includes(':');
  return `${registry}/${path}${tagged ? '' : ':latest'}`;
}

/** Loads one archive and answers the full names it brought, sorted. Throws `UserError`. */
export async function loadImageArchive(containerd: ContainerdAccess, file: string, signal?: AbortSignal): Promise<string[]> {
  try { await access(file); } catch { throw new UserError(`${file}: no such file, or not readable; give an archive made by 'docker save' or an OCI archive`); }
  const { annotated, tagged } = await archiveNames(file);
  if (annotated.length + tagged.length === 0) throw new UserError(`${file} holds no image with a full name: save it by name and tag ('docker save NAME:TAG')`);
  await withPlainArchive(file, (plain) => ctr(containerd, ['images', 'import', ...snapshotterFlag(containerd), plain], `can't load ${file}`, signal));
  for (const name of annotated) {
    // containerd takes an annotation's name as it stands, while CRI looks for the full one.
    const full = normalizeImageName(name);
    if (full !== name) await ctr(containerd, ['images', 'tag', '--force', name, full], `can't name ${name} ${full}`, signal);
  }
  return [...new Set([...annotated, ...tagged].map(normalizeImageName))].sort();
}

/** Names in an OCI layout's index.json (annotations) and in `docker save`'s manifest.json. `ctr` prints them in another way in each version. */
async function archiveNames(file: string): Promise<{ annotated: string[]; tagged: string[] }> {
  const names = { annotated: [] as string[], tagged: [] as string[] };
  const files: Record<string, string> = {};
  try {
    const reader = extract();
    const done = pipeline([createReadStream(file), ...await decompressor(file), reader]);
    done.catch(() => {}); // the loop throws it
    for await (const entry of reader) {
      const name = entry.header.name.replace(/^\.\//, '');
      if ((name === 'index.json' || name === 'manifest.json') && (entry.header.size ?? 0) <= maxIndexBytes) files[name] = await text(entry);
      else entry.resume();
    }
    await done;
    const index = JSON.parse(files['index.json'] ?? '{}') as { manifests?: { annotations?: Record<string, string> }[] };
    const manifest = JSON.parse(files['manifest.json'] ?? '[]') as { RepoTags?: string[] | null }[];
    for (const { annotations } of index.manifests ?? []) if (annotations?.['io.containerd.image.name']) names.annotated.push(annotations['io.containerd.image.name']);
    for (const { RepoTags } of manifest) names.tagged.push(...RepoTags ?? []);
  } catch (error) {
    throw new UserError(`${file} is not an archive made by 'docker save' or an OCI archive: ${(error as Error).message}`, { cause: error });
  }
  return names;
}

/** `ctr` before containerd 1.7 reads no compressed archives. */
async function withPlainArchive<T>(file: string, use: (plain: string) => Promise<T>): Promise<T> {
  const through = await decompressor(file);
  if (through.length === 0) return await use(file);
  const folder = await mkdtemp(join(tmpdir(), 'knarr-image-'));
  try {
    const plain = join(folder, 'image.tar');
    await pipeline([createReadStream(file), ...through, createWriteStream(plain, { mode: 0o600 })]);
    return await use(plain);
  } finally { await rm(folder, { recursive: true, force: true }); }
}

/** By magic number: gzip (RFC 1952 §2.3.1), Zstandard (RFC 8878 §3.1.1) or none. */
async function decompressor(file: string): Promise<NodeJS.ReadWriteStream[]> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer.readUInt16BE(0) === 0x1f8b) return [createGunzip()];
    return buffer.readUInt32LE(0) === 0xfd2fb528 ? [createZstdDecompress()] : [];
  } finally { await handle.close(); }
}

/** Writes images into one archive that `loadImageArchive` and `docker load` read. */
export async function saveImageArchive(containerd: ContainerdAccess, file: string, names: readonly string[], signal?: AbortSignal): Promise<void> {
  await ctr(containerd, ['images', 'export', '--platform', 'linux', file, ...names.map(normalizeImageName)], `can't save ${names.join(', ')}`, signal);
}

async function ctr({ endpoint }: ContainerdAccess, args: readonly string[], what: string, signal: AbortSignal | undefined): Promise<string> {
  let result;
  try {
    result = await tryExec('ctr', ['--address', endpoint.replace(/^unix:\/\//, ''), '--namespace', criNamespace, ...args],
      { timeoutMs: importTimeoutMs, ...(signal ? { signal } : {}) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UserError("ctr is not installed: it comes with containerd (apt-get install containerd)", { cause: error });
    throw error;
  }
  if (result.code === 0) return result.stdout;
  const reason = result.stderr.trim().split('\n').at(-1)?.replace(/^ctr: /, '') ?? `ctr ended with ${result.code}`;
  const cure = /no space left/.test(reason) ? ': free disk space' : /unrecognized image format|unexpected EOF|invalid/.test(reason) ? ": it is not an archive made by 'docker save' or an OCI archive" : '';
  throw new UserError(`${what}: ${reason}${cure}`);
}

const snapshotterFlag = ({ snapshotter }: ContainerdAccess): string[] => (snapshotter ? ['--snapshotter', snapshotter] : []);
