/**
 * X.509 certificates and certificate requests: issuing, and reading the parts that Kubernetes decides by. RFC 5280, RFC 2986.
 * Checking a chain is left to `node:crypto` and TLS. Differs from using a library: the ones at hand cost 100 ms and 5 MB at start.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject, type X509Certificate } from 'node:crypto';
import { bits, bool, integer, nothing, octets, oid, readDer, readOid, sequence, setOf, tagged, taggedBytes, time, utf8, type DerNode } from './der.ts';

export interface Subject { commonName: string; organizations?: readonly string[] }
export type KeyUsage = 'digital signature' | 'key encipherment' | 'cert sign' | 'crl sign' | 'server auth' | 'client auth';

export interface CertificateRequest {
  subject: Subject;
  /** As given by the client, RFC 4514 names beside CN and O left out. */
  dnsNames: readonly string[];
  ips: readonly string[];
  emails: readonly string[];
  uris: readonly string[];
  publicKey: KeyObject;
}

export interface CertificateOptions {
  subject: Subject;
  publicKey: KeyObject;
  /** Who signs; for a self-signed one leave `certificate` out and give its own key. */
  issuer: { certificate?: X509Certificate; key: KeyObject };
  /** 1 to 20 bytes, taken as a positive number. */
  serial: Uint8Array;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
  isCa?: boolean;
  usages: readonly KeyUsage[];
  dnsNames?: readonly string[];
  ips?: readonly string[];
  /** More subject alternative names, as a CSR may carry. */
  emails?: readonly string[];
  uris?: readonly string[];
}

const oids = {
  commonName: '2.5.4.3', organization: '2.5.4.10',
  subjectKeyId: '2.5.29.14', keyUsage: '2.5.29.15', subjectAltName: '2.5.29.17', basicConstraints: '2.5.29.19', authorityKeyId: '2.5.29.35', extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2', extensionRequest: '1.2.840.113549.1.9.14',
  ecdsaSha256: '1.2.840.10045.4.3.2', ecdsaSha384: '1.2.840.10045.4.3.3', ecdsaSha512: '1.2.840.10045.4.3.4',
  rsaSha256: '1.2.840.113549.1.1.11', rsaSha384: '1.2.840.113549.1.1.12', rsaSha512: '1.2.840.113549.1.1.13', ed25519: '1.3.101.112',
};
/** Bits of the keyUsage extension, RFC 5280 §4.2.1.3. */
const keyUsageBits: Partial<Record<KeyUsage, number>> = { 'digital signature': 0x80, 'key encipherment': 0x20, 'cert sign': 0x04, 'crl sign': 0x02 };
const extendedUsages: Partial<Record<KeyUsage, string>> = { 'server auth': oids.serverAuth, 'client auth': oids.clientAuth };

