/**
 * HTTP servers of the proxy: one per `healthCheckNodePort`, answering whether this node has endpoints of that Service, and
 * the proxy's own /healthz and /livez. Source: kubernetes.io "Traffic policies"; answers as kube-proxy's.
 */
import { createServer, type Server } from 'node:http';
import type { Logger } from '../base/log.ts';

export interface ServiceHealth { namespace: string; name: string; port: number; localEndpoints: number }

export interface HealthServersOptions { log: Logger; address?: string | undefined; healthy: () => boolean }

/** Keeps one listener per port of the Services given last. */
export class ServiceHealthServers implements AsyncDisposable {
  readonly #options: HealthServersOptions;
  readonly #servers = new Map<number, { server: Server; health: ServiceHealth }>();
  constructor(options: HealthServersOptions) { this.#options = options; }

  /** The health of one Service; `undefined` closes its port. */
  set(before: ServiceHealth | undefined, next: ServiceHealth | undefined): void {
    if (before && before.port !== next?.port) {
      this.#servers.get(before.port)?.server.close();
      this.#servers.delete(before.port);
    }
    if (!next) return;
    const known = this.#servers.get(next.port);
    if (known) { known.health = next; return; }
    const { log, address, healthy } = this.#options;
    const server = createServer((_, response) => {
      const { health } = this.#servers.get(next.port)!;
      const serviceProxyHealthy = healthy();
      response.writeHead(health.localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
        'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff', 'X-Load-Balancing-Endpoint-Weight': String(health.localEndpoints),
      });
      response.end(`${JSON.stringify({ service: { namespace: health.namespace, name: health.name }, localEndpoints: health.localEndpoints, serviceProxyHealthy }, null, '\t')}`);
    });
    server.on('error', (err) => {
      log.error({ err, service: `${next.namespace}/${next.name}`, port: next.port }, 'health check node port cannot be opened; is it in use?');
      if (this.#servers.get(next.port)?.server === server) this.#servers.delete(next.port);
    });
    this.#servers.set(next.port, { server, health: next });
    server.listen(next.port, address);
    server.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values()].map(({ server }) => new Promise<void>((resolve) => { server.close(() => { resolve(); }); server.closeAllConnections(); })));
    this.#servers.clear();
  }
}
