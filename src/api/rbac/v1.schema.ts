/** The fields of rbac.authorization.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const rbacV1 = defineTypes('rbac/v1', 'rbac.authorization.k8s.io/v1', {
  AggregationRule: {
    clusterRoleSelectors: '1 []LabelSelector atomic',
  },
  ClusterRole: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    rules: '2 []PolicyRule atomic',
    aggregationRule: '3 AggregationRule pointer',
  },
  ClusterRoleBinding: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    subjects: '2 []Subject atomic',
    roleRef: '3 RoleRef!',
  },
  ClusterRoleBindingList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []ClusterRoleBinding!',
  },
  ClusterRoleList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []ClusterRole!',
  },
  PolicyRule: {
    verbs: '1 []string! atomic',
    apiGroups: '2 []string atomic',
    resources: '3 []string atomic',
    resourceNames: '4 []string atomic',
    nonResourceURLs: '5 []string atomic',
  },
  Role: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    rules: '2 []PolicyRule atomic',
  },
  RoleBinding: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    subjects: '2 []Subject atomic',
    roleRef: '3 RoleRef!',
  },
  RoleBindingList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []RoleBinding!',
  },
  RoleList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []Role!',
  },
  RoleRef: {
    $struct: 'atomic',
    apiGroup: '1 string',
    kind: '2 string!',
    name: '3 string!',
  },
  Subject: {
    $struct: 'atomic',
    kind: '1 string!',
    apiGroup: '2 string',
    name: '3 string!',
    namespace: '4 string',
  },
});
