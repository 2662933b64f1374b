/** Events of the kubelet. Reasons and texts are upstream's pkg/kubelet/events; the recorder behind it aggregates and writes them. */
import type { Pod } from '../api/core/v1.ts';
import type { ApiObject } from '../client/client.ts';

export interface Recorder {
  /** `fieldPath`: the part it is about, 'spec.containers{name}'. Never throws, never waits. */
  event(object: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void;
}
export const silentRecorder: Recorder = { event() {} };

export function containerField(pod: Pod, name: string): string {
  const list = pod.spec.initContainers?.some((container) => container.name === name) ? 'initContainers'
    : pod.spec.ephemeralContainers?.some((container) => container.name === name) ? 'ephemeralContainers' : 'containers';
  return `spec.${list}{${name}}`;
}
