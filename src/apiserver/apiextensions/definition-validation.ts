/**
 * Validation of CustomResourceDefinitions. Upstream validates an internal form in which what all versions share is moved to the top,
 * and its messages name those fields: 'spec.validation.openAPIV3Schema…' for one version, 'spec.versions[0].schema…' where versions
 * differ. Updates do not refuse what was stored before a rule existed.
 * Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, v1/conversion.go.
 */
import { X509Certificate } from 'node:crypto';
import { jsonEqual, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import type { FieldError } from '../../api/meta/status.ts';
import { addInvalid, duplicate, field, fieldImmutable, forbidden, invalid, notSupported, required, tooMany, type FieldPath } from '../../api/validation/field.ts';
import { isDNS1035Label, isDNS1123Subdomain } from '../../api/validation/names.ts';
import { approvalAnnotation, approvalState, isProtectedGroup, isTrue, type Definition } from './conditions.ts';
import { validateDefaults } from './default-validation.ts';
import { fieldPathOf } from './field-path.ts';
import { validateRules } from './rules.ts';
import { isSupportedFormat } from './formats.ts';
import { children, someSchema, unreadable, validateStructural } from './structural-validation.ts';

const maxSelectableFields = 8;
/** Schemas nested deeper are refused. Differs: upstream has no limit but the size of a request. */
const maxSchemaDepth = 200;
const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];
const columnFormats = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const schemaTypes = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const allowedAtRoot = ['Description', 'Type', 'Format', 'Title', 'Maximum', 'ExclusiveMaximum', 'Minimum', 'ExclusiveMinimum', 'MaxLength', 'MinLength', 'Pattern', 'MaxItems', 'MinItems', 'UniqueItems', 'MultipleOf', 'Required', 'Items', 'Properties', 'ExternalDocs', 'Example', 'XPreserveUnknownFields', 'XValidations'];

const specPath = field('spec');
const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const schemaOf = (version: { readonly schema?: v1.CustomResourceValidation | undefined }): JsonObject | undefined => version.schema?.openAPIV3Schema as JsonObject | undefined;
const stringsOf = (value: Json | undefined): string[] => (Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []);

export function validateDefinition(definition: Definition): FieldError[] {
  if (!definition.spec) return [required(specPath)];
  return [...validateName(definition), ...validateSpec(definition.spec, options()), ...validateStatus(definition), ...validateStoredVersions(definition), ...validateApproval(definition, undefined), ...validatePreserve(definition, undefined)];
}

export function validateDefinitionUpdate(next: Definition, old: Definition): FieldError[] {
  if (!next.spec) return [required(specPath)];
  const errors = validateSpec(next.spec, options(next, old));
  const immutable = (path: FieldPath, value: string, before: string) => { if (value !== before) errors.push(invalid(path, value, fieldImmutable)); };
  if (isTrue(old, 'Established')) {
    immutable(specPath.child('scope'), next.spec.scope, old.spec.scope);
    immutable(specPath.child('names', 'kind'), next.spec.names.kind, old.spec.names.kind);
  }
  immutable(specPath.child('group'), next.spec.group, old.spec.group);
  immutable(specPath.child('names', 'plural'), next.spec.names.plural, old.spec.names.plural);
  return [...errors, ...validateStatus(next), ...validateStoredVersions(next), ...validateApproval(next, old), ...validatePreserve(next, old)];
}
export function validateDefinitionStatusUpdate(next: Definition): FieldError[] { return validateStatus(next); }

/** Formats nobody checks, of the schema nodes that have them. */
export function unrecognizedFormats(definition: Definition): string[] {
  const found: string[] = [];
  for (const version of definition.spec?.versions ?? []) {
    const schema = schemaOf(version);
    if (schema) someSchema(schema, ({ format, type }) => { if (typeof format === 'string' && format !== '' && !isSupportedFormat(typeof type === 'string' ? type : '', format)) found.push(format); return false; });
  }
  return [...new Set(found)];
}

export function hasInvalidCaBundle({ spec }: Definition): boolean {
  const bundle = spec.conversion?.webhook?.clientConfig?.caBundle;
  return bundle !== undefined && bundle !== '' && caBundleProblem(bundle) !== undefined;
}
function caBundleProblem(base64: string): string | undefined {
  const text = Buffer.from(base64, 'base64').toString();
  if (text.trim() === '') return undefined;
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return 'unable to load root certificates: unable to parse bytes as PEM block';
  for (const block of blocks) try { new X509Certificate(block); } catch (err) { return `unable to load root certificates: ${(err as Error).message}`; } // eslint-disable-line no-new
  return undefined;
}

// ---- what an update may keep

