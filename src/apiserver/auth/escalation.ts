/**
 * Nobody grants what he does not hold: writes of roles need the rules in them (or the verb `escalate`), writes of bindings
 * the rules of the role they name (or the verb `bind`). Runs as admission, last of the validating plugins, never off.
 * Source: kubernetes.io/docs/reference/access-authn-authz/rbac "Privilege escalation prevention and bootstrapping".
 */
import { forbidden } from '../../api/meta/status.ts';
import type { PolicyRule, RoleRef } from '../../api/rbac/v1.ts';
import type { AdmissionAttributes, AdmissionPlugin, AuthorizationAttributes, Authorizer, UserInfo } from '../types.ts';
import { describeRule, quoteList, uncovered } from './policy-rules.ts';
import { isMaster, roleNotFound, type RbacIndex } from './rbac.ts';

const group = 'rbac.authorization.k8s.io';

export function createEscalationCheck(index: RbacIndex, authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'RBACEscalation',
    handles: (operation, names, subresource) => names.group === group && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'),
    async validate(attributes) {
      if (isMaster(attributes.user)) return;
      if (!index.isSynced) await index.synced();
      const { names, object, oldObject, user, namespace, name } = attributes;
      const next = object as unknown as { rules?: PolicyRule[]; aggregationRule?: unknown; roleRef?: RoleRef; subjects?: unknown };
      const old = oldObject as unknown as typeof next | undefined;
      const allowed = async (verb: string, resource: string, of: string) => (await authorizer.authorize(ask(attributes, verb, resource, of))).decision === 'allow';
      if (names.plural === 'roles' || names.plural === 'clusterroles') {
        if (old && same(old.rules, next.rules) && same(old.aggregationRule, next.aggregationRule)) return;
        if (await allowed('escalate', names.plural, name)) return;
        if (next.aggregationRule && !same(old?.aggregationRule, next.aggregationRule)) {
          const everything: PolicyRule[] = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }, { nonResourceURLs: ['*'], verbs: ['*'] }];
          if (missing(index, user, namespace, everything).length > 0) throw forbidden({ group, resource: names.plural }, name, 'must have cluster-admin privileges to use an aggregationRule');
        }
        refuse(index, attributes, next.rules ?? []);
      } else if (next.roleRef) {
        if (old && same(old.subjects, next.subjects) && same(old.roleRef, next.roleRef)) return;
        if (await allowed('bind', next.roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles', next.roleRef.name)) return;
        const rules = index.rulesOf(next.roleRef, namespace);
        if (!rules) throw roleNotFound(next.roleRef);
        refuse(index, attributes, rules);
      }
    },
  };
}

function missing(index: RbacIndex, user: UserInfo, namespace: string, wanted: readonly PolicyRule[]): PolicyRule[] {
  return uncovered(wanted, index.rulesFor(user, namespace).allowed.map(({ rule }) => rule));
}

function refuse(index: RbacIndex, { names, user, namespace, name }: AdmissionAttributes, wanted: readonly PolicyRule[]): void {
  const rules = missing(index, user, namespace, wanted);
  if (rules.length === 0) return;
  const { errors } = index.rulesFor(user, namespace);
  throw forbidden({ group, resource: names.plural }, name, `user ${JSON.stringify(user.name)} (groups=${quoteList(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${
    [...new Set(rules.map(describeRule))].sort().join('\n')}${errors.length > 0 ? `; resolution errors: [${errors.join(', ')}]` : ''}`);
}

function ask({ user, namespace }: AdmissionAttributes, verb: string, resource: string, name: string): AuthorizationAttributes {
  return { user, verb, group, version: 'v1', resource, subresource: '', namespace, name, isResource: true, path: '' };
}
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
