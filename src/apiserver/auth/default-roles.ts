/**
 * The roles and bindings that every cluster has, as data. Source: kubernetes.io/docs/reference/access-authn-authz/rbac
 * "Default roles and role bindings" and upstream's bootstrappolicy (names, rules).
 */
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../api/rbac/v1.ts';
import { authenticatedGroup, serviceAccountsGroup, systemMasters, unauthenticatedGroup } from './users.ts';

const group = 'rbac.authorization.k8s.io';
export const autoUpdateAnnotation = 'rbac.authorization.kubernetes.io/autoupdate';
const labels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
const annotations = { [autoUpdateAnnotation]: 'true' };
const aggregate = (to: string) => ({ [`rbac.authorization.k8s.io/aggregate-to-${to}`]: 'true' });

const read = 'get list watch';
const write = 'create delete deletecollection patch update';
const readWrite = `${read} ${write}`;
const words = (text: string): string[] => text.split(' ').filter(Boolean);

/** `rule('get list', 'apps extensions', 'deployments deployments/scale', 'one-name')`; `core` is the group ''. */
function rule(verbs: string, groups: string, resources: string, resourceNames = ''): PolicyRule {
  return { verbs: words(verbs), apiGroups: words(groups).map((one) => (one === 'core' ? '' : one)), resources: words(resources), ...(resourceNames ? { resourceNames: words(resourceNames) } : {}) };
}
const urls = (paths: string): PolicyRule => ({ verbs: ['get'], nonResourceURLs: words(paths) });
const writeEvents = rule('create patch update', 'core events.k8s.io', 'events');

/** Source: upstream NodeRules; the Node authorizer narrows them further. */
export const nodeRules: readonly PolicyRule[] = [
  rule('create', 'authentication.k8s.io', 'tokenreviews'),
  rule('create', 'authorization.k8s.io', 'localsubjectaccessreviews subjectaccessreviews'),
  rule(read, 'core', 'services'),
  rule('create get list watch', 'core', 'nodes'), rule('patch update', 'core', 'nodes/status'), rule('patch update', 'core', 'nodes'),
  rule('create patch update', 'core events.k8s.io', 'events'),
  rule(read, 'core', 'pods'), rule('create delete', 'core', 'pods'), rule('patch update', 'core', 'pods/status'), rule('create', 'core', 'pods/eviction'),
  rule(read, 'core', 'configmaps secrets'), rule('get', 'core', 'persistentvolumeclaims persistentvolumes'), rule('get', 'core', 'endpoints'),
  rule('create get list watch', 'certificates.k8s.io', 'certificatesigningrequests'),
  rule('create delete get patch update', 'coordination.k8s.io', 'leases'),
  rule('get', 'storage.k8s.io', 'volumeattachments'), rule('get patch update', 'core', 'persistentvolumeclaims/status'),
  rule('create', 'core', 'serviceaccounts/token'), rule(read, 'storage.k8s.io', 'csidrivers'), rule('create delete get patch update', 'storage.k8s.io', 'csinodes'),
  rule(read, 'node.k8s.io', 'runtimeclasses'), rule('get', 'resource.k8s.io', 'resourceclaims'),
  rule('create delete deletecollection get list patch update watch', 'resource.k8s.io', 'resourceslices'),
  rule(read, 'certificates.k8s.io', 'clustertrustbundles'), rule('create get list watch', 'certificates.k8s.io', 'podcertificaterequests'),
];

