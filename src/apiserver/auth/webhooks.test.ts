import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeClock } from '../../testing/fake-clock.ts';
import { authorizationWebhook, tokenWebhook, webhookTarget } from './webhooks.ts';

interface Review { kind: string; spec: { token?: string; user?: string; resourceAttributes?: { verb: string } } }
const asked: { review: Review; authorization: string | undefined }[] = [];
let broken = false;
const server = createServer((request, answer) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const review = JSON.parse(Buffer.concat(chunks).toString()) as Review;
    asked.push({ review, authorization: request.headers.authorization });
    if (broken) { answer.writeHead(500).end(); return; }
    const status = review.kind === 'TokenReview' ? (review.spec.token === 'good' ? { authenticated: true, user: { username: 'ann', groups: ['devs'] } } : { authenticated: false })
      : review.spec.user === 'eve' ? { allowed: false, denied: true, reason: 'eve' } : { allowed: review.spec.resourceAttributes?.verb === 'get' };
    answer.end(JSON.stringify({ status }));
  });
});
await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
after(() => { server.closeAllConnections(); server.close(); });

const dir = mkdtempSync(join(tmpdir(), 'webhook-'));
after(() => rmSync(dir, { recursive: true }));
const path = join(dir, 'config');
writeFileSync(path, `clusters: [{name: c, cluster: {server: "http://127.0.0.1:${(server.address() as AddressInfo).port}/review"}}]\nusers: [{name: u, user: {token: t0}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n`);

test('tokens are asked for once, unknown ones are someone else\'s', async () => {
  const clock = new FakeClock();
  const authenticate = tokenWebhook({ target: webhookTarget(path), clock });
  assert.deepEqual(await authenticate('good'), { name: 'ann', groups: ['devs'] });
  assert.deepEqual(await authenticate('good'), { name: 'ann', groups: ['devs'] });
  assert.deepEqual([asked.length, asked[0]!.authorization], [1, 'Bearer t0']);
  assert.equal(await authenticate('bad'), undefined);
  await clock.advance(120_001);
  await authenticate('good');
  assert.equal(asked.length, 3);
});

test('access: allow, deny, no opinion, and what happens when nobody answers', async () => {
  const clock = new FakeClock();
  const target = webhookTarget(path);
  const authorizer = authorizationWebhook({ target, clock });
  const attributes = (name: string, verb: string) => ({ user: { name, groups: [] }, verb, path: '', isResource: true, group: '', version: 'v1', namespace: 'a', resource: 'pods', subresource: '', name: '' });
  assert.equal((await authorizer.authorize(attributes('ann', 'get'))).decision, 'allow');
  assert.equal((await authorizer.authorize(attributes('ann', 'delete'))).decision, 'none');
  assert.deepEqual(await authorizer.authorize(attributes('eve', 'get')), { decision: 'deny', reason: 'eve' });
  const before = asked.length;
  await authorizer.authorize(attributes('ann', 'get'));
  assert.equal(asked.length, before);
  broken = true;
  assert.equal((await authorizer.authorize(attributes('ann', 'list'))).decision, 'none');
  assert.equal((await authorizationWebhook({ target, clock, failurePolicy: 'Deny' }).authorize(attributes('ann', 'list'))).decision, 'deny');
});
