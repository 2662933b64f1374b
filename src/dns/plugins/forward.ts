/**
 * Asks the host's resolvers what the cluster does not know: UDP, TCP for cut answers, the next resolver after a failure.
 * Equal queries in flight share one upstream query, which also keeps a loop (a resolver that asks us) from multiplying.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { randomInt, type Rng } from '../../base/rng.ts';
import { decodeReply, encodeQuery, type Reply, type Request } from '../message.ts';
import type { Plugin } from './plugin.ts';

export interface ForwardOptions {
  clock: Clock;
  rng: Rng;
  /** Addresses, or 'address:port' ('[v6]:port'). */
  upstreams: readonly string[];
  onExchange?(upstream: string, rcode: string, seconds: number): void;
  onFailure?(upstream: string, error: Error): void;
  /** For one try. Default 2 s. */
  timeoutMs?: number;
}

/** Tries over all resolvers. */
const attemptLimit = 3;
/** Queries in flight; beyond it clients get SERVFAIL at once (CoreDNS' max_concurrent). */
const inFlightLimit = 1_000;

interface Upstream { host: string; port: number; text: string }

export function forwardPlugin({ clock, rng, upstreams: names, onExchange, onFailure, timeoutMs = 2_000 }: ForwardOptions): Plugin {
  const upstreams = names.map(parseUpstream);
  const inFlight = new Map<string, Promise<Reply>>();
  const failedAt = new Map<string, number>();

  const ask = async (request: Request): Promise<Reply> => {
    const start = upstreams.length > 1 ? randomInt(rng, upstreams.length) : 0;
    // Those that failed lately come last.
    const order = [...upstreams.slice(start), ...upstreams.slice(0, start)].sort((a, b) => (failedAt.get(a.text) ?? -Infinity) - (failedAt.get(b.text) ?? -Infinity));
    for (let attempt = 0; attempt < attemptLimit && order.length > 0; attempt++) {
      const upstream = order[attempt % order.length]!;
      const begun = clock.monotonic();
      try {
        let answer = await exchange(upstream, request, 'udp');
        if (answer.truncated) answer = await exchange(upstream, request, 'tcp');
        failedAt.delete(upstream.text);
        onExchange?.(upstream.text, answer.reply.rcode, (clock.monotonic() - begun) / 1000);
        return answer.reply;
      } catch (err) {
        failedAt.set(upstream.text, clock.monotonic());
        onFailure?.(upstream.text, err as Error);
      }
    }
    return { rcode: 'SERVFAIL', answers: [] };
  };

  const exchange = (upstream: Upstream, request: Request, protocol: 'udp' | 'tcp') => new Promise<ReturnType<typeof decodeReply>>((resolve, reject) => {
    const id = randomInt(rng, 65_536);
    const query = encodeQuery(id, request);
    const end = (err: Error | undefined, answer?: ReturnType<typeof decodeReply>) => {
      timer.cancel();
      close();
      if (answer) resolve(answer); else reject(err!);
    };
    const receive = (bytes: Buffer) => {
      let answer;
      try { answer = decodeReply(bytes); } catch (err) { end(err as Error); return; }
      // Anything else is late, or forged (RFC 5452 §4).
      if (answer.id === id && (answer.questionName === request.name || answer.questionName === (request.name || '.')) && answer.questionType === request.question.type) end(undefined, answer);
    };
    let close: () => void;
    const timer = clock.after(timeoutMs, () => { end(new Error(`no answer in ${timeoutMs} ms`)); });
    if (protocol === 'udp') {
      const socket = createSocket(upstream.host.includes(':') ? 'udp6' : 'udp4');
      close = () => { close = () => {}; socket.close(); };
      socket.on('message', receive);
      socket.on('error', end);
      // A connected socket takes datagrams from that resolver only, and learns of a closed port at once.
      socket.connect(upstream.port, upstream.host, () => { socket.send(query); });
    } else {
      const socket = connect(upstream.port, upstream.host);
      let got = Buffer.alloc(0);
      close = () => { socket.destroy(); };
      socket.on('connect', () => { const length = Buffer.alloc(2); length.writeUInt16BE(query.length); socket.write(Buffer.concat([length, query])); });
      socket.on('data', (bytes: Buffer) => {
        got = Buffer.concat([got, bytes]);
        if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) receive(got.subarray(2, 2 + got.readUInt16BE(0)));
      });
      socket.on('error', end);
      socket.on('close', () => { end(new Error('closed the connection')); });
    }
  });

  return {
    name: 'forward',
    answer(request) {
      if (upstreams.length === 0) return Promise.resolve({ rcode: 'REFUSED', answers: [] });
      const key = `${request.name} ${request.question.type} ${request.question.class} ${request.dnssecOk} ${request.checkingDisabled}`;
      const known = inFlight.get(key);
      if (known) return known;
      if (inFlight.size >= inFlightLimit) return Promise.resolve({ rcode: 'SERVFAIL', answers: [] });
      const asking = ask(request).finally(() => { inFlight.delete(key); });
      inFlight.set(key, asking);
      return asking;
    },
  };
}

function parseUpstream(text: string): Upstream {
  const match = /^\[(.+)\]:(\d+)$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text);
  return match ? { host: match[1]!, port: Number(match[2]), text } : { host: text, port: 53, text };
}
