import type { Pod } from '../api/core/v1.ts';
import { podRequests } from './resources.ts';
import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRng } from '../base/rng.ts';
import { makeNode, makePod, type NodeParts, type PodParts } from '../testing/builders.ts';
import { SchedulerCache } from './cache.ts';
import { feasibleNodesWanted, SchedulingCycle } from './cycle.ts';
import { defaultPlugins } from './plugins/all.ts';
import { podInfoOf } from './pod-info.ts';

/** The node chosen for `pod`, or the message that refuses it. */
function schedule(pod: PodParts, nodes: NodeParts[], bound: PodParts[] = []): string {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(makeNode(node));
  for (const each of bound) cache.setPod(makePod(each));
  const result = new SchedulingCycle(defaultPlugins, seededRng(1)).run(podInfoOf(makePod(pod)), cache);
  return result.outcome === 'chosen' ? result.node.name : result.message;
}

const affinity = (key: string, operator: string, values?: string[]) => ({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] }] } } } });
const foo = { key: 'foo', value: 'bar', effect: 'NoSchedule' };

const spread = (whenUnsatisfiable: string, more: object = {}) => ({ topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable, labelSelector: { matchLabels: { app: 'x' } }, ...more }] });
const zones: NodeParts[] = ['a', 'b'].map((name) => ({ name, labels: { zone: `z-${name}` } }));
const podAffinity = (kind: 'podAffinity' | 'podAntiAffinity', app: string, preferred = false) => {
  const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app } } };
  return { affinity: { [kind]: preferred ? { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] } : { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
};
const appX = { labels: { app: 'x' } };
const cases: { name: string; pod?: PodParts; nodes: NodeParts[]; bound?: PodParts[]; expect: string }[] = [
  { name: 'no nodes', nodes: [], expect: 'no nodes available to schedule pods' },
  { name: 'the emptiest node wins', pod: { cpu: '1' }, nodes: [{ name: 'a' }, { name: 'b' }], bound: [{ node: 'a', cpu: '2' }], expect: 'b' },
  { name: 'no room', pod: { cpu: '3', memory: '9Gi' }, nodes: [{ name: 'a', cpu: '2' }], expect: '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.' },
  { name: 'finished pods free their room', pod: { cpu: '3' }, nodes: [{ name: 'a' }], bound: [{ node: 'a', cpu: '3', phase: 'Succeeded' }], expect: 'a' },
  { name: 'too many pods', nodes: [{ name: 'a', pods: '1' }], bound: [{ node: 'a' }], expect: '0/1 nodes are available: 1 Too many pods.' },
  { name: 'untolerated taint', nodes: [{ taints: [foo] }], expect: '0/1 nodes are available: 1 node(s) had untolerated taint(s).' },
  { name: 'tolerated taint', pod: { spec: { tolerations: [{ key: 'foo', operator: 'Exists' }] } }, nodes: [{ name: 'a', taints: [foo] }], expect: 'a' },
  { name: 'toleration of another value', pod: { spec: { tolerations: [{ key: 'foo', value: 'baz' }] } }, nodes: [{ taints: [foo] }], expect: '0/1 nodes are available: 1 node(s) had untolerated taint(s).' },
  { name: 'a soft taint is avoided', nodes: [{ name: 'a', taints: [{ key: 'x', effect: 'PreferNoSchedule' }] }, { name: 'b' }], expect: 'b' },
  { name: 'cordoned', nodes: [{ unschedulable: true }], expect: '0/1 nodes are available: 1 node(s) were unschedulable.' },
  { name: 'node selector', pod: { spec: { nodeSelector: { disk: 'ssd' } } }, nodes: [{ name: 'a' }, { name: 'b', labels: { disk: 'ssd' } }], expect: 'b' },
  { name: 'node selector matches none', pod: { spec: { nodeSelector: { disk: 'ssd' } } }, nodes: [{}], expect: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." },
  { name: 'affinity In', pod: { spec: affinity('zone', 'In', ['z1', 'z2']) }, nodes: [{ name: 'a', labels: { zone: 'z3' } }, { name: 'b', labels: { zone: 'z2' } }], expect: 'b' },
  { name: 'affinity Gt', pod: { spec: affinity('gen', 'Gt', ['3']) }, nodes: [{ name: 'a', labels: { gen: '3' } }, { name: 'b', labels: { gen: '10' } }], expect: 'b' },
  { name: 'host port taken', pod: { hostPort: 80 }, nodes: [{ name: 'a' }], bound: [{ node: 'a', hostPort: 80 }], expect: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports." },
  { name: 'host port free elsewhere', pod: { hostPort: 80 }, nodes: [{ name: 'a' }, { name: 'b' }], bound: [{ node: 'a', hostPort: 80 }], expect: 'b' },
  { name: 'a big image draws', pod: { image: 'big:1' }, nodes: [{ name: 'a' }, { name: 'b', images: [['big:1', 2 ** 31]] }], expect: 'b' },
  { name: 'spread: the emptier zone', pod: { ...appX, spec: spread('DoNotSchedule') }, nodes: zones, bound: [{ node: 'a', ...appX }], expect: 'b' },
  { name: 'spread: too uneven', pod: { ...appX, cpu: '1', spec: { ...spread('DoNotSchedule'), nodeSelector: { pick: 'a' } } }, nodes: [{ name: 'a', labels: { zone: 'z-a', pick: 'a' } }, zones[1]!, { name: 'c', labels: { zone: 'z-c', pick: 'a' }, cpu: '500m' }], bound: [{ node: 'a', ...appX }], expect: "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match pod topology spread constraints." },
  { name: 'spread: a node without the key', pod: { ...appX, spec: spread('DoNotSchedule') }, nodes: [{}], expect: "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label)." },
  { name: 'spread: other namespaces don\'t count', pod: { ...appX, spec: spread('DoNotSchedule'), cpu: '1' }, nodes: zones, bound: [{ node: 'a', ...appX, metadata: { namespace: 'other' } }, { node: 'b', cpu: '3' }], expect: 'a' },
  { name: 'spread: fewer domains than asked', pod: { ...appX, spec: spread('DoNotSchedule', { minDomains: 3 }) }, nodes: zones, bound: [{ node: 'a', ...appX }, { node: 'b', ...appX }], expect: "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints." },
  { name: 'spread: preferred', pod: { ...appX, spec: spread('ScheduleAnyway') }, nodes: zones, bound: [{ node: 'a', ...appX }], expect: 'b' },
  { name: 'affinity: beside the other', pod: { spec: podAffinity('podAffinity', 'x') }, nodes: zones, bound: [{ node: 'b', ...appX }], expect: 'b' },
  { name: 'affinity: nobody there', pod: { spec: podAffinity('podAffinity', 'x') }, nodes: zones, expect: "0/2 nodes are available: 2 node(s) didn't match pod affinity rules." },
  { name: 'affinity: the first of its kind', pod: { ...appX, spec: podAffinity('podAffinity', 'x') }, nodes: [zones[0]!], expect: 'a' },
  { name: 'anti-affinity: elsewhere', pod: { spec: podAffinity('podAntiAffinity', 'x') }, nodes: zones, bound: [{ node: 'a', ...appX }], expect: 'b' },
  { name: 'anti-affinity: nowhere', pod: { spec: podAffinity('podAntiAffinity', 'x') }, nodes: [zones[0]!], bound: [{ node: 'a', ...appX }], expect: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules." },
  { name: 'anti-affinity of a running pod', pod: appX, nodes: [zones[0]!], bound: [{ node: 'a', spec: podAffinity('podAntiAffinity', 'x') }], expect: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules." },
  { name: 'preferred affinity', pod: { spec: podAffinity('podAffinity', 'x', true) }, nodes: zones, bound: [{ node: 'b', ...appX }], expect: 'b' },
  { name: 'preferred anti-affinity', pod: { spec: podAffinity('podAntiAffinity', 'x', true) }, nodes: zones, bound: [{ node: 'a', ...appX }], expect: 'b' },
  { name: 'reasons are counted over nodes', pod: { cpu: '3' }, nodes: [{ cpu: '1' }, { cpu: '2' }, { unschedulable: true }], expect: '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.' },
];
for (const { name, pod, nodes, bound, expect } of cases) {
  test(name, () => assert.equal(schedule(pod ?? {}, nodes, bound), expect));
}

test('large clusters are sampled', () => {
  assert.deepEqual([50, 100, 1000, 5000, 10_000].map(feasibleNodesWanted), [50, 100, 420, 500, 500]);
});

test('an assumed pod takes room until forgotten', () => {
  const cache = new SchedulerCache();
  cache.setNode(makeNode({ name: 'a', cpu: '1' }));
  const first = podInfoOf(makePod({ cpu: '1' }));
  const cycle = new SchedulingCycle(defaultPlugins, seededRng(1));
  cache.assume(first, 'a');
  assert.equal(cycle.run(podInfoOf(makePod({ cpu: '1' })), cache).outcome, 'refused');
  cache.forget(first);
  assert.equal(cycle.run(podInfoOf(makePod({ cpu: '1' })), cache).outcome, 'chosen');
});

test('pods of a node that comes later count', () => {
  const cache = new SchedulerCache();
  cache.setPod(makePod({ node: 'late', cpu: '3' }));
  cache.setNode(makeNode({ name: 'late', cpu: '4' }));
  assert.equal(cache.node('late')!.requested.get('cpu'), 3000);
});

test('of a resized pod the larger of wish and promise counts, and an infeasible wish does not', () => {
  const resized = (reason: string | undefined, cpu: string): Pod => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', generation: 2 }, spec: { nodeName: 'n', containers: [{ name: 'c', resources: { requests: { cpu } } }] },
    status: { containerStatuses: [{ name: 'c', allocatedResources: { cpu: '1' } } as never], ...(reason ? { conditions: [{ type: 'PodResizePending', status: 'True', reason }] } : {}) },
  });
  assert.equal(podRequests(resized(undefined, '500m')).get('cpu'), 1000);
  assert.equal(podRequests(resized('Deferred', '3')).get('cpu'), 3000);
  assert.equal(podRequests(resized('Infeasible', '100')).get('cpu'), 1000);
});
