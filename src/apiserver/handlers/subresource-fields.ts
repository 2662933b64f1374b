/** Which fields an update through each subresource may change; the others are taken from the old object. Source: the update strategies of upstream's pkg/registry. */
import { cloneJson, type Json, type JsonObject } from '../../base/json.ts';
import type { ApiObject } from '../../client/client.ts';
import type { DraftObject } from './write.ts';

type Fields = Record<string, Json | undefined>;

/** Changes `next` in place. */
export function restrictUpdate(next: DraftObject, old: ApiObject, subresource: string, hasStatus: boolean): void {
  const draft = next as unknown as Fields;
  const before = old as unknown as Readonly<Fields>;
  switch (subresource) {
    case '':
      if (hasStatus) take(draft, before, 'status');
      return;
    case 'status':
      for (const key of new Set([...Object.keys(draft), ...Object.keys(before)])) if (key !== 'status' && key !== 'metadata') take(draft, before, key);
      return;
    case 'approval': {
      const conditions = (draft.status as JsonObject | undefined)?.conditions;
      keepAllBut(draft, before, ['metadata']);
      draft.status = { ...(draft.status as JsonObject | undefined), ...(conditions === undefined ? {} : { conditions }) };
      return;
    }
    case 'finalize': {
      const finalizers = (draft.spec as JsonObject | undefined)?.finalizers;
      keepAllBut(draft, before, ['metadata']);
      draft.spec = { ...(draft.spec as JsonObject | undefined), finalizers };
      if (finalizers === undefined) delete (draft.spec as JsonObject).finalizers;
      return;
    }
    case 'ephemeralcontainers': {
      const wanted = (draft.spec as JsonObject | undefined)?.ephemeralContainers;
      keepAllBut(draft, before, []);
      draft.spec = { ...(draft.spec as JsonObject), ...(wanted === undefined ? {} : { ephemeralContainers: wanted }) };
      return;
    }
    case 'resize': {
      const wanted = draft.spec as JsonObject | undefined;
      keepAllBut(draft, before, []);
      const spec = draft.spec as JsonObject;
      for (const list of ['containers', 'initContainers']) resizeContainers(spec[list] as JsonObject[] | undefined, wanted?.[list] as JsonObject[] | undefined);
      return;
    }
    default:
  }
}

function resizeContainers(containers: JsonObject[] | undefined, wanted: JsonObject[] | undefined): void {
  for (const [index, container] of (containers ?? []).entries()) {
    const from = wanted?.find(({ name }) => name === container.name);
    // Another name stays, for validation to refuse.
    const name = wanted?.[index]?.name;
    if (name !== undefined) container.name = name;
    if (!from) continue;
    for (const key of ['resources', 'resizePolicy']) { if (from[key] === undefined) delete container[key]; else container[key] = from[key]; }
  }
}

/** The old object's fields in place of the draft's. `resourceVersion` stays: it says what the caller saw. */
function keepAllBut(draft: Fields, before: Readonly<Fields>, kept: readonly string[]): void {
  const version = (draft.metadata as JsonObject).resourceVersion;
  for (const key of new Set([...Object.keys(draft), ...Object.keys(before)])) if (!kept.includes(key)) take(draft, before, key);
  if (version !== undefined) (draft.metadata as JsonObject).resourceVersion = version;
}
function take(draft: Fields, before: Readonly<Fields>, key: string): void {
  const value = before[key];
  if (value === undefined) delete draft[key]; else draft[key] = cloneJson(value);
}
