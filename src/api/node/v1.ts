/** Types of node.k8s.io/v1, written by `npm run generate` from `v1.schema.ts`; do not edit. */
import type * as coreV1 from '../core/v1.ts';
import type * as metaV1 from '../meta/v1.ts';

export interface Overhead {
  readonly podFixed?: { readonly [key: string]: string };
}
export interface RuntimeClass {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ObjectMeta;
  readonly handler: string;
  readonly overhead?: Overhead;
  readonly scheduling?: Scheduling;
}
export interface RuntimeClassList {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: metaV1.ListMeta;
  readonly items: readonly RuntimeClass[];
}
export interface Scheduling {
  readonly nodeSelector?: { readonly [key: string]: string };
  readonly tolerations?: readonly coreV1.Toleration[];
}
