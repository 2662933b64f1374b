/**
 * CEL in admission: the variables that match conditions and policies see, conditions of webhooks and policies, and how their faults read.
 * Source: apiserver/pkg/admission/plugin/cel/{compile,condition,composition}.go, plugin/webhook/matchconditions.
 */
import type { Json, JsonObject } from '../../base/json.ts';
import { namespaceType, requestType, type Expression } from '../../api/cel/admission.ts';
import { authorizerValue, Decisions, requestResourceValue, Undecided, type Answer, type Question } from '../../api/cel/authorizer.ts';
import { Budget, CelError, matchConditionsBudget, toCel, type Value } from '../../api/cel/cel.ts';
import { dyn, type CelType } from '../../api/cel/types.ts';
import { CelMap } from '../../api/cel/values.ts';
import type { Namespace } from '../../api/core/v1.ts';
import { namespaces } from '../../api/resources.ts';
import type { AdmissionAttributes, Authorizer } from '../types.ts';
import { kindOf, namespaceOf, resourceOf, type Matched } from './matching.ts';
import { find, type AdmissionDeps } from './plugin.ts';

// ---- values

/** The `request` of an AdmissionReview without the objects. */
export function admissionRequest(attributes: AdmissionAttributes, { resource, kind }: Matched): JsonObject {
  const { user, operation, dryRun, subresource, name, options } = attributes;
  const namespace = namespaceOf(attributes);
  const request = { kind: kindOf(attributes.names, subresource), resource: resourceOf(attributes) };
  return {
    kind: { ...kind }, resource: { ...resource }, ...(subresource ? { subResource: subresource } : {}),
    requestKind: request.kind as unknown as JsonObject, requestResource: request.resource as unknown as JsonObject, ...(subresource ? { requestSubResource: subresource } : {}),
    ...(name ? { name } : {}), ...(namespace ? { namespace } : {}), operation,
    userInfo: { username: user.name, ...(user.uid ? { uid: user.uid } : {}), ...(user.groups.length > 0 ? { groups: [...user.groups] } : {}), ...(user.extra ? { extra: user.extra as unknown as JsonObject } : {}) },
    dryRun, ...(options ? { options } : {}),
  };
}

/** Fields of a namespace that expressions may see. */
export function namespaceObject(namespace: Namespace | undefined): JsonObject | null {
  if (!namespace) return null;
  const { managedFields: _, ownerReferences: __, ...metadata } = namespace.metadata as unknown as Record<string, Json>;
  return { metadata, ...(namespace.spec ? { spec: namespace.spec as unknown as JsonObject } : {}), ...(namespace.status ? { status: { phase: namespace.status.phase ?? '' } } : {}) } as JsonObject;
}
/** Of the request; undefined for cluster-scoped resources and namespaces themselves. */
export async function requestNamespace(deps: AdmissionDeps, attributes: AdmissionAttributes): Promise<Namespace | undefined> {
  const namespace = attributes.names.kind === 'Namespace' && attributes.names.group === '' ? '' : namespaceOf(attributes);
  return namespace === '' ? undefined : await find(deps, namespaces, namespace) as Namespace | undefined;
}

export function decisionsFor(authorizer: Authorizer, { user }: AdmissionAttributes): Decisions {
  return new Decisions(async ({ serviceAccount, path, ...of }: Question): Promise<Answer> => {
    const who = serviceAccount ? { name: `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`, groups: ['system:serviceaccounts', `system:serviceaccounts:${serviceAccount.namespace}`, 'system:authenticated'] } : user;
    try {
      const { decision, reason } = await authorizer.authorize({ user: who, isResource: path === undefined, path: path ?? '', version: '*', ...of });
      return { allowed: decision === 'allow', reason };
    } catch (err) { return { allowed: false, reason: '', error: err instanceof Error ? err.message : String(err) }; }
  });
}

