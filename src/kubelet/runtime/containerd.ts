/**
 * A private containerd: configuration, root, state and socket under one folder, started in a session of its own. It and the
 * containers outlive the agent, `kill -9` included: the next agent finds it by pid file and socket and goes on using it. While an
 * agent runs it restarts a containerd that died; shims keep the containers going meanwhile.
 * Source: containerd docs/cri/config.md (version 2, which containerd 2.x still reads).
 */
import { createHash } from 'node:crypto';
import { constants, copyFileSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Clock, sleep } from '../../base/clock.ts';
import { runningPid, startDaemon, stopDaemon } from '../../base/daemon.ts';
import { exec, tryExec } from '../../base/exec.ts';
import type { Logger } from '../../base/log.ts';
import { UserError } from '../../base/user-error.ts';
import { criRuntime, type CriRuntime } from './cri.ts';
import { type ContainerdAccess, loadImageArchive } from './images.ts';
import { sandboxImage, sandboxImageArchive } from './sandbox-image.ts';

export interface ContainerdOptions {
  /** Everything lives in it; its file system should carry overlayfs. */
  dataDir: string;
  /** `binDir`: default where the distribution puts the plugins. */
  cni: { confDir: string; binDir?: string };
  /** Default: systemd where it is PID 1's, else cgroupfs. */
  cgroupDriver?: 'systemd' | 'cgroupfs';
  /** A folder with `<registry>/hosts.toml`. Default `/etc/containerd/certs.d`. */
  registryConfigDir?: string;
  clock: Clock;
  log: Logger;
}

export interface Containerd extends AsyncDisposable {
  /** `unix:///…/containerd.sock`. */
  readonly endpoint: string;
  readonly snapshotter: 'overlayfs' | 'native';
  readonly cgroupDriver: 'systemd' | 'cgroupfs';
  readonly pid: number;
  /** Found running, containers and all. */
  readonly reused: boolean;
  readonly runtime: CriRuntime;
  /** Ends containerd. Containers go on unless `pods`, which stops and removes every pod first. */
  stop(options?: { pods?: boolean }): Promise<void>;
  /** Stops supervising and disconnects; containerd and the containers go on. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The longest path a unix socket can have (sun_path), less the `.ttrpc` that containerd appends. */
const maxSocketPath = 107 - '.ttrpc'.length;
const startTimeoutMs = 30_000;
const readyLookMs = 10;
/** How often the supervisor looks whether containerd is alive; it is not our child after an agent restart, so nobody tells us. */
const superviseMs = 1_000;
const restartBackoffMs = { first: 1_000, most: 30_000 };
/** A containerd that lived this long starts again without delay. */
const healthyMs = 60_000;
/** Two of these at most: the log and the one before. */
const maxLogBytes = 32 * 1024 * 1024;
const minimumFreeBytes = 256 * 1024 * 1024;
const capSysResource = 24;
const packages = 'apt-get install containerd runc containernetworking-plugins';
const simulated = 'or start with --runtime=simulated';

/** Every file and folder, by data directory: what `stopContainerd` needs when no agent is running. */
export function containerdPaths(dataDir: string) {
  const inside = join(dataDir, 'containerd.sock');
  const socket = inside.length <= maxSocketPath ? inside : `/run/knarr-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}.sock`;
  return { config: join(dataDir, 'config.toml'), root: join(dataDir, 'root'), state: join(dataDir, 'state'), socket, endpoint: `unix://${socket}`,
    pidFile: join(dataDir, 'containerd.pid'), logFile: join(dataDir, 'containerd.log') };
}

/** How to reach a data directory's containerd from another process (`knarr image load`); undefined when it isn't running. */
export async function containerdAccess(dataDir: string): Promise<ContainerdAccess | undefined> {
  const paths = containerdPaths(dataDir);
  if (runningPid(paths.pidFile) === undefined) return undefined;
  const snapshotter = chosenSnapshotter(await readFile(paths.config, 'utf8').catch(() => ''));
  return { endpoint: paths.endpoint, ...(snapshotter ? { snapshotter } : {}) };
}

const chosenSnapshotter = (config: string) => /^snapshotter = "(overlayfs|native)"$/m.exec(config)?.[1] as 'overlayfs' | 'native' | undefined;

type ContainerdPaths = ReturnType<typeof containerdPaths>;

/** Starts it, or finds it running, and makes sure the sandbox image is there. Throws `UserError` when the machine lacks something. */
export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  const { dataDir, clock, log } = options;
  const paths = containerdPaths(dataDir);
  const host = await inspectHost(options);
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const previous = await readFile(paths.config, 'utf8').catch(() => undefined);
  const settings = { ...host, paths, cni: { binDir: host.cniBinDir, confDir: options.cni.confDir }, registryConfigDir: options.registryConfigDir ?? '/etc/containerd/certs.d',
    snapshotter: await chooseSnapshotter(dataDir, previous) };
  const config = containerdConfig(settings);
  await mkdir(options.cni.confDir, { recursive: true });
  await writeFile(paths.config, config, { mode: 0o600 });
  if (previous !== config && runningPid(paths.pidFile) !== undefined) {
    log.info('containerd restarts: its configuration has changed; containers go on');
    await stopDaemon(paths.pidFile, clock);
  }

