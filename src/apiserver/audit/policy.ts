/**
 * Which requests are recorded, and how much of them: the audit policy file, first matching rule wins.
 * Source: kubernetes.io/docs/reference/config-api/apiserver-audit.v1; apiserver/pkg/audit/policy.
 */
import { parse as parseYaml } from 'yaml';
import type { RequestInfo, UserInfo } from '../types.ts';

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse';
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic';
const levels: readonly string[] = ['None', 'Metadata', 'Request', 'RequestResponse'];
const stages: readonly string[] = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'];

interface Rule {
  level: AuditLevel; users?: string[]; userGroups?: string[]; verbs?: string[]; namespaces?: string[]; nonResourceURLs?: string[];
  resources?: { group?: string; resources?: string[]; resourceNames?: string[] }[]; omitStages?: AuditStage[]; omitManagedFields?: boolean;
}
export interface AuditPolicy { rules: readonly Rule[]; omitStages: readonly AuditStage[]; omitManagedFields: boolean }

/** What to record of one request. */
export interface AuditChoice { level: AuditLevel; omitStages: ReadonlySet<string>; omitManagedFields: boolean }

export class AuditPolicyError extends Error {}

/** Reads and checks the text of `--audit-policy-file`. Throws `AuditPolicyError` naming the rule. */
export function parseAuditPolicy(text: string): AuditPolicy {
  let file: { kind?: string; apiVersion?: string; rules?: Rule[]; omitStages?: AuditStage[]; omitManagedFields?: boolean } | null;
  try { file = parseYaml(text) as typeof file; } catch (err) { throw new AuditPolicyError(`audit policy: ${err instanceof Error ? err.message : String(err)}`); }
  if (!file || file.kind !== 'Policy' || file.apiVersion !== 'audit.k8s.io/v1') throw new AuditPolicyError('audit policy: must be kind Policy of apiVersion audit.k8s.io/v1');
  const { rules = [], omitStages = [], omitManagedFields = false } = file;
  if (rules.length === 0) throw new AuditPolicyError('audit policy: loaded illegal policy with 0 rules');
  const wrong = (where: string, why: string) => new AuditPolicyError(`audit policy: ${where}: ${why}`);
  const checkStages = (where: string, given: readonly string[]) => { for (const stage of given) if (!stages.includes(stage)) throw wrong(`${where}.omitStages`, `Invalid value: "${stage}": allowed stages are ${stages.join(',')}`); };
  checkStages('policy', omitStages);
  for (const [i, rule] of rules.entries()) {
    const where = `rules[${i}]`;
    if (!levels.includes(rule.level)) throw wrong(`${where}.level`, rule.level === undefined ? 'Required value' : `Unsupported value: "${String(rule.level)}": supported values: ${levels.map((level) => `"${level}"`).join(', ')}`);
    checkStages(where, rule.omitStages ?? []);
    for (const url of rule.nonResourceURLs ?? []) {
      if (url === '*') continue;
      if (!url.startsWith('/')) throw wrong(`${where}.nonResourceURLs`, `Invalid value: "${url}": non-resource URL rules must begin with a '/' character`);
      if (url.slice(0, -1).includes('*')) throw wrong(`${where}.nonResourceURLs`, `Invalid value: "${url}": non-resource URL wildcards '*' must be the final character of the rule`);
    }
    if (rule.nonResourceURLs?.length && (rule.resources?.length || rule.namespaces?.length)) throw wrong(`${where}.nonResourceURLs`, 'rules cannot apply to both regular resources and non-resource URLs');
    for (const [j, { group, resources, resourceNames }] of (rule.resources ?? []).entries()) {
      if (group && group !== '*' && !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(group)) throw wrong(`${where}.resources[${j}].group`, `Invalid value: "${group}"`);
      if (resourceNames?.length && !resources?.length) throw wrong(`${where}.resources[${j}].resourceNames`, 'using resourceNames requires at least one resource');
    }
  }
  return { rules, omitStages, omitManagedFields };
}

/** The choice for each rule is made once; asking costs the rules before the one that matches. */
export function compileAuditPolicy(policy: AuditPolicy): (info: RequestInfo, user: UserInfo) => AuditChoice | undefined {
  const rules = policy.rules.map((rule) => ({
    matches: matcher(rule),
    choice: rule.level === 'None' ? undefined : { level: rule.level, omitStages: new Set<string>([...policy.omitStages, ...rule.omitStages ?? []]), omitManagedFields: rule.omitManagedFields ?? policy.omitManagedFields },
  }));
  return (info, user) => {
    for (const { matches, choice } of rules) if (matches(info, user)) return choice;
    return undefined; // Source: DefaultAuditLevel None
  };
}

const someOf = (list: readonly string[] | undefined) => (list && list.length > 0 ? new Set(list) : undefined);

function matcher({ users, userGroups, verbs, namespaces, resources = [], nonResourceURLs = [] }: Rule): (info: RequestInfo, user: UserInfo) => boolean {
  const [userSet, groupSet, verbSet, namespaceSet] = [someOf(users), someOf(userGroups), someOf(verbs), someOf(namespaces)];
  const kinds = resources.map(({ group = '', resources: names, resourceNames }) => ({ group, names: names ?? [], resourceNames: someOf(resourceNames) }));
  return (info, user) => {
    if (userSet && !userSet.has(user.name)) return false;
    if (groupSet && !user.groups.some((group) => groupSet.has(group))) return false;
    if (verbSet && !verbSet.has(info.verb)) return false;
    if (namespaceSet || kinds.length > 0) {
      if (!info.isResource) return false;
      if (namespaceSet && !namespaceSet.has(info.namespace)) return false;
      return kinds.length === 0 || kinds.some((kind) => matchesKind(kind, info));
    }
    if (nonResourceURLs.length === 0) return true;
    return !info.isResource && nonResourceURLs.some((spec) => spec === '*' || spec === info.path || (spec.endsWith('*') && info.path.startsWith(spec.slice(0, -1))));
  };
}
function matchesKind({ group, names, resourceNames }: { group: string; names: readonly string[]; resourceNames: ReadonlySet<string> | undefined }, info: RequestInfo): boolean {
  if (group !== '*' && group !== info.group) return false;
  if (names.length === 0) return true;
  if (resourceNames && !resourceNames.has(info.name)) return false;
  const { resource, subresource } = info;
  return names.some((name) => name === '*' || name === (subresource ? `${resource}/${subresource}` : resource) || (subresource !== '' && name === `*/${subresource}`) || name === `${resource}/*`);
}
