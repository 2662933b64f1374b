/** The heartbeat: a Lease per node in kube-node-lease, renewed four times within its length. KEP-589; upstream component-helpers/apimachinery/lease. */
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { Lease } from '../api/coordination/v1.ts';
import type { Node } from '../api/core/v1.ts';
import { leases } from '../api/resources.ts';
import { type Clock, microTimestamp, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Client } from '../client/client.ts';

const namespace = 'kube-node-lease';
const retryMs = 1000;

export async function keepNodeLease(options: { nodeName: string; client: Client; clock: Clock; log: Logger; signal: AbortSignal; durationSeconds: number; node(): Node | undefined }): Promise<void> {
  const { nodeName, client, clock, log, signal, durationSeconds } = options;
  let lease: Lease | undefined;
  const owner = () => { const uid = options.node()?.metadata.uid; return uid ? { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid }] } : {}; };
  const renew = async () => {
    const spec = { holderIdentity: nodeName, leaseDurationSeconds: durationSeconds, renewTime: microTimestamp(clock.now()) };
    if (!lease) {
      try { lease = await client.for(leases).get({ namespace, name: nodeName }, { signal }); } catch (error) {
        if (!isNotFound(error)) throw error;
        try { lease = await client.for(leases).create({ metadata: { name: nodeName, namespace, ...owner() }, spec }, { namespace, signal }); return; } catch (failure) {
          if (isAlreadyExists(failure)) lease = undefined;
          throw failure;
        }
      }
    }
    const held: Lease = lease;
    lease = undefined;
    lease = await client.for(leases).update({ ...held, metadata: { ...held.metadata, ...(held.metadata.ownerReferences?.length ? {} : owner()) }, spec: { ...held.spec, ...spec } }, { signal });
  };
  while (!signal.aborted) {
    let wait = (durationSeconds * 1000) / 4;
    try { await renew(); } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: (error as Error).message }, 'node lease not renewed');
      wait = retryMs;
    }
    await sleep(clock, wait, signal).catch(() => {});
  }
}
