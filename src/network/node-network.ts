/**
 * A node's pod network: kernel settings, the bridge, the CNI configuration, masquerading, and ways to the pods of other nodes
 * kept current from Node objects. Started by the node agent; `policy-controller.ts` adds NetworkPolicy.
 */
import { createHash } from 'node:crypto';
import { nodes } from '../api/resources.ts';
import type { Node } from '../api/core/v1.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { tryExec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import { inNetns, type Nft } from '../base/nft.ts';
import { NftTable } from '../base/nft-table.ts';
import type { InformerFactory } from '../client/informer.ts';
import { nthAddress, parseCidr } from './cidr.ts';
import { findCniPlugins, removeCniConfig, writeCniConfig } from './cni.ts';
import { Links } from './links.ts';
import { masqueradeFragment } from './masquerade.ts';
import { diffEntries, nodeInternalIP, nodePodCIDRs, planRoutes, type Backend, type PeerEntries } from './routes.ts';
import { defaultVni, defaultVxlanPort, vtepAddresses, vtepMac, vxlanLinkArgs, vxlanOverheadBytes } from './vxlan.ts';

export interface NodeNetworkConfig {
  /** The network's name: CNI network, and the nftables table. Default 'knarr'. */
  name?: string | undefined;
  /** Default 'knarr0'; at most 15 characters, as every device name. */
  bridge?: string | undefined;
  /** Where the conflist goes; the runtime's conf_dir. */
  cniConfDir: string;
  /** Where to look for plugins. Default the distributions' folders. */
  cniBinDirs?: readonly string[] | undefined;
  /** Where host-local keeps its leases: private to the cluster. */
  ipamDataDir?: string | undefined;
  /** All pods' ranges. */
  clusterCIDRs: readonly string[];
  /** Service ranges: where a host has no default route, one route lets its own processes reach Services. */
  serviceCIDRs?: readonly string[] | undefined;
  /** Default: from this node's Node object, waiting for it. */
  podCIDRs?: readonly string[] | undefined;
  /** This node's address. Default: from its Node object. */
  nodeIP?: string | undefined;
  /** Default 'vxlan'. */
  backend?: Backend | undefined;
  /** Default: 'bridge' with br_netfilter, else 'ptp'. */
  mode?: 'bridge' | 'ptp' | undefined;
  mtu?: number | undefined;
  vxlanDevice?: string | undefined;
  vni?: number | undefined;
  vxlanPort?: number | undefined;
  /** A network namespace to set up instead of our own. The `nft` given must use the same. */
  netns?: string | undefined;
}

export interface NodeNetworkOptions {
  informers: InformerFactory;
  nodeName: string;
  nft: Nft;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  config: NodeNetworkConfig;
}

export interface NodeNetwork extends AsyncDisposable {
  readonly mode: 'bridge' | 'ptp';
  readonly podCIDRs: readonly string[];
  /** The folder with the CNI plugins, for the runtime's bin_dir. */
  readonly cniBinDir: string;
  readonly confPath: string;
  /** Resolves when routes match the Node objects seen so far. */
  settled(): Promise<void>;
  /** Removes bridge, tunnel, routes, table and conflist. Stopping alone leaves them, so that pods keep their network. */
  teardown(): Promise<void>;
}

