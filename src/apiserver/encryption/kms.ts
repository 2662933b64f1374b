/**
 * Envelope encryption with a key management service (KMS v2): values are sealed with keys derived from a seed that only the service
 * can open. The service is asked once per seed, never per value. Source: kubernetes.io/docs/tasks/administer-cluster/kms-provider;
 * apiserver/pkg/storage/value/encrypt/envelope/kmsv2; KEP-3299.
 */
import { createHmac } from 'node:crypto';
import { sleep, type Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { uuid, type Rng } from '../../base/rng.ts';
import { GrpcClient, type GrpcMethod } from '../../base/grpc.ts';
import { defineMessages } from '../../base/protobuf.ts';
import { gcmOpen, gcmSeal, type Transformer } from './transformers.ts';

const messages = defineMessages({
  StatusRequest: {},
  StatusResponse: { version: '1 string', healthz: '2 string', keyId: '3 string' },
  DecryptRequest: { ciphertext: '1 bytes', uid: '2 string', keyId: '3 string', annotations: '4 map<string,bytes>' },
  DecryptResponse: { plaintext: '1 bytes' },
  EncryptRequest: { plaintext: '1 bytes', uid: '2 string' },
  EncryptResponse: { ciphertext: '1 bytes', keyId: '2 string', annotations: '3 map<string,bytes>' },
  EncryptedObject: { encryptedData: '1 bytes', keyID: '2 string', encryptedDEKSource: '3 bytes', annotations: '4 map<string,bytes>', encryptedDEKSourceType: '5 enum' },
});
export const kmsMessages = messages;
type Name = 'Status' | 'Decrypt' | 'Encrypt';
const method = <N extends Name>(name: N): GrpcMethod<never, never> => ({
  path: `/v2.KeyManagementService/${name}`, encode: (request) => messages.encode(`${name}Request`, request as never), decode: (bytes) => messages.decode(`${name}Response`, bytes) as never,
});
interface Encrypted { ciphertext: Uint8Array; keyId: string; annotations: Readonly<Record<string, Uint8Array>> }
export interface KmsService {
  status(): Promise<{ version: string; healthz: string; keyId: string }>;
  decrypt(request: { uid: string; ciphertext: Uint8Array; keyId: string; annotations: Readonly<Record<string, Uint8Array>> }): Promise<Uint8Array>;
  encrypt(request: { uid: string; plaintext: Uint8Array }): Promise<Encrypted>;
}
/** `endpoint`: unix:///var/run/kms.sock. */
export function kmsClient(endpoint: string, timeoutMs: number): KmsService & Disposable {
  const client = new GrpcClient({ address: endpoint });
  const call = <R>(name: Name, request: object): Promise<R> => client.unary(method(name) as unknown as GrpcMethod<object, R>, request, { timeoutMs, waitForReady: true });
  return {
    status: () => call('Status', {}), encrypt: (request) => call('Encrypt', request),
    decrypt: async (request) => (await call<{ plaintext: Uint8Array }>('Decrypt', request)).plaintext,
    [Symbol.dispose]: () => client.close(),
  };
}

const seedBytes = 32;
const infoBytes = 32;
/** Encrypted seeds are at most this long. */
const sourceLimitBytes = 1024;
const annotationsLimitBytes = 32 * 1024;
const statusPeriodMs = 60_000;
/** Opened seeds kept; each is one KMS key's life. */
const seedCacheLimit = 1000;
const derivedSeed = 1;
/** HKDF-Expand with SHA-256, one block. RFC 5869 §2.3. */
const derive = (seed: Uint8Array, info: Uint8Array) => createHmac('sha256', seed).update(info).update(Uint8Array.of(1)).digest();

interface State { seed: Uint8Array; encrypted: Encrypted }

export class KmsTransformer implements Transformer, Disposable {
  readonly prefix: Buffer;
  readonly #service: KmsService & Partial<Disposable>;
  readonly #rng: Rng;
  readonly #name: string;
  #state: State | undefined;
  #failure: unknown;
  readonly #seeds = new Map<string, Promise<Uint8Array>>();
  readonly #stop = new AbortController();

  constructor(name: string, service: KmsService & Partial<Disposable>, rng: Rng) {
    this.#name = name;
    this.prefix = Buffer.from(`k8s:enc:kms:v2:${name}:`);
    this.#service = service;
    this.#rng = rng;
  }

  /** Resolves when values can be sealed; follows the service's key from then on. */
  async start(clock: Clock, log: Logger): Promise<void> {
    await this.refresh();
    void (async () => {
      for (;;) {
        try { await sleep(clock, statusPeriodMs, this.#stop.signal); } catch { return; }
        await this.refresh().catch((err: unknown) => { log.error({ err, kms: this.#name }, 'the key management service does not answer'); });
      }
    })();
  }
  /** Asks for the current key; another one means another seed. */
  async refresh(): Promise<void> {
    try {
      const { version, healthz, keyId } = await this.#service.status();
      if (healthz !== 'ok') throw new Error(`got unexpected healthz status: ${healthz}`);
      if (version !== 'v2' && version !== 'v2beta1') throw new Error(`expected KMSv2 API version v2, got ${version}`);
      if (!keyId) throw new Error('keyID is empty');
      if (this.#state?.encrypted.keyId !== keyId) {
        const seed = Uint8Array.from(this.#rng.bytes(seedBytes));
        const encrypted = await this.#service.encrypt({ uid: uuid(this.#rng), plaintext: seed });
        if (encrypted.ciphertext.length === 0 || encrypted.ciphertext.length > sourceLimitBytes) throw new Error(`encrypted DEK source is ${encrypted.ciphertext.length} bytes, which is not between 1 and ${sourceLimitBytes}`);
        if (Object.entries(encrypted.annotations).reduce((sum, [key, value]) => sum + key.length + value.length, 0) > annotationsLimitBytes) throw new Error('annotations are too large');
        this.#state = { seed, encrypted: { ...encrypted, ciphertext: Uint8Array.from(encrypted.ciphertext) } };
        this.#remember(encrypted, Promise.resolve(seed));
      }
      this.#failure = undefined;
    } catch (err) { this.#failure = err; throw err; }
  }
  /** For /readyz: `kms-providers`. */
  check(): string | undefined { return this.#failure === undefined ? undefined : `kms provider ${this.#name}: ${this.#failure instanceof Error ? this.#failure.message : String(this.#failure)}`; }

  seal(plain: Uint8Array, context: string): Uint8Array {
    if (!this.#state) throw new Error(`kms provider ${this.#name} has given no key yet`);
    const { seed, encrypted } = this.#state;
    const info = Uint8Array.from(this.#rng.bytes(infoBytes));
    const data = gcmSeal(derive(seed, info), Uint8Array.from(this.#rng.bytes(12)), plain, context);
    return messages.encode('EncryptedObject', { encryptedData: Buffer.concat([info, data]), keyID: encrypted.keyId, encryptedDEKSource: encrypted.ciphertext, annotations: encrypted.annotations, encryptedDEKSourceType: derivedSeed });
  }
  async open(sealed: Uint8Array, context: string): Promise<Uint8Array> {
    const { encryptedData, keyID, encryptedDEKSource, annotations, encryptedDEKSourceType } = messages.decode('EncryptedObject', sealed);
    const encrypted: Encrypted = { ciphertext: encryptedDEKSource, keyId: keyID, annotations };
    const seed = await (this.#seeds.get(cacheKey(encrypted)) ?? this.#remember(encrypted, this.#service.decrypt({ uid: uuid(this.#rng), ciphertext: encryptedDEKSource, keyId: keyID, annotations }).then((bytes) => Uint8Array.from(bytes))));
    if (encryptedDEKSourceType !== derivedSeed) return gcmOpen(seed, encryptedData, context);
    return gcmOpen(derive(seed, encryptedData.subarray(0, infoBytes)), encryptedData.subarray(infoBytes), context);
  }
  stale(sealed: Uint8Array): boolean { return messages.decode('EncryptedObject', sealed).keyID !== this.#state?.encrypted.keyId; }

  #remember(encrypted: Encrypted, seed: Promise<Uint8Array>): Promise<Uint8Array> {
    if (this.#seeds.size >= seedCacheLimit) this.#seeds.clear();
    const key = cacheKey(encrypted);
    this.#seeds.set(key, seed);
    seed.catch(() => { this.#seeds.delete(key); });
    return seed;
  }
  [Symbol.dispose](): void { this.#stop.abort(); this.#service[Symbol.dispose]?.(); }
}
const cacheKey = ({ ciphertext, keyId }: Encrypted) => `${keyId}\0${Buffer.from(ciphertext).toString('latin1')}`;
