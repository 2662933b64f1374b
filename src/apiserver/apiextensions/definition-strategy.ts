/** The strategy of CustomResourceDefinitions themselves. Source: apiextensions-apiserver/pkg/registry/customresourcedefinition. */
import { draftOf } from '../../base/json.ts';
import { setCustomResourceDefinitionDefaults } from '../../api/apiextensions/v1.defaults.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import type { Strategy } from '../types.ts';
import { cleanupFinalizer, setCondition } from './conditions.ts';
import { unrecognizedFormats, validateDefinition, validateDefinitionStatusUpdate, validateDefinitionUpdate } from './definition-validation.ts';

const storageVersion = (versions: readonly { readonly name: string; readonly storage: boolean }[] | undefined) => versions?.find((version) => version.storage)?.name;

export const definitionStrategy: Strategy<v1.CustomResourceDefinition> = {
  allowUnconditionalUpdate: false,
  deletionFinalizers: [cleanupFinalizer],
  setDefaults: setCustomResourceDefinitionDefaults,
  prepareForCreate(definition) {
    const stored = storageVersion(definition.spec?.versions);
    definition.status = { ...(stored ? { storedVersions: [stored] } : {}) };
  },
  prepareForUpdate(definition, old, { subresource }) {
    if (subresource === 'status') return;
    // A version that was ever stored stays on record until a migration takes it off.
    const status = draftOf(old.status ?? {});
    const stored = storageVersion(definition.spec?.versions);
    const versions = (status.storedVersions ??= []);
    if (stored && !versions.includes(stored)) versions.push(stored);
    definition.status = status;
  },
  prepareForDelete(definition, now) {
    if (!definition.metadata.finalizers?.includes(cleanupFinalizer)) return;
    if (definition.status?.conditions?.some(({ type }) => type === 'Terminating')) return;
    setCondition(definition, { type: 'Terminating', status: 'True', reason: 'InstanceDeletionPending', message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon' }, now);
  },
  validate: (definition) => validateDefinition(definition),
  validateUpdate: (definition, old) => validateDefinitionUpdate(definition, old),
  validateStatusUpdate: (definition) => validateDefinitionStatusUpdate(definition),
  warnings(definition, old) {
    const known = new Set(old ? unrecognizedFormats(old) : []);
    return unrecognizedFormats(definition).filter((format) => !known.has(format)).map((format) => `unrecognized format ${JSON.stringify(format)}`);
  },
};
