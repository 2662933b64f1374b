/** The fields of autoscaling/v2. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const autoscalingV2 = defineTypes('autoscaling/v2', 'autoscaling/v2', {
  ContainerResourceMetricSource: {
    name: '1 string!',
    target: '2 MetricTarget!',
    container: '3 string!',
  },
  ContainerResourceMetricStatus: {
    name: '1 string!',
    current: '2 MetricValueStatus!',
    container: '3 string!',
  },
  CrossVersionObjectReference: {
    kind: '1 string!',
    name: '2 string!',
    apiVersion: '3 string',
  },
  ExternalMetricSource: {
    metric: '1 MetricIdentifier!',
    target: '2 MetricTarget!',
  },
  ExternalMetricStatus: {
    metric: '1 MetricIdentifier!',
    current: '2 MetricValueStatus!',
  },
  HPAScalingPolicy: {
    type: '1 string!',
    value: '2 int32!',
    periodSeconds: '3 int32!',
  },
  HPAScalingRules: {
    selectPolicy: '1 string pointer',
    policies: '2 []HPAScalingPolicy atomic',
    stabilizationWindowSeconds: '3 int32 pointer',
    tolerance: '4 Quantity pointer',
  },
  HorizontalPodAutoscaler: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 HorizontalPodAutoscalerSpec!',
    status: '3 HorizontalPodAutoscalerStatus',
  },
  HorizontalPodAutoscalerBehavior: {
    scaleUp: '1 HPAScalingRules pointer',
    scaleDown: '2 HPAScalingRules pointer',
  },
  HorizontalPodAutoscalerCondition: {
    type: '1 string!',
    status: '2 string!',
    lastTransitionTime: '3 Time',
    reason: '4 string',
    message: '5 string',
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
    metrics: '4 []MetricSpec atomic',
    behavior: '5 HorizontalPodAutoscalerBehavior pointer',
  },
  HorizontalPodAutoscalerStatus: {
    observedGeneration: '1 int64 pointer',
    lastScaleTime: '2 Time pointer',
    currentReplicas: '3 int32',
    desiredReplicas: '4 int32!',
    currentMetrics: '5 []MetricStatus atomic',
    conditions: '6 []HorizontalPodAutoscalerCondition map(type) merge(type)',
  },
  MetricIdentifier: {
    name: '1 string!',
    selector: '2 LabelSelector pointer',
  },
  MetricSpec: {
    type: '1 string!',
    object: '2 ObjectMetricSource pointer',
    pods: '3 PodsMetricSource pointer',
    resource: '4 ResourceMetricSource pointer',
    external: '5 ExternalMetricSource pointer',
    containerResource: '7 ContainerResourceMetricSource pointer',
  },
  MetricStatus: {
    type: '1 string!',
    object: '2 ObjectMetricStatus pointer',
    pods: '3 PodsMetricStatus pointer',
    resource: '4 ResourceMetricStatus pointer',
    external: '5 ExternalMetricStatus pointer',
    containerResource: '7 ContainerResourceMetricStatus pointer',
  },
  MetricTarget: {
    type: '1 string!',
    value: '2 Quantity pointer',
    averageValue: '3 Quantity pointer',
    averageUtilization: '4 int32 pointer',
  },
  MetricValueStatus: {
    value: '1 Quantity pointer',
    averageValue: '2 Quantity pointer',
    averageUtilization: '3 int32 pointer',
  },
  ObjectMetricSource: {
    describedObject: '1 CrossVersionObjectReference!',
    target: '2 MetricTarget!',
    metric: '3 MetricIdentifier!',
  },
  ObjectMetricStatus: {
    metric: '1 MetricIdentifier!',
    current: '2 MetricValueStatus!',
    describedObject: '3 CrossVersionObjectReference!',
  },
  PodsMetricSource: {
    metric: '1 MetricIdentifier!',
    target: '2 MetricTarget!',
  },
  PodsMetricStatus: {
    metric: '1 MetricIdentifier!',
    current: '2 MetricValueStatus!',
  },
  ResourceMetricSource: {
    name: '1 string!',
    target: '2 MetricTarget!',
  },
  ResourceMetricStatus: {
    name: '1 string!',
    current: '2 MetricValueStatus!',
  },
});
