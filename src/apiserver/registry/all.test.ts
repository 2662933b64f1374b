import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../../api/resources.ts';
import { builtInResources } from '../../api/resource-names.ts';
import { registryEntries } from './all.ts';

test('every built-in resource has exactly one entry', () => {
  const key = (names: { apiVersion: string; plural: string }) => `${names.apiVersion} ${names.plural}`;
  assert.deepEqual(registryEntries.map((entry) => key(entry.names)).sort(), builtInResources().map(key).sort());
});

test('storage prefixes are unique but for aliases, and upstream\'s odd ones', () => {
  const own = registryEntries.filter((entry) => !entry.alias && entry.names.verbs.includes('list'));
  assert.equal(new Set(own.map((entry) => entry.storagePrefix)).size, own.length);
  const prefix = (plural: string, group = '') => registryEntries.find((entry) => entry.names.plural === plural && entry.names.group === group && !entry.alias)!.storagePrefix;
  assert.equal(prefix('nodes'), '/registry/minions');
  assert.equal(prefix('services'), '/registry/services/specs');
  assert.equal(prefix('endpoints'), '/registry/services/endpoints');
  assert.equal(prefix('replicationcontrollers'), '/registry/controllers');
  assert.equal(prefix('ingresses', 'networking.k8s.io'), '/registry/ingress');
  assert.equal(prefix('deployments', 'apps'), '/registry/deployments');
  assert.equal(prefix('customresourcedefinitions', 'apiextensions.k8s.io'), '/registry/apiextensions.k8s.io/customresourcedefinitions');
});

test('columns of an empty object do not throw', () => {
  for (const { names, columns } of registryEntries) {
    const object = { apiVersion: names.apiVersion, kind: names.kind, metadata: { name: 'x' }, spec: { template: {}, jobTemplate: {}, scaleTargetRef: {} }, roleRef: {} } as never;
    for (const column of columns) assert.doesNotThrow(() => column.value(object, 0), `${names.plural} ${column.name}`);
  }
});
