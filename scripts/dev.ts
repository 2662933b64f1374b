/** `npm run dev [-- NODES]`: a cluster with simulated nodes in one process, started again whenever a source file changes. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const child = spawn(process.execPath, ['--watch', '--watch-preserve-output', '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'dev-cluster.ts'), ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 0));
