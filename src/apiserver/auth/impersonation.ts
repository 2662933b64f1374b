/** Acting as another user by headers, each part of whom must be allowed. Source: apiserver/pkg/endpoints/filters/impersonation. */
import { badRequest } from '../../api/meta/status.ts';
import type { AuthenticationRequest, AuthorizationAttributes, Authorizer, UserInfo } from '../types.ts';
import { requireAllowed } from './authorizer.ts';
import { anonymousName, authenticatedGroup, parseServiceAccount, serviceAccountGroups, unauthenticatedGroup } from './users.ts';

const extraPrefix = 'impersonate-extra-';

/** The user to go on as: `user` itself without the headers. Throws 400 for headers that make no sense, 403 where `user` may not. */
export async function impersonate(headers: AuthenticationRequest['headers'], user: UserInfo, authorizer: Authorizer): Promise<UserInfo> {
  const all = (name: string): readonly string[] => { const value = headers[name]; return value === undefined ? [] : typeof value === 'string' ? [value] : value; };
  const name = all('impersonate-user')[0] ?? '';
  const wantedGroups = all('impersonate-group');
  const uid = all('impersonate-uid')[0] ?? '';
  const extra: Record<string, string[]> = {};
  for (const header of Object.keys(headers)) if (header.startsWith(extraPrefix)) extra[unescapeKey(header.slice(extraPrefix.length))] = [...all(header)];
  if (name === '') {
    if (wantedGroups.length > 0 || uid !== '' || Object.keys(extra).length > 0) throw badRequest(`requested ${describe(wantedGroups, extra, uid)} without impersonating a user`);
    return user;
  }
  const check = (group: string, resource: string, at: { namespace?: string; name: string; subresource?: string }): Promise<void> => {
    const asked: AuthorizationAttributes = { user, verb: 'impersonate', group, version: group ? 'v1' : '', resource, subresource: '', namespace: '', isResource: true, path: '', ...at };
    return requireAllowed(authorizer, asked);
  };
  const account = parseServiceAccount(name);
  if (account) await check('', 'serviceaccounts', account); else await check('', 'users', { name });
  for (const group of wantedGroups) await check('', 'groups', { name: group });
  for (const [key, values] of Object.entries(extra)) for (const value of values) await check('authentication.k8s.io', 'userextras', { name: value, subresource: key });
  if (uid) await check('authentication.k8s.io', 'uids', { name: uid });

  const groups = wantedGroups.length > 0 ? [...wantedGroups] : account ? serviceAccountGroups(account.namespace) : [];
  if (name === anonymousName) { if (!groups.includes(unauthenticatedGroup)) groups.push(unauthenticatedGroup); } else if (!groups.includes(authenticatedGroup) && !groups.includes(unauthenticatedGroup)) groups.push(authenticatedGroup);
  return { name, groups, ...(uid ? { uid } : {}), ...(Object.keys(extra).length > 0 ? { extra } : {}) };
}

function unescapeKey(text: string): string { try { return decodeURIComponent(text); } catch { return text; } }

/** Go's %v of the object references upstream builds. */
function describe(groups: readonly string[], extra: Record<string, readonly string[]>, uid: string): string {
  const parts = groups.map((group) => `{Group  ${group}    }`);
  for (const [key, values] of Object.entries(extra)) for (const value of values) parts.push(`{UserExtra  ${value}  authentication.k8s.io/v1  ${key}}`);
  if (uid) parts.push(`{UID  ${uid}  authentication.k8s.io/v1  }`);
  return `[${parts.join(' ')}]`;
}
