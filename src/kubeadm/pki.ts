/**
 * The cluster's certificates and keys on disk, in kubeadm's layout, and the client certificates and kubeconfigs made from
 * them. Keys are ECDSA P-256. Existing files are kept; leaf certificates that end soon or lack a name are issued anew.
 * Source: kubernetes.io/docs/setup/best-practices/certificates; kubeadm phases certs and kubeconfig.
 */
import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Rng } from '../base/rng.ts';
import { createCertificate, generateKey, privateKeyPem, type KeyUsage } from '../base/x509.ts';

const dayMs = 24 * 3600 * 1000;
/** Source: kubeadm constants CACertificateValidityPeriod, CertificateValidityPeriod. */
export const caValidityMs = 10 * 365 * dayMs;
export const certificateValidityMs = 365 * dayMs;
/** Leaves with less than this left are issued anew. */
export const renewBeforeMs = 30 * dayMs;
/** Certificates begin a little in the past, for machines whose clocks differ. */
const clockSkewMs = 5 * 60 * 1000;

export interface CertificateAuthority { certificate: X509Certificate; certificatePem: string; /** Undefined with an external CA. */ key: KeyObject | undefined }
export interface KeyPair { certificatePem: string; keyPem: string }

export interface IssueOptions {
  commonName: string;
  organizations?: readonly string[] | undefined;
  dnsNames?: readonly string[] | undefined;
  ips?: readonly string[] | undefined;
  /** Default: client auth. */
  usages?: readonly ('client auth' | 'server auth')[] | undefined;
  /** Milliseconds; default one year, never past the CA's end. */
  validityMs?: number | undefined;
  /** Default: a new key. */
  publicKey?: KeyObject | undefined;
}
export interface PkiDeps { clock: Clock; rng: Rng }

/** A new key and its certificate, signed by `ca`. `keyPem` is empty when a public key was given. */
export function issueCertificate(ca: CertificateAuthority, options: IssueOptions, { clock, rng }: PkiDeps): KeyPair {
  if (!ca.key) throw new Error(`can't issue a certificate for ${options.commonName}: the CA's key is not here (external CA)`);
  const pair = options.publicKey ? undefined : generateKey();
  const now = clock.now();
  const usages: KeyUsage[] = ['digital signature', 'key encipherment', ...(options.usages ?? ['client auth'])];
  const certificatePem = createCertificate({
    subject: { commonName: options.commonName, organizations: options.organizations ?? [] },
    publicKey: options.publicKey ?? pair!.publicKey, issuer: { certificate: ca.certificate, key: ca.key }, serial: rng.bytes(16),
    notBefore: Math.max(now - clockSkewMs, Date.parse(ca.certificate.validFrom)), notAfter: Math.min(now + (options.validityMs ?? certificateValidityMs), Date.parse(ca.certificate.validTo)),
    usages, dnsNames: options.dnsNames ?? [], ips: options.ips ?? [],
  });
  return { certificatePem, keyPem: pair ? privateKeyPem(pair.privateKey) : '' };
}

/** A new self-signed CA. */
export function createCertificateAuthority(commonName: string, { clock, rng }: PkiDeps): CertificateAuthority & { keyPem: string } {
  const { publicKey, privateKey } = generateKey();
  const certificatePem = createCertificate({ subject: { commonName }, publicKey, issuer: { key: privateKey }, serial: rng.bytes(16), isCa: true,
    notBefore: clock.now() - clockSkewMs, notAfter: clock.now() + caValidityMs, usages: ['digital signature', 'key encipherment', 'cert sign'], dnsNames: [commonName] });
  return { certificate: new X509Certificate(certificatePem), certificatePem, key: privateKey, keyPem: privateKeyPem(privateKey) };
}

export interface EnsurePkiOptions extends PkiDeps {
  /** Further names and addresses of the API server; localhost, kubernetes.default.svc… are always there. */
  dnsNames?: readonly string[];
  /** Advertise address, first service address, 127.0.0.1 … */
  ips?: readonly string[];
  /** Default cluster.local. */
  dnsDomain?: string;
  /** Also etcd's own CA, server, peer and client certificates; names and addresses of this member. */
  etcd?: { dnsNames: readonly string[]; ips: readonly string[] };
}

