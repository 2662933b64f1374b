/** Types of certificates.k8s.io/v1, written by `npm run generate` from `v1.schema.ts`; do not edit. */
import type * as metaV1 from '../meta/v1.ts';

export interface CertificateSigningRequest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ObjectMeta;
  readonly spec: CertificateSigningRequestSpec;
  readonly status?: CertificateSigningRequestStatus;
}
export interface CertificateSigningRequestCondition {
  readonly type: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastUpdateTime?: string;
  readonly lastTransitionTime?: string;
  readonly status: string;
}
export interface CertificateSigningRequestList {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ListMeta;
  readonly items: readonly CertificateSigningRequest[];
}
export interface CertificateSigningRequestSpec {
  readonly request: string;
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly usages?: readonly string[];
  readonly extra?: { readonly [key: string]: readonly string[] };
  readonly signerName: string;
  readonly expirationSeconds?: number;
}
export interface CertificateSigningRequestStatus {
  readonly conditions?: readonly CertificateSigningRequestCondition[];
  readonly certificate?: string;
}
