/**
 * Makes the default roles and bindings at start: creates what is missing, adds missing rules and subjects to those marked
 * autoupdate. One list per kind, then writes only where something differs. Source: upstream's rbac/reconciliation.
 */
import { isAlreadyExists, isNotFound } from '../../api/meta/status.ts';
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../api/rbac/v1.ts';
import { clusterrolebindings, clusterroles, rolebindings, roles } from '../../api/resources.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { ApiObject, Client, NewObject } from '../../client/client.ts';
import { keyOf } from '../../client/informer.ts';
import { autoUpdateAnnotation, defaultRbac } from './default-roles.ts';
import { uncovered } from './policy-rules.ts';

/** Returns how many objects were written. `client` must be privileged. The namespaces kube-system and kube-public must exist for their roles; without them those are left for the next start. */
export async function reconcileDefaultRoles(client: Client, signal?: AbortSignal): Promise<number> {
  const wanted = defaultRbac();
  const written = await Promise.all([
    reconcile<ClusterRole>(client, clusterroles, wanted.clusterroles, withRules, signal), reconcile<ClusterRoleBinding>(client, clusterrolebindings, wanted.clusterrolebindings, withSubjects, signal),
    reconcile<Role>(client, roles, wanted.roles, withRules, signal), reconcile<RoleBinding>(client, rolebindings, wanted.rolebindings, withSubjects, signal),
  ]);
  return written.reduce((sum, count) => sum + count, 0);
}

async function reconcile<T extends ApiObject>(client: Client, names: ResourceNames<T>, wanted: readonly T[], merge: (found: T, wanted: T) => T | undefined, signal?: AbortSignal): Promise<number> {
  const resource = client.for(names);
  const found = new Map((await resource.list({ signal, labelSelector: undefined })).items.map((object) => [keyOf(object), object]));
  let written = 0;
  await Promise.all(wanted.map(async (object) => {
    const old = found.get(keyOf(object));
    if (!old) {
      try { await resource.create(object as unknown as NewObject<T>, { namespace: object.metadata.namespace, signal }); written++; } catch (err) {
        if (!isAlreadyExists(err) && !isNotFound(err)) throw err;
      }
      return;
    }
    if (old.metadata.annotations?.[autoUpdateAnnotation] === 'false') return;
    const next = merge(old, object);
    if (next) { await resource.update(next, { signal }); written++; }
  }));
  return written;
}

function withRules<T extends { readonly rules?: readonly PolicyRule[]; readonly aggregationRule?: unknown }>(found: T, wanted: T): T | undefined {
  if (wanted.aggregationRule) return found.aggregationRule ? undefined : { ...found, aggregationRule: wanted.aggregationRule };
  const missing = uncovered(wanted.rules ?? [], found.rules ?? []);
  return missing.length === 0 ? undefined : { ...found, rules: [...(found.rules ?? []), ...missing] };
}
function withSubjects<T extends { readonly subjects?: readonly Subject[] }>(found: T, wanted: T): T | undefined {
  const missing = (wanted.subjects ?? []).filter((subject) => !found.subjects?.some((one) => one.kind === subject.kind && one.name === subject.name && (one.namespace ?? '') === (subject.namespace ?? '')));
  return missing.length === 0 ? undefined : { ...found, subjects: [...(found.subjects ?? []), ...missing] };
}
