/**
 * The container runtime as the kubelet sees it: CRI v1's RuntimeService and ImageService as typed methods.
 * Implementations: cri.ts (any CRI runtime over gRPC), simulated.ts (pretends). Driven by the kubelet's pod workers, PLEG, image
 * manager and server. Source: k8s.io/cri-api/pkg/apis/runtime/v1/api.proto; names are its names in camelCase.
 * Differs: wrapper messages (Int64Value …) are plain numbers, enums are their names, timestamps are milliseconds (`…Ms`, with
 * fractions) rather than nanoseconds, which a JavaScript number can't hold, and one-field responses are the field itself.
 * Every method throws `GrpcError` (base/grpc-status.ts); `hasGrpcCode(error, 'NOT_FOUND')` tells a missing container or sandbox.
 */
export type ContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';
export type PodSandboxState = 'SANDBOX_READY' | 'SANDBOX_NOTREADY';
export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';
export type MountPropagation = 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL';
export type Labels = Readonly<Record<string, string>>;

export interface Runtime {
  version(): Promise<RuntimeVersion>;
  /** Conditions `RuntimeReady` and `NetworkReady`; with `verbose`, `info` holds the runtime's own JSON texts. */
  status(options?: { verbose?: boolean }): Promise<RuntimeStatus>;
  /** Tells the runtime the node's pod CIDR. */
  updateRuntimeConfig(config: { podCidr?: string }): Promise<void>;
  /** The cgroup driver, when the runtime can tell (containerd ≥ 2.0); undefined otherwise. */
  cgroupDriver(): Promise<'SYSTEMD' | 'CGROUPFS' | undefined>;

  /** Creates and starts a sandbox, network included; answers its id. */
  runPodSandbox(config: PodSandboxConfig, options?: { runtimeHandler?: string; signal?: AbortSignal }): Promise<string>;
  /** Stops what runs in it and takes its network down. Succeeds when it is stopped or gone already. */
  stopPodSandbox(podSandboxId: string): Promise<void>;
  /** Removes it and its containers. Succeeds when gone already. */
  removePodSandbox(podSandboxId: string): Promise<void>;
  podSandboxStatus(podSandboxId: string): Promise<PodSandboxStatus>;
  listPodSandbox(filter?: { id?: string; state?: PodSandboxState; labelSelector?: Labels }): Promise<PodSandbox[]>;

  createContainer(podSandboxId: string, config: ContainerConfig, sandboxConfig: PodSandboxConfig, options?: { signal?: AbortSignal }): Promise<string>;
  startContainer(containerId: string, options?: { signal?: AbortSignal }): Promise<void>;
  /** The stop signal, then SIGKILL after `timeoutSeconds` (0: at once). Resolves when it has exited; succeeds when gone already. */
  stopContainer(containerId: string, timeoutSeconds: number): Promise<void>;
  /** Kills it when it runs. Succeeds when gone already. */
  removeContainer(containerId: string): Promise<void>;
  listContainers(filter?: { id?: string; state?: ContainerState; podSandboxId?: string; labelSelector?: Labels }): Promise<Container[]>;
  containerStatus(containerId: string): Promise<ContainerStatus>;
  updateContainerResources(containerId: string, resources: LinuxContainerResources, annotations?: Labels): Promise<void>;
  /** After log rotation has moved the file away. */
  reopenContainerLog(containerId: string): Promise<void>;

  /** Runs to the end. A non-zero `exitCode` is no error; running out of `timeoutSeconds` (0 or absent: none) is DEADLINE_EXCEEDED. */
  execSync(containerId: string, cmd: readonly string[], timeoutSeconds?: number, signal?: AbortSignal): Promise<ExecSyncResult>;
  /** The three prepare a stream and answer its URL on the runtime's streaming server; streaming.ts connects a client to it. */
  exec(request: ExecRequest): Promise<string>;
  attach(request: AttachRequest): Promise<string>;
  portForward(podSandboxId: string, ports?: readonly number[]): Promise<string>;

  containerStats(containerId: string): Promise<ContainerStats>;
  listContainerStats(filter?: { id?: string; podSandboxId?: string; labelSelector?: Labels }): Promise<ContainerStats[]>;
  podSandboxStats(podSandboxId: string): Promise<PodSandboxStats>;
  listPodSandboxStats(filter?: { id?: string; labelSelector?: Labels }): Promise<PodSandboxStats[]>;

  /**
   * Starts, exits and out-of-memory kills as they happen, until the signal aborts; then it ends quietly. When an exit is yielded,
   * `containerStatus` shows it already. The stream can miss events while the runtime restarts; a `resync` tells that it may have
   * (the first item too): list then. Undefined where the runtime has no events: poll.
   */
  events?(signal: AbortSignal): AsyncIterable<RuntimeEvent>;

