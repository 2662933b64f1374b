import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, connect } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { seededRng } from '../base/rng.ts';
import { createCertificateRequest, generateKey, readCertificate, readCertificateRequest } from '../base/x509.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { ensurePki, issueCertificate, kubeconfigFor, kubeletServing, wellKnownClients } from './pki.ts';

const base = mkdtempSync(join(tmpdir(), 'knarr-pki-'));
after(() => rmSync(base, { recursive: true, force: true }));
let made = 0;
const fresh = () => join(base, `${made++}`);
const rng = seededRng(7);

test('pki: kubeadm layout, signed by the CA, readable by the owner only', () => {
  const pki = ensurePki(fresh(), { clock: new FakeClock(), rng, ips: ['10.96.0.1', 'fd00::1'], dnsNames: ['api.example.org'], etcd: { dnsNames: ['m1'], ips: ['10.0.0.1'] } });
  assert.deepEqual(pki.written, ['ca', 'front-proxy-ca', 'apiserver', 'apiserver-kubelet-client', 'front-proxy-client', 'sa', 'etcd/ca', 'etcd/server', 'etcd/peer', 'etcd/healthcheck-client', 'apiserver-etcd-client']);
  const apiserver = new X509Certificate(pki.apiserver.certificatePem);
  assert.ok(apiserver.verify(pki.ca.certificate.publicKey));
  assert.ok(apiserver.checkIssued(pki.ca.certificate));
  assert.ok(pki.ca.certificate.ca);
  assert.ok(!apiserver.ca);
  assert.equal(pki.ca.certificate.subject, 'CN=kubernetes');
  for (const host of ['localhost', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', 'api.example.org']) assert.ok(apiserver.checkHost(host), host);
  for (const ip of ['127.0.0.1', '10.96.0.1', 'fd00::1', '::1']) assert.ok(apiserver.checkIP(ip), ip);
  assert.ok(!apiserver.checkHost('example.org'));
  assert.deepEqual(readCertificate(apiserver.raw).extendedUsages, ['1.3.6.1.5.5.7.3.1']);
  assert.deepEqual(readCertificate(new X509Certificate(pki.apiserverKubeletClient.certificatePem).raw).subjectName, { commonName: 'kube-apiserver-kubelet-client', organizations: ['kubeadm:cluster-admins'] });
  for (const name of ['ca.key', 'ca.crt', 'sa.key', 'apiserver.key', 'etcd/server.key']) assert.equal(statSync(join(pki.dir, name)).mode & 0o777, 0o600, name);
  assert.equal(Date.parse(apiserver.validTo) - new FakeClock().now(), 365 * 24 * 3600 * 1000);
});

test('pki: what is there stays; what ends soon or lacks a name is issued anew', async () => {
  const dir = fresh();
  const clock = new FakeClock();
  const first = ensurePki(dir, { clock, rng });
  assert.deepEqual(ensurePki(dir, { clock, rng }).written, []);
  assert.equal(ensurePki(dir, { clock, rng }).apiserver.certificatePem, first.apiserver.certificatePem);
  assert.deepEqual(ensurePki(dir, { clock, rng, ips: ['192.0.2.7'] }).written, ['apiserver']);
  await clock.advance(340 * 24 * 3600 * 1000);
  const later = ensurePki(dir, { clock, rng, ips: ['192.0.2.7'] });
  assert.deepEqual(later.written, ['apiserver', 'apiserver-kubelet-client', 'front-proxy-client']);
  assert.equal(later.ca.certificatePem, first.ca.certificatePem);
  assert.equal(later.serviceAccount.privateKeyPem, first.serviceAccount.privateKeyPem);
  await clock.advance(11 * 365 * 24 * 3600 * 1000);
  assert.throws(() => ensurePki(dir, { clock, rng }), /ca\.crt expired on .*: make a new CA/);
});

test('pki: an external CA issues nothing and says so', () => {
  const dir = fresh();
  const deps = { clock: new FakeClock(), rng };
  const pki = ensurePki(dir, deps);
  rmSync(join(dir, 'ca.key'));
  assert.deepEqual(ensurePki(dir, deps).written, []);
  assert.throws(() => issueCertificate({ ...pki.ca, key: undefined }, { commonName: 'x' }, deps), /can't issue a certificate for x: the CA's key is not here/);
});

test('pki: TLS both ways between what was issued', async () => {
  const deps = { clock: systemClock, rng };
  const pki = ensurePki(fresh(), deps);
  const client = issueCertificate(pki.ca, wellKnownClients.node('n1'), deps);
  const server = createServer({ cert: pki.apiserver.certificatePem, key: pki.apiserver.keyPem, ca: pki.ca.certificatePem, requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.end(JSON.stringify(readCertificate(socket.getPeerX509Certificate()!.raw).subjectName));
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  try {
    const socket = connect({ port: (server.address() as { port: number }).port, host: '127.0.0.1', servername: 'kubernetes.default.svc', ca: pki.ca.certificatePem, cert: client.certificatePem, key: client.keyPem });
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    assert.deepEqual(JSON.parse(said), { commonName: 'system:node:n1', organizations: ['system:nodes'] });
  } finally { server.close(); }
});

test('pki: certificate requests: made, read, signed; a changed one is refused', () => {
  const { privateKey } = generateKey();
  const pem = createCertificateRequest({ subject: { commonName: 'system:node:n1', organizations: ['system:nodes'] }, privateKey, dnsNames: ['n1'], ips: ['10.0.0.9', '2001:db8::5'] });
  const request = readCertificateRequest(pem);
  assert.deepEqual({ ...request, publicKey: 0 }, { subject: { commonName: 'system:node:n1', organizations: ['system:nodes'] }, dnsNames: ['n1'], ips: ['10.0.0.9', '2001:db8::5'], emails: [], uris: [], publicKey: 0 });
  const deps = { clock: new FakeClock(), rng };
  const pki = ensurePki(fresh(), deps);
  const { certificatePem, keyPem } = issueCertificate(pki.ca, { ...kubeletServing('n1', request.ips), publicKey: request.publicKey }, deps);
  assert.equal(keyPem, '');
  assert.ok(new X509Certificate(certificatePem).checkPrivateKey(privateKey));
  const bytes = Buffer.from(pem.replace(/-----.*-----|\n/g, ''), 'base64');
  bytes[bytes.indexOf('system:node:n1') + 13] = 0x32;
  assert.throws(() => readCertificateRequest(`-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----`), /not signed by its own key/);
  assert.throws(() => readCertificateRequest('nonsense'), /PEM block type must be CERTIFICATE REQUEST/);
});

test('pki: a kubeconfig embeds everything', () => {
  const config = kubeconfigFor({ server: 'https://127.0.0.1:6443', certificateAuthorityPem: 'CA', userName: 'kubernetes-admin', credentials: { certificatePem: 'C', keyPem: 'K' } });
  assert.equal(config['current-context'], 'kubernetes-admin@kubernetes');
  assert.deepEqual(config.users, [{ name: 'kubernetes-admin', user: { 'client-certificate-data': 'Qw==', 'client-key-data': 'Sw==' } }]);
  assert.ok(createPrivateKey(ensurePki(fresh(), { clock: new FakeClock(), rng }).serviceAccount.privateKeyPem));
});
