/** admissionregistration.k8s.io/v1: webhook configurations, policies and bindings, with their expressions. Source: upstream's pkg/apis/admissionregistration/validation. */
import type * as v1 from './v1.ts';
import { addInvalid, duplicate, field, forbidden, invalid, notSupported, required, tooMany, type FieldError, type FieldPath } from '../validation/field.ts';
import { validateEnum, validateLabelSelector, validateRequiredText } from '../validation/meta.ts';
import { isCIdentifier, isDNS1123Subdomain, isQualifiedName } from '../validation/names.ts';
import { admissionVariables, compileVariables, configurationType, expression, mutationMessages, patchListType, type VariableChoice } from '../cel/admission.ts';
import { nullType, string, type CelType } from '../cel/types.ts';

const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
function validateRules(rules: readonly v1.RuleWithOperations[] | undefined, path: FieldPath, errors: FieldError[]): void {
  for (const [i, rule] of (rules ?? []).entries()) {
    const at = path.index(i);
    for (const name of ['apiGroups', 'apiVersions', 'resources', 'operations'] as const) {
      const values = rule[name] ?? [];
      if (values.length === 0) errors.push(required(at.child(name)));
      if (values.length > 1 && values.includes('*')) errors.push(invalid(at.child(name), values, "if '*' is present, must not specify other " + (name === 'apiGroups' ? 'API groups' : name === 'apiVersions' ? 'API versions' : name)));
    }
    for (const [o, operation] of (rule.operations ?? []).entries()) if (!operations.includes(operation)) errors.push(notSupported(at.child('operations').index(o), operation, operations));
    if (rule.scope !== undefined && !['*', 'Cluster', 'Namespaced'].includes(rule.scope)) errors.push(notSupported(at.child('scope'), rule.scope, ['*', 'Cluster', 'Namespaced']));
  }
}
/** Conditions of one webhook or policy. */
const maxMatchConditions = 64;
function validateMatchConditions(conditions: readonly v1.MatchCondition[] | undefined, path: FieldPath, errors: FieldError[], choice: VariableChoice): void {
  if (!conditions) return;
  if (conditions.length > maxMatchConditions) errors.push(tooMany(path, conditions.length, maxMatchConditions));
  const names = new Set<string>();
  for (const [i, condition] of conditions.entries()) {
    const at = path.index(i);
    if (!condition.expression?.trim()) errors.push(required(at.child('expression')));
    else compiles(condition.expression, at.child('expression'), errors, { variables: admissionVariables(choice) });
    if (!condition.name) errors.push(required(at.child('name')));
    else {
      const problems = isQualifiedName(condition.name);
      if (problems.length > 0) errors.push(invalid(at.child('name'), condition.name, problems.join(',')));
      else if (names.has(condition.name)) errors.push(duplicate(at.child('name'), condition.name));
      names.add(condition.name);
    }
  }
}
function compiles(source: string, path: FieldPath, errors: FieldError[], options: Parameters<typeof expression>[1]): void {
  const { fault } = expression(source, options);
  if (fault !== undefined) errors.push(invalid(path, source, fault));
}
function validateVariables(variables: readonly v1.Variable[] | undefined, errors: FieldError[], choice: VariableChoice): Record<string, CelType> {
  const { expressions, declared } = compileVariables(variables, choice);
  const names = new Set<string>();
  for (const [i, variable] of (variables ?? []).entries()) {
    const at = specPath.child('variables').index(i);
    if (!variable.name?.trim()) errors.push(required(at.child('name'), 'name is not specified'));
    else if (isCIdentifier(variable.name).length > 0) errors.push(invalid(at.child('name'), variable.name, 'name is not a valid CEL identifier'));
    else if (names.has(variable.name)) errors.push(duplicate(at.child('name'), variable.name));
    names.add(variable.name);
    if (!variable.expression?.trim()) errors.push(required(at.child('expression'), 'expression is not specified'));
    else { const fault = expressions.get(variable.name)?.fault; if (fault !== undefined) errors.push(invalid(at.child('expression'), variable.expression, fault)); }
  }
  return declared;
}

