/** Network namespaces for kernel tests: made on demand, named after the process, removed with everything in them at the end. */
import { accessSync, constants } from 'node:fs';
import { exec, tryExec, type ExecResult } from '../base/exec.ts';

/** A reason why kernel tests can't run here, or false: for `test(name, { skip: needsRootNetworking() }, …)`. */
export function needsRootNetworking(): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  for (const program of ['ip', 'nft', 'busybox', 'nsenter']) {
    if (!(process.env['PATH'] ?? '').split(':').some((dir) => { try { accessSync(`${dir}/${program}`, constants.X_OK); return true; } catch { return false; } })) return `needs the program ${program}`;
  }
  return false;
}

let labs = 0;

export class NetnsLab implements AsyncDisposable {
  readonly #prefix = `k${process.pid}x${++labs}`;
  readonly #made = new Set<string>();
  readonly #stop = new AbortController();
  readonly #servers: Promise<unknown>[] = [];

  /** Makes a namespace with loopback up and returns its name. */
  async namespace(name: string): Promise<string> {
    const full = `${this.#prefix}-${name}`;
    await exec('ip', ['netns', 'add', full]);
    this.#made.add(full);
    await exec('ip', ['-n', full, 'link', 'set', 'lo', 'up']);
    return full;
  }
  /** A veth pair between two namespaces, both ends up, with addresses such as '10.0.0.1/24'. */
  async link(a: string, aName: string, aAddress: string | undefined, b: string, bName: string, bAddress: string | undefined): Promise<void> {
    await exec('ip', ['-n', a, 'link', 'add', aName, 'type', 'veth', 'peer', 'name', bName, 'netns', b]);
    for (const [ns, dev, address] of [[a, aName, aAddress], [b, bName, bAddress]] as const) {
      if (address) await exec('ip', ['-n', ns, 'addr', 'add', address, 'dev', dev]);
      await exec('ip', ['-n', ns, 'link', 'set', dev, 'up']);
    }
  }
  ip(ns: string, ...args: string[]): Promise<ExecResult> { return exec('ip', ['-n', ns, ...args]); }
  run(ns: string, command: string, ...args: string[]): Promise<ExecResult> { return tryExec('nsenter', [`--net=/run/netns/${ns}`, '--', command, ...args], { timeoutMs: 10_000 }); }
  async sysctl(ns: string, name: string, value: string): Promise<void> { await exec('nsenter', [`--net=/run/netns/${ns}`, '--', 'sh', '-c', `echo ${value} > /proc/sys/${name}`]); }

  /** A TCP server in a namespace that greets each connection with `greeting`. Resolves once it listens. */
  async greeter(ns: string, port: number, greeting: string): Promise<void> {
    const running = tryExec('nsenter', [`--net=/run/netns/${ns}`, '--', 'busybox', 'nc', '-ll', '-p', String(port), '-e', 'echo', greeting], { signal: this.#stop.signal, timeoutMs: 60_000 }).catch(() => {});
    this.#servers.push(running);
    const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} 0[0:]+0000 0A|:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A`);
    for (let attempt = 0; attempt < 200; attempt++) {
      const { stdout } = await this.run(ns, 'cat', '/proc/net/tcp', '/proc/net/tcp6');
      if (listening.test(stdout)) return;
    }
    throw new Error(`the server on port ${port} does not listen`);
  }
  /** The greeting of a server, or why there was none. */
  async ask(ns: string, address: string, port: number, seconds = 2): Promise<string> {
    const { code, stdout, stderr } = await this.run(ns, 'busybox', 'nc', '-w', String(seconds), address, String(port));
    return code === 0 || stdout !== '' ? stdout.trim() : stderr.trim().replace(/^nc: /, '') || 'nothing';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#servers);
    for (const name of this.#made) await tryExec('ip', ['netns', 'del', name]);
  }
}
