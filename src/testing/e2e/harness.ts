/**
 * End-to-end tests: real clusters started by `./knarr up` in a folder of their own, driven by the real kubectl. What the machine
 * lacks is named, so that a skipped test says why.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '../../base/clock.ts';
import { type ExecResult, exec, tryExec } from '../../base/exec.ts';
import { findProgram } from '../../cluster/packages.ts';

export const repository = join(import.meta.dirname, '../../..');

/** Why this machine can't run a node with real containers; undefined when it can. */
export function whyNoNode(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  if (process.env.KUBECTL === undefined && findProgram('kubectl') === undefined) return 'needs kubectl (Debian: kubernetes-client)';
  return undefined;
}

export interface TestCluster extends AsyncDisposable {
  readonly name: string;
  readonly dir: string;
  readonly kubeconfig: string;
  /** Runs ./knarr with this cluster's --name and --data-dir; throws on failure. */
  knarr(command: string, ...args: string[]): Promise<ExecResult>;
  /** Runs kubectl and returns its standard output; throws on failure. `input` goes to its standard input. */
  kubectl(args: string, options?: { input?: string; timeoutMs?: number }): Promise<string>;
  /** As `kubectl`, for arguments with spaces. */
  kubectlArgs(args: readonly string[], options?: { input?: string; timeoutMs?: number }): Promise<string>;
  /** Runs kubectl that must fail; returns what it wrote to standard error. */
  kubectlFails(args: string, options?: { input?: string }): Promise<string>;
}

export async function startTestCluster(name: string, upFlags: readonly string[] = []): Promise<TestCluster> {
  const base = mkdtempSync(join(tmpdir(), 'knarr-e2e-'));
  const kubeconfig = join(base, 'kubeconfig');
  const clusterFlags = ['--name', name, '--data-dir', join(base, 'data')];
  const environment = { ...process.env, KUBECONFIG: kubeconfig };
  const program = process.env.KUBECTL ?? 'kubectl';
  const knarr = (command: string, ...args: string[]) => exec(join(repository, 'knarr'), [command, ...clusterFlags, ...args], { timeoutMs: 240_000, env: environment });
  const run = (args: readonly string[], options: { input?: string; timeoutMs?: number } = {}) =>
    tryExec(program, ['--request-timeout=30s', ...args], { env: environment, timeoutMs: 120_000, ...options });
  const kubectlArgs: TestCluster['kubectlArgs'] = async (args, options) => {
    const result = await run(args, options);
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit code ${result.code}: ${result.stderr.trim()}\n${result.stdout.trim()}`);
    return result.stdout;
  };
  const cluster: TestCluster = {
    name, dir: join(base, 'data', name), kubeconfig, knarr, kubectlArgs,
    kubectl: (args, options) => kubectlArgs(args.split(' '), options),
    async kubectlFails(args, options) {
      const result = await run(args.split(' '), options);
      if (result.code === 0) throw new Error(`kubectl ${args} was expected to fail, and said: ${result.stdout}`);
      return result.stderr;
    },
    async [Symbol.asyncDispose]() {
      if (process.env.KNARR_E2E_KEEP) { console.log(`kept: ${base}`); return; }
      await knarr('delete');
      rmSync(base, { recursive: true, force: true });
    },
  };
  try { await knarr('up', ...upFlags); } catch (err) {
    await knarr('delete').catch(() => {});
    rmSync(base, { recursive: true, force: true });
    throw err;
  }
  return cluster;
}

/** Asks until `ask` neither throws nor answers false; the last error otherwise. */
export async function eventually<T>(ask: () => Promise<T>, limitMs = 60_000): Promise<T> {
  const deadline = systemClock.monotonic() + limitMs;
  for (;;) {
    let failure: unknown;
    try {
      const answer = await ask();
      if (answer !== false) return answer;
      failure = new Error(`not so within ${limitMs} ms: ${ask.toString()}`);
    } catch (err) { failure = err; }
    if (systemClock.monotonic() > deadline) throw failure;
    await sleep(systemClock, 200);
  }
}
