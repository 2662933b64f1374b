import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../../base/json.ts';
import type { Deployment } from '../../../api/apps/v1.ts';
import { configmaps, deployments, mutatingadmissionpolicies, mutatingadmissionpolicybindings, namespaces, secrets, validatingadmissionpolicies, validatingadmissionpolicybindings } from '../../../api/resources.ts';
import type { ResourceNames } from '../../../api/resource-names.ts';
import type { ApiObject } from '../../../client/client.ts';
import { startApiServer } from '../../../testing/api-server.ts';
import { FakeClock } from '../../../testing/fake-clock.ts';
import { createSecurity } from '../../security.ts';
import type { AdmissionPlugin } from '../../types.ts';

async function start() {
  const clock = new FakeClock();
  const annotations: Record<string, string> = {};
  // Takes the place of the audit record.
  const recorder: AdmissionPlugin = { name: 'recorder', handles: () => true, admit: (attributes) => { attributes.annotate = (key, value) => { annotations[key] = value; }; } };
  const env = await startApiServer({ clock, security: (parts) => { const made = createSecurity({}, parts); return { ...made, admission: [recorder, ...made.admission] }; } });
  const client = env.client();
  const make = async (names: ResourceNames<never>, name: string, spec: object, namespace?: string) => {
    const made = await client.for(names as unknown as ResourceNames<ApiObject>).create({ metadata: { name, ...(namespace ? { namespace } : {}) }, spec } as never) as ApiObject & JsonObject;
    await env.settle();
    return made;
  };
  await client.for(namespaces).create({ spec: {}, metadata: { name: 'test', labels: { env: 'test' } } });
  await client.for(namespaces).create({ spec: {}, metadata: { name: 'prod', labels: { env: 'prod' } } });
  return { env, client, clock, make, annotations, configmap: (name: string, data: Record<string, string> = {}, namespace = 'test', labels?: Record<string, string>) => client.for(configmaps).create({ metadata: { name, namespace, ...(labels ? { labels } : {}) }, data }), [Symbol.asyncDispose]: () => env[Symbol.asyncDispose]() };
}
const rules = (resources: string[], operations = ['CREATE', 'UPDATE'], apiGroups = ['']) => ({ resourceRules: [{ apiGroups, apiVersions: ['v1'], operations, resources }] });
const vap = validatingadmissionpolicies as ResourceNames<never>;
const vapBinding = validatingadmissionpolicybindings as ResourceNames<never>;
const map = mutatingadmissionpolicies as ResourceNames<never>;
const mapBinding = mutatingadmissionpolicybindings as ResourceNames<never>;
const deployment = (name: string, replicas: number, namespace = 'test'): Deployment => ({ metadata: { name, namespace }, spec: { replicas, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } } } as unknown as Deployment);

test('a policy denies what does not hold, where its binding says, in upstream\'s words', async () => {
  await using t = await start();
  await t.make(vap, 'replicas', { matchConstraints: rules(['deployments'], ['CREATE', 'UPDATE'], ['apps']), variables: [{ name: 'n', expression: 'object.spec.replicas' }, { name: 'many', expression: 'variables.n > 5' }],
    validations: [{ expression: '!variables.many', messageExpression: '"too many: " + string(variables.n)', reason: 'Forbidden' }, { expression: "object.metadata.name != 'bad'" }] });
  await t.client.for(deployments).create(deployment('before', 9));
  await t.make(vapBinding, 'b', { policyName: 'replicas', validationActions: ['Deny'], matchResources: { namespaceSelector: { matchLabels: { env: 'test' } } } });
  const denied = "ValidatingAdmissionPolicy 'replicas' with binding 'b' denied request: too many: 6";
  await assert.rejects(t.client.for(deployments).create(deployment('d', 6)), (err: { status: JsonObject }) => {
    assert.deepEqual(err.status, { ...err.status, code: 403, reason: 'Forbidden', message: `deployments.apps "d" is forbidden: ${denied}`, details: { name: 'd', group: 'apps', kind: 'deployments', causes: [{ message: denied }] } });
    return true;
  });
  await assert.rejects(t.client.for(deployments).create(deployment('bad', 1)), { code: 422, reason: 'Invalid', message: `deployments.apps "bad" is forbidden: ValidatingAdmissionPolicy 'replicas' with binding 'b' denied request: failed expression: object.metadata.name != 'bad'` });
  await t.client.for(deployments).create(deployment('good', 3));
  await t.client.for(deployments).create(deployment('elsewhere', 9, 'prod'));
  await t.client.for(validatingadmissionpolicybindings).delete({ name: 'b' });
  await t.env.settle();
  await t.client.for(deployments).create(deployment('after', 9));
});

