import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createNft } from '../base/nft.ts';
import { NftTable } from '../base/nft-table.ts';
import { needsRootNetworking, NetnsLab } from '../testing/netns.ts';
import { makeService, makeSlice } from '../testing/services.ts';
import { staleFlows } from './conntrack.ts';
import { endpointsOf, usableEndpoints } from './endpoints.ts';
import { baseFragment, isProxied, serviceRules, type RulesetConfig } from './ruleset.ts';

const config: RulesetConfig = { family: 'ip', nodeName: 'n1', zone: 'a', clusterCIDRs: ['10.244.0.0/16'] };
const port = { port: 80, protocol: 'TCP' };
const elementsOf = (rules: ReturnType<typeof serviceRules>) => (rules.fragment.elements ?? []).map(({ set, key, value }) => `${set} ${key}${value === undefined ? '' : ` : ${value.replace(/-[0-9A-F]{8}-.*/, '')}`}`);

test('a ClusterIP Service', () => {
  const rules = serviceRules(makeService('web', '10.96.0.5', { ports: [port] }), [makeSlice('web', [{ ip: '10.244.1.2', nodeName: 'n1' }, { ip: '10.244.2.2', nodeName: 'n2' }], [{ port: 8080 }])], config);
  assert.deepEqual(elementsOf(rules), ['cluster-ips 10.96.0.5', 'service-ips 10.96.0.5 . tcp . 80 : goto service', 'hairpin-connections 10.244.1.2 . 10.244.1.2']);
  assert.deepEqual(Object.values(rules.fragment.chains!), [[
    'ip daddr 10.96.0.5 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade',
    'meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.1.2 . 8080, 1 : 10.244.2.2 . 8080 }']]);
});

test('policy Local without a local endpoint drops, but pods and the node still get through', () => {
  const service = makeService('lb', '10.96.0.6', { type: 'LoadBalancer', externalTrafficPolicy: 'Local', loadBalancerSourceRanges: ['192.0.2.0/24'], ports: [{ ...port, nodePort: 30080 }] }, { status: { loadBalancer: { ingress: [{ ip: '203.0.113.5' }] } } });
  const rules = serviceRules(service, [makeSlice('lb', [{ ip: '10.244.2.2', nodeName: 'n2' }], [{ port: 8080 }])], config);
  assert.deepEqual(elementsOf(rules), ['cluster-ips 10.96.0.6', 'service-ips 10.96.0.6 . tcp . 80 : goto service',
    'service-ips 203.0.113.5 . tcp . 80 : goto external', 'no-endpoint-services 203.0.113.5 . tcp . 80 : drop', 'firewall-ips 203.0.113.5 . tcp . 80 : goto firewall',
    'service-nodeports tcp . 30080 : goto external', 'no-endpoint-nodeports tcp . 30080 : drop']);
  assert.deepEqual(rules.noLocal, { internal: 0, external: 1 });
});

test('no endpoints reject; node-local and foreign Services get nothing', () => {
  const web = makeService('web', '10.96.0.5', { ports: [port] });
  assert.deepEqual(elementsOf(serviceRules(web, [], config)), ['cluster-ips 10.96.0.5', 'no-endpoint-services 10.96.0.5 . tcp . 80 : goto reject-chain']);
  assert.deepEqual(serviceRules(web, [], { ...config, nodeLocalClusterIPs: ['10.96.0.5'] }).fragment, {});
  assert.equal(isProxied(makeService('headless', 'None')), false);
  assert.equal(isProxied(web), true);
  for (const label of ['service.kubernetes.io/headless', 'service.kubernetes.io/service-proxy-name']) {
    assert.equal(isProxied({ ...web, metadata: { ...web.metadata, labels: { [label]: '' } } }), false, label);
  }
});

