/** Makes the `default` ServiceAccount of each active namespace, and publishes the cluster's CA as ConfigMap kube-root-ca.crt. Upstream: pkg/controller/serviceaccount, pkg/controller/certificates/rootcacertpublisher. */
import type { ConfigMap, Namespace, ServiceAccount } from '../api/core/v1.ts';
import { configmaps, namespaces, serviceaccounts } from '../api/resources.ts';
import { isAlreadyExists } from '../api/meta/status.ts';
import { defineController, done } from './framework.ts';
import { isNamespaceTerminating } from './pods.ts';

const isActive = (namespace: Namespace | undefined): boolean => namespace !== undefined && namespace.status?.phase !== 'Terminating' && !namespace.metadata.deletionTimestamp;

export const serviceAccountController = defineController({
  name: 'serviceaccount-controller', account: 'service-account-controller', aliases: ['serviceaccount'], for: namespaces, writes: ['serviceaccounts'],
  watches: [{ resource: serviceaccounts, keys: ({ next, any }: { next?: ServiceAccount; any: ServiceAccount }) => (!next && any.metadata.name === 'default' ? [any.metadata.namespace!] : []) }],
  async reconcile(name, { client, cache }, signal) {
    if (!isActive(cache(namespaces).get(name)) || cache(serviceaccounts).get(`${name}/default`)) return done;
    try { await client.for(serviceaccounts).create({ metadata: { name: 'default', namespace: name } }, { signal }); } catch (err) {
      if (!isAlreadyExists(err) && !isNamespaceTerminating(err)) throw err;
    }
    return done;
  },
});

export const rootCaName = 'kube-root-ca.crt';
const description = 'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

export const rootCaController = defineController({
  name: 'root-ca-certificate-publisher-controller', account: 'root-ca-cert-publisher', aliases: ['root-ca-cert-publisher'], for: namespaces, writes: ['configmaps'],
  watches: [{ resource: configmaps, keys: ({ any }: { any: ConfigMap }) => (any.metadata.name === rootCaName ? [any.metadata.namespace!] : []) }],
  async reconcile(name, { client, cache, options }, signal) {
    if (!options.rootCa || !isActive(cache(namespaces).get(name))) return done;
    const found = cache(configmaps).get(`${name}/${rootCaName}`);
    const data = { 'ca.crt': options.rootCa };
    const annotations = { ...found?.metadata.annotations, 'kubernetes.io/description': description };
    try {
      if (!found) await client.for(configmaps).create({ metadata: { name: rootCaName, namespace: name, annotations }, data }, { signal });
      else if (found.data?.['ca.crt'] !== options.rootCa || Object.keys(found.data).length !== 1 || found.metadata.annotations?.['kubernetes.io/description'] !== description) {
        await client.for(configmaps).update({ ...found, metadata: { ...found.metadata, annotations }, data }, { signal });
      }
    } catch (err) { if (!isAlreadyExists(err) && !isNamespaceTerminating(err)) throw err; }
    return done;
  },
});
