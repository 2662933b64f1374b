/**
 * Cgroups of pods: `kubepods`, a folder per QoS class below it, one per pod below that, with the pod's limits. Speaks cgroup v1 and v2,
 * and both naming schemes. Where a controller is missing or a write is refused, the pod runs without that limit.
 * Text: kubernetes.io/docs/concepts/architecture/cgroups; names: upstream pkg/kubelet/cm.
 */
import { mkdir, readFile, readdir, rmdir, stat, writeFile } from 'node:fs/promises';
import type { Logger } from '../base/log.ts';
import { cpuPeriodMicros } from './resources.ts';

const root = '/sys/fs/cgroup';
const v1Controllers = ['cpu', 'memory', 'pids', 'cpuset', 'cpuacct', 'blkio', 'devices', 'freezer', 'hugetlb', 'net_cls', 'perf_event', 'systemd'];
const v2Controllers = ['cpu', 'memory', 'pids', 'cpuset', 'io', 'hugetlb'];

export type CgroupDriver = 'cgroupfs' | 'systemd';
export interface PodCgroups {
  ensure(uid: string, qos: string, limits: { cpuShares: number; cpuQuota?: number; memoryBytes?: number }): Promise<{ parent: string }>;
  remove(uid: string, qos: string): Promise<void>;
}

/** The path parts from the top: ['kubepods', 'burstable', 'podUID']. */
export function cgroupParts(uid: string, qos: string): string[] {
  return ['kubepods', ...(qos === 'Guaranteed' ? [] : [qos.toLowerCase()]), `pod${uid}`];
}
/** systemd's slices: 'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice'. */
export function slicePath(parts: readonly string[]): string {
  const safe = parts.map((part) => part.replaceAll('-', '_'));
  return safe.map((_, index) => `${safe.slice(0, index + 1).join('-')}.slice`).join('/');
}
/** v2 weight of v1 shares, the kernel documentation's mapping. */
export function sharesToWeight(shares: number): number { return Math.max(1, Math.min(10_000, Math.floor(1 + ((shares - 2) * 9999) / 262_142))); }

export function createPodCgroups(options: { driver: CgroupDriver; cgroupRoot: string; log: Logger }): PodCgroups {
  const { driver, log } = options;
  const above = options.cgroupRoot.replace(/^\/+|\/+$/g, '');
  let version: Promise<'v1' | 'v2'> | undefined;
  const versionOf = () => (version ??= stat(`${root}/cgroup.controllers`).then(() => 'v2' as const, () => 'v1' as const));
  const relative = (parts: readonly string[]) => [above, driver === 'systemd' ? slicePath(parts) : parts.join('/')].filter(Boolean).join('/');
  const made = new Set<string>();
  const warned = new Set<string>();
  const attempt = async (what: string, run: () => Promise<unknown>) => {
    try { await run(); } catch (error) { if (!warned.has(what)) { warned.add(what); log.info({ err: (error as Error).message }, `cgroups: ${what} is not possible here; pods run without it`); } }
  };

  async function hierarchies(): Promise<string[]> {
    const found = await readdir(root).catch((): string[] => []);
    return v1Controllers.filter((name) => found.includes(name));
  }

  async function create(parts: readonly string[]): Promise<void> {
    const key = relative(parts);
    if (made.has(key)) return;
    if ((await versionOf()) === 'v2') {
      await attempt('creating cgroups', () => mkdir(`${root}/${key}`, { recursive: true }));
      const steps = key.split('/').slice(0, -1);
      for (let depth = 0; depth <= steps.length; depth++) {
        const folder = [root, ...steps.slice(0, depth)].join('/');
        for (const name of v2Controllers) await attempt(`the controller ${name}`, () => writeFile(`${folder}/cgroup.subtree_control`, `+${name}`));
      }
    } else {
      for (const name of await hierarchies()) {
        await attempt(`creating cgroups of ${name}`, async () => {
          await mkdir(`${root}/${name}/${key}`, { recursive: true });
          if (name !== 'cpuset') return;
          // A new cpuset is empty and takes no process until it has its parent's sets.
          const steps = key.split('/');
          for (let depth = 1; depth <= steps.length; depth++) for (const file of ['cpuset.cpus', 'cpuset.mems']) {
            const folder = `${root}/cpuset/${steps.slice(0, depth).join('/')}`;
            if ((await readFile(`${folder}/${file}`, 'utf8')).trim() === '') await writeFile(`${folder}/${file}`, await readFile(`${folder}/../${file}`, 'utf8'));
          }
        });
      }
    }
    if (parts.length < 3) made.add(key);
  }

  return {
    async ensure(uid, qos, limits) {
      const parts = cgroupParts(uid, qos);
      for (let depth = 1; depth <= parts.length; depth++) await create(parts.slice(0, depth));
      const path = relative(parts);
      if ((await versionOf()) === 'v2') {
        const folder = `${root}/${path}`;
        await attempt('cpu.weight', () => writeFile(`${folder}/cpu.weight`, String(sharesToWeight(limits.cpuShares))));
        if (limits.cpuQuota !== undefined) await attempt('cpu.max', () => writeFile(`${folder}/cpu.max`, `${limits.cpuQuota} ${cpuPeriodMicros}`));
        if (limits.memoryBytes !== undefined) await attempt('memory.max', () => writeFile(`${folder}/memory.max`, String(limits.memoryBytes)));
      } else {
        await attempt('cpu.shares', () => writeFile(`${root}/cpu/${path}/cpu.shares`, String(limits.cpuShares)));
        if (limits.cpuQuota !== undefined) {
          await attempt('cpu.cfs_period_us', () => writeFile(`${root}/cpu/${path}/cpu.cfs_period_us`, String(cpuPeriodMicros)));
          await attempt('cpu.cfs_quota_us', () => writeFile(`${root}/cpu/${path}/cpu.cfs_quota_us`, String(limits.cpuQuota)));
        }
        if (limits.memoryBytes !== undefined) await attempt('memory.limit_in_bytes', () => writeFile(`${root}/memory/${path}/memory.limit_in_bytes`, String(limits.memoryBytes)));
      }
      // The systemd driver names the innermost slice alone.
      return { parent: driver === 'systemd' ? path.split('/').at(-1)! : `/${path}` };
    },
    async remove(uid, qos) {
      const path = relative(cgroupParts(uid, qos));
      const folders = (await versionOf()) === 'v2' ? [`${root}/${path}`] : (await hierarchies()).map((name) => `${root}/${name}/${path}`);
      for (const folder of folders) await removeFolders(folder);
    },
  };
}

/** Children first; only folders can be removed in a cgroup tree. */
async function removeFolders(folder: string): Promise<void> {
  const items = await readdir(folder, { withFileTypes: true }).catch(() => undefined) ?? [];
  for (const item of items) if (item.isDirectory()) await removeFolders(`${folder}/${item.name}`);
  await rmdir(folder).catch(() => {});
}
