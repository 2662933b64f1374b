/** Defaults of networking.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/networking/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setNetworkPolicyDefaults(policy: Draft<v1.NetworkPolicy>): void {
  const spec = (policy.spec ??= {});
  spec.podSelector ??= {};
  for (const rule of [...spec.ingress ?? [], ...spec.egress ?? []]) for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
  if ((spec.policyTypes?.length ?? 0) === 0) spec.policyTypes = (spec.egress?.length ?? 0) > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}
export function setIngressClassDefaults({ spec }: Draft<v1.IngressClass>): void {
  if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
}
export function setIngressDefaults(ingress: Draft<v1.Ingress>): void {
  ingress.spec ??= {};
  (ingress.status ??= {}).loadBalancer ??= {};
}
