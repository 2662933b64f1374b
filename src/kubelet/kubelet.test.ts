import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod } from '../api/core/v1.ts';
import { configmaps, leases, nodes, pods } from '../api/resources.ts';
import { startKubelet } from '../testing/kubelet-env.ts';

const container = (name: string, rest: Partial<Container> = {}): Container => ({ name, image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', ...rest });
const shell = (script: string): Partial<Container> => ({ command: ['sh', '-c', script] });
const condition = (pod: Pod, type: string) => pod.status?.conditions?.find((item) => item.type === type);

test('a pod becomes Running and Ready with an address, and nothing is written twice', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c')] });
  const pod = await env.pod('web');
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.podIP, '10.244.0.2');
  assert.deepEqual(pod.status?.podIPs, [{ ip: '10.244.0.2' }]);
  assert.equal(pod.status?.qosClass, 'BestEffort');
  assert.equal(condition(pod, 'Ready')?.status, 'True');
  assert.equal(condition(pod, 'Ready')?.observedGeneration, 1);
  assert.equal(condition(pod, 'PodReadyToStartContainers')?.status, 'True');
  const status = pod.status?.containerStatuses?.[0];
  assert.ok(status?.state?.running);
  assert.equal(status.ready, true);
  assert.equal(status.started, true);
  assert.equal(status.restartCount, 0);
  const writes = env.client.writes.length;
  await env.clock.advance(9_000);
  assert.deepEqual(env.client.writes.slice(writes), []);
  assert.ok(env.events.includes('Created: Container created'));
  assert.ok(env.events.includes('Started: Container started'));
});

test('the node registers, is Ready and renews its lease', async () => {
  await using env = await startKubelet({ config: { nodeLabels: { zone: 'a' } } });
  const node = await env.client.for(nodes).get({ name: 'node-a' });
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal(ready?.status, 'True');
  assert.equal(ready?.message, 'kubelet is posting ready status');
  assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], 'node-a');
  assert.equal(node.metadata.labels?.zone, 'a');
  const before = await env.client.for(leases).get({ namespace: 'kube-node-lease', name: 'node-a' });
  await env.clock.advance(10_000);
  const after = await env.client.for(leases).get({ namespace: 'kube-node-lease', name: 'node-a' });
  assert.notEqual(after.spec.renewTime, before.spec.renewTime);
  const writes = env.client.writes.filter((write) => write.includes('nodes')).length;
  await env.clock.advance(60_000);
  assert.equal(env.client.writes.filter((write) => write.includes('nodes')).length, writes);
  await env.clock.advance(300_000);
  assert.equal(env.client.writes.filter((write) => write.includes('nodes')).length, writes + 1);
});

