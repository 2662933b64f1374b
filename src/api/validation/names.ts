/**
 * Formats of names and values. Each check returns upstream's messages, none when the value is good.
 * Source: apimachinery/pkg/util/validation, pkg/api/validate/content.
 */
import { isIP } from 'node:net';
import { formatIP, parseCIDR, parseIP } from '../cidr.ts';

export type Messages = readonly string[];
const none: Messages = [];

export const maxLenError = (length: number) => `must be no more than ${length} characters`;
/** Labels and their keys count bytes since v1.35. */
const maxBytesError = (length: number) => `must be no more than ${length} bytes`;
export const emptyError = 'must be non-empty';
export const rangeError = (low: number | bigint, high: number | bigint) => `must be between ${low} and ${high}, inclusive`;
export function regexError(message: string, regex: string, ...examples: string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${regex}')`;
  return `${message} (e.g. ${examples.map((example) => `'${example}', `).join(' or ')}regex used for validation is '${regex}')`;
}

interface Format { test: RegExp; regex: string; message: string; examples: string[] }
const format = (regex: string, message: string, ...examples: string[]): Format => ({ test: new RegExp(`^(?:${regex})$`), regex, message, examples });
const messageOf = ({ regex, message, examples }: Format) => regexError(message, regex, ...examples);

