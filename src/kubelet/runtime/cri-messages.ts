/**
 * CRI v1 on the wire: message field numbers and enums as data, read by cri.ts. Source: k8s.io/cri-api pkg/apis/runtime/v1/api.proto
 * (v1.36), without Windows, checkpoints and metric descriptors. Beyond base/protobuf.ts's types: `ms` is an int64 of nanoseconds
 * that we hold as milliseconds, `Int64Value` and `UInt64Value` are numbers that may be absent, an enum's name stands for its number.
 */
import { defineMessages, type MessageSpecs } from '../../base/protobuf.ts';

/** Names by number, from zero. */
const enums = {
  Protocol: ['TCP', 'UDP', 'SCTP'],
  MountPropagation: ['PROPAGATION_PRIVATE', 'PROPAGATION_HOST_TO_CONTAINER', 'PROPAGATION_BIDIRECTIONAL'],
  NamespaceMode: ['POD', 'CONTAINER', 'NODE', 'TARGET'],
  SupplementalGroupsPolicy: ['Merge', 'Strict'],
  ProfileType: ['RuntimeDefault', 'Unconfined', 'Localhost'],
  PodSandboxState: ['SANDBOX_READY', 'SANDBOX_NOTREADY'],
  Signal: [
    'RUNTIME_DEFAULT', 'SIGABRT', 'SIGALRM', 'SIGBUS', 'SIGCHLD', 'SIGCLD', 'SIGCONT', 'SIGFPE', 'SIGHUP', 'SIGILL', 'SIGINT', 'SIGIO', 'SIGIOT', 'SIGKILL', 'SIGPIPE',
    'SIGPOLL', 'SIGPROF', 'SIGPWR', 'SIGQUIT', 'SIGSEGV', 'SIGSTKFLT', 'SIGSTOP', 'SIGSYS', 'SIGTERM', 'SIGTRAP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGUSR1',
    'SIGUSR2', 'SIGVTALRM', 'SIGWINCH', 'SIGXCPU', 'SIGXFSZ', 'SIGRTMIN', 'SIGRTMINPLUS1', 'SIGRTMINPLUS2', 'SIGRTMINPLUS3', 'SIGRTMINPLUS4', 'SIGRTMINPLUS5',
    'SIGRTMINPLUS6', 'SIGRTMINPLUS7', 'SIGRTMINPLUS8', 'SIGRTMINPLUS9', 'SIGRTMINPLUS10', 'SIGRTMINPLUS11', 'SIGRTMINPLUS12', 'SIGRTMINPLUS13', 'SIGRTMINPLUS14',
    'SIGRTMINPLUS15', 'SIGRTMAXMINUS14', 'SIGRTMAXMINUS13', 'SIGRTMAXMINUS12', 'SIGRTMAXMINUS11', 'SIGRTMAXMINUS10', 'SIGRTMAXMINUS9', 'SIGRTMAXMINUS8', 'SIGRTMAXMINUS7',
    'SIGRTMAXMINUS6', 'SIGRTMAXMINUS5', 'SIGRTMAXMINUS4', 'SIGRTMAXMINUS3', 'SIGRTMAXMINUS2', 'SIGRTMAXMINUS1', 'SIGRTMAX',
  ],
  ContainerState: ['CONTAINER_CREATED', 'CONTAINER_RUNNING', 'CONTAINER_EXITED', 'CONTAINER_UNKNOWN'],
  ContainerEventType: ['CONTAINER_CREATED_EVENT', 'CONTAINER_STARTED_EVENT', 'CONTAINER_STOPPED_EVENT', 'CONTAINER_DELETED_EVENT'],
  CgroupDriver: ['SYSTEMD', 'CGROUPFS'],
} as const;