interface Options {
  requireValidTypes: boolean;
  requireStructural: boolean;
  requireSchema: boolean;
  requirePrunedDefaults: boolean;
  requireAtomicSets: boolean;
  requireSoundKeys: boolean;
  requireReviewVersion: boolean;
  allowInvalidBundle: boolean;
  allowedSelectable: ReadonlySet<string>;
  /** Versions whose schema did not change: cost limits do not apply again. */
  unchanged: ReadonlySet<string>;
  /** Expressions that were there before. */
  known: ReadonlySet<string>;
}

function options(next?: Definition, old?: Definition): Options {
  const strict: Options = { requireValidTypes: true, requireStructural: true, requireSchema: true, requirePrunedDefaults: true, requireAtomicSets: true, requireSoundKeys: true, requireReviewVersion: true, allowInvalidBundle: true, allowedSelectable: new Set(), unchanged: new Set(), known: new Set() };
  if (!next || !old) return strict;
  const schemas = old.spec.versions.map(schemaOf);
  const every = (holds: (schema: JsonObject) => boolean) => schemas.every((schema) => !schema || holds(schema));
  const versionOf = (name: string) => old.spec.versions.find((version) => version.name === name);
  const bundle = old.spec.conversion?.webhook?.clientConfig?.caBundle;
  const reviewVersions = old.spec.conversion?.webhook?.conversionReviewVersions ?? [];
  return {
    requireSchema: schemas.every((schema) => schema !== undefined),
    requireValidTypes: every((schema) => !someSchema(schema, ({ type }) => typeof type === 'string' && type !== '' && !schemaTypes.includes(type))),
    requireStructural: every((schema) => !unreadable(schema) && validateStructural(schema, specPath).length === 0),
    requirePrunedDefaults: every((schema) => unreadable(schema) !== undefined || validateDefaults(schema, specPath, true).every(({ detail }) => !detail.endsWith('must not have unknown fields'))),
    requireAtomicSets: every((schema) => !someSchema(schema, (one) => atomicSetProblems(one, specPath).length > 0)),
    requireSoundKeys: every((schema) => !someSchema(schema, (one) => keyProblems(one, specPath).length > 0)),
    requireReviewVersion: reviewVersions.length === 0 || reviewVersions.some((version) => acceptedReviewVersions.includes(version)),
    allowInvalidBundle: !isTrue(old, 'Established') || (bundle !== undefined && bundle !== '' && caBundleProblem(bundle) !== undefined),
    allowedSelectable: new Set(next.spec.versions.filter((version) => { const before = versionOf(version.name)?.selectableFields ?? []; return before.length > maxSelectableFields && jsonEqual(before as unknown as Json, version.selectableFields as unknown as Json); }).map(({ name }) => name)),
    unchanged: new Set(next.spec.versions.filter((version) => { const before = versionOf(version.name); return before && jsonEqual(schemaOf(before), schemaOf(version)); }).map(({ name }) => name)),
    known: new Set(schemas.flatMap((schema) => (schema ? expressionsOf(schema) : []))),
  };
}
function expressionsOf(schema: JsonObject): string[] {
  const own = Array.isArray(schema['x-kubernetes-validations']) ? schema['x-kubernetes-validations'].filter(isJsonObject).flatMap(({ rule, messageExpression }) => [rule, messageExpression].filter((one): one is string => typeof one === 'string')) : [];
  return [...own, ...children(schema).flatMap(expressionsOf)];
}

// ---- spec

function validateName({ metadata, spec }: Definition): FieldError[] {
  return metadata.name === `${spec.names?.plural ?? ''}.${spec.group ?? ''}` ? [] : [invalid(field('metadata', 'name'), metadata.name, 'must be spec.names.plural+"."+spec.group')];
}

