/** coordination.k8s.io/v1 Lease. Source: upstream's pkg/apis/coordination/validation. */
import type * as v1 from './v1.ts';
import { field, invalid, type FieldError } from '../validation/field.ts';
import { validateNonnegative } from '../validation/meta.ts';

const specPath = field('spec');
export function validateLease({ spec }: v1.Lease): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0) errors.push(invalid(specPath.child('leaseDurationSeconds'), spec.leaseDurationSeconds, 'must be greater than 0'));
  validateNonnegative(spec?.leaseTransitions, specPath, 'leaseTransitions', errors);
  if (spec?.preferredHolder && !spec.strategy) errors.push({ type: 'FieldValueForbidden', field: 'spec.preferredHolder', detail: 'Forbidden: may only be specified if `strategy` is defined' });
  return errors;
}
