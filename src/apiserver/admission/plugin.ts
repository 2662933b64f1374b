/** What admission plugins are given, and the small things they share. */
import type { Clock } from '../../base/clock.ts';
import type { Rng } from '../../base/rng.ts';
import type { Draft, JsonObject } from '../../base/json.ts';
import { forbidden, isNotFound, type StatusError } from '../../api/meta/status.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { ApiObject, Client } from '../../client/client.ts';
import { keyOf, splitKey, type InformerFactory } from '../../client/informer.ts';
import type { ResourceTable } from '../resource-table.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../types.ts';

export interface AdmissionDeps {
  /** As the apiserver itself. */
  client: Client;
  informers: InformerFactory;
  clock: Clock;
  rng: Rng;
  authorizer: Authorizer;
  /** What is served: how kinds are defaulted and shown in other versions. Without it, webhooks and policies see one version. */
  resources?: ResourceTable;
}

export type Operation = AdmissionAttributes['operation'];

/** `handles` for one resource: `on(pods, ['CREATE'])`. `subresources` default to the resource itself. */
export function on(names: ResourceNames, operations: readonly Operation[], subresources: readonly string[] = ['']): AdmissionPlugin['handles'] {
  return (operation, of, subresource) => of.plural === names.plural && of.group === names.group && operations.includes(operation) && subresources.includes(subresource);
}

/** The object as its type, for plugins that change it. */
export function draft<T>(attributes: AdmissionAttributes): Draft<T> { return attributes.object as unknown as Draft<T>; }
export function oldOf<T>(attributes: AdmissionAttributes): T { return attributes.oldObject as unknown as T; }

/** The 403 of a plugin, named as upstream names objects that have no name yet. Source: apiserver/pkg/admission/errors.go. */
export function refuse({ names, name, object }: AdmissionAttributes, why: string): StatusError {
  const metadata = object?.['metadata'] as JsonObject | undefined;
  return forbidden({ group: names.group, resource: names.plural }, name || String(metadata?.['name'] || metadata?.['generateName'] || 'Unknown'), why);
}

/** From the informer's copy; asks the server where that has nothing (yet). */
export async function find<T extends ApiObject>({ informers, client }: AdmissionDeps, names: ResourceNames<T>, key: string): Promise<T | undefined> {
  const known = informers.informer(names).get(key);
  if (known) return known;
  try { return await client.for(names).get(splitKey(key)); } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
}

/** All of a kind, or of a namespace; waits for the first list. */
export async function all<T extends ApiObject>({ informers }: AdmissionDeps, names: ResourceNames<T>, namespace?: string): Promise<T[]> {
  const informer = informers.informer(names);
  if (!informer.hasSynced) await informer.synced();
  return informer.list(namespace);
}

/** As `find`, and waits up to `timeoutMs` for it to appear. */
export async function findSoon<T extends ApiObject>(deps: AdmissionDeps, names: ResourceNames<T>, key: string, timeoutMs: number): Promise<T | undefined> {
  const found = await find(deps, names, key);
  if (found) return found;
  return await new Promise<T | undefined>((resolve) => {
    const remove = { handler: () => {} };
    const timer = deps.clock.after(timeoutMs, () => { remove.handler(); resolve(undefined); });
    const check = (object: T) => {
      if (keyOf(object) !== key) return;
      timer.cancel();
      queueMicrotask(() => remove.handler());
      resolve(object);
    };
    remove.handler = deps.informers.informer(names).addHandler({ onAdd: check, onUpdate: (_old, next) => check(next) });
  });
}

/** Of classes marked as default: the newest, then the first by name. */
export function defaultClass<T extends ApiObject>(classes: readonly T[], annotations: readonly string[]): T | undefined {
  return classes.filter(({ metadata }) => annotations.some((name) => metadata.annotations?.[name] === 'true'))
    .sort((a, b) => (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '') || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}