function validateSpec(spec: v1.CustomResourceDefinitionSpec, given: Options): FieldError[] {
  const errors: FieldError[] = [];
  const versions = spec.versions ?? [];
  const names = spec.names ?? ({} as v1.CustomResourceDefinitionNames);
  if (!spec.group) errors.push(required(specPath.child('group')));
  else {
    const messages = isDNS1123Subdomain(spec.group);
    if (messages.length > 0) errors.push(invalid(specPath.child('group'), spec.group, messages.join(',')));
    else if (!spec.group.includes('.')) errors.push(invalid(specPath.child('group'), spec.group, 'should be a domain with at least one dot'));
  }
  oneOf(specPath.child('scope'), spec.scope, ['Cluster', 'Namespaced'], errors);

  const schemas = versions.map(schemaOf);
  const preserves = spec.preserveUnknownFields === true;
  const hasDefaults = schemas.some((schema) => schema && someSchema(schema, (one) => one.default !== undefined));
  const extended = schemas.some((schema) => schema && someSchema(schema, (one) => ['x-kubernetes-embedded-resource', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-int-or-string', 'x-kubernetes-list-map-keys', 'x-kubernetes-list-type', 'x-kubernetes-validations'].some((key) => one[key] !== undefined)));
  const opts = { ...given, requireStructural: given.requireStructural || !preserves || hasDefaults || extended };
  for (const [index, version] of versions.entries()) {
    const at = specPath.child('versions').index(index).child('schema', 'openAPIV3Schema');
    if (schemas[index]) continue;
    if (given.requireSchema) errors.push(required(at, 'schemas are required'));
    else if (!preserves && version.served) errors.push(required(at, 'because otherwise all fields are pruned'));
  }
  if (hasDefaults && preserves) errors.push(invalid(specPath.child('preserveUnknownFields'), true, 'must be false in order to use defaults in the schema'));

  // What all versions have in common upstream moves to the top.
  const same = (of: (version: v1.CustomResourceDefinitionVersion) => unknown) => versions.length > 0 && versions.every((version) => jsonEqual(of(version) as Json | undefined, of(versions[0]!) as Json | undefined));
  const sharedSchema = same(({ schema }) => schema);
  const sharedSubresources = same(({ subresources }) => subresources);
  const sharedColumns = same(({ additionalPrinterColumns }) => additionalPrinterColumns);
  const sharedSelectable = same(({ selectableFields }) => selectableFields);
  const seen = new Set<string>();
  let unique = true;
  for (const [index, version] of versions.entries()) {
    const at = specPath.child('versions').index(index);
    if (seen.has(version.name)) unique = false;
    seen.add(version.name);
    const messages = isDNS1035Label(version.name ?? '');
    if (messages.length > 0) errors.push(invalid(at.child('name'), version.name ?? '', messages.join(',')));
    for (const why of deprecationProblems(version)) errors.push(invalid(at.child('deprecationWarning'), version.deprecationWarning, why));
    if (!sharedSchema) errors.push(...validateSchema(version.schema, version.subresources?.status !== undefined, at.child('schema'), opts, version.name));
    if (!sharedSubresources) errors.push(...validateSubresources(version.subresources, at.child('subresources')));
    if (!sharedColumns) (version.additionalPrinterColumns ?? []).forEach((column, c) => errors.push(...validateColumn(column, at.child('additionalPrinterColumns').index(c))));
    if (!sharedSelectable) errors.push(...validateSelectable(version.selectableFields, schemas[index], at.child('selectableFields'), opts, version.name));
  }
  const versionNames = versions.map((version) => version.name);
  if (!unique) errors.push(invalid(specPath.child('versions'), versionNames, 'must contain unique version names'));
  if (versions.filter((version) => version.storage).length !== 1) errors.push(invalid(specPath.child('versions'), versionNames, 'must have exactly one version marked as storage version'));
  const first = versions[0];
  if (first && isDNS1035Label(first.name ?? '').length > 0) errors.push(invalid(specPath.child('version'), first.name ?? '', isDNS1035Label(first.name ?? '').join(',')));

  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const) if (!names[name]) errors.push(required(specPath.child('names', name)));
  errors.push(...validateNames(names, specPath.child('names')));
  if (first) {
    if (sharedSchema) errors.push(...validateSchema(first.schema, versions.some(({ subresources }) => subresources?.status !== undefined), specPath.child('validation'), opts, first.name));
    if (sharedSubresources) errors.push(...validateSubresources(first.subresources, specPath.child('subresources')));
    if (sharedColumns) (first.additionalPrinterColumns ?? []).forEach((column, c) => errors.push(...validateColumn(column, specPath.child('additionalPrinterColumns').index(c))));
    if (sharedSelectable) errors.push(...validateSelectable(first.selectableFields, schemas[0], specPath.child('selectableFields'), opts, first.name));
  }
  const { conversion } = spec;
  if (conversion && conversion.strategy !== 'None' && preserves) errors.push(invalid(specPath.child('conversion', 'strategy'), conversion.strategy, 'must be None if spec.preserveUnknownFields is true'));
  if (conversion) errors.push(...validateConversion(conversion, specPath.child('conversion'), opts));
  return errors;
}

function oneOf(path: FieldPath, value: string | undefined, accepted: readonly string[], errors: FieldError[]): void {
  if (!value) errors.push(required(path));
  else if (!accepted.includes(value)) errors.push(notSupported(path, value, accepted));
}

function deprecationProblems({ deprecated, deprecationWarning: text }: v1.CustomResourceDefinitionVersion): string[] {
  if (text === undefined) return [];
  if (!deprecated) return ['can only be set for deprecated versions'];
  const out: string[] = [];
  if (Buffer.byteLength(text) > 256) out.push('must be <= 256 characters long');
  if (text === '') out.push('must not be an empty string');
  const bad = [...text].findIndex((char) => /[\p{C}\p{Z}]/u.test(char) && char !== ' ');
  if (bad >= 0) out.push(`must only contain printable UTF-8 characters; non-printable character found at index ${Buffer.byteLength([...text].slice(0, bad).join(''))}`);
  return out;
}

function validateNames(names: Partial<v1.CustomResourceDefinitionNames>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const check = (at: FieldPath, value: string | undefined, mixed: boolean) => {
    if (!value) return;
    const messages = isDNS1035Label(mixed ? value.toLowerCase() : value);
    if (messages.length > 0) errors.push(invalid(at, value, `${mixed ? 'may have mixed case, but should otherwise match: ' : ''}${messages.join(',')}`));
  };
  check(path.child('plural'), names.plural, false);
  check(path.child('singular'), names.singular, false);
  check(path.child('kind'), names.kind, true);
  check(path.child('listKind'), names.listKind, true);
  (names.shortNames ?? []).forEach((name, index) => { const messages = isDNS1035Label(name); if (messages.length > 0) errors.push(invalid(path.child('shortNames').index(index), name, messages.join(','))); });
  if (names.kind && names.kind === names.listKind) errors.push(invalid(path.child('listKind'), names.listKind, 'kind and listKind may not be the same'));
  (names.categories ?? []).forEach((name, index) => { const messages = isDNS1035Label(name); if (messages.length > 0) errors.push(invalid(path.child('categories').index(index), name, messages.join(','))); });
  return errors;
}

const simplePathProblem = (path: string): string | undefined => (path.startsWith('.') ? undefined : 'must be a simple json path starting with .');

function validateSubresources(subresources: v1.CustomResourceSubresources | undefined, path: FieldPath): FieldError[] {
  const scale = subresources?.scale;
  if (!scale) return [];
  const errors: FieldError[] = [];
  const check = (name: 'specReplicasPath' | 'statusReplicasPath' | 'labelSelectorPath', under: readonly string[], where: string) => {
    const at = path.child(`scale.${name}`);
    const value = scale[name];
    if (!value) { if (name !== 'labelSelectorPath') errors.push(required(at)); return; }
    const why = simplePathProblem(value);
    if (why) errors.push(invalid(at, value, why));
    else if (!under.some((prefix) => value.startsWith(prefix))) errors.push(invalid(at, value, `should be a json path under ${where}`));
  };
  check('specReplicasPath', ['.spec.'], '.spec');
  check('statusReplicasPath', ['.status.'], '.status');
  check('labelSelectorPath', ['.spec.', '.status.'], 'either .spec or .status');
  return errors;
}

function validateColumn(column: v1.CustomResourceColumnDefinition, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!column.name) errors.push(required(path.child('name')));
  if (!column.type) errors.push(required(path.child('type'), `must be one of ${columnTypes.join(',')}`));
  else if (!columnTypes.includes(column.type)) errors.push(invalid(path.child('type'), column.type, `must be one of ${columnTypes.join(',')}`));
  if (column.format && !columnFormats.includes(column.format)) errors.push(invalid(path.child('format'), column.format, `must be one of ${columnFormats.join(',')}`));
  if (!column.jsonPath) errors.push(required(path.child('JSONPath')));
  else { const why = simplePathProblem(column.jsonPath); if (why) errors.push(invalid(path.child('JSONPath'), column.jsonPath, why)); }
  return errors;
}

function validateSelectable(fields: readonly v1.SelectableField[] | undefined, schema: JsonObject | undefined, path: FieldPath, opts: Options, version: string): FieldError[] {
  if (!fields || fields.length === 0) return [];
  if (!schema) return [invalid(path, '', 'may only be set when validations.schema is included')];
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, { jsonPath }] of fields.entries()) {
    const at = path.index(index).child('jsonPath');
    if (!jsonPath) { errors.push(required(at)); continue; }
    const found = fieldPathOf(jsonPath, schema, { arrays: false });
    if ('problem' in found) { errors.push(invalid(at, jsonPath, `is an invalid path: ${found.problem}`)); continue; }
    if (found.path.startsWith('metadata.') || found.path === 'metadata') errors.push(invalid(at, jsonPath, 'must not point to fields in metadata'));
    if (!['string', 'boolean', 'integer'].includes(String(found.schema?.type))) errors.push(invalid(at, jsonPath, 'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.'));
    if (seen.has(found.path)) errors.push(duplicate(at, jsonPath));
    seen.add(found.path);
  }
  if (seen.size > maxSelectableFields && !opts.allowedSelectable.has(version)) errors.push(tooMany(path, seen.size, maxSelectableFields));
  return errors;
}