export function generateKey(): { publicKey: KeyObject; privateKey: KeyObject } { return generateKeyPairSync('ec', { namedCurve: 'P-256' }); }
export function privateKeyPem(key: KeyObject): string {
  return key.export(key.asymmetricKeyType === 'ec' ? { type: 'sec1', format: 'pem' } : { type: 'pkcs8', format: 'pem' }) as string;
}
export function toPem(label: string, bytes: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString('base64').replace(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`;
}

/** The PEM of a new certificate. */
export function createCertificate(options: CertificateOptions): string {
  const { issuer, publicKey, usages, isCa = false } = options;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const subject = encodeName(options.subject);
  const parent = issuer.certificate && readCertificate(issuer.certificate.raw);
  const algorithm = signatureAlgorithm(issuer.key);
  const ownId = keyId(spki);
  const usageBits = usages.reduce((all, usage) => all | (keyUsageBits[usage] ?? 0), 0);
  const extended = usages.flatMap((usage) => extendedUsages[usage] ?? []);
  const names = encodeAltNames(options);
  const serial = Buffer.from(options.serial.subarray(0, 20));
  serial[0] = (serial[0]! & 0x7f) || 1;
  const extensions = [
    ...(usageBits ? [extension(oids.keyUsage, true, bits(Buffer.from([usageBits]), Math.clz32(usageBits & -usageBits) ^ 31))] : []),
    ...(extended.length ? [extension(oids.extKeyUsage, false, sequence(...extended.map(oid)))] : []),
    extension(oids.basicConstraints, true, sequence(...(isCa ? [bool(true)] : []))),
    ...(isCa ? [extension(oids.subjectKeyId, false, octets(ownId))] : []),
    ...(parent ? [extension(oids.authorityKeyId, false, sequence(taggedBytes(0, parent.subjectKeyId ?? keyId(parent.spki))))] : []),
    ...(names.length ? [extension(oids.subjectAltName, false, sequence(...names))] : []),
  ];
  const body = sequence(tagged(0, integer(Buffer.from([2]))), integer(serial), algorithm, parent?.subject ?? subject,
    sequence(time(options.notBefore), time(options.notAfter)), subject, spki, tagged(3, sequence(...extensions)));
  return toPem('CERTIFICATE', sequence(body, algorithm, bits(sign(digestOf(issuer.key), body, issuer.key))));
}

/** A PKCS#10 request in PEM. */
export function createCertificateRequest(options: { subject: Subject; privateKey: KeyObject; dnsNames?: readonly string[]; ips?: readonly string[] }): string {
  const { privateKey } = options;
  const names = encodeAltNames(options);
  const attributes = names.length ? [sequence(oid(oids.extensionRequest), setOf(sequence(extension(oids.subjectAltName, false, sequence(...names)))))] : [];
  const body = sequence(integer(Buffer.from([0])), encodeName(options.subject), createPublicKey(privateKey).export({ type: 'spki', format: 'der' }), tagged(0, ...attributes));
  return toPem('CERTIFICATE REQUEST', sequence(body, signatureAlgorithm(privateKey), bits(sign(digestOf(privateKey), body, privateKey))));
}

/** Reads a PKCS#10 request and checks its signature. Throws with what is wrong. */
export function readCertificateRequest(pem: string): CertificateRequest {
  const match = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem);
  if (!match) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const [request] = readDer(Buffer.from(match[1]!, 'base64'));
  const [body, algorithm, signature] = readDer(request!.contents) as [DerNode, DerNode, DerNode];
  const [, subject, spki, attributes] = readDer(body.contents) as [DerNode, DerNode, DerNode, DerNode | undefined];
  const publicKey = createPublicKey({ key: spki.whole, format: 'der', type: 'spki' });
  const name = readOid(readDer(algorithm.contents)[0]!.contents);
  const digest = name === oids.ed25519 ? null : [oids.ecdsaSha384, oids.rsaSha384].includes(name) ? 'sha384' : [oids.ecdsaSha512, oids.rsaSha512].includes(name) ? 'sha512' : 'sha256';
  if (!verify(digest, body.whole, publicKey, signature.contents.subarray(1))) throw new Error('the certificate request is not signed by its own key');
  const names = { dnsNames: [] as string[], ips: [] as string[], emails: [] as string[], uris: [] as string[] };
  for (const attribute of attributes ? readDer(attributes.contents) : []) {
    const [type, values] = readDer(attribute.contents);
    if (readOid(type!.contents) !== oids.extensionRequest) continue;
    for (const item of readDer(readDer(values!.contents)[0]!.contents)) {
      const parts = readDer(item.contents);
      if (readOid(parts[0]!.contents) === oids.subjectAltName) readAltNames(readDer(parts.at(-1)!.contents)[0]!, names);
    }
  }
  return { subject: readName(subject.contents), publicKey, ...names };
}

export interface CertificateParts { subject: Buffer; subjectName: Subject; spki: Buffer; subjectKeyId: Buffer | undefined; extendedUsages: string[] }

/** The parts of a DER certificate that `node:crypto` does not give exactly: names in order, key id. */
export function readCertificate(bytes: Uint8Array): CertificateParts {
  const [certificate] = readDer(bytes);
  const [body] = readDer(certificate!.contents);
  const fields = readDer(body!.contents);
  if (fields[0]!.tag === 0xa0) fields.shift(); // version
  const [, , , , subject, spki] = fields as [DerNode, DerNode, DerNode, DerNode, DerNode, DerNode];
  const parts: CertificateParts = { subject: subject.whole, subjectName: readName(subject.contents), spki: spki.whole, subjectKeyId: undefined, extendedUsages: [] };
  const extensions = fields.find((field) => field.tag === 0xa3);
  for (const item of extensions ? readDer(readDer(extensions.contents)[0]!.contents) : []) {
    const [type, ...rest] = readDer(item.contents);
    const value = rest.at(-1)!.contents;
    switch (readOid(type!.contents)) {
      case oids.subjectKeyId: parts.subjectKeyId = readDer(value)[0]!.contents; break;
      case oids.extKeyUsage: parts.extendedUsages = readDer(readDer(value)[0]!.contents).map((usage) => readOid(usage.contents)); break;
      default:
    }
  }
  return parts;
}

function keyId(spki: Uint8Array): Buffer {
  const key = readDer(readDer(spki)[0]!.contents)[1]!.contents.subarray(1);
  return createHash('sha1').update(key).digest(); // RFC 5280 §4.2.1.2 (1): an identifier, not a protection
}

function signatureAlgorithm(key: KeyObject): Buffer {
  switch (key.asymmetricKeyType) {
    case 'ec': return sequence(oid(oids.ecdsaSha256));
    case 'rsa': return sequence(oid(oids.rsaSha256), nothing);
    case 'ed25519': return sequence(oid(oids.ed25519));
    default: throw new Error(`can't sign with a key of type ${key.asymmetricKeyType}`);
  }
}
const digestOf = (key: KeyObject): string | null => (key.asymmetricKeyType === 'ed25519' ? null : 'sha256');

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(oid(id), ...(critical ? [bool(true)] : []), octets(value));
}

