/** Which resources the server has, custom and aggregated ones included, one preferred version each. Source: Kubernetes API concepts, discovery. */
import type { APIGroupList, APIResourceList } from '../api/meta/v1.ts';
import type { ResourceNames, Verb } from '../api/resource-names.ts';
import type { ApiObject, Client } from '../client/client.ts';

export interface DiscoveredResource {
  group: string; version: string;
  /** '/api/v1', '/apis/apps/v1' */
  base: string;
  /** Plural. */
  name: string;
  kind: string; namespaced: boolean; verbs: readonly string[];
}

/** Resources with all `verbs`, without subresources. Groups that fail to answer are reported, the others returned. */
export async function discoverPreferred(client: Client, verbs: readonly string[], signal?: AbortSignal): Promise<{ resources: DiscoveredResource[]; error?: string }> {
  const resources: DiscoveredResource[] = [];
  const errors: string[] = [];
  const groups = (await client.request({ method: 'GET', path: '/apis', signal })) as unknown as APIGroupList;
  const take = async (group: string, version: string, seen: Set<string>) => {
    const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    try {
      const list = (await client.request({ method: 'GET', path: base, signal })) as unknown as APIResourceList;
      for (const { name, kind, namespaced, verbs: has } of list.resources) {
        if (name.includes('/') || seen.has(name) || !verbs.every((verb) => has.includes(verb))) continue;
        seen.add(name);
        resources.push({ group, version, base, name, kind, namespaced, verbs: has });
      }
    } catch (err) { errors.push(`${group ? `${group}/` : ''}${version}: ${(err as Error).message}`); }
  };
  await take('', 'v1', new Set());
  for (const { name, versions, preferredVersion } of groups.groups ?? []) {
    const seen = new Set<string>();
    const preferred = preferredVersion?.version;
    if (preferred) await take(name, preferred, seen);
    for (const { version } of versions) if (version !== preferred) await take(name, version, seen);
  }
  return errors.length > 0 ? { resources, error: errors.join(', ') } : { resources };
}

/** For clients of kinds known only at run time. */
export function namesOf(resource: DiscoveredResource): ResourceNames<ApiObject> {
  return {
    group: resource.group, version: resource.version, apiVersion: resource.group ? `${resource.group}/${resource.version}` : resource.version, typeName: '', kind: resource.kind,
    plural: resource.name, singular: resource.kind.toLowerCase(), scope: resource.namespaced ? 'Namespaced' : 'Cluster', verbs: resource.verbs as readonly Verb[], shortNames: [], categories: [], subresources: {},
  };
}
