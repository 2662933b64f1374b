/**
 * The Node object: registration, status, heartbeat Lease. Conditions and texts are upstream's pkg/kubelet/nodestatus; a status is written
 * when it changed or five minutes passed. Until the node is Ready it is looked at often, so that Ready follows the runtime at once.
 */
import { isDeepStrictEqual } from 'node:util';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { Node, NodeCondition, NodeStatus } from '../api/core/v1.ts';
import { nodes } from '../api/resources.ts';
import { type Clock, sleep, timestamp } from '../base/clock.ts';
import type { Draft, JsonObject } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import type { KubeletConfig } from './config.ts';
import type { MachineInfo } from './host.ts';
import type { NodeAllocatable } from './fields.ts';
import type { Recorder } from './recorder.ts';
import { bytesOf, cpuMillis, quantityNumber } from './resources.ts';
import type { Runtime } from './runtime/runtime.ts';

export const kubeletVersion = 'v1.36.0';
const maxImagesReported = 50;
/** While not Ready. */
const eagerMs = 100;
const eagerForMs = 60_000;

export interface Pressure { memory: boolean; disk: boolean; pid: boolean }
export interface NodeReporter {
  /** Resolves when the node object exists. */
  register(): Promise<void>;
  run(): Promise<void>;
  /** Look again now. */
  poke(): void;
  /** The Node as a watch showed it. */
  observed(node: Node): void;
  /** The Node as last written or read. */
  node(): Node | undefined;
  readonly ready: boolean;
  /** Why pods can't have addresses now; undefined when they can. */
  networkProblem(): string | undefined;
}

export function capacityOf(machine: MachineInfo, config: KubeletConfig): Record<string, string> {
  return { cpu: String(machine.cpus), memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`, 'ephemeral-storage': `${Math.floor(machine.nodeFs.capacityBytes / 1024)}Ki`, 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', pods: String(config.maxPods) };
}
/** Capacity less what is reserved and what eviction keeps free. */
export function allocatableOf(machine: MachineInfo, config: KubeletConfig): Record<string, string> {
  const capacity = capacityOf(machine, config);
  const reserved = (name: string) => quantityNumber(config.systemReserved[name]) + quantityNumber(config.kubeReserved[name]);
  const kept = (signal: string, total: number) => { const text = config.evictionHard[signal]; return !text ? 0 : text.endsWith('%') ? (total * Number(text.slice(0, -1))) / 100 : bytesOf(text); };
  const millis = cpuMillis(capacity.cpu) - Math.round(reserved('cpu') * 1000);
  const storage = quantityNumber(capacity['ephemeral-storage']);
  return {
    ...capacity, cpu: millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`,
    memory: `${Math.max(0, Math.floor((bytesOf(capacity.memory) - reserved('memory') - kept('memory.available', bytesOf(capacity.memory))) / 1024))}Ki`,
    'ephemeral-storage': String(Math.max(0, Math.floor(storage - reserved('ephemeral-storage') - kept('nodefs.available', storage)))),
  };
}
export function allocatableNumbers(machine: MachineInfo, config: KubeletConfig): NodeAllocatable {
  const allocatable = allocatableOf(machine, config);
  return { cpuMillis: cpuMillis(allocatable.cpu), memoryBytes: bytesOf(allocatable.memory), ephemeralStorageBytes: quantityNumber(allocatable['ephemeral-storage']) };
}

/** Resource versions of one object grow. */
function isNewer(a: Node, b: Node): boolean {
  const [left = '', right = ''] = [a.metadata.resourceVersion, b.metadata.resourceVersion];
  return left.length !== right.length ? left.length > right.length : left > right;
}

