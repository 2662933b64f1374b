/** The fields of events.k8s.io/v1. Notation: `../schema.ts`. Held against upstream's OpenAPI document by `../schema.test.ts`. */
import { defineTypes } from '../schema.ts';

export const eventsV1 = defineTypes('events/v1', 'events.k8s.io/v1', {
  Event: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ObjectMeta',
    eventTime: '2 MicroTime!',
    series: '3 EventSeries pointer',
    reportingController: '4 string',
    reportingInstance: '5 string',
    action: '6 string',
    reason: '7 string',
    regarding: '8 core/v1.ObjectReference',
    related: '9 core/v1.ObjectReference pointer',
    note: '10 string',
    type: '11 string',
    deprecatedSource: '12 core/v1.EventSource',
    deprecatedFirstTimestamp: '13 Time',
    deprecatedLastTimestamp: '14 Time',
    deprecatedCount: '15 int32',
  },
  EventList: {
    apiVersion: '0 string',
    kind: '0 string',
    metadata: '1 ListMeta',
    items: '2 []Event!',
  },
  EventSeries: {
    count: '1 int32!',
    lastObservedTime: '2 MicroTime!',
  },
});
