/** What both kinds of policy share once compiled: variables that build on one another, and match conditions. */
import { admissionVariables, compileVariables, expression, type Expression, type VariableChoice } from '../../../api/cel/admission.ts';
import type { CelType } from '../../../api/cel/types.ts';
import type { Value } from '../../../api/cel/values.ts';
import type { Budget } from '../../../api/cel/cel.ts';
import { ComposedVariables, sceneValues, type Scene } from '../expressions.ts';

interface Variable { readonly name: string; readonly expression: string }
interface Condition { readonly name: string; readonly expression: string }

export interface Compiled {
  variables: ReadonlyMap<string, Expression>;
  conditions: readonly Expression[];
  /** The declarations for expressions of the policy itself. */
  declared: Record<string, CelType>;
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
