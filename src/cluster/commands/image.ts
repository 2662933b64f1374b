/** `knarr image load FILE…` and `knarr image list`: images on this node, without a registry. */
import { systemClock } from '../../base/clock.ts';
import { UserError } from '../../base/user-error.ts';
import { containerdAccess } from '../../kubelet/runtime/containerd.ts';
import { criRuntime } from '../../kubelet/runtime/cri.ts';
import { loadImageArchive } from '../../kubelet/runtime/images.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { clusterFlags, type Command, text } from '../main.ts';

export const command: Command = {
  summary: 'loads image archives (docker save, OCI) into the node, or lists what it has',
  operands: 'load FILE… | list',
  flags: { ...clusterFlags },
  async run(invocation) {
    const [verb, ...files] = invocation.operands;
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    if (verb !== 'load' && verb !== 'list') throw new UserError('say what to do with images: knarr image load FILE…, or knarr image list', { exitCode: 2 });
    if (verb === 'load' && files.length === 0) throw new UserError('say which archives to load: knarr image load FILE…', { exitCode: 2 });
    if (dir.settings().runtime === 'simulated') throw new UserError(`cluster "${dir.name}" has a simulated node: it needs no images, every name exists there.`);
    const containerd = await containerdAccess(dir.containerd);
    if (!containerd) throw new UserError(`cluster "${dir.name}" is not running. Start it with: knarr up`);
    if (verb === 'load') {
      for (const file of files) for (const name of await loadImageArchive(containerd, file)) console.log(`loaded ${name}`);
      return;
    }
    using runtime = criRuntime({ endpoint: containerd.endpoint, clock: systemClock });
    const images = (await runtime.images.list()).flatMap((image) => image.repoTags.map((name) => ({ name, bytes: image.sizeBytes })));
    console.log(`${'IMAGE'.padEnd(60)} SIZE`);
    for (const { name, bytes } of images.sort((a, b) => (a.name < b.name ? -1 : 1))) console.log(`${name.padEnd(60)} ${(bytes / 1e6).toFixed(1)} MB`);
  },
};