export interface Scene {
  request: JsonObject;
  object: JsonObject | undefined;
  oldObject: JsonObject | undefined;
  /** Null: the policy has params and there are none. Undefined: it has none. */
  params?: JsonObject | null;
  namespaceObject?: JsonObject | null;
  decisions: Decisions;
}
const nullable = (json: JsonObject | null | undefined, type: CelType): Value => (json ? toCel(json, type) : null);
export function sceneValues(scene: Scene, variables?: Value): (name: string) => Value | undefined {
  const { request } = scene;
  const made = new Map<string, Value>();
  const make: Readonly<Record<string, () => Value>> = {
    object: () => nullable(scene.object, dyn), oldObject: () => nullable(scene.oldObject, dyn), request: () => toCel(request, requestType), namespaceObject: () => nullable(scene.namespaceObject, namespaceType),
    params: () => nullable(scene.params, dyn), authorizer: () => authorizerValue(scene.decisions),
    'authorizer.requestResource': () => {
      const { group = '', resource = '' } = request.resource as Record<string, string>;
      return requestResourceValue(scene.decisions, { group, resource, subresource: String(request.subResource ?? ''), namespace: String(request.namespace ?? ''), name: String(request.name ?? '') });
    },
  };
  return (name) => {
    if (name === 'variables') return variables;
    let value = made.get(name);
    if (value === undefined && Object.hasOwn(make, name)) made.set(name, value = make[name]!());
    return value;
  };
}

// ---- expressions

export type Outcome = { value: Value; error?: undefined } | { value?: undefined; error: string; outOfBudget?: boolean };
/** Texts as upstream's. `Undecided` passes through. */
export function evaluate({ source, compiled, fault }: Expression, values: (name: string) => Value | undefined, budget: Budget): Outcome {
  if (!compiled) return { error: `compilation error: ${fault}` };
  if (budget.left <= 0) return outOfBudget;
  try { return { value: compiled.evaluate(values, budget) }; } catch (err) {
    if (!(err instanceof CelError) || err instanceof Undecided) throw err;
    if (budget.left <= 0) return outOfBudget;
    return { error: `expression '${source}' resulted in error: ${err.message}` };
  }
}
const outOfBudget: Outcome = { error: 'validation failed due to running out of cost budget, no further validation rules will be run', outOfBudget: true };

/** The `variables` of a policy: each is worked out when first named, from those before it. */
export class ComposedVariables extends CelMap {
  readonly #expressions: ReadonlyMap<string, Expression>;
  readonly #values: (name: string) => Value | undefined;
  readonly #budget: Budget;
  readonly #known = new Map<string, Value | CelError>();
  constructor(expressions: ReadonlyMap<string, Expression>, values: (name: string) => Value | undefined, budget: Budget) { super(); this.#expressions = expressions; this.#values = values; this.#budget = budget; }
  get size(): number { return this.#expressions.size; }
  keys(): Iterable<Value> { return this.#expressions.keys(); }
  get(key: Value): Value | undefined {
    if (typeof key !== 'string') return undefined;
    let value = this.#known.get(key);
    if (value === undefined) {
      const of = this.#expressions.get(key);
      if (!of) return undefined;
      if (!of.compiled) value = new CelError(`composited variable "${key}" fails to compile: ${of.fault}`);
      else {
        try { value = of.compiled.evaluate((name) => (name === 'variables' ? this : this.#values(name)), this.#budget); } catch (err) {
          if (!(err instanceof CelError) || err instanceof Undecided || err.fatal) throw err;
          value = new CelError(`composited variable "${key}" fails to evaluate: ${err.message}`);
        }
      }
      this.#known.set(key, value);
    }
    if (value instanceof CelError) throw value;
    return value;
  }
}

// ---- match conditions

export interface MatchCondition { readonly name: string; readonly expression: string }
export type ConditionResult = { matches: boolean; error?: undefined } | { matches?: undefined; error: string };
/** False if any is false, whatever the others; an error counts by the failure policy. */
export function matchConditions(conditions: readonly Expression[], values: (name: string) => Value | undefined, failurePolicy: string | undefined): ConditionResult {
  const budget = new Budget(matchConditionsBudget);
  const errors: string[] = [];
  for (const condition of conditions) {
    const outcome = evaluate(condition, values, budget);
    if (outcome.error !== undefined) {
      errors.push(outcome.error);
      if (outcome.outOfBudget) break;
    } else if (outcome.value !== true) return { matches: false };
  }
  if (errors.length === 0) return { matches: true };
  if (failurePolicy === 'Ignore') return { matches: false };
  return { error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` };
}
