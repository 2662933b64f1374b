/**
 * The apiserver put together: store, caches, resources, handler chain, transports. Everything is lazy, so a server is ready
 * as soon as its bootstrap objects exist. Driven by `cluster/` (alone or with other components in one process) and by tests.
 */
import type { Clock } from '../base/clock.ts';
import { silentLogger, type Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { loadDescriptions } from '../api/openapi/descriptions.ts';
import { createOpenApiServer, type CustomDefinitions } from '../api/openapi/documents.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import { createClient } from '../client/typed-client.ts';
import type { Client, Transport } from '../client/client.ts';
import type { Store } from '../store/store.ts';
import { Aggregator, type AggregatorConfig } from './aggregator/aggregator.ts';
import { customresourcedefinitions } from '../api/resources.ts';
import { CustomResources } from './apiextensions/custom-resources.ts';
import { customDefinitions } from './apiextensions/openapi.ts';
import { Auditor, type AuditConfig } from './audit/audit.ts';
import { alwaysAllow } from './auth/authorizer.ts';
import { systemMasters } from './auth/users.ts';
import type { TokenVerifier } from './auth/tokens.ts';
import { bootstrap, type BootstrapConfig } from './bootstrap.ts';
import type { EncryptionAtRest } from './encryption/store.ts';
import { FlowControl, type FlowControlConfig } from './flow-control/flow-control.ts';
import type { ServerContext, TokenIssuer } from './handlers/context.ts';
import { Horizon } from './compaction.ts';
import { startExpiry } from './expiry.ts';
import { createHandler, statusErrorOf } from './handlers/pipeline.ts';
import { listen, type Listener, type ListenOptions } from './http/server.ts';
import { inProcessTransport, type InProcessOptions } from './in-process.ts';
import { createMetrics, type ApiMetrics } from './metrics.ts';
import { createNonResourceHandler, type HealthCheck, type OpenApi } from './non-resource.ts';
import { registryEntries } from './registry/all.ts';
import type { ApiRequest, ApiResult } from './request.ts';
import { ResourceTable } from './resource-table.ts';
import { createConnect } from './streams/connect.ts';
import type { KubeletConfig } from './streams/kubelet.ts';
import type { AdmissionPlugin, Authenticator, Authorizer, ResourceEntry, UserInfo } from './types.ts';
import { gitVersion } from './version.ts';
import { Feed } from './watch-cache.ts';

/** What a security or admission part may hang on while the server is being put together. */
export interface ServerParts {
  clock: Clock;
  rng: Rng;
  log: Logger;
  /** As the apiserver itself. */
  client: Client;
  resources: ResourceTable;
  feed: Feed;
  signal: AbortSignal;
}

export interface ApiServerConfig {
  store: Store;
  clock: Clock;
  rng: Rng;
  log?: Logger;
  /** Default: every built-in resource. */
  entries?: readonly ResourceEntry[];
  /** Who asks and what may be done; default: everybody is the admin, as with --authorization-mode=AlwaysAllow. */
  security?(parts: ServerParts): { authenticator?: Authenticator; authorizer?: Authorizer; admission?: readonly AdmissionPlugin[]; issueToken?: TokenIssuer; tokenVerifier?: TokenVerifier; /** Its documents are served at /openid/v1/jwks and /.well-known/openid-configuration. */ tokenIssuer?: { keySet(): object; discovery(): object } };
  /** Parsed objects are frozen all the way down. Default false; true in tests. */
  freeze?: boolean;
  /** Other apiservers write to the same store (etcd). */
  sharedStore?: boolean;
  /** --min-request-timeout. Default 30 minutes. */
  minRequestTimeoutMs?: number;
  /** Objects made before the server is ready; false makes none. */
  bootstrap?: BootstrapConfig | false;
  /** More for /readyz and /livez. */
  checks?: readonly HealthCheck[];
  /** /openapi/v2 and /openapi/v3; default: made from the schema. */
  openapi?(resources: ResourceTable): OpenApi;
  /** API Priority and Fairness; without it every request runs at once. */
  flowControl?: FlowControlConfig;
  /** Seals values in the store; made with `EncryptionAtRest.create`, and its owner's to dispose. */
  encryption?: EncryptionAtRest;
  /** The record of requests. The backends are closed with the server. */
  audit?: AuditConfig;
  /** Other servers behind this one, by APIService; without it there is no aggregation and no APIService is registered. */
  aggregator?: AggregatorConfig;
  /** How to speak to kubelets, for logs, exec, attach, portforward and proxy. */
  kubelet?: KubeletConfig;
}

/** Made from the schema when first asked for. */
function defaultOpenApi(resources: ResourceTable, custom: (() => CustomDefinitions) | undefined): OpenApi {
  let descriptions: ReturnType<typeof loadDescriptions> | null = null;
  let names: ResourceNames[] = [];
  let generation = -1;
  return createOpenApiServer(() => {
    if (generation !== resources.generation) { names = resources.all().map((served) => served.names); generation = resources.generation; }
    if (descriptions === null) descriptions = loadDescriptions();
    return { resources: names, descriptions, version: gitVersion, custom: custom?.() };
  });
}

export const apiserverUser: UserInfo = { name: 'system:apiserver', uid: '', groups: [systemMasters, 'system:authenticated'] };
const anonymousAdmin: UserInfo = { name: 'system:admin', groups: [systemMasters, 'system:authenticated'] };

export interface ApiServer extends AsyncDisposable {
  readonly context: ServerContext;
  /** The pipeline; throws StatusError. */
  handle(request: ApiRequest): Promise<ApiResult>;
  /** The handler chain as `user`, without sockets. */
  inProcess(user: UserInfo, options?: InProcessOptions): Transport;
  client(user: UserInfo, options?: InProcessOptions): Client;
  /** Resolves when the bootstrap objects exist. */
  ready: Promise<void>;
  readonly isReady: boolean;
  readonly metrics: ApiMetrics;
  /** Opens a door; several may be open. */
  listen(options: ListenOptions): Promise<Listener>;
  /** Ends watches and stops. */
  close(): Promise<void>;
}

export function createApiServer(config: ApiServerConfig): ApiServer {
  const { clock, rng, log = silentLogger, freeze = false, encryption } = config;
  const entries = config.entries ?? registryEntries;
  const store = encryption ? encryption.wrap(config.store, entries) : config.store;
  const stop = new AbortController();
  const feed = new Feed(store, clock, (err) => log.warn({ err }, 'the store watch broke off; caches fill again'));
  const resources = new ResourceTable(feed, freeze);
  for (const entry of entries) resources.add(entry);

  /** Set below: the chain needs parts that need a client, which needs the chain. */
  const handler: { run(request: ApiRequest): Promise<ApiResult> } = { run: () => Promise.reject(new Error('the server is being put together')) };
  const handle = async (request: ApiRequest): Promise<ApiResult> => {
    try {
      return await handler.run(request);
    } catch (err) {
      const error = statusErrorOf(err);
      if (error.code >= 500 && error !== err) log.error({ err, path: request.path, verb: request.note.verb }, 'request failed');
      throw error;
    }
  };
  const inProcess = (user: UserInfo, options?: InProcessOptions) => inProcessTransport(handle, user, options);
  const client = (user: UserInfo, options?: InProcessOptions) => createClient(inProcess(user, options));
  const parts: ServerParts = { clock, rng, log, client: client(apiserverUser, { userAgent: 'kube-apiserver' }), resources, feed, signal: stop.signal };
  const security = config.security?.(parts) ?? {};
  const aggregator = config.aggregator && new Aggregator(config.aggregator, parts);
  const audit = config.audit && new Auditor(config.audit, clock, rng);
  const flowControl = config.flowControl && new FlowControl(config.flowControl, parts);
  const context: ServerContext = {
    store, feed, clock, rng, log, resources, client: parts.client, sharedStore: config.sharedStore ?? false, horizon: new Horizon(),
    authorizer: security.authorizer ?? alwaysAllow, authenticator: security.authenticator ?? { authenticate: async () => anonymousAdmin },
    admission: security.admission ?? [], minRequestTimeoutMs: config.minRequestTimeoutMs ?? 30 * 60 * 1000,
    ...(security.issueToken ? { issueToken: security.issueToken } : {}), ...(security.tokenVerifier ? { tokenVerifier: security.tokenVerifier } : {}), connect: createConnect(config.kubelet ?? {}), ...(aggregator ? { aggregator } : {}), ...(audit ? { audit } : {}), ...(flowControl ? { flowControl } : {}), ...(encryption ? { encryption } : {}),
  };
  const definitions = resources.for(customresourcedefinitions as ResourceNames);
  const customResources = definitions && new CustomResources(context, definitions);
  let isReady = false;
  let expiring: Promise<void> | undefined;
  let following: Promise<void> | undefined;
  let address = config.bootstrap && config.bootstrap.advertise ? `${config.bootstrap.advertise.address}:${config.bootstrap.advertise.port}` : '';
  const listeners = new Set<Listener>();
  const metrics = createMetrics();
  if (flowControl) metrics.add((registry) => flowControl.register(registry));
  const ownOpenApi = config.openapi?.(resources) ?? defaultOpenApi(resources, customResources && customDefinitions(customResources));
  const checks: HealthCheck[] = [
    { name: 'ping', check: () => undefined },
    { name: 'etcd', check: async () => { await store.revision(); return undefined; } },
    { name: 'poststarthook/start-system-namespaces-controller', check: () => (isReady ? undefined : 'not finished'), live: false },
    { name: 'shutdown', check: () => (stop.signal.aborted ? 'process is shutting down' : undefined), live: false },
    ...encryption ? [{ name: 'kms-providers', check: () => encryption.check() }] : [],
    ...config.checks ?? [],
  ];
  handler.run = createHandler(context, createNonResourceHandler(context, {
    checks, metrics, address: () => address, openapi: aggregator ? aggregator.openapi(ownOpenApi) : ownOpenApi,
    ...(security.tokenIssuer ? { documents: {
      '/openid/v1/jwks': () => ({ contentType: 'application/jwk-set+json', body: JSON.stringify(security.tokenIssuer!.keySet()) }),
      '/.well-known/openid-configuration': () => ({ contentType: 'application/json', body: JSON.stringify(security.tokenIssuer!.discovery()) }),
    } } : {}),
  }));

  const ready = (async () => {
    await feed.started();
    await customResources?.start();
    if (config.bootstrap !== false) await bootstrap(context, config.bootstrap ?? {}, stop.signal);
    await Promise.all([aggregator?.start(), flowControl?.start()]);
    isReady = true;
    following = context.horizon.follow(store, clock, stop.signal, { compact: context.sharedStore, failed: (err) => log.warn({ err }, 'the store could not be compacted; will try again') });
    expiring = startExpiry(store, feed, clock, resources.all().map(({ entry }) => entry), stop.signal).catch((err: unknown) => { if (!stop.signal.aborted) log.error({ err }, 'expiry of events stopped'); });
  })();
  ready.catch((err: unknown) => { if (!stop.signal.aborted) log.error({ err }, 'bootstrap failed'); });

  let closing: Promise<void> | undefined;
  const close = () => closing ??= (async () => {
    stop.abort();
    await ready.catch(() => {});
    await customResources?.[Symbol.asyncDispose]();
    await aggregator?.[Symbol.asyncDispose]();
    await flowControl?.[Symbol.asyncDispose]();
    await expiring;
    await following;
    for (const cache of feed.caches()) cache.closeWatchers();
    await Promise.all([...listeners].map((listener) => listener.close()));
    await feed[Symbol.asyncDispose]();
    await audit?.[Symbol.asyncDispose]();
  })();

  const server: ApiServer = {
    context, handle, inProcess, client, ready, metrics, get isReady() { return isReady; }, close, [Symbol.asyncDispose]: close,
    async listen(options) {
      const listener = await listen(server, options);
      listeners.add(listener);
      address ||= `${listener.address}:${listener.port}`;
      return listener;
    },
  };
  return server;
}