const ips = (list: readonly { ip: string }[] | undefined) => list?.map(({ ip }) => ip);
test('which endpoints are used', async (t) => {
  const usable = (endpoints: Parameters<typeof makeSlice>[1], spec = {}) => {
    const service = makeService('s', '10.96.0.9', { ports: [port], ...spec });
    return usableEndpoints(service, endpointsOf(service.spec.ports![0]!, [makeSlice('s', endpoints, [{ port: 80 }])], 'IPv4', 'n1'), { nodeName: 'n1', zone: 'a' });
  };
  const ending = { ready: false, serving: true, terminating: true };
  await t.test('ready before terminating', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.1' }, { ip: '10.0.0.2', conditions: ending }]).cluster), ['10.0.0.1']); });
  await t.test('terminating when nothing else serves', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.2', conditions: ending }, { ip: '10.0.0.3', conditions: { ready: false, serving: false } }]).cluster), ['10.0.0.2']); });
  await t.test('zone hints', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.1', hints: { forZones: [{ name: 'a' }] } }, { ip: '10.0.0.2', hints: { forZones: [{ name: 'b' }] } }]).cluster), ['10.0.0.1']); });
  await t.test('node hints before zone hints', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.1', hints: { forZones: [{ name: 'a' }], forNodes: [{ name: 'n2' }] } }, { ip: '10.0.0.2', hints: { forZones: [{ name: 'a' }], forNodes: [{ name: 'n1' }] } }]).cluster), ['10.0.0.2']); });
  await t.test('hints that not all have are ignored', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.1', hints: { forZones: [{ name: 'a' }] } }, { ip: '10.0.0.2' }]).cluster), ['10.0.0.1', '10.0.0.2']); });
  await t.test('internal policy Local', () => { assert.deepEqual(ips(usable([{ ip: '10.0.0.1', nodeName: 'n1' }, { ip: '10.0.0.2', nodeName: 'n2' }], { internalTrafficPolicy: 'Local' }).local), ['10.0.0.1']); });
});

test('flows of removed UDP endpoints, and those from before the first endpoint', () => {
  const udp = (endpoints: string[]) => [{ addresses: ['10.96.0.5'], port: 53, endpoints }];
  assert.deepEqual(staleFlows(udp(['10.244.0.1', '10.244.0.2']), udp(['10.244.0.2'])), [['--orig-dst', '10.96.0.5', '--dst-nat', '10.244.0.1']]);
  assert.deepEqual(staleFlows(udp([]), udp(['10.244.0.2'])), [['--orig-dst', '10.96.0.5', '--orig-port-dst', '53']]);
});

test('the kernel takes IPv6 rules, affinity and source ranges', { skip: needsRootNetworking() }, async () => {
  await using lab = new NetnsLab();
  const six: RulesetConfig = { ...config, family: 'ip6', clusterCIDRs: ['fd00::/48'], nodePortAddresses: ['2001:db8::1'] };
  const nft = createNft({ netns: await lab.namespace('six') });
  const table = new NftTable({ nft, family: 'ip6', name: 't', base: baseFragment(six) });
  const slices = [makeSlice('s', [{ ip: 'fd00::1', nodeName: 'n1' }, { ip: 'fd00::2' }], [{ port: 80 }])];
  const make = (spec: Parameters<typeof makeService>[2]) => makeService('s', 'fd01::5', { type: 'LoadBalancer', loadBalancerSourceRanges: ['2001:db8::/64'], ports: [{ ...port, nodePort: 30080 }], ...spec }, { status: { loadBalancer: { ingress: [{ ip: '2001:db8::9' }] } } });
  table.put('s', serviceRules(make({}), slices, six).fragment);
  await table.sync();
  table.put('s', serviceRules(make({ sessionAffinity: 'ClientIP', externalTrafficPolicy: 'Local' }), slices, six).fragment);
  assert.deepEqual((await table.sync()).full, false, 'affinity comes without a full write');
  table.remove('s');
  assert.deepEqual((await table.sync()).full, false, 'and goes without one');
});
