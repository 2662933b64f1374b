/**
 * kube-proxy: keeps one nftables table per address family equal to what Services and EndpointSlices ask for. Informers mark
 * Services dirty; a sync recomputes only those and writes the difference in one transaction. Started by the node agent.
 * Behaviour: kubernetes.io/docs/reference/networking/virtual-ips, KEP-3866.
 */
import { Registry } from 'prom-client';
import { endpointslices, nodes, services } from '../api/resources.ts';
import type { EndpointSlice } from '../api/discovery/v1.ts';
import type { Node, Service } from '../api/core/v1.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Nft } from '../base/nft.ts';
import { NftTable } from '../base/nft-table.ts';
import { keyOf, type InformerFactory } from '../client/informer.ts';
import { deleteFlows, staleFlows, type ConntrackFilter } from './conntrack.ts';
import { endpointsOf } from './endpoints.ts';
import { ServiceHealthServers, type ServiceHealth } from './health.ts';
import { createProxyMetrics } from './metrics.ts';
import { baseFragment, familyOf, isProxied, serviceRules, type Family, type RulesetConfig, type ServiceRules } from './ruleset.ts';

export interface ProxyConfig {
  /** The table's name, so that several clusters can share a machine. Default 'kube-proxy', upstream's. */
  tableName?: string | undefined;
  /** Pods' ranges of both families; traffic from elsewhere to a cluster IP is masqueraded. */
  clusterCIDRs: readonly string[];
  /** Default: ip, and ip6 when clusterCIDRs has a range of it. */
  families?: readonly Family[] | undefined;
  masqueradeAll?: boolean | undefined;
  masqueradeMark?: number | undefined;
  nodePortAddresses?: readonly string[] | undefined;
  /** Cluster IPs answered by a listener on this node (node-local DNS); their Services get no rules. */
  nodeLocalClusterIPs?: readonly string[] | undefined;
  /** The namespace the rules go to, for the conntrack program; the `nft` given must use the same. */
  netns?: string | undefined;
  /** Time between looks at whether the table is still ours. Default 30 s. */
  syncPeriodMs?: number | undefined;
  /** Least time between two syncs. Default 0: a sync starts when the one before has ended. */
  minSyncPeriodMs?: number | undefined;
  /** Where health check node ports listen. Default: all addresses. */
  healthCheckAddress?: string | undefined;
  /** Default true: open healthCheckNodePorts. */
  healthChecks?: boolean | undefined;
}

export interface ProxyOptions {
  informers: InformerFactory;
  nodeName: string;
  nft: Nft;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  config: ProxyConfig;
  registry?: Registry | undefined;
}

export interface Proxy extends AsyncDisposable {
  readonly registry: Registry;
  /** Resolves when the rules hold everything seen so far; rejects when the write fails. */
  settled(): Promise<void>;
  /** Rules are in the kernel and no change has waited too long. For /healthz and health check node ports. */
  healthy(): boolean;
  /** Removes the tables from the kernel. Stopping alone leaves them, so that traffic goes on across restarts. */
  teardown(): Promise<void>;
}

const retryMs = { first: 500, longest: 30_000 };
const serviceNameLabel = 'kubernetes.io/service-name';

interface FamilyState { config: RulesetConfig; table: NftTable; rules: Map<string, ServiceRules> }

