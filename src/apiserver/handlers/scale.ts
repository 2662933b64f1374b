/** The scale subresource of every kind that declares one. Source: Kubernetes API reference, autoscaling/v1 Scale; upstream's pkg/registry/apps/deployment/storage. */
import { timestamp } from '../../base/clock.ts';
import { cloneJson, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { applyConfiguration, declaredOnly } from '../../api/managed-fields/managed-fields.ts';
import { badRequest, conflict, internalError, invalid, staleObject } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import type { ApiObject } from '../../client/client.ts';
import type { ApiResult } from '../request.ts';
import type { ServedResource } from '../resource-table.ts';
import { decodeAs, decodeBody, expectedKind, isDryRun } from './body.ts';
import { existing, type Call } from './context.ts';
import { managerOf } from './field-manager.ts';
import { applyPatch, parsePatch, patchTypes } from './patch.ts';
import { unsupported } from './body.ts';
import { updateObject, type DraftObject } from './write.ts';

const scaleKind = () => expectedKind('autoscaling/v1', 'Scale', 'autoscaling/v1.Scale');

function at(object: JsonObject, path: string): unknown {
  return path.split('.').filter(Boolean).reduce<unknown>((value, key) => (value as JsonObject | undefined)?.[key], object);
}
function setAt(object: JsonObject, path: string, value: number): void {
  const keys = path.split('.').filter(Boolean);
  let target = object;
  for (const key of keys.slice(0, -1)) target = (isJsonObject(target[key]) ? target[key] : target[key] = {}) as JsonObject;
  target[keys.at(-1)!] = value;
}

function scaleOf({ entry }: ServedResource, object: ApiObject): JsonObject {
  const paths = entry.scale!;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = paths.selector(object);
  return {
    kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, ...(namespace ? { namespace } : {}), uid, resourceVersion, creationTimestamp },
    spec: { replicas: Number(at(object as unknown as JsonObject, paths.specReplicas) ?? 0) },
    status: { replicas: Number(at(object as unknown as JsonObject, paths.statusReplicas) ?? 0), ...(selector ? { selector } : {}) },
  };
}

export async function getScale(call: Call): Promise<ApiResult> {
  const entry = await existing(call);
  const { specReplicas, required } = call.resource.entry.scale!;
  if (required && at(call.resource.view(entry) as unknown as JsonObject, specReplicas) === undefined) throw internalError(`the spec replicas field "${specReplicas}" does not exist`);
  return { type: 'value', code: 200, value: scaleOf(call.resource, call.resource.view(entry)) };
}
export async function updateScale(call: Call): Promise<ApiResult> { return writeScale(call, () => decodeBody(call.request, scaleKind())); }
export async function patchScale(call: Call): Promise<ApiResult> {
  const target = scaleKind();
  const parsed = parsePatch(call.request, target.type);
  if (parsed.kind === 'apply') return applyScale(call, parsed.value);
  return writeScale(call, (old) => applyPatch(call.request, parsed, old, target));
}

/** Server-side apply: the one field of a Scale that can be set is applied to the object itself, so that its managers know of each other. */
async function applyScale(call: Call, sent: Json): Promise<ApiResult> {
  const { resource, request, info, context } = call;
  const { type, names: { apiVersion, kind } } = resource;
  if (!type) throw unsupported([patchTypes.json, patchTypes.merge, patchTypes.strategic]);
  const target = scaleKind();
  if (isJsonObject(sent)) declaredOnly(target.type!, sent, { apiVersion: target.apiVersion, name: info.name, namespace: info.namespace });
  const scale = decodeAs(request, cloneJson(sent), target, 'Ignore');
  const { name = info.name, namespace, resourceVersion } = (scale.metadata ?? {}) as JsonObject;
  if (name !== info.name) throw badRequest(`the name of the object (${String(name)}) does not match the name on the URL (${info.name})`);
  if (namespace && namespace !== info.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  const replicas = (scale.spec as JsonObject | undefined)?.replicas;
  if (Number(replicas ?? 0) < 0) throw invalid({ group: 'autoscaling', kind: 'Scale' }, info.name, [problem.invalid(problem.field('spec', 'replicas'), replicas, problem.isNegative)]);
  const applied: JsonObject = { apiVersion, kind, metadata: { name: info.name, ...(info.namespace ? { namespace: info.namespace } : {}) } };
  if (replicas !== undefined) setAt(applied, resource.entry.scale!.specReplicas, Number(replicas));
  const manager = managerOf(request);
  const { entry } = await updateObject(call, {
    dryRun: isDryRun(request.query.all('dryRun')), manager, subresource: 'scale', ownFields: true, optionsKind: 'PatchOptions',
    make(old) {
      const result = applyConfiguration(old as unknown as JsonObject, cloneJson(applied), { type, apiVersion, manager, subresource: 'scale', time: timestamp(context.clock.now()), force: request.query.flag('force'), resetFields: [] });
      const draft = cloneJson(result ?? old as unknown as JsonObject);
      (draft.metadata as JsonObject).resourceVersion = resourceVersion ?? old.metadata.resourceVersion;
      const object = draft as unknown as DraftObject;
      resource.entry.strategy.setDefaults?.(object);
      return object;
    },
  });
  return { type: 'value', code: 200, value: scaleOf(resource, resource.view(entry)) };
}

async function writeScale(call: Call, make: (old: JsonObject) => JsonObject): Promise<ApiResult> {
  const { resource, request, info } = call;
  const { entry } = await updateObject(call, {
    dryRun: isDryRun(request.query.all('dryRun')), manager: managerOf(request), subresource: 'scale',
    make(old) {
      const scale = make(scaleOf(resource, old));
      const meta = (scale.metadata ?? {}) as JsonObject;
      if (meta.name !== info.name) throw badRequest(`the name of the object (${String(meta.name ?? '')}) does not match the name on the URL (${info.name})`);
      const paths = resource.entry.scale!;
      const sent = (scale.spec as JsonObject | undefined)?.replicas;
      if (paths.required && sent === undefined && at(old as unknown as JsonObject, paths.specReplicas) === undefined) throw badRequest(`the spec replicas field "${paths.specReplicas}" cannot be empty`);
      const replicas = Number(sent ?? 0);
      if (replicas < 0) throw invalid({ group: 'autoscaling', kind: 'Scale' }, info.name, [problem.invalid(problem.field('spec', 'replicas'), replicas, problem.isNegative)]);
      if (meta.resourceVersion && meta.resourceVersion !== old.metadata.resourceVersion) throw conflict(resource.groupResource, info.name, staleObject);
      if (meta.uid && meta.uid !== old.metadata.uid) throw conflict(resource.groupResource, info.name, `Precondition failed: UID in precondition: ${String(meta.uid)}, UID in object meta: ${old.metadata.uid}`);
      const draft = cloneJson(old as unknown as JsonObject);
      setAt(draft, paths.specReplicas, replicas);
      return draft as unknown as DraftObject;
    },
  });
  return { type: 'value', code: 200, value: scaleOf(resource, resource.view(entry)) };
}
