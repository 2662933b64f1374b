/** Defaults of resource.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/resource/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

function setClaimSpecDefaults(spec: Draft<v1.ResourceClaimSpec> | undefined): void {
  for (const request of spec?.devices?.requests ?? []) {
    for (const one of [...(request.exactly ? [request.exactly] : []), ...request.firstAvailable ?? []]) {
      one.allocationMode ||= 'ExactCount';
      if (one.allocationMode === 'ExactCount') one.count ||= 1;
      for (const toleration of one.tolerations ?? []) toleration.operator ||= 'Equal';
    }
  }
}
export function setResourceClaimDefaults(claim: Draft<v1.ResourceClaim>): void { claim.spec ??= {}; setClaimSpecDefaults(claim.spec); }
export function setResourceClaimTemplateDefaults(template: Draft<v1.ResourceClaimTemplate>): void { setClaimSpecDefaults(template.spec?.spec); }
