/**
 * The machine under the kubelet: files, mounts, cgroups. `linux-host.ts` is the real one; the simulated one below pretends, so that
 * everything above runs in a test process. Errors carry the system's message.
 */
export interface PayloadFile { data: Uint8Array; mode: number; /** Owner where it is not root. */ uid?: number | undefined }
export type Payload = ReadonlyMap<string, PayloadFile>;
export type HostFileType = 'directory' | 'file' | 'socket' | 'char' | 'block';

export interface PodCgroup { /** As the runtime wants it: '/kubepods/burstable/podUID' or 'kubepods-burstable-podUID.slice'. '' where there is none. */ parent: string }
export interface MachineInfo {
  cpus: number; memoryBytes: number; nodeFs: { capacityBytes: number; availableBytes: number; inodes: number; inodesFree: number };
  kernelVersion: string; osImage: string; architecture: string; machineID: string; systemUUID: string; bootID: string; hostname: string; addresses: string[];
  swapBytes: number; pidMax: number;
}

export interface Host {
  readonly simulated: boolean;
  machine(): Promise<MachineInfo>;
  makeDir(path: string, mode?: number): Promise<void>;
  writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>;
  /** Undefined when it does not exist. */
  readFile(path: string, limitBytes?: number): Promise<string | undefined>;
  /** The last lines of a file, at most `limitBytes`. */
  readTail(path: string, limitBytes: number): Promise<string>;
  fileType(path: string): Promise<HostFileType | undefined>;
  listDir(path: string): Promise<string[]>;
  /** Bytes on disk of a tree, without other file systems below it; undefined when it can't be told. */
  diskUsage(path: string): Promise<number | undefined>;
  /** Unmounts what is mounted below, then removes. Never follows a mount it could not unmount. */
  removeTree(path: string): Promise<void>;
  /** Publishes files in `dir` at once: a new timestamped folder and a swap of `..data`. True when something changed. */
  writePayload(dir: string, payload: Payload, fsGroup: number | undefined): Promise<boolean>;
  mountTmpfs(path: string, sizeBytes: number | undefined): Promise<void>;
  /** Makes `group` own the tree with setgid folders, as fsGroup asks. */
  setGroup(path: string, group: number, options: { readOnly: boolean; onlyRootMismatch: boolean }): Promise<void>;
  /** A path inside a volume, made when missing, that can't be led outside by symbolic links. */
  subPath(volume: string, sub: string, options: { bindTarget: string; create: boolean }): Promise<string>;
  ensurePodCgroup(uid: string, qos: string, limits: { cpuShares: number; cpuQuota?: number; memoryBytes?: number }): Promise<PodCgroup>;
  removePodCgroup(uid: string, qos: string): Promise<void>;
}

/** A machine that isn't there: writes are kept nowhere, sizes are as told. Its address is loopback, so that nobody dials a stranger for it. */
export function simulatedHost(machine: Partial<MachineInfo> = {}): Host {
  const info: MachineInfo = {
    cpus: 4, memoryBytes: 16 * 2 ** 30, nodeFs: { capacityBytes: 100e9, availableBytes: 80e9, inodes: 6_000_000, inodesFree: 5_500_000 },
    kernelVersion: '6.12.0', osImage: 'knarr simulated node', architecture: 'amd64', machineID: '', systemUUID: '', bootID: '', hostname: 'simulated', addresses: ['127.0.0.1'],
    swapBytes: 0, pidMax: 4_194_304, ...machine,
  };
  const nothing = async (): Promise<void> => {};
  return {
    simulated: true, machine: async () => info, makeDir: nothing, writeFile: nothing, readFile: async () => undefined, readTail: async () => '',
    fileType: async () => 'directory', listDir: async () => [], diskUsage: async () => undefined, removeTree: nothing, writePayload: async () => true, mountTmpfs: nothing, setGroup: nothing,
    subPath: async (volume, sub) => `${volume}/${sub}`, ensurePodCgroup: async () => ({ parent: '' }), removePodCgroup: nothing,
  };
}
