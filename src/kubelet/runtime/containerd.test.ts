/** With a real, private containerd: needs root, containerd, runc, the CNI plugins and busybox; skipped by name elsewhere. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { systemClock as clock } from '../../base/clock.ts';
import { runningPid } from '../../base/daemon.ts';
import { tryExec } from '../../base/exec.ts';
import { hasGrpcCode } from '../../base/grpc-status.ts';
import { silentLogger as log } from '../../base/log.ts';
import { UserError } from '../../base/user-error.ts';
import { buildImageArchive } from '../../testing/images.ts';
import { type Containerd, containerdAccess, containerdConfig, containerdPaths, findCniPlugins, startContainerd, stopContainerd } from './containerd.ts';
import { loadImageArchive, saveImageArchive } from './images.ts';
import { testRuntime } from './runtime.conformance.ts';
import type { ContainerConfig, PodSandboxConfig, RuntimeEvent } from './runtime.ts';
import { sandboxImage } from './sandbox-image.ts';
import { SpdyConnection } from './spdy.ts';
import { connectStream, type StreamRequest } from './streaming.ts';

test('the configuration says what the machine needs', () => {
  const config = containerdConfig({ paths: { root: '/d/root', state: '/d/state', socket: '/d/"x".sock' }, runc: '/usr/sbin/runc', cni: { binDir: '/b', confDir: '/c' }, registryConfigDir: '/r',
    snapshotter: 'native', cgroupDriver: 'systemd', restrictOomScoreAdj: true, apparmor: false });
  for (const line of ['version = 2', 'address = "/d/\\"x\\".sock"', 'SystemdCgroup = true', 'restrict_oom_score_adj = true', 'disable_apparmor = true', 'snapshotter = "native"',
    `sandbox_image = "${sandboxImage}"`, 'conf_dir = "/c"', 'config_path = "/r"', 'stream_server_address = "127.0.0.1"']) assert.ok(config.split('\n').includes(line), line);
});

test('a socket path too long for the kernel moves to /run', () => {
  assert.equal(containerdPaths('/var/lib/knarr/containerd').socket, '/var/lib/knarr/containerd/containerd.sock');
  assert.match(containerdPaths(`/${'x'.repeat(120)}`).socket, /^\/run\/knarr-[0-9a-f]{12}\.sock$/);
});

const missing = process.getuid?.() !== 0 ? 'root' : ['/usr/bin/containerd', '/usr/sbin/runc', '/bin/busybox'].find((path) => !existsSync(path)) ?? (await findCniPlugins() ? undefined : 'CNI plugins');
const image = 'docker.io/library/knarr-test:1';

describe('a private containerd', { skip: missing ? `needs ${missing}` : false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'knarr-cri-'));
  const dataDir = join(folder, 'containerd');
  const bridge = `knt${process.pid}`;
  const cgroupParent = `/knarr-test-${process.pid}`;
  const options = { dataDir, cni: { confDir: join(folder, 'cni') }, cgroupDriver: 'cgroupfs' as const, clock, log };
  let containerd: Containerd;
  let number = 0;

  before(async () => {
    containerd = await startContainerd(options);
    writeFileSync(join(folder, 'cni/10-test.conflist'), JSON.stringify({ cniVersion: '0.4.0', name: bridge, plugins: [{ type: 'bridge', bridge, isGateway: false, ipMasq: false,
      ipam: { type: 'host-local', dataDir: join(folder, 'ipam'), ranges: [[{ subnet: '10.213.77.0/24' }]] } }] }));
    writeFileSync(join(folder, 'image.tar'), buildImageArchive({ name: image, files: { 'www/index.html': 'hello from the pod\n' } }));
    assert.deepEqual(await loadImageArchive(containerd, join(folder, 'image.tar')), [image]);
  });
  after(async () => {
    await containerd.stop({ pods: true });
    await stopContainerd(dataDir, { clock, log, wipe: true });
    await tryExec('ip', ['link', 'delete', bridge]);
    for (const controller of readdirSync('/sys/fs/cgroup')) try { rmdirSync(join('/sys/fs/cgroup', controller, cgroupParent)); } catch { /* not in this hierarchy */ }
    await tryExec('rm', ['-rf', folder]);
  });

  testRuntime('containerd', async () => ({ runtime: containerd.runtime, image, cgroupParent }));

  async function pod(network: 'POD' | 'NODE' = 'NODE') {
    const name = `p${++number}`;
    const config: PodSandboxConfig = { metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 }, logDirectory: join(folder, 'logs', name), labels: { app: name }, hostname: network === 'POD' ? name : '',
      linux: { cgroupParent: `${cgroupParent}`, securityContext: { namespaceOptions: { network } } } };
    const id = await containerd.runtime.runPodSandbox(config);
    return { id, config, log: (container: string) => readFileSync(join(folder, 'logs', name, container), 'utf8').replace(/^\S+ /gm, ''),
      async run(command: string[], extra: Partial<ContainerConfig> = {}) {
        const containerName = `c${++number}`;
        const container = await containerd.runtime.createContainer(id, { metadata: { name: containerName, attempt: 0 }, image: { image }, command, logPath: 'c.log', ...extra }, config);
        await containerd.runtime.startContainer(container);
        return container;
      } };
  }
  async function until(event: (event: RuntimeEvent) => boolean, run: () => Promise<unknown>): Promise<RuntimeEvent> {
    const stop = new AbortController();
    try {
      for await (const item of containerd.runtime.events!(stop.signal)) {
        if (item.type === 'resync') { void run(); continue; }
        if (event(item)) return item;
      }
      throw new Error('events ended');
    } finally { stop.abort(); }
  }

  test('has the sandbox image built in and pinned', async () => {
    assert.ok((await containerd.runtime.images.status(sandboxImage))!.repoTags.includes(sandboxImage));
    assert.equal((await containerd.runtime.images.status(sandboxImage))!.pinned, true);
    assert.deepEqual(await containerdAccess(dataDir), { endpoint: containerd.endpoint, snapshotter: containerd.snapshotter });
    assert.equal((await containerd.runtime.version()).runtimeName, 'containerd');
  });

  test('what the machine lacks is one sentence with its cure', async () => {
    await assert.rejects(startContainerd({ ...options, dataDir: join(folder, 'other'), cni: { confDir: folder, binDir: '/nowhere' } }),
      (error) => error instanceof UserError && error.message === 'the CNI plugins are not in /nowhere: apt-get install containerd runc containernetworking-plugins, or start with --runtime=simulated');
  });

  test('archives are loaded under their full names, saved, and refused with a sentence', async () => {
    const file = join(folder, 'other.tar');
    writeFileSync(file, gzipSync(buildImageArchive({ name: 'short:1' })));
    assert.deepEqual(await loadImageArchive(containerd, file), ['docker.io/library/short:1']);
    assert.deepEqual((await containerd.runtime.images.status('short:1'))?.repoTags.filter((name) => name.includes('/')), ['docker.io/library/short:1']);
    await containerd.runtime.images.remove('docker.io/library/short:1');
    await saveImageArchive(containerd, join(folder, 'saved.tar'), [image]);
    await containerd.runtime.images.remove(image);
    assert.equal(await containerd.runtime.images.status(image), undefined);
    assert.deepEqual(await loadImageArchive(containerd, join(folder, 'saved.tar')), [image]);
    assert.ok(await containerd.runtime.images.status(image));
    writeFileSync(file, 'this is no archive'.repeat(100));
    await assert.rejects(loadImageArchive(containerd, file), (error) => error instanceof UserError && /is not an archive made by 'docker save'/.test(error.message));
    await assert.rejects(loadImageArchive(containerd, join(folder, 'none.tar')), /no such file/);
    assert.ok((await containerd.runtime.images.fsInfo()).imageFilesystems[0]!.fsId!.mountpoint.startsWith(dataDir));
  });

  test('a container runs, logs, exits; its status follows the event', async () => {
    const p = await pod();
    let container = '';
    const event = await until((item) => item.type === 'exited' && item.id === container, async () => {
      container = await p.run(['sh', '-c', 'echo "hello $WHO"; echo oops >&2; sleep 0.2; exit 3'], { envs: [{ key: 'WHO', value: 'world' }], linux: { resources: { memoryLimitInBytes: 32 * 2 ** 20, cpuShares: 100 } } });
    });
    assert.equal(event.type === 'exited' && event.exitCode, 3);
    const status = await containerd.runtime.containerStatus(container);
    assert.deepEqual([status.state, status.exitCode, status.reason], ['CONTAINER_EXITED', 3, 'Error']);
    assert.ok(status.createdAtMs <= status.startedAtMs && status.startedAtMs < status.finishedAtMs && Math.abs(status.finishedAtMs - clock.now()) < 3_600_000);
    assert.deepEqual(p.log('c.log').split('\n').sort(), ['', 'stderr F oops', 'stdout F hello world']);
    await containerd.runtime.removePodSandbox(p.id);
    await assert.rejects(containerd.runtime.containerStatus(container), (error) => hasGrpcCode(error, 'NOT_FOUND'));
  });

  test('execSync, its exit code and its time limit; statistics; resources; log rotation', async () => {
    const { runtime } = containerd;
    const p = await pod();
    const container = await p.run(['sh', '-c', 'trap "exit 0" TERM; while true; do echo tick; sleep 0.05; done'], { linux: { resources: { memoryLimitInBytes: 32 * 2 ** 20 } } });
    const result = await runtime.execSync(container, ['sh', '-c', 'echo out; echo err >&2; exit 4'], 10);
    assert.deepEqual([result.stdout.toString(), result.stderr.toString(), result.exitCode], ['out\n', 'err\n', 4]);
    await assert.rejects(runtime.execSync(container, ['sleep', '30'], 1), (error) => hasGrpcCode(error, 'DEADLINE_EXCEEDED'));
    assert.ok((await runtime.containerStats(container)).memory!.workingSetBytes! > 0);
    assert.equal((await runtime.listContainerStats({ podSandboxId: p.id })).length, 1);
    assert.ok((await runtime.podSandboxStats(p.id)).containers.length === 1);
    await runtime.updateContainerResources(container, { memoryLimitInBytes: 64 * 2 ** 20 });
    assert.equal((await runtime.containerStatus(container)).resources!.linux!.memoryLimitInBytes, 64 * 2 ** 20);
    const { logPath } = await runtime.containerStatus(container);
    renameSync(logPath, `${logPath}.1`);
    await runtime.reopenContainerLog(container);
    assert.ok(existsSync(logPath));
    await runtime.stopContainer(container, 10);
    assert.equal((await runtime.containerStatus(container)).exitCode, 0); // the trap ran: SIGTERM, not SIGKILL
    await runtime.removePodSandbox(p.id);
  });

  test('the sandbox program ends on SIGTERM and reaps orphans', async () => {
    const { runtime } = containerd;
    const p = await pod();
    // A shared PID namespace makes the sandbox program PID 1 of the pod.
    const container = await p.run(['sleep', '1000'], { linux: { securityContext: { namespaceOptions: { network: 'NODE', pid: 'POD' } } } });
    const shell = async (script: string) => (await runtime.execSync(container, ['sh', '-c', script], 10)).stdout.toString();
    assert.match(await shell('ps'), /^\s+1 \S+\s+.*\/pause/m);
    // The shell ends before its child, which PID 1 inherits; it lives until the pipe that the test's next command closes.
    await shell('mkfifo /tmp/f 2>/dev/null || busybox mkfifo /tmp/f; (cat /tmp/f >/dev/null 2>&1 &) </dev/null >/dev/null 2>&1');
    assert.match(await shell('ps'), /cat \/tmp\/f/);
    await shell('echo > /tmp/f; while ps | grep -v grep | grep -q "cat"; do sleep 0.02; done');
    assert.doesNotMatch(await shell('ps'), /\[cat\]|Z /);
    await runtime.stopContainer(container, 0);
    const ended = await until((item) => item.type === 'exited' && item.id === p.id, () => runtime.stopPodSandbox(p.id));
    // containerd sends the sandbox SIGKILL itself; SIGTERM by hand below.
    assert.equal(ended.type, 'exited');
    await runtime.removePodSandbox(p.id);
    const file = join(folder, 'pause');
    const { pauseProgram } = await import('./sandbox-image.ts');
    const { goArchitecture } = await import('./oci-archive.ts');
    writeFileSync(file, pauseProgram(goArchitecture), { mode: 0o755 });
    const { code } = await tryExec('/bin/busybox', ['sh', '-c', `${file} & pid=$!; sleep 0.1; kill -TERM $pid; wait $pid`]);
    assert.equal(code, 0);
  });

  /** The kubelet's side: an HTTP server that joins every upgrade to one stream. */
  async function front(stream: StreamRequest): Promise<{ address: string; close(): void }> {
    const server = createServer();
    server.on('upgrade', (request, socket, head) => { void connectStream({ request, socket, head }, stream, { clock, log }); });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => { server.closeAllConnections(); server.close(); } };
  }
  /** All that comes on each channel until the server closes. */
  async function session(stream: StreamRequest, onOpen: (ws: WebSocket) => void, onData: (ws: WebSocket, channel: number, text: string) => void = () => {}, protocol = 'v5.channel.k8s.io') {
    const server = await front(stream);
    const ws = new WebSocket(`ws://${server.address}/`, protocol);
    const output: Record<number, string> = {};
    ws.on('open', () => onOpen(ws));
    ws.on('message', (data: Buffer) => { output[data[0]!] = (output[data[0]!] ?? '') + data.subarray(1).toString(); onData(ws, data[0]!, output[data[0]!]!); });
    await new Promise<void>((resolve, reject) => { ws.on('close', () => resolve()); ws.on('error', reject); });
    server.close();
    return output;
  }

  test('exec with input, half-close and exit status, as kubectl does it', async () => {
    const { runtime } = containerd;
    const p = await pod();
    const container = await p.run(['sleep', '1000']);
    const flags = { stdin: true, stdout: true, stderr: true };
    const url = await runtime.exec({ containerId: container, cmd: ['sh', '-c', 'wc -c; echo done >&2; exit 5'], ...flags });
    const size = 300_000; // more than SPDY's window: containerd never gives window updates
    const output = await session({ kind: 'exec', url, ...flags }, (ws) => {
      for (let sent = 0; sent < size; sent += 30_000) ws.send(Buffer.concat([Buffer.from([0]), Buffer.alloc(30_000, 65)]));
      ws.send(Buffer.from([255, 0]));
    });
    assert.equal(output[1]!.trim(), String(size));
    assert.equal(output[2], 'done\n');
    assert.equal(JSON.parse(output[3]!).details.causes[0].message, '5');

    const large = await session({ kind: 'exec', stdout: true, stderr: true, url: await runtime.exec({ containerId: container, cmd: ['sh', '-c', 'seq 1 200000'], stdout: true, stderr: true }) }, () => {});
    assert.equal(large[1]!.split('\n').at(-2), '200000');
    assert.equal(JSON.parse(large[3]!).status, 'Success');

    const old = await session({ kind: 'exec', stdout: true, url: await runtime.exec({ containerId: container, cmd: ['echo', 'v4'], stdout: true }) }, () => {}, () => {}, 'v4.channel.k8s.io');
    assert.equal(old[1], 'v4\n');
    await runtime.stopPodSandbox(p.id);
  });

  test('a terminal, resized', async () => {
    const p = await pod();
    const container = await p.run(['sleep', '1000']);
    const flags = { stdin: true, stdout: true, tty: true };
    const url = await containerd.runtime.exec({ containerId: container, cmd: ['sh'], ...flags });
    let asked = false;
    const output = await session({ kind: 'exec', url, ...flags }, (ws) => { ws.send(Buffer.from('\u0004{"Width":101,"Height":37}')); ws.send(Buffer.from('\u0000stty size; while [ "$(stty size)" != "37 101" ]; do :; done; stty size; exit\n')); }, () => { asked = true; });
    assert.ok(asked);
    assert.match(output[1]!, /^37 101\r$/m);
    await containerd.runtime.stopPodSandbox(p.id);
  });

  test('attach', async () => {
    const p = await pod();
    const container = await p.run(['sh', '-c', 'read line; echo "you said $line"'], { stdin: true, stdinOnce: true });
    const flags = { stdin: true, stdout: true, stderr: true };
    const url = await containerd.runtime.attach({ containerId: container, ...flags });
    const output = await session({ kind: 'attach', url, ...flags }, (ws) => { ws.send(Buffer.from('\u0000hi\n')); });
    assert.equal(output[1], 'you said hi\n');
    await containerd.runtime.stopPodSandbox(p.id);
  });

  test('a pod has an address of its own, and port-forward reaches it', async () => {
    const { runtime } = containerd;
    const p = await pod('POD');
    assert.match((await runtime.podSandboxStatus(p.id)).network.ip, /^10\.213\.77\.\d+$/);
    const container = await p.run(['httpd', '-f', '-p', '8080', '-h', '/www']);
    await runtime.execSync(container, ['sh', '-c', 'until wget -q -O /dev/null http://127.0.0.1:8080/; do sleep 0.02; done'], 10);
    const server = await front({ kind: 'portForward', url: await runtime.portForward(p.id, [8080]) });
    const { request } = await import('node:http');
    const answer = await new Promise<string>((resolve, reject) => {
      request(`http://${server.address}/`, { method: 'POST', headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': 'portforward.k8s.io' } })
        .on('upgrade', (_, socket, head) => {
          const connection = new SpdyConnection(socket, { head });
          const error = connection.createStream({ streamtype: 'error', port: '8080', requestid: '0' });
          error.end();
          let failure = '';
          error.onData = (chunk) => { failure += chunk.toString(); };
          const data = connection.createStream({ streamtype: 'data', port: '8080', requestid: '0' });
          let text = '';
          data.onData = (chunk) => { text += chunk.toString(); };
          data.onEnd = () => { resolve(failure || text); connection.destroy(); };
          data.write(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
          data.end(); // or containerd waits a second for more
        }).on('error', reject).end();
    });
    server.close();
    assert.match(answer, /hello from the pod/);
    await runtime.removePodSandbox(p.id);
  });

  test('containers outlive the agent and containerd; a dead containerd is started again', async () => {
    const p = await pod();
    const container = await p.run(['sh', '-c', 'sleep 1000']);
    const firstPid = containerd.pid;
    await containerd[Symbol.asyncDispose](); // what is left of an agent that was killed, too: nothing but containerd
    containerd = await startContainerd(options);
    assert.deepEqual([containerd.reused, containerd.pid], [true, firstPid]);

    const resynced = Promise.withResolvers<void>();
    const stop = new AbortController();
    const reading = (async () => {
      let count = 0;
      for await (const event of containerd.runtime.events!(stop.signal)) {
        if (event.type !== 'resync') continue;
        if (++count === 1) process.kill(containerd.pid, 'SIGKILL'); else resynced.resolve();
      }
    })();
    await resynced.promise; // events flow again: the supervisor has started a new one
    stop.abort();
    await reading;
    assert.notEqual(runningPid(containerdPaths(dataDir).pidFile), firstPid);
    assert.equal((await containerd.runtime.containerStatus(container)).state, 'CONTAINER_RUNNING');

    await containerd.stop();
    assert.equal(runningPid(containerdPaths(dataDir).pidFile), undefined);
    containerd = await startContainerd(options);
    assert.equal(containerd.reused, false);
    assert.equal((await containerd.runtime.containerStatus(container)).state, 'CONTAINER_RUNNING');

    process.kill(containerd.pid, 'SIGKILL');
    await containerd.stop({ pods: true }); // starts it again, for only it can end the containers
    containerd = await startContainerd(options);
    assert.deepEqual(await containerd.runtime.listPodSandbox({ id: p.id }), []);
  });
});
