/** The proxy against the kernel: real connections between namespaces through a Service. Needs root, skipped by name otherwise. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { EndpointSlice } from '../api/discovery/v1.ts';
import type { Service } from '../api/core/v1.ts';
import { endpointslices, services } from '../api/resources.ts';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { createNft } from '../base/nft.ts';
import { tryExec } from '../base/exec.ts';
import { needsRootNetworking, NetnsLab } from '../testing/netns.ts';
import { StaticInformers } from '../testing/static-informers.ts';
import { makeService, makeSlice } from '../testing/services.ts';
import { createProxy } from './proxy.ts';

const skip = needsRootNetworking();

/** A node with three pods (two backends, one client) and a host outside the cluster. */
async function makeLab() {
  const lab = new NetnsLab();
  const node = await lab.namespace('node');
  await lab.sysctl(node, 'net/ipv4/ip_forward', '1');
  const pods: string[] = [];
  for (const i of [1, 2, 3]) {
    const pod = await lab.namespace(`pod${i}`);
    await lab.link(node, `p${i}`, `10.244.${i}.1/24`, pod, 'eth0', `10.244.${i}.2/24`);
    await lab.ip(pod, 'route', 'add', 'default', 'via', `10.244.${i}.1`);
    pods.push(pod);
  }
  const outside = await lab.namespace('outside');
  await lab.link(node, 'up0', '192.0.2.1/24', outside, 'eth0', '192.0.2.2/24');
  await lab.ip(outside, 'route', 'add', 'default', 'via', '192.0.2.1');
  await lab.ip(node, 'route', 'add', 'default', 'via', '192.0.2.2');
  await lab.greeter(pods[0]!, 8080, 'one');
  await lab.greeter(pods[1]!, 8080, 'two');
  return { lab, node, backend1: pods[0]!, client: pods[2]!, outside };
}

test('connections reach endpoints through ClusterIP, NodePort and affinity, and are refused without endpoints', { skip }, async () => {
  const { lab: made, node, client, outside, backend1 } = await makeLab();
  await using lab = made;
  const abort = new AbortController();
  const informers = new StaticInformers();
  const both = [{ ip: '10.244.1.2', nodeName: 'n1' }, { ip: '10.244.2.2', nodeName: 'n1' }];
  const web = makeService('web', '10.96.0.5', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
  informers.set<Service>(services, web);
  informers.set<Service>(services, makeService('none', '10.96.0.6', { ports: [{ port: 80 }] }));
  informers.set<Service>(services, makeService('sticky', '10.96.0.7', { sessionAffinity: 'ClientIP', ports: [{ port: 80 }] }));
  informers.set<EndpointSlice>(endpointslices, makeSlice('web', both, [{ port: 8080 }]));
  informers.set<EndpointSlice>(endpointslices, makeSlice('sticky', both, [{ port: 8080 }]));
  const nft = createNft({ netns: node });
  await using proxy = await createProxy({ informers, nodeName: 'n1', nft, clock: systemClock, log: silentLogger, signal: abort.signal,
    config: { clusterCIDRs: ['10.244.0.0/16'], netns: node, tableName: 'lab' } });
  await proxy.settled();

  const seen = new Set<string>();
  for (let i = 0; i < 40 && seen.size < 2; i++) seen.add(await lab.ask(client, '10.96.0.5', 80));
  assert.deepEqual([...seen].sort(), ['one', 'two'], 'both endpoints answer');
  assert.match(await lab.ask(outside, '192.0.2.1', 30080), /^(one|two)$/, 'NodePort from outside');
  assert.match(await lab.ask(node, '10.96.0.5', 80), /^(one|two)$/, 'the node itself');
  for (let i = 0; i < 20; i++) assert.match(await lab.ask(backend1, '10.96.0.5', 80), /^(one|two)$/, 'a pod reaches itself through its Service');
  assert.match(await lab.ask(client, '10.96.0.6', 80), /refused/i, 'no endpoints');
  assert.match(await lab.ask(client, '10.96.0.5', 81), /refused/i, 'a port the Service does not have');
  const first = await lab.ask(client, '10.96.0.7', 80);
  for (let i = 0; i < 8; i++) assert.equal(await lab.ask(client, '10.96.0.7', 80), first, 'session affinity');

  // A connection open across an update lives on.
  const script = `(sleep 0.3; echo x) | busybox nc -w 3 10.96.0.5 80`;
  const open = tryExec('nsenter', [`--net=/run/netns/${client}`, '--', 'sh', '-c', script], { timeoutMs: 10_000 });
  informers.set<EndpointSlice>(endpointslices, makeSlice('web', [both[0]!], [{ port: 8080 }]));
  await proxy.settled();
  assert.match((await open).stdout, /one|two/);
  for (let i = 0; i < 8; i++) assert.equal(await lab.ask(client, '10.96.0.5', 80), 'one');

  // Someone removes the table: the next look finds out.
  await nft.apply('delete table ip lab\n');
  informers.set<EndpointSlice>(endpointslices, makeSlice('web', [both[1]!], [{ port: 8080 }]));
  await proxy.settled();
  assert.equal(await lab.ask(client, '10.96.0.5', 80), 'two');

  informers.remove(services, web);
  await proxy.settled();
  assert.doesNotMatch(await nft.list('list table ip lab\n'), /10\.96\.0\.5/);
  await proxy.teardown();
  await assert.rejects(nft.list('list table ip lab\n'));
});
