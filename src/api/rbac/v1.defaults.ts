/** Defaults of rbac.authorization.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/rbac/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export const rbacGroup = 'rbac.authorization.k8s.io';

export function setRoleBindingDefaults(binding: Draft<v1.RoleBinding> | Draft<v1.ClusterRoleBinding>): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= rbacGroup;
  for (const subject of binding.subjects ?? []) if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= rbacGroup;
}
