/**
 * fieldRef and resourceFieldRef values, for env and downwardAPI volumes.
 * Text: kubernetes.io/docs/concepts/workloads/pods/downward-api. Map output is upstream's: `key="escaped value"` lines.
 */
import type { Container, Pod, ResourceFieldSelector } from '../api/core/v1.ts';
import { bytesOf, cpuMillis, quantityNumber } from './resources.ts';

/** Go's %q for the characters labels and annotations have. */
function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, (char) => `\\${char}`).replace(/\n/g, '\\n').replace(/\t/g, '\\t').replace(/\r/g, '\\r')}"`;
}
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${quote(value)}`).join('\n');
}

export interface PodAddresses { podIPs: readonly string[]; hostIPs: readonly string[]; nodeName: string }

/** Throws with upstream's words for a path that has no value here. */
export function podFieldValue(pod: Pod, path: string, addresses: PodAddresses): string {
  const subscript = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(path);
  if (subscript) return (pod.metadata[subscript[1] as 'annotations' | 'labels'] ?? {})[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name': return pod.metadata.name;
    case 'metadata.namespace': return pod.metadata.namespace ?? '';
    case 'metadata.uid': return pod.metadata.uid ?? '';
    case 'metadata.labels': return formatMap(pod.metadata.labels);
    case 'metadata.annotations': return formatMap(pod.metadata.annotations);
    case 'spec.nodeName': return pod.spec.nodeName ?? addresses.nodeName;
    case 'spec.serviceAccountName': return pod.spec.serviceAccountName ?? '';
    case 'status.hostIP': return addresses.hostIPs[0] ?? '';
    case 'status.hostIPs': return addresses.hostIPs.join(',');
    case 'status.podIP': return addresses.podIPs[0] ?? '';
    case 'status.podIPs': return addresses.podIPs.join(',');
    default: throw new Error(`unsupported fieldPath: ${path}`);
  }
}

/** What a container without a limit is told: the node's allocatable. */
export interface NodeAllocatable { cpuMillis: number; memoryBytes: number; ephemeralStorageBytes: number }

export function resourceFieldValue(container: Container, selector: ResourceFieldSelector, allocatable: NodeAllocatable): string {
  const [which, ...rest] = selector.resource.split('.');
  const name = rest.join('.');
  const limit = container.resources?.limits?.[name];
  const text = which === 'limits' ? limit : container.resources?.requests?.[name] ?? (limit !== undefined ? limit : undefined);
  const divisor = quantityNumber(selector.divisor) || 1;
  if (name === 'cpu') {
    const millis = text !== undefined && cpuMillis(text) > 0 ? cpuMillis(text) : which === 'limits' ? allocatable.cpuMillis : 0;
    return String(Math.ceil(millis / (divisor * 1000)));
  }
  const fallback = name === 'memory' ? allocatable.memoryBytes : name === 'ephemeral-storage' ? allocatable.ephemeralStorageBytes : 0;
  const bytes = text !== undefined && bytesOf(text) > 0 ? bytesOf(text) : which === 'limits' ? fallback : 0;
  return String(Math.ceil(bytes / divisor));
}
