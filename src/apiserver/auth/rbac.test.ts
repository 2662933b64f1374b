import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../api/rbac/v1.ts';
import { clusterroles, rolebindings, roles } from '../../api/resources.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { AdmissionAttributes, AuthorizationAttributes, UserInfo } from '../types.ts';
import { forbiddenFor, mastersAuthorizer, unionAuthorizer } from './authorizer.ts';
import { defaultRbac } from './default-roles.ts';
import { createEscalationCheck } from './escalation.ts';
import { impersonate } from './impersonation.ts';
import { describeRule, ruleAllows, uncovered } from './policy-rules.ts';
import { createRbacAuthorizer, RbacIndex, rbacResources } from './rbac.ts';
import { withAuthenticatedGroup } from './users.ts';

const user = (name: string, ...groups: string[]): UserInfo => ({ name, groups });
/** 'get pods/log in default named web group apps', or 'get /healthz'. */
function ask(who: UserInfo, verb: string, what: string, at: { ns?: string; name?: string; group?: string } = {}): AuthorizationAttributes {
  if (what.startsWith('/')) return { user: who, verb, path: what, isResource: false, group: '', version: '', namespace: '', resource: '', subresource: '', name: '' };
  const [resource = '', subresource = ''] = what.split('/');
  return { user: who, verb, path: '', isResource: true, group: at.group ?? '', version: 'v1', namespace: at.ns ?? '', resource, subresource, name: at.name ?? '' };
}
const rule = (verbs: string, resources: string, more: Partial<PolicyRule> = {}): PolicyRule => ({ verbs: verbs.split(' '), apiGroups: [''], resources: resources.split(' '), ...more });
const clusterRole = (name: string, ...rules: PolicyRule[]): ClusterRole => ({ apiVersion: 'v1', kind: 'ClusterRole', metadata: { name }, rules });
const role = (namespace: string, name: string, ...rules: PolicyRule[]): Role => ({ apiVersion: 'v1', kind: 'Role', metadata: { name, namespace }, rules });
const clusterBinding = (name: string, to: string, ...subjects: Subject[]): ClusterRoleBinding => ({ apiVersion: 'v1', kind: 'ClusterRoleBinding', metadata: { name }, subjects, roleRef: { kind: 'ClusterRole', name: to } });
const binding = (namespace: string, name: string, kind: string, to: string, ...subjects: Subject[]): RoleBinding => ({ apiVersion: 'v1', kind: 'RoleBinding', metadata: { name, namespace }, subjects, roleRef: { kind, name: to } });
const toUser = (name: string): Subject => ({ kind: 'User', name });
const toGroup = (name: string): Subject => ({ kind: 'Group', name });

function defaults(): RbacIndex {
  const index = new RbacIndex();
  for (const resource of rbacResources) for (const object of defaultRbac()[resource]) index.set(resource, object);
  return index;
}

const someone = user('x');
const cases: [string, PolicyRule, AuthorizationAttributes, boolean][] = [
  ['exact', rule('get', 'pods'), ask(someone, 'get', 'pods'), true],
  ['other verb', rule('get', 'pods'), ask(someone, 'list', 'pods'), false],
  ['other group', rule('get', 'pods'), ask(someone, 'get', 'pods', { group: 'apps' }), false],
  ['any group', rule('get', 'pods', { apiGroups: ['*'] }), ask(someone, 'get', 'pods', { group: 'apps' }), true],
  ['a resource is not its subresources', rule('get', 'pods'), ask(someone, 'get', 'pods/log'), false],
  ['a subresource', rule('get', 'pods/log'), ask(someone, 'get', 'pods/log'), true],
  ['a subresource of any resource', rule('get', '*/scale'), ask(someone, 'get', 'deployments/scale'), true],
  ['that is not the resource', rule('get', '*/scale'), ask(someone, 'get', 'deployments'), false],
  ['everything', rule('*', '*'), ask(someone, 'patch', 'pods/exec'), true],
  ['by name', rule('get', 'pods', { resourceNames: ['a'] }), ask(someone, 'get', 'pods', { name: 'a' }), true],
  ['another name', rule('get', 'pods', { resourceNames: ['a'] }), ask(someone, 'get', 'pods', { name: 'b' }), false],
  ['by name does not list', rule('list', 'pods', { resourceNames: ['a'] }), ask(someone, 'list', 'pods'), false],
  ['a path', { verbs: ['get'], nonResourceURLs: ['/healthz'] }, ask(someone, 'get', '/healthz'), true],
  ['a path and below', { verbs: ['get'], nonResourceURLs: ['/healthz/*'] }, ask(someone, 'get', '/healthz/etcd'), true],
  ['below is not the path', { verbs: ['get'], nonResourceURLs: ['/healthz/*'] }, ask(someone, 'get', '/healthz'), false],
  ['a resource rule opens no path', rule('*', '*', { apiGroups: ['*'] }), ask(someone, 'get', '/metrics'), false],
];
for (const [name, one, asked, expected] of cases) test(`rule: ${name}`, () => assert.equal(ruleAllows(one, asked), expected));

