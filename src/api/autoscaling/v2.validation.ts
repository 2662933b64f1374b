/** HorizontalPodAutoscaler. Source: upstream's pkg/apis/autoscaling/validation. */
import type * as v2 from './v2.ts';
import { tryParseQuantity } from '../quantity.ts';
import { field, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { nameIsPathSegment } from '../validation/names.ts';
import { validateRequiredText } from '../validation/meta.ts';

const specPath = field('spec');
const pathSegment = (value: string) => nameIsPathSegment(value, false);

function validateTarget(target: v2.MetricTarget | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!target?.type) { errors.push(required(path.child('type'), 'must specify a metric target type')); return; }
  if (!['Utilization', 'Value', 'AverageValue'].includes(target.type)) errors.push(invalid(path.child('type'), target.type, 'must be either Utilization, Value, or AverageValue'));
  for (const name of ['value', 'averageValue'] as const) {
    const quantity = tryParseQuantity(target[name]);
    if (quantity && quantity.nanos <= 0n) errors.push(invalid(path.child(name), target[name], 'must be positive'));
  }
  if (target.averageUtilization !== undefined && target.averageUtilization < 1) errors.push(invalid(path.child('averageUtilization'), target.averageUtilization, 'must be greater than 0'));
}
const sources = { Object: 'object', Pods: 'pods', Resource: 'resource', External: 'external', ContainerResource: 'containerResource' } as const;
function validateMetric(metric: v2.MetricSpec, path: FieldPath, errors: FieldError[]): void {
  if (!metric.type) { errors.push(required(path.child('type'), 'must specify a metric source type')); return; }
  const name = sources[metric.type as keyof typeof sources];
  if (!name) { errors.push(notSupported(path.child('type'), metric.type, Object.keys(sources).sort())); return; }
  for (const [kind, other] of Object.entries(sources)) if (kind !== metric.type && metric[other]) errors.push({ type: 'FieldValueForbidden', field: path.child(other).toString(), detail: 'Forbidden: must populate the given metric source only' });
  const source = metric[name];
  if (!source) { errors.push(required(path.child(name), 'must populate information for the given metric source')); return; }
  const at = path.child(name);
  if (metric.type === 'Resource' || metric.type === 'ContainerResource') validateRequiredText((source as v2.ResourceMetricSource).name, undefined, at, 'name', errors, 'must specify a resource name');
  else validateRequiredText((source as v2.PodsMetricSource).metric?.name, pathSegment, at.child('metric'), 'name', errors, 'must specify a metric name');
  validateTarget(source.target, at.child('target'), errors);
  const { target } = source;
  if (metric.type === 'Pods' && target && target.averageValue === undefined) errors.push(required(at.child('target', 'averageValue'), 'must specify a positive target averageValue'));
  if ((metric.type === 'Resource' || metric.type === 'ContainerResource') && target) {
    if (target.averageUtilization === undefined && target.averageValue === undefined) errors.push(required(at.child('target', 'averageUtilization'), 'must set either a target raw value or a target utilization'));
    if (target.averageUtilization !== undefined && target.averageValue !== undefined) errors.push({ type: 'FieldValueForbidden', field: at.child('target', 'averageValue').toString(), detail: 'Forbidden: may not set both a target raw value and a target utilization' });
  }
}
function validateRules(rules: v2.HPAScalingRules | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!rules) return;
  const window = rules.stabilizationWindowSeconds;
  if (window !== undefined && window < 0) errors.push(invalid(path.child('stabilizationWindowSeconds'), window, 'must be greater than or equal to zero'));
  if (window !== undefined && window > 3600) errors.push(invalid(path.child('stabilizationWindowSeconds'), window, 'must be less than or equal to 3600'));
  if (rules.selectPolicy !== undefined && !['Max', 'Min', 'Disabled'].includes(rules.selectPolicy)) errors.push(notSupported(path.child('selectPolicy'), rules.selectPolicy, ['Disabled', 'Max', 'Min']));
  if ((rules.policies?.length ?? 0) === 0) errors.push(required(path.child('policies'), 'must specify at least one Policy'));
  for (const [i, policy] of (rules.policies ?? []).entries()) {
    const at = path.child('policies').index(i);
    if (policy.type !== 'Pods' && policy.type !== 'Percent') errors.push(notSupported(at.child('type'), policy.type ?? '', ['Percent', 'Pods']));
    if (!(policy.value > 0)) errors.push(invalid(at.child('value'), policy.value ?? 0, 'must be greater than zero'));
    if (!(policy.periodSeconds > 0)) errors.push(invalid(at.child('periodSeconds'), policy.periodSeconds ?? 0, 'must be greater than zero'));
    if (policy.periodSeconds > 1800) errors.push(invalid(at.child('periodSeconds'), policy.periodSeconds, 'must be less than or equal to 1800'));
  }
}
export function validateHorizontalPodAutoscaler({ spec }: v2.HorizontalPodAutoscaler): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  if (spec.minReplicas !== undefined && spec.minReplicas < 1) errors.push(invalid(specPath.child('minReplicas'), spec.minReplicas, 'must be greater than or equal to 1'));
  if (!(spec.maxReplicas >= 1)) errors.push(invalid(specPath.child('maxReplicas'), spec.maxReplicas ?? 0, 'must be greater than 0'));
  if (spec.minReplicas !== undefined && spec.maxReplicas < spec.minReplicas) errors.push(invalid(specPath.child('maxReplicas'), spec.maxReplicas, 'must be greater than or equal to `minReplicas`'));
  const path = specPath.child('scaleTargetRef');
  validateRequiredText(spec.scaleTargetRef?.kind, pathSegment, path, 'kind', errors);
  validateRequiredText(spec.scaleTargetRef?.name, pathSegment, path, 'name', errors);
  for (const [i, metric] of (spec.metrics ?? []).entries()) validateMetric(metric, specPath.child('metrics').index(i), errors);
  validateRules(spec.behavior?.scaleUp, specPath.child('behavior', 'scaleUp'), errors);
  validateRules(spec.behavior?.scaleDown, specPath.child('behavior', 'scaleDown'), errors);
  return errors;
}
