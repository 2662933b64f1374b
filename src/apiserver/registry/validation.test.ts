/** One row per rule: a valid object, a change, and the field, type and text of the error that follows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../testing/fake-clock.ts';
import { created, make, strategyContext, updated, type Loose } from '../../testing/kinds.ts';

const context = () => strategyContext(new FakeClock());

for (const [kind, build] of Object.entries(make)) {
  test(`a plain ${kind} is valid, and its defaults are idempotent`, () => {
    const { object, errors } = created(build(), context());
    assert.deepEqual(errors, []);
    const again = structuredClone(object);
    created(again, context());
    assert.deepEqual(again, object);
  });
}

type Row = [what: string, kind: string, change: (object: Loose) => void, field: string, type: string, detail: string];
const container = (object: Loose) => (object.spec.template?.spec ?? object.spec).containers[0];
const label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const rows: Row[] = [
  ['no containers', 'Pod', (o) => { o.spec.containers = []; }, 'spec.containers', 'FieldValueRequired', 'Required value'],
  ['no image', 'Pod', (o) => { container(o).image = ''; }, 'spec.containers[0].image', 'FieldValueRequired', 'Required value'],
  ['bad container name', 'Pod', (o) => { container(o).name = 'A_b'; }, 'spec.containers[0].name', 'FieldValueInvalid', `Invalid value: "A_b": ${label}`],
  ['same name twice', 'Pod', (o) => { o.spec.containers.push({ name: 'main', image: 'y' }); }, 'spec.containers[1].name', 'FieldValueDuplicate', 'Duplicate value: "main"'],
  ['request above limit', 'Pod', (o) => { container(o).resources = { requests: { cpu: '2' }, limits: { cpu: '1' } }; }, 'spec.containers[0].resources.requests', 'FieldValueInvalid', 'Invalid value: "2": must be less than or equal to cpu limit of 1'],
  ['unknown resource', 'Pod', (o) => { container(o).resources = { limits: { disk: '1' } }; }, 'spec.containers[0].resources.limits[disk]', 'FieldValueInvalid', 'Invalid value: "disk": must be a standard resource type or fully qualified'],
  ['negative amount', 'Pod', (o) => { container(o).resources = { limits: { cpu: '-1' } }; }, 'spec.containers[0].resources.limits[cpu]', 'FieldValueInvalid', 'Invalid value: "-1": must be greater than or equal to 0'],
  ['mount of no volume', 'Pod', (o) => { container(o).volumeMounts = [{ name: 'nope', mountPath: '/x' }]; }, 'spec.containers[0].volumeMounts[0].name', 'FieldValueNotFound', 'Not found: "nope"'],
  ['two mounts at one path', 'Pod', (o) => { o.spec.volumes = [{ name: 'v' }]; container(o).volumeMounts = [{ name: 'v', mountPath: '/x' }, { name: 'v', mountPath: '/x' }]; }, 'spec.containers[0].volumeMounts[1].mountPath', 'FieldValueInvalid', 'Invalid value: "/x": must be unique'],
  ['two sources in a volume', 'Pod', (o) => { o.spec.volumes = [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }]; }, 'spec.volumes[0].hostPath', 'FieldValueForbidden', 'Forbidden: may not specify more than 1 volume type'],
  ['hostPath that climbs', 'Pod', (o) => { o.spec.volumes = [{ name: 'v', hostPath: { path: '/a/../b' } }]; }, 'spec.volumes[0].hostPath.path', 'FieldValueInvalid', `Invalid value: "/a/../b": must not contain '..'`],
  ['bad restart policy', 'Pod', (o) => { o.spec.restartPolicy = 'Sometimes'; }, 'spec.restartPolicy', 'FieldValueNotSupported', 'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
  ['bad pull policy', 'Pod', (o) => { container(o).imagePullPolicy = 'Maybe'; }, 'spec.containers[0].imagePullPolicy', 'FieldValueNotSupported', 'Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", "Never"'],
  ['no port number', 'Pod', (o) => { container(o).ports = [{ name: 'web' }]; }, 'spec.containers[0].ports[0].containerPort', 'FieldValueRequired', 'Required value'],
  ['port out of range', 'Pod', (o) => { container(o).ports = [{ containerPort: 70000 }]; }, 'spec.containers[0].ports[0].containerPort', 'FieldValueInvalid', 'Invalid value: 70000: must be between 1 and 65535, inclusive'],
  ['host ports collide', 'Pod', (o) => { container(o).ports = [{ containerPort: 1, hostPort: 80 }, { containerPort: 2, hostPort: 80 }]; }, 'spec.containers[0].ports[1].hostPort', 'FieldValueDuplicate', 'Duplicate value: "TCP//80"'],
  ['host network and another host port', 'Pod', (o) => { o.spec.hostNetwork = true; container(o).ports = [{ containerPort: 1, hostPort: 80 }]; }, 'spec.containers[0].ports[0].hostPort', 'FieldValueInvalid', 'Invalid value: 80: must match `containerPort` when `hostNetwork` is true'],
  ['a probe without handler', 'Pod', (o) => { container(o).livenessProbe = {}; }, 'spec.containers[0].livenessProbe', 'FieldValueRequired', 'Required value: must specify a handler type'],
  ['a probe with two handlers', 'Pod', (o) => { container(o).livenessProbe = { exec: { command: ['x'] }, tcpSocket: { port: 1 } }; }, 'spec.containers[0].livenessProbe.tcpSocket', 'FieldValueForbidden', 'Forbidden: may not specify more than 1 handler type'],
  ['liveness successThreshold', 'Pod', (o) => { container(o).livenessProbe = { tcpSocket: { port: 1 }, successThreshold: 2 }; }, 'spec.containers[0].livenessProbe.successThreshold', 'FieldValueInvalid', 'Invalid value: 2: must be 1'],
  ['an init container with a probe', 'Pod', (o) => { o.spec.initContainers = [{ name: 'i', image: 'x', readinessProbe: { tcpSocket: { port: 1 } } }]; }, 'spec.initContainers[0].readinessProbe', 'FieldValueForbidden', 'Forbidden: may not be set for init containers without restartPolicy=Always'],
  ['env without name', 'Pod', (o) => { container(o).env = [{ name: '' }]; }, 'spec.containers[0].env[0].name', 'FieldValueRequired', 'Required value'],
  ['env with value and source', 'Pod', (o) => { container(o).env = [{ name: 'A', value: 'b', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]; }, 'spec.containers[0].env[0].valueFrom', 'FieldValueInvalid', 'Invalid value: "": may not be specified when `value` is not empty'],
  ['env from an unknown field', 'Pod', (o) => { container(o).env = [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }]; }, 'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath', 'FieldValueInvalid', 'Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x'],
  ['toleration without key', 'Pod', (o) => { o.spec.tolerations = [{ operator: 'Equal' }]; }, 'spec.tolerations[0].operator', 'FieldValueInvalid', 'Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"'],
  ['toleration seconds', 'Pod', (o) => { o.spec.tolerations = [{ key: 'a', operator: 'Exists', effect: 'NoSchedule', tolerationSeconds: 1 }]; }, 'spec.tolerations[0].effect', 'FieldValueInvalid', `Invalid value: "NoSchedule": effect must be 'NoExecute' when \`tolerationSeconds\` is set`],
  ['empty node selector terms', 'Pod', (o) => { o.spec.affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } }; }, 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms', 'FieldValueRequired', 'Required value: must have at least one node selector term'],
  ['weight of a preference', 'Pod', (o) => { o.spec.affinity = { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 0, podAffinityTerm: { topologyKey: 'k' } }] } }; }, 'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight', 'FieldValueInvalid', 'Invalid value: 0: must be in the range 1-100'],
  ['spread without skew', 'Pod', (o) => { o.spec.topologySpreadConstraints = [{ maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }]; }, 'spec.topologySpreadConstraints[0].maxSkew', 'FieldValueInvalid', 'Invalid value: 0: must be greater than zero'],
  ['dnsPolicy None', 'Pod', (o) => { o.spec.dnsPolicy = 'None'; }, 'spec.dnsConfig', 'FieldValueRequired', 'Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
  ['runAsUser', 'Pod', (o) => { container(o).securityContext = { runAsUser: -1 }; }, 'spec.containers[0].securityContext.runAsUser', 'FieldValueInvalid', 'Invalid value: -1: must be between 0 and 2147483647, inclusive'],
  ['gated and bound', 'Pod', (o) => { o.spec.schedulingGates = [{ name: 'g' }]; o.spec.nodeName = 'n'; }, 'spec.nodeName', 'FieldValueForbidden', 'Forbidden: cannot be set until all schedulingGates have been cleared'],
  ['ephemeral containers on create', 'Pod', (o) => { o.spec.ephemeralContainers = [{ name: 'd', image: 'x' }]; }, 'spec.ephemeralContainers', 'FieldValueForbidden', 'Forbidden: cannot be set on create'],
  ['activeDeadlineSeconds', 'Pod', (o) => { o.spec.activeDeadlineSeconds = 0; }, 'spec.activeDeadlineSeconds', 'FieldValueInvalid', 'Invalid value: 0: must be between 1 and 2147483647, inclusive'],

  ['selector misses the template', 'Deployment', (o) => { o.spec.template.metadata.labels = { app: 'y' }; }, 'spec.template.metadata.labels', 'FieldValueInvalid', 'Invalid value: {"app":"y"}: `selector` does not match template `labels`'],
  ['no selector', 'Deployment', (o) => { delete o.spec.selector; }, 'spec.selector', 'FieldValueRequired', 'Required value'],
  ['empty selector', 'Deployment', (o) => { o.spec.selector = {}; }, 'spec.selector', 'FieldValueInvalid', 'Invalid value: {}: empty selector is invalid for deployment'],
  ['negative replicas', 'Deployment', (o) => { o.spec.replicas = -1; }, 'spec.replicas', 'FieldValueInvalid', 'Invalid value: -1: must be greater than or equal to 0'],
  ['restart policy of a deployment', 'Deployment', (o) => { o.spec.template.spec.restartPolicy = 'Never'; }, 'spec.template.spec.restartPolicy', 'FieldValueNotSupported', 'Unsupported value: "Never": supported values: "Always"'],
  ['nothing may move', 'Deployment', (o) => { o.spec.strategy = { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } }; }, 'spec.strategy.rollingUpdate.maxUnavailable', 'FieldValueInvalid', 'Invalid value: 0: may not be 0 when `maxSurge` is 0'],
  ['more than all', 'Deployment', (o) => { o.spec.strategy = { rollingUpdate: { maxUnavailable: '101%' } }; }, 'spec.strategy.rollingUpdate.maxUnavailable', 'FieldValueInvalid', 'Invalid value: "101%": must not be greater than 100%'],
  ['Recreate with rollingUpdate', 'Deployment', (o) => { o.spec.strategy = { type: 'Recreate', rollingUpdate: {} }; }, 'spec.strategy.rollingUpdate', 'FieldValueForbidden', "Forbidden: may not be specified when strategy `type` is 'Recreate'"],
  ['progress deadline', 'Deployment', (o) => { o.spec.minReadySeconds = 700; }, 'spec.progressDeadlineSeconds', 'FieldValueInvalid', 'Invalid value: 600: must be greater than minReadySeconds'],
  ['a deployment\'s container', 'Deployment', (o) => { container(o).image = ''; }, 'spec.template.spec.containers[0].image', 'FieldValueRequired', 'Required value'],
  ['surge and unavailable', 'DaemonSet', (o) => { o.spec.updateStrategy = { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } }; }, 'spec.updateStrategy.rollingUpdate.maxSurge', 'FieldValueInvalid', 'Invalid value: 1: may not be set when maxUnavailable is non-zero'],
  ['pod management', 'StatefulSet', (o) => { o.spec.podManagementPolicy = 'Chaos'; }, 'spec.podManagementPolicy', 'FieldValueInvalid', `Invalid value: "Chaos": must be 'OrderedReady' or 'Parallel'`],
  ['empty selector of a stateful set', 'StatefulSet', (o) => { o.spec.selector = {}; }, 'spec.selector', 'FieldValueInvalid', 'Invalid value: {}: empty selector is invalid for statefulset'],
  ['a job that always restarts', 'Job', (o) => { o.spec.template.spec.restartPolicy = 'Always'; }, 'spec.template.spec.restartPolicy', 'FieldValueRequired', 'Required value: valid values: "OnFailure", "Never"'],
  ['indexed without completions', 'Job', (o) => { o.spec.completionMode = 'Indexed'; o.spec.parallelism = 2; }, 'spec.completions', 'FieldValueRequired', 'Required value: when completion mode is Indexed'],
  ['a schedule', 'CronJob', (o) => { o.spec.schedule = '* * *'; }, 'spec.schedule', 'FieldValueInvalid', 'Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]'],
  ['a schedule out of range', 'CronJob', (o) => { o.spec.schedule = '61 * * * *'; }, 'spec.schedule', 'FieldValueInvalid', 'Invalid value: "61 * * * *": end of range (61) above maximum (59): 61'],
  ['a time zone', 'CronJob', (o) => { o.spec.timeZone = 'Mars/Olympus'; }, 'spec.timeZone', 'FieldValueInvalid', 'Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus'],
  ['a long name', 'CronJob', (o) => { o.metadata.name = 'a'.repeat(53); }, 'metadata.name', 'FieldValueInvalid', `Invalid value: "${'a'.repeat(53)}": must be no more than 52 characters`],

  ['no ports', 'Service', (o) => { delete o.spec.ports; }, 'spec.ports', 'FieldValueRequired', 'Required value'],
  ['two unnamed ports', 'Service', (o) => { o.spec.ports.push({ port: 81, name: 'b' }); }, 'spec.ports[0].name', 'FieldValueRequired', 'Required value'],
  ['node port of a cluster IP', 'Service', (o) => { o.spec.ports[0].nodePort = 30000; }, 'spec.ports[0].nodePort', 'FieldValueForbidden', "Forbidden: may not be used when `type` is 'ClusterIP'"],
  ['service type', 'Service', (o) => { o.spec.type = 'Magic'; }, 'spec.type', 'FieldValueNotSupported', 'Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
  ['external name', 'Service', (o) => { o.spec = { type: 'ExternalName' }; }, 'spec.externalName', 'FieldValueRequired', 'Required value'],
  ['headless node port', 'Service', (o) => { o.spec.type = 'NodePort'; o.spec.clusterIP = 'None'; o.spec.clusterIPs = ['None']; }, 'spec.clusterIPs[0]', 'FieldValueInvalid', `Invalid value: "None": may not be set to 'None' for NodePort services`],
  ['loopback endpoints', 'Endpoints', (o) => { o.subsets[0].addresses[0].ip = '127.0.0.1'; }, 'subsets[0].addresses[0].ip', 'FieldValueInvalid', 'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  ['a slice of the wrong family', 'EndpointSlice', (o) => { o.endpoints[0].addresses = ['2001:db8::1']; }, 'endpoints[0].addresses[0]', 'FieldValueInvalid', 'Invalid value: "2001:db8::1": must be an IPv4 address'],
  ['no claim size', 'PersistentVolumeClaim', (o) => { o.spec.resources = {}; }, 'spec.resources[storage]', 'FieldValueRequired', 'Required value'],
  ['no access mode', 'PersistentVolumeClaim', (o) => { o.spec.accessModes = []; }, 'spec.accessModes', 'FieldValueRequired', 'Required value: at least 1 access mode is required'],
  ['no volume source', 'PersistentVolume', (o) => { delete o.spec.hostPath; }, 'spec', 'FieldValueRequired', 'Required value: must specify a volume type'],
  ['no path type', 'Ingress', (o) => { delete o.spec.rules[0].http.paths[0].pathType; }, 'spec.rules[0].http.paths[0].pathType', 'FieldValueRequired', 'Required value: pathType must be specified'],
  ['relative path', 'Ingress', (o) => { o.spec.rules[0].http.paths[0].path = 'x'; }, 'spec.rules[0].http.paths[0].path', 'FieldValueInvalid', 'Invalid value: "x": must be an absolute path'],
  ['a peer of nothing', 'NetworkPolicy', (o) => { o.spec.ingress[0].from[0] = {}; }, 'spec.ingress[0].from[0]', 'FieldValueRequired', 'Required value: must specify a peer'],
  ['except outside', 'NetworkPolicy', (o) => { o.spec.ingress[0].from[0] = { ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }; }, 'spec.ingress[0].from[0].ipBlock.except[0]', 'FieldValueInvalid', 'Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'],
  ['role of what', 'RoleBinding', (o) => { o.roleRef.kind = 'Rule'; }, 'roleRef.kind', 'FieldValueNotSupported', 'Unsupported value: "Rule": supported values: "Role", "ClusterRole"'],
  ['no verbs', 'Role', (o) => { o.rules[0].verbs = []; }, 'rules[0].verbs', 'FieldValueRequired', 'Required value: verbs must contain at least one value'],
  ['max below min', 'HorizontalPodAutoscaler', (o) => { o.spec.minReplicas = 5; }, 'spec.maxReplicas', 'FieldValueInvalid', 'Invalid value: 3: must be greater than or equal to `minReplicas`'],
  ['both budgets', 'PodDisruptionBudget', (o) => { o.spec = { minAvailable: 1, maxUnavailable: 1 }; }, 'spec', 'FieldValueInvalid', 'Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set'],
  ['a bad key', 'ConfigMap', (o) => { o.data = { 'a b': '' }; }, 'data[a b]', 'FieldValueInvalid', `Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`],
  ['TLS without key', 'Secret', (o) => { o.type = 'kubernetes.io/tls'; o.data = { 'tls.crt': '' }; }, 'data[tls.key]', 'FieldValueRequired', 'Required value'],
  ['too high', 'PriorityClass', (o) => { o.value = 1_000_000_001; }, 'value', 'FieldValueForbidden', 'Forbidden: maximum allowed value of a user defined priority is 1000000000'],
  ['taint effect', 'Node', (o) => { o.spec.taints = [{ key: 'a', effect: 'Never' }]; }, 'metadata.taints[0].effect', 'FieldValueNotSupported', 'Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"'],
  ['min above max', 'LimitRange', (o) => { o.spec.limits[0].min = { cpu: '3' }; }, 'spec.limits[0].min[cpu]', 'FieldValueInvalid', 'Invalid value: "3": min value 3 is greater than max value 2'],
  ['two storage versions', 'CustomResourceDefinition', (o) => { o.spec.versions.push({ ...o.spec.versions[0], name: 'v2' }); }, 'spec.versions', 'FieldValueInvalid', 'Invalid value: ["v1","v2"]: must have exactly one version marked as storage version'],
  ['another name', 'CustomResourceDefinition', (o) => { o.metadata.name = 'x'; }, 'metadata.name', 'FieldValueInvalid', 'Invalid value: "x": must be spec.names.plural+"."+spec.group'],
  ['a usage', 'CertificateSigningRequest', (o) => { o.spec.usages = []; }, 'spec.usages', 'FieldValueRequired', 'Required value'],
  ['the legacy signer', 'CertificateSigningRequest', (o) => { o.spec.signerName = 'kubernetes.io/legacy-unknown'; }, 'spec.signerName', 'FieldValueInvalid', 'Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version'],
  ['a quota of what', 'ResourceQuota', (o) => { o.spec.hard = { things: '1' }; }, 'spec.hard[things]', 'FieldValueInvalid', 'Invalid value: "things": must be a standard resource for quota'],
];
for (const [what, kind, change, field, type, detail] of rows) {
  test(`${kind}: ${what}`, () => {
    const object = make[kind]!();
    change(object);
    const { errors } = created(object, context());
    const found = errors.find((error) => error.field === field && error.type === type);
    assert.ok(found, `no ${type} at ${field} in ${JSON.stringify(errors)}`);
    assert.equal(found.detail, detail);
  });
}

type UpdateRow = [what: string, kind: string, change: (object: Loose) => void, field: string, text: RegExp | undefined, subresource?: string];
const updates: UpdateRow[] = [
  ['image may change', 'Pod', (o) => { container(o).image = 'busybox:2'; }, '', undefined],
  ['command may not', 'Pod', (o) => { container(o).command = ['x']; }, 'spec', /^Forbidden: pod updates may not change fields other than `spec.containers\[\*\].image`,`spec.initContainers\[\*\].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \(only additions to existing tolerations\)/],
  ['containers may not be added', 'Pod', (o) => { o.spec.containers.push({ name: 'b', image: 'x' }); }, 'spec.containers', /^Forbidden: pod updates may not add or remove containers$/],
  ['tolerations may be added', 'Pod', (o) => { o.spec.tolerations = [{ key: 'a', operator: 'Exists' }]; }, '', undefined],
  ['selector is fixed', 'Deployment', (o) => { o.spec.selector = { matchLabels: { app: 'x', b: 'c' } }; o.spec.template.metadata.labels.b = 'c'; }, 'spec.selector', /: field is immutable$/],
  ['serviceName is fixed', 'StatefulSet', (o) => { o.spec.serviceName = 'y'; }, 'spec', /^Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden$/],
  ['replicas are not', 'StatefulSet', (o) => { o.spec.replicas = 3; }, '', undefined],
  ['template of a job is fixed', 'Job', (o) => { container(o).image = 'y'; }, 'spec.template', /: field is immutable$/],
  ['parallelism is not', 'Job', (o) => { o.spec.parallelism = 3; }, '', undefined],
  ['roleRef is fixed', 'RoleBinding', (o) => { o.roleRef.name = 'other'; }, 'roleRef', /: cannot change roleRef$/],
  ['priority is fixed', 'PriorityClass', (o) => { o.value = 11; }, 'value', /^Forbidden: may not be changed in an update\.$/],
  ['provisioner is fixed', 'StorageClass', (o) => { o.provisioner = 'a.b/c'; }, 'provisioner', /^Forbidden: updates to provisioner are forbidden\.$/],
  ['secret type is fixed', 'Secret', (o) => { o.type = 'other'; }, 'type', /: field is immutable$/],
  ['claims are fixed', 'PersistentVolumeClaim', (o) => { o.spec.accessModes = ['ReadWriteMany']; }, 'spec', /^Forbidden: spec is immutable after creation except resources\.requests/],
  ['a volume\'s source is fixed', 'PersistentVolume', (o) => { o.spec.hostPath.path = '/other'; }, 'spec.persistentvolumesource', /^Forbidden: spec\.persistentvolumesource is immutable after creation/],
  ['podIPs', 'Pod', (o) => { o.status.podIPs = [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }]; }, 'status.podIPs', /may specify no more than one IP for each IP family/, 'status'],
  ['ready above replicas', 'Deployment', (o) => { o.status = { replicas: 1, readyReplicas: 2 }; }, 'status.readyReplicas', /^Invalid value: 2: cannot be greater than status\.replicas$/, 'status'],
];
for (const [what, kind, change, field, text, subresource = ''] of updates) {
  test(`update of ${kind}: ${what}`, () => {
    const old = created(make[kind]!(), context()).object;
    const next = structuredClone(old);
    change(next);
    const errors = updated(next, old, { ...context(), subresource });
    if (!text) { assert.deepEqual(errors, []); return; }
    const found = errors.find((error) => error.field === field && text.test(error.detail));
    assert.ok(found, `no such error at ${field} in ${JSON.stringify(errors)}`);
  });
}

test('an immutable ConfigMap stays as it is', () => {
  const old = created({ ...make['ConfigMap']!(), immutable: true }, context()).object;
  const next = structuredClone(old);
  next.data.a = 'c';
  assert.deepEqual(updated(next, old, context()), [{ type: 'FieldValueForbidden', field: 'data', detail: 'Forbidden: field is immutable when `immutable` is set' }]);
});
