/**
 * Authentication, authorization and admission put together from flags, to hang on `createApiServer({ security })`. What they
 * look up comes from informers over the server's own client, so they follow every write.
 */
import type { Draft, JsonObject } from '../base/json.ts';
import type { Clock } from '../base/clock.ts';
import { timestamp } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { TokenRequest } from '../api/authentication/v1.ts';
import type { Pod, Secret, ServiceAccount } from '../api/core/v1.ts';
import { badRequest, conflict, invalid, isNotFound, notFound, type FieldError } from '../api/meta/status.ts';
import { clusterrolebindings, clusterroles, nodes, persistentvolumes, pods, rolebindings, roles, secrets, serviceaccounts, volumeattachments } from '../api/resources.ts';
import type { ResourceNames } from '../api/resource-names.ts';
import type { ApiObject, Client } from '../client/client.ts';
import type { InformerFactory } from '../client/informer.ts';
import { createInformerFactory } from '../client/shared-informer.ts';
import { defaultAdmission, type AdmissionChoice } from './admission/default-admission.ts';
import { bootstrapTokens, createAuthenticator, type AuthenticatorConfig, type FinalAuthenticator } from './auth/authenticators.ts';
import { alwaysAllow, alwaysDeny, mastersAuthorizer, unionAuthorizer } from './auth/authorizer.ts';
import { createEscalationCheck } from './auth/escalation.ts';
import { createNodeAuthorizer, NodeGraph } from './auth/node-authorizer.ts';
import { createRbacAuthorizer, RbacIndex } from './auth/rbac.ts';
import { createTokenIssuer, createTokenVerifier, defaultExpirationSeconds, maxExpirationSeconds, minExpirationSeconds, type BoundObject, type TokenIssuer, type TokenVerifier } from './auth/tokens.ts';
import type { ResourceTable } from './resource-table.ts';
import { authorizationWebhook, tokenWebhook, type AuthorizationWebhookOptions, type TokenWebhookOptions } from './auth/webhooks.ts';
import type { AdmissionPlugin, Authorizer } from './types.ts';

export type AuthorizationMode = 'AlwaysAllow' | 'AlwaysDeny' | 'Node' | 'RBAC' | 'Webhook';

export interface SecurityConfig extends Pick<AuthenticatorConfig, 'clientCa' | 'requestHeader' | 'tokenFile' | 'basicFile' | 'anonymous' | 'tokens'> {
  /** `--service-account-signing-key-file` and its kin, PEM. Without it there are no service account tokens. */
  serviceAccount?: { privateKey: string; publicKeys?: readonly string[]; issuer?: string; apiAudiences?: readonly string[]; /** `--service-account-lookup`, default true. */ lookup?: boolean };
  /** `--enable-bootstrap-token-auth`. Default true: kubeadm's way. */
  bootstrapTokens?: boolean;
  /** `--authorization-mode`. Default Node, RBAC. */
  authorizationModes?: readonly AuthorizationMode[];
  /** For mode Webhook: `--authorization-webhook-config-file` and its cache times. */
  authorizationWebhook?: Omit<AuthorizationWebhookOptions, 'clock'>;
  /** `--authentication-token-webhook-config-file`; asked after all other kinds of tokens. */
  tokenWebhook?: Omit<TokenWebhookOptions, 'clock'>;
  admission?: AdmissionChoice;
}
/** What `createApiServer` hands to its `security` hook. */
export interface SecurityParts { clock: Clock; rng: Rng; log: Logger; client: Client; signal: AbortSignal; resources?: ResourceTable }

export interface Security {
  authenticator: FinalAuthenticator;
  authorizer: Authorizer;
  admission: AdmissionPlugin[];
  /** Fills in the status of a TokenRequest; absent without a signing key. */
  issueToken?: (request: { namespace: string; name: string; serviceAccount: JsonObject; request: JsonObject }) => Promise<JsonObject>;
  /** For /openid/v1/jwks and legacy token Secrets. */
  tokenIssuer?: TokenIssuer;
  /** For TokenReview with audiences. */
  tokenVerifier?: TokenVerifier;
  rbac: RbacIndex;
  informers: InformerFactory;
}

