/**
 * x-kubernetes-validations of CustomResourceDefinitions: `compileRule(rule, type)` once per schema node, then `validate` per value.
 * Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions (validation rules);
 * apiextensions-apiserver pkg/apiserver/schema/cel.
 */
import type { Json } from '../../base/json.ts';
import { Budget, celValue, compile, CompileError, runtimeCostBudget, type Compiled } from './cel.ts';
import { parse, SyntaxProblem } from './parse.ts';
import type { Expr } from './ast.ts';
import { bool, optional, string, type CelType } from './types.ts';
import { CelError, none, Optional } from './values.ts';

/** As in the schema. */
export interface ValidationRule { rule: string; message?: string; messageExpression?: string; reason?: string; fieldPath?: string; optionalOldSelf?: boolean }

export type RuleReason = 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
export interface RuleFailure { message: string; reason: RuleReason; /** From the value's own path: '.spec.x', `['a-b']`. */ fieldPath?: string; /** No rule of the request is to run any more. */ stop?: boolean }

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Names `oldSelf`: runs on updates only, unless `optionalOldSelf`. */
  readonly isTransition: boolean;
  /** Undefined: holds, or does not apply. `old` undefined: there is none. Never throws; what goes wrong is a failure. */
  validate(self: Json, old: Json | undefined, budget: Budget): RuleFailure | undefined;
}

/** Throws `RuleError`, whose `part` tells the rule from the messageExpression. */
export function compileRule(rule: ValidationRule | string, type: CelType): CompiledRule {
  const given: ValidationRule = typeof rule === 'string' ? { rule } : rule;
  if (!given.rule.trim()) throw new RuleError('rule is not specified', 'rule');
  const variables = { self: type, oldSelf: given.optionalOldSelf ? optional(type) : type };
  const part = (expression: string, returns: CelType, name: 'rule' | 'messageExpression'): Compiled => {
    try { return compile(expression, { variables, returns: [returns] }); } catch (err) {
      if (err instanceof CompileError) throw new RuleError(name === 'messageExpression' && err.message.startsWith('must evaluate') ? 'messageExpression must evaluate to a string' : name === 'rule' && err.message.startsWith('must evaluate') ? 'cel expression must evaluate to a bool' : err.message, name);
      throw err;
    }
  };
  const condition = part(given.rule, bool, 'rule');
  const text = given.messageExpression === undefined ? undefined : part(given.messageExpression, string, 'messageExpression');
  const isTransition = names(given.rule, 'oldSelf');
  return {
    rule: given, isTransition,
    validate(self, old, budget) {
      if (isTransition && !given.optionalOldSelf && old === undefined) return undefined;
      const oldValue = celValue(old, type);
      const values = { self: celValue(self, type), oldSelf: given.optionalOldSelf ? (oldValue === undefined ? none : new Optional(oldValue)) : oldValue };
      const fail = (message: string, reason: RuleReason = 'FieldValueInvalid'): RuleFailure => ({ message, reason, ...(given.fieldPath === undefined ? {} : { fieldPath: given.fieldPath }) });
      const broken = (message: string, stop = false): RuleFailure => ({ message, reason: 'FieldValueInvalid', ...(stop ? { stop } : {}) });
      const outOfBudget = () => broken('validation failed due to running out of cost budget, no further validation rules will be run', true);
      if (budget.left <= 0) return outOfBudget();
      try {
        if (condition.evaluate(values, budget) === true) return undefined;
      } catch (err) {
        if (!(err instanceof CelError)) throw err;
        if (budget.left <= 0) return outOfBudget();
        if (err.fatal) return broken(`'${err.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${shown(given)}`, true);
        if (err.message.startsWith('no such overload')) return broken(`'${err.message}': call arguments did not match a supported operator, function or macro signature for rule: ${shown(given)}`);
        return broken(`${err.message} evaluating rule: ${shown(given)}`);
      }
      const reason = (given.reason ?? 'FieldValueInvalid') as RuleReason;
      if (text) {
        try {
          const made = text.evaluate(values, budget);
          const trimmed = typeof made === 'string' ? made.trim() : '';
          // What is no message falls back to the rule's own, as upstream.
          if (trimmed !== '' && !trimmed.includes('\n') && Buffer.byteLength(trimmed) <= maxMessageLength) return fail(trimmed, reason);
        } catch (err) {
          if (!(err instanceof CelError)) throw err;
          if (budget.left <= 0) return broken('messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run', true);
          if (err.fatal) return broken(`no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(given.messageExpression)}`, true);
        }
      }
      return fail(given.message ? given.message.trim() : `failed rule: ${shown(given)}`, reason);
    },
  };
}
const maxMessageLength = 5 * 1024;
const shown = ({ message, rule }: ValidationRule): string => (message || rule).trim();

export class RuleError extends CompileError {
  override name = 'RuleError';
  readonly part: 'rule' | 'messageExpression';
  constructor(message: string, part: 'rule' | 'messageExpression') { super(message); this.part = part; }
}

/** For all rules of one request. */
export const ruleBudget = (): Budget => new Budget(runtimeCostBudget);

/** Whether an expression names a variable (and not one of a loop by that name). */
export function names(expression: string, variable: string): boolean {
  let found = false;
  const walk = (expr: Expr, hidden: boolean): void => {
    switch (expr.op) {
      case 'const': return;
      case 'ident': if (expr.name === variable && !hidden) found = true; return;
      case 'select': case 'has': walk(expr.operand, hidden); return;
      case 'index': walk(expr.operand, hidden); walk(expr.index, hidden); return;
      case 'call': if (expr.target) walk(expr.target, hidden); for (const arg of expr.args) walk(arg, hidden); return;
      case 'list': for (const { value } of expr.items) walk(value, hidden); return;
      case 'map': for (const { key, value } of expr.entries) { walk(key, hidden); walk(value, hidden); } return;
      case 'struct': for (const { value } of expr.entries) walk(value, hidden); return;
      case 'bind': walk(expr.value, hidden); walk(expr.body, hidden || expr.name === variable); return;
      case 'optMap': walk(expr.operand, hidden); walk(expr.body, hidden || expr.name === variable); return;
      case 'loop': {
        walk(expr.range, hidden);
        const inner = hidden || expr.first === variable || expr.second === variable;
        if (expr.when) walk(expr.when, inner);
        walk(expr.body, inner);
      }
    }
  };
  try { walk(parse(expression), false); } catch (err) { if (!(err instanceof SyntaxProblem)) throw err; }
  return found;
}
