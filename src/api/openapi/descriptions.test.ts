import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import '../resources.ts';
import { builtInResources } from '../resource-names.ts';
import { readDescriptions } from './descriptions.ts';
import { openApiV2, openApiV3 } from './documents.ts';
import { operationsOf } from './operations.ts';
import { pods } from '../resources.ts';
import type { JsonObject } from '../../base/json.ts';

test('texts of both packages meet in the documents', () => {
  const folder = mkdtempSync(join(tmpdir(), 'descriptions-'));
  try {
    mkdirSync(join(folder, 'types/core'), { recursive: true });
    mkdirSync(join(folder, 'client/dist/gen/models'), { recursive: true });
    writeFileSync(join(folder, 'types/core/v1.d.ts'), 'import { X } from "y";\n/** An old text. */\nexport interface Pod {\n    kind: "Pod";\n    /** Wishes. */\n    spec?: PodSpec;\n}\nexport interface PodSpec {\n    /** Old\n     * words. */\n    "nodeName"?: string;\n}\n');
    writeFileSync(join(folder, 'client/dist/gen/models/V1Pod.d.ts'), '/**\n * Kubernetes\n */\nimport { A } from "b";\n/**\n* A new text.\n*/\nexport declare class V1Pod {\n    \'spec\'?: V1PodSpec;\n    static readonly attributeTypeMap: Array<{\n        "name": string;\n    }>;\n}\n');
    writeFileSync(join(folder, 'client/dist/gen/models/CoreV1Event.d.ts'), '/** Of core. */\nexport declare class CoreV1Event {\n    /** Why. */\n    \'reason\'?: string;\n}\n');
    const descriptions = readDescriptions(join(folder, 'types'), join(folder, 'client'));
    const source = { resources: builtInResources(), version: 'v1', descriptions };
    const { definitions } = openApiV2(source) as { definitions: Record<string, { description?: string; properties: Record<string, JsonObject> }> };
    assert.equal(definitions['io.k8s.api.core.v1.Pod']!.description, 'A new text.');
    assert.equal(definitions['io.k8s.api.core.v1.Pod']!.properties.spec!.description, 'Wishes.');
    assert.equal(definitions['io.k8s.api.core.v1.PodSpec']!.properties.nodeName!.description, 'Old\nwords.');
    assert.equal(definitions['io.k8s.api.core.v1.Event']!.properties.reason!.description, 'Why.');
    assert.equal(definitions['io.k8s.api.events.v1.Event']!.description, undefined);
    const v3 = openApiV3(source, operationsOf(pods)) as { components: { schemas: Record<string, { properties: Record<string, JsonObject> }> } };
    assert.deepEqual(v3.components.schemas['io.k8s.api.core.v1.Pod']!.properties.spec, { allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.PodSpec' }], description: 'Wishes.' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('no package, no texts', () => assert.equal(readDescriptions(undefined, '/nowhere'), undefined));