test('rbac: users, groups and service accounts, cluster-wide and in a namespace', async () => {
  const index = new RbacIndex();
  index.set('clusterroles', clusterRole('reader', rule('get', 'pods')));
  index.set('roles', role('a', 'writer', rule('create', 'pods')));
  index.set('clusterrolebindings', clusterBinding('all', 'reader', toGroup('devs'), { kind: 'ServiceAccount', name: 'bot', namespace: 'a' }));
  index.set('rolebindings', binding('a', 'w', 'Role', 'writer', toUser('ann'), { kind: 'ServiceAccount', name: 'bot' }));
  index.set('rolebindings', binding('b', 'r', 'ClusterRole', 'reader', toUser('ann')));
  const authorizer = createRbacAuthorizer(index);
  const decide = async (asked: AuthorizationAttributes) => { const { decision, reason } = await authorizer.authorize(asked); return `${decision} ${reason}`.trim(); };
  const bot = user('system:serviceaccount:a:bot');
  assert.equal(await decide(ask(user('bob', 'devs'), 'get', 'pods')), 'allow RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to Group "devs"');
  assert.equal(await decide(ask(user('ann'), 'create', 'pods', { ns: 'a' })), 'allow RBAC: allowed by RoleBinding "w/a" of Role "writer" to User "ann"');
  assert.equal(await decide(ask(user('ann'), 'create', 'pods', { ns: 'b' })), 'none');
  assert.equal(await decide(ask(user('ann'), 'get', 'pods', { ns: 'b' })), 'allow RBAC: allowed by RoleBinding "r/b" of ClusterRole "reader" to User "ann"');
  assert.equal(await decide(ask(user('ann'), 'get', 'pods')), 'none', 'a RoleBinding counts in its namespace only');
  assert.equal(await decide(ask(bot, 'get', 'pods', { ns: 'z' })), 'allow RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to ServiceAccount "bot/a"');
  assert.equal(await decide(ask(bot, 'create', 'pods', { ns: 'a' })), 'allow RBAC: allowed by RoleBinding "w/a" of Role "writer" to ServiceAccount "bot/a"');
});

