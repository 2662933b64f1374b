/** Writes the TypeScript interfaces (`src/api/<group>/<version>.ts`) from the schema data. `--check` only compares. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allGroupVersions, typeOf, type FieldSchema, type FieldType, type GroupVersionSchema, type Scalar } from '../src/api/schema.ts';
import '../src/api/all.schema.ts';

const scalarTypes: Record<Scalar, string> = {
  string: 'string', bool: 'boolean', int32: 'number', int64: 'number', double: 'number', bytes: 'string', Time: 'string',
  MicroTime: 'string', Duration: 'string', Quantity: 'string', IntOrString: 'number | string', RawExtension: 'JsonObject',
  FieldsV1: 'JsonObject', ExtraValue: 'readonly string[]', JSON: 'Json', JSONSchemaPropsOrArray: 'JSONSchemaProps | readonly JSONSchemaProps[]',
  JSONSchemaPropsOrBool: 'JSONSchemaProps | boolean', JSONSchemaPropsOrStringArray: 'JSONSchemaProps | readonly string[]', any: 'Json',
};
const alias = (key: string) => key.replace(/\/v(\d+).*/, (_, n) => `V${n}`).replace('/', '');

function render(groupVersion: GroupVersionSchema): string {
  const imports = new Set<string>();
  const typeText = (type: FieldType): string => {
    if (type.kind === 'scalar') return scalarTypes[type.scalar];
    if (type.kind === 'map') return `{ readonly [key: string]: ${typeText(type.values)} }`;
    if (type.kind === 'list') { const item = typeText(type.items); return `readonly ${/[ |]/.test(item) ? `(${item})` : item}[]`; }
    const [key = '', name = ''] = [type.name.slice(0, type.name.lastIndexOf('.')), type.name.slice(type.name.lastIndexOf('.') + 1)];
    if (key === groupVersion.key) return name;
    imports.add(key);
    return `${alias(key)}.${name}`;
  };
  const body: string[] = [];
  for (const shortName of Object.keys(groupVersion.specs)) {
    const type = typeOf(`${groupVersion.key}.${shortName}`);
    const isObject = type.fields.has('apiVersion') && type.fields.has('metadata');
    const optional = (field: FieldSchema) => {
      if (isObject && ['apiVersion', 'kind', 'metadata', 'spec'].includes(field.name)) return '';
      if (type.name === 'meta/v1.ObjectMeta' && field.name === 'name') return '';
      return field.required ? '' : '?';
    };
    const lines = [...type.fields.values()].map((field) =>
      `  readonly ${/^[A-Za-z_]\w*$/.test(field.name) ? field.name : `'${field.name}'`}${optional(field)}: ${typeText(field.type)};`);
    body.push(lines.length === 0 ? `export type ${shortName} = JsonObject;` : `export interface ${shortName} {\n${lines.join('\n')}\n}`);
  }
  const text = body.join('\n');
  const json = ['JsonObject', 'Json'].filter((name) => new RegExp(`\\b${name}\\b`).test(text));
  return [
    `/** Types of ${groupVersion.apiVersion}, written by \`npm run generate\` from \`${groupVersion.key.split('/')[1]}.schema.ts\`; do not edit. */`,
    ...(json.length > 0 ? [`import type { ${json.join(', ')} } from '../../base/json.ts';`] : []),
    ...[...imports].sort().map((key) => `import type * as ${alias(key)} from '../${key}.ts';`),
    '', text, '',
  ].join('\n');
}

const root = join(import.meta.dirname, '..');
let stale = 0;
for (const groupVersion of allGroupVersions()) {
  const file = join(root, 'src/api', `${groupVersion.key}.ts`);
  const text = render(groupVersion);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  if (process.argv.includes('--check')) { console.error(`${file} is stale: run npm run generate`); stale++; }
  else writeFileSync(file, text);
}
process.exit(stale === 0 ? 0 : 1);
