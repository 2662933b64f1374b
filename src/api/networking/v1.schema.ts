/** The fields of networking.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const networkingV1 = defineTypes('networking/v1', 'networking.k8s.io/v1', {
  HTTPIngressPath: {
    path: '1 string',
    backend: '2 IngressBackend!',
    pathType: '3 string! pointer',
  },
  HTTPIngressRuleValue: {
    paths: '1 []HTTPIngressPath! atomic',
  },
  IPAddress: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 IPAddressSpec!',
  },
  IPAddressList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []IPAddress!',
  },
  IPAddressSpec: {
    parentRef: '1 ParentReference! pointer',
  },
  IPBlock: {
    cidr: '1 string!',
    except: '2 []string atomic',
  },
  Ingress: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 IngressSpec',
    status: '3 IngressStatus',
  },
  IngressBackend: {
    resource: '3 core/v1.TypedLocalObjectReference pointer',
    service: '4 IngressServiceBackend pointer',
  },
  IngressClass: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 IngressClassSpec',
  },
  IngressClassList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []IngressClass!',
  },
  IngressClassParametersReference: {
    apiGroup: '1 string pointer',
    kind: '2 string!',
    name: '3 string!',
    scope: '4 string pointer',
    namespace: '5 string pointer',
  },
  IngressClassSpec: {
    controller: '1 string',
    parameters: '2 IngressClassParametersReference pointer',
  },
  IngressList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []Ingress!',
  },
  IngressLoadBalancerIngress: {
    ip: '1 string',
    hostname: '2 string',
    ports: '4 []IngressPortStatus atomic',
  },
  IngressLoadBalancerStatus: {
    ingress: '1 []IngressLoadBalancerIngress atomic',
  },
  IngressPortStatus: {
    port: '1 int32!',
    protocol: '2 string!',
    error: '3 string pointer',
  },
  IngressRule: {
    host: '1 string',
    http: '2.1 HTTPIngressRuleValue pointer',
  },
  IngressServiceBackend: {
    name: '1 string!',
    port: '2 ServiceBackendPort',
  },
  IngressSpec: {
    defaultBackend: '1 IngressBackend pointer',
    tls: '2 []IngressTLS atomic',
    rules: '3 []IngressRule atomic',
    ingressClassName: '4 string pointer',
  },
  IngressStatus: {
    loadBalancer: '1 IngressLoadBalancerStatus',
  },
  IngressTLS: {
    hosts: '1 []string atomic',
    secretName: '2 string',
  },
  NetworkPolicy: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 NetworkPolicySpec',
  },
  NetworkPolicyEgressRule: {
    ports: '1 []NetworkPolicyPort atomic',
    to: '2 []NetworkPolicyPeer atomic',
  },
  NetworkPolicyIngressRule: {
    ports: '1 []NetworkPolicyPort atomic',
    from: '2 []NetworkPolicyPeer atomic',
  },
  NetworkPolicyList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []NetworkPolicy!',
  },
  NetworkPolicyPeer: {
    podSelector: '1 LabelSelector pointer',
    namespaceSelector: '2 LabelSelector pointer',
    ipBlock: '3 IPBlock pointer',
  },
  NetworkPolicyPort: {
    protocol: '1 string pointer',
    port: '2 IntOrString pointer',
    endPort: '3 int32 pointer',
  },
  NetworkPolicySpec: {
    podSelector: '1 LabelSelector',
    ingress: '2 []NetworkPolicyIngressRule atomic',
    egress: '3 []NetworkPolicyEgressRule atomic',
    policyTypes: '4 []string atomic',
  },
  ParentReference: {
    group: '1 string',
    resource: '2 string!',
    namespace: '3 string',
    name: '4 string!',
  },
  ServiceBackendPort: {
    $struct: 'atomic',
    name: '1 string',
    number: '2 int32',
  },
  ServiceCIDR: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    spec: '2 ServiceCIDRSpec',
    status: '3 ServiceCIDRStatus',
  },
  ServiceCIDRList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []ServiceCIDR!',
  },
  ServiceCIDRSpec: {
    cidrs: '1 []string atomic',
  },
  ServiceCIDRStatus: {
    conditions: '1 []Condition map(type) merge(type)',
  },
});
