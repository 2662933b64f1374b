/**
 * In-place resize: running containers take new cpu and memory limits without a restart where their resizePolicy allows. KEP-1287.
 * What a container has is noted on it when it is created, and remembered here when it is changed.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Container, Pod } from '../api/core/v1.ts';
import type { Logger } from '../base/log.ts';
import type { ContainerRecord } from './pod-state.ts';
import { bytesOf, containerLinuxResources } from './resources.ts';
import type { Runtime } from './runtime/runtime.ts';

/** Holds the cpu and memory that a container was created with, as JSON. */
export const resourcesAnnotation = 'knarr.io/container-resources';
/** Remembered changes; the oldest go first. */
const rememberLimit = 4096;

export interface Sizes { cpu: [string | undefined, string | undefined]; memory: [string | undefined, string | undefined] }
const sizesOf = ({ resources = {} }: Container): Sizes => ({ cpu: [resources.requests?.cpu, resources.limits?.cpu], memory: [resources.requests?.memory, resources.limits?.memory] });
export const noteResources = (container: Container): string => JSON.stringify(sizesOf(container));

export interface Resizer {
  /** What changed since the container was created or last resized. */
  change(container: Container, record: ContainerRecord): 'none' | 'update' | 'restart';
  /** The cpu and memory the container runs with where they differ from the spec's; undefined: as specified. */
  current(container: Container, record: ContainerRecord): Sizes | undefined;
  /** Throws when the runtime refuses, or the container uses more memory than its new limit. */
  apply(pod: Pod, container: Container, record: ContainerRecord): Promise<void>;
}

export function createResizer(runtime: Runtime, nodeMemoryBytes: number, log: Logger): Resizer {
  const applied = new Map<string, string>();
  // Through JSON on both sides, so that what is absent compares equal.
  const sizes = (record: ContainerRecord): Sizes | undefined => {
    const text = applied.get(record.id) ?? record.annotations[resourcesAnnotation];
    return text ? JSON.parse(text) as Sizes : undefined;
  };
  return {
    change(container, record) {
      const has = sizes(record);
      const wants = JSON.parse(noteResources(container)) as Sizes;
      if (!has || isDeepStrictEqual(has, wants)) return 'none';
      const policy = (name: string) => container.resizePolicy?.find(({ resourceName }) => resourceName === name)?.restartPolicy;
      return (['cpu', 'memory'] as const).some((name) => !isDeepStrictEqual(has[name], wants[name]) && policy(name) === 'RestartContainer') ? 'restart' : 'update';
    },
    current(container, record) {
      const has = sizes(record);
      return !has || isDeepStrictEqual(has, JSON.parse(noteResources(container))) ? undefined : has;
    },
    async apply(pod, container, record) {
      const linux = containerLinuxResources(pod, container, nodeMemoryBytes);
      const before = sizes(record)?.memory[1];
      if (linux.memoryLimitBytes && (!before || bytesOf(before) > linux.memoryLimitBytes)) {
        const stats = (await runtime.listContainerStats()).find(({ attributes }) => attributes.id === record.id);
        const used = stats?.memory?.usageBytes ?? stats?.memory?.workingSetBytes ?? 0;
        if (used > linux.memoryLimitBytes) throw new Error(`attempting to set container memory limit (${linux.memoryLimitBytes}) below current usage (${used})`);
      }
      await runtime.updateContainerResources(record.id, { cpuShares: linux.cpuShares, cpuPeriod: linux.cpuPeriod, cpuQuota: linux.cpuQuota || -1, ...(linux.memoryLimitBytes ? { memoryLimitInBytes: linux.memoryLimitBytes } : {}), oomScoreAdj: linux.oomScoreAdj });
      if (applied.size >= rememberLimit) applied.delete(applied.keys().next().value!);
      applied.set(record.id, noteResources(container));
      log.info({ pod: pod.metadata.name, container: container.name }, 'resized a container in place');
    },
  };
}
