/**
 * The aggregation layer: which group versions other servers answer for, kept from the APIServices, and what follows from them:
 * where requests go, discovery, OpenAPI, the condition Available. Built by `createApiServer` when configured; costs one map look-up
 * per request while everything is local. Source: kube-aggregator.
 */
import { every, type Clock, type Timer } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import type { Rng } from '../../base/rng.ts';
import type { APIService } from '../../api/apiregistration/v1.ts';
import type { EndpointSlice } from '../../api/discovery/v1.ts';
import type { Service } from '../../api/core/v1.ts';
import { apiservices, endpointslices, services } from '../../api/resources.ts';
import type { Client } from '../../client/client.ts';
import type { Informer, InformerFactory } from '../../client/informer.ts';
import { createInformerFactory } from '../../client/shared-informer.ts';
import type { OpenApi } from '../non-resource.ts';
import type { ResourceTable } from '../resource-table.ts';
import { versionPriority as byVersion } from '../version-priority.ts';
import { publishClusterAuthentication, type ClusterAuthentication } from './authentication-config.ts';
import { checkBackends, checkDiscovery, resyncMs, writeCondition } from './availability.ts';
import { fetchDiscovery } from './discovery.ts';
import { AggregatedOpenApi } from './openapi.ts';
import { builtInPriority, customPriority, ownGroup } from './priorities.ts';
import { Registration } from './registration.ts';
import { isAvailable, RemoteApi, type ProxyIdentity, type RemoteDeps } from './remote.ts';
import type { Routing } from './resolve.ts';

export interface AggregatorConfig {
  /** `--proxy-client-cert-file` and its key: how aggregated servers know us. */
  proxyClient?: ProxyIdentity | (() => ProxyIdentity);
  /** For ConfigMap kube-system/extension-apiserver-authentication; unset: not written. */
  authentication?: ClusterAuthentication;
  /** `--enable-aggregator-routing`. Default 'endpoint'. */
  routing?: Routing;
}
export interface AggregatorDeps { client: Client; resources: ResourceTable; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal }

/** Failed checks come again after this, doubling up to the resync. */
const firstRetryMs = 100;
/** How old discovery of an aggregated server may be. Source: discoveryRefreshInterval. */
const discoveryFreshMs = 60_000;
const byService = 'service';

export interface AggregatedGroup { name: string; versions: string[] }

export class Aggregator implements AsyncDisposable {
  readonly #config: AggregatorConfig;
  readonly #deps: AggregatorDeps;
  readonly #informers: InformerFactory;
  readonly #apiServices: Informer<APIService>;
  #services: Informer<Service> | undefined;
  #slices: Informer<EndpointSlice> | undefined;
  readonly #remotes = new Map<string, Watched>();
  readonly #registration: Registration;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #signal: AbortSignal;
  /** Changes with what discovery says. */
  generation = 0;