interface Webhook extends Omit<v1.ValidatingWebhook, never> { readonly reinvocationPolicy?: string }
function validateWebhook(webhook: Webhook, path: FieldPath, errors: FieldError[]): void {
  if (!webhook.name) errors.push(required(path.child('name')));
  else {
    addInvalid(errors, path.child('name'), webhook.name, isDNS1123Subdomain(webhook.name));
    if (webhook.name.split('.').length < 3) errors.push(invalid(path.child('name'), webhook.name, 'should be a domain with at least three segments separated by dots'));
  }
  validateRules(webhook.rules, path.child('rules'), errors);
  validateEnum(webhook.failurePolicy, ['Fail', 'Ignore'], path, 'failurePolicy', errors, { optional: true });
  validateEnum(webhook.matchPolicy, ['Equivalent', 'Exact'], path, 'matchPolicy', errors, { optional: true });
  if (!webhook.sideEffects) errors.push(required(path.child('sideEffects'), 'must specify one of None, NoneOnDryRun'));
  else if (!['None', 'NoneOnDryRun'].includes(webhook.sideEffects)) errors.push(notSupported(path.child('sideEffects'), webhook.sideEffects, ['None', 'NoneOnDryRun']));
  if ((webhook.admissionReviewVersions?.length ?? 0) === 0) errors.push(required(path.child('admissionReviewVersions'), 'must specify one of v1, v1beta1'));
  else if (!webhook.admissionReviewVersions.some((version) => version === 'v1' || version === 'v1beta1')) errors.push(invalid(path.child('admissionReviewVersions'), webhook.admissionReviewVersions, 'must include at least one of v1, v1beta1'));
  if (webhook.timeoutSeconds !== undefined && (webhook.timeoutSeconds > 30 || webhook.timeoutSeconds < 1)) errors.push(invalid(path.child('timeoutSeconds'), webhook.timeoutSeconds, 'the timeout value must be between 1 and 30 seconds'));
  validateLabelSelector(webhook.namespaceSelector, path.child('namespaceSelector'), errors);
  validateLabelSelector(webhook.objectSelector, path.child('objectSelector'), errors);
  validateMatchConditions(webhook.matchConditions, path.child('matchConditions'), errors, {});
  const client = path.child('clientConfig');
  const { url, service } = webhook.clientConfig ?? {};
  if ((url === undefined) === (service === undefined)) errors.push(required(client, 'exactly one of url or service is required'));
  if (url !== undefined && !/^https:\/\/[^/?#@]+/.test(url)) errors.push(invalid(client.child('url'), url, '\'https\' is the only allowed URL scheme; desired format: https://host[/path]'));
  if (service) {
    validateRequiredText(service.name, undefined, client.child('service'), 'name', errors, 'service name is required');
    validateRequiredText(service.namespace, undefined, client.child('service'), 'namespace', errors, 'service namespace is required');
  }
  validateEnum(webhook.reinvocationPolicy, ['IfNeeded', 'Never'], path, 'reinvocationPolicy', errors, { optional: true });
}
export function validateWebhookConfiguration({ webhooks }: v1.ValidatingWebhookConfiguration | v1.MutatingWebhookConfiguration): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [i, webhook] of (webhooks ?? []).entries()) {
    const path = field('webhooks').index(i);
    validateWebhook(webhook as Webhook, path, errors);
    if (webhook.name && names.has(webhook.name)) errors.push(duplicate(path.child('name'), webhook.name));
    names.add(webhook.name);
  }
  return errors;
}

