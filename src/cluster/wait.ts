/** Asks a cluster whether it is ready, and waits for it, noticing when the process it waits for has ended. */
import { existsSync, readFileSync } from 'node:fs';
import { type Clock, sleep } from '../base/clock.ts';
import { runningPid } from '../base/daemon.ts';
import { UserError } from '../base/user-error.ts';
import { isNotFound } from '../api/meta/status.ts';
import { leases, nodes } from '../api/resources.ts';
import type { Node } from '../api/core/v1.ts';
import type { Client } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { createRestTransport } from '../client/rest.ts';
import { createClient } from '../client/typed-client.ts';
import type { ClusterDir } from './cluster-dir.ts';

/** Longest wait for either process; a first start on a slow disk takes a few seconds. */
const waitLimitMs = 120_000;

/** A client as the cluster's administrator. */
export function adminClient(dir: ClusterDir): Client & AsyncDisposable {
  const transport = createRestTransport({ ...loadKubeconfig(dir.adminKubeconfig), userAgent: 'knarr' });
  const client = createClient(transport);
  return Object.assign(client, { [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() });
}

export async function serverIsReady(dir: ClusterDir): Promise<boolean> {
  if (!existsSync(dir.adminKubeconfig)) return false;
  await using client = adminClient(dir);
  try { await client.request({ method: 'GET', path: '/readyz' }); return true; } catch { return false; }
}

export async function nodeIsReady(dir: ClusterDir, name: string): Promise<boolean> {
  await using client = adminClient(dir);
  try { return isReady(await client.for(nodes).get({ name })); } catch { return false; }
}

/** Whether the node's Ready condition is True. */
export function isReady(node: Node): boolean {
  return node.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
}

export async function waitForServer(dir: ClusterDir, clock: Clock): Promise<void> {
  await poll(dir, 'server', clock, () => serverIsReady(dir));
}

/** Ready as its agent says now: what an earlier run left in the store does not count, so the lease must be newer than `since` (ms). */
export async function waitForNode(dir: ClusterDir, name: string, since: number, clock: Clock): Promise<void> {
  await using client = adminClient(dir);
  await poll(dir, 'agent', clock, async () => {
    try {
      const [node, lease] = await Promise.all([client.for(nodes).get({ name }), client.for(leases).get({ namespace: 'kube-node-lease', name })]);
      return isReady(node) && Date.parse(lease.spec?.renewTime ?? '') >= since;
    } catch (err) { if (isNotFound(err)) return false; throw err; }
  });
  await client.for(nodes).patch({ name }, 'merge', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } }, { fieldManager: 'knarr' });
}

/** There is no event to wait on across processes before the API answers: asks every 20 ms. */
async function poll(dir: ClusterDir, process: 'server' | 'agent', clock: Clock, ask: () => Promise<boolean>): Promise<void> {
  const deadline = clock.monotonic() + waitLimitMs;
  while (!(await ask())) {
    if (runningPid(dir.pidFile(process)) === undefined) throw new UserError(`the ${process} ended while starting:\n${reason(dir.logFile(process))}\nThe whole log: ${dir.logFile(process)}`);
    if (clock.monotonic() > deadline) throw new UserError(`the ${process} was not ready within ${waitLimitMs / 1000} s. See: knarr logs ${process}`);
    await sleep(clock, 20);
  }
}

/** The sentence that the process ended with, or its last lines. */
function reason(logFile: string): string {
  let lines: string[] = [];
  try { lines = readFileSync(logFile, 'utf8').trimEnd().split('\n'); } catch { /* no log: say so below */ }
  const sentence = lines.findLast((line) => line.startsWith('knarr: '));
  return sentence ? `  ${sentence.slice('knarr: '.length)}` : lines.slice(-5).map((line) => `  ${line}`).join('\n') || '  (it wrote no log)';
}
