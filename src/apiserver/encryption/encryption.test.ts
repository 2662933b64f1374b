import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { seededRng } from '../../base/rng.ts';
import { silentLogger } from '../../base/log.ts';
import { configmaps, deployments, secrets } from '../../api/resources.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { startApiServer } from '../../testing/api-server.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { EncryptionConfigError, readEncryptionConfiguration, transformersFor } from './configuration.ts';
import type { KmsService } from './kms.ts';
import { poly1305, seal, unseal } from './secretbox.ts';
import { EncryptionAtRest } from './store.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

test('secretbox: the vector of NaCl', () => {
  const key = hex('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389');
  const nonce = hex('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37');
  const plain = hex(`be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31
    0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705`);
  const sealed = seal(key, nonce, plain);
  assert.equal(Buffer.from(sealed).toString('hex'), `f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738
    b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5`.replaceAll(/\s/g, ''));
  assert.deepEqual(Buffer.from(unseal(key, nonce, sealed)!), plain);
  sealed[20]! ^= 1;
  assert.equal(unseal(key, nonce, sealed), undefined);
});

test('poly1305 agrees with the platform for every length', () => {
  const rng = seededRng(3);
  for (let length = 0; length < 200; length += 7) {
    // ChaCha20-Poly1305's tag over padded data and lengths, with the one-time key from its first block.
    const key = Buffer.from(rng.bytes(32));
    const nonce = Buffer.from(rng.bytes(12));
    const data = Buffer.from(rng.bytes(length));
    const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    const sealed = Buffer.concat([cipher.update(data), cipher.final()]);
    const stream = createCipheriv('chacha20', key, Buffer.concat([Buffer.alloc(4), nonce]));
    const oneTime = stream.update(Buffer.alloc(32));
    const sizes = Buffer.alloc(16);
    sizes.writeUInt32LE(length, 8);
    assert.deepEqual(Buffer.from(poly1305(oneTime, Buffer.concat([sealed, Buffer.alloc((16 - (length % 16)) % 16), sizes]))), cipher.getAuthTag(), `length ${length}`);
  }
});

const secretOf = (byte: number, length = 32) => Buffer.alloc(length, byte).toString('base64');
const configuration = (providers: string, resources = '[secrets]') => `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n- resources: ${resources}\n  providers:\n${providers}`;
const keyed = (kind: string, ...names: string[]) => `  - ${kind}: {keys: [${names.map((name, i) => `{name: ${name}, secret: "${secretOf(name.charCodeAt(0) + i * 0)}"}`).join(', ')}]}\n`;
const deps = () => ({ clock: new FakeClock(), rng: seededRng(1), log: silentLogger });
const secret = (name: string) => ({ metadata: { name, namespace: 'default' }, data: { password: Buffer.from('hunter2').toString('base64') } });
const text = (value: Uint8Array) => Buffer.from(value).toString('latin1');

for (const kind of ['aescbc', 'aesgcm', 'secretbox']) {
  test(`${kind}: sealed in the store, plain through the API, also after a restart`, async () => {
    const store = createMemoryStore();
    const config = configuration(`${keyed(kind, 'key1')}  - identity: {}\n`, '[secrets, "*.apps"]');
    {
      const encryption = await EncryptionAtRest.create(config, deps());
      const env = await startApiServer({ store, encryption });
      await env.client().for(secrets).create(secret('s') as never);
      await env.client().for(configmaps).create({ metadata: { name: 'c', namespace: 'default' }, data: { a: 'b' } } as never);
      await env.client().for(deployments).create({ metadata: { name: 'd', namespace: 'default' }, spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } } } as never);
      await env.server.close();
    }
    const raw = text((await store.get('/registry/secrets/default/s'))!.value);
    assert.ok(raw.startsWith(`k8s:enc:${kind}:v1:key1:`) && !raw.includes('password'));
    assert.ok(text((await store.get('/registry/deployments/default/d'))!.value).startsWith(`k8s:enc:${kind}:v1:key1:`));
    assert.ok(text((await store.get('/registry/configmaps/default/c'))!.value).startsWith('{'));
    const env = await startApiServer({ store, encryption: await EncryptionAtRest.create(config, deps()) });
    assert.deepEqual((await env.client().for(secrets).get({ namespace: 'default', name: 's' })).data, { password: Buffer.from('hunter2').toString('base64') });
    assert.equal((await env.client().for(secrets).list()).items.length, 1);
    await env.server.close();
    // Without the key nothing can be read, and nothing is silently wrong.
    const blind = await startApiServer({ store, bootstrap: false });
    await assert.rejects(blind.client().for(secrets).get({ namespace: 'default', name: 's' }));
    await blind[Symbol.asyncDispose]();
  });
}

