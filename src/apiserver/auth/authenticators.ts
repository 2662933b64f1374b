/**
 * Who is asking: client certificates, bearer tokens (service accounts, bootstrap tokens, a token file), passwords from a file,
 * an authenticating proxy, or nobody. Tried in upstream's order; the first that knows the caller decides.
 * Source: kubernetes.io/docs/reference/access-authn-authz/authentication.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { readCertificate } from '../../base/x509.ts';
import { unauthorized } from '../../api/meta/status.ts';
import type { AuthenticationRequest, Authenticator, UserInfo } from '../types.ts';
import { equal, type TokenVerifier } from './tokens.ts';
import { anonymousUser, withAuthenticatedGroup } from './users.ts';

/** Says who holds a bearer token; undefined: not one of mine. Throws: mine, and bad. */
export type TokenAuthenticator = (token: string) => Promise<UserInfo | undefined> | UserInfo | undefined;

export interface AuthenticatorConfig {
  clock: Clock;
  /** PEM of the CAs whose client certificates name users (CN) and groups (O). */
  clientCa?: string | undefined;
  /** Requests with a certificate of this CA may say by headers who they are for. */
  requestHeader?: { ca: string; allowedNames?: readonly string[]; usernameHeaders?: readonly string[]; uidHeaders?: readonly string[]; groupHeaders?: readonly string[]; extraHeaderPrefixes?: readonly string[] } | undefined;
  serviceAccounts?: TokenVerifier | undefined;
  /** `bootstrapTokens(…)`. */
  bootstrapTokens?: TokenAuthenticator | undefined;
  /** The text of `--token-auth-file`: token,user,uid,"group1,group2". */
  tokenFile?: string | undefined;
  /** The text of a basic-auth file: password,user,uid,"group1,group2". Differs: upstream removed it in 1.19; setups from scratch still use it. */
  basicFile?: string | undefined;
  /** More of them, asked last. */
  tokens?: readonly TokenAuthenticator[];
  /** Requests without credentials go on as system:anonymous. Default true. */
  anonymous?: boolean | undefined;
}

/** An `Authenticator` that always answers with a user, or throws `unauthorized()`. */
export interface FinalAuthenticator { authenticate(request: AuthenticationRequest): Promise<UserInfo> }

export function createAuthenticator(config: AuthenticatorConfig): FinalAuthenticator {
  const { anonymous = true } = config;
  const chain: Authenticator[] = [];
  if (config.requestHeader) chain.push(requestHeaderAuthenticator(config.requestHeader, config.clock));
  if (config.clientCa !== undefined) chain.push(certificateAuthenticator(config.clientCa, config.clock));
  const { serviceAccounts } = config;
  const tokens: TokenAuthenticator[] = [
    ...(config.tokenFile === undefined ? [] : [tokenFileAuthenticator(config.tokenFile)]),
    ...(serviceAccounts ? [async (token: string) => (await serviceAccounts.verify(token))?.user] : []),
    ...(config.bootstrapTokens ? [config.bootstrapTokens] : []), ...(config.tokens ?? []),
  ];
  chain.push(bearerAuthenticator(tokens));
  if (config.basicFile !== undefined) chain.push(basicFileAuthenticator(config.basicFile));
  /** One object per identity lets authorizers remember by identity. */
  const withGroup = new WeakMap<UserInfo, UserInfo>();
  return {
    async authenticate(request) {
      let failure: unknown;
      for (const authenticator of chain) {
        try {
          const user = await authenticator.authenticate(request);
          if (!user) continue;
          let full = withGroup.get(user);
          if (!full) withGroup.set(user, full = withAuthenticatedGroup(user));
          return full;
        } catch (err) { failure ??= err; }
      }
      if (failure !== undefined || !anonymous) throw unauthorized();
      return anonymousUser;
    },
  };
}

/** Most certificates remembered. */
const certificateCacheLimit = 4096;

interface KnownCertificate { user: UserInfo | undefined; commonName: string; validFrom: number; validTo: number }

