/**
 * Fills Secrets of type kubernetes.io/service-account-token with a token, the CA and the namespace, and removes those whose account is gone.
 * Only such Secrets are followed, by field selector. Upstream: pkg/controller/serviceaccount tokens_controller; it acts as the manager itself.
 */
import type { Secret, ServiceAccount } from '../api/core/v1.ts';
import { secrets, serviceaccounts } from '../api/resources.ts';
import { isConflict, isNotFound } from '../api/meta/status.ts';
import { keyOf, splitKey } from '../client/informer.ts';
import { runReflector } from '../client/reflector.ts';
import { defineController, done, requeueAfter, type Context } from './framework.ts';

const tokenType = 'kubernetes.io/service-account-token';
const nameAnnotation = 'kubernetes.io/service-account.name';
const uidAnnotation = 'kubernetes.io/service-account.uid';
const fieldSelector = `type=${tokenType}`;

type Known = Map<string, { name: string | undefined }>;
const accountOf = ({ metadata }: Secret) => metadata.annotations?.[nameAnnotation];

export const serviceAccountTokenController = defineController({
  name: 'serviceaccount-token-controller', account: '', aliases: ['serviceaccount-token'], writes: ['secrets'],
  watches: [{
    resource: serviceaccounts,
    *keys({ old, next, any }: { old?: ServiceAccount; next?: ServiceAccount; any: ServiceAccount }, { state }: Context) {
      if (old && next && old.metadata.uid === next.metadata.uid) return;
      for (const [key, { name }] of (state as Known | undefined) ?? []) if (name === any.metadata.name && splitKey(key).namespace === any.metadata.namespace) yield key;
    },
  }],
  setup: ({ cache }): Known => { cache(serviceaccounts); return new Map(); },
  run(context) {
    if (!context.options.signServiceAccountToken) return undefined;
    const known = context.state as Known;
    const api = context.client.for(secrets);
    const note = (secret: Secret) => { known.set(keyOf(secret), { name: accountOf(secret) }); context.enqueue(keyOf(secret)); };
    return runReflector<Secret>({
      name: 'secrets', clock: context.clock, rng: context.rng, log: context.log, signal: context.signal,
      list: (options) => api.list({ ...options, fieldSelector }), watch: (options) => api.watch({ ...options, fieldSelector, transient: true }),
      onReplace(items) { known.clear(); for (const item of items) note(item); },
      onEvent(type, secret) { if (type === 'DELETED') known.delete(keyOf(secret)); else note(secret); },
    });
  },
  async reconcile(key, { cache, client, options, state }, signal) {
    const name = (state as Known).get(key)?.name;
    if (name === undefined || !options.signServiceAccountToken) return done;
    const api = client.for(secrets);
    const at = splitKey(key);
    try {
      const secret = await api.get(at, { signal });
      const { annotations = {}, uid, resourceVersion } = secret.metadata;
      const cached = cache(serviceaccounts).get(`${at.namespace}/${name}`);
      const fits = (account: ServiceAccount | undefined): account is ServiceAccount => account !== undefined && (!annotations[uidAnnotation] || annotations[uidAnnotation] === account.metadata.uid);
      // Asked again before anything is removed: the cache may lag behind.
      const account = fits(cached) ? cached : await client.for(serviceaccounts).get({ namespace: at.namespace, name }, { signal }).catch((err: unknown) => { if (isNotFound(err)) return undefined; throw err; });
      if (!fits(account)) {
        await api.delete(at, { signal, preconditions: { uid, resourceVersion } });
        return done;
      }
      const ca = options.rootCa === undefined ? undefined : Buffer.from(options.rootCa).toString('base64');
      const data = secret.data ?? {};
      const namespace = Buffer.from(at.namespace!).toString('base64');
      if (data['token'] && data['namespace'] && (ca === undefined || data['ca.crt'] === ca) && annotations[uidAnnotation]) return done;
      const token = data['token'] ?? Buffer.from(await options.signServiceAccountToken({ namespace: at.namespace!, serviceAccountName: name, serviceAccountUid: account.metadata.uid!, secretName: at.name })).toString('base64');
      await api.update({ ...secret, metadata: { ...secret.metadata, annotations: { ...annotations, [uidAnnotation]: account.metadata.uid! } }, data: { ...data, token, namespace: data['namespace'] ?? namespace, ...(ca === undefined ? {} : { 'ca.crt': ca }) } }, { signal });
    } catch (err) {
      if (isConflict(err)) return requeueAfter(100);
      if (!isNotFound(err)) throw err;
    }
    return done;
  },
});
