/** A certificate authority for tests, by kubeadm's own machinery. */
import { systemClock } from '../base/clock.ts';
import { systemRng } from '../base/rng.ts';
import { createCertificateAuthority, issueCertificate } from '../kubeadm/pki.ts';

export interface TestAuthority {
  caPem: string;
  /** Client auth unless `server`. */
  issue(commonName: string, options?: { organizations?: readonly string[]; ips?: readonly string[]; server?: boolean }): { cert: string; key: string };
}

export function createTestAuthority(): TestAuthority {
  const deps = { clock: systemClock, rng: systemRng };
  const ca = createCertificateAuthority('test-ca', deps);
  return {
    caPem: ca.certificatePem,
    issue(commonName, { organizations, ips, server } = {}) {
      const { certificatePem, keyPem } = issueCertificate(ca, { commonName, organizations, ips, usages: [server ? 'server auth' : 'client auth'] }, deps);
      return { cert: certificatePem, key: keyPem };
    },
  };
}
