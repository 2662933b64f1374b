/** What must survive: processes killed outright, a dying containerd, a second cluster beside; and what is refused with a sentence. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'node:test';
import { runningPid } from '../../base/daemon.ts';
import { tryExec } from '../../base/exec.ts';
import { eventually, repository, startTestCluster, whyNoNode } from './harness.ts';
import { writeTestImages } from './images.ts';

test('a cluster survives', { skip: whyNoNode(), timeout: 400_000 }, async (t) => {
  await using cluster = await startTestCluster('robust');
  await using images = await writeTestImages();
  await cluster.knarr('image', 'load', images.files[0]!);
  const { kubectl } = cluster;
  const pid = (process: 'server' | 'agent') => runningPid(join(cluster.dir, 'run', `${process}.pid`))!;
  await kubectl('run steady --image=busybox:1.35 --image-pull-policy=IfNotPresent -- sleep 3600');
  await kubectl('wait --for=condition=Ready pod/steady --timeout=60s');
  const containerId = await kubectl('get pod steady -o jsonpath={.status.containerStatuses[0].containerID}');
  const stillThere = () => eventually(async () => {
    assert.equal(await kubectl('get pod steady -o jsonpath={.status.containerStatuses[0].containerID}/{.status.containerStatuses[0].restartCount}/{.status.phase}'), `${containerId}/0/Running`);
    assert.equal(await kubectl('exec steady -- echo alive'), 'alive\n');
  });

  await t.test('kill -9 of the server: nothing acknowledged is lost, containers run on', async () => {
    await kubectl('create configmap acknowledged --from-literal=a=b');
    process.kill(pid('server'), 'SIGKILL');
    await cluster.knarr('up');
    assert.equal(await kubectl('get configmap acknowledged -o jsonpath={.data.a}'), 'b');
    await stillThere();
  });
  await t.test('kill -9 of the agent: the next one adopts the containers', async () => {
    process.kill(pid('agent'), 'SIGKILL');
    await cluster.knarr('up');
    await stillThere();
  });
  await t.test('kill -9 of containerd: it comes back, the containers never left', async () => {
    const containerd = Number(readFileSync(join(cluster.dir, 'containerd/containerd.pid'), 'utf8').split(' ')[0]);
    process.kill(containerd, 'SIGKILL');
    await stillThere();
    await kubectl('run after --image=busybox:1.35 --image-pull-policy=IfNotPresent -- sleep 3600');
    await kubectl('wait --for=condition=Ready pod/after --timeout=60s');
  });
  await t.test('a second cluster lives beside it', async () => {
    await using second = await startTestCluster('beside');
    assert.match(await second.kubectl('get nodes'), /\bReady\b/);
    assert.equal(await second.kubectl('get pods -o name'), '');
    assert.match((await second.knarr('status')).stdout, /is ready/);
    await stillThere();
  });
  await t.test('the first is unharmed by the second\'s end', stillThere as () => Promise<void>);
});

test('what can\'t work is refused with a sentence and the cure', { skip: whyNoNode() }, async (t) => {
  const run = (...args: string[]) => tryExec(join(repository, 'knarr'), args, { timeoutMs: 60_000 });
  const cases: { name: string; args: string[]; says: RegExp; code: number }[] = [
    { name: 'no such command', args: ['upp'], says: /^knarr: there is no command "upp"\. See: knarr help\n$/, code: 2 },
    { name: 'no such flag', args: ['up', '--nosuch'], says: /^knarr: Unknown option '--nosuch'.* See: knarr help up\n$/, code: 2 },
    { name: 'bad port', args: ['up', '--port', 'x'], says: /--port x: a port is a number from 1 to 65535/, code: 2 },
    { name: 'bad name', args: ['up', '--name', 'A_b'], says: /"A_b" cannot be a cluster's name/, code: 2 },
    { name: 'no such cluster', args: ['status', '--name', 'never-made'], says: /there is no cluster "never-made" in .*\. Start one with: knarr up --name never-made/, code: 1 },
    { name: 'bad runtime', args: ['up', '--name', 'never-made', '--data-dir', '/tmp/knarr-never', '--runtime', 'docker'], says: /choose containerd or simulated/, code: 2 },
  ];
  for (const { name, args, says, code } of cases) {
    await t.test(name, async () => {
      const result = await run(...args);
      assert.match(result.stderr, says);
      assert.equal(result.code, code);
    });
  }
  await t.test('port taken', async () => {
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const result = await run('up', '--name', 'never-made', '--data-dir', '/tmp/knarr-never', '--port', String(port));
    server.close();
    assert.match(result.stderr, new RegExp(`^knarr: port ${port} is taken by another program\\. Choose another with: knarr up --port P\n$`));
  });
});
