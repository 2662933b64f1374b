/** networking.k8s.io/v1 and discovery.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/registry/{networking,discovery}. */
import type * as v1 from '../../api/networking/v1.ts';
import type * as discoveryV1 from '../../api/discovery/v1.ts';
import type { Column } from '../types.ts';
import * as defaults from '../../api/networking/v1.defaults.ts';
import { setEndpointSliceDefaults } from '../../api/discovery/v1.defaults.ts';
import * as validation from '../../api/networking/v1.validation.ts';
import { validateEndpointSlice, validateEndpointSliceUpdate } from '../../api/discovery/v1.validation.ts';
import { semanticEqual } from '../../api/validation/equality.ts';
import { nameIsPathSegment } from '../../api/validation/names.ts';
import { formatSelector } from '../../api/label-selector.ts';
import { endpointslices, ingressclasses, ingresses, ipaddresses, networkpolicies, servicecidrs } from '../../api/resources.ts';
import { ageColumn, column, entry, nameColumn } from './define.ts';

function hostsText(rules: readonly v1.IngressRule[]): string {
  const hosts = rules.map((rule) => rule.host).filter((host): host is string => !!host);
  if (hosts.length === 0) return '*';
  return hosts.length > 3 ? `${hosts.slice(0, 3).join(',')} + ${hosts.length - 3} more...` : hosts.join(',');
}
const ingressColumns: readonly Column<v1.Ingress>[] = [
  nameColumn,
  column('Class', ({ metadata, spec }) => spec?.ingressClassName ?? metadata.annotations?.['kubernetes.io/ingress.class'] ?? '<none>', { description: 'The name of the IngressClass resource that should be used for additional configuration' }),
  column('Hosts', ({ spec }) => hostsText(spec?.rules ?? []), { description: 'Hosts that incoming requests are matched against before the ingress rule' }),
  column('Address', ({ status }) => [...new Set((status?.loadBalancer?.ingress ?? []).map((ingress) => ingress.ip || ingress.hostname || '').filter(Boolean))].sort().join(','), { description: 'Address is a list containing ingress points for the load-balancer' }),
  column('Ports', ({ spec }) => ((spec?.tls?.length ?? 0) > 0 ? '80, 443' : '80'), { description: 'Ports of TLS configurations that open' }),
  ageColumn,
];
const ingressClassColumns: readonly Column<v1.IngressClass>[] = [
  nameColumn,
  column('Controller', ({ spec }) => spec?.controller ?? '', { description: 'Controller that is responsible for handling this class' }),
  column('Parameters', ({ spec }) => {
    const parameters = spec?.parameters;
    if (!parameters) return '<none>';
    return `${parameters.kind.toLowerCase()}${parameters.apiGroup ? `.${parameters.apiGroup}` : ''}/${parameters.name}`;
  }, { description: 'A reference to a resource with additional parameters' }),
  ageColumn,
];
const networkPolicyColumns: readonly Column<v1.NetworkPolicy>[] = [
  nameColumn,
  column('Pod-Selector', ({ spec }) => formatSelector(spec?.podSelector ?? {}) || '<none>'),
  ageColumn,
];
const ipAddressColumns: readonly Column<v1.IPAddress>[] = [
  nameColumn,
  column('ParentRef', ({ spec }) => {
    const parent = spec?.parentRef;
    if (!parent) return '';
    return `${parent.resource}${parent.group ? `.${parent.group}` : ''}/${parent.namespace ? `${parent.namespace}/` : ''}${parent.name}`;
  }),
];
const serviceCIDRColumns: readonly Column<v1.ServiceCIDR>[] = [nameColumn, column('CIDRs', ({ spec }) => (spec?.cidrs ?? []).join(',')), ageColumn];

function shortList(values: readonly string[], ifNone: string): string {
  if (values.length === 0) return ifNone;
  return values.length > 3 ? `${values.slice(0, 3).join(',')} + ${values.length - 3} more...` : values.join(',');
}
const endpointSliceColumns: readonly Column<discoveryV1.EndpointSlice>[] = [
  nameColumn,
  column('AddressType', (slice) => slice.addressType),
  column('Ports', (slice) => shortList((slice.ports ?? []).map((port) => (port.port === undefined ? port.name ?? '' : String(port.port))), '<unset>')),
  column('Endpoints', (slice) => shortList((slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? []), '<unset>')),
  ageColumn,
];

export const networkingEntries = [
  entry(ingressclasses, { columns: ingressClassColumns, strategy: { setDefaults: defaults.setIngressClassDefaults, validate: validation.validateIngressClass, validateUpdate: validation.validateIngressClassUpdate } }),
  entry(ingresses, { columns: ingressColumns, storagePrefix: '/registry/ingress', strategy: { setDefaults: defaults.setIngressDefaults, validate: validation.validateIngressOnCreate, validateUpdate: validation.validateIngress, prepareForCreate(ingress) { ingress.status = { loadBalancer: {} }; } } }),
  entry(ipaddresses, { columns: ipAddressColumns, strategy: { generation: 'none', validateName: nameIsPathSegment, validate: validation.validateIPAddress, validateUpdate: validation.validateIPAddress } }),
  entry(networkpolicies, { columns: networkPolicyColumns, strategy: { setDefaults: defaults.setNetworkPolicyDefaults, validate: validation.validateNetworkPolicy, validateUpdate: validation.validateNetworkPolicy } }),
  entry(servicecidrs, { columns: serviceCIDRColumns, strategy: { validate: validation.validateServiceCIDR, validateUpdate: validation.validateServiceCIDR } }),
  entry(endpointslices, { columns: endpointSliceColumns, strategy: {
      setDefaults: setEndpointSliceDefaults, validate: validateEndpointSlice, validateUpdate: validateEndpointSliceUpdate,
      // No spec, but a generation: it counts changes of what the proxies read.
      prepareForCreate(slice) { slice.metadata.generation = 1; },
      prepareForUpdate(slice, old) {
        const read = (one: Pick<discoveryV1.EndpointSlice, 'endpoints' | 'ports' | 'addressType'>) => ({ endpoints: one.endpoints, ports: one.ports, addressType: one.addressType });
        const same = semanticEqual(read(slice), read(old)) && semanticEqual(slice.metadata.labels, old.metadata.labels);
        slice.metadata.generation = (old.metadata.generation ?? 1) + (same ? 0 : 1);
      },
    } }),
];
