/**
 * Kubernetes' CEL: `compile(expression, options)` checks an expression and returns what runs it. Variables are declared with types
 * (`types.ts`: `dyn`, `typeOfSchema`, `typeOfStructural`); JSON is passed as it is. Every run draws on a budget.
 * Source: CEL language definition; apiserver/pkg/cel, kubernetes.io/docs/reference/using-api/cel.
 */
import type { Json } from '../../base/json.ts';
import { formatProblem, type Problem } from './ast.ts';
import { check, type Declarations } from './check.ts';
import { Budget, compileExpr, type Code } from './evaluate.ts';
import { libraries } from './libraries.ts';
import { Functions } from './overloads.ts';
import { parse, SyntaxProblem } from './parse.ts';
import { bool, formatType, sameType, type CelType } from './types.ts';
import { CelError, toCel, toJson, type Value } from './values.ts';

export { Budget } from './evaluate.ts';
export { CelError, toCel, toJson, type Value } from './values.ts';
export type { CelType } from './types.ts';

/** One expression may take so much, and all of a request's together. Source: apiserver/pkg/apis/cel/config.go. */
export const perCallLimit = 1_000_000;
export const runtimeCostBudget = 10_000_000;
/** Of match conditions in one webhook or policy. */
export const matchConditionsBudget = 2_500_000;

/** `message` is the whole text in upstream's shape, several problems one under the other. */
export class CompileError extends Error {
  override name = 'CompileError';
  readonly kind: 'invalid' | 'internal';
  constructor(message: string, kind: 'invalid' | 'internal' = 'invalid') { super(message); this.kind = kind; }
}

export interface CompileOptions extends Partial<Pick<Declarations, 'message'>> {
  variables: Readonly<Record<string, CelType>>;
  /** What the expression must return; dyn is always good. Default: bool. */
  returns?: readonly CelType[] | 'any';
  functions?: Functions;
}

export interface Compiled {
  readonly expression: string;
  readonly type: CelType;
  /** Variables by name; undefined ones count as absent. Throws `CelError`. Draws on `budget` and at most `perCallLimit`. */
  evaluate(variables: Readonly<Record<string, Value | undefined>> | ((name: string) => Value | undefined), budget: Budget): Value;
}

export const kubernetesFunctions = new Functions(...libraries);

/** Throws `CompileError`: `compilation failed: ERROR: <input>:1:1: …` or `must evaluate to bool`. */
export function compile(expression: string, { variables, returns = [bool], functions = kubernetesFunctions, message }: CompileOptions): Compiled {
  const declarations: Declarations = { variables, functions, ...(message ? { message } : {}) };
  let code: Code;
  let type: CelType;
  try {
    const expr = parse(expression);
    const checked = check(expr, declarations);
    if (checked.problems.length > 0) throw new CompileError(compilationFailed(expression, checked.problems));
    ({ type } = checked);
    code = compileExpr(expr, declarations);
  } catch (err) {
    if (err instanceof SyntaxProblem) throw new CompileError(compilationFailed(expression, [err.problem]));
    throw err;
  }
  if (returns !== 'any' && type.kind !== 'dyn' && !returns.some((wanted) => sameType(wanted, type) || (wanted.kind === 'list' && type.kind === 'list' && (wanted.items.kind === 'dyn' || type.items.kind === 'dyn')))) {
    throw new CompileError(returns.length === 1 ? `must evaluate to ${formatType(returns[0]!)}` : `must evaluate to one of [${returns.map(formatType).join(' ')}]`);
  }
  return {
    expression, type,
    evaluate(values, budget) {
      const before = budget.left;
      const call = new Budget(Math.min(perCallLimit, before));
      try {
        return code({ variable: typeof values === 'function' ? values : (name) => values[name], budget: call, locals: [] });
      } catch (err) {
        if (err instanceof RangeError) throw new CelError('operation cancelled: the expression nests too deeply', true);
        throw err;
      } finally { budget.left = before - (Math.min(perCallLimit, before) - Math.max(call.left, 0)) - (call.left < 0 ? 1 : 0); }
    },
  };
}

function compilationFailed(expression: string, problems: readonly Problem[]): string {
  return `compilation failed: ${problems.toSorted((a, b) => a.at - b.at).map((problem) => formatProblem(expression, problem)).join('\n')}`;
}

/** For variables: JSON of a declared type. */
export const celValue = (json: Json | undefined, type: CelType): Value | undefined => (json === undefined ? undefined : toCel(json, type));
/** For results that are texts: messages, annotations. Undefined for other types. */
export const textOf = (value: Value): string | undefined => (typeof value === 'string' ? value : undefined);
export const jsonOf = toJson;
