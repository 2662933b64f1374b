/** The fields of certificates.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const certificatesV1 = defineTypes('certificates/v1', 'certificates.k8s.io/v1', {
  CertificateSigningRequest: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 CertificateSigningRequestSpec!',
    status: '3 CertificateSigningRequestStatus',
  },
  CertificateSigningRequestCondition: {
    type: '1 string!',
    reason: '2 string',
    message: '3 string',
    lastUpdateTime: '4 Time',
    lastTransitionTime: '5 Time',
    status: '6 string!',
  },
  CertificateSigningRequestList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []CertificateSigningRequest!',
  },
  CertificateSigningRequestSpec: {
    request: '1 bytes!',
    username: '2 string',
    uid: '3 string',
    groups: '4 []string atomic',
    usages: '5 []string atomic',
    extra: '6 map<ExtraValue>',
    signerName: '7 string!',
    expirationSeconds: '8 int32 pointer',
  },
  CertificateSigningRequestStatus: {
    conditions: '1 []CertificateSigningRequestCondition map(type)',
    certificate: '2 bytes',
  },
});
