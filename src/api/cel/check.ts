/** Finds the type of an expression, and what is wrong with it, in upstream's words. Source: cel-go checker/checker.go. */
import type { Expr, Problem } from './ast.ts';
import type { Functions } from './overloads.ts';
import { compileRegex } from './re2.ts';
import { bool, double, dyn, errorType, formatType, int, list, map, nullType, bytes, optional, opaque, sameType, string, typeType, uint, type CelType } from './types.ts';
import { parseDuration, parseTimestamp, UInt } from './values.ts';

/** What expressions may name. */
export interface Declarations {
  /** Also dotted names: 'authorizer.requestResource'. */
  variables: Readonly<Record<string, CelType>>;
  functions: Functions;
  /** The types of messages, `Object.spec{…}`: a field's type, undefined where there is none. Undefined: no such type. */
  message?(type: string): ((field: string) => CelType | undefined) | undefined;
}

const typeNames = new Set(['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'null_type', 'type', 'dyn', 'net.IP', 'net.CIDR']);
export const isTypeName = (name: string): boolean => typeNames.has(name);

/** Problems as cel-go reports at most. */
const maxProblems = 100;

export function check(expr: Expr, declarations: Declarations): { type: CelType; problems: Problem[] } {
  const checker = new Checker(declarations);
  const type = checker.type(expr, undefined);
  return { type, problems: checker.problems };
}

interface Scope { name: string; type: CelType; parent: Scope | undefined }

class Checker {
  readonly problems: Problem[] = [];
  readonly #declarations: Declarations;
  constructor(declarations: Declarations) { this.#declarations = declarations; }

  #wrong(at: number, message: string): CelType {
    if (this.problems.length < maxProblems) this.problems.push({ at, message });
    return errorType;
  }

  #variable(name: string, scope: Scope | undefined): CelType | undefined {
    for (let s = scope; s; s = s.parent) if (s.name === name) return s.type;
    return Object.hasOwn(this.#declarations.variables, name) ? this.#declarations.variables[name] : isTypeName(name) ? typeType : undefined;
  }

  type(expr: Expr, scope: Scope | undefined): CelType {
    switch (expr.op) {
      case 'const': return constType(expr.value);
      case 'ident': return this.#variable(expr.name, scope) ?? this.#wrong(expr.at, `undeclared reference to '${expr.name}' (in container '')`);
      case 'select': {
        const dotted = dottedName(expr);
        if (dotted !== undefined && Object.hasOwn(this.#declarations.variables, dotted)) return this.#declarations.variables[dotted]!;
        if (dotted !== undefined && isTypeName(dotted)) return typeType;
        const operand = this.type(expr.operand, scope);
        const field = this.#field(operand, expr.field, expr.at);
        return expr.optional ? optional(field.kind === 'optional' ? field.value : field) : field;
      }
      case 'has': {
        const operand = this.type(expr.operand, scope);
        this.#field(operand, expr.field, expr.at);
        return bool;
      }
      case 'index': {
        const raw = this.type(expr.operand, scope);
        const operand = raw.kind === 'optional' ? raw.value : raw;
        const index = this.type(expr.index, scope);
        const result = this.#index(operand, index, expr.at, expr.optional);
        return expr.optional || raw.kind === 'optional' ? optional(result) : result;
      }
      case 'list': return list(this.#common(expr.items.map(({ value, optional: maybe }) => ({ type: this.#entry(this.type(value, scope), maybe), at: value.at }))));
      case 'map': {
        const keys = this.#common(expr.entries.map(({ key }) => ({ type: this.type(key, scope), at: key.at })));
        return map(keys, this.#common(expr.entries.map(({ value, optional: maybe }) => ({ type: this.#entry(this.type(value, scope), maybe), at: value.at }))));
      }
      case 'struct': {
        const field = this.#declarations.message?.(expr.type);
        for (const entry of expr.entries) {
          const value = this.#entry(this.type(entry.value, scope), entry.optional);
          if (!field) continue;
          const wanted = field(entry.field);
          if (!wanted) this.#wrong(entry.at, `undefined field '${entry.field}'`);
          else if (!assignable(wanted, value, new Map())) this.#wrong(entry.at, `expected type of field '${entry.field}' is '${formatType(wanted)}' but provided type is '${formatType(value)}'`);
        }
        return field ? opaque(expr.type) : this.#wrong(expr.at, `undeclared reference to '${expr.type}' (in container '')`);
      }
      case 'bind': return this.type(expr.body, { name: expr.name, type: this.type(expr.value, scope), parent: scope });
      case 'optMap': {
        const operand = this.type(expr.operand, scope);
        if (operand.kind !== 'optional' && operand.kind !== 'dyn' && operand.kind !== 'error') return this.#noOverload('hasValue', [operand], true, expr.at);
        const body = this.type(expr.body, { name: expr.name, type: operand.kind === 'optional' ? operand.value : dyn, parent: scope });
        return expr.flat ? body : optional(body);
      }
      case 'loop': return this.#loop(expr, scope);
      case 'call': return this.#call(expr, scope);
    }
  }

  #entry(type: CelType, maybe: boolean): CelType { return maybe && type.kind === 'optional' ? type.value : type; }

  #field(operand: CelType, field: string, at: number): CelType {
    switch (operand.kind) {
      case 'dyn': case 'error': case 'param': return dyn;
      case 'map': return operand.values;
      case 'optional': return optional(this.#field(operand.value, field, at));
      case 'object': return operand.field(field) ?? this.#wrong(at, `undefined field '${field}'`);
      case 'opaque': {
        const message = this.#declarations.message?.(operand.name);
        if (message) return message(field) ?? this.#wrong(at, `undefined field '${field}'`);
        break;
      }
    }
    return this.#wrong(at, `type '${formatType(operand)}' does not support field selection`);
  }

  #index(operand: CelType, index: CelType, at: number, maybe: boolean): CelType {
    if (operand.kind === 'dyn' || operand.kind === 'error') return dyn;
    if (operand.kind === 'list' && (loose(index) || index.kind === 'int')) return operand.items;
    if (operand.kind === 'map' && assignable(operand.keys, index, new Map())) return operand.values;
    return this.#noOverload(maybe ? '_[?_]' : '_[_]', [operand, index], false, at);
  }

  /** Lists and maps hold one type. Source: cel.HomogeneousAggregateLiterals. */
  #common(members: readonly { type: CelType; at: number }[]): CelType {
    let common: CelType | undefined;
    for (const { type, at } of members) {
      if (type.kind === 'error') continue;
      if (!common) { common = type; continue; }
      if (!sameType(common, type)) {
        if (assignable(common, type, new Map()) && assignable(type, common, new Map())) common = hasDyn(common) ? type : common;
        else this.#wrong(at, `expected type '${formatType(common)}' but found '${formatType(type)}'`);
      }
    }
    return common ?? dyn;
  }

  #loop(expr: Expr & { op: 'loop' }, scope: Scope | undefined): CelType {
    const range = this.type(expr.range, scope);
    let key: CelType = dyn;
    let value: CelType = dyn;
    if (range.kind === 'list') { key = int; value = range.items; } else if (range.kind === 'map') { key = range.keys; value = range.values; } else if (range.kind !== 'dyn' && range.kind !== 'error') {
      this.#wrong(expr.range.at, `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`);
    }
    const one = range.kind === 'list' ? value : key;
    let inner: Scope = { name: expr.first, type: expr.second === undefined ? one : key, parent: scope };
    if (expr.second !== undefined) inner = { name: expr.second, type: value, parent: inner };
    const predicate = (of: Expr) => {
      const type = this.type(of, inner);
      if (!loose(type) && type.kind !== 'bool') this.#noOverload(expr.kind === 'all' ? '_&&_' : expr.kind === 'exists' ? '_||_' : '_?_:_', expr.kind === 'all' || expr.kind === 'exists' ? [bool, type] : [type, dyn, dyn], false, expr.at);
    };
    if (expr.when) predicate(expr.when);
    switch (expr.kind) {
      case 'all': case 'exists': case 'existsOne': predicate(expr.body); return bool;
      case 'filter': predicate(expr.body); return range.kind === 'map' ? list(key) : range.kind === 'list' ? range : list(dyn);
      case 'map': case 'transformList': return list(this.type(expr.body, inner));
      case 'transformMap': return map(key, this.type(expr.body, inner));
      case 'transformMapEntry': { const entry = this.type(expr.body, inner); return entry.kind === 'map' ? entry : map(dyn, dyn); }
    }
  }

  #call(expr: Expr & { op: 'call' }, scope: Scope | undefined): CelType {
    const { name } = expr;
    const args = [...(expr.target ? [expr.target] : []), ...expr.args].map((arg) => {
      // What is formatted may be of many types. Source: cel.ValidateHomogeneousAggregateLiterals.
      if (name === 'format' && arg.op === 'list') { for (const { value } of arg.items) this.type(value, scope); return list(dyn); }
      return this.type(arg, scope);
    });
    this.#literals(expr);
    const [first = dyn, second = dyn, third = dyn] = args;
    switch (name) {
      case '_&&_': case '_||_':
        if (args.every((type) => loose(type) || type.kind === 'bool')) return bool;
        return this.#noOverload(name, args, false, expr.at);
      case '_?_:_': {
        if (!loose(first) && first.kind !== 'bool') return this.#noOverload(name, args, false, expr.at);
        if (sameType(second, third)) return second;
        if (loose(second) || loose(third)) return dyn;
        if (assignable(second, third, new Map())) return hasDyn(second) ? second : third.kind === 'null' ? second : third;
        if (assignable(third, second, new Map())) return third;
        return this.#noOverload(name, args, false, expr.at);
      }
      case '_==_': case '_!=_':
        if (comparable(first, second)) return bool;
        return this.#noOverload(name, args, false, expr.at);
      case 'dyn': if (args.length === 1) return dyn; break;
      case 'type': if (args.length === 1) return typeType; break;
    }
    const overloads = this.#declarations.functions.find(name);
    if (overloads.length === 0) {
      if (args.some((type) => type.kind === 'error')) return errorType;
      return this.#wrong(expr.at, `undeclared reference to '${name}' (in container '')`);
    }
    let result: CelType | undefined;
    for (const overload of overloads) {
      if (overload.receiver !== (expr.target !== undefined) || overload.args.length !== args.length) continue;
      const bound = new Map<string, CelType>();
      if (!overload.args.every((want, i) => assignable(want, args[i]!, bound))) continue;
      const made = substitute(overload.result, bound);
      result = result === undefined || sameType(result, made) ? made : dyn;
    }
    return result ?? this.#noOverload(name, args, expr.target !== undefined, expr.at);
  }

  /** Literals that can only fail. Source: cel-go cel/validator.go. */
  #literals({ name, args, target }: Expr & { op: 'call' }): void {
    const literal = name === 'matches' ? args.at(-1) : (name === 'duration' || name === 'timestamp') && !target ? args[0] : undefined;
    if (literal?.op !== 'const' || typeof literal.value !== 'string') return;
    try {
      if (name === 'matches') compileRegex(literal.value); else if (name === 'duration') parseDuration(literal.value); else parseTimestamp(literal.value);
    } catch { this.#wrong(literal.at, `invalid ${name} argument`); }
  }

  #noOverload(name: string, args: readonly CelType[], receiver: boolean, at: number): CelType {
    if (args.some((type) => type.kind === 'error')) return errorType;
    const [target, ...rest] = args.map(formatType);
    const shown = receiver ? `${target}.(${rest.join(', ')})` : `(${args.map(formatType).join(', ')})`;
    return this.#wrong(at, `found no matching overload for '${name}' applied to '${shown}'`);
  }
}

const loose = (type: CelType): boolean => type.kind === 'dyn' || type.kind === 'error' || type.kind === 'param';
function hasDyn(type: CelType): boolean {
  switch (type.kind) {
    case 'list': return hasDyn(type.items);
    case 'map': return hasDyn(type.keys) || hasDyn(type.values);
    case 'optional': return hasDyn(type.value);
    default: return loose(type);
  }
}
const numberKinds = new Set(['int', 'uint', 'double']);
function comparable(a: CelType, b: CelType): boolean {
  if (a.kind === 'null') return nullAble(b);
  if (b.kind === 'null') return nullAble(a);
  return assignable(a, b, new Map()) || assignable(b, a, new Map());
}
const nullAble = (type: CelType): boolean => type.nullable === true || loose(type) || !['bool', 'string', 'bytes', 'list', 'map'].includes(type.kind) && !numberKinds.has(type.kind) && (type.kind !== 'object');

function assignable(want: CelType, got: CelType, bound: Map<string, CelType>): boolean {
  if (want.kind === 'param') {
    const known = bound.get(want.name);
    if (!known || loose(known)) { if (!known || !loose(got)) bound.set(want.name, got); return true; }
    return assignable(known, got, bound);
  }
  if (loose(want) || loose(got)) return true;
  if (got.kind === 'null') return want.kind === 'null' || want.nullable === true || ['timestamp', 'duration', 'opaque', 'optional'].includes(want.kind);
  switch (want.kind) {
    case 'list': return got.kind === 'list' && assignable(want.items, got.items, bound);
    case 'map':
      return (got.kind === 'map' && assignable(want.keys, got.keys, bound) && assignable(want.values, got.values, bound));
    case 'optional': return got.kind === 'optional' && assignable(want.value, got.value, bound);
    case 'object': return got.kind === 'object' && got.name === want.name;
    case 'opaque': return got.kind === 'opaque' && got.name === want.name;
    default: return got.kind === want.kind;
  }
}
function substitute(type: CelType, bound: ReadonlyMap<string, CelType>): CelType {
  switch (type.kind) {
    case 'param': return bound.get(type.name) ?? dyn;
    case 'list': return list(substitute(type.items, bound));
    case 'map': return map(substitute(type.keys, bound), substitute(type.values, bound));
    case 'optional': return optional(substitute(type.value, bound));
    default: return type;
  }
}
function constType(value: unknown): CelType {
  switch (typeof value) {
    case 'string': return string;
    case 'bigint': return int;
    case 'number': return double;
    case 'boolean': return bool;
  }
  if (value === null) return nullType;
  return value instanceof UInt ? uint : bytes;
}
export function dottedName(expr: Expr): string | undefined {
  if (expr.op === 'ident') return expr.name;
  if (expr.op !== 'select' || expr.optional) return undefined;
  const operand = dottedName(expr.operand);
  return operand === undefined ? undefined : `${operand}.${expr.field}`;
}
