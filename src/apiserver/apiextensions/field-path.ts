/** Paths of selectableFields and of a rule's fieldPath: names and map keys that a schema has. Source: apiextensions-apiserver/pkg/apiserver/schema/cel ValidFieldPath. */
import { isJsonObject, type JsonObject } from '../../base/json.ts';

export type FoundPath = { path: string; schema: JsonObject | undefined } | { problem: string };

/** `.spec.foo`, `.spec['a-b']`. `arrays`: brackets are allowed. */
export function fieldPathOf(text: string, root: JsonObject, { arrays }: { arrays: boolean }): FoundPath {
  let schema: JsonObject | undefined = root;
  let path = '';
  let at = 0;
  /** True when it leads somewhere. */
  const enter = (name: string): boolean => {
    const { properties, additionalProperties } = schema ?? {};
    if (isJsonObject(properties) && Object.keys(properties).length > 0) {
      path += path === '' ? name : `.${name}`;
      const next = Object.hasOwn(properties, name) ? properties[name] : undefined;
      if (!isJsonObject(next)) return false;
      schema = next;
      return true;
    }
    if (additionalProperties === undefined) return false;
    path += `[${name}]`;
    schema = isJsonObject(additionalProperties) ? additionalProperties : undefined;
    return true;
  };
  while (at < text.length) {
    if (text[at] === '.') {
      const end = /[.[\]]/.exec(text.slice(at + 1));
      const name = text.slice(at + 1, end ? at + 1 + end.index : undefined);
      if (name === '') return { problem: at + 1 >= text.length ? 'unexpected end of JSON path' : 'does not refer to a valid field' };
      at += 1 + name.length;
      if (!enter(name)) return { problem: 'does not refer to a valid field' };
    } else if (text[at] === '[') {
      if (!arrays) return { problem: 'array notation is not allowed' };
      const quoted = /^\['((?:[^'\\]|\\.)*)'/.exec(text.slice(at));
      if (!quoted) { const token = /^\[([^.[\]]*)/.exec(text.slice(at))?.[1] ?? ''; return { problem: token === '' ? 'unexpected end of JSON path' : `expected single quoted string but got ${token}` }; }
      at += quoted[0].length;
      if (!enter(quoted[1]!.replace(/\\(.)/g, '$1'))) return { problem: 'does not refer to a valid field' };
      if (text[at] !== ']') return { problem: at >= text.length ? 'unexpected end of JSON path' : `expected ] but got ${text[at]}` };
      at++;
    } else return { problem: `expected [ or . but got: ${/^[^.[\]]+/.exec(text.slice(at))?.[0] ?? text[at]}` };
  }
  return { path, schema };
}
