/**
 * The names of every served resource: plural, kind, scope, short names, categories, verbs and subresources. Clients build
 * paths from these, the apiserver's registry hangs behaviour on them. Source: Kubernetes API reference v1.36; held against
 * upstream's OpenAPI document by `schema.test.ts`. Singular names are the kind in lower case.
 */
import './all.schema.ts';
import { defineNames } from './resource-names.ts';
import type * as admissionregistrationV1 from './admissionregistration/v1.ts';
import type * as apiextensionsV1 from './apiextensions/v1.ts';
import type * as apiregistrationV1 from './apiregistration/v1.ts';
import type * as appsV1 from './apps/v1.ts';
import type * as authenticationV1 from './authentication/v1.ts';
import type * as authorizationV1 from './authorization/v1.ts';
import type * as autoscalingV1 from './autoscaling/v1.ts';
import type * as autoscalingV2 from './autoscaling/v2.ts';
import type * as batchV1 from './batch/v1.ts';
import type * as certificatesV1 from './certificates/v1.ts';
import type * as coordinationV1 from './coordination/v1.ts';
import type * as coreV1 from './core/v1.ts';
import type * as discoveryV1 from './discovery/v1.ts';
import type * as eventsV1 from './events/v1.ts';
import type * as flowcontrolV1 from './flowcontrol/v1.ts';
import type * as networkingV1 from './networking/v1.ts';
import type * as nodeV1 from './node/v1.ts';
import type * as policyV1 from './policy/v1.ts';
import type * as rbacV1 from './rbac/v1.ts';
import type * as resourceV1 from './resource/v1.ts';
import type * as schedulingV1 from './scheduling/v1.ts';
import type * as storageV1 from './storage/v1.ts';

