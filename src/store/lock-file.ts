/** Keeps a second process out of a data directory. The file holds the owner's pid and when that process started, so a reused pid is not taken for it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Held by this process. */
const held = new Set<string>();

/** Field 22 of /proc/PID/stat, in clock ticks since boot, with the boot's id; '' where there is no /proc. */
function startedAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}@${boot}`;
  } catch { return ''; }
}

function isAlive(pid: number, started: string): boolean {
  try { process.kill(pid, 0); } catch (err) { if ((err as NodeJS.ErrnoException).code !== 'EPERM') return false; }
  const now = startedAt(pid);
  return started === '' || now === '' || now === started;
}

/** Takes the lock or throws one sentence that says who has it. Returns its release. */
export function takeLockFile(path: string, what: string): () => void {
  if (held.has(path)) throw new Error(`${what} is already open in this process`);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(path, `${process.pid} ${startedAt(process.pid)}\n`, { flag: 'wx', mode: 0o600 });
      break;
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw err;
      const [pid = '', started = ''] = readFileSync(path, 'utf8').trim().split(' ');
      if (Number(pid) > 0 && Number(pid) !== process.pid && isAlive(Number(pid), started)) {
        throw new Error(`${what} is in use by process ${pid}: stop that process or choose another directory`, { cause: err });
      }
      rmSync(path, { force: true }); // its owner is gone
    }
  }
  held.add(path);
  return () => {
    held.delete(path);
    rmSync(path, { force: true });
  };
}
