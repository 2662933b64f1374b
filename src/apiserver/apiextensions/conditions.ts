/** Conditions of a CustomResourceDefinition. Source: apiextensions-apiserver/pkg/apihelpers; pkg/controller/{status,nonstructuralschema,apiapproval}. */
import { timestamp } from '../../base/clock.ts';
import type { Draft } from '../../base/json.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';

export type Definition = v1.CustomResourceDefinition;
export type Condition = Draft<v1.CustomResourceDefinitionCondition>;
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';
export const approvalAnnotation = 'api-approved.kubernetes.io';

export function conditionOf(definition: Definition, type: string): v1.CustomResourceDefinitionCondition | undefined { return definition.status?.conditions?.find((condition) => condition.type === type); }
export function isTrue(definition: Definition, type: string): boolean { return conditionOf(definition, type)?.status === 'True'; }

/** The time of transition changes with the status only. */
export function setCondition(definition: Draft<Definition>, condition: Omit<Condition, 'lastTransitionTime'>, now: number): void {
  const conditions = ((definition.status ??= {}).conditions ??= []);
  const known = conditions.find(({ type }) => type === condition.type);
  if (!known) { conditions.push({ lastTransitionTime: timestamp(now), ...condition }); return; }
  if (known.status !== condition.status || !known.lastTransitionTime) known.lastTransitionTime = timestamp(now);
  Object.assign(known, { status: condition.status, reason: condition.reason, message: condition.message });
}
export function removeCondition(definition: Draft<Definition>, type: string): void {
  if (definition.status?.conditions) definition.status.conditions = definition.status.conditions.filter((condition) => condition.type !== type);
}
export const sameCondition = (a: Omit<Condition, 'lastTransitionTime'>, b: v1.CustomResourceDefinitionCondition | undefined) => b !== undefined && a.status === b.status && a.reason === b.reason && a.message === b.message;

/** Groups of the Kubernetes community need the project's approval. */
export const isProtectedGroup = (group: string) => /(?:^|\.)(?:k8s|kubernetes)\.io$/.test(group);

export function approvalState(annotations: { readonly [key: string]: string } | undefined): { state: 'invalid' | 'approved' | 'bypassed' | 'missing'; reason: string } {
  const annotation = annotations?.[approvalAnnotation] ?? '';
  const see = 'see https://github.com/kubernetes/enhancements/pull/1111';
  if (annotation === '') return { state: 'missing', reason: `protected groups must have approval annotation "${approvalAnnotation}", ${see}` };
  if (annotation.startsWith('unapproved')) return { state: 'bypassed', reason: `not approved: ${JSON.stringify(annotation)}` };
  if (URL.canParse(annotation) && new URL(annotation).host !== '') return { state: 'approved', reason: `approved in ${annotation}` };
  return { state: 'invalid', reason: `protected groups must have approval annotation "${approvalAnnotation}" with either a URL or a reason starting with "unapproved", ${see}` };
}

export function approvalCondition({ spec, metadata }: Definition): Omit<Condition, 'lastTransitionTime'> | undefined {
  if (!isProtectedGroup(spec.group)) return undefined;
  const { state, reason: message } = approvalState(metadata.annotations);
  const reason = { invalid: 'InvalidAnnotation', missing: 'MissingAnnotation', approved: 'ApprovedAnnotation', bypassed: 'UnapprovedAnnotation' }[state];
  return { type: 'KubernetesAPIApprovalPolicyConformant', status: state === 'approved' ? 'True' : 'False', reason, message };
}
