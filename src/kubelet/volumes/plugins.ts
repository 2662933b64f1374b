/** The volume plugins. Text: kubernetes.io/docs/concepts/storage/volumes. To add one, add an entry. */
import type { Volume } from '../../api/core/v1.ts';
import { bytesOf, podRequests } from '../resources.ts';
import { downwardFiles, objectFiles, projectedFiles } from './payload.ts';
import type { MountedVolume, VolumeContext, VolumePlugin } from './plugin.ts';
import type { Payload, PayloadFile } from '../host.ts';

const defaultFileMode = 0o644;
const fsGroupOf = (context: VolumeContext) => context.pod.spec.securityContext?.fsGroup;

async function publish(dir: string, payload: Payload, context: VolumeContext): Promise<MountedVolume> {
  await context.host.makeDir(dir, 0o777);
  await context.host.writePayload(dir, payload, fsGroupOf(context));
  return { hostPath: dir, readOnly: true };
}

async function own(path: string, readOnly: boolean, context: VolumeContext): Promise<void> {
  const group = fsGroupOf(context);
  if (group !== undefined) await context.host.setGroup(path, group, { readOnly, onlyRootMismatch: context.pod.spec.securityContext?.fsGroupChangePolicy === 'OnRootMismatch' });
}

const emptyDir: VolumePlugin = {
  name: 'kubernetes.io/empty-dir', handles: (volume) => volume.emptyDir !== undefined,
  async setUp(volume, dir, context) {
    await context.host.makeDir(dir, 0o777);
    if (volume.emptyDir?.medium === 'Memory') {
      const limits = [volume.emptyDir.sizeLimit ? bytesOf(volume.emptyDir.sizeLimit) : 0, podRequests(context.pod, 'limits').memory ?? 0, context.allocatable.memoryBytes].filter((bytes) => bytes > 0);
      await context.host.mountTmpfs(dir, limits.length > 0 ? Math.min(...limits) : undefined);
    }
    await own(dir, false, context);
    return { hostPath: dir, readOnly: false };
  },
};

async function hostPathSetUp(path: string, type: string, context: VolumeContext): Promise<MountedVolume> {
  const { host } = context;
  const found = await host.fileType(path);
  const fail = (what: string): never => { throw new Error(`hostPath type check failed: ${path} is not ${what}`); };
  if (type === 'DirectoryOrCreate' && !found) await host.makeDir(path, 0o755);
  else if (type === 'FileOrCreate' && !found) await host.writeFile(path, '', 0o644);
  else if (type === 'Directory' || type === 'DirectoryOrCreate') { if (found !== 'directory') fail('a directory'); }
  else if (type === 'File' || type === 'FileOrCreate') { if (found !== 'file') fail('a file'); }
  else if (type === 'Socket') { if (found !== 'socket') fail('a socket file'); }
  else if (type === 'CharDevice') { if (found !== 'char') fail('a character device'); }
  else if (type === 'BlockDevice') { if (found !== 'block') fail('a block device'); }
  // No type: containers' runtimes make a missing folder; so do we, for all alike.
  else if (!found) await host.makeDir(path, 0o755);
  return { hostPath: path, readOnly: false };
}
const hostPath: VolumePlugin = {
  name: 'kubernetes.io/host-path', handles: (volume) => volume.hostPath !== undefined,
  setUp: (volume, _dir, context) => hostPathSetUp(volume.hostPath!.path, volume.hostPath!.type ?? '', context),
};

const configMap: VolumePlugin = {
  name: 'kubernetes.io/configmap', live: true, handles: (volume) => volume.configMap !== undefined,
  async setUp(volume, dir, context) {
    const source = volume.configMap!;
    const files = new Map<string, PayloadFile>();
    await objectFiles(files, { kind: 'configmap', name: source.name, items: source.items, optional: source.optional, mode: source.defaultMode ?? defaultFileMode }, context);
    return publish(dir, files, context);
  },
};
const secret: VolumePlugin = {
  name: 'kubernetes.io/secret', live: true, handles: (volume) => volume.secret !== undefined,
  async setUp(volume, dir, context) {
    const source = volume.secret!;
    const files = new Map<string, PayloadFile>();
    await objectFiles(files, { kind: 'secret', name: source.secretName, items: source.items, optional: source.optional, mode: source.defaultMode ?? defaultFileMode }, context);
    return inMemory(dir, files, context);
  },
};
/** Secrets and tokens never touch the disk. */
async function inMemory(dir: string, files: Payload, context: VolumeContext): Promise<MountedVolume> {
  await context.host.makeDir(dir, 0o777);
  await context.host.mountTmpfs(dir, undefined);
  return publish(dir, files, context);
}
const projected: VolumePlugin = {
  name: 'kubernetes.io/projected', live: true, handles: (volume) => volume.projected !== undefined,
  setUp: async (volume, dir, context) => inMemory(dir, await projectedFiles(volume.projected!, context), context),
};
const downwardApi: VolumePlugin = {
  name: 'kubernetes.io/downward-api', live: true, handles: (volume) => volume.downwardAPI !== undefined,
  async setUp(volume, dir, context) {
    const files = new Map<string, PayloadFile>();
    downwardFiles(files, volume.downwardAPI!.items, volume.downwardAPI!.defaultMode ?? defaultFileMode, context);
    return publish(dir, files, context);
  },
};

const claim: VolumePlugin = {
  name: 'kubernetes.io/local-volume', handles: (volume) => volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined,
  async setUp(volume, _dir, context) {
    const { pod } = context;
    const name = volume.persistentVolumeClaim?.claimName ?? `${pod.metadata.name}-${volume.name}`;
    const pv = await context.resolveClaim(pod.metadata.namespace ?? 'default', name);
    const readOnly = volume.persistentVolumeClaim?.readOnly ?? false;
    if (pv.spec?.hostPath) return { ...(await hostPathSetUp(pv.spec.hostPath.path, pv.spec.hostPath.type ?? '', context)), readOnly };
    if (pv.spec?.local) {
      if (!(await context.host.fileType(pv.spec.local.path))) throw new Error(`path "${pv.spec.local.path}" does not exist`);
      if (!readOnly) await own(pv.spec.local.path, false, context);
      return { hostPath: pv.spec.local.path, readOnly };
    }
    throw new Error(`no volume plugin matched for persistent volume "${pv.metadata.name}"`);
  },
};

export const volumePlugins: readonly VolumePlugin[] = [emptyDir, hostPath, configMap, secret, projected, downwardApi, claim];
export function pluginFor(volume: Volume): VolumePlugin {
  const plugin = volumePlugins.find((candidate) => candidate.handles(volume));
  if (!plugin) throw new Error(`failed to get Plugin from volumeSpec for volume "${volume.name}" err=no volume plugin matched`);
  return plugin;
}
