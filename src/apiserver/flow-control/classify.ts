/**
 * Which FlowSchema a request falls under. Schemas are compiled to sets; which of them speak of a user at all is remembered per user,
 * so that a request costs a few look-ups. Source: apiserver/pkg/util/flowcontrol/rule.go.
 */
import type { FlowSchemaSpec, Subject } from '../../api/flowcontrol/v1.ts';
import type { RequestInfo, UserInfo } from '../types.ts';

type Test = (info: RequestInfo) => boolean;
export interface CompiledRule { matchesUser(user: UserInfo): boolean; matches: Test }

const member = (values: readonly string[] = []) => { if (values.includes('*')) return () => true; const set = new Set(values); return (value: string) => set.has(value); };

export function compileRules(spec: FlowSchemaSpec): CompiledRule[] {
  return (spec.rules ?? []).map(({ subjects, resourceRules = [], nonResourceRules = [] }) => {
    const forResources: Test[] = resourceRules.map(({ verbs, apiGroups, resources, clusterScope = false, namespaces }) => {
      const [verb, group, resource, namespace] = [member(verbs), member(apiGroups), member(resources), member(namespaces)];
      return (info) => verb(info.verb) && group(info.group) && resource(info.subresource ? `${info.resource}/${info.subresource}` : info.resource) && (info.namespace === '' ? clusterScope : namespace(info.namespace));
    });
    const forPaths: Test[] = nonResourceRules.map(({ verbs, nonResourceURLs }) => {
      const verb = member(verbs);
      return (info) => verb(info.verb) && nonResourceURLs.some((url) => url === '*' || url === info.path || (url.endsWith('*') && info.path.startsWith(url.slice(0, -1))));
    });
    const some = (tests: readonly Test[], info: RequestInfo) => { for (const test of tests) if (test(info)) return true; return false; };
    return { matchesUser: (user) => subjects.some((subject) => matchesSubject(subject, user)), matches: (info) => some(info.isResource ? forResources : forPaths, info) };
  });
}
function matchesSubject({ kind, user, group, serviceAccount }: Subject, asking: UserInfo): boolean {
  switch (kind) {
    case 'User': return user !== undefined && (user.name === '*' || user.name === asking.name);
    case 'Group': return group !== undefined && (group.name === '*' || asking.groups.includes(group.name));
    case 'ServiceAccount': {
      if (!serviceAccount) return false;
      const prefix = `system:serviceaccount:${serviceAccount.namespace}:`;
      return serviceAccount.name === '*' ? asking.name.startsWith(prefix) : asking.name === prefix + serviceAccount.name;
    }
    default: return false;
  }
}
