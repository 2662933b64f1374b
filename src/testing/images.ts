/** Images for tests, made from the machine's own static busybox (Debian: busybox-static), so that no test needs a registry. */
import { readFileSync } from 'node:fs';
import { goArchitecture, ociArchive, type TarEntry } from '../kubelet/runtime/oci-archive.ts';

const applets = ['sh', 'sleep', 'ls', 'cat', 'wget', 'httpd', 'nslookup', 'ip', 'echo', 'ps', 'mount', 'env', 'id', 'touch', 'rm', 'mkdir', 'date', 'hostname', 'nc', 'kill',
  'true', 'false', 'test', 'grep', 'sed', 'head', 'tail', 'wc', 'stat', 'df', 'dd', 'sync', 'printf', 'seq', 'tar', 'vi', 'find', 'chmod', 'sort', 'cut', 'tr', 'od', 'md5sum',
  'stty', 'tty', 'pwd', 'trap', 'usleep'];

export interface TestImage {
  /** Full: `docker.io/library/hello:v1`. Several names for the same image are fine. */
  name: string | readonly string[];
  /** Path (without a leading slash) to content. Folders appear by themselves. */
  files?: Readonly<Record<string, string | Buffer>>;
  /** Default: the machine's own, which must be static then. */
  busybox?: Buffer;
  cmd?: readonly string[];
  entrypoint?: readonly string[];
  /** `NAME=value`. */
  env?: readonly string[];
  /** Default root. */
  user?: string;
  workingDir?: string;
  exposedPorts?: readonly string[];
}

/** An OCI archive for `knarr image load` or `loadImageArchive`. Throws when the machine has no busybox. */
export function buildImageArchive(image: TestImage): Buffer {
  const folders = new Set(['bin', 'tmp', 'etc']);
  for (const path of Object.keys(image.files ?? {})) for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) folders.add(path.slice(0, at));
  const files: TarEntry[] = [
    ...[...folders].sort().map((path): TarEntry => ({ path, type: 'folder', mode: path === 'tmp' ? 0o1777 : 0o755 })),
    { path: 'bin/busybox', type: 'file', body: image.busybox ?? readFileSync('/bin/busybox'), mode: 0o755 },
    { path: 'etc/passwd', type: 'file', body: 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n', mode: 0o644 },
    ...applets.map((name): TarEntry => ({ path: `bin/${name}`, type: 'link', target: 'busybox' })),
    ...Object.entries(image.files ?? {}).map(([path, body]): TarEntry => ({ path, type: 'file', body, mode: 0o755 })),
  ];
  return ociArchive({ names: typeof image.name === 'string' ? [image.name] : image.name, files, architecture: goArchitecture, config: {
    Env: ['PATH=/bin', ...image.env ?? []], Cmd: image.cmd ?? ['sh'], ...(image.entrypoint ? { Entrypoint: image.entrypoint } : {}), ...(image.user ? { User: image.user } : {}),
    ...(image.workingDir ? { WorkingDir: image.workingDir } : {}), ExposedPorts: Object.fromEntries((image.exposedPorts ?? []).map((port) => [port, {}])),
  } });
}
