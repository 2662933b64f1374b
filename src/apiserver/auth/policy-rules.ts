/** What one RBAC rule allows, and whether rules cover others. Pure. Source: kubernetes.io/docs/reference/access-authn-authz/rbac. */
import type { PolicyRule } from '../../api/rbac/v1.ts';
import type { AuthorizationAttributes } from '../types.ts';

export function ruleAllows(rule: PolicyRule, asked: AuthorizationAttributes): boolean {
  if (!matches(rule.verbs, asked.verb)) return false;
  if (!asked.isResource) return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, asked.path));
  return matches(rule.apiGroups, asked.group) && resourceMatches(rule.resources, asked.resource, asked.subresource)
    && (!rule.resourceNames?.length || rule.resourceNames.includes(asked.name));
}

function matches(allowed: readonly string[] | undefined, value: string): boolean {
  return allowed !== undefined && (allowed.includes(value) || allowed.includes('*'));
}
function resourceMatches(allowed: readonly string[] | undefined, resource: string, subresource: string): boolean {
  if (!allowed) return false;
  const combined = subresource ? `${resource}/${subresource}` : resource;
  return allowed.some((one) => one === '*' || one === combined || (subresource !== '' && one === `*/${subresource}`));
}
function urlMatches(pattern: string, path: string): boolean {
  return pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, '')));
}

/** The parts of `wanted` that no rule of `held` covers; compacted. */
export function uncovered(wanted: readonly PolicyRule[], held: readonly PolicyRule[]): PolicyRule[] {
  return compact(wanted.flatMap(breakDown).filter((part) => !held.some((rule) => covers(rule, part))));
}

/** One verb on one resource of one group, or one URL. */
function breakDown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  for (const verb of rule.verbs) {
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        for (const name of rule.resourceNames?.length ? rule.resourceNames : [undefined]) {
          parts.push({ verbs: [verb], apiGroups: [group], resources: [resource], ...(name === undefined ? {} : { resourceNames: [name] }) });
        }
      }
    }
    for (const url of rule.nonResourceURLs ?? []) parts.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return parts;
}

function covers(rule: PolicyRule, part: PolicyRule): boolean {
  if (!matches(rule.verbs, part.verbs[0]!)) return false;
  const url = part.nonResourceURLs?.[0];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((pattern) => urlMatches(pattern, url));
  const resource = part.resources![0]!;
  const slash = resource.indexOf('/');
  const resourceCovered = (rule.resources ?? []).some((one) => one === '*' || one === resource || (slash > 0 && one === `*${resource.slice(slash)}`));
  if (!matches(rule.apiGroups, part.apiGroups![0]!) || !resourceCovered) return false;
  return !rule.resourceNames?.length || (part.resourceNames?.[0] !== undefined && rule.resourceNames.includes(part.resourceNames[0]));
}

/** Joins verbs of the same thing. */
function compact(parts: readonly PolicyRule[]): PolicyRule[] {
  const joined = new Map<string, PolicyRule & { verbs: string[] }>();
  for (const part of parts) {
    const key = JSON.stringify([part.apiGroups, part.resources, part.resourceNames, part.nonResourceURLs]);
    const rule = joined.get(key);
    if (rule) { if (!rule.verbs.includes(part.verbs[0]!)) rule.verbs.push(part.verbs[0]!); } else joined.set(key, { ...part, verbs: [...part.verbs] });
  }
  return [...joined.values()];
}

/** Upstream's one-line form: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`. */
export function describeRule(rule: PolicyRule): string {
  const parts = ([['APIGroups', rule.apiGroups], ['Resources', rule.resources], ['NonResourceURLs', rule.nonResourceURLs], ['ResourceNames', rule.resourceNames], ['Verbs', rule.verbs]] as const)
    .filter(([, values]) => values?.length).map(([name, values]) => `${name}:${quoteList(values!)}`);
  return `{${parts.join(', ')}}`;
}
/** Go's %q of a slice. */
export function quoteList(values: readonly string[]): string { return `[${values.map((value) => JSON.stringify(value)).join(' ')}]`; }
