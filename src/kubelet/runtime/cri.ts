/**
 * The Runtime interface over CRI v1 gRPC: containerd, CRI-O or any other. One connection; calls run side by side.
 * Time limits follow the kubelet's `runtime-request-timeout` (2 minutes); stop, exec and pull have none of their own or longer ones.
 */
import { GrpcClient, GrpcError, type GrpcCallOptions, hasGrpcCode } from '../../base/grpc.ts';
import { type Clock, sleep } from '../../base/clock.ts';
import { containerdEvents } from './containerd-events.ts';
import { type CriMessage, decodeCri, encodeCri } from './cri-messages.ts';
import { sandboxImage } from './sandbox-image.ts';
import type { Container, ContainerStats, ContainerStatus, FilesystemUsage, Image, PodSandbox, PodSandboxStats, PodSandboxStatus, Runtime, RuntimeEvent,
  RuntimeStatus, RuntimeVersion } from './runtime.ts';

/** Upstream's default for `--runtime-request-timeout`. */
const requestTimeoutMs = 120_000;
/** A pull takes as long as it takes; the kubelet's own deadline comes by signal. */
const versionTimeoutMs = 10_000;

export interface CriOptions {
  /** `unix:///run/containerd/containerd.sock` or a path. */
  endpoint: string;
  /** Default: the same as `endpoint`. */
  imageEndpoint?: string;
  clock: Clock;
  requestTimeoutMs?: number;
}

export type CriRuntime = Runtime & Disposable;

const endingTries = 20;
const endingPauseMs = 50;

