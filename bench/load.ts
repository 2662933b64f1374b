/**
 * A load generator for any Kubernetes API, by kubeconfig: `node bench/load.ts KUBECONFIG [seconds per figure] [pid of the server] [pattern of figures]`. Speaks plain HTTP/1.1
 * over its own TLS connections with as little work per answer as possible, so that the server is what is measured. Creates its
 * objects in a namespace of its own and removes them.
 */
import { connect, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { systemClock } from '../src/base/clock.ts';
import { loadKubeconfig } from '../src/client/kubeconfig.ts';
import { createRestTransport } from '../src/client/rest.ts';
import { createClient } from '../src/client/typed-client.ts';
import { configmaps, namespaces, pods, serviceaccounts } from '../src/api/resources.ts';
import { isNotFound } from '../src/api/meta/status.ts';
import { cpuMs, type Figure, printFigure } from './figure.ts';

const namespace = 'bench-load';
const headersEnd = Buffer.from('\r\n\r\n');
const lastChunk = Buffer.from('0\r\n\r\n');

/** One keep-alive connection that asks one question at a time. */
class Connection {
  readonly #socket: TLSSocket;
  #chunks: Buffer[] = [];
  #size = 0;
  /** Bytes the answer has in all; Infinity while a chunked one goes on; undefined while the headers are incomplete. */
  #expected: number | undefined;
  #answer: ((answer: { status: number; bytes: number }) => void) | undefined;
  #fail: ((err: Error) => void) | undefined;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (err) => this.#fail?.(err));
    socket.on('close', () => this.#fail?.(new Error('the server closed the connection')));
  }

  ask(request: Buffer | string): Promise<{ status: number; bytes: number }> {
    return new Promise((resolve, reject) => { this.#answer = resolve; this.#fail = reject; this.#socket.write(request); });
  }
  close(): void { this.#fail = undefined; this.#socket.destroy(); }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#expected === undefined) {
      const all = Buffer.concat(this.#chunks);
      this.#chunks = [all];
      const end = all.indexOf(headersEnd);
      if (end < 0) return;
      const length = /\r\ncontent-length: (\d+)/i.exec(all.toString('latin1', 0, end));
      this.#expected = length ? end + 4 + Number(length[1]) : Infinity;
    }
    const complete = this.#expected === Infinity ? chunk.length >= 5 ? chunk.subarray(-5).equals(lastChunk) : Buffer.concat(this.#chunks).subarray(-5).equals(lastChunk) : this.#size >= this.#expected;
    if (!complete) return;
    const answer = { status: Number(this.#chunks[0]!.toString('latin1', 9, 12)), bytes: this.#size };
    this.#chunks = [];
    this.#size = 0;
    this.#expected = undefined;
    this.#answer?.(answer);
  }
}

export interface LoadOptions {
  kubeconfig: string;
  secondsEach?: number;
  connections?: number;
  /** Pods that LIST answers with. */
  pods?: number;
  /** The server's process where it runs on this machine: its CPU time per request is reported too, which other load does not blur. */
  serverPid?: number;
  /** Only figures whose name matches, as for a profile. */
  only?: RegExp;
}

export async function benchLoad({ kubeconfig, secondsEach = 2, connections = 16, pods: podCount = 500, serverPid, only = /./ }: LoadOptions): Promise<Figure[]> {
  const options = loadKubeconfig(kubeconfig);
  await using transport = createRestTransport({ ...options, userAgent: 'knarr-bench' });
  const client = createClient(transport);
  await client.for(namespaces).create({ metadata: { name: namespace } } as never);
  for (;;) { // a namespace takes pods once it has its service account
    try { await client.for(serviceaccounts).get({ namespace, name: 'default' }); break; } catch (err) { if (!isNotFound(err)) throw err; }
  }
  const { server, tls, headers } = transport.connection();
  const sockets = await Promise.all(Array.from({ length: connections }, async () => {
    const socket = connect({ host: server.hostname, port: Number(server.port || 443), ...tls, ALPNProtocols: ['http/1.1'] } as never);
    await once(socket, 'secureConnect');
    return new Connection(socket);
  }));
  const extra = Object.entries({ Host: server.host, Accept: 'application/json', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const requestText = (method: string, path: string, body?: string) =>
    `${method} ${path} HTTP/1.1\r\n${extra}${body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`}\r\n${body ?? ''}`;
  /** Asks on all connections for `secondsEach`. `next` gives the request of the given number, or undefined to end. */
  const rate = async (next: (serial: number) => string | undefined): Promise<{ perSecond: number; answered: number }> => {
    const started = systemClock.monotonic();
    let serial = 0;
    let answered = 0;
    await Promise.all(sockets.map(async (connection) => {
      while (systemClock.monotonic() - started < secondsEach * 1000) {
        const request = next(serial++);
        if (request === undefined) break;
        const { status } = await connection.ask(request);
        if (status >= 400) throw new Error(`the server answered ${status} to ${request.split('\r\n')[0]}`);
        answered++;
      }
    }));
    return { perSecond: Math.round((answered * 1000) / (systemClock.monotonic() - started)), answered };
  };

  const figures: Figure[] = [];
  const measure = async (name: string, target: string | undefined, next: (serial: number) => string | undefined): Promise<void> => {
    if (!only.test(name)) return;
    const before = serverPid === undefined ? 0 : cpuMs(serverPid);
    const { perSecond, answered } = await rate(next);
    figures.push({ name, unit: '/s', value: perSecond, ...(target === undefined ? {} : { target }) });
    if (serverPid !== undefined) figures.push({ name: `${name}: server CPU`, unit: 'µs each', value: Math.round(((cpuMs(serverPid) - before) * 1000) / answered) });
  };
  const path = `/api/v1/namespaces/${namespace}`;
  try {
    await measure(`CREATE ${podCount} pods, as they come`, undefined, (serial) => (serial < podCount ? requestText('POST', `${path}/pods`, podBody(serial)) : undefined));
    const one = requestText('GET', `${path}/pods/load-0`);
    if (only.test('GET')) await rate((serial) => (serial < 2_000 ? one : undefined)); // warm up
    await measure(`GET one pod, TLS, ${connections} connections`, '≥ 17,000 (5 × 3,400)', () => one);
    const list = requestText('GET', `${path}/pods`);
    await measure(`LIST ${podCount} pods`, '≥ 590 (10 × 59)', () => list);
    await measure(`CREATE pods, ${connections} connections`, '≥ 4,560 (4 × 1,140)', (serial) => requestText('POST', `${path}/pods`, podBody(podCount + serial)));
    await measure('CREATE ConfigMaps of 1 KB', '≥ 7,360 (4 × 1,840)', (serial) => requestText('POST', `${path}/configmaps`, JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `load-${serial}` }, data: { key: 'x'.repeat(1024) } })));
    return figures;
  } finally {
    for (const connection of sockets) connection.close();
    await client.for(pods).deleteCollection({ namespace, gracePeriodSeconds: 0 });
    await client.for(configmaps).deleteCollection({ namespace });
    await client.for(namespaces).delete({ name: namespace });
  }
}

/** A pod as a Deployment makes them, about 2 KB stored; the scheduler it names does not exist, so it stays Pending. */
export function podBody(serial: number): string {
  return JSON.stringify({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: `load-${serial}`, labels: { app: 'load', tier: 'backend', serial: String(serial) } },
    spec: {
      schedulerName: 'nobody',
      containers: [{ name: 'main', image: 'registry.example/app:1.2.3', ports: [{ containerPort: 8080 }], resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } },
        env: [{ name: 'MODE', value: 'production' }], readinessProbe: { httpGet: { path: '/ready', port: 8080 } } }],
    },
  });
}

if (import.meta.main) {
  const [kubeconfig, seconds, pid, only] = process.argv.slice(2);
  if (!kubeconfig) { console.error('usage: load.ts KUBECONFIG [seconds per figure] [pid of the server] [pattern of figures]'); process.exit(2); }
  for (const figure of await benchLoad({ kubeconfig, ...(seconds ? { secondsEach: Number(seconds) } : {}), ...(pid ? { serverPid: Number(pid) } : {}), ...(only ? { only: new RegExp(only) } : {}) })) printFigure(figure);
}