  const runtime = criRuntime({ endpoint: paths.endpoint, clock });
  let pid: number | undefined;
  let reused = false;
  try {
    ({ pid, reused } = await ensureRunning(host.containerd, runtime, paths, clock));
    await ensureSandboxImage(runtime, { endpoint: paths.endpoint, snapshotter: settings.snapshotter });
  } catch (error) {
    runtime[Symbol.dispose]();
    if (!reused) await stopDaemon(paths.pidFile, clock);
    throw error;
  }

  const stopping = new AbortController();
  const supervise = async () => {
    let backoffMs = 0;
    let since = clock.monotonic();
    for (;;) {
      await sleep(clock, superviseMs, stopping.signal);
      boundLog(paths.logFile);
      if (runningPid(paths.pidFile) !== undefined) continue;
      if (clock.monotonic() - since >= healthyMs) backoffMs = 0;
      log.warn({ backoffMs, lastLines: lastLines(paths.logFile) }, 'containerd has died and is started again; containers go on');
      await sleep(clock, backoffMs, stopping.signal);
      backoffMs = Math.min(Math.max(backoffMs * 2, restartBackoffMs.first), restartBackoffMs.most);
      since = clock.monotonic();
      try { pid = await launch(host.containerd, paths); } catch (error) { log.error({ err: error }, "containerd can't be started"); }
    }
  };
  const supervising = supervise().catch((error: unknown) => { if (!stopping.signal.aborted) log.error({ err: error }, 'nobody watches containerd any more'); });
  const release = async () => { stopping.abort(new Error('the agent stops')); await supervising; };

  return {
    endpoint: paths.endpoint, snapshotter: settings.snapshotter, cgroupDriver: host.cgroupDriver, reused, runtime,
    get pid() { return pid!; },
    async stop({ pods = false } = {}) {
      await release();
      runtime[Symbol.dispose]();
      await stopContainerd(dataDir, { clock, log, pods });
    },
    async [Symbol.asyncDispose]() {
      await release();
      runtime[Symbol.dispose]();
    },
  };
}

/**
 * Ends the containerd of a data directory when no agent runs (`knarr down`, `knarr delete`). With `pods` it stops and removes every
 * pod first; with `wipe` it also deletes the folder, unmounting what is left below it.
 */
export async function stopContainerd(dataDir: string, { clock, log, pods = false, wipe = false }: { clock: Clock; log: Logger; pods?: boolean; wipe?: boolean }): Promise<void> {
  const paths = containerdPaths(dataDir);
  if (pods && await access(paths.config).then(() => true, () => false)) await removeAllPods(paths, clock, log);
  await stopDaemon(paths.pidFile, clock);
  await rm(paths.socket, { force: true });
  if (!wipe) return;
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')).split('\n').map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter((path) => path.startsWith(`${dataDir}/`)).sort((a, b) => b.length - a.length);
  for (const path of mounts) await tryExec('umount', ['-l', path]);
  await rm(dataDir, { recursive: true, force: true });
}

