/** The proxy's metrics, named as kube-proxy's. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const durationBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i); // seconds, upstream's buckets

export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;
export function createProxyMetrics(registry: Registry) {
  const registers = [registry];
  const histogram = (name: string, help: string) => new Histogram({ name, help, buckets: durationBuckets, labelNames: ['ip_family'], registers });
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) => new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) => new Gauge({ name, help, labelNames, registers });
  return {
    syncDuration: histogram('kubeproxy_sync_proxy_rules_duration_seconds', 'Seconds per sync of the packet rules'),
    fullSyncDuration: histogram('kubeproxy_sync_full_proxy_rules_duration_seconds', 'Seconds per write of the whole table'),
    partialSyncDuration: histogram('kubeproxy_sync_partial_proxy_rules_duration_seconds', 'Seconds per incremental write'),
    lastTimestamp: gauge('kubeproxy_sync_proxy_rules_last_timestamp_seconds', 'When the rules were last synced, Unix seconds', ['ip_family']),
    lastQueuedTimestamp: gauge('kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds', 'When a sync was last asked for, Unix seconds', ['ip_family']),
    endpointChanges: counter('kubeproxy_sync_proxy_rules_endpoint_changes_total', 'EndpointSlice changes seen', []),
    serviceChanges: counter('kubeproxy_sync_proxy_rules_service_changes_total', 'Service changes seen', []),
    syncFailures: counter('kubeproxy_sync_proxy_rules_nftables_sync_failures_total', 'Syncs that failed', ['ip_family']),
    noLocalEndpoints: gauge('kubeproxy_sync_proxy_rules_no_local_endpoints_total', 'Service ports with policy Local and no endpoint here', ['ip_family', 'traffic_policy']),
    conntrackFailures: counter('kubeproxy_conntrack_reconciler_failures_total', 'Failed clean-ups of stale flows', ['ip_family']),
  };
}
