/** The proxy's rules at size: cold write and one change. `node bench/proxy.ts [services] [endpoints per service]`; needs root. */
import { systemClock } from '../src/base/clock.ts';
import { createNft } from '../src/base/nft.ts';
import { NftTable } from '../src/base/nft-table.ts';
import { baseFragment, serviceRules, type RulesetConfig } from '../src/proxy/ruleset.ts';
import { type Figure, median, printFigure } from './figure.ts';
import { NetnsLab } from '../src/testing/netns.ts';
import { makeService, makeSlice } from '../src/testing/services.ts';

const config: RulesetConfig = { family: 'ip', nodeName: 'n1', clusterCIDRs: ['10.0.0.0/8'] };

/** Needs root: works in a network namespace of its own. */
export async function benchProxy(serviceCount = 5_000, endpointCount = 50): Promise<Figure[]> {
  const rulesOf = (i: number, endpoints: number) => serviceRules(makeService(`s${i}`, `172.30.${i >> 8}.${i & 255}`, { ports: [{ port: 80 }] }),
    [makeSlice(`s${i}`, Array.from({ length: endpoints }, (_, j) => ({ ip: `10.${(i * endpointCount + j) >> 16}.${((i * endpointCount + j) >> 8) & 255}.${(i * endpointCount + j) & 255}` })), [{ port: 8080 }])], config).fragment;
  await using lab = new NetnsLab();
  const table = new NftTable({ nft: createNft({ netns: await lab.namespace('bench') }), family: 'ip', name: 'bench', base: baseFragment(config) });
  const timed = async (change: () => void): Promise<number> => {
    const start = systemClock.monotonic();
    change();
    await table.sync();
    return systemClock.monotonic() - start;
  };
  const cold = await timed(() => { for (let i = 0; i < serviceCount; i++) table.put(`s${i}`, rulesOf(i, endpointCount)); });
  const changes: number[] = [];
  for (let change = 1; change <= 5; change++) changes.push(await timed(() => table.put('s7', rulesOf(7, endpointCount - change))));
  const size = `${serviceCount} services, ${serviceCount * endpointCount} endpoints`;
  return [
    { name: `nftables, cold sync, ${size}`, value: Number((cold / 1000).toFixed(2)), unit: 's', target: '< 10' },
    { name: `nftables, one change, ${size}`, value: Number(median(changes).toFixed(1)), unit: 'ms', target: '< 50' },
  ];
}

if (import.meta.main) for (const figure of await benchProxy(...process.argv.slice(2).map(Number))) printFigure(figure);
