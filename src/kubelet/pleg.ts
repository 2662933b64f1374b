/**
 * Tells which pods changed in the runtime: from its events where it has them, with a relist as safety net (every second where it has
 * none). Upstream: the pod lifecycle event generator, generic and evented.
 */
import { type Clock, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { labels } from './names.ts';
import type { Runtime } from './runtime/runtime.ts';

const pollMs = 1000;
const safetyMs = 30_000;
/** Healthy while a relist ended within this. Upstream: relistThreshold. */
const healthyWithinMs = 180_000;

export interface Pleg {
  run(): Promise<void>;
  /** Resolves after the first list. */
  listed: Promise<void>;
  /** Undefined when well, else upstream's reason for NotReady. */
  problem(): string | undefined;
}

export function createPleg(options: { runtime: Runtime; clock: Clock; log: Logger; signal: AbortSignal; onChange(uid: string): void }): Pleg {
  const { runtime, clock, log, signal, onChange } = options;
  let known = new Map<string, { uid: string; state: string }>();
  let lastRelist: number | undefined;
  let relisting: Promise<void> | undefined;
  let firstDone = () => {};
  const listed = new Promise<void>((resolve) => { firstDone = resolve; });

  async function relist(): Promise<void> {
    const [sandboxes, containers] = await Promise.all([runtime.listPodSandbox(), runtime.listContainers()]);
    const next = new Map<string, { uid: string; state: string }>();
    for (const item of [...sandboxes, ...containers]) {
      const uid = item.labels[labels.podUid];
      if (uid) next.set(item.id, { uid, state: item.state });
    }
    const changed = new Set<string>();
    for (const [id, item] of next) if (known.get(id)?.state !== item.state) changed.add(item.uid);
    for (const [id, item] of known) if (!next.has(id)) changed.add(item.uid);
    known = next;
    lastRelist = clock.monotonic();
    firstDone();
    for (const uid of changed) onChange(uid);
  }
  /** Relists asked for while one runs share the next. */
  async function relistOnce(): Promise<void> {
    try { relisting ??= relist().finally(() => { relisting = undefined; }); await relisting; } catch (error) { if (!signal.aborted) log.warn({ err: (error as Error).message }, 'could not list pods of the runtime'); }
  }

  async function followEvents(): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const event of runtime.events!(signal)) {
          if (event.type === 'resync') { await relistOnce(); continue; }
          // Starts are the kubelet's own doing; it has looked already.
          if (event.type !== 'exited') continue;
          // A container newer than the last list: list, and again when that one was under way already.
          for (let tries = 0; tries < 2 && !known.has(event.id); tries++) await relistOnce();
          const item = known.get(event.id);
          if (item) { item.state = item.state.startsWith('SANDBOX') ? 'SANDBOX_NOTREADY' : 'CONTAINER_EXITED'; onChange(item.uid); }
        }
      } catch (error) { log.debug({ err: error }, 'runtime events broke off'); }
      if (!signal.aborted) await sleep(clock, pollMs, signal).catch(() => {});
    }
  }

  return {
    listed,
    async run() {
      const follow = runtime.events ? followEvents() : undefined;
      while (!signal.aborted) {
        await relistOnce();
        await sleep(clock, runtime.events ? safetyMs : pollMs, signal).catch(() => {});
      }
      await follow;
    },
    problem() {
      if (lastRelist === undefined) return 'pleg has yet to be successful';
      const since = clock.monotonic() - lastRelist;
      return since > healthyWithinMs ? `pleg was last seen active ${Math.round(since / 1000)}s ago; threshold is 3m0s` : undefined;
    },
  };
}
