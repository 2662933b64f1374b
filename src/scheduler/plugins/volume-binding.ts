import type { PersistentVolume, PersistentVolumeClaim } from '../../api/core/v1.ts';
import { compileNodeSelector } from '../../api/core/node-selector.ts';
import { bestVolume, classOfClaim, isBound } from '../../api/core/volume-match.ts';
import { persistentvolumeclaims, persistentvolumes, storageclasses, nodes } from '../../api/resources.ts';
import type { Draft } from '../../base/json.ts';
import { sleep } from '../../base/clock.ts';
import { definePlugin, fits, unresolvable, type StorageView } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import type { PodInfo } from '../pod-info.ts';

const noProvisioner = 'kubernetes.io/no-provisioner';
const selectedNode = 'volume.kubernetes.io/selected-node';
const boundByController = 'pv.kubernetes.io/bound-by-controller';
/** How long a pod waits for its volumes once it has its node. Upstream: bindTimeoutSeconds. */
const bindTimeoutMs = 600_000;
const lookMs = 50;

interface State { bound: PersistentVolume[]; waiting: PersistentVolumeClaim[]; storage: StorageView }
type Choice = { claim: PersistentVolumeClaim; volume: PersistentVolume | undefined };

const claimNames = ({ pod }: PodInfo): string[] => (pod.spec.volumes ?? []).flatMap((volume) => (volume.persistentVolumeClaim ? [volume.persistentVolumeClaim.claimName] : volume.ephemeral ? [`${pod.metadata.name}-${volume.name}`] : []));
function reachable(volume: PersistentVolume, node: NodeInfo): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  return !required || compileNodeSelector(required)(node.node);
}

/** A volume for each claim that waits for its pod's node; undefined where there is none and none can be made. */
function choose({ waiting, storage }: State, node: NodeInfo): Choice[] | undefined {
  const taken = new Set<string>();
  const choices: Choice[] = [];
  for (const claim of waiting) {
    const volume = bestVolume(claim, storage.volumes().filter(({ metadata }) => !taken.has(metadata.name)), { nodeFits: (candidate) => reachable(candidate, node) });
    if (volume && !reachable(volume, node)) return undefined;
    if (volume) taken.add(volume.metadata.name);
    else if (storage.storageClass(classOfClaim(claim))?.provisioner === noProvisioner) return undefined;
    choices.push({ claim, volume });
  }
  return choices;
}

/**
 * Keeps nodes that reach the pod's volumes, and binds claims that waited for a node. The volume controller finishes what is begun here.
 * Text: kubernetes.io/docs/concepts/storage/storage-classes#volume-binding-mode. Source: scheduler/framework/plugins/volumebinding.
 */
export const volumeBinding = definePlugin<State>({
  name: 'VolumeBinding',
  requeueOn: [{ resource: persistentvolumeclaims, on: ['add', 'update'] }, { resource: persistentvolumes, on: ['add', 'update'] }, { resource: storageclasses, on: ['add', 'update'] }, { resource: nodes, on: ['add', 'update'] }],
  preFilter(pod, { storage }) {
    const names = claimNames(pod);
    if (names.length === 0 || !storage) return 'skip';
    const state: State = { bound: [], waiting: [], storage };
    for (const name of names) {
      const claim = storage.claim(pod.pod.metadata.namespace ?? '', name);
      if (!claim) return unresolvable(`persistentvolumeclaim "${name}" not found`);
      if (claim.status?.phase === 'Lost') return unresolvable(`persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ''}"`);
      if (claim.metadata.deletionTimestamp) return unresolvable(`persistentvolumeclaim "${name}" is being deleted`);
      if (isBound(claim)) {
        const volume = storage.volume(claim.spec!.volumeName!);
        if (!volume) return unresolvable(`persistentvolume "${claim.spec!.volumeName!}" not found`);
        state.bound.push(volume);
      } else if (!claim.spec?.volumeName && storage.storageClass(classOfClaim(claim))?.volumeBindingMode === 'WaitForFirstConsumer') state.waiting.push(claim);
      else return unresolvable('pod has unbound immediate PersistentVolumeClaims');
    }
    return { state };
  },
  filter(state, node) {
    if (!state.bound.every((volume) => reachable(volume, node))) return unresolvable("node(s) didn't match PersistentVolume's node affinity");
    return state.waiting.length === 0 || choose(state, node) ? fits : unresolvable("node(s) didn't find available persistent volumes to bind");
  },
  async preBind(pod, node, { storage }, { client, clock, signal }) {
    const { namespace = '' } = pod.pod.metadata;
    const claims = () => claimNames(pod).map((name) => storage?.claim(namespace, name)).filter((claim) => claim !== undefined);
    const waiting = claims().filter((claim) => !isBound(claim));
    if (!storage || waiting.length === 0) return;
    const choices = choose({ bound: [], waiting, storage }, node);
    if (!choices) throw new Error('no available persistent volumes to bind');
    await Promise.all(choices.map(async ({ claim, volume }) => {
      if (!volume) {
        await client.for(persistentvolumeclaims).update({ ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, [selectedNode]: node.name } } }, { signal });
      } else if (volume.spec?.claimRef?.uid !== claim.metadata.uid) {
        const { name, uid, resourceVersion } = claim.metadata;
        const annotations = volume.spec?.claimRef ? volume.metadata.annotations : { ...volume.metadata.annotations, [boundByController]: 'yes' };
        const next: Draft<PersistentVolume> = { ...structuredClone(volume) as Draft<PersistentVolume>, metadata: { ...volume.metadata as Draft<PersistentVolume>['metadata'], ...(annotations ? { annotations: { ...annotations } } : {}) } };
        (next.spec ??= {}).claimRef = { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace, name, uid: uid!, resourceVersion: resourceVersion! };
        // A conflict says that somebody else took it: the pod is tried again.
        await client.for(persistentvolumes).update(next, { signal });
      }
    }));
    const until = clock.monotonic() + bindTimeoutMs;
    while (claims().length < claimNames(pod).length || claims().some((claim) => !isBound(claim))) {
      if (clock.monotonic() > until) throw new Error('binding volumes: context deadline exceeded');
      await sleep(clock, lookMs, signal);
    }
  },
});
