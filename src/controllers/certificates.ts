/**
 * CertificateSigningRequests: kubelets' own are approved, approved ones are signed by the cluster's CA, and old ones are removed.
 * Upstream: pkg/controller/certificates; the signers are those of kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '../api/certificates/v1.ts';
import { certificatesigningrequests, subjectaccessreviews } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { timestamp } from '../base/clock.ts';
import { createCertificate, readCertificateRequest, type CertificateRequest, type KeyUsage } from '../base/x509.ts';
import { defineController, done, requeueAfter, type Context } from './framework.ts';

const clientSigner = 'kubernetes.io/kube-apiserver-client';
const kubeletClientSigner = 'kubernetes.io/kube-apiserver-client-kubelet';
const kubeletServingSigner = 'kubernetes.io/kubelet-serving';
const legacySigner = 'kubernetes.io/legacy-unknown';
const account = 'certificate-controller';

const year = 365 * 24 * 3600_000;
const minute = 60_000;
const hour = 60 * minute;
/** Certificates are valid from a little before now: clocks differ. */
const backdateMs = 5 * minute;

const conditionOf = (csr: CertificateSigningRequest, type: string): CertificateSigningRequestCondition | undefined => csr.status?.conditions?.find((condition) => condition.type === type);
const requestOf = (csr: CertificateSigningRequest): CertificateRequest => readCertificateRequest(Buffer.from(String(csr.spec.request), 'base64').toString());

// ---- what each signer accepts

const nodes = 'system:nodes';
const nodePrefix = 'system:node:';
const same = (usages: readonly string[], required: readonly string[], optional: readonly string[]) => required.every((usage) => usages.includes(usage)) && usages.every((usage) => required.includes(usage) || optional.includes(usage));

/** Why it is no certificate for a kubelet's client; undefined when it is one. */
function kubeletClientProblem({ subject, dnsNames, ips, emails, uris }: CertificateRequest, usages: readonly string[]): string | undefined {
  if (subject.organizations?.length !== 1 || subject.organizations[0] !== nodes) return `subject organization is not ${nodes}`;
  if (dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (emails.length > 0) return 'Email subjectAltNames are not allowed';
  if (ips.length > 0) return 'IP subjectAltNames are not allowed';
  if (uris.length > 0) return 'URI subjectAltNames are not allowed';
  if (!subject.commonName.startsWith(nodePrefix)) return `subject common name does not begin with ${nodePrefix}`;
  if (!same(usages, ['client auth', 'digital signature'], ['key encipherment'])) return 'usages did not match [client auth digital signature key encipherment]';
  return undefined;
}

function kubeletServingProblem({ subject, dnsNames, ips, emails, uris }: CertificateRequest, usages: readonly string[]): string | undefined {
  if (subject.organizations?.length !== 1 || subject.organizations[0] !== nodes) return `subject organization is not ${nodes}`;
  if (dnsNames.length === 0 && ips.length === 0) return 'at least one DNS or IP subjectAltName is required';
  if (emails.length > 0) return 'Email subjectAltNames are not allowed';
  if (uris.length > 0) return 'URI subjectAltNames are not allowed';
  if (!subject.commonName.startsWith(nodePrefix)) return `subject common name does not begin with ${nodePrefix}`;
  if (!same(usages, ['server auth', 'digital signature'], ['key encipherment'])) return 'usages did not match [server auth digital signature key encipherment]';
  return undefined;
}

const signers: Readonly<Record<string, (request: CertificateRequest, usages: readonly string[]) => string | undefined>> = {
  [clientSigner]: (_, usages) => (same(usages, ['client auth'], ['digital signature', 'key encipherment']) ? undefined : 'invalid usages for client certificate'),
  [kubeletClientSigner]: kubeletClientProblem,
  [kubeletServingSigner]: kubeletServingProblem,
  [legacySigner]: () => undefined,
};

// ---- signing

interface Authority { certificate: X509Certificate; key: KeyObject }

export const csrSigningController = defineController({
  name: 'certificatesigningrequest-signing-controller', account, aliases: ['csrsigning'], for: certificatesigningrequests, writes: ['certificatesigningrequests/status'],
  setup: ({ options }): Authority | undefined => (options.signingCert && options.signingKey ? { certificate: new X509Certificate(options.signingCert), key: createPrivateKey(options.signingKey) } : undefined),
  async reconcile(name, context, signal) {
    const authority = context.state as Authority | undefined;
    const csr = context.cache(certificatesigningrequests).get(name);
    const check = csr && signers[csr.spec.signerName];
    if (!authority || !csr || !check || csr.status?.certificate || !conditionOf(csr, 'Approved') || conditionOf(csr, 'Denied') || conditionOf(csr, 'Failed')) return done;
    const api = context.client.for(certificatesigningrequests);
    try {
      const request = requestOf(csr);
      const problem = check(request, csr.spec.usages ?? []);
      if (problem !== undefined) {
        const time = timestamp(context.clock.now());
        const failed: CertificateSigningRequestCondition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: problem, lastUpdateTime: time, lastTransitionTime: time };
        await api.updateStatus({ ...csr, status: { ...csr.status, conditions: [...csr.status?.conditions ?? [], failed] } }, { signal });
        return done;
      }
      await api.updateStatus({ ...csr, status: { ...csr.status, certificate: Buffer.from(issue(csr, request, authority, context)).toString('base64') } as never }, { signal });
    } catch (err) { if (!isNotFound(err)) throw err; }
    return done;
  },
});

