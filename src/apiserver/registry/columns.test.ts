/** What `kubectl get` shows, kind by kind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { humanDuration } from '../../api/human-duration.ts';
import { entryOf, make, makeObject, type Loose } from '../../testing/kinds.ts';
import { autoscalerFromStored, autoscalerToStored } from './autoscaling.ts';
import { eventFromStored, eventToStored } from './events.ts';

const now = Date.parse('2026-01-01T01:00:00Z');
const at = (minutesAgo: number) => new Date(now - minutesAgo * 60_000).toISOString();
function row(object: Loose, wideToo = false): Record<string, unknown> {
  const { columns } = entryOf(object.kind, object.apiVersion);
  return Object.fromEntries(columns.filter((column) => wideToo || !column.priority).map((column) => [column.name, column.value(object, now)]));
}

for (const [ms, text] of [[-3000, '<invalid>'], [0, '0s'], [119_000, '119s'], [120_000, '2m'], [200_000, '3m20s'], [600_000, '10m'], [3 * 3_600_000, '3h'], [3.5 * 3_600_000, '3h30m'], [47 * 3_600_000, '47h'], [50 * 3_600_000, '2d2h'], [400 * 86_400_000, '400d'], [800 * 86_400_000, '2y70d']] as const) {
  test(`${ms} ms is ${text}`, () => assert.equal(humanDuration(ms), text));
}

const running = { name: 'main', ready: true, restartCount: 0, state: { running: {} } };
const podRows: [what: string, status: Loose, metadata: Loose, ready: string, shown: string, restarts: string][] = [
  ['pending', { phase: 'Pending' }, {}, '0/1', 'Pending', '0'],
  ['running', { phase: 'Running', containerStatuses: [running] }, {}, '1/1', 'Running', '0'],
  ['creating', { phase: 'Pending', containerStatuses: [{ name: 'main', restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } }] }, {}, '0/1', 'ContainerCreating', '0'],
  ['crash loop', { phase: 'Running', containerStatuses: [{ name: 'main', restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1, finishedAt: at(2) } } }] }, {}, '0/1', 'CrashLoopBackOff', '3 (2m ago)'],
  ['completed', { phase: 'Succeeded', containerStatuses: [{ name: 'main', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } }] }, {}, '0/1', 'Completed', '0'],
  ['exit code', { phase: 'Failed', containerStatuses: [{ name: 'main', restartCount: 0, state: { terminated: { exitCode: 3 } } }] }, {}, '0/1', 'ExitCode:3', '0'],
  ['signal', { phase: 'Failed', containerStatuses: [{ name: 'main', restartCount: 0, state: { terminated: { exitCode: 137, signal: 9 } } }] }, {}, '0/1', 'Signal:9', '0'],
  ['evicted', { phase: 'Failed', reason: 'Evicted' }, {}, '0/1', 'Evicted', '0'],
  ['gated', { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }, {}, '0/1', 'SchedulingGated', '0'],
  ['terminating', { phase: 'Running', containerStatuses: [running] }, { deletionTimestamp: at(1) }, '1/1', 'Terminating', '0'],
  ['lost', { phase: 'Running', reason: 'NodeLost' }, { deletionTimestamp: at(1) }, '0/1', 'Unknown', '0'],
];
for (const [what, status, metadata, ready, shown, restarts] of podRows) {
  test(`a pod: ${what}`, () => {
    const pod = { ...make['Pod']!(), status };
    Object.assign(pod.metadata, { creationTimestamp: at(5) }, metadata);
    assert.deepEqual(row(pod), { Name: 'x', Ready: ready, Status: shown, Restarts: restarts, Age: '5m' });
  });
}
test('a pod: init containers', () => {
  const pod = make['Pod']!();
  pod.spec.initContainers = [{ name: 'one', image: 'x' }, { name: 'two', image: 'x' }];
  pod.status = { phase: 'Pending', initContainerStatuses: [{ name: 'one', restartCount: 0, state: { terminated: { exitCode: 0 } } }, { name: 'two', restartCount: 0, state: { running: {} } }] };
  assert.equal(row(pod)['Status'], 'Init:1/2');
  pod.status.initContainerStatuses[1].state = { waiting: { reason: 'ErrImagePull' } };
  assert.equal(row({ ...pod })['Status'], 'Init:ErrImagePull');
  pod.spec.initContainers = [{ name: 'one', image: 'x', restartPolicy: 'Always' }];
  pod.status = { phase: 'Running', conditions: [{ type: 'Initialized', status: 'True' }], initContainerStatuses: [{ name: 'one', ready: true, started: true, restartCount: 1, state: { running: {} } }], containerStatuses: [running] };
  assert.deepEqual([row({ ...pod })['Ready'], row({ ...pod })['Restarts']], ['2/2', '1']);
});

const rows: [object: Loose, expected: Record<string, unknown>][] = [
  [{ ...make['Deployment']!(), status: { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1 }, spec: { ...make['Deployment']!().spec, replicas: 3 } }, { Name: 'x', Ready: '1/3', 'Up-to-date': 2, Available: 1, Age: '<unknown>' }],
  [makeObject('v1', 'Service', { spec: { type: 'NodePort', clusterIP: '10.96.0.5', ports: [{ port: 80, nodePort: 30001, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }] } }), { Name: 'x', Type: 'NodePort', 'Cluster-IP': '10.96.0.5', 'External-IP': '<none>', 'Port(s)': '80:30001/TCP,53/UDP', Age: '<unknown>' }],
  [makeObject('v1', 'Service', { spec: { type: 'LoadBalancer', clusterIP: 'None', ports: [] } }), { Name: 'x', Type: 'LoadBalancer', 'Cluster-IP': 'None', 'External-IP': '<pending>', 'Port(s)': '<none>', Age: '<unknown>' }],
  [makeObject('v1', 'Node', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } }, spec: { unschedulable: true }, status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1.36.0' } } }), { Name: 'x', Status: 'Ready,SchedulingDisabled', Roles: 'control-plane', Age: '<unknown>', Version: 'v1.36.0' }],
  [makeObject('v1', 'Event', { type: 'Normal', reason: 'Started', message: 'Started container \n', involvedObject: { kind: 'Pod', name: 'p' }, lastTimestamp: at(3), count: 2 }), { 'Last Seen': '3m', Type: 'Normal', Reason: 'Started', Object: 'pod/p', Message: 'Started container' }],
  [makeObject('v1', 'Endpoints', { subsets: [{ addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }], ports: [{ port: 80 }, { port: 81 }] }] }), { Name: 'x', Endpoints: '10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more...', Age: '<unknown>' }],
  [makeObject('v1', 'PersistentVolumeClaim', { spec: { volumeName: 'pv', storageClassName: 'fast' }, status: { phase: 'Bound', capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'] } }), { Name: 'x', Status: 'Bound', Volume: 'pv', Capacity: '1Gi', 'Access Modes': 'RWO', StorageClass: 'fast', VolumeAttributesClass: '<unset>', Age: '<unknown>' }],
  [makeObject('batch/v1', 'Job', { spec: { completions: 3 }, status: { succeeded: 1, startTime: at(2) } }), { Name: 'x', Status: 'Running', Completions: '1/3', Duration: '2m', Age: '<unknown>' }],
  [makeObject('batch/v1', 'CronJob', { spec: { schedule: '* * * * *', suspend: false }, status: { active: [{}] } }), { Name: 'x', Schedule: '* * * * *', Timezone: '<none>', Suspend: 'False', Active: 1, 'Last Schedule': '<none>', Age: '<unknown>' }],
  [makeObject('networking.k8s.io/v1', 'Ingress', { spec: { ingressClassName: 'nginx', tls: [{}], rules: [{ host: 'a' }, { host: 'b' }] } }), { Name: 'x', Class: 'nginx', Hosts: 'a,b', Address: '', Ports: '80, 443', Age: '<unknown>' }],
  [makeObject('v1', 'ResourceQuota', { spec: { hard: { pods: '10', 'limits.cpu': '4' } }, status: { used: { pods: '2' }, hard: { pods: '10', 'limits.cpu': '4' } } }), { Name: 'x', Request: 'pods: 2/10', Limit: 'limits.cpu: 0/4', Age: '<unknown>' }],
  [makeObject('rbac.authorization.k8s.io/v1', 'ClusterRole', { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } }), { Name: 'x', 'Created At': '2026-01-01T00:00:00Z' }],
  [makeObject('autoscaling/v2', 'HorizontalPodAutoscaler', { spec: { scaleTargetRef: { kind: 'Deployment', name: 'd' }, minReplicas: 1, maxReplicas: 4, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }] }, status: { currentReplicas: 2, desiredReplicas: 2 } }), { Name: 'x', Reference: 'Deployment/d', Targets: 'cpu: <unknown>/80%', MinPods: '1', MaxPods: 4, Replicas: 2, Age: '<unknown>' }],
];
for (const [object, expected] of rows) test(`a row of ${object.kind}`, () => assert.deepEqual(row(object), expected));

test('HorizontalPodAutoscaler v1 survives the stored form and back', () => {
  const v1: Loose = { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { name: 'x' }, spec: { scaleTargetRef: { kind: 'Deployment', name: 'd' }, maxReplicas: 3, targetCPUUtilizationPercentage: 50 }, status: { currentReplicas: 1, desiredReplicas: 1, currentCPUUtilizationPercentage: 20 } };
  const stored = autoscalerToStored(v1) as Loose;
  assert.equal(stored.spec.metrics[0].resource.target.averageUtilization, 50);
  assert.deepEqual(autoscalerFromStored(stored), v1);
  const memory = { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } } };
  const both = { ...stored, spec: { ...stored.spec, metrics: [memory, ...stored.spec.metrics] } };
  assert.deepEqual((autoscalerToStored(autoscalerFromStored(both)) as Loose).spec.metrics, both.spec.metrics);
});
test('events of both groups are one', () => {
  const event: Loose = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject: { name: 'p' }, message: 'm', source: { component: 'c' }, count: 2, reportingComponent: 'c' };
  const other = eventFromStored(event) as Loose;
  assert.deepEqual([other.regarding, other.note, other.deprecatedCount, other.reportingController], [{ name: 'p' }, 'm', 2, 'c']);
  assert.deepEqual(eventToStored(other), event);
});
