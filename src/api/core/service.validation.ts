/** Services, Endpoints. Source: upstream's ValidateService, ValidateServiceUpdate, ValidateEndpoints. */
import type * as v1 from './v1.ts';
import { parseIP } from '../cidr.ts';
import { addInvalid, duplicate, field, fieldImmutable, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName, isValidCIDRForLegacyField, isValidIPForLegacyField, isValidPortNum, nameIsDNSSubdomain } from '../validation/names.ts';
import { validateEnum, validateLabels, validatePortNumOrName } from '../validation/meta.ts';

const specPath = field('spec');
const protocols = ['SCTP', 'TCP', 'UDP'];
const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const isHeadless = ({ spec }: v1.Service) => spec.clusterIPs?.[0] === 'None' || spec.clusterIP === 'None';
const externallyAccessible = ({ spec }: v1.Service) => spec.type === 'LoadBalancer' || spec.type === 'NodePort' || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);
const needsHealthCheck = ({ spec }: v1.Service) => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

/** Addresses nobody may route to: unspecified, loopback, link-local, multicast. */
export function validateNonSpecialIP(text: string, path: FieldPath, errors: FieldError[]): void {
  const ip = parseIP(text);
  if (!ip) { errors.push(invalid(path, text, 'must be a valid IP address')); return; }
  const v4 = (high: number, bits: number) => ip.family === 4 && Number(ip.value >> BigInt(32 - bits)) === high;
  if (ip.value === 0n) errors.push(invalid(path, text, `may not be unspecified (${text})`));
  if (v4(127, 8) || (ip.family === 6 && ip.value === 1n)) errors.push(invalid(path, text, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'));
  if (v4(0xa9fe, 16) || (ip.family === 6 && ip.value >> 118n === 0x3fan)) errors.push(invalid(path, text, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'));
  if (v4(0xe00000, 24) || (ip.family === 6 && ip.value >> 112n === 0xff02n)) errors.push(invalid(path, text, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'));
}

function validatePort(port: v1.ServicePort, requireName: boolean, names: Set<string>, path: FieldPath, errors: FieldError[]): void {
  if (!port.name) { if (requireName) errors.push(required(path.child('name'))); }
  else {
    addInvalid(errors, path.child('name'), port.name, isDNS1123Label(port.name));
    if (names.has(port.name)) errors.push(duplicate(path.child('name'), port.name));
    names.add(port.name);
  }
  addInvalid(errors, path.child('port'), port.port ?? 0, isValidPortNum(port.port ?? 0));
  validateEnum(port.protocol, protocols, path, 'protocol', errors);
  validatePortNumOrName(port.targetPort, path, 'targetPort', errors);
  if (port.appProtocol !== undefined) addInvalid(errors, path.child('appProtocol'), port.appProtocol, isQualifiedName(port.appProtocol));
}

/** clusterIPs, ipFamilies and ipFamilyPolicy against each other. */
function validateClusterIPs(service: v1.Service, errors: FieldError[]): void {
  const { spec } = service;
  if (spec.type === 'ExternalName') return;
  const path = specPath.child('clusterIPs');
  const ips = spec.clusterIPs ?? [];
  if (ips.length > 0 && spec.clusterIP !== ips[0]) errors.push(invalid(path, ips, 'first value must match `clusterIP`'));
  if (spec.ipFamilyPolicy !== undefined && !['PreferDualStack', 'RequireDualStack', 'SingleStack'].includes(spec.ipFamilyPolicy)) {
    errors.push(notSupported(specPath.child('ipFamilyPolicy'), spec.ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack']));
  }
  const seenFamilies = new Set<string>();
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    if (family !== 'IPv4' && family !== 'IPv6') errors.push(notSupported(specPath.child('ipFamilies').index(i), family, ['IPv4', 'IPv6']));
    if (seenFamilies.has(family)) errors.push(duplicate(specPath.child('ipFamilies').index(i), family));
    seenFamilies.add(family);
  }
  if ((spec.ipFamilies?.length ?? 0) > 2) errors.push(invalid(specPath.child('ipFamilies'), spec.ipFamilies, 'may only hold up to 2 values'));
  if (ips.length > 2) errors.push(invalid(path, ips, 'may only hold up to 2 values'));
  for (const [i, ip] of ips.entries()) {
    if (ip === 'None') { if (ips.length > 1) errors.push(invalid(path.index(i), ip, "'None' must be the first and only value")); continue; }
    addInvalid(errors, path.index(i), ip, isValidIPForLegacyField(ip));
  }
  if (ips.length === 2 && ips.every((ip) => parseIP(ip)) && parseIP(ips[0]!)!.family === parseIP(ips[1]!)!.family) errors.push(invalid(path, ips, 'may specify no more than one IP for each IP family'));
}

export function validateService(service: v1.Service): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = service;
  const headless = isHeadless(service);
  if ((spec.ports?.length ?? 0) === 0 && !headless && spec.type !== 'ExternalName') errors.push(required(specPath.child('ports')));
  if (headless && (spec.type === 'LoadBalancer' || spec.type === 'NodePort')) errors.push(invalid(specPath.child('clusterIPs').index(0), 'None', `may not be set to 'None' for ${spec.type} services`));
  if (spec.type === 'ExternalName') {
    if ((spec.clusterIPs?.length ?? 0) > 0 || spec.clusterIP) errors.push(forbidden(specPath.child('clusterIPs'), 'may not be set for ExternalName services'));
    if ((spec.ipFamilies?.length ?? 0) > 0) errors.push(forbidden(specPath.child('ipFamilies'), 'may not be set for ExternalName services'));
    if (spec.ipFamilyPolicy !== undefined) errors.push(forbidden(specPath.child('ipFamilyPolicy'), 'may not be set for ExternalName services'));
    const cname = (spec.externalName ?? '').replace(/\.$/, '');
    if (cname === '') errors.push(required(specPath.child('externalName')));
    else addInvalid(errors, specPath.child('externalName'), cname, isDNS1123Subdomain(cname));
  }

  const ports = spec.ports ?? [];
  const names = new Set<string>();
  const [nodePorts, servicePorts] = [new Set<string>(), new Set<string>()];
  const portsPath = specPath.child('ports');
  for (const [i, port] of ports.entries()) validatePort(port, ports.length > 1, names, portsPath.index(i), errors);
  validateLabels(spec.selector, () => specPath.child('selector'), errors);
  validateEnum(spec.sessionAffinity, ['ClientIP', 'None'], specPath, 'sessionAffinity', errors);
  if (spec.sessionAffinity === 'ClientIP') {
    const timeout = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
    const path = specPath.child('sessionAffinityConfig', 'clientIP', 'timeoutSeconds');
    if (timeout === undefined) errors.push(required(path, 'when session affinity type is ClientIP'));
    else if (timeout <= 0 || timeout > 86400) errors.push(invalid(path, timeout, 'must be greater than 0 and less than 86400'));
  } else if (spec.sessionAffinity === 'None' && spec.sessionAffinityConfig) errors.push(forbidden(specPath.child('sessionAffinityConfig'), 'must not be set when session affinity is None'));
  validateClusterIPs(service, errors);
  for (const [i, ip] of (spec.externalIPs ?? []).entries()) {
    const at = specPath.child('externalIPs').index(i);
    if (!addInvalid(errors, at, ip, isValidIPForLegacyField(ip))) validateNonSpecialIP(ip, at, errors);
  }
  validateEnum(spec.type, types, specPath, 'type', errors);
  for (const [i, port] of ports.entries()) {
    if (spec.type === 'ClusterIP' && port.nodePort) errors.push(forbidden(portsPath.index(i).child('nodePort'), "may not be used when `type` is 'ClusterIP'"));
    if (port.nodePort) {
      const key = `${port.protocol}/${port.nodePort}`;
      if (nodePorts.has(key)) errors.push(duplicate(portsPath.index(i).child('nodePort'), port.nodePort));
      nodePorts.add(key);
    }
    const key = `${port.protocol}/${port.port}`;
    if (servicePorts.has(key)) errors.push(duplicate(portsPath.index(i), { protocol: port.protocol, port: port.port }));
    servicePorts.add(key);
  }
  if ((spec.loadBalancerSourceRanges?.length ?? 0) > 0) {
    const path = specPath.child('LoadBalancerSourceRanges');
    if (spec.type !== 'LoadBalancer') errors.push(forbidden(path, "may only be used when `type` is 'LoadBalancer'"));
    for (const [i, range] of spec.loadBalancerSourceRanges!.entries()) addInvalid(errors, path.index(i), range.trim(), isValidCIDRForLegacyField(range.trim()));
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer') errors.push(forbidden(specPath.child('allocateLoadBalancerNodePorts'), "may only be used when `type` is 'LoadBalancer'"));
  if (spec.loadBalancerClass !== undefined) {
    if (spec.type !== 'LoadBalancer') errors.push(forbidden(specPath.child('loadBalancerClass'), 'may only be used when `type` is \'LoadBalancer\''));
    else addInvalid(errors, specPath.child('loadBalancerClass'), spec.loadBalancerClass, isQualifiedName(spec.loadBalancerClass));
  }
  if (!externallyAccessible(service)) {
    if (spec.externalTrafficPolicy) errors.push(invalid(specPath.child('externalTrafficPolicy'), spec.externalTrafficPolicy, 'may only be set for externally-accessible services'));
  } else validateEnum(spec.externalTrafficPolicy, ['Cluster', 'Local'], specPath, 'externalTrafficPolicy', errors);
  // The port itself may still be the allocator's to choose.
  if (!needsHealthCheck(service)) {
    if (spec.healthCheckNodePort) errors.push(invalid(specPath.child('healthCheckNodePort'), spec.healthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
  } else if (spec.healthCheckNodePort) addInvalid(errors, specPath.child('healthCheckNodePort'), spec.healthCheckNodePort, isValidPortNum(spec.healthCheckNodePort));
  validateEnum(spec.internalTrafficPolicy, ['Cluster', 'Local'], specPath, 'internalTrafficPolicy', errors, { optional: spec.type === 'ExternalName' });
  if (spec.trafficDistribution !== undefined && !['PreferClose', 'PreferSameNode', 'PreferSameZone'].includes(spec.trafficDistribution)) {
    errors.push(notSupported(specPath.child('trafficDistribution'), spec.trafficDistribution, ['PreferClose', 'PreferSameNode', 'PreferSameZone']));
  }
  return errors;
}

export function validateServiceUpdate(next: v1.Service, old: v1.Service): FieldError[] {
  const errors: FieldError[] = [];
  if (next.spec.type !== 'ExternalName' && old.spec.type !== 'ExternalName') {
    const [before, after] = [old.spec.clusterIPs ?? [], next.spec.clusterIPs ?? []];
    // The first address may never change; the second may be added or dropped, not exchanged.
    if (before.length > 0 && before[0] !== '') {
      if (after.length === 0) errors.push(invalid(specPath.child('clusterIPs').index(0), after, 'primary clusterIP can not be unset'));
      else if (after[0] !== before[0]) errors.push(invalid(specPath.child('clusterIPs').index(0), after, 'may not change once set'));
      if (before.length > 1 && after.length > 1 && after[1] !== before[1]) errors.push(invalid(specPath.child('clusterIPs').index(1), after, 'may not change once set'));
    }
    const [oldFamilies, families] = [old.spec.ipFamilies ?? [], next.spec.ipFamilies ?? []];
    if (oldFamilies.length > 0 && families.length > 0 && families[0] !== oldFamilies[0]) errors.push(invalid(specPath.child('ipFamilies').index(0), families, 'may not change once set'));
  }
  if (old.spec.type === 'LoadBalancer' && next.spec.type === 'LoadBalancer' && old.spec.loadBalancerClass !== next.spec.loadBalancerClass) {
    errors.push(invalid(specPath.child('loadBalancerClass'), next.spec.loadBalancerClass ?? null, 'may not change once set'));
  }
  if (needsHealthCheck(old) && needsHealthCheck(next) && next.spec.healthCheckNodePort !== old.spec.healthCheckNodePort) errors.push(forbidden(specPath.child('healthCheckNodePort'), fieldImmutable));
  return [...errors, ...validateService(next)];
}

export function validateServiceStatusUpdate(next: v1.Service): FieldError[] {
  const errors: FieldError[] = [];
  const path = field('status', 'loadBalancer', 'ingress');
  const ingress = next.status?.loadBalancer?.ingress ?? [];
  if (next.spec.type !== 'LoadBalancer' && ingress.length > 0) errors.push(forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
  for (const [i, one] of ingress.entries()) {
    if (one.ip) addInvalid(errors, path.index(i).child('ip'), one.ip, isValidIPForLegacyField(one.ip));
    if (one.hostname) addInvalid(errors, path.index(i).child('hostname'), one.hostname, parseIP(one.hostname) ? ['must be a DNS name, not an IP address'] : isDNS1123Subdomain(one.hostname));
    if (one.ipMode !== undefined) {
      if (!one.ip) errors.push(forbidden(path.index(i).child('ipMode'), 'may not be specified when `ip` is not set'));
      else if (one.ipMode !== 'VIP' && one.ipMode !== 'Proxy') errors.push(notSupported(path.index(i).child('ipMode'), one.ipMode, ['Proxy', 'VIP']));
    }
  }
  return errors;
}

export function validateEndpoints({ subsets }: v1.Endpoints): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, subset] of (subsets ?? []).entries()) {
    const path = field('subsets').index(i);
    if ((subset.addresses?.length ?? 0) === 0 && (subset.notReadyAddresses?.length ?? 0) === 0) errors.push(required(path, 'must specify `addresses` or `notReadyAddresses`'));
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      for (const [a, address] of (subset[list] ?? []).entries()) {
        const at = path.child(list).index(a);
        if (!addInvalid(errors, at.child('ip'), address.ip ?? '', isValidIPForLegacyField(address.ip ?? ''))) validateNonSpecialIP(address.ip, at.child('ip'), errors);
        if (address.hostname) addInvalid(errors, at.child('hostname'), address.hostname, isDNS1123Label(address.hostname));
        if (address.nodeName !== undefined) addInvalid(errors, at.child('nodeName'), address.nodeName, nameIsDNSSubdomain(address.nodeName, false).length === 0 ? [] : nameIsDNSSubdomain(address.nodeName, false));
      }
    }
    for (const [p, port] of (subset.ports ?? []).entries()) {
      const at = path.child('ports').index(p);
      if (!port.name) { if (subset.ports!.length > 1) errors.push(required(at.child('name'))); }
      else addInvalid(errors, at.child('name'), port.name, isDNS1123Label(port.name));
      addInvalid(errors, at.child('port'), port.port ?? 0, isValidPortNum(port.port ?? 0));
      validateEnum(port.protocol, protocols, at, 'protocol', errors);
      if (port.appProtocol !== undefined) addInvalid(errors, at.child('appProtocol'), port.appProtocol, isQualifiedName(port.appProtocol));
    }
  }
  return errors;
}
