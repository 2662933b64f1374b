import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Namespace, Pod } from '../api/core/v1.ts';
import type { NetworkPolicy, NetworkPolicySpec } from '../api/networking/v1.ts';
import { namespaces, networkpolicies, pods } from '../api/resources.ts';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { createNft } from '../base/nft.ts';
import { needsRootNetworking, NetnsLab } from '../testing/netns.ts';
import { metaOf } from '../testing/services.ts';
import { StaticInformers } from '../testing/static-informers.ts';
import { startPolicyController } from './policy-controller.ts';

const pod = (name: string, namespace: string, ip: string): Pod => ({ apiVersion: 'v1', kind: 'Pod', metadata: metaOf(name, { namespace, labels: { app: name } }),
  spec: { nodeName: 'n1', containers: [{ name: 'c', ports: [{ name: 'web', containerPort: 8080 }] }] }, status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } }) as unknown as Pod;
const policy = (spec: NetworkPolicySpec): NetworkPolicy => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: metaOf('p'), spec });

test('policies allow and deny between pods, and never the node', { skip: needsRootNetworking() }, async () => {
  await using lab = new NetnsLab();
  const node = await lab.namespace('node');
  await lab.sysctl(node, 'net/ipv4/ip_forward', '1');
  const informers = new StaticInformers();
  const ns: string[] = [];
  for (const [i, [name, namespace]] of ([['server', 'default'], ['friend', 'default'], ['stranger', 'other']] as const).entries()) {
    const made = await lab.namespace(name);
    await lab.link(node, `p${i}`, `10.244.${i}.1/24`, made, 'eth0', `10.244.${i}.2/24`);
    await lab.ip(made, 'route', 'add', 'default', 'via', `10.244.${i}.1`);
    informers.set(pods, pod(name, namespace, `10.244.${i}.2`));
    ns.push(made);
  }
  for (const name of ['default', 'other']) informers.set(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: metaOf(name, { namespace: undefined, labels: { team: name } }) } as Namespace);
  await lab.greeter(ns[0]!, 8080, 'hello');
  await lab.greeter(ns[0]!, 8081, 'hello');
  await using controller = await startPolicyController({ informers, nodeName: 'n1', nft: createNft({ netns: node }), clock: systemClock, log: silentLogger, signal: new AbortController().signal });
  const reach = async (from: number, port = 8080) => (await lab.ask(from < 0 ? node : ns[from]!, '10.244.0.2', port, 1)) === 'hello';
  const apply = async (spec: NetworkPolicySpec) => { informers.set(networkpolicies, policy(spec)); await controller.settled(); };
  const app = { matchLabels: { app: 'server' } };
  assert.deepEqual([await reach(1), await reach(2)], [true, true], 'no policy');
  await apply({ podSelector: app, policyTypes: ['Ingress'] });
  assert.deepEqual([await reach(1), await reach(-1)], [false, true], 'deny all, but not the node');
  await apply({ podSelector: app, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }], ports: [{ port: 'web' }] }] });
  assert.deepEqual([await reach(1), await reach(2), await reach(1, 8081)], [true, false, false], 'a named port for one pod');
  await apply({ podSelector: app, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'other' } } }], ports: [{ port: 8080, endPort: 8090 }] }] });
  assert.deepEqual([await reach(1), await reach(2, 8081)], [false, true], 'a port range for a namespace');
  await apply({ podSelector: app, ingress: [{ from: [{ ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.1.0/24'] } }] }] });
  assert.deepEqual([await reach(1), await reach(2)], [false, true], 'an address block with an exception');
  await apply({ podSelector: { matchLabels: { app: 'friend' } }, policyTypes: ['Egress'], egress: [] });
  assert.deepEqual([await reach(1), await reach(2)], [false, true], 'egress');
  await controller.teardown();
  assert.equal(await reach(1), true);
});
