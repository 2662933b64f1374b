/**
 * An upgraded connection passed through as it is: SPDY/3.1 and WebSocket alike. The upgrade request goes to the target with
 * our credentials; from its answer on, bytes flow both ways untouched. Source: apimachinery/pkg/util/proxy/upgradeaware.go.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { serviceUnavailable } from '../../api/meta/status.ts';
import type { UpgradeTarget } from '../request.ts';

const answerTimeoutMs = 30_000;
/** Bytes of a refusal that are passed on. */
const refusalLimitBytes = 64 * 1024;
/** Never passed on: they carry the caller's credentials for us, or name our own host. */
const dropped = new Set(['authorization', 'host', 'x-remote-user', 'x-remote-group', 'x-remote-uid', 'cookie', 'audit-id']);

export function upgradeHeaders(headers: IncomingMessage['headers']): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || dropped.has(name) || name.startsWith('impersonate-') || name.startsWith('x-remote-extra-')) continue;
    if (name === 'sec-websocket-protocol' && typeof value === 'string') {
      // A bearer token may ride in the protocol list; the rest says how to speak.
      const protocols = value.split(',').map((text) => text.trim()).filter((text) => !text.startsWith('base64url.bearer.authorization.k8s.io.'));
      if (protocols.length > 0) kept[name] = protocols.join(', ');
    } else kept[name] = value;
  }
  return kept;
}

/** Resolves when the streams are joined. Rejects with 503 when the target can't be reached. */
export function proxyUpgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer, target: UpgradeTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    const { url, tls } = target;
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const outgoing = send(url, {
      method: target.method, agent: false, timeout: answerTimeoutMs, ...tls,
      headers: { ...upgradeHeaders(incoming.headers), connection: 'Upgrade', upgrade: incoming.headers.upgrade ?? '', ...target.headers },
    });
    let joined = false;
    const abandon = () => { if (!joined) outgoing.destroy(); };
    socket.on('close', abandon);
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', (err) => { if (!joined) reject(serviceUnavailable(`error dialing backend: ${err.message}`)); });
    outgoing.on('upgrade', (answer, upstream, upstreamHead) => {
      joined = true;
      const lines = [`HTTP/1.1 101 ${answer.statusMessage || 'Switching Protocols'}`];
      for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      if (upstreamHead.length > 0) socket.write(upstreamHead);
      if (head.length > 0) upstream.write(head);
      (upstream as Duplex & { setTimeout?(ms: number): void }).setTimeout?.(0);
      const close = () => { socket.destroy(); upstream.destroy(); };
      upstream.on('error', close);
      socket.on('error', close);
      upstream.on('close', () => { if (!socket.destroyed) socket.end(); });
      socket.on('close', () => upstream.destroy());
      socket.pipe(upstream);
      upstream.pipe(socket);
      resolve();
    });
    outgoing.on('response', (answer) => {
      // Refused: pass the refusal on.
      joined = true;
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => { size += chunk.length; if (size <= refusalLimitBytes) chunks.push(chunk); });
      answer.on('error', () => socket.destroy());
      answer.on('end', () => {
        const body = Buffer.concat(chunks);
        const code = answer.statusCode ?? 502;
        socket.write(`HTTP/1.1 ${code} ${answer.statusMessage ?? STATUS_CODES[code] ?? ''}\r\nContent-Type: ${answer.headers['content-type'] ?? 'text/plain'}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
        socket.end(body);
        resolve();
      });
    });
    outgoing.end();
  });
}
