/** A kubelet on a simulated node with a clock of its own, for stories about pods: create, advance, look. */
import type { Pod, PodSpec } from '../api/core/v1.ts';
import { pods } from '../api/resources.ts';
import { silentLogger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import type { KubeletConfig } from '../kubelet/config.ts';
import { type Host, simulatedHost } from '../kubelet/host.ts';
import { type Kubelet, createKubelet } from '../kubelet/kubelet.ts';
import type { Recorder } from '../kubelet/recorder.ts';
import { type SimulatedRuntime, simulatedRuntime } from '../kubelet/runtime/simulated.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { type MemoryClient, memoryClient } from './memory-client.ts';

export interface KubeletEnv extends AsyncDisposable {
  clock: FakeClock;
  client: MemoryClient;
  runtime: SimulatedRuntime;
  kubelet: Kubelet;
  /** 'Reason: message' of every event, in order. */
  events: string[];
  create(name: string, spec: Partial<PodSpec>, metadata?: Record<string, unknown>): Promise<Pod>;
  pod(name: string): Promise<Pod>;
  /** Undefined when it is gone. */
  find(name: string): Promise<Pod | undefined>;
  /** Ends the kubelet as a crash would and starts another over the same runtime and API. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>;
  /** The id of the newest container of that name. */
  containerId(pod: string, container: string): Promise<string>;
}

export async function startKubelet(options: { config?: Partial<KubeletConfig>; absentImages?: string[]; host?: Host; wrap?(runtime: SimulatedRuntime): SimulatedRuntime; failing?: MemoryClient['failing'] } = {}): Promise<KubeletEnv> {
  const clock = new FakeClock();
  const client = memoryClient(clock);
  client.failing = options.failing;
  const plain = simulatedRuntime({ clock, rng: seededRng(1), absentImages: new Set(options.absentImages ?? []) });
  const runtime = options.wrap ? options.wrap(plain) : plain;
  const events: string[] = [];
  const recorder: Recorder = { event: (_object, _type, reason, message) => { events.push(`${reason}: ${message}`); } };
  let stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const start = async () => {
    stop = new AbortController();
    const { signal } = stop;
    const informers = createInformerFactory(client, { clock, rng: seededRng(3), log: silentLogger, signal });
    env.kubelet = await createKubelet({ nodeName: 'node-a', client, informers, runtime, host: options.host ?? simulatedHost(), clock, rng: seededRng(2), log: silentLogger, signal, recorder, config: { ...options.config } });
    running = env.kubelet.run();
    await settle(20);
  };
  const env: KubeletEnv = {
    clock, client, runtime, events, kubelet: undefined as never,
    async create(name, spec, metadata = {}) {
      const made = await client.for(pods).create({ metadata: { name, namespace: 'default', generation: 1, ...metadata }, spec: { nodeName: 'node-a', restartPolicy: 'Always', terminationGracePeriodSeconds: 30, containers: [], ...spec }, status: { phase: 'Pending' } }, { namespace: 'default' });
      await env.settle();
      return made;
    },
    pod: (name) => client.for(pods).get({ namespace: 'default', name }),
    find: async (name) => (await client.for(pods).list({ fieldSelector: `metadata.name=${name}` })).items[0],
    async settle() { for (let round = 0; round < 6; round++) { await settle(20); await clock.advance(0); } },
    async stop() { stop.abort(); await running; await settle(20); },
    async restart() { await env.stop(); await start(); },
    async containerId(pod, container) {
      const list = await runtime.listContainers({ labelSelector: { 'io.kubernetes.pod.name': pod, 'io.kubernetes.container.name': container } });
      return list.sort((a, b) => b.createdAtMs - a.createdAtMs || b.metadata.attempt - a.metadata.attempt)[0]!.id;
    },
    async [Symbol.asyncDispose]() { await env.stop(); },
  };
  await start();
  return env;
}
