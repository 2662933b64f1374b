/** Records in metadata.managedFields who set what, by the machinery of `api/managed-fields/`. */
import { timestamp } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import { defaultResetFields, trackUpdate } from '../../api/managed-fields/managed-fields.ts';
import type { ApiObject } from '../../client/client.ts';
import type { ServedResource } from '../resource-table.ts';
import type { Call } from './context.ts';
import type { DraftObject } from './write.ts';

/** Fields that a write through this endpoint cannot change, and so does not come to own. */
export function resetFieldsOf({ hasStatus, entry }: ServedResource, subresource: string): readonly (readonly string[])[] {
  return hasStatus && !(subresource === '' && entry.strategy.keepsStatusOnCreate) ? defaultResetFields(subresource) : [];
}

/** Changes `next.metadata.managedFields`. Kinds without a schema are not tracked. */
export function trackFields({ resource, context, info }: Call, old: ApiObject | undefined, next: DraftObject, manager: string, subresource = info.subresource): void {
  if (!resource.type) return;
  trackUpdate(old as unknown as JsonObject | undefined, next as unknown as JsonObject, {
    type: resource.type, apiVersion: resource.names.apiVersion, manager, subresource, time: timestamp(context.clock.now()),
    resetFields: resetFieldsOf(resource, subresource),
  });
}
