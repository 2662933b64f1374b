/** Ends a cluster's processes and what they left running: for `down` and `delete`, which work without a living agent too. */
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { runningPid, stopDaemon } from '../base/daemon.ts';
import { tryExec } from '../base/exec.ts';
import { silentLogger } from '../base/log.ts';
import { containerdPaths, stopContainerd } from '../kubelet/runtime/containerd.ts';
import { criRuntime } from '../kubelet/runtime/cri.ts';
import type { ClusterDir } from './cluster-dir.ts';
import { removeNetwork } from './node-network.ts';

/** What containers get between SIGTERM and SIGKILL when the whole node goes down. */
const stopGraceSeconds = 5;

/**
 * The agent first, so that it restarts nothing; then the containers, containerd and the server. Stopped containers stay, so that the
 * next agent sees how they ended and restarts what its restart policy says. True if anything was running.
 */
export async function stopCluster(dir: ClusterDir, clock: Clock): Promise<boolean> {
  const agent = await stopDaemon(dir.pidFile('agent'), clock);
  const { pidFile, endpoint } = containerdPaths(dir.containerd);
  const containerd = runningPid(pidFile) !== undefined;
  if (containerd) {
    await stopPods(endpoint, clock);
    await stopContainerd(dir.containerd, { clock, log: silentLogger });
  }
  const server = await stopDaemon(dir.pidFile('server'), clock);
  return agent || containerd || server;
}

async function stopPods(endpoint: string, clock: Clock): Promise<void> {
  using runtime = criRuntime({ endpoint, clock });
  const running = await runtime.listContainers({ state: 'CONTAINER_RUNNING' });
  await Promise.allSettled(running.map(({ id }) => runtime.stopContainer(id, stopGraceSeconds)));
  const sandboxes = await runtime.listPodSandbox({ state: 'SANDBOX_READY' });
  await Promise.allSettled(sandboxes.map(({ id }) => runtime.stopPodSandbox(id)));
}

/** After `stopCluster`: removes containers, mounts, network devices, rules and cgroups of this cluster from the machine. */
export async function removeNodeTraces(dir: ClusterDir, clock: Clock): Promise<void> {
  const settings = dir.settings();
  if (settings.runtime !== 'containerd') return;
  await stopContainerd(dir.containerd, { clock, log: silentLogger, wipe: true });
  await unmountBelow(dir.path);
  await removeNetwork(settings);
  removeCgroups(settings.device);
}

/** Volumes that are mounts of their own (memory-backed emptyDir, tokens), deepest first. */
async function unmountBelow(path: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')[4] ?? '')
    .filter((mount) => mount.startsWith(`${path}/`)).sort((a, b) => b.length - a.length);
  for (const mount of mounts) await tryExec('umount', ['-l', mount]);
}

/** The cgroup `name` in every hierarchy, with the empty ones below it. One that still has processes stays. */
function removeCgroups(name: string): void {
  const root = '/sys/fs/cgroup';
  const remove = (path: string) => {
    let children;
    try { children = readdirSync(path, { withFileTypes: true }); } catch { return; }
    for (const child of children) if (child.isDirectory()) remove(join(path, child.name));
    try { rmdirSync(path); } catch { /* in use: it goes with its last process */ }
  };
  remove(join(root, name));
  for (const hierarchy of readdirSync(root, { withFileTypes: true })) if (hierarchy.isDirectory()) remove(join(root, hierarchy.name, name));
}