test('warnings and audit annotations instead of denial; failure policies', async () => {
  await using t = await start();
  await t.make(vap, 'soft', { failurePolicy: 'Fail', matchConstraints: rules(['configmaps'], ['CREATE']), matchConditions: [{ name: 'skip', expression: "!object.metadata.name.startsWith('skip')" }],
    validations: [{ expression: "has(object.data) && object.data.k == 'v'", message: 'k must be v' }], auditAnnotations: [{ key: 'name', valueExpression: "'name is ' + object.metadata.name" }, { key: 'none', valueExpression: 'null' }] });
  await t.make(vapBinding, 'soft', { policyName: 'soft', validationActions: ['Warn', 'Audit'] });
  await t.configmap('a', { k: 'w' });
  assert.deepEqual(JSON.parse(t.annotations['validation.policy.admission.k8s.io/validation_failure']!), [{ message: 'k must be v', policy: 'soft', binding: 'soft', expressionIndex: 0, validationActions: ['Warn', 'Audit'] }]);
  assert.equal(t.annotations['soft/name'], 'name is a');
  assert.ok(!('soft/none' in t.annotations));
  await t.configmap('skip-me', {});
  assert.equal(t.annotations['soft/name'], 'name is a', 'the condition leaves it out');

  await t.make(vap, 'broken', { failurePolicy: 'Fail', matchConstraints: rules(['configmaps'], ['UPDATE']), validations: [{ expression: "object.data.missing == 'x'" }] });
  await t.make(vapBinding, 'broken', { policyName: 'broken', validationActions: ['Deny'] });
  const update = () => t.client.for(configmaps).patch({ namespace: 'test', name: 'a' }, 'merge', { data: { z: '1' } });
  await assert.rejects(update(), { code: 422, message: "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'broken' with binding 'broken' denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: missing" });
  await t.client.for(validatingadmissionpolicies).patch({ name: 'broken' }, 'merge', { spec: { failurePolicy: 'Ignore' } });
  await t.env.settle();
  await update();
});

