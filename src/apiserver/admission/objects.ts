/** Small plugins on nodes, volumes, classes. Source: upstream's plugin/pkg/admission/{nodetaint,storage,network/defaultingressclass}. */
import type { Node, PersistentVolumeClaim } from '../../api/core/v1.ts';
import type { Ingress } from '../../api/networking/v1.ts';
import { compareQuantity } from '../../api/quantity.ts';
import { ingressclasses, ingresses, nodes, persistentvolumeclaims, persistentvolumes, storageclasses, volumeattributesclasses } from '../../api/resources.ts';
import type { AdmissionPlugin } from '../types.ts';
import { all, defaultClass, draft, find, oldOf, on, refuse, type AdmissionDeps } from './plugin.ts';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' } as const;

/** New nodes take no pods until they are ready. */
export function taintNodesByCondition(): AdmissionPlugin {
  return {
    name: 'TaintNodesByCondition',
    handles: on(nodes, ['CREATE']),
    admit(attributes) {
      const node = draft<Node>(attributes);
      node.spec ??= {};
      if (!node.spec.taints?.some(({ key, effect }) => key === notReady.key && effect === notReady.effect)) node.spec.taints = [...(node.spec.taints ?? []), { ...notReady }];
    },
  };
}

const protections = [
  { names: persistentvolumeclaims, finalizer: 'kubernetes.io/pvc-protection' }, { names: persistentvolumes, finalizer: 'kubernetes.io/pv-protection' },
  { names: volumeattributesclasses, finalizer: 'kubernetes.io/vac-protection' },
] as const;

export function storageObjectInUseProtection(): AdmissionPlugin {
  const of = (plural: string) => protections.find(({ names }) => names.plural === plural);
  return {
    name: 'StorageObjectInUseProtection',
    handles: (operation, names, subresource) => operation === 'CREATE' && subresource === '' && of(names.plural)?.names.group === names.group,
    admit(attributes) {
      const { finalizer } = of(attributes.names.plural)!;
      const { metadata } = draft<{ metadata: { finalizers?: string[] } }>(attributes);
      if (!metadata.finalizers?.includes(finalizer)) metadata.finalizers = [...(metadata.finalizers ?? []), finalizer];
    },
  };
}

const legacyClassAnnotation = 'volume.beta.kubernetes.io/storage-class';

export function defaultStorageClass(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(storageclasses);
  return {
    name: 'DefaultStorageClass',
    handles: on(persistentvolumeclaims, ['CREATE']),
    async admit(attributes) {
      const claim = draft<PersistentVolumeClaim>(attributes);
      if (!claim.spec || claim.spec.storageClassName !== undefined || claim.metadata.annotations?.[legacyClassAnnotation] !== undefined) return;
      const chosen = defaultClass(await all(deps, storageclasses), ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']);
      if (chosen) claim.spec.storageClassName = chosen.metadata.name;
    },
  };
}

export function defaultIngressClass(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(ingressclasses);
  return {
    name: 'DefaultIngressClass',
    handles: on(ingresses, ['CREATE']),
    async admit(attributes) {
      const ingress = draft<Ingress>(attributes);
      if (ingress.spec?.ingressClassName !== undefined || ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return;
      const chosen = defaultClass(await all(deps, ingressclasses), ['ingressclass.kubernetes.io/is-default-class']);
      if (chosen) ingress.spec = { ...ingress.spec, ingressClassName: chosen.metadata.name };
    },
  };
}

export function persistentVolumeClaimResize(deps: AdmissionDeps): AdmissionPlugin {
  return {
    name: 'PersistentVolumeClaimResize',
    handles: on(persistentvolumeclaims, ['UPDATE']),
    async validate(attributes) {
      const next = attributes.object as unknown as PersistentVolumeClaim;
      const old = oldOf<PersistentVolumeClaim>(attributes);
      const [size, oldSize] = [next.spec?.resources?.requests?.['storage'], old.spec?.resources?.requests?.['storage']];
      if (size === undefined || oldSize === undefined || compareQuantity(size, oldSize) <= 0) return;
      if (old.status?.phase !== 'Bound') throw refuse(attributes, 'Only bound persistent volume claims can be expanded');
      const className = next.metadata.annotations?.[legacyClassAnnotation] ?? next.spec?.storageClassName ?? '';
      const found = className ? await find(deps, storageclasses, className) : undefined;
      if (!found?.allowVolumeExpansion) throw refuse(attributes, 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize');
    },
  };
}
