/**
 * The files of configMap, secret, downwardAPI and projected volumes. Text: kubernetes.io/docs/concepts/storage/projected-volumes;
 * messages are upstream's pkg/volume/{configmap,secret,projected,downwardapi}.
 */
import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret } from '../../api/core/v1.ts';
import { podFieldValue, resourceFieldValue } from '../fields.ts';
import type { PayloadFile } from '../host.ts';
import type { VolumeContext } from './plugin.ts';

type Files = Map<string, PayloadFile>;
const defaultFileMode = 0o644;

function dataOf(object: ConfigMap | Secret, isSecret: boolean): Map<string, Uint8Array> {
  const out = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(object.data ?? {})) out.set(key, Buffer.from(value, isSecret ? 'base64' : 'utf8'));
  if (!isSecret) for (const [key, value] of Object.entries((object as ConfigMap).binaryData ?? {})) out.set(key, Buffer.from(value, 'base64'));
  return out;
}

function selectKeys(files: Files, data: Map<string, Uint8Array>, items: readonly KeyToPath[] | undefined, mode: number, optional: boolean, kind: string): void {
  if (!items || items.length === 0) {
    for (const [key, value] of data) files.set(key, { data: value, mode });
    return;
  }
  for (const item of items) {
    const value = data.get(item.key);
    if (value === undefined) {
      if (optional) continue;
      throw new Error(kind === 'secret' ? `references non-existent secret key: ${item.key}` : `configmap references non-existent config key: ${item.key}`);
    }
    files.set(item.path, { data: value, mode: item.mode ?? mode });
  }
}

export interface ObjectSource { kind: 'configmap' | 'secret'; name: string | undefined; items?: readonly KeyToPath[] | undefined; optional?: boolean | undefined; mode: number }

export async function objectFiles(files: Files, source: ObjectSource, context: VolumeContext): Promise<void> {
  const name = source.name ?? '';
  const object = await context.objects.get(source.kind, context.pod.metadata.namespace ?? 'default', name);
  if (!object) {
    if (source.optional) return;
    throw new Error(`${source.kind === 'secret' ? 'secret' : 'configmap'} "${name}" not found`);
  }
  selectKeys(files, dataOf(object, source.kind === 'secret'), source.items, source.mode, source.optional ?? false, source.kind);
}

export function downwardFiles(files: Files, items: readonly DownwardAPIVolumeFile[] | undefined, mode: number, context: VolumeContext): void {
  const { pod } = context;
  for (const item of items ?? []) {
    let text = '';
    if (item.fieldRef) text = podFieldValue(pod, item.fieldRef.fieldPath, context.addresses);
    else if (item.resourceFieldRef) {
      const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(({ name }) => name === item.resourceFieldRef!.containerName);
      if (!container) throw new Error(`container ${item.resourceFieldRef.containerName} not found`);
      text = resourceFieldValue(container, item.resourceFieldRef, context.allocatable);
    }
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? mode });
  }
}

/** The user all containers run as, when it is the same one: token files are then theirs alone. */
export function commonUser(pod: Pod): number | undefined {
  const users = new Set([...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((container) => container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser));
  return users.size === 1 ? [...users][0] : undefined;
}

export async function projectedFiles(source: ProjectedVolumeSource, context: VolumeContext): Promise<Files> {
  const files: Files = new Map();
  const mode = source.defaultMode ?? defaultFileMode;
  const user = commonUser(context.pod);
  for (const part of source.sources ?? []) {
    if (part.configMap) await objectFiles(files, { kind: 'configmap', ...part.configMap, name: part.configMap.name, mode }, context);
    else if (part.secret) await objectFiles(files, { kind: 'secret', ...part.secret, name: part.secret.name, mode }, context);
    else if (part.downwardAPI) downwardFiles(files, part.downwardAPI.items, mode, context);
    else if (part.serviceAccountToken) {
      const { audience, expirationSeconds, path } = part.serviceAccountToken;
      const token = await context.tokens.token(context.pod, { audience, expirationSeconds });
      const own = user !== undefined || context.pod.spec.securityContext?.fsGroup !== undefined;
      files.set(path, { data: Buffer.from(token), mode: own ? 0o600 : mode, ...(user === undefined ? {} : { uid: user }) });
    } else if (part.clusterTrustBundle?.optional !== true) {
      throw new Error(part.clusterTrustBundle ? 'ClusterTrustBundle projection is not supported in this kubelet' : 'unsupported projected volume source');
    }
  }
  return files;
}
