/**
 * Text to `Expr`. The npm package @marcbachmann/cel-js reads the grammar; this file adds what Kubernetes needs beside it (messages as
 * `Object{spec: …}`, optional entries `[?a]`), expands macros into loops and finds the offsets that upstream's messages point at.
 * Only the package's parser is used: it has no cost limit, no schema types and other texts than upstream. It is loaded on first use.
 */
import { createRequire } from 'node:module';
import type { ASTNode, Environment } from '@marcbachmann/cel-js';
import type { Expr, LoopKind, Problem } from './ast.ts';
import { UInt } from './values.ts';

/** Code points of one expression. Source: cel-go's default. */
export const maxExpressionLength = 100_000;
/** Nodes of one expression. */
const maxNodes = 50_000;

export class SyntaxProblem extends Error {
  override name = 'SyntaxProblem';
  readonly problem: Problem;
  constructor(at: number, message: string) { super(message); this.problem = { at, message }; }
}

interface ParserError extends Error { code?: string; summary?: string; range?: { start: number; end: number } }
let loaded: Environment | undefined;
function parser(): Environment {
  if (!loaded) {
    const { Environment: Made } = createRequire(import.meta.url)('@marcbachmann/cel-js') as { Environment: typeof Environment };
    loaded = new Made({ enableOptionalTypes: true, unlistedVariablesAreDyn: true, limits: { maxAstNodes: maxNodes, maxDepth: 200, maxListElements: 10_000, maxMapEntries: 10_000, maxCallArguments: 32 } });
  }
  return loaded;
}

/** Throws `SyntaxProblem`. */
export function parse(source: string): Expr {
  if (source.length > maxExpressionLength) throw new SyntaxProblem(0, `expression code point size exceeds limit: size: ${source.length}, limit ${maxExpressionLength}`);
  const prepared = prepare(source);
  let ast: ASTNode;
  try { ast = parser().parse(prepared.text).ast as ASTNode; } catch (err) { throw syntaxProblem(err as ParserError, prepared); }
  return new Converter(prepared).expr(ast as unknown as Node);
}

const expected = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
function syntaxProblem(err: ParserError, { text, original }: Prepared): SyntaxProblem {
  const { start = 0, end = start + 1 } = err.range ?? {};
  const token = start >= text.length ? '<EOF>' : text.slice(start, Math.max(end, start + 1));
  const at = original(Math.min(start, text.length));
  switch (err.code) {
    case 'unexpected_token': return new SyntaxProblem(at, `Syntax error: mismatched input '${token}' expecting ${expected}`);
    case 'expected_token': return new SyntaxProblem(at, `Syntax error: mismatched input '${token}' expecting ${/Expected (\w+)/.exec(err.message)?.[1] ?? 'another token'}`);
    case 'unexpected_character': return new SyntaxProblem(at, /^[\w'"]/.test(token) || token === '<EOF>' ? `Syntax error: extraneous input '${token}' expecting <EOF>` : `Syntax error: token recognition error at: '${token}'`);
    case 'reserved_identifier': return new SyntaxProblem(at, `reserved identifier: ${token}`);
    case 'invalid_macro_argument': return new SyntaxProblem(at, 'argument must be a simple name');
    case undefined: throw err;
    default: return new SyntaxProblem(at, `Syntax error: ${err.summary ?? err.message.split('\n')[0]!}`);
  }
}

// ---- what the grammar of the package lacks

interface Prepared {
  text: string;
  /** Offset in `text` to offset in the source. */
  original(offset: number): number;
  /** Offsets in `text` of the `[` of messages: `Object[{…}]` stands for `Object{…}`. */
  messages: ReadonlySet<number>;
  /** Offsets of the `?` of optional entries, blanked in `text`. */
  optionals: readonly number[];
}

const token = /\s+|\/\/[^\n]*|[bBrR]{0,2}"""[\s\S]*?(?:"""|$)|[bBrR]{0,2}'''[\s\S]*?(?:'''|$)|[rR]"[^"\n]*"?|[rR]'[^'\n]*'?|[bB]?"(?:\\.|[^"\\\n])*"?|[bB]?'(?:\\.|[^'\\\n])*'?|[A-Za-z_]\w*|[0-9][\w.]*|./gsu;

