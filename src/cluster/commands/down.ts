import { systemClock } from '../../base/clock.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { withLock } from '../lock.ts';
import { clusterFlags, type Command, text } from '../main.ts';
import { stopCluster } from '../stop.ts';

export const command: Command = {
  summary: 'stops a cluster and its containers; everything stored stays',
  flags: { ...clusterFlags },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    dir.settings();
    await withLock(dir, async () => {
      const stopped = await stopCluster(dir, systemClock);
      console.log(stopped ? `knarr: cluster "${dir.name}" is stopped. Start it again with: knarr up` : `knarr: cluster "${dir.name}" was not running.`);
    });
  },
};