/** The lifetime asked for, at least ten minutes and at most --cluster-signing-duration, and never beyond the CA's own. */
function issue(csr: CertificateSigningRequest, request: CertificateRequest, { certificate, key }: Authority, { clock, rng, options }: Context): string {
  const longest = options.signingDurationMs ?? year;
  const asked = csr.spec.expirationSeconds === undefined ? longest : Math.min(longest, Math.max(10 * minute, csr.spec.expirationSeconds * 1000));
  const now = clock.now();
  const usages = (csr.spec.usages ?? []).map((usage) => (usage === 'signing' ? 'digital signature' : usage));
  return createCertificate({
    subject: request.subject, publicKey: request.publicKey, issuer: { certificate, key }, serial: rng.bytes(16),
    notBefore: now - Math.min(backdateMs, asked / 2), notAfter: Math.min(now - Math.min(backdateMs, asked / 2) + asked, Date.parse(certificate.validTo)),
    usages: usages as KeyUsage[], dnsNames: request.dnsNames, ips: request.ips, emails: request.emails, uris: request.uris,
  });
}

// ---- approving

export const csrApprovingController = defineController({
  name: 'certificatesigningrequest-approving-controller', account, aliases: ['csrapproving'], for: certificatesigningrequests, writes: ['certificatesigningrequests/approval'],
  async reconcile(name, { cache, client, clock }, signal) {
    const csr = cache(certificatesigningrequests).get(name);
    if (!csr || csr.status?.certificate || conditionOf(csr, 'Approved') || conditionOf(csr, 'Denied') || csr.spec.signerName !== kubeletClientSigner) return done;
    let request: CertificateRequest;
    try { request = requestOf(csr); } catch { return done; }
    if (kubeletClientProblem(request, csr.spec.usages ?? []) !== undefined) return done;
    const own = csr.spec.username === request.subject.commonName;
    const recognized = [...(own ? [{ subresource: 'selfnodeclient', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.' }] : []), { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' }];
    for (const { subresource, message } of recognized) {
      const review = await client.for(subjectaccessreviews).create({
        spec: {
          user: csr.spec.username, groups: csr.spec.groups, uid: csr.spec.uid, extra: csr.spec.extra,
          resourceAttributes: { group: 'certificates.k8s.io', resource: 'certificatesigningrequests', verb: 'create', subresource },
        },
      } as never, { signal });
      if (!(review as { status?: { allowed?: boolean } }).status?.allowed) continue;
      const time = timestamp(clock.now());
      const approved: CertificateSigningRequestCondition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message, lastUpdateTime: time, lastTransitionTime: time };
      try { await client.for(certificatesigningrequests).update({ ...csr, status: { ...csr.status, conditions: [...csr.status?.conditions ?? [], approved] } }, { subresource: 'approval', signal }); } catch (err) { if (!isNotFound(err)) throw err; }
      return done;
    }
    if (recognized.length > 1) throw new Error(`recognized csr ${JSON.stringify(name)} but subject access review was not approved`);
    return done;
  },
});

// ---- removing

export const csrCleanerController = defineController({
  name: 'certificatesigningrequest-cleaner-controller', account, aliases: ['csrcleaner'], for: certificatesigningrequests, writes: ['certificatesigningrequests'],
  async reconcile(name, { cache, client, clock }, signal) {
    const csr = cache(certificatesigningrequests).get(name);
    if (!csr) return done;
    const expiry = csrExpiry(csr);
    if (expiry > clock.now()) return requeueAfter(expiry - clock.now());
    try { await client.for(certificatesigningrequests).delete({ name }, { signal }); } catch (err) { if (!isNotFound(err)) throw err; }
    return done;
  },
});

/** Milliseconds since the epoch: an hour after the answer, or a day after a question that got none. */
export function csrExpiry(csr: CertificateSigningRequest): number {
  let expiry = Date.parse(csr.metadata.creationTimestamp!) + 24 * hour;
  for (const { type, lastUpdateTime } of csr.status?.conditions ?? []) {
    if ((type === 'Approved' || type === 'Denied' || type === 'Failed') && lastUpdateTime) expiry = Math.min(expiry, Date.parse(lastUpdateTime) + hour);
  }
  return expiry;
}
