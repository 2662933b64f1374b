/** The plugins in upstream's order, and which are on. Source: pkg/kubeapiserver/options/plugins.go; kubernetes.io/docs/reference/access-authn-authz/admission-controllers. */
import type { AdmissionPlugin } from '../types.ts';
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts';
import { limitRanger } from './limit-ranger.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import { defaultIngressClass, defaultStorageClass, persistentVolumeClaimResize, storageObjectInUseProtection, taintNodesByCondition } from './objects.ts';
import { ownerReferencesPermissionEnforcement } from './owner-references.ts';
import type { AdmissionDeps } from './plugin.ts';
import { alwaysPullImages, defaultTolerationSeconds, extendedResourceToleration, podTopologyLabels, priority, runtimeClass } from './pods.ts';
import { mutatingPolicies } from './policy/mutating.ts';
import { validatingPolicies } from './policy/validating.ts';
import { podSecurity } from './pod-security.ts';
import { resourceQuota } from './resource-quota.ts';
import { serviceAccount } from './service-account.ts';
import { mutatingWebhooks, validatingWebhooks } from './webhooks/plugins.ts';

const plugins: readonly { name: string; make(deps: AdmissionDeps): AdmissionPlugin; byDefault: boolean }[] = [
  { name: 'NamespaceLifecycle', make: namespaceLifecycle, byDefault: true },
  { name: 'LimitRanger', make: limitRanger, byDefault: true },
  { name: 'ServiceAccount', make: serviceAccount, byDefault: true },
  // Differs: upstream leaves NodeRestriction off and kubeadm turns it on; here kubelets are always held to their node.
  { name: 'NodeRestriction', make: nodeRestriction, byDefault: true },
  { name: 'TaintNodesByCondition', make: taintNodesByCondition, byDefault: true },
  { name: 'AlwaysPullImages', make: alwaysPullImages, byDefault: false },
  { name: 'PodSecurity', make: podSecurity, byDefault: true },
  { name: 'Priority', make: priority, byDefault: true },
  { name: 'DefaultTolerationSeconds', make: defaultTolerationSeconds, byDefault: true },
  { name: 'ExtendedResourceToleration', make: extendedResourceToleration, byDefault: false },
  { name: 'DefaultStorageClass', make: defaultStorageClass, byDefault: true },
  { name: 'StorageObjectInUseProtection', make: storageObjectInUseProtection, byDefault: true },
  { name: 'OwnerReferencesPermissionEnforcement', make: ownerReferencesPermissionEnforcement, byDefault: false },
  { name: 'PersistentVolumeClaimResize', make: persistentVolumeClaimResize, byDefault: true },
  { name: 'RuntimeClass', make: runtimeClass, byDefault: true },
  { name: 'CertificateApproval', make: certificateApproval, byDefault: true },
  { name: 'CertificateSigning', make: certificateSigning, byDefault: true },
  { name: 'CertificateSubjectRestriction', make: certificateSubjectRestriction, byDefault: true },
  { name: 'DefaultIngressClass', make: defaultIngressClass, byDefault: true },
  { name: 'PodTopologyLabels', make: podTopologyLabels, byDefault: true },
  { name: 'MutatingAdmissionPolicy', make: mutatingPolicies, byDefault: true },
  { name: 'MutatingAdmissionWebhook', make: mutatingWebhooks, byDefault: true },
  { name: 'ValidatingAdmissionPolicy', make: validatingPolicies, byDefault: true },
  { name: 'ValidatingAdmissionWebhook', make: validatingWebhooks, byDefault: true },
  { name: 'ResourceQuota', make: resourceQuota, byDefault: true },
];
/** Upstream's, accepted by the flags and without effect here. */
const known: readonly string[] = ['AlwaysAdmit', 'AlwaysDeny', 'ClusterTrustBundleAttest', 'DenyServiceExternalIPs', 'EventRateLimit', 'ImagePolicyWebhook', 'LimitPodHardAntiAffinityTopology',
  'NamespaceAutoProvision', 'NamespaceExists', 'PersistentVolumeLabel', 'PodNodeSelector', 'PodTolerationRestriction'];

export interface AdmissionChoice {
  /** `--enable-admission-plugins`, beside those on by default. */
  enable?: readonly string[];
  /** `--disable-admission-plugins`. */
  disable?: readonly string[];
  /** Run after the listed ones and before ResourceQuota, such as webhooks. */
  more?: readonly AdmissionPlugin[];
}

/** Throws for names that no plugin has. */
export function defaultAdmission(deps: AdmissionDeps, { enable = [], disable = [], more = [] }: AdmissionChoice = {}): AdmissionPlugin[] {
  const names = plugins.map(({ name }) => name);
  const wrong = [...enable, ...disable].find((name) => !names.includes(name) && !known.includes(name));
  if (wrong !== undefined) throw new Error(`there is no admission plugin ${JSON.stringify(wrong)}; known: ${[...names, ...known].sort().join(', ')}`);
  const chosen = plugins.filter(({ name, byDefault }) => (byDefault || enable.includes(name)) && (!disable.includes(name) || enable.includes(name)));
  const made = chosen.map(({ make }) => make(deps));
  const quota = made.findIndex(({ name }) => name === 'ResourceQuota');
  return quota < 0 ? [...made, ...more] : [...made.slice(0, quota), ...more, ...made.slice(quota)];
}
