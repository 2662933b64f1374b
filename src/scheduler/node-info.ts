/** A node with the pods on it and their sums, kept current by differences. Source: scheduler/framework/types.go (NodeInfo). */
import type { Node, Taint } from '../api/core/v1.ts';
import { addAmounts, type Amounts, amountsOf } from './resources.ts';
import type { HostPort, PodInfo } from './pod-info.ts';

export class NodeInfo {
  readonly name: string;
  #node!: Node;
  /** Read-only to plugins. */
  readonly pods = new Map<string, PodInfo>();
  readonly requested: Amounts = new Map();
  scoredCpuMillis = 0;
  scoredMemoryBytes = 0;
  allocatable: Amounts = new Map();
  /** Taints that keep pods away (NoSchedule, NoExecute). */
  hardTaints: readonly Taint[] = [];
  softTaints: readonly Taint[] = [];
  /** Bytes by image name, with how many nodes have it left to the plugin. */
  images = new Map<string, number>();
  readonly #ports = new Map<string, number>();
  /** Pods with any (anti)affinity term, for inter-pod affinity. */
  readonly podsWithAffinity = new Map<string, PodInfo>();
  readonly podsWithRequiredAntiAffinity = new Map<string, PodInfo>();

  constructor(node: Node) {
    this.name = node.metadata.name;
    this.setNode(node);
  }

  get node(): Node { return this.#node; }
  setNode(node: Node): void {
    this.#node = node;
    this.allocatable = amountsOf(node.status?.allocatable ?? node.status?.capacity);
    const taints = node.spec.taints ?? [];
    this.hardTaints = taints.filter((taint) => taint.effect === 'NoSchedule' || taint.effect === 'NoExecute');
    this.softTaints = taints.filter((taint) => taint.effect === 'PreferNoSchedule');
    this.images = new Map((node.status?.images ?? []).flatMap((image) => (image.names ?? []).map((name): [string, number] => [name, image.sizeBytes ?? 0])));
  }

  /** A copy whose pods can be changed; the pods themselves are shared. */
  clone(): NodeInfo {
    const copy = new NodeInfo(this.#node);
    for (const pod of this.pods.values()) copy.addPod(pod);
    return copy;
  }

  addPod(pod: PodInfo): void { if (!this.pods.has(pod.uid)) this.#change(pod, 1); }
  removePod(uid: string): void { const pod = this.pods.get(uid); if (pod) this.#change(pod, -1); }

  #change(pod: PodInfo, sign: 1 | -1): void {
    addAmounts(this.requested, pod.requests, sign);
    this.scoredCpuMillis += sign * pod.scoredCpuMillis;
    this.scoredMemoryBytes += sign * pod.scoredMemoryBytes;
    for (const port of pod.hostPorts) {
      const key = portKey(port);
      const count = (this.#ports.get(key) ?? 0) + sign;
      if (count > 0) this.#ports.set(key, count); else this.#ports.delete(key);
    }
    const affinity = pod.pod.spec.affinity;
    const sets: [boolean, Map<string, PodInfo>][] = [
      [true, this.pods], [Boolean(affinity?.podAffinity ?? affinity?.podAntiAffinity), this.podsWithAffinity],
      [Boolean(affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length), this.podsWithRequiredAntiAffinity],
    ];
    for (const [member, set] of sets) if (sign < 0) set.delete(pod.uid); else if (member) set.set(pod.uid, pod);
  }

  /** Whether a pod here holds the port; 0.0.0.0 collides with every address. */
  portTaken({ protocol, ip, port }: HostPort): boolean {
    if (this.#ports.size === 0) return false;
    if (ip !== '0.0.0.0') return this.#ports.has(portKey({ protocol, ip, port })) || this.#ports.has(portKey({ protocol, ip: '0.0.0.0', port }));
    const end = `/${protocol}/${port}`;
    for (const key of this.#ports.keys()) if (key.endsWith(end)) return true;
    return false;
  }
}

const portKey = ({ protocol, ip, port }: HostPort) => `${ip}/${protocol}/${port}`;
