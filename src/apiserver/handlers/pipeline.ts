/**
 * The one way in: every request, from the wire or from inside the process, passes through `handle` once its user is known.
 * request info → authorization → the resource's verb or subresource → a result.
 */
import { StatusError, badRequest, internalError, notFound } from '../../api/meta/status.ts';
import type { AuditEvent } from '../audit/audit.ts';
import type { FlowControl } from '../flow-control/flow-control.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import { requestInfo } from '../request-info.ts';
import type { RequestInfo } from '../types.ts';
import { forbiddenFor, requireAllowed } from '../auth/authorizer.ts';
import { attributesFor } from './authorization.ts';
import { noSuchMethod, noSuchResource, type Call, type ServerContext } from './context.ts';
import { remove, removeCollection } from './delete.ts';
import { patch } from './patch.ts';
import { get, list, watch } from './read.ts';
import { subresourceHandler } from './subresources.ts';
import { create, update } from './write.ts';
import { answerReview } from './reviews.ts';

export type NonResourceHandler = (request: ApiRequest, info: RequestInfo) => Promise<ApiResult> | ApiResult;

export function createHandler(context: ServerContext, nonResource: NonResourceHandler): (request: ApiRequest) => Promise<ApiResult> {
  return async function handle(request) {
    const info = requestInfo(request.method, request.path, request.query);
    const { note } = request;
    note.verb = info.verb.toUpperCase();
    if (info.isResource) {
      note.group = info.group;
      note.version = info.version;
      note.resource = info.resource;
      note.subresource = info.subresource;
      note.scope = info.name ? 'resource' : info.namespace ? 'namespace' : 'cluster';
    }
    const event = context.audit?.begin(request, info);
    if (!event) return guarded(request, info);
    request.audit = event;
    try {
      const result = await guarded(request, info);
      event.finish(result);
      return result;
    } catch (err) {
      event.fail(statusErrorOf(err), !(err instanceof StatusError) && !(err instanceof Error && err.name === 'AbortError'));
      throw err;
    }
  };

  function guarded(request: ApiRequest, info: RequestInfo): Promise<ApiResult> {
    return context.flowControl ? seated(context.flowControl, request, info) : run(request, info);
  }
  async function seated(control: FlowControl, request: ApiRequest, info: RequestInfo): Promise<ApiResult> {
    const entered = control.enter(request, info);
    const seat = entered instanceof Promise ? await entered : entered;
    try { return await run(request, info); } finally { seat?.done(); }
  }

  async function run(request: ApiRequest, info: RequestInfo): Promise<ApiResult> {
    if (request.audit) await authorizeOnRecord(context, request, info, request.audit);
    else await requireAllowed(context.authorizer, attributesFor(info, request));
    const remote = context.aggregator?.remoteFor(request.path);
    if (remote) return remote.proxy(request);
    if (!info.isResource) return nonResource(request, info);
    const resource = context.resources.find(info.group, info.version, info.resource);
    if (!resource) throw noSuchResource();
    const call: Call = { context, request, info, resource };
    for (const notice of resource.entry.notices ?? []) if (!request.warnings.includes(notice)) request.warnings.push(notice);
    const result = await dispatch(call);
    if (resource.entry.alias?.prepare) await (result.type === 'object' ? resource.prepare([result.entry]) : result.type === 'list' ? resource.prepare(result.entries) : undefined);
    return result;
  }
}

/** As `requireAllowed`, and the audit event says what was decided and why. */
async function authorizeOnRecord(context: ServerContext, request: ApiRequest, info: RequestInfo, event: AuditEvent): Promise<void> {
  const asked = attributesFor(info, request);
  const { decision, reason } = await context.authorizer.authorize(asked);
  event.annotate('authorization.k8s.io/decision', decision === 'allow' ? 'allow' : 'forbid');
  event.annotate('authorization.k8s.io/reason', reason);
  if (decision !== 'allow') throw forbiddenFor(asked, reason);
}

async function dispatch(call: Call): Promise<ApiResult> {
  const { info, resource, request } = call;
  const { verbs } = resource.names;
  if (!resource.namespaced) {
    if (info.namespace && info.resource !== 'namespaces') throw noSuchResource();
    if (info.resource === 'namespaces') info.namespace = '';
  } else if (!info.namespace && (info.name || info.verb === 'create') && !request.path.includes('/watch/')) {
    // A namespaced object is reached through its namespace only.
    if (info.verb !== 'list' && info.verb !== 'watch') throw info.verb === 'create' && !info.name ? noSuchMethod() : noSuchResource();
  }
  if (info.subresource) {
    const handler = subresourceHandler(call);
    if (!handler) throw info.subresource in resource.names.subresources ? noSuchMethod() : resource.entry.type ? notFound(resource.groupResource, info.name) : noSuchResource();
    return handler(call);
  }
  if (!(verbs as readonly string[]).includes(info.verb)) throw noSuchMethod();
  switch (info.verb) {
    case 'get': return get(call);
    case 'list': return list(call);
    case 'watch': return watch(call);
    case 'create':
      if (info.name) throw noSuchMethod();
      return resource.entry.answer || isReview(call) ? answerReview(call) : create(call);
    case 'update': return update(call);
    case 'patch': return patch(call);
    case 'delete': return remove(call);
    case 'deletecollection': return removeCollection(call);
    default: throw noSuchMethod();
  }
}

const isReview = ({ resource }: Call) => resource.names.verbs.length === 1 && resource.names.verbs[0] === 'create';

/** Whatever was thrown, as a StatusError. */
export function statusErrorOf(err: unknown): StatusError {
  if (err instanceof StatusError) return err;
  if (err instanceof Error && err.name === 'AbortError') return badRequest('the request was cancelled');
  return internalError(err instanceof Error ? err.message : String(err), err);
}
