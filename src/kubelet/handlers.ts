/**
 * Runs the actions of probes and lifecycle hooks: exec, httpGet, tcpSocket, grpc, sleep. Messages are Go's, which users match on.
 * Text: kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes; grpc: gRPC Health Checking Protocol.
 */
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import type { Container, HTTPGetAction, Probe } from '../api/core/v1.ts';
import type { Clock } from '../base/clock.ts';
import { sleep } from '../base/clock.ts';
import { hasGrpcCode } from '../base/grpc-status.ts';
import type { Runtime } from './runtime/runtime.ts';
import { goDuration } from './names.ts';

/** `warning`: a success that the user should hear of. */
export type Outcome = { result: 'success' | 'failure'; output: string; warning?: boolean } | { result: 'unknown'; output: string };
export type Action = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & { readonly sleep?: { readonly seconds: number } };
export interface Target { container: Container; containerId: string; podIP: string; hostNetwork: boolean }
export interface Handlers {
  run(action: Action, target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Outcome>;
  /** A lifecycle hook. Any answer over HTTP will do, whatever its status; a server that speaks no TLS is asked in the clear. Source: upstream's pkg/kubelet/lifecycle. */
  hook(action: Action, target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Outcome>;
}

/** Kept of an answer's body or a command's output. */
const outputLimitBytes = 10 * 1024;
const maxRedirects = 10;
/** What Node says when the other side answers TLS with plain text. */
const notTls = 'EPROTO';

export function resolvePort(port: number | string | undefined, container: Container): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port);
  const number = named?.containerPort ?? Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65535) throw new Error(`couldn't find port: ${String(port)}`);
  return number;
}

const joinHost = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
function dialError(error: NodeJS.ErrnoException, address: string): string {
  const words: Record<string, string> = { ECONNREFUSED: 'connect: connection refused', EHOSTUNREACH: 'connect: no route to host', ENETUNREACH: 'connect: network is unreachable', ETIMEDOUT: 'i/o timeout', ECONNRESET: 'connection reset by peer' };
  const text = words[error.code ?? ''];
  return error.code === 'ECONNRESET' ? `read tcp ${address}: read: ${text}` : text ? `dial tcp ${address}: ${text}` : error.message;
}

