#!/usr/bin/env node
/** Entry point of the `knarr` program: runs `main` and turns its outcome into an exit code. */
import { UserError } from '../base/user-error.ts';
import { main } from './main.ts';

process.stdout.on('error', (err: NodeJS.ErrnoException) => { if (err.code === 'EPIPE') process.exit(0); throw err; });
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (err) {
  if (!(err instanceof UserError)) throw err;
  process.stderr.write(`knarr: ${err.message}\n`);
  process.exitCode = err.exitCode;
}
