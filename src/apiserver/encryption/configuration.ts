/**
 * The file of `--encryption-provider-config`: which resources are sealed, and how. The first provider writes, all of them read.
 * Source: kubernetes.io/docs/reference/config-api/apiserver-config.v1 EncryptionConfiguration; apiserver/pkg/server/options/encryptionconfig.
 */
import { parse as parseYaml } from 'yaml';
import type { Rng } from '../../base/rng.ts';
import { kmsClient, KmsTransformer, type KmsService } from './kms.ts';
import { aesCbc, aesGcm, identity, secretbox, type Transformer } from './transformers.ts';

export class EncryptionConfigError extends Error {}
/** The first rule whose resources match decides. */
export interface EncryptionRule { resources: readonly string[]; transformers: readonly Transformer[] }
export interface EncryptionPlan { rules: readonly EncryptionRule[]; kms: readonly KmsTransformer[] }

interface Keyed { keys?: { name?: string; secret?: string }[] }
interface Provider { identity?: object; aescbc?: Keyed; aesgcm?: Keyed; secretbox?: Keyed; kms?: { apiVersion?: string; name?: string; endpoint?: string; timeout?: string } }

const ciphers = { aescbc: { make: aesCbc, sizes: [16, 24, 32] }, aesgcm: { make: aesGcm, sizes: [16, 24, 32] }, secretbox: { make: secretbox, sizes: [32] } } as const;
const defaultTimeoutMs = 3000;

/** Throws `EncryptionConfigError` naming the place; secrets never appear in it. */
export function readEncryptionConfiguration(text: string, rng: Rng, kmsFor: (endpoint: string, timeoutMs: number) => KmsService = kmsClient): EncryptionPlan {
  const wrong = (where: string, why: string) => new EncryptionConfigError(`encryption provider configuration: ${where}: ${why}`);
  let file: { kind?: string; apiVersion?: string; resources?: { resources?: string[]; providers?: Provider[] }[] } | null;
  try { file = parseYaml(text) as typeof file; } catch { throw wrong('file', 'is not YAML'); }
  if (file?.kind !== 'EncryptionConfiguration' || !['apiserver.config.k8s.io/v1', 'v1'].includes(file.apiVersion ?? '')) throw wrong('kind', 'must be EncryptionConfiguration of apiserver.config.k8s.io/v1');
  if (!file.resources?.length) throw wrong('resources', 'Required value: resources section is empty');
  const kms = new Map<string, KmsTransformer>();
  const rules = file.resources.map(({ resources = [], providers = [] }, i): EncryptionRule => {
    const at = `resources[${i}]`;
    if (resources.length === 0) throw wrong(`${at}.resources`, 'Required value: resource list is empty');
    if (providers.length === 0) throw wrong(`${at}.providers`, 'Required value: provider is empty');
    for (const name of resources) {
      if (name === '*' || name.includes('/') || /\*.*\*/.test(name.replace('*.*', '')) || (name.includes('*') && !name.startsWith('*.'))) throw wrong(`${at}.resources`, `Invalid value: "${name}": use '*.<group>', '*.' for the core group or '*.*' for all`);
      if (['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'].includes(name)) throw wrong(`${at}.resources`, `Invalid value: "${name}": this resource can not be encrypted`);
    }
    const transformers = providers.flatMap((provider, j): Transformer[] => {
      const where = `${at}.providers[${j}]`;
      const set = (['identity', 'aescbc', 'aesgcm', 'secretbox', 'kms'] as const).filter((name) => provider[name] !== undefined && provider[name] !== null);
      const [kind] = set;
      if (set.length !== 1 || !kind) throw wrong(where, set.length === 0 ? 'Required value: provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity' : 'more than one provider specified in a single element, should split into different list elements');
      if (kind === 'identity') return [identity];
      if (kind === 'kms') {
        const { apiVersion = 'v1', name = '', endpoint = '', timeout = '3s' } = provider.kms!;
        if (apiVersion !== 'v2') throw wrong(`${where}.kms.apiVersion`, `Unsupported value: "${apiVersion}": supported values: "v2"`);
        if (!name || name.includes(':')) throw wrong(`${where}.kms.name`, `Invalid value: "${name}"`);
        if (!endpoint.startsWith('unix://')) throw wrong(`${where}.kms.endpoint`, `Invalid value: unsupported scheme for the endpoint "${endpoint}", want unix://`);
        const known = kms.get(name);
        if (known) return [known];
        const made = new KmsTransformer(name, kmsFor(endpoint, durationMs(timeout)), rng);
        kms.set(name, made);
        return [made];
      }
      const { make, sizes } = ciphers[kind];
      const { keys = [] } = provider[kind]!;
      if (keys.length === 0) throw wrong(`${where}.${kind}.keys`, 'Required value: keys must not be empty');
      const seen = new Set<string>();
      return keys.map(({ name = '', secret = '' }, k) => {
        const place = `${where}.${kind}.keys[${k}]`;
        if (!name || name.includes(':')) throw wrong(`${place}.name`, 'must not be empty or contain a colon');
        if (seen.has(name)) throw wrong(`${place}.name`, `Duplicate value: "${name}"`);
        seen.add(name);
        const key = Buffer.from(secret, 'base64');
        if (!secret || key.toString('base64').replace(/=+$/, '') !== secret.replace(/=+$/, '')) throw wrong(`${place}.secret`, 'must be base64 encoded');
        if (!(sizes as readonly number[]).includes(key.length)) throw wrong(`${place}.secret`, `secret is not of the expected length, got ${key.length}, expected one of [${sizes.join(' ')}]`);
        return make(`k8s:enc:${kind}:v1:${name}:`, key, rng);
      });
    });
    return { resources, transformers };
  });
  return { rules, kms: [...kms.values()] };
}
function durationMs(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  return number ? Number(number) * ({ ms: 1, s: 1000, m: 60_000 } as Record<string, number>)[unit]! : defaultTimeoutMs;
}

/** 'secrets', 'deployments.apps', '*.apps', '*.' and '*.*'. */
export function transformersFor(plan: EncryptionPlan, group: string, resource: string): readonly Transformer[] | undefined {
  const full = group ? `${resource}.${group}` : resource;
  return plan.rules.find(({ resources }) => resources.some((name) => name === '*.*' || name === full || name === `*.${group}`))?.transformers;
}
