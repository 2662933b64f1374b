/** Paths that are no resources: discovery, version, health, metrics, OpenAPI, service account issuer documents. */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../base/json.ts';
import { badRequest, notAcceptable } from '../api/meta/status.ts';
import { Discovery } from './discovery.ts';
import { acceptOf } from './encoding/encode.ts';
import { negotiate } from './encoding/negotiate.ts';
import { noSuchMethod, noSuchResource, type ServerContext } from './handlers/context.ts';
import type { NonResourceHandler } from './handlers/pipeline.ts';
import type { ApiMetrics } from './metrics.ts';
import type { ApiRequest, ApiResult } from './request.ts';
import { versionInfo } from './version.ts';

export interface HealthCheck { name: string; /** Throws, or returns a text, when it is not well. */ check(): Promise<string | undefined> | string | undefined; /** Part of /livez too. Default true. */ live?: boolean }

export interface OpenApiAnswer { contentType: string; body: string | Uint8Array }
/** OpenAPI documents, made by the schema. `serverRelativeURL`s carry a hash. */
export interface OpenApi {
  v2(accept: string): OpenApiAnswer | undefined | Promise<OpenApiAnswer | undefined>;
  v3Index(): JsonObject | Promise<JsonObject>;
  v3(groupVersionPath: string, accept: string): OpenApiAnswer | undefined | Promise<OpenApiAnswer | undefined>;
}

export interface NonResourceConfig {
  checks: readonly HealthCheck[];
  metrics: ApiMetrics;
  openapi?: OpenApi | undefined;
  /** host:port that /api tells clients. */
  address(): string;
  /** Documents by path: '/openid/v1/jwks', '/.well-known/openid-configuration'. */
  documents?: Readonly<Record<string, () => { contentType: string; body: string }>>;
}

const ok = (value: JsonObject): ApiResult => ({ type: 'value', code: 200, value });
const text = (code: number, body: string): ApiResult => ({ type: 'raw', code, contentType: 'text/plain; charset=utf-8', body, headers: { 'x-content-type-options': 'nosniff' } });

export function createNonResourceHandler(context: ServerContext, config: NonResourceConfig): NonResourceHandler {
  const discovery = new Discovery(context.resources, context.aggregator);
  const fixed = ['/api', '/api/v1', '/apis', '/apis/', '/healthz', '/healthz/log', '/healthz/ping', '/livez', '/livez/ping', '/metrics', '/openapi/v2', '/openapi/v3', '/readyz', '/readyz/ping', '/version'];

  return async (request) => {
    const { method } = request;
    const path = request.path.length > 1 && request.path.endsWith('/') ? request.path.slice(0, -1) : request.path;
    const [, first = '', ...rest] = path.split('/');
    if (method !== 'GET' && method !== 'HEAD') throw ['api', 'apis', 'version', 'healthz', 'livez', 'readyz', 'metrics', 'openapi', ''].includes(first) ? noSuchMethod() : noSuchResource();
    switch (first) {
      case '': return ok({ paths: [...fixed, ...discovery.groups().flatMap(({ name, versions }) => [`/apis/${name}`, ...versions.map((version) => `/apis/${name}/${version}`)])].sort() });
      case 'version': return ok(versionInfo());
      case 'api': case 'apis': {
        if (rest.length === 0) {
          const form = negotiate(acceptOf(request), { transforms: false, protobuf: true, discovery: true });
          if (form.discovery) return tagged(request, { contentType: `application/json;g=apidiscovery.k8s.io;v=${form.discovery};as=APIGroupDiscoveryList`, body: JSON.stringify(discovery.aggregated(first === 'api', form.discovery)) });
          return ok(first === 'api' ? discovery.coreVersions(config.address()) : discovery.groupList());
        }
        const value = first === 'api' ? (rest.length === 1 ? discovery.resourceList('', rest[0]!) : undefined)
          : rest.length === 1 ? discovery.group(rest[0]!) : rest.length === 2 ? discovery.resourceList(rest[0]!, rest[1]!) : undefined;
        if (!value) throw noSuchResource();
        return ok(value);
      }
      case 'healthz': case 'livez': case 'readyz': return health(config.checks, first, rest, request.query);
      case 'metrics': {
        const { registry } = config.metrics;
        return { type: 'raw', code: 200, contentType: registry.contentType, body: await registry.metrics() };
      }
      case 'openapi': return openapi(config.openapi, rest, request);
      default: {
        const document = config.documents?.[path];
        if (!document) throw noSuchResource();
        return { type: 'raw', code: 200, ...document(), headers: { 'cache-control': 'public, max-age=3600' } };
      }
    }
  };
}

async function health(checks: readonly HealthCheck[], kind: string, rest: readonly string[], query: { has(name: string): boolean; all(name: string): readonly string[] }): Promise<ApiResult> {
  const included = checks.filter((check) => kind !== 'livez' || check.live !== false);
  const wanted = rest.length === 0 ? included : included.filter((check) => check.name === rest.join('/'));
  if (wanted.length === 0) throw noSuchResource();
  const excluded = new Set(query.all('exclude'));
  const lines: string[] = [];
  let failed = 0;
  await Promise.all(wanted.map(async (check, index) => {
    if (excluded.has(check.name)) { lines[index] = `[+]${check.name} excluded: ok`; return; }
    let problem: string | undefined;
    try { problem = await check.check(); } catch (err) { problem = err instanceof Error ? err.message : String(err); }
    if (problem === undefined) lines[index] = `[+]${check.name} ok`;
    else { failed++; lines[index] = `[-]${check.name} failed: reason withheld`; }
  }));
  if (failed > 0) return text(500, `${lines.join('\n')}\n${kind} check failed\n`);
  if (rest.length > 0 || !query.has('verbose')) return text(200, 'ok');
  return text(200, `${lines.join('\n')}\n${kind} check passed\n`);
}

const tags = new WeakMap<Uint8Array, string>();
function tagOf(body: string | Uint8Array): string {
  const known = typeof body === 'string' ? undefined : tags.get(body);
  if (known !== undefined) return known;
  const tag = `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"`;
  if (typeof body !== 'string') tags.set(body, tag);
  return tag;
}
/** A document that clients keep and ask for again by its hash. RFC 9110 §13.1.2. */
function tagged(request: ApiRequest, { contentType, body }: OpenApiAnswer): ApiResult {
  const headers = { vary: 'Accept', etag: tagOf(body) };
  const asked = request.headers['if-none-match'];
  if (typeof asked === 'string' && asked.split(',').some((tag) => tag.trim().replace(/^W\//, '') === headers.etag)) return { type: 'raw', code: 304, contentType, body: '', headers };
  return { type: 'raw', code: 200, contentType, body, headers };
}

async function openapi(documents: OpenApi | undefined, rest: readonly string[], request: ApiRequest): Promise<ApiResult> {
  const accept = acceptOf(request);
  if (!documents) throw noSuchResource();
  const [version, ...path] = rest;
  const answer = version === 'v2' && path.length === 0 ? await documents.v2(accept) : version === 'v3' && path.length > 0 ? await documents.v3(path.join('/'), accept) : undefined;
  if (answer) return tagged(request, answer);
  if (version === 'v3' && path.length === 0) return { type: 'raw', code: 200, contentType: 'application/json', body: JSON.stringify(await documents.v3Index()) };
  if (version === 'v2') throw notAcceptable('only the following media types are accepted: application/json');
  if (version === undefined) throw badRequest('use /openapi/v2 or /openapi/v3');
  throw noSuchResource();
}
