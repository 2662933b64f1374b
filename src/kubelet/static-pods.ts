/**
 * Pods from a folder of manifests, and their mirrors in the API so that they can be seen there. The kubelet runs them with or without an
 * apiserver. Text: kubernetes.io/docs/tasks/configure-pod-container/static-pod; annotations and uid as upstream's pkg/kubelet/config.
 */
import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { isAlreadyExists, isNotFound } from '../api/meta/status.ts';
import type { Node, Pod } from '../api/core/v1.ts';
import { pods } from '../api/resources.ts';
import { type Clock, sleep, timestamp } from '../base/clock.ts';
import type { Draft } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import type { Host } from './host.ts';
import { defaultPullPolicy } from './image-manager.ts';
import { annotations, uidOf } from './names.ts';

/** Editors write in several steps; wait for the last. */
const settleMs = 50;
const manifestLimitBytes = 10 * 1024 * 1024;

/** The pod of a manifest as this node runs it. Throws when it is no pod. */
export function staticPod(text: string, file: string, nodeName: string, now: number): Pod {
  const [document] = parseAllDocuments(text);
  if (!document || document.errors.length > 0) throw new Error(`${file}: ${document?.errors[0]?.message ?? 'empty manifest'}`);
  const pod = document.toJS() as Draft<Pod>;
  if (pod?.kind !== 'Pod' || !pod.metadata?.name || !Array.isArray(pod.spec?.containers)) throw new Error(`${file}: not a Pod with a name and containers`);
  const hash = createHash('md5').update(`${nodeName}\n${file}\n${JSON.stringify(pod)}`).digest('hex');
  pod.apiVersion = 'v1';
  pod.metadata.uid ||= hash;
  pod.metadata.name = `${pod.metadata.name}-${nodeName.toLowerCase()}`;
  pod.metadata.namespace ||= 'default';
  pod.metadata.annotations = { ...pod.metadata.annotations, [annotations.configHash]: pod.metadata.uid, [annotations.configSource]: 'file', [annotations.configSeen]: timestamp(now) };
  const { spec } = pod;
  spec.nodeName = nodeName;
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.enableServiceLinks ??= true;
  spec.schedulerName ??= 'default-scheduler';
  spec.securityContext ??= {};
  spec.tolerations = [...(spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }];
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
    container.imagePullPolicy ??= defaultPullPolicy(container.image ?? '');
    container.terminationMessagePath ??= '/dev/termination-log';
    container.terminationMessagePolicy ??= 'File';
    container.resources ??= {};
  }
  pod.status = { phase: 'Pending' };
  return pod;
}

export interface StaticPodSource { run(): Promise<void> }

export function createStaticPodSource(options: {
  path: string; host: Host; nodeName: string; clock: Clock; log: Logger; signal: AbortSignal; checkEveryMs: number;
  onUpdate(pod: Pod): void; onRemove(pod: Pod): void; onSynced(): void;
}): StaticPodSource {
  const { path, host, nodeName, clock, log, signal } = options;
  const known = new Map<string, Pod>();
  const texts = new Map<string, { text: string; pod: Pod | undefined }>();

  async function scan(): Promise<void> {
    const found = new Map<string, Pod>();
    const files = (await host.listDir(path)).filter((file) => !file.startsWith('.')).sort();
    for (const file of files) {
      const full = `${path}/${file}`;
      const text = await host.readFile(full, manifestLimitBytes).catch(() => undefined);
      if (text === undefined) continue;
      let entry = texts.get(full);
      if (entry?.text !== text) {
        entry = { text, pod: undefined };
        try { entry.pod = staticPod(text, full, nodeName, clock.now()); } catch (error) { log.error({ err: (error as Error).message }, "Can't process manifest file"); }
        texts.set(full, entry);
      }
      if (entry.pod) found.set(uidOf(entry.pod), entry.pod);
    }
    for (const full of texts.keys()) if (!files.includes(full.slice(path.length + 1))) texts.delete(full);
    for (const [uid, pod] of known) if (!found.has(uid)) { known.delete(uid); options.onRemove(pod); }
    for (const [uid, pod] of found) if (!known.has(uid)) { known.set(uid, pod); options.onUpdate(pod); }
  }

  return {
    async run() {
      let notify = () => {};
      let watcher: ReturnType<typeof watch> | undefined;
      const open = () => {
        if (watcher) return;
        try { watcher = watch(path, () => notify()); } catch { return; }
        watcher.on('error', () => { watcher?.close(); watcher = undefined; });
      };
      if (!host.simulated) { await host.makeDir(path, 0o755); open(); }
      let first = true;
      while (!signal.aborted) {
        try { await scan(); if (first) { first = false; options.onSynced(); } } catch (error) { log.warn({ err: (error as Error).message }, 'could not read static pods'); }
        const noticed = new Promise<void>((resolve) => { notify = resolve; });
        const stop = new AbortController();
        await Promise.race([noticed, sleep(clock, options.checkEveryMs, AbortSignal.any([signal, stop.signal])).catch(() => {})]);
        stop.abort();
        if (!signal.aborted) await sleep(clock, settleMs, signal).catch(() => {});
        open();
      }
      watcher?.close();
    },
  };
}

export interface MirrorPods {
  /** Makes the API show this static pod, replacing an outdated mirror. */
  ensure(pod: Pod, mirror: Pod | undefined): Promise<void>;
  remove(mirror: Pod): Promise<void>;
}
export function createMirrorPods(options: { client: Client; node(): Node | undefined; nodeName: string; signal: AbortSignal }): MirrorPods {
  const resource = options.client.for(pods);
  const hashOf = (pod: Pod) => pod.metadata.annotations?.[annotations.configHash];
  const mirrors: MirrorPods = {
    async ensure(pod, mirror) {
      if (mirror && mirror.metadata.annotations?.[annotations.configMirror] === hashOf(pod) && !mirror.metadata.deletionTimestamp) return;
      if (mirror) await mirrors.remove(mirror);
      const uid = options.node()?.metadata.uid;
      if (!uid) throw new Error(`node ${options.nodeName} is not registered yet`);
      const { uid: _, ...metadata } = pod.metadata;
      try {
        await resource.create({ ...pod, metadata: { ...metadata, annotations: { ...metadata.annotations, [annotations.configMirror]: hashOf(pod)! }, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: options.nodeName, uid, controller: true }] } },
          { namespace: pod.metadata.namespace, signal: options.signal });
      } catch (error) { if (!isAlreadyExists(error)) throw error; }
    },
    async remove(mirror) {
      try { await resource.delete({ namespace: mirror.metadata.namespace, name: mirror.metadata.name }, { gracePeriodSeconds: 0, ...(mirror.metadata.uid ? { preconditions: { uid: mirror.metadata.uid } } : {}), signal: options.signal }); } catch (error) { if (!isNotFound(error)) throw error; }
    },
  };
  return mirrors;
}
