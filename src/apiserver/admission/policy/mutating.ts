/**
 * MutatingAdmissionPolicy: expressions whose result changes the object, as an apply configuration or a JSON patch; policies that ask for it
 * run again when something changed after them. Source: apiserver/pkg/admission/plugin/policy/mutating; KEP-3962.
 */
import { cloneJson, isJsonObject, jsonEqual, type Json, type JsonObject } from '../../../base/json.ts';
import type { MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding } from '../../../api/admissionregistration/v1.ts';
import { configurationType, expression, mutationMessages, patchListType, type Expression } from '../../../api/cel/admission.ts';
import { Budget, runtimeCostBudget } from '../../../api/cel/cel.ts';
import { CelList, CelMap, toJson, type Value } from '../../../api/cel/values.ts';
import { merge, shapeOf, type Shape } from '../../../api/managed-fields/shape.ts';
import { serviceUnavailable, StatusError } from '../../../api/meta/status.ts';
import { jsonPatch } from '../../../api/patch/json-patch.ts';
import { mutatingadmissionpolicies, mutatingadmissionpolicybindings } from '../../../api/resources.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../../types.ts';
import { admissionRequest, decisionsFor, evaluate, matchConditions, namespaceObject, requestNamespace, sceneValues, type Scene } from '../expressions.ts';
import { convert, isExempt, type Matched } from '../matching.ts';
import { normalise, replaceContents, servedOf } from '../objects-in-place.ts';
import { refuse, type AdmissionDeps } from '../plugin.ts';
import { roundsOf } from '../reinvocation.ts';
import { compileShared, values, type Compiled } from './compiled.ts';
import { collectParams, ConfigurationError, createPolicySource, isExcluded, matches, paramNames } from './source.ts';

interface Mutator { kind: 'ApplyConfiguration' | 'JSONPatch'; expression: Expression }
interface CompiledPolicy extends Compiled { mutators: readonly Mutator[] }

function compilePolicy({ spec }: MutatingAdmissionPolicy): CompiledPolicy {
  const shared = compileShared(spec, mutationMessages);
  return {
    ...shared,
    mutators: (spec?.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch: patch }) => (patchType === 'JSONPatch'
      ? { kind: 'JSONPatch', expression: expression(patch?.expression ?? '', { variables: shared.declared, message: mutationMessages, returns: [patchListType] }) }
      : { kind: 'ApplyConfiguration', expression: expression(applyConfiguration?.expression ?? '', { variables: shared.declared, message: mutationMessages, returns: [configurationType] }) })),
  };
}

/** A mutation that could not be made; the failure policy decides. */
class MutationError extends Error {}

/** "Object.spec{…}" must stand where `spec` is. */
function checkPaths(value: Value, path: string): void {
  if (value instanceof CelMap) {
    const { typeName } = value;
    if (typeName !== 'map' && typeName.startsWith('Object') && typeName !== path) throw new MutationError(`type mismatch: unexpected type name "${typeName}", expected "${path}", which matches field name path from root Object type`);
    if (typeName !== 'map') for (const key of value.keys()) checkPaths(value.get(key)!, `${path}.${String(key)}`);
    else for (const key of value.keys()) checkPaths(value.get(key)!, path);
  } else if (value instanceof CelList) for (const one of value) checkPaths(one, path);
}

function atomics(shape: Shape, value: Json, path: string): string[] {
  if (value === null || typeof value !== 'object') return [];
  switch (shape.kind) {
    case 'leaf': return [path];
    case 'struct': return isJsonObject(value) ? Object.entries(value).flatMap(([name, part]) => (part === undefined ? [] : atomics(shape.fields().get(name)?.shape ?? { kind: 'deduced' }, part, `${path}.${name}`))) : [];
    case 'map': return isJsonObject(value) ? Object.entries(value).flatMap(([name, part]) => (part === undefined ? [] : atomics(shape.values, part, `${path}.${name}`))) : [];
    case 'keyed': return Array.isArray(value) ? value.flatMap((item) => atomics(shape.items, item, isJsonObject(item) ? `${path}[${shape.keys.map((key) => `${key}=${JSON.stringify(item[key] ?? shape.defaults[key])}`).join(',')}]` : path)) : [];
    default: return [];
  }
}