export interface Pki {
  dir: string;
  ca: CertificateAuthority;
  frontProxyCa: CertificateAuthority;
  etcdCa: CertificateAuthority | undefined;
  apiserver: KeyPair;
  apiserverKubeletClient: KeyPair;
  frontProxyClient: KeyPair;
  serviceAccount: { privateKeyPem: string; publicKeyPem: string };
  /** File names (without ending) written by this call: what was missing or due. */
  written: string[];
}

/** Reads what is in `dir`, issues what is missing or due, and returns all of it. Files are 0600. Synchronous: a few milliseconds. */
export function ensurePki(dir: string, options: EnsurePkiOptions): Pki {
  const written: string[] = [];
  const { clock } = options;
  const file = (name: string) => join(dir, name);

  const authority = (name: string, commonName: string): CertificateAuthority => {
    if (existsSync(file(`${name}.crt`))) {
      const certificatePem = readFileSync(file(`${name}.crt`), 'utf8');
      const certificate = new X509Certificate(certificatePem);
      if (Date.parse(certificate.validTo) <= clock.now()) throw new Error(`${file(`${name}.crt`)} expired on ${certificate.validTo}: make a new CA and reissue what it signed`);
      return { certificate, certificatePem, key: existsSync(file(`${name}.key`)) ? createPrivateKey(readFileSync(file(`${name}.key`))) : undefined };
    }
    const ca = createCertificateAuthority(commonName, options);
    writeSecret(file(`${name}.key`), ca.keyPem);
    writeSecret(file(`${name}.crt`), ca.certificatePem);
    written.push(name);
    return ca;
  };
  const leaf = (name: string, ca: CertificateAuthority, issue: IssueOptions): KeyPair => {
    if (existsSync(file(`${name}.crt`)) && existsSync(file(`${name}.key`))) {
      const pair = { certificatePem: readFileSync(file(`${name}.crt`), 'utf8'), keyPem: readFileSync(file(`${name}.key`), 'utf8') };
      const why = ca.key ? reasonToReissue(pair, ca, issue, clock) : undefined;
      if (!why) return pair;
    }
    const pair = issueCertificate(ca, issue, options);
    writeSecret(file(`${name}.key`), pair.keyPem);
    writeSecret(file(`${name}.crt`), pair.certificatePem);
    written.push(name);
    return pair;
  };

  const ca = authority('ca', 'kubernetes');
  const frontProxyCa = authority('front-proxy-ca', 'front-proxy-ca');
  const { dnsDomain = 'cluster.local' } = options;
  const apiserver = leaf('apiserver', ca, { commonName: 'kube-apiserver', usages: ['server auth'],
    dnsNames: unique(['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${dnsDomain}`, ...(options.dnsNames ?? [])]),
    ips: unique(['127.0.0.1', '::1', ...(options.ips ?? [])]) });
  const apiserverKubeletClient = leaf('apiserver-kubelet-client', ca, { commonName: 'kube-apiserver-kubelet-client', organizations: ['kubeadm:cluster-admins'] });
  const frontProxyClient = leaf('front-proxy-client', frontProxyCa, { commonName: 'front-proxy-client' });

  if (!existsSync(file('sa.key'))) {
    const { privateKey, publicKey } = generateKey();
    writeSecret(file('sa.key'), privateKeyPem(privateKey));
    writeSecret(file('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }) as string);
    written.push('sa');
  } else if (!existsSync(file('sa.pub'))) {
    writeSecret(file('sa.pub'), createPublicKey(readFileSync(file('sa.key'))).export({ type: 'spki', format: 'pem' }) as string);
  }

  let etcdCa: CertificateAuthority | undefined;
  if (options.etcd) {
    etcdCa = authority('etcd/ca', 'etcd-ca');
    const member = { usages: ['server auth', 'client auth'] as const, dnsNames: unique(['localhost', ...options.etcd.dnsNames]), ips: unique(['127.0.0.1', '::1', ...options.etcd.ips]) };
    const commonName = options.etcd.dnsNames[0] ?? 'etcd';
    leaf('etcd/server', etcdCa, { commonName, ...member });
    leaf('etcd/peer', etcdCa, { commonName, ...member });
    leaf('etcd/healthcheck-client', etcdCa, { commonName: 'kube-etcd-healthcheck-client' });
    leaf('apiserver-etcd-client', etcdCa, { commonName: 'kube-apiserver-etcd-client' });
  }
  const serviceAccount = { privateKeyPem: readFileSync(file('sa.key'), 'utf8'), publicKeyPem: readFileSync(file('sa.pub'), 'utf8') };
  return { dir, ca, frontProxyCa, etcdCa, apiserver, apiserverKubeletClient, frontProxyClient, serviceAccount, written };
}

/** Why a certificate can't stay: undefined when it can. */
export function reasonToReissue(pair: KeyPair, ca: CertificateAuthority, wanted: Pick<IssueOptions, 'dnsNames' | 'ips'>, clock: Clock): string | undefined {
  const certificate = new X509Certificate(pair.certificatePem);
  if (Date.parse(certificate.validTo) - clock.now() < renewBeforeMs) return `ends on ${certificate.validTo}`;
  if (!certificate.verify(ca.certificate.publicKey)) return 'is signed by another CA';
  if (!certificate.checkPrivateKey(createPrivateKey(pair.keyPem))) return 'does not fit its key';
  const missing = [...(wanted.dnsNames ?? []).filter((name) => !certificate.checkHost(name, { subject: 'never' })), ...(wanted.ips ?? []).filter((ip) => !certificate.checkIP(ip))];
  return missing.length > 0 ? `does not cover ${missing.join(', ')}` : undefined;
}

/** Who the well-known clients are. Source: kubeadm getKubeConfigSpecs. The admin is bound to cluster-admin by RBAC; super-admin bypasses it. */
export const wellKnownClients = {
  admin: { commonName: 'kubernetes-admin', organizations: ['kubeadm:cluster-admins'] },
  superAdmin: { commonName: 'kubernetes-super-admin', organizations: ['system:masters'] },
  controllerManager: { commonName: 'system:kube-controller-manager' },
  scheduler: { commonName: 'system:kube-scheduler' },
  proxy: { commonName: 'system:kube-proxy' },
  node: (name: string) => ({ commonName: `system:node:${name}`, organizations: ['system:nodes'] }),
} as const;

/** The kubelet's serving certificate. */
export function kubeletServing(nodeName: string, ips: readonly string[], dnsNames: readonly string[] = []): IssueOptions {
  return { commonName: `system:node:${nodeName}`, organizations: ['system:nodes'], usages: ['server auth'], dnsNames: unique([nodeName, ...dnsNames]), ips };
}

export interface KubeconfigOptions {
  /** 'https://127.0.0.1:6443' */
  server: string;
  certificateAuthorityPem: string;
  /** Default kubernetes. */
  clusterName?: string;
  /** The user's entry: 'kubernetes-admin'. */
  userName: string;
  credentials: KeyPair | { token: string };
  namespace?: string;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A kubeconfig with one cluster, user and context, everything embedded. As an object; JSON is YAML too. */
export function kubeconfigFor({ server, certificateAuthorityPem, clusterName = 'kubernetes', userName, credentials, namespace }: KubeconfigOptions) {
  const context = `${userName}@${clusterName}`;
  return {
    apiVersion: 'v1', kind: 'Config', preferences: {}, 'current-context': context,
    clusters: [{ name: clusterName, cluster: { 'certificate-authority-data': base64(certificateAuthorityPem), server } }],
    contexts: [{ name: context, context: { cluster: clusterName, ...(namespace ? { namespace } : {}), user: userName } }],
    users: [{ name: userName, user: 'token' in credentials ? { token: credentials.token } : { 'client-certificate-data': base64(credentials.certificatePem), 'client-key-data': base64(credentials.keyPem) } }],
  };
}

/** Writes a file that only its owner may read, whole or not at all. */
export function writeSecret(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];
