/** Keeps a second process out of a data directory. The file holds the owner's pid and when that process started, so a reused pid is not taken for it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, sleep } from '../base/clock.ts';
import { processStartTime } from '../base/daemon.ts';
import { UserError } from '../base/user-error.ts';

/** Held by this process. */
const held = new Set<string>();

/** The process's start, with the boot's id; '' where there is no /proc. */
function startedAt(pid: number): string {
  const started = processStartTime(pid);
  return started === undefined ? '' : `${started}@${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
}

function isAlive(pid: number, started: string): boolean {
  if (started !== '') return startedAt(pid) === started; // a zombie has no start time: it holds nothing any more
  try { process.kill(pid, 0); return true; } catch (err) { return (err as NodeJS.ErrnoException).code === 'EPERM'; }
}

/** How long a dying owner gets: the kernel may take a while to tear down what a killed process had mapped. */
const waitForOwnerMs = 2_000;

/** As `tryLockFile`, giving an owner that is just ending the time to end. */
export async function takeLockFile(path: string, what: string, clock: Clock): Promise<() => void> {
  const deadline = clock.monotonic() + waitForOwnerMs;
  for (;;) {
    try { return tryLockFile(path, what); } catch (err) {
      if (!(err instanceof UserError) || clock.monotonic() >= deadline) throw err;
      await sleep(clock, 50); // nobody tells of the end of a process that is not our child
    }
  }
}

/** Takes the lock or throws one sentence that says who has it. Returns its release. */
function tryLockFile(path: string, what: string): () => void {
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
        throw new UserError(`${what} is in use by process ${pid}: stop that process or choose another directory`, { cause: err });
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
