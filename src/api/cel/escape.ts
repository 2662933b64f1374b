/** Names of fields as CEL can write them: `a-b` is `a__dash__b`, `namespace` is `__namespace__`. Source: kubernetes.io/docs/reference/using-api/cel (escaping); apiserver/pkg/cel/escaping.go. */
const reserved = new Set(['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while']);
const escapes: Readonly<Record<string, string>> = { '.': '__dot__', '-': '__dash__', '/': '__slash__', '__': '__underscores__' };
const unescapes = new Map(Object.entries(escapes).map(([from, to]) => [to, from]));

export function escapeIdentifier(name: string): string {
  if (reserved.has(name)) return `__${name}__`;
  return name.replace(/__|[-./]/g, (part) => escapes[part]!);
}
/** The other way round; unchanged where it is no escape. */
export function unescapeIdentifier(name: string): string {
  if (!name.includes('__')) return name;
  const keyword = /^__(\w+)__$/.exec(name)?.[1];
  if (keyword !== undefined && reserved.has(keyword)) return keyword;
  return name.replace(/__(?:dot|dash|slash|underscores)__/g, (part) => unescapes.get(part)!);
}
