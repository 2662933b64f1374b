/**
 * Keeps an APIService for every group version that is served here: built-in ones once at start, custom resources' as long as they
 * are served. Users may take over an APIService by taking the label off.
 * Source: kube-aggregator/pkg/controllers/autoregister, pkg/controlplane/controller/crdregistration.
 */
import type { Logger } from '../../base/log.ts';
import { jsonEqual, type Json } from '../../base/json.ts';
import type { APIService, APIServiceSpec } from '../../api/apiregistration/v1.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../api/meta/status.ts';
import { apiservices, customresourcedefinitions } from '../../api/resources.ts';
import type { Client } from '../../client/client.ts';
import type { Informer } from '../../client/informer.ts';
import type { ResourceTable } from '../resource-table.ts';
import { builtInPriority, customPriority, ownGroup } from './priorities.ts';

export const automanagedLabel = 'kube-aggregator.kubernetes.io/automanaged';
type Managed = 'onstart' | 'true';
interface Desired { spec: APIServiceSpec; managed: Managed }

export interface RegistrationDeps { client: Client; informer: Informer<APIService>; resources: ResourceTable; log: Logger; signal: AbortSignal }

export function desiredApiServices(resources: ResourceTable): Map<string, Desired> {
  const desired = new Map<string, Desired>();
  for (const { names: { group, version } } of resources.all()) {
    const name = `${version}.${group}`;
    if (group === ownGroup || desired.has(name)) continue;
    const builtIn = builtInPriority(group, version);
    desired.set(name, { spec: { ...(group ? { group } : {}), version, ...(builtIn ?? customPriority) }, managed: builtIn ? 'onstart' : 'true' });
  }
  return desired;
}

export class Registration {
  readonly #deps: RegistrationDeps;
  /** APIServices that were there when we began; ones made later with the label onstart are someone's own. */
  readonly #atStart = new Set<string>();
  readonly #synced = new Set<string>();
  #running: Promise<void> | undefined;
  #again = false;

  constructor(deps: RegistrationDeps) { this.#deps = deps; }

  /** Registers what is served now; afterwards `sync` follows changes. */
  async start(): Promise<void> {
    const { informer, signal } = this.#deps;
    await informer.synced(signal);
    for (const object of informer.list()) this.#atStart.add(object.metadata.name);
    await this.sync();
  }

  /** One pass over everything; a call during a pass makes another follow. */
  sync(): Promise<void> {
    if (this.#running) { this.#again = true; return this.#running; }
    return this.#running = (async () => {
      do {
        this.#again = false;
        await this.#pass();
      } while (this.#again && !this.#deps.signal.aborted);
    })().finally(() => { this.#running = undefined; });
  }

  async #pass(): Promise<void> {
    const desired = desiredApiServices(this.#deps.resources);
    const names = new Set([...desired.keys(), ...this.#deps.informer.list().map(({ metadata }) => metadata.name)]);
    await Promise.all([...names].map(async (name) => {
      try { await this.#one(name, desired.get(name)); this.#synced.add(name); } catch (err) {
        if (!this.#deps.signal.aborted) this.#deps.log.warn({ err, apiservice: name }, 'could not register an APIService');
      }
    }));
  }

  async #one(name: string, wanted: Desired | undefined): Promise<void> {
    const { client, informer, signal } = this.#deps;
    const current = informer.get(name);
    const managed = current?.metadata.labels?.[automanagedLabel];
    if (wanted?.managed === 'onstart' && this.#synced.has(name)) return;
    if (!current) {
      if (!wanted) return;
      try {
        await client.for(apiservices).create({ metadata: { name, labels: { [automanagedLabel]: wanted.managed } }, spec: wanted.spec }, { signal });
      } catch (err) { if (!isAlreadyExists(err)) throw err; }
      return;
    }
    if (managed !== 'onstart' && managed !== 'true') return;
    if (managed === 'onstart' && (!this.#atStart.has(name) || this.#synced.has(name))) return;
    try {
      if (!wanted && managed === 'true' && await this.#hasDefinition(current.spec)) return; // about to be served
      if (!wanted) await client.for(apiservices).delete({ name }, { signal, preconditions: { uid: current.metadata.uid! } });
      else if (!jsonEqual(current.spec as unknown as Json, wanted.spec as unknown as Json)) await client.for(apiservices).update({ ...current, spec: wanted.spec }, { signal });
    } catch (err) { if (!isNotFound(err) && !isConflict(err)) throw err; }
  }

  /** At start custom resources are served a little later than their definitions are there. */
  async #hasDefinition({ group, version }: APIServiceSpec): Promise<boolean> {
    const { items } = await this.#deps.client.for(customresourcedefinitions).list({ signal: this.#deps.signal });
    return items.some(({ spec }) => spec.group === group && spec.versions.some(({ name, served }) => served && name === version));
  }
}