const specs = {
  VersionRequest: { version: '1 string' },
  VersionResponse: { version: '1 string', runtimeName: '2 string', runtimeVersion: '3 string', runtimeApiVersion: '4 string' },
  DNSConfig: { servers: '1 []string', searches: '2 []string', options: '3 []string' },
  PortMapping: { protocol: '1 Protocol', containerPort: '2 int32', hostPort: '3 int32', hostIp: '4 string' },
  Mount: {
    containerPath: '1 string', hostPath: '2 string', readonly: '3 bool', selinuxRelabel: '4 bool', propagation: '5 MountPropagation', uidMappings: '6 []IDMapping',
    gidMappings: '7 []IDMapping', recursiveReadOnly: '8 bool', image: '9 ImageSpec', imageSubPath: '10 string',
  },
  IDMapping: { hostId: '1 uint32', containerId: '2 uint32', length: '3 uint32' },
  UserNamespace: { mode: '1 NamespaceMode', uids: '2 []IDMapping', gids: '3 []IDMapping' },
  NamespaceOption: { network: '1 NamespaceMode', pid: '2 NamespaceMode', ipc: '3 NamespaceMode', targetId: '4 string', usernsOptions: '5 UserNamespace' },
  LinuxSandboxSecurityContext: {
    namespaceOptions: '1 NamespaceOption', selinuxOptions: '2 SELinuxOption', runAsUser: '3 Int64Value', runAsGroup: '8 Int64Value', readonlyRootfs: '4 bool',
    supplementalGroups: '5 []int64', supplementalGroupsPolicy: '11 SupplementalGroupsPolicy', privileged: '6 bool', seccomp: '9 SecurityProfile', apparmor: '10 SecurityProfile',
  },
  SecurityProfile: { profileType: '1 ProfileType', localhostRef: '2 string' },
  LinuxPodSandboxConfig: {
    cgroupParent: '1 string', securityContext: '2 LinuxSandboxSecurityContext', sysctls: '3 map<string,string>', overhead: '4 LinuxContainerResources',
    resources: '5 LinuxContainerResources',
  },
  PodSandboxMetadata: { name: '1 string', uid: '2 string', namespace: '3 string', attempt: '4 uint32' },
  PodSandboxConfig: {
    metadata: '1 PodSandboxMetadata', hostname: '2 string', logDirectory: '3 string', dnsConfig: '4 DNSConfig', portMappings: '5 []PortMapping', labels: '6 map<string,string>',
    annotations: '7 map<string,string>', linux: '8 LinuxPodSandboxConfig',
  },
  RunPodSandboxRequest: { config: '1 PodSandboxConfig', runtimeHandler: '2 string' },
  RunPodSandboxResponse: { podSandboxId: '1 string' },
  StopPodSandboxRequest: { podSandboxId: '1 string' },
  StopPodSandboxResponse: {},
  RemovePodSandboxRequest: { podSandboxId: '1 string' },
  RemovePodSandboxResponse: {},
  PodSandboxStatusRequest: { podSandboxId: '1 string', verbose: '2 bool' },
  PodIP: { ip: '1 string' },
  PodSandboxNetworkStatus: { ip: '1 string', additionalIps: '2 []PodIP' },
  Namespace: { options: '2 NamespaceOption' },
  LinuxPodSandboxStatus: { namespaces: '1 Namespace' },
  PodSandboxStatus: {
    id: '1 string', metadata: '2 PodSandboxMetadata', state: '3 PodSandboxState', createdAtMs: '4 ms', network: '5 PodSandboxNetworkStatus', linux: '6 LinuxPodSandboxStatus',
    labels: '7 map<string,string>', annotations: '8 map<string,string>', runtimeHandler: '9 string',
  },
  PodSandboxStatusResponse: { status: '1 PodSandboxStatus', info: '2 map<string,string>', containersStatuses: '3 []ContainerStatus', timestampMs: '4 ms' },
  PodSandboxStateValue: { state: '1 PodSandboxState' },
  PodSandboxFilter: { id: '1 string', state: '2 PodSandboxStateValue', labelSelector: '3 map<string,string>' },
  ListPodSandboxRequest: { filter: '1 PodSandboxFilter' },
  PodSandbox: {
    id: '1 string', metadata: '2 PodSandboxMetadata', state: '3 PodSandboxState', createdAtMs: '4 ms', labels: '5 map<string,string>', annotations: '6 map<string,string>',
    runtimeHandler: '7 string',
  },
  ListPodSandboxResponse: { items: '1 []PodSandbox' },
  PodSandboxStatsRequest: { podSandboxId: '1 string' },
  PodSandboxStatsResponse: { stats: '1 PodSandboxStats' },
  PodSandboxStatsFilter: { id: '1 string', labelSelector: '2 map<string,string>' },
  ListPodSandboxStatsRequest: { filter: '1 PodSandboxStatsFilter' },
  ListPodSandboxStatsResponse: { stats: '1 []PodSandboxStats' },
  PodSandboxAttributes: { id: '1 string', metadata: '2 PodSandboxMetadata', labels: '3 map<string,string>', annotations: '4 map<string,string>' },
  PodSandboxStats: { attributes: '1 PodSandboxAttributes', linux: '2 LinuxPodSandboxStats' },
  LinuxPodSandboxStats: { cpu: '1 CpuUsage', memory: '2 MemoryUsage', network: '3 NetworkUsage', process: '4 ProcessUsage', containers: '5 []ContainerStats' },
  NetworkUsage: { timestampMs: '1 ms', defaultInterface: '2 NetworkInterfaceUsage', interfaces: '3 []NetworkInterfaceUsage' },
  NetworkInterfaceUsage: { name: '1 string', rxBytes: '2 UInt64Value', rxErrors: '3 UInt64Value', txBytes: '4 UInt64Value', txErrors: '5 UInt64Value' },
  ProcessUsage: { timestampMs: '1 ms', processCount: '2 UInt64Value' },
  ImageSpec: { image: '1 string', annotations: '2 map<string,string>', userSpecifiedImage: '18 string', runtimeHandler: '19 string', imageRef: '20 string' },
  KeyValue: { key: '1 string', value: '2 bytes' },
  LinuxContainerResources: {
    cpuPeriod: '1 int64', cpuQuota: '2 int64', cpuShares: '3 int64', memoryLimitInBytes: '4 int64', oomScoreAdj: '5 int64', cpusetCpus: '6 string', cpusetMems: '7 string',
    hugepageLimits: '8 []HugepageLimit', unified: '9 map<string,string>', memorySwapLimitInBytes: '10 int64',
  },
  HugepageLimit: { pageSize: '1 string', limit: '2 uint64' },
  SELinuxOption: { user: '1 string', role: '2 string', type: '3 string', level: '4 string' },
  Capability: { addCapabilities: '1 []string', dropCapabilities: '2 []string', addAmbientCapabilities: '3 []string' },
  LinuxContainerSecurityContext: {
    capabilities: '1 Capability', privileged: '2 bool', namespaceOptions: '3 NamespaceOption', selinuxOptions: '4 SELinuxOption', runAsUser: '5 Int64Value',
    runAsGroup: '12 Int64Value', runAsUsername: '6 string', readonlyRootfs: '7 bool', supplementalGroups: '8 []int64', supplementalGroupsPolicy: '17 SupplementalGroupsPolicy',
    noNewPrivs: '11 bool', maskedPaths: '13 []string', readonlyPaths: '14 []string', seccomp: '15 SecurityProfile', apparmor: '16 SecurityProfile',
  },
  LinuxContainerConfig: { resources: '1 LinuxContainerResources', securityContext: '2 LinuxContainerSecurityContext' },
  LinuxContainerUser: { uid: '1 int64', gid: '2 int64', supplementalGroups: '3 []int64' },
  ContainerMetadata: { name: '1 string', attempt: '2 uint32' },
  Device: { containerPath: '1 string', hostPath: '2 string', permissions: '3 string' },
  CDIDevice: { name: '1 string' },
  ContainerConfig: {
    metadata: '1 ContainerMetadata', image: '2 ImageSpec', command: '3 []string', args: '4 []string', workingDir: '5 string', envs: '6 []KeyValue', mounts: '7 []Mount',
    devices: '8 []Device', labels: '9 map<string,string>', annotations: '10 map<string,string>', logPath: '11 string', stdin: '12 bool', stdinOnce: '13 bool', tty: '14 bool',
    linux: '15 LinuxContainerConfig', CDIDevices: '17 []CDIDevice', stopSignal: '18 Signal',
  },
  CreateContainerRequest: { podSandboxId: '1 string', config: '2 ContainerConfig', sandboxConfig: '3 PodSandboxConfig' },
  CreateContainerResponse: { containerId: '1 string' },
  StartContainerRequest: { containerId: '1 string' },
  StartContainerResponse: {},
  StopContainerRequest: { containerId: '1 string', timeout: '2 int64' },
  StopContainerResponse: {},
  RemoveContainerRequest: { containerId: '1 string' },
  RemoveContainerResponse: {},
  ContainerStateValue: { state: '1 ContainerState' },
  ContainerFilter: { id: '1 string', state: '2 ContainerStateValue', podSandboxId: '3 string', labelSelector: '4 map<string,string>' },
  ListContainersRequest: { filter: '1 ContainerFilter' },
  Container: {
    id: '1 string', podSandboxId: '2 string', metadata: '3 ContainerMetadata', image: '4 ImageSpec', imageRef: '5 string', state: '6 ContainerState', createdAtMs: '7 ms',
    labels: '8 map<string,string>', annotations: '9 map<string,string>', imageId: '10 string',
  },
  ListContainersResponse: { containers: '1 []Container' },
  ContainerStatusRequest: { containerId: '1 string', verbose: '2 bool' },
  ContainerStatus: {
    id: '1 string', metadata: '2 ContainerMetadata', state: '3 ContainerState', createdAtMs: '4 ms', startedAtMs: '5 ms', finishedAtMs: '6 ms', exitCode: '7 int32',
    image: '8 ImageSpec', imageRef: '9 string', reason: '10 string', message: '11 string', labels: '12 map<string,string>', annotations: '13 map<string,string>',
    mounts: '14 []Mount', logPath: '15 string', resources: '16 ContainerResources', imageId: '17 string', user: '18 ContainerUser', stopSignal: '19 Signal',
  },
  ContainerStatusResponse: { status: '1 ContainerStatus', info: '2 map<string,string>' },
  ContainerResources: { linux: '1 LinuxContainerResources' },
  ContainerUser: { linux: '1 LinuxContainerUser' },
  UpdateContainerResourcesRequest: { containerId: '1 string', linux: '2 LinuxContainerResources', annotations: '4 map<string,string>' },
  UpdateContainerResourcesResponse: {},
  ExecSyncRequest: { containerId: '1 string', cmd: '2 []string', timeout: '3 int64' },
  ExecSyncResponse: { stdout: '1 bytes', stderr: '2 bytes', exitCode: '3 int32' },
  ExecRequest: { containerId: '1 string', cmd: '2 []string', tty: '3 bool', stdin: '4 bool', stdout: '5 bool', stderr: '6 bool' },
  ExecResponse: { url: '1 string' },
  AttachRequest: { containerId: '1 string', stdin: '2 bool', tty: '3 bool', stdout: '4 bool', stderr: '5 bool' },
  AttachResponse: { url: '1 string' },
  PortForwardRequest: { podSandboxId: '1 string', port: '2 []int32' },
  PortForwardResponse: { url: '1 string' },
  ImageFilter: { image: '1 ImageSpec' },
  ListImagesRequest: { filter: '1 ImageFilter' },
  Image: { id: '1 string', repoTags: '2 []string', repoDigests: '3 []string', sizeBytes: '4 uint64', uid: '5 Int64Value', username: '6 string', spec: '7 ImageSpec', pinned: '8 bool' },
  ListImagesResponse: { images: '1 []Image' },
  ImageStatusRequest: { image: '1 ImageSpec', verbose: '2 bool' },
  ImageStatusResponse: { image: '1 Image', info: '2 map<string,string>' },
  AuthConfig: { username: '1 string', password: '2 string', auth: '3 string', serverAddress: '4 string', identityToken: '5 string', registryToken: '6 string' },
  PullImageRequest: { image: '1 ImageSpec', auth: '2 AuthConfig', sandboxConfig: '3 PodSandboxConfig' },
  PullImageResponse: { imageRef: '1 string' },
  RemoveImageRequest: { image: '1 ImageSpec' },
  RemoveImageResponse: {},
  NetworkConfig: { podCidr: '1 string' },
  RuntimeConfig: { networkConfig: '1 NetworkConfig' },
  UpdateRuntimeConfigRequest: { runtimeConfig: '1 RuntimeConfig' },
  UpdateRuntimeConfigResponse: {},
  RuntimeCondition: { type: '1 string', status: '2 bool', reason: '3 string', message: '4 string' },
  RuntimeStatus: { conditions: '1 []RuntimeCondition' },
  StatusRequest: { verbose: '1 bool' },
  RuntimeHandlerFeatures: { recursiveReadOnlyMounts: '1 bool', userNamespaces: '2 bool' },
  RuntimeHandler: { name: '1 string', features: '2 RuntimeHandlerFeatures' },
  RuntimeFeatures: { supplementalGroupsPolicy: '1 bool', userNamespacesHostNetwork: '2 bool' },
  StatusResponse: { status: '1 RuntimeStatus', info: '2 map<string,string>', runtimeHandlers: '3 []RuntimeHandler', features: '4 RuntimeFeatures' },
  ImageFsInfoRequest: {},
  FilesystemIdentifier: { mountpoint: '1 string' },
  FilesystemUsage: { timestampMs: '1 ms', fsId: '2 FilesystemIdentifier', usedBytes: '3 UInt64Value', inodesUsed: '4 UInt64Value' },
  ImageFsInfoResponse: { imageFilesystems: '1 []FilesystemUsage', containerFilesystems: '2 []FilesystemUsage' },
  ContainerStatsRequest: { containerId: '1 string' },
  ContainerStatsResponse: { stats: '1 ContainerStats' },
  ListContainerStatsRequest: { filter: '1 ContainerStatsFilter' },
  ContainerStatsFilter: { id: '1 string', podSandboxId: '2 string', labelSelector: '3 map<string,string>' },
  ListContainerStatsResponse: { stats: '1 []ContainerStats' },
  ContainerAttributes: { id: '1 string', metadata: '2 ContainerMetadata', labels: '3 map<string,string>', annotations: '4 map<string,string>' },
  ContainerStats: { attributes: '1 ContainerAttributes', cpu: '2 CpuUsage', memory: '3 MemoryUsage', writableLayer: '4 FilesystemUsage', swap: '5 SwapUsage' },
  CpuUsage: { timestampMs: '1 ms', usageCoreNanoSeconds: '2 UInt64Value', usageNanoCores: '3 UInt64Value' },
  MemoryUsage: {
    timestampMs: '1 ms', workingSetBytes: '2 UInt64Value', availableBytes: '3 UInt64Value', usageBytes: '4 UInt64Value', rssBytes: '5 UInt64Value', pageFaults: '6 UInt64Value',
    majorPageFaults: '7 UInt64Value',
  },
  SwapUsage: { timestampMs: '1 ms', swapAvailableBytes: '2 UInt64Value', swapUsageBytes: '3 UInt64Value' },
  ReopenContainerLogRequest: { containerId: '1 string' },
  ReopenContainerLogResponse: {},
  GetEventsRequest: {},
  ContainerEventResponse: {
    containerId: '1 string', containerEventType: '2 ContainerEventType', createdAtMs: '3 ms', podSandboxStatus: '4 PodSandboxStatus', containersStatuses: '5 []ContainerStatus',
  },
  RuntimeConfigRequest: {},
  RuntimeConfigResponse: { linux: '1 LinuxRuntimeConfiguration' },
  LinuxRuntimeConfiguration: { cgroupDriver: '1 CgroupDriver' },
  UpdatePodSandboxResourcesRequest: { podSandboxId: '1 string', overhead: '2 LinuxContainerResources', resources: '3 LinuxContainerResources' },
  UpdatePodSandboxResourcesResponse: {},
} as const satisfies MessageSpecs;
export type CriMessage = keyof typeof specs;

