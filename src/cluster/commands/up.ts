/** `knarr up`: from nothing to a Ready node, each stage with its time. Run again it says that all is up already. */
import { systemClock } from '../../base/clock.ts';
import { runningPid, startDaemon, stopDaemon } from '../../base/daemon.ts';
import { UserError } from '../../base/user-error.ts';
import { ClusterDir, type ClusterSettings, defaultName, defaultNodeName } from '../cluster-dir.ts';
import { kubeconfigPath, mergeKubeconfig } from '../kubeconfig.ts';
import { withLock } from '../lock.ts';
import { clusterFlags, type Command, type Invocation, port, text } from '../main.ts';
import { findProgram, installPackages, missingPackages } from '../packages.ts';
import { formatSeconds, stages } from '../progress.ts';
import { daemonEnvironment, selfCommand } from '../self.ts';
import { claimSlot, portIsFree } from '../slots.ts';
import { nodeIsReady, serverIsReady, waitForNode, waitForServer } from '../wait.ts';

export const command: Command = {
  summary: 'starts a cluster on this machine and makes kubectl use it',
  flags: {
    ...clusterFlags,
    port: { type: 'string', value: 'P', help: 'the API\'s port (default 6443, or the next free one for further clusters)' },
    kubeconfig: { type: 'string', value: 'F', help: 'the file that gets the context (default $KUBECONFIG or ~/.kube/config)' },
    runtime: { type: 'string', value: 'R', help: 'containerd, or simulated: pods that only pretend (default: what this machine can)' },
  },
  async run(invocation) {
    const clock = systemClock;
    const started = clock.monotonic();
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    await withLock(dir, async () => {
      const kubeconfig = kubeconfigPath(text(invocation, 'kubeconfig'));
      if (dir.exists() && (await isUp(dir, invocation))) {
        mergeKubeconfig(kubeconfig, dir.name, dir.adminKubeconfig);
        console.log(`knarr: cluster "${dir.name}" is up already; nothing to do.`);
        return;
      }
      const settings = await chooseSettings(dir, invocation);
      console.log(`knarr: cluster "${dir.name}" in ${dir.path}`);
      const stage = stages(clock, process.stdout);
      if (settings.runtime === 'containerd') await bringPackages(stage);
      const since = runningPid(dir.pidFile('agent')) === undefined ? clock.now() : 0;
      const startedNow = await startProcesses(dir);
      try {
        await stage('server', async () => ({ text: `https://127.0.0.1:${settings.port}`, value: await waitForServer(dir, clock) }));
        await stage('node', async () => ({ text: `${settings.nodeName} is Ready (${settings.runtime})`, value: await waitForNode(dir, settings.nodeName, since, clock) }));
      } catch (err) {
        for (const process of startedNow) await stopDaemon(dir.pidFile(process), clock);
        throw err;
      }
      await stage('kubeconfig', () => {
        mergeKubeconfig(kubeconfig, dir.name, dir.adminKubeconfig);
        return Promise.resolve({ text: `context "${dir.name}" in ${kubeconfig}`, value: undefined });
      });
      console.log(`\nReady after ${formatSeconds(clock.monotonic() - started)}. Try:\n${whatToTry(dir, invocation)}`);
    });
  },
};

/** Both processes run, the API answers and the node is Ready. */
async function isUp(dir: ClusterDir, invocation: Invocation): Promise<boolean> {
  const settings = dir.settings();
  if (runningPid(dir.pidFile('server')) === undefined || runningPid(dir.pidFile('agent')) === undefined) return false;
  const wanted = port(invocation, 'port');
  if (wanted !== undefined && wanted !== settings.port) throw new UserError(`cluster "${dir.name}" is running on port ${settings.port}. To move it: knarr down, then knarr up --port ${wanted}`);
  return (await serverIsReady(dir)) && (await nodeIsReady(dir, settings.nodeName));
}

/** A new cluster's settings, or a stopped one's with what the flags change; checks that its ports are free. */
async function chooseSettings(dir: ClusterDir, invocation: Invocation): Promise<ClusterSettings> {
  const wantedPort = port(invocation, 'port');
  const wantedRuntime = text(invocation, 'runtime');
  if (wantedRuntime !== undefined && wantedRuntime !== 'containerd' && wantedRuntime !== 'simulated') throw new UserError(`--runtime ${wantedRuntime}: choose containerd or simulated.`, { exitCode: 2 });
  const known = dir.exists() ? dir.settings() : undefined;
  const fixedPort = wantedPort ?? known?.port;
  if (fixedPort !== undefined && runningPid(dir.pidFile('server')) === undefined && !(await portIsFree(fixedPort))) {
    throw new UserError(`port ${fixedPort} is taken by another program. Choose another with: knarr up --port P`);
  }
  const settings: ClusterSettings = {
    ...known ?? { name: dir.name, nodeName: defaultNodeName(), ...await claimSlot(dir, wantedPort), runtime: wantedRuntime ?? defaultRuntime() },
    ...(wantedPort === undefined ? {} : { port: wantedPort }), ...(wantedRuntime === undefined ? {} : { runtime: wantedRuntime }),
  };
  dir.saveSettings(settings);
  return settings;
}

function defaultRuntime(): 'containerd' | 'simulated' {
  const lacks = process.platform !== 'linux' ? 'this is not Linux' : process.getuid?.() !== 0 ? 'this is not root' : undefined;
  if (lacks === undefined) return 'containerd';
  console.log(`knarr: ${lacks}, so the node is simulated: pods are scheduled and report Running, but no container runs.${process.platform === 'linux' ? ' For real containers: sudo ./knarr up' : ''}`);
  return 'simulated';
}

async function bringPackages(stage: ReturnType<typeof stages>): Promise<void> {
  const missing = missingPackages();
  if (missing.length === 0) return;
  console.log(`  this node needs ${missing.join(', ')}`);
  await stage('packages', async () => ({ text: `installed ${missing.length} with apt`, value: await installPackages(missing) }));
}

/** Starts what does not run; returns what it started. */
async function startProcesses(dir: ClusterDir): Promise<('server' | 'agent')[]> {
  const startedNow: ('server' | 'agent')[] = [];
  for (const process of ['server', 'agent'] as const) {
    if (runningPid(dir.pidFile(process)) !== undefined) continue;
    const { command, args } = selfCommand();
    await startDaemon({ command, args: [...args, process, '--data-dir', dir.dataDir, '--name', dir.name], pidFile: dir.pidFile(process), logFile: dir.logFile(process), env: daemonEnvironment() });
    startedNow.push(process);
  }
  return startedNow;
}

function whatToTry(dir: ClusterDir, invocation: Invocation): string {
  const again = [dir.name === defaultName ? '' : ` --name ${dir.name}`, text(invocation, 'data-dir') ? ` --data-dir ${dir.dataDir}` : ''].join('');
  const lines = ['kubectl get nodes', `knarr image load image.tar${again}`, 'kubectl create deployment web --image=IMAGE:TAG', `knarr status${again}`, `knarr down${again}`];
  const kubectl = findProgram('kubectl') === undefined ? '\n  (kubectl is not installed here; on Debian: apt-get install kubernetes-client)' : '';
  return lines.map((line) => `  ${line}`).join('\n') + kubectl;
}

