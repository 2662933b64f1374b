/** certificates.k8s.io/v1. Source: upstream's pkg/apis/certificates/validation. */
import type * as v1 from './v1.ts';
import { semanticEqual } from '../validation/equality.ts';
import { addInvalid, duplicate, field, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isDNS1123Subdomain } from '../validation/names.ts';

const specPath = field('spec');
const usages = ['any', 'cert sign', 'client auth', 'code signing', 'content commitment', 'crl sign', 'data encipherment', 'decipher only', 'digital signature', 'email protection', 'encipher only', 'ipsec end system', 'ipsec tunnel', 'ipsec user', 'key agreement', 'key encipherment', 'microsoft sgc', 'netscape sgc', 'ocsp signing', 's/mime', 'server auth', 'signing', 'timestamping'];

/** 'domain/path': the domain has at least two labels. */
export function validateSignerName(name: string | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!name) { errors.push(required(path)); return; }
  const [domain = '', ...rest] = name.split('/');
  if (rest.length === 0 || rest.join('/') === '') { errors.push(invalid(path, name, 'must be a fully qualified domain and path of the form \'example.com/signer-name\'')); return; }
  if (rest.length > 1) { errors.push(invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")); return; }
  addInvalid(errors, path, domain, isDNS1123Subdomain(domain).map((message) => `validating label "${domain}": ${message}`));
  if (!domain.includes('.')) errors.push(invalid(path, domain, 'should be a domain with at least two segments separated by dots'));
  addInvalid(errors, path, rest[0]!, isDNS1123Subdomain(rest[0]!).map((message) => `validating label "${rest[0]}": ${message}`));
}
function validateConditions({ status }: v1.CertificateSigningRequest, errors: FieldError[]): void {
  const path = field('status', 'conditions');
  const seen = new Set<string>();
  for (const [i, condition] of (status?.conditions ?? []).entries()) {
    const at = path.index(i);
    if (!condition.type) errors.push(required(at.child('type')));
    if (condition.type === 'Approved' || condition.type === 'Denied' || condition.type === 'Failed') {
      if (condition.status === '' || condition.status === undefined) errors.push(required(at.child('status')));
      else if (condition.status !== 'True') errors.push(notSupported(at.child('status'), condition.status, ['True']));
    }
    if (seen.has(condition.type)) errors.push(duplicate(at.child('type'), condition.type));
    seen.add(condition.type);
  }
  if (seen.has('Approved') && seen.has('Denied')) errors.push(invalid(path, 'Denied', 'Approved and Denied conditions are mutually exclusive'));
}
export function validateCertificateSigningRequest(csr: v1.CertificateSigningRequest): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = csr;
  if (!spec?.request) errors.push(required(specPath.child('request')));
  else if (!/-----BEGIN CERTIFICATE REQUEST-----/.test(Buffer.from(spec.request, 'base64').toString('latin1'))) errors.push(invalid(specPath.child('request'), spec.request, 'PEM block type must be CERTIFICATE REQUEST'));
  if ((spec?.usages?.length ?? 0) === 0) errors.push(required(specPath.child('usages')));
  const seen = new Set<string>();
  for (const [i, usage] of (spec?.usages ?? []).entries()) {
    if (!usages.includes(usage)) errors.push(notSupported(specPath.child('usages').index(i), usage, usages));
    if (seen.has(usage)) errors.push(duplicate(specPath.child('usages').index(i), usage));
    seen.add(usage);
  }
  if (spec?.signerName === 'kubernetes.io/legacy-unknown') errors.push(invalid(specPath.child('signerName'), spec.signerName, 'the legacy signerName is not allowed via this API version'));
  else validateSignerName(spec?.signerName, specPath.child('signerName'), errors);
  if (spec?.expirationSeconds !== undefined && spec.expirationSeconds < 600) errors.push(invalid(specPath.child('expirationSeconds'), spec.expirationSeconds, 'may not specify a duration less than 600 seconds (10 minutes)'));
  validateConditions(csr, errors);
  return errors;
}
/** `approval`: conditions of type Approved and Denied may be added; nobody may take them back. */
export function validateCertificateSigningRequestUpdate(next: v1.CertificateSigningRequest, old: v1.CertificateSigningRequest, subresource: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!semanticEqual(next.spec, old.spec)) errors.push(forbidden(specPath, 'may not be changed'));
  validateConditions(next, errors);
  const path = field('status', 'conditions');
  const has = (csr: v1.CertificateSigningRequest, type: string) => (csr.status?.conditions ?? []).some((condition) => condition.type === type);
  for (const type of ['Approved', 'Denied', 'Failed']) {
    if (has(old, type) && !has(next, type)) errors.push(forbidden(path, `updates may not remove a condition of type "${type}"`));
    if (!has(old, type) && has(next, type) && subresource !== 'approval' && type !== 'Failed') errors.push(forbidden(path, `updates may not add a condition of type "${type}"`));
  }
  if (old.status?.certificate && next.status?.certificate !== old.status.certificate) errors.push(forbidden(field('status', 'certificate'), 'updates may not change this field'));
  return errors;
}
