/** What both kinds of policy share once compiled: variables that build on one another, and match conditions. */
import { dyn, type CelType } from '../../../api/cel/types.ts';
import { kubernetesFunctions } from '../../../api/cel/cel.ts';
import type { Value } from '../../../api/cel/values.ts';
import type { Budget } from '../../../api/cel/cel.ts';
import { admissionVariables, ComposedVariables, expression, sceneValues, type Expression, type Scene, type VariableChoice } from '../expressions.ts';

interface Variable { readonly name: string; readonly expression: string }
interface Condition { readonly name: string; readonly expression: string }

export interface Compiled {
  variables: ReadonlyMap<string, Expression>;
  conditions: readonly Expression[];
  /** The declarations for expressions of the policy itself. */
  declared: Record<string, CelType>;
}

/** Each variable sees those before it. */
export function compileVariables(variables: readonly Variable[] | undefined, choice: VariableChoice): { expressions: ReadonlyMap<string, Expression>; declared: Record<string, CelType> } {
  const composed = new Map<string, CelType>();
  const expressions = new Map<string, Expression>();
  for (const variable of variables ?? []) {
    const made = expression(variable.expression, { variables: admissionVariables({ ...choice, composed: new Map(composed) }), returns: 'any', functions: kubernetesFunctions, ...(choice.message ? { message: choice.message } : {}) });
    expressions.set(variable.name, made);
    composed.set(variable.name, made.compiled?.type ?? dyn);
  }
  return { expressions, declared: admissionVariables({ ...choice, composed }) };
}

export function compileShared(spec: { readonly variables?: readonly Variable[]; readonly matchConditions?: readonly Condition[]; readonly paramKind?: unknown } | undefined, message?: VariableChoice['message']): Compiled {
  const choice: VariableChoice = { params: spec?.paramKind !== undefined, ...(message ? { message } : {}) };
  const { expressions, declared } = compileVariables(spec?.variables, choice);
  const forConditions = admissionVariables(choice);
  return { variables: expressions, declared, conditions: (spec?.matchConditions ?? []).map((condition) => expression(condition.expression, { variables: forConditions })) };
}

/** The variables of a scene with those of the policy, whose cost counts too. */
export function values({ variables }: Compiled, scene: Scene, budget: Budget): (name: string) => Value | undefined {
  const plain = sceneValues(scene);
  const composed = new ComposedVariables(variables, plain, budget);
  return (name) => (name === 'variables' ? composed : plain(name));
}
