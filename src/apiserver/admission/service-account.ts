/** Gives pods an identity: the service account, its token as a projected volume, its pull secrets. Source: upstream's plugin/pkg/admission/serviceaccount. */
import type { Pod } from '../../api/core/v1.ts';
import { pods, serviceaccounts } from '../../api/resources.ts';
import { nameSuffix } from '../../base/rng.ts';
import type { AdmissionPlugin } from '../types.ts';
import { draft, find, findSoon, on, refuse, type AdmissionDeps } from './plugin.ts';

export const tokenMountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
export const mirrorAnnotation = 'kubernetes.io/config.mirror';
const volumePrefix = 'kube-api-access-';
/** Seconds; the issuer knows this figure and makes the token outlive it. */
const tokenExpirationSeconds = 3607;
/** The default account is made by a controller shortly after the namespace: wait so long for it, in milliseconds. */
const defaultAccountWaitMs = 2_000;

export function serviceAccount(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(serviceaccounts);
  return {
    name: 'ServiceAccount',
    handles: on(pods, ['CREATE']),
    async admit(attributes) {
      const pod = draft<Pod>(attributes);
      const { spec } = pod;
      if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) return;
      if (!spec.serviceAccountName) spec.serviceAccountName = 'default';
      (spec as { serviceAccount?: string }).serviceAccount = spec.serviceAccountName;
      const key = `${attributes.namespace}/${spec.serviceAccountName}`;
      const account = await (spec.serviceAccountName === 'default' ? findSoon(deps, serviceaccounts, key, defaultAccountWaitMs) : find(deps, serviceaccounts, key));
      if (!account) throw refuse(attributes, `error looking up service account ${key}: serviceaccount "${spec.serviceAccountName}" not found`);
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(deps, pod);
      if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) spec.imagePullSecrets = account.imagePullSecrets.map(({ name }) => ({ name: name! }));
    },
    async validate(attributes) {
      const pod = attributes.object as unknown as Pod;
      if (pod.metadata.annotations?.[mirrorAnnotation] === undefined) return;
      if (pod.spec?.serviceAccountName) throw refuse(attributes, 'a mirror pod may not reference service accounts');
      for (const volume of pod.spec?.volumes ?? []) {
        if (volume.secret) throw refuse(attributes, 'a mirror pod may not reference secrets');
        if (volume.projected?.sources?.some((source) => source.serviceAccountToken)) throw refuse(attributes, 'a mirror pod may not use ServiceAccountToken volume projections');
      }
    },
  };
}

function mountToken({ rng }: AdmissionDeps, { spec }: ReturnType<typeof draft<Pod>>): void {
  const existing = spec.volumes?.find((volume) => volume.name.startsWith(volumePrefix));
  let name = existing?.name ?? '';
  while (name === '' || (!existing && spec.volumes?.some((volume) => volume.name === name))) name = volumePrefix + nameSuffix(rng);
  let needed = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === tokenMountPath)) continue; // the user's own mount wins
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: tokenMountPath }];
    needed = true;
  }
  if (existing || !needed) return;
  spec.volumes = [...(spec.volumes ?? []), { name, projected: { defaultMode: 0o644, sources: [
    { serviceAccountToken: { path: 'token', expirationSeconds: tokenExpirationSeconds } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
  ] } }];
}
