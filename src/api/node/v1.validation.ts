/** node.k8s.io/v1 RuntimeClass. Source: upstream's pkg/apis/node/validation. */
import type * as v1 from './v1.ts';
import { addInvalid, field, type FieldError } from '../validation/field.ts';
import { validateImmutable, validateLabels } from '../validation/meta.ts';
import { isDNS1123Label } from '../validation/names.ts';
import { validateResourceRequirements } from '../core/resources.validation.ts';
import { validateTolerations } from '../core/scheduling.validation.ts';

export function validateRuntimeClass(runtimeClass: v1.RuntimeClass): FieldError[] {
  const errors: FieldError[] = [];
  addInvalid(errors, field('handler'), runtimeClass.handler ?? '', isDNS1123Label(runtimeClass.handler ?? ''));
  if (runtimeClass.overhead?.podFixed) validateResourceRequirements({ limits: runtimeClass.overhead.podFixed }, undefined, field('overhead'), errors);
  validateLabels(runtimeClass.scheduling?.nodeSelector, () => field('scheduling', 'nodeSelector'), errors);
  if (runtimeClass.scheduling?.tolerations) validateTolerations(runtimeClass.scheduling.tolerations, field('scheduling', 'tolerations'), errors);
  return errors;
}
export function validateRuntimeClassUpdate(next: v1.RuntimeClass, old: v1.RuntimeClass): FieldError[] {
  const errors: FieldError[] = [];
  validateImmutable(next.handler, old.handler, () => field('handler'), errors);
  return errors;
}