/** Doesn't connect yet; `version()` is the way to see whether anyone answers. */
export function criRuntime(options: CriOptions): CriRuntime {
  const client = new GrpcClient({ address: options.endpoint });
  const imageClient = options.imageEndpoint ? new GrpcClient({ address: options.imageEndpoint }) : client;
  const timeoutMs = options.requestTimeoutMs ?? requestTimeoutMs;

  const caller = (via: GrpcClient, service: string) => <T>(name: string, request: object, call: GrpcCallOptions = {}): Promise<T> =>
    via.unary(method<T>(service, name, `${name}Request` as CriMessage, `${name}Response` as CriMessage), request, { timeoutMs, ...call });
  const runtime = caller(client, 'RuntimeService');
  const image = caller(imageClient, 'ImageService');
  /** CRI wants these to succeed for what is gone already; containerd before 1.7 says NOT_FOUND. */
  const gone = async (call: Promise<unknown>): Promise<void> => {
    try { await call; } catch (error) { if (!hasGrpcCode(error, 'NOT_FOUND')) throw error; }
  };
  let runtimeName: string | undefined;

  async function version(call?: GrpcCallOptions): Promise<RuntimeVersion> {
    const answer = await runtime<RuntimeVersion>('Version', { version: 'v1' }, { timeoutMs: versionTimeoutMs, ...call });
    runtimeName = answer.runtimeName;
    return answer;
  }

  async function podSandboxStatus(podSandboxId: string): Promise<PodSandboxStatus> {
    type Wire = PodSandboxStatus & { network?: PodSandboxStatus['network']; linux?: { namespaces?: { options?: PodSandboxStatus['namespaces'] } } };
    const { status } = await runtime<{ status?: Wire }>('PodSandboxStatus', { podSandboxId });
    if (!status) throw new GrpcError('NOT_FOUND', `sandbox ${podSandboxId} has no status`);
    const { linux, ...rest } = status;
    return { ...rest, network: { ip: status.network?.ip ?? '', additionalIps: ((status.network?.additionalIps ?? []) as unknown as { ip: string }[]).map(({ ip }) => ip) },
      namespaces: linux?.namespaces?.options ?? {} };
  }

  async function containerStatus(containerId: string): Promise<ContainerStatus> {
    const { status } = await runtime<{ status?: ContainerStatus }>('ContainerStatus', { containerId });
    if (!status) throw new GrpcError('NOT_FOUND', `container ${containerId} has no status`);
    const { stopSignal, ...rest } = status;
    return { ...rest, imageId: status.imageId || status.imageRef, ...(stopSignal && stopSignal !== 'RUNTIME_DEFAULT' ? { stopSignal } : {}) };
  }

  /** A call that may be repeated, on what may be ending this moment: containerd looks a shim up and then finds it gone. */
  async function ending(call: () => Promise<unknown>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try { await gone(call()); return; } catch (error) {
        if (attempt === endingTries || !(error as Error).message.includes('ttrpc: closed')) throw error;
        await sleep(options.clock, endingPauseMs);
      }
    }
  }

  /** States that are wrong until the runtime has seen its own event. */
  async function settled(id: string, passed: (state: string) => boolean): Promise<boolean> {
    try { return passed((await containerStatus(id)).state); } catch (error) {
      if (!hasGrpcCode(error, 'NOT_FOUND')) throw error;
    }
    return true; // a sandbox, or removed already
  }

  async function* events(signal: AbortSignal): AsyncGenerator<RuntimeEvent, void, undefined> {
    runtimeName ??= (await version({ signal, waitForReady: true })).runtimeName;
    try {
      yield* runtimeName === 'containerd' ? containerdEvents(client, { clock: options.clock, signal, settled, ping: (pingSignal) => version({ signal: pingSignal, waitForReady: true }) }) : criEvents(client, signal);
    } catch (error) { if (!signal.aborted) throw error; }
  }

  return {
    version: () => version(),
    async status({ verbose = false } = {}) {
      const answer = await runtime<{ status?: { conditions: RuntimeStatus['conditions'] } } & RuntimeStatus>('Status', { verbose });
      return { conditions: answer.status?.conditions ?? [], info: answer.info, runtimeHandlers: answer.runtimeHandlers, ...(answer.features ? { features: answer.features } : {}) };
    },
    updateRuntimeConfig: ({ podCidr }) => runtime('UpdateRuntimeConfig', { runtimeConfig: { networkConfig: { podCidr } } }),
    async cgroupDriver() {
      try { return (await runtime<{ linux?: { cgroupDriver: 'SYSTEMD' | 'CGROUPFS' } }>('RuntimeConfig', {})).linux?.cgroupDriver; } catch (error) {
        if (hasGrpcCode(error, 'UNIMPLEMENTED')) return undefined;
        throw error;
      }
    },

    runPodSandbox: async (config, { runtimeHandler = '', signal } = {}) =>
      (await runtime<{ podSandboxId: string }>('RunPodSandbox', { config, runtimeHandler }, { timeoutMs: timeoutMs * 2, signal })).podSandboxId,
    stopPodSandbox: (podSandboxId) => ending(() => runtime('StopPodSandbox', { podSandboxId })),
    removePodSandbox: (podSandboxId) => ending(() => runtime('RemovePodSandbox', { podSandboxId })),
    podSandboxStatus,
    listPodSandbox: async ({ state, ...filter } = {}) =>
      (await runtime<{ items: PodSandbox[] }>('ListPodSandbox', { filter: { ...filter, ...(state ? { state: { state } } : {}) } })).items,

    createContainer: async (podSandboxId, config, sandboxConfig, { signal } = {}) => (await runtime<{ containerId: string }>('CreateContainer',
      { podSandboxId, sandboxConfig, config: { ...config, envs: config.envs?.map(({ key, value }) => ({ key, value: typeof value === 'string' ? Buffer.from(value) : value })) } },
      { signal })).containerId,
    startContainer: (containerId, { signal } = {}) => runtime('StartContainer', { containerId }, { signal }),
    stopContainer: (containerId, timeoutSeconds) =>
      gone(runtime('StopContainer', { containerId, timeout: timeoutSeconds }, { timeoutMs: timeoutMs + timeoutSeconds * 1000 })),
    removeContainer: (containerId) => gone(runtime('RemoveContainer', { containerId })),
    listContainers: async ({ state, ...filter } = {}) =>
      (await runtime<{ containers: Container[] }>('ListContainers', { filter: { ...filter, ...(state ? { state: { state } } : {}) } })).containers
        .map((container) => ({ ...container, imageId: container.imageId || container.imageRef })),
    containerStatus,
    updateContainerResources: (containerId, linux, annotations = {}) => runtime('UpdateContainerResources', { containerId, linux, annotations }),
    reopenContainerLog: (containerId) => runtime('ReopenContainerLog', { containerId }),

    async execSync(containerId, cmd, timeoutSeconds = 0, signal) {
      // The runtime ends it at its own timeout; ours is for a runtime that hangs.
      const answer = await runtime<{ stdout: Uint8Array; stderr: Uint8Array; exitCode: number }>('ExecSync', { containerId, cmd, timeout: timeoutSeconds },
        { timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 + timeoutMs : undefined, signal });
      return { stdout: Buffer.from(answer.stdout), stderr: Buffer.from(answer.stderr), exitCode: answer.exitCode };
    },
    exec: async (request) => (await runtime<{ url: string }>('Exec', request)).url,
    attach: async (request) => (await runtime<{ url: string }>('Attach', request)).url,
    portForward: async (podSandboxId, ports = []) => (await runtime<{ url: string }>('PortForward', { podSandboxId, port: ports })).url,

    async containerStats(containerId) {
      const { stats } = await runtime<{ stats?: ContainerStats }>('ContainerStats', { containerId });
      if (!stats) throw new GrpcError('NOT_FOUND', `container ${containerId} has no statistics`);
      return stats;
    },
    listContainerStats: async (filter = {}) => (await runtime<{ stats: ContainerStats[] }>('ListContainerStats', { filter })).stats,
    podSandboxStats: async (podSandboxId) => podStats((await runtime<{ stats: WirePodStats }>('PodSandboxStats', { podSandboxId })).stats),
    listPodSandboxStats: async (filter = {}) => (await runtime<{ stats: WirePodStats[] }>('ListPodSandboxStats', { filter })).stats.map(podStats),

    events,

    images: {
      list: async ({ image: name } = {}) => (await image<{ images: WireImage[] }>('ListImages', name ? { filter: { image: { image: name } } } : {})).images.map(plainImage),
      async status(name) {
        const answer = (await image<{ image?: WireImage }>('ImageStatus', { image: { image: name } })).image;
        return answer && plainImage(answer);
      },
      pull: async (name, { auth, sandboxConfig, signal } = {}) =>
        (await image<{ imageRef: string }>('PullImage', { image: { image: name }, auth, sandboxConfig }, { timeoutMs: undefined, signal })).imageRef,
      remove: (name) => gone(image('RemoveImage', { image: { image: name } })),
      fsInfo: () => image<{ imageFilesystems: FilesystemUsage[]; containerFilesystems: FilesystemUsage[] }>('ImageFsInfo', {}),
    },

    [Symbol.dispose]() {
      client.close();
      imageClient.close();
    },
  };
}

