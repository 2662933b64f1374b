/** The scheduler's metrics, under upstream's names. Source: scheduler/metrics/metrics.go. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface SchedulerMetrics {
  attempt(result: 'scheduled' | 'unschedulable' | 'error', seconds: number): void;
  scheduled(seconds: number, attempts: number): void;
}

export function schedulerMetrics(registry: Registry, pending: () => { active: number; backoff: number; unschedulable: number }): SchedulerMetrics {
  const registers = [registry];
  const profile = 'default-scheduler';
  const attempts = new Counter({ name: 'scheduler_schedule_attempts_total', help: 'Attempts to schedule pods, by result', labelNames: ['profile', 'result'], registers });
  const attemptSeconds = new Histogram({ name: 'scheduler_scheduling_attempt_duration_seconds', help: 'Duration of a scheduling attempt in seconds', labelNames: ['profile', 'result'], buckets: Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i), registers });
  const podSeconds = new Histogram({ name: 'scheduler_pod_scheduling_sli_duration_seconds', help: 'From a pod\'s entry into the queue until it is bound, in seconds', labelNames: ['attempts'], buckets: Array.from({ length: 20 }, (_, i) => 0.01 * 2 ** i), registers });
  new Gauge({
    name: 'scheduler_pending_pods', help: 'Pods waiting, by queue', labelNames: ['queue'], registers,
    collect() { for (const [queue, count] of Object.entries(pending())) this.set({ queue }, count); },
  });
  return {
    attempt(result, seconds) { attempts.inc({ profile, result }); attemptSeconds.observe({ profile, result }, seconds); },
    scheduled(seconds, count) { podSeconds.observe({ attempts: String(Math.min(count, 16)) }, seconds); },
  };
}