function validateMatchResources(match: v1.MatchResources | undefined, path: FieldPath, errors: FieldError[], rulesRequired: boolean): void {
  if (!match) { if (rulesRequired) errors.push(required(path)); return; }
  if (rulesRequired && (match.resourceRules?.length ?? 0) === 0) errors.push(required(path.child('resourceRules')));
  validateRules(match.resourceRules, path.child('resourceRules'), errors);
  validateRules(match.excludeResourceRules, path.child('excludeResourceRules'), errors);
  validateLabelSelector(match.namespaceSelector, path.child('namespaceSelector'), errors);
  validateLabelSelector(match.objectSelector, path.child('objectSelector'), errors);
}
const specPath = field('spec');
export function validateAdmissionPolicy(policy: v1.ValidatingAdmissionPolicy): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = policy;
  validateEnum(spec?.failurePolicy, ['Fail', 'Ignore'], specPath, 'failurePolicy', errors);
  if (spec?.paramKind) {
    validateRequiredText(spec.paramKind.apiVersion, undefined, specPath.child('paramKind'), 'apiVersion', errors);
    validateRequiredText(spec.paramKind.kind, undefined, specPath.child('paramKind'), 'kind', errors);
  }
  validateMatchResources(spec?.matchConstraints, specPath.child('matchConstraints'), errors, true);
  if ((spec?.validations?.length ?? 0) === 0 && (spec?.auditAnnotations?.length ?? 0) === 0) {
    errors.push(required(specPath.child('validations'), 'validations or auditAnnotations must be non-empty; at least one is required'), required(specPath.child('auditAnnotations'), 'validations or auditAnnotations must be non-empty; at least one is required'));
  }
  const choice: VariableChoice = { params: spec?.paramKind !== undefined };
  validateMatchConditions(spec?.matchConditions, specPath.child('matchConditions'), errors, choice);
  const variables = validateVariables(spec?.variables, errors, choice);
  const { authorizer: _, 'authorizer.requestResource': __, ...plain } = variables;
  for (const [i, validation] of (spec?.validations ?? []).entries()) {
    const at = specPath.child('validations').index(i);
    if (!validation.expression?.trim()) errors.push(required(at.child('expression'), 'expression is not specified'));
    else compiles(validation.expression, at.child('expression'), errors, { variables });
    if (validation.messageExpression !== undefined) {
      if (!validation.messageExpression.trim()) errors.push(invalid(at.child('messageExpression'), validation.messageExpression, 'must be non-empty if specified'));
      else compiles(validation.messageExpression, at.child('messageExpression'), errors, { variables: plain, returns: [string] });
    }
    if (validation.message) {
      if (!validation.message.trim()) errors.push(invalid(at.child('message'), validation.message, 'must be non-empty if specified'));
      else if (validation.message.includes('\n')) errors.push(invalid(at.child('message'), validation.message, 'must not contain line breaks'));
    } else if (validation.expression?.trim().includes('\n') && !validation.messageExpression) errors.push(required(at.child('message'), 'must be specified if expression contains line breaks'));
    if (validation.reason !== undefined && !validationReasons.includes(validation.reason)) errors.push(notSupported(at.child('reason'), validation.reason, validationReasons));
  }
  const keys = new Set<string>();
  for (const [i, annotation] of (spec?.auditAnnotations ?? []).entries()) {
    const at = specPath.child('auditAnnotations').index(i);
    if (!annotation.key?.trim()) errors.push(required(at.child('key')));
    else {
      const problems = isQualifiedName(`${policy.metadata?.name ?? ''}/${annotation.key}`);
      if (problems.length > 0) errors.push(invalid(at.child('key'), annotation.key, `Audit annotation key '${policy.metadata?.name ?? ''}/${annotation.key}' is invalid: ${problems.join(', ')}`));
      if (keys.has(annotation.key)) errors.push(duplicate(at.child('key'), annotation.key));
      keys.add(annotation.key);
    }
    if (!annotation.valueExpression?.trim()) errors.push(required(at.child('valueExpression'), 'valueExpression is not specified'));
    else compiles(annotation.valueExpression, at.child('valueExpression'), errors, { variables: plain, returns: [string, nullType] });
  }
  return errors;
}
/** Sorted, as upstream lists them. */
const validationReasons: readonly string[] = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized'];
export function validateMutatingPolicy({ spec }: v1.MutatingAdmissionPolicy): FieldError[] {
  const errors: FieldError[] = [];
  validateEnum(spec?.failurePolicy, ['Fail', 'Ignore'], specPath, 'failurePolicy', errors);
  validateMatchResources(spec?.matchConstraints, specPath.child('matchConstraints'), errors, true);
  if ((spec?.mutations?.length ?? 0) === 0) errors.push(required(specPath.child('mutations'), 'mutations must contain at least one item'));
  const choice: VariableChoice = { params: spec?.paramKind !== undefined, message: mutationMessages };
  validateMatchConditions(spec?.matchConditions, specPath.child('matchConditions'), errors, choice);
  const variables = validateVariables(spec?.variables, errors, choice);
  for (const [i, mutation] of (spec?.mutations ?? []).entries()) {
    const at = specPath.child('mutations').index(i);
    const kinds = [['ApplyConfiguration', 'applyConfiguration', configurationType], ['JSONPatch', 'jsonPatch', patchListType]] as const;
    if (!mutation.patchType) errors.push(required(at.child('patchType')));
    else if (!kinds.some(([type]) => type === mutation.patchType)) errors.push(notSupported(at.child('patchType'), mutation.patchType, kinds.map(([type]) => type)));
    for (const [type, name, returns] of kinds) {
      const source = mutation[name]?.expression;
      if (mutation.patchType !== type) { if (mutation[name] !== undefined) errors.push(forbidden(at.child(name), `${name} must not be specified when patchType is ${mutation.patchType}`)); continue; }
      if (mutation[name] === undefined) errors.push(required(at.child(name), `must be specified when patchType is ${type}`));
      else if (!source?.trim()) errors.push(required(at.child(name, 'expression'), 'expression is not specified'));
      else compiles(source, at.child(name, 'expression'), errors, { variables, message: mutationMessages, returns: [returns] });
    }
  }
  if (!spec?.reinvocationPolicy) errors.push(required(specPath.child('reinvocationPolicy')));
  else if (!['IfNeeded', 'Never'].includes(spec.reinvocationPolicy)) errors.push(notSupported(specPath.child('reinvocationPolicy'), spec.reinvocationPolicy, ['IfNeeded', 'Never']));
  return errors;
}
export function validatePolicyBinding({ spec }: v1.ValidatingAdmissionPolicyBinding): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec?.policyName) errors.push(required(specPath.child('policyName')));
  else addInvalid(errors, specPath.child('policyName'), spec.policyName, isDNS1123Subdomain(spec.policyName));
  if (spec?.paramRef) {
    const path = specPath.child('paramRef');
    if (spec.paramRef.name && spec.paramRef.selector) errors.push(forbidden(path.child('name'), 'name and selector are mutually exclusive'));
    if (!spec.paramRef.name && !spec.paramRef.selector) errors.push(required(path, 'one of name or selector must be specified'));
    validateEnum(spec.paramRef.parameterNotFoundAction, ['Allow', 'Deny'], path, 'parameterNotFoundAction', errors);
  }
  validateMatchResources(spec?.matchResources, specPath.child('matchResources'), errors, false);
  const actions = spec?.validationActions ?? [];
  if (actions.length === 0) errors.push(required(specPath.child('validationActions'), 'at least one validation action is required'));
  for (const [i, action] of actions.entries()) {
    if (!['Audit', 'Deny', 'Warn'].includes(action)) errors.push(notSupported(specPath.child('validationActions').index(i), action, ['Audit', 'Deny', 'Warn']));
    if (actions.indexOf(action) !== i) errors.push(duplicate(specPath.child('validationActions').index(i), action));
  }
  if (actions.includes('Deny') && actions.includes('Warn')) errors.push(invalid(specPath.child('validationActions'), actions, 'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'));
  return errors;
}
