/**
 * Cluster DNS on a node: UDP and TCP listeners on the cluster DNS address, and the chain of plugins behind them.
 * Started by the node agent, which first gives the machine the address (`network/links.ts` ensureLocalAddress).
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { Registry } from 'prom-client';
import { endpointslices, namespaces, services } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { InformerFactory } from '../client/informer.ts';
import { decodeRequest, encodeError, encodeReply, type Request } from './message.ts';
import { createDnsMetrics } from './metrics.ts';
import { cachePlugin } from './plugins/cache.ts';
import { forwardPlugin } from './plugins/forward.ts';
import { kubernetesPlugin } from './plugins/kubernetes.ts';
import { loadbalancePlugin } from './plugins/loadbalance.ts';
import { chain, type Plugin } from './plugins/plugin.ts';
import { ClusterRecords } from './records.ts';
import { hostResolvConf } from './resolv-conf.ts';

export interface DnsServerOptions {
  informers: InformerFactory;
  clock: Clock;
  rng: Rng;
  log: Logger;
  signal: AbortSignal;
  /** Where to listen. Port 0 takes a free one (the same for UDP and TCP). */
  addresses: readonly string[];
  /** Default 53. */
  port?: number | undefined;
  /** Default 'cluster.local'. */
  domain?: string | undefined;
  /** Resolvers for other names; default the host's. Our own addresses are left out, or queries would go round. */
  upstreams?: readonly string[] | undefined;
  registry?: Registry | undefined;
}

export interface DnsServer extends AsyncDisposable {
  readonly port: number;
  readonly registry: Registry;
  readonly upstreams: readonly string[];
  /** The plugins in the order in which a query passes them. */
  readonly plugins: readonly string[];
}

/** Open TCP connections, as one client could otherwise hold all descriptors. */
const connectionLimit = 1_000;
const idleTcpMs = 10_000;
/** Queries being answered on one TCP connection. */
const pipelineLimit = 100;