  constructor(config: AggregatorConfig, deps: AggregatorDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#signal = AbortSignal.any([deps.signal, this.#stop.signal]);
    this.#informers = createInformerFactory(deps.client, { ...deps, signal: this.#signal });
    this.#apiServices = this.#informers.informer(apiservices);
    this.#registration = new Registration({ ...deps, informer: this.#apiServices, signal: this.#signal });
    this.#apiServices.addHandler({
      onAdd: (object) => this.#changed(undefined, object), onUpdate: (old, next) => this.#changed(old, next),
      onDelete: ({ metadata }) => { this.#drop(metadata.name); this.generation++; this.#resync(); },
    });
  }

  /** Resolves when local APIServices are registered and the ConfigMap is there. */
  async start(): Promise<void> {
    const { client, clock, resources } = this.#deps;
    await Promise.all([this.#registration.start(), this.#config.authentication && publishClusterAuthentication(client, clock, this.#config.authentication, this.#signal)]);
    resources.onChange(() => this.#resync());
    if (this.#config.authentication) {
      const published = this.#config.authentication;
      this.#track(every(clock, discoveryFreshMs, this.#signal, async () => {
        try { await publishClusterAuthentication(client, clock, published, this.#signal); } catch (err) { if (!this.#signal.aborted) this.#deps.log.warn({ err }, 'could not write extension-apiserver-authentication'); }
      }));
    }
  }

  /** Who answers for this path, when it is not us. */
  remoteFor(path: string): RemoteApi | undefined {
    if (this.#remotes.size === 0) return undefined;
    const parts = path.split('/', 4);
    const key = parts[1] === 'apis' && parts[3] ? `${parts[3]}.${parts[2]}` : parts[1] === 'api' && parts[2] ? `${parts[2]}.` : '';
    return this.#remotes.get(key)?.remote;
  }

  get hasRemotes(): boolean { return this.#remotes.size > 0; }
  #list(): RemoteApi[] { return [...this.#remotes.values()].map(({ remote }) => remote); }

  /** All groups but core in the order of their priorities, versions preferred first. */
  groups(): AggregatedGroup[] {
    const versions = new Map<string, Map<string, { group: number; version: number }>>();
    const add = (group: string, version: string, priority: { group: number; version: number }) => {
      if (group === '') return;
      const known = versions.get(group);
      if (known) known.set(version, priority); else versions.set(group, new Map([[version, priority]]));
    };
    for (const { names: { group, version } } of this.#deps.resources.all()) {
      const priority = group === ownGroup ? { groupPriorityMinimum: 20_001, versionPriority: 1 } : builtInPriority(group, version) ?? customPriority;
      add(group, version, { group: priority.groupPriorityMinimum, version: priority.versionPriority });
    }
    for (const { spec } of this.#apiServices.list()) {
      const { group = '', version = '', groupPriorityMinimum, versionPriority } = spec;
      if (spec.service || versions.get(group)?.has(version)) add(group, version, { group: groupPriorityMinimum, version: versionPriority });
    }
    return [...versions].map(([name, known]) => ({
      name, first: Math.max(...[...known.values()].map(({ group }) => group)),
      versions: [...known].sort(([a, left], [b, right]) => right.version - left.version || byVersion(a, b)).map(([version]) => version),
    })).sort((a, b) => b.first - a.first || (a.name < b.name ? -1 : 1)).map(({ name, versions: sorted }) => ({ name, versions: sorted }));
  }

  /** The APIVersionDiscovery of a group version that is not ours; undefined: it is. */
  versionDiscovery(group: string, version: string): JsonObject | undefined {
    const remote = this.#remotes.get(`${version}.${group}`)?.remote;
    if (!remote) return undefined;
    const { discovery } = remote;
    return discovery && remote.available ? discovery : { ...discovery, version, freshness: 'Stale', resources: discovery?.resources ?? [] };
  }

  openapi(own: OpenApi): OpenApi { return new AggregatedOpenApi(own, () => this.#list(), this.#deps.clock); }

  // ---- what the APIServices say

  #changed(old: APIService | undefined, next: APIService): void {
    const { name } = next.metadata;
    const { spec } = next;
    if (!spec.service) {
      if (this.#remotes.has(name)) this.#drop(name);
      if (!isAvailable(next)) this.#track(this.#write(next, { status: 'True', reason: 'Local', message: 'Local APIServices are always available' }));
    } else {
      const known = this.#remotes.get(name);
      if (known && old && JSON.stringify(old.spec) === JSON.stringify(spec)) known.remote.available = isAvailable(next);
      else {
        this.#drop(name);
        this.#watch(next);
      }
    }
    this.generation++;
  }

  #watch(object: APIService): void {
    this.#backends();
    const { rng } = this.#deps;
    const { proxyClient, routing = 'endpoint' } = this.#config;
    const deps: RemoteDeps = { routing, rng, backends: this.#lookup, identity: () => (typeof proxyClient === 'function' ? proxyClient() : proxyClient) };
    const remote = new RemoteApi(object, deps);
    const watched: Watched = { remote, stop: new AbortController(), dirty: true, wake: undefined };
    this.#remotes.set(object.metadata.name, watched);
    this.#track(this.#follow(watched));
  }
  #drop(name: string): void {
    const watched = this.#remotes.get(name);
    if (!watched) return;
    this.#remotes.delete(name);
    watched.stop.abort();
    watched.wake?.();
    watched.remote[Symbol.dispose]();
  }

  /** The informers that only aggregated servers need start with the first of them. */
  #backends(): void {
    if (this.#services) return;
    this.#services = this.#informers.informer(services);
    this.#slices = this.#informers.informer(endpointslices);
    this.#slices.addIndex(byService, ({ metadata }) => [`${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name'] ?? ''}`]);
    const touched = (key: string) => {
      for (const watched of this.#remotes.values()) {
        if (`${watched.remote.service.namespace}/${watched.remote.service.name}` !== key) continue;
        watched.dirty = true;
        watched.wake?.();
      }
    };
    const service = ({ metadata }: Service) => touched(`${metadata.namespace}/${metadata.name}`);
    const slice = ({ metadata }: EndpointSlice) => touched(`${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name'] ?? ''}`);
    this.#services.addHandler({ onAdd: service, onUpdate: (_old, next) => service(next), onDelete: service });
    this.#slices.addHandler({ onAdd: slice, onUpdate: (_old, next) => slice(next), onDelete: slice });
  }
  readonly #lookup = {
    service: (namespace: string, name: string) => this.#services?.get(`${namespace}/${name}`),
    slices: (namespace: string, name: string) => this.#slices?.byIndex(byService, `${namespace}/${name}`) ?? [],
  };

  /** Checks one server until it is dropped. */
  async #follow(watched: Watched): Promise<void> {
    const { remote } = watched;
    const { clock, log } = this.#deps;
    const signal = AbortSignal.any([this.#signal, watched.stop.signal]);
    let retryMs = firstRetryMs;
    let discoveredAt = -Infinity;
    signal.addEventListener('abort', () => watched.wake?.(), { once: true });
    try { await Promise.all([this.#services!.synced(signal), this.#slices!.synced(signal)]); } catch { return; }
    while (!signal.aborted) {
      watched.dirty = false;
      let failed = false;
      try {
        const verdict = checkBackends(remote, this.#lookup) ?? await checkDiscovery(remote, signal);
        if (signal.aborted) return;
        failed = verdict.status !== 'True';
        if (!failed && (!remote.discovery || clock.monotonic() - discoveredAt > discoveryFreshMs)) {
          try {
            remote.discovery = await fetchDiscovery(remote, signal);
            discoveredAt = clock.monotonic();
          } catch (err) { log.debug({ err, apiservice: remote.name }, 'no discovery from an aggregated server'); }
          this.generation++;
        }
        const object = this.#apiServices.get(remote.name);
        if (object && !signal.aborted) await this.#write(object, verdict);
      } catch (err) {
        if (signal.aborted) return;
        failed = true;
        log.warn({ err, apiservice: remote.name }, 'could not check an APIService');
      }
      if (watched.dirty) continue;
      const delayMs = failed ? retryMs : resyncMs;
      retryMs = failed ? Math.min(retryMs * 2, resyncMs) : firstRetryMs;
      await new Promise<void>((resolve) => {
        const timer: Timer = clock.after(delayMs, resolve, { keepAlive: false });
        watched.wake = () => { timer.cancel(); resolve(); };
        if (signal.aborted) watched.wake();
      });
      watched.wake = undefined;
    }
  }

  async #write(object: APIService, verdict: Parameters<typeof writeCondition>[3]): Promise<void> {
    try { await writeCondition(this.#deps.client, this.#deps.clock, object, verdict, this.#signal); } catch (err) {
      if (!this.#signal.aborted) this.#deps.log.warn({ err, apiservice: object.metadata.name }, 'could not write the condition of an APIService');
    }
  }
  #resync(): void { if (!this.#signal.aborted) this.#track(this.#registration.sync()); }
  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.catch((err: unknown) => { if (!this.#signal.aborted) this.#deps.log.error({ err }, 'aggregation'); }).finally(() => this.#running.delete(work));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const name of [...this.#remotes.keys()]) this.#drop(name);
    await Promise.allSettled(this.#running);
    await this.#informers[Symbol.asyncDispose]();
  }
}

interface Watched { remote: RemoteApi; stop: AbortController; dirty: boolean; wake: (() => void) | undefined }
