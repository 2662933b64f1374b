/** The few `ip` and sysctl calls that the pod network makes, in one network namespace, with errors that say what to do. */
import { readFile, writeFile } from 'node:fs/promises';
import { exec, tryExec, type ExecResult } from '../base/exec.ts';
import { inNetns } from '../base/nft.ts';

export class Links {
  readonly netns: string | undefined;
  /** `netns`: a name under /run/netns or an absolute path; default our own namespace. */
  constructor(netns?: string) { this.netns = netns; }

  async ip(...args: string[]): Promise<ExecResult> {
    const [command, ...rest] = inNetns(this.netns, ['ip', ...args]);
    try {
      return await exec(command, rest);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') throw new Error('the program ip is not installed: install the package iproute2', { cause: err });
      if (/Operation not permitted/.test((err as Error).message)) throw new Error(`the network may not be changed here: run as root, or with CAP_NET_ADMIN (${(err as Error).message})`, { cause: err });
      throw err;
    }
  }
  /** As `ip`, and whether it succeeded. For removing what may be gone and adding what may be there. */
  async try(...args: string[]): Promise<boolean> {
    const [command, ...rest] = inNetns(this.netns, ['ip', ...args]);
    return (await tryExec(command, rest)).code === 0;
  }
  async json<T>(...args: string[]): Promise<T[]> {
    const text = (await this.ip('-j', ...args)).stdout.trim();
    return text === '' ? [] : JSON.parse(text) as T[];
  }
  exists(device: string): Promise<boolean> { return this.try('link', 'show', 'dev', device); }

  /** 'net.ipv4.ip_forward'; undefined where the kernel does not have it. */
  async sysctl(name: string): Promise<string | undefined> {
    const path = `/proc/sys/${name.replaceAll('.', '/')}`;
    if (this.netns === undefined) return readFile(path, 'utf8').then((text) => text.trim(), () => undefined);
    const [command, ...args] = inNetns(this.netns, ['cat', path]);
    const result = await tryExec(command, args);
    return result.code === 0 ? result.stdout.trim() : undefined;
  }
  /** Sets it unless it has the value already (it may be read-only and right). */
  async setSysctl(name: string, value: string): Promise<void> {
    if (await this.sysctl(name) === value) return;
    const path = `/proc/sys/${name.replaceAll('.', '/')}`;
    try {
      if (this.netns === undefined) { await writeFile(path, value); return; }
      const [command, ...args] = inNetns(this.netns, ['sh', '-c', 'echo "$1" > "$2"', 'sh', value, path]);
      await exec(command, args);
    } catch (err) {
      throw new Error(`${name} must be ${value} for pod traffic and can't be set (${(err as Error).message}): run as root, or set it with sysctl -w ${name}=${value}`, { cause: err });
    }
  }
}

/** Gives this machine an address that local servers can bind, such as the cluster DNS address, and returns the undoing of it. */
export async function ensureLocalAddress(address: string, { device = 'lo', netns }: { device?: string; netns?: string } = {}): Promise<() => Promise<void>> {
  const links = new Links(netns);
  const range = `${address}/${address.includes(':') ? 128 : 32}`;
  const present = await links.json<{ addr_info?: { local: string }[] }>('addr', 'show', 'dev', device);
  if (present.some((link) => link.addr_info?.some((info) => info.local === address))) return async () => {};
  await links.ip('addr', 'add', range, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
  return async () => { await links.try('addr', 'del', range, 'dev', device); };
}
