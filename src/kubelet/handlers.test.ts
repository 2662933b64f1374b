/** Probes and hooks against servers of our own. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { createHandlers } from './handlers.ts';
import type { Runtime } from './runtime/runtime.ts';

const handlers = createHandlers({ runtime: {} as Runtime, clock: systemClock, simulated: false });
const target = { container: { name: 'c' }, containerId: 'id', podIP: '127.0.0.1', hostNetwork: false };

/** Answers every connection with the same bytes once it has been asked; `seen` holds the requests. */
async function answering(answer: string): Promise<{ port: number; seen: string[] } & AsyncDisposable> {
  const seen: string[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => { seen.push(data.toString('latin1')); socket.end(answer); });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { port: (server.address() as AddressInfo).port, seen, [Symbol.asyncDispose]: () => new Promise((resolve) => { server.close(() => resolve()); }) };
}

test('a probe bears sloppy line ends and judges the status', async () => {
  await using good = await answering('HTTP/1.0 200 OK\nContent-type: text/plain\n\nok\n');
  assert.deepEqual(await handlers.run({ httpGet: { port: good.port } }, target, 5000), { result: 'success', output: 'ok\n' });
  await using bad = await answering('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n');
  assert.deepEqual(await handlers.run({ httpGet: { port: bad.port } }, target, 5000), { result: 'failure', output: 'HTTP probe failed with statuscode: 500' });
});

test('a hook needs an answer only, and falls back from TLS to plain HTTP', async () => {
  await using server = await answering('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n');
  const httpGet = { port: server.port, path: '/echo?msg=1', httpHeaders: [{ name: 'Custom', value: 'x' }] };
  assert.equal((await handlers.hook({ httpGet }, target, 5000)).result, 'success');
  assert.match(server.seen[0]!, /^GET \/echo\?msg=1 HTTP\/1\.1\r\n[^]*User-Agent: kube-lifecycle\/1\.36\r\n[^]*Custom: x\r\n/);
  assert.equal((await handlers.hook({ httpGet: { ...httpGet, scheme: 'HTTPS' } }, target, 5000)).result, 'success');
  assert.match(server.seen.at(-1)!, /^GET \/echo/);
  assert.equal((await handlers.run({ httpGet: { ...httpGet, scheme: 'HTTPS' } }, target, 5000)).result, 'failure');
});

test('a probe follows redirects on its own host; elsewhere they are a warning', async () => {
  await using home = await answering('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhome');
  await using local = await answering(`HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${home.port}/\r\nContent-Length: 0\r\n\r\n`);
  assert.deepEqual(await handlers.run({ httpGet: { port: local.port } }, target, 5000), { result: 'success', output: 'home' });
  await using away = await answering('HTTP/1.1 302 Found\r\nLocation: http://0.0.0.0/\r\nContent-Length: 5\r\n\r\nthere');
  assert.deepEqual(await handlers.run({ httpGet: { port: away.port } }, target, 5000), { result: 'success', output: 'Probe terminated redirects, Response body: there', warning: true });
});
