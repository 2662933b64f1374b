/** Child processes. Every run has a time limit and a bound on output, and dies with its signal. */
import { spawn } from 'node:child_process';

export interface ExecOptions {
  input?: string | Uint8Array;
  /** Default 30 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}
export interface ExecResult { code: number; stdout: string; stderr: string }

/** Most bytes kept of each output stream; more ends the process. */
const outputLimitBytes = 16 * 1024 * 1024;

export class ExecError extends Error {
  readonly command: string;
  readonly result: ExecResult;
  constructor(command: string, result: ExecResult) {
    super(`${command}: ${result.stderr.trim() || result.stdout.trim() || `exit code ${result.code}`}`);
    this.command = command;
    this.result = result;
  }
}

/** Runs to the end and returns code and output whatever the code. Throws when it can't start, times out or is aborted. */
export function tryExec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'], timeout: options.timeoutMs ?? 30_000, killSignal: 'SIGKILL',
      ...(options.signal ? { signal: options.signal } : {}), ...(options.env ? { env: options.env } : {}), ...(options.cwd ? { cwd: options.cwd } : {}),
    });
    const chunks: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    let size = 0;
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > outputLimitBytes) child.kill('SIGKILL'); else chunks[name].push(chunk);
      });
    }
    child.on('error', reject);
    child.stdin.on('error', () => {}); // the child may exit without reading
    child.stdin.end(options.input);
    child.on('close', (code, killedBy) => {
      const result = { code: code ?? -1, stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
      if (killedBy === 'SIGKILL' && code === null) reject(new Error(`${command} ${args.join(' ')}: killed after ${options.timeoutMs ?? 30_000} ms or too much output`));
      else resolve(result);
    });
  });
}

/** As `tryExec`, and throws `ExecError` for a non-zero exit code. */
export async function exec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const result = await tryExec(command, args, options);
  if (result.code !== 0) throw new ExecError(`${command} ${args.join(' ')}`, result);
  return result;
}
