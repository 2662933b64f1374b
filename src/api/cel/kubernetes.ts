/** Kubernetes' own value libraries: URLs, quantities, IPs, CIDRs, semantic versions and named formats. Source: apiserver/pkg/cel/library. */
import { addQuantity, compareQuantity, isInteger, parseQuantity, QuantityError, subtractQuantity, type Quantity } from '../quantity.ts';
import { cidrContains, formatCIDR, formatIP, parseCIDR, parseIP, type CIDR, type IPAddress } from '../cidr.ts';
import * as names from '../validation/names.ts';
import { fn, type Library } from './overloads.ts';
import { text } from './standard.ts';
import { CelError, fromStrings, none, Opaque, Optional, parseTimestamp, ValueMap, type Value } from './values.ts';

const attempt = <T>(make: () => T): T | undefined => { try { return make(); } catch { return undefined; } };
const at = <T>(args: readonly Value[], i: number): T => args[i] as unknown as T;

// ---- quantities

class QuantityValue extends Opaque {
  readonly type = 'kubernetes.Quantity';
  readonly quantity: Quantity;
  constructor(quantity: Quantity) { super(); this.quantity = quantity; }
  override equals(other: Opaque): boolean { return compareQuantity(this.quantity, (other as QuantityValue).quantity) === 0; }
}
function parseQuantityValue(value: string): QuantityValue {
  try { return new QuantityValue(parseQuantity(value)); } catch (err) {
    if (err instanceof QuantityError) throw new CelError(err.message);
    throw err;
  }
}
const quantityAt = (args: readonly Value[], i: number): Quantity => { const value = args[i]; return typeof value === 'bigint' ? { nanos: value * 1_000_000_000n, format: 'DecimalSI' } : (value as QuantityValue).quantity; };
const asWhole = (quantity: Quantity): bigint => { const value = quantity.nanos / 1_000_000_000n; if (!isInteger(quantity) || value >= 2n ** 63n || value < -(2n ** 63n)) throw new CelError('cannot convert value to integer'); return value; };
const Q = 'kubernetes.Quantity';
const quantities: Library = [
  fn(`quantity(string) ${Q}`, (args) => parseQuantityValue(text(args, 0))),
  fn('isQuantity(string) bool', (args) => attempt(() => parseQuantity(text(args, 0))) !== undefined),
  fn(`<${Q}>.sign() int`, (args) => { const { nanos } = quantityAt(args, 0); return nanos > 0n ? 1n : nanos < 0n ? -1n : 0n; }),
  fn(`<${Q}>.isInteger() bool`, (args) => attempt(() => asWhole(quantityAt(args, 0))) !== undefined),
  fn(`<${Q}>.asInteger() int`, (args) => asWhole(quantityAt(args, 0))),
  fn(`<${Q}>.asApproximateFloat() double`, (args) => Number(quantityAt(args, 0).nanos) / 1e9),
  fn(`<${Q}>.isGreaterThan(${Q}) bool`, (args) => compareQuantity(quantityAt(args, 0), quantityAt(args, 1)) > 0),
  fn(`<${Q}>.isLessThan(${Q}) bool`, (args) => compareQuantity(quantityAt(args, 0), quantityAt(args, 1)) < 0),
  fn(`<${Q}>.compareTo(${Q}) int`, (args) => BigInt(compareQuantity(quantityAt(args, 0), quantityAt(args, 1)))),
  ...[Q, 'int'].flatMap((type) => [
    fn(`<${Q}>.add(${type}) ${Q}`, (args) => new QuantityValue(addQuantity(quantityAt(args, 0), quantityAt(args, 1)))),
    fn(`<${Q}>.sub(${type}) ${Q}`, (args) => new QuantityValue(subtractQuantity(quantityAt(args, 0), quantityAt(args, 1)))),
  ]),
];

// ---- URLs

