/** A whole apiserver for tests: real registry, admission and watch over the memory store, no sockets. Objects it hands out are frozen. */
import { systemClock, type Clock } from '../base/clock.ts';
import { seededRng, type Rng } from '../base/rng.ts';
import type { Client } from '../client/client.ts';
import { createApiServer, type ApiServer, type ApiServerConfig } from '../apiserver/server.ts';
import type { UserInfo } from '../apiserver/types.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { settle as turns } from './fake-clock.ts';

export interface TestApiServer extends AsyncDisposable {
  /** Default user: a member of system:masters. */
  client(user?: UserInfo): Client;
  server: ApiServer;
  store: Store;
  /** Lets everything under way run until the store is quiet. */
  settle(): Promise<void>;
}

export const testAdmin: UserInfo = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

/** `security`, `entries` and the rest pass through to `createApiServer`; by default all is allowed and no admission plugin runs. */
export async function startApiServer(options: { clock?: Clock; rng?: Rng } & Partial<Omit<ApiServerConfig, 'store' | 'clock' | 'rng'>> & { store?: Store } = {}): Promise<TestApiServer> {
  const { clock = systemClock, rng = seededRng(1), store = createMemoryStore(), ...rest } = options;
  const server = createApiServer({ freeze: true, ...rest, store, clock, rng });
  await server.ready;
  return {
    client: (user = testAdmin) => server.client(user),
    server, store,
    async settle() {
      for (;;) {
        const before = await store.revision();
        await turns(10);
        if (await store.revision() === before) return;
      }
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await store[Symbol.asyncDispose]();
    },
  };
}
