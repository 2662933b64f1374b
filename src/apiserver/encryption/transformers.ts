/**
 * How values are sealed with keys that lie in the configuration: AES-CBC, AES-GCM, secretbox, or not at all. Formats are upstream's
 * to the byte, so either reads what the other wrote. Source: apiserver/pkg/storage/value/encrypt.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Rng } from '../../base/rng.ts';
import { nonceBytes, seal, unseal } from './secretbox.ts';

/** `context` is the key in the store, bound to the value where the cipher can. Throws when the value was not sealed so. */
export interface Transformer {
  /** 'k8s:enc:aescbc:v1:key1:' */
  prefix: Buffer;
  seal(plain: Uint8Array, context: string): Uint8Array | Promise<Uint8Array>;
  open(sealed: Uint8Array, context: string): Uint8Array | Promise<Uint8Array>;
  /** What was sealed so some time ago should be written anew (a key management service has another key now). */
  stale?(sealed: Uint8Array): boolean;
}

const view = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function aesCbc(prefix: string, key: Uint8Array, rng: Rng): Transformer {
  const algorithm = `aes-${key.length * 8}-cbc`;
  return {
    prefix: Buffer.from(prefix),
    seal(plain) {
      const iv = rng.bytes(16);
      const cipher = createCipheriv(algorithm, key, iv);
      return Buffer.concat([iv, cipher.update(plain), cipher.final()]);
    },
    open(sealed) {
      if (sealed.length < 32 || sealed.length % 16 !== 0) throw new Error('the stored data was shorter than the required size or not a multiple of the block size');
      const cipher = createDecipheriv(algorithm, key, sealed.subarray(0, 16));
      return Buffer.concat([cipher.update(sealed.subarray(16)), cipher.final()]);
    },
  };
}

export function gcmSeal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm` as 'aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(context));
  const body = cipher.update(plain);
  cipher.final();
  return Buffer.concat([nonce, body, cipher.getAuthTag()]);
}
export function gcmOpen(key: Uint8Array, sealed: Uint8Array, context: string): Buffer {
  if (sealed.length < 28) throw new Error('the stored data was shorter than the required size');
  const cipher = createDecipheriv(`aes-${key.length * 8}-gcm` as 'aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 });
  cipher.setAAD(Buffer.from(context));
  cipher.setAuthTag(view(sealed).subarray(-16));
  const plain = cipher.update(sealed.subarray(12, -16));
  cipher.final();
  return plain;
}
export const aesGcm = (prefix: string, key: Uint8Array, rng: Rng): Transformer => ({
  prefix: Buffer.from(prefix), seal: (plain, context) => gcmSeal(key, Uint8Array.from(rng.bytes(12)), plain, context), open: (sealed, context) => gcmOpen(key, sealed, context),
});

export const secretbox = (prefix: string, key: Uint8Array, rng: Rng): Transformer => ({
  prefix: Buffer.from(prefix),
  seal(plain) { const nonce = Uint8Array.from(rng.bytes(nonceBytes)); return Buffer.concat([nonce, seal(key, nonce, plain)]); },
  open(sealed) {
    const plain = unseal(key, sealed.subarray(0, nonceBytes), sealed.subarray(nonceBytes));
    if (!plain) throw new Error('output array was not large enough for encryption or the message was not authentic');
    return plain;
  },
});

const encrypted = Buffer.from('k8s:enc:');
export const isEncrypted = (value: Uint8Array) => value.length >= encrypted.length && encrypted.compare(value, 0, encrypted.length) === 0;

export const identity: Transformer = {
  prefix: Buffer.alloc(0), seal: (plain) => plain,
  open(value) {
    if (isEncrypted(value)) throw new Error('identity transformer tried to read encrypted data');
    return value;
  },
};
