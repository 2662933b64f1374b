/** The fields of flowcontrol.apiserver.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const flowcontrolV1 = defineTypes('flowcontrol/v1', 'flowcontrol.apiserver.k8s.io/v1', {
  ExemptPriorityLevelConfiguration: {
    nominalConcurrencyShares: '1 int32 pointer',
    lendablePercent: '2 int32 pointer',
  },
  FlowDistinguisherMethod: {
    type: '1 string!',
  },
  FlowSchema: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 FlowSchemaSpec',
    status: '3 FlowSchemaStatus',
  },
  FlowSchemaCondition: {
    type: '1 string',
    status: '2 string',
    lastTransitionTime: '3 Time',
    reason: '4 string',
    message: '5 string',
  },
  FlowSchemaList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []FlowSchema!',
  },
  FlowSchemaSpec: {
    priorityLevelConfiguration: '1 PriorityLevelConfigurationReference!',
    matchingPrecedence: '2 int32',
    distinguisherMethod: '3 FlowDistinguisherMethod pointer',
    rules: '4 []PolicyRulesWithSubjects atomic',
  },
  FlowSchemaStatus: {
    conditions: '1 []FlowSchemaCondition map(type) merge(type)',
  },
  GroupSubject: {
    name: '1 string!',
  },
  LimitResponse: {
    $union: 'type: queuing=Queuing',
    type: '1 string!',
    queuing: '2 QueuingConfiguration pointer',
  },
  LimitedPriorityLevelConfiguration: {
    nominalConcurrencyShares: '1 int32 pointer',
    limitResponse: '2 LimitResponse',
    lendablePercent: '3 int32 pointer',
    borrowingLimitPercent: '4 int32 pointer',
  },
  NonResourcePolicyRule: {
    verbs: '1 []string! set',
    nonResourceURLs: '6 []string! set',
  },
  PolicyRulesWithSubjects: {
    subjects: '1 []Subject! atomic',
    resourceRules: '2 []ResourcePolicyRule atomic',
    nonResourceRules: '3 []NonResourcePolicyRule atomic',
  },
  PriorityLevelConfiguration: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 PriorityLevelConfigurationSpec',
    status: '3 PriorityLevelConfigurationStatus',
  },
  PriorityLevelConfigurationCondition: {
    type: '1 string',
    status: '2 string',
    lastTransitionTime: '3 Time',
    reason: '4 string',
    message: '5 string',
  },
  PriorityLevelConfigurationList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []PriorityLevelConfiguration!',
  },
  PriorityLevelConfigurationReference: {
    name: '1 string!',
  },
  PriorityLevelConfigurationSpec: {
    $union: 'type: exempt=Exempt,limited=Limited',
    type: '1 string!',
    limited: '2 LimitedPriorityLevelConfiguration pointer',
    exempt: '3 ExemptPriorityLevelConfiguration pointer',
  },
  PriorityLevelConfigurationStatus: {
    conditions: '1 []PriorityLevelConfigurationCondition map(type) merge(type)',
  },
  QueuingConfiguration: {
    queues: '1 int32',
    handSize: '2 int32',
    queueLengthLimit: '3 int32',
  },
  ResourcePolicyRule: {
    verbs: '1 []string! set',
    apiGroups: '2 []string! set',
    resources: '3 []string! set',
    clusterScope: '4 bool',
    namespaces: '5 []string set',
  },
  ServiceAccountSubject: {
    namespace: '1 string!',
    name: '2 string!',
  },
  Subject: {
    $union: 'kind: group=Group,serviceAccount=ServiceAccount,user=User',
    kind: '1 string!',
    user: '2 UserSubject pointer',
    group: '3 GroupSubject pointer',
    serviceAccount: '4 ServiceAccountSubject pointer',
  },
  UserSubject: {
    name: '1 string!',
  },
});
