/** The Linux machine: files, mounts and facts. Mounts go through mount(8) and umount(8); everything else is plain file access. */
import { chmod, chown, lchown, lstat, mkdir, open, readFile, readdir, readlink, realpath, rm, stat, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { exec, tryExec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import { writeAtomically } from './atomic-writer.ts';
import { type CgroupDriver, createPodCgroups } from './cgroups.ts';
import type { Host, HostFileType, MachineInfo } from './host.ts';

const ownerAndGroup = 0o660;
const groupReadOnly = 0o440;
const folderGroupBits = 0o2110;

/** Mount points at or below `path`, innermost first. */
async function mountsBelow(path: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const points = text.split('\n').map((line) => line.split(' ')[4] ?? '').map((point) => point.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8))));
  return points.filter((point) => point === path || point.startsWith(`${path}/`)).sort((a, b) => b.length - a.length);
}
const quiet = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).trim();

export function linuxHost(options: { rootDir: string; clock: Clock; log: Logger; cgroupDriver: CgroupDriver; cgroupRoot: string }): Host {
  const { rootDir, clock, log } = options;
  const cgroups = createPodCgroups({ driver: options.cgroupDriver, cgroupRoot: options.cgroupRoot, log });
  let versions = 0;
  let facts: Promise<Omit<MachineInfo, 'nodeFs'>> | undefined;

  async function readFacts(): Promise<Omit<MachineInfo, 'nodeFs'>> {
    const [release, machineID, systemUUID, bootID, meminfo, pidMax] = await Promise.all([quiet('/etc/os-release'), quiet('/etc/machine-id'), quiet('/sys/class/dmi/id/product_uuid'), quiet('/proc/sys/kernel/random/boot_id'), quiet('/proc/meminfo'), quiet('/proc/sys/kernel/pid_max')]);
    const addresses = Object.values(os.networkInterfaces()).flatMap((list) => list ?? []).filter((item) => !item.internal && item.family === 'IPv4').map(({ address }) => address);
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
    return {
      cpus: os.cpus().length || 1, memoryBytes: kib('MemTotal') * 1024 || os.totalmem(), kernelVersion: os.release(), osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(release)?.[1] ?? 'Linux', architecture: os.arch(),
      machineID, systemUUID: systemUUID || machineID, bootID, hostname: os.hostname().toLowerCase(), addresses: addresses.length > 0 ? addresses : ['127.0.0.1'], swapBytes: kib('SwapTotal') * 1024, pidMax: Number(pidMax) || 32_768,
    };
  }

  async function setGroup(path: string, group: number, readOnly: boolean): Promise<void> {
    const info = await lstat(path);
    if (info.isSymbolicLink()) { await lchown(path, info.uid, group); return; }
    await chown(path, info.uid, group);
    const extra = readOnly ? groupReadOnly : ownerAndGroup;
    await chmod(path, (info.mode & 0o7777) | extra | (info.isDirectory() ? folderGroupBits : 0));
    if (info.isDirectory()) for (const name of await readdir(path)) await setGroup(join(path, name), group, readOnly);
  }

  const host: Host = {
    simulated: false,
    async machine() {
      const [known, fs] = await Promise.all([facts ??= readFacts(), statfs(rootDir).catch(() => statfs('/'))]);
      return { ...known, nodeFs: { capacityBytes: fs.blocks * fs.bsize, availableBytes: fs.bavail * fs.bsize, inodes: fs.files, inodesFree: fs.ffree } };
    },
    async makeDir(path, mode) {
      const created = await mkdir(path, { recursive: true });
      if (created !== undefined && mode !== undefined) await chmod(path, mode);
    },
    async writeFile(path, data, mode) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, data);
      if (mode !== undefined) await chmod(path, mode);
    },
    async readFile(path, limitBytes) {
      try {
        if (limitBytes === undefined) return await readFile(path, 'utf8');
        await using file = await open(path, 'r');
        const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Math.min(limitBytes, (await file.stat()).size || limitBytes)), position: 0 });
        return buffer.subarray(0, bytesRead).toString();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async readTail(path, limitBytes) {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      const from = Math.max(0, size - limitBytes);
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Math.min(size, limitBytes)), position: from });
      const text = buffer.subarray(0, bytesRead).toString();
      return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
    },
    async fileType(path) {
      const info = await stat(path).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined; throw error; });
      if (!info) return undefined;
      const kinds: [boolean, HostFileType][] = [[info.isDirectory(), 'directory'], [info.isSocket(), 'socket'], [info.isCharacterDevice(), 'char'], [info.isBlockDevice(), 'block']];
      return kinds.find(([is]) => is)?.[1] ?? 'file';
    },
    async listDir(path) { return readdir(path).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return []; throw error; }); },
    async diskUsage(path) {
      const { code, stdout } = await tryExec('du', ['-skx', path]);
      const kib = Number.parseInt(stdout, 10);
      // What vanishes meanwhile makes du complain; its sum still counts.
      return Number.isNaN(kib) ? (code === 0 ? 0 : undefined) : kib * 1024;
    },
    async removeTree(path) {
      if (!(await lstat(path).catch(() => undefined))) return;
      for (const point of await mountsBelow(path)) {
        const result = await tryExec('umount', [point]);
        if (result.code !== 0) await exec('umount', ['-l', point]);
      }
      // A mount that is still there holds somebody's data: never delete through it.
      const left = await mountsBelow(path);
      if (left.length > 0) throw new Error(`${path}: still mounted: ${left.join(', ')}`);
      await rm(path, { recursive: true, force: true });
    },
    async writePayload(dir, payload, fsGroup) {
      const stampName = `..${new Date(clock.now()).toISOString().slice(0, 19).replace(/[-:]/g, '_').replace('T', '_')}.${process.pid}${versions++}`;
      if (fsGroup !== undefined) { await chown(dir, 0, fsGroup); await chmod(dir, 0o2777); }
      return writeAtomically(dir, payload, stampName, fsGroup);
    },
    async mountTmpfs(path, sizeBytes) {
      if ((await mountsBelow(path)).includes(path)) return;
      await exec('mount', ['-t', 'tmpfs', '-o', `rw${sizeBytes === undefined ? '' : `,size=${sizeBytes}`}`, 'tmpfs', path]);
      await chmod(path, 0o777);
    },
    async setGroup(path, group, { readOnly, onlyRootMismatch }) {
      const info = await stat(path);
      if (onlyRootMismatch && info.gid === group && (info.mode & 0o2060) === 0o2060) return;
      await setGroup(path, group, readOnly);
    },
    async subPath(volume, sub, { bindTarget, create }) {
      const base = await realpath(volume);
      let at = base;
      const parts = sub.split('/').filter((part) => part !== '' && part !== '.');
      for (const part of parts) {
        const next = join(at, part);
        const found = await lstat(next).catch(() => undefined);
        if (!found) {
          if (!create) throw new Error(`failed to create subPath directory for volumeMount: ${sub} does not exist`);
          const { mode, gid } = await stat(at);
          await mkdir(next);
          // As open as the volume itself, whatever the umask: containers write here.
          await chown(next, 0, gid);
          await chmod(next, mode & 0o7777);
        }
        at = await realpath(next);
        if (at !== base && !at.startsWith(`${base}/`)) throw new Error(`subpath "${sub}" not within volume path "${volume}"`);
      }
      // Bind what was checked, through an open handle, so that no later swap of a link leads elsewhere.
      await using handle = await open(at, 'r');
      const seen = await readlink(`/proc/self/fd/${handle.fd}`);
      if (seen !== base && !seen.startsWith(`${base}/`)) throw new Error(`subpath "${sub}" not within volume path "${volume}"`);
      if ((await mountsBelow(bindTarget)).includes(bindTarget)) await tryExec('umount', ['-l', bindTarget]);
      await mkdir(dirname(bindTarget), { recursive: true });
      if ((await handle.stat()).isDirectory()) await mkdir(bindTarget, { recursive: true }); else await writeFile(bindTarget, '');
      await exec('mount', ['--no-canonicalize', '--bind', `/proc/${process.pid}/fd/${handle.fd}`, bindTarget]);
      return bindTarget;
    },
    ensurePodCgroup: (uid, qos, limits) => cgroups.ensure(uid, qos, limits),
    removePodCgroup: (uid, qos) => cgroups.remove(uid, qos),
  };
  return host;
}
