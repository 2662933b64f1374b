import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../testing/fake-clock.ts';
import { entryOf, make, strategyContext, type Loose } from '../../../testing/kinds.ts';
import { seededRng } from '../../../base/rng.ts';
import { StatusError } from '../../../api/meta/status.ts';
import { parseIP } from '../../../api/cidr.ts';
import type { Client } from '../../../client/client.ts';
import { allocateForService, configureServiceAllocation, ServiceAllocator } from './service-allocator.ts';

const strategy = entryOf('Service', 'v1').strategy as Loose;
const service = (change: (object: Loose) => void = () => {}): Loose => { const object = make['Service']!(); change(object); strategy.setDefaults(object); return object; };
const allocate = (allocator: ServiceAllocator, object: Loose, old?: Loose) => allocateForService(allocator, object, old, seededRng(7));
const textOf = (run: () => unknown): string => { try { run(); } catch (err) { assert.ok(err instanceof StatusError); return err.status.message ?? ''; } return 'nothing thrown'; };

test('picks an address of the upper band and fills the families', () => {
  const object = service();
  allocate(new ServiceAllocator(), object).commit();
  const { clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy } = object.spec;
  assert.ok(parseIP(clusterIP)!.value >= parseIP('10.96.1.0')!.value, `${clusterIP} is in the band for static addresses`);
  assert.deepEqual({ clusterIPs, ipFamilies, ipFamilyPolicy }, { clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
});
test('a static address is given once, and again after release', () => {
  const allocator = new ServiceAllocator();
  const dns = service((o) => { o.spec.clusterIP = '10.96.0.10'; });
  const reservation = allocate(allocator, dns);
  const again = () => allocate(allocator, service((o) => { o.spec.clusterIP = '10.96.0.10'; }));
  assert.equal(textOf(again), 'Service "x" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated');
  reservation.release();
  again().commit();
});
test('an address outside the range', () => {
  assert.match(textOf(() => allocate(new ServiceAllocator(), service((o) => { o.spec.clusterIP = '10.1.2.3'; }))), /failed to allocate IP 10\.1\.2\.3: the provided IP \(10\.1\.2\.3\) is not in the valid range\. The range of valid IPs is 10\.96\.0\.0\/12$/);
});
test('a full range says so', () => {
  const allocator = new ServiceAllocator({ serviceCIDRs: ['10.0.0.0/29'], nodePorts: { first: 30000, last: 30001 } });
  const given = Array.from({ length: 6 }, () => { const object = service(); allocate(allocator, object).commit(); return object.spec.clusterIP as string; });
  assert.deepEqual([...new Set(given)].sort(), ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
  assert.match(textOf(() => allocate(allocator, service())), /Internal error: failed to allocate a serviceIP: range is full/);
});
test('node ports: chosen, taken, out of range, shared by protocols', () => {
  const allocator = new ServiceAllocator();
  const object = service((o) => { o.spec.type = 'NodePort'; o.spec.ports = [{ name: 'a', port: 53, protocol: 'UDP' }, { name: 'b', port: 53, protocol: 'TCP' }]; });
  allocate(allocator, object).commit();
  const [a, b] = object.spec.ports;
  assert.equal(a.nodePort, b.nodePort);
  assert.ok(a.nodePort >= 30086 && a.nodePort <= 32767);
  const wants = (port: number) => service((o) => { o.spec.type = 'NodePort'; o.spec.ports[0].nodePort = port; });
  assert.equal(textOf(() => allocate(allocator, wants(a.nodePort))), `Service "x" is invalid: spec.ports[0].nodePort: Invalid value: ${a.nodePort}: provided port is already allocated`);
  assert.match(textOf(() => allocate(allocator, wants(80))), /provided port is not in the valid range\. The range of valid ports is 30000-32767$/);
});
test('a refused service leaves nothing reserved', () => {
  const allocator = new ServiceAllocator();
  textOf(() => allocate(allocator, service((o) => { o.spec.type = 'NodePort'; o.spec.clusterIP = '10.96.0.20'; o.spec.ports[0].nodePort = 80; })));
  allocate(allocator, service((o) => { o.spec.clusterIP = '10.96.0.20'; })).commit();
});
test('headless, external name, health check port, dual stack', () => {
  const headless = service((o) => { o.spec.clusterIP = 'None'; });
  allocate(new ServiceAllocator(), headless).commit();
  assert.deepEqual([headless.spec.clusterIPs, headless.spec.ipFamilies], [['None'], ['IPv4']]);
  const unselected = service((o) => { o.spec.clusterIP = 'None'; delete o.spec.selector; });
  allocate(new ServiceAllocator(), unselected).commit();
  assert.deepEqual([unselected.spec.ipFamilyPolicy, unselected.spec.ipFamilies], ['RequireDualStack', ['IPv4', 'IPv6']]);
  const external = service((o) => { o.spec = { type: 'ExternalName', externalName: 'a.b' }; });
  allocate(new ServiceAllocator(), external).commit();
  assert.equal(external.spec.clusterIP, undefined);
  const local = service((o) => { o.spec.type = 'LoadBalancer'; o.spec.externalTrafficPolicy = 'Local'; });
  allocate(new ServiceAllocator(), local).commit();
  assert.ok(local.spec.healthCheckNodePort >= 30000);
  const dual = service((o) => { o.spec.ipFamilyPolicy = 'PreferDualStack'; });
  allocate(new ServiceAllocator({ serviceCIDRs: ['10.96.0.0/12', 'fd00:96::/112'], nodePorts: { first: 30000, last: 32767 } }), dual).commit();
  assert.deepEqual(dual.spec.ipFamilies, ['IPv4', 'IPv6']);
  assert.match(dual.spec.clusterIPs[1], /^fd00:96::/);
  assert.match(textOf(() => allocate(new ServiceAllocator(), service((o) => { o.spec.ipFamilyPolicy = 'RequireDualStack'; }))), /this cluster is not configured for dual-stack services/);
});

test('through the strategy: seeded from the stored services, kept on update, freed on delete', async () => {
  const stored = service((o) => { o.metadata.name = 'kubernetes'; o.spec.clusterIP = '10.96.0.1'; o.spec.clusterIPs = ['10.96.0.1']; });
  const client = { for: () => ({ list: async () => ({ items: [stored], metadata: {} }) }) } as unknown as Client;
  configureServiceAllocation(client, { serviceCIDRs: ['10.96.0.0/16'], nodePorts: { first: 30000, last: 32767 } });
  const context = strategyContext(new FakeClock(), client);
  const taken = service((o) => { o.spec.clusterIP = '10.96.0.1'; });
  await assert.rejects(strategy.allocate(taken, undefined, context), /provided IP is already allocated/);

  const old = service((o) => { o.spec.type = 'NodePort'; });
  (await strategy.allocate(old, undefined, context)).commit();
  const next = service((o) => { o.spec.type = 'NodePort'; o.metadata.labels = { a: 'b' }; });
  (await strategy.allocate(next, old, context)).commit();
  assert.deepEqual([next.spec.clusterIP, next.spec.ports[0].nodePort], [old.spec.clusterIP, old.spec.ports[0].nodePort]);

  const plain = structuredClone(next);
  plain.spec.type = 'ClusterIP';
  (await strategy.allocate(plain, next, context)).commit();
  assert.equal(plain.spec.ports[0].nodePort, undefined);
  assert.equal(plain.spec.externalTrafficPolicy, undefined);
  const reuse = service((o) => { o.spec.type = 'NodePort'; o.spec.ports[0].nodePort = next.spec.ports[0].nodePort; });
  (await strategy.allocate(reuse, undefined, context)).commit();

  strategy.onDeleted(plain, context);
  const heir = service((o) => { o.spec.clusterIP = plain.spec.clusterIP; });
  (await strategy.allocate(heir, undefined, context)).commit();
  const dry = service((o) => { o.spec.clusterIP = '10.96.0.77'; });
  (await strategy.allocate(dry, undefined, { ...context, dryRun: true })).commit();
  (await strategy.allocate(service((o) => { o.spec.clusterIP = '10.96.0.77'; }), undefined, context)).commit();
});