class UrlValue extends Opaque {
  readonly type = 'kubernetes.URL';
  readonly url: { scheme: string; host: string; hostname: string; port: string; path: string; query: ReadonlyMap<string, string[]>; text: string };
  constructor(value: string) {
    super();
    // A request URI as Go's url.ParseRequestURI takes it: absolute, or a path from the root; no fragment of its own.
    // oxlint-disable-next-line no-control-regex
    const match = /[\x00-\x20\x7f]/.test(value) ? null : /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*))?(\/[^?]*)?(?:\?(.*))?$/s.exec(value);
    if (!match || value === '' || (match[1] === undefined && match[3] === undefined)) throw new CelError(`URL parse error during conversion from string: parse ${JSON.stringify(value)}: invalid URI for request`);
    const [, scheme = '', authority = '', path = '', query = ''] = match;
    const host = authority.slice(authority.lastIndexOf('@') + 1);
    const [, hostname = host, port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(host) ?? [];
    if (host !== '' && !/^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.test(host)) throw new CelError(`URL parse error during conversion from string: parse ${JSON.stringify(value)}: invalid port ":${host.split(':').at(-1)}" after host`);
    const params = new Map<string, string[]>();
    for (const part of query === '' ? [] : query.split('&')) {
      const [name = '', ...rest] = part.split('=');
      const decode = (piece: string) => attempt(() => decodeURIComponent(piece.replaceAll('+', ' ')));
      const key = decode(name);
      const param = decode(rest.join('='));
      if (part === '' || key === undefined || param === undefined) continue;
      const known = params.get(key);
      if (known) known.push(param); else params.set(key, [param]);
    }
    if (/%(?![0-9a-fA-F]{2})/.test(path)) throw new CelError(`URL parse error during conversion from string: parse ${JSON.stringify(value)}: invalid URL escape`);
    this.url = { scheme: scheme.toLowerCase(), host, hostname: hostname.replace(/^\[|\]$/g, ''), port, path, query: params, text: value };
  }
  override equals(other: Opaque): boolean { return this.url.text === (other as UrlValue).url.text; }
}
const urlAt = (args: readonly Value[], i: number): UrlValue['url'] => (args[i] as unknown as UrlValue).url;
const escapedPath = (path: string): string => attempt(() => encodeURI(decodeURI(path))) ?? path;
const U = 'kubernetes.URL';
const urls: Library = [
  fn(`url(string) ${U}`, (args) => new UrlValue(text(args, 0))), fn('isURL(string) bool', (args) => attempt(() => new UrlValue(text(args, 0))) !== undefined),
  fn(`<${U}>.getScheme() string`, (args) => urlAt(args, 0).scheme), fn(`<${U}>.getHost() string`, (args) => urlAt(args, 0).host), fn(`<${U}>.getHostname() string`, (args) => urlAt(args, 0).hostname),
  fn(`<${U}>.getPort() string`, (args) => urlAt(args, 0).port), fn(`<${U}>.getEscapedPath() string`, (args) => escapedPath(urlAt(args, 0).path)),
  fn(`<${U}>.getQuery() map<string, list<string>>`, (args) => new ValueMap([...urlAt(args, 0).query].map(([name, values]) => [name, fromStrings(values)]))),
];

// ---- IP and CIDR