// core
export const bindings = defineNames<coreV1.Binding>('core/v1', 'bindings', 'Binding', { verbs: ['create'] });
export const componentstatuses = defineNames<coreV1.ComponentStatus>('core/v1', 'componentstatuses', 'ComponentStatus', { scope: 'Cluster', verbs: ['get', 'list'], shortNames: ['cs'] });
export const configmaps = defineNames<coreV1.ConfigMap>('core/v1', 'configmaps', 'ConfigMap', { shortNames: ['cm'] });
export const endpoints = defineNames<coreV1.Endpoints>('core/v1', 'endpoints', 'Endpoints', { shortNames: ['ep'] });
export const events = defineNames<coreV1.Event>('core/v1', 'events', 'Event', { shortNames: ['ev'] });
export const limitranges = defineNames<coreV1.LimitRange>('core/v1', 'limitranges', 'LimitRange', { shortNames: ['limits'] });
export const namespaces = defineNames<coreV1.Namespace>('core/v1', 'namespaces', 'Namespace', { scope: 'Cluster', verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'], shortNames: ['ns'], subresources: { finalize: { verbs: ['update'] }, status: {} } });
export const nodes = defineNames<coreV1.Node>('core/v1', 'nodes', 'Node', { scope: 'Cluster', shortNames: ['no'], subresources: { proxy: { verbs: ['connect'], kind: 'NodeProxyOptions' }, status: {} } });
export const persistentvolumeclaims = defineNames<coreV1.PersistentVolumeClaim>('core/v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', { shortNames: ['pvc'], subresources: { status: {} } });
export const persistentvolumes = defineNames<coreV1.PersistentVolume>('core/v1', 'persistentvolumes', 'PersistentVolume', { scope: 'Cluster', shortNames: ['pv'], subresources: { status: {} } });
export const pods = defineNames<coreV1.Pod>('core/v1', 'pods', 'Pod', { shortNames: ['po'], categories: ['all'], subresources: { attach: { verbs: ['connect'], kind: 'PodAttachOptions' }, binding: { verbs: ['create'], kind: 'Binding' }, ephemeralcontainers: {}, eviction: { verbs: ['create'], kind: 'Eviction', apiVersion: 'policy/v1' }, exec: { verbs: ['connect'], kind: 'PodExecOptions' }, log: { verbs: ['get'] }, portforward: { verbs: ['connect'], kind: 'PodPortForwardOptions' }, proxy: { verbs: ['connect'], kind: 'PodProxyOptions' }, resize: {}, status: {} } });
export const podtemplates = defineNames<coreV1.PodTemplate>('core/v1', 'podtemplates', 'PodTemplate');
export const replicationcontrollers = defineNames<coreV1.ReplicationController>('core/v1', 'replicationcontrollers', 'ReplicationController', { shortNames: ['rc'], categories: ['all'], subresources: { scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', apiVersion: 'autoscaling/v1' }, status: {} } });
export const resourcequotas = defineNames<coreV1.ResourceQuota>('core/v1', 'resourcequotas', 'ResourceQuota', { shortNames: ['quota'], subresources: { status: {} } });
export const secrets = defineNames<coreV1.Secret>('core/v1', 'secrets', 'Secret');
export const serviceaccounts = defineNames<coreV1.ServiceAccount>('core/v1', 'serviceaccounts', 'ServiceAccount', { shortNames: ['sa'], subresources: { token: { verbs: ['create'], kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1' } } });
export const services = defineNames<coreV1.Service>('core/v1', 'services', 'Service', { shortNames: ['svc'], categories: ['all'], subresources: { proxy: { verbs: ['connect'], kind: 'ServiceProxyOptions' }, status: {} } });

// apps
export const controllerrevisions = defineNames<appsV1.ControllerRevision>('apps/v1', 'controllerrevisions', 'ControllerRevision');
export const daemonsets = defineNames<appsV1.DaemonSet>('apps/v1', 'daemonsets', 'DaemonSet', { shortNames: ['ds'], categories: ['all'], subresources: { status: {} } });
export const deployments = defineNames<appsV1.Deployment>('apps/v1', 'deployments', 'Deployment', { shortNames: ['deploy'], categories: ['all'], subresources: { scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', apiVersion: 'autoscaling/v1' }, status: {} } });
export const replicasets = defineNames<appsV1.ReplicaSet>('apps/v1', 'replicasets', 'ReplicaSet', { shortNames: ['rs'], categories: ['all'], subresources: { scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', apiVersion: 'autoscaling/v1' }, status: {} } });
export const statefulsets = defineNames<appsV1.StatefulSet>('apps/v1', 'statefulsets', 'StatefulSet', { shortNames: ['sts'], categories: ['all'], subresources: { scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', apiVersion: 'autoscaling/v1' }, status: {} } });

// batch
export const cronjobs = defineNames<batchV1.CronJob>('batch/v1', 'cronjobs', 'CronJob', { shortNames: ['cj'], categories: ['all'], subresources: { status: {} } });
export const jobs = defineNames<batchV1.Job>('batch/v1', 'jobs', 'Job', { categories: ['all'], subresources: { status: {} } });

// admissionregistration.k8s.io
export const mutatingadmissionpolicies = defineNames<admissionregistrationV1.MutatingAdmissionPolicy>('admissionregistration/v1', 'mutatingadmissionpolicies', 'MutatingAdmissionPolicy', { scope: 'Cluster', categories: ['api-extensions'] });
export const mutatingadmissionpolicybindings = defineNames<admissionregistrationV1.MutatingAdmissionPolicyBinding>('admissionregistration/v1', 'mutatingadmissionpolicybindings', 'MutatingAdmissionPolicyBinding', { scope: 'Cluster', categories: ['api-extensions'] });
export const mutatingwebhookconfigurations = defineNames<admissionregistrationV1.MutatingWebhookConfiguration>('admissionregistration/v1', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', { scope: 'Cluster', categories: ['api-extensions'] });
export const validatingadmissionpolicies = defineNames<admissionregistrationV1.ValidatingAdmissionPolicy>('admissionregistration/v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', { scope: 'Cluster', categories: ['api-extensions'], subresources: { status: {} } });
export const validatingadmissionpolicybindings = defineNames<admissionregistrationV1.ValidatingAdmissionPolicyBinding>('admissionregistration/v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', { scope: 'Cluster', categories: ['api-extensions'] });
export const validatingwebhookconfigurations = defineNames<admissionregistrationV1.ValidatingWebhookConfiguration>('admissionregistration/v1', 'validatingwebhookconfigurations', 'ValidatingWebhookConfiguration', { scope: 'Cluster', categories: ['api-extensions'] });

// apiextensions.k8s.io
export const customresourcedefinitions = defineNames<apiextensionsV1.CustomResourceDefinition>('apiextensions/v1', 'customresourcedefinitions', 'CustomResourceDefinition', { scope: 'Cluster', shortNames: ['crd', 'crds'], categories: ['api-extensions'], subresources: { status: {} } });

// apiregistration.k8s.io
export const apiservices = defineNames<apiregistrationV1.APIService>('apiregistration/v1', 'apiservices', 'APIService', { scope: 'Cluster', categories: ['api-extensions'], subresources: { status: {} } });

// authentication.k8s.io
export const selfsubjectreviews = defineNames<authenticationV1.SelfSubjectReview>('authentication/v1', 'selfsubjectreviews', 'SelfSubjectReview', { scope: 'Cluster', verbs: ['create'] });
export const tokenreviews = defineNames<authenticationV1.TokenReview>('authentication/v1', 'tokenreviews', 'TokenReview', { scope: 'Cluster', verbs: ['create'] });

// authorization.k8s.io
export const localsubjectaccessreviews = defineNames<authorizationV1.LocalSubjectAccessReview>('authorization/v1', 'localsubjectaccessreviews', 'LocalSubjectAccessReview', { verbs: ['create'] });
export const selfsubjectaccessreviews = defineNames<authorizationV1.SelfSubjectAccessReview>('authorization/v1', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview', { scope: 'Cluster', verbs: ['create'] });
export const selfsubjectrulesreviews = defineNames<authorizationV1.SelfSubjectRulesReview>('authorization/v1', 'selfsubjectrulesreviews', 'SelfSubjectRulesReview', { scope: 'Cluster', verbs: ['create'] });
export const subjectaccessreviews = defineNames<authorizationV1.SubjectAccessReview>('authorization/v1', 'subjectaccessreviews', 'SubjectAccessReview', { scope: 'Cluster', verbs: ['create'] });

// autoscaling
export const horizontalpodautoscalersV1 = defineNames<autoscalingV1.HorizontalPodAutoscaler>('autoscaling/v1', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', { shortNames: ['hpa'], categories: ['all'], subresources: { status: {} } });
export const horizontalpodautoscalers = defineNames<autoscalingV2.HorizontalPodAutoscaler>('autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', { shortNames: ['hpa'], categories: ['all'], subresources: { status: {} } });

// certificates.k8s.io
export const certificatesigningrequests = defineNames<certificatesV1.CertificateSigningRequest>('certificates/v1', 'certificatesigningrequests', 'CertificateSigningRequest', { scope: 'Cluster', shortNames: ['csr'], subresources: { approval: {}, status: {} } });

// coordination.k8s.io
export const leases = defineNames<coordinationV1.Lease>('coordination/v1', 'leases', 'Lease');

// discovery.k8s.io
export const endpointslices = defineNames<discoveryV1.EndpointSlice>('discovery/v1', 'endpointslices', 'EndpointSlice');

// events.k8s.io
export const eventsK8sIo = defineNames<eventsV1.Event>('events/v1', 'events', 'Event', { shortNames: ['ev'] });

// flowcontrol.apiserver.k8s.io
export const flowschemas = defineNames<flowcontrolV1.FlowSchema>('flowcontrol/v1', 'flowschemas', 'FlowSchema', { scope: 'Cluster', subresources: { status: {} } });
export const prioritylevelconfigurations = defineNames<flowcontrolV1.PriorityLevelConfiguration>('flowcontrol/v1', 'prioritylevelconfigurations', 'PriorityLevelConfiguration', { scope: 'Cluster', subresources: { status: {} } });

// networking.k8s.io
export const ingressclasses = defineNames<networkingV1.IngressClass>('networking/v1', 'ingressclasses', 'IngressClass', { scope: 'Cluster' });
export const ingresses = defineNames<networkingV1.Ingress>('networking/v1', 'ingresses', 'Ingress', { shortNames: ['ing'], subresources: { status: {} } });
export const ipaddresses = defineNames<networkingV1.IPAddress>('networking/v1', 'ipaddresses', 'IPAddress', { scope: 'Cluster', shortNames: ['ip'] });
export const networkpolicies = defineNames<networkingV1.NetworkPolicy>('networking/v1', 'networkpolicies', 'NetworkPolicy', { shortNames: ['netpol'] });
export const servicecidrs = defineNames<networkingV1.ServiceCIDR>('networking/v1', 'servicecidrs', 'ServiceCIDR', { scope: 'Cluster', subresources: { status: {} } });

// node.k8s.io
export const runtimeclasses = defineNames<nodeV1.RuntimeClass>('node/v1', 'runtimeclasses', 'RuntimeClass', { scope: 'Cluster' });

// policy
export const poddisruptionbudgets = defineNames<policyV1.PodDisruptionBudget>('policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', { shortNames: ['pdb'], subresources: { status: {} } });

// rbac.authorization.k8s.io
export const clusterrolebindings = defineNames<rbacV1.ClusterRoleBinding>('rbac/v1', 'clusterrolebindings', 'ClusterRoleBinding', { scope: 'Cluster' });
export const clusterroles = defineNames<rbacV1.ClusterRole>('rbac/v1', 'clusterroles', 'ClusterRole', { scope: 'Cluster' });
export const rolebindings = defineNames<rbacV1.RoleBinding>('rbac/v1', 'rolebindings', 'RoleBinding');
export const roles = defineNames<rbacV1.Role>('rbac/v1', 'roles', 'Role');

// resource.k8s.io
export const deviceclasses = defineNames<resourceV1.DeviceClass>('resource/v1', 'deviceclasses', 'DeviceClass', { scope: 'Cluster' });
export const resourceclaims = defineNames<resourceV1.ResourceClaim>('resource/v1', 'resourceclaims', 'ResourceClaim', { subresources: { status: {} } });
export const resourceclaimtemplates = defineNames<resourceV1.ResourceClaimTemplate>('resource/v1', 'resourceclaimtemplates', 'ResourceClaimTemplate');
export const resourceslices = defineNames<resourceV1.ResourceSlice>('resource/v1', 'resourceslices', 'ResourceSlice', { scope: 'Cluster' });

// scheduling.k8s.io
export const priorityclasses = defineNames<schedulingV1.PriorityClass>('scheduling/v1', 'priorityclasses', 'PriorityClass', { scope: 'Cluster', shortNames: ['pc'] });

// storage.k8s.io
export const csidrivers = defineNames<storageV1.CSIDriver>('storage/v1', 'csidrivers', 'CSIDriver', { scope: 'Cluster' });
export const csinodes = defineNames<storageV1.CSINode>('storage/v1', 'csinodes', 'CSINode', { scope: 'Cluster' });
export const csistoragecapacities = defineNames<storageV1.CSIStorageCapacity>('storage/v1', 'csistoragecapacities', 'CSIStorageCapacity');
export const storageclasses = defineNames<storageV1.StorageClass>('storage/v1', 'storageclasses', 'StorageClass', { scope: 'Cluster', shortNames: ['sc'] });
export const volumeattachments = defineNames<storageV1.VolumeAttachment>('storage/v1', 'volumeattachments', 'VolumeAttachment', { scope: 'Cluster', subresources: { status: {} } });
export const volumeattributesclasses = defineNames<storageV1.VolumeAttributesClass>('storage/v1', 'volumeattributesclasses', 'VolumeAttributesClass', { scope: 'Cluster', shortNames: ['vac'] });