test('a crashing container waits 10 s, 20 s, 40 s …', async () => {
  await using env = await startKubelet();
  await env.create('crash', { containers: [container('c', shell('exit 3'))] });
  // The first restart follows at once; the second waits.
  let status = (await env.pod('crash')).status?.containerStatuses?.[0];
  assert.equal(status?.restartCount, 1);
  assert.equal(status?.state?.waiting?.reason, 'CrashLoopBackOff');
  assert.match(status?.state?.waiting?.message ?? '', /^back-off 10s restarting failed container=c pod=crash_default\(/);
  assert.equal(status?.lastState?.terminated?.exitCode, 3);
  assert.equal(status?.lastState?.terminated?.reason, 'Error');
  assert.equal((await env.pod('crash')).status?.phase, 'Running');
  const restarts: number[] = [];
  let last = 1;
  for (let second = 1; second <= 80; second++) {
    await env.clock.advance(1000);
    await env.settle();
    status = (await env.pod('crash')).status?.containerStatuses?.[0];
    if (status!.restartCount !== last) { last = status!.restartCount; restarts.push(second); }
  }
  assert.deepEqual(restarts, [10, 30, 70]);
});

test('restart policies decide phase', async () => {
  await using env = await startKubelet();
  await env.create('done', { restartPolicy: 'Never', containers: [container('c', shell('exit 0'))] });
  await env.create('failed', { restartPolicy: 'Never', containers: [container('c', shell('exit 1'))] });
  await env.create('retry', { restartPolicy: 'OnFailure', containers: [container('c', shell('exit 0'))] });
  const done = await env.pod('done');
  assert.equal(done.status?.phase, 'Succeeded');
  assert.equal(condition(done, 'Ready')?.reason, 'PodCompleted');
  assert.equal(done.status?.containerStatuses?.[0]?.state?.terminated?.reason, 'Completed');
  const failed = await env.pod('failed');
  assert.equal(failed.status?.phase, 'Failed');
  assert.equal(failed.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 1);
  assert.equal((await env.pod('retry')).status?.phase, 'Succeeded');
});

test('init containers run one after the other, sidecars before the rest and to the end', async () => {
  await using env = await startKubelet();
  await env.create('steps', {
    initContainers: [container('one', shell('sleep 5')), container('side', { restartPolicy: 'Always' }), container('two', shell('sleep 5'))], containers: [container('main')],
  });
  const states = async () => {
    const { status } = await env.pod('steps');
    return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map(({ name, state }) => `${name}=${state?.running ? 'running' : state?.terminated ? state.terminated.reason : state?.waiting?.reason}`).join(' ');
  };
  assert.equal(await states(), 'one=running side=PodInitializing two=PodInitializing main=PodInitializing');
  assert.equal(condition(await env.pod('steps'), 'Initialized')?.message, 'containers with incomplete status: [one side two]');
  await env.clock.advance(5_000);
  await env.settle();
  assert.equal(await states(), 'one=Completed side=running two=running main=PodInitializing');
  await env.clock.advance(5_000);
  await env.settle();
  assert.equal(await states(), 'one=Completed side=running two=Completed main=running');
  assert.equal(condition(await env.pod('steps'), 'Ready')?.status, 'True');
  // A sidecar that ends is started again while the pod lives.
  env.runtime.exit(await env.containerId('steps', 'side'), 1);
  await env.settle();
  const again = (await env.pod('steps')).status?.initContainerStatuses?.find(({ name }) => name === 'side');
  assert.equal(again?.restartCount, 1);
});

test('a failing init container of a pod that never restarts fails the pod', async () => {
  await using env = await startKubelet();
  await env.create('bad', { restartPolicy: 'Never', initContainers: [container('one', shell('exit 7'))], containers: [container('main')] });
  const pod = await env.pod('bad');
  assert.equal(pod.status?.phase, 'Failed');
  assert.equal(pod.status?.initContainerStatuses?.[0]?.state?.terminated?.exitCode, 7);
});

test('a deleted pod is stopped, cleaned and then deleted for good', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c')] });
  await env.client.for(pods).delete({ namespace: 'default', name: 'web' });
  await env.settle();
  assert.equal(await env.find('web'), undefined);
  assert.deepEqual(await env.runtime.listPodSandbox(), []);
  assert.deepEqual(await env.runtime.listContainers(), []);
  assert.ok(env.events.includes('Killing: Stopping container c'));
  assert.deepEqual(env.kubelet.workers.pods(), []);
});

test('a preStop hook runs within the grace period, a force deletion does not wait for it', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c', { lifecycle: { preStop: { sleep: { seconds: 20 } } } })] });
  await env.client.for(pods).delete({ namespace: 'default', name: 'web' });
  await env.clock.advance(19_000);
  assert.ok(await env.find('web'));
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 1);
  await env.client.for(pods).delete({ namespace: 'default', name: 'web' }, { gracePeriodSeconds: 0 });
  await env.settle();
  assert.equal((await env.runtime.listContainers({ state: 'CONTAINER_RUNNING' })).length, 0);
});

test('images: a pull that fails backs off; Never needs the image present', async () => {
  await using env = await startKubelet({ absentImages: ['docker.io/library/nope:1'] });
  await env.create('pull', { containers: [container('c', { image: 'nope:1' })] });
  const reason = async (name: string) => (await env.pod(name)).status?.containerStatuses?.[0]?.state?.waiting?.reason;
  assert.equal(await reason('pull'), 'ErrImagePull');
  assert.equal((await env.pod('pull')).status?.phase, 'Pending');
  await env.clock.advance(5_000);
  env.kubelet.workers.wake((await env.pod('pull')).metadata.uid!);
  await env.settle();
  assert.equal(await reason('pull'), 'ImagePullBackOff');
  const before = env.events.filter((event) => event.startsWith('Pulling')).length;
  await env.clock.advance(5_100);
  await env.settle();
  assert.equal(env.events.filter((event) => event.startsWith('Pulling')).length, before + 1);
  await env.create('never', { containers: [container('c', { image: 'other:1', imagePullPolicy: 'Never' })] });
  assert.equal(await reason('never'), 'ErrImageNeverPull');
});

