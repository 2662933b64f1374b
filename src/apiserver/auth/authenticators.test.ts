import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { seededRng } from '../../base/rng.ts';
import { createCertificateAuthority, issueCertificate } from '../../kubeadm/pki.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { bootstrapTokens, createAuthenticator, type AuthenticatorConfig } from './authenticators.ts';
import { NodeGraph, createNodeAuthorizer } from './node-authorizer.ts';
import { createTokenIssuer, createTokenVerifier, type BoundObject } from './tokens.ts';
import type { AuthorizationAttributes } from '../types.ts';

const rng = seededRng(3);
const deps = () => ({ clock: new FakeClock(), rng });
const raw = (pem: string) => new X509Certificate(pem).raw;
const request = (headers: Record<string, string | string[]> = {}, clientCertificate?: Uint8Array) => ({ headers, path: '/', ...(clientCertificate ? { clientCertificate } : {}) });
const bearer = (token: string) => request({ authorization: `Bearer ${token}` });

test('authentication: certificates name user and groups; expired and foreign ones do not', async () => {
  const d = deps();
  const ca = createCertificateAuthority('kubernetes', d);
  const other = createCertificateAuthority('kubernetes', d);
  const authenticator = createAuthenticator({ clock: d.clock, clientCa: ca.certificatePem });
  const mine = raw(issueCertificate(ca, { commonName: 'ann', organizations: ['devs', 'ops'] }, d).certificatePem);
  const ann = await authenticator.authenticate(request({}, mine));
  assert.equal(ann.name, 'ann');
  assert.deepEqual([...ann.groups].sort(), ['devs', 'ops', 'system:authenticated']);
  assert.equal(await authenticator.authenticate(request({}, Buffer.from(mine))), ann, 'the same identity is the same object');
  assert.equal((await authenticator.authenticate(request({}, raw(issueCertificate(other, { commonName: 'root', organizations: ['system:masters'] }, d).certificatePem)))).name, 'system:anonymous');
  await d.clock.advance(366 * 24 * 3600 * 1000);
  await assert.rejects(authenticator.authenticate(request({}, mine)), { code: 401, message: 'Unauthorized' });
});

test('authentication: an authenticating proxy speaks for others, by its own CA and name only', async () => {
  const d = deps();
  const ca = createCertificateAuthority('front-proxy-ca', d);
  const authenticator = createAuthenticator({ clock: d.clock, clientCa: createCertificateAuthority('kubernetes', d).certificatePem, requestHeader: { ca: ca.certificatePem, allowedNames: ['front-proxy-client'] } });
  const headers = { 'x-remote-user': 'ann', 'x-remote-group': ['devs', 'ops'], 'x-remote-extra-scopes%2Fa': 'b' };
  const proxy = raw(issueCertificate(ca, { commonName: 'front-proxy-client' }, d).certificatePem);
  assert.deepEqual(await authenticator.authenticate(request(headers, proxy)), { name: 'ann', groups: ['devs', 'ops', 'system:authenticated'], extra: { 'scopes/a': ['b'] } });
  assert.equal((await authenticator.authenticate(request(headers, raw(issueCertificate(ca, { commonName: 'someone' }, d).certificatePem)))).name, 'system:anonymous');
  assert.equal((await authenticator.authenticate(request(headers))).name, 'system:anonymous');
});

