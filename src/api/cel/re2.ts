/**
 * Regular expressions in RE2's syntax that always run in linear time, whatever pattern and text clients send. A pattern becomes a
 * Thompson NFA; matching walks sets of its states, with the sets kept as a lazily built DFA where the pattern allows.
 * Source: github.com/google/re2/wiki/Syntax; Go's regexp/syntax for the texts of errors. Differs: JavaScript's engine backtracks without end.
 */
export class RegexError extends Error { override name = 'RegexError'; }

export interface Match { start: number; end: number; /** Undefined: the group took no part. */ groups: readonly (string | undefined)[] }
export interface Regex {
  /** Steps that one character of text can take. */
  readonly size: number;
  test(text: string): boolean;
  /** The leftmost match at or after `from` (UTF-16 offset). */
  find(text: string, from?: number): Match | undefined;
}

type Test = (code: number) => boolean;
type Tree =
  | { op: 'empty' } | { op: 'char'; test: Test } | { op: 'assert'; kind: Assertion } | { op: 'group'; index: number; body: Tree }
  | { op: 'cat'; parts: Tree[] } | { op: 'alt'; parts: Tree[] } | { op: 'repeat'; body: Tree; min: number; max: number; lazy: boolean };
type Assertion = 'textStart' | 'textEnd' | 'lineStart' | 'lineEnd' | 'word' | 'notWord';
type Instruction = { op: 'char'; test: Test; next: number } | { op: 'split'; next: number; other: number } | { op: 'save'; slot: number; next: number } | { op: 'assert'; kind: Assertion; next: number } | { op: 'match' };

const maxProgram = 10_000;
const maxRepeat = 1000;
const maxPatternLength = 10_000;
const maxDepth = 500;
/** States of one DFA; beyond it starts over. */
const maxStates = 2000;

const cacheLimit = 500;
const cache = new Map<string, Regex>();
/** Throws `RegexError` with Go's text. */
export function compileRegex(pattern: string): Regex {
  let regex = cache.get(pattern);
  if (regex) return regex;
  regex = compile(pattern);
  if (cache.size >= cacheLimit) cache.delete(cache.keys().next().value!);
  cache.set(pattern, regex);
  return regex;
}

// ---- parsing

const range = (low: string, high: string): Test => { const a = low.codePointAt(0)!; const b = high.codePointAt(0)!; return (code) => code >= a && code <= b; };
const anyOf = (...tests: Test[]): Test => (tests.length === 1 ? tests[0]! : (code) => tests.some((test) => test(code)));
const not = (test: Test): Test => (code) => !test(code);
const digit = range('0', '9');
const lower = range('a', 'z');
const upper = range('A', 'Z');
const isWord = anyOf(digit, lower, upper, (code) => code === 95);
const space: Test = (code) => code === 32 || code === 9 || code === 10 || code === 12 || code === 13;
const named: Readonly<Record<string, Test>> = {
  alnum: anyOf(digit, lower, upper), alpha: anyOf(lower, upper), ascii: (code) => code < 128, blank: (code) => code === 32 || code === 9, cntrl: (code) => code < 32 || code === 127, digit,
  graph: (code) => code > 32 && code < 127, lower, print: (code) => code >= 32 && code < 127, punct: (code) => code > 32 && code < 127 && !isWord(code) || code === 95, space: (code) => space(code) || code === 11, upper, word: isWord, xdigit: anyOf(digit, range('a', 'f'), range('A', 'F')),
};
const perl: Readonly<Record<string, Test>> = { d: digit, D: not(digit), w: isWord, W: not(isWord), s: space, S: not(space) };
const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

interface Flags { i: boolean; m: boolean; s: boolean; U: boolean }

