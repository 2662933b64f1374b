/**
 * JSON bodies as text. `parseJson` is JSON.parse with Go's error messages; `parseJsonStrict` is a tokenising parser that also reports
 * duplicate fields, several times slower and used only where fieldValidation asks for them. Text: RFC 8259; messages: encoding/json.
 */
import type { Json, JsonObject } from '../base/json.ts';
import { maxJsonDepth } from './decode.ts';

export class JsonSyntaxError extends Error { override name = 'JsonSyntaxError'; }

export interface StrictJson {
  value: Json;
  /** `duplicate field "spec.replicas"`, each path once, in document order. */
  duplicateFields: string[];
}

/** Throws `JsonSyntaxError` in Go's words. */
export function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return parseJsonStrict(text).value;
  }
}

const escapes: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
/** As upstream: further duplicates are not reported. */
const maxReported = 100;

export function parseJsonStrict(text: string): StrictJson {
  let at = 0;
  const duplicates = new Set<string>();
  const path: (string | number)[] = [];

  const fail = (where: string): never => {
    if (at >= text.length) throw new JsonSyntaxError('unexpected end of JSON input');
    throw new JsonSyntaxError(`invalid character ${quoteChar(String.fromCodePoint(text.codePointAt(at)!))} ${where}`);
  };
  const space = () => { for (let c = text.charCodeAt(at); c === 32 || c === 10 || c === 13 || c === 9; c = text.charCodeAt(at)) at++; };

  const string = (): string => {
    at++; // the quote
    const start = at;
    for (;;) {
      const c = text.charCodeAt(at);
      if (c === 34) return text.slice(start, at++);
      if (c === 92) break;
      if (Number.isNaN(c) || c < 32) fail('in string literal');
      at++;
    }
    let out = text.slice(start, at);
    for (;;) {
      const c = text.charCodeAt(at);
      if (c === 34) { at++; return out; }
      if (Number.isNaN(c) || c < 32) fail('in string literal');
      if (c !== 92) { out += text[at++]; continue; }
      at++;
      const escape = text[at];
      if (escape === 'u') {
        at++;
        const from = at;
        for (let i = 0; i < 4; i++, at++) if (!/[0-9a-fA-F]/.test(text[at] ?? '')) fail('in \\u hexadecimal character escape');
        out += String.fromCharCode(parseInt(text.slice(from, at), 16));
      } else {
        const plain = escape === undefined ? undefined : escapes[escape];
        if (plain === undefined) fail('in string escape code');
        out += plain;
        at++;
      }
    }
  };
  const number = (): number => {
    const start = at;
    const digits = (where: string) => { if (!(text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57)) fail(where); while (text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++; };
    if (text[at] === '-') at++;
    if (text[at] === '0') at++; else digits('in numeric literal');
    if (text[at] === '.') { at++; digits('after decimal point in numeric literal'); }
    if (text[at] === 'e' || text[at] === 'E') { at++; if (text[at] === '+' || text[at] === '-') at++; digits('in exponent of numeric literal'); }
    return Number(text.slice(start, at));
  };
  const literal = (word: string, value: Json): Json => {
    for (const expected of word) { if (text[at] !== expected) fail(`in literal ${word} (expecting '${expected}')`); at++; }
    return value;
  };
  const value = (depth: number): Json => {
    if (depth > maxJsonDepth) throw new JsonSyntaxError('exceeded max depth');
    space();
    switch (text[at]) {
      case '{': return object(depth);
      case '[': {
        const items: Json[] = [];
        at++;
        space();
        if (text[at] === ']') { at++; return items; }
        for (;;) {
          path.push(items.length);
          items.push(value(depth + 1));
          path.pop();
          space();
          if (text[at] === ']') { at++; return items; }
          if (text[at] !== ',') fail('after array element');
          at++;
        }
      }
      case '"': return string();
      case 't': return literal('true', true);
      case 'f': return literal('false', false);
      case 'n': return literal('null', null);
      default:
        if (text[at] === '-' || /\d/.test(text[at] ?? '')) return number();
        return fail('looking for beginning of value');
    }
  };
  const object = (depth: number): JsonObject => {
    const out: JsonObject = {};
    const seen = new Set<string>();
    at++;
    space();
    if (text[at] === '}') { at++; return out; }
    for (;;) {
      space();
      if (text[at] !== '"') fail('looking for beginning of object key string');
      const key = string();
      path.push(key);
      if (seen.has(key) && duplicates.size < maxReported) duplicates.add(formatPath(path));
      seen.add(key);
      space();
      if (text[at] !== ':') fail('after object key');
      at++;
      const child = value(depth + 1);
      if (key === '__proto__') Object.defineProperty(out, key, { value: child, enumerable: true, configurable: true, writable: true });
      else out[key] = child;
      path.pop();
      space();
      if (text[at] === '}') { at++; return out; }
      if (text[at] !== ',') fail('after object key:value pair');
      at++;
    }
  };

  const result = value(0);
  space();
  if (at < text.length) fail('after top-level value');
  return { value: result, duplicateFields: [...duplicates].map((field) => `duplicate field "${field}"`) };
}

function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part), '');
}

function quoteChar(c: string): string {
  if (c === "'") return "'\\''";
  if (c === '"') return "'\"'";
  return `'${JSON.stringify(c).slice(1, -1)}'`;
}
