/** Answers for the cluster's zone and for addresses it knows; the rest is the next plugin's (reverse zones fall through). */
import { addressOfReverseName, type ClusterRecords } from '../records.ts';
import type { DnsRecord, Reply } from '../message.ts';
import type { Plugin } from './plugin.ts';

/** CNAMEs followed inside the cluster, against ExternalNames that name each other. */
const cnameLimit = 8;

export function kubernetesPlugin(records: ClusterRecords): Plugin {
  const none = (rcode: 'NOERROR' | 'NXDOMAIN'): Reply => ({ rcode, answers: [], authorities: [records.soa()], authoritative: true });
  return {
    name: 'kubernetes',
    async answer(request, next) {
      const { name, question: { type } } = request;
      if (name.endsWith('.arpa')) {
        const address = addressOfReverseName(name);
        const names = address === undefined ? [] : records.reverse(address);
        if (names.length === 0) return next(request);
        return type === 'PTR' ? { rcode: 'NOERROR', authoritative: true, answers: names.map((data) => ({ name, type: 'PTR', ttl: records.ttl, data })) } : none('NOERROR');
      }
      if (!records.owns(name)) return next(request);
      const answers: DnsRecord[] = [];
      let at = name;
      for (let hop = 0; hop < cnameLimit; hop++) {
        const found = records.lookup(at, type);
        if (found.state === 'missing') return answers.length > 0 ? { rcode: 'NXDOMAIN', answers, authorities: [records.soa()], authoritative: true } : none('NXDOMAIN');
        answers.push(...found.answers);
        if (found.external === undefined || type === 'CNAME') {
          return answers.length > 0 ? { rcode: 'NOERROR', answers, additionals: found.additionals, authoritative: true } : none('NOERROR');
        }
        at = found.external;
        if (!records.owns(at)) {
          if (type !== 'A' && type !== 'AAAA') break;
          const outside = await next({ ...request, name: at, question: { ...request.question, name: at } });
          // A resolver that can't be asked does not take back what we know: the alias itself.
          answers.push(...outside.answers);
          break;
        }
      }
      return { rcode: 'NOERROR', answers, authoritative: true };
    },
  };
}
