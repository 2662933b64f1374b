import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { CertificateSigningRequest } from '../api/certificates/v1.ts';
import { certificatesigningrequests } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { createCertificate, createCertificateRequest, generateKey, privateKeyPem } from '../base/x509.ts';
import { startControllerTest } from '../testing/controllers.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const authority = generateKey();
const signingCert = createCertificate({ subject: { commonName: 'kubernetes' }, publicKey: authority.publicKey, issuer: { key: authority.privateKey }, serial: Buffer.from([1]), notBefore: start - 86_400_000, notAfter: start + 3650 * 86_400_000, isCa: true, usages: ['cert sign'] });

async function environment() {
  const env = await startControllerTest({ controllers: ['csrsigning', 'csrapproving', 'csrcleaner'], signingCert, signingKey: privateKeyPem(authority.privateKey) });
  const api = env.client.for(certificatesigningrequests);
  const { privateKey } = generateKey();
  return {
    env, api,
    ask: (name: string, signerName: string, subject: { commonName: string; organizations?: string[] }, usages: string[], extra: object = {}) => api.create({
      metadata: { name }, spec: { request: Buffer.from(createCertificateRequest({ subject, privateKey })).toString('base64'), signerName, usages, ...extra },
    } as never),
    async approve(csr: CertificateSigningRequest) {
      await api.update({ ...csr, status: { conditions: [{ type: 'Approved', status: 'True', reason: 'Test' }] } }, { subresource: 'approval' });
      await env.settle();
      return api.get({ name: csr.metadata.name });
    },
    [Symbol.asyncDispose]: () => env[Symbol.asyncDispose](),
  };
}
const certificateOf = (csr: CertificateSigningRequest) => new X509Certificate(Buffer.from(String(csr.status?.certificate), 'base64'));

test('an approved request is signed for its subject, for as long as it asks', async () => {
  await using test = await environment();
  const csr = await test.ask('client', 'kubernetes.io/kube-apiserver-client', { commonName: 'jane', organizations: ['dev'] }, ['client auth'], { expirationSeconds: 3600 });
  await test.env.settle();
  assert.equal((await test.api.get({ name: 'client' })).status?.certificate, undefined, 'not before approval');
  const certificate = certificateOf(await test.approve(csr));
  assert.ok(certificate.verify(createPublicKey(signingCert)));
  assert.match(certificate.subject, /O=dev\nCN=jane/);
  assert.equal(Date.parse(certificate.validTo) - Date.parse(certificate.validFrom), 3600_000);
  await test.env.advance(61 * 60_000);
  await assert.rejects(test.api.get({ name: 'client' }), isNotFound, 'removed an hour after the answer');
});

test('what a signer does not accept fails; foreign signers are left alone', async () => {
  await using test = await environment();
  const bad = await test.approve(await test.ask('bad', 'kubernetes.io/kubelet-serving', { commonName: 'system:node:a', organizations: ['system:nodes'] }, ['server auth', 'digital signature']));
  assert.equal(bad.status?.certificate, undefined);
  assert.deepEqual(bad.status?.conditions?.map(({ type, reason, message }) => [type, reason, message])[1], ['Failed', 'SignerValidationFailure', 'at least one DNS or IP subjectAltName is required']);
  const foreign = await test.approve(await test.ask('foreign', 'example.com/signer', { commonName: 'x' }, ['client auth']));
  assert.deepEqual(foreign.status?.conditions?.map(({ type }) => type), ['Approved']);
});

test("a kubelet's own client certificate is approved and signed", async () => {
  await using test = await environment();
  await test.ask('node', 'kubernetes.io/kube-apiserver-client-kubelet', { commonName: 'system:node:a', organizations: ['system:nodes'] }, ['client auth', 'digital signature', 'key encipherment']);
  await test.env.settle();
  const csr = await test.api.get({ name: 'node' });
  assert.equal(csr.status?.conditions?.[0]?.reason, 'AutoApproved');
  assert.match(certificateOf(csr).subject, /CN=system:node:a/);
});
