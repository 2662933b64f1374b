/** What every Runtime does alike: run by simulated.test.ts and, with real containers, by containerd.test.ts. Source: CRI v1's comments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasGrpcCode } from '../../base/grpc-status.ts';
import type { PodSandboxConfig, Runtime, RuntimeEvent } from './runtime.ts';

/** `image` is on the node and has a shell. */
export function testRuntime(name: string, make: () => Promise<{ runtime: Runtime; image: string; cgroupParent: string }>): void {
  let number = 0;
  async function setUp() {
    const { runtime, image, cgroupParent } = await make();
    const podName = `conformance-${++number}`;
    const config: PodSandboxConfig = { metadata: { name: podName, uid: `uid-${podName}`, namespace: 'conformance', attempt: 0 }, labels: { 'pod-name': podName }, annotations: { note: 'kept' },
      linux: { cgroupParent, securityContext: { namespaceOptions: { network: 'NODE' } } } };
    const sandbox = await runtime.runPodSandbox(config);
    const create = (command: string[], attempt = 0) => runtime.createContainer(sandbox, { metadata: { name: 'main', attempt }, image: { image }, command, labels: { 'pod-name': podName } }, config);
    return { runtime, image, config, sandbox, create, podName };
  }
  const notFound = (error: unknown) => hasGrpcCode(error, 'NOT_FOUND');
  const missing = 'f'.repeat(64);

  test(`${name}: a container goes from created over running to exited, and each step shows`, async () => {
    const { runtime, sandbox, create } = await setUp();
    const container = await create(['sh', '-c', 'sleep 0.1; exit 3']);
    const created = await runtime.containerStatus(container);
    assert.deepEqual([created.state, created.startedAtMs, created.finishedAtMs], ['CONTAINER_CREATED', 0, 0]);
    const stop = new AbortController();
    const seen: RuntimeEvent['type'][] = [];
    for await (const event of runtime.events!(stop.signal)) {
      if (event.type === 'resync') { await runtime.startContainer(container); continue; }
      if (event.id !== container) continue;
      seen.push(event.type);
      if (event.type !== 'exited') continue;
      assert.equal(event.exitCode, 3);
      break;
    }
    assert.deepEqual(seen, ['started', 'exited']);
    const exited = await runtime.containerStatus(container);
    assert.deepEqual([exited.state, exited.exitCode, exited.reason], ['CONTAINER_EXITED', 3, 'Error']);
    assert.ok(exited.createdAtMs <= exited.startedAtMs && exited.startedAtMs <= exited.finishedAtMs);
    await assert.rejects(runtime.startContainer(container)); // once only
    await runtime.removePodSandbox(sandbox);
  });

  test(`${name}: lists find by sandbox, state, label and id`, async () => {
    const { runtime, sandbox, create, podName } = await setUp();
    const first = await create(['sleep', '0'], 0);
    const second = await create(['sh', '-c', 'while true; do sleep 1; done'], 1);
    await runtime.startContainer(second);
    const ids = async (filter: Parameters<Runtime['listContainers']>[0]) => (await runtime.listContainers(filter)).map(({ id }) => id).sort();
    assert.deepEqual(await ids({ podSandboxId: sandbox }), [first, second].sort());
    assert.deepEqual(await ids({ podSandboxId: sandbox, state: 'CONTAINER_RUNNING' }), [second]);
    assert.deepEqual(await ids({ labelSelector: { 'pod-name': podName } }), [first, second].sort());
    assert.deepEqual(await ids({ labelSelector: { 'pod-name': 'other' } }), []);
    assert.deepEqual(await ids({ id: first }), [first]);
    const [listed] = await runtime.listPodSandbox({ labelSelector: { 'pod-name': podName }, state: 'SANDBOX_READY' });
    assert.deepEqual([listed?.id, listed?.metadata.name, listed?.annotations], [sandbox, podName, { note: 'kept' }]);
    await runtime.removePodSandbox(sandbox);
    assert.deepEqual(await ids({ podSandboxId: sandbox }), []);
  });

  test(`${name}: stopping and removing may be repeated, and of what never was`, async () => {
    const { runtime, sandbox, create } = await setUp();
    const container = await create(['sh', '-c', 'while true; do sleep 1; done']);
    await runtime.startContainer(container);
    for (let round = 0; round < 2; round++) await runtime.stopContainer(container, 0);
    assert.equal((await runtime.containerStatus(container)).exitCode, 137);
    for (let round = 0; round < 2; round++) await runtime.stopPodSandbox(sandbox);
    assert.equal((await runtime.podSandboxStatus(sandbox)).state, 'SANDBOX_NOTREADY');
    for (let round = 0; round < 2; round++) await runtime.removeContainer(container);
    for (let round = 0; round < 2; round++) await runtime.removePodSandbox(sandbox);
    await runtime.stopContainer(missing, 1);
    await runtime.removeContainer(missing);
    await runtime.stopPodSandbox(missing);
    await runtime.removePodSandbox(missing);
    await runtime.images.remove('knarr.local/none:1');
  });

  test(`${name}: what is missing is NOT_FOUND`, async () => {
    const { runtime, sandbox, config } = await setUp();
    await assert.rejects(runtime.containerStatus(missing), notFound);
    await assert.rejects(runtime.podSandboxStatus(missing), notFound);
    await assert.rejects(runtime.startContainer(missing), notFound);
    await assert.rejects(runtime.execSync(missing, ['true'], 1), notFound);
    await assert.rejects(runtime.createContainer(sandbox, { metadata: { name: 'x', attempt: 0 }, image: { image: 'knarr.local/none:1' } }, config), notFound);
    assert.equal(await runtime.images.status('knarr.local/none:1'), undefined);
    await runtime.removePodSandbox(sandbox);
  });

  test(`${name}: images are found by name and by id`, async () => {
    const { runtime, image, sandbox } = await setUp();
    const byName = await runtime.images.status(image);
    assert.ok(byName && byName.repoTags.includes(image) && byName.sizeBytes > 0);
    assert.deepEqual(await runtime.images.status(byName.id), byName);
    assert.ok((await runtime.images.list()).some(({ id }) => id === byName.id));
    await runtime.removePodSandbox(sandbox);
  });
}
