/** Which names a definition may have: the first to ask for one in its group has it. Source: apiextensions-apiserver/pkg/controller/status/naming_controller.go. */
import { draftOf, jsonEqual, type Draft, type Json } from '../../base/json.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import { conditionOf, sameCondition, type Condition, type Definition } from './conditions.ts';

type Names = Draft<v1.CustomResourceDefinitionNames>;
export interface Naming { names: Names; namesAccepted: Omit<Condition, 'lastTransitionTime'>; established: Omit<Condition, 'lastTransitionTime'> }

/** `others`: names accepted for the other definitions of the group. Undefined when nothing is to change. */
export function resolveNames(definition: Definition, others: Iterable<Partial<v1.CustomResourceDefinitionNames>>): Naming | undefined {
  const wanted = definition.spec.names;
  const accepted: Partial<v1.CustomResourceDefinitionNames> = definition.status?.acceptedNames ?? {};
  if (jsonEqual(wanted as unknown as Json, accepted as unknown as Json)) return undefined;
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const names of [accepted, ...others]) {
    for (const name of [names.plural, names.singular, ...names.shortNames ?? []]) if (name) resources.add(name);
    for (const name of [names.kind, names.listKind]) if (name) kinds.add(name);
  }
  const names = { plural: '', kind: '', ...draftOf(accepted) } as Names;
  const namesAccepted: Omit<Condition, 'lastTransitionTime'> = { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' };
  const conflict = (reason: string, messages: readonly string[]) => {
    Object.assign(namesAccepted, { status: 'False', reason, message: messages.length === 1 ? messages[0] : `[${messages.join(', ')}]` });
  };
  const inUse = (name: string) => `${JSON.stringify(name)} is already in use`;
  const one = (field: 'plural' | 'singular' | 'kind' | 'listKind', used: ReadonlySet<string>, reason: string) => {
    const name = wanted[field] ?? '';
    if (name !== (accepted[field] ?? '') && used.has(name)) conflict(reason, [inUse(name)]); else names[field] = name;
  };
  one('plural', resources, 'PluralConflict');
  one('singular', resources, 'SingularConflict');
  const shortNames = wanted.shortNames ?? [];
  if (!jsonEqual([...shortNames], [...accepted.shortNames ?? []])) {
    const taken = shortNames.filter((name) => !accepted.shortNames?.includes(name) && resources.has(name));
    if (taken.length > 0) conflict('ShortNamesConflict', taken.map(inUse));
    else if (wanted.shortNames) names.shortNames = [...shortNames]; else delete names.shortNames;
  }
  one('kind', kinds, 'KindConflict');
  one('listKind', kinds, 'ListKindConflict');
  if (wanted.categories) names.categories = [...wanted.categories]; else delete names.categories;

  const old = conditionOf(definition, 'Established');
  let established: Omit<Condition, 'lastTransitionTime'> = old ? { type: old.type, status: old.status, reason: old.reason ?? '', message: old.message ?? '' }
    : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' };
  if (established.status !== 'True' && namesAccepted.status === 'True') established = { type: 'Established', status: 'False', reason: 'Installing', message: 'the initial names have been accepted' };
  if (jsonEqual(names as unknown as Json, accepted as unknown as Json) && sameCondition(namesAccepted, conditionOf(definition, 'NamesAccepted'))) return undefined;
  return { names, namesAccepted, established };
}