/** Remembers what a certificate says, by the bytes' identity first (one per connection), by fingerprint else. */
function certificateReader(caPem: string): (der: Uint8Array) => KnownCertificate | undefined {
  const authorities = splitPem(caPem).map((pem) => new X509Certificate(pem));
  /** null: of another authority. */
  const byBytes = new WeakMap<Uint8Array, KnownCertificate | null>();
  const byFingerprint = new Map<string, KnownCertificate | undefined>();
  return (der) => {
    const seen = byBytes.get(der);
    if (seen !== undefined) return seen ?? undefined;
    let known: KnownCertificate | undefined;
    const fingerprint = createHash('sha256').update(der).digest('hex');
    if (byFingerprint.has(fingerprint)) known = byFingerprint.get(fingerprint);
    else {
      const certificate = new X509Certificate(der);
      const { subjectName: { commonName, organizations = [] } } = readCertificate(der);
      if (authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey))) {
        const user = commonName ? { name: commonName, groups: [...organizations], extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint}`] } } : undefined;
        known = { user, commonName, validFrom: Date.parse(certificate.validFrom), validTo: Date.parse(certificate.validTo) };
      }
      if (byFingerprint.size >= certificateCacheLimit) byFingerprint.clear();
      byFingerprint.set(fingerprint, known);
    }
    byBytes.set(der, known ?? null);
    return known;
  };
}

/** CN is the user, O are the groups. A certificate of another CA is not ours to judge. */
export function certificateAuthenticator(caPem: string, clock: Clock): Authenticator {
  const read = certificateReader(caPem);
  return {
    async authenticate({ clientCertificate }) {
      const known = clientCertificate && read(clientCertificate);
      if (!known) return undefined;
      const now = clock.now();
      if (now > known.validTo || now < known.validFrom) throw new Error('x509: certificate has expired or is not yet valid');
      return known.user;
    },
  };
}

export function requestHeaderAuthenticator(config: NonNullable<AuthenticatorConfig['requestHeader']>, clock: Clock): Authenticator {
  const { allowedNames = [], usernameHeaders = ['x-remote-user'], uidHeaders = ['x-remote-uid'], groupHeaders = ['x-remote-group'], extraHeaderPrefixes = ['x-remote-extra-'] } = config;
  const read = certificateReader(config.ca);
  const lower = (names: readonly string[]) => names.map((name) => name.toLowerCase());
  const [users, uids, groupNames, prefixes] = [lower(usernameHeaders), lower(uidHeaders), lower(groupHeaders), lower(extraHeaderPrefixes)];
  return {
    async authenticate({ clientCertificate, headers }) {
      const known = clientCertificate && read(clientCertificate);
      if (!known || clock.now() > known.validTo) return undefined;
      if (allowedNames.length > 0 && !allowedNames.includes(known.commonName)) return undefined;
      const name = users.map((header) => valuesOf(headers, header)[0]).find(Boolean);
      if (!name) return undefined;
      const uid = uids.map((header) => valuesOf(headers, header)[0]).find(Boolean);
      const extra: Record<string, string[]> = {};
      for (const header of Object.keys(headers)) {
        for (const prefix of prefixes) if (header.startsWith(prefix)) (extra[decode(header.slice(prefix.length))] ??= []).push(...valuesOf(headers, header));
      }
      return { name, groups: groupNames.flatMap((header) => valuesOf(headers, header)), ...(uid ? { uid } : {}), ...(Object.keys(extra).length > 0 ? { extra } : {}) };
    },
  };
}

/** Browsers can't set headers on web sockets: there the token comes as a subprotocol. */
const socketTokenPrefix = 'base64url.bearer.authorization.k8s.io.';

export function bearerAuthenticator(tokens: readonly TokenAuthenticator[]): Authenticator {
  return {
    async authenticate({ headers }) {
      const token = bearerToken(headers);
      if (token === undefined) return undefined;
      for (const authenticate of tokens) {
        const user = await authenticate(token);
        if (user) return user;
      }
      throw new Error('invalid bearer token');
    },
  };
}

/** The token of `Authorization: Bearer …` or of the web socket subprotocol. */
export function bearerToken(headers: AuthenticationRequest['headers']): string | undefined {
  const [scheme = '', token = ''] = (valuesOf(headers, 'authorization')[0] ?? '').trim().split(' ');
  if (scheme.toLowerCase() === 'bearer' && token) return token;
  const protocol = valuesOf(headers, 'sec-websocket-protocol').flatMap((value) => value.split(',')).map((value) => value.trim()).find((value) => value.startsWith(socketTokenPrefix));
  return protocol && Buffer.from(protocol.slice(socketTokenPrefix.length), 'base64url').toString();
}

export function tokenFileAuthenticator(text: string): TokenAuthenticator {
  const users = new Map(readUserFile(text, 'token').map(({ secret, user }) => [createHash('sha256').update(secret).digest('base64'), user]));
  return (token) => users.get(createHash('sha256').update(token).digest('base64')); // by hash: the look-up's time tells nothing
}

export function basicFileAuthenticator(text: string): Authenticator {
  const users = new Map(readUserFile(text, 'password').map(({ secret, user }) => [user.name, { secret, user }]));
  return {
    async authenticate({ headers }) {
      const [scheme = '', encoded = ''] = (valuesOf(headers, 'authorization')[0] ?? '').split(' ');
      if (scheme.toLowerCase() !== 'basic') return undefined;
      const credentials = Buffer.from(encoded, 'base64').toString();
      const colon = credentials.indexOf(':');
      const known = users.get(credentials.slice(0, colon));
      if (colon < 0 || !known || !equal(known.secret, credentials.slice(colon + 1))) throw new Error('invalid username/password combination');
      return known.user;
    },
  };
}

/** Lines of `secret,user,uid,"group1,group2"`. Throws with the line's number. */
function readUserFile(text: string, what: string): { secret: string; user: UserInfo }[] {
  const users: { secret: string; user: UserInfo }[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [secret = '', name = '', uid = '', groups = ''] = [...line.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)].map((match) => (match[1]?.replaceAll('""', '"') ?? match[2] ?? '').trim());
    if (!secret || !name) throw new Error(`${what} file line ${i + 1}: must have at least ${what}, user name and user uid, separated by commas`);
    users.push({ secret, user: { name, groups: groups.split(',').map((group) => group.trim()).filter(Boolean), ...(uid ? { uid } : {}) } });
  }
  return users;
}

/** The Secret of a bootstrap token, decoded by the caller no further than base64. */
export interface BootstrapSecret { readonly type?: string; readonly data?: { readonly [key: string]: string }; readonly metadata: { readonly deletionTimestamp?: string } }

/** Tokens `ID.SECRET` kept in Secrets kube-system/bootstrap-token-ID. `getSecret` answers for kube-system. Source: kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens. */
export function bootstrapTokens(getSecret: (name: string) => Promise<BootstrapSecret | undefined>, clock: Clock): TokenAuthenticator {
  return async (token) => {
    const [, id, secretPart] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token) ?? [];
    if (!id || !secretPart) return undefined;
    const secret = await getSecret(`bootstrap-token-${id}`);
    if (!secret || secret.metadata.deletionTimestamp || secret.type !== 'bootstrap.kubernetes.io/token') return undefined;
    const field = (name: string) => Buffer.from(secret.data?.[name] ?? '', 'base64').toString();
    if (!equal(field('token-secret'), secretPart) || field('token-id') !== id) return undefined;
    const expiration = field('expiration');
    if (expiration && !(Date.parse(expiration) > clock.now())) return undefined;
    if (field('usage-bootstrap-authentication') !== 'true') return undefined;
    const groups = ['system:bootstrappers', ...field('auth-extra-groups').split(',').filter(Boolean)];
    if (groups.slice(1).some((group) => !/^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/.test(group))) return undefined;
    return { name: `system:bootstrap:${id}`, groups: [...new Set(groups)].sort() };
  };
}

function valuesOf(headers: AuthenticationRequest['headers'], name: string): readonly string[] {
  const value = headers[name];
  return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}
function decode(text: string): string { try { return decodeURIComponent(text); } catch { return text; } }
function splitPem(text: string): string[] { return text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []; }
