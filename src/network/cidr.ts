/** Addresses and ranges as numbers: parsing, containment, the gateway of a range. IPv4 and IPv6. RFC 4291 §2.2, RFC 4632. */
import { isIPv4, isIPv6 } from 'node:net';

export interface Cidr { family: 'ip' | 'ip6'; base: bigint; prefix: number; bits: 32 | 128 }

/** Throws TypeError for what is no address. */
export function addressToNumber(address: string): bigint {
  if (isIPv4(address)) return BigInt(address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0));
  if (!isIPv6(address)) throw new TypeError(`${address} is not an IP address`);
  let text = address.toLowerCase();
  const tail = /:(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (tail) {
    const value = addressToNumber(tail);
    text = `${text.slice(0, -tail.length)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  }
  const [head = '', rest] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const groups = rest === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n);
}

/** IPv6 in the shortest form (RFC 5952). */
export function numberToAddress(value: bigint, family: 'ip' | 'ip6'): string {
  if (family === 'ip') return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const runs = [...groups.join(':').matchAll(/(?:^|:)(0(?::0)+)(?=:|$)/g)].map((match) => match[1]!);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (longest === '') return groups.join(':');
  const text = groups.join(':').replace(new RegExp(`(^|:)${longest}(:|$)`), '::');
  return text;
}

/** '10.244.1.0/24', or an address as the range of itself. Bits beyond the prefix are cleared. */
export function parseCidr(text: string): Cidr {
  const [address = '', prefixText] = text.split('/');
  const family = address.includes(':') ? 'ip6' : 'ip';
  const bits = family === 'ip' ? 32 : 128;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) throw new TypeError(`${text} is not an address range`);
  const host = BigInt(bits - prefix);
  return { family, bits, prefix, base: (addressToNumber(address) >> host) << host };
}

export function contains(cidr: Cidr, address: string): boolean {
  if ((address.includes(':') ? 'ip6' : 'ip') !== cidr.family) return false;
  const host = BigInt(cidr.bits - cidr.prefix);
  return addressToNumber(address) >> host === cidr.base >> host;
}

/** The n-th address of a range: 0 is its base, 1 what host-local gives the gateway. */
export function nthAddress(cidr: Cidr, n: number): string { return numberToAddress(cidr.base + BigInt(n), cidr.family); }
