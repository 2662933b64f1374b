/** Defaults and bounds on what pods and claims ask for, by the namespace's LimitRanges. Source: upstream's plugin/pkg/admission/limitranger. */
import type { LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '../../api/core/v1.ts';
import { addQuantity, canonicalQuantity, compareQuantity, formatQuantity, parseQuantity, type Quantity } from '../../api/quantity.ts';
import { limitranges, persistentvolumeclaims, pods } from '../../api/resources.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../types.ts';
import { all, draft, on, refuse, type AdmissionDeps } from './plugin.ts';

type Amounts = Readonly<Record<string, string>>;
const annotation = 'kubernetes.io/limit-ranger';

export function limitRanger(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(limitranges);
  const onPods = on(pods, ['CREATE']);
  const onClaims = on(persistentvolumeclaims, ['CREATE', 'UPDATE']);
  return {
    name: 'LimitRanger',
    handles: (operation, names, subresource) => onPods(operation, names, subresource) || onClaims(operation, names, subresource),
    async admit(attributes) {
      if (attributes.names.plural !== 'pods') return;
      for (const range of await all(deps, limitranges, attributes.namespace)) setDefaults(draft<Pod>(attributes), range);
    },
    async validate(attributes) {
      for (const range of await all(deps, limitranges, attributes.namespace)) {
        const errors = attributes.names.plural === 'pods' ? checkPod(attributes, range) : checkClaim(attributes, range);
        if (errors.length > 0) throw refuse(attributes, errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`);
      }
    },
  };
}

function setDefaults(pod: ReturnType<typeof draft<Pod>>, range: LimitRange): void {
  const item = { limits: {} as Record<string, string>, requests: {} as Record<string, string> };
  for (const limit of range.spec?.limits ?? []) if (limit.type === 'Container') { Object.assign(item.limits, limit.default); Object.assign(item.requests, limit.defaultRequest); }
  const notes: string[] = [];
  const fill = (containers: typeof pod.spec.containers, what: string) => {
    for (const container of containers) {
      for (const kind of ['requests', 'limits'] as const) {
        const set: string[] = [];
        for (const [name, amount] of Object.entries(item[kind])) {
          if (container.resources?.[kind]?.[name] !== undefined) continue;
          container.resources = { ...container.resources, [kind]: { ...container.resources?.[kind], [name]: amount } };
          set.push(name);
        }
        if (set.length > 0) notes.push(`${set.sort().join(', ')} ${kind === 'requests' ? 'request' : 'limit'} for ${what} ${container.name}`);
      }
    }
  };
  fill(pod.spec.containers, 'container');
  fill(pod.spec.initContainers ?? [], 'init container');
  if (notes.length > 0) pod.metadata.annotations = { ...pod.metadata.annotations, [annotation]: `LimitRanger plugin set: ${notes.join('; ')}` };
}

function checkPod({ object }: AdmissionAttributes, range: LimitRange): string[] {
  const { spec } = object as unknown as Pod;
  const errors: string[] = [];
  for (const limit of range.spec?.limits ?? []) {
    if (limit.type === 'Container') {
      for (const { resources } of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) errors.push(...check(limit, resources?.requests ?? {}, resources?.limits ?? {}));
    } else if (limit.type === 'Pod') errors.push(...check(limit, podTotal(spec, 'requests'), podTotal(spec, 'limits')));
  }
  return errors;
}

/** What all containers name, summed; or what one init container takes, where that is more. */
function podTotal(spec: Pod['spec'], kind: 'requests' | 'limits'): Amounts {
  if (spec?.resources?.[kind]) return spec.resources[kind];
  const lists = (spec?.containers ?? []).map(({ resources }) => resources?.[kind] ?? {});
  const total: Record<string, Quantity> = {};
  for (const name of new Set(lists.flatMap((list) => Object.keys(list)))) {
    if (lists.every((list) => list[name] !== undefined)) total[name] = lists.map((list) => parseQuantity(list[name]!)).reduce(addQuantity);
  }
  for (const { resources } of spec?.initContainers ?? []) {
    for (const [name, amount] of Object.entries(resources?.[kind] ?? {})) if (!total[name] || compareQuantity(amount, total[name]) > 0) total[name] = parseQuantity(amount);
  }
  return Object.fromEntries(Object.entries(total).map(([name, amount]) => [name, formatQuantity(amount)]));
}

function checkClaim({ object }: AdmissionAttributes, range: LimitRange): string[] {
  const requests = (object as unknown as PersistentVolumeClaim).spec?.resources?.requests ?? {};
  return (range.spec?.limits ?? []).filter(({ type }) => type === 'PersistentVolumeClaim').flatMap((limit) => [
    ...entries(limit.min).flatMap(([name, bound]) => minimum(limit.type, name, bound, requests, {})),
    ...entries(limit.max).flatMap(([name, bound]) => {
      const start = `maximum ${name} usage per ${limit.type} is ${canonicalQuantity(bound)}`;
      const request = requests[name];
      return request === undefined ? [`${start}.  No request is specified`] : compareQuantity(request, bound) > 0 ? [`${start}, but request is ${canonicalQuantity(request)}`] : [];
    }),
  ]);
}

const entries = (amounts: Amounts | undefined): [string, string][] => Object.entries(amounts ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));

function check(limit: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return [
    ...entries(limit.min).flatMap(([name, bound]) => minimum(limit.type, name, bound, requests, limits)),
    ...entries(limit.max).flatMap(([name, bound]) => maximum(limit.type, name, bound, requests, limits)),
    ...entries(limit.maxLimitRequestRatio).flatMap(([name, bound]) => ratio(limit.type, name, bound, requests, limits)),
  ];
}

function minimum(type: string, name: string, bound: string, requests: Amounts, limits: Amounts): string[] {
  const start = `minimum ${name} usage per ${type} is ${canonicalQuantity(bound)}`;
  const [request, limit] = [requests[name], limits[name]];
  if (request === undefined) return [`${start}.  No request is specified`];
  if (compareQuantity(request, bound) < 0) return [`${start}, but request is ${canonicalQuantity(request)}`];
  return limit !== undefined && compareQuantity(limit, bound) < 0 ? [`${start}, but limit is ${canonicalQuantity(limit)}`] : [];
}
function maximum(type: string, name: string, bound: string, requests: Amounts, limits: Amounts): string[] {
  const start = `maximum ${name} usage per ${type} is ${canonicalQuantity(bound)}`;
  const [request, limit] = [requests[name], limits[name]];
  if (limit === undefined) return [`${start}.  No limit is specified`];
  if (compareQuantity(limit, bound) > 0) return [`${start}, but limit is ${canonicalQuantity(limit)}`];
  return request !== undefined && compareQuantity(request, bound) > 0 ? [`${start}, but request is ${canonicalQuantity(request)}`] : [];
}
function ratio(type: string, name: string, bound: string, requests: Amounts, limits: Amounts): string[] {
  const start = `${name} max limit to request ratio per ${type} is ${canonicalQuantity(bound)}, but`;
  const [request, limit] = [requests[name], limits[name]].map((amount) => (amount === undefined ? 0n : parseQuantity(amount).nanos)) as [bigint, bigint];
  if (request === 0n) return [`${start} no request is specified or request is 0`];
  if (limit === 0n) return [`${start} no limit is specified or limit is 0`];
  const provided = Number(limit) / Number(request);
  return provided > Number(parseQuantity(bound).nanos) / 1e9 ? [`${start} provided ratio is ${provided.toFixed(6)}`] : [];
}
