/**
 * Refuses what would take a namespace over its quotas, and books what it admits at once, so that two requests can't both
 * take the last of it. Requests of one namespace are booked one after another. Source: upstream's apiserver/pkg/admission/plugin/resourcequota.
 */
import type { Pod, ResourceQuota } from '../../api/core/v1.ts';
import { addUsage, inQuotaScopes, quotaUsage, subtractUsage, unnamedResources, type Usage } from '../../api/core/quota-usage.ts';
import { isConflict } from '../../api/meta/status.ts';
import { canonicalQuantity, compareQuantity, formatQuantity, parseQuantity, type Quantity } from '../../api/quantity.ts';
import { resourcequotas } from '../../api/resources.ts';
import { keyOf } from '../../client/informer.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../types.ts';
import { all, oldOf, refuse, type AdmissionDeps } from './plugin.ts';

/** Tries against other writers of the quota's status. */
const attemptsLimit = 5;
/** Kinds whose updates may raise usage. */
const updatable: readonly string[] = ['pods', 'services', 'persistentvolumeclaims'];
/** Kinds that are answered and not kept. */
const unstored = /(reviews|^bindings|^events)$/;

export function resourceQuota(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(resourcequotas);
  const queues = new Map<string, Promise<unknown>>();
  /** As last written here: the informer's copy comes later. */
  const latest = new Map<string, ResourceQuota>();

  async function book(attributes: AdmissionAttributes): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const quotas = (await all(deps, resourcequotas, attributes.namespace)).map((quota) => newer(quota, latest.get(keyOf(quota))));
      const changes = plan(attributes, quotas);
      if (attributes.dryRun) return;
      try {
        for (const change of changes) {
          const written = await deps.client.for(resourcequotas).updateStatus(change);
          latest.set(keyOf(written), written);
        }
        return;
      } catch (err) {
        if (!isConflict(err) || attempt === attemptsLimit) throw err;
        for (const { metadata } of changes) latest.set(`${metadata.namespace}/${metadata.name}`, await deps.client.for(resourcequotas).get({ namespace: metadata.namespace, name: metadata.name }));
      }
    }
  }

  return {
    name: 'ResourceQuota',
    handles: (operation, names, subresource) => subresource === '' && names.scope === 'Namespaced' && !unstored.test(names.plural)
      && (operation === 'CREATE' || (operation === 'UPDATE' && names.group === '' && updatable.includes(names.plural))),
    async validate(attributes) {
      const { namespace } = attributes;
      if ((await all(deps, resourcequotas, namespace)).length === 0) return;
      const before = queues.get(namespace) ?? Promise.resolve();
      const mine = before.then(() => book(attributes), () => book(attributes));
      queues.set(namespace, mine);
      try { await mine; } finally { if (queues.get(namespace) === mine) queues.delete(namespace); }
    },
  };
}

/** The quotas with this request booked on them; throws when one does not hold it. */
function plan(attributes: AdmissionAttributes, quotas: readonly ResourceQuota[]): ResourceQuota[] {
  const { names, object, oldObject, operation } = attributes;
  const next = quotaUsage(names, object);
  const delta: Usage = operation === 'UPDATE' ? subtractUsage(next, quotaUsage(names, oldOf(attributes))) : next;
  const changed: ResourceQuota[] = [];
  for (const quota of quotas) {
    const hard = quota.status?.hard ?? {};
    const inScope = inQuotaScopes(quota, names, object) && (operation !== 'UPDATE' || inQuotaScopes(quota, names, oldObject));
    if (!inScope) continue;
    const counted = Object.keys(hard);
    if (operation === 'CREATE' && names.plural === 'pods' && names.group === '') {
      const missing = unnamedResources(object as unknown as Pod, counted);
      if (missing.length > 0) throw refuse(attributes, `failed quota: ${quota.metadata.name}: must specify ${missing.join('; ')}`);
    }
    const requested = Object.fromEntries(Object.entries(delta).filter(([name, amount]) => counted.includes(name) && amount.nanos !== 0n));
    if (Object.keys(requested).length === 0) continue;
    const used = quota.status?.used ?? {};
    const unknown = Object.keys(requested).filter((name) => used[name] === undefined).sort();
    if (unknown.length > 0) throw refuse(attributes, `status unknown for quota: ${quota.metadata.name}, resources: ${unknown.join(',')}`);
    const sum = addUsage(Object.fromEntries(Object.entries(used).map(([name, amount]) => [name, parseQuantity(amount)])), requested);
    const over = Object.keys(requested).filter((name) => requested[name]!.nanos > 0n && compareQuantity(sum[name]!, hard[name]!) > 0).sort();
    if (over.length > 0) {
      const show = (of: (name: string) => string) => over.map((name) => `${name}=${of(name)}`).join(',');
      throw refuse(attributes, `exceeded quota: ${quota.metadata.name}, requested: ${show((name) => formatQuantity(requested[name]!))}, used: ${show((name) => canonicalQuantity(used[name]!))}, limited: ${show((name) => canonicalQuantity(hard[name]!))}`);
    }
    changed.push({ ...quota, status: { hard, used: Object.fromEntries(Object.entries(sum).map(([name, amount]) => [name, formatQuantity(like(amount, used[name]))])) } });
  }
  return changed;
}

/** Keeps the way the amount was written. */
function like(amount: Quantity, before: string | undefined): Quantity {
  const format = before === undefined ? undefined : parseQuantity(before);
  return format && format.nanos !== 0n ? { ...amount, format: format.format } : amount;
}

function newer(a: ResourceQuota, b: ResourceQuota | undefined): ResourceQuota {
  return b && b.metadata.uid === a.metadata.uid && Number(b.metadata.resourceVersion) > Number(a.metadata.resourceVersion) ? b : a;
}
