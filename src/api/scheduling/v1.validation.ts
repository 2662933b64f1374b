/** scheduling.k8s.io/v1 PriorityClass. Source: upstream's pkg/apis/scheduling/validation. */
import type * as v1 from './v1.ts';
import { field, forbidden, notSupported, type FieldError } from '../validation/field.ts';
import { validateImmutable } from '../validation/meta.ts';

/** The highest priority a user may give; the system's classes lie above. */
export const highestUserDefinablePriority = 1_000_000_000;
const systemClasses = new Map([['system-node-critical', 2_000_001_000], ['system-cluster-critical', 2_000_000_000]]);

export function validatePriorityClass(priorityClass: v1.PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  const { name } = priorityClass.metadata;
  const value = priorityClass.value ?? 0;
  if (name?.startsWith('system-')) {
    if (!systemClasses.has(name)) errors.push(forbidden(field('metadata', 'name'), `priority class names with 'system-' prefix are reserved for system use only. error: ${name} is not a known system priority class`));
    else if (systemClasses.get(name) !== value) errors.push(forbidden(field('metadata', 'name'), `priority class names with 'system-' prefix are reserved for system use only. error: value of ${name} PriorityClass must be ${systemClasses.get(name)}`));
  } else if (value > highestUserDefinablePriority) errors.push(forbidden(field('value'), `maximum allowed value of a user defined priority is ${highestUserDefinablePriority}`));
  const policy = priorityClass.preemptionPolicy;
  if (policy !== undefined && policy !== 'PreemptLowerPriority' && policy !== 'Never') errors.push(notSupported(field('preemptionPolicy'), policy, ['PreemptLowerPriority', 'Never']));
  return errors;
}
export function validatePriorityClassUpdate(next: v1.PriorityClass, old: v1.PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  if ((next.value ?? 0) !== (old.value ?? 0)) errors.push(forbidden(field('value'), 'may not be changed in an update.'));
  validateImmutable(next.preemptionPolicy, old.preemptionPolicy, () => field('preemptionPolicy'), errors);
  return errors;
}