test('authentication: token file, basic file, anonymous', async () => {
  const config: AuthenticatorConfig = { clock: new FakeClock(), tokenFile: 'abc,ann,1,"devs,ops"\n# no\nxyz,bob,2\n', basicFile: 'secret,carl,3,"devs"\n' };
  const authenticator = createAuthenticator(config);
  assert.deepEqual(await authenticator.authenticate(bearer('abc')), { name: 'ann', uid: '1', groups: ['devs', 'ops', 'system:authenticated'] });
  assert.deepEqual(await authenticator.authenticate(bearer('xyz')), { name: 'bob', uid: '2', groups: ['system:authenticated'] });
  assert.deepEqual(await authenticator.authenticate(request({ authorization: `Basic ${btoa('carl:secret')}` })), { name: 'carl', uid: '3', groups: ['devs', 'system:authenticated'] });
  assert.deepEqual(await authenticator.authenticate(request()), { name: 'system:anonymous', groups: ['system:unauthenticated'] });
  assert.equal((await authenticator.authenticate(request({ 'sec-websocket-protocol': `v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.${Buffer.from('abc').toString('base64url')}` }))).name, 'ann');
  for (const bad of [bearer('nope'), request({ authorization: `Basic ${btoa('carl:wrong')}` }), request({ authorization: `Basic ${btoa('nobody:x')}` })]) await assert.rejects(authenticator.authenticate(bad), { code: 401 });
  await assert.rejects(createAuthenticator({ ...config, anonymous: false }).authenticate(request()), { code: 401 });
  assert.throws(() => createAuthenticator({ ...config, tokenFile: 'onlytoken' }), /token file line 1/);
});

