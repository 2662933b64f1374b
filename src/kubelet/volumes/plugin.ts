/** The volume plugin interface and what plugins are given. A plugin is an entry in `plugins.ts`. */
import type { PersistentVolume, Pod, Volume } from '../../api/core/v1.ts';
import type { KubeletConfig } from '../config.ts';
import type { NodeAllocatable, PodAddresses } from '../fields.ts';
import type { Host } from '../host.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { TokenManager } from '../token-manager.ts';

export interface VolumeContext {
  pod: Pod;
  config: KubeletConfig;
  host: Host;
  objects: ObjectCache;
  tokens: TokenManager;
  addresses: PodAddresses;
  allocatable: NodeAllocatable;
  /** The bound PersistentVolume of a claim. Throws when there is none. */
  resolveClaim(namespace: string, claim: string): Promise<PersistentVolume>;
}
/** Where a volume is on the host once it is set up. */
export interface MountedVolume { hostPath: string; readOnly: boolean }

export interface VolumePlugin {
  /** 'kubernetes.io/configmap' */
  name: string;
  handles(volume: Volume): boolean;
  /** Idempotent; called again to refresh when `live`. `dir` is the volume's own folder, not made yet. */
  setUp(volume: Volume, dir: string, context: VolumeContext): Promise<MountedVolume>;
  /** Content follows API objects or time. */
  live?: boolean;
}
