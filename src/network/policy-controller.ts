/** Keeps the NetworkPolicy table of a node: recomputes after changes of policies, pods and namespaces, writes the difference. */
import { namespaces, networkpolicies, pods } from '../api/resources.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Nft } from '../base/nft.ts';
import { NftTable } from '../base/nft-table.ts';
import type { InformerFactory } from '../client/informer.ts';
import { policyBase, policyFragment } from './policy.ts';

export interface PolicyControllerOptions {
  informers: InformerFactory; nodeName: string; nft: Nft; clock: Clock; log: Logger; signal: AbortSignal;
  /** Default 'knarr-policy'. */
  tableName?: string | undefined;
  /** Default ip only. */
  families?: readonly ('ip' | 'ip6')[] | undefined;
}
export interface PolicyController extends AsyncDisposable { settled(): Promise<void>; teardown(): Promise<void> }

/** Changes are gathered this long; pods come and go in crowds. */
const gatherMs = 20;
const retryMs = 2_000;

export async function startPolicyController({ informers, nodeName, nft, clock, log, signal, tableName = 'knarr-policy', families = ['ip'] }: PolicyControllerOptions): Promise<PolicyController> {
  const sources = { policies: informers.informer(networkpolicies), pods: informers.informer(pods), namespaces: informers.informer(namespaces) };
  const tables = families.map((family) => ({ family, table: new NftTable({ nft, family, name: tableName, base: policyBase(family) }) }));
  let timer: Timer | undefined, last: Promise<void> = Promise.resolve(), stopped = false, started = false;
  const sync = (): Promise<void> => {
    timer?.cancel(); timer = undefined;
    last = last.catch(() => {}).then(async () => {
      if (stopped) return;
      for (const { family, table } of tables) {
        table.put('policies', policyFragment({ family, nodeName, policies: sources.policies.list(), pods: sources.pods.list(), namespaces: sources.namespaces.list() }));
        await table.sync(signal);
      }
    });
    last.catch((err: unknown) => { if (!stopped && !signal.aborted) { log.error({ err }, 'network policies could not be written; trying again'); schedule(retryMs); } });
    return last;
  };
  const schedule = (delayMs = gatherMs) => { if (started && !stopped) timer ??= clock.after(delayMs, () => { void sync().catch(() => {}); }); };
  const changed = { onAdd: () => { schedule(); }, onUpdate: () => { schedule(); }, onDelete: () => { schedule(); } };
  const removers = [sources.policies.addHandler(changed), sources.pods.addHandler(changed), sources.namespaces.addHandler(changed)];
  const stop = () => { stopped = true; timer?.cancel(); for (const remove of removers) remove(); };
  signal.addEventListener('abort', stop, { once: true });
  await Promise.all(Object.values(sources).map((informer) => informer.synced(signal)));
  started = true;
  await sync();
  return {
    settled: () => sync(),
    teardown: async () => { stop(); await last.catch(() => {}); for (const { table } of tables) await table.teardown(); },
    async [Symbol.asyncDispose]() { stop(); signal.removeEventListener('abort', stop); await last.catch(() => {}); },
  };
}
