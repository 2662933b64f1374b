/**
 * The control plane, composed: store, API server with its security, controllers and scheduler in one process. Each component talks
 * to the API as its own user through the in-process transport; the composition is the only place that knows them all.
 */
import { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { clusterrolebindings, clusterroles, services } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject } from '../client/client.ts';
import { createEventRecorder } from '../client/events.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import type { Store } from '../store/store.ts';
import { reconcileDefaultRoles } from '../apiserver/auth/reconcile-roles.ts';
import { createTokenIssuer } from '../apiserver/auth/tokens.ts';
import { serviceAccountGroups, serviceAccountUserName } from '../apiserver/auth/users.ts';
import { configureServiceAllocation, defaultServiceAllocation } from '../apiserver/registry/core/service-allocator.ts';
import { type ApiServer, createApiServer, type ServerParts } from '../apiserver/server.ts';
import { createSecurity } from '../apiserver/security.ts';
import type { UserInfo } from '../apiserver/types.ts';
import { startControllers, type RunningControllers } from '../controllers/index.ts';
import type { Pki } from '../kubeadm/pki.ts';
import { runScheduler } from '../scheduler/scheduler.ts';

export interface ControlPlaneOptions {
  store: Store;
  pki: Pki;
  podCidr: string;
  serviceCidr: string;
  /** Where the `kubernetes` Service leads. */
  advertise: { address: string; port: number };
  /** The node-local DNS answers here; the Service kube-dns has this address. */
  dnsAddress: string;
  clock: Clock;
  rng: Rng;
  log: (component: string) => Logger;
}

export interface ControlPlane extends AsyncDisposable {
  readonly api: ApiServer;
  readonly controllers: RunningControllers;
  /** Metrics of the controllers and the scheduler. */
  readonly registry: Registry;
}

/** Resolves when the API is ready; controllers and scheduler start meanwhile. Stops everything when disposed. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { store, pki, clock, rng, log } = options;
  await using stack = new AsyncDisposableStack();
  const serviceIP = nthServiceAddress(options.serviceCidr, 1);
  const api = createApiServer({
    store, clock, rng, log: log('apiserver'),
    security: (parts) => security(parts, options, stack),
    kubelet: { cert: pki.apiserverKubeletClient.certificatePem, key: pki.apiserverKubeletClient.keyPem, ca: pki.ca.certificatePem },
    flowControl: {},
    aggregator: { proxyClient: pki.frontProxyClient, authentication: { clientCa: pki.ca.certificatePem, requestHeader: { ca: pki.frontProxyCa.certificatePem, allowedNames: ['front-proxy-client'] } } },
    bootstrap: {
      advertise: options.advertise, serviceIP, serviceCIDRs: options.serviceCidr.split(','),
      also: async (context, signal) => { await Promise.all([reconcileDefaultRoles(context.client, signal), ensureObjects(context, clusterRoles), ensureDnsService(context, options)]); },
    },
  });
  stack.use(api);
  await api.ready;

  const registry = new Registry();
  const stop = new AbortController();
  const { signal } = stop;
  stack.defer(() => stop.abort(new Error('the control plane stops')));
  const manager = component(api, 'system:kube-controller-manager', options, signal);
  stack.use(manager.informers);
  const tokens = createTokenIssuer({ privateKey: pki.serviceAccount.privateKeyPem, clock, rng });
  const controllers = stack.use(startControllers({
    client: manager.client, clientFor: (account) => api.client(serviceAccount(account), { userAgent: `kube-controller-manager/${account}` }),
    informers: manager.informers, clock, rng, log: log('controllers'), signal, metrics: registry,
    options: { clusterCidr: options.podCidr, serviceCidr: options.serviceCidr, allocateNodeCIDRs: true, rootCa: pki.ca.certificatePem,
      signServiceAccountToken: ({ namespace, serviceAccountName, serviceAccountUid, secretName }) => tokens.issueLegacy({ namespace, serviceAccount: { name: serviceAccountName, uid: serviceAccountUid }, secretName }),
      signingCert: pki.ca.certificatePem, ...(pki.ca.key ? { signingKey: pki.ca.key.export({ type: 'pkcs8', format: 'pem' }) as string } : {}) },
  }));
  const scheduler = component(api, 'system:kube-scheduler', options, signal);
  stack.use(scheduler.informers);
  const recorder = createEventRecorder({ client: scheduler.client, clock, log: log('scheduler'), component: 'default-scheduler', signal });
  const scheduling = runScheduler({ ...scheduler, recorder, clock, rng, log: log('scheduler'), signal, metrics: registry });
  stack.defer(async () => { stop.abort(new Error('the control plane stops')); await scheduling; });
  const owned = stack.move();
  return { api, controllers, registry, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A component as its own user, with informers of its own. */
