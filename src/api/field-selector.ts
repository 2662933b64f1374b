/** Field selectors: 'spec.nodeName=a,status.phase!=Running'. Source: apimachinery/pkg/fields. Errors carry upstream's texts. */
import { SelectorError } from './label-selector.ts';

export interface FieldTerm { field: string; operator: '=' | '!='; value: string }
export interface FieldSelector {
  readonly terms: readonly FieldTerm[];
  readonly empty: boolean;
  /** `value` gives a field's text; it is asked only for fields that occur. */
  matches(value: (field: string) => string | undefined): boolean;
  toString(): string;
}

const escape = (text: string) => text.replace(/[\\,=]/g, '\\$&');
export function fieldSelectorOf(terms: readonly FieldTerm[]): FieldSelector {
  return {
    terms, empty: terms.length === 0,
    matches: (value) => terms.every(({ field, operator, value: wanted }) => ((value(field) ?? '') === wanted) === (operator === '=')),
    toString: () => terms.map(({ field, operator, value }) => `${field}${operator}${escape(value)}`).join(','),
  };
}
export const everyField: FieldSelector = fieldSelectorOf([]);

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') { terms.push(text.slice(start, i)); start = i + 1; }
  }
  terms.push(text.slice(start));
  return terms.filter((term) => term !== '').sort();
}

function unescape(text: string): string {
  if (!/[\\,=]/.test(text)) return text;
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '\\') {
      const next = text[++i];
      if (next !== '\\' && next !== ',' && next !== '=') throw new SelectorError(`invalid field selector: invalid escape sequence: \\${next ?? ''}`);
      out += next;
    } else if (char === ',' || char === '=') throw new SelectorError(`invalid field selector: unescaped character in value: ${char.charCodeAt(0)}`);
    else out += char;
  }
  return out;
}

/** Throws `SelectorError`. Whether a field can be selected is the resource's business: see `ResourceEntry.fieldSelectors`. */
export function parseFieldSelector(text: string): FieldSelector {
  if (text === '') return everyField;
  return fieldSelectorOf(splitTerms(text).map((term) => {
    const match = /^(.*?)(!=|==|=)(.*)$/s.exec(term);
    if (!match) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field = '', operator, value = ''] = match;
    return { field, operator: operator === '!=' ? '!=' : '=', value: unescape(value) };
  }));
}
