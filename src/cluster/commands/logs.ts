/** `knarr logs [component] [-f]`: the server's and the agent's logs, each a file; parts of a process are told apart by `component`. */
import { createReadStream, existsSync, statSync, watch } from 'node:fs';
import { createInterface } from 'node:readline';
import { UserError } from '../../base/user-error.ts';
import { containerdPaths } from '../../kubelet/runtime/containerd.ts';
import { ClusterDir } from '../cluster-dir.ts';
import { clusterFlags, type Command, text } from '../main.ts';

/** The process whose log file holds a component's lines. */
const processes: Record<string, 'server' | 'agent' | 'containerd'> = {
  server: 'server', store: 'server', apiserver: 'server', controllers: 'server', scheduler: 'server',
  agent: 'agent', kubelet: 'agent', proxy: 'agent', dns: 'agent', network: 'agent', containerd: 'containerd',
};

export const command: Command = {
  summary: 'prints the logs of the server, the agent or one component',
  operands: '[COMPONENT]',
  flags: { ...clusterFlags, follow: { type: 'boolean', short: 'f', help: 'go on printing as lines are written' } },
  async run(invocation) {
    const dir = new ClusterDir({ name: text(invocation, 'name'), dataDir: text(invocation, 'data-dir') });
    dir.settings();
    const [component] = invocation.operands;
    if (component !== undefined && !(component in processes)) throw new UserError(`there is no component "${component}". Choose one of: ${Object.keys(processes).join(', ')}`, { exitCode: 2 });
    const names = component === undefined ? ['server', 'agent'] : [processes[component]!];
    const filter = component !== undefined && component !== processes[component] ? `"component":"${component}` : '';
    await Promise.all(names.map((name) => print(name === 'containerd' ? containerdPaths(dir.containerd).logFile : dir.logFile(name), filter, invocation.flags.follow === true)));
  },
};

async function print(file: string, filter: string, follow: boolean): Promise<void> {
  let offset = 0;
  const printNew = async () => {
    if (!existsSync(file)) return;
    const { size } = statSync(file);
    if (size < offset) offset = 0; // truncated or replaced
    if (size === offset) return;
    const lines = createInterface({ input: createReadStream(file, { start: offset, end: size - 1 }) });
    offset = size;
    for await (const line of lines) if (line.includes(filter)) process.stdout.write(`${line}\n`);
  };
  await printNew();
  if (!follow) return;
  let turn = Promise.resolve();
  const watcher = watch(file, () => { turn = turn.then(printNew); });
  await new Promise((resolve) => { process.once('SIGINT', resolve); process.once('SIGTERM', resolve); });
  watcher.close();
}
