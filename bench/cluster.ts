/**
 * A real cluster measured from outside: start, idle, pod start, load, memory, watches. Driven by `main.ts`.
 * Uses ./knarr as a user would; real containers where the machine can, else a simulated node.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
import { cpuMs, type Figure, median, residentMb } from './figure.ts';
import { benchLoad } from './load.ts';
import { benchMemory } from './memory.ts';
import { benchWatch } from './watch.ts';
import { isNotFound } from '../src/api/meta/status.ts';

const repository = join(import.meta.dirname, '..');

export interface ClusterBenchOptions { secondsEach?: number; podStarts?: number; /** A minute less: a few objects and watchers only. */ small?: boolean; runtime?: 'containerd' | 'simulated' }

export async function benchCluster({ secondsEach = 2, podStarts = 10, small = false, runtime }: ClusterBenchOptions = {}): Promise<Figure[]> {
  const base = mkdtempSync(join(tmpdir(), 'knarr-bench-'));
  const kubeconfig = join(base, 'kubeconfig');
  const flags = ['--name', `bench-${process.pid}`, '--data-dir', base];
  const knarr = async (command: string, ...args: string[]) => {
    const started = systemClock.monotonic();
    const { stdout } = await exec(join(repository, 'knarr'), [command, ...flags, ...args], { env: { ...process.env, KUBECONFIG: kubeconfig }, timeoutMs: 300_000 });
    return { ms: systemClock.monotonic() - started, stdout };
  };
  const figures: Figure[] = [];
  try {
    const first = await knarr('up', ...(runtime ? ['--runtime', runtime] : []));
    const contained = first.stdout.includes('(containerd)');
    if (!small) await knarr('down');
    const { ms, stdout } = small ? first : await knarr('up');
    const stage = (name: string) => Number(new RegExp(`✓ ${name} .* ([\\d.]+) s`).exec(stdout)?.[1]);
    figures.push({ name: 'knarr up, new cluster, packages installed', value: Number((first.ms / 1000).toFixed(2)), unit: 's', target: '< 2' });
    figures.push({ name: 'knarr up, known cluster', value: Number((ms / 1000).toFixed(2)), unit: 's', target: '< 2' });
    figures.push({ name: 'start of the server until /readyz', value: stage('server'), unit: 's', target: '< 0.5' });
    const server = runningPid(join(base, `bench-${process.pid}/run/server.pid`))!;
    const agent = runningPid(join(base, `bench-${process.pid}/run/agent.pid`))!;
    const pause = (ms: number) => new Promise<void>((resolve) => { systemClock.after(ms, resolve); });
    await pause(small ? 0 : 10_000); // idle is what is measured
    const [serverCpu, agentCpu, idleSeconds] = [cpuMs(server), cpuMs(agent), small ? 0.1 : 20];
    await pause(idleSeconds * 1000);
    for (const [name, pid, before, target] of [['server', server, serverCpu, '< 150'], ['agent', agent, agentCpu, undefined]] as const) {
      figures.push({ name: `resident memory of the ${name}, idle`, value: residentMb(pid), unit: 'MB', ...(target ? { target } : {}) });
      figures.push({ name: `CPU of the ${name}, idle`, value: Number(((cpuMs(pid) - before) / idleSeconds / 10).toFixed(2)), unit: '%' });
    }
    if (contained) {
      const archive = join(base, 'image.tar');
      writeFileSync(archive, buildImageArchive({ name: 'docker.io/library/bench:1', cmd: ['sleep', '3600'] }));
      await knarr('image', 'load', archive);
    }
    figures.push({ name: `create → Running, median of ${podStarts}${contained ? '' : ', simulated node'}`, value: await podStart(kubeconfig, podStarts), unit: 'ms', target: '< 500' });
    figures.push(...await benchMemory({ kubeconfig, serverPid: server, ...(small ? { pods: 20, configMaps: 20, restMs: 0 } : {}) }));
    figures.push(...await benchLoad({ kubeconfig, secondsEach, serverPid: server, ...(small ? { pods: 20 } : {}) }));
    figures.push(...await benchWatch({ kubeconfig, serverPid: server, ...(small ? { watchers: 5, writesPerSecond: 50, seconds: 0.2, readers: 2, listMb: 1, slowMs: 100 } : {}) }));
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
