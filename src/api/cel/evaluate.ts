/**
 * Runs a checked expression. It is compiled to closures once; each run has a budget of steps that every node, call and comparison
 * draws on, so that no expression runs for long. Source: CEL language definition; cel-go interpreter (costs: interpreter/runtimecost.go).
 */
import type { Expr } from './ast.ts';
import { dottedName, isTypeName } from './check.ts';
import { accepts, type CallContext, type Functions, type Overload } from './overloads.ts';
import { ArrayList, CelError, CelList, CelMap, compare, equal, none, Optional, TypeValue, typeNameOf, UInt, ValueMap, type Value } from './values.ts';

/** Steps that evaluations may take together. */
export class Budget implements CallContext {
  left: number;
  constructor(limit: number) { this.left = limit; }
  spend(cost: number): void {
    if ((this.left -= cost) < 0) throw new CelError('operation cancelled: actual cost limit exceeded', true);
  }
}

/** A run: the variables by name, the budget, and the values of loop variables by depth. */
export interface Frame { variable(name: string): Value | undefined; budget: Budget; locals: Value[] }
export type Code = (frame: Frame) => Value;
interface Scope { name: string; slot: number; parent: Scope | undefined }
export interface CompileDeclarations { variables: Readonly<Record<string, unknown>>; functions: Functions }

const noSuchKey = (key: Value) => new CelError(`no such key: ${typeof key === 'string' ? key : typeof key === 'bigint' ? key : String(key)}`);
const noOverload = () => new CelError('no such overload');
const maxInt = 2n ** 63n - 1n;
const minInt = -(2n ** 63n);
const maxUint = 2n ** 64n - 1n;

export function compileExpr(expr: Expr, declarations: CompileDeclarations): Code { return new Compiler(declarations).code(expr, undefined); }

