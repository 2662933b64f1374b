/** Defaults of apiregistration.k8s.io/v1. Source: kube-aggregator/pkg/apis/apiregistration/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setAPIServiceDefaults({ spec }: Draft<v1.APIService>): void {
  if (spec?.service) spec.service.port ??= 443;
}
