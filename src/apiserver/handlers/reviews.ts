/**
 * Kinds that are questions: they are created, answered and not stored. TokenReview asks the authenticator, the access reviews
 * the authorizer. Source: upstream's pkg/registry/{authentication,authorization}.
 */
import { cloneJson, type Json, type JsonObject } from '../../base/json.ts';
import { timestamp } from '../../base/clock.ts';
import { badRequest, invalid, StatusError, type FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import type { ApiResult } from '../request.ts';
import type { AuthorizationAttributes, UserInfo } from '../types.ts';
import { admit, validateAdmission } from './admission.ts';
import { bind } from './binding.ts';
import { decodeBody, isDryRun } from './body.ts';
import { noSuchMethod, type Call } from './context.ts';
import { attributesOf, expected, strategyContext } from './write.ts';

export async function answerReview(call: Call): Promise<ApiResult> {
  const { context, resource, request, info } = call;
  if (resource.names.kind === 'Binding') return bind({ ...call, info: { ...info, subresource: '' } });
  const object = decodeBody(request, expected(resource));
  const dryRun = isDryRun(request.query.all('dryRun'));
  resource.entry.strategy.setDefaults?.(object as never);
  const attributes = attributesOf(call, 'CREATE', dryRun, { object, options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' } });
  await admit(context.admission, attributes);
  await validateAdmission(context.admission, attributes);
  if (resource.entry.answer) return { type: 'value', code: 201, value: await resource.entry.answer(object as never, { ...strategyContext(call, dryRun), namespace: info.namespace }) };
  const answer = answers[resource.names.kind];
  if (!answer) throw noSuchMethod();
  object.metadata ??= {};
  object.status = await answer(call, (object.spec ?? {}) as JsonObject, object);
  return { type: 'value', code: 201, value: object };
}

const answers: Readonly<Record<string, (call: Call, spec: JsonObject, object: JsonObject) => Promise<JsonObject>>> = {
  async TokenReview({ context }, spec) {
    if (!spec.token) throw badRequest('token is required for TokenReview in authentication');
    try {
      const asked = (spec.audiences ?? []) as string[];
      const verified = asked.length > 0 ? await context.tokenVerifier?.verify(String(spec.token), asked) : undefined;
      if (verified) return { authenticated: true, user: userJson(verified.user), audiences: [...verified.audiences] };
      const user = await context.authenticator.authenticate({ headers: { authorization: `Bearer ${String(spec.token)}` }, path: '' });
      if (!user) return { user: {}, authenticated: false };
      // Tokens of other kinds are for the API server.
      const audiences = context.tokenVerifier ? asked.filter((audience) => context.tokenVerifier!.apiAudiences.includes(audience)) : asked;
      if (asked.length > 0 && audiences.length === 0) return { user: {}, authenticated: false };
      return { authenticated: true, user: userJson(user), ...(audiences.length > 0 ? { audiences } : {}) };
    } catch (err) {
      return { authenticated: false, user: {}, error: err instanceof StatusError && err.code === 401 ? 'invalid bearer token' : `[invalid bearer token, ${err instanceof Error ? err.message : String(err)}]` };
    }
  },
  async SubjectAccessReview(call, spec) {
    const errors = subjectErrors(spec);
    if (errors.length > 0) throw invalid({ group: 'authorization.k8s.io', kind: 'SubjectAccessReview' }, '', errors);
    return decide(call, spec, userOf(spec));
  },
  async LocalSubjectAccessReview(call, spec) {
    const errors = subjectErrors(spec);
    const attributes = spec.resourceAttributes as JsonObject | undefined;
    if (attributes && attributes.namespace !== call.info.namespace) errors.push(problem.invalid(problem.field('spec', 'resourceAttributes', 'namespace'), attributes.namespace ?? '', `must match metadata.namespace`));
    if (spec.nonResourceAttributes) errors.push(problem.invalid(problem.field('spec', 'nonResourceAttributes'), spec.nonResourceAttributes, 'disallowed on this kind of request'));
    if (errors.length > 0) throw invalid({ group: 'authorization.k8s.io', kind: 'LocalSubjectAccessReview' }, '', errors);
    return decide(call, spec, userOf(spec));
  },
  async SelfSubjectAccessReview(call, spec) {
    const errors = attributeErrors(spec);
    if (errors.length > 0) throw invalid({ group: 'authorization.k8s.io', kind: 'SelfSubjectAccessReview' }, '', errors);
    return decide(call, spec, call.request.user);
  },
  async SelfSubjectRulesReview({ context, request }, spec) {
    if (!spec.namespace) throw badRequest('no namespace on request');
    const { resourceRules, nonResourceRules, incomplete, evaluationError } = await context.authorizer.rulesFor(request.user, String(spec.namespace));
    return cloneJson({ resourceRules, nonResourceRules, incomplete, ...(evaluationError ? { evaluationError } : {}) } as unknown as JsonObject);
  },
  async SelfSubjectReview({ context, request }, _spec, object) {
    (object.metadata as JsonObject).creationTimestamp = timestamp(context.clock.now());
    return { userInfo: userJson(request.user) };
  },
};

function userJson({ name, uid, groups, extra }: UserInfo): JsonObject {
  return { username: name, ...(uid ? { uid } : {}), ...(groups.length > 0 ? { groups: [...groups] } : {}), ...(extra && Object.keys(extra).length > 0 ? { extra: cloneJson(extra as unknown as JsonObject) } : {}) };
}
function userOf(spec: JsonObject): UserInfo {
  return { name: String(spec.user ?? ''), groups: (spec.groups ?? []) as string[], ...(spec.uid ? { uid: String(spec.uid) } : {}), ...(spec.extra ? { extra: spec.extra as Record<string, string[]> } : {}) };
}
function attributeErrors(spec: JsonObject): FieldError[] {
  const path = problem.field('spec');
  if (spec.resourceAttributes && spec.nonResourceAttributes) return [problem.invalid(path.child('nonResourceAttributes'), spec.nonResourceAttributes, 'cannot be specified in combination with resourceAttributes')];
  if (!spec.resourceAttributes && !spec.nonResourceAttributes) return [problem.invalid(path.child('resourceAttributes'), null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')];
  return [];
}
function subjectErrors(spec: JsonObject): FieldError[] {
  const errors = attributeErrors(spec);
  if (!spec.user && ((spec.groups ?? []) as Json[]).length === 0) errors.push(problem.invalid(problem.field('spec', 'user'), '', 'at least one of user or group must be specified'));
  return errors;
}

async function decide({ context }: Call, spec: JsonObject, user: UserInfo): Promise<JsonObject> {
  const resource = spec.resourceAttributes as JsonObject | undefined;
  const other = spec.nonResourceAttributes as JsonObject | undefined;
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : '');
  const attributes: AuthorizationAttributes = resource
    ? { user, isResource: true, path: '', verb: text(resource.verb), group: text(resource.group), version: text(resource.version), namespace: text(resource.namespace), resource: text(resource.resource), subresource: text(resource.subresource), name: text(resource.name) }
    : { user, isResource: false, path: text(other?.path), verb: text(other?.verb), group: '', version: '', namespace: '', resource: '', subresource: '', name: '' };
  const { decision, reason } = await context.authorizer.authorize(attributes);
  return { allowed: decision === 'allow', ...(decision === 'deny' ? { denied: true } : {}), ...(reason ? { reason } : {}) };
}
