/** Controllers over an in-process apiserver with a fake clock, and a kubelet that pretends: for controller tests. */
import { silentLogger, type Logger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { timestamp } from '../base/clock.ts';
import type { Pod } from '../api/core/v1.ts';
import { namespaces, pods } from '../api/resources.ts';
import { builtInResources } from '../api/resource-names.ts';
import { isNotFound } from '../api/meta/status.ts';
import type { Client } from '../client/client.ts';
import type { InformerFactory } from '../client/informer.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { startControllers, type RunningControllers } from '../controllers/index.ts';
import type { ControllerOptions } from '../controllers/options.ts';
import { startApiServer, type TestApiServer } from './api-server.ts';
import { FakeClock } from './fake-clock.ts';

export interface ControllerTest extends AsyncDisposable {
  client: Client; clock: FakeClock; server: TestApiServer; informers: InformerFactory; running: RunningControllers;
  /** Until nothing more happens without time passing, or a backoff under a second. */
  settle(): Promise<void>;
  advance(ms: number): Promise<void>;
  /** Pods become Running and Ready (or what `decide` says: 'Succeeded', 'Failed', undefined to leave alone) and go when deleted. Returns how to stop. */
  kubelet(decide?: (pod: Pod) => string | undefined): () => void;
}

export async function startControllerTest(options: ControllerOptions = {}, { log = silentLogger, namespace = 'default' }: { log?: Logger; namespace?: string } = {}): Promise<ControllerTest> {
  const clock = new FakeClock();
  const server = await startApiServer({ clock });
  const client = withDiscovery(server.client());
  try { await client.for(namespaces).create({ metadata: { name: namespace }, spec: {} }); } catch { /* made at start */ }
  const stop = new AbortController();
  const rng = seededRng(7);
  const informers = createInformerFactory(client, { clock, rng, log, signal: stop.signal });
  const running = startControllers({ client, informers, clock, rng, log, signal: stop.signal, options });
  const settle = async () => {
    for (let round = 0; round < 30; round++) {
      const before = await server.store.revision();
      await server.settle();
      await clock.advance(40);
      if (await server.store.revision() === before && running.idle()) { if (round > 2) return; }
    }
  };
  await informers.synced();
  await settle();
  return {
    client, clock, server, informers, running, settle,
    async advance(ms) { await clock.advance(ms); await settle(); },
    kubelet(decide = () => 'Running') {
      const act = async (pod: Pod) => {
        try {
          if (pod.metadata.deletionTimestamp) {
            await client.for(pods).delete(pod.metadata, { gracePeriodSeconds: 0 });
            return;
          }
          const phase = decide(pod);
          if (phase === undefined || pod.status?.phase === phase || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return;
          const time = timestamp(clock.now());
          const ready = phase === 'Running' ? 'True' : 'False';
          await client.for(pods).patch(pod.metadata, 'strategic', {
            status: {
              phase, podIP: `10.0.0.${1 + Number.parseInt(pod.metadata.uid!.slice(0, 2), 16) % 250}`, podIPs: [{ ip: `10.0.0.${1 + Number.parseInt(pod.metadata.uid!.slice(0, 2), 16) % 250}` }],
              conditions: [{ type: 'Ready', status: ready, lastTransitionTime: time }],
            },
          }, { subresource: 'status' });
        } catch { /* gone meanwhile */ }
      };
      return informers.informer(pods).addHandler({ onAdd: (pod) => void act(pod), onUpdate: (_, pod) => void act(pod) });
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('test over'));
      await running[Symbol.asyncDispose]();
      await informers[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Answers discovery from the built-in names where the server does not serve it. */
function withDiscovery(client: Client): Client {
  return {
    for: (names) => client.for(names),
    async request(request) {
      try { return await client.request(request); } catch (err) {
        if (!isNotFound(err) || request.method !== 'GET') throw err;
        const all = builtInResources();
        if (request.path === '/apis') {
          const groups = new Map<string, string[]>();
          for (const { group, version } of all) if (group) groups.set(group, [...new Set([...groups.get(group) ?? [], version])]);
          return { groups: [...groups].map(([name, versions]) => ({ name, versions: versions.map((version) => ({ groupVersion: `${name}/${version}`, version })) })) };
        }
        const match = /^\/api(?:\/v1|s\/([^/]+)\/([^/]+))$/.exec(request.path);
        if (!match) throw err;
        const [, group = '', version = 'v1'] = match;
        return { resources: all.filter((names) => names.group === group && names.version === version).map((names) => ({ name: names.plural, kind: names.kind, namespaced: names.scope === 'Namespaced', verbs: [...names.verbs] })) } as never;
      }
    },
  };
}