export async function createProxy({ informers, nodeName, nft, clock, log, signal, config, registry = new Registry() }: ProxyOptions): Promise<Proxy> {
  const metrics = createProxyMetrics(registry);
  const families = config.families ?? [...new Set<Family>(['ip', ...config.clusterCIDRs.map(familyOf)])];
  const states: FamilyState[] = families.map((family) => {
    const rulesetConfig: RulesetConfig = {
      family, nodeName, clusterCIDRs: config.clusterCIDRs.filter((range) => familyOf(range) === family), masqueradeAll: config.masqueradeAll,
      masqueradeMark: config.masqueradeMark, nodePortAddresses: config.nodePortAddresses, nodeLocalClusterIPs: config.nodeLocalClusterIPs,
    };
    return { config: rulesetConfig, rules: new Map(), table: new NftTable({ nft, family, name: config.tableName ?? 'kube-proxy', base: baseFragment(rulesetConfig) }) };
  });

  const serviceInformer = informers.informer(services);
  const sliceInformer = informers.informer(endpointslices);
  const nodeInformer = informers.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` });
  /** Slices by the key of their Service; kept here because an index of a shared informer has to be set before its start. */
  const slicesOf = new Map<string, Map<string, EndpointSlice>>();
  const dirty = new Set<string>();
  let started = false;
  const waiters: { resolve: () => void; reject: (err: unknown) => void }[] = [];
  let running = false, timer: Timer | undefined, queuedAt: number | undefined, lastSyncAt = -Infinity, failures = 0, failed: unknown;
  let disposed = false;
  const healthServers = new ServiceHealthServers({ log, address: config.healthCheckAddress, healthy: () => proxy.healthy() });
  const health = new Map<string, ServiceHealth>();

  const markDirty = (key: string) => { dirty.add(key); schedule(); };
  const schedule = (delayMs = 0) => {
    queuedAt ??= clock.monotonic();
    if (!started || running || timer || disposed) return;
    for (const { config: { family } } of states) metrics.lastQueuedTimestamp.set({ ip_family: label(family) }, clock.now() / 1000);
    const wait = Math.max(delayMs, lastSyncAt + (config.minSyncPeriodMs ?? 0) - clock.monotonic(), 0);
    timer = clock.after(wait, () => { timer = undefined; void run(); });
  };

  const run = async () => {
    running = true;
    const begun = queuedAt;
    queuedAt = undefined;
    const served = waiters.splice(0);
    try {
      await sync();
      failures = 0; failed = undefined;
      for (const waiter of served) waiter.resolve();
    } catch (err) {
      if (signal.aborted || disposed) { for (const waiter of served) waiter.reject(err); return; }
      failed = err;
      failures++;
      queuedAt = begun;
      log.error({ err }, 'packet rules could not be written; trying again');
      for (const waiter of served) waiter.reject(err);
    } finally {
      running = false;
      lastSyncAt = clock.monotonic();
      if (failed !== undefined) schedule(Math.min(retryMs.longest, retryMs.first * 2 ** (failures - 1)));
      else if (dirty.size > 0 || waiters.length > 0 || states.some(({ table }) => table.dirty)) schedule();
    }
  };

  const sync = async () => {
    const stale: ConntrackFilter[] = [];
    const keys = [...dirty];
    dirty.clear();
    for (const key of keys) {
      const service = serviceInformer.get(key);
      const wanted = service && isProxied(service);
      const slices = [...slicesOf.get(key)?.values() ?? []];
      for (const { config: rulesetConfig, table, rules } of states) {
        const before = rules.get(key);
        const next = wanted ? serviceRules(service, slices, rulesetConfig) : undefined;
        if (next) { rules.set(key, next); table.put(key, next.fragment); } else { rules.delete(key); table.remove(key); }
        stale.push(...staleFlows(before?.udp ?? [], next?.udp ?? []));
      }
      updateHealth(key, wanted ? service : undefined, slices);
    }
    for (const { config: { family }, table, rules } of states) {
      const start = clock.monotonic();
      try {
        const { full, changed } = await table.sync(signal);
        const seconds = (clock.monotonic() - start) / 1000;
        if (changed) {
          metrics.syncDuration.observe({ ip_family: label(family) }, seconds);
          (full ? metrics.fullSyncDuration : metrics.partialSyncDuration).observe({ ip_family: label(family) }, seconds);
        }
        metrics.lastTimestamp.set({ ip_family: label(family) }, clock.now() / 1000);
        if (full) {
          const noLocal = { internal: 0, external: 0 };
          for (const rule of rules.values()) { noLocal.internal += rule.noLocal.internal; noLocal.external += rule.noLocal.external; }
          for (const policy of ['internal', 'external'] as const) metrics.noLocalEndpoints.set({ ip_family: label(family), traffic_policy: policy }, noLocal[policy]);
        }
      } catch (err) {
        metrics.syncFailures.inc({ ip_family: label(family) });
        throw err;
      }
    }
    if (stale.length > 0 && !(await deleteFlows(stale, { netns: config.netns, signal }))) {
      metrics.conntrackFailures.inc({ ip_family: 'IPv4' });
      log.warn('the program conntrack is not installed: UDP clients of removed endpoints wait for the flow to time out');
    }
  };

  const updateHealth = (key: string, service: Service | undefined, slices: readonly EndpointSlice[]) => {
    if (config.healthChecks === false) return;
    const before = health.get(key);
    const port = service?.spec.type === 'LoadBalancer' && service.spec.externalTrafficPolicy === 'Local' ? service.spec.healthCheckNodePort : undefined;
    let next: ServiceHealth | undefined;
    if (service && port) {
      const local = new Set<string>();
      for (const servicePort of service.spec.ports ?? []) {
        for (const addressType of ['IPv4', 'IPv6'] as const) {
          for (const endpoint of endpointsOf(servicePort, slices, addressType, nodeName)) if (endpoint.isLocal && endpoint.ready) local.add(endpoint.ip);
        }
      }
      next = { namespace: service.metadata.namespace!, name: service.metadata.name, port, localEndpoints: local.size };
    }
    if (before || next) healthServers.set(before, next);
    if (next) health.set(key, next); else health.delete(key);
  };

  const sliceChanged = (slice: EndpointSlice, present: boolean) => {
    const name = slice.metadata.labels?.[serviceNameLabel];
    if (name === undefined || slice.metadata.labels?.['service.kubernetes.io/headless'] !== undefined) return;
    metrics.endpointChanges.inc();
    const key = `${slice.metadata.namespace}/${name}`;
    let group = slicesOf.get(key);
    if (present) {
      if (!group) slicesOf.set(key, group = new Map());
      group.set(slice.metadata.name, slice);
    } else if (group?.delete(slice.metadata.name) && group.size === 0) slicesOf.delete(key);
    markDirty(key);
  };
  const nodeChanged = (node: Node) => {
    if (node.metadata.name !== nodeName) return;
    const zone = node.metadata.labels?.['topology.kubernetes.io/zone'];
    for (const state of states) {
      if (state.config.zone === zone) continue;
      state.config = { ...state.config, zone };
      for (const service of serviceInformer.list()) dirty.add(keyOf(service));
    }
    schedule();
  };
  const serviceChanged = (service: Service) => { metrics.serviceChanges.inc(); markDirty(keyOf(service)); };
  const removers = [
    serviceInformer.addHandler({ onAdd: serviceChanged, onUpdate: (_, next) => { serviceChanged(next); }, onDelete: serviceChanged }),
    sliceInformer.addHandler({
      onAdd: (slice) => { sliceChanged(slice, true); },
      onUpdate: (old, next) => {
        if (old.metadata.labels?.[serviceNameLabel] !== next.metadata.labels?.[serviceNameLabel]) sliceChanged(old, false);
        sliceChanged(next, true);
      },
      onDelete: (slice) => { sliceChanged(slice, false); },
    }),
    nodeInformer.addHandler({ onAdd: nodeChanged, onUpdate: (_, next) => { nodeChanged(next); } }),
  ];

  let checkTimer: Timer | undefined;
  const scheduleCheck = () => {
    checkTimer = clock.after(config.syncPeriodMs ?? 30_000, () => {
      void (async () => {
        for (const { table, config: { family } } of states) {
          if (disposed || signal.aborted || running) continue;
          if (table.dirty || await table.check(signal)) continue;
          log.warn({ family }, 'packet rules were changed or removed by someone else; writing them again');
          schedule();
        }
      })().finally(() => { if (!disposed && !signal.aborted) scheduleCheck(); });
    }, { keepAlive: false });
  };

  const stop = () => {
    disposed = true;
    timer?.cancel(); checkTimer?.cancel();
    for (const remove of removers) remove();
    for (const waiter of waiters.splice(0)) waiter.reject(new Error('the proxy has stopped'));
  };
  signal.addEventListener('abort', stop, { once: true });

  const proxy: Proxy = {
    registry,
    settled: () => {
      if (disposed) return Promise.reject(new Error('the proxy has stopped'));
      const done = new Promise<void>((resolve, reject) => { waiters.push({ resolve, reject }); });
      schedule();
      return done;
    },
    // As upstream: unhealthy when a change has waited for twice the sync period.
    healthy: () => lastSyncAt > -Infinity && (queuedAt === undefined || clock.monotonic() - queuedAt < 2 * (config.syncPeriodMs ?? 30_000)),
    teardown: async () => { stop(); for (const { table } of states) await table.teardown(); },
    async [Symbol.asyncDispose]() {
      stop();
      signal.removeEventListener('abort', stop);
      await healthServers[Symbol.asyncDispose]();
    },
  };

  await Promise.all([serviceInformer.synced(signal), sliceInformer.synced(signal), nodeInformer.synced(signal)]);
  started = true;
  schedule();
  scheduleCheck();
  return proxy;
}

function label(family: Family): string { return family === 'ip' ? 'IPv4' : 'IPv6'; }
