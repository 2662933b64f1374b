/** The fields of autoscaling/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const autoscalingV1 = defineTypes('autoscaling/v1', 'autoscaling/v1', {
  CrossVersionObjectReference: {
    $struct: 'atomic',
    kind: '1 string!',
    name: '2 string!',
    apiVersion: '3 string',
  },
  HorizontalPodAutoscaler: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 HorizontalPodAutoscalerSpec!',
    status: '3 HorizontalPodAutoscalerStatus',
  },
  HorizontalPodAutoscalerList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []HorizontalPodAutoscaler!',
  },
  HorizontalPodAutoscalerSpec: {
    scaleTargetRef: '1 CrossVersionObjectReference!',
    minReplicas: '2 int32 pointer',
    maxReplicas: '3 int32!',
    targetCPUUtilizationPercentage: '4 int32 pointer',
  },
  HorizontalPodAutoscalerStatus: {
    observedGeneration: '1 int64 pointer',
    lastScaleTime: '2 Time pointer',
    currentReplicas: '3 int32!',
    desiredReplicas: '4 int32!',
    currentCPUUtilizationPercentage: '5 int32 pointer',
  },
  Scale: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 ScaleSpec',
    status: '3 ScaleStatus',
  },
  ScaleSpec: {
    replicas: '1 int32',
  },
  ScaleStatus: {
    replicas: '1 int32!',
    selector: '2 string',
  },
});