export async function startDnsServer({ informers, clock, rng, log, signal, addresses, port = 53, domain, upstreams: configured, registry = new Registry() }: DnsServerOptions): Promise<DnsServer> {
  const metrics = createDnsMetrics(registry);
  const sources = { services: informers.informer(services), slices: informers.informer(endpointslices), namespaces: informers.informer(namespaces) };
  const records = new ClusterRecords({ ...sources, domain, serverAddresses: addresses, serial: () => Math.floor(clock.now() / 1000) });
  const upstreams = (configured ?? (await hostResolvConf()).conf.nameservers).filter((upstream) => {
    const loops = addresses.includes(upstream) && port === 53;
    if (loops) log.warn({ upstream }, 'an upstream resolver is this server itself and is left out');
    return !loops;
  });
  if (upstreams.length === 0) log.warn('no upstream resolvers: names outside the cluster are refused');
  const zoneOf = (request: Request) => (records.owns(request.name) ? `${records.domain}.` : '.');
  const server = `dns://:${port}`;
  const plugins: Plugin[] = [
    loadbalancePlugin(rng),
    kubernetesPlugin(records),
    cachePlugin({ clock, onHit: (type) => { metrics.cacheHits.inc({ server, type }); }, onMiss: () => { metrics.cacheMisses.inc({ server }); }, onSize: (size) => { metrics.cacheEntries.set({ server }, size); } }),
    forwardPlugin({ clock, rng, upstreams,
      onExchange: (to, rcode, seconds) => { metrics.forwardDuration.observe({ proxy_name: 'forward', to, rcode }, seconds); },
      onFailure: (to, err) => { metrics.forwardFailures.inc({ proxy_name: 'forward', to }); log.debug({ err, upstream: to }, 'upstream resolver failed'); } }),
  ];
  const resolve = chain(plugins);

  const answer = async (bytes: Buffer, protocol: 'udp' | 'tcp', family: string): Promise<Buffer | undefined> => {
    const begun = clock.monotonic();
    const request = decodeRequest(bytes, protocol);
    if (!request) return undefined;
    if (!('question' in request)) return encodeError(request.id, request.rcode);
    const zone = zoneOf(request);
    metrics.requests.inc({ server, zone, proto: protocol, family: family === 'IPv6' ? '2' : '1', type: request.question.type });
    metrics.requestSize.observe({ server, zone, proto: protocol }, bytes.length);
    let reply;
    try {
      reply = request.question.class === 'IN' || request.question.class === 'ANY' ? await resolve(request) : { rcode: 'REFUSED' as const, answers: [] };
    } catch (err) {
      metrics.panics.inc();
      log.error({ err, name: request.name, type: request.question.type }, 'query failed');
      reply = { rcode: 'SERVFAIL' as const, answers: [] };
    }
    // Answers carry the name as it was asked, case included (RFC 4343 §4.1; resolvers check it).
    const answers = reply.answers.map((record) => (record.name === request.name ? { ...record, name: request.question.name } : record));
    let encoded: Buffer;
    try { encoded = encodeReply(request, { ...reply, answers }); } catch (err) {
      log.error({ err, name: request.name, type: request.question.type }, 'answer could not be encoded');
      encoded = encodeReply(request, { rcode: 'SERVFAIL', answers: [] });
    }
    metrics.responses.inc({ server, zone, rcode: reply.rcode });
    metrics.responseSize.observe({ server, zone, proto: protocol }, encoded.length);
    metrics.duration.observe({ server, zone }, (clock.monotonic() - begun) / 1000);
    return encoded;
  };

  await Promise.all(Object.values(sources).map((informer) => informer.synced(signal)));
  const udp: UdpSocket[] = [], tcp: Server[] = [], connections = new Set<Socket>();
  const close = async () => {
    records.close();
    for (const socket of connections) socket.destroy();
    await Promise.all([...udp.splice(0).map((socket) => new Promise<void>((done) => { socket.close(() => { done(); }); })),
      ...tcp.splice(0).map((listener) => new Promise<void>((done) => { listener.close(() => { done(); }); }))]);
  };
  let bound = port;
  try {
    for (const address of addresses) {
      const listener = createServer((socket) => {
        connections.add(socket);
        socket.on('close', () => connections.delete(socket));
        socket.on('error', () => { socket.destroy(); });
        socket.setTimeout(idleTcpMs, () => { socket.destroy(); });
        serveTcp(socket);
      });
      listener.maxConnections = connectionLimit;
      await new Promise<void>((done, fail) => { listener.once('error', fail); listener.listen(bound, address, () => { listener.off('error', fail); done(); }); });
      listener.on('error', (err) => { log.error({ err }, 'DNS over TCP'); });
      tcp.push(listener);
      bound = (listener.address() as { port: number }).port;
      const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
      await new Promise<void>((done, fail) => { socket.once('error', fail); socket.bind(bound, address, () => { socket.off('error', fail); done(); }); });
      socket.on('error', (err) => { log.error({ err }, 'DNS over UDP'); });
      socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
        void answer(bytes, 'udp', from.family).then((encoded) => { if (encoded && udp.includes(socket)) socket.send(encoded, from.port, from.address); });
      });
      udp.push(socket);
    }
  } catch (err) {
    await close();
    throw new Error(`cluster DNS can't listen on ${addresses.join(', ')} port ${bound}: ${(err as Error).message}; does the machine have the address, and is the port free?`, { cause: err });
  }
  const serveTcp = (socket: Socket) => {
    let pending: Buffer = Buffer.alloc(0), answering = 0;
    const family = socket.remoteFamily ?? 'IPv4';
    socket.on('data', (bytes: Buffer) => {
      pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0);
        const message = pending.subarray(2, end);
        pending = pending.subarray(end);
        if (++answering >= pipelineLimit) socket.pause();
        void answer(message, 'tcp', family).then((encoded) => {
          if (--answering < pipelineLimit) socket.resume();
          if (!encoded || socket.destroyed) return;
          const length = Buffer.alloc(2);
          length.writeUInt16BE(encoded.length);
          socket.write(Buffer.concat([length, encoded]));
        });
      }
    });
  };
  const onAbort = () => { void close(); };
  signal.addEventListener('abort', onAbort, { once: true });
  log.info({ addresses, port: bound, upstreams }, 'cluster DNS ready');
  return {
    port: bound, registry, upstreams, plugins: plugins.map((plugin) => plugin.name),
    async [Symbol.asyncDispose]() { signal.removeEventListener('abort', onAbort); await close(); },
  };
}