const unescapeMount = (path: string): string => path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Starts a containerd that has died, for only it can end the containers. Pods side by side: each takes as long as its containers do. */
async function removeAllPods(paths: ContainerdPaths, clock: Clock, log: Logger): Promise<void> {
  using runtime = criRuntime({ endpoint: paths.endpoint, clock });
  try {
    await ensureRunning(await findProgram('containerd') ?? 'containerd', runtime, paths, clock);
    await Promise.all((await runtime.listPodSandbox()).map(async ({ id }) => {
      try {
        await runtime.stopPodSandbox(id);
        await runtime.removePodSandbox(id);
      } catch (error) { log.warn({ err: error, podSandboxId: id }, "a pod can't be removed"); }
    }));
  } catch (error) { log.warn({ err: error }, "pods can't be removed: their containers may still run"); }
}

/** One that was found but is just dying gets a successor. */
async function ensureRunning(command: string, runtime: CriRuntime, paths: ContainerdPaths, clock: Clock): Promise<{ pid: number; reused: boolean }> {
  const found = runningPid(paths.pidFile);
  if (found !== undefined) {
    try {
      await untilReady(runtime, paths, clock);
      return { pid: found, reused: true };
    } catch (error) { if (runningPid(paths.pidFile) !== undefined) throw error; }
  }
  const pid = await launch(command, paths);
  await untilReady(runtime, paths, clock);
  return { pid, reused: false };
}

async function launch(command: string, paths: ContainerdPaths): Promise<number> {
  await rm(paths.socket, { force: true });
  const { NOTIFY_SOCKET: _, ...env } = process.env; // systemd's, and ours alone
  return await startDaemon({ command, args: ['--config', paths.config], pidFile: paths.pidFile, logFile: paths.logFile, env: { ...env, PATH: searchPath().join(delimiter) } });
}

async function untilReady(runtime: CriRuntime, paths: ContainerdPaths, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + startTimeoutMs;
  for (;;) {
    // Not before the socket is there: gRPC would back off from it for longer than containerd takes.
    const there = await access(paths.socket).then(() => true, () => false);
    if (there) {
      try { await runtime.version(); return; } catch { /* it listens before CRI answers */ }
    }
    if (runningPid(paths.pidFile) === undefined) throw new UserError(`containerd ended at once: ${lastLines(paths.logFile)} (all of it in ${paths.logFile})`);
    if (clock.monotonic() > deadline) throw new UserError(`containerd doesn't answer on ${paths.socket} after ${startTimeoutMs / 1000} s: see ${paths.logFile}`);
    await sleep(clock, readyLookMs);
  }
}

async function ensureSandboxImage(runtime: CriRuntime, containerd: { endpoint: string; snapshotter: string }): Promise<void> {
  if (await runtime.images.status(sandboxImage)) return;
  const folder = await mkdtemp(join(tmpdir(), 'knarr-pause-'));
  try {
    const file = join(folder, 'pause.tar');
    await writeFile(file, sandboxImageArchive());
    await loadImageArchive(containerd, file);
  } finally { await rm(folder, { recursive: true, force: true }); }
}

/** containerd never rotates its log and appends whatever happens to the file: copy, then cut. */
function boundLog(file: string): void {
  try {
    if (statSync(file).size < maxLogBytes) return;
    copyFileSync(file, `${file}.1`);
    truncateSync(file);
  } catch { /* no log yet */ }
}

function lastLines(file: string): string {
  try {
    const errors = readFileSync(file, 'utf8').trimEnd().split('\n').filter((line) => !/level=(info|warning|debug|error)/.test(line));
    return errors.slice(-2).join(' ') || 'without a word';
  } catch { return 'without a word'; }
}

