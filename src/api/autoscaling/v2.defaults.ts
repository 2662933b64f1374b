/** Defaults of HorizontalPodAutoscaler, v2 and v1. Source: Kubernetes API reference; upstream's pkg/apis/autoscaling/v2/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';
import type * as v2 from './v2.ts';

const scaleUpPolicies = [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }];
const scaleDownPolicies = [{ type: 'Percent', value: 100, periodSeconds: 15 }];

function setRules(rules: Draft<v2.HPAScalingRules> | undefined, stabilization: number | undefined, policies: typeof scaleUpPolicies): Draft<v2.HPAScalingRules> {
  const out = rules ?? {};
  out.selectPolicy ??= 'Max';
  if (stabilization !== undefined) out.stabilizationWindowSeconds ??= stabilization;
  out.policies ??= policies.map((policy) => ({ ...policy }));
  return out;
}

export function setHorizontalPodAutoscalerDefaults({ spec }: Draft<v2.HorizontalPodAutoscaler>): void {
  if (!spec) return;
  spec.minReplicas ??= 1;
  if ((spec.metrics?.length ?? 0) === 0) {
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }];
  }
  if (spec.behavior) {
    spec.behavior.scaleUp = setRules(spec.behavior.scaleUp, 0, scaleUpPolicies);
    spec.behavior.scaleDown = setRules(spec.behavior.scaleDown, undefined, scaleDownPolicies);
  }
}
export function setHorizontalPodAutoscalerV1Defaults({ spec }: Draft<v1.HorizontalPodAutoscaler>): void {
  if (spec) spec.minReplicas ??= 1;
}