const acceptedReviewVersions: readonly string[] = ['v1', 'v1beta1'];

function validateConversion({ strategy, webhook }: v1.CustomResourceConversion, path: FieldPath, opts: Options): FieldError[] {
  const errors: FieldError[] = [];
  oneOf(path.child('strategy'), strategy, ['None', 'Webhook'], errors);
  const config = webhook?.clientConfig;
  const versions = webhook?.conversionReviewVersions ?? [];
  const at = path.child('webhookClientConfig');
  const versionsAt = path.child('conversionReviewVersions');
  if (strategy !== 'Webhook') {
    if (config) errors.push(forbidden(at, 'should not be set when strategy is not set to Webhook'));
    if (versions.length > 0) errors.push(forbidden(versionsAt, 'should not be set when strategy is not set to Webhook'));
    return errors;
  }
  if (!config) errors.push(required(at, 'required when strategy is set to Webhook'));
  else {
    if ((config.url === undefined) === (config.service === undefined)) errors.push(required(at, 'exactly one of url or service is required'));
    else if (config.url !== undefined) errors.push(...validateWebhookUrl(config.url, at.child('url')));
    else errors.push(...validateWebhookService(config.service!, at.child('service')));
    const why = config.caBundle && !opts.allowInvalidBundle ? caBundleProblem(config.caBundle) : undefined;
    if (why) errors.push(invalid(at.child('caBundle'), config.caBundle, why));
  }
  if (versions.length === 0) errors.push(required(versionsAt));
  const seen = new Set<string>();
  for (const [index, version] of versions.entries()) {
    if (seen.has(version)) { errors.push(invalid(versionsAt.index(index), version, 'duplicate version')); continue; }
    seen.add(version);
    addInvalid(errors, versionsAt.index(index), version, isDNS1035Label(version));
  }
  if (versions.length > 0 && opts.requireReviewVersion && !versions.some((version) => acceptedReviewVersions.includes(version))) errors.push(invalid(versionsAt, versions, `must include at least one of ${acceptedReviewVersions.join(', ')}`));
  return errors;
}

