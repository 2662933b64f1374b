/**
 * The node agent: takes pods from the apiserver and from a folder, and makes the runtime agree. This file puts the parts together and
 * routes what each source says to the pods' workers. Text: kubernetes.io/docs/concepts/architecture/#kubelet.
 */
import { watch } from 'node:fs';
import type { Node, PersistentVolume, Pod } from '../api/core/v1.ts';
import { nodes as nodeNames, persistentvolumeclaims, persistentvolumes, pods as podNames, runtimeclasses, services as serviceNames } from '../api/resources.ts';
import { type Clock, every, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Client } from '../client/client.ts';
import { createEventRecorder, referenceTo } from '../client/events.ts';
import type { InformerFactory } from '../client/informer.ts';
import { admit } from './admission.ts';
import { createAllocations } from './allocation.ts';
import { type KubeletConfig, defaultConfig } from './config.ts';
import { createContainerKiller } from './container-killer.ts';
import { createContainerStarter } from './container-starter.ts';
import { createEvictionManager } from './eviction.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { createHandlers } from './handlers.ts';
import type { Host } from './host.ts';
import { createImageManager } from './image-manager.ts';
import { annotations, isMirrorPod, isStaticPod, labels, podKey, uidOf } from './names.ts';
import { keepNodeLease } from './node-lease.ts';
import { allocatableNumbers, createNodeReporter } from './node-status.ts';
import { createObjectCache } from './object-cache.ts';
import { createPleg } from './pleg.ts';
import { createStateReader } from './pod-state.ts';
import { createPodSyncer } from './pod-syncer.ts';
import { type PodWorkers, createPodWorkers } from './pod-workers.ts';
import { createProbeManager } from './probes/probe-manager.ts';
import { pullAuths } from './pull-secrets.ts';
import type { Recorder } from './recorder.ts';
import type { Runtime } from './runtime/runtime.ts';
import { runLogRotation } from './server/log-rotation.ts';
import { type StatusManager, createStatusManager } from './status-manager.ts';
import { createMirrorPods, createStaticPodSource } from './static-pods.ts';
import { createTerminationReader } from './termination-message.ts';
import { createTokenManager } from './token-manager.ts';
import { createVolumeManager } from './volumes/volume-manager.ts';

export interface KubeletOptions {
  nodeName: string; client: Client; informers: InformerFactory; runtime: Runtime; host: Host; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal;
  config?: Partial<KubeletConfig> | undefined;
  /** For tests; default: events through the client. */
  recorder?: Recorder | undefined;
}
export interface Kubelet {
  /** Until the signal aborts. Containers go on running; the next kubelet adopts them. */
  run(): Promise<void>;
  readonly nodeName: string;
  readonly config: KubeletConfig;
  /** Everything its sources gave it, static pods included. */
  pods(): Pod[];
  podByName(namespace: string, name: string): Pod | undefined;
  readonly workers: PodWorkers;
  readonly statuses: StatusManager;
  node(): Node | undefined;
  /** No worker has anything to do right now. */
  idle(): boolean;
}

const housekeepingMs = 60_000;
const firstListMs = 100;

