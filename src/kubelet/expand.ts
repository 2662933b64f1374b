/**
 * `$(NAME)` in env values, command and args. `$$(NAME)` escapes; an unknown name stays as written.
 * Text: kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes('$')) return text;
  let out = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    const next = text[at + 1];
    if (char !== '$' || next === undefined) { out += char; continue; }
    if (next === '$') { out += '$'; at++; continue; }
    if (next !== '(') { out += char + next; at++; continue; }
    const end = text.indexOf(')', at + 2);
    if (end < 0) { out += '$('; at++; continue; }
    const name = text.slice(at + 2, end);
    out += lookup(name) ?? `$(${name})`;
    at = end;
  }
  return out;
}
