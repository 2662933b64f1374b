/**
 * A real cluster measured from outside: start, readiness, load, memory, pod start. `node bench/cluster.ts [seconds per figure]`.
 * Uses ./knarr as a user would; real containers where the machine can, else a simulated node.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { runningPid } from '../src/base/daemon.ts';
import { exec } from '../src/base/exec.ts';
import { pods, serviceaccounts } from '../src/api/resources.ts';
import type { Pod } from '../src/api/core/v1.ts';
import { loadKubeconfig } from '../src/client/kubeconfig.ts';
import { createRestTransport } from '../src/client/rest.ts';
import { createClient } from '../src/client/typed-client.ts';
import { buildImageArchive } from '../src/testing/images.ts';
import { type Figure, median } from './figure.ts';
import { benchLoad } from './load.ts';
import { writeFileSync } from 'node:fs';
import { isNotFound } from '../src/api/meta/status.ts';

const repository = join(import.meta.dirname, '..');

/** Resident memory of a process, MB. */
function residentMb(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1000);
}

export async function benchCluster(secondsEach = 2, podStarts = 10): Promise<Figure[]> {
  const base = mkdtempSync(join(tmpdir(), 'knarr-bench-'));
  const kubeconfig = join(base, 'kubeconfig');
  const flags = ['--name', 'bench', '--data-dir', base];
  const knarr = async (command: string, ...args: string[]) => {
    const started = systemClock.monotonic();
    const { stdout } = await exec(join(repository, 'knarr'), [command, ...flags, ...args], { env: { ...process.env, KUBECONFIG: kubeconfig }, timeoutMs: 300_000 });
    return { ms: systemClock.monotonic() - started, stdout };
  };
  const figures: Figure[] = [];
  try {
    const first = await knarr('up');
    const contained = first.stdout.includes('(containerd)');
    await knarr('down');
    const { ms, stdout } = await knarr('up');
    const stage = (name: string) => Number(new RegExp(`✓ ${name} .* ([\\d.]+) s`).exec(stdout)?.[1]);
    figures.push({ name: 'knarr up, new cluster, packages installed', value: Number((first.ms / 1000).toFixed(2)), unit: 's', target: '< 2' });
    figures.push({ name: 'knarr up, known cluster', value: Number((ms / 1000).toFixed(2)), unit: 's', target: '< 2' });
    figures.push({ name: 'start of the server until /readyz', value: stage('server'), unit: 's', target: '< 0.5' });
    const server = runningPid(join(base, 'bench/run/server.pid'))!;
    await new Promise<void>((resolve) => { systemClock.after(5_000, resolve); }); // idle is what is measured
    figures.push({ name: 'resident memory of the server, idle', value: residentMb(server), unit: 'MB', target: '< 150' });
    figures.push({ name: 'resident memory of the agent, idle', value: residentMb(runningPid(join(base, 'bench/run/agent.pid'))!), unit: 'MB' });
    if (contained) {
      const archive = join(base, 'image.tar');
      writeFileSync(archive, buildImageArchive({ name: 'docker.io/library/bench:1', cmd: ['sleep', '3600'] }));
      await knarr('image', 'load', archive);
    }
    figures.push({ name: `create → Running, median of ${podStarts}${contained ? '' : ', simulated node'}`, value: await podStart(kubeconfig, podStarts), unit: 'ms', target: '< 500' });
    figures.push(...await benchLoad({ kubeconfig, secondsEach }));
    figures.push({ name: 'resident memory of the server, after the load', value: residentMb(server), unit: 'MB' });
  } finally {
    await knarr('delete').catch(() => {});
    rmSync(base, { recursive: true, force: true });
  }
  return figures;
}

/** Pods one after another, each from create until the status says Running; ms. */
async function podStart(kubeconfig: string, count: number): Promise<number> {
  await using transport = createRestTransport({ ...loadKubeconfig(kubeconfig), userAgent: 'knarr-bench' });
  const client = createClient(transport).for(pods);
  for (;;) {
    try { await createClient(transport).for(serviceaccounts).get({ namespace: 'default', name: 'default' }); break; } catch (err) { if (!isNotFound(err)) throw err; }
  }
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = systemClock.monotonic();
    const pod = { metadata: { name: `start-${i}` }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'bench:1', imagePullPolicy: 'IfNotPresent' }] } };
    const created = await client.create(pod as never, { namespace: 'default' });
    const stop = new AbortController();
    for await (const event of client.watch({ namespace: 'default', fieldSelector: `metadata.name=${pod.metadata.name}`, resourceVersion: created.metadata.resourceVersion, signal: stop.signal })) {
      if ((event.object as Pod).status?.phase === 'Running') break;
    }
    times.push(systemClock.monotonic() - started);
    stop.abort();
    await client.delete({ namespace: 'default', name: pod.metadata.name }, { gracePeriodSeconds: 0 });
  }
  return Math.round(median(times));
}
