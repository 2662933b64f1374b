/** The server's metrics, named as CoreDNS'. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type DnsMetrics = ReturnType<typeof createDnsMetrics>;
export function createDnsMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) => new Counter({ name, help, labelNames, registers });
  const seconds = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
  const bytes = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];
  return {
    requests: counter('coredns_dns_requests_total', 'Queries', ['server', 'zone', 'proto', 'family', 'type']),
    responses: counter('coredns_dns_responses_total', 'Answers by code', ['server', 'zone', 'rcode']),
    duration: new Histogram({ name: 'coredns_dns_request_duration_seconds', help: 'Seconds to answer', labelNames: ['server', 'zone'], buckets: seconds, registers }),
    requestSize: new Histogram({ name: 'coredns_dns_request_size_bytes', help: 'Size of queries', labelNames: ['server', 'zone', 'proto'], buckets: bytes, registers }),
    responseSize: new Histogram({ name: 'coredns_dns_response_size_bytes', help: 'Size of answers', labelNames: ['server', 'zone', 'proto'], buckets: bytes, registers }),
    panics: counter('coredns_panics_total', 'Queries that failed inside the server', []),
    cacheEntries: new Gauge({ name: 'coredns_cache_entries', help: 'Answers kept', labelNames: ['server'], registers }),
    cacheHits: counter('coredns_cache_hits_total', 'Answers from the cache', ['server', 'type']),
    cacheMisses: counter('coredns_cache_misses_total', 'Queries the cache did not answer', ['server']),
    forwardDuration: new Histogram({ name: 'coredns_proxy_request_duration_seconds', help: 'Seconds an upstream took', labelNames: ['proxy_name', 'to', 'rcode'], buckets: seconds, registers }),
    forwardFailures: counter('coredns_proxy_healthcheck_failures_total', 'Upstreams that did not answer', ['proxy_name', 'to']),
  };
}