export function createHandlers(options: { runtime: Runtime; clock: Clock; simulated: boolean }): Handlers {
  const { runtime, clock, simulated } = options;

  async function exec(command: readonly string[], target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Outcome> {
    try {
      const { stdout, stderr, exitCode } = await runtime.execSync(target.containerId, command, Math.ceil(timeoutMs / 1000), signal);
      const output = Buffer.concat([stdout, stderr]).subarray(0, outputLimitBytes).toString();
      return exitCode === 0 ? { result: 'success', output } : { result: 'failure', output };
    } catch (error) {
      if (hasGrpcCode(error, 'DEADLINE_EXCEEDED')) return { result: 'failure', output: `command timed out: "${command.join(' ')}" timed out after ${goDuration(timeoutMs)}` };
      return { result: 'unknown', output: (error as Error).message };
    }
  }

  function httpGet(action: HTTPGetAction, target: Target, timeoutMs: number, hook = false, redirects = 0, url?: URL): Promise<Outcome> {
    const scheme = (action.scheme ?? 'HTTP').toLowerCase();
    const host = action.host || target.podIP || '127.0.0.1';
    const to = url ?? new URL(`${scheme}://${joinHost(host, hook && (action.port === '' || action.port === undefined) ? 80 : resolvePort(action.port, target.container))}${(action.path ?? '/').startsWith('/') ? '' : '/'}${action.path ?? '/'}`);
    const shown = `Get "${to.href}"`;
    const headers: Record<string, string> = { 'User-Agent': hook ? 'kube-lifecycle/1.36' : 'kube-probe/1.36', Accept: '*/*', Connection: 'close' };
    for (const { name, value } of action.httpHeaders ?? []) { if (name.toLowerCase() === 'accept' && value === '') delete headers.Accept; else headers[name] = value; }
    return new Promise((resolve) => {
      // Bare line feeds and the like are borne, as Go's client does.
      const timer = clock.after(timeoutMs, () => { request.destroy(); resolve({ result: 'failure', output: `${shown}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)` }); });
      const request = (to.protocol === 'https:' ? https : http).request(to, { method: 'GET', headers, agent: false, insecureHTTPParser: true, ...(to.protocol === 'https:' ? { rejectUnauthorized: false } : {}) }, (response) => {
        const status = response.statusCode ?? 0;
        const location = response.headers.location;
        let away = false;
        if (status >= 300 && status < 400 && location && redirects < maxRedirects) {
          const next = new URL(location, to);
          away = next.hostname !== to.hostname;
          if (!away) { timer.cancel(); response.destroy(); resolve(httpGet(action, target, timeoutMs, hook, redirects + 1, next)); return; }
        }
        let body = '';
        response.setEncoding('utf8');
        const finish = () => {
          timer.cancel();
          if (away && !hook) { resolve({ result: 'success', output: `Probe terminated redirects, Response body: ${body}`, warning: true }); return; }
          resolve(hook || (status >= 200 && status < 400) ? { result: 'success', output: body } : { result: 'failure', output: `HTTP probe failed with statuscode: ${status}` });
        };
        response.on('data', (chunk: string) => { if (body.length < outputLimitBytes) body += chunk; });
        response.on('end', finish);
        response.on('error', finish);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        timer.cancel();
        if (hook && to.protocol === 'https:' && error.code === notTls) { resolve(httpGet({ ...action, scheme: 'HTTP' }, target, timeoutMs, hook)); return; }
        resolve({ result: 'failure', output: `${shown}: ${dialError(error, joinHost(to.hostname, Number(to.port)))}` });
      });
      request.end();
    });
  }

  function tcp(host: string, port: number, timeoutMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      const socket = net.connect({ host, port });
      const end = (outcome: Outcome) => { timer.cancel(); socket.destroy(); resolve(outcome); };
      const timer = clock.after(timeoutMs, () => end({ result: 'failure', output: `dial tcp ${joinHost(host, port)}: i/o timeout` }));
      socket.on('connect', () => end({ result: 'success', output: '' }));
      socket.on('error', (error: NodeJS.ErrnoException) => end({ result: 'failure', output: dialError(error, joinHost(host, port)) }));
    });
  }

  return {
    async hook(action, target, timeoutMs, signal) {
      if (!action.httpGet || simulated) return this.run(action, target, timeoutMs, signal);
      try { return await httpGet(action.httpGet, target, timeoutMs, true); } catch (error) { return { result: 'unknown', output: (error as Error).message }; }
    },
    async run(action, target, timeoutMs, signal) {
      try {
        if (action.exec) return await exec(action.exec.command ?? [], target, timeoutMs, signal);
        if (action.sleep) { await sleep(clock, action.sleep.seconds * 1000, signal).catch(() => {}); return { result: 'success', output: '' }; }
        // A pretended container has no address to call.
        if (simulated) return { result: 'success', output: '' };
        if (action.httpGet) return await httpGet(action.httpGet, target, timeoutMs);
        if (action.tcpSocket) return await tcp(action.tcpSocket.host || target.podIP || '127.0.0.1', resolvePort(action.tcpSocket.port, target.container), timeoutMs);
        if (action.grpc) return await grpcHealth(clock, target.podIP || '127.0.0.1', action.grpc.port, action.grpc.service ?? '', timeoutMs);
        return { result: 'unknown', output: 'missing probe handler' };
      } catch (error) { return { result: 'unknown', output: (error as Error).message }; }
    },
  };
}

const servingNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** One call of grpc.health.v1.Health/Check. Its messages have a single field each, so they are written out here. */
function grpcHealth(clock: Clock, host: string, port: number, service: string, timeoutMs: number): Promise<Outcome> {
  const address = joinHost(host, port);
  const name = Buffer.from(service);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return new Promise((resolve) => {
    const session = http2.connect(`http://${address}`);
    const end = (outcome: Outcome) => { timer.cancel(); session.destroy(); resolve(outcome); };
    const unreachable = () => end({ result: 'failure', output: `timeout: failed to connect service "${address}" within ${goDuration(timeoutMs)}: context deadline exceeded` });
    const timer = clock.after(timeoutMs, unreachable);
    session.on('error', unreachable);
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers', 'user-agent': 'kube-probe/1.36' });
    const chunks: Buffer[] = [];
    let grpcStatus = '';
    const see = (headers: http2.IncomingHttpHeaders) => { grpcStatus = String(headers['grpc-status'] ?? grpcStatus); };
    stream.on('response', see);
    stream.on('trailers', see);
    stream.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    stream.on('error', unreachable);
    stream.on('end', () => {
      const body = Buffer.concat(chunks);
      if (grpcStatus === '12') { end({ result: 'failure', output: 'this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health' }); return; }
      if (grpcStatus !== '0' && grpcStatus !== '') { end({ result: 'failure', output: `health rpc probe failed: rpc error: code ${grpcStatus}` }); return; }
      const serving = body.length > 6 && body[5] === 0x08 ? body[6]! : 0;
      end(serving === 1 ? { result: 'success', output: 'service healthy' } : { result: 'failure', output: `service unhealthy (responded with "${servingNames[serving] ?? serving}")` });
    });
    stream.end(Buffer.concat([frame, message]));
  });
}
