/**
 * Watches over WebSocket, one message per event, and streamed answers such as logs, for clients that can't read them otherwise.
 * Source: apiserver/pkg/endpoints/handlers/watch.go; apimachinery's wsstream.Reader.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
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

const readerProtocols = ['binary.k8s.io', 'base64.binary.k8s.io'];
const readers = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024, handleProtocols: (protocols) => readerProtocols.find((name) => protocols.has(name)) ?? false });

/** The bytes of a streamed answer as messages, then a normal close. Without a protocol of ours they are binary. */
export function websocketStream(request: IncomingMessage, socket: Duplex, head: Buffer, body: Readable): void {
  readers.handleUpgrade(request, socket, head, (peer) => {
    const base64 = peer.protocol === 'base64.binary.k8s.io';
    body.on('data', (chunk: Buffer) => {
      peer.send(base64 ? chunk.toString('base64') : chunk, () => { if (body.isPaused() && peer.bufferedAmount < bufferedLimitBytes) body.resume(); });
      if (peer.bufferedAmount >= bufferedLimitBytes) body.pause();
    });
    body.on('end', () => peer.close(1000));
    body.on('error', () => peer.close(1011));
    peer.on('close', () => body.destroy());
    peer.on('error', () => body.destroy());
    // What clients send is read only to notice that they leave.
    peer.on('message', () => {});
  });
}
