/** Deep equality as the API means it: absent, null, empty list and empty map are the same. Source: apimachinery/pkg/api/equality. */

const isEmpty = (value: unknown): boolean => value === undefined || value === null
  || (typeof value === 'object' && (Array.isArray(value) ? value.length === 0 : !hasKeys(value)));
function hasKeys(value: object): boolean {
  for (const key in value) if ((value as Record<string, unknown>)[key] !== undefined) return true;
  return false;
}

export function semanticEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return isEmpty(a) && isEmpty(b);
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return isEmpty(a) && isEmpty(b);
    return a.length === b.length && a.every((item, i) => semanticEqual(item, b[i]));
  }
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const key in x) if (!semanticEqual(x[key], y[key])) return false;
  for (const key in y) if (!(key in x) && !isEmpty(y[key])) return false;
  return true;
}

/** The paths where two values differ, a few at most; for messages. */
export function differences(a: unknown, b: unknown, limit = 5): string[] {
  const found: string[] = [];
  const walk = (x: unknown, y: unknown, path: string): void => {
    if (found.length >= limit || semanticEqual(x, y)) return;
    if (typeof x === 'object' && typeof y === 'object' && x !== null && y !== null && Array.isArray(x) === Array.isArray(y)) {
      const keys = new Set([...Object.keys(x), ...Object.keys(y)]);
      for (const key of keys) walk((x as Record<string, unknown>)[key], (y as Record<string, unknown>)[key], Array.isArray(x) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`);
    } else found.push(`  ${path}: ${JSON.stringify(x) ?? 'unset'} → ${JSON.stringify(y) ?? 'unset'}`);
  };
  walk(a, b, '');
  return found;
}