class IpValue extends Opaque {
  readonly type = 'net.IP';
  readonly ip: IPAddress;
  constructor(ip: IPAddress) { super(); this.ip = ip; }
  override equals(other: Opaque): boolean { return (other as IpValue).ip.family === this.ip.family && (other as IpValue).ip.value === this.ip.value; }
}
class CidrValue extends Opaque {
  readonly type = 'net.CIDR';
  readonly cidr: CIDR;
  /** As written: the address need not be the first of the range. */
  readonly address: IPAddress;
  constructor(cidr: CIDR, address: IPAddress) { super(); this.cidr = cidr; this.address = address; }
  override equals(other: Opaque): boolean { const of = other as CidrValue; return of.cidr.family === this.cidr.family && of.cidr.length === this.cidr.length && of.address.value === this.address.value; }
}
function parseIpValue(value: string): IpValue {
  const ip = value.includes('%') ? undefined : parseIP(value);
  if (!ip) throw new CelError(`IP Address ${JSON.stringify(value)} parse error during conversion from string: ParseAddr(${JSON.stringify(value)}): unable to parse IP`);
  if (ip.mapped) throw new CelError(`IPv4-mapped IPv6 address ${JSON.stringify(value)} is not allowed`);
  return new IpValue(ip);
}
function parseCidrValue(value: string): CidrValue {
  const cidr = parseCIDR(value);
  const address = parseIP(value.split('/')[0]!);
  if (!cidr || !address) throw new CelError(`network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(value)}): no '/'`.replace(": no '/'", value.includes('/') ? ': bad bits after slash' : ": no '/'"));
  if (address.mapped) throw new CelError(`IPv4-mapped IPv6 address ${JSON.stringify(value)} is not allowed`);
  return new CidrValue(cidr, address);
}
const ipAt = (args: readonly Value[], i: number): IPAddress => (typeof args[i] === 'string' ? parseIpValue(args[i]).ip : at<IpValue>(args, i).ip);
const cidrAt = (args: readonly Value[], i: number): CidrValue => (typeof args[i] === 'string' ? parseCidrValue(args[i]) : at<CidrValue>(args, i));
const inNet = ({ family, value }: IPAddress, range: string): boolean => { const cidr = parseCIDR(range)!; return cidr.family === family && cidrContains(cidr, { family, value }); };
const ipTests: Readonly<Record<string, (ip: IPAddress) => boolean>> = {
  isUnspecified: (ip) => ip.value === 0n, isLoopback: (ip) => inNet(ip, '127.0.0.0/8') || (ip.family === 6 && ip.value === 1n),
  isLinkLocalMulticast: (ip) => inNet(ip, '224.0.0.0/24') || inNet(ip, 'ff02::/16'), isLinkLocalUnicast: (ip) => inNet(ip, '169.254.0.0/16') || inNet(ip, 'fe80::/10'),
  isGlobalUnicast: (ip) => ip.value !== 0n && !ipTests.isLoopback!(ip) && !inNet(ip, '224.0.0.0/4') && !inNet(ip, 'ff00::/8') && !ipTests.isLinkLocalUnicast!(ip) && !(ip.family === 4 && ip.value === 0xffffffffn),
};
const within = (outer: CIDR, inner: CIDR): boolean => outer.family === inner.family && outer.length <= inner.length && cidrContains(outer, { family: inner.family, value: inner.base });
const networks: Library = [
  fn('ip(string) net.IP', (args) => parseIpValue(text(args, 0))), fn('isIP(string) bool', (args) => attempt(() => parseIpValue(text(args, 0))) !== undefined),
  fn('ip.isCanonical(string) bool', (args) => formatIP(parseIpValue(text(args, 0)).ip) === text(args, 0)),
  fn('string(net.IP) string', (args) => formatIP(ipAt(args, 0))), fn('<net.IP>.family() int', (args) => BigInt(ipAt(args, 0).family)),
  ...Object.entries(ipTests).map(([name, test]) => fn(`<net.IP>.${name}() bool`, (args) => test(ipAt(args, 0)))),
  fn('cidr(string) net.CIDR', (args) => parseCidrValue(text(args, 0))), fn('isCIDR(string) bool', (args) => attempt(() => parseCidrValue(text(args, 0))) !== undefined),
  fn('string(net.CIDR) string', (args) => `${formatIP(cidrAt(args, 0).address)}/${cidrAt(args, 0).cidr.length}`),
  ...['net.IP', 'string'].map((type) => fn(`<net.CIDR>.containsIP(${type}) bool`, (args) => { const ip = ipAt(args, 1); const { cidr } = cidrAt(args, 0); return ip.family === cidr.family && cidrContains(cidr, ip); })),
  ...['net.CIDR', 'string'].map((type) => fn(`<net.CIDR>.containsCIDR(${type}) bool`, (args) => within(cidrAt(args, 0).cidr, cidrAt(args, 1).cidr))),
  fn('<net.CIDR>.ip() net.IP', (args) => new IpValue(cidrAt(args, 0).address)), fn('<net.CIDR>.prefixLength() int', (args) => BigInt(cidrAt(args, 0).cidr.length)),
  fn('<net.CIDR>.masked() net.CIDR', (args) => parseCidrValue(formatCIDR(cidrAt(args, 0).cidr))),
];

// ---- semantic versions

