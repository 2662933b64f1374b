/**
 * Makes the claims of pods' generic ephemeral volumes; garbage collection takes them away with the pod.
 * Text: kubernetes.io/docs/concepts/storage/ephemeral-volumes#generic-ephemeral-volumes. Upstream: pkg/controller/volume/ephemeral.
 */
import type { PersistentVolumeClaim, Pod } from '../api/core/v1.ts';
import { isAlreadyExists } from '../api/meta/status.ts';
import { persistentvolumeclaims, pods } from '../api/resources.ts';
import type { NewObject } from '../client/client.ts';
import { controllerReference } from './claim.ts';
import { controllerOf, defineController, done } from './framework.ts';
import { isTerminal } from './pods.ts';

const hasEphemeral = (pod: Pod) => pod.spec.volumes?.some((volume) => volume.ephemeral) ?? false;

export const ephemeralVolumeController = defineController({
  name: 'ephemeral-volume-controller', aliases: ['ephemeral-volume'], component: 'ephemeral_volume', for: pods, writes: ['persistentvolumeclaims'],
  when: (_, pod: Pod) => hasEphemeral(pod),
  // A claim that went while its pod lives is made anew.
  watches: [{ resource: persistentvolumeclaims, keys: ({ any, next }: { any: PersistentVolumeClaim; next?: PersistentVolumeClaim }) => { const owner = controllerOf(any); return !next && owner?.kind === 'Pod' ? [`${any.metadata.namespace}/${owner.name}`] : []; } }],
  async reconcile(key, { cache, client, events }, signal) {
    const pod = cache(pods).get(key);
    if (!pod || pod.metadata.deletionTimestamp || isTerminal(pod)) return done;
    for (const volume of pod.spec.volumes ?? []) {
      const template = volume.ephemeral?.volumeClaimTemplate;
      if (!template) continue;
      const name = `${pod.metadata.name}-${volume.name}`;
      const known = cache(persistentvolumeclaims).get(`${pod.metadata.namespace}/${name}`);
      if (known) {
        if (controllerOf(known)?.uid === pod.metadata.uid) continue;
        throw new Error(`PVC ${pod.metadata.namespace}/${name} was not created for pod ${key} (pod is not owner)`);
      }
      const claim = { metadata: { namespace: pod.metadata.namespace, name, labels: template.metadata?.labels, annotations: template.metadata?.annotations, ownerReferences: [controllerReference(pod, pods)] }, spec: template.spec } as NewObject<PersistentVolumeClaim>;
      try { await client.for(persistentvolumeclaims).create(claim, { signal }); } catch (err) {
        if (isAlreadyExists(err)) continue;
        events.event(pod, 'Warning', 'FailedCreate', `ephemeral volume controller failed to create PVC ${name}: ${(err as Error).message}`);
        throw err;
      }
    }
    return done;
  },
});
