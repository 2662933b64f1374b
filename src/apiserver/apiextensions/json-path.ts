/**
 * The JSONPath of printer columns and selectable fields: child, index, slice, wildcard, recursive descent and filters.
 * Parsed once per column. Behaviour: client-go util/jsonpath, missing keys allowed.
 */
import { isJsonObject, type Json, type JsonObject } from '../../base/json.ts';

/** Values that one path may reach: a wildcard over a hostile object is cut off here. */
const maxResults = 10_000;

type Step =
  | { kind: 'child'; name: string }
  | { kind: 'index'; from: number | undefined; to: number | undefined; step: number; single: boolean }
  | { kind: 'wildcard' }
  | { kind: 'recursive' }
  | { kind: 'union'; steps: readonly Step[] }
  | { kind: 'filter'; left: Operand; operator: string; right: Operand | undefined };
type Operand = { path: readonly Step[] } | { value: Json };

export type JsonPath = (object: JsonObject) => Json[];

/** Throws an Error for text that is no path. '.spec.replicas', ".status.conditions[?(@.type=='Ready')].status". */
export function parseJsonPath(text: string): JsonPath {
  const steps = new Parser(text).path();
  return (object) => run(steps, [object]);
}

class Parser {
  readonly #text: string;
  #at = 0;
  constructor(text: string) { this.#text = text; }

  path(until = ''): Step[] {
    const steps: Step[] = [];
    const text = this.#text;
    while (this.#at < text.length) {
      const c = text[this.#at]!;
      if (until.includes(c) && until !== '') break;
      if (c === '$' || c === '@') { this.#at++; continue; }
      if (c === '.') {
        if (text[this.#at + 1] === '.') { this.#at += 2; steps.push({ kind: 'recursive' }); if (/[^.[\]*]/.test(text[this.#at] ?? '.')) steps.push(this.#name(until)); continue; }
        this.#at++;
        if (this.#at >= text.length || text[this.#at] === '[') continue;
        if (text[this.#at] === '*') { this.#at++; steps.push({ kind: 'wildcard' }); continue; }
        steps.push(this.#name(until));
        continue;
      }
      if (c === '[') { steps.push(this.#bracket()); continue; }
      if (c === ' ') { this.#at++; continue; }
      steps.push(this.#name(until));
    }
    return steps;
  }

  #name(until: string): Step {
    let name = '';
    const text = this.#text;
    const start = this.#at;
    while (this.#at < text.length) {
      const c = text[this.#at]!;
      if (c === '\\') { name += text[this.#at + 1] ?? ''; this.#at += 2; continue; }
      if (c === '.' || c === '[' || c === ']' || c === ' ' || (until !== '' && until.includes(c))) break;
      name += c;
      this.#at++;
    }
    if (this.#at === start) throw new Error(`unrecognized character in path: ${text.slice(start)}`);
    return { kind: 'child', name };
  }

  #bracket(): Step {
    const text = this.#text;
    this.#at++;
    if (text[this.#at] === '?') return this.#filter();
    const end = this.#closing();
    const inside = text.slice(this.#at, end).trim();
    this.#at = end + 1;
    const parts = splitUnion(inside);
    const steps = parts.map((part) => elementOf(part.trim()));
    return steps.length === 1 ? steps[0]! : { kind: 'union', steps };
  }

  /** Where this bracket ends, quotes respected. */
  #closing(): number {
    let quote = '';
    for (let at = this.#at; at < this.#text.length; at++) {
      const c = this.#text[at]!;
      if (quote) { if (c === '\\') at++; else if (c === quote) quote = ''; } else if (c === "'" || c === '"') quote = c; else if (c === ']') return at;
    }
    throw new Error('unterminated array');
  }

  #filter(): Step {
    this.#at++;
    if (this.#text[this.#at] !== '(') throw new Error('unexpected filter');
    this.#at++;
    const left = this.#operand();
    this.#space();
    const operator = /^(==|!=|<=|>=|<|>)/.exec(this.#text.slice(this.#at))?.[0] ?? '';
    this.#at += operator.length;
    const right = operator ? this.#operand() : undefined;
    this.#space();
    if (this.#text[this.#at] !== ')' || this.#text[this.#at + 1] !== ']') throw new Error('unterminated filter');
    this.#at += 2;
    return { kind: 'filter', left, operator, right };
  }

  #space(): void { while (this.#text[this.#at] === ' ') this.#at++; }
  #operand(): Operand {
    this.#space();
    const c = this.#text[this.#at];
    if (c === '@') return { path: this.path(' =!<>)') };
    if (c === "'" || c === '"') {
      let value = '';
      for (this.#at++; this.#at < this.#text.length && this.#text[this.#at] !== c; this.#at++) {
        if (this.#text[this.#at] === '\\') this.#at++;
        value += this.#text[this.#at] ?? '';
      }
      this.#at++;
      return { value };
    }
    const word = /^[^\s=!<>)]+/.exec(this.#text.slice(this.#at))?.[0];
    if (word === undefined) throw new Error(`unrecognized character in filter: ${this.#text.slice(this.#at)}`);
    this.#at += word.length;
    if (word === 'true' || word === 'false') return { value: word === 'true' };
    const number = Number(word);
    if (Number.isNaN(number)) throw new Error(`unrecognized identifier ${word}`);
    return { value: number };
  }
}

function splitUnion(text: string): string[] {
  const out: string[] = [];
  let quote = '';
  let part = '';
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!;
    if (quote) { if (c === '\\') part += text[at++]!; else if (c === quote) quote = ''; } else if (c === "'" || c === '"') quote = c;
    else if (c === ',') { out.push(part); part = ''; continue; }
    part += text[at] ?? '';
  }
  out.push(part);
  return out;
}

function elementOf(text: string): Step {
  if (text === '*') return { kind: 'wildcard' };
  const quoted = /^(['"])([\s\S]*)\1$/.exec(text);
  if (quoted) return { kind: 'child', name: quoted[2]!.replace(/\\(.)/g, '$1') };
  const slice = /^(-?\d+)?(:(-?\d+)?)?(:(-?\d+)?)?$/.exec(text);
  if (!slice || text === '') throw new Error(`invalid array index ${text}`);
  const number = (value: string | undefined) => (value === undefined ? undefined : Number(value));
  return { kind: 'index', from: number(slice[1]), to: number(slice[3]), step: number(slice[5]) ?? 1, single: slice[2] === undefined };
}

function run(steps: readonly Step[], start: readonly Json[]): Json[] {
  let values = [...start];
  for (const step of steps) {
    const next: Json[] = [];
    for (const value of values) { apply(step, value, next); if (next.length >= maxResults) break; }
    values = next;
  }
  return values;
}

function apply(step: Step, value: Json, out: Json[]): void {
  switch (step.kind) {
    case 'child':
      if (isJsonObject(value)) { if (Object.hasOwn(value, step.name)) out.push(value[step.name] ?? null); }
      return;
    case 'index': {
      if (!Array.isArray(value)) return;
      const { length } = value;
      const absolute = (at: number) => (at < 0 ? at + length : at);
      if (step.single) { const item = value[absolute(step.from ?? 0)]; if (item !== undefined) out.push(item); return; }
      if (step.step <= 0) return;
      for (let at = Math.max(0, absolute(step.from ?? 0)); at < Math.min(length, absolute(step.to ?? length)); at += step.step) out.push(value[at]!);
      return;
    }
    case 'wildcard': out.push(...children(value).slice(0, maxResults)); return;
    case 'recursive': {
      const queue: Json[] = [value];
      for (let at = 0; at < queue.length && queue.length < maxResults; at++) queue.push(...children(queue[at]!));
      out.push(...queue.slice(0, maxResults));
      return;
    }
    case 'union': for (const one of step.steps) apply(one, value, out); return;
    case 'filter': for (const item of Array.isArray(value) ? value : children(value)) if (passes(step, item)) out.push(item);
  }
}
const children = (value: Json): Json[] => (Array.isArray(value) ? value : isJsonObject(value) ? Object.values(value).filter((child) => child !== undefined) : []);

function passes({ left, operator, right }: Step & { kind: 'filter' }, item: Json): boolean {
  const of = (operand: Operand): Json | undefined => ('value' in operand ? operand.value : run(operand.path, [item])[0]);
  const a = of(left);
  if (!right) return a !== undefined;
  const b = of(right);
  if (a === undefined || b === undefined || a === null || b === null) return false;
  switch (operator) {
    case '==': return a === b;
    case '!=': return a !== b;
    case '<': return a < b;
    case '<=': return a <= b;
    case '>': return a > b;
    default: return a >= b;
  }
}
