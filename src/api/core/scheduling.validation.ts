/** What a pod says about where it may run: affinity, node selectors, tolerations, taints, spread. Source: upstream's validateAffinity, ValidateTolerations, validateTopologySpreadConstraints. */
import type * as v1 from './v1.ts';
import { addInvalid, duplicate, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { validateEnum, validateLabelSelector, validateText } from '../validation/meta.ts';
import { isDNS1123Label, isQualifiedName, isValidLabelValue, nameIsDNSSubdomain } from '../validation/names.ts';
import { semanticEqual } from '../validation/equality.ts';

const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

// ---- node selectors

function validateNodeSelectorRequirement(requirement: v1.NodeSelectorRequirement, allowInvalidValues: boolean, path: FieldPath, errors: FieldError[]): void {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In': case 'NotIn': if (values.length === 0) errors.push(required(path.child('values'), "must be specified when `operator` is 'In' or 'NotIn'")); break;
    case 'Exists': case 'DoesNotExist': if (values.length > 0) errors.push(forbidden(path.child('values'), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")); break;
    case 'Gt': case 'Lt': if (values.length !== 1) errors.push(required(path.child('values'), "must be specified single value when `operator` is 'Lt' or 'Gt'")); break;
    default: errors.push(invalid(path.child('operator'), requirement.operator ?? '', 'not a valid selector operator'));
  }
  validateText(requirement.key, isQualifiedName, path, 'key', errors);
  if (!allowInvalidValues) for (const [i, value] of values.entries()) addInvalid(errors, path.child('values').index(i), value, isValidLabelValue(value));
}
function validateNodeFieldRequirement(requirement: v1.NodeSelectorRequirement, path: FieldPath, errors: FieldError[]): void {
  const values = requirement.values ?? [];
  if (requirement.operator === 'In' || requirement.operator === 'NotIn') {
    if (values.length !== 1) errors.push(required(path.child('values'), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
  } else errors.push(invalid(path.child('operator'), requirement.operator ?? '', 'not a valid selector operator'));
  if (requirement.key === 'metadata.name') { for (const [i, value] of values.entries()) addInvalid(errors, path.child('values').index(i), value, nameIsDNSSubdomain(value, false)); }
  else errors.push(invalid(path.child('key'), requirement.key ?? '', 'not a valid field selector key'));
}
function validateNodeSelectorTerm(term: v1.NodeSelectorTerm | undefined, allowInvalidValues: boolean, path: FieldPath, errors: FieldError[]): void {
  for (const [i, requirement] of (term?.matchExpressions ?? []).entries()) validateNodeSelectorRequirement(requirement, allowInvalidValues, path.child('matchExpressions').index(i), errors);
  for (const [i, requirement] of (term?.matchFields ?? []).entries()) validateNodeFieldRequirement(requirement, path.child('matchFields').index(i), errors);
}
export function validateNodeSelector(selector: v1.NodeSelector, path: FieldPath, errors: FieldError[]): void {
  if ((selector.nodeSelectorTerms?.length ?? 0) === 0) { errors.push(required(path.child('nodeSelectorTerms'), 'must have at least one node selector term')); return; }
  for (const [i, term] of selector.nodeSelectorTerms.entries()) validateNodeSelectorTerm(term, false, path.child('nodeSelectorTerms').index(i), errors);
}

// ---- affinity

function validateWeight(weight: number, path: FieldPath, errors: FieldError[]): void {
  if (!(weight > 0 && weight <= 100)) errors.push(invalid(path.child('weight'), weight ?? 0, 'must be in the range 1-100'));
}
function validatePodAffinityTerm(term: v1.PodAffinityTerm, path: FieldPath, errors: FieldError[]): void {
  validateLabelSelector(term.labelSelector, path.child('labelSelector'), errors);
  validateLabelSelector(term.namespaceSelector, path.child('namespaceSelector'), errors);
  for (const name of term.namespaces ?? []) addInvalid(errors, path.child('namespace'), name, isDNS1123Label(name));
  for (const list of ['matchLabelKeys', 'mismatchLabelKeys'] as const) {
    if ((term[list]?.length ?? 0) > 0 && !term.labelSelector) errors.push(forbidden(path.child(list), 'must not be specified when labelSelector is not set'));
    for (const [i, key] of (term[list] ?? []).entries()) addInvalid(errors, path.child(list).index(i), key, isQualifiedName(key));
  }
  for (const [i, key] of (term.matchLabelKeys ?? []).entries()) if (term.mismatchLabelKeys?.includes(key)) errors.push(invalid(path.child('matchLabelKeys').index(i), key, 'exists in both matchLabelKeys and mismatchLabelKeys'));
  if (!term.topologyKey) errors.push(required(path.child('topologyKey'), 'can not be empty'));
  validateText(term.topologyKey, isQualifiedName, path, 'topologyKey', errors);
}
function validatePodTerms(affinity: v1.PodAffinity | v1.PodAntiAffinity, path: FieldPath, errors: FieldError[]): void {
  const requiredPath = path.child('requiredDuringSchedulingIgnoredDuringExecution');
  for (const [i, term] of (affinity.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries()) validatePodAffinityTerm(term, requiredPath.index(i), errors);
  const preferredPath = path.child('preferredDuringSchedulingIgnoredDuringExecution');
  for (const [i, { weight, podAffinityTerm }] of (affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    validateWeight(weight, preferredPath.index(i), errors);
    validatePodAffinityTerm(podAffinityTerm ?? ({} as v1.PodAffinityTerm), preferredPath.index(i).child('podAffinityTerm'), errors);
  }
}
export function validateAffinity(affinity: v1.Affinity, path: FieldPath, errors: FieldError[]): void {
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  if (nodeAffinity) {
    const at = path.child('nodeAffinity');
    const must = nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
    if (must) validateNodeSelector(must, at.child('requiredDuringSchedulingIgnoredDuringExecution'), errors);
    for (const [i, term] of (nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      const inside = at.child('preferredDuringSchedulingIgnoredDuringExecution').index(i);
      validateWeight(term.weight, inside, errors);
      validateNodeSelectorTerm(term.preference, true, inside.child('preference'), errors);
    }
  }
  if (podAffinity) validatePodTerms(podAffinity, path.child('podAffinity'), errors);
  if (podAntiAffinity) validatePodTerms(podAntiAffinity, path.child('podAntiAffinity'), errors);
}

// ---- tolerations and taints

export function validateTolerations(tolerations: readonly v1.Toleration[], path: FieldPath, errors: FieldError[]): void {
  for (let i = 0; i < tolerations.length; i++) {
    const { key, operator = '', value = '', effect = '', tolerationSeconds } = tolerations[i]!;
    if (key) { const messages = isQualifiedName(key); if (messages.length > 0) addInvalid(errors, path.index(i).child('key'), key, messages); }
    else if (operator !== 'Exists') errors.push(invalid(path.index(i).child('operator'), operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"'));
    if (tolerationSeconds !== undefined && effect !== 'NoExecute') errors.push(invalid(path.index(i).child('effect'), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    if (operator === '' || operator === 'Equal') {
      const messages = isValidLabelValue(value);
      if (messages.length > 0) errors.push(invalid(path.index(i).child('operator'), value, messages.join(';')));
    } else if (operator === 'Exists') { if (value !== '') errors.push(invalid(path.index(i).child('operator'), value, "value must be empty when `operator` is 'Exists'")); }
    else errors.push(notSupported(path.index(i).child('operator'), operator, ['Equal', 'Exists']));
    if (effect !== '' && !taintEffects.includes(effect)) errors.push(notSupported(path.index(i).child('effect'), effect, taintEffects));
  }
}
export function validateOnlyAddedTolerations(next: readonly v1.Toleration[], old: readonly v1.Toleration[], path: FieldPath, errors: FieldError[]): void {
  const kept = old.every((before) => next.some((after) => semanticEqual({ ...before, tolerationSeconds: undefined }, { ...after, tolerationSeconds: undefined })));
  if (!kept) { errors.push(forbidden(path, 'existing toleration can not be modified except its tolerationSeconds')); return; }
  validateTolerations(next, path, errors);
}
export function validateTaints(taints: readonly v1.Taint[], path: FieldPath, errors: FieldError[]): void {
  const seen = new Set<string>();
  for (const [i, taint] of taints.entries()) {
    const at = path.index(i);
    validateText(taint.key, isQualifiedName, at, 'key', errors);
    const messages = isValidLabelValue(taint.value ?? '');
    if (messages.length > 0) errors.push(invalid(at.child('value'), taint.value, messages.join(';')));
    validateEnum(taint.effect, taintEffects, at, 'effect', errors);
    const identity = `${taint.key}:${taint.effect}`;
    if (seen.has(identity)) { const error = duplicate(at, taint); errors.push({ ...error, detail: `${error.detail}: taints must be unique by key and effect pair` }); }
    seen.add(identity);
  }
}

// ---- spread

export function validateTopologySpread(constraints: readonly v1.TopologySpreadConstraint[], path: FieldPath, errors: FieldError[]): void {
  for (const [i, constraint] of constraints.entries()) {
    const at = path.index(i);
    if (!(constraint.maxSkew > 0)) errors.push(invalid(at.child('maxSkew'), constraint.maxSkew ?? 0, 'must be greater than zero'));
    if (!constraint.topologyKey) errors.push(required(at.child('topologyKey'), 'can not be empty'));
    else validateText(constraint.topologyKey, isQualifiedName, at, 'topologyKey', errors);
    const when = constraint.whenUnsatisfiable ?? '';
    if (when !== 'DoNotSchedule' && when !== 'ScheduleAnyway') errors.push(notSupported(at.child('whenUnsatisfiable'), when, ['DoNotSchedule', 'ScheduleAnyway']));
    for (const other of constraints.slice(i + 1)) {
      if (other.topologyKey === constraint.topologyKey && other.whenUnsatisfiable === constraint.whenUnsatisfiable) {
        errors.push(duplicate(at.child('{topologyKey, whenUnsatisfiable}'), `{${constraint.topologyKey}, ${when}}`));
      }
    }
    if (constraint.minDomains !== undefined) {
      if (constraint.minDomains <= 0) errors.push(invalid(at.child('minDomains'), constraint.minDomains, 'must be greater than zero'));
      if (when !== 'DoNotSchedule') errors.push(invalid(at.child('minDomains'), constraint.minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${when}`));
    }
    validateEnum(constraint.nodeAffinityPolicy, ['Honor', 'Ignore'], at, 'nodeAffinityPolicy', errors, { optional: true });
    validateEnum(constraint.nodeTaintsPolicy, ['Honor', 'Ignore'], at, 'nodeTaintsPolicy', errors, { optional: true });
    if (constraint.matchLabelKeys && !constraint.labelSelector && constraint.matchLabelKeys.length > 0) errors.push(forbidden(at.child('matchLabelKeys'), 'must not be specified when labelSelector is not set'));
    for (const [k, key] of (constraint.matchLabelKeys ?? []).entries()) addInvalid(errors, at.child('matchLabelKeys').index(k), key, isQualifiedName(key));
    validateLabelSelector(constraint.labelSelector, at.child('labelSelector'), errors);
  }
}