test('rotation: old keys read, the first writes, an update without change writes anew', async () => {
  const store = createMemoryStore();
  const encryption = await EncryptionAtRest.create(configuration(keyed('aescbc', 'one')), deps());
  await using env = await startApiServer({ store, encryption });
  const client = env.client().for(secrets);
  const made = await client.create(secret('s') as never);
  const stored = async () => text((await store.get('/registry/secrets/default/s'))!.value).slice(0, 24);
  assert.match(await stored(), /^k8s:enc:aescbc:v1:one:/);
  assert.equal((await client.update(made)).metadata.resourceVersion, made.metadata.resourceVersion);
  await assert.rejects(encryption.reload('kind: nonsense'), EncryptionConfigError);
  await env.server.close();

  const rotated = await EncryptionAtRest.create(configuration(keyed('aescbc', 'two', 'one')), deps());
  const again = await startApiServer({ store, encryption: rotated });
  const old = await again.client().for(secrets).get({ namespace: 'default', name: 's' });
  const next = await again.client().for(secrets).update(old);
  assert.notEqual(next.metadata.resourceVersion, old.metadata.resourceVersion);
  assert.match(await stored(), /^k8s:enc:aescbc:v1:two:/);
  assert.equal((await again.client().for(secrets).update(next)).metadata.resourceVersion, next.metadata.resourceVersion);
  // Reload: plain from now on, sealed values are still read.
  await rotated.reload(configuration(`  - identity: {}\n${keyed('aescbc', 'two')}`));
  await again.client().for(secrets).create(secret('t') as never);
  assert.match(text((await store.get('/registry/secrets/default/t'))!.value), /^\{/);
  await again.server.close();
});

test('a value moved to another key does not open', async () => {
  const encryption = await EncryptionAtRest.create(configuration(keyed('aesgcm', 'one')), deps());
  const store = createMemoryStore();
  const sealed = encryption.wrap(store, [{ names: secrets, storagePrefix: '/registry/secrets', strategy: {}, columns: [] } as never]);
  await sealed.txn('/registry/secrets/a/x', { expect: 0, value: Buffer.from('{"a":1}') });
  const { value } = (await store.get('/registry/secrets/a/x'))!;
  await store.txn('/registry/secrets/b/x', { expect: 0, value });
  assert.equal(text((await sealed.get('/registry/secrets/a/x'))!.value), '{"a":1}');
  await assert.rejects(sealed.get('/registry/secrets/b/x'), /unable to transform key "\/registry\/secrets\/b\/x"/);
});

test('KMS v2: one call per key, another key id makes values stale', async () => {
  let keyId = 'k1';
  const calls: string[] = [];
  const service: KmsService = {
    status: async () => ({ version: 'v2', healthz: 'ok', keyId }),
    async encrypt({ plaintext }) { calls.push('encrypt'); return { ciphertext: Buffer.from(plaintext).map((byte) => byte ^ 0x5a), keyId, annotations: { 'a.example.com': Buffer.from('note') } }; },
    async decrypt({ ciphertext, annotations }) { calls.push('decrypt'); assert.equal(text(annotations['a.example.com']!), 'note'); return Buffer.from(ciphertext).map((byte) => byte ^ 0x5a); },
  };
  const store = createMemoryStore();
  const config = configuration('  - kms: {apiVersion: v2, name: vault, endpoint: unix:///tmp/kms.sock}\n');
  const clock = new FakeClock();
  const with_ = { ...deps(), clock, kms: () => service };
  const encryption = await EncryptionAtRest.create(config, with_);
  const env = await startApiServer({ store, encryption });
  for (const name of ['a', 'b', 'c']) await env.client().for(secrets).create(secret(name) as never);
  await env.client().for(secrets).list();
  assert.deepEqual(calls, ['encrypt']);
  assert.ok(text((await store.get('/registry/secrets/default/a'))!.value).startsWith('k8s:enc:kms:v2:vault:'));
  await env.server.close();

  const later = await EncryptionAtRest.create(config, { ...with_, rng: seededRng(2) });
  const again = await startApiServer({ store, encryption: later });
  calls.length = 0;
  const { items } = await again.client().for(secrets).list();
  assert.deepEqual([items.length, calls], [3, ['decrypt']]);
  await again.server.close();
  keyId = 'k2';
  await clock.advance(60_000);
  const sealed = (await store.get('/registry/secrets/default/a'))!;
  await later.open('/registry/secrets/default/a', sealed.value, sealed.modRevision);
  assert.equal(later.isStale('/registry/secrets/default/a', sealed.modRevision), true);
  encryption[Symbol.dispose]();
  later[Symbol.dispose]();
});

test('the configuration: wildcards by order, mistakes named, secrets kept', () => {
  const rng = seededRng(1);
  const plan = readEncryptionConfiguration(`kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- {resources: [events], providers: [{identity: {}}]}
- {resources: ["*.apps"], providers: [{aesgcm: {keys: [{name: apps, secret: ${secretOf(1)}}]}}]}
- {resources: ["*."], providers: [{aesgcm: {keys: [{name: core, secret: ${secretOf(2)}}]}}]}
- {resources: ["*.*"], providers: [{aesgcm: {keys: [{name: rest, secret: ${secretOf(3)}}]}}]}
`, rng);
  const prefix = (group: string, resource: string) => transformersFor(plan, group, resource)![0]!.prefix.toString();
  assert.deepEqual([prefix('', 'events'), prefix('apps', 'deployments'), prefix('', 'pods'), prefix('batch', 'jobs')], ['', 'k8s:enc:aesgcm:v1:apps:', 'k8s:enc:aesgcm:v1:core:', 'k8s:enc:aesgcm:v1:rest:']);
  const bad = (providers: string, resources?: string) => () => readEncryptionConfiguration(configuration(providers, resources), rng);
  assert.throws(bad(`  - aescbc: {keys: [{name: a, secret: "${secretOf(1, 5)}"}]}\n`), (err: Error) => /got 5, expected one of \[16 24 32\]/.test(err.message) && !err.message.includes(secretOf(1, 5)));
  assert.throws(bad('  - {identity: {}, kms: {name: a}}\n'), /more than one provider specified/);
  assert.throws(bad('  - kms: {apiVersion: v1, name: a, endpoint: "unix:///x"}\n'), /Unsupported value: "v1"/);
  assert.throws(bad('  - identity: {}\n', '["*"]'), /Invalid value: "\*"/);
});
