/** IP addresses and CIDR blocks as integers. Takes what Go's sloppy parser takes: leading zeros and IPv4-mapped IPv6 too. RFC 4632, RFC 5952. */
import { isIP } from 'node:net';

export type IPFamily = 4 | 6;
/** `mapped`: it was written as IPv4-mapped IPv6 (`::ffff:1.2.3.4`); family and value are then those of the IPv4 address. */
export interface IPAddress { family: IPFamily; value: bigint; mapped: boolean }
export interface CIDR { family: IPFamily; base: bigint; length: number }

export function parseIP(text: string): IPAddress | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) {
    let value = 0;
    for (const part of text.split('.')) {
      const byte = Number(part);
      if (byte > 255 || part.length > 4) return undefined;
      value = value * 256 + byte;
    }
    return { family: 4, value: BigInt(value), mapped: false };
  }
  if (!text.includes(':') || text.includes('%')) return undefined;
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let hex = text;
  if (embedded) {
    const v4 = parseIP(embedded[2]!);
    if (!v4) return undefined;
    hex = `${embedded[1]}${(v4.value >> 16n).toString(16)}:${(v4.value & 0xffffn).toString(16)}`;
  }
  if (isIP(hex) !== 6) return undefined;
  const [head = '', tail] = hex.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const all = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const value = all.reduce((sum, group) => (sum << 16n) | BigInt(parseInt(group, 16)), 0n);
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn, mapped: true } : { family: 6, value, mapped: false };
}

/** The canonical text (RFC 5952). */
export function formatIP({ family, value }: Pick<IPAddress, 'family' | 'value'>): string {
  if (family === 4) {
    const n = Number(value);
    return `${Math.floor(n / 2 ** 24)}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  let [start, length] = [-1, 1]; // the first longest run of at least two zero groups
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

const bitsOf = (family: IPFamily) => (family === 4 ? 32 : 128);

/** The base is the network's first address, whatever host bits were written. */
export function parseCIDR(text: string): CIDR | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const ip = parseIP(text.slice(0, slash));
  if (!ip) return undefined;
  const length = Number(text.slice(slash + 1)) - (ip.mapped ? 96 : 0);
  const bits = bitsOf(ip.family);
  if (length < 0 || length > bits) return undefined;
  return { family: ip.family, base: (ip.value >> BigInt(bits - length)) << BigInt(bits - length), length };
}
export function formatCIDR({ family, base, length }: CIDR): string { return `${formatIP({ family, value: base })}/${length}`; }
/** How many addresses it spans, first and last included. */
export function cidrSize({ family, length }: CIDR): bigint { return 1n << BigInt(bitsOf(family) - length); }
export function cidrContains(cidr: CIDR, ip: Pick<IPAddress, 'family' | 'value'>): boolean {
  return cidr.family === ip.family && ip.value >= cidr.base && ip.value < cidr.base + cidrSize(cidr);
}
export function cidrsOverlap(a: CIDR, b: CIDR): boolean {
  return a.family === b.family && a.base < b.base + cidrSize(b) && b.base < a.base + cidrSize(a);
}
/** 'IPv4' or 'IPv6', as spec.ipFamilies says it. */
export function ipFamilyName(text: string): 'IPv4' | 'IPv6' { return parseIP(text)?.family === 6 ? 'IPv6' : 'IPv4'; }
