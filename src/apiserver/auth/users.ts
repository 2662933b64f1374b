/** Names of users and groups that the system knows. Source: apiserver/pkg/authentication/user, serviceaccount. */
import type { UserInfo } from '../types.ts';

export const systemMasters = 'system:masters';
export const authenticatedGroup = 'system:authenticated';
export const unauthenticatedGroup = 'system:unauthenticated';
export const nodesGroup = 'system:nodes';
export const anonymousName = 'system:anonymous';
export const anonymousUser: UserInfo = { name: anonymousName, groups: [unauthenticatedGroup] };
export const serviceAccountsGroup = 'system:serviceaccounts';

const serviceAccountPrefix = 'system:serviceaccount:';
const nodePrefix = 'system:node:';

export function serviceAccountUserName(namespace: string, name: string): string { return `${serviceAccountPrefix}${namespace}:${name}`; }
export function serviceAccountGroups(namespace: string): string[] { return [serviceAccountsGroup, `${serviceAccountsGroup}:${namespace}`]; }
export function parseServiceAccount(userName: string): { namespace: string; name: string } | undefined {
  if (!userName.startsWith(serviceAccountPrefix)) return undefined;
  const [namespace, name, ...rest] = userName.slice(serviceAccountPrefix.length).split(':');
  return namespace && name && rest.length === 0 ? { namespace, name } : undefined;
}

/** The node a kubelet speaks for: `system:node:NAME` in group system:nodes. `isNode` without a name: a node that does not say which. */
export function nodeIdentity(user: UserInfo): { isNode: boolean; name: string } {
  if (!user.name.startsWith(nodePrefix) || !user.groups.includes(nodesGroup)) return { isNode: false, name: '' };
  return { isNode: true, name: user.name.slice(nodePrefix.length) };
}

/** Adds system:authenticated to who has proved an identity. */
export function withAuthenticatedGroup(user: UserInfo): UserInfo {
  return user.groups.includes(authenticatedGroup) || user.groups.includes(unauthenticatedGroup) ? user : { ...user, groups: [...user.groups, authenticatedGroup] };
}