const clusterRoleRules: Readonly<Record<string, readonly PolicyRule[]>> = {
  'cluster-admin': [rule('*', '*', '*'), { verbs: ['*'], nonResourceURLs: ['*'] }],
  'system:discovery': [urls('/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/')],
  'system:monitoring': [urls('/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*')],
  'system:basic-user': [rule('create', 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'), rule('create', 'authentication.k8s.io', 'selfsubjectreviews')],
  'system:public-info-viewer': [urls('/healthz /livez /readyz /version /version/')],
  'system:aggregate-to-admin': [rule('create', 'authorization.k8s.io', 'localsubjectaccessreviews'), rule(readWrite, group, 'rolebindings roles')],
  'system:aggregate-to-edit': [
    rule(read, 'core', 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'), rule('impersonate', 'core', 'serviceaccounts'),
    rule(write, 'core', 'pods pods/attach pods/exec pods/portforward pods/proxy'), rule('create', 'core', 'pods/eviction'),
    rule(write, 'core', 'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy'),
    rule('create', 'core', 'serviceaccounts/token'),
    rule(write, 'apps', 'daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale'),
    rule(write, 'autoscaling', 'horizontalpodautoscalers'), rule(write, 'batch', 'cronjobs jobs'),
    rule(write, 'extensions', 'daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale'),
    rule(write, 'policy', 'poddisruptionbudgets'), rule(write, 'networking.k8s.io', 'ingresses networkpolicies'), rule(readWrite, 'coordination.k8s.io', 'leases'),
    rule(write, 'resource.k8s.io', 'resourceclaims resourceclaimtemplates'),
  ],
  'system:aggregate-to-view': [
    rule(read, 'core', 'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status'),
    rule(read, 'core', 'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status'),
    rule(read, 'core', 'namespaces'), rule(read, 'discovery.k8s.io', 'endpointslices'),
    rule(read, 'apps', 'controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status'),
    rule(read, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'), rule(read, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
    rule(read, 'extensions', 'daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale'),
    rule(read, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'), rule(read, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
    rule(read, 'resource.k8s.io', 'resourceclaims resourceclaims/status resourceclaimtemplates'),
  ],
  'system:heapster': [rule(read, 'core', 'events namespaces nodes pods'), rule(read, 'extensions', 'deployments')],
  'system:node': nodeRules,
  'system:node-problem-detector': [rule('get', 'core', 'nodes'), rule('patch', 'core', 'nodes/status'), writeEvents],
  'system:kubelet-api-admin': [rule(read, 'core', 'nodes'), rule('proxy', 'core', 'nodes'),
    rule('*', 'core', 'nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats')],
  'system:node-bootstrapper': [rule('create get list watch', 'certificates.k8s.io', 'certificatesigningrequests')],
  'system:auth-delegator': [rule('create', 'authentication.k8s.io', 'tokenreviews'), rule('create', 'authorization.k8s.io', 'subjectaccessreviews')],
  'system:kube-aggregator': [rule(read, 'core', 'endpoints services')],
  'system:kube-controller-manager': [
    writeEvents, rule('create', 'coordination.k8s.io', 'leases'), rule('get update', 'coordination.k8s.io', 'leases', 'kube-controller-manager'),
    rule('create', 'core', 'secrets serviceaccounts'), rule('delete', 'core', 'secrets'), rule('get', 'core', 'configmaps namespaces secrets serviceaccounts'),
    rule('update', 'core', 'secrets serviceaccounts'), rule('create', 'authentication.k8s.io', 'tokenreviews'), rule('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    rule('list watch', '*', '*'), rule('create', 'core', 'serviceaccounts/token'),
  ],
  'system:kube-dns': [rule('list watch', 'core', 'endpoints services')],
  'system:persistent-volume-provisioner': [rule('create delete get list watch', 'core', 'persistentvolumes'), rule('get list update watch', 'core', 'persistentvolumeclaims'),
    rule(read, 'storage.k8s.io', 'storageclasses'), rule('watch', 'core', 'events'), writeEvents],
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': [rule('create', 'certificates.k8s.io', 'certificatesigningrequests/nodeclient')],
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': [rule('create', 'certificates.k8s.io', 'certificatesigningrequests/selfnodeclient')],
  'system:volume-scheduler': [rule('get list patch update watch', 'core', 'persistentvolumes'), rule(read, 'storage.k8s.io', 'storageclasses'), rule('get list patch update watch', 'core', 'persistentvolumeclaims')],
  'system:certificates.k8s.io:legacy-unknown-approver': [rule('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/legacy-unknown')],
  'system:certificates.k8s.io:kubelet-serving-approver': [rule('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kubelet-serving')],
  'system:certificates.k8s.io:kube-apiserver-client-approver': [rule('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client')],
  'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver': [rule('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client-kubelet')],
  'system:service-account-issuer-discovery': [urls('/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/')],
  'system:node-proxier': [rule('list watch', 'core', 'endpoints services'), rule(read, 'core', 'nodes'), writeEvents, rule('list watch', 'discovery.k8s.io', 'endpointslices'), rule('list watch', 'networking.k8s.io', 'servicecidrs')],
  'system:kube-scheduler': [
    writeEvents, rule('create', 'coordination.k8s.io', 'leases'), rule('get list watch update', 'coordination.k8s.io', 'leases', 'kube-scheduler'),
    rule(read, 'core', 'nodes'), rule('delete get list watch', 'core', 'pods'), rule('create', 'core', 'bindings pods/binding'), rule('patch update', 'core', 'pods/status'),
    rule(read, 'core', 'replicationcontrollers services'), rule(read, 'apps extensions', 'replicasets'), rule(read, 'apps', 'statefulsets'),
    rule(read, 'policy', 'poddisruptionbudgets'), rule(read, 'core', 'persistentvolumeclaims persistentvolumes'),
    rule('create', 'authentication.k8s.io', 'tokenreviews'), rule('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    rule(read, 'storage.k8s.io', 'csinodes'), rule(read, 'core', 'namespaces'), rule(read, 'storage.k8s.io', 'csidrivers csistoragecapacities volumeattachments'),
    rule(read, 'resource.k8s.io', 'deviceclasses resourceslices devicetaintrules'), rule('get list patch update watch', 'resource.k8s.io', 'resourceclaims'), rule('patch update', 'resource.k8s.io', 'resourceclaims/status'),
    rule('patch update', 'core', 'pods/finalizers'),
  ],
};

/** Rules of `system:controller:NAME`, bound to the service account kube-system/NAME. */
const controllerRules: Readonly<Record<string, readonly PolicyRule[]>> = {
  'attachdetach-controller': [rule('list watch', 'core', 'persistentvolumeclaims persistentvolumes'), rule(read, 'core', 'nodes'), rule('patch update', 'core', 'nodes/status'), rule('list watch', 'core', 'pods'), writeEvents,
    rule('create delete get list watch', 'storage.k8s.io', 'volumeattachments'), rule(read, 'storage.k8s.io', 'csidrivers'), rule(read, 'storage.k8s.io', 'csinodes')],
  'clusterrole-aggregation-controller': [rule('escalate get list patch update watch', group, 'clusterroles')],
  'cronjob-controller': [rule('get list update watch', 'batch', 'cronjobs'), rule('create delete get list patch update watch', 'batch', 'jobs'), rule('update', 'batch', 'cronjobs/status'), rule('update', 'batch', 'cronjobs/finalizers'), rule('delete list', 'core', 'pods'), writeEvents],
  'daemon-set-controller': [rule(read, 'apps extensions', 'daemonsets'), rule('update', 'apps extensions', 'daemonsets/status'), rule('update', 'apps extensions', 'daemonsets/finalizers'), rule('list watch', 'core', 'nodes'),
    rule('create delete list patch watch', 'core', 'pods'), rule('create', 'core', 'pods/binding'), rule('create delete get list patch update watch', 'apps', 'controllerrevisions'), writeEvents],
  'deployment-controller': [rule('get list update watch', 'apps extensions', 'deployments'), rule('update', 'apps extensions', 'deployments/status'), rule('update', 'apps extensions', 'deployments/finalizers'),
    rule('create delete get list patch update watch', 'apps extensions', 'replicasets'), rule('get list update watch', 'core', 'pods'), writeEvents],
  'disruption-controller': [rule(read, 'apps extensions', 'deployments'), rule(read, 'apps extensions', 'replicasets'), rule(read, 'core', 'replicationcontrollers'), rule(read, 'policy', 'poddisruptionbudgets'), rule(read, 'apps', 'statefulsets'),
    rule('update', 'policy', 'poddisruptionbudgets/status'), rule('patch update', 'core', 'pods/status'), rule('get', '*', '*/scale'), writeEvents],
  'endpoint-controller': [rule(read, 'core', 'pods services'), rule('create delete get list update watch', 'core', 'endpoints'), rule('create', 'core', 'endpoints/restricted'), writeEvents],
  'endpointslice-controller': [rule(read, 'core', 'nodes pods services'), rule('update', 'core', 'services/finalizers'), rule('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'), writeEvents],
  'endpointslicemirroring-controller': [rule(read, 'core', 'endpoints services'), rule('update', 'core', 'services/finalizers'), rule('update', 'core', 'endpoints/finalizers'), rule('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'), writeEvents],
  'ephemeral-volume-controller': [rule(read, 'core', 'pods'), rule('update', 'core', 'pods/finalizers'), rule('create get list watch', 'core', 'persistentvolumeclaims'), writeEvents],
  'expand-controller': [rule('get list patch update watch', 'core', 'persistentvolumes'), rule('patch update', 'core', 'persistentvolumeclaims/status'), rule(read, 'core', 'persistentvolumeclaims'), writeEvents],
  'generic-garbage-collector': [rule('delete get list patch update watch', '*', '*'), writeEvents],
  'horizontal-pod-autoscaler': [rule(read, 'autoscaling', 'horizontalpodautoscalers'), rule('update', 'autoscaling', 'horizontalpodautoscalers/status'), rule('get update', '*', '*/scale'), rule('list', 'core', 'pods'),
    rule('list', 'metrics.k8s.io', 'pods'), rule('get list', 'custom.metrics.k8s.io', '*'), rule('get list', 'external.metrics.k8s.io', '*'), writeEvents],
  'job-controller': [rule('get list patch update watch', 'batch', 'jobs'), rule('update', 'batch', 'jobs/status'), rule('update', 'batch', 'jobs/finalizers'), rule('create delete list patch watch', 'core', 'pods'), writeEvents],
  'namespace-controller': [rule('delete get list watch', 'core', 'namespaces'), rule('update', 'core', 'namespaces/finalize namespaces/status'), rule('delete deletecollection get list', '*', '*')],
  'node-controller': [rule('delete get list patch update', 'core', 'nodes'), rule('patch update', 'core', 'nodes/status'), rule('patch update', 'core', 'pods/status'), rule('delete list', 'core', 'pods'), rule('get', 'core', 'pods'), writeEvents],
  'persistent-volume-binder': [rule('create delete get list update watch', 'core', 'persistentvolumes'), rule('update', 'core', 'persistentvolumes/status'), rule('get list update watch', 'core', 'persistentvolumeclaims'),
    rule('update', 'core', 'persistentvolumeclaims/status'), rule('create delete get list watch', 'core', 'pods'), rule(read, 'storage.k8s.io', 'storageclasses'), rule('list watch', 'core', 'nodes'), rule('watch', 'core', 'events'), writeEvents],
  'pod-garbage-collector': [rule('delete list watch', 'core', 'pods'), rule('get list', 'core', 'nodes'), rule('patch', 'core', 'pods/status')],
  'pv-protection-controller': [rule('get list update watch', 'core', 'persistentvolumes'), writeEvents],
  'pvc-protection-controller': [rule('get list update watch', 'core', 'persistentvolumeclaims'), rule(read, 'core', 'pods'), writeEvents],
  'replicaset-controller': [rule('get list update watch', 'apps extensions', 'replicasets'), rule('update', 'apps extensions', 'replicasets/status'), rule('update', 'apps extensions', 'replicasets/finalizers'), rule('create delete list patch watch', 'core', 'pods'), writeEvents],
  'replication-controller': [rule('get list update watch', 'core', 'replicationcontrollers'), rule('update', 'core', 'replicationcontrollers/status'), rule('update', 'core', 'replicationcontrollers/finalizers'), rule('create delete list patch watch', 'core', 'pods'), writeEvents],
  'resource-claim-controller': [rule(read, 'core', 'pods'), rule('update', 'core', 'pods/finalizers'), rule('create delete get list watch', 'resource.k8s.io', 'resourceclaims'), rule('patch update', 'resource.k8s.io', 'resourceclaims resourceclaims/status'), rule('patch update', 'core', 'pods/status'), writeEvents],
  'resourcequota-controller': [rule('list watch', '*', '*'), rule('update', 'core', 'resourcequotas/status'), writeEvents],
  'root-ca-cert-publisher': [rule('create update', 'core', 'configmaps'), writeEvents],
  'route-controller': [rule('list watch', 'core', 'nodes'), rule('patch', 'core', 'nodes/status'), writeEvents],
  'selinux-warning-controller': [writeEvents, rule(read, 'core', 'persistentvolumes'), rule(read, 'core', 'persistentvolumeclaims'), rule(read, 'core', 'pods'), rule(read, 'storage.k8s.io', 'csidrivers')],
  'service-account-controller': [rule('create', 'core', 'serviceaccounts'), writeEvents],
  'service-cidrs-controller': [rule('get list patch update watch', 'networking.k8s.io', 'servicecidrs'), rule('patch update', 'networking.k8s.io', 'servicecidrs/finalizers'), rule('patch update', 'networking.k8s.io', 'servicecidrs/status'), rule(read, 'networking.k8s.io', 'ipaddresses'), writeEvents],
  'service-controller': [rule(read, 'core', 'services'), rule('patch update', 'core', 'services/status'), rule('list watch', 'core', 'nodes'), writeEvents],
  'statefulset-controller': [rule('list watch', 'core', 'pods'), rule(read, 'apps', 'statefulsets'), rule('update', 'apps', 'statefulsets/status'), rule('update', 'apps', 'statefulsets/finalizers'), rule('create delete get patch update', 'core', 'pods'),
    rule('create delete get list patch update watch', 'apps', 'controllerrevisions'), rule('create get list watch', 'core', 'persistentvolumeclaims'), rule('delete update', 'core', 'persistentvolumeclaims'), rule('update', 'core', 'pods/finalizers'), writeEvents],
  'ttl-after-finished-controller': [rule('delete get list watch', 'batch', 'jobs'), writeEvents],
  'ttl-controller': [rule('list patch update watch', 'core', 'nodes'), writeEvents],
  'certificate-controller': [rule('delete get list watch', 'certificates.k8s.io', 'certificatesigningrequests'), rule('update', 'certificates.k8s.io', 'certificatesigningrequests/approval certificatesigningrequests/status'),
    rule('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client-kubelet'),
    rule('sign', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown'),
    rule('create', 'authorization.k8s.io', 'subjectaccessreviews'), writeEvents],
  'legacy-service-account-token-cleaner': [rule('get', 'core', 'configmaps', 'kube-apiserver-legacy-service-account-token-tracking'), rule('delete patch', 'core', 'secrets')],
  'validatingadmissionpolicy-status-controller': [rule(read, 'admissionregistration.k8s.io', 'validatingadmissionpolicies'), rule('get patch update', 'admissionregistration.k8s.io', 'validatingadmissionpolicies/status'), writeEvents],
  'volumeattributesclass-protection-controller': [rule(read, 'core', 'persistentvolumeclaims'), rule(read, 'core', 'persistentvolumes'), rule('get list update watch', 'storage.k8s.io', 'volumeattributesclasses'), writeEvents],
};

const aggregated: Readonly<Record<string, { from: string; into?: string }>> = { admin: { from: 'admin' }, edit: { from: 'edit', into: 'admin' }, view: { from: 'view', into: 'edit' } };

const users = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'User', apiGroup: group, name }));
const groups = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'Group', apiGroup: group, name }));
const accounts = (namespace: string, ...names: string[]): Subject[] => names.map((name) => ({ kind: 'ServiceAccount', name, namespace }));

const clusterBindings: Readonly<Record<string, readonly Subject[]>> = {
  'cluster-admin': groups(systemMasters),
  'system:monitoring': groups('system:monitoring'),
  'system:discovery': groups(authenticatedGroup), 'system:basic-user': groups(authenticatedGroup),
  'system:public-info-viewer': groups(authenticatedGroup, unauthenticatedGroup),
  'system:node-proxier': users('system:kube-proxy'), 'system:kube-controller-manager': users('system:kube-controller-manager'),
  'system:kube-dns': accounts('kube-system', 'kube-dns'), 'system:kube-scheduler': users('system:kube-scheduler'), 'system:volume-scheduler': users('system:kube-scheduler'),
  'system:node': [], // the Node authorizer does this; upstream keeps the empty binding
  'system:service-account-issuer-discovery': groups(serviceAccountsGroup),
};

interface NamespacedRole { namespace: string; name: string; rules: readonly PolicyRule[]; subjects?: readonly Subject[]; roleName?: string }
const namespaced: readonly NamespacedRole[] = [
  { namespace: 'kube-system', name: 'extension-apiserver-authentication-reader', rules: [rule(read, 'core', 'configmaps', 'extension-apiserver-authentication')],
    subjects: users('system:kube-controller-manager', 'system:kube-scheduler'), roleName: 'system::extension-apiserver-authentication-reader' },
  { namespace: 'kube-system', name: 'system:controller:bootstrap-signer', rules: [rule(read, 'core', 'secrets')], subjects: accounts('kube-system', 'bootstrap-signer') },
  { namespace: 'kube-system', name: 'system:controller:cloud-provider', rules: [rule('create get list update watch', 'core', 'configmaps')], subjects: accounts('kube-system', 'cloud-provider') },
  { namespace: 'kube-system', name: 'system:controller:token-cleaner', rules: [rule('delete get list watch', 'core', 'secrets'), writeEvents], subjects: accounts('kube-system', 'token-cleaner') },
  { namespace: 'kube-system', name: 'system::leader-locking-kube-controller-manager', rules: [rule('watch', 'core', 'configmaps'), rule('get update', 'core', 'configmaps', 'kube-controller-manager')],
    subjects: [...users('system:kube-controller-manager'), ...accounts('kube-system', 'kube-controller-manager')] },
  { namespace: 'kube-system', name: 'system::leader-locking-kube-scheduler', rules: [rule('watch', 'core', 'configmaps'), rule('get update', 'core', 'configmaps', 'kube-scheduler')],
    subjects: [...users('system:kube-scheduler'), ...accounts('kube-system', 'kube-scheduler')] },
  { namespace: 'kube-public', name: 'system:controller:bootstrap-signer', rules: [rule(read, 'core', 'configmaps'), rule('update', 'core', 'configmaps', 'cluster-info'), writeEvents], subjects: accounts('kube-system', 'bootstrap-signer') },
];

const apiVersion = `${group}/v1`;
const meta = (name: string, more: Record<string, string> = {}, namespace?: string) => ({ name, ...(namespace ? { namespace } : {}), labels: { ...labels, ...more }, annotations });

export interface DefaultRbac { clusterroles: ClusterRole[]; clusterrolebindings: ClusterRoleBinding[]; roles: Role[]; rolebindings: RoleBinding[] }

/** Fresh objects on every call. */
export function defaultRbac(): DefaultRbac {
  const clusterroles: ClusterRole[] = [];
  const clusterrolebindings: ClusterRoleBinding[] = [];
  for (const [name, rules] of Object.entries(clusterRoleRules)) {
    const into = /^system:aggregate-to-(.*)$/.exec(name)?.[1];
    clusterroles.push({ apiVersion, kind: 'ClusterRole', metadata: meta(name, into ? aggregate(into) : {}), rules });
  }
  for (const [name, { from, into }] of Object.entries(aggregated)) {
    clusterroles.push({ apiVersion, kind: 'ClusterRole', metadata: meta(name, into ? aggregate(into) : {}), aggregationRule: { clusterRoleSelectors: [{ matchLabels: aggregate(from) }] }, rules: aggregatedRules(from) });
  }
  for (const [controller, rules] of Object.entries(controllerRules)) {
    const name = `system:controller:${controller}`;
    clusterroles.push({ apiVersion, kind: 'ClusterRole', metadata: meta(name), rules });
    clusterrolebindings.push(clusterBinding(name, accounts('kube-system', controller)));
  }
  for (const [name, subjects] of Object.entries(clusterBindings)) clusterrolebindings.push(clusterBinding(name, subjects));
  return {
    clusterroles, clusterrolebindings,
    roles: namespaced.map(({ name, namespace, rules }) => ({ apiVersion, kind: 'Role', metadata: meta(name, {}, namespace), rules })),
    rolebindings: namespaced.map(({ name, namespace, subjects = [], roleName = name }) => ({ apiVersion, kind: 'RoleBinding', metadata: meta(roleName, {}, namespace), subjects, roleRef: { apiGroup: group, kind: 'Role', name } })),
  };
}

/** What the aggregation controller would gather, so that admin, edit and view work before it runs. */
function aggregatedRules(from: string): PolicyRule[] {
  const own = clusterRoleRules[`system:aggregate-to-${from}`] ?? [];
  const below = Object.entries(aggregated).filter(([, { into }]) => into === from).flatMap(([, { from: lower }]) => aggregatedRules(lower));
  return [...own, ...below];
}

function clusterBinding(name: string, subjects: readonly Subject[]): ClusterRoleBinding {
  return { apiVersion, kind: 'ClusterRoleBinding', metadata: meta(name), ...(subjects.length > 0 ? { subjects } : {}), roleRef: { apiGroup: group, kind: 'ClusterRole', name } };
}
