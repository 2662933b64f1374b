/** additionalPrinterColumns as table columns. Source: apiextensions-apiserver/pkg/registry/customresource/tableconvertor. */
import type { Json, JsonObject } from '../../base/json.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import { since } from '../../api/human-duration.ts';
import type { ApiObject } from '../../client/client.ts';
import { nameColumn } from '../registry/define.ts';
import type { Column } from '../types.ts';
import { parseJsonPath, type JsonPath } from './json-path.ts';

const createdDescription = 'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata';
const defaultColumns: readonly v1.CustomResourceColumnDefinition[] = [{ name: 'Age', type: 'date', description: createdDescription, jsonPath: '.metadata.creationTimestamp' }];

/** Paths are parsed when a table is first made. With one that is no path only the columns before it are shown, as upstream. */
export function columnsOf(definitions: readonly v1.CustomResourceColumnDefinition[] | undefined): Column[] {
  const columns: Column[] = [nameColumn];
  for (const { name, type, format = '', description = '', priority = 0, jsonPath } of definitions && definitions.length > 0 ? definitions : defaultColumns) {
    let path: JsonPath;
    try { path = parseJsonPath(jsonPath); } catch { break; }
    columns.push({
      name, type: type as Column['type'], format, priority, description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
      value: (object: ApiObject, now) => cellOf(type, path(object as unknown as JsonObject)[0], now),
    });
  }
  return columns;
}

function cellOf(type: string, value: Json | undefined, now: number): Json {
  if (value === undefined) return null;
  if (type === 'string') return textOf(value);
  if (value === null) return null;
  switch (type) {
    case 'integer': return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number': return typeof value === 'number' ? value : null;
    case 'boolean': return typeof value === 'boolean' ? value : null;
    case 'date': return typeof value !== 'string' ? null : Number.isNaN(Date.parse(value)) ? '<invalid>' : since(value, now);
    default: return null;
  }
}
/** As Go prints it. */
function textOf(value: Json): string {
  if (value === null) return '<no value>';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
