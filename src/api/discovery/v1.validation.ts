/** discovery.k8s.io/v1 EndpointSlice. Source: upstream's pkg/apis/discovery/validation. */
import type * as v1 from './v1.ts';
import { parseIP } from '../cidr.ts';
import { addInvalid, duplicate, field, invalid, notSupported, required, tooMany, type FieldError } from '../validation/field.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName, isValidIP, isValidPortNum, isValidIPForLegacyField } from '../validation/names.ts';
import { validateNonSpecialIP } from '../core/service.validation.ts';

const [maxEndpoints, maxAddresses, maxPorts] = [1000, 100, 20_000];
const addressTypes = ['FQDN', 'IPv4', 'IPv6'];

export function validateEndpointSlice(slice: v1.EndpointSlice): FieldError[] {
  const errors: FieldError[] = [];
  if (!slice.addressType) errors.push(required(field('addressType')));
  else if (!addressTypes.includes(slice.addressType)) errors.push(notSupported(field('addressType'), slice.addressType, addressTypes));
  const endpoints = slice.endpoints ?? [];
  if (endpoints.length > maxEndpoints) return [...errors, tooMany(field('endpoints'), endpoints.length, maxEndpoints)];
  for (const [i, endpoint] of endpoints.entries()) {
    const path = field('endpoints').index(i);
    const addresses = endpoint.addresses ?? [];
    if (addresses.length === 0) errors.push(required(path.child('addresses'), 'must contain at least 1 address'));
    else if (addresses.length > maxAddresses) errors.push(tooMany(path.child('addresses'), addresses.length, maxAddresses));
    for (const [a, address] of addresses.entries()) {
      if (slice.addressType === 'FQDN') { const messages = isDNS1123Subdomain(address); if (messages.length > 0) addInvalid(errors, path.child('addresses').index(a), address, messages); continue; }
      const at = path.child('addresses').index(a);
      const family = parseIP(address)?.family;
      const messages = slice.addressType === 'IPv6' ? isValidIP(address) : isValidIPForLegacyField(address);
      if (addInvalid(errors, at, address, messages)) continue;
      if (slice.addressType === 'IPv4' && family !== 4) errors.push(invalid(at, address, 'must be an IPv4 address'));
      else if (slice.addressType === 'IPv6' && family !== 6) errors.push(invalid(at, address, 'must be an IPv6 address'));
      else validateNonSpecialIP(address, at, errors);
    }
    if (endpoint.nodeName !== undefined) addInvalid(errors, path.child('nodeName'), endpoint.nodeName, isDNS1123Subdomain(endpoint.nodeName));
    if (endpoint.hostname !== undefined) addInvalid(errors, path.child('hostname'), endpoint.hostname, isDNS1123Label(endpoint.hostname));
  }
  const ports = slice.ports ?? [];
  if (ports.length > maxPorts) errors.push(tooMany(field('ports'), ports.length, maxPorts));
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const path = field('ports').index(i);
    const name = port.name ?? '';
    if (name !== '') addInvalid(errors, path.child('name'), name, isDNS1123Label(name));
    if (names.has(name)) errors.push(duplicate(path.child('name'), name));
    names.add(name);
    if (!port.protocol) errors.push(required(path.child('protocol')));
    else if (!['SCTP', 'TCP', 'UDP'].includes(port.protocol)) errors.push(notSupported(path.child('protocol'), port.protocol, ['SCTP', 'TCP', 'UDP']));
    if (port.port !== undefined) addInvalid(errors, path.child('port'), port.port, isValidPortNum(port.port));
    if (port.appProtocol !== undefined) addInvalid(errors, path.child('appProtocol'), port.appProtocol, isQualifiedName(port.appProtocol));
  }
  return errors;
}
export function validateEndpointSliceUpdate(next: v1.EndpointSlice, old: v1.EndpointSlice): FieldError[] {
  const errors = validateEndpointSlice(next);
  if (next.addressType !== old.addressType) errors.push(invalid(field('addressType'), next.addressType, 'field is immutable'));
  return errors;
}
