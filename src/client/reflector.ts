/**
 * One resource followed by list and watch: the part of an informer that talks to the server. It resumes from the last
 * resourceVersion, relists on 410 and backs off with jitter. Behaviour: client-go tools/cache Reflector.
 */
import type { Clock } from '../base/clock.ts';
import { sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { isGone, isStatusError, StatusError } from '../api/meta/status.ts';
import type { ListResult, ListOptions, WatchEvent, WatchOptions } from './client.ts';

export interface ReflectorOptions<T> {
  list(options: ListOptions): Promise<ListResult<T>>;
  watch(options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** The whole state, after each list. */
  onReplace(items: readonly T[], resourceVersion: string): void;
  onEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void;
  /** For messages: 'pods'. */
  name: string;
  clock: Clock;
  rng: Rng;
  log: Logger;
  signal: AbortSignal;
}

/** client-go: 800 ms, doubled up to 30 s, each stretched by up to its own length, reset after two quiet minutes. */
const firstBackoffMs = 800;
const longestBackoffMs = 30_000;
const backoffResetMs = 120_000;
/** The server is asked to end a watch after 5 to 10 minutes, so that load spreads again after restarts. */
const minWatchSeconds = 300;

/** Runs until the signal aborts; never rejects. */
export async function runReflector<T>(options: ReflectorOptions<T>): Promise<void> {
  const { clock, rng, log, signal, name } = options;
  let resourceVersion = '0';
  let mustList = true;
  let backoffMs = firstBackoffMs;
  let lastFailure = -Infinity;

  const pause = async (least = 0) => {
    if (clock.monotonic() - lastFailure > backoffResetMs) backoffMs = firstBackoffMs;
    lastFailure = clock.monotonic();
    const delayMs = Math.max(least, backoffMs * (1 + rng.float()));
    backoffMs = Math.min(longestBackoffMs, backoffMs * 2);
    try { await sleep(clock, delayMs, signal); } catch { /* aborted: the loop ends */ }
  };

  while (!signal.aborted) {
    try {
      if (mustList) {
        const list = await options.list({ resourceVersion, signal });
        if (signal.aborted) return;
        resourceVersion = list.metadata.resourceVersion ?? '';
        options.onReplace(list.items, resourceVersion);
        mustList = false;
      }
      const startedAt = clock.monotonic();
      let events = 0;
      const timeoutSeconds = Math.round(minWatchSeconds * (1 + rng.float()));
      for await (const event of options.watch({ resourceVersion, allowWatchBookmarks: true, timeoutSeconds, signal })) {
        if (signal.aborted) return;
        events++;
        if (event.type === 'ERROR') throw new StatusError({ ...event.object });
        resourceVersion = (event.object as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion ?? resourceVersion;
        if (event.type !== 'BOOKMARK') options.onEvent(event.type, event.object);
      }
      // A server that closes watches at once would make this loop spin.
      if (events === 0 && clock.monotonic() - startedAt < 1000 && !signal.aborted) await pause();
    } catch (err) {
      if (signal.aborted) return;
      if (isGone(err) || isStatusError(err, 'Expired')) {
        log.debug({ resource: name }, 'watch expired: listing again');
        // An expired list must not ask for the same version again: '' reads the newest.
        if (mustList) { resourceVersion = ''; await pause(); }
        mustList = true;
        if (resourceVersion !== '') resourceVersion = '0';
        continue;
      }
      if (isStatusError(err, 'NotFound')) mustList = true;
      const retryAfterMs = isStatusError(err) ? (err.status.details?.retryAfterSeconds ?? 0) * 1000 : 0;
      log.debug({ resource: name, err: String(err) }, mustList ? 'list failed' : 'watch failed');
      await pause(retryAfterMs);
    }
  }
}
