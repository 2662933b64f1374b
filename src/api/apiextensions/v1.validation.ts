/** CustomResourceDefinitions; whether a schema is structural is `../structural.ts`. Source: apiextensions-apiserver/pkg/apis/apiextensions/validation. */
import type * as v1 from './v1.ts';
import { addInvalid, field, fieldImmutable, invalid, notSupported, required, type FieldError } from '../validation/field.ts';
import { isDNS1035Label, isDNS1123Subdomain } from '../validation/names.ts';

const specPath = field('spec');

export function validateCustomResourceDefinition({ metadata, spec }: v1.CustomResourceDefinition): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec) return [required(specPath)];
  const expected = `${spec.names?.plural ?? ''}.${spec.group ?? ''}`;
  if (metadata.name !== expected) errors.push(invalid(field('metadata', 'name'), metadata.name, `must be spec.names.plural+"."+spec.group`));
  if (!spec.group) errors.push(required(specPath.child('group')));
  else {
    addInvalid(errors, specPath.child('group'), spec.group, isDNS1123Subdomain(spec.group));
    if (!spec.group.includes('.')) errors.push(invalid(specPath.child('group'), spec.group, 'should be a domain with at least one dot'));
  }
  if (!spec.scope) errors.push(required(specPath.child('scope')));
  else if (spec.scope !== 'Cluster' && spec.scope !== 'Namespaced') errors.push(notSupported(specPath.child('scope'), spec.scope, ['Cluster', 'Namespaced']));

  const names = spec.names ?? ({} as v1.CustomResourceDefinitionNames);
  const namesPath = specPath.child('names');
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const) {
    const value = names[name];
    if (!value) { errors.push(required(namesPath.child(name))); continue; }
    const text = name === 'kind' || name === 'listKind' ? value.toLowerCase() : value;
    const messages = isDNS1035Label(text);
    if (messages.length > 0) addInvalid(errors, namesPath.child(name), value, name === 'kind' || name === 'listKind' ? [`may have mixed case, but should otherwise match: ${messages.join(',')}`] : messages);
  }
  for (const [i, short] of (names.shortNames ?? []).entries()) addInvalid(errors, namesPath.child('shortNames').index(i), short, isDNS1035Label(short));
  for (const [i, category] of (names.categories ?? []).entries()) addInvalid(errors, namesPath.child('categories').index(i), category, isDNS1035Label(category));
  if (names.kind && names.kind === names.listKind) errors.push(invalid(namesPath.child('listKind'), names.listKind, 'kind and listKind may not be the same'));

  const versions = spec.versions ?? [];
  const versionsPath = specPath.child('versions');
  const seen = new Set<string>();
  let unique = true;
  for (const [i, version] of versions.entries()) {
    const at = versionsPath.index(i);
    if (seen.has(version.name)) unique = false;
    seen.add(version.name);
    addInvalid(errors, at.child('name'), version.name ?? '', isDNS1035Label(version.name ?? ''));
    if (!version.schema?.openAPIV3Schema) errors.push(required(at.child('schema', 'openAPIV3Schema'), 'schemas are required'));
    for (const [c, column] of (version.additionalPrinterColumns ?? []).entries()) {
      const inside = at.child('additionalPrinterColumns').index(c);
      if (!column.name) errors.push(required(inside.child('name')));
      if (!column.type) errors.push(required(inside.child('type'), 'must be one of boolean,date,integer,number,string'));
      else if (!['boolean', 'date', 'integer', 'number', 'string'].includes(column.type)) errors.push(invalid(inside.child('type'), column.type, 'must be one of boolean,date,integer,number,string'));
      if (!column.jsonPath) errors.push(required(inside.child('jsonPath')));
    }
  }
  if (!unique) errors.push(invalid(versionsPath, versions.map((version) => version.name), 'must contain unique version names'));
  if (versions.filter((version) => version.storage).length !== 1) errors.push(invalid(versionsPath, versions.map((version) => version.name), 'must have exactly one version marked as storage version'));
  if (spec.preserveUnknownFields === true) errors.push(invalid(specPath.child('preserveUnknownFields'), true, 'must be false in order to use defaults in the schema'));
  const strategy = spec.conversion?.strategy;
  if (strategy !== undefined && strategy !== 'None' && strategy !== 'Webhook') errors.push(notSupported(specPath.child('conversion', 'strategy'), strategy, ['None', 'Webhook']));
  if (strategy === 'Webhook' && !spec.conversion?.webhook?.clientConfig) errors.push(required(specPath.child('conversion', 'webhookClientConfig'), 'required when strategy is set to Webhook'));
  return errors;
}
export function validateCustomResourceDefinitionUpdate(next: v1.CustomResourceDefinition, old: v1.CustomResourceDefinition): FieldError[] {
  const errors = validateCustomResourceDefinition(next);
  // Once its names are accepted, objects may exist under them.
  const established = (old.status?.conditions ?? []).some((condition) => condition.type === 'Established' && condition.status === 'True');
  if (next.spec.group !== old.spec.group) errors.push(invalid(specPath.child('group'), next.spec.group, fieldImmutable));
  if (next.spec.names.plural !== old.spec.names.plural) errors.push(invalid(specPath.child('names', 'plural'), next.spec.names.plural, fieldImmutable));
  if (established) {
    if (next.spec.scope !== old.spec.scope) errors.push(invalid(specPath.child('scope'), next.spec.scope, fieldImmutable));
    if (next.spec.names.kind !== old.spec.names.kind) errors.push(invalid(specPath.child('names', 'kind'), next.spec.names.kind, fieldImmutable));
  }
  for (const [i, stored] of (next.status?.storedVersions ?? []).entries()) {
    if (!next.spec.versions.some((version) => version.name === stored)) errors.push(invalid(field('status', 'storedVersions').index(i), stored, `missing from spec.versions; ${stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${stored} and removes ${stored} from status.storedVersions`));
  }
  return errors;
}
