/** networking.k8s.io/v1. Source: upstream's pkg/apis/networking/validation. */
import type * as v1 from './v1.ts';
import { parseCIDR, parseIP, cidrContains, cidrsOverlap } from '../cidr.ts';
import { addInvalid, field, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isDNS1035Label, isDNS1123Subdomain, isDomainPrefixedPath, isValidCIDR, isValidCIDRForLegacyField, isValidPortName, isValidPortNum, isWildcardDNS1123Subdomain } from '../validation/names.ts';
import { validateEnum, validateImmutable, validateLabelSelector, validatePortNumOrName, validateRequiredText } from '../validation/meta.ts';

const specPath = field('spec');

// ---- NetworkPolicy

function validatePeer(peer: v1.NetworkPolicyPeer, path: FieldPath, errors: FieldError[]): void {
  if (peer.podSelector) validateLabelSelector(peer.podSelector, path.child('podSelector'), errors);
  if (peer.namespaceSelector) validateLabelSelector(peer.namespaceSelector, path.child('namespaceSelector'), errors);
  if (peer.ipBlock) {
    const at = path.child('ipBlock');
    if (!peer.ipBlock.cidr) errors.push(required(at.child('cidr')));
    else addInvalid(errors, at.child('cidr'), peer.ipBlock.cidr, isValidCIDRForLegacyField(peer.ipBlock.cidr));
    const outer = parseCIDR(peer.ipBlock.cidr ?? '');
    for (const [i, text] of (peer.ipBlock.except ?? []).entries()) {
      const inside = at.child('except').index(i);
      if (addInvalid(errors, inside, text, isValidCIDRForLegacyField(text)) || !outer) continue;
      const inner = parseCIDR(text)!;
      if (!cidrContains(outer, { family: inner.family, value: inner.base }) || inner.length <= outer.length) errors.push(invalid(inside, text, 'must be a strict subset of `cidr`'));
    }
  }
  const selectors = (peer.podSelector ? 1 : 0) + (peer.namespaceSelector ? 1 : 0);
  if (selectors === 0 && !peer.ipBlock) errors.push(required(path, 'must specify a peer'));
  else if (selectors > 0 && peer.ipBlock) errors.push(forbidden(path, 'may not specify both ipBlock and another peer'));
}
function validatePolicyPort(port: v1.NetworkPolicyPort, path: FieldPath, errors: FieldError[]): void {
  if (port.protocol !== undefined && !['SCTP', 'TCP', 'UDP'].includes(port.protocol)) errors.push(notSupported(path.child('protocol'), port.protocol, ['SCTP', 'TCP', 'UDP']));
  if (port.port !== undefined) {
    validatePortNumOrName(port.port, path, 'port', errors);
    if (port.endPort !== undefined) {
      if (typeof port.port === 'string') errors.push(invalid(path.child('endPort'), port.endPort, 'may not be specified when `port` is non-numeric'));
      else if (port.endPort < port.port) errors.push(invalid(path.child('endPort'), port.endPort, 'must be greater than or equal to `port`'));
      addInvalid(errors, path.child('endPort'), port.endPort, isValidPortNum(port.endPort));
    }
  } else if (port.endPort !== undefined) errors.push(invalid(path.child('endPort'), port.endPort, 'may not be specified when `port` is not specified'));
}
export function validateNetworkPolicy({ spec }: v1.NetworkPolicy): FieldError[] {
  const errors: FieldError[] = [];
  validateLabelSelector(spec?.podSelector, specPath.child('podSelector'), errors);
  for (const [direction, peers] of [['ingress', 'from'], ['egress', 'to']] as const) {
    for (const [i, rule] of (spec?.[direction] ?? []).entries()) {
      const path = specPath.child(direction).index(i);
      for (const [p, port] of (rule.ports ?? []).entries()) validatePolicyPort(port, path.child('ports').index(p), errors);
      const list = (rule as Record<string, unknown>)[peers] as readonly v1.NetworkPolicyPeer[] | undefined;
      for (const [p, peer] of (list ?? []).entries()) validatePeer(peer, path.child(peers).index(p), errors);
    }
  }
  const types = spec?.policyTypes ?? [];
  if (types.length > 2) errors.push(invalid(specPath.child('policyTypes'), types, 'may not specify more than two policyTypes'));
  for (const [i, type] of types.entries()) if (type !== 'Ingress' && type !== 'Egress') errors.push(notSupported(specPath.child('policyTypes').index(i), type, ['Egress', 'Ingress']));
  return errors;
}

