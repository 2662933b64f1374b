/** How mutating plugins of users put their result in place: normalised and defaulted as if the client had sent it. */
import { isJsonObject, setOwn, type JsonObject } from '../../base/json.ts';
import { decodeObject } from '../../api/decode.ts';
import { findType } from '../../api/schema.ts';
import type { ApiObject } from '../../client/client.ts';
import type { Draft } from '../../base/json.ts';
import type { ResourceTable, ServedResource } from '../resource-table.ts';

/** Fields that the type does not know are dropped, absent ones filled. `served` undefined: only what is built in is known. */
export function normalise(object: JsonObject, served: ServedResource | undefined): JsonObject {
  const kind = String(object.kind ?? '');
  const own = served && kind === served.names.kind;
  const type = own ? served.type : findBuiltIn(String(object.apiVersion ?? ''), kind);
  const decoded = type ? decodeObject(type, object).object : object;
  if (own) served.entry.strategy.setDefaults?.(decoded as unknown as Draft<ApiObject>);
  return decoded;
}
function findBuiltIn(apiVersion: string, kind: string) {
  const short: Readonly<Record<string, string>> = { v1: 'core/v1', 'policy/v1': 'policy/v1', 'autoscaling/v1': 'autoscaling/v1', 'authentication.k8s.io/v1': 'authentication/v1' };
  return short[apiVersion] ? findType(`${short[apiVersion]}.${kind}`) : undefined;
}

/** `target` becomes `source`, keeping its identity and that of its metadata: the handlers hold on to both. */
export function replaceContents(target: JsonObject, source: JsonObject): void {
  const metadata = target.metadata;
  for (const key of Object.keys(target)) if (key !== 'metadata' || !isJsonObject(source.metadata)) delete target[key];
  for (const [key, value] of Object.entries(source)) {
    if (key === 'metadata' && isJsonObject(metadata) && isJsonObject(value)) {
      for (const name of Object.keys(metadata)) delete metadata[name];
      for (const [name, part] of Object.entries(value)) setOwn(metadata, name, part);
    } else setOwn(target, key, value);
  }
}

export const servedOf = (resources: ResourceTable | undefined, names: { group: string; version: string; plural: string }): ServedResource | undefined => resources?.find(names.group, names.version, names.plural);
