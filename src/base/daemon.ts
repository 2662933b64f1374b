/**
 * Background processes that outlive their starter: started in a session of their own, remembered by a pid file that also holds the
 * process's start time, so that a reused pid is never mistaken for ours.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, sleep } from './clock.ts';

export interface DaemonOptions {
  command: string;
  args: readonly string[];
  pidFile: string;
  /** Standard output and error are appended here (mode 0600). */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

/** Starts it detached and writes the pid file. Returns the pid; throws when the command can't be started. */
export async function startDaemon(options: DaemonOptions): Promise<number> {
  mkdirSync(dirname(options.logFile), { recursive: true, mode: 0o700 });
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    const child = spawn(options.command, options.args, { detached: true, stdio: ['ignore', log, log], env: options.env ?? process.env, cwd: options.cwd ?? '/' });
    await new Promise<void>((resolve, reject) => { child.once('spawn', resolve); child.once('error', reject); });
    child.unref();
    writePidFile(options.pidFile, child.pid!);
    return child.pid!;
  } finally { closeSync(log); }
}

/** Remembers process `pid` in `file`, atomically. */
export function writePidFile(file: string, pid: number): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${pid} ${processStartTime(pid) ?? ''}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The pid in the file if that very process is still running. */
export function runningPid(pidFile: string): number | undefined {
  let text: string;
  try { text = readFileSync(pidFile, 'utf8'); } catch { return undefined; }
  const [pid, started] = text.trim().split(' ');
  if (!pid) return undefined;
  if (process.platform === 'linux') return processStartTime(Number(pid)) === started && started !== undefined ? Number(pid) : undefined;
  try { process.kill(Number(pid), 0); return Number(pid); } catch { return undefined; }
}

/** Sends SIGTERM, then SIGKILL after `graceMs`; resolves when the process is gone. True if it was running. */
export async function stopDaemon(pidFile: string, clock: Clock, graceMs = 10_000): Promise<boolean> {
  const pid = runningPid(pidFile);
  if (pid === undefined) { rmSync(pidFile, { force: true }); return false; }
  const deadline = clock.monotonic() + graceMs;
  let signal: NodeJS.Signals = 'SIGTERM';
  while (runningPid(pidFile) !== undefined) {
    if (signal === 'SIGTERM') { tryKill(pid, signal); signal = 'SIGCONT'; }
    if (clock.monotonic() >= deadline) tryKill(pid, 'SIGKILL');
    await sleep(clock, 20); // no event tells of the end of a process that is not our child
  }
  rmSync(pidFile, { force: true });
  return true;
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try { process.kill(pid, signal); } catch (err) { if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err; }
}

/** Field 22 of /proc/PID/stat: start time in clock ticks since boot; undefined for a process that is gone or a zombie, or without /proc. */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch { return undefined; }
}
