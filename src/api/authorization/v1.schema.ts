/** The fields of authorization.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const authorizationV1 = defineTypes('authorization/v1', 'authorization.k8s.io/v1', {
  FieldSelectorAttributes: {
    rawSelector: '1 string',
    requirements: '2 []FieldSelectorRequirement atomic',
  },
  LabelSelectorAttributes: {
    rawSelector: '1 string',
    requirements: '2 []LabelSelectorRequirement atomic',
  },
  LocalSubjectAccessReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 SubjectAccessReviewSpec!',
    status: '3 SubjectAccessReviewStatus',
  },
  NonResourceAttributes: {
    path: '1 string',
    verb: '2 string',
  },
  NonResourceRule: {
    verbs: '1 []string! atomic',
    nonResourceURLs: '2 []string atomic',
  },
  ResourceAttributes: {
    namespace: '1 string',
    verb: '2 string',
    group: '3 string',
    version: '4 string',
    resource: '5 string',
    subresource: '6 string',
    name: '7 string',
    fieldSelector: '8 FieldSelectorAttributes pointer',
    labelSelector: '9 LabelSelectorAttributes pointer',
  },
  ResourceRule: {
    verbs: '1 []string! atomic',
    apiGroups: '2 []string atomic',
    resources: '3 []string atomic',
    resourceNames: '4 []string atomic',
  },
  SelfSubjectAccessReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 SelfSubjectAccessReviewSpec!',
    status: '3 SubjectAccessReviewStatus',
  },
  SelfSubjectAccessReviewSpec: {
    resourceAttributes: '1 ResourceAttributes pointer',
    nonResourceAttributes: '2 NonResourceAttributes pointer',
  },
  SelfSubjectRulesReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 SelfSubjectRulesReviewSpec!',
    status: '3 SubjectRulesReviewStatus',
  },
  SelfSubjectRulesReviewSpec: {
    namespace: '1 string',
  },
  SubjectAccessReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 SubjectAccessReviewSpec!',
    status: '3 SubjectAccessReviewStatus',
  },
  SubjectAccessReviewSpec: {
    resourceAttributes: '1 ResourceAttributes pointer',
    nonResourceAttributes: '2 NonResourceAttributes pointer',
    user: '3 string',
    groups: '4 []string atomic',
    extra: '5 map<ExtraValue>',
    uid: '6 string',
  },
  SubjectAccessReviewStatus: {
    allowed: '1 bool!',
    reason: '2 string',
    evaluationError: '3 string',
    denied: '4 bool',
  },
  SubjectRulesReviewStatus: {
    resourceRules: '1 []ResourceRule! atomic',
    nonResourceRules: '2 []NonResourceRule! atomic',
    incomplete: '3 bool!',
    evaluationError: '4 string',
  },
});
