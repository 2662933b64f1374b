/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook: the webhooks of all configurations, by name; mutating ones one after the other
 * (twice where they ask for it), validating ones at once. Source: apiserver/pkg/admission/plugin/webhook;
 * kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers.
 */
import { cloneJson, jsonEqual, type JsonObject } from '../../../base/json.ts';
import { uuid } from '../../../base/rng.ts';
import type { MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhookConfiguration } from '../../../api/admissionregistration/v1.ts';
import { admissionVariables, expression, type Expression } from '../../../api/cel/admission.ts';
import { badRequest, forbidden, internalError, StatusError } from '../../../api/meta/status.ts';
import { jsonPatch } from '../../../api/patch/json-patch.ts';
import { mutatingwebhookconfigurations, validatingwebhookconfigurations } from '../../../api/resources.ts';
import type { ResourceNames } from '../../../api/resource-names.ts';
import type { ApiObject } from '../../../client/client.ts';
import type { Informer } from '../../../client/informer.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../../types.ts';
import { admissionRequest, decisionsFor, matchConditions, sceneValues, type ConditionResult } from '../expressions.ts';
import { convert, isExempt, matchRules, namespaceSelectorMatches, objectSelectorMatches, type Matched } from '../matching.ts';
import { normalise, replaceContents, servedOf } from '../objects-in-place.ts';
import type { AdmissionDeps } from '../plugin.ts';
import { roundsOf } from '../reinvocation.ts';
import { createWebhookClient, type WebhookClient } from './client.ts';
import { admissionReview, readAnswer, rejection, reviewVersions, UndecodablePatch, type Answer } from './review.ts';

interface Hook { webhook: MutatingWebhook; configuration: string; /** Tells it from all others. */ id: string; conditions(): readonly Expression[] }

/** Calls that fail, by the failure policy; unlike refusals, which always stand. */
class CallFailure extends Error {}

const conditionVariables = admissionVariables({});

interface Source { list(): Promise<readonly Hook[]>; /** Known to have none: what most clusters have. */ isEmpty(): boolean }
/** The webhooks of a kind of configuration in the order they are called, kept with the informer. */
function createSource<T extends ApiObject>({ informers }: AdmissionDeps, names: ResourceNames<T>): Source {
  let informer: Informer<T> | undefined;
  let hooks: readonly Hook[] | undefined;
  const list = async () => {
    if (!informer) {
      informer = informers.informer(names);
      const forget = () => { hooks = undefined; };
      informer.addHandler({ onAdd: forget, onUpdate: forget, onDelete: forget });
    }
    if (!informer.hasSynced) await informer.synced();
    return hooks ??= (informer.list() as unknown as (MutatingWebhookConfiguration & ValidatingWebhookConfiguration)[]).toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).flatMap(hooksOf);
  };
  return { list, isEmpty: () => hooks?.length === 0 };
}
function hooksOf({ metadata, webhooks = [] }: MutatingWebhookConfiguration): Hook[] {
  return webhooks.map((webhook, index) => {
    let compiled: Expression[] | undefined;
    return {
      webhook, configuration: metadata.name, id: `${metadata.name}/${webhook.name}/${index}`,
      conditions: () => compiled ??= (webhook.matchConditions ?? []).map((condition) => expression(condition.expression, { variables: conditionVariables })),
    };
  });
}

interface Invocation { hook: Hook; matched: Matched; request: JsonObject }

