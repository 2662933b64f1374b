/** What a resource is called and where it lives; see `resources.ts` for the built-in ones. Custom resources make their own at run time. */
import { typeOf, findType } from './schema.ts';

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch' | 'connect';
export const standardVerbs: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

export interface SubresourceNames {
  /** Default: get, patch, update. */
  verbs?: readonly Verb[];
  /** The kind it speaks where that is not the resource's own: `Scale`, `Eviction`, `TokenRequest`, `PodExecOptions`… */
  kind?: string;
  /** That kind's apiVersion where it differs from the resource's. */
  apiVersion?: string;
}

/** `T` is the TypeScript type of the objects; it exists at compile time only. */
export interface ResourceNames<T = unknown> {
  /** '' for core. */
  group: string;
  version: string;
  /** group/version on the wire: 'v1', 'apps/v1'. */
  apiVersion: string;
  /** The schema's name of the type: 'core/v1.Pod'; '' for custom resources. */
  typeName: string;
  kind: string;
  plural: string;
  singular: string;
  scope: 'Namespaced' | 'Cluster';
  verbs: readonly Verb[];
  shortNames: readonly string[];
  categories: readonly string[];
  subresources: Readonly<Record<string, SubresourceNames>>;
  /** Where it is not the kind with 'List' behind it. */
  listKind?: string;
  readonly __type?: T;
}

type Options = Partial<Pick<ResourceNames, 'scope' | 'verbs' | 'shortNames' | 'categories' | 'subresources'>>;

const all: ResourceNames[] = [];

export function defineNames<T>(groupVersionKey: string, plural: string, kind: string, options: Options = {}): ResourceNames<T> {
  const typeName = `${groupVersionKey}.${kind}`;
  const { apiVersion } = findType(typeName) ? typeOf(typeName) : { apiVersion: groupVersionKey };
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') as [string, string] : ['', apiVersion];
  const names: ResourceNames<T> = {
    group, version, apiVersion, typeName, kind, plural, singular: kind.toLowerCase(), scope: 'Namespaced',
    verbs: standardVerbs, shortNames: [], categories: [], subresources: {}, ...options,
  };
  all.push(names);
  return names;
}

/** Every built-in resource, in definition order. Import `resources.ts` first. */
export function builtInResources(): readonly ResourceNames[] { return all; }

export function listKindOf({ kind, listKind }: Pick<ResourceNames, 'kind' | 'listKind'>): string { return listKind ?? `${kind}List`; }

/** '/api/v1/namespaces/NS/pods/NAME/log'; parts left out end the path earlier. */
export function resourcePath(names: Pick<ResourceNames, 'group' | 'version' | 'plural' | 'scope'>, at: { namespace?: string | undefined; name?: string | undefined; subresource?: string | undefined } = {}): string {
  let path = names.group === '' ? `/api/${names.version}` : `/apis/${names.group}/${names.version}`;
  if (names.scope === 'Namespaced' && at.namespace) path += `/namespaces/${encodeURIComponent(at.namespace)}`;
  path += `/${names.plural}`;
  if (at.name !== undefined) path += `/${encodeURIComponent(at.name)}`;
  if (at.subresource) path += `/${at.subresource}`;
  return path;
}
