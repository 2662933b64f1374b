import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secrets, serviceaccounts } from '../api/resources.ts';
import { isNotFound } from '../api/meta/status.ts';
import { startControllerTest } from '../testing/controllers.ts';

test('token Secrets are filled, and go with their account', async () => {
  await using env = await startControllerTest({ controllers: ['serviceaccount-token'], rootCa: 'PEM', signServiceAccountToken: ({ namespace, serviceAccountName, secretName }) => `${namespace}/${serviceAccountName}/${secretName}` });
  const account = await env.client.for(serviceaccounts).create({ metadata: { name: 'robot', namespace: 'default' } });
  const make = (name: string, of: string) => env.client.for(secrets).create({ metadata: { name, namespace: 'default', annotations: { 'kubernetes.io/service-account.name': of } }, type: 'kubernetes.io/service-account-token' } as never);
  await make('token', 'robot');
  await make('lost', 'nobody');
  await env.settle();
  const { data, metadata } = await env.client.for(secrets).get({ namespace: 'default', name: 'token' });
  assert.deepEqual(Object.fromEntries(Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(String(value), 'base64').toString()])), { token: 'default/robot/token', namespace: 'default', 'ca.crt': 'PEM' });
  assert.equal(metadata.annotations?.['kubernetes.io/service-account.uid'], account.metadata.uid);
  await assert.rejects(env.client.for(secrets).get({ namespace: 'default', name: 'lost' }), isNotFound);
  await env.client.for(serviceaccounts).delete({ namespace: 'default', name: 'robot' });
  await env.settle();
  await assert.rejects(env.client.for(secrets).get({ namespace: 'default', name: 'token' }), isNotFound);
});