export function createNodeReporter(options: {
  nodeName: string; client: Client; runtime: Runtime; machine: MachineInfo; config: KubeletConfig; clock: Clock; log: Logger; recorder: Recorder; signal: AbortSignal;
  hostIPs: readonly string[]; runtimeVersion: { name: string; version: string }; plegProblem(): string | undefined; onNetworkReady(): void; pressure(): Pressure; volumesInUse(): string[];
}): NodeReporter {
  const { nodeName, client, runtime, machine, config, clock, log, recorder, signal } = options;
  let current: Node | undefined;
  let lastReport = -Infinity;
  let ready = false;
  let networkProblem: string | undefined;
  let wakeUp = () => {};
  const goArch: Record<string, string> = { x64: 'amd64', x86_64: 'amd64', arm64: 'arm64', aarch64: 'arm64' };
  const arch = goArch[machine.architecture] ?? machine.architecture;
  const hostname = config.hostnameOverride ?? nodeName;

  const nodeLabels = () => ({ 'kubernetes.io/hostname': hostname, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': arch, 'beta.kubernetes.io/os': 'linux', 'beta.kubernetes.io/arch': arch, ...config.nodeLabels });

  async function computeStatus(before: NodeStatus | undefined): Promise<Draft<NodeStatus>> {
    const [status, images] = await Promise.all([
      runtime.status().catch((error: Error) => error),
      runtime.images.list().catch(() => []),
    ]);
    const problems: string[] = [];
    if (status instanceof Error) problems.push(`container runtime is down: ${status.message}`);
    else {
      const runtimeReady = status.conditions.find(({ type }) => type === 'RuntimeReady');
      const network = status.conditions.find(({ type }) => type === 'NetworkReady');
      if (!runtimeReady?.status) problems.push(`container runtime not ready: RuntimeReady=false reason:${runtimeReady?.reason ?? ''} message:${runtimeReady?.message ?? ''}`);
      const before = networkProblem;
      networkProblem = network?.status ? undefined : `container runtime network not ready: NetworkReady=false reason:${network?.reason ?? ''} message:${network?.message ?? ''}`;
      if (networkProblem) problems.push(networkProblem); else if (before) options.onNetworkReady();
    }
    const pleg = options.plegProblem();
    if (pleg) problems.push(`PLEG is not healthy: ${pleg}`);
    const pressure = options.pressure();
    const now = timestamp(clock.now());
    const condition = (type: string, bad: boolean, badReason: string, badMessage: string, goodReason: string, goodMessage: string): Draft<NodeCondition> => {
      const isReady = type === 'Ready';
      const value = bad === isReady ? 'False' : 'True';
      const old = before?.conditions?.find((item) => item.type === type);
      return { type, status: value, lastHeartbeatTime: now, lastTransitionTime: old?.status === value && old.lastTransitionTime ? old.lastTransitionTime : now, reason: bad ? badReason : goodReason, message: bad ? badMessage : goodMessage };
    };
    return {
      capacity: capacityOf(machine, config), allocatable: allocatableOf(machine, config),
      conditions: [
        condition('MemoryPressure', pressure.memory, 'KubeletHasInsufficientMemory', 'kubelet has insufficient memory available', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
        condition('DiskPressure', pressure.disk, 'KubeletHasDiskPressure', 'kubelet has disk pressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
        condition('PIDPressure', pressure.pid, 'KubeletHasInsufficientPID', 'kubelet has insufficient PID available', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
        condition('Ready', problems.length > 0, 'KubeletNotReady', problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`, 'KubeletReady', 'kubelet is posting ready status'),
      ],
      addresses: [...options.hostIPs.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: hostname }],
      daemonEndpoints: { kubeletEndpoint: { Port: config.port } },
      nodeInfo: {
        machineID: machine.machineID, systemUUID: machine.systemUUID, bootID: machine.bootID, kernelVersion: machine.kernelVersion, osImage: machine.osImage,
        containerRuntimeVersion: `${options.runtimeVersion.name}://${options.runtimeVersion.version}`, kubeletVersion, kubeProxyVersion: '', operatingSystem: 'linux', architecture: arch,
        swap: { capacity: machine.swapBytes },
      },
      images: images.map((image) => ({ names: [...image.repoDigests, ...image.repoTags], sizeBytes: image.sizeBytes })).filter(({ names }) => names.length > 0).sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, maxImagesReported),
      ...(options.volumesInUse().length > 0 ? { volumesInUse: options.volumesInUse() } : {}),
      ...(status instanceof Error ? {} : {
        runtimeHandlers: status.runtimeHandlers.map(({ name, features }) => ({ name, features: { recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts ?? false, userNamespaces: features?.userNamespaces ?? false } })),
        ...(status.features ? { features: { supplementalGroupsPolicy: status.features.supplementalGroupsPolicy } } : {}),
      }),
    };
  }

  const aboutNode = (reason: string, message: string) => recorder.event({ apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName } }, 'Normal', reason, message);
  function announce(before: NodeStatus | undefined, after: NodeStatus): void {
    const words: Record<string, [string, string]> = { Ready: ['NodeReady', 'NodeNotReady'], MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'], DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'], PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'] };
    for (const { type, status } of after.conditions ?? []) {
      if (before?.conditions?.find((item) => item.type === type)?.status === status) continue;
      const word = words[type]?.[status === 'True' ? 0 : 1];
      if (word) aboutNode(word, `Node ${nodeName} status is now: ${word}`);
    }
  }
  const withoutHeartbeats = (status: NodeStatus) => ({ ...status, conditions: status.conditions?.map((item) => ({ ...item, lastHeartbeatTime: '' })) });

  async function report(): Promise<void> {
    if (!current) { await register(); return; }
    const before = current.status;
    const next = await computeStatus(before);
    const wasReady = ready;
    ready = next.conditions!.some(({ type, status }) => type === 'Ready' && status === 'True');
    const owned: NodeStatus = Object.fromEntries(Object.keys(next).map((key) => [key, before?.[key as keyof NodeStatus]]));
    const mine = { ...owned, conditions: before?.conditions?.filter(({ type }) => next.conditions!.some((item) => item.type === type)) };
    const same = isDeepStrictEqual(withoutHeartbeats(mine), withoutHeartbeats(next));
    if (same && clock.monotonic() - lastReport < config.nodeStatusReportFrequencyMs) return;
    const patch = Object.fromEntries(Object.entries(next).filter(([key, value]) => key === 'conditions' || !isDeepStrictEqual(value, before?.[key as keyof NodeStatus])));
    if (patch.addresses && before?.addresses) patch.addresses = [{ $patch: 'replace' }, ...(patch.addresses as object[])] as never;
    try {
      current = await client.for(nodes).patch({ name: nodeName }, 'strategic', { status: patch } as unknown as JsonObject, { subresource: 'status', signal });
      lastReport = clock.monotonic();
      announce(before, next);
      if (ready && !wasReady) log.info({ node: nodeName }, 'node is ready');
    } catch (error) {
      if (isNotFound(error)) current = undefined;
      throw error;
    }
  }

  async function register(): Promise<void> {
    if (!config.registerNode) { current = await client.for(nodes).get({ name: nodeName }, { signal }); return; }
    const status = await computeStatus(undefined);
    const wanted = {
      metadata: { name: nodeName, labels: nodeLabels(), annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' } },
      spec: { ...(config.registerWithTaints.length > 0 ? { taints: config.registerWithTaints } : {}), ...(config.providerID ? { providerID: config.providerID } : {}), ...(config.podCIDR ? { podCIDR: config.podCIDR, podCIDRs: [config.podCIDR] } : {}) },
      status,
    };
    try {
      current = await client.for(nodes).create(wanted as never, { signal });
      lastReport = clock.monotonic();
      ready = status.conditions!.some(({ type, status: value }) => type === 'Ready' && value === 'True');
      announce(undefined, status);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      current = await client.for(nodes).get({ name: nodeName }, { signal });
      const missing = Object.entries(nodeLabels()).filter(([key, value]) => current!.metadata.labels?.[key] !== value);
      if (missing.length > 0) current = await client.for(nodes).patch({ name: nodeName }, 'strategic', { metadata: { labels: Object.fromEntries(missing) } }, { signal });
    }
  }

  return {
    async register() {
      let wait = eagerMs;
      while (!signal.aborted && !current) {
        try { await register(); } catch (error) {
          if (signal.aborted) return;
          log.info({ err: (error as Error).message }, 'Unable to register node with API server');
          await sleep(clock, wait, signal).catch(() => {});
          wait = Math.min(wait * 2, 2000);
        }
      }
    },
    async run() {
      const eagerUntil = clock.monotonic() + eagerForMs;
      while (!signal.aborted) {
        try { await report(); } catch (error) { if (!signal.aborted) log.warn({ err: (error as Error).message }, 'Unable to update node status'); }
        const poked = new Promise<void>((resolve) => { wakeUp = resolve; });
        const stop = new AbortController();
        const eager = !ready && clock.monotonic() < eagerUntil;
        await Promise.race([poked, sleep(clock, eager ? eagerMs : config.nodeStatusUpdateFrequencyMs, AbortSignal.any([signal, stop.signal])).catch(() => {})]);
        stop.abort();
      }
    },
    poke() { wakeUp(); },
    observed(seen) { if (current && current.metadata.uid === seen.metadata.uid && isNewer(seen, current)) current = seen; },
    node: () => current,
    get ready() { return ready; },
    networkProblem: () => networkProblem,
  };
}
