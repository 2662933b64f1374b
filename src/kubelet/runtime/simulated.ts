/**
 * A runtime that pretends: for machines without Linux, root or containerd, and for tests and simulation. Pods get addresses, containers
 * run at once and use next to nothing, images always exist. Deterministic: time is the clock's, ids are the generator's, no I/O
 * unless `logFiles`. What a container does is read from its command, as far as the command is made of (joined by `;` or `&&`):
 *   `echo …`  a line in the log      `sleep N`  runs N seconds      `true`, `false`, `exit N`  ends with that code
 * plain or as `sh -c '…'`. A script of these alone ends; with anything else in it the container runs until it is stopped.
 * The pod annotation `knarr.io/simulate: '<script>'` stands for the command of every container in the pod. Tests can also call `exit`.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { GrpcError } from '../../base/grpc-status.ts';
import type { Rng } from '../../base/rng.ts';
import { normalizeImageName } from './images.ts';
import type { Container, ContainerConfig, ContainerStats, ContainerStatus, Image, Labels, LinuxContainerResources, PodSandbox, PodSandboxConfig, PodSandboxStats,
  PodSandboxStatus, Runtime, RuntimeEvent } from './runtime.ts';

export const simulateAnnotation = 'knarr.io/simulate';

export interface SimulatedOptions {
  clock: Clock;
  rng: Rng;
  /** Pod addresses. Default 10.244.0.0/24; `updateRuntimeConfig` replaces it. */
  podCidr?: string;
  /** Full names (`docker.io/library/nope:latest`) that can't be pulled. */
  absentImages?: ReadonlySet<string>;
  /** Write containers' log files, so that `kubectl logs` has an answer. */
  logFiles?: boolean;
}

export interface SimulatedRuntime extends Runtime {
  /** Ends a running container. `reason` defaults to Completed or Error. */
  exit(containerId: string, exitCode: number, reason?: string): void;
}

interface Sandbox { id: string; config: PodSandboxConfig; state: PodSandbox['state']; createdAtMs: number; ip: string; runtimeHandler: string }
interface Process { podSandboxId: string; config: ContainerConfig; sandbox: Sandbox; status: ContainerStatus; timer?: Timer }
interface Step { log?: string; sleepMs?: number; exit?: number }

/** Events kept for one slow reader; beyond them a `resync` stands for all. */
const maxQueuedEvents = 10_000;
const imageBytes = 1024 * 1024;
const memoryBytes = 10 * 1024 * 1024;

