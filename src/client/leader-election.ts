/**
 * One leader among several replicas, by a Lease that its holder keeps renewing. Clocks of replicas need not agree: a
 * follower counts from when it saw the record change. Behaviour: client-go tools/leaderelection.
 */
import type { Clock } from '../base/clock.ts';
import { microTimestamp, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Lease, LeaseSpec } from '../api/coordination/v1.ts';
import { leases } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import type { Client } from './client.ts';

export interface LeaderElectionOptions {
  client: Client; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal;
  /** The Lease: kube-system/kube-controller-manager. */
  namespace: string;
  name: string;
  /** Unique per replica: host name and a uuid. */
  identity: string;
  /** Defaults 15 s, 10 s, 2 s: client-go's. */
  leaseDurationMs?: number;
  renewDeadlineMs?: number;
  retryPeriodMs?: number;
  /** Runs while leading; its signal aborts when the lease is lost or the election stops. */
  lead(signal: AbortSignal): Promise<void>;
  onNewLeader?(identity: string): void;
}

const jitterFactor = 1.2;

/** Campaigns, leads, and resolves when leading ended: the process should then restart. The lease is given up on a clean stop. */
export async function runLeaderElection(options: LeaderElectionOptions): Promise<void> {
  const { client, clock, rng, log, signal, namespace, name, identity, leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2_000 } = options;
  const api = client.for(leases);
  let observed: { lease: Lease; at: number; text: string } | undefined;
  let leader = '';

  const observe = (lease: Lease) => {
    const text = JSON.stringify(lease.spec);
    if (observed?.text !== text) observed = { lease, at: clock.monotonic(), text };
    else observed.lease = lease;
    const holder = lease.spec.holderIdentity ?? '';
    if (holder !== leader) { leader = holder; if (holder) options.onNewLeader?.(holder); }
  };
  const spec = (old: LeaseSpec | undefined): LeaseSpec => {
    const now = microTimestamp(clock.now());
    const mine = old?.holderIdentity === identity;
    return {
      holderIdentity: identity, leaseDurationSeconds: leaseDurationMs / 1000, renewTime: now,
      acquireTime: mine ? old.acquireTime : now, leaseTransitions: mine ? old.leaseTransitions ?? 0 : old ? (old.leaseTransitions ?? 0) + 1 : 0,
    };
  };
  /** True when this replica holds the lease afterwards. */
  const tryAcquireOrRenew = async (): Promise<boolean> => {
    let lease: Lease;
    try { lease = await api.get({ namespace, name }, { signal }); } catch (err) {
      if (!isNotFound(err)) throw err;
      observe(await api.create({ metadata: { namespace, name }, spec: spec(undefined) }, { signal }));
      return true;
    }
    observe(lease);
    const holder = lease.spec.holderIdentity ?? '';
    const expiresAt = observed!.at + (lease.spec.leaseDurationSeconds ?? leaseDurationMs / 1000) * 1000;
    if (holder !== '' && holder !== identity && expiresAt > clock.monotonic()) return false;
    observe(await api.update({ ...lease, spec: { ...lease.spec, ...spec(lease.spec) } }, { signal }));
    return true;
  };

  for (;;) {
    if (signal.aborted) return;
    try { if (await tryAcquireOrRenew()) break; } catch (err) {
      if (signal.aborted) return;
      log.debug({ lease: `${namespace}/${name}`, err: String(err) }, 'could not acquire the lease');
    }
    try { await sleep(clock, retryPeriodMs * (1 + jitterFactor * rng.float()), signal); } catch { return; }
  }
  log.info({ lease: `${namespace}/${name}`, identity }, 'became leader');

  const lost = new AbortController();
  const leading = AbortSignal.any([signal, lost.signal]);
  const work = options.lead(leading);
  const ended = work.then(() => undefined, () => undefined);
  let lastRenewal = clock.monotonic();
  const renewing = (async () => {
    while (!leading.aborted) {
      try { await sleep(clock, retryPeriodMs, leading); } catch { return; }
      try { if (await tryAcquireOrRenew()) lastRenewal = clock.monotonic(); else if (leader !== identity) break; } catch (err) {
        log.debug({ lease: `${namespace}/${name}`, err: String(err) }, 'could not renew the lease');
      }
      if (clock.monotonic() - lastRenewal >= renewDeadlineMs) break;
    }
    if (!signal.aborted) { log.error({ lease: `${namespace}/${name}` }, 'lost the lease'); lost.abort(new Error('lost the lease')); }
  })();
  await Promise.race([ended, renewing]);
  lost.abort(new Error('no longer leading'));
  await Promise.all([ended, renewing]);
  if (observed?.lease.spec.holderIdentity === identity) {
    try {
      const now = microTimestamp(clock.now());
      await api.update({ ...observed.lease, spec: { holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now, leaseTransitions: observed.lease.spec.leaseTransitions ?? 0 } });
    } catch { /* it runs out by itself */ }
  }
  await work;
}
