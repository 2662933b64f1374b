/** Who may approve and sign certificate requests, and for whom. Source: upstream's plugin/pkg/admission/certificates. */
import type { CertificateSigningRequest } from '../../api/certificates/v1.ts';
import { certificatesigningrequests } from '../../api/resources.ts';
import { readCertificateRequest } from '../../base/x509.ts';
import { systemMasters } from '../auth/users.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../types.ts';
import { oldOf, on, refuse, type AdmissionDeps } from './plugin.ts';

/** A permission on `signers`, by full name or for the whole domain (`example.com/*`). */
async function mayUseSigner(authorizer: Authorizer, { user }: AdmissionAttributes, verb: string, signerName: string): Promise<boolean> {
  for (const name of [signerName, `${signerName.split('/')[0]}/*`]) {
    const { decision } = await authorizer.authorize({ user, verb, group: 'certificates.k8s.io', version: '*', resource: 'signers', subresource: '', namespace: '', name, isResource: true, path: '' });
    if (decision === 'allow') return true;
  }
  return false;
}

export function certificateApproval({ authorizer }: AdmissionDeps): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    handles: on(certificatesigningrequests, ['UPDATE'], ['approval']),
    async validate(attributes) {
      const { spec } = oldOf<CertificateSigningRequest>(attributes);
      if (!await mayUseSigner(authorizer, attributes, 'approve', spec.signerName)) throw refuse(attributes, `user not permitted to approve requests with signerName ${JSON.stringify(spec.signerName)}`);
    },
  };
}

export function certificateSigning({ authorizer }: AdmissionDeps): AdmissionPlugin {
  const failed = (request: CertificateSigningRequest) => JSON.stringify(request.status?.conditions?.filter(({ type }) => type === 'Failed') ?? []);
  return {
    name: 'CertificateSigning',
    handles: on(certificatesigningrequests, ['UPDATE'], ['status']),
    async validate(attributes) {
      const old = oldOf<CertificateSigningRequest>(attributes);
      const next = attributes.object as unknown as CertificateSigningRequest;
      if ((old.status?.certificate ?? '') === (next.status?.certificate ?? '') && failed(old) === failed(next)) return;
      if (!await mayUseSigner(authorizer, attributes, 'sign', old.spec.signerName)) throw refuse(attributes, `user not permitted to sign requests with signerName ${JSON.stringify(old.spec.signerName)}`);
    },
  };
}

const clientSigner = 'kubernetes.io/kube-apiserver-client';

export function certificateSubjectRestriction(): AdmissionPlugin {
  return {
    name: 'CertificateSubjectRestriction',
    handles: on(certificatesigningrequests, ['CREATE']),
    validate(attributes) {
      const { spec } = attributes.object as unknown as CertificateSigningRequest;
      if (spec.signerName !== clientSigner) return;
      let organizations: readonly string[];
      try { organizations = readCertificateRequest(Buffer.from(String(spec.request), 'base64').toString()).subject.organizations ?? []; } catch (err) {
        throw refuse(attributes, `unable to parse the CSR: ${(err as Error).message}`);
      }
      if (organizations.includes(systemMasters)) throw refuse(attributes, `use of ${clientSigner} signer with ${systemMasters} group is not allowed`);
    },
  };
}
