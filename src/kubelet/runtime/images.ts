/**
 * Image archives without a registry: `knarr image load FILE…` and `save`, and image names as Docker and containerd normalise them.
 * Archives go through containerd's own `ctr` (OCI layouts and `docker save`, plain or compressed) into the namespace that CRI reads.
 * Source: github.com/distribution/reference (normalisation).
 */
import { access } from 'node:fs/promises';
import { tryExec } from '../../base/exec.ts';
import { UserError } from '../../base/user-error.ts';

/** Where CRI keeps its images and containers in containerd. */
export const criNamespace = 'k8s.io';
/** Large images on slow disks take minutes to unpack. */
const importTimeoutMs = 30 * 60_000;

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
  // `ctr` prints one line per image: "unpacking NAME (DIGEST)...done".
  const output = await ctr(containerd, ['images', 'import', ...snapshotterFlag(containerd), file], `can't load ${file}`, signal);
  const names = [...output.matchAll(/^unpacking (\S+) \(sha256:/gm)].map((match) => match[1]!);
  if (names.length === 0) throw new UserError(`${file} holds no named image: save it with a name and tag`);
  const loaded = new Set<string>();
  for (const name of names) {
    const full = normalizeImageName(name);
    if (full !== name) await ctr(containerd, ['images', 'tag', '--force', name, full], `can't name ${name} ${full}`, signal);
    loaded.add(full);
  }
  return [...loaded].sort();
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
