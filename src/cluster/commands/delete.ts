import { rmSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { kubeconfigPath, removeFromKubeconfig } from '../kubeconfig.ts';
import { withLock } from '../lock.ts';
import { clusterFlags, type Command, text } from '../main.ts';
import { releaseSlot } from '../slots.ts';
import { removeNodeTraces, stopCluster } from '../stop.ts';

export const command: Command = {
  summary: 'stops a cluster and removes everything it stored',
  flags: { ...clusterFlags, kubeconfig: { type: 'string', value: 'F', help: 'the file that holds the context (default $KUBECONFIG or ~/.kube/config)' } },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    const settings = dir.settings();
    await withLock(dir, async () => {
      await stopCluster(dir, systemClock);
      await removeNodeTraces(dir, systemClock);
      rmSync(dir.path, { recursive: true, force: true });
      releaseSlot(settings, dir);
      removeFromKubeconfig(kubeconfigPath(text(invocation, 'kubeconfig')), dir.name);
      console.log(`knarr: cluster "${dir.name}" is deleted.`);
    });
  },
};
