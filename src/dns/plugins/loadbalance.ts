/** Shuffles address records, so that clients that take the first spread over all. */
import { randomInt, type Rng } from '../../base/rng.ts';
import type { DnsRecord } from '../message.ts';
import type { Plugin } from './plugin.ts';

export function loadbalancePlugin(rng: Rng): Plugin {
  return {
    name: 'loadbalance',
    async answer(request, next) {
      const reply = await next(request);
      const addresses = reply.answers.filter(isAddress);
      if (addresses.length < 2) return reply;
      for (let i = addresses.length - 1; i > 0; i--) {
        const j = randomInt(rng, i + 1);
        [addresses[i], addresses[j]] = [addresses[j]!, addresses[i]!];
      }
      return { ...reply, answers: [...reply.answers.filter((record) => !isAddress(record)), ...addresses] };
    },
  };
}
function isAddress(record: DnsRecord): boolean { return record.type === 'A' || record.type === 'AAAA'; }
