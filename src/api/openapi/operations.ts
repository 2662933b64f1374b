/**
 * Every operation on a set of resources, as neutral records that `documents.ts` writes in either OpenAPI version. Paths, operation ids
 * and x-kubernetes-action are upstream's. Source: apiserver/pkg/endpoints/installer.go, and the published v1.36 document.
 */
import type { ResourceNames, Verb } from '../resource-names.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete' | 'options' | 'head';
export interface Parameter { name: string; in: 'query' | 'path'; type: 'string' | 'boolean' | 'integer'; required?: boolean; description?: string }
export interface Operation {
  path: string;
  method: Method;
  operationId: string;
  /** x-kubernetes-action; undefined for discovery. */
  action?: string;
  tag: string;
  description: string;
  gvk?: { group: string; version: string; kind: string };
  /** Schema name (`apps/v1.Deployment`), or 'patch'. */
  body?: { type: string; required: boolean };
  responses: readonly { code: number; description: string; type?: string; text?: boolean }[];
  parameters: readonly Parameter[];
  /** Of a custom resource, which knows no strategic merge. */
  custom?: boolean;
  produces: 'objects' | 'watch' | 'discovery' | 'any' | 'text';
}

const query = (name: string, type: Parameter['type'] = 'string'): Parameter => ({ name, in: 'query', type });
const pathParameter = (name: string): Parameter => ({ name, in: 'path', type: 'string', required: true });
const listParameters = [query('allowWatchBookmarks', 'boolean'), query('continue'), query('fieldSelector'), query('labelSelector'), query('limit', 'integer'), query('resourceVersion'),
  query('resourceVersionMatch'), query('sendInitialEvents', 'boolean'), query('shardSelector'), query('timeoutSeconds', 'integer'), query('watch', 'boolean')];
const writeParameters = [query('dryRun'), query('fieldManager'), query('fieldValidation')];
const deleteParameters = [query('dryRun'), query('gracePeriodSeconds', 'integer'), query('ignoreStoreReadErrorWithClusterBreakingPotential', 'boolean'), query('orphanDependents', 'boolean'), query('propagationPolicy')];
const collectionDeleteParameters = [query('continue'), query('dryRun'), query('fieldSelector'), query('gracePeriodSeconds', 'integer'), query('ignoreStoreReadErrorWithClusterBreakingPotential', 'boolean'), query('labelSelector'), query('limit', 'integer'),
  query('orphanDependents', 'boolean'), query('propagationPolicy'), query('resourceVersion'), query('resourceVersionMatch'), query('sendInitialEvents', 'boolean'), query('shardSelector'), query('timeoutSeconds', 'integer')];
const pretty = query('pretty');

const capital = (text: string) => (text ? text[0]!.toUpperCase() + text.slice(1) : '');
const groupWords = (group: string) => (group === '' ? ['core'] : group.replace(/\.k8s\.io$/, '').split('.'));
/** 'RbacAuthorizationV1' */
const idPart = (group: string, version = '') => groupWords(group).map(capital).join('') + capital(version);
/** 'rbacAuthorization_v1' */
const tagOf = (group: string, version?: string) => { const [head = '', ...rest] = groupWords(group); return head + rest.map(capital).join('') + (version ? `_${version}` : ''); };

/** 'a Pod', 'an Event', 'Endpoints'. */
const some = (kind: string) => (kind === 'Endpoints' ? kind : `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`);

const ok = (type: string) => ({ code: 200, description: 'OK', type });
const created = (type: string) => ({ code: 201, description: 'Created', type });
const accepted = (type: string) => ({ code: 202, description: 'Accepted', type });
const unauthorized = { code: 401, description: 'Unauthorized' };

/** The schema name of a kind on the wire: 'policy/v1' 'Eviction' → 'policy/v1.Eviction'. */
function typeNameOf(apiVersion: string, kind: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') as [string, string] : ['core', apiVersion];
  const folder = group.replace(/\.k8s\.io$/, '').split('.')[0]!;
  return `${folder}/${version}.${kind}`;
}

