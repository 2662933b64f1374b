/** apps/v1: Deployments, ReplicaSets, StatefulSets, DaemonSets, ControllerRevisions. Source: Kubernetes API reference; upstream's pkg/registry/apps. */
import type * as v1 from '../../api/apps/v1.ts';
import type { Column } from '../types.ts';
import * as defaults from '../../api/apps/v1.defaults.ts';
import * as validation from '../../api/apps/v1.validation.ts';
import { podWarnings } from './core/pod.ts';
import { formatSelector } from '../../api/label-selector.ts';
import { controllerrevisions, daemonsets, deployments, replicasets, statefulsets } from '../../api/resources.ts';
import { ageColumn, column, entry, formatLabels, integer, nameColumn, templateColumns, wide } from './define.ts';

export const deploymentColumns: readonly Column<v1.Deployment>[] = [
  nameColumn,
  column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`, { description: 'Number of the pod with ready state' }),
  column('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0),
  column('Available', ({ status }) => status?.availableReplicas ?? 0),
  ageColumn,
  ...templateColumns<v1.Deployment>(({ spec }) => spec.template),
  wide('Selector', ({ spec }) => formatSelector(spec.selector)),
];
const replicaSetColumns: readonly Column<v1.ReplicaSet>[] = [
  nameColumn,
  column('Desired', ({ spec }) => spec?.replicas ?? 0, integer),
  column('Current', ({ status }) => status?.replicas ?? 0, integer),
  column('Ready', ({ status }) => status?.readyReplicas ?? 0, integer),
  ageColumn,
  ...templateColumns<v1.ReplicaSet>(({ spec }) => spec?.template),
  wide('Selector', ({ spec }) => formatSelector(spec?.selector)),
];
const statefulSetColumns: readonly Column<v1.StatefulSet>[] = [
  nameColumn,
  column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`, { description: 'Number of the pod with ready state' }),
  ageColumn,
  ...templateColumns<v1.StatefulSet>(({ spec }) => spec.template),
];
const daemonSetColumns: readonly Column<v1.DaemonSet>[] = [
  nameColumn,
  column('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0, integer),
  column('Current', ({ status }) => status?.currentNumberScheduled ?? 0, integer),
  column('Ready', ({ status }) => status?.numberReady ?? 0, integer),
  column('Up-to-date', ({ status }) => status?.updatedNumberScheduled ?? 0, integer),
  column('Available', ({ status }) => status?.numberAvailable ?? 0, integer),
  column('Node Selector', ({ spec }) => formatLabels(spec.template?.spec?.nodeSelector)),
  ageColumn,
  ...templateColumns<v1.DaemonSet>(({ spec }) => spec.template),
  wide('Selector', ({ spec }) => formatSelector(spec.selector)),
];
const controllerRevisionColumns: readonly Column<v1.ControllerRevision>[] = [
  nameColumn,
  column('Controller', ({ metadata }) => {
    const owner = (metadata.ownerReferences ?? []).find((reference) => reference.controller);
    if (!owner) return '<none>';
    const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
    return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
  }, { description: 'Controller of the object' }),
  column('Revision', ({ revision }) => revision ?? 0, integer),
  ageColumn,
];

export const appsEntries = [
  entry(controllerrevisions, { columns: controllerRevisionColumns, strategy: { generation: 'none', validate: validation.validateControllerRevision, validateUpdate: validation.validateControllerRevisionUpdate } }),
  entry(daemonsets, { columns: daemonSetColumns, strategy: {
      setDefaults: defaults.setDaemonSetDefaults,
      validate: (object) => validation.validateDaemonSet(object),
      validateUpdate: (object, old) => validation.validateDaemonSetUpdate(object, old),
      validateStatusUpdate: (object) => validation.validateDaemonSetStatus(object),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec?.template, 'spec.template.')),
    } }),
  entry(deployments, {
    columns: deploymentColumns, strategy: {
      setDefaults: defaults.setDeploymentDefaults,
      validate: (object) => validation.validateDeployment(object),
      validateUpdate: (object, old) => validation.validateDeploymentUpdate(object, old),
      validateStatusUpdate: (object) => validation.validateDeploymentStatus(object),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec?.template, 'spec.template.')),
    },
    scale: { specReplicas: '.spec.replicas', statusReplicas: '.status.replicas', selector: ({ spec }) => formatSelector(spec.selector) },
  }),
  entry(replicasets, {
    columns: replicaSetColumns, strategy: {
      setDefaults: defaults.setReplicaSetDefaults,
      validate: (object) => validation.validateReplicaSet(object),
      validateUpdate: (object, old) => validation.validateReplicaSetUpdate(object, old),
      validateStatusUpdate: (object) => validation.validateReplicaSetStatus(object),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec?.template, 'spec.template.')),
    },
    fieldSelectors: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
    scale: { specReplicas: '.spec.replicas', statusReplicas: '.status.replicas', selector: ({ spec }) => formatSelector(spec?.selector) },
  }),
  entry(statefulsets, {
    columns: statefulSetColumns, strategy: {
      setDefaults: defaults.setStatefulSetDefaults,
      validate: (object) => validation.validateStatefulSet(object),
      validateUpdate: (object, old) => validation.validateStatefulSetUpdate(object, old),
      validateStatusUpdate: (object) => validation.validateStatefulSetStatus(object),
      warnings: (object, old) => (old ? [] : podWarnings(object.spec?.template, 'spec.template.')),
    },
    scale: { specReplicas: '.spec.replicas', statusReplicas: '.status.replicas', selector: ({ spec }) => formatSelector(spec.selector) },
  }),
];
