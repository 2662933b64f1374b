/** `knarr server`: the control plane over the embedded store, its certificates, and the files that others start from. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { UserError } from '../base/user-error.ts';
import { ensurePki, issueCertificate, type KeyPair, kubeconfigFor, kubeletServing, type Pki, reasonToReissue, wellKnownClients, writeSecret } from '../kubeadm/pki.ts';
import { openLmdbStore } from '../store/lmdb.ts';
import type { ClusterDir, ClusterSettings } from './cluster-dir.ts';
import { machineAddress } from './machine-address.ts';
import { nodeNetworkGroup, nthServiceAddress, startControlPlane } from './control-plane.ts';

export interface ServerOptions { dir: ClusterDir; settings: ClusterSettings; clock: Clock; rng: Rng; log: (component: string) => Logger; signal: AbortSignal }

/** Runs until the signal aborts. Throws `UserError` when the port or the store is taken. */
export async function runServer({ dir, settings, clock, rng, log, signal }: ServerOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  mkdirSync(dir.path, { recursive: true, mode: 0o700 });
  const address = machineAddress();
  const [store, pki] = await Promise.all([
    openLmdbStore({ dir: dir.store, clock, log: log('store') }),
    Promise.resolve().then(() => ensurePki(dir.pki, { clock, rng, dnsNames: [hostname(), settings.nodeName], ips: ['127.0.0.1', address, nthServiceAddress(settings.serviceCidr, 1)] })),
  ]);
  stack.use(store);
  writeCredentials(dir, settings, pki, address, { clock, rng });
  const plane = stack.use(await startControlPlane({
    store, pki, clock, rng, log, podCidr: settings.podCidr, serviceCidr: settings.serviceCidr, dnsAddress: settings.dnsAddress, advertise: { address, port: settings.port },
  }));
  try {
    await plane.api.listen({ host: '0.0.0.0', port: settings.port, tls: { cert: pki.apiserver.certificatePem, key: pki.apiserver.keyPem, clientCa: `${pki.ca.certificatePem}${pki.frontProxyCa.certificatePem}` } });
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EADDRINUSE') throw new UserError(`port ${settings.port} is taken by another program. Choose another with: knarr up --port P`, { cause: err });
    throw err;
  }
  log('server').info({ port: settings.port }, 'the API server is ready');
  await new Promise<void>((resolve) => { if (signal.aborted) resolve(); else signal.addEventListener('abort', () => resolve(), { once: true }); });
}

/** What the administrator and this machine's agent present: written once, and anew when due or when the server moved. */
function writeCredentials(dir: ClusterDir, settings: ClusterSettings, pki: Pki, address: string, deps: { clock: Clock; rng: Rng }): void {
  const server = `https://127.0.0.1:${settings.port}`;
  const pair = (name: string, issue: Parameters<typeof issueCertificate>[1]): KeyPair => {
    const files = { crt: join(dir.pki, `${name}.crt`), key: join(dir.pki, `${name}.key`) };
    if (existsSync(files.crt) && existsSync(files.key)) {
      const known = { certificatePem: readFileSync(files.crt, 'utf8'), keyPem: readFileSync(files.key, 'utf8') };
      if (reasonToReissue(known, pki.ca, issue, deps.clock) === undefined) return known;
    }
    const fresh = issueCertificate(pki.ca, issue, deps);
    writeSecret(files.key, fresh.keyPem);
    writeSecret(files.crt, fresh.certificatePem);
    return fresh;
  };
  const kubeconfig = (file: string, userName: string, credentials: KeyPair) => {
    const text = `${JSON.stringify(kubeconfigFor({ server, certificateAuthorityPem: pki.ca.certificatePem, clusterName: dir.name, userName, credentials }), null, 2)}\n`;
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeSecret(file, text);
  };
  const node = wellKnownClients.node(settings.nodeName);
  pair('kubelet', kubeletServing(settings.nodeName, ['127.0.0.1', address]));
  kubeconfig(dir.adminKubeconfig, wellKnownClients.admin.commonName, pair('admin', wellKnownClients.admin));
  const network = { commonName: `${nodeNetworkGroup}:${settings.nodeName}`, organizations: [nodeNetworkGroup] };
  kubeconfig(dir.networkKubeconfig, network.commonName, pair('node-network', network));
  kubeconfig(dir.agentKubeconfig, node.commonName, pair('kubelet-client', node));
}