/** What the machine has. Throws `UserError` for what is missing. */
async function inspectHost(options: ContainerdOptions) {
  if (process.platform !== 'linux') throw new UserError(`containers need Linux, and this is ${process.platform}: start with --runtime=simulated`);
  if (process.getuid?.() !== 0) throw new UserError(`containers need root: run it with sudo, ${simulated}`);
  const [containerd, runc, shim] = await Promise.all(['containerd', 'runc', 'containerd-shim-runc-v2'].map(findProgram));
  if (!containerd || !shim) throw new UserError(`containerd is not installed: ${packages}, ${simulated}`);
  if (!runc) throw new UserError(`runc is not installed: ${packages}, ${simulated}`);
  const cniBinDir = options.cni.binDir ?? await findCniPlugins();
  if (!cniBinDir || !await executable(join(cniBinDir, 'loopback'))) {
    throw new UserError(`the CNI plugins are not ${cniBinDir ? `in ${cniBinDir}` : 'installed'}: ${packages}, ${simulated}`);
  }
  await mkdir(options.dataDir, { recursive: true, mode: 0o711 });
  const { bavail, bsize } = await statfs(options.dataDir);
  if (bavail * bsize < minimumFreeBytes) throw new UserError(`only ${Math.floor(bavail * bsize / 2 ** 20)} MiB are free in ${options.dataDir}: free disk space, or choose another folder with --data-dir`);
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return {
    containerd, runc, cniBinDir,
    cgroupDriver: options.cgroupDriver ?? (await access('/run/systemd/system').then(() => 'systemd' as const, () => 'cgroupfs' as const)),
    restrictOomScoreAdj: ((capabilities >> BigInt(capSysResource)) & 1n) === 0n,
    apparmor: await access('/sys/kernel/security/apparmor').then(() => true, () => false),
  };
}

/** PATH, and the system folders that a user's PATH lacks. */
function searchPath(): string[] {
  return [...new Set([...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'])];
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of searchPath()) if (await executable(join(folder, name))) return join(folder, name);
  return undefined;
}

/** Debian's folder, then upstream's. */
export async function findCniPlugins(): Promise<string | undefined> {
  for (const folder of ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']) if (await executable(join(folder, 'loopback'))) return folder;
  return undefined;
}

const executable = (path: string): Promise<boolean> => access(path, constants.X_OK).then(() => true, () => false);

/** Overlayfs if a mount in that folder works (it doesn't on top of another overlay); the choice made once stays, for images are unpacked with it. */
async function chooseSnapshotter(dataDir: string, previousConfig: string | undefined): Promise<'overlayfs' | 'native'> {
  const chosen = chosenSnapshotter(previousConfig ?? '');
  if (chosen) return chosen;
  const folder = await mkdtemp(join(dataDir, 'overlay-'));
  const part = (name: string) => join(folder, name);
  try {
    await Promise.all(['lower', 'upper', 'work', 'merged'].map((name) => mkdir(part(name))));
    const { code } = await tryExec('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${part('lower')},upperdir=${part('upper')},workdir=${part('work')}`, part('merged')]);
    if (code === 0) await exec('umount', [part('merged')]);
    return code === 0 ? 'overlayfs' : 'native';
  } finally { await rm(folder, { recursive: true, force: true }); }
}

/** The text of config.toml. Pure, so that a test can read it. */
export function containerdConfig(settings: {
  paths: { root: string; state: string; socket: string }; runc: string; cni: { binDir: string; confDir: string }; registryConfigDir: string;
  snapshotter: string; cgroupDriver: 'systemd' | 'cgroupfs'; restrictOomScoreAdj: boolean; apparmor: boolean;
}): string {
  const { paths, cni } = settings;
  const text = (value: string) => JSON.stringify(value); // TOML's basic strings escape as JSON's do
  return `# Written by knarr at every start; changes are lost.
version = 2
root = ${text(paths.root)}
state = ${text(paths.state)}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
address = ${text(paths.socket)}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = ${text(sandboxImage)}
restrict_oom_score_adj = ${settings.restrictOomScoreAdj}
disable_apparmor = ${!settings.apparmor}
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = ${text(settings.snapshotter)}
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = ${text(settings.runc)}
SystemdCgroup = ${settings.cgroupDriver === 'systemd'}

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${text(cni.binDir)}
conf_dir = ${text(cni.confDir)}

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = ${text(settings.registryConfigDir)}
`;
}
