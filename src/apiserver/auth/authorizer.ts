/** The chain of authorizers and the refusal in upstream's words. Source: apiserver/pkg/authorization/union; endpoints/handlers/responsewriters/errors.go. */
import { forbidden } from '../../api/meta/status.ts';
import type { StatusError } from '../../api/meta/status.ts';
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../types.ts';
import { isMaster } from './rbac.ts';

const everything: Awaited<ReturnType<Authorizer['rulesFor']>> = {
  resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }], incomplete: false,
};
const nothing: Awaited<ReturnType<Authorizer['rulesFor']>> = { resourceRules: [], nonResourceRules: [], incomplete: false };
const allowed: AuthorizationDecision = { decision: 'allow', reason: '' };

/** `--authorization-mode=AlwaysAllow`. */
export const alwaysAllow: Authorizer = { authorize: async () => allowed, rulesFor: async () => everything };
export const alwaysDeny: Authorizer = {
  authorize: async () => ({ decision: 'none', reason: 'Everything is forbidden.' }),
  rulesFor: async () => nothing,
};
/** Members of system:masters may do anything, whatever the roles say. */
export const mastersAuthorizer: Authorizer = {
  authorize: async ({ user }) => (isMaster(user) ? allowed : { decision: 'none', reason: '' }),
  rulesFor: async (user) => (isMaster(user) ? everything : nothing),
};

/** Asks in order; the first allow or deny decides. Masters never wait for the others. */
export function unionAuthorizer(...authorizers: readonly Authorizer[]): Authorizer {
  const rest = authorizers.filter((authorizer) => authorizer !== mastersAuthorizer);
  const masters = rest.length < authorizers.length;
  return {
    async authorize(asked) {
      if (masters && isMaster(asked.user)) return allowed;
      const reasons: string[] = [];
      for (const authorizer of rest) {
        const decision = await authorizer.authorize(asked);
        if (decision.decision !== 'none') return decision;
        if (decision.reason) reasons.push(decision.reason);
      }
      return { decision: 'none', reason: reasons.join('\n') };
    },
    async rulesFor(user, namespace) {
      if (masters && isMaster(user)) return everything;
      const all = await Promise.all(rest.map((authorizer) => authorizer.rulesFor(user, namespace)));
      const errors = all.flatMap((rules) => rules.evaluationError ?? []);
      return {
        resourceRules: all.flatMap((rules) => rules.resourceRules), nonResourceRules: all.flatMap((rules) => rules.nonResourceRules),
        incomplete: all.some((rules) => rules.incomplete), ...(errors.length > 0 ? { evaluationError: errors.join(', ') } : {}),
      };
    },
  };
}

/** The 403 for a decision that is not allow: `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"`. */
export function forbiddenFor(asked: AuthorizationAttributes, reason = ''): StatusError {
  const because = reason ? `: ${reason}` : '';
  const user = JSON.stringify(asked.user.name);
  if (!asked.isResource) return forbidden({ group: '', resource: '' }, '', `User ${user} cannot ${asked.verb} path ${JSON.stringify(asked.path)}${because}`);
  const resource = JSON.stringify(asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource);
  const scope = asked.namespace ? `in the namespace ${JSON.stringify(asked.namespace)}` : 'at the cluster scope';
  return forbidden({ group: asked.group, resource: asked.resource }, asked.name, `User ${user} cannot ${asked.verb} resource ${resource} in API group ${JSON.stringify(asked.group)} ${scope}${because}`);
}

/** Throws `forbiddenFor` unless allowed. */
export async function requireAllowed(authorizer: Authorizer, asked: AuthorizationAttributes): Promise<void> {
  const { decision, reason } = await authorizer.authorize(asked);
  if (decision !== 'allow') throw forbiddenFor(asked, reason);
}
