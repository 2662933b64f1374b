/** Off by default: who names owners must be allowed to delete the object, and to finalize owners it blocks. Source: upstream's plugin/pkg/admission/gc. */
import type { OwnerReference } from '../../api/meta/v1.ts';
import { builtInResources } from '../../api/resource-names.ts';
import type { AdmissionPlugin } from '../types.ts';
import { refuse, type AdmissionDeps } from './plugin.ts';

export function ownerReferencesPermissionEnforcement({ authorizer }: AdmissionDeps): AdmissionPlugin {
  return {
    name: 'OwnerReferencesPermissionEnforcement',
    handles: (operation, names, subresource) => (operation === 'CREATE' || operation === 'UPDATE') && !(names.plural === 'pods' && subresource === 'status'),
    async validate(attributes) {
      const { names, namespace, name, user, object, oldObject, subresource } = attributes;
      const owners = (of: typeof object): readonly OwnerReference[] => ((of as { metadata?: { ownerReferences?: OwnerReference[] } } | undefined)?.metadata?.ownerReferences ?? []);
      const [next, old] = [owners(object), owners(oldObject)];
      if (JSON.stringify(next) === JSON.stringify(old)) return;
      const may = async (verb: string, group: string, resource: string, sub: string, of: string) => (await authorizer.authorize({ user, verb, group, version: '*', resource, subresource: sub, namespace, name: of, isResource: true, path: '' })).decision === 'allow';
      if (oldObject && !await may('delete', names.group, names.plural, subresource, name)) throw refuse(attributes, 'cannot set an ownerRef on a resource you can\'t delete: , <nil>');
      for (const owner of next) {
        if (!owner.blockOwnerDeletion || old.some((one) => one.uid === owner.uid && one.blockOwnerDeletion)) continue;
        const kind = builtInResources().find((one) => one.apiVersion === owner.apiVersion && one.kind === owner.kind);
        if (kind && !await may('update', kind.group, kind.plural, 'finalizers', owner.name)) throw refuse(attributes, "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>");
      }
    },
  };
}
