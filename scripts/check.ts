/** `npm run check`: types, lint, generated files, layers. All at once; prints what fails and one closing line. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string) => join(root, 'node_modules/.bin', name);
const checks: Record<string, [string, ...string[]]> = {
  types: [bin('tsc'), '-p', '.'],
  lint: [bin('oxlint'), '--deny-warnings', 'src', 'scripts', 'bench'],
  'generated types': [process.execPath, 'scripts/generate-types.ts', '--check'],
  layers: [process.execPath, '--test', '--test-reporter=dot', 'src/layers.test.ts'],
};

const results = await Promise.all(Object.entries(checks).map(([name, [command, ...args]]) => new Promise<boolean>((resolve) => {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
  child.on('close', (code) => {
    console.log(`${code === 0 ? 'ok  ' : 'FAIL'}  ${name}`);
    if (code !== 0) console.log(Buffer.concat(output).toString().replace(/^/gm, '      '));
    resolve(code === 0);
  });
})));
process.exit(results.every(Boolean) ? 0 : 1);
