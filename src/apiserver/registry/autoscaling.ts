/**
 * autoscaling/v2 HorizontalPodAutoscaler (the stored form) and v1, a view of it. What v1 has no field for travels in annotations.
 * Source: Kubernetes API reference; upstream's pkg/apis/autoscaling/v1/conversion.go.
 * Differs: the annotations hold v2's JSON, not v2beta1's field names; nobody but a v1 round trip reads them.
 */
import type { JsonObject } from '../../base/json.ts';
import type * as v2 from '../../api/autoscaling/v2.ts';
import type { Column } from '../types.ts';
import { setHorizontalPodAutoscalerDefaults, setHorizontalPodAutoscalerV1Defaults } from '../../api/autoscaling/v2.defaults.ts';
import { validateHorizontalPodAutoscaler } from '../../api/autoscaling/v2.validation.ts';
import { horizontalpodautoscalers, horizontalpodautoscalersV1 } from '../../api/resources.ts';
import { ageColumn, column, entry, integer, nameColumn } from './define.ts';

type Target = v2.MetricTarget;
type Current = v2.MetricValueStatus | undefined;
const percentText = (value: number | undefined, otherwise: string) => (value === undefined ? otherwise : `${value}%`);

function metricText(spec: v2.MetricSpec, status: v2.MetricStatus | undefined): string {
  const valueOrAverage = (target: Target, current: Current) => (target.averageValue !== undefined
    ? `${current?.averageValue ?? '<unknown>'}/${target.averageValue} (avg)` : `${current?.value ?? '<unknown>'}/${target.value ?? '0'}`);
  const utilization = (name: string, target: Target, current: Current) => (target.averageValue !== undefined
    ? `${name}: ${current?.averageValue ?? '<unknown>'}/${target.averageValue}`
    : `${name}: ${percentText(current?.averageUtilization, '<unknown>')}/${percentText(target.averageUtilization, 'auto')}`);
  switch (spec.type) {
    case 'External': return spec.external ? valueOrAverage(spec.external.target, status?.external?.current) : '<unknown type>';
    case 'Object': return spec.object ? valueOrAverage(spec.object.target, status?.object?.current) : '<unknown type>';
    case 'Pods': return `${status?.pods?.current.averageValue ?? '<unknown>'}/${spec.pods?.target.averageValue ?? ''}`;
    case 'Resource': return spec.resource ? utilization(spec.resource.name, spec.resource.target, status?.resource?.current) : '<unknown type>';
    case 'ContainerResource': return spec.containerResource ? utilization(spec.containerResource.name, spec.containerResource.target, status?.containerResource?.current) : '<unknown type>';
    default: return '<unknown type>';
  }
}
function targetsText({ spec, status }: v2.HorizontalPodAutoscaler): string {
  const metrics = spec?.metrics ?? [];
  if (metrics.length === 0) return '<none>';
  const texts = metrics.map((metric, i) => metricText(metric, status?.currentMetrics?.[i]));
  return texts.length > 2 ? `${texts.slice(0, 2).join(', ')} + ${texts.length - 2} more...` : texts.join(', ');
}
export const autoscalerColumns: readonly Column<v2.HorizontalPodAutoscaler>[] = [
  nameColumn,
  column('Reference', ({ spec }) => `${spec?.scaleTargetRef.kind}/${spec?.scaleTargetRef.name}`),
  column('Targets', targetsText),
  column('MinPods', ({ spec }) => String(spec?.minReplicas ?? '<unset>')),
  column('MaxPods', ({ spec }) => spec?.maxReplicas ?? 0, integer),
  column('Replicas', ({ status }) => status?.currentReplicas ?? 0, integer),
  ageColumn,
];

const annotation = { metrics: 'autoscaling.alpha.kubernetes.io/metrics', currentMetrics: 'autoscaling.alpha.kubernetes.io/current-metrics', conditions: 'autoscaling.alpha.kubernetes.io/conditions', behavior: 'autoscaling.alpha.kubernetes.io/behavior' };
const asObject = (value: unknown): JsonObject => (value ?? {}) as JsonObject;
const isCpuUtilization = (metric: JsonObject) => metric.type === 'Resource' && asObject(metric.resource).name === 'cpu' && asObject(asObject(metric.resource).target).averageUtilization !== undefined;

