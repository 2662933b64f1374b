/** `knarr status`: what runs, what does not, and what to do about it. Exit code 0 when all is well, 1 otherwise. */
import { runningPid } from '../../base/daemon.ts';
import { nodes, pods } from '../../api/resources.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { clusterFlags, type Command, text } from '../main.ts';
import { adminClient, isReady, serverIsReady } from '../wait.ts';

export const command: Command = {
  summary: 'tells what runs and whether it is well',
  flags: { ...clusterFlags },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    const settings = dir.settings();
    const line = (label: string, value: string) => console.log(`${label.padEnd(10)}${value}`);
    line('cluster', `${dir.name} in ${dir.path}`);
    const pids = { server: runningPid(dir.pidFile('server')), agent: runningPid(dir.pidFile('agent')) };
    const ready = pids.server !== undefined && await serverIsReady(dir);
    line('server', pids.server === undefined ? 'not running; start it with: knarr up' : `pid ${pids.server}, https://127.0.0.1:${settings.port} ${ready ? 'is ready' : 'does not answer; see: knarr logs server'}`);
    line('agent', pids.agent === undefined ? 'not running; start it with: knarr up' : `pid ${pids.agent}, runtime ${settings.runtime}`);
    if (!ready) return 1;
    await using client = adminClient(dir);
    const [{ items: allNodes }, { items: allPods }] = await Promise.all([client.for(nodes).list(), client.for(pods).list()]);
    for (const node of allNodes) line('node', `${node.metadata.name} is ${isReady(node) ? 'Ready' : 'NotReady'}`);
    line('pods', `${allPods.filter((pod) => pod.status?.phase === 'Running').length} running of ${allPods.length}`);
    return pids.agent !== undefined && allNodes.length > 0 && allNodes.every(isReady) ? 0 : 1;
  },
};
