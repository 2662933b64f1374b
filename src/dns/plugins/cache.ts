/** Keeps answers of upstream resolvers for their TTL, at most 30 s (CoreDNS' usual `cache 30`); refusals by their SOA (RFC 2308 §5). */
import type { Clock } from '../../base/clock.ts';
import type { DnsRecord, Reply } from '../message.ts';
import type { Plugin } from './plugin.ts';

export interface CacheOptions { clock: Clock; onHit?(kind: 'success' | 'denial'): void; onMiss?(): void; onSize?(entries: number): void; longestSeconds?: number; entryLimit?: number }

export function cachePlugin({ clock, onHit, onMiss, onSize, longestSeconds = 30, entryLimit = 9_984 }: CacheOptions): Plugin {
  const entries = new Map<string, { reply: Reply; storedAt: number; expires: number }>();
  return {
    name: 'cache',
    async answer(request, next) {
      const key = `${request.name} ${request.question.type} ${request.question.class} ${request.dnssecOk ? 'do' : ''}${request.checkingDisabled ? 'cd' : ''}`;
      const now = clock.monotonic();
      const known = entries.get(key);
      if (known && known.expires > now) {
        onHit?.(known.reply.rcode === 'NOERROR' && known.reply.answers.length > 0 ? 'success' : 'denial');
        const age = Math.floor((now - known.storedAt) / 1000);
        const aged = (list: readonly DnsRecord[] = []) => list.map((record) => ({ ...record, ttl: Math.max(0, record.ttl - age) }));
        return { ...known.reply, answers: aged(known.reply.answers), authorities: aged(known.reply.authorities), additionals: aged(known.reply.additionals) };
      }
      onMiss?.();
      const reply = await next(request);
      const seconds = keepSeconds(reply, longestSeconds);
      if (seconds > 0) {
        entries.delete(key);
        if (entries.size >= entryLimit) entries.delete(entries.keys().next().value!); // the oldest
        const cap = (list: readonly DnsRecord[] = []) => list.map((record) => ({ ...record, ttl: Math.min(record.ttl, longestSeconds) }));
        entries.set(key, { reply: { ...reply, answers: cap(reply.answers), authorities: cap(reply.authorities), additionals: cap(reply.additionals) }, storedAt: clock.monotonic(), expires: clock.monotonic() + seconds * 1000 });
        onSize?.(entries.size);
      }
      return reply;
    },
  };
}

function keepSeconds(reply: Reply, longest: number): number {
  if (reply.rcode !== 'NOERROR' && reply.rcode !== 'NXDOMAIN') return 0;
  if (reply.rcode === 'NOERROR' && reply.answers.length > 0) return Math.min(longest, ...reply.answers.map((record) => record.ttl));
  const soa = reply.authorities?.find((record) => record.type === 'SOA');
  return soa ? Math.min(longest, soa.ttl, (soa.data as { minimum?: number }).minimum ?? 0) : 0;
}
