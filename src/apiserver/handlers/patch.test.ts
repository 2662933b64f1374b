/** Field validation of patches and of server-side apply, as bytes come in over the wire. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployments } from '../../api/resources.ts';
import { StatusError } from '../../api/meta/status.ts';
import { Query, type ApiRequest } from '../request.ts';
import { startApiServer, testAdmin } from '../../testing/api-server.ts';
import { FakeClock } from '../../testing/fake-clock.ts';

const path = '/apis/apps/v1/namespaces/default/deployments/web';
const spec = { selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } };
const apply = 'application/apply-patch+yaml';

async function sender() {
  const env = await startApiServer({ clock: new FakeClock() });
  await env.client().for(deployments).create({ metadata: { name: 'web' }, spec } as never, { namespace: 'default' });
  const send = async (contentType: string, fieldValidation: string, body: string, subresource = '', manager = 'm', force = 'true'): Promise<{ code: number; message: string; warnings: string[] }> => {
    const request: ApiRequest = {
      method: 'PATCH', path: `${path}${subresource}`, query: new Query(new URLSearchParams({ fieldValidation, ...(contentType === apply ? { fieldManager: manager, force } : {}) })), user: testAdmin, headers: {}, contentType, body: Buffer.from(body),
      signal: undefined, userAgent: 'test', inProcess: false, warnings: [], note: { verb: '', group: '', version: '', resource: '', subresource: '', scope: '' },
    };
    try {
      await env.server.handle(request);
      return { code: 200, message: '', warnings: request.warnings };
    } catch (err) {
      assert.ok(err instanceof StatusError, String(err));
      return { code: err.code, message: err.message, warnings: request.warnings };
    }
  };
  return { send, client: env.client(), [Symbol.asyncDispose]: () => env[Symbol.asyncDispose]() };
}

const twice = '{"spec":{"unknown":1,"replicas":1,"replicas":2}}';
const problems = ['duplicate field "spec.replicas"', 'unknown field "spec.unknown"'];
for (const type of ['application/merge-patch+json', 'application/strategic-merge-patch+json']) {
  test(`${type}: duplicate and unknown fields`, async () => {
    await using server = await sender();
    const strict = await server.send(type, 'Strict', twice);
    assert.equal(strict.code, 422);
    assert.match(strict.message, /patch: Invalid value: .*: strict decoding error: duplicate field "spec.replicas", unknown field "spec.unknown"$/);
    assert.deepEqual((await server.send(type, 'Warn', twice)).warnings, problems);
    assert.deepEqual((await server.send(type, 'Ignore', twice)).warnings, []);
    const wrong = await server.send(type, 'Ignore', '{"spec":{"replicas":"many"}}');
    assert.equal(wrong.code, 422);
    assert.match(wrong.message, /json: cannot unmarshal string into Go struct field/);
  });
}

const head = 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n';
test('apply: undeclared fields are refused whatever the validation, duplicate keys by Strict', async () => {
  await using server = await sender();
  for (const validation of ['Ignore', 'Warn', 'Strict']) {
    assert.deepEqual(await server.send(apply, validation, `${head}  unknown: 1\n`), { code: 500, message: 'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.unknown: field not declared in schema', warnings: [] });
  }
  const strict = await server.send(apply, 'Strict', `${head}  replicas: 1\n  replicas: 2\n`);
  assert.equal(strict.code, 400);
  assert.match(strict.message, /^error strict decoding YAML: .*line 7: key "replicas" already set in map/s);
  assert.match((await server.send(apply, 'Warn', `${head}  replicas: 1\n  replicas: 2\n`)).warnings[0]!, /line 7: key "replicas" already set in map/);
});

test('apply to scale: the field is owned on the object itself', async () => {
  await using server = await sender();
  const scale = (replicas: number) => JSON.stringify({ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'web', namespace: 'default' }, spec: { replicas } });
  assert.equal((await server.send(apply, 'Strict', scale(3), '/scale', 'autoscaler')).code, 200);
  const { spec, metadata } = await server.client.for(deployments).get({ namespace: 'default', name: 'web' });
  assert.equal(spec?.replicas, 3);
  const entry = metadata.managedFields?.find((one) => one.manager === 'autoscaler');
  assert.deepEqual([entry?.operation, entry?.apiVersion, entry?.subresource, entry?.fieldsV1], ['Apply', 'apps/v1', 'scale', { 'f:spec': { 'f:replicas': {} } }]);
  const clash = await server.send(apply, 'Strict', scale(5), '/scale', 'other', 'false');
  assert.equal(clash.code, 409);
  assert.match(clash.message, /conflict with "autoscaler" with subresource "scale": \.spec\.replicas/);
});