function method<T>(service: string, name: string, request: CriMessage, response: CriMessage) {
  return { path: `/runtime.v1.${service}/${name}`, encode: (value: object) => encodeCri(request, value), decode: (bytes: Uint8Array) => decodeCri<T>(response, bytes) };
}

interface WirePodStats { attributes: PodSandboxStats['attributes']; linux?: Omit<PodSandboxStats, 'attributes'> }
const podStats = ({ attributes, linux }: WirePodStats): PodSandboxStats => ({ containers: [], ...linux, attributes });
type WireImage = Image & { spec?: object };
function plainImage(image: WireImage): Image {
  const { spec: _, ...plain } = image;
  // containerd before 1.7.3 pins nothing, and image garbage collection must not take the one that is never pulled.
  return { ...plain, pinned: plain.pinned || plain.repoTags.includes(sandboxImage) };
}

/** GetContainerEvents, which CRI-O has. Throws UNIMPLEMENTED where it is switched off: poll then. */
async function* criEvents(client: GrpcClient, signal: AbortSignal): AsyncGenerator<RuntimeEvent, void, undefined> {
  interface Wire { containerId: string; containerEventType: string; containersStatuses: ContainerStatus[] }
  yield { type: 'resync' };
  const stream = client.serverStream(method<Wire>('RuntimeService', 'GetContainerEvents', 'GetEventsRequest', 'ContainerEventResponse'), {}, { signal, waitForReady: true });
  for await (const { containerId: id, containerEventType: type, containersStatuses } of stream) {
    if (type === 'CONTAINER_STARTED_EVENT') yield { type: 'started', id };
    if (type === 'CONTAINER_DELETED_EVENT') yield { type: 'deleted', id };
    if (type === 'CONTAINER_STOPPED_EVENT') yield { type: 'exited', id, exitCode: containersStatuses.find((status) => status.id === id)?.exitCode ?? 0 };
  }
}
