/**
 * ValidatingAdmissionPolicy: expressions that must hold for requests, bound to resources and parameters. Texts and codes are upstream's.
 * Source: apiserver/pkg/admission/plugin/policy/validating; kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy.
 */
import type { JsonObject } from '../../../base/json.ts';
import type { ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Validation } from '../../../api/admissionregistration/v1.ts';
import { expression, type Expression } from '../../../api/cel/admission.ts';
import { Budget, runtimeCostBudget } from '../../../api/cel/cel.ts';
import { nullType, string } from '../../../api/cel/types.ts';
import { StatusError } from '../../../api/meta/status.ts';
import { validatingadmissionpolicies, validatingadmissionpolicybindings } from '../../../api/resources.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../../types.ts';
import { admissionRequest, decisionsFor, evaluate, matchConditions, namespaceObject, requestNamespace, sceneValues, type Outcome, type Scene } from '../expressions.ts';
import { convert, isExempt, type Matched } from '../matching.ts';
import { refuse, type AdmissionDeps } from '../plugin.ts';
import { compileShared, values, type Compiled } from './compiled.ts';
import { collectParams, ConfigurationError, createPolicySource, isExcluded, matches, paramNames } from './source.ts';
import { createTypeChecker } from './type-checking.ts';

interface CompiledPolicy extends Compiled {
  validations: readonly { of: Validation; condition: Expression; message: Expression | undefined }[];
  auditAnnotations: readonly { key: string; value: Expression }[];
}
interface Decision { policy: string; binding: string | undefined; message: string; reason?: string }

/** Source: apiserver/pkg/apis/cel/config.go. */
const maxMessageBytes = 5 * 1024;
const maxAnnotationLength = 10 * 1024;

function compilePolicy({ spec }: ValidatingAdmissionPolicy): CompiledPolicy {
  const shared = compileShared(spec);
  // Messages and annotations may not ask the authorizer.
  const { authorizer: _, 'authorizer.requestResource': __, ...plain } = shared.declared;
  return {
    ...shared,
    validations: (spec?.validations ?? []).map((of) => ({
      of, condition: expression(of.expression, { variables: shared.declared }), message: of.messageExpression ? expression(of.messageExpression, { variables: plain, returns: [string] }) : undefined,
    })),
    auditAnnotations: (spec?.auditAnnotations ?? []).map(({ key, valueExpression }) => ({ key, value: expression(valueExpression, { variables: plain, returns: [string, nullType] }) })),
  };
}

interface Failure { index: number; message: string; reason?: string }
interface Result { failures: Failure[]; annotations: { key: string; value: string }[]; annotationErrors: string[] }

/** One evaluation of a policy. `Undecided` passes through. */
function evaluatePolicy(compiled: CompiledPolicy, scene: Scene, failurePolicy: string | undefined): Result {
  const result: Result = { failures: [], annotations: [], annotationErrors: [] };
  const ignoring = failurePolicy === 'Ignore';
  const matching = matchConditions(compiled.conditions, sceneValues(scene), failurePolicy);
  if (matching.error !== undefined) { if (!ignoring) result.failures.push({ index: 0, message: matching.error }); return result; }
  if (!matching.matches) return result;

  const budget = new Budget(runtimeCostBudget);
  const known = values(compiled, scene, budget);
  const outcomes = compiled.validations.map(({ condition }) => evaluate(condition, known, budget));
  const exhausted = outcomes.find((outcome) => outcome.error !== undefined && outcome.outOfBudget);
  if (exhausted?.error !== undefined) { if (!ignoring) result.failures.push({ index: 0, message: exhausted.error }); return result; }
  for (const [index, outcome] of outcomes.entries()) {
    const { of, message } = compiled.validations[index]!;
    if (outcome.error !== undefined) { if (!ignoring) result.failures.push({ index, message: outcome.error }); continue; }
    if (outcome.value === true) continue;
    const said = message ? evaluate(message, known, budget) : undefined;
    if (said?.error !== undefined && said.outOfBudget) { if (!ignoring) result.failures.push({ index, message: `failed messageExpression: ${said.error}` }); continue; }
    result.failures.push({ index, message: messageOf(said) || of.message?.trim() || `failed expression: ${of.expression.trim()}`, reason: of.reason ?? 'Invalid' });
  }

  const annotationBudget = new Budget(runtimeCostBudget);
  const annotationValues = values(compiled, scene, annotationBudget);
  for (const { key, value } of compiled.auditAnnotations) {
    const outcome = evaluate(value, annotationValues, annotationBudget);
    if (outcome.error !== undefined) { if (!ignoring) result.annotationErrors.push(outcome.error); continue; }
    if (typeof outcome.value === 'string') { const text = outcome.value.trim(); if (text !== '') result.annotations.push({ key, value: text.slice(0, maxAnnotationLength) }); } else if (outcome.value !== null) {
      result.annotationErrors.push(`valueExpression '${value.source}' resulted in unsupported return type: ${typeof outcome.value}. Return type must be either string or null.`);
    }
  }
  return result;
}
/** '' where it is no message: the fixed one is used. */
function messageOf(outcome: Outcome | undefined): string {
  if (typeof outcome?.value !== 'string') return '';
  const text = outcome.value.trim();
  return Buffer.byteLength(text) > maxMessageBytes || text.includes('\n') ? '' : text;
}

