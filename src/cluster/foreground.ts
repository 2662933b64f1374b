/** What `server` and `agent` share: one process per cluster and role, ended politely by SIGTERM or SIGINT. */
import { runningPid, writePidFile } from '../base/daemon.ts';
import { UserError } from '../base/user-error.ts';
import type { ClusterDir } from './cluster-dir.ts';

/** `-v` as upstream's components count it. */
function levelOf(v: string | undefined): string {
  const number = Number(v ?? 2);
  if (!Number.isInteger(number) || number < 0) throw new UserError(`-v ${v}: a log level is a number: 2 info, 4 debug, 6 trace.`, { exitCode: 2 });
  return number >= 6 ? 'trace' : number >= 4 ? 'debug' : 'info';
}

export async function foreground(dir: ClusterDir, role: 'server' | 'agent', v: string | undefined, run: (signal: AbortSignal, level: string) => Promise<void>): Promise<void> {
  const level = levelOf(v);
  const other = runningPid(dir.pidFile(role));
  if (other !== undefined && other !== process.pid) throw new UserError(`the ${role} of cluster "${dir.name}" is running already (pid ${other}). Stop it with: knarr down`);
  writePidFile(dir.pidFile(role), process.pid);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try { await run(stop.signal, level); } catch (err) { if (!stop.signal.aborted) throw err; }
}