test('parameters by name and selector, and what follows when there are none', async () => {
  await using t = await start();
  await t.make(vap, 'max', { paramKind: { apiVersion: 'v1', kind: 'ConfigMap' }, matchConstraints: rules(['deployments'], ['CREATE'], ['apps']), validations: [{ expression: 'params == null || object.spec.replicas <= int(params.data.max)', messageExpression: "'at most ' + params.data.max" }] });
  await t.make(vapBinding, 'named', { policyName: 'max', validationActions: ['Deny'], paramRef: { name: 'limits', parameterNotFoundAction: 'Deny' } });
  await assert.rejects(t.client.for(deployments).create(deployment('d', 1)), /denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction$/);
  await t.configmap('limits', { max: '3' });
  await t.client.for(deployments).create(deployment('d', 3));
  await assert.rejects(t.client.for(deployments).create(deployment('e', 4)), /denied request: at most 3$/);
  await t.client.for(validatingadmissionpolicybindings).delete({ name: 'named' });
  await t.make(vapBinding, 'selected', { policyName: 'max', validationActions: ['Deny'], paramRef: { selector: { matchLabels: { limits: 'yes' } }, parameterNotFoundAction: 'Allow' } });
  await t.client.for(deployments).create(deployment('f', 9));
  await t.configmap('l1', { max: '8' }, 'test', { limits: 'yes' });
  await t.configmap('l2', { max: '5' }, 'test', { limits: 'yes' });
  await assert.rejects(t.client.for(deployments).create(deployment('g', 7)), /at most 5$/);
  await t.make(vap, 'nokind', { paramKind: { apiVersion: 'example.com/v1', kind: 'Nope' }, matchConstraints: rules(['secrets'], ['CREATE']), validations: [{ expression: 'true' }] });
  await t.make(vapBinding, 'nokind', { policyName: 'nokind', validationActions: ['Deny'], paramRef: { name: 'x', parameterNotFoundAction: 'Deny' } });
  await assert.rejects(t.client.for(secrets).create({ metadata: { name: 's', namespace: 'test' } }), /ValidatingAdmissionPolicy 'nokind' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com\/v1, Kind=Nope'$/);
});

test('expressions see the request, the namespace, the old object and the authorizer', async () => {
  await using t = await start();
  const holds = (expression: string) => ({ expression, message: expression });
  await t.make(vap, 'scene', { matchConstraints: rules(['configmaps'], ['CREATE', 'UPDATE', 'DELETE']), validations: [
    holds("request.operation == 'DELETE' ? object == null : object.kind == 'ConfigMap'"), holds("request.operation == 'CREATE' ? oldObject == null : oldObject.metadata.name == request.name"), holds("request.userInfo.username == 'admin' && 'system:masters' in request.userInfo.groups"),
    holds("namespaceObject.metadata.labels['env'] == 'test'"), holds("request.resource.resource == 'configmaps' && request.kind.kind == 'ConfigMap' && request.namespace == 'test' && !request.dryRun"),
    holds("authorizer.group('').resource('pods').namespace('test').check('create').allowed()"), holds("!authorizer.serviceAccount('test', 'nobody').group('').resource('secrets').check('get').allowed()"), holds("authorizer.requestResource.check('custom').allowed() && authorizer.path('/healthz').check('get').allowed()"),
  ] });
  await t.make(vapBinding, 'scene', { policyName: 'scene', validationActions: ['Deny'] });
  await t.configmap('a', { k: 'v' });
  await t.client.for(configmaps).patch({ namespace: 'test', name: 'a' }, 'merge', { data: { k: 'w' } });
  await t.client.for(configmaps).delete({ namespace: 'test', name: 'a' });
});

test('type checking writes warnings into the status', async () => {
  await using t = await start();
  await t.make(vap, 'typed', { matchConstraints: rules(['deployments'], ['CREATE'], ['apps']), validations: [{ expression: "object.spec.replicas > '1'" }, { expression: 'object.spec.maxReplicas < 5', messageExpression: 'string(object.spec.nope)' }] });
  await t.clock.advance(1);
  await t.env.settle();
  const { status, metadata } = await t.client.for(validatingadmissionpolicies).get({ name: 'typed' });
  assert.equal(status?.observedGeneration, metadata.generation);
  assert.deepEqual(status?.typeChecking?.expressionWarnings?.map(({ fieldRef }) => fieldRef), ['spec.validations[0].expression', 'spec.validations[1].expression', 'spec.validations[1].messageExpression']);
  assert.match(status?.typeChecking?.expressionWarnings?.[0]?.warning ?? '', /^apps\/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '\(int, string\)'\n/);
  assert.match(status?.typeChecking?.expressionWarnings?.[1]?.warning ?? '', /undefined field 'maxReplicas'/);
  await t.make(vap, 'fine', { matchConstraints: rules(['deployments'], ['CREATE'], ['apps']), validations: [{ expression: 'object.spec.replicas > 1' }] });
  await t.clock.advance(1);
  await t.env.settle();
  assert.deepEqual((await t.client.for(validatingadmissionpolicies).get({ name: 'fine' })).status, { observedGeneration: 1, typeChecking: {} });
});

test('expressions that do not compile are refused with the policy', async () => {
  await using t = await start();
  const invalid = (spec: object, message: RegExp) => assert.rejects(t.make(vap, 'p', { matchConstraints: rules(['configmaps']), ...spec }), (err: { code: number; message: string }) => { assert.equal(err.code, 422); assert.match(err.message, message); return true; });
  await invalid({ validations: [{ expression: 'object.' }] }, /spec\.validations\[0\]\.expression: Invalid value: "object\.": compilation failed: ERROR: <input>:1:8: Syntax error: mismatched input '<EOF>'/);
  await invalid({ validations: [{ expression: 'variables.x' }], variables: [{ name: 'x', expression: '1' }] }, /spec\.validations\[0\]\.expression: Invalid value: "variables\.x": must evaluate to bool/);
  await invalid({ validations: [{ expression: 'true' }], matchConditions: [{ name: 'x', expression: '1' }] }, /spec\.matchConditions\[0\]\.expression: Invalid value: "1": must evaluate to bool/);
  await invalid({ validations: [{ expression: 'params.x' }] }, /undeclared reference to 'params'/);
});

test('mutations by apply configuration and JSON patch, in order, with reinvocation', async () => {
  await using t = await start();
  await t.make(map, 'a-late', { matchConstraints: rules(['configmaps'], ['CREATE']), failurePolicy: 'Fail', reinvocationPolicy: 'IfNeeded', mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: "Object{metadata: Object.metadata{annotations: {'seen': object.?metadata.?labels.?made.orValue('no')}}}" } }] });
  await t.make(mapBinding, 'a-late', { policyName: 'a-late' });
  await t.make(map, 'b', { matchConstraints: rules(['configmaps'], ['CREATE']), failurePolicy: 'Fail', reinvocationPolicy: 'Never', variables: [{ name: 'who', expression: 'request.userInfo.username' }], mutations: [
    { patchType: 'ApplyConfiguration', applyConfiguration: { expression: "Object{metadata: Object.metadata{labels: {'made': variables.who}}}" } },
    { patchType: 'JSONPatch', jsonPatch: { expression: "[JSONPatch{op: 'test', path: '/metadata/labels/made', value: variables.who}, JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: 'z'}]" } },
    { patchType: 'JSONPatch', jsonPatch: { expression: "[JSONPatch{op: 'test', path: '/metadata/name', value: 'other'}, JSONPatch{op: 'remove', path: '/metadata/labels'}]" } },
  ] });
  await t.make(mapBinding, 'b', { policyName: 'b' });
  const { metadata, data } = await t.configmap('cm', { own: '1' });
  assert.deepEqual(metadata.labels, { made: 'admin', 'x/y': 'z' });
  assert.deepEqual(metadata.annotations, { seen: 'admin' }, 'the earlier policy ran again after the later one');
  assert.deepEqual(data, { own: '1' });

  await t.make(map, 'sidecar', { matchConstraints: rules(['deployments'], ['CREATE'], ['apps']), failurePolicy: 'Fail', reinvocationPolicy: 'Never', mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{initContainers: [Object.spec.template.spec.initContainers{name: 'mesh', image: 'mesh:1', restartPolicy: 'Always'}]}}}}" } }] });
  await t.make(mapBinding, 'sidecar', { policyName: 'sidecar' });
  const { spec } = await t.client.for(deployments).create(deployment('d', 1));
  assert.equal(spec?.template.spec?.initContainers?.[0]?.imagePullPolicy, 'IfNotPresent', 'defaulted after the mutation');
  assert.equal(spec?.template.spec?.containers[0]?.name, 'c');
});

test('mutations that cannot be made deny by the failure policy', async () => {
  await using t = await start();
  const policy = (name: string, expression: string) => t.make(map, name, { matchConstraints: rules(['configmaps'], ['CREATE']), failurePolicy: 'Fail', reinvocationPolicy: 'Never', mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }] });
  await policy('wrong', "Object{metadata: Object.spec{labels: {'a': 'b'}}}");
  await t.make(mapBinding, 'wrong', { policyName: 'wrong' });
  await assert.rejects(t.configmap('x'), { code: 403, reason: 'Invalid', message: `policy 'wrong' with binding 'wrong' denied request: type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which matches field name path from root Object type` });
  await t.client.for(mutatingadmissionpolicies).patch({ name: 'wrong' }, 'merge', { spec: { failurePolicy: 'Ignore' } });
  await t.env.settle();
  await t.configmap('x');
});
