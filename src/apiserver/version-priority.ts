/** Order of API versions: GA, then beta, then alpha, newer first; others after them by name. Source: apimachinery/pkg/version CompareKubeAwareVersionStrings. */
const form = /^v(\d+)(?:(alpha|beta)(\d+))?$/;
const stage = (name: string | undefined) => (name === undefined ? 2 : name === 'beta' ? 1 : 0);

/** For sort: negative when `a` is preferred. */
export function versionPriority(a: string, b: string): number {
  const left = form.exec(a);
  const right = form.exec(b);
  if (!left || !right) return left ? -1 : right ? 1 : a < b ? -1 : a > b ? 1 : 0;
  return stage(right[2]) - stage(left[2]) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0);
}
