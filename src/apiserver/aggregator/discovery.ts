/**
 * What aggregated servers serve, in the form of aggregated discovery: asked of each server as the aggregator, in its newest form
 * first, from its plain lists else. Source: kube-aggregator/pkg/apiserver/handler_discovery.go; KEP-3352.
 */
import type { JsonObject } from '../../base/json.ts';
import { aggregatorUser } from './availability.ts';
import type { RemoteApi } from './remote.ts';

const timeoutMs = 5_000;
const acceptV2 = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

interface PlainResource { name: string; singularName?: string; namespaced?: boolean; group?: string; version?: string; kind: string; verbs?: string[]; shortNames?: string[]; categories?: string[] }

/** An APIVersionDiscovery. Throws when the server can't be asked. */
export async function fetchDiscovery(remote: RemoteApi, signal: AbortSignal): Promise<JsonObject> {
  const { group, version } = remote;
  const [origin = ''] = remote.origins();
  const whole = await remote.fetch(origin, '/apis', { user: aggregatorUser, accept: acceptV2, timeoutMs, signal });
  if (whole.code === 200 && /as=APIGroupDiscoveryList/.test(whole.headers['content-type'] ?? '')) {
    const { items = [] } = JSON.parse(whole.body.toString()) as { items?: { metadata?: { name?: string }; versions?: JsonObject[] }[] };
    const found = items.find(({ metadata }) => (metadata?.name ?? '') === group)?.versions?.find((one) => one.version === version);
    if (found) return { ...found, freshness: 'Current' };
  }
  const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const plain = await remote.fetch(origin, path, { user: aggregatorUser, timeoutMs, signal });
  if (plain.code !== 200) throw new Error(`failed to download legacy discovery for ${path}: ${plain.code}`);
  const { resources = [] } = JSON.parse(plain.body.toString()) as { resources?: PlainResource[] };
  return { version, freshness: 'Current', resources: aggregatedForm(resources, group, version) };
}

/** APIResources as APIResourceDiscoveries: subresources below their resource. */
export function aggregatedForm(resources: readonly PlainResource[], group: string, version: string): JsonObject[] {
  const made = new Map<string, JsonObject & { subresources?: JsonObject[] }>();
  const kindOf = (one: PlainResource): JsonObject => ({ group: one.group || group, version: one.version || version, kind: one.kind });
  for (const one of [...resources].sort((a, b) => a.name.split('/').length - b.name.split('/').length)) {
    const [plural = '', subresource] = one.name.split('/', 2);
    const scope = one.namespaced ? 'Namespaced' : 'Cluster';
    if (subresource === undefined) {
      made.set(plural, { resource: plural, responseKind: kindOf(one), scope, singularResource: one.singularName ?? '', verbs: one.verbs ?? [],
        ...(one.shortNames ? { shortNames: one.shortNames } : {}), ...(one.categories ? { categories: one.categories } : {}) });
      continue;
    }
    let parent = made.get(plural);
    if (!parent) made.set(plural, parent = { resource: plural, responseKind: { group: '', version: '', kind: '' }, scope, singularResource: '', verbs: [] });
    (parent.subresources ??= []).push({ subresource, responseKind: kindOf(one), verbs: one.verbs ?? [] });
  }
  return [...made.values()];
}