/** Undefined: not to be called. Throws what stops the request. */
async function shouldCall(deps: AdmissionDeps, hook: Hook, attributes: AdmissionAttributes): Promise<Invocation | undefined> {
  const { webhook } = hook;
  if (!objectSelectorMatches(webhook.objectSelector, attributes)) return undefined;
  const matched = matchRules(deps, webhook.rules, webhook.matchPolicy, attributes);
  if (!matched) return undefined;
  if (!await namespaceSelectorMatches(deps, webhook.namespaceSelector, attributes)) return undefined;
  const request = admissionRequest(attributes, matched);
  if ((webhook.matchConditions ?? []).length > 0) {
    const result = await conditions(deps, hook, attributes, matched, request);
    if (result.error !== undefined) throw forbidden({ group: attributes.names.group, resource: attributes.names.plural }, attributes.name, result.error);
    if (!result.matches) return undefined;
  }
  return { hook, matched, request };
}
async function conditions(deps: AdmissionDeps, hook: Hook, attributes: AdmissionAttributes, matched: Matched, request: JsonObject): Promise<ConditionResult> {
  const { object, oldObject } = await versioned(deps, attributes, matched);
  const decisions = decisionsFor(deps.authorizer, attributes);
  return decisions.run(() => matchConditions(hook.conditions(), sceneValues({ request, object, oldObject, decisions }), hook.webhook.failurePolicy));
}

/** The objects in the version of the rule, with their kind. */
async function versioned(deps: AdmissionDeps, attributes: AdmissionAttributes, { kind, as }: Matched): Promise<{ object: JsonObject | undefined; oldObject: JsonObject | undefined }> {
  const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
  const show = async (object: JsonObject | undefined) => {
    if (!object) return undefined;
    const shown = as ? await convert(deps, attributes, object, as) : object;
    return shown.kind && shown.apiVersion ? shown : { kind: kind.kind, apiVersion, ...shown };
  };
  return { object: await show(attributes.object), oldObject: await show(attributes.oldObject) };
}

