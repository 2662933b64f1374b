/**
 * The node agent, composed: containerd, kubelet, pod network, proxy and DNS in one process, talking to the API server over HTTPS as
 * `system:node:NAME`. It ends without touching the containers; the next one adopts them.
 */
import { existsSync, watch } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { createNft } from '../base/nft.ts';
import type { Rng } from '../base/rng.ts';
import type { Client } from '../client/client.ts';
import type { InformerFactory } from '../client/informer.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { createRestTransport } from '../client/rest.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { createClient } from '../client/typed-client.ts';
import { startDnsServer } from '../dns/server.ts';
import { createKubelet } from '../kubelet/kubelet.ts';
import { linuxHost } from '../kubelet/linux-host.ts';
import { simulatedHost } from '../kubelet/host.ts';
import { startContainerd } from '../kubelet/runtime/containerd.ts';
import { simulatedRuntime } from '../kubelet/runtime/simulated.ts';
import { startKubeletServer } from '../kubelet/server/server.ts';
import { ensureLocalAddress } from '../network/links.ts';
import { startNodeNetwork } from '../network/node-network.ts';
import { startPolicyController } from '../network/policy-controller.ts';
import { createProxy } from '../proxy/proxy.ts';
import type { ClusterDir, ClusterSettings } from './cluster-dir.ts';
import { machineAddress } from './machine-address.ts';
import { networkNames } from './node-network.ts';

export interface AgentOptions { dir: ClusterDir; settings: ClusterSettings; clock: Clock; rng: Rng; log: (component: string) => Logger; signal: AbortSignal }

/** Runs until the signal aborts. Throws `UserError` when the machine lacks something. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { dir, settings, clock, rng, log, signal } = options;
  await using stack = new AsyncDisposableStack();
  // What needs no API comes up beside the server's own start.
  const [{ runtime, cgroupDriver }] = await Promise.all([startRuntime(options, stack), fileAppears(dir.agentKubeconfig, signal)]);
  const { client, informers } = connect(options, dir.agentKubeconfig, 'kubelet', stack);

  const simulated = settings.runtime === 'simulated';
  const host = simulated ? simulatedHost() : linuxHost({ rootDir: dir.kubelet, clock, log: log('kubelet'), cgroupDriver, cgroupRoot: settings.device });
  const kubelet = await createKubelet({
    nodeName: settings.nodeName, client, informers, runtime, host, clock, rng, log: log('kubelet'), signal,
    config: {
      rootDir: dir.kubelet, podLogsDir: join(dir.path, 'pod-logs'), staticPodPath: dir.staticPods, cgroupDriver, cgroupRoot: settings.device, nodeIPs: [machineAddress()],
      clusterDNS: [settings.dnsAddress], port: settings.kubeletPort, ...(simulated ? {} : { cniConfDir: dir.cni }),
      tls: await kubeletTls(dir),
    },
  });
  await mkdir(dir.staticPods, { recursive: true, mode: 0o700 });
  stack.use(await startKubeletServer({ kubelet, runtime, host, client, clock, log: log('kubelet'), signal }));
  const running = [kubelet.run()];
  if (!simulated) running.push(startNetworking({ ...options, informers: connect(options, dir.networkKubeconfig, 'knarr-node-network', stack).informers, registry: new Registry() }, stack));
  await Promise.all(running);
}

/** PEM; the server writes them beside its own. */
async function kubeletTls({ pki }: ClusterDir) {
  const [cert, key, clientCA] = await Promise.all(['kubelet.crt', 'kubelet.key', 'ca.crt'].map((name) => readFile(join(pki, name), 'utf8')));
  return { cert: cert!, key: key!, clientCA: clientCA! };
}

interface NetworkParts extends AgentOptions { informers: InformerFactory; registry: Registry }

/** The API as the user of a kubeconfig. */
function connect({ clock, rng, log, signal }: AgentOptions, kubeconfig: string, userAgent: string, stack: AsyncDisposableStack): { client: Client; informers: InformerFactory } {
  const client = createClient(stack.use(createRestTransport({ ...loadKubeconfig(kubeconfig), userAgent, clock })));
  return { client, informers: stack.use(createInformerFactory(client, { clock, rng, log: log(userAgent), signal })) };
}

async function startRuntime({ dir, settings, clock, rng, log }: AgentOptions, stack: AsyncDisposableStack) {
  if (settings.runtime === 'simulated') return { runtime: simulatedRuntime({ clock, rng, podCidr: settings.podCidr, logFiles: true }), cgroupDriver: 'cgroupfs' as const };
  const containerd = stack.use(await startContainerd({ dataDir: dir.containerd, cni: { confDir: dir.cni }, clock, log: log('containerd') }));
  return { runtime: containerd.runtime, cgroupDriver: containerd.cgroupDriver };
}

/** Pod network, proxy and DNS need nothing of each other; each starts as soon as its informers have synced. */
async function startNetworking({ dir, settings, informers, registry, clock, rng, log, signal }: NetworkParts, stack: AsyncDisposableStack): Promise<void> {
  const names = networkNames(settings);
  const nft = createNft();
  const common = { informers, clock, signal };
  const network = async () => {
    stack.use(await startNodeNetwork({ ...common, nodeName: settings.nodeName, nft, log: log('network'), config: {
      name: names.networkName, bridge: names.bridge, vxlanDevice: names.vxlanDevice, vni: names.vni, vxlanPort: names.vxlanPort,
      cniConfDir: dir.cni, ipamDataDir: join(dir.path, 'ipam'), clusterCIDRs: [settings.podCidr], serviceCIDRs: [settings.serviceCidr],
    } }));
    stack.use(await startPolicyController({ ...common, nodeName: settings.nodeName, nft, log: log('network'), tableName: `${names.networkName}-policy` }));
  };
  const proxy = async () => {
    stack.use(await createProxy({ ...common, nodeName: settings.nodeName, nft, log: log('proxy'), registry,
      config: { tableName: names.proxyTable, clusterCIDRs: [settings.podCidr], nodeLocalClusterIPs: [settings.dnsAddress] } }));
  };
  const dns = async () => {
    await ensureLocalAddress(settings.dnsAddress);
    stack.use(await startDnsServer({ ...common, rng, log: log('dns'), addresses: [settings.dnsAddress], registry }));
  };
  await Promise.all([network(), proxy(), dns()]);
}

/** The server writes the agent's kubeconfig at its own first start. */
async function fileAppears(file: string, signal: AbortSignal): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await new Promise<void>((resolve, reject) => {
    const look = () => { if (existsSync(file)) { watcher.close(); resolve(); } };
    const watcher = watch(dirname(file), look);
    watcher.once('error', reject);
    signal.addEventListener('abort', () => { watcher.close(); reject(signal.reason as Error); }, { once: true });
    look();
  });
}
