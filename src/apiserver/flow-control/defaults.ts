/** The FlowSchemas and PriorityLevelConfigurations every cluster has. Source: apiserver/pkg/apis/flowcontrol/bootstrap (v1.36), figures to the letter. */
import type { FlowSchemaSpec, NonResourcePolicyRule, PriorityLevelConfigurationSpec, ResourcePolicyRule, Subject } from '../../api/flowcontrol/v1.ts';

export interface DefaultObject<S> { name: string; mandatory: boolean; spec: S }

const limited = (shares: number, lendablePercent: number, queues: number, handSize: number): PriorityLevelConfigurationSpec => ({
  type: 'Limited', limited: { nominalConcurrencyShares: shares, lendablePercent, limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } } },
});
export const defaultPriorityLevels: readonly DefaultObject<PriorityLevelConfigurationSpec>[] = [
  { name: 'exempt', mandatory: true, spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } } },
  { name: 'catch-all', mandatory: true, spec: { type: 'Limited', limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } } } },
  { name: 'system', mandatory: false, spec: limited(30, 33, 64, 6) },
  { name: 'node-high', mandatory: false, spec: limited(40, 25, 64, 6) },
  { name: 'leader-election', mandatory: false, spec: limited(10, 0, 16, 4) },
  { name: 'workload-high', mandatory: false, spec: limited(40, 50, 128, 6) },
  { name: 'workload-low', mandatory: false, spec: limited(100, 90, 128, 6) },
  { name: 'global-default', mandatory: false, spec: limited(20, 50, 128, 6) },
];

const groups = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'Group', group: { name } }));
const users = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'User', user: { name } }));
const kubeSystem: Subject = { kind: 'ServiceAccount', serviceAccount: { name: '*', namespace: 'kube-system' } };
const everyone = groups('system:unauthenticated', 'system:authenticated');
const resources = (verbs: string[], apiGroups: string[], names: string[], clusterScope: boolean): ResourcePolicyRule => ({ verbs, apiGroups, resources: names, ...(clusterScope ? { clusterScope } : {}), namespaces: ['*'] });
const anyResource = [resources(['*'], ['*'], ['*'], true)];
const anyPath: NonResourcePolicyRule[] = [{ verbs: ['*'], nonResourceURLs: ['*'] }];

function schema(name: string, level: string, matchingPrecedence: number, by: '' | 'ByUser' | 'ByNamespace', subjects: readonly Subject[], rules: { resourceRules?: readonly ResourcePolicyRule[]; nonResourceRules?: readonly NonResourcePolicyRule[] } = { resourceRules: anyResource, nonResourceRules: anyPath }): DefaultObject<FlowSchemaSpec> {
  return { name, mandatory: name === 'exempt' || name === 'catch-all', spec: { priorityLevelConfiguration: { name: level }, matchingPrecedence, ...(by ? { distinguisherMethod: { type: by } } : {}), rules: [{ subjects, ...rules }] } };
}
export const defaultFlowSchemas: readonly DefaultObject<FlowSchemaSpec>[] = [
  schema('exempt', 'exempt', 1, '', groups('system:masters')),
  schema('probes', 'exempt', 2, '', everyone, { nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }] }),
  schema('system-leader-election', 'leader-election', 100, 'ByUser', [...users('system:kube-controller-manager', 'system:kube-scheduler'), kubeSystem], { resourceRules: [resources(['get', 'create', 'update'], ['coordination.k8s.io'], ['leases'], false)] }),
  schema('system-node-high', 'node-high', 400, 'ByUser', groups('system:nodes'), { resourceRules: [resources(['*'], [''], ['nodes', 'nodes/status'], true), resources(['*'], ['coordination.k8s.io'], ['leases'], false)] }),
  schema('system-nodes', 'system', 500, 'ByUser', groups('system:nodes')),
  schema('kube-controller-manager', 'workload-high', 800, 'ByNamespace', users('system:kube-controller-manager')),
  schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', users('system:kube-scheduler')),
  schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', [kubeSystem]),
  schema('service-accounts', 'workload-low', 9000, 'ByUser', groups('system:serviceaccounts')),
  schema('global-default', 'global-default', 9900, 'ByUser', everyone),
  schema('catch-all', 'catch-all', 10000, 'ByUser', everyone),
];
