/** Labels, annotations, folders and other names that upstream's kubelet leaves in runtimes, on disk and in the API. Source: pkg/kubelet/types. */
import type { Pod } from '../api/core/v1.ts';

export const labels = {
  podName: 'io.kubernetes.pod.name', podNamespace: 'io.kubernetes.pod.namespace', podUid: 'io.kubernetes.pod.uid', containerName: 'io.kubernetes.container.name',
} as const;
export const annotations = {
  containerHash: 'io.kubernetes.container.hash', restartCount: 'io.kubernetes.container.restartCount', ports: 'io.kubernetes.container.ports',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath', terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  podDeletionGracePeriod: 'io.kubernetes.pod.deletionGracePeriod', podTerminationGracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
  preStopHandler: 'io.kubernetes.container.preStopHandler',
  configSource: 'kubernetes.io/config.source', configHash: 'kubernetes.io/config.hash', configMirror: 'kubernetes.io/config.mirror', configSeen: 'kubernetes.io/config.seen',
} as const;

/** 'name_namespace(uid)', upstream's format.Pod. */
export function formatPod(pod: Pod): string { return `${pod.metadata.name}_${pod.metadata.namespace ?? ''}(${pod.metadata.uid ?? ''})`; }
/** 'namespace/name' */
export function podKey(pod: Pod): string { return `${pod.metadata.namespace ?? 'default'}/${pod.metadata.name}`; }
export const uidOf = (pod: Pod): string => pod.metadata.uid ?? '';

export const isMirrorPod = (pod: Pod): boolean => pod.metadata.annotations?.[annotations.configMirror] !== undefined;
export const isStaticPod = (pod: Pod): boolean => {
  const source = pod.metadata.annotations?.[annotations.configSource];
  return source !== undefined && source !== 'api';
};

export const podDir = (rootDir: string, uid: string): string => `${rootDir}/pods/${uid}`;
/** The plugin's name as a folder: 'kubernetes.io~configmap'. */
export const volumeDir = (rootDir: string, uid: string, plugin: string, volume: string): string => `${podDir(rootDir, uid)}/volumes/${plugin.replace('/', '~')}/${volume}`;
export const podLogDir = (podLogsDir: string, pod: Pod): string => `${podLogsDir}/${pod.metadata.namespace ?? ''}_${pod.metadata.name}_${uidOf(pod)}`;

/** Go's time.Duration text for whole seconds and above as used in messages: '10s', '1m20s', '5m0s'. */
export function goDuration(ms: number): string {
  if (ms < 1000) return ms === 0 ? '0s' : `${ms}ms`;
  const total = ms / 1000;
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = Number((total % 60).toFixed(3));
  return `${hours ? `${hours}h` : ''}${hours || minutes ? `${minutes}m` : ''}${seconds}s`;
}
