/**
 * What the runtime knows of one pod, read fresh at the start of each sync. Nothing else is kept between syncs, so a restarted kubelet
 * picks up where the last one was. Exited containers don't change: their status is read once.
 */
import type { ContainerStatus, PodSandboxStatus, Runtime } from './runtime/runtime.ts';
import { hasGrpcCode } from '../base/grpc-status.ts';
import { annotations, labels } from './names.ts';

export interface ContainerRecord extends ContainerStatus {
  name: string;
  podSandboxId: string;
  restartCount: number;
  /** Of the spec it was made from. */
  hash: string;
  /** Text of its termination message; '' while it runs. */
  terminationMessage: string;
}
export interface PodState {
  uid: string;
  /** Newest first. */
  sandboxes: PodSandboxStatus[];
  /** Newest first. */
  containers: ContainerRecord[];
}

export const emptyState = (uid: string): PodState => ({ uid, sandboxes: [], containers: [] });
export const isRunning = (record: ContainerRecord | undefined): boolean => record?.state === 'CONTAINER_RUNNING';
export const isExited = (record: ContainerRecord | undefined): boolean => record?.state === 'CONTAINER_EXITED';
export const isReadySandbox = (sandbox: PodSandboxStatus): boolean => sandbox.state === 'SANDBOX_READY';
/** The newest record of a container by its name in the spec. */
export function latest(state: PodState, name: string, sandboxId?: string): ContainerRecord | undefined {
  return state.containers.find((record) => record.name === name && (sandboxId === undefined || record.podSandboxId === sandboxId));
}
export function podIPs(state: PodState): string[] {
  const network = state.sandboxes.find(isReadySandbox)?.network ?? state.sandboxes[0]?.network;
  return network && network.ip ? [network.ip, ...network.additionalIps] : [];
}

/** Most exited statuses remembered. */
const cacheLimit = 4096;

export interface StateReader {
  read(uid: string): Promise<PodState>;
  /** uids of every pod with a sandbox or container here, with names to address it by. */
  listPods(): Promise<Map<string, { uid: string; name: string; namespace: string; running: boolean }>>;
}

export function createStateReader(runtime: Runtime, readTerminationMessage: (status: ContainerStatus) => Promise<string>): StateReader {
  const exited = new Map<string, ContainerRecord>();
  const sandboxCache = new Map<string, PodSandboxStatus>();
  const remember = <T>(map: Map<string, T>, id: string, value: T) => {
    if (map.size >= cacheLimit) map.delete(map.keys().next().value!);
    map.set(id, value);
  };
  const gone = (error: unknown): undefined => { if (hasGrpcCode(error, 'NOT_FOUND')) return undefined; throw error; };

  async function record(id: string, podSandboxId: string): Promise<ContainerRecord | undefined> {
    const known = exited.get(id);
    if (known) return known;
    const status = await runtime.containerStatus(id).catch(gone);
    if (!status) return undefined;
    const over = status.state === 'CONTAINER_EXITED';
    const made: ContainerRecord = {
      ...status, podSandboxId, name: status.labels[labels.containerName] ?? status.metadata.name,
      restartCount: Number(status.annotations[annotations.restartCount] ?? status.metadata.attempt),
      hash: status.annotations[annotations.containerHash] ?? '', terminationMessage: over ? await readTerminationMessage(status) : '',
    };
    if (over) remember(exited, id, made);
    return made;
  }
  async function sandbox(id: string, ready: boolean): Promise<PodSandboxStatus | undefined> {
    const known = sandboxCache.get(id);
    if (known && (known.state === 'SANDBOX_READY') === ready) return known;
    const status = await runtime.podSandboxStatus(id).catch(gone);
    if (status) remember(sandboxCache, id, status);
    return status;
  }

  return {
    async read(uid) {
      const labelSelector = { [labels.podUid]: uid };
      const [sandboxList, containerList] = await Promise.all([runtime.listPodSandbox({ labelSelector }), runtime.listContainers({ labelSelector })]);
      const [sandboxes, containers] = await Promise.all([
        Promise.all(sandboxList.map((item) => sandbox(item.id, item.state === 'SANDBOX_READY'))),
        Promise.all(containerList.map((item) => record(item.id, item.podSandboxId))),
      ]);
      const newestFirst = (a: { createdAtMs: number; metadata: { attempt: number } }, b: { createdAtMs: number; metadata: { attempt: number } }) => b.createdAtMs - a.createdAtMs || b.metadata.attempt - a.metadata.attempt;
      return { uid, sandboxes: sandboxes.filter((item) => item !== undefined).sort(newestFirst), containers: containers.filter((item) => item !== undefined).sort(newestFirst) };
    },
    async listPods() {
      const [sandboxList, containerList] = await Promise.all([runtime.listPodSandbox(), runtime.listContainers()]);
      const pods = new Map<string, { uid: string; name: string; namespace: string; running: boolean }>();
      const see = (its: Readonly<Record<string, string>>, running: boolean) => {
        const uid = its[labels.podUid];
        if (!uid) return;
        const known = pods.get(uid);
        pods.set(uid, { uid, name: its[labels.podName] ?? '', namespace: its[labels.podNamespace] ?? '', running: running || (known?.running ?? false) });
      };
      for (const item of sandboxList) see(item.labels, item.state === 'SANDBOX_READY');
      for (const item of containerList) see(item.labels, item.state === 'CONTAINER_RUNNING');
      return pods;
    },
  };
}