const noAddress = '00:00:00:00:00:00';
/** A locally administered address from the node's own range, as CNI makes them: the same after every restart. */
function bridgeMac(range: string): string {
  const bytes = createHash('sha256').update(range).digest().subarray(0, 4);
  return ['0a', '58', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/** Marks our routes (`ip route show proto 107`). */
const routeProtocol = 107;
const retryMs = 5_000;
const noEntries: PeerEntries = { routes: [], neighbours: [], fdb: [] };

/** Resolves when pods can be started; peers are added as they appear. Throws when the machine can't do it, saying what to change. */
export async function startNodeNetwork({ informers, nodeName, nft, clock, log, signal, config }: NodeNetworkOptions): Promise<NodeNetwork> {
  const { name = 'knarr', bridge = 'knarr0', backend = 'vxlan', vxlanDevice = `${name.slice(0, 10)}.1`, netns } = config;
  for (const device of [bridge, vxlanDevice]) if (device.length > 15) throw new Error(`${device} is no device name: at most 15 characters`);
  const links = new Links(netns);
  const nodeInformer = informers.informer(nodes);
  const own = config.podCIDRs?.length && config.nodeIP !== undefined ? undefined : await ownNode(nodeInformer, nodeName, config, signal);
  const podCIDRs = config.podCIDRs?.length ? config.podCIDRs : nodePodCIDRs(own!);
  const nodeIP = config.nodeIP ?? nodeInternalIP(own!)!;
  const families = [...new Set(podCIDRs.map((range) => parseCidr(range).family))];

  await links.setSysctl('net.ipv4.ip_forward', '1');
  if (families.includes('ip6')) await links.setSysctl('net.ipv6.conf.all.forwarding', '1');
  const mode = config.mode ?? (await bridgeNetfilter(links) ? 'bridge' : 'ptp');
  if (mode === 'bridge') {
    await links.setSysctl('net.bridge.bridge-nf-call-iptables', '1');
    if (families.includes('ip6')) await links.setSysctl('net.bridge.bridge-nf-call-ip6tables', '1');
  } else if (config.mode === undefined) log.info('the kernel has no br_netfilter: pods are routed point to point instead of bridged');

  const plugins = await findCniPlugins(mode, config.cniBinDirs);
  if (!plugins.portmap) log.warn('hostPort will not work: the CNI plugin portmap or the program iptables is missing');
  const mtu = config.mtu ?? await detectMtu(links, nodeIP, backend === 'routes' ? 0 : vxlanOverheadBytes);

  if (mode === 'bridge') {
    const fresh = !(await links.exists(bridge));
    if (fresh) await links.ip('link', 'add', bridge, 'type', 'bridge');
    // Left alone, a bridge takes the lowest address of its ports: it would change as pods come and go, and the others would go on
    // sending to the old one until their neighbour entry is probed, half a minute without a gateway. Set once, it stays.
    // One that pods know already is kept; a bridge without ports may have none at all.
    const [known] = await links.json<{ address: string }>('link', 'show', 'dev', bridge);
    await links.ip('link', 'set', bridge, 'address', fresh || known?.address === noAddress ? bridgeMac(podCIDRs[0]!) : known!.address);
    for (const range of podCIDRs) {
      const cidr = parseCidr(range);
      await links.ip(...(cidr.family === 'ip6' ? ['-6'] : []), 'addr', 'replace', `${nthAddress(cidr, 1)}/${cidr.prefix}`, 'dev', bridge, ...(cidr.family === 'ip6' ? ['nodad'] : []));
    }
    await links.ip('link', 'set', bridge, 'mtu', String(mtu), 'up');
  }
  const usesVxlan = backend !== 'routes';
  let tunnel = false;
  /** Made with the first peer that needs it: a cluster of one node has no tunnel. One of an earlier run is kept if it is the same. */
  const ensureTunnel = async () => {
    if (tunnel) return;
    const vxlan = { device: vxlanDevice, vni: config.vni ?? defaultVni, port: config.vxlanPort ?? defaultVxlanPort };
    if (await links.exists(vxlanDevice)) {
      const [known] = await links.json<{ address?: string; linkinfo?: { info_data?: { id?: number; local?: string; port?: number } } }>('-d', 'link', 'show', 'dev', vxlanDevice);
      const data = known?.linkinfo?.info_data;
      if (data?.id !== vxlan.vni || data.local !== nodeIP || data.port !== vxlan.port || known?.address !== vtepMac(podCIDRs)) await links.ip('link', 'del', vxlanDevice);
    }
    if (!(await links.exists(vxlanDevice))) await links.ip(...vxlanLinkArgs(vxlan, nodeIP, podCIDRs));
    for (const address of vtepAddresses(podCIDRs)) await links.ip('addr', 'replace', `${address}/${address.includes(':') ? 128 : 32}`, 'dev', vxlanDevice);
    await links.ip('link', 'set', vxlanDevice, 'mtu', String(mtu), 'up');
    tunnel = true;
  };
  for (const range of config.serviceCIDRs ?? []) await ensureServiceRoute(range);
  const tables = families.map((family) => new NftTable({ nft, family, name: `${name}-network`, base: masqueradeFragment({
    family, podCIDRs: podCIDRs.filter((range) => parseCidr(range).family === family), clusterCIDRs: config.clusterCIDRs.filter((range) => parseCidr(range).family === family) }) }));
  for (const table of tables) await table.sync(signal);

  async function ensureServiceRoute(range: string): Promise<void> {
    const family = range.includes(':') ? '-6' : '-4';
    if ((await links.json(family, 'route', 'show', 'default')).length > 0 || (range.includes(':') !== nodeIP.includes(':'))) return;
    if (mode === 'bridge') await links.ip(family, 'route', 'replace', range, 'dev', bridge, 'src', nodeIP, 'proto', String(routeProtocol));
  }

  const connected = (await links.json<{ dst: string; gateway?: string; dev?: string; protocol?: string }>('route', 'show', 'proto', 'kernel'))
    .filter((route) => route.dev !== bridge && route.dev !== vxlanDevice && route.dst.includes('/')).map((route) => route.dst);
  let applied: PeerEntries = { ...noEntries, routes: await leftoverRoutes(links, config.clusterCIDRs) };
  let running: Promise<void> | undefined, again = false, timer: Timer | undefined, stopped = false;
  const warned = new Set<string>();

  const syncPeers = async () => {
    const plan = planRoutes(nodeInformer.list(), { nodeName, backend, vxlanDevice, connected, protocol: routeProtocol });
    for (const peer of plan.unreachable) {
      if (warned.has(peer)) continue;
      warned.add(peer);
      log.warn({ node: peer }, 'no route to the pods of this node: it shares no segment with us; use the backend vxlan or auto');
    }
    if (plan.entries.fdb.length > 0) await ensureTunnel();
    const batches = diffEntries(applied, plan.entries);
    await batch('ip', batches.ip);
    await batch('bridge', batches.bridge);
    applied = plan.entries;
  };
  const batch = async (program: 'ip' | 'bridge', input: string) => {
    if (input === '') return;
    const [command, ...args] = inNetns(netns, [program, '-force', '-batch', '-']);
    const { code, stderr } = await tryExec(command, args, { input, signal });
    // -force goes on after a failure; a removal of what is gone already is none.
    const failures = stderr.split('\n').filter((line) => line !== '' && !/No such (process|file)|Command failed -|Cannot find device/.test(line));
    if (code !== 0 && failures.length > 0) throw new Error(`${program} -batch: ${failures.slice(0, 3).join('; ')}`);
  };
  const schedule = (): Promise<void> => {
    if (stopped) return Promise.resolve();
    if (running) { again = true; return running; }
    running = (async () => {
      do { again = false; await syncPeers(); } while (again && !stopped);
    })().finally(() => { running = undefined; });
    running.catch((err: unknown) => {
      if (stopped || signal.aborted) return;
      log.error({ err }, 'routes to other nodes could not be written; trying again');
      timer?.cancel();
      timer = clock.after(retryMs, () => { void schedule().catch(() => {}); });
    });
    return running;
  };
  const relevant = (node: Node) => `${nodeInternalIP(node) ?? ''} ${nodePodCIDRs(node).join()}`;
  const trigger = () => { void schedule().catch(() => {}); };
  const removeHandler = nodeInformer.addHandler({ onAdd: trigger, onDelete: trigger, onUpdate: (old, next) => { if (relevant(old) !== relevant(next)) trigger(); } });
  const stop = () => { stopped = true; timer?.cancel(); removeHandler(); };
  signal.addEventListener('abort', stop, { once: true });
  await nodeInformer.synced(signal);
  await schedule();

  // Last, since the runtime calls the node's network ready as soon as this file is there.
  const confPath = await writeCniConfig(config.cniConfDir, { name, bridge, podCIDRs, mtu, mode, ipamDataDir: config.ipamDataDir, portmap: plugins.portmap });
  log.info({ mode, backend, podCIDRs, mtu, confPath }, 'pod network ready');

  return {
    mode, podCIDRs, cniBinDir: plugins.directory, confPath,
    settled: () => schedule(),
    teardown: async () => {
      stop();
      await running?.catch(() => {});
      await removeCniConfig(config.cniConfDir, name);
      await batch('ip', diffEntries(applied, noEntries).ip);
      for (const range of config.serviceCIDRs ?? []) await links.try('route', 'del', range, 'proto', String(routeProtocol));
      for (const device of [bridge, ...(usesVxlan ? [vxlanDevice] : [])]) await links.try('link', 'del', device);
      for (const table of tables) await table.teardown();
    },
    async [Symbol.asyncDispose]() {
      stop();
      signal.removeEventListener('abort', stop);
      await running?.catch(() => {});
    },
  };
}

/** Our Node once it has what is not configured: pod ranges (given by the controller manager) and an address (by the kubelet). */
async function ownNode(informer: ReturnType<InformerFactory['informer']>, nodeName: string, config: NodeNetworkConfig, signal: AbortSignal): Promise<Node> {
  const found = Promise.withResolvers<Node>();
  const look = (object: unknown) => {
    const node = object as Node;
    if (node.metadata.name !== nodeName) return;
    if ((config.podCIDRs?.length || nodePodCIDRs(node).length > 0) && (config.nodeIP !== undefined || nodeInternalIP(node) !== undefined)) found.resolve(node);
  };
  const onAbort = () => { found.reject(signal.reason as Error); };
  signal.addEventListener('abort', onAbort, { once: true });
  const remove = informer.addHandler({ onAdd: look, onUpdate: (_, next) => { look(next); } });
  try { return await found.promise; } finally { remove(); signal.removeEventListener('abort', onAbort); }
}

/** Whether bridged packets can be made to pass the Service rules; loads the module where there is one. */
async function bridgeNetfilter(links: Links): Promise<boolean> {
  if (await links.sysctl('net.bridge.bridge-nf-call-iptables') !== undefined) return true;
  await tryExec('modprobe', ['br_netfilter']).catch(() => {});
  return await links.sysctl('net.bridge.bridge-nf-call-iptables') !== undefined;
}

async function detectMtu(links: Links, nodeIP: string, overhead: number): Promise<number> {
  const devices = await links.json<{ mtu: number; addr_info?: { local: string }[] }>('addr', 'show');
  const mtu = devices.find((device) => device.addr_info?.some((info) => info.local === nodeIP))?.mtu ?? 1500;
  return (mtu > 9_216 ? 1500 : mtu) - overhead; // loopback says 65536, which no wire carries
}

/** Routes of an earlier run, so that those no longer wanted go. */
async function leftoverRoutes(links: Links, clusterCIDRs: readonly string[]): Promise<string[]> {
  const found = await links.json<{ dst: string; gateway?: string; dev?: string; flags?: string[] }>('route', 'show', 'proto', String(routeProtocol));
  const inside = (dst: string) => clusterCIDRs.some((range) => { const outer = parseCidr(range), inner = parseCidr(dst); return outer.family === inner.family && outer.prefix <= inner.prefix && inner.base >> BigInt(outer.bits - outer.prefix) === outer.base >> BigInt(outer.bits - outer.prefix); });
  return found.filter((route) => route.dst !== 'default' && inside(route.dst))
    .map((route) => `${route.dst}${route.gateway ? ` via ${route.gateway}` : ''}${route.flags?.includes('onlink') ? ` dev ${route.dev} onlink` : ''} proto ${routeProtocol}`);
}
