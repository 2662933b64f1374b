/** Expressions as checker and evaluator see them. Operators are calls named as cel-go names them: `_+_`, `!_`, `_?_:_`. */
import type { Value } from './values.ts';

interface At {
  /** Offset in the source that messages point at. */
  at: number;
}
export const macroKinds = ['all', 'exists', 'existsOne', 'map', 'filter', 'transformList', 'transformMap', 'transformMapEntry'] as const;
export type LoopKind = (typeof macroKinds)[number];
export type Expr = At & (
  | { op: 'const'; value: Value }
  | { op: 'ident'; name: string }
  /** `optional`: `a.?b`. */
  | { op: 'select'; operand: Expr; field: string; optional: boolean }
  | { op: 'has'; operand: Expr; field: string }
  | { op: 'index'; operand: Expr; index: Expr; optional: boolean }
  | { op: 'call'; name: string; target?: Expr; args: Expr[] }
  | { op: 'list'; items: { value: Expr; optional: boolean }[] }
  | { op: 'map'; entries: { key: Expr; value: Expr; optional: boolean }[] }
  | { op: 'struct'; type: string; entries: { field: string; value: Expr; optional: boolean; at: number }[] }
  /** `second` is the variable of the value (or element) where `first` is that of the key (or index). `when` filters. */
  | { op: 'loop'; kind: LoopKind; range: Expr; first: string; second?: string; when?: Expr; body: Expr }
  | { op: 'bind'; name: string; value: Expr; body: Expr }
  /** optMap and optFlatMap. */
  | { op: 'optMap'; operand: Expr; name: string; body: Expr; flat: boolean });

/** Line and column of an offset, both as upstream prints them (from 1). */
export function position(source: string, at: number): { line: number; column: number; text: string } {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  const start = before.lastIndexOf('\n') + 1;
  const end = source.indexOf('\n', at);
  return { line, column: [...source.slice(start, at)].length + 1, text: source.slice(start, end < 0 ? undefined : end) };
}
export interface Problem { at: number; message: string }
/** `ERROR: <input>:1:5: message`, the line and a mark under the place. Source: cel-go common/error.go. */
export function formatProblem(source: string, { at, message }: Problem): string {
  const { line, column, text } = position(source, at);
  return `ERROR: <input>:${line}:${column}: ${message}\n | ${text.replaceAll('\t', ' ')}\n | ${'.'.repeat(column - 1)}^`;
}