  readonly images: ImageService;
}

export interface ImageService {
  list(filter?: { image?: string }): Promise<Image[]>;
  /** Undefined when the node doesn't have it. `image` may be a name with tag, a digest reference or an id. */
  status(image: string): Promise<Image | undefined>;
  /** Answers the image reference to create containers with. */
  pull(image: string, options?: { auth?: AuthConfig; sandboxConfig?: PodSandboxConfig; signal?: AbortSignal }): Promise<string>;
  /** Succeeds when gone already. */
  remove(image: string): Promise<void>;
  fsInfo(): Promise<{ imageFilesystems: FilesystemUsage[]; containerFilesystems: FilesystemUsage[] }>;
}

/** `id` is a container's or a sandbox's. `exitCode` on exits where known. */
export type RuntimeEvent =
  | { type: 'started'; id: string }
  | { type: 'exited'; id: string; exitCode: number }
  | { type: 'oom'; id: string }
  | { type: 'deleted'; id: string }
  | { type: 'resync' };

export interface RuntimeVersion { version: string; runtimeName: string; runtimeVersion: string; runtimeApiVersion: string }
export interface RuntimeCondition { type: string; status: boolean; reason: string; message: string }
export interface RuntimeStatus {
  conditions: RuntimeCondition[];
  info: Labels;
  runtimeHandlers: { name: string; features?: { recursiveReadOnlyMounts: boolean; userNamespaces: boolean } }[];
  features?: { supplementalGroupsPolicy: boolean };
}

// --- sandboxes
export interface PodSandboxMetadata { name: string; uid: string; namespace: string; attempt: number }
export interface PodSandboxConfig {
  metadata: PodSandboxMetadata;
  hostname?: string;
  /** The folder that containers' `logPath` is relative to. */
  logDirectory?: string;
  dnsConfig?: { servers?: readonly string[]; searches?: readonly string[]; options?: readonly string[] };
  portMappings?: readonly { protocol?: 'TCP' | 'UDP' | 'SCTP'; containerPort: number; hostPort?: number; hostIp?: string }[];
  labels?: Labels;
  annotations?: Labels;
  linux?: {
    cgroupParent?: string;
    securityContext?: LinuxSandboxSecurityContext;
    sysctls?: Labels;
    overhead?: LinuxContainerResources;
    resources?: LinuxContainerResources;
  };
}
export interface IDMapping { hostId: number; containerId: number; length: number }
export interface NamespaceOption {
  network?: NamespaceMode; pid?: NamespaceMode; ipc?: NamespaceMode; targetId?: string;
  usernsOptions?: { mode?: NamespaceMode; uids?: readonly IDMapping[]; gids?: readonly IDMapping[] };
}
export interface SELinuxOption { user?: string; role?: string; type?: string; level?: string }
export interface SecurityProfile { profileType: 'RuntimeDefault' | 'Unconfined' | 'Localhost'; localhostRef?: string }
export interface LinuxSandboxSecurityContext {
  namespaceOptions?: NamespaceOption; selinuxOptions?: SELinuxOption; runAsUser?: number; runAsGroup?: number; readonlyRootfs?: boolean;
  supplementalGroups?: readonly number[]; supplementalGroupsPolicy?: 'Merge' | 'Strict'; privileged?: boolean; seccomp?: SecurityProfile; apparmor?: SecurityProfile;
}
export interface PodSandbox {
  id: string; metadata: PodSandboxMetadata; state: PodSandboxState; createdAtMs: number; labels: Labels; annotations: Labels; runtimeHandler: string;
}
export interface PodSandboxStatus extends PodSandbox {
  /** Empty `ip` for host network. */
  network: { ip: string; additionalIps: string[] };
  namespaces: NamespaceOption;
}

