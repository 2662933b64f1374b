/** Helpers for registry entries: columns that many kinds share, and what upstream's printers do to values. Source: upstream's pkg/printers/internalversion. */
import type { Json } from '../../base/json.ts';
import type { ApiObject } from '../../client/client.ts';
import type { Column, ResourceEntry, Strategy } from '../types.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { Container, PodTemplateSpec } from '../../api/core/v1.ts';
import { since } from '../../api/human-duration.ts';

type Value<T> = (object: T, now: number) => Json;
interface ColumnOptions { type?: Column['type']; format?: string; description?: string }

export function column<T>(name: string, value: Value<T>, { type = 'string', description = '', ...rest }: ColumnOptions = {}): Column<T> {
  return { name, type, description, value, ...rest };
}
/** Shown in `-o wide` only. */
export function wide<T>(name: string, value: Value<T>, options?: ColumnOptions): Column<T> { return { ...column(name, value, options), priority: 1 }; }
export const integer = { type: 'integer' } as const;
export const boolean = { type: 'boolean' } as const;

export const nameColumn: Column<ApiObject> = column('Name', (object) => object.metadata.name, { format: 'name', description: 'Name must be unique within a namespace.' });
export const ageColumn: Column<ApiObject> = column('Age', (object, now) => since(object.metadata.creationTimestamp, now), { description: 'How long ago the server created the object.' });
export const createdAtColumn: Column<ApiObject> = column('Created At', (object) => object.metadata.creationTimestamp ?? null, { type: 'date', description: 'When the server created the object, RFC 3339 in UTC.' });
/** For kinds that have no columns of their own. */
export const defaultColumns: readonly Column<ApiObject>[] = [nameColumn, createdAtColumn];

type EntryOptions<T extends ApiObject> = Partial<Omit<ResourceEntry<T>, 'names'>>;
/** storagePrefix defaults to '/registry/<plural>', columns to Name and Created At. */
export function entry<T extends ApiObject>(names: ResourceNames<T>, options: EntryOptions<T> & { strategy?: Strategy<T> } = {}): ResourceEntry<T> {
  return { names, storagePrefix: `/registry/${names.plural}`, strategy: {}, columns: defaultColumns as readonly Column<T>[], ...options };
}

export const keyCount = (map: object | undefined) => (map ? Object.keys(map).length : 0);

/** 'a=b,c=d', sorted; '<none>' when there are none. */
export function formatLabels(labels: { readonly [key: string]: string } | undefined): string {
  const text = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`).join(',');
  return text || '<none>';
}

export function containersOf(template: PodTemplateSpec | undefined): readonly Container[] { return template?.spec?.containers ?? []; }
/** Containers and Images of a workload's template. */
export function templateColumns<T>(template: (object: T) => PodTemplateSpec | undefined): Column<T>[] {
  return [
    wide('Containers', (object) => containersOf(template(object)).map((container) => container.name).join(','), { description: 'Names of each container in the template.' }),
    wide('Images', (object) => containersOf(template(object)).map((container) => container.image ?? '').join(','), { description: 'Images referenced by each container in the template.' }),
  ];
}
