/**
 * What an object counts against ResourceQuotas, and which quotas it falls under. Used by admission and by the controller that
 * counts again. Source: kubernetes.io/docs/concepts/policy/resource-quotas; upstream's pkg/quota/v1/evaluator/core.
 */
import { addQuantity, compareQuantity, parseQuantity, quantityOf, subtractQuantity, zeroQuantity, type Quantity } from '../quantity.ts';
import type { Container, PersistentVolumeClaim, Pod, PodSpec, ResourceQuota, ScopedResourceSelectorRequirement, Service } from './v1.ts';
import { qosClassOf } from './pod-qos.ts';

export type Usage = Record<string, Quantity>;
interface Kind { group: string; plural: string }

const one = quantityOf(1);
/** Core kinds that count under their bare name too. */
const bareCounts = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims', 'pods']);
/** Compute resources that quotas name with and without prefix. */
const compute = ['cpu', 'memory', 'ephemeral-storage'] as const;
const storageClassSuffix = '.storageclass.storage.k8s.io/';

export function quotaUsage({ group, plural }: Kind, object: unknown): Usage {
  const usage: Usage = { [group ? `count/${plural}.${group}` : `count/${plural}`]: one };
  if (group !== '') return usage;
  if (plural === 'pods') return podUsage(object as Pod, usage);
  if (bareCounts.has(plural)) usage[plural] = one;
  if (plural === 'services') {
    const { spec } = object as Service;
    const ports = quantityOf(spec?.ports?.length ?? 0);
    if (spec?.type === 'NodePort') usage['services.nodeports'] = ports;
    if (spec?.type === 'LoadBalancer') {
      usage['services.loadbalancers'] = one;
      if (spec.allocateLoadBalancerNodePorts !== false) usage['services.nodeports'] = ports;
    }
  } else if (plural === 'persistentvolumeclaims') {
    const { spec, metadata } = object as PersistentVolumeClaim;
    const storage = spec?.resources?.requests?.['storage'];
    const className = metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec?.storageClassName ?? '';
    if (storage !== undefined) usage['requests.storage'] = parseQuantity(storage);
    if (className) {
      usage[`${className}${storageClassSuffix}persistentvolumeclaims`] = one;
      if (storage !== undefined) usage[`${className}${storageClassSuffix}requests.storage`] = parseQuantity(storage);
    }
  }
  return usage;
}

function podUsage({ spec, status }: Pod, usage: Usage): Usage {
  if (!spec || status?.phase === 'Succeeded' || status?.phase === 'Failed') return usage; // ended: only the object counts
  usage['pods'] = one;
  for (const [name, amount] of Object.entries(podAmounts(spec, 'requests'))) {
    usage[`requests.${name}`] = amount;
    if ((compute as readonly string[]).includes(name) || name.startsWith('hugepages-')) usage[name] = amount;
  }
  for (const [name, amount] of Object.entries(podAmounts(spec, 'limits'))) if ((compute as readonly string[]).includes(name)) usage[`limits.${name}`] = amount;
  return usage;
}

/** The pod's effective requests or limits: containers and sidecars together, or the largest moment of its init containers; plus overhead. */
function podAmounts(spec: PodSpec, kind: 'requests' | 'limits'): Usage {
  const of = (container: Pick<Container, 'resources'>): Usage => Object.fromEntries(Object.entries(container.resources?.[kind] ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
  let total = spec.containers.map(of).reduce(addUsage, {});
  let sidecars: Usage = {};
  let peak: Usage = {};
  for (const container of spec.initContainers ?? []) {
    const own = of(container);
    if (container.restartPolicy === 'Always') {
      sidecars = addUsage(sidecars, own);
      peak = maxUsage(peak, sidecars);
    } else peak = maxUsage(peak, addUsage(sidecars, own));
  }
  total = maxUsage(addUsage(total, sidecars), peak);
  const podLevel = of(spec);
  total = { ...total, ...podLevel };
  const overhead = Object.fromEntries(Object.entries(spec.overhead ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
  return kind === 'requests' ? addUsage(total, overhead) : addUsage(total, Object.fromEntries(Object.entries(overhead).filter(([name]) => total[name])));
}

export function addUsage(a: Usage, b: Usage): Usage {
  const sum = { ...a };
  for (const [name, amount] of Object.entries(b)) sum[name] = sum[name] ? addQuantity(sum[name], amount) : amount;
  return sum;
}
export function subtractUsage(a: Usage, b: Usage): Usage {
  const left = { ...a };
  for (const [name, amount] of Object.entries(b)) left[name] = subtractQuantity(left[name] ?? zeroQuantity, amount);
  return left;
}
function maxUsage(a: Usage, b: Usage): Usage {
  const max = { ...a };
  for (const [name, amount] of Object.entries(b)) if (!max[name] || compareQuantity(amount, max[name]) > 0) max[name] = amount;
  return max;
}

/** Whether the object falls under the quota's scopes. */
export function inQuotaScopes({ spec }: ResourceQuota, { group, plural }: Kind, object: unknown): boolean {
  const requirements: ScopedResourceSelectorRequirement[] = [...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })), ...(spec?.scopeSelector?.matchExpressions ?? [])];
  if (requirements.length === 0) return true;
  if (group !== '' || plural !== 'pods') return false;
  return requirements.every((requirement) => podInScope((object as Pod).spec!, requirement));
}

function podInScope(spec: PodSpec, { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement): boolean {
  switch (scopeName) {
    case 'Terminating': return spec.activeDeadlineSeconds !== undefined;
    case 'NotTerminating': return spec.activeDeadlineSeconds === undefined;
    case 'BestEffort': return qosClassOf(spec) === 'BestEffort';
    case 'NotBestEffort': return qosClassOf(spec) !== 'BestEffort';
    case 'PriorityClass': {
      const name = spec.priorityClassName ?? '';
      switch (operator) {
        case 'Exists': return name !== '';
        case 'DoesNotExist': return name === '';
        case 'In': return values.includes(name);
        default: return !values.includes(name);
      }
    }
    case 'CrossNamespacePodAffinity': return [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity].some((affinity) => [
      ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []), ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
    ].some((term) => (term.namespaces?.length ?? 0) > 0 || term.namespaceSelector !== undefined));
    default: return false;
  }
}

/** Resources of `hard` that a pod must name but does not, with the containers at fault: `limits.cpu for: a,b`. Pod-level resources count for all. */
export function unnamedResources({ spec }: Pod, hard: readonly string[]): string[] {
  if (!spec) return [];
  const wanted = hard.filter((name) => /^((requests|limits)\.)?(cpu|memory)$/.test(name));
  const missing: string[] = [];
  for (const name of wanted.sort()) {
    const kind = name.startsWith('limits.') ? 'limits' : 'requests';
    const bare = name.replace(/^(requests|limits)\./, '');
    if (spec.resources?.[kind]?.[bare] !== undefined) continue;
    const at = [...spec.containers, ...(spec.initContainers ?? [])].filter(({ resources }) => resources?.[kind]?.[bare] === undefined).map((container) => container.name).sort();
    if (at.length > 0) missing.push(`${name} for: ${at.join(',')}`);
  }
  return missing;
}
