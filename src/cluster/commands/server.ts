/** `knarr server`: the control plane in the foreground. */
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { systemRng } from '../../base/rng.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { foreground } from '../foreground.ts';
import { clusterFlags, type Command, text } from '../main.ts';

export const command: Command = {
  summary: 'runs the control plane (API server, controllers, scheduler, store) in the foreground',
  flags: { ...clusterFlags, v: { type: 'string', short: 'v', value: 'LEVEL', help: 'log level: 2 info, 4 debug, 6 trace' } },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    const settings = dir.settings();
    await foreground(dir, 'server', text(invocation, 'v'), async (signal, level) => {
      const { runServer } = await import('../server.ts');
      await runServer({ dir, settings, clock: systemClock, rng: systemRng, log: (component) => createLogger(component, { level }), signal });
    });
  },
};
