/** The `knarr` command: finds the subcommand and loads only what it needs. `commands/<name>.ts` each say their own flags. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { UserError } from '../base/user-error.ts';

/** One subcommand, as data: help and completion are made from it. */
export interface Command {
  summary: string;
  /** What follows the flags: 'FILE…'. */
  operands?: string;
  flags: Record<string, Flag>;
  run(invocation: Invocation): Promise<number | void>;
}
export interface Flag { type: 'string' | 'boolean'; short?: string; value?: string; help: string }
export interface Invocation { flags: Record<string, string | boolean | undefined>; operands: string[] }

/** Flags that every command on a cluster takes. */
export const clusterFlags = {
  name: { type: 'string', value: 'N', help: 'the cluster\'s name (default knarr)' },
  'data-dir': { type: 'string', value: 'D', help: 'folder that holds clusters (default /var/lib/knarr, or ~/.local/share/knarr without root)' },
} satisfies Record<string, Flag>;

export const commands: Record<string, () => Promise<{ command: Command }>> = {
  up: () => import('./commands/up.ts'),
  down: () => import('./commands/down.ts'),
  delete: () => import('./commands/delete.ts'),
  status: () => import('./commands/status.ts'),
  logs: () => import('./commands/logs.ts'),
  image: () => import('./commands/image.ts'),
  server: () => import('./commands/server.ts'),
  agent: () => import('./commands/agent.ts'),
  completion: () => import('./commands/completion.ts'),
  version: () => import('./commands/version.ts'),
  help: () => import('./commands/help.ts'),
};

export async function main(argv: readonly string[]): Promise<number> {
  const [first = 'help', ...rest] = argv;
  const name = { '--help': 'help', '-h': 'help', '--version': 'version' }[first] ?? first;
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!load) throw new UserError(`there is no command "${name}". See: knarr help`, { exitCode: 2 });
  if (rest.includes('--help') || rest.includes('-h')) return main(['help', name]);
  const { command } = await load();
  const options: ParseArgsOptionsConfig = Object.fromEntries(Object.entries(command.flags).map(([flag, { type, short }]) => [flag, short ? { type, short } : { type }]));
  let parsed: Invocation;
  try {
    const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true, strict: true });
    parsed = { flags: values as Invocation['flags'], operands: positionals };
  } catch (err) { throw new UserError(`${(err as Error).message.split('. ')[0]}. See: knarr help ${name}`, { exitCode: 2 }); }
  if (!command.operands && parsed.operands.length > 0) throw new UserError(`knarr ${name} takes no "${parsed.operands[0]}". See: knarr help ${name}`, { exitCode: 2 });
  return await command.run(parsed) ?? 0;
}

/** A flag's text, if given. */
export function text(invocation: Invocation, flag: string): string | undefined {
  const value = invocation.flags[flag];
  return typeof value === 'string' ? value : undefined;
}

/** A flag that must be a port number, if given. */
export function port(invocation: Invocation, flag: string): number | undefined {
  const value = text(invocation, flag);
  if (value === undefined) return undefined;
  if (!/^\d{1,5}$/.test(value) || Number(value) < 1 || Number(value) > 65535) throw new UserError(`--${flag} ${value}: a port is a number from 1 to 65535.`, { exitCode: 2 });
  return Number(value);
}