/** Asks the runtime and the machine who they are; the rest happens in `run`. */
export async function createKubelet(options: KubeletOptions): Promise<Kubelet> {
  const { nodeName, client, informers, runtime, host, clock, rng, log, signal } = options;
  const config: KubeletConfig = { ...defaultConfig, ...options.config };
  const [machine, version] = await Promise.all([host.machine(), runtime.version()]);
  const hostIPs = config.nodeIPs ?? machine.addresses.slice(0, 1);
  const node = { nodeName, memoryBytes: machine.memoryBytes };
  const allocatable = allocatableNumbers(machine, config);
  const allocations = createAllocations(allocatable);
  const recorder = options.recorder ?? apiRecorder(createEventRecorder({ client, clock, log, component: 'kubelet', host: nodeName, signal }));

  const podInformer = informers.informer(podNames, { fieldSelector: `spec.nodeName=${nodeName}` });
  const nodeInformer = informers.informer(nodeNames, { fieldSelector: `metadata.name=${nodeName}` });
  const serviceInformer = informers.informer(serviceNames);
  const statics = new Map<string, Pod>();
  let sourcesReady = false;
  /** The API's view of a pod: itself, or the mirror of a static one. */
  const latestPod = (pod: Pod): Pod | undefined => {
    const found = podInformer.get(podKey(pod));
    if (!found) return undefined;
    return isStaticPod(pod) ? (found.metadata.annotations?.[annotations.configMirror] === pod.metadata.annotations?.[annotations.configHash] ? found : undefined) : uidOf(found) === uidOf(pod) ? found : undefined;
  };

  const reader = createStateReader(runtime, createTerminationReader(host));
  const handlers = createHandlers({ runtime, clock, simulated: host.simulated });
  const killer = createContainerKiller({ runtime, handlers, clock, recorder, log, hostIP: hostIPs[0] ?? '' });
  const tokens = createTokenManager(client, clock);
  const objects = createObjectCache({ client, clock, log, signal, onChange: (uids) => { for (const uid of uids) workers.wake(uid, true); } });
  const images = createImageManager({ runtime, clock, recorder, maxParallelPulls: config.serializeImagePulls ? 1 : config.maxParallelImagePulls, auths: (pod, image) => pullAuths(pod, image, objects) });
  const volumes = createVolumeManager({ host, clock, recorder, rootDir: config.rootDir });
  const probes = createProbeManager({ handlers, clock, rng, recorder, signal, startedAtMs: clock.now(), hostIP: hostIPs[0] ?? '', onChange: (uid) => workers.wake(uid) });
  const starter = createContainerStarter({ runtime, images, handlers, killer, host, clock, rng, recorder, config, node });
  const statuses = createStatusManager({ client, clock, log, signal, nodeName, latest: latestPod });

  async function resolveClaim(namespace: string, name: string): Promise<PersistentVolume> {
    const claim = await client.for(persistentvolumeclaims).get({ namespace, name }, { signal });
    if (!claim.spec?.volumeName || claim.status?.phase !== 'Bound') throw new Error(`PVC ${namespace}/${name} is not bound`);
    const volume = await client.for(persistentvolumes).get({ name: claim.spec.volumeName }, { signal });
    if (volume.spec?.claimRef?.uid && volume.spec.claimRef.uid !== claim.metadata.uid) throw new Error(`PV ${volume.metadata.name} is bound to another claim`);
    return volume;
  }

  const syncer = createPodSyncer({
    runtime, reader, host, volumes, objects, tokens, probes, starter, killer, statuses, recorder, clock, log, config, node, runtimeName: version.runtimeName, hostIPs, resolveClaim, latestPod,
    resizePending: (uid) => allocations.pending(uid), networkProblem: () => reporter.networkProblem(),
    runtimeHandler: async (name) => (await client.for(runtimeclasses).get({ name }, { signal })).handler,
    environment: (pod, podIPs) => ({
      configMap: (namespace, name) => objects.get('configmap', namespace, name), secret: (namespace, name) => objects.get('secret', namespace, name),
      services(namespace) {
        if (!serviceInformer.hasSynced && !isStaticPod(pod)) throw new Error('services have not yet been read at least once, cannot construct envvars');
        return serviceInformer.list(namespace);
      },
      addresses: { podIPs, hostIPs, nodeName }, allocatable,
      async volumeFile(volume, path) { const mounted = volumes.mounted(uidOf(pod)).get(volume); return mounted ? host.readFile(`${mounted.hostPath}/${path}`) : undefined; },
    }),
  });
  const workers = createPodWorkers({
    syncer, clock, rng, log, signal, syncFrequencyMs: config.syncFrequencyMs,
    onFinished(pod) {
      statuses.forget(uidOf(pod));
      allocations.forget(uidOf(pod));
      retryDeferred();
      // A pod of the same name may have been waiting for this one to go.
      const next = isStaticPod(pod) ? [...statics.values()].find((other) => podKey(other) === podKey(pod)) : undefined;
      if (next) workers.update(next);
    },
  });
  const pleg = createPleg({ runtime, clock, log, signal, onChange: (uid) => workers.wake(uid) });
  const eviction = createEvictionManager({ host, runtime, workers, clock, log, config, signal, recorder, images: (force) => collector.images(force), onChange: () => reporter.poke() });
  const reporter = createNodeReporter({ nodeName, client, runtime, machine, config, clock, log, recorder, signal, hostIPs, runtimeVersion: { name: version.runtimeName, version: version.runtimeVersion }, plegProblem: () => pleg.problem(),
    onNetworkReady: () => { for (const { pod } of workers.pods()) workers.wake(uidOf(pod), true); }, pressure: () => eviction.pressure(), volumesInUse: () => [] });
  const mirrors = createMirrorPods({ client, node: () => reporter.node(), nodeName, signal });
  const collector = createGarbageCollector({ runtime, host, workers, clock, log, config, signal, recorder, nodeName, sourcesReady: () => sourcesReady });

  function accept(pod: Pod): void {
    const uid = uidOf(pod);
    const known = workers.stateOf(uid);
    const live = () => workers.pods().filter(({ state }) => state === 'syncing' || state === 'terminating').map((item) => item.pod);
    const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (known === undefined && !ended && !pod.metadata.deletionTimestamp) {
      const refusal = admit(pod, live(), reporter.node(), allocatable, config) ?? eviction.refuses(pod);
      if (refusal) {
        recorder.event(pod, 'Warning', refusal.reason, refusal.message);
        workers.refuse(pod, { phase: 'Failed', reason: refusal.reason, message: `Pod was rejected: ${refusal.message}` });
        return;
      }
    }
    workers.update(allocations.granted(pod, live()));
    // Room that one gave back may be what another waits for.
    if (known !== undefined) retryDeferred(uid);
  }
  function retryDeferred(except?: string): void {
    for (const pod of allocations.deferred()) if (uidOf(pod) !== except && workers.stateOf(uidOf(pod)) === 'syncing') {
      const others = workers.pods().filter(({ state }) => state === 'syncing' || state === 'terminating').map((item) => item.pod);
      const granted = allocations.granted(pod, others);
      if (!allocations.pending(uidOf(pod))) workers.update(granted);
    }
  }

  let podCIDR = config.podCIDR;
  const onNode = (seen: Node): void => {
    reporter.observed(seen);
    const next = seen.spec?.podCIDR;
    if (!next || next === podCIDR) return;
    podCIDR = next;
    runtime.updateRuntimeConfig({ podCidr: next }).then(() => reporter.poke(), (error: unknown) => { podCIDR = undefined; log.warn({ err: (error as Error).message }, 'could not tell the runtime the pod CIDR'); });
  };
  nodeInformer.addHandler({ onAdd: onNode, onUpdate: (_, next) => onNode(next) });

  function keepMirror(pod: Pod): void {
    const mirror = podInformer.get(podKey(pod));
    if (!podInformer.hasSynced || !reporter.node()) return;
    mirrors.ensure(pod, mirror).catch((error: unknown) => { if (!signal.aborted) log.debug({ err: (error as Error).message, pod: pod.metadata.name }, 'Failed creating a mirror pod'); });
  }
  const onApiPod = (pod: Pod): void => {
    if (!isMirrorPod(pod)) { accept(pod); statuses.observed(pod); return; }
    const own = [...statics.values()].find((item) => podKey(item) === podKey(pod));
    if (!own) { mirrors.remove(pod).catch(() => {}); return; }
    keepMirror(own);
    statuses.observed(pod);
  };
  const onApiGone = (pod: Pod): void => {
    if (!isMirrorPod(pod)) { workers.remove(uidOf(pod)); return; }
    const own = [...statics.values()].find((item) => podKey(item) === podKey(pod));
    if (own) keepMirror(own);
  };

  /** What runs here though no source knows it. */
  async function endOrphans(): Promise<void> {
    for (const found of (await reader.listPods()).values()) {
      if (workers.stateOf(found.uid) !== undefined || statics.has(found.uid)) continue;
      log.info({ pod: `${found.namespace}/${found.name}`, uid: found.uid }, 'ending a pod that nobody asked for');
      workers.killOrphan({ apiVersion: 'v1', kind: 'Pod', metadata: { name: found.name, namespace: found.namespace, uid: found.uid, labels: { [labels.podUid]: found.uid } }, spec: { containers: [] } });
    }
  }

  /** Ready follows the pod network's first configuration at once. */
  async function watchCni(): Promise<void> {
    if (!config.cniConfDir || host.simulated) return;
    await host.makeDir(config.cniConfDir, 0o755);
    const watcher = watch(config.cniConfDir, () => reporter.poke());
    watcher.on('error', () => {});
    signal.addEventListener('abort', () => watcher.close(), { once: true });
  }

  return {
    nodeName, config, workers, statuses,
    pods: () => [...podInformer.list().filter((pod) => !isMirrorPod(pod)), ...statics.values()],
    podByName: (namespace, name) => { const found = podInformer.get(`${namespace}/${name}`); return found && !isMirrorPod(found) ? found : [...statics.values()].find((pod) => podKey(pod) === `${namespace}/${name}`) ?? found; },
    node: () => reporter.node(), idle: () => workers.idle() && statuses.idle(),
    async run() {
      recorder.event({ apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName } }, 'Normal', 'Starting', 'Starting kubelet.');
      await host.makeDir(`${config.rootDir}/pods`, 0o750);
      let staticsRead = () => {};
      const staticsSynced = new Promise<void>((resolve) => { staticsRead = resolve; });
      const source = config.staticPodPath ? createStaticPodSource({
        path: config.staticPodPath, host, nodeName, clock, log, signal, checkEveryMs: config.fileCheckFrequencyMs, onSynced: staticsRead,
        onUpdate(pod) {
          statics.set(uidOf(pod), pod);
          keepMirror(pod);
          // The old pod of this name ends first; its ports and volumes are the same.
          const old = workers.pods().find((item) => isStaticPod(item.pod) && podKey(item.pod) === podKey(pod) && uidOf(item.pod) !== uidOf(pod));
          if (!old) accept(pod);
        },
        onRemove(pod) {
          statics.delete(uidOf(pod));
          workers.remove(uidOf(pod));
          const mirror = podInformer.get(podKey(pod));
          if (mirror && isMirrorPod(mirror) && ![...statics.values()].some((other) => podKey(other) === podKey(pod))) mirrors.remove(mirror).catch(() => {});
        },
      }) : undefined;
      if (!source) staticsRead();
      const seen = (async () => {
        await Promise.all([podInformer.synced(signal), serviceInformer.synced(signal)]); // environments name the services
        // The oldest first, so that a restart admits what it had admitted.
        for (const pod of podInformer.list().sort((a, b) => ((a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1))) onApiPod(pod);
        podInformer.addHandler({ onAdd: onApiPod, onUpdate: (_, next) => onApiPod(next), onDelete: onApiGone });
        await staticsSynced;
        sourcesReady = true;
        for (const pod of statics.values()) keepMirror(pod);
        await endOrphans();
      })().catch((error: unknown) => { if (!signal.aborted) throw error; });
      const nodeWork = (async () => {
        // One list of the runtime first, so that a healthy node is Ready in its first status.
        const late = new AbortController();
        await Promise.race([pleg.listed, sleep(clock, firstListMs, AbortSignal.any([signal, late.signal])).catch(() => {})]);
        late.abort();
        await reporter.register();
        for (const pod of statics.values()) keepMirror(pod);
        await Promise.all([reporter.run(), keepNodeLease({ nodeName, client, clock, log, signal, durationSeconds: config.nodeLeaseDurationSeconds, node: () => reporter.node() })]);
      })();
      await Promise.all([
        seen, nodeWork, watchCni(), source?.run(), host.simulated ? undefined : runLogRotation({ runtime, clock, log, signal, config }), pleg.run(), collector.run(), eviction.run(),
        every(clock, housekeepingMs, signal, async () => {
          starter.sweep();
          for (const pod of statics.values()) keepMirror(pod);
          if (sourcesReady) await endOrphans().catch((error: unknown) => { log.debug({ err: error }, 'orphans not listed'); });
        }),
      ]);
    },
  };
}

function apiRecorder(events: ReturnType<typeof createEventRecorder>): Recorder {
  return { event: (object, type, reason, message, fieldPath) => events.event(fieldPath ? { ...referenceTo(object), fieldPath } : object, type, reason, message) };
}