function prepare(source: string): Prepared {
  if (!/[\w\s]\{|[[{,]\s*\?/.test(source)) return { text: source, original: (offset) => offset, messages: new Set(), optionals: [] };
  let text = '';
  const inserted: number[] = [];
  const messages = new Set<number>();
  const optionals: number[] = [];
  const open: ('message' | 'map' | 'list' | 'index' | 'paren')[] = [];
  let previous = '';
  for (const [part] of source.matchAll(token)) {
    if (/^(?:\s|\/\/)/.test(part)) { text += part; continue; }
    const afterOperand = /^[\w)\]}"']/.test(previous) && !/^(?:in)$/.test(previous);
    if (part === '{') {
      if (/^[A-Za-z_]\w*$/.test(previous) && previous !== 'in') {
        open.push('message');
        messages.add(text.length);
        inserted.push(text.length);
        text += '[';
      } else open.push('map');
      text += part;
    } else if (part === '}') {
      text += part;
      if (open.pop() === 'message') { inserted.push(text.length); text += ']'; }
    } else if (part === '?' && (previous === '{' || previous === '[' || previous === ',') && ['message', 'map', 'list'].includes(open.at(-1) ?? '')) {
      optionals.push(text.length);
      text += ' ';
      continue;
    } else {
      if (part === '[') open.push(afterOperand ? 'index' : 'list');
      else if (part === '(') open.push('paren');
      else if (part === ']' || part === ')') open.pop();
      text += part;
    }
    previous = part;
  }
  return { text, messages, optionals, original: (offset) => { let shift = 0; for (const at of inserted) if (at < offset) shift++; return offset - shift; } };
}

// ---- the package's tree to ours

interface Node { op: string; args: unknown; start: number; end: number; pos: number }
const kinds: Readonly<Record<string, { kind: LoopKind; args: readonly number[] }>> = {
  all: { kind: 'all', args: [2, 3] }, exists: { kind: 'exists', args: [2, 3] }, exists_one: { kind: 'existsOne', args: [2, 3] }, existsOne: { kind: 'existsOne', args: [2, 3] },
  map: { kind: 'map', args: [2, 3] }, filter: { kind: 'filter', args: [2] },
  transformList: { kind: 'transformList', args: [3, 4] }, transformMap: { kind: 'transformMap', args: [3, 4] }, transformMapEntry: { kind: 'transformMapEntry', args: [3, 4] },
};

class Converter {
  readonly #prepared: Prepared;
  constructor(prepared: Prepared) { this.#prepared = prepared; }

  expr(node: Node): Expr {
    const { original } = this.#prepared;
    const at = original(node.start);
    switch (node.op) {
      case 'value': {
        const value = node.args as { valueOf(): bigint } | null;
        // The package's own unsigned integers.
        return { op: 'const', at, value: (value !== null && typeof value === 'object' && !(value instanceof Uint8Array) ? new UInt(value.valueOf()) : value) as never };
      }
      case 'id': return { op: 'ident', at, name: node.args as string };
      case '.': case '.?': {
        const [operand, field] = node.args as [Node, string];
        return { op: 'select', at: original(this.#after(operand.end, '.')), operand: this.expr(operand), field, optional: node.op === '.?' };
      }
      case '[]': case '[?]': {
        const [operand, index] = node.args as [Node, Node];
        const bracket = this.#after(operand.end, '[');
        if (this.#prepared.messages.has(bracket)) return this.#message(operand, index, original(bracket));
        return { op: 'index', at: original(bracket), operand: this.expr(operand), index: this.expr(index), optional: node.op === '[?]' };
      }
      case 'call': {
        const [name, args] = node.args as [string, Node[]];
        return this.#call(original(this.#after(node.start + name.length, '(')), name, undefined, args);
      }
      case 'rcall': {
        const [name, target, args] = node.args as [string, Node, Node[]];
        const named = this.#prepared.text.indexOf(name, this.#after(target.end, '.'));
        return this.#call(original(this.#after(named + name.length, '(')), name, target, args);
      }
      case 'list': {
        let from = node.start;
        const items = (node.args as Node[]).map((item) => {
          const optional = this.#optionalBetween(from, item.start);
          from = item.end;
          return { value: this.expr(item), optional };
        });
        return { op: 'list', at, items };
      }
      case 'map': return { op: 'map', at, entries: this.#entries(node).map(({ key, value, optional }) => ({ key: this.expr(key), value: this.expr(value), optional })) };
      case '?:': {
        const [condition, yes, no] = (node.args as Node[]) as [Node, Node, Node];
        return { op: 'call', at: original(this.#after(condition.end, '?')), name: '_?_:_', args: [this.expr(condition), this.expr(yes), this.expr(no)] };
      }
      case '!_': case '-_': {
        const operand = this.expr(node.args as Node);
        if (node.op === '-_' && operand.op === 'const' && (typeof operand.value === 'bigint' || typeof operand.value === 'number')) return { ...operand, at, value: -operand.value };
        return { op: 'call', at, name: node.op, args: [operand] };
      }
      default: {
        const [left, right] = node.args as [Node, Node];
        return { op: 'call', at: original(this.#after(left.end, node.op)), name: node.op === 'in' ? '@in' : `_${node.op}_`, args: [this.expr(left), this.expr(right)] };
      }
    }
  }

  #call(at: number, name: string, target: Node | undefined, args: Node[]): Expr {
    const nameOf = (node: Node): string => {
      if (node.op !== 'id') throw new SyntaxProblem(this.#prepared.original(node.start), 'argument must be a simple name');
      return node.args as string;
    };
    if (!target) {
      if (name !== 'has' || args.length !== 1) return { op: 'call', at, name, args: args.map((arg) => this.expr(arg)) };
      const operand = this.expr(args[0]!);
      if (operand.op !== 'select') throw new SyntaxProblem(operand.at, 'invalid argument to has() macro');
      if (operand.optional) return { op: 'call', at, name: 'hasValue', target: operand, args: [] };
      return { op: 'has', at: operand.at, operand: operand.operand, field: operand.field };
    }
    const loop = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (loop?.args.includes(args.length)) {
      const two = loop.kind === 'map' || loop.kind === 'filter' ? false : loop.args[0] === 3 || args.length === 3;
      const rest = args.slice(two ? 2 : 1).map((arg) => this.expr(arg));
      const first = nameOf(args[0]!);
      const second = two ? nameOf(args[1]!) : undefined;
      if (second === first) throw new SyntaxProblem(this.#prepared.original(args[1]!.start), `duplicate variable name: ${first}`);
      return { op: 'loop', at, kind: loop.kind, range: this.expr(target), first, ...(second === undefined ? {} : { second }), ...(rest.length > 1 ? { when: rest[0]! } : {}), body: rest.at(-1)! };
    }
    if (name === 'bind' && args.length === 3 && target.op === 'id' && target.args === 'cel') return { op: 'bind', at, name: nameOf(args[0]!), value: this.expr(args[1]!), body: this.expr(args[2]!) };
    if ((name === 'optMap' || name === 'optFlatMap') && args.length === 2) return { op: 'optMap', at, operand: this.expr(target), name: nameOf(args[0]!), body: this.expr(args[1]!), flat: name === 'optFlatMap' };
    // `optional.of(x)`, `ip.isCanonical(x)`: functions with a dotted name.
    if (target.op === 'id' && namespaces.has(target.args as string) && Object.hasOwn(namespaced, name)) return { op: 'call', at, name: `${target.args as string}.${name}`, args: args.map((arg) => this.expr(arg)) };
    return { op: 'call', at, name, target: this.expr(target), args: args.map((arg) => this.expr(arg)) };
  }

  #message(type: Node, body: Node, at: number): Expr {
    return {
      op: 'struct', at, type: this.#typeName(type),
      entries: this.#entries(body).map(({ key, value, optional }) => {
        if (key.op !== 'id') throw new SyntaxProblem(this.#prepared.original(key.start), `Syntax error: mismatched input '${this.#prepared.text.slice(key.start, key.end)}' expecting {'}', '?', IDENTIFIER}`);
        return { field: key.args as string, value: this.expr(value), optional, at: this.#prepared.original(key.end) };
      }),
    };
  }
  #typeName(node: Node): string {
    if (node.op === 'id') return node.args as string;
    if (node.op !== '.') throw new SyntaxProblem(this.#prepared.original(node.start), 'Syntax error: a message needs the name of its type');
    const [operand, field] = node.args as [Node, string];
    return `${this.#typeName(operand)}.${field}`;
  }
  #entries(node: Node): { key: Node; value: Node; optional: boolean }[] {
    let from = node.start;
    return (node.args as [Node, Node][]).map(([key, value]) => {
      const optional = this.#optionalBetween(from, key.start);
      from = value.end;
      return { key, value, optional };
    });
  }
  #optionalBetween(from: number, to: number): boolean { return this.#prepared.optionals.some((at) => at >= from && at < to); }

  /** Where `what` begins after an operand: past blanks, comments and closing parentheses. */
  #after(offset: number, what: string): number {
    const { text } = this.#prepared;
    const skip = /(?:\s|\)|\/\/[^\n]*\n)*/y;
    skip.lastIndex = offset;
    skip.test(text);
    return text.startsWith(what, skip.lastIndex) ? skip.lastIndex : offset;
  }
}
const namespaces = new Set(['optional', 'ip', 'sets', 'format', 'strings', 'lists', 'base64', 'jsonpatch']);
const namespaced: Readonly<Record<string, true>> = Object.fromEntries([
  'of', 'none', 'ofNonZeroValue', 'isCanonical', 'contains', 'equivalent', 'intersects', 'named', 'quote', 'range', 'encode', 'decode', 'escapeKey',
  'dns1123Label', 'dns1123Subdomain', 'dns1035Label', 'qualifiedName', 'dns1123LabelPrefix', 'dns1123SubdomainPrefix', 'dns1035LabelPrefix', 'labelValue', 'uri', 'uuid', 'byte', 'date', 'datetime',
].map((name) => [name, true]));
