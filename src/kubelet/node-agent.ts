/** A kubelet with all that runs beside it: its server, log rotation and health port. What `knarr agent` and `knarr kubelet` start. */
import http from 'node:http';
import { once } from 'node:events';
import type { Host } from './host.ts';
import { type Kubelet, type KubeletOptions, createKubelet } from './kubelet.ts';
import { runLogRotation } from './server/log-rotation.ts';
import { type KubeletServer, startKubeletServer } from './server/server.ts';

export interface NodeAgent {
  kubelet: Kubelet;
  /** Undefined without `config.tls`. */
  server: KubeletServer | undefined;
  /** Resolves when everything has ended after the signal. Containers go on. */
  done: Promise<void>;
}

/** The server listens first, so that a port in use is an error here and not a node that half works. */
export async function startNodeAgent(options: KubeletOptions): Promise<NodeAgent> {
  const { client, runtime, host, clock, log, signal } = options;
  const kubelet = await createKubelet(options);
  const { config } = kubelet;
  const server = config.tls ? await startKubeletServer({ kubelet, client, runtime, host, clock, log, signal }) : undefined;
  const health = config.healthzPort ? await startHealth(config.healthzPort, signal) : undefined;
  const rotation = isReal(host) ? runLogRotation({ runtime, clock, log, signal, config }) : undefined;
  return { kubelet, server, done: Promise.all([kubelet.run(), rotation, health]).then(() => {}) };
}
const isReal = (host: Host): boolean => !host.simulated;

async function startHealth(port: number, signal: AbortSignal): Promise<void> {
  const server = http.createServer((_, response) => { response.end('ok'); });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  signal.addEventListener('abort', () => { server.closeAllConnections(); server.close(); }, { once: true });
}
