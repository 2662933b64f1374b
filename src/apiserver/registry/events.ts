/** Events: stored as core/v1, also served as events.k8s.io/v1. They vanish after an hour. Source: Kubernetes API reference; upstream's pkg/registry/core/event, pkg/apis/events/v1/conversion.go. */
import type { JsonObject } from '../../base/json.ts';
import type { Event } from '../../api/core/v1.ts';
import type { Column } from '../types.ts';
import { events, eventsK8sIo } from '../../api/resources.ts';
import { validateEvent } from '../../api/core/v1.validation.ts';
import { eventColumns } from './core/columns.ts';
import { entry } from './define.ts';

export const eventTtlSeconds = 3600;

/** events.k8s.io's name of each core field that has another. */
const renamed: readonly (readonly [core: string, other: string])[] = [
  ['involvedObject', 'regarding'], ['message', 'note'], ['source', 'deprecatedSource'], ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'], ['count', 'deprecatedCount'], ['reportingComponent', 'reportingController'],
];
function rename(object: JsonObject, apiVersion: string, pairs: readonly (readonly [string, string])[]): JsonObject {
  const names = new Map(pairs);
  return { ...Object.fromEntries(Object.entries(object).map(([key, value]) => [names.get(key) ?? key, value])), apiVersion };
}
export const eventToStored = (object: JsonObject) => rename(object, 'v1', renamed.map(([core, other]) => [other, core] as const));
export const eventFromStored = (object: JsonObject) => rename(object, 'events.k8s.io/v1', renamed);

const text = (value: string | undefined) => value ?? '';
export const eventFieldSelectors = {
  'involvedObject.kind': (event: Event) => text(event.involvedObject?.kind),
  'involvedObject.namespace': (event: Event) => text(event.involvedObject?.namespace),
  'involvedObject.name': (event: Event) => text(event.involvedObject?.name),
  'involvedObject.uid': (event: Event) => text(event.involvedObject?.uid),
  'involvedObject.apiVersion': (event: Event) => text(event.involvedObject?.apiVersion),
  'involvedObject.resourceVersion': (event: Event) => text(event.involvedObject?.resourceVersion),
  'involvedObject.fieldPath': (event: Event) => text(event.involvedObject?.fieldPath),
  reason: (event: Event) => text(event.reason),
  reportingComponent: (event: Event) => text(event.reportingComponent),
  source: (event: Event) => text(event.source?.component || event.reportingComponent),
  type: (event: Event) => text(event.type),
};
/** The same fields under events.k8s.io's names; the objects are of that form. */
const otherFieldSelectors = Object.fromEntries(Object.entries(eventFieldSelectors).filter(([path]) => path !== 'source').map(([path, value]) => [
  path.replace('involvedObject', 'regarding').replace('reportingComponent', 'reportingController'),
  (object: JsonObject) => value(eventToStored(object) as unknown as Event),
]));

export const eventEntries = [
  entry(events, { columns: eventColumns, ttlSeconds: eventTtlSeconds, fieldSelectors: eventFieldSelectors, strategy: { allowCreateOnUpdate: true, generation: 'none', validate: validateEvent, validateUpdate: validateEvent } }),
  entry(eventsK8sIo, {
    // Tables work on the stored form.
    columns: eventColumns as unknown as readonly Column<never>[], storagePrefix: '/registry/events', ttlSeconds: eventTtlSeconds,
    fieldSelectors: otherFieldSelectors as unknown as Record<string, () => string>,
    strategy: { allowCreateOnUpdate: true, generation: 'none' },
    alias: { of: events, toStored: eventToStored, fromStored: eventFromStored },
  }),
];
