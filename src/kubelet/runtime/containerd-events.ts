/**
 * containerd's own event service as runtime events, so that an exit is seen in milliseconds and nothing polls.
 * Its CRI plugin listens to the same events: an exit is passed on once CRI shows it too. Driven by cri.ts.
 * Source: github.com/containerd/containerd api/services/events/v1, api/events/{task,container}.proto.
 */
import { type Clock, sleep } from '../../base/clock.ts';
import { type GrpcClient, hasGrpcCode } from '../../base/grpc.ts';
import { defineMessages } from '../../base/protobuf.ts';
import type { RuntimeEvent } from './runtime.ts';

const messages = defineMessages({
  SubscribeRequest: { filters: '1 []string' },
  Envelope: { namespace: '2 string', topic: '3 string', event: '4 Any' },
  Any: { typeUrl: '1 string', value: '2 bytes' },
  // What all of these events have under the same number.
  AnyEvent: { id: '1 string' },
  TaskExit: { containerId: '1 string', id: '2 string', pid: '3 uint32', exitStatus: '4 uint32' },
});

const subscribe = {
  path: '/containerd.services.events.v1.Events/Subscribe',
  encode: (request: { filters: string[] }) => messages.encode('SubscribeRequest', request),
  decode: (bytes: Uint8Array) => messages.decode('Envelope', bytes),
};

/** Wait this long between looks whether CRI shows what the event said, and give up after so many: the kubelet lists again anyway. */
const lookIntervalMs = 5;
const maxLooks = 40;
/** Events kept for a slow reader; beyond them a `resync` stands for all. */
const maxQueued = 10_000;
/** Between tries to subscribe while containerd is away. */
const retryMs = 200;

/** `ping` is any call on the same connection that waits for containerd; `settled` tells whether CRI's state has passed. */
export async function* containerdEvents(client: GrpcClient, { clock, signal, ping, settled }: {
  clock: Clock; signal: AbortSignal; ping(signal: AbortSignal): Promise<unknown>; settled(id: string, passed: (state: string) => boolean): Promise<boolean>;
}): AsyncGenerator<RuntimeEvent, void, undefined> {
  let queue: RuntimeEvent[] = [];
  let wake = () => {};
  const put = (event: RuntimeEvent) => {
    if (queue.length >= maxQueued) queue = [{ type: 'resync' }];
    queue.push(event);
    wake();
  };
  const stop = new AbortController();
  const onAbort = () => { stop.abort(signal.reason); wake(); };
  signal.addEventListener('abort', onAbort, { once: true });
  let failure: unknown;

  const putWhenShown = async (event: RuntimeEvent & { id: string }, passed: (state: string) => boolean) => {
    try {
      for (let look = 0; look < maxLooks && !(await settled(event.id, passed)); look++) await sleep(clock, lookIntervalMs, stop.signal);
    } catch { /* the runtime is away: the resync to come covers it */ }
    put(event);
  };

  const read = async () => {
    while (!stop.signal.aborted) {
      try {
        const stream = client.serverStream(subscribe, { filters: ['namespace==k8s.io,topic~="^/tasks/(start|exit|oom)$"', 'namespace==k8s.io,topic=="/containers/delete"'] }, { signal: stop.signal, waitForReady: true });
        const first = stream.next();
        first.catch(() => {}); // awaited below, unless the ping fails first
        // The service answers nothing before its first event; a call behind it on the same connection shows that it stands.
        await ping(stop.signal);
        put({ type: 'resync' });
        for (let item = await first; !item.done; item = await stream.next()) {
          const { topic, event } = item.value;
          if (!event) continue;
          const { id } = messages.decode('AnyEvent', event.value);
          if (topic === '/tasks/start') void putWhenShown({ type: 'started', id }, (state) => state !== 'CONTAINER_CREATED');
          else if (topic === '/tasks/oom') put({ type: 'oom', id });
          else if (topic === '/containers/delete') put({ type: 'deleted', id });
          else if (topic === '/tasks/exit') {
            const exit = messages.decode('TaskExit', event.value);
            if (exit.id === id || exit.id === '') void putWhenShown({ type: 'exited', id, exitCode: exit.exitStatus }, (state) => state === 'CONTAINER_EXITED');
          }
        }
      } catch (error) {
        if (hasGrpcCode(error, 'UNIMPLEMENTED', 'PERMISSION_DENIED')) throw error;
      }
      if (!stop.signal.aborted) await sleep(clock, retryMs, stop.signal);
    }
  };
  const reading = read().catch((error: unknown) => { failure = error; wake(); });
  try {
    for (;;) {
      const next = queue.shift();
      if (next) { yield next; continue; }
      if (signal.aborted) return;
      if (failure) throw failure;
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort(new Error('the reader has left'));
    await reading;
  }
}