type FieldKind = { kind: 'ms' } | { kind: 'uint64' } | { kind: 'wrapped' } | { kind: 'enum'; names: readonly string[] } | { kind: 'message'; message: string };

/** What base/protobuf.ts is told, and what is converted around it. */
function compile(): { wire: Record<string, Record<string, string>>; kinds: Map<string, [string, FieldKind][]> } {
  const wire: Record<string, Record<string, string>> = { Int64Value: { value: '1 bigint64' }, UInt64Value: { value: '1 biguint64' } };
  const kinds = new Map<string, [string, FieldKind][]>();
  for (const [message, fields] of Object.entries(specs)) {
    const converted: [string, FieldKind][] = [];
    wire[message] = Object.fromEntries(Object.entries(fields).map(([name, spec]) => {
      const [number, type] = (spec as string).split(' ') as [string, string];
      const bare = type.replace('[]', '');
      if (bare === 'ms') { converted.push([name, { kind: 'ms' }]); return [name, `${number} bigint64`]; }
      if (bare === 'uint64') { converted.push([name, { kind: 'uint64' }]); return [name, `${number} biguint64`]; }
      if (bare in enums) { converted.push([name, { kind: 'enum', names: enums[bare as keyof typeof enums] }]); return [name, `${number} enum`]; }
      if (bare === 'Int64Value' || bare === 'UInt64Value') converted.push([name, { kind: 'wrapped' }]);
      else if (bare in specs) converted.push([name, { kind: 'message', message: bare }]);
      return [name, spec as string];
    }));
    kinds.set(message, converted);
  }
  return { wire, kinds };
}

