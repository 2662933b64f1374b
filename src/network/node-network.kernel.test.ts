/** Two nodes as namespaces on one segment: real CNI plugins, bridge, tunnel and plain routes. Needs root and the plugins. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Node } from '../api/core/v1.ts';
import { nodes } from '../api/resources.ts';
import { systemClock } from '../base/clock.ts';
import { exec } from '../base/exec.ts';
import { silentLogger } from '../base/log.ts';
import { createNft } from '../base/nft.ts';
import { needsRootNetworking, NetnsLab } from '../testing/netns.ts';
import { StaticInformers } from '../testing/static-informers.ts';
import { metaOf } from '../testing/services.ts';
import { cniPluginDirectories } from './cni.ts';
import { startNodeNetwork, type NodeNetwork } from './node-network.ts';
import type { Backend } from './routes.ts';

const skip = needsRootNetworking() || (cniPluginDirectories.some((dir) => existsSync(`${dir}/bridge`)) ? false : 'needs the CNI plugins');

export function makeNode(name: string, ip: string, podCIDR: string): Node {
  return { apiVersion: 'v1', kind: 'Node', metadata: metaOf(name, { namespace: undefined }), spec: { podCIDR, podCIDRs: [podCIDR] },
    status: { addresses: [{ type: 'InternalIP', address: ip }] } } as Node;
}

/** What a runtime does: the first plugin of the conflist, ADD. Resolves with the pod's address. */
async function addPod(lab: NetnsLab, node: string, network: NodeNetwork, pod: string): Promise<string> {
  const list = JSON.parse(await readFile(network.confPath, 'utf8')) as { name: string; cniVersion: string; plugins: { type: string }[] };
  const plugin = list.plugins[0]!;
  const { stdout } = await exec('nsenter', [`--net=/run/netns/${node}`, '--', join(network.cniBinDir, plugin.type)], {
    input: JSON.stringify({ ...plugin, name: list.name, cniVersion: list.cniVersion }),
    env: { ...process.env, CNI_COMMAND: 'ADD', CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}`, CNI_IFNAME: 'eth0', CNI_PATH: network.cniBinDir },
  });
  return (JSON.parse(stdout) as { ips: { address: string }[] }).ips[0]!.address.split('/')[0]!;
}

for (const [backend, mode] of [['vxlan', 'bridge'], ['routes', 'ptp']] as [Backend, 'bridge' | 'ptp'][]) {
  test(`pods of two nodes reach each other: ${backend}, ${mode}`, { skip }, async () => {
    await using lab = new NetnsLab();
    const directory = await mkdtemp(join(tmpdir(), 'knarr-net-'));
    const abort = new AbortController();
    const informers = new StaticInformers();
    const names = ['n1', 'n2'];
    const namespaces: string[] = [], networks: NodeNetwork[] = [];
    for (const name of names) namespaces.push(await lab.namespace(name));
    await lab.link(namespaces[0]!, 'eth0', '198.51.100.1/24', namespaces[1]!, 'eth0', '198.51.100.2/24');
    const objects = [makeNode('n1', '198.51.100.1', '10.244.0.0/24'), makeNode('n2', '198.51.100.2', '10.244.1.0/24')];
    for (const node of objects) informers.set(nodes, node);
    for (const [i, netns] of namespaces.entries()) {
      networks.push(await startNodeNetwork({ informers, nodeName: names[i]!, nft: createNft({ netns }), clock: systemClock, log: silentLogger, signal: abort.signal,
        config: { cniConfDir: join(directory, names[i]!, 'net.d'), ipamDataDir: join(directory, names[i]!, 'ipam'), clusterCIDRs: ['10.244.0.0/16'], serviceCIDRs: ['10.96.0.0/16'], backend, mode, netns } }));
    }
    try {
      const pods: { ns: string; ip: string }[] = [];
      for (const [i, node] of [[0, namespaces[0]!], [0, namespaces[0]!], [1, namespaces[1]!]] as const) {
        const ns = await lab.namespace(`c${pods.length}`);
        pods.push({ ns, ip: await addPod(lab, node, networks[i]!, ns) });
      }
      assert.match(pods[2]!.ip, /^10\.244\.1\./);
      if (mode === 'bridge') {
        const address = async () => (await lab.ip(namespaces[0]!, '-o', 'link', 'show', 'dev', 'knarr0')).stdout.match(/link\/ether (\S+)/)?.[1];
        const before = await address();
        assert.match(before!, /^0a:58:/);
        await lab.ip(namespaces[0]!, 'link', 'add', 'low', 'address', '02:00:00:00:00:01', 'type', 'veth', 'peer', 'name', 'lowpeer');
        await lab.ip(namespaces[0]!, 'link', 'set', 'low', 'master', 'knarr0', 'up');
        assert.equal(await address(), before, 'pods know the bridge by its address: it stays when a port with a lower one joins');
      }
      await lab.greeter(pods[2]!.ns, 8080, 'far');
      await lab.greeter(pods[1]!.ns, 8080, 'near');
      assert.equal(await lab.ask(pods[0]!.ns, pods[2]!.ip, 8080), 'far', 'between nodes');
      assert.equal(await lab.ask(pods[0]!.ns, pods[1]!.ip, 8080), 'near', 'on one node');
      assert.equal(await lab.ask(namespaces[0]!, pods[2]!.ip, 8080), 'far', 'from the other node itself');
      await lab.greeter(namespaces[1]!, 9090, 'node');
      assert.equal(await lab.ask(pods[0]!.ns, '198.51.100.2', 9090), 'node', 'to another node, masqueraded');
      informers.remove(nodes, objects[1]!);
      await networks[0]!.settled();
      assert.equal((await lab.ip(namespaces[0]!, 'route', 'show', '10.244.1.0/24')).stdout, '', 'a node that goes takes its route along');
      for (const network of networks) await network.teardown();
      assert.deepEqual(await readdir(join(directory, 'n1', 'net.d')), []);
      assert.doesNotMatch((await lab.ip(namespaces[0]!, 'link')).stdout, /knarr/);
      assert.equal((await lab.ip(namespaces[1]!, 'route', 'show', 'proto', '107')).stdout, '');
      assert.equal(await createNft({ netns: namespaces[0]! }).list('list tables\n'), '');
    } finally {
      abort.abort();
      await rm(directory, { recursive: true, force: true });
    }
  });
}