/** v1 → v2. */
export function autoscalerToStored(object: JsonObject): JsonObject {
  const spec = asObject(object.spec);
  const status = asObject(object.status);
  const metadata = { ...asObject(object.metadata) };
  const annotations = { ...asObject(metadata.annotations) };
  const take = (key: string): unknown => {
    const text = annotations[key];
    delete annotations[key];
    if (typeof text !== 'string') return undefined;
    try { return JSON.parse(text); } catch { return undefined; }
  };
  const others = take(annotation.metrics);
  const metrics: JsonObject[] = Array.isArray(others) ? others : [];
  if (spec.targetCPUUtilizationPercentage !== undefined) {
    metrics.push({ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: spec.targetCPUUtilizationPercentage } } });
  }
  const behavior = take(annotation.behavior);
  const conditions = take(annotation.conditions);
  const otherCurrent = take(annotation.currentMetrics);
  const currentMetrics: JsonObject[] = Array.isArray(otherCurrent) ? otherCurrent : [];
  if (status.currentCPUUtilizationPercentage !== undefined) {
    currentMetrics.push({ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: status.currentCPUUtilizationPercentage } } });
  }
  if (metadata.annotations !== undefined) { if (Object.keys(annotations).length > 0) metadata.annotations = annotations; else delete metadata.annotations; }
  const { targetCPUUtilizationPercentage: _target, ...restSpec } = spec;
  const { currentCPUUtilizationPercentage: _current, ...restStatus } = status;
  return {
    ...object, apiVersion: 'autoscaling/v2', metadata,
    spec: { ...restSpec, ...(metrics.length > 0 ? { metrics } : {}), ...(behavior ? { behavior: behavior as JsonObject } : {}) },
    ...(object.status === undefined ? {} : { status: { ...restStatus, ...(currentMetrics.length > 0 ? { currentMetrics } : {}), ...(Array.isArray(conditions) ? { conditions } : {}) } }),
  };
}
/** v2 → v1. */
export function autoscalerFromStored(object: JsonObject): JsonObject {
  const { metrics, behavior, ...spec } = asObject(object.spec);
  const { currentMetrics, conditions, ...status } = asObject(object.status);
  const annotations: JsonObject = {};
  const split = (list: unknown): [JsonObject | undefined, JsonObject[]] => {
    const all = Array.isArray(list) ? list as JsonObject[] : [];
    const cpu = all.find((metric) => isCpuUtilization(metric) || asObject(asObject(metric.resource).current).averageUtilization !== undefined && asObject(metric.resource).name === 'cpu');
    return [cpu, all.filter((metric) => metric !== cpu)];
  };
  const [cpu, others] = split(metrics);
  if (cpu) spec.targetCPUUtilizationPercentage = asObject(asObject(cpu.resource).target).averageUtilization;
  if (others.length > 0) annotations[annotation.metrics] = JSON.stringify(others);
  if (behavior) annotations[annotation.behavior] = JSON.stringify(behavior);
  const [cpuNow, othersNow] = split(currentMetrics);
  if (cpuNow) status.currentCPUUtilizationPercentage = asObject(asObject(cpuNow.resource).current).averageUtilization;
  if (othersNow.length > 0) annotations[annotation.currentMetrics] = JSON.stringify(othersNow);
  if (Array.isArray(conditions) && conditions.length > 0) annotations[annotation.conditions] = JSON.stringify(conditions);
  const metadata = asObject(object.metadata);
  return {
    ...object, apiVersion: 'autoscaling/v1',
    metadata: Object.keys(annotations).length === 0 ? metadata : { ...metadata, annotations: { ...asObject(metadata.annotations), ...annotations } },
    spec, ...(object.status === undefined ? {} : { status }),
  };
}

export const autoscalingEntries = [
  entry(horizontalpodautoscalers, { columns: autoscalerColumns, strategy: { setDefaults: setHorizontalPodAutoscalerDefaults, generation: 'none', validate: validateHorizontalPodAutoscaler, validateUpdate: validateHorizontalPodAutoscaler } }),
  entry(horizontalpodautoscalersV1, {
    // Tables are made from the stored form.
    columns: autoscalerColumns as unknown as readonly Column<never>[],
    strategy: {
      setDefaults: setHorizontalPodAutoscalerV1Defaults, generation: 'none',
      validate: (object) => validateHorizontalPodAutoscaler(autoscalerToStored(object as unknown as JsonObject) as unknown as v2.HorizontalPodAutoscaler),
      validateUpdate: (object) => validateHorizontalPodAutoscaler(autoscalerToStored(object as unknown as JsonObject) as unknown as v2.HorizontalPodAutoscaler),
    },
    alias: { of: horizontalpodautoscalers, toStored: autoscalerToStored, fromStored: autoscalerFromStored },
  }),
];