const { wire, kinds } = compile();
const messages = defineMessages(wire);
type Fields = Record<string, unknown>;

function mapFields(message: string, value: Fields, convert: (kind: FieldKind, item: unknown) => unknown): Fields {
  const out: Fields = { ...value };
  for (const [name, kind] of kinds.get(message)!) {
    const item = value[name];
    if (item !== undefined) out[name] = Array.isArray(item) ? item.map((each) => convert(kind, each)) : convert(kind, item);
  }
  return out;
}

const nanosPerMs = 1_000_000n;

function toWire(message: string, value: Fields): Fields {
  return mapFields(message, value, (kind, item) => {
    switch (kind.kind) {
      case 'ms': return BigInt(Math.round((item as number) * 1000)) * 1000n;
      case 'uint64': return BigInt(item as number);
      case 'wrapped': return { value: BigInt(item as number) };
      case 'enum': {
        const number = kind.names.indexOf(item as string);
        if (number < 0) throw new TypeError(`${message}: '${String(item)}' is not one of ${kind.names.join(', ')}`);
        return number;
      }
      case 'message': return toWire(kind.message, item as Fields);
    }
  });
}

function fromWire(message: string, value: Fields): Fields {
  return mapFields(message, value, (kind, item) => {
    switch (kind.kind) {
      case 'ms': { const nanos = item as bigint; return Number(nanos / nanosPerMs) + Number(nanos % nanosPerMs) / 1e6; }
      case 'uint64': return Number(item as bigint);
      case 'wrapped': return Number((item as { value: bigint }).value);
      case 'enum': return kind.names[item as number] ?? kind.names[0];
      case 'message': return fromWire(kind.message, item as Fields);
    }
  });
}

export function encodeCri(message: CriMessage, value: object): Uint8Array { return messages.encode(message, toWire(message, value as Fields) as never); }
/** `bytes` fields are views into `bytes`. The caller names the type; runtime.ts declares them. */
export function decodeCri<T>(message: CriMessage, bytes: Uint8Array): T { return fromWire(message, messages.decode(message, bytes) as Fields) as T; }
