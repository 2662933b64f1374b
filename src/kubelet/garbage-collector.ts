/**
 * Removes what is left over: dead containers beyond one per name, old sandboxes, folders and containers of pods that are gone, unused
 * images when the disk fills. Text: kubernetes.io/docs/concepts/architecture/garbage-collection.
 */
import { type Clock, every } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { KubeletConfig } from './config.ts';
import type { Host } from './host.ts';
import { labels } from './names.ts';
import type { PodWorkers } from './pod-workers.ts';
import type { Runtime } from './runtime/runtime.ts';
import type { Recorder } from './recorder.ts';

const containerPeriodMs = 60_000;
const imagePeriodMs = 300_000;
const keepDeadPerContainer = 1;
/** Younger dead containers may be about to be restarted from. */
const minimumAgeMs = 0;

export interface GarbageCollector { run(): Promise<void>; containers(): Promise<void>; images(force: boolean): Promise<number> }

export function createGarbageCollector(options: { runtime: Runtime; host: Host; workers: PodWorkers; clock: Clock; log: Logger; config: KubeletConfig; signal: AbortSignal; recorder: Recorder; nodeName: string;
  /** All sources have said what they have: before, a pod that no worker knows may well be wanted. */
  sourcesReady(): boolean;
}): GarbageCollector {
  const { runtime, host, workers, clock, log, config, signal } = options;
  /** When an image was last seen in use, and first seen at all. */
  const images = new Map<string, { firstSeen: number; lastUsed: number }>();

  async function containers(): Promise<void> {
    if (!options.sourcesReady()) return;
    const [all, sandboxes] = await Promise.all([runtime.listContainers(), runtime.listPodSandbox()]);
    const dead = new Map<string, typeof all>();
    for (const item of all) {
      if (item.state !== 'CONTAINER_EXITED' || clock.now() - item.createdAtMs < minimumAgeMs) continue;
      const key = `${item.labels[labels.podUid]}/${item.labels[labels.containerName]}`;
      dead.set(key, [...dead.get(key) ?? [], item]);
    }
    const removed = new Set<string>();
    for (const [key, list] of dead) {
      const uid = key.split('/')[0]!;
      const keep = workers.stateOf(uid) === undefined ? 0 : keepDeadPerContainer;
      for (const item of list.sort((a, b) => b.createdAtMs - a.createdAtMs).slice(keep)) { removed.add(item.id); await runtime.removeContainer(item.id); }
    }
    const newest = new Map<string, { id: string; at: number }>();
    for (const item of sandboxes) {
      const uid = item.labels[labels.podUid] ?? '';
      const known = newest.get(uid);
      if (!known || item.createdAtMs > known.at) newest.set(uid, { id: item.id, at: item.createdAtMs });
    }
    for (const item of sandboxes) {
      const uid = item.labels[labels.podUid] ?? '';
      const needed = all.some((container) => container.podSandboxId === item.id && !removed.has(container.id));
      const isNewest = newest.get(uid)?.id === item.id && workers.stateOf(uid) !== undefined;
      if (item.state === 'SANDBOX_NOTREADY' && !needed && !isNewest) await runtime.removePodSandbox(item.id);
    }
    await leftoverFolders(new Set([...all.filter(({ state }) => state === 'CONTAINER_RUNNING'), ...sandboxes.filter(({ state }) => state === 'SANDBOX_READY')].map((item) => item.labels[labels.podUid] ?? '')));
  }

  async function leftoverFolders(alive: ReadonlySet<string>): Promise<void> {
    if (host.simulated) return;
    for (const uid of await host.listDir(`${config.rootDir}/pods`)) if (workers.stateOf(uid) === undefined && !alive.has(uid)) await host.removeTree(`${config.rootDir}/pods/${uid}`);
    for (const folder of await host.listDir(config.podLogsDir)) {
      const uid = folder.split('_').at(-1)!;
      if (folder.split('_').length === 3 && workers.stateOf(uid) === undefined && !alive.has(uid)) await host.removeTree(`${config.podLogsDir}/${folder}`);
    }
  }

  /** Removes the longest unused images until enough is free; answers the bytes freed. */
  async function collectImages(force: boolean): Promise<number> {
    const now = clock.now();
    const [list, running] = await Promise.all([runtime.images.list(), runtime.listContainers()]);
    const inUse = new Set(running.flatMap((item) => [item.imageRef, item.imageId, item.image.image]));
    for (const image of list) {
      const seen = images.get(image.id) ?? { firstSeen: now, lastUsed: 0 };
      if ([image.id, ...image.repoTags, ...image.repoDigests].some((name) => inUse.has(name))) seen.lastUsed = now;
      images.set(image.id, seen);
    }
    for (const id of images.keys()) if (!list.some((image) => image.id === id)) images.delete(id);
    const { nodeFs } = await host.machine();
    const usedPercent = 100 - Math.floor((nodeFs.availableBytes * 100) / Math.max(1, nodeFs.capacityBytes));
    if (!force && usedPercent < config.imageGCHighThresholdPercent) return 0;
    let toFree = force ? Infinity : Math.floor((nodeFs.capacityBytes * (100 - config.imageGCLowThresholdPercent)) / 100) - nodeFs.availableBytes;
    let freed = 0;
    const candidates = list.filter((image) => !image.pinned && images.get(image.id)!.lastUsed !== now && now - images.get(image.id)!.firstSeen >= config.imageMinimumGCAgeMs)
      .sort((a, b) => images.get(a.id)!.lastUsed - images.get(b.id)!.lastUsed || images.get(a.id)!.firstSeen - images.get(b.id)!.firstSeen);
    for (const image of candidates) {
      if (toFree <= 0) break;
      await runtime.images.remove(image.id);
      toFree -= image.sizeBytes;
      freed += image.sizeBytes;
      log.info({ image: image.repoTags[0] ?? image.id, sizeBytes: image.sizeBytes }, 'removed unused image');
    }
    if (!force && toFree > 0) {
      options.recorder.event({ apiVersion: 'v1', kind: 'Node', metadata: { name: options.nodeName, uid: options.nodeName } }, 'Warning', 'FreeDiskSpaceFailed',
        `Failed to garbage collect required amount of images. Attempted to free ${freed + toFree} bytes, but only found ${freed} bytes eligible to free.`);
    }
    return freed;
  }

  const guarded = (what: string, run: () => Promise<unknown>) => async () => { try { await run(); } catch (error) { if (!signal.aborted) log.warn({ err: (error as Error).message }, `${what} garbage collection failed`); } };
  return {
    containers, images: collectImages,
    async run() {
      await Promise.all([every(clock, containerPeriodMs, signal, guarded('container', containers)), every(clock, imagePeriodMs, signal, guarded('image', () => collectImages(false)))]);
    },
  };
}
