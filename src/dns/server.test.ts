import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import packet from 'dns-packet';
import type { Namespace, Service } from '../api/core/v1.ts';
import { endpointslices, namespaces, services } from '../api/resources.ts';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { seededRng } from '../base/rng.ts';
import { StaticInformers } from '../testing/static-informers.ts';
import { makeService, makeSlice, metaOf } from '../testing/services.ts';
import { startDnsServer, type DnsServer } from './server.ts';

interface Answer { rcode: string; flag_aa: boolean; flag_tc: boolean; answers: { name: string; type: string; ttl: number; data: unknown }[]; authorities: { type: string; ttl: number }[]; additionals: { name: string; type: string; data: unknown }[] }

async function ask(server: { port: number }, name: string, type: string, { protocol = 'udp', size }: { protocol?: 'udp' | 'tcp'; size?: number } = {}): Promise<Answer> {
  const query = packet.encode({ id: 7, type: 'query', flags: packet.RECURSION_DESIRED, questions: [{ name, type: type as packet.RecordType }],
    additionals: size ? [{ type: 'OPT', name: '.', udpPayloadSize: size, flags: 0, options: [] } as unknown as packet.Answer] : [] });
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    if (protocol === 'udp') {
      const socket = createSocket('udp4');
      socket.on('error', reject);
      socket.on('message', (message) => { socket.close(); resolve(message); });
      socket.send(query, server.port, '127.0.0.1');
    } else {
      const socket = connect(server.port, '127.0.0.1', () => { const length = Buffer.alloc(2); length.writeUInt16BE(query.length); socket.write(Buffer.concat([length, query])); });
      let got = Buffer.alloc(0);
      socket.on('error', reject);
      socket.on('data', (part: Buffer) => { got = Buffer.concat([got, part]); if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) { socket.destroy(); resolve(got.subarray(2)); } });
    }
  });
  return packet.decode(bytes) as unknown as Answer;
}

async function makeServer(upstreams: string[] = []): Promise<{ server: DnsServer; informers: StaticInformers }> {
  const informers = new StaticInformers();
  for (const name of ['default', 'kube-system']) informers.set<Namespace>(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: metaOf(name, { namespace: undefined }) } as Namespace);
  const add = (service: Service) => { informers.set(services, service); };
  add(makeService('kubernetes', '10.96.0.1', { ports: [{ name: 'https', port: 443 }] }));
  add(makeService('db', 'None', { ports: [{ name: 'sql', port: 5432 }] }));
  informers.set(endpointslices, makeSlice('db', [{ ip: '10.244.0.5', hostname: 'db-0' }, { ip: '10.244.0.6' }, { ip: '10.244.0.7', conditions: { ready: false } }],
    [{ name: 'sql', port: 5432 }], { labels: { 'service.kubernetes.io/headless': '' } }));
  add(makeService('empty', 'None', { ports: [{ port: 80 }] }));
  add(makeService('alias', undefined, { type: 'ExternalName', externalName: 'kubernetes.default.svc.cluster.local' }));
  add(makeService('outside', undefined, { type: 'ExternalName', externalName: 'db.example.org' }));
  add(makeService('many', 'None', { ports: [{ port: 80 }] }));
  informers.set(endpointslices, makeSlice('many', Array.from({ length: 100 }, (_, i) => ({ ip: `10.244.1.${i}` })), [{ port: 80 }]));
  const server = await startDnsServer({ informers, clock: systemClock, rng: seededRng(1), log: silentLogger, signal: new AbortController().signal, addresses: ['127.0.0.1'], port: 0, upstreams });
  return { server, informers };
}
const brief = (answer: Answer) => answer.answers.map((record) => `${record.name} ${record.type} ${JSON.stringify(record.data)}`).sort();

const cases: [name: string, type: string, rcode: string, answers: string[]][] = [
  ['kubernetes.default.svc.cluster.local', 'A', 'NOERROR', ['kubernetes.default.svc.cluster.local A "10.96.0.1"']],
  ['KuberNetes.default.svc.Cluster.local', 'A', 'NOERROR', ['KuberNetes.default.svc.Cluster.local A "10.96.0.1"']],
  ['kubernetes.default.svc.cluster.local', 'AAAA', 'NOERROR', []],
  ['_https._tcp.kubernetes.default.svc.cluster.local', 'SRV', 'NOERROR', ['_https._tcp.kubernetes.default.svc.cluster.local SRV {"priority":0,"weight":100,"port":443,"target":"kubernetes.default.svc.cluster.local"}']],
  ['_none._tcp.kubernetes.default.svc.cluster.local', 'SRV', 'NXDOMAIN', []],
  ['db.default.svc.cluster.local', 'A', 'NOERROR', ['db.default.svc.cluster.local A "10.244.0.5"', 'db.default.svc.cluster.local A "10.244.0.6"']],
  ['db-0.db.default.svc.cluster.local', 'A', 'NOERROR', ['db-0.db.default.svc.cluster.local A "10.244.0.5"']],
  ['10-244-0-6.db.default.svc.cluster.local', 'A', 'NOERROR', ['10-244-0-6.db.default.svc.cluster.local A "10.244.0.6"']],
  ['db-9.db.default.svc.cluster.local', 'A', 'NXDOMAIN', []],
  ['_sql._tcp.db.default.svc.cluster.local', 'SRV', 'NOERROR', [
    '_sql._tcp.db.default.svc.cluster.local SRV {"priority":0,"weight":50,"port":5432,"target":"10-244-0-6.db.default.svc.cluster.local"}',
    '_sql._tcp.db.default.svc.cluster.local SRV {"priority":0,"weight":50,"port":5432,"target":"db-0.db.default.svc.cluster.local"}']],
  ['empty.default.svc.cluster.local', 'A', 'NXDOMAIN', []],
  ['alias.default.svc.cluster.local', 'A', 'NOERROR', ['alias.default.svc.cluster.local CNAME "kubernetes.default.svc.cluster.local"', 'kubernetes.default.svc.cluster.local A "10.96.0.1"']],
  ['10-244-3-4.default.pod.cluster.local', 'A', 'NOERROR', ['10-244-3-4.default.pod.cluster.local A "10.244.3.4"']],
  ['10-244-3-4.nowhere.pod.cluster.local', 'A', 'NXDOMAIN', []],
  ['default.svc.cluster.local', 'A', 'NOERROR', []],
  ['nowhere.svc.cluster.local', 'A', 'NXDOMAIN', []],
  ['none.default.svc.cluster.local', 'A', 'NXDOMAIN', []],
  ['example.com.default.svc.cluster.local', 'A', 'NXDOMAIN', []],
  ['dns-version.cluster.local', 'TXT', 'NOERROR', [`dns-version.cluster.local TXT ${JSON.stringify([Buffer.from('1.1.0')])}`]],
  ['ns.dns.cluster.local', 'A', 'NOERROR', ['ns.dns.cluster.local A "127.0.0.1"']],
  ['1.0.96.10.in-addr.arpa', 'PTR', 'NOERROR', ['1.0.96.10.in-addr.arpa PTR "kubernetes.default.svc.cluster.local"']],
  ['5.0.244.10.in-addr.arpa', 'PTR', 'NOERROR', ['5.0.244.10.in-addr.arpa PTR "db-0.db.default.svc.cluster.local"']],
];

