/** rbac.authorization.k8s.io/v1. Source: upstream's pkg/apis/rbac/validation. */
import type * as v1 from './v1.ts';
import { semanticEqual } from '../validation/equality.ts';
import { addInvalid, field, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { validateLabelSelector } from '../validation/meta.ts';
import { nameIsDNSSubdomain, nameIsPathSegment } from '../validation/names.ts';
import { rbacGroup } from './v1.defaults.ts';

export function validatePolicyRule(rule: v1.PolicyRule, namespaced: boolean, path: FieldPath, errors: FieldError[]): void {
  if ((rule.verbs?.length ?? 0) === 0) errors.push(required(path.child('verbs'), 'verbs must contain at least one value'));
  if ((rule.nonResourceURLs?.length ?? 0) > 0) {
    if (namespaced) errors.push(invalid(path.child('nonResourceURLs'), rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if ((rule.apiGroups?.length ?? 0) > 0 || (rule.resources?.length ?? 0) > 0 || (rule.resourceNames?.length ?? 0) > 0) errors.push(invalid(path.child('nonResourceURLs'), rule.nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    return;
  }
  if ((rule.apiGroups?.length ?? 0) === 0) errors.push(required(path.child('apiGroups'), 'resource rules must supply at least one api group'));
  if ((rule.resources?.length ?? 0) === 0) errors.push(required(path.child('resources'), 'resource rules must supply at least one resource'));
}
export function validateRole(role: v1.Role | v1.ClusterRole): FieldError[] {
  const errors: FieldError[] = [];
  const namespaced = role.kind === 'Role';
  for (const [i, rule] of (role.rules ?? []).entries()) validatePolicyRule(rule, namespaced, field('rules').index(i), errors);
  const aggregation = 'aggregationRule' in role ? role.aggregationRule : undefined;
  if (aggregation) {
    const path = field('aggregationRule', 'clusterRoleSelectors');
    if ((aggregation.clusterRoleSelectors?.length ?? 0) === 0) errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'));
    for (const [i, selector] of (aggregation.clusterRoleSelectors ?? []).entries()) validateLabelSelector(selector, path.index(i), errors);
  }
  return errors;
}

function validateSubject(subject: v1.Subject, namespaced: boolean, path: FieldPath, errors: FieldError[]): void {
  if (!subject.name) errors.push(required(path.child('name')));
  const group = subject.apiGroup ?? '';
  switch (subject.kind) {
    case 'ServiceAccount':
      if (subject.name) addInvalid(errors, path.child('name'), subject.name, nameIsDNSSubdomain(subject.name, false));
      if (group !== '') errors.push(notSupported(path.child('apiGroup'), group, ['']));
      if (!namespaced && !subject.namespace) errors.push(required(path.child('namespace')));
      break;
    case 'User': case 'Group': if (group !== rbacGroup) errors.push(notSupported(path.child('apiGroup'), group, [rbacGroup])); break;
    default: errors.push(notSupported(path.child('kind'), subject.kind ?? '', ['ServiceAccount', 'User', 'Group']));
  }
}
function validateBinding(binding: v1.RoleBinding | v1.ClusterRoleBinding): FieldError[] {
  const errors: FieldError[] = [];
  const namespaced = binding.kind === 'RoleBinding';
  const path = field('roleRef');
  const { apiGroup = '', kind = '', name = '' } = binding.roleRef ?? {};
  if (apiGroup !== rbacGroup) errors.push(notSupported(path.child('apiGroup'), apiGroup, [rbacGroup]));
  const kinds = namespaced ? ['ClusterRole', 'Role'] : ['ClusterRole'];
  if (!kinds.includes(kind)) errors.push(notSupported(path.child('kind'), kind, namespaced ? ['Role', 'ClusterRole'] : kinds));
  if (name === '') errors.push(required(path.child('name')));
  else addInvalid(errors, path.child('name'), name, nameIsPathSegment(name, false));
  for (const [i, subject] of (binding.subjects ?? []).entries()) validateSubject(subject, namespaced, field('subjects').index(i), errors);
  return errors;
}
export { validateBinding as validateRoleBinding };
export function validateRoleBindingUpdate<T extends v1.RoleBinding | v1.ClusterRoleBinding>(next: T, old: T): FieldError[] {
  const errors = validateBinding(next);
  if (!semanticEqual(next.roleRef, old.roleRef)) errors.push(invalid(field('roleRef'), next.roleRef, 'cannot change roleRef'));
  return errors;
}
