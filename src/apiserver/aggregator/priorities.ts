/**
 * Where built-in groups and versions stand in discovery, as the priorities of their APIServices. A group that is not listed
 * belongs to a custom resource. Source: upstream's pkg/controlplane/apiserver/aggregator.go, pkg/kubeapiserver crdregistration.
 */
export interface ApiPriority { groupPriorityMinimum: number; versionPriority: number }

/** group → [groupPriorityMinimum, versions → versionPriority]. */
const builtIn: Readonly<Record<string, readonly [number, Readonly<Record<string, number>>]>> = {
  '': [18000, { v1: 1 }],
  apps: [17800, { v1: 15 }],
  'events.k8s.io': [17750, { v1: 15, v1beta1: 5 }],
  'authentication.k8s.io': [17700, { v1: 15, v1beta1: 9, v1alpha1: 1 }],
  'authorization.k8s.io': [17600, { v1: 15 }],
  autoscaling: [17500, { v1: 15, v2: 30 }],
  batch: [17400, { v1: 15, v1beta1: 9 }],
  'certificates.k8s.io': [17300, { v1: 15, v1beta1: 9, v1alpha1: 1 }],
  'networking.k8s.io': [17200, { v1: 15, v1beta1: 12, v1alpha1: 1 }],
  policy: [17100, { v1: 15, v1beta1: 9 }],
  'rbac.authorization.k8s.io': [17000, { v1: 15 }],
  'storage.k8s.io': [16800, { v1: 15, v1beta1: 9, v1alpha1: 1 }],
  'apiextensions.k8s.io': [16700, { v1: 15 }],
  'admissionregistration.k8s.io': [16700, { v1: 15, v1beta1: 12, v1alpha1: 9 }],
  'scheduling.k8s.io': [16600, { v1: 15, v1alpha1: 9 }],
  'coordination.k8s.io': [16500, { v1: 15, v1beta1: 13, v1alpha2: 12 }],
  'node.k8s.io': [16300, { v1: 15, v1beta1: 9, v1alpha1: 1 }],
  'discovery.k8s.io': [16200, { v1: 15, v1beta1: 12 }],
  'flowcontrol.apiserver.k8s.io': [16100, { v1: 21, v1beta3: 18, v1beta2: 15, v1beta1: 12, v1alpha1: 9 }],
  'internal.apiserver.k8s.io': [16000, { v1alpha1: 9 }],
  'resource.k8s.io': [15900, { v1: 15, v1beta2: 13, v1beta1: 12, v1alpha3: 9 }],
  'storagemigration.k8s.io': [15800, { v1beta1: 9 }],
};
/** The group of APIServices themselves: it has none, and comes first. */
export const ownGroup = 'apiregistration.k8s.io';
export const customPriority: ApiPriority = { groupPriorityMinimum: 1000, versionPriority: 100 };

/** Undefined: not built in. */
export function builtInPriority(group: string, version: string): ApiPriority | undefined {
  const found = builtIn[group];
  const versionPriority = found?.[1][version];
  return found && versionPriority !== undefined ? { groupPriorityMinimum: found[0], versionPriority } : undefined;
}
