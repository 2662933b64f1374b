/** patch: JSON, merge, strategic merge and apply, each made again from the newest state when another write came first. Source: apiserver/pkg/endpoints/handlers/patch.go. */
import { timestamp } from '../../base/clock.ts';
import { cloneJson, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { applyConfiguration, declaredOnly } from '../../api/managed-fields/managed-fields.ts';
import { JsonSyntaxError, parseJson, parseJsonStrict } from '../../api/json-text.ts';
import { parseYamlStrict } from '../../api/yaml-text.ts';
import { jsonPatch, unknownPatchFields } from '../../api/patch/json-patch.ts';
import { mergePatch } from '../../api/patch/merge-patch.ts';
import { strategicMergePatch } from '../../api/patch/strategic-merge-patch.ts';
import { badRequest, invalid, isStatusError, type FieldError, type StatusError } from '../../api/meta/status.ts';
import type { TypeSchema } from '../../api/schema.ts';
import * as problem from '../../api/validation/field.ts';
import type { ApiObject } from '../../client/client.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import { authorizeVerb } from './authorization.ts';
import { copyJson, decodeAs, fieldValidationOf, isDryRun, unsupported, type ExpectedKind } from './body.ts';
import type { Call } from './context.ts';
import { managerOf } from './field-manager.ts';
import { resetFieldsOf } from './managed-fields.ts';
import { expected, updateObject, type DraftObject } from './write.ts';

export const patchTypes = { json: 'application/json-patch+json', merge: 'application/merge-patch+json', strategic: 'application/strategic-merge-patch+json', apply: 'application/apply-patch+yaml' } as const;
type PatchKind = keyof typeof patchTypes;

export interface ParsedPatch { kind: PatchKind; value: Json; duplicateFields: readonly string[] }

export function parsePatch(request: ApiRequest, type: TypeSchema | undefined): ParsedPatch {
  const offered = Object.entries(patchTypes).filter(([kind]) => kind !== 'strategic' || (type !== undefined && !type.custom)) as [PatchKind, string][];
  const kind = offered.find(([, mediaType]) => mediaType === request.contentType)?.[0];
  if (!kind) throw unsupported(offered.map(([, mediaType]) => mediaType));
  const errors: FieldError[] = [];
  if (kind === 'apply') {
    if (request.query.get('fieldManager') === '') errors.push(problem.required(problem.field('fieldManager'), 'is required for apply patch'));
  } else if (request.query.has('force') && request.query.get('force') !== '') errors.push(problem.forbidden(problem.field('force'), 'may not be specified for non-apply patch'));
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'PatchOptions' }, '', errors);
  const { body } = request;
  if (body === undefined || body === null) throw badRequest('unexpected end of JSON input');
  if (!(body instanceof Uint8Array)) return { kind, value: copyJson(body as Json), duplicateFields: [] };
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  try {
    if (kind !== 'apply') return fieldValidationOf(request) === 'Ignore' ? { kind, value: parseJson(text), duplicateFields: [] } : { kind, ...parseJsonStrict(text) };
    const { value, duplicateFields } = parseYamlStrict(text);
    return { kind, value, duplicateFields };
  } catch (err) {
    if (err instanceof JsonSyntaxError) throw badRequest(kind === 'apply' ? `error decoding YAML: ${err.message}` : `error decoding patch: ${err.message}`);
    throw err;
  }
}

/** The patched object, decoded. Not for apply. */
export function applyPatch(request: ApiRequest, { kind, value, duplicateFields }: ParsedPatch, old: JsonObject, target: ExpectedKind): JsonObject {
  const draft = cloneJson(old);
  let patched: Json;
  switch (kind) {
    case 'json': patched = jsonPatch(draft, value); break;
    case 'merge': patched = mergePatch(draft, value); break;
    default: patched = strategicMergePatch(draft, value, target.type!);
  }
  const validation = fieldValidationOf(request);
  const inPatch = kind === 'json' && validation !== 'Ignore' ? [...duplicateFields.map((text) => `json patch ${text}`), ...unknownPatchFields(value)] : duplicateFields;
  const shown = JSON.stringify(kind === 'strategic' ? value : patched);
  const decoding: ApiRequest = { ...request, warnings: [] };
  let object: JsonObject;
  try {
    object = decodeAs(decoding, patched, target, validation === 'Strict' ? 'Warn' : validation);
  } catch (err) {
    if (!isStatusError(err, 'BadRequest')) throw err;
    throw invalidPatch(shown, err.message.replace(/^.* cannot be handled as an? \S+: /s, ''));
  }
  const problems = [...inPatch, ...decoding.warnings];
  if (problems.length > 0 && validation === 'Strict') throw invalidPatch(shown, `strict decoding error: ${problems.join(', ')}`);
  request.warnings.push(...problems);
  return object;
}

