/**
 * Sets up the volumes of pods, keeps live ones current, takes them down. Driven by the pod syncer, which is woken when an object that a
 * volume shows has changed. Failures back off per volume from 500 ms to 2m2s, as upstream's reconciler.
 */
import type { Pod, Volume } from '../../api/core/v1.ts';
import type { Clock } from '../../base/clock.ts';
import type { Host } from '../host.ts';
import { podDir, uidOf, volumeDir } from '../names.ts';
import type { Recorder } from '../recorder.ts';
import type { MountedVolume, VolumeContext } from './plugin.ts';
import { pluginFor } from './plugins.ts';

const initialBackoffMs = 500;
const maxBackoffMs = 122_000;
/** After this long the summary event follows. Upstream: podAttachAndMountTimeout. */
const summaryAfterMs = 123_000;

/** `retryAfterMs`: when to come again. */
export class VolumeError extends Error {
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) { super(message); this.retryAfterMs = retryAfterMs; }
}
interface Entry { mounted: MountedVolume | undefined; failures: number; retryAt: number; failingSince: number; message: string }

export interface VolumeManager {
  /** All volumes the pod mounts, by name. Refreshes live ones. Throws VolumeError. `urgent` ignores back-off: something changed. */
  ensure(pod: Pod, context: VolumeContext, urgent: boolean): Promise<ReadonlyMap<string, MountedVolume>>;
  tearDown(uid: string): Promise<void>;
  mounted(uid: string): ReadonlyMap<string, MountedVolume>;
}

/** Volumes that no container mounts are not set up. */
function usedVolumes(pod: Pod): Volume[] {
  const used = new Set([...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])]
    .flatMap((container) => [...(container.volumeMounts ?? []).map(({ name }) => name), ...(container.env ?? []).map(({ valueFrom }) => valueFrom?.fileKeyRef?.volumeName ?? '')]));
  return (pod.spec.volumes ?? []).filter((volume) => used.has(volume.name));
}

export function createVolumeManager(options: { host: Host; clock: Clock; recorder: Recorder; rootDir: string }): VolumeManager {
  const { host, clock, recorder, rootDir } = options;
  const pods = new Map<string, Map<string, Entry>>();

  async function ensureOne(volume: Volume, entries: Map<string, Entry>, context: VolumeContext, urgent: boolean): Promise<Entry> {
    let entry = entries.get(volume.name);
    if (!entry) { entry = { mounted: undefined, failures: 0, retryAt: 0, failingSince: 0, message: '' }; entries.set(volume.name, entry); }
    if (entry.failures > 0 && !urgent && clock.now() < entry.retryAt) return entry;
    try {
      const plugin = pluginFor(volume);
      if (entry.mounted && !plugin.live) return entry;
      entry.mounted = await plugin.setUp(volume, volumeDir(rootDir, uidOf(context.pod), plugin.name, volume.name), context);
      entry.failures = 0;
    } catch (error) {
      if (entry.failures === 0) entry.failingSince = clock.now();
      entry.retryAt = clock.now() + Math.min(maxBackoffMs, initialBackoffMs * 2 ** entry.failures);
      entry.failures++;
      entry.message = (error as Error).message;
      recorder.event(context.pod, 'Warning', 'FailedMount', `MountVolume.SetUp failed for volume "${volume.name}" : ${entry.message}`);
    }
    return entry;
  }

  return {
    async ensure(pod, context, urgent) {
      const uid = uidOf(pod);
      let entries = pods.get(uid);
      if (!entries) { entries = new Map(); pods.set(uid, entries); }
      const volumes = usedVolumes(pod);
      const done = await Promise.all(volumes.map((volume) => ensureOne(volume, entries, context, urgent)));
      const missing = volumes.filter((_, index) => !done[index]!.mounted);
      if (missing.length > 0) {
        const failing = done.filter((entry) => !entry.mounted);
        const oldest = Math.min(...failing.map((entry) => entry.failingSince));
        const names = missing.map(({ name }) => name).sort().join(' ');
        const message = `unmounted volumes=[${names}], unattached volumes=[], failed to process volumes=[]: ${failing[0]!.message}`;
        if (clock.now() - oldest >= summaryAfterMs) {
          recorder.event(pod, 'Warning', 'FailedMount', `Unable to attach or mount volumes: unmounted volumes=[${names}], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition`);
          for (const entry of failing) entry.failingSince = clock.now();
        }
        throw new VolumeError(message, Math.max(1, Math.min(...failing.map((entry) => entry.retryAt)) - clock.now()));
      }
      return new Map(volumes.map((volume, index) => [volume.name, done[index]!.mounted!]));
    },
    async tearDown(uid) {
      pods.delete(uid);
      await host.removeTree(podDir(rootDir, uid));
    },
    mounted(uid) {
      return new Map([...(pods.get(uid) ?? [])].flatMap(([name, entry]) => (entry.mounted ? [[name, entry.mounted] as const] : [])));
    },
  };
}
