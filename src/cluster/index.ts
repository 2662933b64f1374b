/**
 * knarr as a library: a whole cluster inside this process, for tests of operators and platforms. The control plane is the real one
 * over an in-memory store; nodes are simulated. Nothing is installed, no port is opened unless asked for.
 *
 *     await using cluster = await startCluster({ nodes: 3 });
 *     await cluster.client.for(deployments).create({ … }, { namespace: 'default' });
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { type Rng, systemRng } from '../base/rng.ts';
import type { Client } from '../client/client.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { ensurePki, issueCertificate, kubeconfigFor, wellKnownClients } from '../kubeadm/pki.ts';
import { simulatedHost } from '../kubelet/host.ts';
import { createKubelet } from '../kubelet/kubelet.ts';
import { simulatedRuntime } from '../kubelet/runtime/simulated.ts';
import { createMemoryStore } from '../store/memory.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

export interface StartClusterOptions {
  /** Simulated nodes, `node-0` …; default 1. */
  nodes?: number;
  /** A clock that the test owns; default the machine's. */
  clock?: Clock;
  rng?: Rng;
  /** Also serve HTTPS on this port of loopback (0: a free one), for kubectl and other clients. */
  port?: number;
  log?: (component: string) => Logger;
}

export interface Cluster extends AsyncDisposable {
  /** As the administrator. */
  readonly client: Client;
  /** The client of any other user: RBAC and admission apply. */
  clientFor(user: { name: string; groups?: readonly string[] }): Client;
  /** Path of a kubeconfig for the administrator; only with `port`. */
  readonly kubeconfig: string | undefined;
}

/** Resolves when the API is ready and the nodes have started to register. */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const { nodes = 1, clock = systemClock, rng = systemRng, log = () => silentLogger } = options;
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'knarr-cluster-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  const pki = ensurePki(join(dir, 'pki'), { clock, rng, ips: ['127.0.0.1'] });
  const store = stack.use(createMemoryStore());
  const plane = stack.use(await startControlPlane({
    store, pki, clock, rng, log, podCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/12', dnsAddress: '10.96.0.10', advertise: { address: '127.0.0.1', port: options.port || 6443 },
  }));
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  stack.defer(async () => { stop.abort(new Error('the cluster stops')); await Promise.allSettled(running); });
  for (let i = 0; i < nodes; i++) running.push((await startNode(plane, `node-${i}`, { clock, rng, log, signal: stop.signal }, stack)).ended);
  const kubeconfig = options.port === undefined ? undefined : await listen(plane, pki, dir, options.port, { clock, rng });
  const clientFor: Cluster['clientFor'] = ({ name, groups = [] }) => plane.api.client({ name, groups: [...groups, 'system:authenticated'] }, { userAgent: name });
  const owned = stack.move();
  return { client: clientFor({ name: 'kubernetes-admin', groups: ['system:masters'] }), clientFor, kubeconfig, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface NodeDeps { clock: Clock; rng: Rng; log: (component: string) => Logger; signal: AbortSignal }

/** A kubelet in this process, as its own user; resolves to its run. */
async function startNode(plane: ControlPlane, nodeName: string, { clock, rng, log, signal }: NodeDeps, stack: AsyncDisposableStack): Promise<{ ended: Promise<void> }> {
  const { commonName, organizations } = wellKnownClients.node(nodeName);
  const client = plane.api.client({ name: commonName, groups: [...organizations, 'system:authenticated'] }, { userAgent: 'kubelet' });
  const informers = stack.use(createInformerFactory(client, { clock, rng, log: log('kubelet'), signal }));
  const kubelet = await createKubelet({ nodeName, client, informers, runtime: simulatedRuntime({ clock, rng }), host: simulatedHost(), clock, rng, log: log('kubelet'), signal });
  return { ended: kubelet.run() };
}

async function listen(plane: ControlPlane, pki: ReturnType<typeof ensurePki>, dir: string, port: number, deps: { clock: Clock; rng: Rng }): Promise<string> {
  const listener = await plane.api.listen({ host: '127.0.0.1', port, tls: { cert: pki.apiserver.certificatePem, key: pki.apiserver.keyPem, clientCa: pki.ca.certificatePem } });
  const file = join(dir, 'kubeconfig');
  const config = kubeconfigFor({ server: `https://127.0.0.1:${listener.port}`, certificateAuthorityPem: pki.ca.certificatePem, userName: wellKnownClients.superAdmin.commonName, credentials: issueCertificate(pki.ca, wellKnownClients.superAdmin, deps) });
  writeFileSync(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return file;
}

export * as resources from '../api/resources.ts';
export { seededRng } from '../base/rng.ts';
export type { Client, NewObject, ResourceClient, WatchEvent } from '../client/client.ts';
export type { Clock } from '../base/clock.ts';
export { isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, StatusError } from '../api/meta/status.ts';