class Parser {
  readonly #chars: string[];
  readonly #pattern: string;
  #at = 0;
  #depth = 0;
  groups = 0;
  constructor(pattern: string) { this.#pattern = pattern; this.#chars = [...pattern]; }

  #wrong(what: string, part = this.#pattern): RegexError { return new RegexError(`error parsing regexp: ${what}: \`${part}\``); }
  get #next(): string | undefined { return this.#chars[this.#at]; }
  #take(char: string): boolean { if (this.#next !== char) return false; this.#at++; return true; }
  #from(start: number): string { return this.#chars.slice(start, this.#at).join(''); }

  whole(): Tree {
    const tree = this.#alternation({ i: false, m: false, s: false, U: false });
    if (this.#at < this.#chars.length) throw this.#wrong('unexpected )');
    return tree;
  }
  #alternation(flags: Flags): Tree {
    if (++this.#depth > maxDepth) throw this.#wrong('expression nests too deeply');
    const parts: Tree[] = [];
    const current = { ...flags };
    do parts.push(this.#sequence(current)); while (this.#take('|'));
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { op: 'alt', parts };
  }
  #sequence(flags: Flags): Tree {
    const parts: Tree[] = [];
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
      const atom = this.#atom(flags);
      if (atom) parts.push(this.#repeats(atom, flags));
    }
    return parts.length === 1 ? parts[0]! : { op: 'cat', parts };
  }
  #repeats(atom: Tree, flags: Flags): Tree {
    let tree = atom;
    for (let times = 0; ; times++) {
      const start = this.#at;
      let min: number;
      let max: number;
      if (this.#take('*')) [min, max] = [0, Infinity];
      else if (this.#take('+')) [min, max] = [1, Infinity];
      else if (this.#take('?')) [min, max] = [0, 1];
      else {
        const counted = this.#next === '{' ? /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.#chars.slice(this.#at, this.#at + 16).join('')) : null;
        if (!counted) return tree;
        this.#at += counted[0].length;
        min = Number(counted[1]);
        max = counted[2] === undefined ? min : counted[3] === '' ? Infinity : Number(counted[3]);
        if (min > maxRepeat || (max !== Infinity && max > maxRepeat) || max < min) throw this.#wrong('invalid repeat count', counted[0]);
      }
      const lazy = this.#take('?') !== flags.U;
      if (times > 0) throw this.#wrong('invalid nested repetition operator', this.#chars.slice(start - 1, this.#at).join(''));
      tree = { op: 'repeat', body: tree, min, max, lazy };
    }
  }
  /** Undefined for what only sets flags. */
  #atom(flags: Flags): Tree | undefined {
    const start = this.#at;
    const char = this.#chars[this.#at++]!;
    switch (char) {
      case '(': return this.#group(flags, start);
      case '[': return { op: 'char', test: this.#fold(this.#set(start, flags), flags) };
      case '.': return { op: 'char', test: flags.s ? () => true : (code) => code !== 10 };
      case '^': return { op: 'assert', kind: flags.m ? 'lineStart' : 'textStart' };
      case '$': return { op: 'assert', kind: flags.m ? 'lineEnd' : 'textEnd' };
      case '*': case '+': case '?': throw this.#wrong('missing argument to repetition operator', char);
      case '\\': return this.#escape(flags, start);
      default: return this.#literal(char.codePointAt(0)!, flags);
    }
  }
  #literal(code: number, flags: Flags): Tree { return { op: 'char', test: this.#fold((other) => other === code, flags) }; }
  #fold(test: Test, { i }: Flags): Test {
    if (!i) return test;
    return (code) => {
      if (test(code)) return true;
      const char = String.fromCodePoint(code);
      const small = char.toLowerCase();
      const large = char.toUpperCase();
      return (small !== char && test(small.codePointAt(0)!)) || (large !== char && test(large.codePointAt(0)!));
    };
  }
  #group(flags: Flags, start: number): Tree | undefined {
    if (!this.#take('?')) return this.#capture(flags, start);
    const rest = this.#chars.slice(this.#at, this.#at + 200).join('');
    const name = /^P?<(\w+)>/.exec(rest);
    if (name) { this.#at += name[0].length; return this.#capture(flags, start); }
    const set = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest);
    if (!set) throw this.#wrong('invalid or unsupported Perl syntax', `(?${rest.slice(0, 1)}`);
    this.#at += set[0].length;
    const target = set[3] === ')' ? flags : { ...flags };
    for (const flag of set[1]!) target[flag as 'i'] = true;
    for (const flag of set[2] ?? '') target[flag as 'i'] = false;
    if (set[3] === ')') return undefined;
    const body = this.#alternation(target);
    if (!this.#take(')')) throw this.#wrong('missing closing )');
    return body;
  }
  #capture(flags: Flags, _start: number): Tree {
    const index = ++this.groups;
    const body = this.#alternation(flags);
    if (!this.#take(')')) throw this.#wrong('missing closing )');
    return { op: 'group', index, body };
  }
  #escape(flags: Flags, start: number): Tree {
    const char = this.#next;
    if (char === undefined) throw this.#wrong('trailing backslash at end of expression', '');
    switch (char) {
      case 'A': this.#at++; return { op: 'assert', kind: 'textStart' };
      case 'z': this.#at++; return { op: 'assert', kind: 'textEnd' };
      case 'b': this.#at++; return { op: 'assert', kind: 'word' };
      case 'B': this.#at++; return { op: 'assert', kind: 'notWord' };
      case 'Q': {
        this.#at++;
        const parts: Tree[] = [];
        while (this.#at < this.#chars.length && !(this.#next === '\\' && this.#chars[this.#at + 1] === 'E')) parts.push(this.#literal(this.#chars[this.#at++]!.codePointAt(0)!, flags));
        this.#at = Math.min(this.#at + 2, this.#chars.length);
        return { op: 'cat', parts };
      }
    }
    const test = this.#classEscape();
    return test ? { op: 'char', test: this.#fold(test, flags) } : this.#literal(this.#charEscape(start), flags);
  }
  /** \d, \pL and the like; undefined (nothing taken) for others. */
  #classEscape(): Test | undefined {
    const char = this.#next!;
    if (Object.hasOwn(perl, char)) { this.#at++; return perl[char]; }
    if (char !== 'p' && char !== 'P') return undefined;
    const start = this.#at - 1;
    this.#at++;
    let name = this.#chars[this.#at++] ?? '';
    if (name === '{') {
      const end = this.#chars.indexOf('}', this.#at);
      if (end < 0) throw this.#wrong('invalid character class range', this.#from(start));
      name = this.#chars.slice(this.#at, end).join('');
      this.#at = end + 1;
    }
    const negated = name.startsWith('^') !== (char === 'P');
    name = name.replace(/^\^/, '');
    let property: RegExp;
    try {
      if (!/^\w+$/.test(name)) throw new Error('no name');
      try { property = new RegExp(`^\\p{${name}}$`, 'u'); } catch { property = new RegExp(`^\\p{Script=${name}}$`, 'u'); }
    } catch { throw this.#wrong('invalid character class range', this.#from(start)); }
    return (code) => property.test(String.fromCodePoint(code)) !== negated;
  }
  #charEscape(start: number): number {
    const char = this.#chars[this.#at++]!;
    if (Object.hasOwn(controls, char)) return controls[char]!;
    if (char === 'x') {
      const rest = this.#chars.slice(this.#at, this.#at + 10).join('');
      const hex = /^(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))/.exec(rest);
      const code = hex ? Number.parseInt(hex[1] ?? hex[2]!, 16) : -1;
      if (!hex || code > 0x10ffff) throw this.#wrong('invalid escape sequence', this.#from(start));
      this.#at += hex[0].length;
      return code;
    }
    if (char === '0') {
      const octal = /^[0-7]{0,2}/.exec(this.#chars.slice(this.#at, this.#at + 2).join(''))![0];
      this.#at += octal.length;
      return octal === '' ? 0 : Number.parseInt(octal, 8);
    }
    const code = char.codePointAt(0)!;
    if (code < 128 && !isWord(code)) return code;
    throw this.#wrong('invalid escape sequence', this.#from(start));
  }
  #set(start: number, _flags: Flags): Test {
    const negated = this.#take('^');
    const tests: Test[] = [];
    for (let first = true; first || this.#next !== ']'; first = false) {
      if (this.#next === undefined) throw this.#wrong('missing closing ]', this.#from(start));
      const posix = this.#next === '[' ? /^\[:(\^?)(\w+):\]/.exec(this.#chars.slice(this.#at, this.#at + 14).join('')) : null;
      if (posix) {
        const test = Object.hasOwn(named, posix[2]!) ? named[posix[2]!]! : undefined;
        if (!test) throw this.#wrong('invalid character class range', posix[0]);
        this.#at += posix[0].length;
        tests.push(posix[1] ? not(test) : test);
        continue;
      }
      const from = this.#at;
      if (this.#next === '\\' && this.#chars[this.#at + 1] !== undefined) {
        this.#at++;
        const test = this.#classEscape();
        if (test) { tests.push(test); continue; }
        this.#at--;
      }
      const low = this.#setChar();
      let high = low;
      if (this.#next === '-' && this.#chars[this.#at + 1] !== ']' && this.#chars[this.#at + 1] !== undefined) { this.#at++; high = this.#setChar(); }
      if (high < low) throw this.#wrong('invalid character class range', this.#from(from));
      tests.push((code) => code >= low && code <= high);
    }
    this.#at++;
    const test = anyOf(...tests);
    return negated ? not(test) : test;
  }
  #setChar(): number {
    const start = this.#at;
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#wrong('missing closing ]');
    if (char !== '\\') return char.codePointAt(0)!;
    if (this.#next === undefined) throw this.#wrong('trailing backslash at end of expression', '');
    return this.#charEscape(start);
  }
}

// ---- program

function compile(pattern: string): Regex {
  if (pattern.length > maxPatternLength) throw new RegexError('error parsing regexp: expression too large');
  const parser = new Parser(pattern);
  const tree = parser.whole();
  const program: Instruction[] = [];
  const add = (instruction: Instruction): number => {
    if (program.length >= maxProgram) throw new RegexError('error parsing regexp: expression too large');
    return program.push(instruction) - 1;
  };
  // Built from the end: `emit` returns where the piece begins, given where it goes on.
  const emit = (node: Tree, next: number): number => {
    switch (node.op) {
      case 'empty': return next;
      case 'char': return add({ op: 'char', test: node.test, next });
      case 'assert': return add({ op: 'assert', kind: node.kind, next });
      case 'group': { const close = add({ op: 'save', slot: node.index * 2 + 1, next }); return add({ op: 'save', slot: node.index * 2, next: emit(node.body, close) }); }
      case 'cat': { let at = next; for (const part of node.parts.toReversed()) at = emit(part, at); return at; }
      case 'alt': {
        let at = emit(node.parts.at(-1)!, next);
        for (const part of node.parts.slice(0, -1).toReversed()) { const first = emit(part, next); at = add({ op: 'split', next: first, other: at }); }
        return at;
      }
      case 'repeat': {
        const branch = (body: number, out: number): Instruction => (node.lazy ? { op: 'split', next: out, other: body } : { op: 'split', next: body, other: out });
        let at = next;
        if (node.max === Infinity) {
          const loop = add({ op: 'split', next, other: next });
          const body = emit(node.body, loop);
          Object.assign(program[loop]!, branch(body, next));
          at = loop;
        } else for (let i = node.min; i < node.max; i++) at = add(branch(emit(node.body, at), next));
        for (let i = 0; i < node.min; i++) at = emit(node.body, at);
        return at;
      }
    }
  };
  const match = add({ op: 'match' });
  const close = add({ op: 'save', slot: 1, next: match });
  const start = add({ op: 'save', slot: 0, next: emit(tree, close) });
  return new Machine(program, start, parser.groups);
}

interface State { pcs: readonly number[]; matched: boolean; next: Map<number, State>; /** What `$` leads to, at the end of the text. */ matchesAtEnd: boolean }

class Machine implements Regex {
  readonly #program: readonly Instruction[];
  readonly #start: number;
  readonly #groups: number;
  /** Only ^ and $ of the whole text: a DFA state does not depend on the neighbours of a place. */
  readonly #simple: boolean;
  #states = new Map<string, State>();
  get size(): number { return this.#program.length; }
  constructor(program: readonly Instruction[], start: number, groups: number) {
    this.#program = program;
    this.#start = start;
    this.#groups = groups;
    this.#simple = program.every((instruction) => instruction.op !== 'assert' || instruction.kind === 'textStart' || instruction.kind === 'textEnd');
  }

  test(text: string): boolean {
    if (!this.#simple) return this.find(text) !== undefined;
    let state = this.#state([], true);
    for (let i = 0; i < text.length;) {
      if (state.matched) return true;
      const code = text.codePointAt(i)!;
      i += code > 0xffff ? 2 : 1;
      let next = state.next.get(code);
      if (!next) {
        const moved: number[] = [];
        for (const pc of state.pcs) { const instruction = this.#program[pc]!; if (instruction.op === 'char' && instruction.test(code)) moved.push(instruction.next); }
        if (this.#states.size >= maxStates) this.#states = new Map();
        next = this.#state(moved, false);
        if (state.next.size < 1000) state.next.set(code, next);
      }
      state = next;
    }
    return state.matched || state.matchesAtEnd;
  }
  /** The set of states reached from these, and from the start: a match may begin anywhere. */
  #state(from: readonly number[], atStart: boolean): State {
    const pcs = this.#close([...from, this.#start], atStart, false);
    const isMatch = (pc: number) => this.#program[pc]!.op === 'match';
    const matchesAtEnd = this.#close([...from, this.#start], atStart, true).some(isMatch);
    const key = `${matchesAtEnd ? '$' : ''}${pcs.toSorted((a, b) => a - b).join()}`;
    const known = this.#states.get(key);
    if (known) return known;
    const state: State = { pcs, matched: pcs.some(isMatch), next: new Map(), matchesAtEnd };
    this.#states.set(key, state);
    return state;
  }
  #close(from: readonly number[], atStart: boolean, atEnd: boolean): number[] {
    const seen = new Set<number>();
    const out: number[] = [];
    const stack = [...from];
    while (stack.length > 0) {
      const pc = stack.pop()!;
      if (seen.has(pc)) continue;
      seen.add(pc);
      const instruction = this.#program[pc]!;
      switch (instruction.op) {
        case 'split': stack.push(instruction.other, instruction.next); break;
        case 'save': stack.push(instruction.next); break;
        case 'assert': if ((instruction.kind === 'textStart' && atStart) || (instruction.kind === 'textEnd' && atEnd)) stack.push(instruction.next); break;
        default: out.push(pc);
      }
    }
    return out;
  }

  /** Pike's machine: threads in order of preference, each with its groups. */
  find(text: string, from = 0): Match | undefined {
    type Thread = { pc: number; saved: readonly number[] };
    let best: readonly number[] | undefined;
    let threads: Thread[] = [];
    for (let i = from; ; ) {
      const code = i < text.length ? text.codePointAt(i)! : -1;
      const seen = new Set<number>();
      const current: Thread[] = [];
      const holds = (kind: Assertion): boolean => {
        switch (kind) {
          case 'textStart': return i === 0;
          case 'textEnd': return i === text.length;
          case 'lineStart': return i === 0 || text[i - 1] === '\n';
          case 'lineEnd': return i === text.length || text[i] === '\n';
          default: return (isWord(i > 0 ? text.charCodeAt(i - 1) : -1) !== isWord(code)) === (kind === 'word');
        }
      };
      const follow = (pc: number, saved: readonly number[]) => {
        const stack: Thread[] = [{ pc, saved }];
        while (stack.length > 0) {
          const thread = stack.pop()!;
          if (seen.has(thread.pc)) continue;
          seen.add(thread.pc);
          const instruction = this.#program[thread.pc]!;
          switch (instruction.op) {
            case 'split': stack.push({ pc: instruction.other, saved: thread.saved }, { pc: instruction.next, saved: thread.saved }); break;
            case 'save': { const next = [...thread.saved]; next[instruction.slot] = i; stack.push({ pc: instruction.next, saved: next }); break; }
            case 'assert': if (holds(instruction.kind)) stack.push({ pc: instruction.next, saved: thread.saved }); break;
            default: current.push(thread);
          }
        }
      };
      for (const { pc, saved } of threads) follow(pc, saved);
      if (!best) follow(this.#start, []);
      threads = [];
      for (const { pc, saved } of current) {
        const instruction = this.#program[pc]!;
        if (instruction.op === 'match') { best = saved; break; }
        if (instruction.op === 'char' && code >= 0 && instruction.test(code)) threads.push({ pc: instruction.next, saved });
      }
      if (code < 0 || (best && threads.length === 0)) break;
      i += code > 0xffff ? 2 : 1;
    }
    if (!best) return undefined;
    const found = best;
    return { start: found[0]!, end: found[1]!, groups: Array.from({ length: this.#groups + 1 }, (_, g) => (found[g * 2] === undefined || found[g * 2 + 1] === undefined ? undefined : text.slice(found[g * 2], found[g * 2 + 1]))) };
  }
}
