/**
 * x-kubernetes-validations of a whole schema: checked when a definition is written, and run over objects. Rules are compiled when a
 * value first reaches their node. Source: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go.
 */
import { isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import type { Budget } from '../../api/cel/cel.ts';
import { compileRule, ruleBudget, RuleError, type CompiledRule, type RuleFailure, type ValidationRule } from '../../api/cel/rule.ts';
import { typeOfStructural } from '../../api/cel/types.ts';
import type { FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import { fieldPathOf } from './field-path.ts';
import { costProblem, definitionCostLimit, expressionCost, mostElements, ruleCostLimit } from './rule-cost.ts';
import { oldItems } from './schema-validator.ts';

/** Undefined old: a create. */
export type Rules = (next: JsonObject, old: JsonObject | undefined) => FieldError[];

const rulesAt = (schema: JsonObject): ValidationRule[] => (Array.isArray(schema['x-kubernetes-validations']) ? schema['x-kubernetes-validations'].filter(isJsonObject) as unknown as ValidationRule[] : []);

/** Undefined: the schema has no rules. */
export function rulesOf(schema: JsonObject): Rules | undefined {
  const node = nodeOf(schema, true);
  return node && ((next, old) => {
    const errors: FieldError[] = [];
    run(node, next, old, undefined, { errors, budget: ruleBudget(), stopped: false }, { old, equal: false });
    return errors;
  });
}
/** Rules of a part of a schema over a value: defaults. */
export function checkRules(schema: JsonObject, value: Json, path: problem.FieldPath): FieldError[] {
  const node = nodeOf(schema, schema['x-kubernetes-embedded-resource'] === true);
  if (!node) return [];
  const errors: FieldError[] = [];
  run(node, value, undefined, path, { errors, budget: ruleBudget(), stopped: false }, { old: undefined, equal: false });
  return errors;
}

interface RuleNode {
  schema: JsonObject;
  root: boolean;
  rules: readonly ValidationRule[];
  compiled: (CompiledRule | RuleError)[] | undefined;
  items: RuleNode | undefined;
  properties: ReadonlyMap<string, RuleNode>;
  additional: RuleNode | undefined;
}

/** Undefined when there are no rules at it or below. */
function nodeOf(schema: JsonObject, root: boolean): RuleNode | undefined {
  const rules = rulesAt(schema);
  const child = (value: Json | undefined) => (isJsonObject(value) ? nodeOf(value, value['x-kubernetes-embedded-resource'] === true) : undefined);
  const items = child(schema.items);
  const additional = child(schema.additionalProperties);
  const properties = new Map<string, RuleNode>();
  if (isJsonObject(schema.properties)) for (const [name, property] of Object.entries(schema.properties)) { const node = child(property); if (node) properties.set(name, node); }
  return rules.length === 0 && !items && !additional && properties.size === 0 ? undefined : { schema, root, rules, compiled: undefined, items, properties, additional };
}

function compileAll(node: RuleNode): (CompiledRule | RuleError)[] {
  return node.compiled ??= node.rules.map((rule) => {
    try { return compileRule(rule, typeOfStructural(node.schema, node.root)); } catch (err) { if (err instanceof RuleError) return err; throw err; }
  });
}

interface Run { errors: FieldError[]; budget: Budget; stopped: boolean }
/** The nearest value that can be told from its old state: what it was, and whether it still is. */
interface Correlation { old: Json | undefined; equal: boolean }

/** `old` undefined: cannot be correlated, or there was none. */
function run(node: RuleNode, value: Json, old: Json | undefined, path: problem.FieldPath | undefined, state: Run, above: Correlation): void {
  if (state.stopped || value === null) return;
  const unchanged = old === undefined ? above.equal : jsonEqual(old, value);
  const here: Correlation = { old, equal: unchanged };
  if (node.rules.length > 0) {
    for (const rule of compileAll(node)) {
      if (rule instanceof RuleError) { state.errors.push(problem.invalid(path ?? problem.field('<nil>'), textOf(node.schema.type), `rule compile error: ${rule.message}`)); continue; }
      const failure = rule.validate(value, old, state.budget);
      if (!failure) continue;
      // Ratcheting: what was wrong and is as it was stays; transitions are about the change itself.
      if (unchanged && !rule.isTransition && !failure.stop) continue;
      state.errors.push(errorOf(failure, node.schema, value, path));
      if (failure.stop) { state.stopped = true; return; }
    }
  }
  if (Array.isArray(value)) {
    if (!node.items) return;
    const before = oldItems(node.schema, value, old);
    for (let index = 0; index < value.length; index++) run(node.items, value[index]!, before?.(value[index]!), (path ?? problem.field('<nil>')).index(index), state, here);
    return;
  }
  if (!isJsonObject(value)) return;
  const correlated = isJsonObject(old) && node.schema['x-kubernetes-map-type'] !== 'atomic' ? old : undefined;
  const properties = isJsonObject(node.schema.properties) ? node.schema.properties : {};
  for (const key in value) {
    const known = Object.hasOwn(properties, key);
    const child = known ? node.properties.get(key) : node.additional;
    if (!child) continue;
    run(child, value[key] ?? null, correlated && Object.hasOwn(correlated, key) ? correlated[key] : undefined, known ? (path ? path.child(key) : problem.field(key)) : (path ?? problem.field('<nil>')).key(key), state, here);
  }
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
/** What went wrong in running a rule, rather than that it does not hold. */
const troubles = /evaluating rule: |no further validation rules will be run|did not match a supported operator, function or macro signature/;

function errorOf({ message, reason, fieldPath }: RuleFailure, schema: JsonObject, value: Json, path: problem.FieldPath | undefined): FieldError {
  let at = path;
  if (fieldPath) {
    const found = fieldPathOf(fieldPath, schema, { arrays: true });
    const text = 'path' in found ? found.path : fieldPath.replace(/^\./, '');
    at = at ? at.child(text) : problem.field(text);
  }
  at ??= problem.field('<nil>');
  const type = textOf(schema.type);
  const whole = type === 'object' || type === 'array';
  switch (reason) {
    case 'FieldValueForbidden': return problem.forbidden(at, message);
    case 'FieldValueRequired': return problem.required(at, message);
    case 'FieldValueDuplicate': return whole ? { type: 'FieldValueDuplicate', field: at.toString(), detail: 'Duplicate value' } : problem.duplicate(at, value);
    default:
      if (troubles.test(message)) return problem.invalid(at, type, message);
      // Objects and lists are not repeated in the message.
      return whole ? { type: 'FieldValueInvalid', field: at.toString(), detail: `Invalid value: ${message}` } : problem.invalid(at, value, message);
  }
}

/** The rules of a definition's schema: that they compile, and that oldSelf is asked only of what can be told from its old state. */
export function validateRules(schema: JsonObject, path: problem.FieldPath, { checkCost }: { checkCost: boolean; known: ReadonlySet<string> }): FieldError[] {
  const state: Walk = { errors: [], checkCost, total: 0, costly: [] };
  walk(schema, path, true, undefined, 1, state);
  if (state.total > definitionCostLimit) {
    for (const { path: at } of state.costly.toSorted((a, b) => b.cost - a.cost).slice(0, 4)) state.errors.push(problem.forbidden(at, 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'));
    state.errors.push(problem.forbidden(path, costProblem('x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema', state.total, definitionCostLimit)));
  }
  return state.errors;
}

interface Walk { errors: FieldError[]; checkCost: boolean; total: number; costly: { path: problem.FieldPath; cost: number }[] }

/** `times`: how many values of this node one object can have. */
function walk(schema: JsonObject, path: problem.FieldPath, root: boolean, uncorrelatable: problem.FieldPath | undefined, times: number, state: Walk): void {
  const { errors } = state;
  for (const [index, rule] of rulesAt(schema).entries()) {
    const at = path.child('x-kubernetes-validations').index(index);
    for (const part of ['rule', 'messageExpression'] as const) {
      const expression = rule[part];
      if (!expression) continue;
      const cost = times * expressionCost(expression, schema);
      state.total += cost;
      state.costly.push({ path: at.child(part), cost });
      if (state.checkCost && cost > ruleCostLimit) errors.push(problem.forbidden(at.child(part), costProblem(part === 'rule' ? 'estimated rule cost' : 'estimated messageExpression cost', cost, ruleCostLimit)));
    }
    let compiled: CompiledRule;
    try { compiled = compileRule(rule, typeOfStructural(schema, root)); } catch (err) {
      if (!(err instanceof RuleError)) throw err;
      errors.push(problem.invalid(at.child(err.part), rule, err.message));
      continue;
    }
    if (compiled.isTransition) { if (uncorrelatable) errors.push(problem.invalid(at.child('rule'), rule.rule, `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable.toString()}`)); } else if (rule.optionalOldSelf !== undefined) {
      errors.push(problem.invalid(at.child('optionalOldSelf'), rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'));
    }
  }
  const below = (value: Json | undefined, at: () => problem.FieldPath, within: problem.FieldPath | undefined, often = times) => { if (isJsonObject(value)) walk(value, at(), value['x-kubernetes-embedded-resource'] === true, within, often, state); };
  const elements = times * (mostElements(schema) ?? 1);
  below(schema.additionalProperties, () => path.child('additionalProperties'), uncorrelatable, elements);
  const inside = uncorrelatable ?? (schema['x-kubernetes-map-type'] === 'atomic' ? path : undefined);
  if (isJsonObject(schema.properties)) for (const [name, property] of Object.entries(schema.properties)) below(property, () => path.child('properties').key(name), inside);
  below(schema.items, () => path.child('items'), uncorrelatable ?? (schema['x-kubernetes-list-type'] === 'map' ? undefined : path), elements);
}
