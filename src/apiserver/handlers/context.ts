/** What every handler needs: the parts of one running apiserver, handed down rather than looked up. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Rng } from '../../base/rng.ts';
import type { JsonObject } from '../../base/json.ts';
import type { Client } from '../../client/client.ts';
import type { Store } from '../../store/store.ts';
import { StatusError, notFound } from '../../api/meta/status.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Auditor } from '../audit/audit.ts';
import type { EncryptionAtRest } from '../encryption/store.ts';
import type { FlowControl } from '../flow-control/flow-control.ts';
import type { TokenVerifier } from '../auth/tokens.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { ResourceTable, ServedResource } from '../resource-table.ts';
import type { AdmissionPlugin, Authenticator, Authorizer, RequestInfo } from '../types.ts';
import type { Feed } from '../watch-cache.ts';
import type { Horizon } from '../compaction.ts';

export interface ServerContext {
  store: Store;
  feed: Feed;
  clock: Clock;
  rng: Rng;
  log: Logger;
  resources: ResourceTable;
  authorizer: Authorizer;
  /** For TokenReview. */
  authenticator: Authenticator;
  admission: readonly AdmissionPlugin[];
  /** As the apiserver itself (system:masters, system:apiserver). */
  client: Client;
  /** Other apiservers write to the same store, so a read first asks it how far it is. */
  sharedStore: boolean;
  /** How old a revision may be read. */
  horizon: Horizon;
  /** serviceaccounts/token: fills in `status` of a TokenRequest. */
  issueToken?: TokenIssuer;
  /** For TokenReview with audiences: service account tokens are held against those that are asked for. */
  tokenVerifier?: TokenVerifier;
  /** logs, exec, attach, portforward, proxy. */
  connect?: (call: Call) => Promise<ApiResult>;
  /** Values in the store are sealed. */
  encryption?: EncryptionAtRest;
  /** Seats and queues; undefined: every request runs at once. */
  flowControl?: FlowControl;
  /** The audit record; undefined: nothing is recorded. */
  audit?: Auditor;
  /** Group versions that other servers answer for; undefined: there are none and never will be. */
  aggregator?: Aggregator;
  /** Least time a watch without timeoutSeconds stays open; up to twice as long. */
  minRequestTimeoutMs: number;
}

export type TokenIssuer = (request: { namespace: string; name: string; serviceAccount: JsonObject; request: JsonObject; user: ApiRequest['user'] }) => Promise<JsonObject>;

/** One request to a resource, on its way through a handler. */
export interface Call {
  context: ServerContext;
  request: ApiRequest;
  info: RequestInfo;
  resource: ServedResource;
}

/** The caches reflect every write acknowledged before this call. */
export async function fresh({ sharedStore, feed, store }: ServerContext): Promise<void> {
  if (!sharedStore) return;
  await feed.waitFor(await store.revision());
}

export const noSuchResource = () => new StatusError({ code: 404, reason: 'NotFound', message: 'the server could not find the requested resource', details: {} });
export const noSuchMethod = () => new StatusError({ code: 405, reason: 'MethodNotAllowed', message: 'the server does not allow this method on the requested resource', details: {} });

/** The object that a call names, from the cache. Throws NotFound. */
export async function existing({ context, resource, info }: Call) {
  await fresh(context);
  await resource.cache.ready();
  const entry = resource.cache.get(resource.key(info.namespace, info.name));
  if (!entry) throw notFound(resource.groupResource, info.name);
  const preparing = resource.prepare([entry]);
  if (preparing) await preparing;
  return entry;
}