test('a missing ConfigMap holds the container until it appears', async () => {
  await using env = await startKubelet();
  await env.create('env', { containers: [container('c', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'a' } } }] })] });
  let status = (await env.pod('env')).status?.containerStatuses?.[0];
  assert.equal(status?.state?.waiting?.reason, 'CreateContainerConfigError');
  assert.equal(status?.state?.waiting?.message, 'configmap "cm" not found');
  await env.client.for(configmaps).create({ metadata: { name: 'cm' }, data: { a: '1' } }, { namespace: 'default' });
  await env.settle();
  status = (await env.pod('env')).status?.containerStatuses?.[0];
  assert.ok(status?.state?.running);
});

test('a volume of a missing ConfigMap is mounted as soon as it is created', async () => {
  await using env = await startKubelet();
  await env.create('vol', { volumes: [{ name: 'v', configMap: { name: 'cm' } }], containers: [container('c', { volumeMounts: [{ name: 'v', mountPath: '/v' }] })] });
  assert.equal((await env.pod('vol')).status?.containerStatuses?.[0]?.state?.waiting?.reason, 'ContainerCreating');
  assert.ok(env.events.includes('FailedMount: MountVolume.SetUp failed for volume "v" : configmap "cm" not found'));
  await env.client.for(configmaps).create({ metadata: { name: 'cm' }, data: { a: '1' } }, { namespace: 'default' });
  await env.settle();
  assert.equal((await env.pod('vol')).status?.phase, 'Running');
});

test('a new kubelet adopts what runs, keeps readiness and restarts nothing', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c', { readinessProbe: { exec: { command: ['true'] }, periodSeconds: 5 } })] });
  await env.clock.advance(6_000);
  const before = await env.pod('web');
  assert.equal(condition(before, 'Ready')?.status, 'True');
  const writes = env.client.writes.filter((write) => write.includes('pods')).length;
  await env.restart();
  const after = await env.pod('web');
  assert.equal(after.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID);
  assert.equal(env.client.writes.filter((write) => write.includes('pods')).length, writes);
  assert.equal(condition(after, 'Ready')?.status, 'True');
});

test('pods deleted while the kubelet was away are ended when it returns', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c')] });
  await env.stop();
  await env.client.for(pods).delete({ namespace: 'default', name: 'web' }, { gracePeriodSeconds: 0 });
  await env.restart();
  await env.settle();
  assert.deepEqual(await env.runtime.listContainers(), []);
  assert.deepEqual(await env.runtime.listPodSandbox(), []);
});

test('a failing liveness probe restarts the container', async () => {
  let healthy = true;
  await using env = await startKubelet({ wrap: (runtime) => ({ ...runtime, execSync: async () => ({ stdout: Buffer.from(healthy ? '' : 'sick'), stderr: Buffer.alloc(0), exitCode: healthy ? 0 : 1 }) }) });
  await env.create('live', { containers: [container('c', { livenessProbe: { exec: { command: ['check'] }, periodSeconds: 5, failureThreshold: 2 } })] });
  await env.clock.advance(10_000);
  healthy = false;
  await env.clock.advance(10_000);
  await env.settle();
  const status = (await env.pod('live')).status?.containerStatuses?.[0];
  assert.equal(status?.restartCount, 1);
  assert.ok(env.events.includes('Unhealthy: Liveness probe failed: sick'));
  assert.ok(env.events.includes('Killing: Container c failed liveness probe, will be restarted'));
});

test('readiness follows its probe after the startup probe has passed', async () => {
  const fails = new Set(['started', 'ready']);
  await using env = await startKubelet({ wrap: (runtime) => ({ ...runtime, execSync: async (_id, [word = '']) => ({ stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), exitCode: fails.has(word) ? 1 : 0 }) }) });
  await env.create('slow', { containers: [container('c', { startupProbe: { exec: { command: ['started'] }, periodSeconds: 2, failureThreshold: 30 }, readinessProbe: { exec: { command: ['ready'] }, periodSeconds: 2 } })] });
  await env.clock.advance(4_000);
  assert.equal((await env.pod('slow')).status?.containerStatuses?.[0]?.started, false);
  fails.delete('started');
  await env.clock.advance(4_000);
  assert.equal((await env.pod('slow')).status?.containerStatuses?.[0]?.started, true);
  assert.equal((await env.pod('slow')).status?.containerStatuses?.[0]?.ready, false);
  assert.equal(condition(await env.pod('slow'), 'Ready')?.message, 'containers with unready status: [c]');
  fails.delete('ready');
  await env.clock.advance(4_000);
  assert.equal(condition(await env.pod('slow'), 'Ready')?.status, 'True');
});