/** The object after one mutation. `Undecided` passes through. */
function mutate(deps: AdmissionDeps, mutator: Mutator, compiled: CompiledPolicy, scene: Scene, object: JsonObject, attributes: AdmissionAttributes, matched: Matched): JsonObject {
  const budget = new Budget(runtimeCostBudget);
  if (mutator.expression.fault !== undefined) throw new MutationError(mutator.expression.fault);
  const outcome = evaluate(mutator.expression, values(compiled, { ...scene, object }, budget), budget);
  if (outcome.error !== undefined) throw new MutationError(outcome.error);
  const { value } = outcome;
  if (mutator.kind === 'JSONPatch') {
    if (!(value instanceof CelList)) throw new MutationError('type mismatch: JSONPatchType.expression should evaluate to array');
    const patch = [...value].map((operation) => {
      if (!(operation instanceof CelMap) || operation.typeName !== 'JSONPatch') throw new MutationError('type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch');
      return toJson(operation);
    });
    if (patch.length === 0) return object;
    try { return jsonPatch(cloneJson(object), patch) as JsonObject; } catch (err) {
      const why = err instanceof StatusError && err.cause instanceof Error ? err.cause.message : err instanceof Error ? err.message : String(err);
      // A test that fails: the patch is not applied, as upstream.
      if (/^testing .* failed|test failed/i.test(why)) return object;
      throw new MutationError(`JSON Patch: ${why}`);
    }
  }
  if (!(value instanceof CelMap)) throw new MutationError('unsupported return type from ApplyConfiguration expression');
  checkPaths(value, 'Object');
  const served = matched.as ?? servedOf(deps.resources, attributes.names);
  const type = served?.type;
  if (!type) throw serviceUnavailable(`Resource kind ${matched.kind.group}/${matched.kind.version}, Kind=${matched.kind.kind} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.`);
  const configuration = toJson(value) as JsonObject;
  const shape = shapeOf(type);
  const forbidden = atomics(shape, configuration, '');
  if (forbidden.length > 0) throw new MutationError(`error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${forbidden.join(', ')}`);
  try { return merge(shape, object, configuration) as JsonObject; } catch (err) { throw new MutationError(`error applying patch: failed to merge patch: ${err instanceof Error ? err.message : String(err)}`); }
}

interface Invocation { policy: MutatingAdmissionPolicy; binding: MutatingAdmissionPolicyBinding; compiled: CompiledPolicy; matched: Matched; param: JsonObject | undefined }
interface PolicyError { policy: MutatingAdmissionPolicy; binding: string | undefined; message: string; reason?: string }

export function mutatingPolicies(deps: AdmissionDeps): AdmissionPlugin {
  const name = 'MutatingAdmissionPolicy';
  const source = createPolicySource<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, CompiledPolicy>(deps, mutatingadmissionpolicies, mutatingadmissionpolicybindings, compilePolicy);
  return {
    name,
    handles: (_operation, names) => !source.isEmpty() && !isExempt(names) && !isExcluded(names),
    async admit(attributes) {
      const policies = await source.list();
      if (policies.length === 0) return;
      const errors: PolicyError[] = [];
      const invocations: Invocation[] = [];
      for (const { policy, bindings, compiled } of policies) {
        const broken = (err: unknown, binding?: MutatingAdmissionPolicyBinding) => {
          if (!(err instanceof ConfigurationError) && !(err instanceof StatusError)) throw err;
          errors.push({ policy, binding: binding?.metadata.name, message: `failed to configure ${binding ? 'binding' : 'policy'}: ${err.message}` });
        };
        if (bindings.length === 0) continue;
        try {
          const matched = await matches(deps, policy.spec?.matchConstraints, attributes);
          if (!matched) continue;
          const names = policy.spec?.paramKind && paramNames(deps, policy.spec.paramKind);
          for (const binding of bindings) {
            try {
              if (!await matches(deps, binding.spec?.matchResources, attributes)) continue;
              for (const param of await collectParams(deps, names, binding.spec?.paramRef, attributes)) invocations.push({ policy, binding, compiled, matched, param });
            } catch (err) { broken(err, binding); }
          }
        } catch (err) { broken(err); }
      }
      if (invocations.length > 0) await invoke(deps, name, attributes, invocations, errors);
      const counted = errors.filter(({ policy }) => policy.spec?.failurePolicy !== 'Ignore');
      if (counted.length > 0) throw denial(attributes, counted);
    },
  };
}

