import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { hasGrpcCode } from '../../base/grpc-status.ts';
import { seededRng } from '../../base/rng.ts';
import { FakeClock, settle } from '../../testing/fake-clock.ts';
import type { RuntimeEvent } from './runtime.ts';
import { testRuntime } from './runtime.conformance.ts';
import { simulatedRuntime, simulatedSteps } from './simulated.ts';

testRuntime('simulated', async () => {
  const runtime = simulatedRuntime({ clock: systemClock, rng: seededRng(7) });
  const image = 'docker.io/library/web:1';
  await runtime.images.pull(image);
  return { runtime, image, cgroupParent: '/' };
});

const sandboxConfig = (name: string, annotations: Record<string, string> = {}) => ({ metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 }, labels: { app: name }, annotations });

async function start(command: string[], annotations?: Record<string, string>) {
  const clock = new FakeClock();
  const runtime = simulatedRuntime({ clock, rng: seededRng(1) });
  const config = sandboxConfig('web', annotations);
  const sandbox = await runtime.runPodSandbox(config);
  const image = await runtime.images.pull('nginx');
  const container = await runtime.createContainer(sandbox, { metadata: { name: 'main', attempt: 0 }, image: { image }, command }, config);
  await runtime.startContainer(container);
  const state = async () => { const { state, exitCode } = await runtime.containerStatus(container); return state === 'CONTAINER_EXITED' ? exitCode : state; };
  return { clock, runtime, sandbox, container, state };
}

for (const { name, command, annotations, after, expected } of [
  { name: 'a server runs on', command: ['nginx'], after: 1e9, expected: 'CONTAINER_RUNNING' },
  { name: 'no command runs on', command: [], after: 1e9, expected: 'CONTAINER_RUNNING' },
  { name: 'true', command: ['true'], after: 0, expected: 0 },
  { name: 'false', command: ['false'], after: 0, expected: 1 },
  { name: 'a shell that exits', command: ['/bin/sh', '-c', 'echo working; exit 3'], after: 0, expected: 3 },
  { name: 'sleep has not ended', command: ['sleep', '5'], after: 4999, expected: 'CONTAINER_RUNNING' },
  { name: 'sleep has ended', command: ['sleep', '5'], after: 5000, expected: 0 },
  { name: 'steps in turn', command: ['sh', '-c', 'sleep 1 && echo hi && sleep 2 && exit 4'], after: 3000, expected: 4 },
  { name: 'an unknown word in a script runs on', command: ['sh', '-c', 'echo hi; nginx'], after: 1e6, expected: 'CONTAINER_RUNNING' },
  { name: 'the annotation wins', command: ['nginx'], annotations: { 'knarr.io/simulate': 'sleep 1; exit 9' }, after: 1000, expected: 9 },
]) {
  test(name, async () => {
    const { clock, state } = await start(command, annotations);
    await clock.advance(after);
    assert.equal(await state(), expected);
  });
}

test('what a command does', () => {
  assert.deepEqual(simulatedSteps(['sh', '-c', "echo 'a b'; exit"]), [{ log: 'a b' }, { exit: 0 }]);
  assert.equal(simulatedSteps(['sleep', 'infinity']), undefined);
});

test('a pod from start to removal, told by events', async () => {
  const { clock, runtime, sandbox, container } = await start(['nginx']);
  const names: Record<string, string> = { [sandbox]: 'sandbox', [container]: 'container' };
  const told = (event: RuntimeEvent) => ('id' in event ? `${event.type} ${names[event.id]}${event.type === 'exited' ? ` ${event.exitCode}` : ''}` : event.type);
  const stop = new AbortController();
  const seen: string[] = [];
  const reading = (async () => { for await (const event of runtime.events!(stop.signal)) seen.push(told(event)); })();
  await clock.advance(1000);
  await runtime.stopContainer(container, 30);
  assert.deepEqual([(await runtime.containerStatus(container)).finishedAtMs, (await runtime.containerStatus(container)).reason], [clock.now(), 'Error']);
  await runtime.stopPodSandbox(sandbox);
  assert.equal((await runtime.podSandboxStatus(sandbox)).state, 'SANDBOX_NOTREADY');
  await runtime.removePodSandbox(sandbox);
  await settle();
  stop.abort();
  await reading;
  assert.deepEqual(seen, ['resync', 'exited container 143', 'exited sandbox 0', 'deleted container', 'deleted sandbox']);
  assert.deepEqual(await runtime.listContainers(), []);
  await assert.rejects(runtime.containerStatus(container), (error) => hasGrpcCode(error, 'NOT_FOUND'));
  await runtime.removePodSandbox(sandbox); // gone already
});

test('addresses come from the range and are used again', async () => {
  const runtime = simulatedRuntime({ clock: new FakeClock(), rng: seededRng(1) });
  await runtime.updateRuntimeConfig({ podCidr: '10.244.7.0/29' });
  const ids = [];
  for (let index = 0; index < 5; index++) ids.push(await runtime.runPodSandbox(sandboxConfig(`p${index}`)));
  const addresses = await Promise.all(ids.map(async (id) => (await runtime.podSandboxStatus(id)).network.ip));
  assert.deepEqual(addresses, ['10.244.7.2', '10.244.7.3', '10.244.7.4', '10.244.7.5', '10.244.7.6']);
  await assert.rejects(runtime.runPodSandbox(sandboxConfig('more')), (error) => hasGrpcCode(error, 'RESOURCE_EXHAUSTED'));
  await runtime.stopPodSandbox(ids[2]!);
  assert.equal((await runtime.podSandboxStatus(await runtime.runPodSandbox(sandboxConfig('next')))).network.ip, '10.244.7.4');
});

test('lists by state, sandbox and labels', async () => {
  const { runtime, sandbox, container } = await start(['nginx']);
  await runtime.runPodSandbox(sandboxConfig('other'));
  assert.deepEqual((await runtime.listPodSandbox({ labelSelector: { app: 'web' } })).map(({ id }) => id), [sandbox]);
  assert.deepEqual((await runtime.listContainers({ podSandboxId: sandbox, state: 'CONTAINER_RUNNING' })).map(({ id }) => id), [container]);
  assert.deepEqual(await runtime.listContainers({ state: 'CONTAINER_EXITED' }), []);
  assert.equal((await runtime.listPodSandboxStats({ id: sandbox }))[0]!.containers.length, 1);
});

test('an absent image is not found, and exec says why not', async () => {
  const runtime = simulatedRuntime({ clock: new FakeClock(), rng: seededRng(1), absentImages: new Set(['docker.io/library/nope:latest']) });
  await assert.rejects(runtime.images.pull('nope'), (error) => hasGrpcCode(error, 'NOT_FOUND'));
  assert.equal(await runtime.images.status('nope'), undefined);
  await assert.rejects(runtime.exec({ containerId: 'x', cmd: ['sh'] }), /exec needs real containers, and this node's are simulated/);
});