class Compiler {
  readonly #declarations: CompileDeclarations;
  constructor(declarations: CompileDeclarations) { this.#declarations = declarations; }

  code(expr: Expr, scope: Scope | undefined): Code {
    switch (expr.op) {
      case 'const': { const { value } = expr; return () => value; }
      case 'ident': return this.#ident(expr.name, scope);
      case 'select': return this.#select(expr, scope);
      case 'has': {
        const operand = this.code(expr.operand, scope);
        const { field } = expr;
        return (frame) => {
          frame.budget.spend(1);
          let value = operand(frame);
          if (value instanceof Optional) { if (value.value === undefined) return false; value = value.value; }
          if (value instanceof CelMap) return value.field(field) !== undefined;
          throw noOverload();
        };
      }
      case 'index': {
        const operand = this.code(expr.operand, scope);
        const index = this.code(expr.index, scope);
        return expr.optional ? (frame) => { frame.budget.spend(1); return optionalIndex(operand(frame), index(frame)); } : (frame) => {
          frame.budget.spend(1);
          const value = operand(frame);
          return value instanceof Optional ? optionalIndex(value, index(frame)) : indexOf(value, index(frame));
        };
      }
      case 'list': {
        const items = expr.items.map(({ value, optional }) => ({ code: this.code(value, scope), optional }));
        return (frame) => {
          frame.budget.spend(10);
          const out: Value[] = [];
          for (const { code, optional } of items) {
            const value = code(frame);
            if (!optional) out.push(value); else if (!(value instanceof Optional)) throw noOverload(); else if (value.value !== undefined) out.push(value.value);
          }
          return new ArrayList(out);
        };
      }
      case 'map': {
        const entries = expr.entries.map(({ key, value, optional }) => ({ key: this.code(key, scope), code: this.code(value, scope), optional }));
        return (frame) => {
          frame.budget.spend(30);
          const out = new ValueMap();
          for (const { key, code, optional } of entries) {
            const name = key(frame);
            const value = code(frame);
            if (!optional) out.set(name, value); else if (!(value instanceof Optional)) throw noOverload(); else if (value.value !== undefined) out.set(name, value.value);
          }
          return out;
        };
      }
      case 'struct': {
        const entries = expr.entries.map(({ field, value, optional }) => ({ field, code: this.code(value, scope), optional }));
        const { type } = expr;
        return (frame) => {
          frame.budget.spend(40);
          const out = new ValueMap([], type);
          for (const { field, code, optional } of entries) {
            const value = code(frame);
            if (!optional) out.set(field, value); else if (!(value instanceof Optional)) throw noOverload(); else if (value.value !== undefined) out.set(field, value.value);
          }
          return out;
        };
      }
      case 'bind': {
        const value = this.code(expr.value, scope);
        const slot = (scope?.slot ?? -1) + 1;
        const body = this.code(expr.body, { name: expr.name, slot, parent: scope });
        return (frame) => { frame.locals[slot] = value(frame); return body(frame); };
      }
      case 'optMap': {
        const operand = this.code(expr.operand, scope);
        const slot = (scope?.slot ?? -1) + 1;
        const body = this.code(expr.body, { name: expr.name, slot, parent: scope });
        const { flat } = expr;
        return (frame) => {
          frame.budget.spend(1);
          const value = operand(frame);
          if (!(value instanceof Optional)) throw noOverload();
          if (value.value === undefined) return none;
          frame.locals[slot] = value.value;
          const made = body(frame);
          return flat ? made : new Optional(made);
        };
      }
      case 'loop': return this.#loop(expr, scope);
      case 'call': return this.#call(expr, scope);
    }
  }

  #ident(name: string, scope: Scope | undefined): Code {
    for (let s = scope; s; s = s.parent) if (s.name === name) { const { slot } = s; return (frame) => { frame.budget.spend(1); return frame.locals[slot]!; }; }
    if (!Object.hasOwn(this.#declarations.variables, name) && isTypeName(name)) { const type = new TypeValue(name); return () => type; }
    return (frame) => {
      frame.budget.spend(1);
      const value = frame.variable(name);
      if (value === undefined) throw new CelError(`no such attribute(s): ${name}`);
      return value;
    };
  }

  #select(expr: Expr & { op: 'select' }, scope: Scope | undefined): Code {
    const dotted = dottedName(expr);
    if (dotted !== undefined && Object.hasOwn(this.#declarations.variables, dotted)) return this.#ident(dotted, undefined);
    if (dotted !== undefined && isTypeName(dotted)) { const type = new TypeValue(dotted); return () => type; }
    const operand = this.code(expr.operand, scope);
    const { field, optional } = expr;
    if (optional) return (frame) => { frame.budget.spend(1); return optionalField(operand(frame), field); };
    return (frame) => {
      frame.budget.spend(1);
      const value = operand(frame);
      if (value instanceof CelMap) {
        const found = value.field(field);
        if (found === undefined) throw noSuchKey(field);
        return found;
      }
      if (value instanceof Optional) return optionalField(value, field);
      throw new CelError(value === null || typeof value !== 'object' ? `no such overload` : `no such key: ${field}`);
    };
  }

  #loop(expr: Expr & { op: 'loop' }, scope: Scope | undefined): Code {
    const range = this.code(expr.range, scope);
    const slot = (scope?.slot ?? -1) + 1;
    let inner: Scope = { name: expr.first, slot, parent: scope };
    const two = expr.second !== undefined;
    if (two) inner = { name: expr.second!, slot: slot + 1, parent: inner };
    const when = expr.when && this.code(expr.when, inner);
    const body = this.code(expr.body, inner);
    const { kind } = expr;
    /** Calls `each` per member until it returns false; loop variables are set. */
    const walk = (frame: Frame, each: (key: Value, one: Value) => boolean) => {
      const over = range(frame);
      const step = (key: Value, value: Value, one: Value): boolean => {
        frame.budget.spend(2);
        if (two) { frame.locals[slot] = key; frame.locals[slot + 1] = value; } else frame.locals[slot] = one;
        if (when && !truth(when(frame))) return true;
        // Nested loops may have used the slots after ours, never ours.
        return each(key, one);
      };
      if (over instanceof CelList) {
        for (let i = 0; i < over.size; i++) { const value = over.get(i); if (!step(BigInt(i), value, value)) return; }
      } else if (over instanceof CelMap) {
        for (const key of over.keys()) if (!step(key, two ? over.get(key)! : null, key)) return;
      } else throw noOverload();
    };
    switch (kind) {
      case 'all': case 'exists': {
        const wanted = kind === 'exists';
        return (frame) => {
          let result = !wanted;
          let problem: CelError | undefined;
          walk(frame, () => {
            try { if (truth(body(frame)) === wanted) { result = wanted; return false; } } catch (err) {
              if (!(err instanceof CelError) || err.fatal) throw err;
              problem ??= err;
            }
            return true;
          });
          if (result !== wanted && problem) throw problem;
          return result;
        };
      }
      case 'existsOne': return (frame) => { let n = 0; walk(frame, () => { if (truth(body(frame))) n++; return true; }); return n === 1; };
      case 'filter': return (frame) => { const out: Value[] = []; walk(frame, (_key, one) => { if (truth(body(frame))) out.push(one); return true; }); return new ArrayList(out); };
      case 'map': case 'transformList': return (frame) => { const out: Value[] = []; walk(frame, () => { out.push(body(frame)); return true; }); return new ArrayList(out); };
      case 'transformMap': return (frame) => { const out = new ValueMap(); walk(frame, (key) => { out.set(key, body(frame)); return true; }); return out; };
      case 'transformMapEntry': return (frame) => {
        const out = new ValueMap();
        walk(frame, () => {
          const entry = body(frame);
          if (!(entry instanceof CelMap)) throw noOverload();
          for (const key of entry.keys()) { if (out.get(key) !== undefined) throw new CelError(`insert failed: key ${String(key)} already exists`); out.set(key, entry.get(key)!); }
          return true;
        });
        return out;
      };
    }
  }

  #call(expr: Expr & { op: 'call' }, scope: Scope | undefined): Code {
    const codes = [...(expr.target ? [expr.target] : []), ...expr.args].map((arg) => this.code(arg, scope));
    const [a, b, c] = codes as [Code, Code, Code];
    switch (expr.name) {
      case '_&&_': return (frame) => logical(frame, a, b, false);
      case '_||_': return (frame) => logical(frame, a, b, true);
      case '_?_:_': return (frame) => { frame.budget.spend(1); return truth(a(frame)) ? b(frame) : c(frame); };
      case '!_': return (frame) => { frame.budget.spend(1); return !truth(a(frame)); };
      case '-_': return (frame) => { frame.budget.spend(1); return negate(a(frame)); };
      case '_==_': return (frame) => { frame.budget.spend(1); return equals(frame, a(frame), b(frame)); };
      case '_!=_': return (frame) => { frame.budget.spend(1); return !equals(frame, a(frame), b(frame)); };
      case '_<_': return (frame) => order(frame, a, b) < 0;
      case '_<=_': return (frame) => order(frame, a, b) <= 0;
      case '_>_': return (frame) => order(frame, a, b) > 0;
      case '_>=_': return (frame) => order(frame, a, b) >= 0;
      case '@in': return (frame) => contains(frame, a(frame), b(frame));
      case '_+_': return (frame) => { const x = a(frame); const y = b(frame); frame.budget.spend(1); return typeof x === 'bigint' && typeof y === 'bigint' ? inInt(x + y) : this.#apply(arithmetic, [x, y], frame, '_+_'); };
      case '_-_': return (frame) => { const x = a(frame); const y = b(frame); frame.budget.spend(1); return typeof x === 'bigint' && typeof y === 'bigint' ? inInt(x - y) : this.#apply(arithmetic, [x, y], frame, '_-_'); };
      case 'dyn': if (codes.length === 1) return a; break;
      case 'type': if (codes.length === 1) return (frame) => { frame.budget.spend(1); return new TypeValue(typeNameOf(a(frame))); }; break;
      case 'orValue': if (expr.target && codes.length === 2) return (frame) => { const value = a(frame); if (!(value instanceof Optional)) throw noOverload(); return value.value === undefined ? b(frame) : value.value; }; break;
      case 'or': if (expr.target && codes.length === 2) return (frame) => { const value = a(frame); if (!(value instanceof Optional)) throw noOverload(); return value.value === undefined ? b(frame) : value; }; break;
    }
    const receiver = expr.target !== undefined;
    const { name } = expr;
    const overloads = this.#declarations.functions.find(name).filter((overload) => overload.receiver === receiver && overload.args.length === codes.length);
    return (frame) => {
      const args: Value[] = [];
      for (const code of codes) args.push(code(frame));
      return this.#apply(overloads, args, frame, name);
    };
  }

  #apply(overloads: readonly Overload[] | undefined, args: readonly Value[], frame: Frame, name: string): Value {
    const candidates = overloads ?? this.#declarations.functions.find(name);
    frame.budget.spend(1);
    for (const arg of args) if (typeof arg === 'string') frame.budget.spend(arg.length / 10); else if (arg instanceof CelList) frame.budget.spend(1);
    search: for (const overload of candidates) {
      if (overload.args.length !== args.length) continue;
      for (let i = 0; i < args.length; i++) if (!accepts(overload.args[i]!, args[i]!)) continue search;
      return overload.run(args, frame.budget);
    }
    throw noOverload();
  }
}
/** Look up by name at run time. */
const arithmetic = undefined;

function truth(value: Value): boolean {
  if (typeof value === 'boolean') return value;
  throw noOverload();
}
/** `&&` (`decides` false) and `||`: an error on one side gives way when the other decides. */
function logical(frame: Frame, a: Code, b: Code, decides: boolean): boolean {
  frame.budget.spend(1);
  let problem: CelError;
  try { if (truth(a(frame)) === decides) return decides; return truth(b(frame)); } catch (err) {
    if (!(err instanceof CelError) || err.fatal) throw err;
    problem = err;
  }
  let right: Value;
  try { right = b(frame); } catch (err) { throw err instanceof CelError && err.fatal ? err : problem; }
  if (right === decides) return decides;
  throw problem;
}
function equals(frame: Frame, a: Value, b: Value): boolean {
  if (typeof a === 'string') { if (typeof b === 'string') frame.budget.spend(Math.min(a.length, b.length) / 10); return a === b; }
  return equal(a, b, (n) => frame.budget.spend(n));
}
function order(frame: Frame, a: Code, b: Code): number {
  const x = a(frame);
  const y = b(frame);
  frame.budget.spend(1 + (typeof x === 'string' ? x.length / 10 : 0));
  const result = compare(x, y);
  if (result === undefined) throw noOverload();
  return result;
}
function contains(frame: Frame, value: Value, of: Value): boolean {
  frame.budget.spend(1);
  if (of instanceof CelMap) { try { return of.get(value) !== undefined; } catch { return false; } }
  if (!(of instanceof CelList)) throw noOverload();
  for (let i = 0; i < of.size; i++) { frame.budget.spend(1); if (equals(frame, value, of.get(i))) return true; }
  return false;
}
function negate(value: Value): Value {
  if (typeof value === 'bigint') return inInt(-value);
  if (typeof value === 'number') return -value;
  throw noOverload();
}
export function inInt(value: bigint): bigint {
  if (value > maxInt || value < minInt) throw new CelError('integer overflow');
  return value;
}
export function inUint(value: bigint): UInt {
  if (value > maxUint || value < 0n) throw new CelError('unsigned integer overflow');
  return new UInt(value);
}

function listIndex(index: Value): number {
  if (typeof index === 'bigint') return Number(index);
  if (index instanceof UInt) return Number(index.value);
  if (typeof index === 'number' && Number.isInteger(index)) return index;
  throw new CelError(`unsupported index type '${typeNameOf(index)}' in list`);
}
function indexOf(of: Value, index: Value): Value {
  if (of instanceof CelMap) {
    const found = of.get(index);
    if (found === undefined) throw noSuchKey(index);
    return found;
  }
  if (!(of instanceof CelList)) throw noOverload();
  const i = listIndex(index);
  if (i < 0 || i >= of.size) throw new CelError(`index out of bounds: ${i}`);
  return of.get(i);
}
function optionalIndex(of: Value, index: Value): Optional {
  if (of instanceof Optional) { if (of.value === undefined) return none; return optionalIndex(of.value, index); }
  if (of instanceof CelMap) { const found = of.get(index); return found === undefined ? none : new Optional(found); }
  if (!(of instanceof CelList)) throw noOverload();
  const i = listIndex(index);
  return i < 0 || i >= of.size ? none : new Optional(of.get(i));
}
function optionalField(of: Value, field: string): Optional {
  if (of instanceof Optional) { if (of.value === undefined) return none; return optionalField(of.value, field); }
  if (!(of instanceof CelMap)) throw noOverload();
  const found = of.field(field);
  return found === undefined ? none : new Optional(found);
}