async function invoke(deps: AdmissionDeps, name: string, attributes: AdmissionAttributes, invocations: readonly Invocation[], errors: PolicyError[]): Promise<void> {
  const rounds = roundsOf(attributes);
  const own = rounds.of(name);
  own.begin(attributes.object, rounds.second);
  const namespace = namespaceObject(await requestNamespace(deps, attributes));
  const served = servedOf(deps.resources, attributes.names);
  for (const { policy, binding, compiled, matched, param } of invocations) {
    const metadata = param?.metadata as JsonObject | undefined;
    const key = [policy.metadata.name, binding.metadata.name, metadata?.namespace ?? '', metadata?.name ?? ''].join('/');
    const decisions = decisionsFor(deps.authorizer, attributes);
    const show = async (object: JsonObject | undefined) => (object && matched.as ? convert(deps, attributes, object, matched.as) : object);
    const scene: Scene = { request: admissionRequest(attributes, matched), object: await show(attributes.object), oldObject: await show(attributes.oldObject), params: param ?? null, namespaceObject: namespace, decisions };
    const failed = (message: string) => errors.push({ policy, binding: binding.metadata.name, message, reason: 'Invalid' });
    const matching = await decisions.run(() => matchConditions(compiled.conditions, sceneValues(scene), policy.spec?.failurePolicy));
    if (matching.error !== undefined) { failed(matching.error); continue; }
    if (!matching.matches || (rounds.second && !own.isAgain(key)) || !scene.object || !attributes.object) continue;
    let changed = false;
    for (const mutator of compiled.mutators) {
      const object: JsonObject = scene.object!;
      try {
        let result: JsonObject = await decisions.run(() => mutate(deps, mutator, compiled, scene, object, attributes, matched));
        result = normalise(cloneJson(result), matched.as ?? served);
        if (jsonEqual(result, object)) continue;
        scene.object = result;
        changed = true;
      } catch (err) {
        if (err instanceof StatusError && err.reason === 'ServiceUnavailable') throw err;
        if (!(err instanceof MutationError) && !(err instanceof StatusError)) throw err;
        failed(err.message);
      }
    }
    if (changed) {
      const result = matched.as && served ? await convert(deps, attributes, scene.object!, served) : scene.object!;
      replaceContents(attributes.object, result);
      own.changed();
      rounds.wanted = true;
    }
    if (policy.spec?.reinvocationPolicy === 'IfNeeded') own.invoked(key);
  }
  own.end(attributes.object);
}

function denial(attributes: AdmissionAttributes, errors: readonly PolicyError[]): StatusError {
  const texts = errors.map(({ policy, binding, message }) => (binding === undefined ? `policy ${JSON.stringify(policy.metadata.name)} denied request: ${message}` : `policy '${policy.metadata.name}' with binding '${binding}' denied request: ${message}`));
  const { status } = refuse(attributes, 'admission request denied by policy');
  const reason = errors[0]!.reason;
  return new StatusError({ ...status, message: texts[0]!, ...(reason ? { reason } : {}), details: { ...status.details, causes: [...status.details?.causes ?? [], ...texts.map((message) => ({ message }))] } } as ConstructorParameters<typeof StatusError>[0]);
}
