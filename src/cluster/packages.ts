/** The system programs a node needs, and how Debian and Ubuntu call their packages. Installs them as root where apt is. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { exec, ExecError } from '../base/exec.ts';
import { UserError } from '../base/user-error.ts';

interface SystemPackage { name: string; provides: string; present(): boolean }

const sbin = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
export function findProgram(name: string): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...sbin].map((dir) => join(dir, name)).find((file) => existsSync(file));
}
const program = (name: string, provides: string): SystemPackage => ({ name, provides, present: () => findProgram(provides) !== undefined });

export const nodePackages: readonly SystemPackage[] = [
  program('containerd', 'containerd'), program('runc', 'runc'), program('nftables', 'nft'), program('iproute2', 'ip'),
  program('iptables', 'iptables'), program('conntrack', 'conntrack'), program('mount', 'mount'),
  { name: 'containernetworking-plugins', provides: 'CNI plugins', present: () => ['/usr/lib/cni', '/opt/cni/bin'].some((dir) => existsSync(join(dir, 'bridge'))) },
];

export function missingPackages(wanted: readonly SystemPackage[] = nodePackages): string[] {
  return wanted.filter((item) => !item.present()).map((item) => item.name);
}

/** Installs `names` with apt; a UserError holds the exact command where it can't. */
export async function installPackages(names: readonly string[]): Promise<void> {
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  if (findProgram('apt-get') === undefined) throw new UserError(`this node needs ${names.join(', ')}, and there is no apt-get to install them. Install them with the system's package manager, or run without containers: knarr up --runtime simulated`);
  if (process.getuid?.() !== 0) throw new UserError(`this node needs ${names.join(', ')}. Install them with: sudo ${command}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', PATH: `${process.env.PATH ?? ''}:${sbin.join(':')}` };
  const install = () => exec('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], { env, timeoutMs: 10 * 60_000 });
  try {
    await install().catch(async () => { // the package lists may be old or absent
      await exec('apt-get', ['update', '-q'], { env, timeoutMs: 5 * 60_000 });
      await install();
    });
  } catch (err) {
    const detail = err instanceof ExecError ? err.result.stderr.trim().split('\n').at(-1) : (err as Error).message;
    throw new UserError(`installing ${names.join(', ')} failed (${detail}). Try it by hand: ${command}`, { cause: err });
  }
}
