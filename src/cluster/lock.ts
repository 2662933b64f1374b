/** One `up`, `down` or `delete` at a time per cluster. The lock names its holder, so that one left by a crash is known as such. */
import { rmSync, writeFileSync } from 'node:fs';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runningPid, writePidFile } from '../base/daemon.ts';
import { UserError } from '../base/user-error.ts';
import type { ClusterDir } from './cluster-dir.ts';

export async function withLock<T>(dir: ClusterDir, run: () => Promise<T>): Promise<T> {
  const file = join(dir.dataDir, `.${dir.name}.lock`);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try { writeFileSync(file, '', { flag: 'wx', mode: 0o600 }); }
  catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw new UserError(`${dir.dataDir} cannot be written (${(err as Error).message}). Run as root, or choose a folder with --data-dir.`, { cause: err });
    const holder = runningPid(file);
    if (holder !== undefined) throw new UserError(`another knarr command (pid ${holder}) is working on cluster "${dir.name}". Wait for it to end, then run this again.`);
  }
  writePidFile(file, process.pid);
  try { return await run(); } finally { rmSync(file, { force: true }); }
}
