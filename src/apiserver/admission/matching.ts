/**
 * Which requests a webhook or policy is about: rules, equivalent resources, namespace and object selectors, and the object in the
 * version that the rule names. Source: apiserver/pkg/admission/plugin/webhook/predicates, plugin/policy/matching.
 */
import { isJsonObject, type JsonObject } from '../../base/json.ts';
import { selectorFrom } from '../../api/label-selector.ts';
import type { LabelSelector } from '../../api/meta/v1.ts';
import { StatusError } from '../../api/meta/status.ts';
import { namespaces } from '../../api/resources.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { ResourceTable, ServedResource } from '../resource-table.ts';
import type { AdmissionAttributes } from '../types.ts';
import { find, type AdmissionDeps } from './plugin.ts';

export interface Rule {
  readonly operations?: readonly string[]; readonly apiGroups?: readonly string[]; readonly apiVersions?: readonly string[]; readonly resources?: readonly string[];
  readonly scope?: string; readonly resourceNames?: readonly string[];
}
export interface GroupVersionResource { group: string; version: string; resource: string }
export interface GroupVersionKind { group: string; version: string; kind: string }

/** What a rule matched: the resource it names and the kind the object is shown as. */
export interface Matched { resource: GroupVersionResource; kind: GroupVersionKind; /** Another version than the request's. */ as?: ServedResource }

const configurationKinds = new Set(['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding', 'MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding']);
/** Nobody can lock themselves out of mending the configuration. */
export const isExempt = ({ group, kind }: Pick<ResourceNames, 'group' | 'kind'>): boolean => group === 'admissionregistration.k8s.io' && configurationKinds.has(kind);

const isNamespace = ({ names }: AdmissionAttributes): boolean => names.group === '' && names.plural === 'namespaces';
/** As upstream sees it: a request about a namespace is in that namespace. */
export const namespaceOf = (attributes: AdmissionAttributes): string => (isNamespace(attributes) ? attributes.operation === 'CREATE' && attributes.subresource === '' ? '' : attributes.name : attributes.names.scope === 'Namespaced' ? attributes.namespace : '');

const has = (values: readonly string[] | undefined, value: string): boolean => values !== undefined && (values.includes('*') || values.includes(value));
export function ruleMatches(rule: Rule, attributes: AdmissionAttributes, { group, version, resource }: GroupVersionResource): boolean {
  if (rule.scope !== undefined && rule.scope !== '*') {
    const cluster = (group === '' && resource === 'namespaces') || namespaceOf(attributes) === '';
    if (cluster !== (rule.scope === 'Cluster')) return false;
  }
  if (!has(rule.operations, attributes.operation) || !has(rule.apiGroups, group) || !has(rule.apiVersions, version)) return false;
  if (rule.resourceNames !== undefined && rule.resourceNames.length > 0 && !rule.resourceNames.includes(attributes.name)) return false;
  return (rule.resources ?? []).some((pattern) => {
    const slash = pattern.indexOf('/');
    const [main, sub] = slash < 0 ? [pattern, ''] : [pattern.slice(0, slash), pattern.slice(slash + 1)];
    return (main === '*' || main === resource) && (sub === '*' || sub === attributes.subresource);
  });
}

export const resourceOf = ({ names }: AdmissionAttributes): GroupVersionResource => ({ group: names.group, version: names.version, resource: names.plural });
function splitVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}
/** The kind of the object of a request: that of the subresource where it speaks another. */
export function kindOf(names: ResourceNames, subresource: string): GroupVersionKind {
  const of = subresource ? names.subresources[subresource] : undefined;
  if (of?.kind) return { ...splitVersion(of.apiVersion ?? names.apiVersion), kind: of.kind };
  return { group: names.group, version: names.version, kind: names.kind };
}

/** Other group versions that serve the same stored objects. */
function equivalents(resources: ResourceTable | undefined, { names }: AdmissionAttributes): ServedResource[] {
  const own = resources?.find(names.group, names.version, names.plural);
  if (!resources || !own) return [];
  return resources.all().filter((served) => served !== own && served.entry.storagePrefix === own.entry.storagePrefix && served.names.plural === names.plural);
}

/** The first rule that matches, the request's own version first. */
export function matchRules(deps: Pick<AdmissionDeps, 'resources'>, rules: readonly Rule[] | undefined, matchPolicy: string | undefined, attributes: AdmissionAttributes): Matched | undefined {
  if (!rules || rules.length === 0) return undefined;
  const own = resourceOf(attributes);
  if (rules.some((rule) => ruleMatches(rule, attributes, own))) return { resource: own, kind: kindOf(attributes.names, attributes.subresource) };
  if (matchPolicy === 'Exact') return undefined;
  const others = equivalents(deps.resources, attributes);
  if (others.length === 0) return undefined;
  for (const rule of rules) {
    for (const served of others) {
      const { group, version, plural } = served.names;
      const resource = { group, version, resource: plural };
      if (ruleMatches(rule, attributes, resource)) return { resource, kind: kindOf(served.names, attributes.subresource), as: served };
    }
  }
  return undefined;
}

/** An object of the request as another version shows it, and back. Objects of subresources with a kind of their own are left alone. */
export async function convert({ resources }: Pick<AdmissionDeps, 'resources'>, attributes: AdmissionAttributes, object: JsonObject, to: ServedResource): Promise<JsonObject> {
  if (object.kind !== attributes.names.kind && object.kind !== to.names.kind) return object;
  const from = resources?.find(...gvr(String(object.apiVersion ?? attributes.names.apiVersion), to.names.plural));
  if (from === to) return object;
  const stored = from?.entry.alias ? await from.entry.alias.toStored(object) : object;
  const converted = to.entry.alias ? to.entry.alias.fromStored(stored) : stored;
  return { ...converted, apiVersion: to.names.apiVersion, kind: to.names.kind };
}
function gvr(apiVersion: string, plural: string): [string, string, string] {
  const { group, version } = splitVersion(apiVersion);
  return [group, version, plural];
}

// ---- selectors

const labelsOf = (object: JsonObject | undefined): Record<string, string> | undefined => (isJsonObject(object?.metadata) ? object.metadata.labels as Record<string, string> | undefined : undefined);

/** Throws the 404 of a namespace that does not exist, as upstream. */
export async function namespaceSelectorMatches(deps: AdmissionDeps, selector: LabelSelector | undefined, attributes: AdmissionAttributes): Promise<boolean> {
  const namespace = namespaceOf(attributes);
  if (namespace === '' && !isNamespace(attributes)) return true;
  const compiled = selectorFrom(selector ?? {});
  if (compiled.empty) return true;
  if (isNamespace(attributes) && attributes.subresource === '' && (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE')) return compiled.matches(labelsOf(attributes.object));
  const found = await find(deps, namespaces, namespace);
  if (found) return compiled.matches(found.metadata.labels);
  throw new StatusError({ code: 404, reason: 'NotFound', message: `namespaces "${namespace}" not found`, details: { name: namespace, kind: 'namespaces' } });
}
/** Of the new or the old object. */
export function objectSelectorMatches(selector: LabelSelector | undefined, { object, oldObject }: AdmissionAttributes): boolean {
  const compiled = selectorFrom(selector ?? {});
  if (compiled.empty) return true;
  // An object without metadata (options of a connect) never matches.
  return [object, oldObject].some((one) => isJsonObject(one?.metadata) && compiled.matches(labelsOf(one)));
}