const label1123 = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const dns1123Label = format(label1123, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", 'my-name', '123-abc');
const dns1123Subdomain = format(`${label1123}(\\.${label1123})*`, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", 'example.com');
const label1123Underscore = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const dns1123Underscore = format(`${label1123Underscore}(\\.${label1123Underscore})*`, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character", 'example.com');
const dns1035Label = format('[a-z]([-a-z0-9]*[a-z0-9])?', "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character", 'my-name', 'abc-123');
const wildcardSubdomain = format(`\\*\\.${dns1123Subdomain.regex}`, "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", '*.example.com');
const labelKeyPart = format('([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]', "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", 'MyName', 'my.name', '123-abc');
const labelValueFormat = format(`(${labelKeyPart.regex})?`, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", 'MyValue', 'my_value', '12345');
const cIdentifier = format('[A-Za-z_][A-Za-z0-9_]*', "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'", 'my_name', 'MY_NAME', 'MyName');
const percent = format('[0-9]+%', "a valid percent string must be a numeric string followed by an ending '%'", '1%', '93%');
const httpHeader = format('[-A-Za-z0-9]+', "a valid HTTP header must consist of alphanumeric characters or '-'", 'X-Header-Name');
const configMapKeyFormat = format('[-._a-zA-Z0-9]+', "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", 'key.name', 'KEY_NAME', 'key-name');
const httpPath = format("[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", 'Invalid path');

const byteLength = (text: string) => (text.length > 60 ? Buffer.byteLength(text) : text.length);

export const dns1123LabelMaxLength = 63;
export const dns1123SubdomainMaxLength = 253;

export function isDNS1123Label(value: string): Messages {
  if (value.length <= 63 && dns1123Label.test.test(value)) return none;
  const messages: string[] = [];
  if (byteLength(value) > 63) messages.push(maxLenError(63));
  if (!dns1123Label.test.test(value)) messages.push(dns1123Subdomain.test.test(value) ? 'must not contain dots' : messageOf(dns1123Label));
  return messages;
}
function checkFormat(value: string, max: number, wanted: Format, lengthError = maxLenError): Messages {
  if (value.length <= max && wanted.test.test(value)) return none;
  const messages: string[] = [];
  if (byteLength(value) > max) messages.push(lengthError(max));
  if (!wanted.test.test(value)) messages.push(messageOf(wanted));
  return messages;
}
export const isDNS1123Subdomain = (value: string) => checkFormat(value, 253, dns1123Subdomain);
export const isDNS1123SubdomainWithUnderscore = (value: string) => checkFormat(value, 253, dns1123Underscore);
export const isDNS1035Label = (value: string) => checkFormat(value, 63, dns1035Label);
export const isWildcardDNS1123Subdomain = (value: string) => checkFormat(value, 253, wildcardSubdomain);
export const isCIdentifier = (value: string) => checkFormat(value, Infinity, cIdentifier);
export const isValidPercent = (value: string) => checkFormat(value, Infinity, percent);
export const isHTTPHeaderName = (value: string) => checkFormat(value, Infinity, httpHeader);
export const isHTTPPath = (value: string) => checkFormat(value, Infinity, httpPath);

/** A label key, an annotation key (lower-cased first), a finalizer, a resource name: `[prefix/]name`. */
export function isQualifiedName(value: string): Messages {
  const slash = value.indexOf('/');
  if (slash < 0 ? value.length <= 63 && labelKeyPart.test.test(value)
    : value.length - slash <= 64 && labelKeyPart.test.test(value.slice(slash + 1)) && slash <= 253 && dns1123Subdomain.test.test(value.slice(0, slash))) return none;
  const parts = value.split('/');
  if (parts.length > 2) return [`a valid label key ${messageOf(labelKeyPart)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  const messages: string[] = [];
  const name = parts.at(-1)!;
  if (parts.length === 2) {
    if (parts[0] === '') messages.push(`prefix part ${emptyError}`);
    else for (const message of checkFormat(parts[0]!, 253, dns1123Subdomain, maxBytesError)) messages.push(`prefix part ${message}`);
  }
  if (name === '') messages.push(`name part ${emptyError}`);
  else if (byteLength(name) > 63) messages.push(`name part ${maxBytesError(63)}`);
  if (!labelKeyPart.test.test(name)) messages.push(`name part ${messageOf(labelKeyPart)}`);
  return messages;
}
export const isValidLabelValue = (value: string) => checkFormat(value, 63, labelValueFormat, maxBytesError);

function upwardsPrefix(value: string): string[] {
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  return value.startsWith('..') ? ["must not start with '..'"] : [];
}
export function isConfigMapKey(value: string): Messages {
  const messages = checkFormat(value, 253, configMapKeyFormat);
  const prefix = value.startsWith('.') ? upwardsPrefix(value) : none;
  return prefix.length === 0 ? messages : [...messages, ...prefix];
}
/** The relaxed rule, GA since v1.34: printable ASCII without '='. */
export function isEnvVarName(value: string): Messages {
  if (value === '') return [`environment variable name ${emptyError}`];
  return /^[\x20-\x3c\x3e-\x7e]+$/.test(value) ? none : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}
export function isValidPortNum(port: number): Messages { return port >= 1 && port <= 65535 ? none : [rangeError(1, 65535)]; }
export function isInRange(value: number, low: number, high: number): Messages { return value >= low && value <= high ? none : [rangeError(low, high)]; }
/** UIDs and GIDs. */
export function isValidUserID(id: number): Messages { return isInRange(id, 0, 2 ** 31 - 1); }
export const isValidGroupID = isValidUserID;

export function isValidPortName(port: string): Messages {
  if (port.length <= 15 && /^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/.test(port)) return none;
  const messages: string[] = [];
  if (byteLength(port) > 15) messages.push(maxLenError(15));
  if (!/^[-a-z0-9]+$/.test(port)) messages.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(port)) messages.push('must contain at least one letter (a-z)');
  if (port.includes('--')) messages.push('must not contain consecutive hyphens');
  if (port !== '' && (port.startsWith('-') || port.endsWith('-'))) messages.push('must not begin or end with a hyphen');
  return messages;
}

const notAnIP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
/** Legacy fields: any address Go's sloppy parser takes, leading zeros included. */
export function isValidIPSloppy(value: string): Messages { return parseIP(value) ? none : [notAnIP]; }
/** Legacy fields under strict validation (on by default since v1.36). */
export function isValidIPForLegacyField(value: string): Messages {
  if (isIP(value) === 4) return none;
  const ip = parseIP(value);
  if (!ip) return [notAnIP];
  if (isIP(value) === 0) return ['must not have leading 0s'];
  return ip.mapped ? ['must not be an IPv4-mapped IPv6 address'] : none;
}
/** New fields: canonical form only. */
export function isValidIP(value: string): Messages {
  const messages = isValidIPForLegacyField(value);
  if (messages.length > 0) return messages;
  const canonical = formatIP(parseIP(value)!);
  return canonical === value ? none : [`must be in canonical form ("${canonical}")`];
}
export function isValidCIDRForLegacyField(value: string): Messages {
  const cidr = parseCIDR(value);
  if (!cidr) return ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'];
  const [address = '', length = ''] = value.split('/');
  if (isIP(address) === 0 || (length.length > 1 && length.startsWith('0'))) return ['must not have leading 0s in IP or prefix length'];
  if (parseIP(address)!.mapped) return ['must not have an IPv4-mapped IPv6 address'];
  return parseIP(address)!.value === cidr.base ? none : ['must not have bits set beyond the prefix length'];
}
export function isValidCIDR(value: string): Messages {
  const messages = isValidCIDRForLegacyField(value);
  if (messages.length > 0) return messages;
  const cidr = parseCIDR(value)!;
  const canonical = `${formatIP({ family: cidr.family, value: cidr.base })}/${cidr.length}`;
  return canonical === value ? none : [`must be in canonical form ("${canonical}")`];
}

// Names of objects. `prefix`: it is a generateName, to which something will be added.
export type ValidateName = (name: string, prefix: boolean) => Messages;
const maskTrailingDash = (name: string) => (name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name);
const nameRule = (check: (value: string) => Messages): ValidateName => (name, prefix) => check(prefix ? maskTrailingDash(name) : name);
export const nameIsDNSSubdomain = nameRule(isDNS1123Subdomain);
export const nameIsDNSLabel = nameRule(isDNS1123Label);
export const nameIsDNS1035Label = nameRule(isDNS1035Label);
/** RBAC names, CSRs, leases' holders …: anything that can be a path segment. */
export const nameIsPathSegment: ValidateName = (name, prefix) => {
  if (prefix) return pathSegmentPrefix(name);
  if (name === '.' || name === '..') return [`may not be '${name}'`];
  return pathSegmentPrefix(name);
};
function pathSegmentPrefix(name: string): Messages {
  const messages: string[] = [];
  if (name.includes('/')) messages.push("may not contain '/'");
  if (name.includes('%')) messages.push("may not contain '%'");
  return messages;
}

/** 'acme.io/foo': a domain and an HTTP path. Messages name the part that is wrong. */
export function isDomainPrefixedPath(value: string): { value: string; message: string }[] {
  const slash = value.indexOf('/');
  const [host, path] = [value.slice(0, slash), value.slice(slash + 1)];
  if (slash <= 0 || path === '') return [{ value, message: 'must be a domain-prefixed path (such as "acme.io/foo")' }];
  return [...isDNS1123Subdomain(host).map((message) => ({ value: host, message })), ...isHTTPPath(path).map((message) => ({ value: path, message }))];
}
