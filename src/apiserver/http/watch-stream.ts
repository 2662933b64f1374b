/** A watch written to HTTP: frames as they come, joined while the reader is busy. The watcher's own queue is the bound. */
import type { ServerResponse } from 'node:http';
import type { WatchEncoder } from '../encoding/encode.ts';
import type { Watcher, WatchItem } from '../watch-cache.ts';
import { writePaced, type Answer, type Headers } from './answer.ts';

/** Items turned into one write at most. */
const batch = 256;

export async function streamWatch(answer: Answer, watcher: Watcher, encoder: WatchEncoder, headers: Headers, prepare?: (items: readonly WatchItem[]) => Promise<readonly WatchItem[]> | undefined): Promise<void> {
  headers['content-type'] = encoder.contentType;
  const onClose = () => watcher.close();
  answer.on('close', onClose);
  if (answer.destroyed) { watcher.close(); return; }
  try {
    (answer as ServerResponse).writeHead(200, headers);
    // The client waits for the headers, not for the first event.
    if ('flushHeaders' in answer) answer.flushHeaders();
    for (;;) {
      const taken = watcher.take(batch);
      const preparing = taken.length > 0 ? prepare?.(taken) : undefined;
      const items = preparing ? await preparing : taken;
      if (items.length > 0) {
        const bytes = items.length === 1 ? encoder.frame(items[0]!) : Buffer.concat(items.map((item) => encoder.frame(item)));
        const pending = writePaced(answer, bytes);
        if (!(pending === true || await pending)) return;
        continue;
      }
      if (taken.length > 0) continue;
      if (watcher.ended) break;
      await new Promise<void>((resolve) => { watcher.onReady = resolve; });
      watcher.onReady = undefined;
    }
    answer.end();
  } finally {
    answer.off('close', onClose);
    watcher.close();
  }
}