/** Source: apiserver/pkg/util/webhook/validation.go. */
function validateWebhookUrl(text: string, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const form = '; desired format: https://host[/path]';
  if (!URL.canParse(text)) return [required(path, `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URI for request${form}`)];
  const url = new URL(text);
  if (url.protocol !== 'https:') errors.push(invalid(path, url.protocol.replace(/:$/, ''), `'https' is the only allowed URL scheme${form}`));
  if (url.host === '') errors.push(invalid(path, url.host, `host must be specified${form}`));
  if (url.username !== '' || url.password !== '') errors.push(invalid(path, url.username, 'user information is not permitted in the URL'));
  if (url.hash !== '') errors.push(invalid(path, url.hash.slice(1), 'fragments are not permitted in the URL'));
  if (url.search !== '') errors.push(invalid(path, url.search.slice(1), 'query parameters are not permitted in the URL'));
  return errors;
}
function validateWebhookService({ name, namespace, path: urlPath, port = 443 }: v1.ServiceReference, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!name) errors.push(required(path.child('name'), 'service name is required'));
  if (!namespace) errors.push(required(path.child('namespace'), 'service namespace is required'));
  if (port < 1 || port > 65535) errors.push(invalid(path.child('port'), port, 'port is not valid: must be between 1 and 65535, inclusive'));
  if (urlPath === undefined || urlPath === '/') return errors;
  if (urlPath === '//') return [...errors, invalid(path.child('path'), urlPath, 'segment[0] may not be empty')];
  if (!urlPath.startsWith('/')) errors.push(invalid(path.child('path'), urlPath, "must start with a '/'"));
  const toCheck = urlPath.slice(1).replace(/\/$/, '');
  for (const [index, step] of toCheck.split('/').entries()) {
    if (step === '') { errors.push(invalid(path.child('path'), urlPath, `segment[${index}] may not be empty`)); continue; }
    for (const message of isDNS1123Subdomain(step)) errors.push(invalid(path.child('path'), urlPath, `segment[${index}]: ${message}`));
  }
  return errors;
}

// ---- schema