test('names of the cluster, over UDP and TCP', async (t) => {
  const { server: started } = await makeServer();
  await using server = started;
  for (const [name, type, rcode, answers] of cases) {
    await t.test(`${name} ${type}`, async () => {
      for (const protocol of ['udp', 'tcp'] as const) {
        const answer = await ask(server, name, type, { protocol });
        assert.equal(answer.rcode, rcode);
        assert.deepEqual(brief(answer), answers);
        assert.equal(answer.flag_aa, true);
        if (answers.length === 0) assert.deepEqual(answer.authorities.map((record) => `${record.type} ${record.ttl}`), ['SOA 5']);
        for (const record of answer.answers) assert.equal(record.ttl, 5);
      }
    });
  }
  await t.test('SRV brings the targets along', async () => {
    const answer = await ask(server, '_sql._tcp.db.default.svc.cluster.local', 'SRV');
    assert.deepEqual(answer.additionals.map((record) => `${record.name} ${String(record.data)}`).sort(), ['10-244-0-6.db.default.svc.cluster.local 10.244.0.6', 'db-0.db.default.svc.cluster.local 10.244.0.5']);
  });
  await t.test('long answers are cut over UDP and whole over TCP', async () => {
    const cut = await ask(server, 'many.default.svc.cluster.local', 'A');
    assert.equal(cut.flag_tc, true);
    assert.ok(cut.answers.length >= 25, `${cut.answers.length} addresses fit 512 bytes`);
    assert.ok((await ask(server, 'many.default.svc.cluster.local', 'A', { size: 4096 })).answers.length > 60);
    assert.equal((await ask(server, 'many.default.svc.cluster.local', 'A', { protocol: 'tcp' })).answers.length, 100);
  });
  await t.test('without upstreams other names are refused', async () => { assert.equal((await ask(server, 'example.org', 'A')).rcode, 'REFUSED'); });
});

test('other names come from upstream, once while their TTL lasts, and ExternalNames are followed there', async () => {
  const upstream = createSocket('udp4');
  const seen: string[] = [];
  upstream.on('message', (bytes, from) => {
    const { id, questions } = packet.decode(bytes) as { id: number; questions: packet.Question[] };
    seen.push(questions[0]!.name);
    const known = questions[0]!.name === 'db.example.org';
    upstream.send(packet.encode({ id, type: 'response', flags: (known ? 0 : 3) | packet.RECURSION_AVAILABLE, questions, answers: known ? [{ type: 'A', name: 'db.example.org', ttl: 300, data: '192.0.2.9' }] : [] }), from.port, from.address);
  });
  await new Promise<void>((resolve) => { upstream.bind(0, '127.0.0.1', resolve); });
  const { server: started } = await makeServer([`127.0.0.1:${upstream.address().port}`]);
  try {
    await using server = started;
    assert.deepEqual(brief(await ask(server, 'db.example.org', 'A')), ['db.example.org A "192.0.2.9"']);
    assert.deepEqual(brief(await ask(server, 'outside.default.svc.cluster.local', 'A')), ['db.example.org A "192.0.2.9"', 'outside.default.svc.cluster.local CNAME "db.example.org"']);
    assert.deepEqual(seen, ['db.example.org'], 'the second came from the cache');
    assert.equal((await ask(server, 'no.example.org', 'A')).rcode, 'NXDOMAIN');
    assert.match(await server.registry.metrics(), /coredns_cache_hits_total\{server="dns:\/\/:0",type="success"\} 1/);
  } finally { upstream.close(); }
});

test('an upstream that does not answer gives SERVFAIL', async () => {
  const { server: started } = await makeServer(['127.0.0.1:1']);
  await using server = started;
  assert.equal((await ask(server, 'example.org', 'A')).rcode, 'SERVFAIL');
});
