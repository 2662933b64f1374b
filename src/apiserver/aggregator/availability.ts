/**
 * Says of each APIService whether its server answers: the condition Available. Local ones are available from the start; of the
 * others the Service, its port, its endpoints and then the server's own discovery are looked at, again whenever one of them changes
 * and every half minute. Source: kube-aggregator/pkg/controllers/status (reasons and messages to the letter).
 */
import { timestamp, type Clock } from '../../base/clock.ts';
import type { APIService, APIServiceCondition } from '../../api/apiregistration/v1.ts';
import { isConflict, isNotFound } from '../../api/meta/status.ts';
import { apiservices } from '../../api/resources.ts';
import type { Client } from '../../client/client.ts';
import type { UserInfo } from '../types.ts';
import type { RemoteApi } from './remote.ts';
import type { ServiceBackends } from './resolve.ts';

export const resyncMs = 30_000;
const checkTimeoutMs = 5_000;
/** Endpoints asked at once; one good answer is enough. */
const attempts = 5;
export const aggregatorUser: UserInfo = { name: 'system:kube-aggregator', groups: ['system:masters'] };

export interface Verdict { status: 'True' | 'False' | 'Unknown'; reason: string; message: string }
const no = (reason: string, message: string): Verdict => ({ status: 'False', reason, message });

/** What clients see of a local APIService. */
export function localCondition(nowMs: number): APIServiceCondition {
  return { type: 'Available', status: 'True', lastTransitionTime: timestamp(nowMs), reason: 'Local', message: 'Local APIServices are always available' };
}

/** Everything short of asking the server: undefined when that is all well. */
export function checkBackends(remote: RemoteApi, backends: ServiceBackends): Verdict | undefined {
  const { namespace, name, port } = remote.service;
  const service = backends.service(namespace, name);
  if (!service) return no('ServiceNotFound', `service/${name} in "${namespace}" is not present`);
  if ((service.spec.type ?? 'ClusterIP') !== 'ClusterIP') return undefined;
  const found = (service.spec.ports ?? []).find((candidate) => candidate.port === port);
  if (!found) return no('ServicePortError', `service/${name} in "${namespace}" is not listening on port ${port}`);
  const slices = backends.slices(namespace, name);
  if (slices.length === 0) return no('EndpointsNotFound', `cannot find endpointslices for service/${name} in "${namespace}"`);
  const portName = found.name ?? '';
  const active = slices.some((slice) => (slice.endpoints ?? []).some(({ conditions }) => conditions?.ready !== false) && (slice.ports ?? []).some((one) => (one.name ?? '') === portName && one.port !== undefined));
  return active ? undefined : no('MissingEndpoints', `endpointslices for service/${name} in "${namespace}" have no addresses with port name "${portName}"`);
}

/** Asks the server for its discovery. */
export async function checkDiscovery(remote: RemoteApi, signal: AbortSignal): Promise<Verdict> {
  const path = remote.group === '' ? `/api/${remote.version}` : `/apis/${remote.group}/${remote.version}`;
  let origins: string[];
  try { origins = remote.origins(); } catch (err) { return no('FailedDiscoveryCheck', messageOf(err)); }
  try {
    await Promise.any(origins.slice(0, attempts).map(async (origin) => {
      let code: number;
      try { ({ code } = await remote.fetch(origin, path, { user: aggregatorUser, timeoutMs: checkTimeoutMs, signal })); } catch (err) {
        throw new Error(`failing or missing response from ${origin}${path}: Get "${origin}${path}": ${messageOf(err)}`, { cause: err });
      }
      if (code < 200 || code >= 300) throw new Error(`failing or missing response from ${origin}${path}: bad status from ${origin}${path}: ${code}`);
    }));
    return { status: 'True', reason: 'Passed', message: 'all checks passed' };
  } catch (err) {
    return no('FailedDiscoveryCheck', messageOf(err instanceof AggregateError ? err.errors.at(-1) : err));
  }
}
const messageOf = (err: unknown) => (err instanceof Error ? err.message : String(err));

/** Writes the condition where it is another; the transition time moves with the status only. */
export async function writeCondition(client: Client, clock: Clock, object: APIService, verdict: Verdict, signal: AbortSignal): Promise<void> {
  const old = (object.status?.conditions ?? []).find(({ type }) => type === 'Available');
  if (old && old.status === verdict.status && old.reason === verdict.reason && old.message === verdict.message) return;
  const condition: APIServiceCondition = { type: 'Available', ...verdict, lastTransitionTime: old && old.status === verdict.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(clock.now()) };
  const others = (object.status?.conditions ?? []).filter(({ type }) => type !== 'Available');
  try {
    await client.for(apiservices).updateStatus({ ...object, status: { ...object.status, conditions: [...others, condition] } }, { signal });
  } catch (err) {
    if (!isConflict(err) && !isNotFound(err)) throw err; // the change comes back as an event
  }
}
