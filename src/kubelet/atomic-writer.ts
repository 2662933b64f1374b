/**
 * Publishes a set of files so that readers see all of the old or all of the new: a folder per version, `..data` pointing at the current
 * one and swapped by rename, and a link per first path element. Layout: upstream pkg/volume/util/atomic_writer.go.
 */
import { chmod, chown, lstat, mkdir, readFile, readdir, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Payload } from './host.ts';

const dataLink = '..data';
const newDataLink = '..data_tmp';
const folderMode = 0o755;
const setgid = 0o2000;
const groupReadable = 0o440;

/** The path of one file must stay inside and leave our own names alone. */
function checkPath(path: string): void {
  const parts = path.split('/');
  if (path === '' || path.startsWith('/') || parts.includes('..') || parts[0]!.startsWith('..')) throw new Error(`invalid path: ${path}`);
}

async function unchanged(current: string, payload: Payload): Promise<boolean> {
  const seen = new Set<string>();
  const walk = async (folder: string, prefix: string): Promise<boolean> => {
    for (const item of await readdir(folder, { withFileTypes: true })) {
      const path = prefix ? `${prefix}/${item.name}` : item.name;
      if (item.isDirectory()) { if (!(await walk(join(folder, item.name), path))) return false; continue; }
      const wanted = payload.get(path);
      if (!wanted || !(await readFile(join(folder, item.name))).equals(wanted.data)) return false;
      seen.add(path);
    }
    return true;
  };
  return (await walk(current, '')) && seen.size === payload.size;
}

/** `version`: a name never used before in this folder, starting with '..'. True when something changed. */
export async function writeAtomically(dir: string, payload: Payload, version: string, fsGroup: number | undefined): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  const old = await readlink(join(dir, dataLink)).catch(() => undefined);
  if (old !== undefined && await unchanged(join(dir, old), payload).catch(() => false)) return false;
  const folder = join(dir, version);
  const makeFolder = async (path: string) => {
    await mkdir(path, { mode: folderMode });
    await chmod(path, fsGroup === undefined ? folderMode : folderMode | setgid);
    if (fsGroup !== undefined) await chown(path, 0, fsGroup);
  };
  await makeFolder(folder);
  for (const [path, file] of payload) {
    const full = join(folder, path);
    const parents = dirname(path).split('/').filter((part) => part !== '.');
    for (let depth = 1; depth <= parents.length; depth++) await makeFolder(join(folder, ...parents.slice(0, depth))).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error; });
    await writeFile(full, file.data);
    await chmod(full, fsGroup === undefined ? file.mode : file.mode | groupReadable);
    if (file.uid !== undefined || fsGroup !== undefined) await chown(full, file.uid ?? 0, fsGroup ?? 0);
  }
  await rm(join(dir, newDataLink), { force: true });
  await symlink(version, join(dir, newDataLink));
  await rename(join(dir, newDataLink), join(dir, dataLink));
  const names = new Set([...payload.keys()].map((path) => path.split('/')[0]!));
  for (const name of names) if (!(await lstat(join(dir, name)).catch(() => undefined))) await symlink(join(dataLink, name), join(dir, name));
  for (const name of await readdir(dir)) if (!name.startsWith('..') && !names.has(name)) await rm(join(dir, name), { force: true });
  // Every other version goes, one that a crash left as well.
  for (const name of await readdir(dir)) {
    if (name.startsWith('..') && name !== dataLink && name !== version && (await stat(join(dir, name)).catch(() => undefined))?.isDirectory()) await rm(join(dir, name), { recursive: true, force: true });
  }
  return true;
}
