/**
 * The images of the end-to-end tests: Debian's dynamic busybox with the libraries it loads (the static one crashes on host name
 * look-ups), and two that serve a page on port 8080.
 */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec } from '../../base/exec.ts';
import { buildImageArchive } from '../images.ts';

export interface TestImages extends AsyncDisposable { files: string[] }

const serve = ['sh', '-c', 'trap "kill $!; exit 0" TERM; httpd -f -p 8080 -h /www & wait $!'];

export async function writeTestImages(): Promise<TestImages> {
  const dir = mkdtempSync(join(tmpdir(), 'knarr-images-'));
  const busybox = await dynamicBusybox(dir);
  const write = (file: string, names: string[], cmd?: string[], page?: string) => {
    writeFileSync(join(dir, file), buildImageArchive({ name: names, ...(cmd ? { cmd } : {}), ...busybox, files: { ...busybox.files, ...(page ? { 'www/index.html': page } : {}) } }));
    return join(dir, file);
  };
  return {
    files: [
      write('busybox.tar', ['docker.io/library/busybox:1.35']),
      write('hello-v1.tar', ['docker.io/library/hello-world:latest', 'docker.io/library/hello-world:v1'], serve, '<h1>Hello World!</h1>\n'),
      write('hello-v2.tar', ['docker.io/library/hello-world:v2'], serve, '<h1>Hello again!</h1>\n'),
    ],
    [Symbol.asyncDispose]: () => { rmSync(dir, { recursive: true }); return Promise.resolve(); },
  };
}

/** From Debian's package, unpacked but not installed (it conflicts with busybox-static). */
async function dynamicBusybox(dir: string): Promise<{ busybox: Buffer; files: Record<string, Buffer> }> {
  await exec('apt-get', ['download', '-q', 'busybox'], { cwd: dir, timeoutMs: 120_000 });
  const archive = readdirSync(dir).find((file) => file.endsWith('.deb'))!;
  await exec('dpkg', ['-x', archive, 'unpacked'], { cwd: dir });
  const program = join(dir, 'unpacked/bin/busybox');
  const libraries = (await exec('ldd', [program])).stdout.match(/\/\S+(?= \(0x)/g) ?? [];
  return { busybox: readFileSync(program), files: Object.fromEntries(libraries.map((library) => [library.slice(1), readFileSync(realpathSync(library))])) };
}