function component(api: ApiServer, name: string, { clock, rng, log }: ControlPlaneOptions, signal: AbortSignal) {
  const client = api.client({ name, groups: ['system:authenticated'] }, { userAgent: name.replace('system:', '') });
  return { client, informers: createInformerFactory(client, { clock, rng, log: log(name.replace('system:', '')), signal }) };
}

/** Controllers act as service accounts of kube-system, as upstream's do with --use-service-account-credentials. */
function serviceAccount(name: string): UserInfo {
  return { name: serviceAccountUserName('kube-system', name), groups: [...serviceAccountGroups('kube-system'), 'system:authenticated'] };
}

/** Who may ask and do what: the chain of a kubeadm cluster. */
function security(parts: ServerParts, { pki, serviceCidr }: ControlPlaneOptions, stack: AsyncDisposableStack) {
  configureServiceAllocation(parts.client, { ...defaultServiceAllocation, serviceCIDRs: [serviceCidr] });
  const made = createSecurity({
    clientCa: pki.ca.certificatePem, requestHeader: { ca: pki.frontProxyCa.certificatePem, allowedNames: ['front-proxy-client'] },
    serviceAccount: { privateKey: pki.serviceAccount.privateKeyPem },
  }, parts);
  stack.use(made.informers);
  const json = (value: object, contentType = 'application/json') => () => ({ contentType, body: JSON.stringify(value) });
  const issuer = made.tokenIssuer!;
  return { ...made, documents: { '/openid/v1/jwks': json(issuer.keySet(), 'application/jwk-set+json'), '/.well-known/openid-configuration': json(issuer.discovery()) } };
}

/** The group of the credential that a node's proxy, pod network and DNS use: they read what the kubelet's own may not. */
export const nodeNetworkGroup = 'knarr:node-network';
const read = ['get', 'list', 'watch'];
const clusterRoles: readonly [ResourceNames, ApiObject][] = [
  [clusterroles, {
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: nodeNetworkGroup },
    rules: [
      { apiGroups: [''], resources: ['services', 'nodes', 'namespaces', 'pods'], verbs: read }, { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: read },
    ],
  } as ApiObject],
  [clusterrolebindings, {
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: nodeNetworkGroup },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: nodeNetworkGroup }, subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: nodeNetworkGroup }],
  } as ApiObject],
  [clusterrolebindings, { // kubeadm's administrators
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'kubeadm:cluster-admins' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'kubeadm:cluster-admins' }],
  } as ApiObject],
];

/** Creates what is missing; the usual start finds everything there. */
async function ensureObjects(context: ApiServer['context'], objects: readonly [ResourceNames, ApiObject][]): Promise<void> {
  await Promise.all(objects.map(async ([names, object]) => {
    const key = context.resources.for(names)!.key(object.metadata.namespace ?? '', object.metadata.name);
    if (!(await context.store.get(key))) await context.client.for(names as ResourceNames<ApiObject>).create(object);
  }));
}

/** kube-system/kube-dns: answered by the DNS server of each node itself, so no proxy has rules for it. */
function ensureDnsService(context: ApiServer['context'], { dnsAddress }: ControlPlaneOptions): Promise<void> {
  return ensureObjects(context, [[services, {
    apiVersion: 'v1', kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' } },
    spec: { clusterIP: dnsAddress, clusterIPs: [dnsAddress], ports: [{ name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 }, { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 }] },
  } as ApiObject]]);
}

/** The n-th address of an IPv4 range. */
export function nthServiceAddress(cidr: string, n: number): string {
  const [a = 0, b = 0, c = 0, d = 0] = cidr.split('/')[0]!.split('.').map(Number);
  const number = ((a << 24) | (b << 16) | (c << 8) | d) + n;
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

