/**
 * Label selectors: the text form ('a=b,c in (d,e),!f') and metav1.LabelSelector, both compiled to one predicate.
 * Source: apimachinery/pkg/labels, pkg/apis/meta/v1/helpers.go. Errors carry upstream's texts.
 */
import type { LabelSelector } from './meta/v1.ts';
import { isQualifiedName, isValidLabelValue } from './validation/names.ts';
import { quote } from './validation/field.ts';

export type Labels = Readonly<Record<string, string | undefined>> | undefined;
export type Operator = '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';
export interface Requirement { key: string; operator: Operator; values: readonly string[] }

/** `matches` is the compiled predicate; `requirements` are sorted by key. */
export interface Selector {
  readonly requirements: readonly Requirement[];
  /** Selects everything. */
  readonly empty: boolean;
  matches(labels: Labels): boolean;
  toString(): string;
}

export class SelectorError extends Error { override name = 'SelectorError'; }

const noLabels: Labels = Object.freeze({});
function compileOne({ key, operator, values }: Requirement): (labels: NonNullable<Labels>) => boolean {
  const [only] = values;
  const set = values.length > 4 ? new Set(values) : undefined;
  const has = set ? (value: string) => set.has(value) : (value: string) => values.includes(value);
  switch (operator) {
    case '=': case '==': return (labels) => labels[key] === only;
    case '!=': return (labels) => labels[key] !== only;
    case 'in': return values.length === 1 ? (labels) => labels[key] === only : (labels) => { const value = labels[key]; return value !== undefined && has(value); };
    case 'notin': return (labels) => { const value = labels[key]; return value === undefined || !has(value); };
    case 'exists': return (labels) => labels[key] !== undefined;
    case '!': return (labels) => labels[key] === undefined;
    case 'gt': case 'lt': {
      const bound = asInt(only ?? '');
      return (labels) => {
        const value = asInt(labels[key] ?? '');
        return value !== undefined && bound !== undefined && (operator === 'gt' ? value > bound : value < bound);
      };
    }
  }
}
const asInt = (text: string) => (/^[+-]?\d+$/.test(text) ? BigInt(text.replace('+', '')) : undefined);

function formatRequirement({ key, operator, values }: Requirement): string {
  const list = [...values].sort().join(',');
  switch (operator) {
    case 'exists': return key;
    case '!': return `!${key}`;
    case 'in': case 'notin': return `${key} ${operator} (${list})`;
    case 'gt': return `${key}>${list}`;
    case 'lt': return `${key}<${list}`;
    default: return `${key}${operator}${list}`;
  }
}

export function selectorOf(list: readonly Requirement[]): Selector {
  const requirements = list.length < 2 ? list : [...list].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const tests = requirements.map(compileOne);
  const [first, second] = tests;
  const test = tests.length === 0 ? () => true : tests.length === 1 ? first! : tests.length === 2 ? (labels: NonNullable<Labels>) => first!(labels) && second!(labels)
    : (labels: NonNullable<Labels>) => { for (const one of tests) if (!one(labels)) return false; return true; };
  return {
    requirements, empty: requirements.length === 0,
    matches: (labels) => test(labels ?? noLabels!),
    toString: () => requirements.map(formatRequirement).join(','),
  };
}
export const everything: Selector = selectorOf([]);
export const nothing: Selector = { requirements: [], empty: false, matches: () => false, toString: () => '' };

/** A Service's or ReplicationController's map of labels. An empty or absent one selects everything; callers that mean nothing say so. */
export function selectorFromMap(labels: Labels): Selector {
  return selectorOf(Object.entries(labels ?? {}).map(([key, value]) => ({ key, operator: '=', values: [value ?? ''] })));
}

const operators: Readonly<Record<string, Operator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' };
const compiled = new WeakMap<LabelSelector, Selector>();
/** Absent: selects nothing; empty: everything. Compiled once per object, so do not change it afterwards. Throws `SelectorError`. */
export function selectorFrom(selector: LabelSelector | undefined): Selector {
  if (!selector) return nothing;
  const known = compiled.get(selector);
  if (known) return known;
  const requirements: Requirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => checked({ key, operator: '=', values: [value] }));
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const op = operators[operator];
    if (!op) throw new SelectorError(`${quote(operator)} is not a valid label selector operator`);
    requirements.push(checked({ key, operator: op, values }));
  }
  const made = selectorOf(requirements);
  if (Object.isFrozen(selector)) compiled.set(selector, made);
  return made;
}

/** The text form, as `kubectl describe` and Scale.status.selector show it: '<none>' for absent and '' for everything are the caller's. */
export function formatSelector(selector: LabelSelector | undefined): string { return selectorFrom(selector).toString(); }

