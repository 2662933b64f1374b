/** The part of ASN.1 DER (ITU-T X.690) that X.509 needs: building and walking tagged values. */

export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length: number[] = [];
  for (let left = body.length; left > 0; left = Math.floor(left / 256)) length.unshift(left & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), body]);
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => der(0x30, ...items);
export const setOf = (...items: readonly Uint8Array[]): Buffer => der(0x31, ...items);
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
export const bits = (bytes: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.from([unused]), bytes);
export const bool = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]));
export const nothing: Buffer = der(0x05);
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
/** `[n]` explicit or constructed. */
export const tagged = (n: number, ...items: readonly Uint8Array[]): Buffer => der(0xa0 | n, ...items);
/** `[n]` implicit over a primitive. */
export const taggedBytes = (n: number, bytes: Uint8Array): Buffer => der(0x80 | n, bytes);

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const rest = bytes.subarray(start);
  return der(0x02, (rest[0] ?? 0) & 0x80 || rest.length === 0 ? Buffer.from([0]) : Buffer.alloc(0), rest);
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [first * 40 + second];
  for (const arc of rest) {
    const group = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) group.unshift((left & 0x7f) | 0x80);
    bytes.push(...group);
  }
  return der(0x06, Buffer.from(bytes));
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime after. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

export interface DerNode {
  tag: number;
  /** Tag, length and contents. */
  whole: Buffer;
  contents: Buffer;
}

/** The values that `bytes` is a row of. Throws when it is not DER. */
export function readDer(bytes: Uint8Array): DerNode[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const nodes: DerNode[] = [];
  for (let at = 0; at < buffer.length;) {
    const tag = buffer[at]!;
    let length = buffer[at + 1] ?? Number.NaN;
    let start = at + 2;
    if (length & 0x80) {
      const size = length & 0x7f;
      if (size === 0 || size > 4 || start + size > buffer.length) throw new Error('malformed DER: bad length');
      length = buffer.readUIntBE(start, size);
      start += size;
    }
    if (!(start + length <= buffer.length)) throw new Error('malformed DER: cut short');
    nodes.push({ tag, whole: buffer.subarray(at, start + length), contents: buffer.subarray(start, start + length) });
    at = start + length;
  }
  return nodes;
}

export function readOid(contents: Uint8Array): string {
  const arcs = [Math.min(2, Math.floor((contents[0] ?? 0) / 40))];
  arcs.push((contents[0] ?? 0) - arcs[0]! * 40);
  let arc = 0;
  for (const byte of contents.subarray(1)) {
    arc = arc * 128 + (byte & 0x7f);
    if (!(byte & 0x80)) { arcs.push(arc); arc = 0; }
  }
  return arcs.join('.');
}
