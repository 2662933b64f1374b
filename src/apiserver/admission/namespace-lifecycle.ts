/** Nothing is created in namespaces that do not exist or are going, and the system's own stay. Source: apiserver/pkg/admission/plugin/namespace/lifecycle. */
import { forbidden, notFound } from '../../api/meta/status.ts';
import { namespaces } from '../../api/resources.ts';
import type { AdmissionPlugin } from '../types.ts';
import { find, refuse, type AdmissionDeps } from './plugin.ts';

const immortal: readonly string[] = ['default', 'kube-system', 'kube-public'];
const reviews: readonly string[] = ['localsubjectaccessreviews', 'subjectaccessreviews', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'];
/** How long after its deletion a namespace is asked for rather than taken from the copy, in milliseconds. */
const liveLookupMs = 30_000;
const recentLimit = 100;

export function namespaceLifecycle(deps: AdmissionDeps): AdmissionPlugin {
  const recentlyDeleted = new Map<string, number>();
  deps.informers.informer(namespaces);
  return {
    name: 'NamespaceLifecycle',
    handles: (operation) => operation === 'CREATE' || operation === 'UPDATE' || operation === 'DELETE',
    async admit(attributes) {
      const { operation, names, namespace } = attributes;
      if (names.plural === 'namespaces' && names.group === '') {
        if (operation !== 'DELETE') return;
        if (immortal.includes(attributes.name)) throw forbidden({ group: '', resource: 'namespaces' }, attributes.name, 'this namespace may not be deleted');
        if (recentlyDeleted.size >= recentLimit) recentlyDeleted.delete(recentlyDeleted.keys().next().value!);
        recentlyDeleted.set(attributes.name, deps.clock.now());
        return;
      }
      if (namespace === '' || operation === 'DELETE' || (names.group === 'authorization.k8s.io' && reviews.includes(names.plural))) return;
      const deletedAt = recentlyDeleted.get(namespace);
      const live = deletedAt !== undefined && deps.clock.now() - deletedAt < liveLookupMs;
      const found = live ? await deps.client.for(namespaces).get({ name: namespace }) : await find(deps, namespaces, namespace);
      if (!found) throw notFound({ group: '', resource: 'namespaces' }, namespace);
      if (operation === 'CREATE' && (found.status?.phase === 'Terminating' || found.metadata.deletionTimestamp)) {
        const err = refuse(attributes, `unable to create new content in namespace ${namespace} because it is being terminated`);
        (err.status.details as { causes?: object[] }).causes = [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }];
        throw err;
      }
    },
  };
}