export function validatingPolicies(deps: AdmissionDeps): AdmissionPlugin {
  const typeChecker = createTypeChecker(deps);
  const source = createPolicySource<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, CompiledPolicy>(deps, validatingadmissionpolicies, validatingadmissionpolicybindings, compilePolicy, (policy) => typeChecker.observe(policy));
  let started = false;
  return {
    name: 'ValidatingAdmissionPolicy',
    handles(_operation, names) {
      if (!started) { started = true; source.start(); }
      return !source.isEmpty() && !isExempt(names) && !isExcluded(names);
    },
    async validate(attributes) {
      const policies = await source.list();
      if (policies.length === 0) return;
      const denied: Decision[] = [];
      for (const { policy, bindings, compiled } of policies) {
        if (bindings.length === 0) continue;
        const broken = (err: unknown, binding?: ValidatingAdmissionPolicyBinding) => {
          if (policy.spec?.failurePolicy === 'Ignore') return;
          denied.push({ policy: policy.metadata.name, binding: binding?.metadata.name, message: `failed to configure ${binding ? 'binding' : 'policy'}: ${err instanceof Error ? err.message : String(err)}` });
        };
        let matched: Matched | undefined;
        let names;
        try {
          matched = await matches(deps, policy.spec?.matchConstraints, attributes);
          if (!matched) continue;
          names = policy.spec?.paramKind && paramNames(deps, policy.spec.paramKind);
        } catch (err) { broken(err); continue; }
        const annotations = new Map<string, string[]>();
        for (const binding of bindings) {
          let params;
          try {
            if (!await matches(deps, binding.spec?.matchResources, attributes)) continue;
            params = await collectParams(deps, names, binding.spec?.paramRef, attributes);
          } catch (err) {
            if (!(err instanceof ConfigurationError) && !(err instanceof StatusError)) throw err;
            broken(err, binding);
            continue;
          }
          const namespace = namespaceObject(await requestNamespace(deps, attributes));
          const show = async (object: JsonObject | undefined) => (object && matched.as ? convert(deps, attributes, object, matched.as) : object);
          const [object, oldObject] = [await show(attributes.object), await show(attributes.oldObject)];
          for (const param of params) {
            const decisions = decisionsFor(deps.authorizer, attributes);
            const scene: Scene = { request: admissionRequest(attributes, matched), object, oldObject, params: param ?? null, namespaceObject: namespace, decisions };
            const { failures, annotations: found, annotationErrors } = await decisions.run(() => evaluatePolicy(compiled, scene, policy.spec?.failurePolicy));
            const of = { policy: policy.metadata.name, binding: binding.metadata.name };
            for (const failure of failures) act(attributes, binding, policy.metadata.name, failure, denied);
            for (const { key, value } of found) { const known = annotations.get(key) ?? []; if (!known.includes(value)) annotations.set(key, [...known, value]); }
            for (const message of annotationErrors) denied.push({ ...of, message });
          }
        }
        for (const [key, texts] of annotations) attributes.annotate?.(`${policy.metadata.name}/${key}`, texts.join(', '));
      }
      const [first] = denied;
      if (first) throw denial(attributes, first);
    },
  };
}

function act(attributes: AdmissionAttributes, binding: ValidatingAdmissionPolicyBinding, policy: string, { index, message, reason }: Failure, denied: Decision[]): void {
  const actions = binding.spec?.validationActions ?? [];
  for (const action of actions) {
    switch (action) {
      case 'Deny': denied.push({ policy, binding: binding.metadata.name, message, ...(reason ? { reason } : {}) }); break;
      case 'Warn': attributes.warn(`Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${binding.metadata.name}': ${message}`); break;
      case 'Audit': attributes.annotate?.('validation.policy.admission.k8s.io/validation_failure', JSON.stringify([{ message, policy, binding: binding.metadata.name, expressionIndex: index, validationActions: actions }])); break;
    }
  }
}

const codes: Readonly<Record<string, number>> = { Forbidden: 403, Unauthorized: 401, RequestEntityTooLarge: 413 };
function denial(attributes: AdmissionAttributes, { policy, binding, message, reason = 'Invalid' }: Decision): StatusError {
  const text = `ValidatingAdmissionPolicy '${policy}'${binding === undefined ? '' : ` with binding '${binding}'`} denied request: ${message}`;
  const { status } = refuse(attributes, text);
  return new StatusError({ ...status, reason, code: codes[reason] ?? 422, details: { ...status.details, causes: [...status.details?.causes ?? [], { message: text }] } } as ConstructorParameters<typeof StatusError>[0]);
}
