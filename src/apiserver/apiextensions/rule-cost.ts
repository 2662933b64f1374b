/**
 * What a rule may cost at most, guessed from the sizes that its schema allows, so that rules nobody could afford are refused when the
 * definition is written. Source: apiextensions-apiserver/pkg/apis/apiextensions/validation (cel_validation.go), apiserver/pkg/cel/limits.go.
 * Differs: only loops, and how often a node can occur, are counted, so what upstream refuses for long strings is bounded at run time only.
 */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import type { Expr } from '../../api/cel/ast.ts';
import { parse, SyntaxProblem } from '../../api/cel/parse.ts';

export const ruleCostLimit = 10_000_000;
export const definitionCostLimit = 100_000_000;
/** The largest request. Source: apiserver/pkg/cel/limits.go. */
const maxRequestBytes = 3 * 1024 * 1024;

/** Bytes the smallest value of a schema takes as JSON. */
function leastBytes(schema: JsonObject, depth = 0): number {
  switch (schema.type) {
    case 'boolean': return 4;
    case 'string': case 'array': return 2;
    case 'object': {
      if (depth > 50) return 2;
      const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
      return required.reduce((sum, name) => { const property = isJsonObject(schema.properties) ? schema.properties[name] : undefined; return sum + name.length + 4 + (isJsonObject(property) && property.default === undefined ? leastBytes(property, depth + 1) : 0); }, 2);
    }
    default: return 1;
  }
}
/** How many elements a list or map can have; undefined: it is none. */
export function mostElements(schema: JsonObject | undefined): number | undefined {
  if (!schema) return undefined;
  const least = (value: Json | undefined) => (isJsonObject(value) ? leastBytes(value) : 1);
  if (schema.type === 'array') return typeof schema.maxItems === 'number' ? schema.maxItems : Math.floor((maxRequestBytes - 2) / (least(schema.items) + 1));
  if (schema.type === 'object' && schema.additionalProperties !== undefined) return typeof schema.maxProperties === 'number' ? schema.maxProperties : Math.floor((maxRequestBytes - 2) / (least(schema.additionalProperties) + 6));
  return undefined;
}

/** The cost of an expression over one value. */
export function expressionCost(expression: string, self: JsonObject): number {
  let expr: Expr;
  try { expr = parse(expression); } catch (err) { if (err instanceof SyntaxProblem) return 0; throw err; }
  return costOf(expr, new Map([['self', self], ['oldSelf', self]]));
}

type Scope = ReadonlyMap<string, JsonObject | undefined>;
const elementOf = (schema: JsonObject | undefined): JsonObject | undefined => { const inner = schema?.type === 'array' ? schema.items : schema?.additionalProperties; return isJsonObject(inner) ? inner : undefined; };

function schemaAt(expr: Expr, scope: Scope): JsonObject | undefined {
  switch (expr.op) {
    case 'ident': return scope.get(expr.name);
    case 'select': {
      const on = schemaAt(expr.operand, scope);
      const property = isJsonObject(on?.properties) && Object.hasOwn(on.properties, expr.field) ? on.properties[expr.field] : undefined;
      return isJsonObject(property) ? property : elementOf(on);
    }
    case 'index': return elementOf(schemaAt(expr.operand, scope));
    default: return undefined;
  }
}

function costOf(expr: Expr, scope: Scope): number {
  switch (expr.op) {
    case 'const': return 0;
    case 'ident': return 1;
    case 'select': case 'has': return 1 + costOf(expr.operand, scope);
    case 'index': return 1 + costOf(expr.operand, scope) + costOf(expr.index, scope);
    case 'call': return 1 + (expr.target ? costOf(expr.target, scope) : 0) + expr.args.reduce((sum, arg) => sum + costOf(arg, scope), 0);
    case 'loop': {
      const range = schemaAt(expr.range, scope);
      const element = range?.type === 'array' ? elementOf(range) : undefined;
      const inner = new Map(scope).set(expr.first, expr.second ? undefined : element);
      if (expr.second) inner.set(expr.second, element);
      const body = costOf(expr.body, inner) + (expr.when ? costOf(expr.when, inner) : 0);
      return costOf(expr.range, scope) + (mostElements(range) ?? 1) * Math.max(1, body);
    }
    default: return 1;
  }
}

/** Upstream's words for a cost beyond a limit. */
export function costProblem(what: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const text = factor > 100 ? 'more than 100x' : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${what} exceeds budget by factor of ${text} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}
