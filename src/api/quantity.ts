/**
 * Resource quantities: exact amounts written as '500m', '1Gi', '1e3'. Values are counted in nanos (10^-9), the finest that a
 * quantity holds; finer ones are rounded away from zero. Source: apimachinery/pkg/api/resource.
 */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';
export interface Quantity { readonly nanos: bigint; readonly format: QuantityFormat }

export class QuantityError extends Error { override name = 'QuantityError'; }

const quantityRegexText = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";
const formatWrong = `quantities must match the regular expression '${quantityRegexText}'`;
const numericWrong = "unable to parse numeric part of quantity";
const suffixWrong = "unable to parse quantity's suffix";

const nano = 1_000_000_000n;
const maxBinary = (2n ** 63n - 1n) * nano;
const decimalSuffixes: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const decimalSuffixOf = new Map(Object.entries(decimalSuffixes).map(([suffix, exponent]) => [exponent, suffix]));
const binarySuffixes: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };
const binarySuffixList = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** Parsed texts; a cluster uses few different ones. Cleared when full. */
const cacheLimit = 8192;
const cache = new Map<string, Quantity>();

/** Throws `QuantityError` with upstream's text. Numbers, as JSON allows them, are taken as their decimal text. */
export function parseQuantity(text: string | number): Quantity {
  const key = typeof text === 'number' ? String(text) : text;
  let quantity = cache.get(key);
  if (quantity) return quantity;
  quantity = parse(key);
  if (cache.size >= cacheLimit) cache.clear();
  cache.set(key, quantity);
  return quantity;
}

/** As `parseQuantity`; undefined where the text is no quantity. */
export function tryParseQuantity(text: string | number | undefined): Quantity | undefined {
  if (text === undefined || text === null) return undefined;
  try { return parseQuantity(text); } catch { return undefined; }
}

function parse(text: string): Quantity {
  if (text === '') throw new QuantityError(formatWrong);
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(.*)$/s.exec(text);
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match ?? [];
  if (!/^[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*$/.test(text)) throw new QuantityError(formatWrong);
  if (whole === '' && fraction === '') throw new QuantityError(numericWrong);
  let format: QuantityFormat = 'DecimalSI';
  let exponent = 0;
  let factor = 1n;
  if (suffix in decimalSuffixes) exponent = decimalSuffixes[suffix]!;
  else if (suffix in binarySuffixes) { format = 'BinarySI'; factor = 2n ** binarySuffixes[suffix]!; }
  else if (/^[eE][-+]?\d+$/.test(suffix)) { format = 'DecimalExponent'; exponent = Number(suffix.slice(1)); }
  else throw new QuantityError(suffixWrong);
  if (Math.abs(exponent) > 10_000) throw new QuantityError(suffixWrong);
  // whole.fraction × 10^exponent, in nanos
  const scale = exponent + 9 - fraction.length;
  const digits = BigInt(whole + fraction) * factor;
  let nanos: bigint;
  if (scale >= 0) nanos = digits * 10n ** BigInt(scale);
  else {
    const divisor = 10n ** BigInt(-scale);
    nanos = (digits + divisor - 1n) / divisor;
  }
  if (format === 'BinarySI' && nanos > maxBinary) nanos = maxBinary;
  if (format === 'BinarySI' && nanos > 0n && nanos < nano) format = 'DecimalSI';
  return { nanos: sign === '-' ? -nanos : nanos, format };
}

/** The canonical text: no fraction, the largest fitting suffix. Binary amounts below 1024 or with a fraction become decimal. */
export function formatQuantity({ nanos, format }: Quantity): string {
  if (nanos === 0n) return '0';
  if (format === 'BinarySI') {
    const below = nanos < 1024n * nano && nanos > -1024n * nano;
    if (!below && nanos % nano === 0n) {
      let value = nanos / nano;
      let step = 0;
      while (step < 6 && value % 1024n === 0n) { value /= 1024n; step++; }
      return `${value}${binarySuffixList[step]}`;
    }
  }
  let value = nanos;
  let exponent = -9;
  while (exponent < 18 && value % 1000n === 0n) { value /= 1000n; exponent += 3; }
  if (format === 'DecimalExponent') {
    while (value % 1000n === 0n) { value /= 1000n; exponent += 3; }
    return exponent === 0 ? `${value}` : `${value}e${exponent}`;
  }
  return `${value}${decimalSuffixOf.get(exponent)}`;
}

/** '1000m' → '1', '0.5' → '500m', 2 → '2'. Throws `QuantityError`. */
export function canonicalQuantity(text: string | number): string { return formatQuantity(parseQuantity(text)); }

const nanosOf = (q: Quantity | string | number) => (typeof q === 'object' ? q : parseQuantity(q)).nanos;

/** Below, at or above zero as a is less than, equal to or greater than b. */
export function compareQuantity(a: Quantity | string | number, b: Quantity | string | number): number {
  const [x, y] = [nanosOf(a), nanosOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
/** The sum in the format of the first (of the second where the first is zero). */
export function addQuantity(a: Quantity, b: Quantity): Quantity {
  return { nanos: a.nanos + b.nanos, format: a.nanos === 0n ? b.format : a.format };
}
export function subtractQuantity(a: Quantity, b: Quantity): Quantity {
  return { nanos: a.nanos - b.nanos, format: a.nanos === 0n ? b.format : a.format };
}
export const zeroQuantity: Quantity = { nanos: 0n, format: 'DecimalSI' };

/** From a count of whole units (bytes, cores), which must be a safe integer. */
export function quantityOf(units: number, format: QuantityFormat = 'DecimalSI'): Quantity { return { nanos: BigInt(units) * nano, format }; }
/** From thousandths: `quantityOfMillis(500)` is '500m'. */
export function quantityOfMillis(millis: number, format: QuantityFormat = 'DecimalSI'): Quantity { return { nanos: BigInt(Math.ceil(millis)) * 1_000_000n, format }; }

/** Positive values are rounded up, as upstream's Value() and MilliValue(). */
function divideUp(nanos: bigint, divisor: bigint): number {
  const quotient = nanos / divisor;
  return Number(nanos > 0n && nanos % divisor !== 0n ? quotient + 1n : nanos < 0n && nanos % divisor !== 0n ? quotient - 1n : quotient);
}
const unitCache = new Map<string, number>();
const milliCache = new Map<string, number>();
function cached(memory: Map<string, number>, text: string | number | Quantity | undefined, divisor: bigint): number {
  if (text === undefined || text === null) return 0;
  if (typeof text === 'object') return divideUp(text.nanos, divisor);
  const key = String(text);
  let value = memory.get(key);
  if (value === undefined) {
    value = divideUp(parseQuantity(key).nanos, divisor);
    if (memory.size >= cacheLimit) memory.clear();
    memory.set(key, value);
  }
  return value;
}
/** Thousandths (of a core), rounded up; 0 for undefined. Throws `QuantityError`. */
export function cpuMillis(q: string | number | Quantity | undefined): number { return cached(milliCache, q, 1_000_000n); }
/** Whole units (bytes, counts), rounded up; 0 for undefined. Beyond 2^53 the nearest double. Throws `QuantityError`. */
export function bytesOf(q: string | number | Quantity | undefined): number { return cached(unitCache, q, nano); }
/** Is it a whole number of units? */
export function isInteger(q: Quantity): boolean { return q.nanos % nano === 0n; }