// ---- Ingress, IngressClass

function validateBackend(backend: v1.IngressBackend | undefined, path: FieldPath, errors: FieldError[]): void {
  if (backend?.service && backend.resource) { errors.push(invalid(path, '', 'cannot set both resource and service backends')); return; }
  if (backend?.resource) {
    validateRequiredText(backend.resource.kind, undefined, path.child('resource'), 'kind', errors);
    validateRequiredText(backend.resource.name, undefined, path.child('resource'), 'name', errors);
  } else if (backend?.service) {
    const at = path.child('service');
    validateRequiredText(backend.service.name, isDNS1035Label, at, 'name', errors);
    const { name, number } = backend.service.port ?? {};
    if (name && number) errors.push(invalid(path, '', 'cannot set both port name & port number'));
    else if (!name && !number) errors.push(required(path, 'port name or number is required'));
    else if (name) addInvalid(errors, at.child('port', 'name'), name, isValidPortName(name));
    else addInvalid(errors, at.child('port', 'number'), number, isValidPortNum(number!));
  } else errors.push(required(path, 'resource or service backend is required'));
}
const badSequences = ['//', '/./', '/../', '%2f', '%2F'];
const badEndings = ['/..', '/.'];
function validateHTTPPath(rule: v1.HTTPIngressPath, path: FieldPath, errors: FieldError[]): void {
  const text = rule.path ?? '';
  switch (rule.pathType) {
    case undefined: case '': errors.push(required(path.child('pathType'), 'pathType must be specified')); break;
    case 'Exact': case 'Prefix':
      if (!text.startsWith('/')) errors.push(invalid(path.child('path'), text, 'must be an absolute path'));
      for (const bad of badSequences) if (text.includes(bad)) errors.push(invalid(path.child('path'), text, `must not contain '${bad}'`));
      for (const bad of badEndings) if (text.endsWith(bad)) errors.push(invalid(path.child('path'), text, `cannot end with '${bad}'`));
      break;
    case 'ImplementationSpecific': if (text !== '' && !text.startsWith('/')) errors.push(invalid(path.child('path'), text, 'must be an absolute path')); break;
    default: errors.push(notSupported(path.child('pathType'), rule.pathType, ['Exact', 'ImplementationSpecific', 'Prefix']));
  }
  validateBackend(rule.backend, path.child('backend'), errors);
}
export function validateIngress({ spec }: v1.Ingress): FieldError[] {
  const errors: FieldError[] = [];
  const rules = spec?.rules ?? [];
  if (rules.length === 0 && !spec?.defaultBackend) errors.push(invalid(specPath, rules, 'either `defaultBackend` or `rules` must be specified'));
  if (spec?.defaultBackend) validateBackend(spec.defaultBackend, specPath.child('defaultBackend'), errors);
  for (const [i, rule] of rules.entries()) {
    const path = specPath.child('rules').index(i);
    if (rule.host) {
      if (parseIP(rule.host)) errors.push(invalid(path.child('host'), rule.host, 'must be a DNS name, not an IP address'));
      addInvalid(errors, path.child('host'), rule.host, rule.host.includes('*') ? isWildcardDNS1123Subdomain(rule.host) : isDNS1123Subdomain(rule.host));
    }
    if (rule.http) {
      if ((rule.http.paths?.length ?? 0) === 0) errors.push(required(path.child('http', 'paths')));
      for (const [p, one] of (rule.http.paths ?? []).entries()) validateHTTPPath(one, path.child('http', 'paths').index(p), errors);
    }
  }
  for (const [i, tls] of (spec?.tls ?? []).entries()) {
    const path = specPath.child('tls').index(i);
    for (const [h, host] of (tls.hosts ?? []).entries()) addInvalid(errors, path.child('hosts').index(h), host, host.includes('*') ? isWildcardDNS1123Subdomain(host) : isDNS1123Subdomain(host));
    if (tls.secretName) addInvalid(errors, path.child('secretName'), tls.secretName, isDNS1123Subdomain(tls.secretName));
  }
  if (spec?.ingressClassName !== undefined) addInvalid(errors, specPath.child('ingressClassName'), spec.ingressClassName, isDNS1123Subdomain(spec.ingressClassName));
  return errors;
}
export function validateIngressOnCreate(ingress: v1.Ingress): FieldError[] {
  const errors = validateIngress(ingress);
  const annotation = ingress.metadata.annotations?.['kubernetes.io/ingress.class'];
  if (annotation !== undefined && ingress.spec?.ingressClassName !== undefined) errors.push(invalid(field('annotations').child('kubernetes.io/ingress.class'), annotation, 'can not be set when the class field is also set'));
  return errors;
}
export function validateIngressClass({ spec }: v1.IngressClass): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec?.controller) errors.push(required(specPath.child('controller')));
  else {
    if (spec.controller.length > 250) errors.push({ type: 'FieldValueTooLong', field: 'spec.controller', detail: 'Too long: may not be more than 250 bytes' });
    for (const { value, message } of isDomainPrefixedPath(spec.controller)) errors.push(invalid(specPath.child('controller'), value, message));
  }
  const parameters = spec?.parameters;
  if (parameters) {
    const path = specPath.child('parameters');
    validateRequiredText(parameters.kind, undefined, path, 'kind', errors);
    validateRequiredText(parameters.name, undefined, path, 'name', errors);
    validateEnum(parameters.scope, ['Cluster', 'Namespace'], path, 'scope', errors);
    if (parameters.scope === 'Namespace' && !parameters.namespace) errors.push(required(path.child('namespace'), "`parameters.scope` is set to 'Namespace'"));
    if (parameters.scope === 'Cluster' && parameters.namespace !== undefined) errors.push(forbidden(path.child('namespace'), "`parameters.scope` is set to 'Cluster'"));
  }
  return errors;
}
export function validateIngressClassUpdate(next: v1.IngressClass, old: v1.IngressClass): FieldError[] {
  const errors = validateIngressClass(next);
  validateImmutable(next.spec?.controller, old.spec?.controller, () => specPath.child('controller'), errors);
  return errors;
}

