/** `npm run build`: bundles our source into dist/ (dependencies stay packages) and writes the declarations of the package's exports. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
rmSync(join(root, 'dist'), { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root, entryPoints: { knarr: 'src/cluster/knarr.ts', index: 'src/cluster/index.ts' }, outdir: 'dist',
  bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node24', packages: 'external', sourcemap: true, metafile: true, logLevel: 'warning',
});
execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
const bytes = Object.entries(metafile.outputs).filter(([file]) => file.endsWith('.js')).reduce((sum, [, output]) => sum + output.bytes, 0);
console.log(`dist: ${Object.keys(metafile.inputs).length} source files, ${Math.round(bytes / 1024)} KiB`);
