/**
 * The rules of ObjectMeta that hold for every kind: what the server fills in, what may not change, and validation.
 * Source: apiserver/pkg/registry/rest (create.go, update.go, meta.go), apimachinery/pkg/api/validation/objectmeta.go.
 */
import { timestamp, type Clock } from '../../base/clock.ts';
import { jsonEqual, type Draft, type Json } from '../../base/json.ts';
import { nameSuffix, uuid, type Rng } from '../../base/rng.ts';
import { badRequest, type FieldError } from '../../api/meta/status.ts';
import type { ObjectMeta } from '../../api/meta/v1.ts';
import * as problem from '../../api/validation/field.ts';
import { isDNS1123Label, isQualifiedName, isValidLabelValue, nameIsDNSSubdomain, type ValidateName } from '../../api/validation/names.ts';
import type { ApiObject } from '../../client/client.ts';
import type { ServedResource } from '../resource-table.ts';

type Meta = Draft<ObjectMeta>;

/** Names are cut so that the suffix fits. Source: apiserver/pkg/storage/names/generate.go. */
const maxGeneratedBase = 63 - 5;
export function generateName(base: string, rng: Rng): string { return base.slice(0, maxGeneratedBase) + nameSuffix(rng); }

/** The object's namespace must be the request's; an absent one is filled in. */
export function ensureNamespace(meta: Meta, resource: ServedResource, namespace: string): void {
  if (!resource.namespaced) {
    if (meta.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    delete meta.namespace;
  } else if (!meta.namespace) meta.namespace = namespace;
  else if (meta.namespace !== namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/** What the server owns on create. */
export function fillForCreate(meta: Meta, clock: Clock, rng: Rng): void {
  meta.creationTimestamp = timestamp(clock.now());
  meta.uid = uuid(rng);
  delete meta.deletionTimestamp;
  delete meta.deletionGracePeriodSeconds;
  delete meta.selfLink;
  delete meta.generation;
}

/** What an update can't change is taken from the old object. */
export function fillForUpdate(next: Meta, old: ObjectMeta): void {
  next.uid ||= old.uid!;
  if (old.creationTimestamp) next.creationTimestamp = old.creationTimestamp;
  if (old.deletionTimestamp) next.deletionTimestamp = old.deletionTimestamp;
  if (old.deletionGracePeriodSeconds !== undefined && next.deletionGracePeriodSeconds === undefined) next.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds;
  delete next.selfLink;
}

const annotationsLimitBytes = 256 * 1024;
const standardFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

export function validateLabels(labels: { readonly [key: string]: string } | undefined, path: problem.FieldPath, errors: FieldError[]): void {
  for (const key in labels) {
    problem.addInvalid(errors, path, key, isQualifiedName(key));
    const messages = isValidLabelValue(labels[key]!);
    if (messages.length > 0) problem.addInvalid(errors, path, labels[key]!, messages);
  }
}

export function validateMetadata(meta: ObjectMeta, resource: ServedResource): FieldError[] {
  return validateMetadataAt(meta, problem.field('metadata'), resource.namespaced, resource.entry.strategy.validateName ?? nameIsDNSSubdomain, resource.names.typeName !== '' && !looseGroups.has(resource.names.group));
}

/** Kinds of these groups may have any finalizer, as upstream's. */
const looseGroups = new Set(['apiextensions.k8s.io', 'apiregistration.k8s.io']);

/** The same for the metadata of an object inside another. */
export function validateMetadataAt(meta: ObjectMeta, path: problem.FieldPath, namespaced: boolean, validateName: ValidateName, builtIn = false): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.generateName) problem.addInvalid(errors, path.child('generateName'), meta.generateName, validateName(meta.generateName, true));
  if (!meta.name) errors.push(problem.required(path.child('name'), 'name or generateName is required'));
  else problem.addInvalid(errors, path.child('name'), meta.name, validateName(meta.name, false));
  if (namespaced) {
    if (!meta.namespace) errors.push(problem.required(path.child('namespace')));
    else problem.addInvalid(errors, path.child('namespace'), meta.namespace, isDNS1123Label(meta.namespace));
  } else if (meta.namespace) errors.push(problem.forbidden(path.child('namespace'), 'not allowed on this type'));
  if (meta.generation !== undefined && meta.generation < 0) errors.push(problem.invalid(path.child('generation'), meta.generation, problem.isNegative));
  if (meta.labels) validateLabels(meta.labels, path.child('labels'), errors);
  if (meta.annotations) {
    let size = 0;
    for (const key in meta.annotations) {
      const value = meta.annotations[key]!;
      problem.addInvalid(errors, path.child('annotations'), key, isQualifiedName(key.toLowerCase()));
      size += key.length + value.length;
    }
    if (size > annotationsLimitBytes / 4) size = Object.entries(meta.annotations).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
    if (size > annotationsLimitBytes) errors.push(problem.tooLong(path.child('annotations'), annotationsLimitBytes));
  }
  if (meta.ownerReferences) validateOwners(meta.ownerReferences, path.child('ownerReferences'), errors);
  if (meta.finalizers) {
    meta.finalizers.forEach((finalizer) => {
      const messages = isQualifiedName(finalizer);
      if (!problem.addInvalid(errors, path.child('finalizers'), finalizer, messages) && messages.length > 0) return;
      // Custom resources are only warned of these.
      if (builtIn && messages.length === 0 && !finalizer.includes('/') && !standardFinalizers.has(finalizer)) {
        errors.push(problem.invalid(path.child('finalizers'), finalizer, 'name is neither a standard finalizer name nor is it fully qualified'));
      }
    });
    if (meta.finalizers.includes('orphan') && meta.finalizers.includes('foregroundDeletion')) {
      errors.push(problem.invalid(path.child('finalizers'), meta.finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'));
    }
  }
  return errors;
}

function validateOwners(owners: NonNullable<ObjectMeta['ownerReferences']>, path: problem.FieldPath, errors: FieldError[]): void {
  let controller: string | undefined;
  const at = path;
  for (const owner of owners) {
    if (!owner.apiVersion) errors.push(problem.invalid(at.child('apiVersion'), owner.apiVersion ?? '', 'version must not be empty'));
    if (!owner.kind) errors.push(problem.invalid(at.child('kind'), owner.kind ?? '', 'kind must not be empty'));
    if (!owner.name) errors.push(problem.invalid(at.child('name'), owner.name ?? '', 'name must not be empty'));
    if (!owner.uid) errors.push(problem.invalid(at.child('uid'), owner.uid ?? '', 'uid must not be empty'));
    if (owner.apiVersion === 'v1' && owner.kind === 'Event') errors.push(problem.invalid(at, owners, '/v1, Kind=Event is disallowed from being an owner'));
    if (owner.controller) {
      if (controller !== undefined) {
        errors.push(problem.invalid(path, owners, `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.name}`));
      }
      controller = owner.name;
    }
  }
}

export function validateMetadataUpdate(next: ObjectMeta, old: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  const path = problem.field('metadata');
  const known = new Set(old.finalizers);
  if (old.deletionTimestamp) {
    const added = (next.finalizers ?? []).filter((finalizer) => !known.has(finalizer)).sort();
    if (added.length > 0) errors.push(problem.forbidden(path.child('finalizers'), `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map(problem.quote).join(', ')}}`));
  }
  if (!next.resourceVersion) errors.push(problem.invalid(path.child('resourceVersion'), next.resourceVersion ?? '', 'must be specified for an update'));
  if ((next.generation ?? 0) < (old.generation ?? 0)) errors.push(problem.invalid(path.child('generation'), next.generation ?? 0, 'must not be decremented'));
  for (const name of ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if (next[name] !== old[name]) errors.push(problem.invalid(path.child(name), next[name] ?? null, problem.fieldImmutable));
  }
  return errors;
}

/** Equal but for the resourceVersion and the times of managedFields entries. */
export function sameObject(next: ApiObject, old: ApiObject): boolean {
  for (const key of Object.keys(next)) if (key !== 'metadata' && !jsonEqual(field(next, key), field(old, key))) return false;
  for (const key of Object.keys(old)) if (!(key in next)) return false;
  const { resourceVersion: _, managedFields: managed = [], ...meta } = next.metadata;
  const { resourceVersion: __, managedFields: oldManaged = [], ...oldMeta } = old.metadata;
  if (!jsonEqual(meta as unknown as Json, oldMeta as unknown as Json) || managed.length !== oldManaged.length) return false;
  return managed.every(({ time: _time, ...entry }, index) => { const { time: _old, ...before } = oldManaged[index]!; return jsonEqual(entry as unknown as Json, before as unknown as Json); });
}
const field = (object: ApiObject, key: string): Json => ((object as unknown as Record<string, Json | undefined>)[key] ?? null);
