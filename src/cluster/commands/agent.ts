/** `knarr agent`: the node's part of a cluster, in the foreground. */
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { systemRng } from '../../base/rng.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { foreground } from '../foreground.ts';
import { clusterFlags, type Command, text } from '../main.ts';

export const command: Command = {
  summary: 'runs the node agent (kubelet, proxy, network, DNS) in the foreground',
  flags: { ...clusterFlags, v: { type: 'string', short: 'v', value: 'LEVEL', help: 'log level: 2 info, 4 debug, 6 trace' } },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    const settings = dir.settings();
    await foreground(dir, 'agent', text(invocation, 'v'), async (signal, level) => {
      const { runAgent } = await import('../agent.ts');
      await runAgent({ dir, settings, clock: systemClock, rng: systemRng, log: (component) => createLogger(component, { level }), signal });
    });
  },
};
