/**
 * The watch path and large lists: `node bench/watch.ts KUBECONFIG SERVER_PID [watchers] [writes per second] [seconds]`. Watchers on one
 * kind, each on a connection of its own and most of them for one object (as kubelets watch), while objects change; then several
 * clients that read a large list slowly, and what that takes of the server's memory.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { systemClock } from '../src/base/clock.ts';
import { configmaps, namespaces } from '../src/api/resources.ts';
import type { ConfigMap } from '../src/api/core/v1.ts';
import { loadKubeconfig } from '../src/client/kubeconfig.ts';
import { createRestTransport, type RestTransport } from '../src/client/rest.ts';
import { createClient } from '../src/client/typed-client.ts';
import { type Figure, median, printFigure, residentMb } from './figure.ts';

const namespace = 'bench-watch';
/** Watchers that see every change; the others see one object each. */
const watchersOfAll = 10;
const tickMs = 10;
/** Size of each of the ConfigMaps that make a large list. */
const largeBytes = 1_000_000;

export interface WatchBenchOptions { kubeconfig: string; serverPid: number; watchers?: number; writesPerSecond?: number; seconds?: number; readers?: number; listMb?: number; /** How long slow readers are left waiting. */ slowMs?: number }

export async function benchWatch({ kubeconfig, serverPid, watchers = 1000, writesPerSecond = 500, seconds = 5, readers = 20, listMb = 20, slowMs = 1000 }: WatchBenchOptions): Promise<Figure[]> {
  await using transport = createRestTransport({ ...loadKubeconfig(kubeconfig), userAgent: 'knarr-bench' });
  const client = createClient(transport);
  const maps = client.for(configmaps);
  await client.for(namespaces).create({ metadata: { name: namespace } } as never);
  try {
    const figures: Figure[] = [];
    const latencies = await eventLatencies(transport, { watchers, writesPerSecond, seconds });
    const sorted = latencies.sort((a, b) => a - b);
    const name = `write → event, ${watchers} watchers, ${writesPerSecond} writes/s`;
    figures.push({ name: `${name}: median`, value: Number(median(sorted).toFixed(1)), unit: 'ms' });
    figures.push({ name: `${name}: p99`, value: Number((sorted[Math.floor(sorted.length * 0.99)] ?? NaN).toFixed(1)), unit: 'ms', target: '< 100' });
    for (let i = 0; i < listMb; i++) await maps.create({ metadata: { name: `large-${i}` }, data: { key: 'x'.repeat(largeBytes) } } as never, { namespace });
    await maps.list({ namespace });
    for (const gzip of [false, true]) figures.push({ name: `${readers} slow readers of a list of ${listMb} MB${gzip ? ', gzip' : ''}: extra memory`, value: await extraMemory(transport, serverPid, { readers, gzip, slowMs }), unit: 'MB', target: '< 300' });
    return figures;
  } finally {
    await maps.deleteCollection({ namespace });
    await client.for(namespaces).delete({ name: namespace });
  }
}

/** Milliseconds from sending each write to seeing its event, for every watcher that is to see it. */
async function eventLatencies(transport: RestTransport, { watchers, writesPerSecond, seconds }: { watchers: number; writesPerSecond: number; seconds: number }): Promise<number[]> {
  const maps = createClient(transport).for(configmaps);
  for (let i = 0; i < watchers; i++) await maps.create({ metadata: { name: `watched-${i}` } } as never, { namespace });
  const { metadata: { resourceVersion } } = await maps.list({ namespace, limit: 1 });
  const latencies: number[] = [];
  const stop = new AbortController();
  const total = Math.round(writesPerSecond * seconds);
  const few = Math.min(watchersOfAll, watchers);
  const expected = total * (few + 1); // those of all, and the one of the object
  let all!: () => void;
  const arrived = new Promise<void>((resolve) => { all = resolve; });
  const watching = Array.from({ length: few + watchers }, async (_, i) => {
    const selector = i < few ? {} : { fieldSelector: `metadata.name=watched-${i - few}` };
    try {
      for await (const event of maps.watch({ namespace, resourceVersion: resourceVersion!, signal: stop.signal, ...selector })) {
        const sent = (event.object as ConfigMap).data?.sent;
        if (sent === undefined) continue;
        latencies.push(systemClock.monotonic() - Number(sent));
        if (latencies.length === expected) all();
      }
    } catch (err) { if (!stop.signal.aborted) throw err; }
  });
  await new Promise<void>((resolve) => { systemClock.after(100 + watchers * 4, resolve); }); // connections come up
  const writes: Promise<unknown>[] = [];
  const started = systemClock.monotonic();
  while (writes.length < total) {
    const due = Math.min(total, Math.floor(((systemClock.monotonic() - started) * writesPerSecond) / 1000) + 1);
    while (writes.length < due) writes.push(maps.patch({ namespace, name: `watched-${(writes.length * 7) % watchers}` }, 'merge', { data: { sent: String(systemClock.monotonic()) } }));
    await new Promise<void>((resolve) => { systemClock.after(tickMs, resolve); });
  }
  await Promise.all(writes);
  await arrived;
  stop.abort();
  await Promise.all(watching);
  return latencies;
}

/** The most that the server's resident memory grows, MB, while clients that asked for the list read a little and then nothing. */
async function extraMemory(transport: RestTransport, serverPid: number, { readers, gzip, slowMs }: { readers: number; gzip: boolean; slowMs: number }): Promise<number> {
  const { server, tls, headers } = transport.connection();
  const before = residentMb(serverPid);
  const request = Object.entries({ Host: server.host, Accept: 'application/json', ...(gzip ? { 'Accept-Encoding': 'gzip' } : {}), Connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const sockets = await Promise.all(Array.from({ length: readers }, async (): Promise<TLSSocket> => {
    const socket = connect({ host: server.hostname, port: Number(server.port || 443), ...tls, ALPNProtocols: ['http/1.1'] } as never);
    await once(socket, 'secureConnect');
    socket.write(`GET /api/v1/namespaces/${namespace}/configmaps HTTP/1.1\r\n${request}\r\n`);
    return socket;
  }));
  let most = 0;
  for (let i = 0; i < 10; i++) {
    await new Promise<void>((resolve) => { systemClock.after(slowMs / 10, resolve); });
    most = Math.max(most, residentMb(serverPid));
  }
  const ended = sockets.map((socket) => once(socket, 'close'));
  for (const socket of sockets) socket.resume();
  await Promise.all(ended);
  return Math.max(0, Math.max(most, residentMb(serverPid)) - before);
}

if (import.meta.main) {
  const [kubeconfig, pid, watchers, writes, seconds] = process.argv.slice(2);
  if (!kubeconfig || !pid) { console.error('usage: watch.ts KUBECONFIG SERVER_PID [watchers] [writes per second] [seconds]'); process.exit(2); }
  for (const figure of await benchWatch({ kubeconfig, serverPid: Number(pid), ...(watchers ? { watchers: Number(watchers) } : {}), ...(writes ? { writesPerSecond: Number(writes) } : {}), ...(seconds ? { seconds: Number(seconds) } : {}) })) printFigure(figure);
}
