/**
 * Policies with their bindings and what they compile to, kept with the informers; parameters of bindings. Shared by both kinds of policy.
 * Source: apiserver/pkg/admission/plugin/policy/generic.
 */
import type { JsonObject } from '../../../base/json.ts';
import type { MatchResources, NamedRuleWithOperations, ParamKind, ParamRef } from '../../../api/admissionregistration/v1.ts';
import { selectorFrom } from '../../../api/label-selector.ts';
import { isNotFound } from '../../../api/meta/status.ts';
import type { ResourceNames } from '../../../api/resource-names.ts';
import type { ApiObject } from '../../../client/client.ts';
import type { Informer } from '../../../client/informer.ts';
import type { AdmissionAttributes } from '../../types.ts';
import { kindOf, matchRules, namespaceOf, namespaceSelectorMatches, objectSelectorMatches, resourceOf, type Matched } from '../matching.ts';
import type { AdmissionDeps } from '../plugin.ts';

export interface PolicyLike extends ApiObject { readonly spec?: { readonly paramKind?: ParamKind; readonly matchConstraints?: MatchResources; readonly failurePolicy?: string } }
export interface BindingLike extends ApiObject { readonly spec?: { readonly policyName?: string; readonly paramRef?: ParamRef; readonly matchResources?: MatchResources } }
export interface Bound<P, B, C> { policy: P; bindings: readonly B[]; compiled: C }

export interface PolicySource<P, B, C> {
  /** In the order of names. */
  list(): Promise<readonly Bound<P, B, C>[]>;
  start(): void;
  /** Known to have none: what most clusters have. */
  isEmpty(): boolean;
}

const byName = (a: ApiObject, b: ApiObject): number => (a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0);

export function createPolicySource<P extends PolicyLike, B extends BindingLike, C>(deps: AdmissionDeps, policies: ResourceNames<P>, bindings: ResourceNames<B>, compile: (policy: P) => C, onPolicy?: (policy: P) => void): PolicySource<P, B, C> {
  let informers: { policies: Informer<P>; bindings: Informer<B> } | undefined;
  let bound: readonly Bound<P, B, C>[] | undefined;
  const compiled = new WeakMap<P, C>();
  const start = () => {
    if (informers) return informers;
    informers = { policies: deps.informers.informer(policies), bindings: deps.informers.informer(bindings) };
    const forget = () => { bound = undefined; };
    informers.policies.addHandler({ onAdd: (policy) => { forget(); onPolicy?.(policy); }, onUpdate: (_old, policy) => { forget(); onPolicy?.(policy); }, onDelete: forget });
    informers.bindings.addHandler({ onAdd: forget, onUpdate: forget, onDelete: forget });
    return informers;
  };
  return {
    start,
    isEmpty: () => bound?.length === 0,
    async list() {
      const started = start();
      if (!started.policies.hasSynced) await started.policies.synced();
      if (!started.bindings.hasSynced) await started.bindings.synced();
      return bound ??= started.policies.list().toSorted(byName).map((policy) => {
        let code = compiled.get(policy);
        if (!code) compiled.set(policy, code = compile(policy));
        return { policy, compiled: code, bindings: started.bindings.list().filter(({ spec }) => spec?.policyName === policy.metadata.name).toSorted(byName) };
      });
    },
  };
}

/** Never subject to policies. Source: upstream's pkg/kubeapiserver/admission/exclusion. */
const excluded = new Set(['authentication.k8s.io/selfsubjectreviews', 'authentication.k8s.io/tokenreviews', 'authorization.k8s.io/localsubjectaccessreviews', 'authorization.k8s.io/selfsubjectaccessreviews', 'authorization.k8s.io/selfsubjectrulesreviews', 'authorization.k8s.io/subjectaccessreviews']);
export const isExcluded = ({ group, plural }: Pick<ResourceNames, 'group' | 'plural'>): boolean => excluded.has(`${group}/${plural}`);

/** Undefined: the request is not meant. No rules (bindings): every resource. */
export async function matches(deps: AdmissionDeps, constraints: MatchResources | undefined, attributes: AdmissionAttributes): Promise<Matched | undefined> {
  const all: Matched = { resource: resourceOf(attributes), kind: kindOf(attributes.names, attributes.subresource) };
  if (!constraints) return all;
  if (!objectSelectorMatches(constraints.objectSelector, attributes)) return undefined;
  const exclude = constraints.excludeResourceRules as readonly NamedRuleWithOperations[] | undefined;
  if (matchRules(deps, exclude, constraints.matchPolicy, attributes)) return undefined;
  const rules = constraints.resourceRules as readonly NamedRuleWithOperations[] | undefined;
  const matched = rules && rules.length > 0 ? matchRules(deps, rules, constraints.matchPolicy, attributes) : all;
  return matched && await namespaceSelectorMatches(deps, constraints.namespaceSelector, attributes) ? matched : undefined;
}

/** What is wrong with the configuration of a policy or binding; the failure policy decides what follows. */
export class ConfigurationError extends Error {}

/** The resource of a kind that parameters have. Throws `ConfigurationError` when none is served. */
export function paramNames({ resources }: AdmissionDeps, { apiVersion, kind }: ParamKind): ResourceNames<ApiObject> {
  const served = resources?.all().find(({ names }) => names.apiVersion === apiVersion && names.kind === kind);
  if (!served) throw new ConfigurationError(`failed to find resource referenced by paramKind: '${apiVersion}, Kind=${kind}'`);
  return served.names as ResourceNames<ApiObject>;
}

/** One entry per evaluation; undefined: without parameters. */
export async function collectParams(deps: AdmissionDeps, names: ResourceNames<ApiObject> | undefined, ref: ParamRef | undefined, attributes: AdmissionAttributes): Promise<(JsonObject | undefined)[]> {
  if (!names || !ref) return [undefined];
  let namespace = '';
  if (names.scope === 'Namespaced') {
    namespace = ref.namespace || namespaceOf(attributes);
    if (!namespace) throw new ConfigurationError('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources');
  } else if (ref.namespace) throw new ConfigurationError('paramRef.namespace must not be provided for a cluster-scoped `paramKind`');
  const api = deps.client.for(names);
  const at = namespace ? { namespace } : {};
  let found: readonly ApiObject[] = [];
  if (ref.name) {
    try { found = [await api.get({ ...at, name: ref.name })]; } catch (err) { if (!isNotFound(err)) throw new ConfigurationError(err instanceof Error ? err.message : String(err)); }
  } else {
    const selector = selectorFrom(ref.selector ?? {});
    found = (await api.list(at)).items.filter(({ metadata }) => selector.matches(metadata.labels));
  }
  if (found.length === 0 && ref.parameterNotFoundAction === 'Deny') throw new ConfigurationError('no params found for policy binding with `Deny` parameterNotFoundAction');
  return found.map((object) => ({ ...object, kind: names.kind, apiVersion: names.apiVersion }) as unknown as JsonObject);
}