test('rbac: a change counts at once; a dangling reference is told', async () => {
  const index = new RbacIndex();
  const authorizer = createRbacAuthorizer(index);
  const ann = user('ann');
  const get = async () => (await authorizer.authorize(ask(ann, 'get', 'pods')));
  const bound = clusterBinding('b', 'gone', toUser('ann'));
  index.set('clusterrolebindings', bound);
  assert.deepEqual(await get(), { decision: 'none', reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found' });
  index.set('clusterroles', clusterRole('gone', rule('get', 'pods')));
  assert.equal((await get()).decision, 'allow');
  index.set('clusterrolebindings', clusterBinding('b', 'gone', toUser('bob')));
  assert.deepEqual(await get(), { decision: 'none', reason: '' });
  index.set('clusterrolebindings', bound);
  assert.equal((await get()).decision, 'allow');
  index.delete('clusterrolebindings', bound);
  assert.equal((await get()).decision, 'none');
});

test('rbac: before the informers have synced, a no waits for them and a yes does not', async () => {
  const index = new RbacIndex();
  let sync!: () => void;
  const synced = new Promise<void>((resolve) => { sync = resolve; });
  const feed = { hasSynced: false, synced: () => synced, addHandler: () => () => {} };
  index.follow({ clusterroles: feed, clusterrolebindings: feed, roles: feed, rolebindings: feed });
  const authorizer = createRbacAuthorizer(index);
  const waiting = authorizer.authorize(ask(user('ann'), 'get', 'pods'));
  index.set('clusterroles', clusterRole('r', rule('get', 'pods')));
  index.set('clusterrolebindings', clusterBinding('b', 'r', toUser('ann')));
  assert.equal((await authorizer.authorize(ask(user('ann'), 'get', 'pods'))).decision, 'allow');
  sync();
  assert.equal((await waiting).decision, 'allow');
});

const anonymous = user('system:anonymous', 'system:unauthenticated');
const node = user('system:node:n1', 'system:nodes');
const byDefault: [string, AuthorizationAttributes, boolean][] = [
  ['anonymous sees health', ask(anonymous, 'get', '/healthz'), true],
  ['anonymous sees readiness', ask(anonymous, 'get', '/readyz'), true],
  ['anonymous sees the version', ask(anonymous, 'get', '/version'), true],
  ['anonymous does not discover', ask(anonymous, 'get', '/api'), false],
  ['anonymous lists nothing', ask(anonymous, 'list', 'pods'), false],
  ['anybody authenticated discovers', ask(withAuthenticatedGroup(user('x')), 'get', '/apis/apps/v1'), true],
  ['and asks what he may', ask(withAuthenticatedGroup(user('x')), 'create', 'selfsubjectaccessreviews', { group: 'authorization.k8s.io' }), true],
  ['the controller manager lists everything', ask(user('system:kube-controller-manager'), 'watch', 'widgets', { group: 'example.com' }), true],
  ['the scheduler binds', ask(user('system:kube-scheduler'), 'create', 'pods/binding', { ns: 'default' }), true],
  ['the scheduler creates no pods', ask(user('system:kube-scheduler'), 'create', 'pods', { ns: 'default' }), false],
  ['a controller by its service account', ask(user('system:serviceaccount:kube-system:replicaset-controller'), 'create', 'pods', { ns: 'default' }), true],
  ['nodes get nothing by RBAC', ask(node, 'list', 'pods'), false],
  ['kube-proxy watches slices', ask(user('system:kube-proxy'), 'watch', 'endpointslices', { group: 'discovery.k8s.io' }), true],
  ['the token cleaner in its namespace', ask(user('system:serviceaccount:kube-system:token-cleaner'), 'delete', 'secrets', { ns: 'kube-system' }), true],
  ['and nowhere else', ask(user('system:serviceaccount:kube-system:token-cleaner'), 'delete', 'secrets', { ns: 'default' }), false],
];
for (const [name, asked, expected] of byDefault) {
  test(`default roles: ${name}`, async () => assert.equal((await createRbacAuthorizer(defaults()).authorize(asked)).decision, expected ? 'allow' : 'none'));
}

test('default roles: admin, edit and view build on each other; every binding leads to a role', async () => {
  const index = defaults();
  for (const name of ['admin', 'edit', 'view']) index.set('rolebindings', binding('a', name, 'ClusterRole', name, toUser(name)));
  const authorizer = createRbacAuthorizer(index);
  const may = async (who: string, verb: string, what: string, group = '') => (await authorizer.authorize(ask(user(who), verb, what, { ns: 'a', group }))).decision === 'allow';
  assert.deepEqual([await may('view', 'list', 'pods'), await may('view', 'create', 'pods'), await may('view', 'get', 'secrets')], [true, false, false]);
  assert.deepEqual([await may('edit', 'list', 'pods'), await may('edit', 'create', 'deployments', 'apps'), await may('edit', 'get', 'secrets'), await may('edit', 'create', 'roles', 'rbac.authorization.k8s.io')], [true, true, true, false]);
  assert.deepEqual([await may('admin', 'list', 'pods'), await may('admin', 'create', 'roles', 'rbac.authorization.k8s.io')], [true, true]);
  const all = defaultRbac();
  for (const { metadata, roleRef } of [...all.clusterrolebindings, ...all.rolebindings]) assert.ok(index.rulesOf(roleRef, metadata.namespace ?? ''), `${metadata.name} → ${roleRef.name}`);
});

test('the chain: masters may anything, the refusal is upstream\'s', async () => {
  const authorizer = unionAuthorizer(mastersAuthorizer, createRbacAuthorizer(defaults()));
  assert.equal((await authorizer.authorize(ask(user('root', 'system:masters'), 'delete', 'nodes'))).decision, 'allow');
  const refusals: [AuthorizationAttributes, string][] = [
    [ask(user('x'), 'list', 'pods', { ns: 'default' }), 'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"'],
    [ask(user('x'), 'get', 'deployments/scale', { ns: 'a', name: 'web', group: 'apps' }), 'deployments.apps "web" is forbidden: User "x" cannot get resource "deployments/scale" in API group "apps" in the namespace "a"'],
    [ask(user('x'), 'list', 'nodes'), 'nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope'],
    [ask(user('x'), 'get', '/metrics'), 'forbidden: User "x" cannot get path "/metrics"'],
  ];
  for (const [asked, message] of refusals) assert.equal(forbiddenFor(asked).message, message);
  assert.equal(forbiddenFor(refusals[0]![0], 'because').message, `${refusals[0]![1]}: because`);
});

test('what is not held: covered, by wildcard, by name, joined', () => {
  assert.deepEqual(uncovered([rule('get list', 'pods')], [rule('get', 'pods'), rule('list', '*')]), []);
  assert.deepEqual(uncovered([rule('get list', 'pods secrets')], [rule('*', 'pods')]).map(describeRule), ['{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}']);
  assert.deepEqual(uncovered([rule('get', 'pods')], [rule('get', 'pods', { resourceNames: ['a'] })]).map(describeRule), ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']);
  assert.deepEqual(uncovered([rule('get', 'pods', { resourceNames: ['a', 'b'] })], [rule('get', 'pods', { resourceNames: ['a'] })]).map(describeRule), ['{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}']);
  assert.deepEqual(uncovered([{ verbs: ['get'], nonResourceURLs: ['/a/b', '/c'] }], [{ verbs: ['get'], nonResourceURLs: ['/a/*'] }]).map(describeRule), ['{NonResourceURLs:["/c"], Verbs:["get"]}']);
  assert.deepEqual(uncovered([rule('*', '*')], [rule('get', '*')]).map(describeRule), ['{APIGroups:[""], Resources:["*"], Verbs:["*"]}']);
});

test('nobody grants what he does not hold', async () => {
  const index = new RbacIndex();
  index.set('roles', role('a', 'all', rule('get create update', 'roles rolebindings', { apiGroups: ['rbac.authorization.k8s.io'] }), rule('get', 'pods')));
  index.set('rolebindings', binding('a', 'b', 'Role', 'all', toUser('ann')));
  index.set('clusterroles', clusterRole('secret-reader', rule('get', 'secrets')));
  index.set('roles', role('a', 'binder', rule('bind', 'clusterroles', { apiGroups: ['rbac.authorization.k8s.io'], resourceNames: ['secret-reader'] })));
  index.set('rolebindings', binding('a', 'c', 'Role', 'binder', toUser('bob')));
  index.set('roles', role('a', 'escalator', rule('escalate', 'roles', { apiGroups: ['rbac.authorization.k8s.io'] })));
  index.set('rolebindings', binding('a', 'd', 'Role', 'escalator', toUser('eve')));
  const plugin = createEscalationCheck(index, unionAuthorizer(mastersAuthorizer, createRbacAuthorizer(index)));
  const write = async (who: UserInfo, names: ResourceNames, object: object, oldObject?: object) => {
    const { metadata } = object as Role;
    const attributes: AdmissionAttributes = { operation: oldObject ? 'UPDATE' : 'CREATE', names: names as ResourceNames, subresource: '', namespace: metadata.namespace ?? '', name: metadata.name, object: object as never, ...(oldObject ? { oldObject: oldObject as never } : {}), user: who, dryRun: false, warn: () => {} };
    assert.ok(plugin.handles(attributes.operation, attributes.names, ''));
    await plugin.validate!(attributes);
  };
  const ann = user('ann', 'devs');
  const secrets = role('a', 'new', rule('get list', 'secrets'));
  await write(ann, roles, role('a', 'new', rule('get', 'pods')));
  await assert.rejects(write(ann, roles, secrets), { message: 'roles.rbac.authorization.k8s.io "new" is forbidden: user "ann" (groups=["devs"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}' });
  await write(ann, roles, secrets, secrets);
  await write(user('eve'), roles, secrets);
  await write(user('root', 'system:masters'), clusterroles, clusterRole('x', rule('*', '*')));
  await assert.rejects(write(ann, rolebindings, binding('a', 'n', 'ClusterRole', 'secret-reader', toUser('ann'))), /rolebindings.rbac.authorization.k8s.io "n" is forbidden: user "ann"/);
  await write(user('bob'), rolebindings, binding('a', 'n', 'ClusterRole', 'secret-reader', toUser('bob')));
  await assert.rejects(write(ann, rolebindings, binding('a', 'n', 'Role', 'missing', toUser('ann'))), { message: 'role.rbac.authorization.k8s.io "missing" not found' });
  await assert.rejects(write(ann, clusterroles, { ...clusterRole('agg'), aggregationRule: { clusterRoleSelectors: [] } }), /must have cluster-admin privileges to use an aggregationRule/);
});

test('impersonation: who, as whom, and what is asked for it', async () => {
  const asked: string[] = [];
  const authorizer = { authorize: async (at: AuthorizationAttributes) => { asked.push(`${at.verb} ${at.group}/${at.resource}${at.subresource ? `/${at.subresource}` : ''} ${at.namespace}/${at.name}`); return { decision: at.name === 'boss' ? 'none' as const : 'allow' as const, reason: '' }; }, rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }) };
  const me = user('me');
  assert.equal(await impersonate({}, me, authorizer), me);
  assert.deepEqual(await impersonate({ 'impersonate-user': 'ann', 'impersonate-group': ['devs', 'ops'], 'impersonate-extra-scopes%2Fx': 'a', 'impersonate-uid': '7' }, me, authorizer),
    { name: 'ann', groups: ['devs', 'ops', 'system:authenticated'], uid: '7', extra: { 'scopes/x': ['a'] } });
  assert.deepEqual(asked, ['impersonate /users /ann', 'impersonate /groups /devs', 'impersonate /groups /ops', 'impersonate authentication.k8s.io/userextras/scopes/x /a', 'impersonate authentication.k8s.io/uids /7']);
  assert.deepEqual((await impersonate({ 'impersonate-user': 'system:serviceaccount:a:bot' }, me, authorizer)).groups, ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated']);
  assert.deepEqual((await impersonate({ 'impersonate-user': 'system:anonymous' }, me, authorizer)).groups, ['system:unauthenticated']);
  await assert.rejects(impersonate({ 'impersonate-user': 'boss' }, me, authorizer), { message: 'users "boss" is forbidden: User "me" cannot impersonate resource "users" in API group "" at the cluster scope' });
  await assert.rejects(impersonate({ 'impersonate-group': 'devs' }, me, authorizer), /requested \[\{Group  devs    \}\] without impersonating a user/);
});