/** What a command does, or undefined when it holds something unknown: then it runs until stopped. */
export function simulatedSteps(words: readonly string[]): Step[] | undefined {
  const script = /^(\/bin\/)?(ba)?sh$/.test(words[0] ?? '') && words[1] === '-c' ? words[2] ?? '' : words.join(' ');
  const steps: Step[] = [];
  for (const part of script.split(/;|&&|\n/).map((text) => text.trim()).filter(Boolean)) {
    const [verb, argument = ''] = part.split(/\s+/);
    if (verb === 'echo') steps.push({ log: part.slice(5).replace(/^(['"])(.*)\1$/, '$2') });
    else if (verb === 'sleep' && /^\d+(\.\d+)?$/.test(argument)) steps.push({ sleepMs: Number(argument) * 1000 });
    else if (verb === 'true') steps.push({});
    else if (verb === 'false') steps.push({ exit: 1 });
    else if (verb === 'exit' && /^\d*$/.test(argument)) steps.push({ exit: Number(argument) });
    else return undefined;
  }
  return steps.length > 0 ? steps : undefined;
}

export function simulatedRuntime({ clock, rng, podCidr = '10.244.0.0/24', absentImages = new Set(), logFiles = false }: SimulatedOptions): SimulatedRuntime {
  const sandboxes = new Map<string, Sandbox>();
  const processes = new Map<string, Process>();
  const images = new Map<string, Image>();
  const readers = new Set<(event: RuntimeEvent) => void>();
  let cidr = podCidr;
  let lastHost = 1;

  const newId = () => Buffer.from(rng.bytes(32)).toString('hex');
  const emit = (event: RuntimeEvent) => { for (const reader of readers) reader(event); };
  const sandboxOf = (id: string) => found(sandboxes.get(id), `pod sandbox ${id}`);
  const processOf = (id: string) => found(processes.get(id), `container ${id}`);

  /** The next address of the range that no pod has. The first two are the network's and the bridge's. */
  function allocateAddress(): string {
    const [network = '10.244.0.0', bits = '24'] = cidr.split('/');
    const base = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    const size = 2 ** (32 - Number(bits));
    const used = new Set([...sandboxes.values()].filter((sandbox) => sandbox.state === 'SANDBOX_READY').map((sandbox) => sandbox.ip));
    for (let tries = 0; tries < size - 3; tries++) {
      lastHost = lastHost + 1 >= size - 1 ? 2 : lastHost + 1;
      const value = base + lastHost;
      const address = [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
      if (!used.has(address)) return address;
    }
    throw new GrpcError('RESOURCE_EXHAUSTED', `no address is free in ${cidr}`);
  }

  function exit(containerId: string, exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error'): void {
    const process = processOf(containerId);
    if (process.status.state !== 'CONTAINER_RUNNING') return;
    process.timer?.cancel();
    process.status = { ...process.status, state: 'CONTAINER_EXITED', finishedAtMs: clock.now(), exitCode, reason };
    emit({ type: 'exited', id: containerId, exitCode });
  }

  function perform(process: Process, steps: readonly Step[]): void {
    const [step, ...rest] = steps;
    if (process.status.state !== 'CONTAINER_RUNNING') return;
    if (!step) exit(process.status.id, 0);
    else if (step.exit !== undefined) exit(process.status.id, step.exit);
    else if (step.sleepMs !== undefined) process.timer = clock.after(step.sleepMs, () => perform(process, rest), { keepAlive: false });
    else {
      if (step.log !== undefined && logFiles) appendFileSync(process.status.logPath, `${new Date(clock.now()).toISOString().replace('Z', '000000Z')} stdout F ${step.log}\n`);
      perform(process, rest);
    }
  }

  function stopContainer(containerId: string, timeoutSeconds: number): void { exit(containerId, timeoutSeconds > 0 ? 143 : 137); }
  function stopSandbox(id: string): void {
    const sandbox = sandboxes.get(id);
    if (!sandbox || sandbox.state === 'SANDBOX_NOTREADY') return;
    for (const process of processes.values()) if (process.podSandboxId === id) stopContainer(process.status.id, 0);
    sandbox.state = 'SANDBOX_NOTREADY';
    emit({ type: 'exited', id, exitCode: 0 });
  }
  function removeContainer(id: string): void {
    if (!processes.has(id)) return;
    stopContainer(id, 0);
    processes.delete(id);
    emit({ type: 'deleted', id });
  }

  const plainSandbox = ({ id, config, state, createdAtMs, runtimeHandler }: Sandbox): PodSandbox =>
    ({ id, metadata: config.metadata, state, createdAtMs, labels: config.labels ?? {}, annotations: config.annotations ?? {}, runtimeHandler });
  const sandboxStatus = (sandbox: Sandbox): PodSandboxStatus => ({ ...plainSandbox(sandbox), network: { ip: sandbox.ip, additionalIps: [] },
    namespaces: sandbox.config.linux?.securityContext?.namespaceOptions ?? {} });
  const plainContainer = ({ status, podSandboxId }: Process): Container => ({ id: status.id, podSandboxId, metadata: status.metadata, image: status.image, imageRef: status.imageRef,
    imageId: status.imageId, state: status.state, createdAtMs: status.createdAtMs, labels: status.labels, annotations: status.annotations });

  function addImage(name: string): Image {
    const full = normalizeImageName(name);
    let image = images.get(full);
    if (!image) {
      const digest = createHash('sha256').update(full).digest('hex');
      images.set(full, image = { id: `sha256:${digest}`, repoTags: full.includes('@') ? [] : [full], repoDigests: [`${full.replace(/[:@][^/]*$/, '')}@sha256:${digest}`],
        sizeBytes: imageBytes, username: '', pinned: false });
    }
    return image;
  }
  const imageOf = (name: string) => images.get(normalizeImageName(name)) ?? [...images.values()].find(({ id, repoDigests }) => id === name || repoDigests.includes(name));

  const containerStats = ({ status }: Process): ContainerStats => {
    const ranMs = Math.max(0, clock.now() - status.startedAtMs);
    return { attributes: { id: status.id, metadata: status.metadata, labels: status.labels, annotations: status.annotations },
      cpu: { timestampMs: clock.now(), usageCoreNanoSeconds: Math.round(ranMs * 1000), usageNanoCores: 1_000_000 }, // a thousandth of a core
      memory: { timestampMs: clock.now(), workingSetBytes: memoryBytes, usageBytes: memoryBytes, rssBytes: memoryBytes },
      writableLayer: { timestampMs: clock.now(), usedBytes: 0, inodesUsed: 1 } };
  };
  const running = () => [...processes.values()].filter(({ status }) => status.state === 'CONTAINER_RUNNING');
  const podStats = (sandbox: Sandbox): PodSandboxStats => {
    const containers = running().filter((process) => process.podSandboxId === sandbox.id).map(containerStats);
    const sum = (read: (stats: ContainerStats) => number | undefined) => containers.reduce((total, stats) => total + (read(stats) ?? 0), 0);
    return { attributes: { id: sandbox.id, metadata: sandbox.config.metadata, labels: sandbox.config.labels ?? {}, annotations: sandbox.config.annotations ?? {} }, containers,
      cpu: { timestampMs: clock.now(), usageCoreNanoSeconds: sum((stats) => stats.cpu?.usageCoreNanoSeconds), usageNanoCores: sum((stats) => stats.cpu?.usageNanoCores) },
      memory: { timestampMs: clock.now(), workingSetBytes: sum((stats) => stats.memory?.workingSetBytes) } };
  };
  const noStream = (what: string): never => {
    throw new GrpcError('UNIMPLEMENTED', `${what} needs real containers, and this node's are simulated; start the node as root on Linux with containerd (knarr up --runtime=containerd)`);
  };

  return {
    exit,
    version: async () => ({ version: '0.1.0', runtimeName: 'simulated', runtimeVersion: '1', runtimeApiVersion: 'v1' }),
    status: async () => ({ info: {}, runtimeHandlers: [{ name: '' }], conditions: ['RuntimeReady', 'NetworkReady'].map((type) => ({ type, status: true, reason: '', message: '' })) }),
    async updateRuntimeConfig(config) { cidr = config.podCidr?.split(',')[0] || cidr; },
    cgroupDriver: async () => 'CGROUPFS',

    async runPodSandbox(config, { runtimeHandler = '' } = {}) {
      const ip = config.linux?.securityContext?.namespaceOptions?.network === 'NODE' ? '' : allocateAddress();
      const id = newId();
      sandboxes.set(id, { id, config, state: 'SANDBOX_READY', createdAtMs: clock.now(), ip, runtimeHandler });
      emit({ type: 'started', id });
      return id;
    },
    async stopPodSandbox(id) { stopSandbox(id); },
    async removePodSandbox(id) {
      stopSandbox(id);
      for (const process of processes.values()) if (process.podSandboxId === id) removeContainer(process.status.id);
      if (sandboxes.delete(id)) emit({ type: 'deleted', id });
    },
    podSandboxStatus: async (id) => sandboxStatus(sandboxOf(id)),
    listPodSandbox: async (filter = {}) => [...sandboxes.values()].map(plainSandbox).filter(({ id, state, labels }) =>
      (filter.id ?? id) === id && (filter.state ?? state) === state && selects(filter.labelSelector, labels)),

    async createContainer(podSandboxId, config, sandboxConfig) {
      const sandbox = sandboxOf(podSandboxId);
      if (sandbox.state !== 'SANDBOX_READY') throw new GrpcError('FAILED_PRECONDITION', `sandbox container "${podSandboxId}" is not running`);
      const image = imageOf(config.image.image);
      if (!image) throw new GrpcError('NOT_FOUND', `failed to resolve image "${config.image.image}": it was not pulled`);
      const id = newId();
      const resources = config.linux?.resources;
      processes.set(id, { podSandboxId, config, sandbox, status: {
        id, metadata: config.metadata, state: 'CONTAINER_CREATED', createdAtMs: clock.now(), startedAtMs: 0, finishedAtMs: 0, exitCode: 0, image: config.image,
        imageRef: image.repoDigests[0] ?? image.id, imageId: image.id, reason: '', message: '', labels: config.labels ?? {}, annotations: config.annotations ?? {},
        mounts: [...config.mounts ?? []], logPath: config.logPath ? join(sandboxConfig.logDirectory ?? '/', config.logPath) : '', ...(resources ? { resources: { linux: resources } } : {}) } });
      return id;
    },
    async startContainer(containerId) {
      const process = processOf(containerId);
      if (process.status.state !== 'CONTAINER_CREATED') throw new GrpcError('FAILED_PRECONDITION', `container ${containerId} is in ${process.status.state} state`);
      if (logFiles && process.status.logPath) {
        mkdirSync(dirname(process.status.logPath), { recursive: true });
        appendFileSync(process.status.logPath, '');
      }
      process.status = { ...process.status, state: 'CONTAINER_RUNNING', startedAtMs: clock.now() };
      emit({ type: 'started', id: containerId });
      const script = process.sandbox.config.annotations?.[simulateAnnotation];
      const steps = simulatedSteps(script !== undefined ? ['sh', '-c', script] : [...process.config.command ?? [], ...process.config.args ?? []]);
      // Not before the caller knows that it runs.
      if (steps) process.timer = clock.after(0, () => perform(process, steps), { keepAlive: false });
    },
    async stopContainer(id, timeoutSeconds) { if (processes.has(id)) stopContainer(id, timeoutSeconds); },
    async removeContainer(id) { removeContainer(id); },
    listContainers: async (filter = {}) => [...processes.values()].map(plainContainer).filter(({ id, state, podSandboxId, labels }) => (filter.id ?? id) === id
      && (filter.state ?? state) === state && (filter.podSandboxId ?? podSandboxId) === podSandboxId && selects(filter.labelSelector, labels)),
    containerStatus: async (id) => processOf(id).status,
    async updateContainerResources(id, resources: LinuxContainerResources) {
      const process = processOf(id);
      process.status = { ...process.status, resources: { linux: { ...process.status.resources?.linux, ...resources } } };
    },
    async reopenContainerLog(id) { processOf(id); },

    async execSync(id, cmd) {
      if (processOf(id).status.state !== 'CONTAINER_RUNNING') throw new GrpcError('FAILED_PRECONDITION', `container ${id} is not running`);
      // Probes by command: what can be told from the command counts, the rest succeeds.
      const steps = simulatedSteps(cmd) ?? [];
      return { stdout: Buffer.from(steps.map(({ log }) => (log === undefined ? '' : `${log}\n`)).join('')), stderr: Buffer.alloc(0), exitCode: steps.find((step) => step.exit !== undefined)?.exit ?? 0 };
    },
    exec: async () => noStream('exec'),
    attach: async () => noStream('attach'),
    portForward: async () => noStream('port-forward'),

    containerStats: async (id) => containerStats(processOf(id)),
    listContainerStats: async (filter = {}) => running().filter(({ status, podSandboxId }) => (filter.id ?? status.id) === status.id
      && (filter.podSandboxId ?? podSandboxId) === podSandboxId && selects(filter.labelSelector, status.labels)).map(containerStats),
    podSandboxStats: async (id) => podStats(sandboxOf(id)),
    listPodSandboxStats: async (filter = {}) => [...sandboxes.values()].filter(({ id, state, config }) => state === 'SANDBOX_READY' && (filter.id ?? id) === id
      && selects(filter.labelSelector, config.labels ?? {})).map(podStats),

    async *events(signal) {
      let queue: RuntimeEvent[] = [{ type: 'resync' }];
      let wake = () => {};
      const reader = (event: RuntimeEvent) => {
        if (queue.length >= maxQueuedEvents) queue = [{ type: 'resync' }];
        queue.push(event);
        wake();
      };
      const onAbort = () => wake();
      readers.add(reader);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        for (;;) {
          if (signal.aborted) return;
          const next = queue.shift();
          if (next) yield next; else await new Promise<void>((resolve) => { wake = resolve; });
        }
      } finally {
        readers.delete(reader);
        signal.removeEventListener('abort', onAbort);
      }
    },

    images: {
      list: async ({ image } = {}) => (image === undefined ? [...images.values()] : [imageOf(image)].filter((found) => found !== undefined)),
      status: async (name) => imageOf(name),
      async pull(name) {
        const full = normalizeImageName(name);
        if (absentImages.has(full)) throw new GrpcError('NOT_FOUND', `failed to pull and unpack image "${full}": failed to resolve reference "${full}": ${full}: not found`);
        return addImage(name).id;
      },
      async remove(name) {
        const image = imageOf(name);
        if (image) for (const [key, value] of images) if (value === image) images.delete(key);
      },
      fsInfo: async () => ({ containerFilesystems: [], imageFilesystems: [{ timestampMs: clock.now(), fsId: { mountpoint: '/' }, usedBytes: images.size * imageBytes, inodesUsed: images.size }] }),
    },
  };
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new GrpcError('NOT_FOUND', `an error occurred when try to find ${what}: not found`);
  return value;
}
function selects(selector: Labels | undefined, labels: Labels): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}
