/** Volumes that follow the API, on a host that keeps what it is given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Volume } from '../../api/core/v1.ts';
import { configmaps, pods, secrets } from '../../api/resources.ts';
import { startKubelet } from '../../testing/kubelet-env.ts';
import { type Host, type Payload, simulatedHost } from '../host.ts';

/** By volume name: its files as text. */
function recordingHost(): { host: Host; files: Map<string, Record<string, string>>; modes: Map<string, number> } {
  const files = new Map<string, Record<string, string>>();
  const modes = new Map<string, number>();
  const writePayload = async (dir: string, payload: Payload) => {
    const volume = dir.slice(dir.lastIndexOf('/') + 1);
    files.set(volume, Object.fromEntries([...payload].map(([path, { data }]) => [path, Buffer.from(data).toString()])));
    for (const [path, { mode }] of payload) modes.set(`${volume}/${path}`, mode);
    return true;
  };
  return { host: { ...simulatedHost(), writePayload }, files, modes };
}
const spec = (volumes: Volume[]): { volumes: Volume[]; containers: Container[] } =>
  ({ volumes, containers: [{ name: 'c', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/${name}` })) }] });

test('config maps and secrets are shown and follow their objects; keys can be chosen', async () => {
  const { host, files, modes } = recordingHost();
  await using env = await startKubelet({ host });
  await env.client.for(configmaps).create({ metadata: { name: 'cm' }, data: { a: '1', b: '2' } }, { namespace: 'default' });
  await env.client.for(secrets).create({ metadata: { name: 's' }, data: { p: Buffer.from('pw').toString('base64') } }, { namespace: 'default' });
  await env.create('web', spec([{ name: 'all', configMap: { name: 'cm' } }, { name: 'one', configMap: { name: 'cm', items: [{ key: 'a', path: 'x/y', mode: 0o400 }] } }, { name: 'sec', secret: { secretName: 's', defaultMode: 0o440 } }, { name: 'opt', secret: { secretName: 'none', optional: true } }]));
  assert.deepEqual(files.get('all'), { a: '1', b: '2' });
  assert.deepEqual(files.get('one'), { 'x/y': '1' });
  assert.deepEqual(files.get('sec'), { p: 'pw' });
  assert.deepEqual(files.get('opt'), {});
  assert.equal(modes.get('one/x/y'), 0o400);
  assert.equal(modes.get('sec/p'), 0o440);
  await env.client.for(configmaps).patch({ namespace: 'default', name: 'cm' }, 'merge', { data: { a: '9' } });
  await env.settle();
  assert.deepEqual(files.get('one'), { 'x/y': '9' });
});

test('labels and tokens in projected volumes are kept current', async () => {
  const { host, files } = recordingHost();
  await using env = await startKubelet({ host });
  await env.create('web', spec([{ name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }, { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } }] } }]), { labels: { v: '1' } });
  const first = files.get('api');
  assert.equal(first?.labels, 'v="1"');
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'merge', { metadata: { labels: { v: '2' } } });
  await env.settle();
  assert.equal(files.get('api')?.labels, 'v="2"');
  assert.equal(files.get('api')?.token, first?.token);
  // At four fifths of its life, at the latest one look later.
  await env.clock.advance(3600_000 * 0.8 + 120_000);
  await env.settle();
  assert.notEqual(files.get('api')?.token, first?.token);
});

test('a missing key fails the mount in upstream\'s words', async () => {
  const { host } = recordingHost();
  await using env = await startKubelet({ host });
  await env.client.for(configmaps).create({ metadata: { name: 'cm' }, data: {} }, { namespace: 'default' });
  await env.create('web', spec([{ name: 'v', configMap: { name: 'cm', items: [{ key: 'k', path: 'k' }] } }]));
  assert.ok(env.events.includes('FailedMount: MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: k'));
  await env.clock.advance(180_000);
  assert.ok(env.events.some((event) => event.startsWith('FailedMount: Unable to attach or mount volumes: unmounted volumes=[v]')));
});
