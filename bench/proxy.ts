/** The proxy's rules at size: cold write and one change. `node bench/proxy.ts [services] [endpoints per service]`; needs root. */
import { systemClock } from '../src/base/clock.ts';
import { createNft } from '../src/base/nft.ts';
import { NftTable } from '../src/base/nft-table.ts';
import { baseFragment, serviceRules, type RulesetConfig } from '../src/proxy/ruleset.ts';
import { NetnsLab } from '../src/testing/netns.ts';
import { makeService, makeSlice } from '../src/testing/services.ts';

const serviceCount = Number(process.argv[2] ?? 200), endpointCount = Number(process.argv[3] ?? 20);
const config: RulesetConfig = { family: 'ip', nodeName: 'n1', clusterCIDRs: ['10.0.0.0/8'] };
const rulesOf = (i: number, endpoints: number) => serviceRules(makeService(`s${i}`, `172.30.${i >> 8}.${i & 255}`, { ports: [{ port: 80 }] }),
  [makeSlice(`s${i}`, Array.from({ length: endpoints }, (_, j) => ({ ip: `10.${(i * endpointCount + j) >> 16}.${((i * endpointCount + j) >> 8) & 255}.${(i * endpointCount + j) & 255}` })), [{ port: 8080 }])], config).fragment;
await using lab = new NetnsLab();
const table = new NftTable({ nft: createNft({ netns: await lab.namespace('bench') }), family: 'ip', name: 'bench', base: baseFragment(config) });
const timed = async (name: string, run: () => Promise<unknown>) => { const start = systemClock.monotonic(); await run(); console.log(JSON.stringify({ bench: `proxy ${name}`, services: serviceCount, endpoints: serviceCount * endpointCount, ms: Math.round((systemClock.monotonic() - start) * 10) / 10 })); };
await timed('cold', async () => { for (let i = 0; i < serviceCount; i++) table.put(`s${i}`, rulesOf(i, endpointCount)); await table.sync(); });
for (let change = 0; change < 5; change++) await timed('one change', async () => { table.put('s7', rulesOf(7, endpointCount - 1 - change)); await table.sync(); });
