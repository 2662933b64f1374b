/**
 * Type checking of ValidatingAdmissionPolicies against the kinds they match, written into their status: warnings, never refusals.
 * Source: apiserver/pkg/admission/plugin/policy/validating/typechecking.go; upstream's validatingadmissionpolicystatus controller.
 */
import type { ExpressionWarning, ValidatingAdmissionPolicy } from '../../../api/admissionregistration/v1.ts';
import { compileVariables, expression } from '../../../api/cel/admission.ts';
import { typeOfSchema, type CelType } from '../../../api/cel/types.ts';
import { isConflict, isNotFound } from '../../../api/meta/status.ts';
import { validatingadmissionpolicies } from '../../../api/resources.ts';
import type { ServedResource } from '../../resource-table.ts';
import type { AdmissionDeps } from '../plugin.ts';

/** Kinds that one policy is checked against. */
const maxTypes = 10;

export interface TypeChecker { /** Checks a policy whose status is behind; returns at once. */ observe(policy: ValidatingAdmissionPolicy): void }

export function createTypeChecker(deps: AdmissionDeps): TypeChecker {
  const check = async (policy: ValidatingAdmissionPolicy): Promise<void> => {
    const warnings = typeCheck(deps, policy);
    const status = { ...policy.status, observedGeneration: policy.metadata.generation ?? 0, typeChecking: warnings.length > 0 ? { expressionWarnings: warnings } : {} };
    try { await deps.client.for(validatingadmissionpolicies).updateStatus({ ...policy, status } as never); } catch (err) {
      // A newer state follows by itself.
      if (!isConflict(err) && !isNotFound(err)) throw err;
    }
  };
  return {
    observe(policy) {
      if ((policy.status?.observedGeneration ?? 0) >= (policy.metadata.generation ?? 1)) return;
      // Beside the event that brought it; a server that is closing answers no more.
      deps.clock.after(0, () => { check(policy).catch(() => undefined); }, { keepAlive: false });
    },
  };
}

export function typeCheck(deps: Pick<AdmissionDeps, 'resources'>, { spec }: ValidatingAdmissionPolicy): ExpressionWarning[] {
  const kinds = servedKinds(deps, spec);
  const paramsType = paramType(deps, spec);
  const warnings: ExpressionWarning[] = [];
  const against = (fieldRef: string, source: string | undefined) => {
    if (!source) return;
    const problems = kinds.flatMap((served) => {
      const object = typeOfServed(served);
      if (!object) return [];
      const { declared } = compileVariables(spec?.variables, { params: spec?.paramKind !== undefined, object, ...(paramsType ? { paramsType } : {}) });
      const { fault } = expression(source, { variables: declared, returns: 'any' });
      const { group, version, kind } = served.names;
      return fault === undefined ? [] : [`${group}/${version}, Kind=${kind}: ${fault}\n`];
    });
    if (problems.length > 0) warnings.push({ fieldRef, warning: problems.join('\n') });
  };
  for (const [i, { expression: condition, messageExpression }] of (spec?.validations ?? []).entries()) {
    against(`spec.validations[${i}].expression`, condition);
    against(`spec.validations[${i}].messageExpression`, messageExpression);
  }
  return warnings;
}

function typeOfServed(served: ServedResource): CelType | undefined {
  const { type } = served;
  return type && typeOfSchema(type);
}
function paramType({ resources }: Pick<AdmissionDeps, 'resources'>, spec: ValidatingAdmissionPolicy['spec']): CelType | undefined {
  const { apiVersion, kind } = spec?.paramKind ?? {};
  const served = kind ? resources?.all().find(({ names }) => names.apiVersion === apiVersion && names.kind === kind) : undefined;
  return served && typeOfServed(served);
}
/** Without wildcards and subresources, in order of group, version and kind. */
function servedKinds({ resources }: Pick<AdmissionDeps, 'resources'>, spec: ValidatingAdmissionPolicy['spec']): ServedResource[] {
  const found = new Map<string, ServedResource>();
  for (const rule of spec?.matchConstraints?.resourceRules ?? []) {
    const [groups = [], versions = [], plurals = []] = [rule.apiGroups, rule.apiVersions, rule.resources];
    if (groups.includes('*') || versions.includes('*')) continue;
    for (const group of groups) {
      for (const version of versions) {
        for (const plural of plurals) {
          const served = plural === '*' || plural.includes('/') ? undefined : resources?.find(group, version, plural);
          if (served && found.size < maxTypes) found.set(`${group}/${version}/${served.names.kind}`, served);
        }
      }
    }
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, served]) => served);
}
