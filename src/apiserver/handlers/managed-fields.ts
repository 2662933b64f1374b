/** Records in metadata.managedFields who set what, by the machinery of `api/managed-fields/`. */
import { timestamp } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import { defaultResetFields, trackUpdate } from '../../api/managed-fields/managed-fields.ts';
import type { ApiObject } from '../../client/client.ts';
import type { Call } from './context.ts';
import type { DraftObject } from './write.ts';

/** Changes `next.metadata.managedFields`. Kinds without a schema are not tracked. */
export function trackFields({ resource, context, info }: Call, old: ApiObject | undefined, next: DraftObject, manager: string, subresource = info.subresource): void {
  if (!resource.type) return;
  trackUpdate(old as unknown as JsonObject | undefined, next as unknown as JsonObject, {
    type: resource.type, apiVersion: resource.names.apiVersion, manager, subresource, time: timestamp(context.clock.now()),
    resetFields: resource.hasStatus && !(subresource === '' && resource.entry.strategy.keepsStatusOnCreate) ? defaultResetFields(subresource) : [],
  });
}
