/**
 * YAML bodies (`application/yaml`, apply patches) as JSON values. Apart from `json-text.ts` so that a server which reads no YAML
 * never loads the parser: import it dynamically. The dialect is Go's yaml.v2: YAML 1.1 booleans and octals, but no dates and no base 60.
 */
import { parseAllDocuments, parseDocument, type Tags } from 'yaml';
import type { Json } from '../base/json.ts';
import { JsonSyntaxError, type StrictJson } from './json-text.ts';

/** Aliases expanded per document; more is refused (a small text may otherwise grow without end). */
const maxAliases = 100;

const withoutTimes = (tags: Tags): Tags => tags.filter((tag) => typeof tag === 'string'
  || !(/:(timestamp|binary|omap|pairs|set)$/.test(tag.tag) || ('format' in tag && tag.format === 'TIME')));
const options = { schema: 'yaml-1.1', version: '1.1', merge: true, uniqueKeys: false, customTags: withoutTimes, logLevel: 'silent', prettyErrors: false } as const;

/** One document. Throws `JsonSyntaxError`. Duplicate keys are reported as upstream's YAML decoder does. */
export function parseYamlStrict(text: string): StrictJson {
  const document = parseDocument(text, options);
  const problem = document.errors[0];
  if (problem) throw new JsonSyntaxError(`error converting YAML to JSON: yaml: line ${lineAt(text, problem.pos[0])}: ${problem.message}`);
  let value: Json;
  try {
    value = document.toJS({ maxAliasCount: maxAliases, mapAsMap: false }) as Json;
  } catch (err) {
    throw new JsonSyntaxError(`error converting YAML to JSON: yaml: ${(err as Error).message}`);
  }
  const strict = parseDocument(text, { ...options, uniqueKeys: true });
  const duplicates = strict.errors.filter((error) => error.code === 'DUPLICATE_KEY').map((error) => {
    const key = /^\s*["']?([^\s:"']+)/.exec(text.slice(error.pos[0]))?.[1] ?? '';
    return `  line ${lineAt(text, error.pos[0])}: key "${key}" already set in map`;
  });
  return { value: normalise(value), duplicateFields: duplicates.length > 0 ? [`yaml: unmarshal errors:\n${duplicates.join('\n')}`] : [] };
}

export function parseYaml(text: string): Json { return parseYamlStrict(text).value; }

/** Every non-empty document of a stream divided by `---`. */
export function parseYamlStream(text: string): Json[] {
  const documents = parseAllDocuments(text, options);
  return (Array.isArray(documents) ? documents : []).flatMap((document) => {
    const problem = document.errors[0];
    if (problem) throw new JsonSyntaxError(`error converting YAML to JSON: yaml: line ${lineAt(text, problem.pos[0])}: ${problem.message}`);
    const value = document.toJS({ maxAliasCount: maxAliases }) as Json;
    return value === null || value === undefined ? [] : [normalise(value)];
  });
}

function lineAt(text: string, offset: number): number { return text.slice(0, offset).split('\n').length; }

/** Through JSON: what YAML can say and JSON can't (NaN, undefined, shared nodes) is gone, and aliased parts are separate copies. */
function normalise(value: Json): Json { return value === undefined ? null : JSON.parse(JSON.stringify(value)) as Json; }
