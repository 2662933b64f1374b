/**
 * The kubelet's own API on :10250: logs, exec, attach, port-forward, pods, stats, metrics. Called by the apiserver for kubectl, and by
 * monitoring. Paths and parameters: upstream pkg/kubelet/server.
 */
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import type { Pod } from '../../api/core/v1.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Client } from '../../client/client.ts';
import type { Host } from '../host.ts';
import type { Kubelet } from '../kubelet.ts';
import { uidOf } from '../names.ts';
import { type ContainerRecord, createStateReader, isRunning } from '../pod-state.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type StreamRequest, connectStream } from '../runtime/streaming.ts';
import { createAuth } from './auth.ts';
import { type LogOptions, readContainerLog } from './container-logs.ts';
import { createStats } from './stats.ts';

export interface KubeletServer extends AsyncDisposable { readonly port: number }
export interface KubeletServerOptions { kubelet: Kubelet; client: Client; runtime: Runtime; host: Host; clock: Clock; log: Logger; signal: AbortSignal }

class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) { super(message); this.status = status; }
}
const flag = (query: URLSearchParams, ...names: string[]) => names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''));

/** Throws when there is no certificate in the configuration. */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { kubelet, client, runtime, host, clock, log, signal } = options;
  const { config } = kubelet;
  if (!config.tls) throw new Error('the kubelet server needs a certificate and key');
  const authorize = createAuth({ client, clock, config, nodeName: kubelet.nodeName });
  const stats = createStats({ runtime, host, clock, nodeName: kubelet.nodeName, startedAtMs: clock.now() });
  const reader = createStateReader(runtime, async () => '');

  async function podOf(namespace: string, name: string, uid?: string): Promise<Pod> {
    const pod = kubelet.podByName(namespace, name);
    if (!pod || (uid && uidOf(pod) !== uid)) throw new HttpError(404, `pod "${name}" not found`);
    return pod;
  }
  async function runningContainer(pod: Pod, name: string): Promise<ContainerRecord> {
    const record = (await reader.read(uidOf(pod))).containers.find((item) => item.name === name);
    if (!record) throw new HttpError(404, `container not found ("${name}")`);
    if (!isRunning(record)) throw new HttpError(400, `container ${name} is not running`);
    return record;
  }

  async function logs(pod: Pod, name: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const records = (await reader.read(uidOf(pod))).containers.filter((record) => record.name === name);
    const previous = flag(query, 'previous');
    const status = kubelet.statuses.get(uidOf(pod));
    const known = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? []), ...(status?.ephemeralContainerStatuses ?? [])].find((item) => item.name === name);
    const lastId = known?.lastState?.terminated?.containerID?.split('://')[1];
    const record = previous ? records.find(({ id }) => id === lastId) : records[0];
    if (!record) {
      if (previous) throw new HttpError(400, `previous terminated container "${name}" in pod "${pod.metadata.name}" not found`);
      throw new HttpError(400, `container "${name}" in pod "${pod.metadata.name}" is waiting to start: ${known?.state?.waiting?.reason ?? 'no logs available yet'}`);
    }
    const number = (key: string) => { const text = query.get(key); if (text === null || text === '') return undefined; const value = Number(text); if (!Number.isInteger(value)) throw new HttpError(400, `invalid ${key}: ${text}`); return value; };
    const sinceSeconds = number('sinceSeconds');
    const sinceTime = query.get('sinceTime');
    const stream = query.get('stream')?.toLowerCase();
    const logOptions: LogOptions = {
      follow: flag(query, 'follow') && !previous, timestamps: flag(query, 'timestamps'), tailLines: number('tailLines') ?? (query.get('tail') && query.get('tail') !== 'all' ? number('tail') : undefined), limitBytes: number('limitBytes'),
      sinceMs: sinceSeconds !== undefined ? clock.now() - sinceSeconds * 1000 : sinceTime ? Date.parse(sinceTime) : undefined, ...(stream === 'stdout' || stream === 'stderr' ? { stream } : {}),
    };
    const stop = new AbortController();
    response.on('close', () => stop.abort());
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    const running = async () => (await runtime.containerStatus(record.id).catch(() => undefined))?.state === 'CONTAINER_RUNNING';
    try {
      for await (const chunk of readContainerLog(record.logPath, logOptions, { clock, signal: AbortSignal.any([signal, stop.signal]), running })) {
        if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
    } catch (error) { if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.debug({ err: error }, 'log stream ended'); }
    response.end();
  }

  /** Path parts after the verb: ns, pod, [uid,] container. */
  async function streamTarget(parts: readonly string[], query: URLSearchParams): Promise<StreamRequest> {
    const [verb, namespace = '', name = '', ...rest] = parts;
    if (verb === 'portForward') {
      const pod = await podOf(namespace, name, rest[0]);
      const sandbox = (await reader.read(uidOf(pod))).sandboxes.find(({ state }) => state === 'SANDBOX_READY');
      if (!sandbox) throw new HttpError(400, `pod ${name} is not running`);
      const ports = query.getAll('port').concat(query.getAll('ports')).flatMap((text) => text.split(',')).map(Number).filter((port) => port > 0);
      return { kind: 'portForward', url: await runtime.portForward(sandbox.id, ports) };
    }
    const [uid, container = ''] = rest.length > 1 ? rest : [undefined, rest[0]];
    const record = await runningContainer(await podOf(namespace, name, uid), container);
    const tty = flag(query, 'tty');
    const flags = { tty, stdin: flag(query, 'input', 'stdin'), stdout: flag(query, 'output', 'stdout'), stderr: flag(query, 'error', 'stderr') && !tty };
    const url = verb === 'exec' ? await runtime.exec({ containerId: record.id, cmd: query.getAll('command'), ...flags }) : await runtime.attach({ containerId: record.id, ...flags });
    return { kind: verb === 'exec' ? 'exec' : 'attach', url, ...flags };
  }

  const json = (response: ServerResponse, body: unknown) => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(JSON.stringify(body)); };
  const text = (response: ServerResponse, body: string, type = 'text/plain; charset=utf-8') => { response.writeHead(200, { 'content-type': type }); response.end(body); };
  const ownMetrics = () => {
    const workers = kubelet.workers.pods();
    return `# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n# TYPE kubelet_running_pods gauge\nkubelet_running_pods ${workers.filter(({ state }) => state === 'syncing').length}\n# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n# TYPE kubelet_node_name gauge\nkubelet_node_name{node="${kubelet.nodeName}"} 1\n`;
  };

  async function route(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    const parts = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const [first, namespace = '', name = '', container = ''] = parts;
    if (first === 'healthz') text(response, 'ok');
    else if (first === 'pods') json(response, { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: kubelet.pods().map((pod) => ({ ...pod, status: kubelet.statuses.get(uidOf(pod)) ?? pod.status })) });
    else if (first === 'runningpods') json(response, { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [...(await reader.listPods()).values()].filter((pod) => pod.running).map((pod) => ({ metadata: { name: pod.name, namespace: pod.namespace, uid: pod.uid }, spec: { containers: [] }, status: {} })) });
    else if (first === 'containerLogs' && request.method === 'GET') await logs(await podOf(namespace, name), container, url.searchParams, response);
    else if (first === 'stats' && (parts[1] === 'summary' || parts.length === 1)) json(response, await stats.summary());
    else if (first === 'metrics' && parts[1] === 'resource') text(response, await stats.resourceMetrics(), 'text/plain; version=0.0.4; charset=utf-8');
    else if (first === 'metrics' && parts[1] === undefined) text(response, ownMetrics(), 'text/plain; version=0.0.4; charset=utf-8');
    else if (first === 'metrics' && (parts[1] === 'cadvisor' || parts[1] === 'probes')) text(response, '', 'text/plain; version=0.0.4; charset=utf-8');
    else if (first === 'configz') { const { tls: _, ...shown } = config; json(response, { kubeletconfig: shown }); }
    else if (first === 'run' && request.method === 'POST') {
      const record = await runningContainer(await podOf(namespace, name), parts.at(-1)!);
      const { stdout, stderr } = await runtime.execSync(record.id, (url.searchParams.get('cmd') ?? '').split(' '));
      text(response, Buffer.concat([stdout, stderr]).toString());
    } else if (first === 'exec' || first === 'attach' || first === 'portForward') throw new HttpError(400, 'you must specify at least 1 of stdin, stdout, stderr with an upgrade request');
    else throw new HttpError(404, '404 page not found');
  }

  const server = https.createServer({ cert: config.tls.cert, key: config.tls.key, ...(config.tls.clientCA ? { ca: config.tls.clientCA } : {}), requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'https://kubelet');
      const verdict = await authorize(request, url.pathname);
      if (verdict.status !== 200) throw new HttpError(verdict.status, verdict.message);
      await route(request, url, response);
    })().catch((error: Error) => {
      if (response.headersSent) { response.destroy(); return; }
      response.writeHead(error instanceof HttpError ? error.status : 500, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`${error.message}\n`);
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    void (async () => {
      const url = new URL(request.url ?? '/', 'https://kubelet');
      const verdict = await authorize(request, url.pathname);
      if (verdict.status !== 200) throw new HttpError(verdict.status, verdict.message);
      const parts = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
      if (!['exec', 'attach', 'portForward'].includes(parts[0] ?? '')) throw new HttpError(404, '404 page not found');
      await connectStream({ request, socket, head }, await streamTarget(parts, url.searchParams), { clock, log, signal });
    })().catch((error: Error) => {
      const body = `${error.message}\n`;
      socket.end(`HTTP/1.1 ${error instanceof HttpError ? error.status : 500} Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(config.port, config.address);
  await once(server, 'listening');
  const close = async () => { server.closeAllConnections(); await new Promise<void>((resolve) => { server.close(() => resolve()); }); };
  signal.addEventListener('abort', () => { void close(); }, { once: true });
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close };
}