/** `createApiServer({ security: (parts) => createSecurity(config, parts) })`. */
export function createSecurity(config: SecurityConfig, { clock, rng, log, client, signal, resources }: SecurityParts): Security {
  const { serviceAccount, authorizationModes = ['Node', 'RBAC'] } = config;
  const informers = createInformerFactory(client, { clock, rng, log, signal });
  const lookup = async <T extends ApiObject>(names: ResourceNames<T>, namespace: string, name: string): Promise<T | undefined> => {
    try { return await client.for(names).get(namespace ? { namespace, name } : { name }); } catch (err) {
      if (isNotFound(err)) return undefined;
      throw err;
    }
  };

  const tokenVerifier = serviceAccount && createTokenVerifier({ ...serviceAccount, clock, objects: {
    get: (resource, namespace, name): Promise<BoundObject | undefined> => lookup<ApiObject>(tokenResources[resource], namespace, name),
  } });
  const tokenIssuer = serviceAccount && createTokenIssuer({ ...serviceAccount, clock, rng });
  const authenticator = createAuthenticator({ ...config, tokens: [...config.tokens ?? [], ...config.tokenWebhook ? [tokenWebhook({ ...config.tokenWebhook, clock })] : []], clock, serviceAccounts: tokenVerifier,
    bootstrapTokens: config.bootstrapTokens === false ? undefined : bootstrapTokens((name) => lookup<Secret>(secrets, 'kube-system', name), clock) });

  const rbac = new RbacIndex();
  rbac.follow({ clusterroles: informers.informer(clusterroles), clusterrolebindings: informers.informer(clusterrolebindings), roles: informers.informer(roles), rolebindings: informers.informer(rolebindings) });
  const graph = new NodeGraph();
  if (authorizationModes.includes('Node')) graph.follow({ pods: informers.informer(pods), persistentvolumes: informers.informer(persistentvolumes), volumeattachments: informers.informer(volumeattachments) });
  const modes: Readonly<Record<AuthorizationMode, () => Authorizer>> = {
    AlwaysAllow: () => alwaysAllow, AlwaysDeny: () => alwaysDeny, Node: () => createNodeAuthorizer(graph), RBAC: () => createRbacAuthorizer(rbac),
    Webhook: () => {
      if (!config.authorizationWebhook) throw new Error('authorization mode Webhook needs a webhook configuration (--authorization-webhook-config-file)');
      return authorizationWebhook({ ...config.authorizationWebhook, clock });
    },
  };
  const authorizer = unionAuthorizer(mastersAuthorizer, ...authorizationModes.map((mode) => modes[mode]()));
  const admission = [...defaultAdmission({ client, informers, clock, rng, authorizer, ...(resources ? { resources } : {}) }, config.admission), ...(authorizationModes.includes('RBAC') ? [createEscalationCheck(rbac, authorizer)] : [])];
  return { authenticator, authorizer, admission, rbac, informers,
    ...(tokenIssuer ? { tokenIssuer, issueToken: tokenRequestAnswerer(tokenIssuer, lookup) } : {}), ...(tokenVerifier ? { tokenVerifier } : {}) };
}

const tokenResources: Readonly<Record<'serviceaccounts' | 'secrets' | 'pods' | 'nodes', ResourceNames<ApiObject>>> = { serviceaccounts, secrets, pods, nodes } as never;

type Lookup = <T extends ApiObject>(names: ResourceNames<T>, namespace: string, name: string) => Promise<T | undefined>;

/** Checks a TokenRequest and answers it. Source: upstream's pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation. */
function tokenRequestAnswerer(issuer: TokenIssuer, lookup: Lookup): NonNullable<Security['issueToken']> {
  return async ({ namespace, name, serviceAccount, request }) => {
    const asked = request as unknown as Draft<TokenRequest>;
    const account = serviceAccount as unknown as ServiceAccount;
    const expirationSeconds = asked.spec?.expirationSeconds ?? defaultExpirationSeconds;
    const errors: FieldError[] = [];
    const wrong = (why: string) => errors.push({ type: 'FieldValueInvalid', field: 'spec.expirationSeconds', detail: `Invalid value: ${expirationSeconds}: ${why}` });
    if (expirationSeconds < minExpirationSeconds) wrong('may not specify a duration less than 10 minutes');
    if (expirationSeconds > maxExpirationSeconds) wrong('may not specify a duration larger than 2^32 seconds');
    if (errors.length > 0) throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', errors);

    const reference = asked.spec?.boundObjectRef;
    const bound: { pod?: Ref; secret?: Ref; node?: Ref } = {};
    if (reference) {
      const kind = `${reference.apiVersion}/${reference.kind}`;
      const resource = ({ 'v1/Pod': 'pods', 'v1/Secret': 'secrets', 'v1/Node': 'nodes' } as const)[kind as 'v1/Pod'] as 'pods' | 'secrets' | 'nodes' | undefined;
      if (!resource) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(name)} to type ${reference.apiVersion?.replace('/', ', ') ?? ''}, Kind=${reference.kind ?? ''}`);
      const object = await lookup<ApiObject>(tokenResources[resource], resource === 'nodes' ? '' : namespace, reference.name ?? '');
      if (!object) throw notFound({ group: '', resource }, reference.name ?? '');
      const uid = object.metadata.uid ?? '';
      if (reference.uid && reference.uid !== uid) throw conflict({ group: '', resource }, reference.name ?? '', `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`);
      const ref = { name: object.metadata.name, uid };
      if (resource === 'secrets') bound.secret = ref;
      else if (resource === 'nodes') bound.node = ref;
      else {
        const { spec } = object as Pod;
        if (spec?.serviceAccountName !== name) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(name)} to pod running with different serviceaccount name.`);
        bound.pod = ref;
        if (spec.nodeName) bound.node = { name: spec.nodeName, uid: (await lookup(nodes, '', spec.nodeName))?.metadata.uid ?? '' };
      }
    }
    const { token, expirationMs } = issuer.issue({ namespace, serviceAccount: { name, uid: account.metadata.uid ?? '' }, audiences: asked.spec?.audiences, expirationSeconds, ...bound });
    return { ...request, spec: { ...asked.spec, expirationSeconds } as unknown as JsonObject, status: { token, expirationTimestamp: timestamp(expirationMs) } };
  };
}
interface Ref { name: string; uid: string }