const goFieldName = (key: string) => ({ $schema: 'Schema', $ref: 'Ref', id: 'ID', 'x-kubernetes-preserve-unknown-fields': 'XPreserveUnknownFields', 'x-kubernetes-embedded-resource': 'XEmbeddedResource', 'x-kubernetes-int-or-string': 'XIntOrString', 'x-kubernetes-list-map-keys': 'XListMapKeys', 'x-kubernetes-list-type': 'XListType', 'x-kubernetes-map-type': 'XMapType', 'x-kubernetes-validations': 'XValidations' }[key] ?? key[0]!.toUpperCase() + key.slice(1));

function depthOf(schema: JsonObject, limit: number): boolean { return limit < 0 || children(schema).some((child) => depthOf(child, limit - 1)); }

function validateSchema(validation: v1.CustomResourceValidation | undefined, hasStatus: boolean, path: FieldPath, opts: Options, version: string): FieldError[] {
  const schema = validation?.openAPIV3Schema as JsonObject | undefined;
  if (!schema) return [];
  const at = path.child('openAPIV3Schema');
  if (depthOf(schema, maxSchemaDepth)) return [invalid(at, '', `must not be nested deeper than ${maxSchemaDepth} levels`)];
  const errors: FieldError[] = [];
  if (hasStatus) {
    for (const key of Object.keys(schema)) {
      const name = goFieldName(key);
      if (name === 'Type') {
        if (schema.type !== 'object') { errors.push(invalid(path.child('openAPIV3Schema.type'), schema.type, 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled')); break; }
        continue;
      }
      if (!allowedAtRoot.includes(name) && schema[key] !== undefined && schema[key] !== false) { errors.push(invalid(at, schema, `only [${allowedAtRoot.join(' ')}] fields are allowed at the root of the schema if the status subresource is enabled`)); break; }
    }
  }
  if (schema.nullable === true) errors.push(forbidden(path.child('openAPIV3Schema.nullable'), 'nullable cannot be true at the root'));
  const why = opts.requireStructural ? unreadable(schema) : undefined;
  let sound = false;
  if (opts.requireStructural && why === undefined) {
    const structural = validateStructural(schema, at);
    if (structural.length > 0) errors.push(...structural);
    else {
      const defaults = validateDefaults(schema, at, opts.requirePrunedDefaults);
      if (defaults.length > 0) errors.push(...defaults); else sound = true;
    }
  }
  const own: FieldError[] = [];
  validateNode(schema, at, { allowDefaults: true, defaultsReason: '', insideMeta: false }, true, opts, own);
  errors.push(...own);
  if (errors.length === 0 && why !== undefined) errors.push(invalid(at, '', why));
  if (sound && own.length === 0) errors.push(...validateRules(schema, at, { checkCost: !opts.unchanged.has(version), known: opts.known }));
  return errors;
}

interface NodeContext { allowDefaults: boolean; defaultsReason: string; insideMeta: boolean }
const metaFields = new Set(['metadata', 'kind', 'apiVersion']);

function validateNode(schema: JsonObject, path: FieldPath, context: NodeContext, isRoot: boolean, opts: Options, errors: FieldError[]): void {
  const { type, additionalProperties, items, not } = schema;
  const properties = objectOf(schema.properties);
  const listType = schema['x-kubernetes-list-type'];
  const mapType = schema['x-kubernetes-map-type'];
  const keys = stringsOf(schema['x-kubernetes-list-map-keys']);
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  if (opts.requireValidTypes && typeof type === 'string' && type !== '' && !schemaTypes.includes(type)) errors.push(notSupported(path.child('type'), type, schemaTypes));
  if (schema.default !== undefined && !context.allowDefaults) errors.push(forbidden(path.child('default'), `must not be set${context.defaultsReason ? ` ${context.defaultsReason}` : ''}`));
  const unsupported = (key: string, set = schema[key] !== undefined) => { if (set) errors.push(forbidden(path.child(key), `${key} is not supported`)); };
  unsupported('id', schema.id !== undefined && schema.id !== '');
  unsupported('additionalItems');
  unsupported('patternProperties', Object.keys(objectOf(schema.patternProperties)).length > 0);
  unsupported('definitions', Object.keys(objectOf(schema.definitions)).length > 0);
  unsupported('dependencies');
  unsupported('$ref');
  if (type === 'null') errors.push(forbidden(path.child('type'), 'type cannot be set to null, use nullable as an alternative'));
  if (Array.isArray(items) && items.length > 0) errors.push(forbidden(path.child('items'), 'items must be a schema object and not an array'));
  if (context.insideMeta && embedded) errors.push(forbidden(path.child('x-kubernetes-embedded-resource'), 'must not be used inside of resource meta'));
  if (schema.uniqueItems === true) errors.push(forbidden(path.child('uniqueItems'), 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'));
  if (additionalProperties !== undefined) {
    if (Object.keys(properties).length > 0 && additionalProperties !== true) errors.push(forbidden(path.child('additionalProperties'), 'additionalProperties and properties are mutual exclusive'));
    const inner = context.insideMeta ? { ...context, allowDefaults: false, defaultsReason: 'inside additionalProperties applying to object metadata' } : context;
    if (isJsonObject(additionalProperties)) validateNode(additionalProperties, path.child('additionalProperties'), inner, false, opts, errors);
  }
  for (const [name, property] of Object.entries(properties)) {
    if (!isJsonObject(property)) continue;
    let inner = context;
    if ((isRoot || embedded) && metaFields.has(name)) inner = { ...context, insideMeta: true, ...(isRoot ? { allowDefaults: false, defaultsReason: `in top-level ${name}` } : {}) };
    validateNode(property, path.child('properties').key(name), inner, false, opts, errors);
  }
  if (isJsonObject(not)) validateNode(not, path.child('not'), context, false, opts, errors);
  for (const key of ['allOf', 'oneOf', 'anyOf'] as const) (Array.isArray(schema[key]) ? schema[key] : []).forEach((one, index) => { if (isJsonObject(one)) validateNode(one, path.child(key).index(index), context, false, opts, errors); });
  if (isJsonObject(items)) validateNode(items, path.child('items'), context, false, opts, errors);

  if (schema['x-kubernetes-preserve-unknown-fields'] === false) errors.push(invalid(path.child('x-kubernetes-preserve-unknown-fields'), false, 'must be true or undefined'));
  const mustBe = (wanted: string, key: string) => errors.push(!type ? required(path.child('type'), `must be ${wanted} if ${key} is specified`) : invalid(path.child('type'), type, `must be ${wanted} if ${key} is specified`));
  if (mapType !== undefined && type !== 'object') mustBe('object', 'x-kubernetes-map-type');
  if (mapType !== undefined && mapType !== 'atomic' && mapType !== 'granular') errors.push(notSupported(path.child('x-kubernetes-map-type'), mapType, ['atomic', 'granular']));
  if (listType !== undefined && type !== 'array') mustBe('array', 'x-kubernetes-list-type');
  else if (opts.requireAtomicSets) errors.push(...atomicSetProblems(schema, path));
  if (listType !== undefined && listType !== 'atomic' && listType !== 'set' && listType !== 'map') errors.push(notSupported(path.child('x-kubernetes-list-type'), listType, ['atomic', 'set', 'map']));
  if (keys.length > 0 && listType !== 'map') errors.push(listType === undefined ? required(path.child('x-kubernetes-list-type'), 'must be map if x-kubernetes-list-map-keys is non-empty') : invalid(path.child('x-kubernetes-list-type'), listType, 'must be map if x-kubernetes-list-map-keys is non-empty'));
  if (listType === 'map') {
    const keysPath = path.child('x-kubernetes-list-map-keys');
    if (keys.length === 0) errors.push(required(keysPath, 'must not be empty if x-kubernetes-list-type is map'));
    if (items === undefined) errors.push(required(path.child('items'), 'must have a schema if x-kubernetes-list-type is map'));
    else if (!isJsonObject(items)) errors.push(invalid(path.child('items'), items, 'must only have a single schema if x-kubernetes-list-type is map'));
    else if (items.type !== 'object') errors.push(invalid(path.child('items', 'type'), items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map"));
    else {
      const seen = new Set<string>();
      for (const key of keys) {
        const property = objectOf(items.properties)[key];
        if (!isJsonObject(property)) errors.push(invalid(keysPath, keys, 'entries must all be names of item properties'));
        else if (property.type === 'array' || property.type === 'object') errors.push(invalid(path.child('items', 'properties').key(key).child('type'), items.type, "must be a scalar type if parent array's x-kubernetes-list-type is map"));
        if (seen.has(key)) errors.push(invalid(keysPath, keys, 'must not contain duplicate entries'));
        seen.add(key);
      }
    }
  }
  if (opts.requireSoundKeys) errors.push(...keyProblems(schema, path));
  validateRuleTexts(schema, path, errors);
}

function atomicSetProblems(schema: JsonObject, path: FieldPath): FieldError[] {
  const { items } = schema;
  if (schema['x-kubernetes-list-type'] !== 'set' || !isJsonObject(items)) return [];
  const why = 'must be atomic as item of a list with x-kubernetes-list-type=set';
  if (items.type === 'array') { const of = items['x-kubernetes-list-type']; return of === undefined || of === 'atomic' ? [] : [invalid(path.child('items', 'x-kubernetes-list-type'), of, why)]; }
  return items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic' ? [invalid(path.child('items', 'x-kubernetes-map-type'), items['x-kubernetes-list-type'] ?? null, why)] : [];
}

function keyProblems(schema: JsonObject, path: FieldPath): FieldError[] {
  const { items } = schema;
  const listType = schema['x-kubernetes-list-type'];
  if (!isJsonObject(items) || (listType !== 'set' && listType !== 'map')) return [];
  const errors: FieldError[] = [];
  if (items.nullable === true) errors.push(forbidden(path.child('items', 'nullable'), `cannot be nullable when x-kubernetes-list-type is ${listType}`));
  if (listType !== 'map') return errors;
  const needed = stringsOf(items.required);
  for (const key of stringsOf(schema['x-kubernetes-list-map-keys'])) {
    const property = objectOf(items.properties)[key];
    if (!isJsonObject(property)) continue;
    const at = path.child('items', 'properties').key(key);
    if (!needed.includes(key) && property.default === undefined) errors.push(required(at.child('default'), 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'));
    if (property.nullable === true) errors.push(forbidden(at.child('nullable'), 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'));
  }
  return errors;
}

const ruleReasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];

/** What can be said of rules without reading them as CEL. */
function validateRuleTexts(schema: JsonObject, path: FieldPath, errors: FieldError[]): void {
  const rules = schema['x-kubernetes-validations'];
  if (!Array.isArray(rules)) return;
  const breaks = (text: string) => /[\n\r]/.test(text);
  for (const [index, rule] of rules.entries()) {
    if (!isJsonObject(rule)) continue;
    const at = path.child('x-kubernetes-validations').index(index);
    const { rule: expression = '', message = '', messageExpression = '', reason, fieldPath = '' } = rule as Record<string, string | undefined>;
    if (expression.trim() === '') errors.push(required(at.child('rule'), 'rule is not specified'));
    else if (message !== '' && message.trim() === '') errors.push(invalid(at.child('message'), message, 'must be non-empty if specified'));
    else if (breaks(message.trim())) errors.push(invalid(at.child('message'), message, 'must not contain line breaks'));
    else if (breaks(expression.trim()) && message.trim() === '') errors.push(required(at.child('message'), 'message must be specified if rule contains line breaks'));
    if (messageExpression !== '' && messageExpression.trim() === '') errors.push(required(at.child('messageExpression'), 'messageExpression must be non-empty if specified'));
    if (reason !== undefined && !ruleReasons.includes(reason)) errors.push(notSupported(at.child('reason'), reason, ruleReasons));
    if (fieldPath !== '' && fieldPath.trim() === '') errors.push(invalid(at.child('fieldPath'), fieldPath, 'must be non-empty if specified'));
    if (breaks(fieldPath)) errors.push(invalid(at.child('fieldPath'), fieldPath, 'must not contain line breaks'));
    if (fieldPath !== '' && 'problem' in fieldPathOf(fieldPath, schema, { arrays: true })) errors.push(invalid(at.child('fieldPath'), fieldPath, 'must be a valid path'));
  }
}

// ---- status and the rest

function validateStatus({ status }: Definition): FieldError[] { return validateNames(status?.acceptedNames ?? {}, field('status', 'acceptedNames')); }

function validateStoredVersions({ spec, status }: Definition): FieldError[] {
  const path = field('status', 'storedVersions');
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) return [invalid(path, stored, 'must have at least one stored version')];
  const errors: FieldError[] = [];
  for (const version of spec.versions ?? []) if (version.storage && !stored.includes(version.name)) errors.push(invalid(path, stored, `must have the storage version ${version.name}`));
  for (const [index, name] of stored.entries()) {
    if (!(spec.versions ?? []).some((version) => version.name === name)) errors.push(invalid(path.index(index), name, `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`));
  }
  return errors;
}

function validateApproval(next: Definition, old: Definition | undefined): FieldError[] {
  if (!isProtectedGroup(next.spec.group ?? '')) return [];
  const { state, reason } = approvalState(next.metadata.annotations);
  if (old && approvalState(old.metadata.annotations).state === state) return [];
  const at = field('metadata', 'annotations').key(approvalAnnotation);
  if (state === 'missing') return [required(at, reason)];
  return state === 'invalid' ? [invalid(at, next.metadata.annotations?.[approvalAnnotation] ?? '', reason)] : [];
}

function validatePreserve(next: Definition, old: Definition | undefined): FieldError[] {
  if (old?.spec.preserveUnknownFields || !next.spec.preserveUnknownFields) return [];
  return [invalid(specPath.child('preserveUnknownFields'), true, 'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead')];
}
