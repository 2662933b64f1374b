/** What the apiserver counts, in upstream's names. Source: Kubernetes metrics reference. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { ApiRequest } from './request.ts';

type Note = ApiRequest['note'];
const durationBuckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

export interface ApiMetrics {
  registry: Registry;
  /** Registers more when the metrics are first asked for. */
  add(register: (registry: Registry) => void): void;
  observe(note: Note, code: number, durationMs: number, watching: boolean): void;
  watchStarted(note: Note): void;
  watchEnded(note: Note): void;
}

export function createMetrics(): ApiMetrics {
  const registry = new Registry();
  const labels = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'] as const;
  const total = new Counter({ name: 'apiserver_request_total', help: 'Requests by verb, resource and HTTP code.', labelNames: [...labels, 'dry_run', 'code'], registers: [registry] });
  const duration = new Histogram({ name: 'apiserver_request_duration_seconds', help: 'Time from the request to the end of its answer, watches aside.', labelNames: [...labels, 'dry_run'], buckets: durationBuckets, registers: [registry] });
  const longRunning = new Gauge({ name: 'apiserver_longrunning_requests', help: 'Watches and streams under way.', labelNames: [...labels], registers: [registry] });
  let defaults = false;
  const later: ((registry: Registry) => void)[] = [];
  const shown = Object.assign(registry, {});
  /** Label objects by what they say, so that a request makes none. */
  const known = new Map<string, Record<string, string>>();
  const labelled = (note: Note): Record<string, string> => {
    const key = `${note.verb} ${note.group} ${note.version} ${note.resource} ${note.subresource} ${note.scope}`;
    let found = known.get(key);
    if (!found) {
      // Names that clients make up must not grow the table.
      if (known.size > 5000) known.clear();
      known.set(key, found = { verb: note.verb, group: note.group, version: note.version, resource: note.resource, subresource: note.subresource, scope: note.scope, component: 'apiserver' });
    }
    return found;
  };
  return {
    get registry() {
      if (!defaults) { defaults = true; collectDefaultMetrics({ register: registry }); }
      for (const register of later.splice(0)) register(registry);
      return shown;
    },
    add(register) { later.push(register); },
    observe(note, code, durationMs, watching) {
      const base = labelled(note);
      total.inc({ ...base, dry_run: '', code: String(code) });
      if (!watching) duration.observe({ ...base, dry_run: '' }, durationMs / 1000);
    },
    watchStarted(note) { longRunning.inc(labelled(note)); },
    watchEnded(note) { longRunning.dec(labelled(note)); },
  };
}
