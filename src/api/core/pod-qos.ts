/** A pod's quality of service: Guaranteed, Burstable or BestEffort. Source: kubernetes.io/docs/concepts/workloads/pods/pod-qos. */
import type { PodSpec, ResourceRequirements } from './v1.ts';
import { bytesOf, compareQuantity } from '../quantity.ts';

const counted = ['cpu', 'memory'] as const;
const positive = (text: string | undefined): boolean => { try { return text !== undefined && bytesOf(text) > 0; } catch { return false; } };

export function qosClassOf(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const podLevel = spec.resources && (spec.resources.requests || spec.resources.limits);
  const all: (ResourceRequirements | undefined)[] = podLevel ? [spec.resources] : [...spec.initContainers ?? [], ...spec.containers ?? []].map((container) => container.resources);
  let any = false;
  let guaranteed = true;
  for (const resources of all) {
    for (const name of counted) {
      const [request, limit] = [resources?.requests?.[name], resources?.limits?.[name]];
      if (positive(request) || positive(limit)) any = true;
      if (!positive(limit) || (request !== undefined && (!positive(request) || compareQuantity(request, limit!) !== 0))) guaranteed = false;
    }
  }
  return !any ? 'BestEffort' : guaranteed && all.length > 0 ? 'Guaranteed' : 'Burstable';
}
