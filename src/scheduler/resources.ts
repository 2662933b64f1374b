/** What pods ask for and nodes offer, as numbers: cpu in millicores, all else in units or bytes. */
import { bytesOf, cpuMillis } from '../api/quantity.ts';
import type { Pod, PodSpec } from '../api/core/v1.ts';

export type ResourceList = Readonly<Record<string, string | undefined>> | undefined;

/** Amounts by resource name; cpu is 'cpu' in millicores. Absent means 0. */
export type Amounts = Map<string, number>;

/** What scoring assumes of containers that request nothing. Source: scheduler/util/pod_resources.go. */
export const defaultCpuMillis = 100;
export const defaultMemoryBytes = 200 * 1024 * 1024;

export function amountsOf(list: ResourceList): Amounts {
  const amounts: Amounts = new Map();
  for (const [name, quantity] of Object.entries(list ?? {})) amounts.set(name, name === 'cpu' ? cpuMillis(quantity) : bytesOf(quantity));
  return amounts;
}

export function addAmounts(to: Amounts, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (const [name, value] of amounts) to.set(name, (to.get(name) ?? 0) + sign * value);
}
function maxAmounts(to: Amounts, amounts: Amounts): void {
  for (const [name, value] of amounts) if (value > (to.get(name) ?? 0)) to.set(name, value);
}

/** A pod of the first generation was never resized: its spec is what it has. */
export const wasResized = (pod: Pod): boolean => (pod.metadata.generation ?? 1) > 1 && Boolean(pod.spec.nodeName);
/** What the node has promised each container, while a resize may be under way. KEP-1287: the larger of wish and promise counts, and a wish that can't be granted does not. */
function allocatedOf(pod: Pod): Map<string, ResourceList> | undefined {
  if (!wasResized(pod)) return undefined;
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return new Map(statuses.flatMap(({ name, allocatedResources }) => (allocatedResources ? [[name, allocatedResources] as const] : [])));
}
const isInfeasible = (pod: Pod): boolean => pod.status?.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') ?? false;

/**
 * A pod's requests: the larger of its running containers together and any one step of initialisation, plus overhead; pod-level
 * requests override. Sidecars (init containers that restart always) run beside what follows them.
 * Source: component-helpers resource/helpers.go, KEP-753, KEP-2837. `fill` gives what to count for a container's absent requests.
 */
export function podRequests(pod: Pod, fill?: Amounts): Amounts {
  const { spec } = pod;
  const allocated = allocatedOf(pod);
  const infeasible = allocated !== undefined && isInfeasible(pod);
  const requestsOf = (container: PodSpec['containers'][number]): Amounts => {
    const granted = allocated?.get(container.name);
    const amounts = amountsOf(infeasible && granted ? { ...container.resources?.requests, ...granted } : container.resources?.requests);
    if (granted && !infeasible) maxAmounts(amounts, amountsOf(granted));
    for (const [name, value] of fill ?? []) if (!amounts.has(name)) amounts.set(name, value);
    return amounts;
  };
  const total: Amounts = new Map();
  for (const container of spec.containers) addAmounts(total, requestsOf(container));
  const sidecars: Amounts = new Map();
  const initial: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const amounts = requestsOf(container);
    if (container.restartPolicy === 'Always') {
      addAmounts(total, amounts);
      addAmounts(sidecars, amounts);
      maxAmounts(initial, sidecars);
    } else {
      addAmounts(amounts, sidecars);
      maxAmounts(initial, amounts);
    }
  }
  maxAmounts(total, initial);
  for (const [name, value] of amountsOf(spec.resources?.requests)) total.set(name, value);
  addAmounts(total, amountsOf(spec.overhead));
  return total;
}
