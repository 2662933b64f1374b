/** Objects as rows for people, and as metadata only. Source: apiserver/pkg/endpoints/handlers/response.go; meta.k8s.io Table, PartialObjectMetadata. */
import type { Json, JsonObject } from '../../base/json.ts';
import type { ListMeta } from '../../api/meta/v1.ts';
import type { ApiObject } from '../../client/client.ts';
import type { ServedResource } from '../resource-table.ts';
import { badRequest } from '../../api/meta/status.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';
export function includeObjectOf(text: string): IncludeObject {
  if (text === '' || text === 'Metadata') return 'Metadata';
  if (text === 'None' || text === 'Object') return text;
  throw badRequest(`unrecognized includeObject value: ${JSON.stringify(text)}`);
}

export function partialMetadata(object: ApiObject, metaVersion: string): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${metaVersion}`, metadata: object.metadata as unknown as JsonObject };
}

export function tableOf(resource: ServedResource, objects: readonly ApiObject[], metadata: ListMeta, { now, include, metaVersion }: { now: number; include: IncludeObject; metaVersion: string }): JsonObject {
  const { columns } = resource.entry;
  return {
    kind: 'Table', apiVersion: `meta.k8s.io/${metaVersion}`, metadata: metadata as unknown as JsonObject,
    columnDefinitions: columns.map(({ name, type, format = '', description, priority = 0 }) => ({ name, type, format, description, priority })),
    rows: objects.map((object) => ({
      cells: columns.map((column) => cell(column.value(object, now))),
      ...(include === 'None' ? {} : { object: include === 'Object' ? object as unknown as JsonObject : partialMetadata(object, metaVersion) }),
    })),
  };
}
const cell = (value: Json | undefined): Json => (value === undefined ? null : value);
