/** What the server serves, told to clients: group and resource lists, aggregated discovery, version. Source: Kubernetes API concepts, "API discovery". */
import { createHash } from 'node:crypto';
import type { Json, JsonObject } from '../base/json.ts';
import type { SubresourceNames } from '../api/resource-names.ts';
import type { ResourceTable, ServedResource } from './resource-table.ts';
import { versionPriority } from './version-priority.ts';

/** Groups in upstream's order of preference; others follow by name. Source: pkg/controlplane/apiserver's groupPriorityMinimum. */
const groupOrder = ['', 'apiregistration.k8s.io', 'apps', 'events.k8s.io', 'authentication.k8s.io', 'authorization.k8s.io', 'autoscaling', 'batch', 'certificates.k8s.io',
  'networking.k8s.io', 'policy', 'rbac.authorization.k8s.io', 'storage.k8s.io', 'admissionregistration.k8s.io', 'apiextensions.k8s.io', 'scheduling.k8s.io',
  'coordination.k8s.io', 'node.k8s.io', 'discovery.k8s.io', 'resource.k8s.io', 'flowcontrol.apiserver.k8s.io'];

/** What other servers serve; see `aggregator/`. */
export interface ForeignGroups {
  readonly generation: number;
  groups(): { name: string; versions: string[] }[];
  /** An APIVersionDiscovery; undefined: it is served here. */
  versionDiscovery(group: string, version: string): JsonObject | undefined;
}

export class Discovery {
  readonly #resources: ResourceTable;
  readonly #foreign: ForeignGroups | undefined;
  readonly #made = new Map<string, JsonObject>();
  #generation = '';

  constructor(resources: ResourceTable, foreign?: ForeignGroups) { this.#resources = resources; this.#foreign = foreign; }

  #cached(key: string, make: () => JsonObject): JsonObject {
    const generation = `${this.#resources.generation}/${this.#foreign?.generation ?? ''}`;
    if (this.#generation !== generation) { this.#made.clear(); this.#generation = generation; }
    let value = this.#made.get(key);
    if (!value) this.#made.set(key, value = make());
    return value;
  }

  /** Groups other than core, with their versions, preferred first. */
  groups(): { name: string; versions: string[] }[] {
    if (this.#foreign) return this.#foreign.groups();
    const versions = new Map<string, Set<string>>();
    for (const { names } of this.#resources.all()) {
      if (names.group === '') continue;
      let set = versions.get(names.group);
      if (!set) versions.set(names.group, set = new Set());
      set.add(names.version);
    }
    const rank = (name: string) => { const index = groupOrder.indexOf(name); return index < 0 ? groupOrder.length : index; };
    return [...versions].map(([name, set]) => ({ name, versions: [...set].sort(versionPriority) })).sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1));
  }

  /** /api */
  coreVersions(address: string): JsonObject {
    return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }] };
  }
  /** /apis */
  groupList(): JsonObject { return this.#cached('groups', () => ({ kind: 'APIGroupList', apiVersion: 'v1', groups: this.groups().map(groupJson) })); }
  /** /apis/GROUP */
  group(name: string): JsonObject | undefined {
    const found = this.groups().find((group) => group.name === name);
    return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupJson(found) };
  }
  /** /api/v1 and /apis/GROUP/VERSION */
  resourceList(group: string, version: string): JsonObject | undefined {
    const served = this.#resources.all().filter(({ names }) => names.group === group && names.version === version);
    if (served.length === 0) return undefined;
    return this.#cached(`${group}/${version}`, () => ({
      kind: 'APIResourceList', ...(group === '' ? {} : { apiVersion: 'v1' }), groupVersion: group === '' ? version : `${group}/${version}`,
      resources: served.sort((a, b) => (a.names.plural < b.names.plural ? -1 : 1)).flatMap(resourceJson),
    }));
  }
  /** /api and /apis, aggregated; `version` 'v2' or 'v2beta1'. */
  aggregated(core: boolean, version: string): JsonObject {
    return this.#cached(`aggregated ${core} ${version}`, () => {
      const groups = core ? [{ name: '', versions: ['v1'] }] : this.groups();
      return {
        kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {},
        items: groups.map(({ name, versions }) => ({
          metadata: { ...(name === '' ? {} : { name }), creationTimestamp: null },
          versions: versions.map((served) => this.#foreign?.versionDiscovery(name, served) ?? ({
            version: served, freshness: 'Current',
            resources: this.#resources.all().filter(({ names }) => names.group === name && names.version === served).sort((a, b) => (a.names.plural < b.names.plural ? -1 : 1)).map(aggregatedJson),
          })),
        })),
      };
    });
  }
}

function groupJson({ name, versions }: { name: string; versions: readonly string[] }): JsonObject {
  const all = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: all, preferredVersion: all[0]! };
}
const groupVersionOf = (apiVersion: string) => { const slash = apiVersion.indexOf('/'); return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) }; };
/** For connect, discovery names the methods. */
const verbsOf = ({ verbs = ['get', 'patch', 'update'] }: SubresourceNames): string[] => (verbs.includes('connect') ? ['create', 'get'] : [...verbs]);

/** While its definition is being deleted a custom resource can only be read and deleted. */
const ownVerbs = ({ names, entry }: ServedResource): Json[] => (entry.terminating ? names.verbs.filter((verb) => !['create', 'patch', 'update'].includes(verb)) : [...names.verbs]);

/** Kinds with one hash are stored as one. Source: apiserver/pkg/endpoints/discovery/storageversionhash.go. */
function storageVersionHash({ names, entry }: ServedResource): { storageVersionHash?: string } {
  if (!names.verbs.includes('watch')) return {}; // answered, not stored
  const { group, version, kind } = entry.alias?.of ?? names;
  return { storageVersionHash: createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64') };
}
function resourceJson(served: ServedResource): JsonObject[] {
  const { names, namespaced } = served;
  const { plural, kind, singular, shortNames, categories, subresources } = names;
  return [
    { name: plural, singularName: singular, namespaced, kind, verbs: ownVerbs(served), ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}), ...(categories.length > 0 ? { categories: [...categories] } : {}), ...storageVersionHash(served) },
    ...Object.entries(subresources).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, subresource]) => ({
      name: `${plural}/${name}`, singularName: '', namespaced,
      ...(subresource.apiVersion && subresource.apiVersion !== names.apiVersion ? groupVersionOf(subresource.apiVersion) : {}), kind: subresource.kind ?? kind, verbs: verbsOf(subresource),
    })),
  ];
}
function aggregatedJson(served: ServedResource): JsonObject {
  const { names, namespaced } = served;
  const { plural, kind, singular, shortNames, categories, subresources, group, version } = names;
  const extra = Object.entries(subresources).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, subresource]) => ({
    subresource: name, responseKind: { ...(subresource.apiVersion ? groupVersionOf(subresource.apiVersion) : { group, version }), kind: subresource.kind ?? kind }, verbs: verbsOf(subresource),
  }));
  return {
    resource: plural, responseKind: { group, version, kind }, scope: namespaced ? 'Namespaced' : 'Cluster', singularResource: singular, verbs: ownVerbs(served),
    ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}), ...(categories.length > 0 ? { categories: [...categories] } : {}), ...(extra.length > 0 ? { subresources: extra } : {}),
  };
}
