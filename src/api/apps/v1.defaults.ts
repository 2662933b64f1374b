/** Defaults of apps/v1. Source: Kubernetes API reference; upstream's pkg/apis/apps/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import { setPersistentVolumeClaimDefaults, setPodTemplateDefaults } from '../core/v1.defaults.ts';
import type * as v1 from './v1.ts';

export function setDeploymentDefaults({ spec }: Draft<v1.Deployment>): void {
  if (!spec) return;
  spec.replicas ??= 1;
  const strategy = (spec.strategy ??= {});
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = (strategy.rollingUpdate ??= {});
    rolling.maxUnavailable ??= '25%';
    rolling.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  setPodTemplateDefaults(spec.template);
}
export function setReplicaSetDefaults({ spec }: Draft<v1.ReplicaSet>): void {
  if (!spec) return;
  spec.replicas ??= 1;
  setPodTemplateDefaults(spec.template);
}
export function setDaemonSetDefaults({ spec }: Draft<v1.DaemonSet>): void {
  if (!spec) return;
  const strategy = (spec.updateStrategy ??= {});
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = (strategy.rollingUpdate ??= {});
    rolling.maxUnavailable ??= 1;
    rolling.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  setPodTemplateDefaults(spec.template);
}
export function setStatefulSetDefaults({ spec }: Draft<v1.StatefulSet>): void {
  if (!spec) return;
  spec.podManagementPolicy ||= 'OrderedReady';
  const strategy = (spec.updateStrategy ??= {});
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = (strategy.rollingUpdate ??= {});
    rolling.partition ??= 0;
    rolling.maxUnavailable ??= 1;
  }
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
  retention.whenDeleted ||= 'Retain';
  retention.whenScaled ||= 'Retain';
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion ||= 'v1';
    claim.kind ||= 'PersistentVolumeClaim';
    setPersistentVolumeClaimDefaults(claim);
  }
  setPodTemplateDefaults(spec.template);
}
