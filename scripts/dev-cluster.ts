/** What `npm run dev` runs and restarts: a cluster on port 7443 whose objects live as long as the process. */
import { createLogger } from '../src/base/log.ts';
import { startCluster } from '../src/cluster/index.ts';

const nodes = Number(process.argv[2] ?? 3);
const started = performance.now();
const cluster = await startCluster({ nodes, port: 7443, log: (component) => createLogger(component, { level: process.env.LOG_LEVEL ?? 'warn' }) });
console.log(`knarr dev: ${nodes} simulated nodes after ${Math.round(performance.now() - started)} ms. Use it with: export KUBECONFIG=${cluster.kubeconfig}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { void cluster[Symbol.asyncDispose]().then(() => process.exit(0)); });