// --- containers
export interface ContainerMetadata { name: string; attempt: number }
export interface ImageSpec { image: string; annotations?: Labels; userSpecifiedImage?: string; runtimeHandler?: string; imageRef?: string }
export interface Mount {
  containerPath: string; hostPath: string; readonly?: boolean; selinuxRelabel?: boolean; propagation?: MountPropagation;
  uidMappings?: readonly IDMapping[]; gidMappings?: readonly IDMapping[]; recursiveReadOnly?: boolean; image?: ImageSpec; imageSubPath?: string;
}
export interface Device { containerPath: string; hostPath: string; permissions: string }
export interface LinuxContainerResources {
  /** Microseconds. */
  cpuPeriod?: number;
  /** Microseconds per period. */
  cpuQuota?: number;
  cpuShares?: number;
  memoryLimitInBytes?: number;
  oomScoreAdj?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  hugepageLimits?: readonly { pageSize: string; limit: number }[];
  unified?: Labels;
  memorySwapLimitInBytes?: number;
}
export interface LinuxContainerSecurityContext {
  capabilities?: { addCapabilities?: readonly string[]; dropCapabilities?: readonly string[]; addAmbientCapabilities?: readonly string[] };
  privileged?: boolean; namespaceOptions?: NamespaceOption; selinuxOptions?: SELinuxOption; runAsUser?: number; runAsGroup?: number; runAsUsername?: string;
  readonlyRootfs?: boolean; supplementalGroups?: readonly number[]; supplementalGroupsPolicy?: 'Merge' | 'Strict'; noNewPrivs?: boolean;
  maskedPaths?: readonly string[]; readonlyPaths?: readonly string[]; seccomp?: SecurityProfile; apparmor?: SecurityProfile;
}
export interface ContainerConfig {
  metadata: ContainerMetadata;
  /** `image.image` is what `images.pull` or `images.status` answered. */
  image: ImageSpec;
  command?: readonly string[];
  args?: readonly string[];
  workingDir?: string;
  envs?: readonly { key: string; value: string | Uint8Array }[];
  mounts?: readonly Mount[];
  devices?: readonly Device[];
  labels?: Labels;
  annotations?: Labels;
  /** Relative to the sandbox's `logDirectory`. */
  logPath?: string;
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  linux?: { resources?: LinuxContainerResources; securityContext?: LinuxContainerSecurityContext };
  CDIDevices?: readonly { name: string }[];
  /** Such as `SIGTERM`; CRI's enum names (`SIGRTMINPLUS1`). */
  stopSignal?: string;
}
export interface Container {
  id: string; podSandboxId: string; metadata: ContainerMetadata; image: ImageSpec; imageRef: string; imageId: string; state: ContainerState;
  createdAtMs: number; labels: Labels; annotations: Labels;
}
export interface ContainerStatus {
  id: string; metadata: ContainerMetadata; state: ContainerState;
  createdAtMs: number;
  /** 0: not started. */
  startedAtMs: number;
  /** 0: not finished. */
  finishedAtMs: number;
  exitCode: number; image: ImageSpec; imageRef: string; imageId: string;
  /** `Completed`, `Error`, `OOMKilled`, `StartError` … */
  reason: string;
  message: string; labels: Labels; annotations: Labels; mounts: Mount[];
  /** Absolute. */
  logPath: string;
  resources?: { linux?: LinuxContainerResources };
  user?: { linux?: { uid: number; gid: number; supplementalGroups: number[] } };
  stopSignal?: string;
}
export interface ExecSyncResult { stdout: Buffer; stderr: Buffer; exitCode: number }
export interface ExecRequest { containerId: string; cmd: readonly string[]; tty?: boolean; stdin?: boolean; stdout?: boolean; stderr?: boolean }
export interface AttachRequest { containerId: string; tty?: boolean; stdin?: boolean; stdout?: boolean; stderr?: boolean }

// --- statistics; numbers above 2^53 lose their last digits
export interface CpuUsage { timestampMs: number; usageCoreNanoSeconds?: number; usageNanoCores?: number }
export interface MemoryUsage {
  timestampMs: number; workingSetBytes?: number; availableBytes?: number; usageBytes?: number; rssBytes?: number; pageFaults?: number; majorPageFaults?: number;
}
export interface FilesystemUsage { timestampMs: number; fsId?: { mountpoint: string }; usedBytes?: number; inodesUsed?: number }
export interface SwapUsage { timestampMs: number; swapAvailableBytes?: number; swapUsageBytes?: number }
export interface NetworkInterfaceUsage { name: string; rxBytes?: number; rxErrors?: number; txBytes?: number; txErrors?: number }
export interface ContainerStats {
  attributes: { id: string; metadata: ContainerMetadata; labels: Labels; annotations: Labels };
  cpu?: CpuUsage; memory?: MemoryUsage; writableLayer?: FilesystemUsage; swap?: SwapUsage;
}
export interface PodSandboxStats {
  attributes: { id: string; metadata: PodSandboxMetadata; labels: Labels; annotations: Labels };
  cpu?: CpuUsage; memory?: MemoryUsage;
  network?: { timestampMs: number; defaultInterface?: NetworkInterfaceUsage; interfaces?: NetworkInterfaceUsage[] };
  process?: { timestampMs: number; processCount?: number };
  containers: ContainerStats[];
}

// --- images
export interface Image {
  id: string; repoTags: string[]; repoDigests: string[]; sizeBytes: number;
  /** The image's numeric user; undefined when it names one, in `username`. */
  uid?: number;
  username: string;
  pinned: boolean;
}
export interface AuthConfig { username?: string; password?: string; auth?: string; serverAddress?: string; identityToken?: string; registryToken?: string }
