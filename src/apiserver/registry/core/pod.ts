/** Pods: what the apiserver does with them. Source: Kubernetes API reference; upstream's pkg/registry/core/pod. */
import type { Pod } from '../../../api/core/v1.ts';
import { setPodDefaults } from '../../../api/core/v1.defaults.ts';
import { pods } from '../../../api/resources.ts';
import { entry } from '../define.ts';
import { podColumns } from './pod-columns.ts';
import { qosClassOf } from '../../../api/core/pod-qos.ts';

const noGrace = (pod: Pod) => !pod.spec.nodeName || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';

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
    setDefaults: setPodDefaults,
    prepareForCreate(pod) {
      pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) };
      if ((pod.spec.schedulingGates?.length ?? 0) > 0) {
        pod.status.conditions = [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates' }];
      }
    },
    /** Never scheduled or already ended: at once. Negative requests mean one second. Source: podStrategy.CheckGracefulDelete. */
    gracePeriodSeconds(pod, requested) {
      let period = requested ?? pod.spec.terminationGracePeriodSeconds ?? 30;
      if (noGrace(pod)) period = 0;
      return period < 0 ? 1 : period;
    },
  },
});
