/** rbac.authorization.k8s.io/v1. Escalation is checked by admission in `auth/`. Source: Kubernetes API reference; upstream's pkg/registry/rbac. */
import type * as v1 from '../../api/rbac/v1.ts';
import type { Column } from '../types.ts';
import { setRoleBindingDefaults } from '../../api/rbac/v1.defaults.ts';
import { validateRole, validateRoleBinding, validateRoleBindingUpdate } from '../../api/rbac/v1.validation.ts';
import { nameIsPathSegment } from '../../api/validation/names.ts';
import { clusterrolebindings, clusterroles, rolebindings, roles } from '../../api/resources.ts';
import { ageColumn, column, entry, nameColumn, wide } from './define.ts';

type Binding = v1.RoleBinding | v1.ClusterRoleBinding;
const subjects = (kind: string) => (binding: Binding) =>
  (binding.subjects ?? []).filter((subject) => subject.kind === kind).map((subject) => (kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name)).join(', ');
const bindingColumns: readonly Column<Binding>[] = [
  nameColumn,
  column('Role', ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`),
  ageColumn,
  wide('Users', subjects('User'), { description: 'Users in the roleBinding' }),
  wide('Groups', subjects('Group'), { description: 'Groups in the roleBinding' }),
  wide('ServiceAccounts', subjects('ServiceAccount'), { description: 'ServiceAccounts in the roleBinding' }),
];

export const rbacEntries = [
  entry(clusterrolebindings, { columns: bindingColumns, strategy: { setDefaults: setRoleBindingDefaults, validate: validateRoleBinding, validateUpdate: validateRoleBindingUpdate, validateName: nameIsPathSegment, allowCreateOnUpdate: true } }),
  entry(clusterroles, { strategy: { validate: validateRole, validateUpdate: validateRole, validateName: nameIsPathSegment, allowCreateOnUpdate: true } }),
  entry(rolebindings, { columns: bindingColumns, strategy: { setDefaults: setRoleBindingDefaults, validate: validateRoleBinding, validateUpdate: validateRoleBindingUpdate, validateName: nameIsPathSegment, allowCreateOnUpdate: true } }),
  entry(roles, { strategy: { validate: validateRole, validateUpdate: validateRole, validateName: nameIsPathSegment, allowCreateOnUpdate: true } }),
];