function checked(requirement: Requirement): Requirement {
  const { key, operator, values } = requirement;
  const problems: string[] = [];
  const keyProblems = isQualifiedName(key);
  if (keyProblems.length > 0) problems.push(`key: Invalid value: ${quote(key)}: ${keyProblems.join('; ')}`);
  const shown = `Invalid value: ${JSON.stringify(values)}`;
  if ((operator === 'in' || operator === 'notin') && values.length === 0) problems.push(`values: ${shown}: for 'in', 'notin' operators, values set can't be empty`);
  if ((operator === 'exists' || operator === '!') && values.length !== 0) problems.push(`values: ${shown}: values set must be empty for exists and does not exist`);
  if (operator === 'gt' || operator === 'lt') {
    values.forEach((value, i) => { if (asInt(value) === undefined) problems.push(`values[${i}]: Invalid value: ${quote(value)}: for 'Gt', 'Lt' operators, the value must be an integer`); });
  }
  values.forEach((value, i) => {
    const messages = isValidLabelValue(value);
    if (messages.length > 0) problems.push(`values[${i}][${key}]: Invalid value: ${quote(value)}: ${messages.join('; ')}`);
  });
  if (problems.length > 0) throw new SelectorError(problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`);
  return requirement;
}

// ---- the text form

type TokenKind = ')' | ',' | '!' | '==' | '=' | '>' | 'in' | '<' | '!=' | 'notin' | '(' | 'identifier' | 'end' | 'error';
interface Token { kind: TokenKind; text: string }
const symbols = new Set(['=', '!', '(', ')', ',', '>', '<']);
const tokens = new Set<string>([')', ',', '!', '==', '=', '>', 'in', '<', '!=', 'notin', '(']);
const isSpace = (char: string) => char === ' ' || char === '\t' || char === '\r' || char === '\n';

function scan(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const start = at;
    const char = text[at]!;
    if (isSpace(char)) { at++; continue; }
    if (symbols.has(char)) {
      // The longest run of symbols that is a token.
      let length = 0;
      let end = at;
      while (end < text.length && symbols.has(text[end]!)) {
        end++;
        if (tokens.has(text.slice(at, end))) length = end - at;
        else if (length > 0) break;
      }
      if (length === 0) { found.push({ kind: 'error', text: `error expected: keyword found '${text.slice(start, end)}'` }); at = end; continue; }
      found.push({ kind: text.slice(at, at + length) as TokenKind, text: text.slice(at, at + length) });
      at += length;
    } else {
      while (at < text.length && !symbols.has(text[at]!) && !isSpace(text[at]!)) at++;
      const word = text.slice(start, at);
      found.push({ kind: tokens.has(word) ? word as TokenKind : 'identifier', text: word });
    }
  }
  found.push({ kind: 'end', text: '' });
  return found;
}

/** Throws `SelectorError`: "found ',', expected: …", "unable to parse requirement: …". */
export function parseSelector(text: string): Selector {
  const scanned = scan(text);
  let position = 0;
  // In value position `in` and `notin` are ordinary words.
  const asValue = (token: Token): Token => (token.kind === 'in' || token.kind === 'notin' ? { kind: 'identifier', text: token.text } : token);
  const end: Token = { kind: 'end', text: '' };
  const look = () => asValue(scanned[position] ?? end);
  const take = () => asValue(scanned[position++] ?? end);
  const fail = (message: string): never => { throw new SelectorError(message); };

  const parseList = (): string[] => {
    const values = new Set<string>();
    for (;;) {
      const token = take();
      if (token.kind === 'identifier') {
        values.add(token.text);
        const next = look();
        if (next.kind === ',') continue;
        if (next.kind === ')') return [...values];
        fail(`found '${next.text}', expected: ',' or ')'`);
      } else if (token.kind === ',') {
        if (values.size === 0) values.add('');
        const next = look();
        if (next.kind === ')') { values.add(''); return [...values]; }
        if (next.kind === ',') values.add('');
      } else fail(`found '${token.text}', expected: ',', or identifier`);
    }
  };
  const parseValues = (): string[] => {
    const open = take();
    if (open.kind !== '(') fail(`found '${open.text}' expected: '('`);
    const next = look();
    if (next.kind === ')') { take(); return ['']; }
    if (next.kind !== 'identifier' && next.kind !== ',') fail(`found '${next.text}', expected: ',', ')' or identifier`);
    const values = parseList();
    if (take().kind !== ')') fail(`found '${next.text}', expected: ')'`);
    return values;
  };
  const parseExact = (): string[] => {
    const next = look();
    if (next.kind === 'end' || next.kind === ',') return [''];
    take();
    return next.kind === 'identifier' ? [next.text] : fail(`found '${next.text}', expected: identifier`);
  };
  const parseRequirement = (): Requirement => {
    let token = take();
    const absent = token.kind === '!';
    if (absent) token = take();
    if (token.kind !== 'identifier') fail(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const messages = isQualifiedName(key);
    if (messages.length > 0) fail(`<nil>: Invalid value: ${quote(key)}: ${messages.join('; ')}`);
    if (absent) return checked({ key, operator: '!', values: [] });
    const next = look();
    if (next.kind === 'end' || next.kind === ',') return checked({ key, operator: 'exists', values: [] });
    const operator = scanned[position++] ?? end;
    switch (operator.kind) {
      case 'in': case 'notin': return checked({ key, operator: operator.kind, values: parseValues().sort() });
      case '=': case '==': case '!=': return checked({ key, operator: operator.kind, values: parseExact() });
      case '>': return checked({ key, operator: 'gt', values: parseExact() });
      case '<': return checked({ key, operator: 'lt', values: parseExact() });
      default: return fail(`found '${operator.text}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  };

  const requirements: Requirement[] = [];
  for (;;) {
    const token = look();
    if (token.kind === 'end') return selectorOf(requirements);
    if (token.kind !== 'identifier' && token.kind !== '!') fail(`found '${token.text}', expected: !, identifier, or 'end of string'`);
    try { requirements.push(parseRequirement()); } catch (err) {
      throw err instanceof SelectorError ? new SelectorError(`unable to parse requirement: ${err.message}`) : err;
    }
    const after = take();
    if (after.kind === 'end') return selectorOf(requirements);
    if (after.kind !== ',') fail(`found '${after.text}', expected: ',' or 'end of string'`);
    const next = look();
    if (next.kind !== 'identifier' && next.kind !== '!') fail(`found '${next.text}', expected: identifier after ','`);
  }
}