/** Upstream names neither the kind nor the object here. */
function invalidPatch(patched: string, message: string): StatusError {
  return invalid({ group: '', kind: '' }, '', [problem.invalid(problem.field('patch'), patched, message)]);
}

export async function patch(call: Call): Promise<ApiResult> {
  const { resource, request, info, context } = call;
  const dryRun = isDryRun(request.query.all('dryRun'));
  const parsed = parsePatch(request, resource.type);
  const target = expected(resource);
  const manager = managerOf(request);
  const defaults = (object: JsonObject): DraftObject => {
    const draft = object as unknown as DraftObject;
    resource.entry.strategy.setDefaults?.(draft);
    return draft;
  };
  const finish = (written: Awaited<ReturnType<typeof updateObject>>): ApiResult => ({ type: 'object', code: written.created ? 201 : 200, resource, entry: written.entry });
  if (parsed.kind !== 'apply') {
    return finish(await updateObject(call, {
      dryRun, manager, subresource: info.subresource, optionsKind: 'PatchOptions',
      make: (old) => defaults(applyPatch(request, parsed, old as unknown as JsonObject, target)),
    }));
  }

  const configuration = (): JsonObject => {
    if (!isJsonObject(parsed.value)) throw badRequest('error decoding YAML: the body is not an object');
    if (resource.type) declaredOnly(resource.type, parsed.value, { apiVersion: target.apiVersion, name: info.name, namespace: info.namespace });
    const validation = fieldValidationOf(request);
    if (validation === 'Strict' && parsed.duplicateFields.length > 0) throw badRequest(`error strict decoding YAML: error converting YAML to JSON: ${parsed.duplicateFields.join(', ')}`);
    if (validation === 'Warn') for (const text of parsed.duplicateFields) if (!request.warnings.includes(text)) request.warnings.push(text);
    const applied = decodeAs(request, cloneJson(parsed.value), target, 'Ignore');
    const meta = (applied.metadata ??= {}) as JsonObject;
    meta.name ||= info.name;
    if (meta.name !== info.name) throw badRequest(`the name of the object (${String(meta.name)}) does not match the name on the URL (${info.name})`);
    if (resource.namespaced) {
      meta.namespace ||= info.namespace;
      if (meta.namespace !== info.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    return applied;
  };
  const { type } = resource;
  if (!type) throw unsupported([patchTypes.json, patchTypes.merge]);
  const options = { type, apiVersion: resource.names.apiVersion, manager, subresource: info.subresource, time: timestamp(context.clock.now()), force: request.query.flag('force'), resetFields: resetFieldsOf(resource, info.subresource) };
  return finish(await updateObject(call, {
    dryRun, manager, subresource: info.subresource, ownFields: true, optionsKind: 'PatchOptions',
    make: (old: ApiObject) => {
      const applied = configuration();
      const { resourceVersion, uid } = applied.metadata as JsonObject;
      const result = applyConfiguration(old as unknown as JsonObject, applied, options);
      const draft = cloneJson(result ?? old as unknown as JsonObject);
      const meta = draft.metadata as JsonObject;
      meta.resourceVersion = resourceVersion ?? old.metadata.resourceVersion;
      if (uid) meta.uid = uid;
      return defaults(decodeAs(request, draft, target, 'Ignore'));
    },
    ...(info.subresource === '' ? {
      createWhenAbsent: async () => {
        await authorizeVerb(call, 'create');
        const applied = configuration();
        if ((applied.metadata as JsonObject).resourceVersion) delete (applied.metadata as JsonObject).resourceVersion;
        const result = applyConfiguration(undefined, applied, options);
        return defaults(cloneJson(result ?? applied));
      },
    } : {}),
  }));
}