// ---- ServiceCIDR, IPAddress

export function validateServiceCIDR({ spec }: v1.ServiceCIDR): FieldError[] {
  const cidrs = spec?.cidrs ?? [];
  const path = specPath.child('cidrs');
  if (cidrs.length === 0) return [required(path, 'at least one CIDR required')];
  const errors: FieldError[] = [];
  if (cidrs.length > 2) errors.push(invalid(specPath, spec, 'may only hold up to 2 values'));
  for (const [i, text] of cidrs.entries()) addInvalid(errors, path.index(i), text, isValidCIDR(text));
  const [a, b] = cidrs.map((text) => parseCIDR(text));
  if (a && b && a.family === b.family) errors.push(invalid(specPath, spec, cidrsOverlap(a, b) ? 'CIDRs overlap' : 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64'));
  return errors;
}
export function validateIPAddress({ metadata, spec }: v1.IPAddress): FieldError[] {
  const errors: FieldError[] = [];
  const path = specPath.child('parentRef');
  if (!spec?.parentRef) errors.push(required(path));
  else {
    validateRequiredText(spec.parentRef.resource, undefined, path, 'resource', errors);
    validateRequiredText(spec.parentRef.name, undefined, path, 'name', errors);
  }
  if (!parseIP(metadata.name)) errors.push(invalid(field('metadata', 'name'), metadata.name, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'));
  return errors;
}
