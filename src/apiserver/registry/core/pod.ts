/** Pods: what the apiserver does with them. Source: Kubernetes API reference; upstream's pkg/registry/core/pod. */
import type { Draft } from '../../../base/json.ts';
import type { Pod, PodTemplateSpec } from '../../../api/core/v1.ts';
import { setPodDefaults } from '../../../api/core/v1.defaults.ts';
import { qosClassOf } from '../../../api/core/pod-qos.ts';
import { validateEphemeralContainersUpdate, validatePod, validatePodResize, validatePodStatusUpdate, validatePodUpdate } from '../../../api/core/pod.validation.ts';
import { pods } from '../../../api/resources.ts';
import { entry } from '../define.ts';
import { podColumns } from './pod-columns.ts';

const noGrace = (pod: Pod) => !pod.spec.nodeName || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';

/** serviceAccount is the old name of serviceAccountName; both always agree. */
export function syncServiceAccount(spec: Draft<Pod>['spec'] | undefined): void {
  if (!spec) return;
  const name = spec.serviceAccountName || spec.serviceAccount;
  if (name) { spec.serviceAccountName = name; spec.serviceAccount = name; }
}

/** matchLabelKeys become ordinary requirements of the selector when the pod is made, from its own labels. KEP-3633, KEP-3243. */
function applyMatchLabelKeys(pod: Draft<Pod>): void {
  const labels = pod.metadata.labels ?? {};
  const { affinity, topologySpreadConstraints } = pod.spec;
  type Term = { labelSelector?: { matchExpressions?: { key: string; operator: string; values?: string[] }[] }; matchLabelKeys?: string[]; mismatchLabelKeys?: string[] };
  const apply = (term: Term) => {
    if (!term.labelSelector) return;
    for (const [keys, operator] of [[term.matchLabelKeys, 'In'], [term.mismatchLabelKeys, 'NotIn']] as const) {
      for (const key of keys ?? []) if (labels[key] !== undefined) (term.labelSelector.matchExpressions ??= []).push({ key, operator, values: [labels[key]] });
    }
  };
  for (const side of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    for (const term of side?.requiredDuringSchedulingIgnoredDuringExecution ?? []) apply(term);
    for (const term of side?.preferredDuringSchedulingIgnoredDuringExecution ?? []) apply(term.podAffinityTerm);
  }
  // Differs: upstream's scheduler also merges these keys for spread; here the selector alone carries them.
  for (const constraint of topologySpreadConstraints ?? []) apply(constraint);
}

const renamedLabels: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'kubernetes.io/arch', 'beta.kubernetes.io/os': 'kubernetes.io/os', 'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
};
/** Deprecations and likely mistakes, of pods and templates. `path`: '' or 'spec.template.'. Source: upstream's pkg/api/pod/warnings.go. */
export function podWarnings(template: PodTemplateSpec | undefined, path: string): string[] {
  const spec = template?.spec;
  if (!spec) return [];
  const warnings: string[] = [];
  for (const key in spec.nodeSelector) if (renamedLabels[key]) warnings.push(`${path}spec.nodeSelector[${key}]: deprecated since v1.14; use "${renamedLabels[key]}" instead`);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) warnings.push(`${path}spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`);
  for (const [i, volume] of (spec.volumes ?? []).entries()) {
    if (volume.gitRepo) warnings.push(`${path}spec.volumes[${i}].gitRepo: deprecated in v1.11`);
  }
  for (const [i, container] of (spec.containers ?? []).entries()) {
    const names = new Map<string, number>();
    for (const [e, variable] of (container.env ?? []).entries()) {
      if (names.has(variable.name)) warnings.push(`${path}spec.containers[${i}].env[${e}]: hides previous definition of "${variable.name}", which may be dropped when using apply`);
      names.set(variable.name, e);
    }
    const ports = new Map<string, number>();
    for (const [p, port] of (container.ports ?? []).entries()) {
      const key = `${port.containerPort}/${port.protocol}`;
      if (ports.has(key)) warnings.push(`${path}spec.containers[${i}].ports[${p}]: duplicate port definition with ${path}spec.containers[${i}].ports[${ports.get(key)}]`);
      else ports.set(key, p);
    }
  }
  if (spec.dnsConfig && (spec.dnsConfig.nameservers?.length ?? 0) > 3) warnings.push(`${path}spec.dnsConfig.nameservers: must not have more than 3 nameservers`);
  return warnings;
}

