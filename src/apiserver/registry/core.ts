/** core/v1: every kind's entry. Pods and Services have files of their own under `core/`. Source: Kubernetes API reference; upstream's pkg/registry/core. */
import * as validation from '../../api/core/v1.validation.ts';
import { validateBinding } from '../../api/core/pod.validation.ts';
import { validateEndpoints } from '../../api/core/service.validation.ts';
import { validatePersistentVolumeClaim, validatePersistentVolumeClaimUpdate } from '../../api/core/claims.validation.ts';
import { podWarnings } from './core/pod.ts';
import * as defaults from '../../api/core/v1.defaults.ts';
import { timestamp } from '../../base/clock.ts';
import { selectorFromMap } from '../../api/label-selector.ts';
import * as resources from '../../api/resources.ts';
import { nameIsDNSLabel } from '../../api/validation/names.ts';
import * as columns from './core/columns.ts';
import { podEntry } from './core/pod.ts';
import { serviceEntry } from './core/service.ts';
import { entry } from './define.ts';

export const coreEntries = [
  // Create-only: POST binds a pod.
  entry(resources.bindings, { strategy: { validate: validateBinding, generation: 'none' } }),
  // Live probes of the control plane, never stored.
  entry(resources.componentstatuses, { columns: columns.componentStatusColumns }),
  entry(resources.configmaps, { columns: columns.configMapColumns, strategy: { generation: 'none', validate: validation.validateConfigMap, validateUpdate: validation.validateConfigMapUpdate } }),
  entry(resources.endpoints, { columns: columns.endpointsColumns, storagePrefix: '/registry/services/endpoints', strategy: { setDefaults: defaults.setEndpointsDefaults, allowCreateOnUpdate: true, generation: 'none', validate: validateEndpoints, validateUpdate: validateEndpoints } }),
  entry(resources.limitranges, { strategy: { setDefaults: defaults.setLimitRangeDefaults, allowCreateOnUpdate: true, generation: 'none', validate: validation.validateLimitRange, validateUpdate: validation.validateLimitRange } }),
  entry(resources.namespaces, {
    columns: columns.namespaceColumns, fieldSelectors: { 'status.phase': ({ status }) => status?.phase ?? '' },
    strategy: {
      setDefaults: defaults.setNamespaceDefaults, validateName: nameIsDNSLabel, generation: 'none',
      validate: validation.validateNamespace, validateUpdate: validation.validateNamespace, validateStatusUpdate: validation.validateNamespaceStatus,
      prepareForCreate(namespace) {
        namespace.status = { phase: 'Active' };
        (namespace.metadata.labels ??= {})['kubernetes.io/metadata.name'] ??= namespace.metadata.name;
        const finalizers = (namespace.spec.finalizers ??= []);
        if (!finalizers.includes('kubernetes')) finalizers.push('kubernetes');
      },
      prepareForUpdate(namespace, old, { subresource }) {
        if (subresource !== 'finalize') namespace.spec.finalizers = [...old.spec.finalizers ?? []];
        if (subresource !== 'status') { if (old.status) namespace.status = structuredClone(old.status) as typeof namespace.status; }
      },
      holdsDeletion: ({ spec }) => (spec.finalizers ?? []).length > 0,
      prepareForDelete(namespace) { namespace.status = { ...namespace.status, phase: 'Terminating' }; },
    },
  }),
  entry(resources.nodes, {
    columns: columns.nodeColumns, storagePrefix: '/registry/minions', fieldSelectors: { 'spec.unschedulable': ({ spec }) => String(spec.unschedulable ?? false) },
    // Nodes are born with the status that the kubelet sends.
    strategy: { setDefaults: defaults.setNodeDefaults, generation: 'none', keepsStatusOnCreate: true, validate: validation.validateNode, validateUpdate: validation.validateNodeUpdate, validateStatusUpdate: validation.validateNodeUpdate },
  }),
  entry(resources.persistentvolumeclaims, { columns: columns.persistentVolumeClaimColumns, strategy: {
      setDefaults: defaults.setPersistentVolumeClaimDefaults, generation: 'none', validate: validatePersistentVolumeClaim, validateUpdate: validatePersistentVolumeClaimUpdate,
      prepareForCreate(claim) { claim.status = { phase: 'Pending' }; },
    } }),
  entry(resources.persistentvolumes, { columns: columns.persistentVolumeColumns, strategy: {
      setDefaults: defaults.setPersistentVolumeDefaults, generation: 'none', validate: validation.validatePersistentVolume, validateUpdate: validation.validatePersistentVolumeUpdate,
      prepareForCreate(volume, { clock }) { volume.status = { phase: 'Pending', lastPhaseTransitionTime: timestamp(clock.now()) }; },
      prepareForUpdate(volume, old, { clock, subresource }) {
        if (subresource !== 'status' || volume.status?.phase === old.status?.phase) return;
        (volume.status ??= {}).lastPhaseTransitionTime = timestamp(clock.now());
      },
    } }),
  podEntry,
  entry(resources.podtemplates, { columns: columns.podTemplateColumns, strategy: { setDefaults: defaults.setPodTemplateObjectDefaults, validate: validation.validatePodTemplateObject, validateUpdate: validation.validatePodTemplateObject, warnings: (object, old) => (old ? [] : podWarnings(object.template, 'template.')) } }),
  entry(resources.replicationcontrollers, {
    columns: columns.replicationControllerColumns, storagePrefix: '/registry/controllers',
    fieldSelectors: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
    scale: { specReplicas: '.spec.replicas', statusReplicas: '.status.replicas', selector: ({ spec }) => selectorFromMap(spec.selector).toString() },
    strategy: {
      setDefaults: defaults.setReplicationControllerDefaults, defaultPropagation: 'orphan', validate: validation.validateReplicationController,
      validateUpdate: validation.validateReplicationController, validateStatusUpdate: validation.validateReplicationControllerStatus,
      warnings: (object, old) => (old ? [] : podWarnings(object.spec.template, 'spec.template.')),
    },
  }),
  entry(resources.resourcequotas, { columns: columns.resourceQuotaColumns, strategy: { setDefaults: defaults.setResourceQuotaDefaults, generation: 'none', validate: validation.validateResourceQuota, validateUpdate: validation.validateResourceQuotaUpdate } }),
  entry(resources.secrets, { columns: columns.secretColumns, fieldSelectors: { type: (secret) => secret.type ?? '' }, strategy: { setDefaults: defaults.setSecretDefaults, generation: 'none', validate: validation.validateSecret, validateUpdate: validation.validateSecretUpdate } }),
  entry(resources.serviceaccounts, { columns: columns.serviceAccountColumns, strategy: { generation: 'none' } }),
  serviceEntry,
];
