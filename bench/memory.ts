/**
 * What the server's memory grows to with a large cluster's objects: `node bench/memory.ts KUBECONFIG SERVER_PID [pods] [ConfigMaps]`.
 * Loads them through the API, lets the server rest, reads its resident memory, removes them.
 */
import { systemClock } from '../src/base/clock.ts';
import { configmaps, namespaces, pods, serviceaccounts } from '../src/api/resources.ts';
import { isNotFound } from '../src/api/meta/status.ts';
import { loadKubeconfig } from '../src/client/kubeconfig.ts';
import { createRestTransport } from '../src/client/rest.ts';
import { createClient } from '../src/client/typed-client.ts';
import { type Figure, printFigure, residentMb } from './figure.ts';
import { podBody } from './load.ts';

const namespace = 'bench-memory';
/** Requests under way at once. */
const parallel = 32;

export interface MemoryOptions { kubeconfig: string; serverPid: number; pods?: number; configMaps?: number; restMs?: number }

export async function benchMemory({ kubeconfig, serverPid, pods: podCount = 7_000, configMaps: configMapCount = 11_000, restMs = 10_000 }: MemoryOptions): Promise<Figure[]> {
  await using transport = createRestTransport({ ...loadKubeconfig(kubeconfig), userAgent: 'knarr-bench' });
  const client = createClient(transport);
  await client.for(namespaces).create({ metadata: { name: namespace } } as never);
  for (;;) { // a namespace takes pods once it has its service account
    try { await client.for(serviceaccounts).get({ namespace, name: 'default' }); break; } catch (err) { if (!isNotFound(err)) throw err; }
  }
  const times = async (count: number, make: (serial: number) => Promise<unknown>): Promise<void> => {
    let serial = 0;
    await Promise.all(Array.from({ length: parallel }, async () => { while (serial < count) await make(serial++); }));
  };
  try {
    await times(podCount, (serial) => client.for(pods).create(JSON.parse(podBody(serial)), { namespace }));
    await times(configMapCount, (serial) => client.for(configmaps).create({ metadata: { name: `load-${serial}` }, data: { key: 'x'.repeat(1024) } } as never, { namespace }));
    await new Promise<void>((resolve) => { systemClock.after(restMs, resolve); });
    const name = `resident memory of the server, ${podCount} pods and ${configMapCount} ConfigMaps`;
    return [{ name, value: residentMb(serverPid), unit: 'MB', ...(podCount === 7_000 && configMapCount === 11_000 ? { target: '< 400' } : {}) }];
  } finally {
    await client.for(pods).deleteCollection({ namespace, gracePeriodSeconds: 0 });
    await client.for(configmaps).deleteCollection({ namespace });
    await client.for(namespaces).delete({ name: namespace });
  }
}

if (import.meta.main) {
  const [kubeconfig, pid, podCount, configMapCount] = process.argv.slice(2);
  if (!kubeconfig || !pid) { console.error('usage: memory.ts KUBECONFIG SERVER_PID [pods] [ConfigMaps]'); process.exit(2); }
  for (const figure of await benchMemory({ kubeconfig, serverPid: Number(pid), ...(podCount ? { pods: Number(podCount) } : {}), ...(configMapCount ? { configMaps: Number(configMapCount) } : {}) })) printFigure(figure);
}
