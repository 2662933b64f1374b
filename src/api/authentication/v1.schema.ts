/** The fields of authentication.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const authenticationV1 = defineTypes('authentication/v1', 'authentication.k8s.io/v1', {
  BoundObjectReference: {
    kind: '1 string',
    apiVersion: '2 string',
    name: '3 string',
    uid: '4 string',
  },
  SelfSubjectReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    status: '2 SelfSubjectReviewStatus',
  },
  SelfSubjectReviewStatus: {
    userInfo: '1 UserInfo',
  },
  TokenRequest: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 TokenRequestSpec',
    status: '3 TokenRequestStatus',
  },
  TokenRequestSpec: {
    audiences: '1 []string atomic',
    boundObjectRef: '3 BoundObjectReference pointer',
    expirationSeconds: '4 int64 pointer',
  },
  TokenRequestStatus: {
    token: '1 string',
    expirationTimestamp: '2 Time',
  },
  TokenReview: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 TokenReviewSpec!',
    status: '3 TokenReviewStatus',
  },
  TokenReviewSpec: {
    token: '1 string!',
    audiences: '2 []string atomic',
  },
  TokenReviewStatus: {
    authenticated: '1 bool',
    user: '2 UserInfo',
    error: '3 string',
    audiences: '4 []string atomic',
  },
  UserInfo: {
    username: '1 string',
    uid: '2 string',
    groups: '3 []string atomic',
    extra: '4 map<ExtraValue>',
  },
});