test('activeDeadlineSeconds ends the pod', async () => {
  await using env = await startKubelet();
  await env.create('short', { activeDeadlineSeconds: 30, containers: [container('c')] });
  await env.clock.advance(31_000);
  await env.settle();
  const pod = await env.pod('short');
  assert.equal(pod.status?.phase, 'Failed');
  assert.equal(pod.status?.reason, 'DeadlineExceeded');
  assert.ok(pod.status?.containerStatuses?.[0]?.state?.terminated);
});

test('a pod that does not fit is refused with upstream\'s words', async () => {
  await using env = await startKubelet();
  await env.create('big', { containers: [container('c', { resources: { requests: { cpu: '100' } } })] });
  const pod = await env.pod('big');
  assert.equal(pod.status?.phase, 'Failed');
  assert.equal(pod.status?.reason, 'OutOfcpu');
  assert.equal(pod.status?.message, "Pod was rejected: Node didn't have enough resource: cpu, requested: 100000, used: 0, capacity: 4000");
});

test('a pod for another system or another node is turned away, and nothing of it starts', async () => {
  await using env = await startKubelet();
  await env.create('os', { containers: [container('c')], os: { name: 'windows' } });
  await env.create('affinity', { containers: [container('c')], affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] }] } } } });
  assert.deepEqual((await env.pod('os')).status?.reason, 'PodOSNotSupported');
  assert.equal((await env.pod('os')).status?.message, "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS");
  assert.deepEqual((await env.pod('affinity')).status?.reason, 'NodeAffinity');
  assert.equal((await env.runtime.listPodSandbox()).length, 0);
  assert.ok(!env.events.some((event) => event.startsWith('FailedCreatePodSandBox')));
});

test('an ephemeral container joins a running pod', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c')] });
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox:1.35', targetContainerName: 'c' }] } });
  await env.settle();
  assert.ok((await env.pod('web')).status?.ephemeralContainerStatuses?.[0]?.state?.running);
});

test('a resize that the node can never give is infeasible; one that others hold is deferred until they go', async () => {
  await using env = await startKubelet();
  const sized = (cpu: string): Container => container('c', { resources: { requests: { cpu }, limits: { cpu } } });
  const resize = (generation: number, cpu: string) => env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { metadata: { generation }, spec: { containers: [sized(cpu)] } } as never);
  const look = async () => { const { status } = await env.pod('web'); return [status?.conditions?.find(({ type }) => type === 'PodResizePending')?.reason, status?.containerStatuses?.[0]?.resources?.requests?.cpu, status?.containerStatuses?.[0]?.allocatedResources?.cpu]; };
  await env.create('web', { containers: [sized('1')] });
  await env.create('other', { containers: [sized('2')], terminationGracePeriodSeconds: 0 });
  await resize(2, '100');
  await env.settle();
  assert.deepEqual(await look(), ['Infeasible', '1', '1']);
  assert.equal((await env.pod('web')).status?.observedGeneration, 2);
  await resize(3, '3');
  await env.settle();
  assert.deepEqual(await look(), ['Deferred', '1', '1']);
  await env.client.for(pods).delete({ namespace: 'default', name: 'other' }, { gracePeriodSeconds: 0 });
  await env.settle();
  assert.deepEqual(await look(), [undefined, '3', '3']);
});

test('a granted resize that the runtime refuses is told until it succeeds', async () => {
  let refuse = true;
  await using env = await startKubelet({ wrap: (runtime) => ({ ...runtime, async updateContainerResources(id, resources) { if (refuse) throw new Error('no'); await runtime.updateContainerResources(id, resources); } }) });
  const sized = (cpu: string): Container => container('c', { resources: { requests: { cpu }, limits: { cpu } } });
  await env.create('web', { containers: [sized('1')] });
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { metadata: { generation: 2 }, spec: { containers: [sized('2')] } } as never);
  await env.settle();
  const look = async () => { const { status } = await env.pod('web'); const found = status?.conditions?.find(({ type }) => type === 'PodResizeInProgress'); return [found?.reason, found?.message, status?.containerStatuses?.[0]?.resources?.limits?.cpu]; };
  assert.deepEqual(await look(), ['Error', 'no', '1']);
  refuse = false;
  await env.clock.advance(10_000);
  await env.settle();
  assert.deepEqual(await look(), [undefined, undefined, '2']);
});

