/** The whole of security on a real server over the memory store, without sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { generateKey, privateKeyPem } from '../base/x509.ts';
import type { TokenRequest } from '../api/authentication/v1.ts';
import { clusterroles, configmaps, pods, rolebindings, roles, serviceaccounts, tokenreviews } from '../api/resources.ts';
import { createMemoryStore } from '../store/memory.ts';
import { FakeClock, settle } from '../testing/fake-clock.ts';
import { reconcileDefaultRoles } from './auth/reconcile-roles.ts';
import { createSecurity, type Security } from './security.ts';
import { createApiServer } from './server.ts';

test('security: default roles, refusals, admission, tokens and escalation on one server', async () => {
  const clock = new FakeClock();
  const rng = seededRng(5);
  await using store = createMemoryStore();
  let security!: Security;
  let written = -1;
  await using server = createApiServer({ store, clock, rng, log: silentLogger, freeze: true,
    security: (parts) => security = createSecurity({ serviceAccount: { privateKey: privateKeyPem(generateKey().privateKey) } }, parts),
    bootstrap: { also: async ({ client }) => { written = await reconcileDefaultRoles(client); } } });
  await server.ready;
  await using informers = security.informers;
  await informers.synced();
  assert.ok(written > 100);
  assert.equal(await reconcileDefaultRoles(server.context.client), 0, 'a second start writes nothing');

  const as = (name: string, ...groups: string[]) => server.client({ name, groups: [...groups, 'system:authenticated'] });
  const admin = as('root', 'system:masters');
  await admin.for(serviceaccounts).create({ metadata: { name: 'default', namespace: 'default' } });
  const pod = await admin.for(pods).create({ metadata: { name: 'web', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'x' }] } });
  assert.equal(pod.spec?.serviceAccountName, 'default');
  assert.match(pod.spec?.volumes?.[0]?.name ?? '', /^kube-api-access-/);
  assert.equal((await as('system:kube-scheduler').for(pods).list()).items.length, 1);
  await assert.rejects(as('ann').for(pods).list({ namespace: 'default' }), { code: 403, message: 'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "default"' });
  await assert.rejects(admin.for(configmaps).create({ metadata: { name: 'x', namespace: 'nope' } }), { code: 404, message: 'namespaces "nope" not found' });

  const request = (spec: object) => admin.for(serviceaccounts).createSubresource<TokenRequest>({ namespace: 'default', name: 'default' }, 'token', { spec: { audiences: [], ...spec } });
  const { status } = await request({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'web' } });
  const user = await security.authenticator.authenticate({ headers: { authorization: `Bearer ${status?.token}` }, path: '/' });
  assert.equal(user.name, 'system:serviceaccount:default:default');
  // TokenReview: a token is good for the audiences it was made for, and says for which of those asked.
  const review = async (token: string | undefined, audiences?: string[]) => (await admin.for(tokenreviews).create({ metadata: {} as never, spec: { token: token ?? '', ...(audiences ? { audiences } : {}) } })).status!;
  const vaultToken = (await request({ audiences: ['vault', 'other'] })).status!.token;
  const good = await review(vaultToken, ['vault', 'db']);
  assert.deepEqual([good.authenticated, good.user?.username, good.audiences], [true, 'system:serviceaccount:default:default', ['vault']]);
  const bad = await review(vaultToken, ['db']);
  assert.deepEqual([bad.authenticated ?? false, bad.error], [false, '[invalid bearer token, token audiences ["vault","other"] is invalid for the target audiences ["db"]]']);
  assert.equal((await review(vaultToken)).authenticated ?? false, false);
  assert.equal((await review(status!.token)).authenticated, true);
  await assert.rejects(request({ expirationSeconds: 60 }), /spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes/);
  await admin.for(pods).delete({ namespace: 'default', name: 'web' }, { gracePeriodSeconds: 0 });
  await clock.advance(11_000);
  await assert.rejects(security.authenticator.authenticate({ headers: { authorization: `Bearer ${status?.token}` }, path: '/' }), { code: 401 }, 'the token ends with its pod');

  const rules = [{ verbs: ['create'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'] }];
  await admin.for(roles).create({ metadata: { name: 'r', namespace: 'default' }, rules });
  await admin.for(rolebindings).create({ metadata: { name: 'r', namespace: 'default' }, subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'bob' }], roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' } });
  await settle();
  await as('bob').for(roles).create({ metadata: { name: 'same', namespace: 'default' }, rules });
  await assert.rejects(as('bob').for(roles).create({ metadata: { name: 'more', namespace: 'default' }, rules: [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }] }), /is attempting to grant RBAC permissions not currently held:\n{APIGroups:\[""\], Resources:\["secrets"\], Verbs:\["get"\]}/);
  await assert.rejects(as('bob').for(clusterroles).create({ metadata: { name: 'x' } }), { code: 403 });
});