test('authentication: bootstrap tokens', async () => {
  const clock = new FakeClock();
  const b64 = (text: string) => Buffer.from(text).toString('base64');
  const good = { 'token-id': b64('abcdef'), 'token-secret': b64('0123456789abcdef'), 'usage-bootstrap-authentication': b64('true'), 'auth-extra-groups': b64('system:bootstrappers:kubeadm:default-node-token'), expiration: b64('2026-01-02T00:00:00Z') };
  let secret: { type: string; data: Record<string, string>; metadata: { deletionTimestamp?: string } } | undefined = { type: 'bootstrap.kubernetes.io/token', data: good, metadata: {} };
  const authenticate = bootstrapTokens(async (name) => (name === 'bootstrap-token-abcdef' ? secret : undefined), clock);
  assert.deepEqual(await authenticate('abcdef.0123456789abcdef'), { name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:bootstrappers:kubeadm:default-node-token'] });
  for (const bad of ['abcdef.0123456789abcdeX', 'abcdef.0000000000000000', 'ghijkl.0123456789abcdef', 'x']) assert.equal(await authenticate(bad), undefined, bad);
  const spoiled: [string, () => typeof secret][] = [
    ['no usage', () => ({ ...secret!, data: { ...good, 'usage-bootstrap-authentication': b64('false') } })],
    ['other type', () => ({ ...secret!, type: 'Opaque' })], ['going', () => ({ ...secret!, metadata: { deletionTimestamp: 'now' } })],
    ['foreign group', () => ({ ...secret!, data: { ...good, 'auth-extra-groups': b64('system:masters') } })],
  ];
  const before = secret;
  for (const [what, spoil] of spoiled) { secret = spoil(); assert.equal(await authenticate('abcdef.0123456789abcdef'), undefined, what); secret = before; }
  await clock.advance(25 * 3600 * 1000);
  assert.equal(await authenticate('abcdef.0123456789abcdef'), undefined, 'expired');
});

for (const kind of ['ec', 'rsa'] as const) {
  test(`service account tokens (${kind}): issued, verified, bound, ended`, async () => {
    const clock = new FakeClock();
    const { privateKey } = kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const issuer = createTokenIssuer({ privateKey: pem, clock, rng });
    const there = new Map<string, BoundObject>([['serviceaccounts/a/bot', { metadata: { uid: 'u1' } }], ['pods/a/web', { metadata: { uid: 'p1' } }]]);
    const verifier = createTokenVerifier({ privateKey: pem, clock, objects: { get: async (resource, namespace, name) => there.get(`${resource}/${namespace}/${name}`) } });
    const authenticator = createAuthenticator({ clock, serviceAccounts: verifier });
    const bot = { name: 'bot', uid: 'u1' };
    const { token, expirationMs, jti } = issuer.issue({ namespace: 'a', serviceAccount: bot, pod: { name: 'web', uid: 'p1' }, node: { name: 'n1', uid: 'n' }, expirationSeconds: 600 });
    assert.equal(expirationMs, clock.now() + 600_000);
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;
    assert.deepEqual(claims['kubernetes.io'], { namespace: 'a', node: { name: 'n1', uid: 'n' }, pod: { name: 'web', uid: 'p1' }, serviceaccount: bot });
    assert.deepEqual([claims['aud'], claims['iss'], claims['sub']], [['https://kubernetes.default.svc.cluster.local'], 'https://kubernetes.default.svc.cluster.local', 'system:serviceaccount:a:bot']);
    const user = await authenticator.authenticate(bearer(token));
    assert.deepEqual(user, { name: 'system:serviceaccount:a:bot', uid: 'u1', groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'], extra: {
      'authentication.kubernetes.io/credential-id': [`JTI=${jti}`], 'authentication.kubernetes.io/node-name': ['n1'], 'authentication.kubernetes.io/node-uid': ['n'],
      'authentication.kubernetes.io/pod-name': ['web'], 'authentication.kubernetes.io/pod-uid': ['p1'] } });
    assert.equal(await authenticator.authenticate(bearer(token)), user);
    await assert.rejects(verifier.verify(token, ['elsewhere']), /invalid for the target audiences/);
    const [head, , signature] = token.split('.');
    assert.equal(await verifier.verify(`${head}.${Buffer.from(JSON.stringify({ ...claims, sub: 'system:serviceaccount:a:root' })).toString('base64url')}.${signature}`), undefined, 'changed');
    assert.equal(await verifier.verify(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`), undefined, 'unsigned');

    const elsewhere = issuer.issue({ namespace: 'a', serviceAccount: bot, audiences: ['vault'] });
    assert.deepEqual((await verifier.verify(elsewhere.token, ['vault', 'x']))?.audiences, ['vault']);
    await assert.rejects(authenticator.authenticate(bearer(elsewhere.token)), { code: 401 });

    const long = issuer.issue({ namespace: 'a', serviceAccount: bot, pod: { name: 'web', uid: 'p1' }, expirationSeconds: 3607 });
    assert.equal(long.expirationMs, clock.now() + 3_607_000);
    await clock.advance(11_000);
    there.set('pods/a/web', { metadata: { uid: 'another' } });
    await assert.rejects(authenticator.authenticate(bearer(token)), { code: 401 }, 'the pod is another');
    there.set('pods/a/web', { metadata: { uid: 'p1' } });
    await authenticator.authenticate(bearer(token));
    await clock.advance(600_000);
    await assert.rejects(authenticator.authenticate(bearer(token)), { code: 401 }, 'ended');
    await clock.advance(30 * 24 * 3600 * 1000);
    assert.equal((await verifier.verify(long.token))?.warnAfterMs, long.expirationMs, 'lives on, with a warning');
    there.delete('serviceaccounts/a/bot');
    await clock.advance(11_000);
    await assert.rejects(verifier.verify(long.token), /invalidated/);
    assert.equal(issuer.keySet().keys.length, 1);
  });
}

test('service account tokens: the legacy kind holds while its secret holds it', async () => {
  const clock = new FakeClock();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const token = createTokenIssuer({ privateKey: pem, clock, rng }).issueLegacy({ namespace: 'a', serviceAccount: { name: 'bot', uid: 'u1' }, secretName: 'bot-token' });
  const secret = { metadata: {}, data: { token: Buffer.from(token).toString('base64') } };
  const verifier = createTokenVerifier({ privateKey: pem, clock, objects: { get: async (resource) => (resource === 'secrets' ? secret : { metadata: { uid: 'u1' } }) } });
  assert.equal((await verifier.verify(token))?.user.name, 'system:serviceaccount:a:bot');
  secret.data.token = '';
  await clock.advance(11_000);
  await assert.rejects(verifier.verify(token), /its secret holds another/);
});

test('node authorizer: a kubelet sees its node, its pods and what they name', async () => {
  const graph = new NodeGraph();
  const pod = (name: string, nodeName: string, more: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'a' }, spec: { nodeName, serviceAccountName: 'bot', containers: [], ...more } }) as never;
  const web = pod('web', 'n1', {
    volumes: [{ name: 's', secret: { secretName: 's1' } }, { name: 'p', persistentVolumeClaim: { claimName: 'c1' } }, { name: 'k', projected: { sources: [{ configMap: { name: 'cm-projected' } }] } }],
    containers: [{ name: 'c', envFrom: [{ secretRef: { name: 's2' } }], env: [{ name: 'x', valueFrom: { configMapKeyRef: { name: 'cm1', key: 'k' } } }] }], imagePullSecrets: [{ name: 'pull' }] });
  graph.setPod(web);
  graph.setPod(pod('other', 'n2', { volumes: [{ name: 's', secret: { secretName: 's9' } }] }));
  graph.setVolume({ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'pv1' }, spec: { claimRef: { namespace: 'a', name: 'c1' }, csi: { driver: 'd', volumeHandle: 'h', nodeStageSecretRef: { namespace: 'sys', name: 'stage' } } } } as never);
  const authorizer = createNodeAuthorizer(graph);
  const ask = (verb: string, what: string, ns: string, name: string, more: Partial<AuthorizationAttributes> = {}): AuthorizationAttributes => {
    const [resource = '', subresource = ''] = what.split('/');
    return { user: { name: 'system:node:n1', groups: ['system:nodes'] }, verb, path: '', isResource: true, group: '', version: 'v1', namespace: ns, resource, subresource, name, ...more };
  };
  const table: [AuthorizationAttributes, boolean][] = [
    [ask('get', 'secrets', 'a', 's1'), true], [ask('get', 'secrets', 'a', 's2'), true], [ask('get', 'secrets', 'a', 'pull'), true], [ask('watch', 'secrets', 'a', 's1'), true],
    [ask('get', 'secrets', 'a', 's9'), false], [ask('list', 'secrets', 'a', ''), false], [ask('update', 'secrets', 'a', 's1'), false], [ask('get', 'secrets', 'sys', 'stage'), true],
    [ask('get', 'configmaps', 'a', 'cm1'), true], [ask('get', 'configmaps', 'a', 'cm-projected'), true], [ask('get', 'configmaps', 'a', 'no'), false],
    [ask('get', 'persistentvolumeclaims', 'a', 'c1'), true], [ask('get', 'persistentvolumes', '', 'pv1'), true], [ask('get', 'persistentvolumes', '', 'pv2'), false],
    [ask('create', 'serviceaccounts/token', 'a', 'bot'), true], [ask('create', 'serviceaccounts/token', 'a', 'admin'), false],
    [ask('get', 'nodes', '', 'n1'), true], [ask('get', 'nodes', '', 'n2'), false], [ask('create', 'nodes', '', ''), true], [ask('patch', 'nodes/status', '', 'n1'), true],
    [ask('list', 'pods', '', '', { fieldSelector: 'spec.nodeName=n1' }), true], [ask('list', 'pods', '', ''), false], [ask('list', 'pods', '', '', { fieldSelector: 'spec.nodeName=n2' }), false],
    [ask('get', 'pods', 'a', 'web'), true], [ask('get', 'pods', 'a', 'other'), false], [ask('patch', 'pods/status', 'a', 'web'), true],
    [ask('update', 'leases', 'kube-node-lease', 'n1', { group: 'coordination.k8s.io' }), true], [ask('update', 'leases', 'kube-node-lease', 'n2', { group: 'coordination.k8s.io' }), false], [ask('get', 'leases', 'a', 'n1', { group: 'coordination.k8s.io' }), false],
    [ask('list', 'services', '', ''), true], [ask('delete', 'nodes', '', 'n1'), false], [ask('create', 'events', 'a', ''), true],
    [{ ...ask('get', 'secrets', 'a', 's1'), user: { name: 'system:node:n1', groups: [] } }, false],
  ];
  for (const [asked, expected] of table) assert.equal((await authorizer.authorize(asked)).decision, expected ? 'allow' : 'none', JSON.stringify(asked));
  assert.equal((await authorizer.authorize(ask('get', 'secrets', 'a', 's9'))).reason, "no relationship found between node 'n1' and this object");
  graph.deletePod(web);
  assert.equal((await authorizer.authorize(ask('get', 'secrets', 'a', 's1'))).decision, 'none');
  assert.equal((await authorizer.authorize(ask('get', 'persistentvolumes', '', 'pv1'))).decision, 'none');
});
