/**
 * Audit events as lines of JSON in a file that is rotated by size, or on standard output. Writes are gathered; when the disk does
 * not keep up, events beyond the buffer are dropped and counted. Source: kube-apiserver's --audit-log-* flags; names of rotated
 * files as lumberjack's. Differs: batches rather than blocking the request on the disk.
 */
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { AuditBackend } from './audit.ts';

export interface LogBackendOptions {
  /** A file, or '-' for standard output. */
  path: string;
  clock: Clock;
  log: Logger;
  /** `--audit-log-maxage`, days; 0: for ever. */
  maxAgeDays?: number;
  /** `--audit-log-maxbackup`; 0: all. */
  maxBackups?: number;
  /** `--audit-log-maxsize`, MiB before rotation. Default 100. */
  maxSizeMiB?: number;
  /** Events kept while the disk is busy. Default as `--audit-log-batch-buffer-size`. */
  bufferSize?: number;
}
export interface LogBackend extends AuditBackend { readonly dropped: number; /** Resolves when all that was written is in the file. */ flush(): Promise<void> }

const dayMs = 24 * 3600 * 1000;

export function createLogBackend({ path, clock, log, maxAgeDays = 0, maxBackups = 0, maxSizeMiB = 100, bufferSize = 10_000 }: LogBackendOptions): LogBackend {
  let lines: string[] = [];
  let dropped = 0;
  let writing: Promise<void> | undefined;
  let file: FileHandle | undefined;
  let size = 0;
  const limit = maxSizeMiB * 1024 * 1024;
  const ending = extname(path);
  const stem = basename(path, ending);

  async function ready(): Promise<FileHandle> {
    if (file) return file;
    await mkdir(dirname(path), { recursive: true });
    file = await open(path, 'a', 0o600);
    ({ size } = await file.stat());
    return file;
  }
  async function rotate(): Promise<void> {
    await file?.close();
    file = undefined;
    const at = new Date(clock.now()).toISOString().slice(0, 23).replaceAll(':', '-');
    await rename(path, join(dirname(path), `${stem}-${at}${ending}`));
    const rotated = (await readdir(dirname(path))).filter((name) => name.startsWith(`${stem}-`) && name.endsWith(ending) && /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/.test(name.slice(stem.length + 1, name.length - ending.length))).sort().reverse();
    for (const [i, name] of rotated.entries()) {
      const old = maxAgeDays > 0 && (await stat(join(dirname(path), name))).mtimeMs < clock.now() - maxAgeDays * dayMs;
      if (old || (maxBackups > 0 && i >= maxBackups)) await rm(join(dirname(path), name), { force: true });
    }
  }
  async function drain(): Promise<void> {
    while (lines.length > 0) {
      const batch = Buffer.from(`${lines.join('\n')}\n`);
      lines = [];
      try {
        if (path === '-') { process.stdout.write(batch); continue; }
        let handle = await ready();
        if (size > 0 && size + batch.length > limit) { await rotate(); handle = await ready(); }
        await handle.appendFile(batch);
        size += batch.length;
      } catch (err) {
        dropped++;
        log.error({ err, path }, 'could not write the audit log');
      }
    }
  }
  /** What one turn of the event loop brings goes out together. */
  const start = () => { writing ??= new Promise<void>((resolve) => { setImmediate(resolve); }).then(drain).finally(() => { writing = undefined; if (lines.length > 0) start(); }); };
  return {
    get dropped() { return dropped; },
    write(event) {
      if (lines.length >= bufferSize) { dropped++; return; }
      lines.push(event);
      start();
    },
    async flush() { while (writing) await writing; },
    async [Symbol.asyncDispose]() {
      while (writing) await writing;
      await file?.close();
      file = undefined;
    },
  };
}