/** Throws `CallFailure` when the webhook did not answer well. */
async function ask(deps: AdmissionDeps, client: WebhookClient, { hook: { webhook }, request }: Invocation, attributes: AdmissionAttributes, object: JsonObject | undefined, oldObject: JsonObject | undefined, mutating: boolean): Promise<Answer> {
  const failure = (why: string) => new CallFailure(`failed calling webhook ${JSON.stringify(webhook.name)}: ${why}`);
  if (attributes.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun') throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  const version = (webhook.admissionReviewVersions ?? []).find((one) => (reviewVersions as readonly string[]).includes(one));
  if (version === undefined) throw failure('could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)');
  const uid = uuid(deps.rng);
  let reply;
  try {
    reply = await client.post({ config: webhook.clientConfig, body: admissionReview(version, uid, request, object, oldObject), timeoutSeconds: webhook.timeoutSeconds ?? 10 });
  } catch (err) { throw failure(`failed to call webhook: ${err instanceof Error ? err.message : String(err)}`); }
  let answer: Answer;
  try { answer = readAnswer(reply, version, uid, mutating); } catch (err) {
    const why = err instanceof Error ? err.message : String(err);
    throw failure(err instanceof UndecodablePatch ? `received undecodable patch in webhook response: ${why}` : `received invalid webhook response: ${why}`);
  }
  for (const [key, value] of Object.entries(answer.auditAnnotations)) attributes.annotate?.(`${webhook.name}/${key}`, value);
  for (const warning of answer.warnings) attributes.warn(warning);
  if (!answer.allowed) throw rejection(webhook.name, answer.status);
  return answer;
}

/** What a failed call means: nothing when failures are ignored, else the request's end. */
function orIgnore(err: unknown, { webhook }: Hook, attributes: AdmissionAttributes, key: string): void {
  if (!(err instanceof CallFailure)) throw err;
  if (webhook.failurePolicy !== 'Ignore') throw internalError(err.message, err);
  attributes.annotate?.(key, webhook.name);
}

export function mutatingWebhooks(deps: AdmissionDeps): AdmissionPlugin {
  const name = 'MutatingAdmissionWebhook';
  const source = createSource(deps, mutatingwebhookconfigurations);
  const client = createWebhookClient(deps);
  return {
    name,
    handles: (_operation, names) => !source.isEmpty() && !isExempt(names),
    async admit(attributes) {
      const hooks = await source.list();
      if (hooks.length === 0) return;
      const rounds = roundsOf(attributes);
      const own = rounds.of(name);
      own.begin(attributes.object, rounds.second);
      for (const [index, hook] of hooks.entries()) {
        if (rounds.second && !own.isAgain(hook.id)) continue;
        const invocation = await shouldCall(deps, hook, attributes);
        if (!invocation) continue;
        const round = `round_${rounds.second ? 1 : 0}_index_${index}`;
        let changed = false;
        try {
          changed = await mutate(deps, client, invocation, attributes, (patch) => attributes.annotate?.(`patch.webhook.admission.k8s.io/${round}`, JSON.stringify({ configuration: hook.configuration, webhook: hook.webhook.name, patch, patchType: 'JSONPatch' })));
        } catch (err) { orIgnore(err, hook, attributes, `failed-open.mutation.webhook.admission.k8s.io/${round}`); } finally {
          attributes.annotate?.(`mutation.webhook.admission.k8s.io/${round}`, JSON.stringify({ configuration: hook.configuration, webhook: hook.webhook.name, mutated: changed }));
        }
        if (changed) { own.changed(); rounds.wanted = true; }
        if (hook.webhook.reinvocationPolicy === 'IfNeeded') own.invoked(hook.id);
      }
      own.end(attributes.object);
    },
  };
}

/** Whether the object is another afterwards. */
async function mutate(deps: AdmissionDeps, client: WebhookClient, invocation: Invocation, attributes: AdmissionAttributes, note: (patch: unknown) => void): Promise<boolean> {
  const { hook: { webhook }, matched } = invocation;
  const { object, oldObject } = await versioned(deps, attributes, matched);
  const { patch } = await ask(deps, client, invocation, attributes, object, oldObject, true);
  if (patch === undefined || (Array.isArray(patch) && patch.length === 0)) return false;
  if (!Array.isArray(patch)) throw new CallFailure(`failed calling webhook ${JSON.stringify(webhook.name)}: received undecodable patch in webhook response: json: cannot unmarshal ${patch === null ? 'null' : typeof patch} into Go value of type jsonpatch.Patch`);
  if (!object || !attributes.object) throw internalError(`admission webhook ${JSON.stringify(webhook.name)} attempted to modify the object, which is not supported for this operation`);
  let patched: JsonObject;
  try { patched = jsonPatch(cloneJson(object), patch) as JsonObject; } catch (err) { throw internalError(reasonOf(err), err); }
  const served = servedOf(deps.resources, attributes.names);
  let result: JsonObject;
  try {
    if (matched.as && served) patched = await convert(deps, attributes, patched, served);
    result = normalise(patched, served);
  } catch (err) { throw internalError(reasonOf(err), err); }
  note(patch);
  const changed = !jsonEqual(attributes.object, result);
  if (changed) replaceContents(attributes.object, result);
  return changed;
}
const reasonOf = (err: unknown): string => (err instanceof StatusError && err.cause instanceof Error ? err.cause.message : err instanceof Error ? err.message : String(err));

export function validatingWebhooks(deps: AdmissionDeps): AdmissionPlugin {
  const source = createSource(deps, validatingwebhookconfigurations);
  const client = createWebhookClient(deps);
  return {
    name: 'ValidatingAdmissionWebhook',
    handles: (_operation, names) => !source.isEmpty() && !isExempt(names),
    async validate(attributes) {
      const hooks = await source.list();
      if (hooks.length === 0) return;
      const invocations: Invocation[] = [];
      for (const hook of hooks) {
        const invocation = await shouldCall(deps, hook, attributes);
        if (invocation) invocations.push(invocation);
      }
      const results = await Promise.allSettled(invocations.map(async (invocation, index) => {
        const { object, oldObject } = await versioned(deps, attributes, invocation.matched);
        try { await ask(deps, client, invocation, attributes, object, oldObject, false); } catch (err) { orIgnore(err, invocation.hook, attributes, `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`); }
      }));
      for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
    },
  };
}
