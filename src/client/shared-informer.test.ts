import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRng } from '../base/rng.ts';
import { silentLogger } from '../base/log.ts';
import { configmaps } from '../api/resources.ts';
import type { ConfigMap } from '../api/core/v1.ts';
import { expired } from '../api/meta/status.ts';
import { FakeClock, settle } from '../testing/fake-clock.ts';
import type { Transport, TransportRequest, WatchEvent } from './client.ts';
import { createClient } from './typed-client.ts';
import { createInformerFactory } from './shared-informer.ts';

const configMap = (name: string, resourceVersion: string, labels: Record<string, string> = {}): ConfigMap =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', resourceVersion, labels } });

/** Answers lists from `items`; each watch is a script that tests push into. */
class FakeTransport implements Transport {
  items: ConfigMap[] = [];
  resourceVersion = '1';
  lists: TransportRequest[] = [];
  watches: TransportRequest[] = [];
  failList: Error | undefined;
  #push: ((event: WatchEvent<unknown> | 'end' | Error) => void) | undefined;
  async request(request: TransportRequest) {
    this.lists.push(request);
    if (this.failList) throw this.failList;
    return { metadata: { resourceVersion: this.resourceVersion }, items: this.items } as never;
  }
  async *watch(request: TransportRequest): AsyncIterable<WatchEvent<unknown>> {
    this.watches.push(request);
    for (;;) {
      const next = await new Promise<WatchEvent<unknown> | 'end' | Error>((resolve, reject) => {
        this.#push = resolve;
        request.signal?.addEventListener('abort', () => reject(request.signal!.reason as Error));
      });
      if (next === 'end') return;
      if (next instanceof Error) throw next;
      yield next;
    }
  }
  async push(event: WatchEvent<unknown> | 'end' | Error) { this.#push?.(event); await settle(); }
}

function setup() {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const factory = createInformerFactory(createClient(transport), { clock, rng: seededRng(1), log: silentLogger });
  const informer = factory.informer(configmaps);
  const seen: string[] = [];
  informer.addIndex('app', (object) => (object.metadata.labels?.app ? [object.metadata.labels.app] : []));
  informer.addHandler({
    onAdd: (object, initial) => seen.push(`add ${object.metadata.name}${initial ? ' initial' : ''}`),
    onUpdate: (old, next) => seen.push(`update ${next.metadata.name} ${old.metadata.resourceVersion}->${next.metadata.resourceVersion}`),
    onDelete: (object) => seen.push(`delete ${object.metadata.name}`),
  });
  return { transport, clock, factory, informer, seen };
}

test('lists, then follows the watch; indexes stay current', async () => {
  const { transport, factory, informer, seen } = setup();
  await using _ = factory;
  transport.items = [configMap('a', '1', { app: 'x' })];
  await informer.synced();
  await settle();
  await transport.push({ type: 'ADDED', object: configMap('b', '2', { app: 'x' }) });
  await transport.push({ type: 'MODIFIED', object: configMap('a', '3', { app: 'y' }) });
  assert.deepEqual(informer.byIndex('app', 'x').map((object) => object.metadata.name), ['b']);
  assert.deepEqual(informer.byIndex('app', 'y').map((object) => object.metadata.name), ['a']);
  await transport.push({ type: 'DELETED', object: configMap('b', '4') });
  assert.deepEqual(seen, ['add a initial', 'add b', 'update a 1->3', 'delete b']);
  assert.deepEqual(informer.byIndex('app', 'x'), []);
  assert.equal(informer.list('default').length, 1);
  assert.equal(informer.list('other').length, 0);
  assert.equal(informer.get('default/a')!.metadata.resourceVersion, '3');
});

test('a watch that ends is resumed from the last version, bookmarks included, without listing', async () => {
  const { transport, factory, informer } = setup();
  await using _ = factory;
  await informer.synced();
  await settle();
  await transport.push({ type: 'ADDED', object: configMap('a', '5') });
  await transport.push({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '9' } } });
  await transport.push('end');
  assert.equal(transport.lists.length, 1);
  assert.deepEqual(transport.watches.map((watch) => watch.query!.resourceVersion), ['1', '9']);
});

test('410 on the watch lists again and reports only what changed', async () => {
  const { transport, factory, informer, seen } = setup();
  await using _ = factory;
  transport.items = [configMap('a', '1'), configMap('b', '1'), configMap('c', '1')];
  await informer.synced();
  await settle();
  transport.items = [configMap('a', '1'), configMap('b', '7')];
  transport.resourceVersion = '8';
  seen.length = 0;
  await transport.push({ type: 'ERROR', object: expired('too old resource version: 1 (8)').status });
  await settle();
  assert.deepEqual(seen, ['update b 1->7', 'delete c']);
  assert.equal(transport.watches.at(-1)!.query!.resourceVersion, '8');
});

test('failures back off and recover', async () => {
  const { transport, clock, factory, informer } = setup();
  await using _ = factory;
  transport.failList = new Error('connection refused');
  await settle();
  assert.equal(transport.lists.length, 1);
  await clock.advance(700);
  assert.equal(transport.lists.length, 1, 'not before the backoff');
  await clock.advance(900);
  assert.equal(transport.lists.length, 2);
  transport.failList = undefined;
  await clock.advance(4000);
  assert.equal(informer.hasSynced, true);
});

test('a late handler first gets everything; a removed one gets nothing more', async () => {
  const { transport, factory, informer } = setup();
  await using _ = factory;
  transport.items = [configMap('a', '1')];
  await informer.synced();
  await settle();
  const late: string[] = [];
  const remove = informer.addHandler({ onAdd: (object) => late.push(object.metadata.name) });
  assert.deepEqual(late, ['a']);
  remove();
  await transport.push({ type: 'ADDED', object: configMap('b', '2') });
  assert.deepEqual(late, ['a']);
});
