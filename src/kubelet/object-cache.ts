/**
 * The ConfigMaps and Secrets that pods here refer to: one watch per object, limited to its name, for as long as some pod refers to it.
 * Changes wake the pods. Immutable objects are read once. Behaviour: upstream's watch-based manager (pkg/kubelet/util/manager).
 */
import type { ConfigMap, Pod, Secret } from '../api/core/v1.ts';
import { configmaps, secrets } from '../api/resources.ts';
import { type Clock, sleep } from '../base/clock.ts';
import type { Client, ResourceClient } from '../client/client.ts';
import type { Logger } from '../base/log.ts';
import { uidOf } from './names.ts';

export type ObjectKind = 'configmap' | 'secret';
interface Types { configmap: ConfigMap; secret: Secret }
interface Entry {
  kind: ObjectKind; namespace: string; name: string;
  pods: Set<string>;
  value: ConfigMap | Secret | undefined;
  ready: Promise<void>;
  failure: unknown;
  stop: AbortController;
}
const retryMs = 1000;

export interface ObjectCache {
  /** Takes references for all that the pod names, and drops those it no longer does. */
  register(pod: Pod): void;
  unregister(uid: string): void;
  /** Undefined when it does not exist. Throws when the apiserver refuses. */
  get<K extends ObjectKind>(kind: K, namespace: string, name: string): Promise<Types[K] | undefined>;
}

/** 'configmap/name' and 'secret/name' of everything in the spec. */
export function referencedObjects(pod: Pod): Set<string> {
  const out = new Set<string>();
  const add = (kind: ObjectKind, name: string | undefined) => { if (name) out.add(`${kind}/${name}`); };
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])]) {
    for (const from of container.envFrom ?? []) { add('configmap', from.configMapRef?.name); add('secret', from.secretRef?.name); }
    for (const { valueFrom } of container.env ?? []) { add('configmap', valueFrom?.configMapKeyRef?.name); add('secret', valueFrom?.secretKeyRef?.name); }
  }
  for (const volume of pod.spec.volumes ?? []) {
    add('configmap', volume.configMap?.name);
    add('secret', volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) { add('configmap', source.configMap?.name); add('secret', source.secret?.name); }
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add('secret', name);
  return out;
}

export function createObjectCache(options: { client: Client; clock: Clock; log: Logger; signal: AbortSignal; onChange(uids: string[]): void }): ObjectCache {
  const { client, clock, log } = options;
  const entries = new Map<string, Entry>();
  const byPod = new Map<string, Set<string>>();
  const resourceOf = (kind: ObjectKind): ResourceClient<ConfigMap | Secret> => (kind === 'configmap' ? client.for(configmaps) : client.for(secrets)) as ResourceClient<ConfigMap | Secret>;

  function release(key: string, uid: string): void {
    const entry = entries.get(key);
    if (!entry) return;
    entry.pods.delete(uid);
    if (entry.pods.size === 0) { entries.delete(key); entry.stop.abort(); }
  }

  function acquire(kind: ObjectKind, namespace: string, name: string, uid: string): void {
    const key = `${kind}/${namespace}/${name}`;
    let entry = entries.get(key);
    if (!entry) {
      entry = { kind, namespace, name, pods: new Set(), value: undefined, ready: Promise.resolve(), failure: undefined, stop: new AbortController() };
      entries.set(key, entry);
      const made = entry;
      entry.ready = new Promise((resolve) => { void follow(made, resolve); });
    }
    entry.pods.add(uid);
  }

  async function follow(entry: Entry, ready: () => void): Promise<void> {
    const signal = AbortSignal.any([options.signal, entry.stop.signal]);
    const resource = resourceOf(entry.kind);
    const at = { namespace: entry.namespace, fieldSelector: `metadata.name=${entry.name}`, signal };
    const change = (value: ConfigMap | Secret | undefined, first: boolean) => {
      const same = entry.value?.metadata.resourceVersion === value?.metadata.resourceVersion;
      entry.value = value;
      entry.failure = undefined;
      if (!first && !same) options.onChange([...entry.pods]);
    };
    let first = true;
    let resourceVersion: string | undefined;
    while (!signal.aborted) {
      try {
        if (resourceVersion === undefined) {
          const list = await resource.list(at);
          resourceVersion = list.metadata.resourceVersion;
          const hadFailure = entry.failure !== undefined;
          change(list.items[0], first && !hadFailure);
          first = false;
          ready();
        }
        if (entry.value?.immutable) return;
        for await (const event of resource.watch({ ...at, resourceVersion, allowWatchBookmarks: true })) {
          if (event.type === 'ERROR') { resourceVersion = undefined; break; }
          resourceVersion = event.object.metadata.resourceVersion;
          if (event.type !== 'BOOKMARK') change(event.type === 'DELETED' ? undefined : event.object, false);
          if (entry.value?.immutable) return;
        }
        if (resourceVersion !== undefined) await sleep(clock, retryMs / 10, signal);
      } catch (error) {
        if (signal.aborted) break;
        resourceVersion = undefined;
        if (first) entry.failure = error;
        ready();
        log.debug({ err: error, object: `${entry.kind} ${entry.namespace}/${entry.name}` }, 'watch broke off; trying again');
        await sleep(clock, retryMs, signal).catch(() => {});
      }
    }
    ready();
  }

  return {
    register(pod) {
      const uid = uidOf(pod);
      const namespace = pod.metadata.namespace ?? 'default';
      const wanted = new Set<string>();
      for (const ref of referencedObjects(pod)) {
        const [kind, name] = ref.split('/') as [ObjectKind, string];
        wanted.add(`${kind}/${namespace}/${name}`);
        acquire(kind, namespace, name, uid);
      }
      for (const key of byPod.get(uid) ?? []) if (!wanted.has(key)) release(key, uid);
      byPod.set(uid, wanted);
    },
    unregister(uid) {
      for (const key of byPod.get(uid) ?? []) release(key, uid);
      byPod.delete(uid);
    },
    async get(kind, namespace, name) {
      const entry = entries.get(`${kind}/${namespace}/${name}`);
      if (!entry) {
        const list = await resourceOf(kind).list({ namespace, fieldSelector: `metadata.name=${name}`, signal: options.signal });
        return list.items[0] as never;
      }
      await entry.ready;
      if (entry.failure !== undefined) throw entry.failure;
      return entry.value as never;
    },
  };
}