function encodeName({ commonName, organizations = [] }: Subject): Buffer {
  const part = (id: string, text: string) => sequence(oid(id), utf8(text));
  const sets: Buffer[] = [];
  if (organizations.length > 0) sets.push(setOf(...organizations.map((text) => part(oids.organization, text)).sort((a, b) => Buffer.compare(a, b))));
  if (commonName) sets.push(setOf(part(oids.commonName, commonName)));
  return sequence(...sets);
}

function readName(contents: Buffer): Subject {
  const organizations: string[] = [];
  let commonName = '';
  for (const set of readDer(contents)) {
    for (const attribute of readDer(set.contents)) {
      const [type, value] = readDer(attribute.contents) as [DerNode, DerNode];
      const text = value.tag === 0x1e ? Buffer.from(value.contents).swap16().toString('utf16le') : value.contents.toString('utf8');
      const id = readOid(type.contents);
      if (id === oids.commonName) commonName = text;
      else if (id === oids.organization) organizations.push(text);
    }
  }
  return { commonName, organizations };
}

interface AltNames { dnsNames?: readonly string[]; ips?: readonly string[]; emails?: readonly string[]; uris?: readonly string[] }
function encodeAltNames({ dnsNames = [], ips = [], emails = [], uris = [] }: AltNames): Buffer[] {
  return [...emails.map((text) => taggedBytes(1, Buffer.from(text))), ...dnsNames.map((text) => taggedBytes(2, Buffer.from(text))),
    ...uris.map((text) => taggedBytes(6, Buffer.from(text))), ...ips.map((ip) => taggedBytes(7, ipBytes(ip)))];
}
function readAltNames(node: DerNode, into: { dnsNames: string[]; ips: string[]; emails: string[]; uris: string[] }): void {
  for (const { tag, contents } of readDer(node.contents)) {
    if (tag === 0x81) into.emails.push(contents.toString());
    else if (tag === 0x82) into.dnsNames.push(contents.toString());
    else if (tag === 0x86) into.uris.push(contents.toString());
    else if (tag === 0x87) into.ips.push(ipText(contents));
  }
}

/** 4 or 16 bytes in network order. Throws for what is no address. */
export function ipBytes(ip: string): Buffer {
  if (/^\d+(\.\d+){3}$/.test(ip)) return Buffer.from(ip.split('.').map(Number));
  const [head = '', tail] = ip.split('::');
  const words = (text: string) => (text === '' ? [] : text.split(':').flatMap((word) => {
    if (!word.includes('.')) return [Number.parseInt(word, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  }));
  const first = words(head);
  const last = tail === undefined ? [] : words(tail);
  const all = [...first, ...(tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => 0)), ...last];
  if (all.length !== 8 || all.some((word) => !(word >= 0 && word <= 0xffff))) throw new Error(`not an IP address: ${ip}`);
  const bytes = Buffer.alloc(16);
  for (const [i, word] of all.entries()) bytes.writeUInt16BE(word, 2 * i);
  return bytes;
}
function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.');
  const text = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
  const zeros = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length)[0];
  return zeros ? `${text.slice(0, zeros.index)}::${text.slice(zeros.index + zeros[0].length + 1)}` : text;
}
