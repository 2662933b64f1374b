/** Keeps container logs within containerLogMaxSize and containerLogMaxFiles: rename, reopen, compress the older ones. Behaviour: upstream pkg/kubelet/logs. */
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { type Clock, every } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { KubeletConfig } from '../config.ts';
import type { Runtime } from '../runtime/runtime.ts';

const periodMs = 10_000;

/** '20260102-030405' */
const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');

export async function rotateLog(path: string, now: number, maxFiles: number, reopen: () => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const name = basename(path);
  const rotated = (await readdir(folder)).filter((file) => file.startsWith(`${name}.`) && !file.endsWith('.tmp')).sort();
  // The file in use and the one about to be made count as well.
  for (const file of rotated.splice(0, Math.max(0, rotated.length - (maxFiles - 2)))) await rm(`${folder}/${file}`, { force: true });
  for (const file of rotated) {
    if (file.endsWith('.gz')) continue;
    await pipeline(createReadStream(`${folder}/${file}`), createGzip(), createWriteStream(`${folder}/${file}.tmp`));
    await rename(`${folder}/${file}.tmp`, `${folder}/${file}.gz`);
    await rm(`${folder}/${file}`, { force: true });
  }
  const moved = `${path}.${stamp(now)}`;
  await rename(path, moved);
  try { await reopen(); } catch (error) { await rename(moved, path); throw error; }
}

export async function runLogRotation(options: { runtime: Runtime; clock: Clock; log: Logger; signal: AbortSignal; config: KubeletConfig }): Promise<void> {
  const { runtime, clock, log, signal, config } = options;
  const paths = new Map<string, string>();
  await every(clock, periodMs, signal, async () => {
    try {
      const running = await runtime.listContainers({ state: 'CONTAINER_RUNNING' });
      const ids = new Set(running.map(({ id }) => id));
      for (const id of paths.keys()) if (!ids.has(id)) paths.delete(id);
      for (const { id } of running) {
        if (!paths.has(id)) paths.set(id, (await runtime.containerStatus(id)).logPath);
        const path = paths.get(id)!;
        const info = path ? await stat(path).catch(() => undefined) : undefined;
        if (info && info.size >= config.containerLogMaxSizeBytes) await rotateLog(path, clock.now(), config.containerLogMaxFiles, () => runtime.reopenContainerLog(id));
      }
    } catch (error) { if (!signal.aborted) log.warn({ err: (error as Error).message }, 'could not rotate container logs'); }
  });
}