export function operationsOf(names: ResourceNames): Operation[] {
  const { group, version, kind, plural, verbs } = names;
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const namespaced = names.scope === 'Namespaced';
  const scope = namespaced ? 'Namespaced' : '';
  const id = idPart(group, version);
  const collection = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`;
  const item = `${collection}/{name}`;
  const own = names.typeName || `${names.apiVersion}.${kind}`;
  const list = names.listKind ? `${names.apiVersion}.${names.listKind}` : `${own}List`;
  const custom = names.typeName === '';
  const namespaceParameter = namespaced ? [pathParameter('namespace')] : [];
  const out: Operation[] = [];
  const has = (verb: Verb) => verbs.includes(verb);
  const add = (path: string, method: Method, operationId: string, action: string, description: string, parameters: readonly Parameter[], responses: Operation['responses'], extra: Partial<Operation> = {}) => out.push({
    path, method, operationId, action, description, tag: tagOf(group, version), gvk: { group, version, kind }, responses: [...responses, unauthorized], produces: 'objects', ...(custom ? { custom } : {}),
    parameters: [...parameters, ...(path.includes('{name}') ? [pathParameter('name')] : []), ...(path.includes('{namespace}') ? namespaceParameter : []),
      ...(path.includes('{path}') ? [pathParameter('path')] : []), ...(action === 'connect' ? [] : [pretty])], ...extra,
  });

  if (has('list')) add(collection, 'get', `list${id}${scope}${kind}`, 'list', `list${has('watch') ? ' or watch' : ''} objects of kind ${kind}`, listParameters, [ok(list)], { produces: 'watch' });
  if (has('create')) add(collection, 'post', `create${id}${scope}${kind}`, 'post', `create ${some(kind)}`, writeParameters, [ok(own), created(own), accepted(own)], { body: { type: own, required: true } });
  if (has('deletecollection')) add(collection, 'delete', `delete${id}Collection${scope}${kind}`, 'deletecollection', `delete collection of ${kind}`, collectionDeleteParameters, [ok('meta/v1.Status')], { body: { type: 'meta/v1.DeleteOptions', required: false } });
  if (has('get')) add(item, 'get', `read${id}${scope}${kind}`, 'get', `read the specified ${kind}`, [], [ok(own)]);
  if (has('update')) add(item, 'put', `replace${id}${scope}${kind}`, 'put', `replace the specified ${kind}`, writeParameters, [ok(own), created(own)], { body: { type: own, required: true } });
  if (has('patch')) add(item, 'patch', `patch${id}${scope}${kind}`, 'patch', `partially update the specified ${kind}`, [...writeParameters, query('force', 'boolean')], [ok(own), created(own)], { body: { type: 'patch', required: true } });
  if (has('delete')) {
    const answer = deleteAnswers.has(names.typeName) ? own : 'meta/v1.Status';
    add(item, 'delete', `delete${id}${scope}${kind}`, 'delete', `delete ${some(kind)}`, deleteParameters, [ok(answer), accepted(answer)], { body: { type: 'meta/v1.DeleteOptions', required: false } });
  }
  if (has('list') && namespaced) add(`${base}/${plural}`, 'get', `list${id}${kind}ForAllNamespaces`, 'list', `list${has('watch') ? ' or watch' : ''} objects of kind ${kind}`, listParameters, [ok(list)], { produces: 'watch' });
  if (has('create') && namespaced && !has('list') && out.length === 0) add(`${base}/${plural}`, 'post', `create${id}${kind}`, 'post', `create ${some(kind)}`, writeParameters, [ok(own)]);
  if (has('watch') && !custom) {
    const watchBase = (path: string) => path.replace(base, `${base}/watch`);
    const event = [ok('meta/v1.WatchEvent')];
    add(watchBase(collection), 'get', `watch${id}${scope}${kind}List`, 'watchlist', `watch individual changes to a list of ${kind}. deprecated: use the 'watch' parameter with a list operation instead.`, listParameters, event, { produces: 'watch' });
    add(watchBase(item), 'get', `watch${id}${scope}${kind}`, 'watch', `watch changes to an object of kind ${kind}. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter.`, listParameters, event, { produces: 'watch' });
    if (namespaced) add(`${base}/watch/${plural}`, 'get', `watch${id}${kind}ListForAllNamespaces`, 'watchlist', `watch individual changes to a list of ${kind}. deprecated: use the 'watch' parameter with a list operation instead.`, listParameters, event, { produces: 'watch' });
  }

  for (const [subresource, sub] of Object.entries(names.subresources)) {
    const subKind = sub.kind ?? kind;
    const subVersion = sub.apiVersion ?? names.apiVersion;
    const type = sub.kind ? typeNameOf(subVersion, subKind) : own;
    const slash = subVersion.indexOf('/');
    const gvk = { group: slash < 0 ? '' : subVersion.slice(0, slash), version: subVersion.slice(slash + 1), kind: subKind };
    const suffix = capital(subresource);
    const path = `${item}/${subresource}`;
    for (const verb of sub.verbs ?? ['get', 'patch', 'update']) {
      switch (verb) {
        case 'get':
          if (subresource === 'log') add(path, 'get', `read${id}${scope}${kind}Log`, 'get', `read log of the specified ${kind}`, logParameters, [{ code: 200, description: 'OK', text: true }], { produces: 'text', gvk });
          else add(path, 'get', `read${id}${scope}${kind}${suffix}`, 'get', `read ${subresource} of the specified ${kind}`, [], [ok(type)], { gvk });
          break;
        case 'update': add(path, 'put', `replace${id}${scope}${kind}${suffix}`, 'put', `replace ${subresource} of the specified ${kind}`, writeParameters, [ok(type), created(type)], { gvk, body: { type, required: true } }); break;
        case 'patch': add(path, 'patch', `patch${id}${scope}${kind}${suffix}`, 'patch', `partially update ${subresource} of the specified ${kind}`, [...writeParameters, query('force', 'boolean')], [ok(type), created(type)], { gvk, body: { type: 'patch', required: true } }); break;
        case 'create': add(path, 'post', `create${id}${scope}${kind}${suffix}`, 'post', `create ${subresource} of ${some(kind)}`, writeParameters, [ok(type), created(type), accepted(type)], { gvk, body: { type, required: true } }); break;
        case 'connect': {
          const methods: Method[] = subresource === 'proxy' ? ['get', 'post', 'put', 'patch', 'delete', 'options', 'head'] : ['get', 'post'];
          const options = optionParameters[subKind] ?? [];
          for (const [suffixOfPath, suffixOfId] of subresource === 'proxy' ? [['', ''], ['/{path}', 'WithPath']] as const : [['', '']] as const) {
            for (const method of methods) {
              add(path + suffixOfPath, method, `connect${id}${capital(method)}${scope}${kind}${suffix}${suffixOfId}`, 'connect', `connect ${method.toUpperCase()} requests to ${subresource} of ${kind}`, options,
                [{ code: 200, description: 'OK', text: true }], { gvk, produces: 'any' });
            }
          }
          break;
        }
        default:
      }
    }
  }
  return out;
}

/** Kinds whose DELETE answers with the object rather than a Status. Source: the published v1.36 document. */
const deleteAnswers = new Set(['Pod', 'PersistentVolume', 'PersistentVolumeClaim', 'PodTemplate', 'ResourceQuota', 'Service', 'ServiceAccount'].map((kind) => `core/v1.${kind}`)
  .concat(['storage/v1.CSIDriver', 'storage/v1.CSINode', 'storage/v1.StorageClass', 'storage/v1.VolumeAttachment', 'storage/v1.VolumeAttributesClass', 'resource/v1.DeviceClass', 'resource/v1.ResourceClaim', 'resource/v1.ResourceClaimTemplate', 'resource/v1.ResourceSlice']));

const logParameters = [query('container'), query('follow', 'boolean'), query('insecureSkipTLSVerifyBackend', 'boolean'), query('limitBytes', 'integer'), query('previous', 'boolean'), query('sinceSeconds', 'integer'), query('stream'), query('tailLines', 'integer'), query('timestamps', 'boolean')];

/** Query parameters of the connect subresources. Source: core/v1 types.go; these kinds are in no OpenAPI document. */
const streamParameters = [query('container'), query('stderr', 'boolean'), query('stdin', 'boolean'), query('stdout', 'boolean'), query('tty', 'boolean')];
const optionParameters: Readonly<Record<string, readonly Parameter[]>> = {
  PodAttachOptions: streamParameters, PodExecOptions: [query('command'), ...streamParameters], PodPortForwardOptions: [query('ports', 'integer')],
  PodProxyOptions: [query('path')], ServiceProxyOptions: [query('path')], NodeProxyOptions: [query('path')],
};

/** `/apis/apps/`, `/apis/apps/v1/`, `/api/`, `/apis/`, `/version/`. */
export function discoveryOperations(resources: readonly Pick<ResourceNames, 'group' | 'version'>[]): Operation[] {
  const out: Operation[] = [];
  const add = (path: string, operationId: string, tag: string, description: string, type: string, extra: Partial<Operation> = {}) =>
    out.push({ path, method: 'get', operationId, tag, description, parameters: [], responses: [ok(type), unauthorized], produces: 'discovery', ...extra });
  add('/api/', 'getCoreAPIVersions', 'core', 'get available API versions', 'meta/v1.APIVersions');
  add('/apis/', 'getAPIVersions', 'apis', 'get available API versions', 'meta/v1.APIGroupList');
  for (const group of new Set(resources.map((names) => names.group))) if (group !== '') add(`/apis/${group}/`, `get${idPart(group)}APIGroup`, tagOf(group), 'get information of a group', 'meta/v1.APIGroup');
  for (const groupVersion of new Set(resources.map(({ group, version }) => `${group}/${version}`))) {
    const [group = '', version = ''] = groupVersion.split('/');
    add(`${group === '' ? '/api' : `/apis/${group}`}/${version}/`, `get${idPart(group, version)}APIResources`, tagOf(group, version), 'get available resources', 'meta/v1.APIResourceList');
  }
  out.push({ path: '/version/', method: 'get', operationId: 'getCodeVersion', tag: 'version', description: 'get the version information for this server', parameters: [], produces: 'discovery', responses: [ok('version'), unauthorized] });
  return out;
}
