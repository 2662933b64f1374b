/** Builders that show only what matters to a test: `makePod({ cpu: '500m' })`. Every object gets a uid of its own. */
import type { Container, Node, Pod, PodSpec, Taint } from '../api/core/v1.ts';
import type { ObjectMeta } from '../api/meta/v1.ts';

let serial = 0;

function meta(kind: string, name: string | undefined, rest: Partial<ObjectMeta> = {}): ObjectMeta {
  serial++;
  return { name: name ?? `${kind}-${serial}`, uid: `${kind}-uid-${serial}`, resourceVersion: String(serial), creationTimestamp: '2026-01-01T00:00:00Z', ...rest };
}

export interface PodParts { name?: string; cpu?: string; memory?: string; node?: string; labels?: Record<string, string>; image?: string; hostPort?: number; spec?: Partial<PodSpec>; phase?: string; metadata?: Partial<ObjectMeta> }

export function makePod(parts: PodParts = {}): Pod {
  const requests = { ...(parts.cpu ? { cpu: parts.cpu } : {}), ...(parts.memory ? { memory: parts.memory } : {}) };
  const container: Container = {
    name: 'c', image: parts.image ?? 'busybox:1.35', resources: { requests },
    ...(parts.hostPort ? { ports: [{ containerPort: parts.hostPort, hostPort: parts.hostPort, protocol: 'TCP' }] } : {}),
  };
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: meta('pod', parts.name, { namespace: 'default', ...(parts.labels ? { labels: parts.labels } : {}), ...parts.metadata }),
    spec: { containers: [container], schedulerName: 'default-scheduler', ...(parts.node ? { nodeName: parts.node } : {}), ...parts.spec },
    status: { phase: parts.phase ?? 'Pending' },
  };
}

export interface NodeParts { name?: string; cpu?: string; memory?: string; pods?: string; labels?: Record<string, string>; taints?: Taint[]; unschedulable?: boolean; images?: [string, number][] }

export function makeNode(parts: NodeParts = {}): Node {
  const allocatable = { cpu: parts.cpu ?? '4', memory: parts.memory ?? '8Gi', pods: parts.pods ?? '110' };
  return {
    apiVersion: 'v1', kind: 'Node', metadata: meta('node', parts.name, { ...(parts.labels ? { labels: parts.labels } : {}) }),
    spec: { ...(parts.taints ? { taints: parts.taints } : {}), ...(parts.unschedulable ? { unschedulable: true } : {}) },
    status: {
      allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }],
      images: (parts.images ?? []).map(([name, sizeBytes]) => ({ names: [name], sizeBytes })),
    },
  };
}
