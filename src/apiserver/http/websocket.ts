/** Watches over WebSocket, one message per event, for clients that can't read a streamed answer. Source: apiserver/pkg/endpoints/handlers/watch.go. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WatchEncoder } from '../encoding/encode.ts';
import type { Watcher } from '../watch-cache.ts';

/** Bytes waiting for a slow reader before we stop taking more from the watcher. */
const bufferedLimitBytes = 1024 * 1024;
const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024, handleProtocols: (protocols) => [...protocols][0] ?? false });

export function websocketWatch(request: IncomingMessage, socket: Duplex, head: Buffer, watcher: Watcher, encoder: WatchEncoder): void {
  sockets.handleUpgrade(request, socket, head, (peer) => {
    const base64 = peer.protocol === 'base64.binary.k8s.io';
    const pump = () => {
      while (peer.readyState === peer.OPEN && peer.bufferedAmount < bufferedLimitBytes) {
        const [item] = watcher.take(1);
        if (!item) break;
        const frame = Buffer.from(encoder.frame(item));
        peer.send(base64 ? frame.toString('base64') : frame.toString(), () => { if (watcher.pending) pump(); });
      }
      if (watcher.ended && !watcher.pending) peer.close(1000);
    };
    watcher.onReady = pump;
    peer.on('close', () => watcher.close());
    peer.on('error', () => watcher.close());
    pump();
  });
}
