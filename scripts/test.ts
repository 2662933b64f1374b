/**
 * `npm test`: unit, in-process and node tests. Files named `*.e2e.test.ts` start whole clusters and run one at a time after the
 * others. Closes with one line 'N passed, N failed', before it every skipped test with its reason. Arguments: file globs to run.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';

const root = join(import.meta.dirname, '..');
process.chdir(root);
const globs = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const files = globSync(globs.length > 0 ? globs : ['src/**/*.test.ts', 'bench/**/*.test.ts', 'scripts/**/*.test.ts']).sort();
const isEndToEnd = (file: string) => file.endsWith('.e2e.test.ts');

interface Failure { file: string; name: string; error: string }
let passed = 0;
const failures: Failure[] = [];
const skipped = new Map<string, string[]>();

/** The error as thrown, without node:test's wrapper. */
function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error ? cause.stack ?? cause.message : String(cause);
}

async function runFiles(batch: string[], concurrency: number): Promise<void> {
  if (batch.length === 0) return;
  const path: string[] = [];
  for await (const { type, data } of run({ files: batch, concurrency, timeout: 15 * 60_000 })) {
    if (type === 'test:start') path[data.nesting] = data.name;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    path[data.nesting] = data.name;
    const name = path.slice(0, data.nesting + 1).join(' > ');
    const file = data.file ? data.file.replace(`${root}/`, '') : '';
    if (type === 'test:fail') {
      const error = data.details.error as Error & { failureType?: string };
      if (error.failureType === 'subtestsFailed') continue;
      failures.push({ file, name, error: describe(error) });
      console.log(`FAIL  ${file} > ${name}\n${describe(error).replace(/^/gm, '      ')}`);
    } else if (data.skip !== undefined || data.todo !== undefined) {
      const reason = String(data.skip || data.todo);
      skipped.set(reason, [...skipped.get(reason) ?? [], `${file} > ${name}`]);
    } else if (data.details.type !== 'suite') {
      passed++;
      if (isEndToEnd(file)) console.log(`ok    ${name}  ${Math.round(data.details.duration_ms)} ms`);
    }
  }
}

await runFiles(files.filter((file) => !isEndToEnd(file)), 2);
await runFiles(files.filter(isEndToEnd), 1);

for (const [reason, names] of skipped) {
  console.log(`skipped, ${reason === 'true' ? 'no reason given' : reason}:`);
  for (const name of names) console.log(`      ${name}`);
}
if (failures.length > 0) console.log(`failed:\n${failures.map(({ file, name }) => `      ${file} > ${name}`).join('\n')}`);
const skippedCount = [...skipped.values()].flat().length;
console.log(`${passed} passed, ${failures.length} failed${skippedCount > 0 ? `, ${skippedCount} skipped` : ''}`);
process.exit(failures.length === 0 && passed > 0 ? 0 : 1);
