/** APIService. Source: kube-aggregator/pkg/apis/apiregistration/validation. */
import type * as v1 from './v1.ts';
import { addInvalid, field, invalid, required, type FieldError } from '../validation/field.ts';
import { isDNS1035Label, isDNS1123Subdomain } from '../validation/names.ts';

const specPath = field('spec');

export function validateAPIService({ metadata, spec }: v1.APIService): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  const expected = `${spec.version ?? ''}.${spec.group ?? ''}`;
  if (metadata.name !== expected) errors.push(invalid(field('metadata', 'name'), metadata.name, `must be \`spec.version+"."+spec.group\`: "${expected}"`));
  if (!spec.group && spec.version !== 'v1') errors.push(required(specPath.child('group'), "only v1 may have an empty group and it better be legacy kube"));
  else if (spec.group) addInvalid(errors, specPath.child('group'), spec.group, isDNS1123Subdomain(spec.group));
  addInvalid(errors, specPath.child('version'), spec.version ?? '', isDNS1035Label(spec.version ?? ''));
  for (const [name, max] of [['groupPriorityMinimum', 20000], ['versionPriority', 1000]] as const) {
    const value = spec[name] ?? 0;
    if (value <= 0 || value > max) errors.push(invalid(specPath.child(name), value, `must be positive and less than ${max}`));
  }
  if (!spec.service) {
    if (spec.caBundle) errors.push(invalid(specPath.child('caBundle'), `${spec.caBundle.length} bytes`, 'local APIServices may not have a caBundle'));
    if (spec.insecureSkipTLSVerify) errors.push(invalid(specPath.child('insecureSkipTLSVerify'), true, 'local APIServices may not have insecureSkipTLSVerify'));
    return errors;
  }
  if (!spec.service.namespace) errors.push(required(specPath.child('service', 'namespace')));
  if (!spec.service.name) errors.push(required(specPath.child('service', 'name')));
  if (spec.insecureSkipTLSVerify && spec.caBundle) errors.push(invalid(specPath.child('insecureSkipTLSVerify'), true, 'may not be true if caBundle is present'));
  return errors;
}
