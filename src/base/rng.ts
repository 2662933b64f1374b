/** Chance as a parameter. `systemRng` draws from the kernel; `seededRng` replays exactly from a seed. */
import { randomBytes } from 'node:crypto';

export interface Rng {
  bytes(count: number): Uint8Array;
  /** A number in [0, 1). */
  float(): number;
}

/** Drawn from the kernel at once: a system call per draw shows in profiles of the API server. */
const poolBytes = 16 * 1024;
let pool = Buffer.alloc(0);
let poolAt = 0;
/** The next bytes of the pool, each handed out once and wiped by whoever has used them. */
function draw(count: number): Buffer {
  if (poolAt + count > pool.length) { pool = randomBytes(poolBytes); poolAt = 0; }
  poolAt += count;
  return pool.subarray(poolAt - count, poolAt);
}

export const systemRng: Rng = {
  bytes(count) {
    if (count > poolBytes) return randomBytes(count);
    const drawn = draw(count);
    const bytes = Buffer.from(drawn);
    drawn.fill(0); // what may become a secret is not kept here
    return bytes;
  },
  float: () => draw(6).readUIntBE(0, 6) / 2 ** 48,
};

/** The mulberry32 generator: the same seed gives the same sequence on every machine. Not for secrets. */
export function seededRng(seed: number): Rng {
  let state = (seed >>> 0) || 0x9e3779b9;
  const next = () => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
    float: () => next() / 2 ** 32,
  };
}

/** An integer in [0, below). */
export function randomInt(rng: Rng, below: number): number { return Math.floor(rng.float() * below); }

/** A version 4 UUID (RFC 9562 §5.4). */
export function uuid(rng: Rng): string {
  const bytes = Uint8Array.from(rng.bytes(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Upstream's alphabet for name suffixes: no vowels (no words) and no look-alikes. Source: apimachinery util/rand. */
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';
export function nameSuffix(rng: Rng, length = 5): string {
  return Array.from({ length }, () => suffixAlphabet[randomInt(rng, suffixAlphabet.length)]).join('');
}
