/**
 * Reads CRI log files the way `kubectl logs` asks: tail, since, timestamps, limit, follow across rotations.
 * Text: kubernetes.io/docs/concepts/cluster-administration/logging; line format: CRI's `time stream P|F text`.
 */
import { watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Clock, sleep } from '../../base/clock.ts';

export interface LogOptions {
  follow: boolean;
  timestamps: boolean;
  tailLines?: number | undefined;
  /** Lines from this time on; milliseconds. */
  sinceMs?: number | undefined;
  limitBytes?: number | undefined;
  stream?: 'stdout' | 'stderr' | undefined;
}

const chunkBytes = 64 * 1024;
/** How often a followed log checks for rotation and the container's end where no file event comes. */
const lookMs = 1000;
const newline = 0x0a;

/** Where the last `lines` lines begin. */
async function tailOffset(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines <= 0) return size;
  let seen = 0;
  const buffer = Buffer.alloc(chunkBytes);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunkBytes);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let at = bytesRead - 1; at >= 0; at--) if (buffer[at] === newline && start + at !== size - 1 && ++seen === lines) return start + at + 1;
    end = start;
  }
  return 0;
}

/** What of a raw line is shown; undefined for a line left out. */
function render(line: Buffer, options: LogOptions): Buffer | undefined {
  const first = line.indexOf(0x20);
  const second = line.indexOf(0x20, first + 1);
  const third = line.indexOf(0x20, second + 1);
  if (first < 0 || second < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  if (options.stream && stream !== options.stream) return undefined;
  const time = line.toString('latin1', 0, first);
  if (options.sinceMs !== undefined && Date.parse(time) < options.sinceMs) return undefined;
  const tagEnd = third < 0 ? line.length : third;
  const partial = line[second + 1] === 0x50;
  const text = third < 0 ? Buffer.alloc(0) : line.subarray(tagEnd + 1);
  return Buffer.concat([...(options.timestamps ? [Buffer.from(`${time} `)] : []), text, ...(partial ? [] : [Buffer.from('\n')])]);
}

/** Ends when the file is read, or, following, when `running` says no and nothing is left. Throws ENOENT when there is no log. */
export async function* readContainerLog(path: string, options: LogOptions, context: { clock: Clock; signal: AbortSignal; running(): Promise<boolean> }): AsyncIterable<Buffer> {
  const { clock, signal } = context;
  let file = await open(path, 'r');
  let notify = () => {};
  const watcher = options.follow ? watch(dirname(path), (_, name) => { if (name === null || name === basename(path)) notify(); }) : undefined;
  watcher?.on('error', () => {});
  let left = options.limitBytes ?? Infinity;
  try {
    const { size } = await file.stat();
    let position = options.tailLines === undefined ? 0 : await tailOffset(file, size, options.tailLines);
    /** What is written meanwhile belongs to the next who asks. */
    const end = options.follow ? Infinity : size;
    let rest: Buffer = Buffer.alloc(0);
    let ending = false;
    while (!signal.aborted && left > 0) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(chunkBytes), 0, Math.max(0, Math.min(chunkBytes, end - position)), position);
      if (bytesRead > 0) {
        position += bytesRead;
        const out: Buffer[] = [];
        let data = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
        for (let eol = data.indexOf(newline); eol >= 0; eol = data.indexOf(newline)) {
          const shown = render(data.subarray(0, eol), options);
          if (shown) out.push(shown);
          data = data.subarray(eol + 1);
        }
        rest = Buffer.from(data);
        if (out.length > 0) {
          const all = Buffer.concat(out).subarray(0, left === Infinity ? undefined : left);
          left -= all.length;
          yield all;
        }
        continue;
      }
      if (!options.follow) return;
      const [now, here] = await Promise.all([stat(path).catch(() => undefined), file.stat()]);
      if (now && (now.ino !== here.ino || now.size < position)) {
        // Rotated: what is left of the old file was read above.
        await file.close();
        file = await open(path, 'r');
        position = 0;
        continue;
      }
      if (ending) return;
      if (!(await context.running())) { ending = true; continue; }
      const changed = new Promise<void>((resolve) => { notify = resolve; });
      const stop = new AbortController();
      await Promise.race([changed, sleep(clock, lookMs, AbortSignal.any([signal, stop.signal])).catch(() => {})]);
      stop.abort();
    }
  } finally {
    watcher?.close();
    await file.close();
  }
}