class SemverValue extends Opaque {
  readonly type = 'kubernetes.Semver';
  readonly core: readonly bigint[];
  readonly pre: readonly string[];
  constructor(core: readonly bigint[], pre: readonly string[]) { super(); this.core = core; this.pre = pre; }
  override equals(other: Opaque): boolean { return compareSemver(this, other as SemverValue) === 0; }
}
function parseSemver(value: string, normalize = false): SemverValue {
  let source = value;
  if (normalize) {
    source = source.replace(/^v/, '').replace(/^(\d+)(?=$|[-+])/, '$1.0.0').replace(/^(\d+\.\d+)(?=$|[-+])/, '$1.0').replace(/^[\d.]+/, (core) => core.split('.').map((part) => part.replace(/^0+(?=\d)/, '')).join('.'));
  }
  const match = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/.exec(source);
  if (!match || source.length > 256 || (match[4] ?? '').split('.').some((part) => /^0\d+$/.test(part))) throw new CelError(`No Major.Minor.Patch elements found`);
  return new SemverValue([BigInt(match[1]!), BigInt(match[2]!), BigInt(match[3]!)], match[4] === undefined ? [] : match[4].split('.'));
}
function compareSemver(a: SemverValue, b: SemverValue): number {
  for (let i = 0; i < 3; i++) if (a.core[i] !== b.core[i]) return a.core[i]! < b.core[i]! ? -1 : 1;
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length);
  for (let i = 0; i < Math.min(a.pre.length, b.pre.length); i++) {
    const [x, y] = [a.pre[i]!, b.pre[i]!];
    if (x === y) continue;
    const [xn, yn] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (xn !== yn) return xn ? -1 : 1;
    return xn ? (BigInt(x) < BigInt(y) ? -1 : 1) : x < y ? -1 : 1;
  }
  return Math.sign(a.pre.length - b.pre.length);
}
const S = 'kubernetes.Semver';
const semverAt = (args: readonly Value[], i: number): SemverValue => at<SemverValue>(args, i);
const versions: Library = [
  fn(`semver(string) ${S}`, (args) => parseSemver(text(args, 0))), fn(`semver(string, bool) ${S}`, (args) => parseSemver(text(args, 0), args[1] === true)),
  fn('isSemver(string) bool', (args) => attempt(() => parseSemver(text(args, 0))) !== undefined), fn('isSemver(string, bool) bool', (args) => attempt(() => parseSemver(text(args, 0), args[1] === true)) !== undefined),
  fn(`<${S}>.isGreaterThan(${S}) bool`, (args) => compareSemver(semverAt(args, 0), semverAt(args, 1)) > 0), fn(`<${S}>.isLessThan(${S}) bool`, (args) => compareSemver(semverAt(args, 0), semverAt(args, 1)) < 0),
  fn(`<${S}>.compareTo(${S}) int`, (args) => BigInt(compareSemver(semverAt(args, 0), semverAt(args, 1)))),
  ...['major', 'minor', 'patch'].map((name, i) => fn(`<${S}>.${name}() int`, (args) => semverAt(args, 0).core[i]!)),
];

// ---- named formats

type Check = (value: string) => readonly string[];
class FormatValue extends Opaque {
  readonly type = 'kubernetes.NamedFormat';
  readonly check: Check;
  constructor(check: Check) { super(); this.check = check; }
}
const rule = (test: (value: string) => boolean, why: string): Check => (value) => (test(value) ? [] : [why]);
const prefixed = (check: Check): Check => (value) => check(value.endsWith('-') ? `${value.slice(0, -1)}a` : value);
const formats: Readonly<Record<string, Check>> = {
  dns1123Label: names.isDNS1123Label, dns1123Subdomain: names.isDNS1123Subdomain, dns1035Label: names.isDNS1035Label, qualifiedName: names.isQualifiedName,
  dns1123LabelPrefix: prefixed(names.isDNS1123Label), dns1123SubdomainPrefix: prefixed(names.isDNS1123Subdomain), dns1035LabelPrefix: prefixed(names.isDNS1035Label), labelValue: names.isValidLabelValue,
  uri: rule((value) => attempt(() => new UrlValue(value)) !== undefined, 'invalid URI'),
  uuid: rule((value) => /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/.test(value), 'does not match the UUID format'),
  byte: rule((value) => /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value), 'invalid base64'),
  date: rule((value) => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)), 'invalid date'),
  datetime: rule((value) => attempt(() => parseTimestamp(value)) !== undefined, 'invalid datetime'),
};
const F = 'kubernetes.NamedFormat';
const namedFormats: Library = [
  fn(`format.named(string) optional<${F}>`, (args) => (Object.hasOwn(formats, text(args, 0)) ? new Optional(new FormatValue(formats[text(args, 0)]!)) : none)),
  ...Object.entries(formats).map(([name, check]) => fn(`format.${name}() ${F}`, () => new FormatValue(check))),
  fn(`<${F}>.validate(string) optional<list<string>>`, (args) => { const problems = at<FormatValue>(args, 0).check(text(args, 1)); return problems.length === 0 ? none : new Optional(fromStrings(problems)); }),
];

/** JSON pointers of JSONPatch mutations. */
const pointers: Library = [fn('jsonpatch.escapeKey(string) string', (args) => text(args, 0).replaceAll('~', '~0').replaceAll('/', '~1'))];

export const kubernetesLibrary: Library = [...quantities, ...urls, ...networks, ...versions, ...namedFormats, ...pointers];
