import { test } from 'node:test';
import assert from 'node:assert/strict';
import { NftTable } from './nft-table.ts';
import { NftError, type Nft } from './nft.ts';

function recorder(): Nft & { scripts: string[]; fail: boolean; listing: string } {
  const self = {
    scripts: [] as string[], fail: false, listing: 'hooks',
    apply: (script: string) => {
      if (self.fail) { self.fail = false; return Promise.reject(new NftError('rejected', 'no')); }
      self.scripts.push(script);
      return Promise.resolve();
    },
    list: () => Promise.resolve(self.listing),
    listJson: () => Promise.resolve(null),
  };
  return self;
}
const base = { chains: { hook: ['type filter hook input priority 0;', 'ip daddr vmap @m'] }, sets: { m: 'map { type ipv4_addr : verdict; }' } };
const make = (nft: Nft) => new NftTable({ nft, family: 'ip', name: 't', base });

test('the first sync writes everything, later ones only what changed', async () => {
  const nft = recorder();
  const table = make(nft);
  table.put('a', { chains: { ca: ['accept'] }, elements: [{ set: 'm', key: '10.0.0.1', value: 'goto ca' }] });
  assert.equal((await table.sync()).full, true);
  assert.equal(nft.scripts[0], `add table ip t
delete table ip t
add table ip t
add map ip t m { type ipv4_addr : verdict; }
add chain ip t hook { type filter hook input priority 0; }
add chain ip t ca
add rule ip t hook ip daddr vmap @m
add rule ip t ca accept
add element ip t m { 10.0.0.1 : goto ca }
`);
  table.put('a', { chains: { ca: ['drop'] }, elements: [{ set: 'm', key: '10.0.0.1', value: 'goto ca' }] });
  table.put('b', { elements: [{ set: 'm', key: '10.0.0.2', value: 'drop' }] });
  await table.sync();
  assert.equal(nft.scripts[1], 'flush chain ip t ca\nadd rule ip t ca drop\nadd element ip t m { 10.0.0.2 : drop }\n');
  table.remove('a');
  await table.sync();
  assert.equal(nft.scripts[2], 'delete element ip t m { 10.0.0.1 }\nflush chain ip t ca\ndelete chain ip t ca\n');
  assert.equal((await table.sync()).changed, false);
  assert.equal(nft.scripts.length, 3);
});

test('an element claimed twice stays until its last owner goes, and takes over the value', async () => {
  const nft = recorder();
  const table = make(nft);
  table.put('a', { elements: [{ set: 'm', key: '10.0.0.1', value: 'drop' }] });
  table.put('b', { elements: [{ set: 'm', key: '10.0.0.1', value: 'accept' }] });
  await table.sync();
  table.remove('a');
  await table.sync();
  assert.equal(nft.scripts[1], 'delete element ip t m { 10.0.0.1 }\nadd element ip t m { 10.0.0.1 : accept }\n');
  table.remove('b');
  await table.sync();
  assert.equal(nft.scripts[2], 'delete element ip t m { 10.0.0.1 }\n');
});

test('a refused change and a foreign change both replace the table', async () => {
  const nft = recorder();
  const table = make(nft);
  await table.sync();
  table.put('a', { elements: [{ set: 'm', key: '10.0.0.1', value: 'drop' }] });
  nft.fail = true;
  assert.equal((await table.sync()).full, true);
  assert.match(nft.scripts[1]!, /delete table[\s\S]*10\.0\.0\.1 : drop/);
  assert.equal(await table.check(), true);
  nft.listing = 'someone was here';
  assert.equal(await table.check(), false);
  assert.equal((await table.sync()).full, true);
});
