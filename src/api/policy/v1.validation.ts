/** policy/v1. Source: upstream's pkg/apis/policy/validation. */
import type * as v1 from './v1.ts';
import { field, invalid, notSupported, type FieldError } from '../validation/field.ts';
import { validateAtMost100Percent, validateIntOrPercent, validateLabelSelector, validateNonnegative } from '../validation/meta.ts';

const specPath = field('spec');
export function validatePodDisruptionBudget({ spec }: v1.PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return errors;
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) errors.push(invalid(specPath, spec, 'minAvailable and maxUnavailable cannot be both set'));
  for (const name of ['minAvailable', 'maxUnavailable'] as const) {
    validateIntOrPercent(spec[name], specPath, name, errors);
    validateAtMost100Percent(spec[name], specPath, name, errors);
  }
  validateLabelSelector(spec.selector, specPath.child('selector'), errors);
  const policy = spec.unhealthyPodEvictionPolicy;
  if (policy !== undefined && policy !== 'AlwaysAllow' && policy !== 'IfHealthyBudget') errors.push(notSupported(specPath.child('unhealthyPodEvictionPolicy'), policy, ['AlwaysAllow', 'IfHealthyBudget']));
  return errors;
}
export function validatePodDisruptionBudgetStatus({ status }: v1.PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const) validateNonnegative(status?.[name], field('status'), name, errors);
  return errors;
}
