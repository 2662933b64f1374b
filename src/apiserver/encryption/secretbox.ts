/**
 * XSalsa20-Poly1305 as NaCl's secretbox: tag of 16 bytes, then the ciphertext. Small and plain; used for stored values only.
 * Text: D. J. Bernstein, "Extending the Salsa20 nonce" and "The Poly1305-AES message-authentication code"; nacl.cr.yp.to/secretbox.html.
 */
import { timingSafeEqual } from 'node:crypto';

export const keyBytes = 32;
export const nonceBytes = 24;
export const tagBytes = 16;

/** "expand 32-byte k" */
const sigma = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;
const word = (bytes: Uint8Array, at: number) => (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value; bytes[at + 1] = value >>> 8; bytes[at + 2] = value >>> 16; bytes[at + 3] = value >>> 24;
}

/** Where each step of a double round reads and writes: (target, a, b, rotation). */
const steps: readonly (readonly [number, number, number, number])[] = [[0, 4, 8, 12], [5, 9, 13, 1], [10, 14, 2, 6], [15, 3, 7, 11], [0, 1, 2, 3], [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]]
  .flatMap(([a = 0, b = 0, c = 0, d = 0]) => [[b, a, d, 7], [c, b, a, 9], [d, c, b, 13], [a, d, c, 18]] as const);

function doubleRounds(x: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < steps.length; i++) {
      const [target, a, b, rotation] = steps[i]!;
      const sum = (x[a]! + x[b]!) | 0;
      x[target] = x[target]! ^ ((sum << rotation) | (sum >>> (32 - rotation)));
    }
  }
}
/** The 4×4 state: constants on the diagonal, key around, `input` in the middle. */
function state(key: Uint8Array, input: Uint8Array): Uint32Array {
  const k = (i: number) => word(key, 4 * i);
  const n = (i: number) => word(input, 4 * i);
  return Uint32Array.of(sigma[0], k(0), k(1), k(2), k(3), sigma[1], n(0), n(1), n(2), n(3), sigma[2], k(4), k(5), k(6), k(7), sigma[3]);
}
function hsalsa20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const x = state(key, input);
  doubleRounds(x);
  const out = new Uint8Array(32);
  for (const [i, from] of [0, 5, 10, 15, 6, 7, 8, 9].entries()) putWord(out, 4 * i, x[from]!);
  return out;
}
/** The key stream XOR `data`, beginning `skip` bytes into it. */
function xsalsa20(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, skip: number): { first: Uint8Array; out: Uint8Array } {
  const subkey = hsalsa20(key, nonce.subarray(0, 16));
  const input = new Uint8Array(16);
  input.set(nonce.subarray(16, 24));
  const out = new Uint8Array(data.length);
  const block = new Uint8Array(64);
  let first = block;
  for (let counter = 0, at = -skip; at < data.length || counter === 0; counter++, at += 64) {
    putWord(input, 8, counter);
    const start = state(subkey, input);
    const x = start.slice();
    doubleRounds(x);
    for (let i = 0; i < 16; i++) putWord(block, 4 * i, (x[i]! + start[i]!) >>> 0);
    if (counter === 0) first = block.slice(0, skip);
    for (let i = Math.max(0, -at); i < 64 && at + i < data.length; i++) out[at + i] = data[at + i]! ^ block[i]!;
  }
  return { first, out };
}

/** 130 bits as ten limbs of 13, so that products and their sums stay exact. */
function limbs(bytes: Uint8Array, into: Float64Array): void {
  for (let i = 0; i < 10; i++) {
    const bit = 13 * i;
    const at = bit >> 3;
    into[i] = (((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)) >>> (bit & 7)) & 0x1fff;
  }
}
const prime = (1n << 130n) - 5n;

export function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(key.subarray(0, 16));
  for (const i of [3, 7, 11, 15]) clamped[i]! &= 15;
  for (const i of [4, 8, 12]) clamped[i]! &= 252;
  const r = new Float64Array(10);
  limbs(clamped, r);
  const h = new Float64Array(10);
  const m = new Float64Array(10);
  const sums = new Float64Array(10);
  const block = new Uint8Array(18);
  for (let at = 0; at < message.length; at += 16) {
    const part = message.subarray(at, at + 16);
    block.fill(0);
    block.set(part);
    block[part.length] = 1;
    limbs(block, m);
    for (let i = 0; i < 10; i++) h[i]! += m[i]!;
    for (let i = 0; i < 10; i++) {
      let sum = 0;
      for (let j = 0; j <= i; j++) sum += h[j]! * r[i - j]!;
      let high = 0;
      for (let j = i + 1; j < 10; j++) high += h[j]! * r[i + 10 - j]!;
      sums[i] = sum + 5 * high;
    }
    let carry = 0;
    for (let i = 0; i < 10; i++) {
      const value = sums[i]! + carry;
      carry = Math.floor(value / 8192);
      h[i] = value - carry * 8192;
    }
    h[0]! += carry * 5;
    carry = Math.floor(h[0]! / 8192);
    h[0]! -= carry * 8192;
    h[1]! += carry;
  }
  let total = 0n;
  for (let i = 9; i >= 0; i--) total = (total << 13n) + BigInt(h[i]!);
  total %= prime;
  for (let i = 0; i < 16; i++) total += BigInt(key[16 + i]!) << BigInt(8 * i);
  const tag = new Uint8Array(16);
  for (let i = 0; i < 16; i++) tag[i] = Number((total >> BigInt(8 * i)) & 255n);
  return tag;
}

export function seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array): Uint8Array {
  const { first, out } = xsalsa20(key, nonce, plain, 32);
  const sealed = new Uint8Array(tagBytes + out.length);
  sealed.set(poly1305(first, out));
  sealed.set(out, tagBytes);
  return sealed;
}
/** Undefined: not sealed with this key and nonce. */
export function unseal(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < tagBytes) return undefined;
  const { first, out } = xsalsa20(key, nonce, sealed.subarray(tagBytes), 32);
  return timingSafeEqual(poly1305(first, sealed.subarray(tagBytes)), sealed.subarray(0, tagBytes)) ? out : undefined;
}