export const podEntry = entry(pods, {
  columns: podColumns,
  fieldSelectors: {
    'spec.nodeName': ({ spec }) => spec.nodeName ?? '',
    'spec.restartPolicy': ({ spec }) => spec.restartPolicy ?? '',
    'spec.schedulerName': ({ spec }) => spec.schedulerName ?? '',
    'spec.serviceAccountName': ({ spec }) => spec.serviceAccountName ?? '',
    'spec.hostNetwork': ({ spec }) => String(spec.hostNetwork ?? false),
    'status.phase': ({ status }) => status?.phase ?? '',
    'status.podIP': ({ status }) => status?.podIPs?.[0]?.ip ?? status?.podIP ?? '',
    'status.nominatedNodeName': ({ status }) => status?.nominatedNodeName ?? '',
  },
  strategy: {
    setDefaults(pod) {
      setPodDefaults(pod);
      syncServiceAccount(pod.spec);
      // podIP is the first of podIPs, whichever a client wrote.
      if (pod.status?.podIP && (pod.status.podIPs?.length ?? 0) === 0) pod.status.podIPs = [{ ip: pod.status.podIP }];
      else if (pod.status && !pod.status.podIP && pod.status.podIPs?.[0]) pod.status.podIP = pod.status.podIPs[0].ip;
    },
    prepareForCreate(pod) {
      syncServiceAccount(pod.spec);
      pod.metadata.generation = 1;
      pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) };
      if ((pod.spec.schedulingGates?.length ?? 0) > 0) {
        pod.status.conditions = [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates' }];
      }
      applyMatchLabelKeys(pod);
    },
    prepareForUpdate(pod, old, { subresource }) {
      if (subresource === '') {
        if (old.status) pod.status = structuredClone(old.status) as Draft<Pod>['status'];
        pod.spec.ephemeralContainers = structuredClone(old.spec.ephemeralContainers) as Draft<Pod>['spec']['ephemeralContainers'];
        if (pod.spec.ephemeralContainers === undefined) delete pod.spec.ephemeralContainers;
      } else if (subresource === 'status') {
        pod.spec = structuredClone(old.spec) as Draft<Pod>['spec'];
        pod.status ??= {};
        if (old.status?.qosClass !== undefined) pod.status.qosClass ??= old.status.qosClass;
        // Owners are not the kubelet's to change.
        if (old.metadata.ownerReferences) pod.metadata.ownerReferences = structuredClone(old.metadata.ownerReferences) as Draft<Pod>['metadata']['ownerReferences'];
        if (pod.metadata.deletionTimestamp === undefined && old.metadata.deletionTimestamp !== undefined) pod.metadata.deletionTimestamp = old.metadata.deletionTimestamp;
      } else if (subresource === 'ephemeralcontainers') {
        const added = pod.spec.ephemeralContainers;
        pod.spec = structuredClone(old.spec) as Draft<Pod>['spec'];
        if (added) pod.spec.ephemeralContainers = added;
        if (old.status) pod.status = structuredClone(old.status) as Draft<Pod>['status'];
      } else if (subresource === 'resize' && old.status) pod.status = structuredClone(old.status) as Draft<Pod>['status'];
    },
    validate: (pod) => validatePod(pod),
    validateUpdate(pod, old, { subresource }) {
      if (subresource === 'ephemeralcontainers') return validateEphemeralContainersUpdate(pod, old);
      if (subresource === 'resize') return validatePodResize(pod, old);
      return validatePodUpdate(pod, old);
    },
    validateStatusUpdate: (pod, old) => validatePodStatusUpdate(pod, old),
    warnings: (pod, old) => (old ? [] : podWarnings(pod, '')),
    /** Never scheduled or already ended: at once. Negative requests mean one second. Source: podStrategy.CheckGracefulDelete. */
    gracePeriodSeconds(pod, requested) {
      let period = requested ?? pod.spec.terminationGracePeriodSeconds ?? 30;
      if (noGrace(pod)) period = 0;
      return period < 0 ? 1 : period;
    },
  },
});