test('a resize reaches the running container; its policy may ask for a restart', async () => {
  await using env = await startKubelet();
  const sized = (cpu: string, memory: string): Container => container('c', { resources: { requests: { cpu, memory }, limits: { cpu, memory } }, resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }, { resourceName: 'memory', restartPolicy: 'RestartContainer' }] });
  await env.create('web', { containers: [sized('100m', '64Mi')] });
  const id = await env.containerId('web', 'c');
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { metadata: { generation: 2 }, spec: { containers: [sized('200m', '64Mi')] } as never });
  await env.settle();
  assert.equal(await env.containerId('web', 'c'), id);
  assert.equal((await env.runtime.containerStatus(id)).resources?.linux?.cpuQuota, 20_000);
  const pod = await env.pod('web');
  assert.equal(pod.status?.containerStatuses?.[0]?.allocatedResources?.cpu, '200m');
  assert.equal(pod.status?.observedGeneration, 2);
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { metadata: { generation: 3 }, spec: { containers: [sized('200m', '128Mi')] } as never });
  await env.settle();
  assert.equal((await env.pod('web')).status?.containerStatuses?.[0]?.restartCount, 1);
});

test('ten good minutes wipe the slate', async () => {
  await using env = await startKubelet();
  await env.create('slow', { containers: [container('c', shell('sleep 700; exit 1'))] });
  for (const restarts of [1, 2, 3]) {
    await env.clock.advance(700_000);
    await env.settle();
    const status = (await env.pod('slow')).status?.containerStatuses?.[0];
    assert.equal(status?.restartCount, restarts);
    assert.ok(status.state?.running);
  }
});

test('a pod waits for the network, and starts when it comes', async () => {
  let up = false;
  await using env = await startKubelet({ wrap: (runtime) => ({ ...runtime, status: async () => ({ conditions: [{ type: 'RuntimeReady', status: true, reason: '', message: '' }, { type: 'NetworkReady', status: up, reason: 'NetworkPluginNotReady', message: 'cni plugin not initialized' }], info: {}, runtimeHandlers: [] }) }) });
  const ready = async () => (await env.client.for(nodes).get({ name: 'node-a' })).status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal((await ready())?.message, 'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized');
  await env.create('web', { containers: [container('c')] });
  assert.equal((await env.pod('web')).status?.phase, 'Pending');
  up = true;
  await env.clock.advance(200);
  await env.settle();
  assert.equal((await ready())?.status, 'True');
  assert.equal((await env.pod('web')).status?.phase, 'Running');
});

test('a status that someone overwrote is put right, once', async () => {
  await using env = await startKubelet();
  await env.create('web', { containers: [container('c')] });
  await env.client.for(pods).patch({ namespace: 'default', name: 'web' }, 'strategic', { status: { phase: 'Pending' } }, { subresource: 'status' });
  await env.settle();
  assert.equal((await env.pod('web')).status?.phase, 'Pending', 'it stands for a while');
  const podWrites = () => env.client.writes.filter((write) => write.includes('pods')).length;
  const writes = podWrites();
  await env.clock.advance(10_000);
  await env.settle();
  assert.equal((await env.pod('web')).status?.phase, 'Running');
  await env.clock.advance(30_000);
  assert.equal(podWrites(), writes + 1);
});

test('while a pod ends, its status tells which containers have', async () => {
  await using env = await startKubelet();
  await env.create('two', { containers: [container('quick'), container('slow', { lifecycle: { preStop: { sleep: { seconds: 10 } } } })] });
  await env.client.for(pods).delete({ namespace: 'default', name: 'two' });
  await env.settle();
  const pod = await env.pod('two');
  assert.ok(pod.status?.containerStatuses?.find(({ name }) => name === 'quick')?.state?.terminated);
  assert.ok(pod.status?.containerStatuses?.find(({ name }) => name === 'slow')?.state?.running);
  assert.equal(pod.status?.phase, 'Running');
  await env.clock.advance(10_000);
  await env.settle();
  assert.equal(await env.find('two'), undefined);
});
